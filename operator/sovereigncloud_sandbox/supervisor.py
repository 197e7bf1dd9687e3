"""The background process of `sovereign sandbox up`: runs control plane and services until SIGTERM.

`python -m sovereigncloud_sandbox.supervisor DIRECTORY` detaches, prints its pid and goes on in the background.
"""

import contextlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from sovereigncloud_sandbox.child import Child
from sovereigncloud_sandbox.controlplane import ControlPlane, ControlPlaneError
from sovereigncloud_sandbox.process_id import ProcessId
from sovereigncloud_sandbox.services import ANNOUNCE, Service
from sovereigncloud_sandbox.state import Files, Phase, Request, State
from sovereigncloud_sandbox.toolchain import BuildError

_LOOK = 1.0  # seconds between looks at the programs
_ANNOUNCED_WITHIN = 100.0  # seconds; the playground waits for the operator's pod, and the machine may be busy


class ServiceError(Exception):
    """A service ended, or did not announce itself in time."""


def main(directory: Path) -> None:
    files = Files(directory)
    _detach(files.log)
    end = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: end.set())
    try:
        supervise(files, files.read_request(), end)
    finally:
        sys.stderr.flush()


def supervise(files: Files, request: Request, end: threading.Event) -> None:
    """Run everything until `end` is set. What fails is written to the state, for `up` and `status` to show."""
    me = ProcessId.of(os.getpid())
    assert me is not None
    state = State(Phase.STARTING, me, request.existing or files.control_plane / "kubeconfig")
    files.write_state(state)
    try:
        with contextlib.ExitStack() as stack:
            plane = None if request.existing else stack.enter_context(ControlPlane(files.control_plane))
            if plane:
                plane.start_kubelet()
            vital = dict(plane.children) if plane else {}
            env = os.environ | {"KUBECONFIG": str(state.kubeconfig)}
            services = {one.name: stack.enter_context(_start(one, files, env)) for one in request.services}
            state = replace(
                state,
                phase=Phase.RUNNING,
                endpoint=plane.endpoint if plane else "",
                processes={name: _identity(child) for name, child in (vital | services).items()},
                announced={one.name: _announcement(one, services[one.name], files) for one in request.services},
            )
            files.write_state(state)
            _watch(vital, services, end)
    except (BuildError, ControlPlaneError, ServiceError, OSError) as failure:
        sys.stderr.write(f"{failure}\n")
        files.write_state(replace(state, phase=Phase.FAILED, message=str(failure)))
    else:
        files.state.unlink(missing_ok=True)


def _detach(log: Path) -> None:
    """Leave the caller's process tree: the caller learns the pid from stdout and need not reap us."""
    pid = os.fork()
    if pid:
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()
        os._exit(0)
    fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(fd, 1)
    os.dup2(fd, 2)
    os.close(fd)


def _start(service: Service, files: Files, env: Mapping[str, str]) -> Child:
    files.services.mkdir(exist_ok=True, mode=0o700)
    announcement = _announcement_file(service, files)
    announcement.unlink(missing_ok=True)
    return Child(
        service.name,
        service.argv,
        log=files.services / f"{service.name}.log",
        env={**env, ANNOUNCE: str(announcement), **service.env},
        cwd=files.services,
    )


def _announcement_file(service: Service, files: Files) -> Path:
    return files.services / f"{service.name}.json"


def _announcement(service: Service, child: Child, files: Files) -> dict[str, str]:
    if not service.announces:
        return {}
    deadline = time.monotonic() + _ANNOUNCED_WITHIN
    while time.monotonic() < deadline:
        with contextlib.suppress(FileNotFoundError):
            content = json.loads(_announcement_file(service, files).read_bytes())
            return {str(name): str(value) for name, value in content.items()}
        code = child.wait(0.05)
        if code is not None:
            raise ServiceError(f"{service.name} ended with code {code}:\n{child.tail()}")
    raise ServiceError(f"{service.name} not ready in {_ANNOUNCED_WITHIN:.0f} s:\n{child.tail()}")


def _identity(child: Child) -> ProcessId:
    identity = ProcessId.of(child.pid)
    if identity is None:
        raise ServiceError(f"{child.name} ended with code {child.poll()}:\n{child.tail()}")
    return identity


def _watch(vital: Mapping[str, Child], services: Mapping[str, Child], end: threading.Event) -> None:
    """Without a part of the control plane nothing works, so all ends; a service that ends is for `status` to show."""
    reported: set[str] = set()
    while not end.wait(_LOOK):
        for child in vital.values():
            if child.poll() is not None:
                raise ControlPlaneError(f"{child.name} ended with code {child.poll()}:\n{child.tail()}")
        for name, child in services.items():
            if child.poll() is not None and name not in reported:
                reported.add(name)
                sys.stderr.write(f"{name} ended with code {child.poll()}:\n{child.tail()}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
