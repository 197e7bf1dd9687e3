"""Scheduling for a cluster of one node: which pods are bound, and why others are not."""

from collections.abc import Callable, Mapping
from typing import Any

Json = dict[str, Any]
_DEFAULT_SCHEDULER = "default-scheduler"


def is_ours_to_bind(pod: Json) -> bool:
    """Whether the pod waits for a node, and for the default scheduler to name one."""
    spec = pod["spec"]
    return (
        not spec.get("nodeName")
        and "deletionTimestamp" not in pod["metadata"]
        and spec.get("schedulerName", _DEFAULT_SCHEDULER) == _DEFAULT_SCHEDULER
        and not spec.get("schedulingGates")
    )


def images_of(pod: Json) -> list[str]:
    """The images of a pod's containers and init containers, in the order in which they start."""
    spec = pod["spec"]
    return [one["image"] for one in (*(spec.get("initContainers") or ()), *spec["containers"])]


def obstacle(pod: Json, has_image: Callable[[str], bool], labels: Mapping[str, str]) -> str:
    """Why the node cannot take the pod, empty if it can."""
    spec = pod["spec"]
    foreign = sorted({image for image in images_of(pod) if not has_image(image)})
    if foreign:
        return f"0/1 nodes are available: the sandbox has no image {', '.join(foreign)}."
    if any(labels.get(key) != value for key, value in (spec.get("nodeSelector") or {}).items()):
        return "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."
    if any(one.get("restartPolicy") for one in spec.get("initContainers") or ()):
        return "0/1 nodes are available: the sandbox has no sidecars (init containers that restart)."
    return ""


def unschedulable(pod: Json, message: str, now: str) -> Json:
    """The status of a pod that no node takes, as a scheduler writes it."""
    others = [one for one in (pod.get("status") or {}).get("conditions") or () if one["type"] != "PodScheduled"]
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": message,
        "lastProbeTime": None,
        "lastTransitionTime": now,
    }
    return {"phase": "Pending", "conditions": [*others, condition]}
