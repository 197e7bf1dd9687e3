"""A crash at every write of a course, before it and after it; an answer lost; a write that is done half a minute later.

Real engine, kinds and adapters, simulated OVHcloud and OpenNebula, an API server in memory, simulated time.
"""

import time

import pytest
from tests.faults import instances, servers
from tests.faults.courses import travel
from tests.faults.forks import Forks
from tests.faults.scene import Scene
from tests.faults.simulated_time import run
from tests.faults.wire import Fate

COURSES = (
    instances.Creation,
    instances.Deletion,
    instances.Regret,
    instances.Resize,
    instances.Plugging,
    instances.Recreation,
    instances.TakeOver,
    servers.Reinstallation,
    servers.Hosted,
    servers.HostedDeletion,
    servers.HostLost,
    servers.HostedTakeOver,
)


@pytest.mark.parametrize("course", COURSES, ids=[course.name for course in COURSES])
def test_whatever_is_lost_everything_is_made_once_and_nothing_is_left(course, every, table):
    began = time.monotonic()
    trunk, branches = Forks(every).explore(course)
    table.append(
        (
            course.name,
            trunk.writes,
            len(branches),
            sum(bool(branch.report.duplicates) for branch in branches),
            sum(bool(branch.report.orphans) for branch in branches),
            sum(bool(branch.report.wrongs) for branch in branches),
            time.monotonic() - began,
        )
    )
    assert trunk.well, str(trunk)
    assert branches
    assert [str(branch) for branch in branches if not branch.report.well] == []


@pytest.mark.parametrize("course", COURSES, ids=[course.name for course in COURSES])
def test_no_loss_makes_a_hot_loop(course):
    """The most that a single loss may cost: what it takes to look again for a minute, each two seconds."""
    trunk, lost = run(travel(course())), run(travel(course(), {3: Fate.LOST}))
    assert lost.asked < 2 * trunk.asked + 400
    assert lost.writes < trunk.writes + 30


def test_a_course_is_the_same_each_time():
    """Else the n-th write of one run would not be that of another."""
    assert run(travel(instances.Creation())).log == run(travel(instances.Creation())).log


def test_without_patience_a_late_write_makes_a_second_machine():
    """What the tests above would tell of an operator that does not wait for what may still take effect."""

    def fate(_number, label, fates):
        return Fate.LOST_LATE if Fate.LOST_LATE in fates and "one.vm.allocate" in label else None

    hasty = run(travel(instances.Creation(), fate, scene=lambda: Scene(late_write_grace=0)))
    assert hasty.duplicates
    patient = run(travel(instances.Creation(), fate))
    assert patient.well, str(patient)
