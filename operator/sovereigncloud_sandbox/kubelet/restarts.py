"""Restart policy and back-off of containers that ended."""

_FIRST = 1.0  # seconds; Kubernetes: 10
_LONGEST = 20.0  # Kubernetes: 300
_FORGOTTEN_AFTER = 60.0  # seconds of running; Kubernetes: 600


def restarts(policy: str, exit_code: int) -> bool:
    """`restartPolicy` as Kubernetes reads it."""
    return policy == "Always" or (policy == "OnFailure" and exit_code != 0)


def wait_before(failures: int) -> float:
    """Seconds before the next start, after this many ends in a row. The first restart is at once, as in Kubernetes."""
    return 0.0 if failures <= 1 else min(_LONGEST, _FIRST * 2.0 ** (failures - 2))


def failures_after(failures: int, ran: float) -> int:
    """Ends in a row, counting one after it ran for this many seconds."""
    return 1 if ran >= _FORGOTTEN_AFTER else failures + 1
