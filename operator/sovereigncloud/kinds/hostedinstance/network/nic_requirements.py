"""What a network card that spec declares needs of the cloud: its network, its address, its security groups; or why not."""

from __future__ import annotations

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.instance_networks import InstanceNetwork
from sovereigncloud.core.outcome import DONE, Outcome, Phase, blocked, merge, stalled, waiting
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.hostedinstance.network.steps import NewCard
from sovereigncloud.kinds.identity.name_resolution import resolve
from sovereigncloud.kinds.identity.usage_rights import not_of_other_tenants
from sovereigncloud.kinds.planning.addressing import contains, ends
from sovereigncloud.kinds.securitygroup.names import Place, named_groups
from sovereigncloud.kinds.virtualnetwork.leases import lease_of, taken_by
from sovereigncloud.ports.opennebula.security_groups import SecurityGroup
from sovereigncloud.ports.opennebula.views import Network

_NETWORK_READY = 1
_NETWORK_BROKEN = {5: "Error", 6: "UpdateFailure"}


def needed(wanted: InstanceNetwork, place: Place) -> NewCard | Outcome:
    """A card as spec declares it; or why it cannot be yet."""
    candidates = not_of_other_tenants(place.view.networks.values(), place.view, place.owners)
    network = resolve("network", wanted.name, candidates, place.on_their_way, where(place.cloud))
    if isinstance(network, Outcome):
        return network
    groups = groups_of(wanted, place)
    troubles = [usable(network, where(place.cloud)), address(wanted, network, place)]
    if isinstance(groups, Outcome):
        troubles.append(groups)
    trouble = merge(troubles)
    if trouble.phase is not Phase.DONE or isinstance(groups, Outcome):
        return trouble
    return NewCard(network.id, wanted.address or "", tuple(group.id for group in groups))


def usable(network: Network, place: str) -> Outcome:
    """Whether a machine can be attached to it now."""
    what = f'network {network.id} "{network.name}" in {place}'
    if network.state == _NETWORK_READY:
        return DONE
    if broken := _NETWORK_BROKEN.get(network.state):
        return stalled(
            Reason.NETWORK_ERROR, f"{what} is in state {broken}; recover it there (onevnet recover {network.id})"
        )
    return waiting(Reason.NETWORK_NOT_READY, f"{what} is not ready yet")


def address(wanted: InstanceNetwork, network: Network, place: Place) -> Outcome:
    """Whether the address that spec names can be had: OpenNebula says no more than that there is no lease."""
    if wanted.address is None:
        return DONE
    what = f'network {network.id} "{network.name}" in {where(place.cloud)}'
    field = f"spec.networks[{wanted.name}].address"
    ranges = [range_ for range_ in network.ranges if range_.ip]
    if not any(contains(range_, wanted.address) for range_ in ranges):
        known = ", ".join(f"{range_.ip} to {ends(range_)[1]}" for range_ in ranges) or "none"
        return stalled(
            Reason.ADDRESS_OUTSIDE_RANGES,
            f"{field}: {wanted.address} is in no address range of {what}; there are: {known}. Name one of those, or"
            " leave the address out",
        )
    taken = lease_of(network, wanted.address)
    if taken is None or (taken.holder == "VM" and taken.id == place.vm):
        return DONE
    holder = taken_by(taken, wanted.address, network, place.view)
    return blocked(
        f"{field}: {wanted.address} of {what} is taken: {holder}; free it there, or name another address",
        reason=Reason.ADDRESS_IN_USE,
    )


def groups_of(wanted: InstanceNetwork, place: Place) -> tuple[SecurityGroup, ...] | Outcome:
    """The security groups that spec names."""
    return named_groups(wanted.security_groups or (), place)
