"""Kubernetes Services: names in /etc/hosts, ClusterIPs on loopback, connections forwarded to pods.

What CoreDNS and kube-proxy do in a cluster. The backends are found here by the Service's selector, since the API server
takes no loopback address into an EndpointSlice; the controllers that would write them are off.
"""

import asyncio
import contextlib
import itertools
import logging
import socket
import struct
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from sovereigncloud_sandbox.api_server import ApiServer, GoneError
from sovereigncloud_sandbox.kubelet.probes import port_of

logger = logging.getLogger("kubelet")
Json = dict[str, Any]
_AFTER_ERROR = 0.5
_CHUNK = 1 << 16
_CONNECT_WITHIN = 5.0
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close with RST, which is how a Service without backends refuses


@dataclass(frozen=True, slots=True)
class Backend:
    """A pod of the node, as a Service sees it."""

    pod: Json
    address: str
    ready: bool


def selects(service: Json, backend: Backend) -> bool:
    """Whether connections to the Service may go to the pod."""
    selector, metadata = service["spec"].get("selector") or {}, backend.pod["metadata"]
    labels = metadata.get("labels") or {}
    return (
        bool(selector)
        and metadata["namespace"] == service["metadata"]["namespace"]
        and all(labels.get(key) == value for key, value in selector.items())
        and (backend.ready or bool(service["spec"].get("publishNotReadyAddresses")))
    )


def target_of(port: Json, pod: Json) -> int:
    """The port of a pod behind a port of a Service. Raises ValueError where it has none of that name."""
    wanted = port.get("targetPort") or port["port"]
    for container in pod["spec"]["containers"]:
        with contextlib.suppress(ValueError):
            return port_of(container, wanted)
    raise ValueError(f"no container has a port {wanted}")


def hosts_of(services: Iterable[Json], namespace: str) -> str:
    """Lines of /etc/hosts for pods of a namespace: Services by each of their names."""
    lines = []
    for service in services:
        address, metadata = service["spec"].get("clusterIP"), service["metadata"]
        if address and address != "None":
            name = f"{metadata['name']}.{metadata['namespace']}"
            names = [f"{name}.svc.cluster.local", f"{name}.svc", name]
            names += [metadata["name"]] if metadata["namespace"] == namespace else []
            lines.append(f"{address} {' '.join(names)}\n")
    return "".join(sorted(lines))


class Services:
    """Follows the Services and listens for each; `changed` is called when names are others."""

    def __init__(self, api: ApiServer, backends: Callable[[], Sequence[Backend]], changed: Callable[[], None]) -> None:
        self._api, self._backends, self._changed = api, backends, changed
        self._services: dict[str, Json] = {}
        self._servers: dict[str, dict[int, asyncio.Server]] = {}
        self._turn = itertools.count()

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                try:
                    await self._follow()
                except GoneError:
                    continue
                except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                    logger.info("services: %s", error)
                    await asyncio.sleep(_AFTER_ERROR)
        finally:
            for uid in list(self._services):
                self._close(uid)

    def hosts(self, namespace: str) -> str:
        """See `hosts_of`."""
        return hosts_of(self._services.values(), namespace)

    async def _follow(self) -> None:
        page = await self._api.call("GET", "/api/v1/services")
        for gone in self._services.keys() - {item["metadata"]["uid"] for item in page["items"]}:
            self._close(gone)
        for service in page["items"]:
            await self._take(service)
        async for event in self._api.watch("/api/v1/services", page["metadata"]["resourceVersion"]):
            if event["type"] == "DELETED":
                self._close(event["object"]["metadata"]["uid"])
            elif event["type"] != "BOOKMARK":
                await self._take(event["object"])

    async def _take(self, service: Json) -> None:
        uid, spec = service["metadata"]["uid"], service["spec"]
        self._services[uid] = service
        self._changed()
        address = spec.get("clusterIP")
        tcp = {one["port"] for one in spec.get("ports") or () if one.get("protocol", "TCP") == "TCP"}
        servers = self._servers.setdefault(uid, {})
        for port in servers.keys() - tcp:
            servers.pop(port).close()
        for port in tcp - servers.keys() if address and address != "None" else ():
            try:
                servers[port] = await asyncio.start_server(self._passing(uid, port), address, port)
            except OSError as error:  # a port below 1024 takes root
                logger.warning("Service %s: %s:%s: %s", service["metadata"]["name"], address, port, error)

    def _close(self, uid: str) -> None:
        self._services.pop(uid, None)
        for server in self._servers.pop(uid, {}).values():
            server.close()
        self._changed()

    def _passing(self, uid: str, port: int) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any]:
        async def passing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            target = self._target(self._services[uid], port)
            try:
                if target is None:
                    raise ConnectionRefusedError
                to = await asyncio.wait_for(asyncio.open_connection(*target), _CONNECT_WITHIN)
            except (OSError, TimeoutError):
                _refuse(writer)
                return
            await asyncio.gather(_copy(reader, to[1]), _copy(to[0], writer))

        return passing

    def _target(self, service: Json, number: int) -> tuple[str, int] | None:
        """The next of the backends in turn; the API server for its own Service, which has no selector."""
        if (service["metadata"]["namespace"], service["metadata"]["name"]) == ("default", "kubernetes"):
            url = urlsplit(self._api.host)
            return str(url.hostname), int(url.port or 443)
        port = next(one for one in service["spec"]["ports"] if one["port"] == number)
        found = []
        for backend in self._backends():
            if selects(service, backend):
                with contextlib.suppress(ValueError):
                    found.append((backend.address, target_of(port, backend.pod)))
        return found[next(self._turn) % len(found)] if found else None


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:
        writer.close()


def _refuse(writer: asyncio.StreamWriter) -> None:
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    writer.close()
