"""Compute the status of a pod from its containers (rules of getPhase and status/generate.go of the kubelet)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sovereigncloud_sandbox.kubelet.restarts import restarts

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Waiting:
    """Not running yet, or not again yet."""

    reason: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class Running:
    """Since when."""

    started_at: str


@dataclass(frozen=True, slots=True)
class Terminated:
    """How it ended."""

    exit_code: int
    started_at: str
    finished_at: str
    message: str = ""
    container_id: str = ""

    @property
    def reason(self) -> str:
        return "Error" if self.exit_code else "Completed"


@dataclass(frozen=True, slots=True)
class Container:
    """One container as it is now. `started` and `ready` are what its probes say, where it has any."""

    name: str
    image: str
    state: Waiting | Running | Terminated
    last: Terminated | None = None
    restarts: int = 0
    started: bool = False
    ready: bool = False
    container_id: str = ""


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod as it is now. `init` are its init containers in order."""

    containers: Sequence[Container]
    init: Sequence[Container] = ()
    restart_policy: str = "Always"
    ip: str = ""
    host_ip: str = ""
    started_at: str = ""
    generation: int = 1


def phase_of(pod: Pod) -> str:
    """Pending, Running, Succeeded or Failed."""
    for one in pod.init:
        if not isinstance(one.state, Terminated) or one.state.exit_code:
            failed = isinstance(one.state, Terminated) and pod.restart_policy == "Never"
            return "Failed" if failed else "Pending"
    ends = [one.state for one in pod.containers if isinstance(one.state, Terminated)]
    if any(isinstance(one.state, Waiting) and one.last is None for one in pod.containers):
        return "Pending"
    if len(ends) < len(pod.containers) or any(restarts(pod.restart_policy, end.exit_code) for end in ends):
        return "Running"
    return "Failed" if any(end.exit_code for end in ends) else "Succeeded"


def status_of(pod: Pod, before: Json, now: str) -> Json:
    """The status to write. Conditions of `before` keep their time of change where they stay, others' are kept."""
    phase = phase_of(pod)
    status: Json = {
        "phase": phase,
        "observedGeneration": pod.generation,
        "conditions": _conditions(pod, phase, before.get("conditions") or [], now),
        "hostIP": pod.host_ip,
        "hostIPs": [{"ip": pod.host_ip}],
        "podIP": pod.ip,
        "podIPs": [{"ip": pod.ip}],
        "startTime": pod.started_at,
        "containerStatuses": [_container(one) for one in pod.containers],
    }
    if pod.init:
        status["initContainerStatuses"] = [_container(one) for one in pod.init]
    return status


def _conditions(pod: Pod, phase: str, before: Sequence[Json], now: str) -> list[Json]:
    unfinished = [one.name for one in pod.init if not isinstance(one.state, Terminated) or one.state.exit_code]
    unready = [one.name for one in pod.containers if not one.ready]
    ended = {"Succeeded": "PodCompleted", "Failed": "PodFailed"}.get(phase)
    reason = ended or ("ContainersNotReady" if unready else "")
    message = f"containers with unready status: [{' '.join(unready)}]" if unready and not ended else ""
    initialized = ended == "PodCompleted" or not unfinished
    wanted = [
        ("PodReadyToStartContainers", ended is None and bool(pod.ip), "", ""),
        (
            "Initialized",
            initialized,
            "" if initialized else "ContainersNotInitialized",
            "" if initialized else f"containers with incomplete status: [{' '.join(unfinished)}]",
        ),
        ("Ready", not reason, reason, message),
        ("ContainersReady", not reason, reason, message),
        ("PodScheduled", True, "", ""),
    ]
    old = {one["type"]: one for one in before}
    made = [_condition(old.get(kind, {}), kind, held, why, text, now) for kind, held, why, text in wanted]
    ours = {one["type"] for one in made}
    return [*made, *(one for one in before if one["type"] not in ours)]


def _condition(old: Json, kind: str, held: bool, reason: str, message: str, now: str) -> Json:
    status = "True" if held else "False"
    made: Json = {
        "type": kind,
        "status": status,
        "lastProbeTime": None,
        "lastTransitionTime": old["lastTransitionTime"] if old.get("status") == status else now,
    }
    if reason:
        made["reason"] = reason
    if message:
        made["message"] = message
    return made


def _container(one: Container) -> Json:
    status: Json = {
        "name": one.name,
        "image": one.image,
        "imageID": "",
        "ready": one.ready,
        "started": one.started,
        "restartCount": one.restarts,
        "state": _state(one.state),
        "lastState": _state(one.last) if one.last else {},
    }
    if one.container_id:
        status["containerID"] = one.container_id
    return status


def _state(state: Waiting | Running | Terminated) -> Json:
    match state:
        case Waiting():
            told = {"reason": state.reason, "message": state.message}
            return {"waiting": {key: value for key, value in told.items() if value}}
        case Running():
            return {"running": {"startedAt": state.started_at}}
        case Terminated():
            ended: Json = {
                "exitCode": state.exit_code,
                "reason": state.reason,
                "startedAt": state.started_at,
                "finishedAt": state.finished_at,
                "message": state.message,
                "containerID": state.container_id,
            }
            return {"terminated": {key: value for key, value in ended.items() if value != ""}}
