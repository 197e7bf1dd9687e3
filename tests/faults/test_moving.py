"""A machine that moves, struck at each write of the move; and how it and its move wake one another."""

import time

import pytest
from tests.faults import moves
from tests.faults.courses import travel
from tests.faults.forks import Forks
from tests.faults.scene import Scene
from tests.faults.simulated_time import run
from tests.faults.wire import Fate

COURSES = (
    (moves.Moving, ("vm.allocate", "SOVEREIGNCLOUD_MOVED")),
    (moves.Rehearsing, ("vm.allocate",)),
    (moves.CalledOff, ("marketapp.allocate", "SOVEREIGNCLOUD_MOVED")),
    (moves.Rebuilt, ("SOVEREIGNCLOUD_MOVED",)),
    (moves.BothDeleted, ("terminate-hard",)),
)
"""Each with words of the writes that are struck where not all are."""


@pytest.mark.parametrize(("course", "some"), COURSES, ids=[course.name for course, _ in COURSES])
def test_whatever_is_lost_one_copy_runs_and_nothing_is_left_on_the_way(course, some, every, table, tally):
    began = time.monotonic()
    trunk, branches = Forks(only=() if every == 1 else some).explore(course)
    tally.add(course.name, branches)
    reports = [branch.report for branch in branches]
    counts = (sum(bool(getattr(r, kind)) for r in reports) for kind in ("duplicates", "orphans", "wrongs"))
    table.append((course.name, trunk.writes, len(branches), *counts, time.monotonic() - began))
    assert trunk.well, str(trunk)
    assert branches
    assert [str(branch) for branch in branches if not branch.report.well] == []


def test_no_loss_makes_a_hot_loop():
    trunk, lost = run(travel(moves.Moving())), run(travel(moves.Moving(), {10: Fate.LOST}))
    assert lost.asked < 2 * trunk.asked + 400
    assert lost.writes < trunk.writes + 30


def test_a_move_and_its_machine_wake_one_another():
    """With sweeps once in ten minutes a move, which they hand to one another four times, takes as long as the copy does."""
    report = run(travel(moves.Staying(), scene=lambda: Scene(sweep_interval=600)))
    assert report.well, str(report)
    assert report.took < 60
