"""One course, and from each of its writes a branch in which that write meets its fate.

A branch is a copy of the whole process (fork), so that what came before it happens once, and not anew for each of hundreds
of branches. Simulated time makes this possible: no thread and no socket is open. `courses.travel(course, {n: fate})` goes
one branch alone, to see what happens in it.
"""

import asyncio
import contextlib
import ctypes
import gc
import os
import pickle
import signal
import warnings
from dataclasses import dataclass

from tests.faults.courses import Report, travel
from tests.faults.simulated_time import run
from tests.faults.wire import Fate

_AT_ONCE = max(1, min(4, os.cpu_count() or 1))
_LONGEST = 120
"""Seconds of real time after which a branch is ended: it goes round in circles."""
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


@dataclass(frozen=True)
class Branch:
    """What came of one branch."""

    number: int
    label: str
    fate: Fate
    report: Report

    def __str__(self):
        return f"write {self.number} ({self.label[:90]}), {self.fate}: {self.report}"


class Forks:
    """Branches off at every `every`-th write; `only`: of those that have one of these words."""

    def __init__(self, every=1, only=()):
        self._every, self._only = every, only
        self._running = []
        self._branches = []
        self._told = None

    def explore(self, course):
        """The course itself without a fault, and all its branches."""
        run(travel(course()))  # what is made on first use - patterns, validators - is not made anew in each branch
        gc.collect()
        gc.freeze()  # nor are the pages of what is there already copied to look for garbage
        try:
            trunk = run(travel(course(), self._choose, ended=self._ended))
            while self._running:
                self._collect()
        finally:
            gc.unfreeze()
            for pid, *_ in self._running:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
        return trunk, self._branches

    def _choose(self, number, label, fates):
        """In the trunk nothing ever happens to a write."""
        if self._told is not None or (number - 1) % self._every:  # counted from 1: the first is always struck
            return None
        if self._only and not any(words in label for words in self._only):
            return None
        for fate in fates:
            if len(self._running) >= _AT_ONCE:
                self._collect()
            told, tells = os.pipe()
            with warnings.catch_warnings():
                # Threads of other tests may idle in this process; a branch does not touch them.
                warnings.simplefilter("ignore", DeprecationWarning)
                loop, pid = asyncio.get_running_loop(), os.fork()
            if pid == 0:
                self._become_branch(loop, tells)
                return fate
            os.close(tells)
            self._running.append((pid, told, number, label, fate))
        return None

    def _become_branch(self, loop, tells):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(_LONGEST)
        asyncio._set_running_loop(loop)  # which loop runs is forgotten by a fork
        self._told, self._running = tells, []

    def _ended(self, report):
        """The end of the trunk, or of a branch: that one goes no further."""
        if self._told is None:
            return
        with contextlib.suppress(BaseException), os.fdopen(self._told, "wb") as pipe:
            pickle.dump(report, pipe)
        os._exit(0)

    def _collect(self):
        pid, told, number, label, fate = self._running.pop(0)
        with os.fdopen(told, "rb") as pipe:
            said = pipe.read()
        os.waitpid(pid, 0)
        report = pickle.loads(said) if said else Report(wrongs=[f"no end within {_LONGEST} s"])
        self._branches.append(Branch(number, label, fate, report))
