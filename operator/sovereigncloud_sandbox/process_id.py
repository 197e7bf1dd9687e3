"""Identify a process by pid and start time, since the kernel reuses pids."""

import os
import select
import signal
from dataclasses import dataclass
from pathlib import Path

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_KILL_WAIT = 5.0


@dataclass(frozen=True, slots=True)
class ProcessId:
    """A process by pid, start time (clock ticks after boot, proc(5)) and boot id: also unique in a file.

    A tick is 10 ms: the kernel does not come round to the same pid in that time.
    """

    pid: int
    started: int
    boot: str

    @classmethod
    def of(cls, pid: int) -> "ProcessId | None":
        """The process that has this pid now; None if there is none or it has ended and waits for its parent."""
        try:
            # The name in parentheses may hold spaces and parentheses itself, so count from its end.
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        state, started = fields[0], int(fields[19])
        return None if state in "ZX" else cls(pid, started, _BOOT.read_text().strip())

    def is_alive(self) -> bool:
        return ProcessId.of(self.pid) == self

    def wait(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds for the end of a process that need not be our child; tell whether it came."""
        fd = self._open()
        if fd is None:
            return True
        try:
            return _ended(fd, timeout)
        finally:
            os.close(fd)

    def end(self, grace: float) -> None:
        """SIGTERM, after `grace` seconds SIGKILL, and never to another process that got the pid meanwhile."""
        fd = self._open()
        if fd is None:
            return
        try:
            for number, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, _KILL_WAIT)):
                signal.pidfd_send_signal(fd, number)
                if _ended(fd, patience):
                    return
        except ProcessLookupError:
            return
        finally:
            os.close(fd)

    def _open(self) -> int | None:
        try:
            fd = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return None
        if self.is_alive():  # asked after the open: the descriptor is of this very process
            return fd
        os.close(fd)
        return None


def _ended(fd: int, timeout: float) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(timeout * 1000))
