"""As whom a step of a machine is done: as the user of its namespace, so that OpenNebula itself keeps to quota and rights. What
needs more is done as the cloud's administrator, who is asked first whose the machine is.
"""

from __future__ import annotations

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.hostedinstance.machine.step import ImageCall, VmStep
from sovereigncloud.kinds.identity.adoption import OWNER_FACT
from sovereigncloud.kinds.identity.identification import check
from sovereigncloud.ports.errors import Rejected
from sovereigncloud.ports.opennebula.client import OpenNebula


async def client_of(step: VmStep, resource: HostedInstance, context: Context) -> OpenNebula:
    """For something done to a machine. Raises Rejected where it is not the namespace's."""
    namespace = resource.metadata.namespace
    if not step.by_administrator:
        return await context.open_nebula_for(step.cloud, namespace, step.vm)
    client, tenancy = await context.open_nebula(step.cloud), context.tenancy(namespace, step.cloud)
    if tenancy is not None:
        owners = {(await client.front()).user_id}
        owners |= {owner for owner in (tenancy.user, _adopted_from(resource)) if owner is not None}
        checked = check(await client.vm(step.vm), owners, context.mark(resource), "VM")
        if checked.problem is not None:
            raise Rejected(checked.problem.message, where=where(step.cloud), reason=Reason.OWNER_CHANGED)
    return client


async def client_beside(step: ImageCall, resource: HostedInstance, context: Context) -> OpenNebula:
    """For something done in the cloud beside a machine."""
    if step.by_administrator:
        return await context.open_nebula(step.cloud)
    return await context.open_nebula_for(step.cloud, resource.metadata.namespace)


def _adopted_from(resource: HostedInstance) -> int | None:
    """Whose it was when it was adopted, and may stay."""
    owner = resource.external.get(OWNER_FACT, "")
    return int(owner) if owner.isdigit() else None
