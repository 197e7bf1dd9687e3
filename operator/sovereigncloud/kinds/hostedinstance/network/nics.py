"""Plan part for spec.networks: attach, detach and filter NICs."""

from __future__ import annotations

from dataclasses import replace

from sovereigncloud.api.instance_networks import InstanceNetwork
from sovereigncloud.core.outcome import Outcome, Phase, merge
from sovereigncloud.core.plan import Action, Disruption, Drift
from sovereigncloud.kinds.hostedinstance.machine.machine import EMPTY_PART, NEEDS_POWER, Machine, Part, merge_parts
from sovereigncloud.kinds.hostedinstance.network.nic_requirements import (
    check_address,
    required_nic,
    resolve_security_groups,
)
from sovereigncloud.kinds.hostedinstance.network.steps import (
    AttachNic,
    AttachSecurityGroup,
    DetachNic,
    DetachSecurityGroup,
    SecurityGroupStep,
)
from sovereigncloud.kinds.securitygroup.names import Place, group_name, names_of
from sovereigncloud.ports.opennebula.views import Nic
from sovereigncloud.ports.opennebula.vm_states import AT_REST, Situation

_NETWORK_STATES = frozenset({Situation.RUNNING, Situation.POWERED_OFF})


def networks(m: Machine) -> Part:
    """Plan one NIC per entry of spec.networks, and detach all others.

    NICs are matched by network. No NIC is detached while a missing one cannot be attached, so that a misspelt name does not
    disconnect the VM.
    """
    if m.resource.spec.networks is None:
        return EMPTY_PART
    place = Place(m.cloud, m.view, m.observed.mark, m.observed.pending_resources, m.vm.id, m.observed.owners)
    nics = list(m.vm.nics) if len(m.vm.nics) < 2 else sorted(m.vm.nics, key=lambda nic: nic.id)
    missing: list[InstanceNetwork] = []
    kept: list[Part] = []
    for wanted in m.resource.spec.networks:
        nic = _nic_for(wanted, m, nics)
        if nic is None:
            missing.append(wanted)
        else:
            nics.remove(nic)
            kept.append(_existing_nic(m, wanted, nic, place))
    attached = [_attach(m, wanted, place) for wanted in missing]
    detached = [_detach(m, nic) for nic in nics]
    if attached and any(part.outcome.phase is not Phase.DONE for part in attached):
        detached = [replace(part, steps=()) for part in detached]
    whole = merge_parts((*attached, *kept, *detached))
    if len(whole.steps) < 2:
        return whole
    # NICs that are re-attached with another address come last: missing NICs are attached before one is disconnected.
    return replace(whole, steps=tuple(sorted(whole.steps, key=_disconnects)))


def _disconnects(step: object) -> bool:
    return isinstance(step, DetachNic) and step.disruption is not Disruption.NONE


def _nic_for(wanted: InstanceNetwork, m: Machine, nics: list[Nic]) -> Nic | None:
    """Return the NIC on that network; of several, the one with the declared address."""
    first = None
    for nic in nics:
        if nic.network == wanted.name or _has_name(nic.network_id, wanted.name, m):
            if wanted.address is None or nic.ip == wanted.address:
                return nic
            first = first or nic
    return first


def _has_name(number: int, name: str, m: Machine) -> bool:
    """Return whether the network has this name now.

    A NIC keeps the name that its network had at attachment.
    """
    network = m.view.networks.get(number)
    return network is not None and network.name == name


def _attach(m: Machine, wanted: InstanceNetwork, place: Place) -> Part:
    drift = (Drift(f"spec.networks[{wanted.name}]", "attached", "absent"),)
    nic = required_nic(wanted, place)
    if isinstance(nic, Outcome):
        return Part(drift=drift, outcome=nic)
    if m.situation not in AT_REST:
        return Part(drift=drift)
    step = AttachNic(
        action=Action.ATTACH,
        target=f'network "{wanted.name}" to {m.target}',
        fields=(drift[0].path,),
        cause=m.cause,
        needs=_needs(m),
        cloud=m.cloud,
        vm=m.vm.id,
        name=wanted.name,
        nic=nic,
    )
    return Part(drift=drift, steps=(step,))


def _detach(m: Machine, nic: Nic) -> Part:
    drift = (Drift(f"spec.networks[{nic.network}]", "absent", f"card {nic.id}, {nic.ip or 'no address'}"),)
    if m.situation not in AT_REST:
        return Part(drift=drift)
    step = DetachNic(
        action=Action.DETACH,
        target=f'card {nic.id} on network "{nic.network}" from {m.target}',
        fields=(drift[0].path,),
        cause=m.cause,
        needs=_needs(m),
        cloud=m.cloud,
        vm=m.vm.id,
        nic=nic.id,
        name=nic.network,
    )
    return Part(drift=drift, steps=(step,))


def _needs(m: Machine) -> str:
    return "" if m.situation in _NETWORK_STATES else NEEDS_POWER


def _existing_nic(m: Machine, wanted: InstanceNetwork, nic: Nic, place: Place) -> Part:
    """Compare an existing NIC with spec: first its address, then its security groups.

    A NIC that is re-attached gets its security groups at that time.
    """
    if wanted.address not in {None, nic.ip}:
        return _change_address(m, wanted, nic, place)
    return _change_security_groups(m, wanted, nic, place)


def _change_address(m: Machine, wanted: InstanceNetwork, nic: Nic, place: Place) -> Part:
    """Detach a NIC to change its address; the next plan attaches it again.

    OpenNebula assigns the address at attachment. The NIC stays attached while the new address is not available.
    """
    drift = (Drift(f"spec.networks[{wanted.name}].address", wanted.address or "", nic.ip or "none"),)
    network = m.view.networks.get(nic.network_id)
    trouble = [] if network is None else [check_address(wanted, network, place)]
    groups = resolve_security_groups(wanted, place)
    outcome = merge([*trouble, *([groups] if isinstance(groups, Outcome) else [])])
    if outcome.phase is not Phase.DONE or m.situation not in AT_REST:
        return Part(drift=drift, outcome=outcome)
    step = DetachNic(
        action=Action.REPLACE,
        target=f'card {nic.id} ({nic.ip}) on network "{wanted.name}" of {m.target}',
        fields=(drift[0].path,),
        disruption=Disruption.CONNECTION if m.state.guest_runs else Disruption.NONE,
        cause=m.cause,
        needs=_needs(m),
        cloud=m.cloud,
        vm=m.vm.id,
        nic=nic.id,
        name=wanted.name,
    )
    return Part(drift=drift, steps=(step,))


def _change_security_groups(m: Machine, wanted: InstanceNetwork, nic: Nic, place: Place) -> Part:
    """Change the security groups of a NIC; the NIC itself stays attached.

    New groups are attached before others are detached, so that the required rules always apply.
    """
    if wanted.security_groups is None:
        return EMPTY_PART
    groups = resolve_security_groups(wanted, place)
    path = _groups_field(wanted)
    observed = names_of(nic.groups, m.view)
    if isinstance(groups, Outcome):
        return Part(drift=(Drift(path, ",".join(sorted(wanted.security_groups)), observed),), outcome=groups)
    aim = {group.id for group in groups}
    if aim == set(nic.groups):
        return EMPTY_PART
    drift = (Drift(path, names_of(aim, m.view), observed),)
    if m.situation not in AT_REST:
        return Part(drift=drift)
    attached = (_change_group(AttachSecurityGroup, m, wanted, nic, group) for group in sorted(aim - set(nic.groups)))
    detached = (_change_group(DetachSecurityGroup, m, wanted, nic, group) for group in sorted(set(nic.groups) - aim))
    return Part(drift=drift, steps=(*attached, *detached))


def _change_group(
    step: type[SecurityGroupStep], m: Machine, wanted: InstanceNetwork, nic: Nic, group: int
) -> SecurityGroupStep:
    name = group_name(group, m.view)
    action, preposition = (Action.ATTACH, "to") if step is AttachSecurityGroup else (Action.DETACH, "from")
    return step(
        action=action,
        target=f'security group "{name}" {preposition} card {nic.id} on network "{wanted.name}" of {m.target}',
        fields=(_groups_field(wanted),),
        cause=m.cause,
        needs=_needs(m),
        cloud=m.cloud,
        vm=m.vm.id,
        name=wanted.name,
        nic=nic.id,
        group=group,
        group_name=name,
    )


def _groups_field(wanted: InstanceNetwork) -> str:
    return f"spec.networks[{wanted.name}].securityGroups"
