"""How far sites are from one another: measured now and then, beside everything else, and kept in memory only.

What it says moves by itself, so it is in metrics and decides where something is placed first; no object waits for it, and none is
written for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from time import monotonic

from sovereigncloud.api import SovereignCloud
from sovereigncloud.api.common.base import Key
from sovereigncloud.engine.cache.store import Store
from sovereigncloud.engine.settings import Settings
from sovereigncloud.engine.views.clients import Clients
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.federatedzone.latency_routes import Site, routes, site_of
from sovereigncloud.ports.errors import MissingSecret, OutsideError
from sovereigncloud.ports.installer.federation import Login
from sovereigncloud.ports.latency import Entry, Sites, Trip

logger = logging.getLogger(__name__)

_AT_ONCE = 4
"""Sites that are entered at the same time."""
_LOOK = 15.0
"""Seconds between two looks for what is due."""
_GOOD_FOR = 3
"""Intervals for which a measurement is believed when none follows."""
_PRIVATE_KEY = "sshPrivateKey"

Route = tuple[Key, Key]
"""From, to."""


@dataclass(frozen=True, slots=True)
class _Measured:
    at: float
    trip: Trip


class Distances:
    """Measures between the sites of clouds that answer.

    Args:
        sites: measures; None: nobody does.
        settings: how often; and where sshd of hosted clouds listens.
        store: the clouds.
        clients: read the Secrets with the keys.
        answers: whether a cloud was read lately: nobody knocks where one is still being built.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        sites: Sites | None,
        settings: Settings,
        store: Store,
        clients: Clients,
        answers: Callable[[Key], bool],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._sites, self._store, self._clients, self._answers = sites, store, clients, answers
        self._interval, self._ssh_port, self._clock = settings.site_latency_interval, settings.ssh_port, clock
        self._measured: dict[Route, _Measured] = {}
        self._told: dict[Route, str] = {}

    @property
    def measures(self) -> bool:
        return self._sites is not None and self._interval > 0

    def seconds(self) -> Mapping[Route, float]:
        """What was measured, and is not too old to be believed."""
        return {route: seconds for route in self._measured if (seconds := self._believed(route)) is not None}

    def between(self, one: Key, other: Key) -> float | None:
        """Milliseconds, the quicker way round; None: nobody measured it."""
        ways = [seconds for route in ((one, other), (other, one)) if (seconds := self._believed(route)) is not None]
        return round(min(ways) * 1000, 1) if ways else None

    def _believed(self, route: Route) -> float | None:
        last = self._measured.get(route)
        if last is None or self._clock() - last.at > _GOOD_FOR * self._interval:
            return None
        return last.trip.seconds

    async def run(self) -> None:
        """Until it is cancelled."""
        while self._sites is not None:
            try:
                await self.look()
            except Exception:
                logger.exception("looking for what to measure between sites failed")
            await asyncio.sleep(_LOOK)

    async def look(self) -> None:
        """Measure what is due."""
        wanted = {(one.cloud, other.cloud): (one, other) for one, other in routes(self._known())}
        for gone in self._measured.keys() - wanted.keys():
            del self._measured[gone]
            self._told.pop(gone, None)
        due = sorted((pair for route, pair in wanted.items() if self._is_due(route)), key=lambda pair: pair[0].cloud)
        turns = asyncio.Semaphore(_AT_ONCE)
        async with asyncio.TaskGroup() as group:
            for _, pairs in groupby(due, key=lambda pair: pair[0].cloud):
                group.create_task(self._in_turn(turns, tuple(pairs)))

    def _known(self) -> Iterable[Site]:
        for key in self._store.keys("SovereignCloud"):
            cloud = self._store.get(key)
            if (
                isinstance(cloud, SovereignCloud)
                and (site := site_of(cloud, self._store.get, self._ssh_port)) is not None
            ):
                yield site

    def _is_due(self, route: Route) -> bool:
        last = self._measured.get(route)
        fresh = last is not None and self._clock() - last.at < self._interval
        return not fresh and all(map(self._answers, route))

    async def _in_turn(self, turns: asyncio.Semaphore, pairs: tuple[tuple[Site, Site], ...]) -> None:
        async with turns:
            trips = await self._from_one(pairs[0][0], tuple(other for _, other in pairs))
        for route, trip in trips.items():
            self._measured[route] = _Measured(self._clock(), trip)
            self._tell(route, trip)

    async def _from_one(self, site: Site, others: tuple[Site, ...]) -> Mapping[Route, Trip]:
        try:
            if self._sites is None or site.login is None:
                return {}
            entry = await self._entry(site.cloud.namespace, site.login)
            trips = await self._sites.trips(entry, tuple(dict.fromkeys(other.address for other in others)))
        except (OutsideError, MissingSecret) as error:
            return {(site.cloud, other.cloud): Trip(None, str(error)) for other in others}
        except Exception:
            # Not tried again before its time, and no other site goes without for it.
            logger.exception("measuring from %s failed", where(site.cloud))
            return {(site.cloud, other.cloud): Trip(None, "an error of the operator") for other in others}
        return {(site.cloud, other.cloud): trips[other.address] for other in others}

    async def _entry(self, namespace: str, login: Login) -> Entry:
        bastion = login.jump_host.key_secret if login.jump_host is not None else ""
        return Entry(
            login,
            await self._key(namespace, login.key_secret),
            await self._key(namespace, bastion) if bastion else "",
        )

    async def _key(self, namespace: str, secret: str) -> str:
        values = await self._clients.secret(namespace, secret)
        if not values.get(_PRIVATE_KEY):
            raise MissingSecret(f"Secret {namespace}/{secret} has no {_PRIVATE_KEY}")
        return values[_PRIVATE_KEY]

    def _tell(self, route: Route, trip: Trip) -> None:
        """Once, until it is another reason."""
        if self._told.get(route, "") == trip.why:
            return
        self._told[route] = trip.why
        names = f"{where(route[0])} to {where(route[1])}"
        if trip.why:
            logger.info("latency from %s is not measured: %s", names, trip.why)
        else:
            logger.info("latency from %s is measured", names)
