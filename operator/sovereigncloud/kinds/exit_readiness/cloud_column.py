"""Exit readiness of one cloud, for its column EXIT: how many of its VMs could leave now.

It costs no API request per VM and moves nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from sovereigncloud.api import SovereignCloud
from sovereigncloud.api.stores import StoreType
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.contract.exit_count import ExitReadiness
from sovereigncloud.kinds.exit_readiness.estimate import ExitQuery, Source, estimate_exit, marketplace_blocker
from sovereigncloud.kinds.sovereigncloud.stores.observation import ObservedStore
from sovereigncloud.ports.errors import NotYet
from sovereigncloud.ports.opennebula.views import CloudView


async def estimate_cloud_exit(
    cloud: SovereignCloud, view: CloudView | None, kept: Iterable[ObservedStore], context: Context
) -> ExitReadiness | None:
    """Compute the exit readiness of a cloud, towards all clouds that each VM's namespace may use.

    Networks are ignored, since no network map is given. None if it cannot be computed now: the last value stays.
    `kept`: stores of the cloud, its marketplaces among them.
    """
    if view is None and not cloud.status.lost_since:
        return None
    question = ExitQuery(
        targets=lambda namespace: tuple(one for one in context.clouds(namespace) if one != cloud.key), networks=False
    )
    markets = ((one.name, one.frame["MARKET_MAD"], one.enabled) for one in kept if one.kind is StoreType.MARKETPLACE)
    source = Source(cloud.key, view, marketplace_blocker(cloud.key, markets))
    try:
        found = await estimate_exit((source,), question, context)
    except NotYet:
        return None  # another cloud is being read; this one is reconciled again afterwards
    return ExitReadiness(found.movable, len(found.ways))
