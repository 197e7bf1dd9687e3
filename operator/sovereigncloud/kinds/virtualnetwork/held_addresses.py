"""Addresses of a network that nobody is given."""

from __future__ import annotations

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.virtualnetwork import VirtualNetwork
from sovereigncloud.core.outcome import DONE, Outcome, blocked, stalled
from sovereigncloud.core.plan import Action, Cause, Drift, Plan, Step
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.planning.addressing import contains
from sovereigncloud.kinds.virtualnetwork.leases import HOLD, holder, lease_of, on_hold
from sovereigncloud.kinds.virtualnetwork.steps import HoldAddress, ReleaseAddress
from sovereigncloud.kinds.virtualnetwork.template import Wanted
from sovereigncloud.ports.opennebula.views import CloudView, Network


def holds(resource: VirtualNetwork, network: Network, asked: Wanted, cloud: Key, view: CloudView | None) -> Plan:
    """Exactly the addresses that spec lists are on hold; without a list what is on hold is left alone."""
    if resource.spec.held is None:
        return Plan()
    cause = Cause.OBSERVED if resource.settled else Cause.DECLARED
    drift: list[Drift] = []
    steps: list[Step] = []
    outcome = DONE
    for ip in sorted(on_hold(network) - set(resource.spec.held)):
        drift.append(Drift(_path(ip), "free", "on hold"))
        steps.append(release(cloud, network, ip, cause))
    for ip in resource.spec.held:
        lease = lease_of(network, ip)
        if lease is not None and lease.holder == HOLD:
            continue
        drift.append(Drift(_path(ip), "on hold", "free" if lease is None else holder(lease, view)))
        trouble = _trouble(ip, network, asked, view)
        outcome = outcome.merge(trouble)
        if trouble is DONE and any(range_.ip and contains(range_, ip) for range_ in network.ranges):
            steps.append(
                HoldAddress(
                    action=Action.UPDATE,
                    target=f"address {ip} of {_what(network, cloud)}",
                    fields=(_path(ip),),
                    cause=cause,
                    cloud=cloud,
                    network=network.id,
                    ip=ip,
                )
            )
    return Plan(drift=tuple(drift), steps=tuple(steps), outcome=outcome)


def release(cloud: Key, network: Network, ip: str, cause: Cause) -> ReleaseAddress:
    """Let an address go that is on hold."""
    return ReleaseAddress(
        action=Action.UPDATE,
        target=f"address {ip} of {_what(network, cloud)}: free",
        fields=(_path(ip),),
        cause=cause,
        cloud=cloud,
        network=network.id,
        ip=ip,
    )


def _trouble(ip: str, network: Network, asked: Wanted, view: CloudView | None) -> Outcome:
    lease = lease_of(network, ip)
    if lease is not None:
        return blocked(
            f"spec.held: {ip} of network {network.id} is not put on hold while {holder(lease, view)} has it; free it, or"
            " take it out",
            reason=Reason.ADDRESS_IN_USE,
        )
    known = asked.ranges if asked.ranges is not None else network.ranges
    if any(range_.ip and contains(range_, ip) for range_ in known):
        return DONE
    return stalled(Reason.ADDRESS_OUTSIDE_RANGES, f"spec.held: {ip} is in no range of spec.addressRanges; take it out")


def _what(network: Network, cloud: Key) -> str:
    return f'network {network.id} "{network.name}" in {where(cloud)}'


def _path(ip: str) -> str:
    return f"spec.held[{ip}]"
