"""A crash at every write of a course, before it and after it; an answer lost; a write that is done half a minute later.

Real engine, kinds and adapters, simulated OVHcloud and OpenNebula, an API server in memory, simulated time.
"""

import json
import time

import pytest
from tests.faults import (
    adoptions,
    instances,
    losses,
    moves,
    networking,
    orders,
    parts,
    placements,
    purchases,
    servers,
    storage,
    zones,
)
from tests.faults.courses import Report, travel
from tests.faults.forks import Branch, Forks
from tests.faults.scene import Scene
from tests.faults.simulated_time import run
from tests.faults.tally import Tally, kind_of_write
from tests.faults.wire import Fate

COURSES = (
    instances.Creation,
    instances.Deletion,
    instances.Regret,
    instances.Resize,
    storage.Storage,
    storage.Restoring,
    storage.BackAgain,
    instances.Surroundings,
    placements.Choosing,
    moves.Moving,
    moves.Rehearsing,
    moves.CalledOff,
    losses.FromACopy,
    instances.Change,
    instances.Plugging,
    networking.Networking,
    networking.Readdressing,
    networking.Unnetworking,
    instances.Recreation,
    instances.TakeOver,
    servers.Reinstallation,
    servers.HostedWithMachine,
    servers.HostedDeletion,
    purchases.HostedOnOrdered,
    servers.HostLost,
    servers.HostedTakeOver,
    orders.Ordering,
    orders.OrderAfterLoss,
    orders.OrderGivenBack,
    parts.Parts,
    parts.PartsGone,
    parts.NextVersion,
    adoptions.Adoption,
    adoptions.LettingGo,
    zones.Federating,
    zones.Parting,
)


@pytest.mark.parametrize("course", COURSES, ids=[course.name for course in COURSES])
def test_whatever_is_lost_everything_is_made_once_and_nothing_is_left(course, every, table, tally):
    began = time.monotonic()
    # A whole build writes a hundred times, the others a dozen.
    step = (
        every // 2 or 1
        if "federation" in course.name or "copy" in course.name
        else every
        if course.name.startswith("hosted")
        else max(1, every // 4)
    )
    trunk, branches = Forks(step).explore(course)
    tally.add(course.name, branches)
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


KINDS = [
    (
        "ovh POST /dedicated/server/ns3012345.ip-57-131-167.eu/reinstall {}",
        "OVHcloud POST /dedicated/server/{serviceName}/reinstall",
    ),
    (
        'ovh POST /iam/resource/urn%3Av1%3Aeu/tag {"key": "sovereigncloud.io/uid", "value": "u',
        "OVHcloud POST /iam/resource/{resourceURN}/tag sovereigncloud.io/uid",
    ),
    ("ovh-rbx one.host.allocate 127.0.0.11 kvm kvm 0", "OpenNebula one.host.allocate"),
    ("PATCH /namespaces/platform/baremetalservers/one-1/status", "Kubernetes PATCH baremetalservers/status"),
    ("POST /apis/batch/v1/namespaces/platform/jobs", "Kubernetes POST jobs"),
    ("PATCH /api/v1/namespaces/platform/secrets/one", "Kubernetes PATCH secrets"),
]


@pytest.mark.parametrize(("label", "kind"), KINDS, ids=[kind for _, kind in KINDS])
def test_writes_are_counted_by_what_they_do(label, kind):
    assert kind_of_write(label) == kind


def test_what_goes_wrong_is_counted_where_it_went_wrong(tmp_path):
    label = KINDS[0][0]
    tally = Tally()
    tally.add(
        "hosted", [Branch(1, label, Fate.LOST, Report(duplicates=["twice"])), Branch(2, label, Fate.LOST, Report())]
    )
    for run_of in ("another", "this", "this"):
        tally.write(1, run_of, tmp_path / "faults.json")
    told = json.loads((tmp_path / "faults.json").read_text())
    expected = {"runs": 4, "duplicates": 2, "orphans": 0, "not_converged": 0}  # two processes of one run
    assert {key: told[key] for key in expected} == expected
    assert told["by_kind_of_write"] == {KINDS[0][1]: expected}


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
