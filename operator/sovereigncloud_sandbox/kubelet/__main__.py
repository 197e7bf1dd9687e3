"""`python -m sovereigncloud_sandbox.kubelet CONFIG`: the kubelet as a process. It ends on SIGTERM, and its pods with it."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp

from sovereigncloud_sandbox.api_server import ApiServer, GoneError, tls_of
from sovereigncloud_sandbox.kubelet import logs
from sovereigncloud_sandbox.kubelet.binding import is_ours_to_bind, obstacle, unschedulable
from sovereigncloud_sandbox.kubelet.config import Config
from sovereigncloud_sandbox.kubelet.container import Runner
from sovereigncloud_sandbox.kubelet.events import utc_now
from sovereigncloud_sandbox.kubelet.node import Node
from sovereigncloud_sandbox.kubelet.pod import PodWorker
from sovereigncloud_sandbox.kubelet.root import Isolation, entries_of_root
from sovereigncloud_sandbox.kubelet.services import Services
from sovereigncloud_sandbox.kubelet.trial import what_the_machine_grants

logger = logging.getLogger("kubelet")
Json = dict[str, Any]
_AFTER_ERROR = 0.5
_HEARTBEAT = 10.0  # seconds, as a kubelet's
_LEASE_SECONDS = 40
_STOP_GRACE = 2.0
_LINE = 1 << 23  # bytes of one event of a watch


class Kubelet:
    """Follows the pods of the cluster, binds those it has images for, and runs them."""

    def __init__(self, node: Node) -> None:
        self._node, self._api, self._name = node, node.api, node.config.node
        self._pods: dict[str, PodWorker] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._told: dict[str, str] = {}
        self._services = Services(self._api, lambda: [one.backend for one in self._pods.values()], self._names_changed)
        self._port = 0

    async def run(self) -> None:
        """Until cancelled."""
        server, self._port = await logs.serve(self._node.config, self.find)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._be_there())
                group.create_task(self._services.run())
                group.create_task(self._follow())
        finally:
            await asyncio.gather(*(pod.stop(_STOP_GRACE) for pod in self._pods.values()), return_exceptions=True)
            for task in self._running.values():
                task.cancel()
            await server.cleanup()

    def find(self, namespace: str, pod: str, container: str) -> Runner | None:
        """A container of a pod that is here."""
        named = [worker for worker in self._pods.values() if worker.name == f"{namespace}/{pod}"]
        return named[-1].runner(container) if named else None

    def _names_changed(self) -> None:
        for worker in self._pods.values():
            worker.write_hosts()

    # --- the node -----------------------------------------------------------------------------------------------------

    async def _be_there(self) -> None:
        """Register and renew the Lease; also in a cluster that was emptied meanwhile."""
        while True:
            try:
                await self._register()
                while True:
                    await self._renew()
                    await asyncio.sleep(_HEARTBEAT)
            except aiohttp.ClientResponseError as error:
                if error.status != 404:
                    logger.warning("node: %s %s", error.status, error.message)
            except (aiohttp.ClientError, TimeoutError) as error:
                logger.info("node: %s", error)
            await asyncio.sleep(_AFTER_ERROR)

    async def _register(self) -> None:
        status = self._node.status(self._port)
        body = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": self._name, "labels": self._node.labels},
            "status": status,
        }
        try:
            await self._api.call("POST", "/api/v1/nodes", body)
        except aiohttp.ClientResponseError as error:
            if error.status != 409:
                raise
        # A node is created with a taint until it is seen to be ready (node lifecycle controller): now at once.
        await self._api.call("PATCH", f"/api/v1/nodes/{self._name}/status", {"status": status})
        lease = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self._name, "namespace": "kube-node-lease"},
            "spec": {"holderIdentity": self._name, "leaseDurationSeconds": _LEASE_SECONDS},
        }
        try:
            await self._api.call("POST", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases", lease)
        except aiohttp.ClientResponseError as error:
            if error.status != 409:
                raise

    async def _renew(self) -> None:
        path = f"/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/{self._name}"
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        await self._api.call("PATCH", path, {"spec": {"renewTime": now}})

    # --- pods ---------------------------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        while True:
            try:
                page = await self._api.call("GET", "/api/v1/pods")
                here = {pod["metadata"]["uid"] for pod in page["items"]}
                for uid, worker in self._pods.items():
                    if uid not in here:
                        worker.vanished()
                for pod in page["items"]:
                    await self._take(pod)
                async for event in self._api.watch("/api/v1/pods", page["metadata"]["resourceVersion"]):
                    if event["type"] == "DELETED":
                        self._gone(event["object"])
                    elif event["type"] != "BOOKMARK":
                        await self._take(event["object"])
            except GoneError:
                continue
            except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                logger.info("pods: %s", error)
                await asyncio.sleep(_AFTER_ERROR)

    async def _take(self, pod: Json) -> None:
        uid, name = pod["metadata"]["uid"], pod["spec"].get("nodeName")
        if worker := self._pods.get(uid):
            worker.told(pod)
        elif name == self._name:
            self._begin(pod)
        elif is_ours_to_bind(pod) and self._node.simulates(pod):
            self._leave(pod)
        elif is_ours_to_bind(pod):
            await self._bind(pod)

    def _begin(self, pod: Json) -> None:
        uid = pod["metadata"]["uid"]
        if (pod.get("status") or {}).get("phase") in {"Succeeded", "Failed"} and "deletionTimestamp" not in pod[
            "metadata"
        ]:
            return  # it ended under an earlier kubelet
        worker = self._pods[uid] = PodWorker(self._node, pod, self._services.hosts)
        if "deletionTimestamp" in pod["metadata"]:
            worker.told(pod)
        task = self._running[uid] = asyncio.create_task(worker.run(), name=worker.name)
        task.add_done_callback(lambda done: self._ended(uid, done))

    def _ended(self, uid: str, task: asyncio.Task[None]) -> None:
        del self._pods[uid], self._running[uid]
        if not task.cancelled() and (error := task.exception()):
            logger.error("%s", task.get_name(), exc_info=error)

    def _gone(self, pod: Json) -> None:
        self._told.pop(pod["metadata"]["uid"], None)
        if worker := self._pods.get(pod["metadata"]["uid"]):
            worker.vanished()

    def _leave(self, pod: Json) -> None:
        """Say once that the pod stays Pending on purpose: a warning would look as if something had to be done."""
        why = "The sandbox simulates this pod: it stays Pending, and its Job ends as if it had run."
        if self._told.get(pod["metadata"]["uid"]) != why:
            self._told[pod["metadata"]["uid"]] = why
            self._node.event(pod, "Normal", "Simulated", why)

    async def _bind(self, pod: Json) -> None:
        """Name the node in the pod, or say why not, once."""
        metadata = pod["metadata"]
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
        why = obstacle(pod, lambda image: self._node.image(image) is not None, self._node.labels)
        try:
            if not why:
                target = {"apiVersion": "v1", "kind": "Node", "name": self._name}
                names = {"name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"]}
                body = {"apiVersion": "v1", "kind": "Binding", "metadata": names, "target": target}
                await self._api.call("POST", f"{path}/binding", body)
                message = f"Successfully assigned {metadata['namespace']}/{metadata['name']} to {self._name}"
                self._node.event(pod, "Normal", "Scheduled", message)
            elif self._told.get(metadata["uid"]) != why:
                self._told[metadata["uid"]] = why
                self._node.event(pod, "Warning", "FailedScheduling", why)
                body = {"metadata": {"uid": metadata["uid"]}, "status": unschedulable(pod, why, utc_now())}
                await self._api.call("PATCH", f"{path}/status", body)
        except aiohttp.ClientResponseError as error:
            if error.status not in {404, 409}:  # it is gone or bound
                raise


async def main(config: Config) -> None:
    """Until SIGTERM."""
    isolation = await what_the_machine_grants(config.directory) if config.namespaces else Isolation.NONE
    logger.info("isolation of containers: %s", isolation.value)
    tls = tls_of(str(config.authority), str(config.certificate), str(config.key))
    connector = aiohttp.TCPConnector(ssl=tls, limit=0)
    timeout = aiohttp.ClientTimeout(total=30)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout, read_bufsize=_LINE) as session:
        node = Node(config, ApiServer(session, config.api), isolation, entries_of_root())
        running = asyncio.create_task(Kubelet(node).run())
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, running.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await running


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    os.umask(0o022)
    asyncio.run(main(Config.read(Path(sys.argv[1]))))
