"""The life of one container: start, probes, restarts, termination."""

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp

from sovereigncloud_sandbox.kubelet.asking import answer
from sovereigncloud_sandbox.kubelet.environment import ConfigError
from sovereigncloud_sandbox.kubelet.events import utc_now
from sovereigncloud_sandbox.kubelet.images import executable_path
from sovereigncloud_sandbox.kubelet.node import Node
from sovereigncloud_sandbox.kubelet.probes import Judgement, Probe
from sovereigncloud_sandbox.kubelet.processes import Process
from sovereigncloud_sandbox.kubelet.restarts import failures_after, restarts, wait_before
from sovereigncloud_sandbox.kubelet.root import Identity, Isolation, Plan, become, enter, script
from sovereigncloud_sandbox.kubelet.status import Container, Running, Terminated, Waiting

logger = logging.getLogger("kubelet")
Json = dict[str, Any]
_CANNOT_RUN = 128
_CONFIG_RETRY = 1.0  # seconds


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a container is started from."""

    command: list[str]
    environment: Mapping[str, str]
    identity: Identity
    plan: Plan


class Runner:
    """Runs one container until its pod's policy says that it is over, or `stop()`.

    Args:
        node: the surroundings.
        pod: the pod as it is now.
        spec: of the container.
        directory: of the container; takes its logs.
        prepare: makes what it is started from, anew for each start. Raises ConfigError.
        changed: is called whenever `now` is another.
    """

    def __init__(
        self,
        node: Node,
        pod: Callable[[], Json],
        spec: Json,
        directory: Path,
        prepare: Callable[[Json], Awaitable[Prepared]],
        changed: Callable[[], None],
    ) -> None:
        self.spec, self.directory = spec, directory
        self.now = Container(spec["name"], spec["image"], Waiting("ContainerCreating"))
        self.started = asyncio.Event()
        self._node, self._pod, self._prepare, self._changed = node, pod, prepare, changed
        self._process: Process | None = None
        self._starting = asyncio.Lock()
        self._killing: asyncio.Task[int] | None = None
        self._prepared: Prepared | None = None
        self._stopping = False
        self._policy = pod()["spec"].get("restartPolicy", "Always")

    @property
    def logs(self) -> tuple[Path, Path]:
        """Of this run, and of the one before it."""
        return self.directory / f"{self.now.restarts}.log", self.directory / f"{self.now.restarts - 1}.log"

    async def run(self, *, policy: str | None = None) -> int:
        """Until it ends for good; returns the last exit code."""
        policy = policy or self._policy
        failures = 0
        while True:
            begun = time.monotonic()
            code = await self._once()
            failures = failures_after(failures, time.monotonic() - begun)
            if self._stopping or not restarts(policy, code):
                return code
            await self._back_off(wait_before(failures))
            if self._stopping:
                return code
            self._set(restarts=self.now.restarts + 1)

    async def stop(self, grace: float) -> None:
        """End it for good."""
        self._stopping = True
        async with self._starting:
            process = self._process
        if process is not None:
            await process.stop(grace)

    async def _once(self) -> int:
        """One start to its end."""
        while True:
            try:
                prepared = await self._prepare(self.spec)
                break
            except ConfigError as error:
                if self.now.state != Waiting("CreateContainerConfigError", str(error)):
                    self._node.event(self._pod(), "Warning", "Failed", f"Error: {error}", self.now.name)
                self._set(state=Waiting("CreateContainerConfigError", str(error)))
            except aiohttp.ClientError as error:
                logger.info("%s: %s", self.now.name, error)
            await asyncio.sleep(_CONFIG_RETRY)
        begun = utc_now()
        identity = f"sandbox://{os.urandom(16).hex()}"
        async with self._starting:
            if self._stopping:
                return _CANNOT_RUN
            try:
                process = self._process = await self._start(prepared)
            except OSError as error:
                self._node.event(self._pod(), "Warning", "Failed", f"Error: {error}", self.now.name)
                self._set(state=Terminated(_CANNOT_RUN, begun, utc_now(), str(error), identity))
                return _CANNOT_RUN
        self._node.event(self._pod(), "Normal", "Started", f"Container started: {self.now.name}", self.now.name)
        self._prepared = prepared
        startup, readiness = Probe.of(self.spec.get("startupProbe")), Probe.of(self.spec.get("readinessProbe"))
        self._set(
            state=Running(begun),
            started=startup is None,
            ready=startup is None and readiness is None,
            container_id=identity,
        )
        if startup is None:
            self.started.set()
        probing = asyncio.create_task(self._probe())
        code = await asyncio.shield(process.ended)
        probing.cancel()
        self._process = None
        end = Terminated(code, begun, utc_now(), container_id=identity)
        self._set(state=end, started=False, ready=False)
        return code

    async def _start(self, prepared: Prepared) -> Process:
        how, log = self._node.isolation, self.logs[0]
        self.directory.mkdir(parents=True, exist_ok=True)
        for old in self.directory.glob("*.log"):
            if int(old.stem) < self.now.restarts - 1:
                old.unlink()
        if how is Isolation.NONE:
            return await Process.start(prepared.command, env=prepared.environment, log=log, cwd=self.directory)
        prepared.plan.scratch.mkdir(parents=True, exist_ok=True)
        lines = self.directory / "root.sh"
        lines.write_text(script(prepared.plan, how, self._node.top))
        command = [*enter(how), str(lines), *prepared.command]
        return await Process.start(command, env=prepared.environment, log=log, cwd=self.directory)

    async def _back_off(self, seconds: float) -> None:
        end = self.now.state
        assert isinstance(end, Terminated)
        if seconds:
            message = f"back-off {seconds:g}s restarting failed container={self.now.name}"
            self._node.event(self._pod(), "Warning", "BackOff", message, self.now.name)
            self._set(state=Waiting("CrashLoopBackOff", message), last=end)
            await asyncio.sleep(seconds)
        self._set(last=end)

    async def _probe(self) -> None:
        if startup := Probe.of(self.spec.get("startupProbe")):
            if not await self._until_started(startup):
                return
            self._set(started=True, ready=not self.spec.get("readinessProbe"))
            self.started.set()
        async with asyncio.TaskGroup() as group:
            if liveness := Probe.of(self.spec.get("livenessProbe")):
                group.create_task(self._keep_alive(liveness))
            if readiness := Probe.of(self.spec.get("readinessProbe")):
                group.create_task(self._keep_ready(readiness))

    async def _until_started(self, probe: Probe) -> bool:
        async for passing in self._judged("Startup", probe, Judgement(None)):
            if passing is False:
                await self._unhealthy("startup")
            if passing is not None:
                return passing
        return False

    async def _keep_alive(self, probe: Probe) -> None:
        async for passing in self._judged("Liveness", probe, Judgement(passing=True)):
            if not passing:
                await self._unhealthy("liveness", probe)
                return

    async def _keep_ready(self, probe: Probe) -> None:
        async for passing in self._judged("Readiness", probe, Judgement(passing=False)):
            self._set(ready=bool(passing))

    async def _judged(self, name: str, probe: Probe, judgement: Judgement) -> AsyncIterator[bool | None]:
        await asyncio.sleep(probe.initial_delay)
        while True:
            begun = time.monotonic()
            well, said = await self._answer(probe)
            if not well:
                self._node.event(self._pod(), "Warning", "Unhealthy", f"{name} probe failed: {said}", self.now.name)
            judgement = judgement.after(probe, well)
            yield judgement.passing
            await asyncio.sleep(max(0.0, probe.period - (time.monotonic() - begun)))

    async def _answer(self, probe: Probe) -> tuple[bool, str]:
        assert self._prepared is not None
        assert self._process is not None
        prepared, ip = self._prepared, self._pod()["status"]["podIP"]
        inside: list[str] = []
        if self._node.isolation is not Isolation.NONE:
            inside = [*self._inside(self._process), *become(prepared.identity, self._node.isolation)]
        return await answer(self._node.api.session, probe, self.spec, ip, inside, prepared.environment)

    def _inside(self, process: Process) -> list[str]:
        # The program is still in the namespaces that it made; of the inner user namespace only its child is.
        user = ["--user", "--preserve-credentials"] if self._node.isolation is Isolation.USER else []
        spaces = ["--mount", "--uts", f"--pid=/proc/{process.first()}/ns/pid", *user]
        return [executable_path("nsenter"), f"--target={process.pid}", *spaces, "--"]

    async def _unhealthy(self, which: str, probe: Probe | None = None) -> None:
        message = f"Container {self.now.name} failed {which} probe, will be restarted"
        self._node.event(self._pod(), "Normal", "Killing", message, self.now.name)
        seconds = (probe.action if probe else {}).get("terminationGracePeriodSeconds")
        grace = seconds or self._pod()["spec"].get("terminationGracePeriodSeconds") or 30
        if self._process is not None:
            # Not in this task: the end of the process ends its probes.
            self._killing = asyncio.create_task(self._process.stop(float(grace)))
            await asyncio.shield(self._killing)

    def _set(self, **changes: Any) -> None:
        now = replace(self.now, **changes)
        if now != self.now:
            self.now = now
            self._changed()
