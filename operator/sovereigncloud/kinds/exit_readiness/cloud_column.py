"""How many machines of a cloud could leave it now: its column EXIT. No request for a machine, and nothing that moves by itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from sovereigncloud.api import SovereignCloud
from sovereigncloud.api.stores import StoreType
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.exit_readiness.estimate import Question, Source, closed, could_leave
from sovereigncloud.kinds.sovereigncloud.stores.observation import Kept
from sovereigncloud.ports.errors import NotYet
from sovereigncloud.ports.opennebula.views import CloudView


@dataclass(frozen=True, slots=True)
class Exit:
    """`movable` of `machines` could leave."""

    movable: int
    machines: int

    @property
    def told(self) -> str:
        """Empty where there is no machine."""
        return f"{self.movable}/{self.machines}" if self.machines else ""


async def way_out(cloud: SovereignCloud, view: CloudView | None, kept: Iterable[Kept], context: Context) -> Exit | None:
    """Anywhere that the namespace of each may use: networks are not looked at, since nobody said which takes the place of which. None:
    it cannot be told now, and what was told stays. `kept`: the marketplaces of the cloud, among others.
    """
    if view is None and not cloud.status.lost_since:
        return None
    question = Question(
        targets=lambda namespace: tuple(one for one in context.clouds(namespace) if one != cloud.key), networks=False
    )
    markets = ((one.name, one.frame["MARKET_MAD"], one.enabled) for one in kept if one.kind is StoreType.MARKETPLACE)
    source = Source(cloud.key, view, closed(cloud.key, markets))
    try:
        found = await could_leave((source,), question, context)
    except NotYet:
        return None  # another cloud is being read, and this one is looked at again with it
    return Exit(found.movable, len(found.ways))
