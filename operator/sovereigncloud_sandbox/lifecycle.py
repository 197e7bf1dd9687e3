"""`sovereign sandbox up|down|status`: one sandbox per user, kept by a process in the background."""

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import sovereigncloud_sandbox
from sovereigncloud_sandbox.cluster import Cluster, CommandError
from sovereigncloud_sandbox.process_id import ProcessId
from sovereigncloud_sandbox.services import SERVICES, Service
from sovereigncloud_sandbox.state import Files, Phase, Request, State
from sovereigncloud_sandbox.toolchain import Toolchain

_UP_WITHIN = 150.0  # seconds, everything built
_DOWN_GRACE = 20.0
_POLL = 0.1


class SandboxError(Exception):
    """The sandbox could not be started; the message says what failed."""


@dataclass(frozen=True, slots=True)
class Status:
    """Current status: the state file, and which of its processes are alive."""

    state: State
    is_up: bool
    living: Mapping[str, bool]


@dataclass(frozen=True, slots=True)
class Sandbox:
    """The sandbox of one directory. `environ` is what its processes see and where programs are looked for."""

    directory: Path
    environ: Mapping[str, str] = field(repr=False)

    @classmethod
    def of_user(cls, environ: Mapping[str, str] | None = None) -> "Sandbox":
        """SOVEREIGN_SANDBOX_DIR, else `${XDG_STATE_HOME:-~/.local/state}/sovereign-cloud/sandbox`."""
        environ = dict(os.environ) if environ is None else environ
        if chosen := environ.get("SOVEREIGN_SANDBOX_DIR"):
            return cls(Path(chosen).absolute(), environ)
        base = Path(environ.get("XDG_STATE_HOME", ""))
        if not base.is_absolute():
            base = Path(environ.get("HOME") or Path.home()) / ".local" / "state"
        return cls(base / "sovereign-cloud" / "sandbox", environ)

    def up(self, services: Sequence[Service] = SERVICES) -> Status:
        """Start with an empty cluster and return when it can be used; one that is up already is left as it is.

        SOVEREIGN_KUBECONFIG names a cluster to use instead of an own one.
        Raises `BuildError` and `SandboxError`.
        """
        with self._alone():
            status = self.status()
            if status and status.is_up:
                return status
            self._end(status)
            existing = self._existing_cluster()
            if existing is None:
                Toolchain(self.environ).resolve_all()  # here and not in the background, where nobody sees the progress
            self._files.write_request(Request(tuple(services), existing))
            supervisor = self._start_supervisor()
            try:
                return self._await_start(supervisor)
            except BaseException:
                supervisor.end(_DOWN_GRACE)  # also after Ctrl-C: a person who gave up wants nothing left behind
                raise

    def down(self) -> bool:
        """End everything and forget the cluster; tell whether something was up."""
        if not self.directory.is_dir():
            return False
        with self._alone():
            status = self.status()
            self._end(status)
            return status is not None and status.is_up

    def status(self) -> Status | None:
        """What runs; None if nothing was started."""
        state = self._files.read_state()
        if state is None:
            return None
        living = {name: process.is_alive() for name, process in state.processes.items()}
        return Status(state, state.phase is not Phase.FAILED and state.supervisor.is_alive(), living)

    @property
    def _files(self) -> Files:
        return Files(self.directory)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._files.lock.open("a") as lock:
            fcntl.flock(lock.fileno(), fcntl.LOCK_EX)
            yield

    def _end(self, status: Status | None) -> None:
        if status:
            status.state.supervisor.end(_DOWN_GRACE)
            for process in status.state.processes.values():
                process.wait(_DOWN_GRACE)  # they end by themselves: their guards saw the supervisor go
        for path in (self._files.control_plane, self._files.services):
            shutil.rmtree(path, ignore_errors=True)
        for path in (self._files.state, self._files.request, self._files.log):
            path.unlink(missing_ok=True)

    def _existing_cluster(self) -> Path | None:
        named = self.environ.get("SOVEREIGN_KUBECONFIG")
        if not named:
            return None
        path = Path(named).absolute()
        if not path.is_file():
            raise SandboxError(f"SOVEREIGN_KUBECONFIG names {path}, which is not a file")
        try:
            Cluster(path, self.directory, Toolchain(self.environ)).kubectl("get", "--raw=/readyz", timeout=30)
        except (CommandError, subprocess.TimeoutExpired) as failure:
            raise SandboxError(f"the cluster of SOVEREIGN_KUBECONFIG does not answer: {failure}") from failure
        return path

    def _start_supervisor(self) -> ProcessId:
        source = str(Path(sovereigncloud_sandbox.__file__).parent.parent)
        path = os.pathsep.join(filter(None, (source, self.environ.get("PYTHONPATH"))))
        with self._files.log.open("ab") as log:
            started = subprocess.run(
                [sys.executable, "-m", "sovereigncloud_sandbox.supervisor", str(self.directory)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**self.environ, "PYTHONPATH": path},
                cwd=self.directory,
                start_new_session=True,
                check=False,
            )
        supervisor = ProcessId.of(int(started.stdout or 0))
        if supervisor is None:
            raise self._failure("the background process ended at once")
        return supervisor

    def _await_start(self, supervisor: ProcessId) -> Status:
        deadline = time.monotonic() + _UP_WITHIN
        while time.monotonic() < deadline:
            lives = supervisor.is_alive()  # asked before the state is read: what it wrote last is there then
            status = self.status()
            if status and status.state.phase is Phase.FAILED:
                raise SandboxError(status.state.message)
            if status and status.state.phase is Phase.RUNNING:
                return status
            if not lives:
                raise self._failure("the background process ended")
            time.sleep(_POLL)
        raise self._failure(f"not ready in {_UP_WITHIN:.0f} s")

    def _failure(self, what: str) -> SandboxError:
        return SandboxError(f"{what}; last lines of {self._files.log}:\n{self._files.log.read_text()[-2000:]}")
