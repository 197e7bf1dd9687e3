"""The node: what its pods share, which is the API client, the machine, addresses and events."""

import ipaddress
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from sovereigncloud_sandbox.api_server import ApiServer
from sovereigncloud_sandbox.kubelet.binding import images_of
from sovereigncloud_sandbox.kubelet.config import HOST, Config
from sovereigncloud_sandbox.kubelet.environment import Sources
from sovereigncloud_sandbox.kubelet.events import Events, utc_now
from sovereigncloud_sandbox.kubelet.images import Image, repository
from sovereigncloud_sandbox.kubelet.root import Isolation

Json = dict[str, Any]
_NOT_FOUND = 404
RUNTIME = "sandbox://1"
_PODS = 110


@dataclass(slots=True)
class Node:
    """The kubelet's surroundings."""

    config: Config
    api: ApiServer
    isolation: Isolation
    top: Mapping[str, str | None]
    _addresses: set[str] = field(default_factory=set)
    _last: int = 1
    events: Events = field(init=False)

    def __post_init__(self) -> None:
        self.events = Events(self.api, self.config.node)

    @property
    def labels(self) -> Mapping[str, str]:
        """What a nodeSelector may name."""
        machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
        return {
            "kubernetes.io/hostname": self.config.node,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": machine,
        }

    @property
    def reachable(self) -> tuple[str, ...]:
        """What a container's user must get to outside of its image: the Python that a virtual environment names."""
        return os.path.realpath(sys.executable), str(Path(sys.base_prefix) / "lib")

    def status(self, port: int) -> Json:
        """Of the node: ready, with logs at this port."""
        now = utc_now()
        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 1024
        capacity = {"cpu": str(os.cpu_count() or 1), "memory": f"{pages}Ki", "pods": str(_PODS)}
        well = {
            "MemoryPressure": ("False", "KubeletHasSufficientMemory"),
            "DiskPressure": ("False", "KubeletHasNoDiskPressure"),
            "PIDPressure": ("False", "KubeletHasSufficientPID"),
            "Ready": ("True", "KubeletReady"),
        }
        return {
            "addresses": [{"type": "InternalIP", "address": HOST}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
            "capacity": capacity,
            "allocatable": capacity,
            "conditions": [
                {"type": kind, "status": status, "reason": reason, "lastHeartbeatTime": now, "lastTransitionTime": now}
                for kind, (status, reason) in well.items()
            ],
            "nodeInfo": {
                "kubeletVersion": "v0.0.0-sandbox",
                "kubeProxyVersion": "",
                "operatingSystem": "linux",
                "architecture": self.labels["kubernetes.io/arch"],
                "osImage": "sandbox",
                "kernelVersion": os.uname().release,
                "containerRuntimeVersion": RUNTIME,
                "bootID": "",
                "machineID": "",
                "systemUUID": "",
            },
        }

    def service_environment(self) -> Mapping[str, str]:
        """Where the API server is, as every container is told."""
        url = urlsplit(self.config.api)
        return {
            "KUBERNETES_SERVICE_HOST": str(url.hostname),
            "KUBERNETES_SERVICE_PORT": str(url.port),
            "KUBERNETES_SERVICE_PORT_HTTPS": str(url.port),
        }

    def image(self, reference: str) -> Image | None:
        """What stands for an image of any tag or digest."""
        return self.config.images.get(repository(reference))

    def simulates(self, pod: Json) -> bool:
        """Whether another process plays this pod."""
        return any(repository(image) in self.config.simulated for image in images_of(pod))

    def take_address(self) -> str:
        """A loopback address that no other pod has; one that was given back is not the next to be given."""
        hosts = ipaddress.ip_network(f"{self.config.pods}.0/24").num_addresses - 2
        for _ in range(hosts):
            self._last = self._last % hosts + 1
            address = f"{self.config.pods}.{self._last}"
            if address not in self._addresses:
                self._addresses.add(address)
                return address
        raise RuntimeError(f"no address is left in {self.config.pods}.0/24")

    def give_back(self, address: str) -> None:
        """Let another pod have an address."""
        self._addresses.discard(address)

    async def sources(self, namespace: str, wanted: set[tuple[str, str]]) -> Sources:
        """Secrets and ConfigMaps as they are now. Raises aiohttp.ClientError."""
        found: dict[tuple[str, str], Json | None] = {}
        for kind, name in wanted:
            path = f"/api/v1/namespaces/{namespace}/{kind.lower()}s/{name}"
            try:
                found[kind, name] = await self.api.call("GET", path)
            except aiohttp.ClientResponseError as error:
                if error.status != _NOT_FOUND:
                    raise
                found[kind, name] = None
        return found

    def event(self, pod: Json, kind: str, reason: str, message: str, container: str = "") -> None:
        """Tell of a pod, as `kubectl describe pod` shows it; nobody waits for it."""
        self.events.tell(pod, kind, reason, message, container)
