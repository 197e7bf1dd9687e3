"""What kstatus says of an object: the generic path of cli-utils (pkg/kstatus/status/{generic,status}.go, v1.2.2), which
Helm 4 and Flux wait with. test_kstatus.py holds it against the real one, in Helm's own waiter."""

IN_PROGRESS, CURRENT, FAILED, TERMINATING = "InProgress", "Current", "Failed", "Terminating"


def judge(found):
    """The status of a raw object; the first rule that applies wins."""
    metadata, status = found["metadata"], found.get("status") or {}
    if metadata.get("deletionTimestamp"):
        return TERMINATING
    if "observedGeneration" in status and status["observedGeneration"] != metadata["generation"]:
        return IN_PROGRESS
    conditions = status.get("conditions") or ()
    for condition in conditions:  # in the order of the list
        if condition["status"] == "True" and condition["type"] in {"Reconciling", "Stalled"}:
            return IN_PROGRESS if condition["type"] == "Reconciling" else FAILED
    for condition in conditions:
        if condition["type"] == "Ready" and condition["status"] in {"True", "False", "Unknown"}:
            return CURRENT if condition["status"] == "True" else IN_PROGRESS
    return CURRENT
