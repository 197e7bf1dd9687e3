"""The network cards of a machine."""

from __future__ import annotations

from dataclasses import replace

from sovereigncloud.api.instance_networks import InstanceNetwork
from sovereigncloud.core.outcome import Outcome, Phase, merge
from sovereigncloud.core.plan import Action, Disruption, Drift
from sovereigncloud.kinds.hostedinstance.machine.machine import NEEDS_POWER, NOTHING, Machine, Part, together
from sovereigncloud.kinds.hostedinstance.network.nic_requirements import address, groups_of, needed
from sovereigncloud.kinds.hostedinstance.network.steps import AttachGroup, AttachNic, DetachGroup, DetachNic, GroupStep
from sovereigncloud.kinds.securitygroup.names import Place, group_name, names_of
from sovereigncloud.ports.opennebula.views import Nic
from sovereigncloud.ports.opennebula.vm_states import AT_REST, Situation

_NETWORK_STATES = frozenset({Situation.RUNNING, Situation.POWERED_OFF})


def networks(m: Machine) -> Part:
    """One card per network of spec, and no other. A card is found by its network; none that is right is touched, and none
    is taken away while the network that is wanted instead cannot be had: a misspelt name must not cut a machine off.
    """
    if m.resource.spec.networks is None:
        return NOTHING
    place = Place(m.cloud, m.view, m.observed.mark, m.observed.on_their_way, m.vm.id, m.observed.owners)
    cards = list(m.vm.nics) if len(m.vm.nics) < 2 else sorted(m.vm.nics, key=lambda nic: nic.id)
    missing: list[InstanceNetwork] = []
    kept: list[Part] = []
    for wanted in m.resource.spec.networks:
        card = _card_for(wanted, m, cards)
        if card is None:
            missing.append(wanted)
        else:
            cards.remove(card)
            kept.append(_keep(m, wanted, card, place))
    attached = [_attach(m, wanted, place) for wanted in missing]
    detached = [_detach(m, card) for card in cards]
    if attached and any(part.outcome.phase is not Phase.DONE for part in attached):
        detached = [replace(part, steps=()) for part in detached]
    whole = together((*attached, *kept, *detached))
    if len(whole.steps) < 2:
        return whole
    # A card that is to come back with another address goes last: a missing one is attached before the next is cut off.
    return replace(whole, steps=tuple(sorted(whole.steps, key=_interrupts)))


def _interrupts(step: object) -> bool:
    return isinstance(step, DetachNic) and step.disruption is not Disruption.NONE


def _card_for(wanted: InstanceNetwork, m: Machine, cards: list[Nic]) -> Nic | None:
    """The card on that network; of several the one that has the address already."""
    first = None
    for nic in cards:
        if nic.network == wanted.name or _is_called(nic.network_id, wanted.name, m):
            if wanted.address is None or nic.ip == wanted.address:
                return nic
            first = first or nic
    return first


def _is_called(number: int, name: str, m: Machine) -> bool:
    """A card tells the name that its network had when it was attached; it may have another one by now."""
    network = m.view.networks.get(number)
    return network is not None and network.name == name


def _attach(m: Machine, wanted: InstanceNetwork, place: Place) -> Part:
    drift = (Drift(f"spec.networks[{wanted.name}]", "attached", "absent"),)
    card = needed(wanted, place)
    if isinstance(card, Outcome):
        return Part(drift=drift, outcome=card)
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
        card=card,
    )
    return Part(drift=drift, steps=(step,))


def _detach(m: Machine, card: Nic) -> Part:
    drift = (Drift(f"spec.networks[{card.network}]", "absent", f"card {card.id}, {card.ip or 'no address'}"),)
    if m.situation not in AT_REST:
        return Part(drift=drift)
    step = DetachNic(
        action=Action.DETACH,
        target=f'card {card.id} on network "{card.network}" from {m.target}',
        fields=(drift[0].path,),
        cause=m.cause,
        needs=_needs(m),
        cloud=m.cloud,
        vm=m.vm.id,
        nic=card.id,
        name=card.network,
    )
    return Part(drift=drift, steps=(step,))


def _needs(m: Machine) -> str:
    return "" if m.situation in _NETWORK_STATES else NEEDS_POWER


def _keep(m: Machine, wanted: InstanceNetwork, card: Nic, place: Place) -> Part:
    """A card that is there: its address, else what filters it. One that is to be attached anew gets its groups then."""
    if wanted.address not in {None, card.ip}:
        return _readdress(m, wanted, card, place)
    return _filter(m, wanted, card, place)


def _readdress(m: Machine, wanted: InstanceNetwork, card: Nic, place: Place) -> Part:
    """OpenNebula gives a card its address when it is attached, so it is taken off; the next look finds it missing. It
    stays while the address cannot be had.
    """
    drift = (Drift(f"spec.networks[{wanted.name}].address", wanted.address or "", card.ip or "none"),)
    network = m.view.networks.get(card.network_id)
    trouble = [] if network is None else [address(wanted, network, place)]
    groups = groups_of(wanted, place)
    outcome = merge([*trouble, *([groups] if isinstance(groups, Outcome) else [])])
    if outcome.phase is not Phase.DONE or m.situation not in AT_REST:
        return Part(drift=drift, outcome=outcome)
    step = DetachNic(
        action=Action.REPLACE,
        target=f'card {card.id} ({card.ip}) on network "{wanted.name}" of {m.target}',
        fields=(drift[0].path,),
        disruption=Disruption.CONNECTION if m.state.guest_runs else Disruption.NONE,
        cause=m.cause,
        needs=_needs(m),
        cloud=m.cloud,
        vm=m.vm.id,
        nic=card.id,
        name=wanted.name,
    )
    return Part(drift=drift, steps=(step,))


def _filter(m: Machine, wanted: InstanceNetwork, card: Nic, place: Place) -> Part:
    """Groups are attached before others are detached, so that the card is never without the rules that let it work; and
    the card itself stays, whatever changes.
    """
    if wanted.security_groups is None:
        return NOTHING
    groups = groups_of(wanted, place)
    path = _groups_field(wanted)
    observed = names_of(card.groups, m.view)
    if isinstance(groups, Outcome):
        return Part(drift=(Drift(path, ",".join(sorted(wanted.security_groups)), observed),), outcome=groups)
    aim = {group.id for group in groups}
    if aim == set(card.groups):
        return NOTHING
    drift = (Drift(path, names_of(aim, m.view), observed),)
    if m.situation not in AT_REST:
        return Part(drift=drift)
    attached = (_change_group(AttachGroup, m, wanted, card, group) for group in sorted(aim - set(card.groups)))
    detached = (_change_group(DetachGroup, m, wanted, card, group) for group in sorted(set(card.groups) - aim))
    return Part(drift=drift, steps=(*attached, *detached))


def _change_group(step: type[GroupStep], m: Machine, wanted: InstanceNetwork, card: Nic, group: int) -> GroupStep:
    name = group_name(group, m.view)
    action, preposition = (Action.ATTACH, "to") if step is AttachGroup else (Action.DETACH, "from")
    return step(
        action=action,
        target=f'security group "{name}" {preposition} card {card.id} on network "{wanted.name}" of {m.target}',
        fields=(_groups_field(wanted),),
        cause=m.cause,
        needs=_needs(m),
        cloud=m.cloud,
        vm=m.vm.id,
        name=wanted.name,
        nic=card.id,
        group=group,
        group_name=name,
    )


def _groups_field(wanted: InstanceNetwork) -> str:
    return f"spec.networks[{wanted.name}].securityGroups"
