"""Success and failure thresholds of probes as a pure state machine."""

from dataclasses import dataclass, replace
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Probe:
    """A probe's timing, in seconds, and what it asks (`httpGet`, `tcpSocket` or `exec` as in the spec)."""

    action: Json
    initial_delay: float = 0.0
    period: float = 10.0
    timeout: float = 1.0
    success_threshold: int = 1
    failure_threshold: int = 3

    @classmethod
    def of(cls, spec: Json | None) -> "Probe | None":
        """From a container's spec, with Kubernetes' defaults; None if there is none."""
        if not spec:
            return None
        return cls(
            action=spec,
            initial_delay=float(spec.get("initialDelaySeconds") or 0),
            period=float(spec.get("periodSeconds") or 10),
            timeout=float(spec.get("timeoutSeconds") or 1),
            success_threshold=int(spec.get("successThreshold") or 1),
            failure_threshold=int(spec.get("failureThreshold") or 3),
        )


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the answers so far amount to: `passing` changes only at a threshold. None: not known yet."""

    passing: bool | None
    last: bool | None = None
    run: int = 0

    def after(self, probe: Probe, answer: bool) -> "Judgement":
        """The judgement after one more answer."""
        run = self.run + 1 if answer is self.last else 1
        threshold = probe.success_threshold if answer else probe.failure_threshold
        passing = answer if run >= threshold else self.passing
        return replace(self, passing=passing, last=answer, run=run)


def port_of(container: Json, port: int | str) -> int:
    """A port by number or by its name in the container. Raises ValueError."""
    if isinstance(port, int) or port.isdigit():
        return int(port)
    for one in container.get("ports") or ():
        if one.get("name") == port:
            return int(one["containerPort"])
    raise ValueError(f"couldn't find port: {port}")
