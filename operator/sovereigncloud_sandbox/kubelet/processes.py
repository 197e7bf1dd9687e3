"""Processes of containers: each under a process supervisor, so that none outlives the kubelet."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from sovereigncloud_sandbox.child import GUARD
from sovereigncloud_sandbox.kubelet.log_file import record

_LINE = 1 << 16  # bytes of a line that are kept as one
_REST_WITHIN = 1.0  # seconds
_ALONE_FOR = 2.0  # seconds that a program may take to end once the kubelet is gone


class Process:
    """One running program. `pid` names its process group, too."""

    def __init__(self, guard: asyncio.subprocess.Process, pid: int, log: Path) -> None:
        assert guard.stderr is not None
        self._guard = guard
        self.pid = pid
        self._recording = asyncio.create_task(record(guard.stderr, log))
        self.ended = asyncio.create_task(self._end())

    @classmethod
    async def start(cls, command: Sequence[str], *, env: Mapping[str, str], log: Path, cwd: Path) -> Self:
        """Start it; what it writes goes to the end of the log. Raises OSError when it cannot be executed."""
        guarded = [sys.executable, "-I", "-S", str(GUARD), str(os.getpid()), str(_ALONE_FOR), *command]
        guard = await asyncio.create_subprocess_exec(
            *guarded,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=dict(env),
            cwd=cwd,
            start_new_session=True,
            limit=_LINE,
        )
        assert guard.stdout is not None
        pid = (await guard.stdout.readline()).strip()
        if not pid:
            _, said = await guard.communicate()
            raise OSError(said.decode(errors="replace").strip())
        return cls(guard, int(pid), log)

    def signal(self, number: signal.Signals) -> None:
        """To the program and what it started."""
        if not self.ended.done():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    async def stop(self, grace: float) -> int:
        """SIGTERM, after the grace SIGKILL; the exit status, 128 and the signal's number where one ended it."""
        self.signal(signal.SIGTERM)
        await asyncio.wait({self.ended}, timeout=grace)
        if not self.ended.done():
            self.signal(signal.SIGKILL)
        return await asyncio.shield(self.ended)

    async def _end(self) -> int:
        code = await self._guard.wait()
        # What it started may hold its output open for longer than the guard lets it live.
        await asyncio.wait({self._recording}, timeout=_REST_WITHIN)
        self._recording.cancel()
        return code

    def first(self) -> int:
        """The pid, as this machine counts, of the container's first process; the program itself where it did not fork."""
        with contextlib.suppress(OSError, ValueError):
            children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
            if children:
                return int(children[0])
        return self.pid


async def output_of(command: Sequence[str], *, env: Mapping[str, str], seconds: float) -> tuple[int, str]:
    """Exit status and output of a short program, which is killed when its time is up. Raises OSError, TimeoutError."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=dict(env),
        start_new_session=True,
    )
    try:
        said, _ = await asyncio.wait_for(process.communicate(), seconds)
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    return process.returncode or 0, said.decode(errors="replace")
