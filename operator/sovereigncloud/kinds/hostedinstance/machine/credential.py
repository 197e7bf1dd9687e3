"""Selection of the OpenNebula credential for a step.

Steps run as the user of the namespace, so that OpenNebula enforces quota and permissions. Steps that need more run as the
administrator of the cloud, after a check that the VM belongs to the namespace.
"""

from __future__ import annotations

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.kinds.contract.cloud_keys import where
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.hostedinstance.machine.step import ImageCall, VmStep
from sovereigncloud.kinds.identity.adoption import OWNER_FACT
from sovereigncloud.kinds.identity.identification import check
from sovereigncloud.ports.errors import Rejected
from sovereigncloud.ports.opennebula.client import OpenNebula


async def client_for_vm(step: VmStep, resource: HostedInstance, context: Context) -> OpenNebula:
    """Return the client for a step on a VM.

    Raises Rejected if the VM does not belong to the namespace.
    """
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


async def client_for_image(step: ImageCall, resource: HostedInstance, context: Context) -> OpenNebula:
    """Return the client for a step on an image or template, where there may be no VM."""
    if step.by_administrator:
        return await context.open_nebula(step.cloud)
    return await context.open_nebula_for(step.cloud, resource.metadata.namespace)


def _adopted_from(resource: HostedInstance) -> int | None:
    """Return the user id that owned the VM at adoption; this owner stays accepted."""
    owner = resource.external.get(OWNER_FACT, "")
    return int(owner) if owner.isdigit() else None
