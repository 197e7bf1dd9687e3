"""One writer: a Lease named by the installation id is held before the first write outside; lost means exit.

The time that counts is the local one since the record last changed, as in client-go: clocks of two machines differ.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Protocol

from sovereigncloud.ports.errors import Conflict, OutsideError

logger = logging.getLogger(__name__)
Json = dict[str, Any]
_ATTEMPTS = 5


class LeaseApi(Protocol):
    async def lease(self, namespace: str, name: str) -> Json | None: ...
    async def write_lease(self, namespace: str, name: str, body: Json, *, create: bool) -> Json: ...


class Lease:
    """The Lease of one installation.

    Args:
        api: reads and writes Leases.
        namespace: of the operator.
        name: of the Lease.
        identity: of this process.
        seconds: how long others wait after the last renewal.
        lost: called once when it could not be renewed in time.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        api: LeaseApi,
        *,
        namespace: str,
        name: str,
        identity: str,
        seconds: float,
        lost: Callable[[], None],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._api, self._namespace, self._name, self._identity = api, namespace, name, identity
        self._seconds, self._lost, self._clock = seconds, lost, clock
        self._renewed = float("-inf")
        self._seen: tuple[str, float] = ("", 0.0)
        self._task: asyncio.Task[None] | None = None

    @property
    def held(self) -> bool:
        """Whether this process may write: two thirds of the time that others wait have not passed."""
        return self._clock() - self._renewed < self._seconds * 2 / 3

    async def acquire(self) -> None:
        """Return when it is held; from then on it is renewed."""
        while not await self._try():  # noqa: ASYNC110 - it polls the API server, nothing in here could set an event
            await asyncio.sleep(min(2.0, self._seconds / 4))
        logger.info("holding Lease %s as %s", self._name, self._identity)
        self._task = asyncio.create_task(self._renew(), name="lease")

    async def seize(self) -> None:
        """Take it from whoever holds it, and return when that one has stopped writing; from then on it is renewed.

        Raises:
            OutsideError: the API server fails, or somebody else writes it each time.
        """
        begun = self._clock()
        spec = await self._overwrite()
        self._renewed = begun
        self._task = asyncio.create_task(self._renew(), name="lease")
        if spec.get("holderIdentity"):
            # It finds out when it renews, and does not write from two thirds of this time on.
            await asyncio.sleep(float(spec.get("leaseDurationSeconds") or self._seconds))

    async def leave(self, seconds: float) -> None:
        """Renew it no more; nobody else gets it for so many seconds. Raises OutsideError."""
        if self._task is not None:
            self._task.cancel()
        current = await self._api.lease(self._namespace, self._name)
        if current and current["spec"].get("holderIdentity") == self._identity:
            current["spec"]["leaseDurationSeconds"] = max(1, round(seconds))
            await self._api.write_lease(self._namespace, self._name, current, create=False)

    async def release(self) -> None:
        """Let the next one take it at once."""
        if self._task is None:
            return
        self._task.cancel()
        if self.held:
            self._renewed = float("-inf")
            try:
                current = await self._api.lease(self._namespace, self._name)
                if current and current["spec"].get("holderIdentity") == self._identity:
                    current["spec"]["holderIdentity"] = ""
                    await self._api.write_lease(self._namespace, self._name, current, create=False)
            except OutsideError as error:
                logger.warning("releasing the Lease failed, the next one waits %.0f s: %s", self._seconds, error)

    async def _overwrite(self) -> Json:
        """Write our name over whose it is; what was there before."""
        for attempt in range(_ATTEMPTS):
            current = await self._api.lease(self._namespace, self._name) or {}
            spec: Json = current.get("spec") or {}
            body = self._body(current.get("metadata") or {}, spec)
            try:
                await self._api.write_lease(self._namespace, self._name, body, create=not current)
            except Conflict:
                if attempt == _ATTEMPTS - 1:
                    raise
            else:
                return spec
        raise AssertionError

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._seconds / 3)
            if not await self._try(renews=True) and not self.held:
                logger.critical("the Lease %s was lost: exit, another operator may write", self._name)
                self._lost()
                return

    async def _try(self, *, renews: bool = False) -> bool:
        begun = self._clock()
        try:
            taken = await self._take(renews=renews)
        except OutsideError as error:
            logger.warning("Lease %s: %s", self._name, error)
            return False
        if taken:
            self._renewed = begun
        return taken

    async def _take(self, *, renews: bool) -> bool:
        current = await self._api.lease(self._namespace, self._name)
        if current is None:
            await self._api.write_lease(self._namespace, self._name, self._body({}, {}), create=True)
            return True
        spec = current.get("spec") or {}
        holder = spec.get("holderIdentity") or ""
        if holder != self._identity and renews:
            # Somebody else took it, or may at once: whatever time is left, this process is not the writer any more.
            self._renewed = float("-inf")
            return False
        if holder and holder != self._identity and not self._expired(current):
            return False
        await self._api.write_lease(
            self._namespace,
            self._name,
            self._body(current["metadata"], spec, takes=holder != self._identity),
            create=False,
        )
        return True

    def _expired(self, current: Json) -> bool:
        version = current["metadata"]["resourceVersion"]
        if version != self._seen[0]:
            self._seen = (version, self._clock())
        seconds = float((current.get("spec") or {}).get("leaseDurationSeconds") or self._seconds)
        return self._clock() - self._seen[1] > seconds

    def _body(self, metadata: Json, spec: Json, *, takes: bool = True) -> Json:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": metadata or {"name": self._name, "namespace": self._namespace},
            "spec": {
                "holderIdentity": self._identity,
                "leaseDurationSeconds": max(1, round(self._seconds)),
                "acquireTime": now if takes else spec.get("acquireTime", now),
                "renewTime": now,
                "leaseTransitions": int(spec.get("leaseTransitions") or 0) + int(takes),
            },
        }
