import logging
import os

import pytest
from tests.faults.tally import Tally

EVERY = max(1, int(os.environ.get("SOVEREIGN_FAULTS_EVERY", "1")))
"""Of the writes of a course every so many-th is struck: `make faults` strikes all, `make test` every twentieth of a whole build."""
TABLE = pytest.StashKey[list]()


@pytest.fixture(autouse=True)
def quiet(caplog):
    """Failures are what is tested: thousands of lines about them help nobody."""
    caplog.set_level(logging.CRITICAL, logger="sovereigncloud")


@pytest.fixture
def every():
    return EVERY


@pytest.fixture(scope="session")
def tally():
    """Of all that this process strikes; written at its end. Under `make test` there are several of a run."""
    tally = Tally()
    yield tally
    tally.write(EVERY, os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid())))


@pytest.fixture
def table(pytestconfig):
    """Rows of the table that is shown at the end: (course, writes, runs, duplicates, orphans, other wrongs, seconds)."""
    return pytestconfig.stash.setdefault(TABLE, [])


def pytest_terminal_summary(terminalreporter, config):
    rows = config.stash.get(TABLE, [])
    if not rows:
        return
    head = ("course", "writes", "runs", "duplicates", "orphans", "other wrongs", "seconds")
    total = ("all", *(sum(row[i] for row in rows) for i in range(1, 7)))
    terminalreporter.section(f"faults (every write{'' if EVERY == 1 else f' in {EVERY}'})")
    for row in (head, *rows, total):
        shown = [f"{cell:.1f}" if isinstance(cell, float) else str(cell) for cell in row]
        terminalreporter.write_line("".join(f"{cell:<24}" if i == 0 else f"{cell:>14}" for i, cell in enumerate(shown)))
