"""A crash at every write of a scale-in, and of the end of a dead server's host: machines are moved once, none is lost unasked."""

import time

import pytest
from tests.faults import scaling
from tests.faults.forks import Forks

COURSES = (scaling.ScaleIn, scaling.DeadServer)


@pytest.mark.parametrize("course", COURSES, ids=[course.name for course in COURSES])
def test_whatever_is_lost_a_server_goes_once_and_takes_no_machine_with_it(course, every, table, tally):
    began = time.monotonic()
    trunk, branches = Forks(every).explore(course)
    tally.add(course.name, branches)
    reports = [branch.report for branch in branches]
    counts = (sum(bool(getattr(r, kind)) for r in reports) for kind in ("duplicates", "orphans", "wrongs"))
    table.append((course.name, trunk.writes, len(branches), *counts, time.monotonic() - began))
    assert trunk.well, str(trunk)
    assert branches
    assert [str(branch) for branch in branches if not branch.report.well] == []
