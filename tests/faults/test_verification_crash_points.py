"""As test_crash_points.py, for the verification of a cloud: one run per word, and no machine is left."""

import time

import pytest
from tests.faults.courses import travel
from tests.faults.forks import Forks
from tests.faults.simulated_time import run
from tests.faults.verifications import Verification, VerifiedDeletion

COURSES = (Verification, VerifiedDeletion)


@pytest.mark.parametrize("course", COURSES, ids=[course.name for course in COURSES])
def test_whatever_is_lost_it_is_run_once_and_no_machine_is_left(course, table, tally):
    began = time.monotonic()
    trunk, branches = Forks(1).explore(course)
    tally.add(course.name, branches)
    bad = [
        sum(bool(getattr(branch.report, what)) for branch in branches) for what in ("duplicates", "orphans", "wrongs")
    ]
    table.append((course.name, trunk.writes, len(branches), *bad, time.monotonic() - began))
    assert trunk.well, str(trunk)
    assert branches
    assert [str(branch) for branch in branches if not branch.report.well] == []


def test_ready_stays_as_it_was_meanwhile():
    """Neither Ready nor Reconciling speak of it, at no moment."""
    said = set()

    class Watched(Verification):
        def over(self, scene):
            conditions = scene.api.get("SovereignCloud", "paris")["status"]["conditions"]
            said.add(tuple(sorted((c["type"], c["status"]) for c in conditions if c["type"] != "Verified")))
            return super().over(scene)

    report = run(travel(Watched()))
    assert report.well, str(report)
    assert said == {(("Drifted", "False"), ("Ready", "True"))}
