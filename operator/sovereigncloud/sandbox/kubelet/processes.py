"""Processes of containers: each under a guard, so that none outlives the kubelet."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from sovereigncloud.sandbox.child import GUARD

_ALONE_FOR = 2.0  # seconds that a program may take to end once the kubelet is gone


class Process:
    """One running program. `pid` names its process group, too."""

    def __init__(self, guard: asyncio.subprocess.Process, pid: int) -> None:
        self._guard = guard
        self.pid = pid
        self.ended = asyncio.create_task(guard.wait())

    @classmethod
    async def start(cls, command: Sequence[str], *, env: Mapping[str, str], log: Path, cwd: Path) -> Self:
        """Start it; what it writes goes to the end of the log. Raises OSError when it cannot be executed."""
        guarded = [sys.executable, "-I", "-S", str(GUARD), str(os.getpid()), str(_ALONE_FOR), *command]
        with log.open("ab") as output:
            guard = await asyncio.create_subprocess_exec(
                *guarded,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=output,
                env=dict(env),
                cwd=cwd,
                start_new_session=True,
            )
        assert guard.stdout is not None
        pid = (await guard.stdout.readline()).strip()
        if not pid:
            await guard.wait()
            raise OSError(f"{command[0]} cannot be started")
        return cls(guard, int(pid))

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
