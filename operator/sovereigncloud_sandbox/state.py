"""The state file of the sandbox, by which another process shows it and stops it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from pydantic import TypeAdapter

from sovereigncloud_sandbox.cluster import write_private
from sovereigncloud_sandbox.process_id import ProcessId
from sovereigncloud_sandbox.services import Service


class Phase(StrEnum):
    STARTING = "Starting"
    RUNNING = "Running"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True)
class State:
    """The sandbox as its supervisor last saw it. `endpoint` is empty for a cluster that somebody else runs."""

    phase: Phase
    supervisor: ProcessId
    kubeconfig: Path
    endpoint: str = ""
    processes: Mapping[str, ProcessId] = field(default_factory=dict)
    announced: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    message: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """The request of `up` to the supervisor: `existing` is the kubeconfig of a cluster to use instead of an own one."""

    services: Sequence[Service]
    existing: Path | None = None


@dataclass(frozen=True, slots=True)
class Files:
    """The files of one sandbox."""

    directory: Path

    @property
    def control_plane(self) -> Path:
        return self.directory / "control-plane"

    @property
    def services(self) -> Path:
        return self.directory / "services"

    @property
    def log(self) -> Path:
        return self.directory / "supervisor.log"

    @property
    def lock(self) -> Path:
        return self.directory / "lock"

    @property
    def state(self) -> Path:
        return self.directory / "state.json"

    @property
    def request(self) -> Path:
        return self.directory / "request.json"

    def write_state(self, state: State) -> None:
        write_private(self.state, _STATE.dump_json(state, indent=2))

    def read_state(self) -> State | None:
        try:
            return _STATE.validate_json(self.state.read_bytes())
        except FileNotFoundError:
            return None

    def write_request(self, request: Request) -> None:
        write_private(self.request, _REQUEST.dump_json(request))

    def read_request(self) -> Request:
        return _REQUEST.validate_json(self.request.read_bytes())


_STATE = TypeAdapter(State)
_REQUEST = TypeAdapter(Request)
