"""References in spec to networks, security groups and images missing in the cloud.

Only if one is missing are the custom resources that create it looked up.
"""

from __future__ import annotations

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.api.securitygroup import SecurityGroup
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.hostedinstance.machine.image_claims import unrecorded_images
from sovereigncloud.ports.opennebula.views import CloudView


def has_missing_references(resource: HostedInstance, view: CloudView, *, made: bool) -> bool:
    """Return whether the cloud lacks a network, security group or image that spec names.

    Args:
        resource: the instance.
        view: pools of the cloud.
        made: whether the VM exists, so that its source image is not needed any more.
    """
    nics = resource.spec.networks
    if nics and not {nic.name for nic in nics} <= {network.name for network in view.networks.values()}:
        return True
    groups = _group_names(resource)
    if groups and not groups <= {group.name for group in view.security_groups.values()}:
        return True
    untaken = unrecorded_images(resource)
    if untaken and not untaken.keys() <= {image.name for image in view.images.values()}:
        return True
    if made:
        return False
    image = resource.spec.source.image
    return image not in {None, *(known.name for known in view.images.values())}


def named_security_groups(resource: HostedInstance, context: Context) -> tuple[SecurityGroup, ...]:
    """Return the SecurityGroup objects of the namespace that spec.networks names."""
    keys = (Key(SecurityGroup.crd.kind, resource.metadata.namespace, name) for name in _group_names(resource))
    return tuple(found for found in map(context.get, sorted(keys)) if isinstance(found, SecurityGroup))


def _group_names(resource: HostedInstance) -> set[str]:
    return {name for nic in resource.spec.networks or () if nic.security_groups for name in nic.security_groups}
