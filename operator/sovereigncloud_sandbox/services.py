"""Definition of the background services that run beside the control plane."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

ANNOUNCE = "SOVEREIGN_SANDBOX_ANNOUNCE"


@dataclass(frozen=True, slots=True)
class Service:
    """A long-running program, started after the control plane and ended before it.

    `argv` begins with an absolute path. `env` is added to the environment of the sandbox, which has KUBECONFIG set.
    A service that `announces` writes a JSON object of texts, such as its endpoint, to the file named in
    SOVEREIGN_SANDBOX_ANNOUNCE as soon as it can be used (whole: write beside it and rename): `up` waits for it, and
    `status` prints it.
    """

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    announces: bool = False


SERVICES: Sequence[Service] = (
    Service("playground", [sys.executable, "-m", "sovereigncloud_sandbox.playground"], announces=True),
)
"""Those that `sovereign sandbox up` starts."""
