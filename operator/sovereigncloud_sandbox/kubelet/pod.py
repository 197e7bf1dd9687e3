"""The life of one pod on the node, from binding to termination."""

import asyncio
import contextlib
import logging
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp

from sovereigncloud_sandbox.kubelet import environment, volumes
from sovereigncloud_sandbox.kubelet.config import HOST
from sovereigncloud_sandbox.kubelet.container import Prepared, Runner
from sovereigncloud_sandbox.kubelet.environment import ConfigError
from sovereigncloud_sandbox.kubelet.events import utc_now
from sovereigncloud_sandbox.kubelet.images import Image
from sovereigncloud_sandbox.kubelet.node import Node
from sovereigncloud_sandbox.kubelet.root import Isolation, Mount, Plan, identity_of, user_of
from sovereigncloud_sandbox.kubelet.services import Backend
from sovereigncloud_sandbox.kubelet.status import Container, Pod, Waiting, status_of
from sovereigncloud_sandbox.kubelet.tokens import Tokens
from sovereigncloud_sandbox.kubelet.unisolated import in_the_open

logger = logging.getLogger("kubelet")
Json = dict[str, Any]
_RETRY = 1.0
_GRACE = 30


class PodWorker:
    """Runs a pod; `told()` brings each new version of it, `run()` ends when it is gone."""

    def __init__(self, node: Node, pod: Json, hosts: Callable[[str], str]) -> None:
        """`hosts` gives the lines of /etc/hosts for a namespace."""
        self.node, self.pod, self._hosts = node, pod, hosts
        self.name = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        self.address = node.take_address()
        pod.setdefault("status", {}).update({"podIP": self.address, "hostIP": HOST})
        folder = f"{self.name.replace('/', '_')}_{pod['metadata']['uid']}"
        self._directory = node.config.directory / "pods" / folder
        self._logs = node.config.directory / "logs" / folder
        self._tokens = Tokens(node, pod)
        self._begun = utc_now()
        self._changed, self._deleted = asyncio.Event(), asyncio.Event()
        self._written: Json = pod.get("status") or {}
        spec = pod["spec"]
        self._init = [self._runner(one) for one in spec.get("initContainers") or ()]
        self._containers = [self._runner(one) for one in spec["containers"]]
        self._volumes = {volume["name"]: volume for volume in spec.get("volumes") or ()}
        if self._init:
            for runner in self._containers:
                runner.now = _waiting(runner, "PodInitializing")

    def told(self, pod: Json) -> None:
        """A new version of the pod, from the API server. Of its status only what others wrote counts."""
        status = (pod.get("status") or {}) | {"podIP": self.address, "hostIP": HOST}
        self.pod = {**pod, "status": status}
        if "deletionTimestamp" in pod["metadata"]:
            self._deleted.set()

    def vanished(self) -> None:
        """It is no more in the API server."""
        self._deleted.set()

    def runner(self, container: str) -> Runner | None:
        """The container of that name."""
        return next((one for one in (*self._init, *self._containers) if one.spec["name"] == container), None)

    @property
    def backend(self) -> Backend:
        """What a Service sees of it."""
        ready = all(runner.now.ready for runner in self._containers) and not self._deleted.is_set()
        return Backend(self.pod, self.address, ready)

    def write_hosts(self) -> None:
        """Bring /etc/hosts up to date, in place: containers have the file itself bound into their root."""
        if self._directory.is_dir():
            metadata = self.pod["metadata"]
            own = f"127.0.0.1 localhost\n{self.address} {metadata['name']}\n"
            (self._directory / "hosts").write_text(own + self._hosts(metadata["namespace"]))

    async def run(self) -> None:
        """From its first status to its deletion."""
        writing = asyncio.create_task(self._write_status())
        living = asyncio.create_task(self._live())
        refreshing = asyncio.create_task(self._refresh())
        deleted = asyncio.create_task(self._deleted.wait())
        self._changed.set()
        try:
            await asyncio.wait({living, deleted}, return_when=asyncio.FIRST_COMPLETED)
            if not deleted.done():
                refreshing.cancel()
                living.result()
                await deleted
            await self.stop(self._grace())
            living.cancel()
            writing.cancel()
            await self._put_status()
            await self._forget()
        finally:
            for task in (writing, living, refreshing, deleted):
                task.cancel()
            self.node.give_back(self.address)
            shutil.rmtree(self._directory, ignore_errors=True)

    async def stop(self, grace: float) -> None:
        """End its containers, all at the same time."""
        await asyncio.gather(*(runner.stop(grace) for runner in (*self._init, *self._containers)))

    def _runner(self, spec: Json) -> Runner:
        return Runner(self.node, lambda: self.pod, spec, self._logs / spec["name"], self._prepare, self._changed.set)

    def _grace(self) -> float:
        metadata, spec = self.pod["metadata"], self.pod["spec"]
        return float(metadata.get("deletionGracePeriodSeconds", spec.get("terminationGracePeriodSeconds", _GRACE)))

    async def _live(self) -> None:
        await self._mount()
        policy = self.pod["spec"].get("restartPolicy", "Always")
        for runner in self._init:
            # An init container that ended well is over, whatever the policy; Always means: again until it does.
            if await runner.run(policy="Never" if policy == "Never" else "OnFailure"):
                return
            runner.now = _ready(runner)
        for runner in self._containers if self._init else ():
            runner.now = _waiting(runner, "ContainerCreating")
        await asyncio.gather(*(runner.run() for runner in self._containers))

    # --- volumes ----------------------------------------------------------------------------------------------------

    async def _mount(self) -> None:
        """Fill every volume; one that cannot be is tried again, as a kubelet does, and told of once."""
        told: set[str] = set()
        while True:
            try:
                await self._fill()
            except ConfigError as error:
                if str(error) not in told:
                    told.add(str(error))
                    self.node.event(self.pod, "Warning", "FailedMount", str(error))
            except (aiohttp.ClientError, TimeoutError) as error:
                logger.info("%s: %s", self.name, error)
            else:
                return
            await asyncio.sleep(_RETRY)

    async def _fill(self) -> None:
        context = self.pod["spec"].get("securityContext") or {}
        group: int | None = context.get("fsGroup")
        for name, volume in self._volumes.items():
            directory = self._volume(name)
            directory.mkdir(parents=True, exist_ok=True)
            kind = volumes.kind_of(volume)
            directory.chmod(0o777 if kind == "emptyDir" else 0o755)
            volumes.own(directory, 0, group)
            if kind == "emptyDir":
                continue
            wanted = set(volumes.sources_of(volume))
            sources = await self.node.sources(self.pod["metadata"]["namespace"], wanted)
            try:
                files = volumes.files_of(volume, self.pod, sources)
            except ConfigError as error:
                raise ConfigError(f'MountVolume.SetUp failed for volume "{name}" : {error}') from error
            user = self._only_user()
            files |= await self._tokens.files(name, volume, for_one_user=user is not None or group is not None)
            volumes.write_files(directory, files, user or 0, group)

    def _only_user(self) -> int | None:
        """The user of all containers if they have one: the only one to read a token (kubelet, plugin projected)."""
        users = {user_of(self.pod, r.spec, self._image(r.spec)) for r in (*self._init, *self._containers)}
        return users.pop() if len(users) == 1 else None

    async def _refresh(self) -> None:
        while True:
            await asyncio.sleep(self.node.config.refresh)
            with contextlib.suppress(ConfigError, aiohttp.ClientError, TimeoutError):
                await self._fill()

    def _volume(self, name: str) -> Path:
        return self._directory / "volumes" / name

    # --- containers -------------------------------------------------------------------------------------------------

    def _image(self, spec: Json) -> Image:
        image = self.node.image(spec["image"])
        if image is None:
            raise ConfigError(f"the sandbox has no image {spec['image']}")
        return image

    async def _prepare(self, spec: Json) -> Prepared:
        image = self._image(spec)
        namespace = self.pod["metadata"]["namespace"]
        sources = await self.node.sources(namespace, set(environment.sources_of(spec)))
        given = {"HOSTNAME": self.pod["metadata"]["name"], **self.node.service_environment()}
        env = environment.environment_of(spec, self.pod, image, sources, given)
        command = environment.argv(spec, image, env)
        identity = identity_of(self.pod, spec, image)
        self._directory.mkdir(parents=True, exist_ok=True)
        self.write_hosts()
        mounts = [Mount(Path(source), target) for target, source in image.files.items()]
        mounts.append(Mount(self._directory / "hosts", "/etc/hosts"))
        mounts += [self._mount_of(mount, env) for mount in spec.get("volumeMounts") or ()]
        plan = Plan(
            scratch=self._directory / "roots" / spec["name"],
            mounts=mounts,
            identity=identity,
            hostname=self.pod["metadata"]["name"],
            working_dir=spec.get("workingDir") or image.working_dir,
            reachable=self.node.reachable,
        )
        if self.node.isolation is Isolation.NONE:
            command, env = in_the_open(command, env, mounts, self.node.config, self._directory)
        return Prepared(command, env, identity, plan)

    def _mount_of(self, mount: Json, env: Mapping[str, str]) -> Mount:
        volume = self._volumes[mount["name"]]
        part = mount.get("subPath") or environment.expand(mount.get("subPathExpr", ""), env)
        source = self._volume(mount["name"]) / part
        if part and not source.exists() and volumes.kind_of(volume) == "emptyDir":
            source.mkdir(parents=True)
        return Mount(source, mount["mountPath"], bool(mount.get("readOnly")) or volumes.kind_of(volume) != "emptyDir")

    # --- status -----------------------------------------------------------------------------------------------------

    async def _write_status(self) -> None:
        while True:
            await self._changed.wait()
            await asyncio.sleep(0.01)  # what changes together is written together
            self._changed.clear()
            await self._put_status()

    async def _put_status(self) -> None:
        metadata = self.pod["metadata"]
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}/status"
        while True:
            status = self._status()
            if status == self._written:
                return
            try:
                await self.node.api.call("PATCH", path, {"metadata": {"uid": metadata["uid"]}, "status": status})
            except aiohttp.ClientResponseError as error:
                if error.status in {404, 409}:
                    return  # gone, or another one of that name
                logger.warning("status of %s: %s", self.name, error)
            except (aiohttp.ClientError, TimeoutError) as error:
                logger.info("status of %s: %s", self.name, error)
            else:
                self._written = status
                return
            await asyncio.sleep(_RETRY)

    def _status(self) -> Json:
        pod = Pod(
            containers=[runner.now for runner in self._containers],
            init=[runner.now for runner in self._init],
            restart_policy=self.pod["spec"].get("restartPolicy", "Always"),
            ip=self.address,
            host_ip=HOST,
            started_at=self._begun,
            generation=int(self.pod["metadata"].get("generation", 1)),
        )
        return status_of(pod, self._written, utc_now())

    async def _forget(self) -> None:
        """Let the API server remove it: its containers have ended."""
        metadata = self.pod["metadata"]
        path = f"/api/v1/namespaces/{metadata['namespace']}/pods/{metadata['name']}"
        body = {"gracePeriodSeconds": 0, "preconditions": {"uid": metadata["uid"]}}
        while True:
            try:
                await self.node.api.call("DELETE", path, body)
            except aiohttp.ClientResponseError as error:
                if error.status in {404, 409}:
                    return
                logger.warning("deletion of %s: %s", self.name, error)
            except (aiohttp.ClientError, TimeoutError) as error:
                logger.info("deletion of %s: %s", self.name, error)
            else:
                return
            await asyncio.sleep(_RETRY)


def _waiting(runner: Runner, reason: str) -> Container:
    return replace(runner.now, state=Waiting(reason))


def _ready(runner: Runner) -> Container:
    return replace(runner.now, ready=True)
