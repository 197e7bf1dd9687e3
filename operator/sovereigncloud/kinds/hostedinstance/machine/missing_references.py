"""What spec names and a view does not have: only then the custom resources that are to bring it are looked for."""

from __future__ import annotations

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.api.securitygroup import SecurityGroup
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.hostedinstance.storage.image_claims import images_to_take
from sovereigncloud.ports.opennebula.views import CloudView


def lacks(resource: HostedInstance, view: CloudView, *, made: bool) -> bool:
    """Whether there is any of it. The custom resources may be thousands. `made`: there is a machine, which needs no image."""
    cards = resource.spec.networks
    if cards and not {card.name for card in cards} <= {network.name for network in view.networks.values()}:
        return True
    groups = _group_names(resource)
    if groups and not groups <= {group.name for group in view.security_groups.values()}:
        return True
    untaken = images_to_take(resource)
    if untaken and not untaken.keys() <= {image.name for image in view.images.values()}:
        return True
    if made:
        return False
    image = resource.spec.source.image
    return image not in {None, *(known.name for known in view.images.values())}


def named_security_groups(resource: HostedInstance, context: Context) -> tuple[SecurityGroup, ...]:
    """The SecurityGroups of its namespace that bear the names: one that is in no cloud yet refers to none."""
    keys = (Key(SecurityGroup.crd.kind, resource.metadata.namespace, name) for name in _group_names(resource))
    return tuple(found for found in map(context.get, sorted(keys)) if isinstance(found, SecurityGroup))


def _group_names(resource: HostedInstance) -> set[str]:
    return {name for card in resource.spec.networks or () if card.security_groups for name in card.security_groups}
