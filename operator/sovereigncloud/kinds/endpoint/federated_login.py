"""With which Secret a cloud is entered that joined a federation or left one: its oneadmin is the master's since the join, and
a Secret that the operator generated is never overwritten.

Nothing but an answer tells which it is: a join may have been done by a person, or before the cluster was rebuilt. So the
other one is tried where one is refused.
"""

from __future__ import annotations

from dataclasses import dataclass

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.federatedzone import FederatedZone
from sovereigncloud.api.sovereigncloud import SovereignCloud
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.endpoint.clouds import referred
from sovereigncloud.kinds.endpoint.endpoint import endpoint_of, own_endpoint
from sovereigncloud.ports.errors import Auth, MissingSecret
from sovereigncloud.ports.opennebula.views import Front


@dataclass(frozen=True, slots=True)
class Entered:
    """Who answered, and to which Secret; `federation`: that Secret where it is the master's."""

    front: Front
    secret: str
    federation: str


async def entered_otherwise(cloud: SovereignCloud, context: Context) -> Entered | None:
    """Try the Secrets that may be the right one now, after the one in use was refused; None: none of them is."""
    own, used = own_endpoint(cloud, context.get), endpoint_of(cloud, context.get)
    if own is None or used is None:
        return None
    for secret in dict.fromkeys((own.secret, *_masters(cloud, context))):
        if secret == used.secret:
            continue
        try:
            front = await (await context.open_nebula_with(cloud.key, secret)).front()
        except (Auth, MissingSecret):
            continue
        return Entered(front, secret, secret if secret != own.secret else "")
    return None


def _masters(cloud: SovereignCloud, context: Context) -> list[str]:
    """The Secrets of the masters of the zone that the cloud is to be, in its own namespace."""
    found = []
    for zone in context.users(cloud.key, FederatedZone.crd.kind):
        if not isinstance(zone, FederatedZone) or zone.spec.master_ref is None:
            continue
        namespace = zone.metadata.namespace
        master = context.get(Key(FederatedZone.crd.kind, namespace, zone.spec.master_ref.name))
        if not isinstance(master, FederatedZone) or namespace != cloud.metadata.namespace:
            continue
        where = context.get(referred(master.spec.cloud_ref, namespace))
        endpoint = endpoint_of(where, context.get) if isinstance(where, SovereignCloud) else None
        if endpoint is not None and isinstance(where, SovereignCloud) and where.metadata.namespace == namespace:
            found.append(endpoint.secret)
    return found
