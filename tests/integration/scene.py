"""A situation that an object can be in, and how one tells that it is there."""

from collections.abc import Callable
from dataclasses import dataclass

from sovereigncloud_sandbox.stage import condition


@dataclass(frozen=True)
class Scene:
    """
    Attributes:
        manifests: applied at first, or where `late`, once the operator is stopped.
        until: what is awaited before `then`; None: nothing.
        then: what happens next.
        shows: when the situation is there; None: at once.
        last: what happens once the operator is stopped.
        why: it cannot be brought about, since ...
    """

    manifests: tuple[dict, ...] = ()
    until: Callable[[dict], object] | None = None
    then: Callable[[], object] | None = None
    shows: Callable[[dict], object] | None = None
    last: Callable[[], object] | None = None
    late: bool = False
    why: str = ""


def says(kind, reason, *words):
    """A condition is True for that reason, with these words, and speaks of this spec."""

    def test(found):
        told = condition(found, kind)
        seen = found["status"].get("observedGeneration") == found["metadata"]["generation"]
        held = (told.get("status"), told.get("reason")) == ("True", reason)
        return seen and held and all(word in told["message"] for word in words)

    return test


def waits(*words):
    return says("Reconciling", "WaitingForDependency", *words)


def is_under_way(found):
    return condition(found, "Reconciling").get("status") == "True"


def is_paused(found):
    seen = found["status"].get("observedGeneration") == found["metadata"]["generation"]
    return seen and condition(found, "Paused").get("status") == "True"


def is_reported(found):
    return says("Drifted", "ReportOnly")(found)


REPORT = {"driftPolicy": {"default": "Report"}}
