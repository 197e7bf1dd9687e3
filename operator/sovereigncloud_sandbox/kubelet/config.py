"""Configuration of the kubelet process: a JSON file that names certificates and images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from sovereigncloud_sandbox.kubelet.images import INSTALLER, Image

HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Config:
    """`certificate` and `key` are the node's, towards the API server and towards whoever reads logs.

    `pods` is the network of the pods' addresses, such as "127.9.7"; `refresh` the seconds between two looks at the
    Secrets, ConfigMaps and tokens of volumes, where Kubernetes takes about 60. Without `namespaces` it does as on a
    machine that grants none. Pods of the `simulated` images are played by another process and left to it.
    """

    node: str
    api: str
    authority: Path
    certificate: Path
    key: Path
    directory: Path
    images: Mapping[str, Image]
    pods: str
    refresh: float = 30.0
    namespaces: bool = True
    simulated: Sequence[str] = (INSTALLER,)

    def write(self, path: Path) -> None:
        """Write it where the process reads it."""
        path.write_bytes(_CONFIG.dump_json(self, indent=2))

    @staticmethod
    def read(path: Path) -> "Config":
        """Raises pydantic.ValidationError, OSError."""
        return _CONFIG.validate_json(path.read_bytes())


_CONFIG = TypeAdapter(Config)
