"""A course of events in which the operator may be struck down at any write, and how one is gone through."""

import copy
import traceback
from dataclasses import dataclass, field

from tests.faults.scene import Scene
from tests.faults.simulated_time import clock

AT_REST = 130.0
"""Seconds after the end in which nothing may be written any more: two sweeps."""


class Course:
    """One course: what is there before, what a person then does, when it is over, what must be true.

    Attributes:
        within: simulated seconds in which it must be over, whatever was lost.
    """

    name = ""
    within = 1800.0

    def __init__(self):
        self.declared = {}

    async def prepare(self, scene: Scene):
        """Everything before the first write that may be struck."""

    def act(self, scene: Scene):
        """What a person does."""

    def over(self, scene: Scene):
        return scene.settled()

    def judge(self, scene: Scene):
        """(duplicates, orphans, other wrongs), each a list of words."""
        raise NotImplementedError

    def apply(self, scene, *manifests):
        scene.api.apply(*manifests)
        for one in manifests:
            self.declared[one["kind"], one["metadata"]["name"]] = copy.deepcopy(one)

    def remove(self, scene, kind, name):
        scene.api.remove(kind, name)
        self.declared.pop((kind, name), None)

    def _kept(self, scene):
        """What a user wrote is as it was written: spec, labels, annotations, Secrets."""
        for (kind, name), one in self.declared.items():
            found = scene.api.get(kind, name)
            if not found:
                yield f"{kind} {name} is gone"
                continue
            if found.get("spec") != one.get("spec"):
                yield f"spec of {kind} {name} was changed"
            for part in ("labels", "annotations"):
                if (found["metadata"].get(part) or {}) != (one["metadata"].get(part) or {}):
                    yield f"{part} of {kind} {name} were changed"


async def travel(course, choose=None, *, ended=lambda _: None, scene=Scene):
    """One course, and what is true at its end.

    Args:
        course: of events.
        choose: the fate of each write (`wire.Writes`), or {number: fate}.
        ended: told the report, still inside.
        scene: makes the scene.
    """
    if isinstance(choose, dict):
        fates = choose
        choose = lambda number, *_: fates.get(number)  # noqa: E731
    async with scene() as stage:
        await course.prepare(stage)
        stage.writes.log.clear()
        if choose is not None:
            stage.writes.choose = choose
        try:
            report = await _go(course, stage)
        except Exception:  # noqa: BLE001 - it is the finding
            report = Report(wrongs=[traceback.format_exc()])
        ended(report)
    return report


async def _go(course, scene):
    began, asked = clock(), scene.wire.asked
    course.act(scene)
    over, wrongs = await _to_the_end(course, scene)
    if scene.writes.struck and scene.writes.struck[-1][1] > over:
        over, wrongs = await _to_the_end(course, scene)  # one of the last writes was struck, when all seemed over
    duplicates, orphans, more = course.judge(scene)
    return Report(
        duplicates=list(duplicates),
        orphans=list(orphans),
        wrongs=[*wrongs, *more],
        writes=len(scene.writes.log),
        asked=scene.wire.asked - asked,
        took=over - began,
        log=tuple(scene.writes.log),
    )


async def _to_the_end(course, scene):
    """When it came, and what is wrong with the end itself: it does not come, or it is none."""
    if not await scene.run(course.within, lambda: course.over(scene)):
        return clock(), [f"not over after {course.within:.0f} s"]
    over = clock()
    await scene.run(_until_rest(scene))
    writes = len(scene.writes.log)
    await scene.run(AT_REST)
    wrongs = [f"writes at rest: {scene.writes.log[writes:][:3]}"] if scene.writes.log[writes:] else []
    return over, wrongs if course.over(scene) else [*wrongs, "it did not stay"]


def _until_rest(scene):
    """Events are still to be posted; what is late is still to come, and to be seen by a sweep."""
    late = max((at + scene.writes.late_by for _, at in scene.writes.struck), default=0.0)
    return max(65.0, late + 70.0 - clock())


@dataclass
class Report:
    """What came of one run."""

    duplicates: list[str] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    wrongs: list[str] = field(default_factory=list)
    writes: int = 0
    asked: int = 0
    took: float = 0.0
    log: tuple[str, ...] = ()

    @property
    def well(self):
        return not (self.duplicates or self.orphans or self.wrongs)

    def __str__(self):
        parts = {"duplicates": self.duplicates, "orphans": self.orphans, "wrong": self.wrongs}
        return "; ".join(f"{name}: {', '.join(found)}" for name, found in parts.items() if found) or "well"
