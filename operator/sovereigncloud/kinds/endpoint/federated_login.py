"""Find the working credentials Secret of a cloud that joined or left a federation.

Since the join its oneadmin is the master's, and the operator never overwrites a Secret that it generated. Only a
login tells which Secret is right: a person may have made the join, or it happened before a cluster rebuild. So the
operator tries the other Secret when one is refused.
"""

from __future__ import annotations

from dataclasses import dataclass

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.federatedzone import FederatedZone
from sovereigncloud.api.sovereigncloud import SovereignCloud
from sovereigncloud.kinds.contract.cloud_keys import referred
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.endpoint.endpoint import endpoint_of, own_endpoint
from sovereigncloud.ports.errors import Auth, MissingSecret
from sovereigncloud.ports.opennebula.views import Front


@dataclass(frozen=True, slots=True)
class Entered:
    """A successful login: who answered and with which Secret.

    `federation`: that Secret if it is the master's.
    """

    front: Front
    secret: str
    federation: str


async def entered_otherwise(cloud: SovereignCloud, context: Context) -> Entered | None:
    """Try the alternative Secrets after the one in use was refused; None: none of them works."""
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
    """List the Secrets of the masters of the cloud's zone, in its own namespace."""
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
