"""Child processes of the sandbox: each under a process supervisor (`guard`), with a log file of its own."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

GUARD = Path(__file__).with_name("guard.py")
_KILL_AFTER = 8.0  # seconds that a guard may need beyond the grace of its program


class Child:
    """One running program. It ends with `stop()`, and by itself when this process ends in whatever way.

    Raises `OSError` from the constructor when the program cannot be executed.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        grace: float = 3.0,
    ) -> None:
        self.name = name
        self.log = log
        self._grace = grace
        with log.open("ab") as output:
            self._guard = subprocess.Popen(
                [sys.executable, "-I", "-S", str(GUARD), str(os.getpid()), str(grace), *map(str, command)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=output,
                env=None if env is None else dict(env),
                cwd=cwd,
                start_new_session=True,  # Ctrl-C in a terminal reaches this process only, which ends them in order
            )
        assert self._guard.stdout is not None
        with self._guard.stdout as announcement:
            pid = announcement.readline().strip()
        if not pid:
            self._guard.wait()
            raise OSError(f"{name} cannot be started: {self.tail(3)}")
        self.pid = int(pid)

    @property
    def guard_pid(self) -> int:
        """The pid of the guard, the only process that this one has to end."""
        return self._guard.pid

    def poll(self) -> int | None:
        """The exit status, None while it runs."""
        return self._guard.poll()

    def wait(self, timeout: float) -> int | None:
        """Wait up to `timeout` seconds; the exit status, None if it still runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._guard.wait(timeout)
        return None

    def ask_to_stop(self) -> None:
        """Send the signal without waiting, so that several can end side by side."""
        if self._guard.poll() is None:
            self._guard.terminate()

    def stop(self) -> int:
        """End the program: SIGTERM, after the grace SIGKILL. Safe to call again; returns the exit status."""
        self.ask_to_stop()
        code = self.wait(self._grace + _KILL_AFTER)
        if code is None:
            self._guard.kill()  # its program dies with it, by PR_SET_PDEATHSIG
            code = self._guard.wait()
        return code

    def tail(self, lines: int = 15) -> str:
        """The last lines of the log, for a message to a person."""
        with contextlib.suppress(FileNotFoundError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        return ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
