"""Whether a credential of OVHcloud has the rights that an object needs: asked before work starts, and where a call was refused.

What is granted is believed for an hour, what is refused for a minute, by thing and credential: the servers of a cloud are asked
about once, together with it, and at rest nothing is asked at all.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.core.outcome import Outcome, stalled
from sovereigncloud.engine.loop.outcomes import LOOK_AGAIN
from sovereigncloud.engine.views.clients import Clients
from sovereigncloud.kinds.contract.controller import AnyResource
from sovereigncloud.kinds.rights.operations import OPERATIONS
from sovereigncloud.kinds.rights.policy import Lack, Need, lacks, told
from sovereigncloud.kinds.rights.requirements import needs
from sovereigncloud.ports.errors import Auth, MissingSecret, OutsideError
from sovereigncloud.ports.ovh.account import Ovh
from sovereigncloud.ports.ovh.iam import Identity

logger = logging.getLogger(__name__)

GRANTED_FOR = 3600.0
REFUSED_FOR = LOOK_AGAIN
_EVERYTHING = tuple(dict.fromkeys(action for one in OPERATIONS for action in one.actions))
"""All are asked about at once: the next object with the same things needs others."""


@dataclass(slots=True)
class _Known:
    """What one client said of its rights.

    Attributes:
        client: since a Secret that was changed has another.
        refused: by URN, with the time it was asked.
    """

    client: Ovh
    who: Identity
    asked: float
    refused: dict[str, tuple[float, frozenset[str]]] = field(default_factory=dict)

    def refused_on(self, urns: Iterable[str]) -> Mapping[str, frozenset[str]]:
        return {urn: self.refused[urn][1] for urn in urns}


class Preflight:
    """Asks for the rights of credentials, and remembers the answers.

    Args:
        clients: of accounts.
        get: an object of the store.
        clock: monotonic seconds.
    """

    def __init__(self, clients: Clients, get: Callable[[Key], AnyResource | None], clock: Callable[[], float]) -> None:
        self._clients, self._get, self._clock = clients, get, clock
        self._known: dict[tuple[str, str, str], _Known] = {}
        self._asking: dict[tuple[str, str, str], asyncio.Lock] = {}

    async def lacking(self, resource: AnyResource, *, anew: bool = False) -> Outcome | None:
        """What to say of rights that lack; None: none does, or nobody knows. `anew`: something was refused just now.

        A thing on which nothing at all is granted does not count by itself: a name that was misspelt looks the same, and the
        kinds say that there is no such thing.
        """
        namespace = resource.metadata.namespace
        parts = []
        for need in needs(resource, self._get):
            try:
                found = await self._lacks(need, namespace, anew=anew)
            except (OutsideError, MissingSecret) as error:
                # The check is a help: what it cannot say, the call itself will.
                logger.info("rights of Secret %s/%s: %s", namespace, need.secret, error)
                continue
            if any(not lack.all_of_it for lack in found):
                parts.append(told(found, f"{namespace}/{need.secret}"))
        return stalled(Reason.MISSING_RIGHTS, "; ".join(parts), after=LOOK_AGAIN) if parts else None

    async def explained(self, error: Exception, resource: AnyResource) -> Outcome | None:
        """What to say where OVHcloud refused something: all that lacks, instead of the one right that was needed first."""
        if not isinstance(error, Auth) or not error.where.startswith("OVHcloud"):
            return None
        return await self.lacking(resource, anew=True)

    def drop(self, namespace: str, secret: str) -> None:
        """Nobody refers to a Secret any more."""
        for key in [key for key in self._known if key[1:] == (namespace, secret)]:
            del self._known[key]
            self._asking.pop(key, None)

    async def _lacks(self, need: Need, namespace: str, *, anew: bool) -> tuple[Lack, ...]:
        key = (need.endpoint, namespace, need.secret)
        client = await self._clients.ovh(*key)
        async with self._asking.setdefault(key, asyncio.Lock()):  # the first of many asks, the others read
            known = self._known.get(key)
            if known is None or known.client is not client or self._old(known.asked, GRANTED_FOR):
                known = self._known[key] = _Known(client, await client.rights.identity(), self._clock())
            urns = need.urns(known.who.account)
            await self._ask(known, [urn for urn in urns if urn not in known.refused])
            found = lacks(need, known.who, known.refused_on(urns))
            if (found or anew) and (old := [urn for urn in urns if self._old(known.refused[urn][0], REFUSED_FOR)]):
                if self._old(known.asked, REFUSED_FOR):
                    known.who, known.asked = await client.rights.identity(), self._clock()
                await self._ask(known, old)
                found = lacks(need, known.who, known.refused_on(urns))
        return found

    async def _ask(self, known: _Known, urns: list[str]) -> None:
        if urns:
            answered, now = await known.client.rights.refused(urns, _EVERYTHING), self._clock()
            # What the API says nothing of is not known to lack.
            known.refused |= {urn: (now, answered.get(urn, frozenset())) for urn in urns}

    def _old(self, asked: float, age: float) -> bool:
        return self._clock() - asked >= age
