"""Process supervisor: runs one program and ends it when the process that asked for it ends.

Started as a script by `child.Child`, once per program: `guard.py PARENT_PID GRACE_SECONDS PROGRAM ARGUMENT...`.
The first line on stdout is the program's pid; the program's own output goes to the guard's stderr.

Why a process of its own, and not PR_SET_PDEATHSIG in the child of the caller: that signal fires when the *thread* that
forked ends (prctl(2)), so a program started from a worker thread would die with the thread. The guard has one thread
for its whole life, and watches its parent through a pidfd, which becomes readable when the whole process is gone. An
inherited pipe would do the same only until somebody forks and keeps its other end open.

Standard library only, no import of the package: it starts in 30 ms and works under `python -I -S`.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_CANNOT_RUN = 127  # what a shell answers when a program cannot be executed
_KILL_WAIT_MS = 5_000


def run(parent: int, grace: float, command: list[str]) -> int:
    """Run the command until it ends, the parent is gone or a signal asks for the end; return its exit status."""
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    try:
        parent_fd = os.pidfd_open(parent)
    except ProcessLookupError:
        return _CANNOT_RUN
    if os.getppid() != parent:  # it ended before the pidfd was open, and its pid may be somebody else's by now
        return _CANNOT_RUN
    try:
        child = _spawn(command)
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
        return _CANNOT_RUN
    sys.stdout.write(f"{child.pid}\n")
    sys.stdout.flush()
    child_fd = os.pidfd_open(child.pid)
    ended = _wait(child_fd, None, parent_fd, wake_read)
    if not ended:
        _signal_group(child.pid, signal.SIGTERM)
        ended = _wait(child_fd, grace * 1000)
    # The child is not reaped yet, so its pid still names its group and nobody else's: what it left behind ends now.
    _signal_group(child.pid, signal.SIGKILL)
    if not ended:
        _wait(child_fd, _KILL_WAIT_MS)
    code = child.wait()
    return code if code >= 0 else 128 - code


def _spawn(command: list[str]) -> subprocess.Popen[bytes]:
    libc = ctypes.CDLL(None, use_errno=True)
    guard = os.getpid()

    def die_with_the_guard() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != guard:
            os._exit(_CANNOT_RUN)

    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr.fileno(),
        stderr=sys.stderr.fileno(),
        start_new_session=True,
        preexec_fn=die_with_the_guard,  # noqa: PLW1509 - safe: the guard has a single thread
    )


def _wait(child_fd: int, timeout_ms: float | None, *others: int) -> bool:
    """Wait for the first of the descriptors; tell whether the child has ended."""
    poll = select.poll()
    for fd in (child_fd, *others):
        poll.register(fd, select.POLLIN)
    return child_fd in {fd for fd, _ in poll.poll(timeout_ms)}


def _signal_group(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        pass
    except PermissionError:
        os.kill(group, number)  # a member of the group changed its user: the program itself must still end


if __name__ == "__main__":
    sys.exit(run(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]))
