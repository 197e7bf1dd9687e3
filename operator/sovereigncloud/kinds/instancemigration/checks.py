"""What is known to be in the way of a move before it begins. Each of these is told by its own name, with what to do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from sovereigncloud.api.common.base import Consent, Management
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.api.instance_networks import InstanceNetwork
from sovereigncloud.api.instancemigration import InstanceMigration, MigrationMode
from sovereigncloud.core.outcome import DONE, Outcome, blocked, merge, stalled, waiting
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.hostedinstance.machine import capacity
from sovereigncloud.kinds.hostedinstance.network.nic_requirements import needed
from sovereigncloud.kinds.hostedinstance.network.steps import NewCard
from sovereigncloud.kinds.hostedinstance.observation import declared_cloud
from sovereigncloud.kinds.hostedinstance.placement.quota import taken, within_quota
from sovereigncloud.kinds.instancemigration.marketplace import market_trouble
from sovereigncloud.kinds.instancemigration.observation import (
    MigrationObservation,
    Side,
    as_it_will_be,
    network_names,
    target_of,
)
from sovereigncloud.kinds.securitygroup.names import Place
from sovereigncloud.ports.opennebula.views import Datastore, Vm
from sovereigncloud.ports.opennebula.vm_states import AT_REST, Situation, state_of

_IMAGE_DATASTORE = 0
_NO_IMAGE = -1


def in_the_way(move: InstanceMigration, seen: MigrationObservation) -> Outcome:
    """All that is, together; DONE: it may begin."""
    if seen.other:
        return blocked(f"InstanceMigration {seen.other} moves the same machine; this one begins when that one is over")
    if seen.instance is None or seen.source is None or seen.target is None or seen.old is None:
        return DONE
    machine = f'VM {seen.old.id} "{seen.old.name}" in {where(seen.source.cloud)}'
    return merge(
        (
            *of_the_instance(move, seen.instance),
            *of_the_machine(seen.old, machine),
            _state(move, seen.old, machine),
            seen.exits,
            cards_of(move, seen)[1],
            market_trouble(move, seen),
            room(seen, seen.source, seen.target),
            place(seen),
            quota(move, seen),
        )
    )


def of_the_instance(move: InstanceMigration, instance: HostedInstance) -> Iterator[Outcome]:
    name = f"HostedInstance {instance.metadata.name}"
    if instance.deleting:
        yield stalled(Reason.NOT_MOVABLE, f"{name} is being deleted")
    if instance.paused or instance.spec.management is Management.OBSERVE:
        yield blocked(
            f"{name} is paused or only observed, so that it could not follow; let it be managed (spec.management: Manage)"
        )
    policy, named = instance.spec.update_policy, declared_cloud(instance)
    goes_back = policy is not None and policy.move is Consent.ALLOW and named not in {None, target_of(move)}
    if goes_back and move.spec.mode == MigrationMode.EXECUTE and move.spec.exit_plan_ref is None:
        yield stalled(
            Reason.NOT_MOVABLE,
            f"{name} would move back by itself: its spec.updatePolicy.move is Allow, and spec.placement.cloudRef names another cloud"
            " than this move; name the new one there, which moves it, or leave cloudRef out",
        )


def of_the_machine(vm: Vm, machine: str) -> Iterator[Outcome]:
    """What OpenNebula cannot save, or nobody could give it elsewhere."""
    volatile = [str(disk.id) for disk in vm.disks if disk.image_id == _NO_IMAGE]
    if volatile:
        yield stalled(
            Reason.NOT_MOVABLE,
            f"{machine}: disk {', '.join(volatile)} is volatile, of no image, and OpenNebula cannot save it; copy what is on it to a"
            " disk of spec.disks and take it off",
        )
    if vm.pci:
        devices = ", ".join(map(str, vm.pci))
        yield stalled(
            Reason.NOT_MOVABLE,
            f"{machine} has devices of its host ({devices}); take them out of spec.pciDevices before it moves",
        )
    if not vm.disks:
        yield stalled(Reason.NOT_MOVABLE, f"{machine} has no disk, so there is nothing to copy")


def _state(move: InstanceMigration, vm: Vm, machine: str) -> Outcome:
    """A machine that is neither running nor off is saved half, or not at all."""
    state = state_of(vm)
    if state.situation not in AT_REST and state.situation is not Situation.FAILED:
        return waiting(state.reason, f"{machine} is {state.words}; it moves when that is over")
    allowed = {Situation.RUNNING, Situation.POWERED_OFF}
    if state.situation not in allowed:
        how = "rehearsed" if move.spec.mode == MigrationMode.REHEARSE else "moved"
        return stalled(
            Reason.NOT_MOVABLE, f"{machine} is {state.words}; start it or power it off, so that it can be {how}"
        )
    return DONE


# ------------------------------------------------------------------------------------------------------------ networks


def cards_of(move: InstanceMigration, seen: MigrationObservation) -> tuple[tuple[NewCard, ...], Outcome]:
    """The network cards that it gets in the other cloud; and what is in the way of them."""
    if seen.instance is None or seen.target is None or seen.machine is None or seen.instance_mark is None:
        return (), DONE
    target = seen.target
    names = network_names(move)
    declared = {one.name: one for one in as_it_will_be(move, seen.instance).spec.networks or ()}
    place = Place(target.cloud, target.view, seen.instance_mark, owners=target.owners)
    cards: list[NewCard] = []
    troubles: list[Outcome] = []
    for nic in seen.machine.nics:
        name = names.get(nic.network, nic.network)
        found = needed(declared.get(name, InstanceNetwork(name=name)), place)
        if isinstance(found, NewCard):
            cards.append(found)
        elif found.reason == Reason.NETWORK_NOT_FOUND and nic.network not in names:
            told = f"{found.message}; or say in spec.networkMap which network takes the place of {nic.network}"
            troubles.append(replace(found, message=told))
        else:
            troubles.append(found)
    return tuple(cards), merge(troubles)


# ------------------------------------------------------------------------------------------------------------ the room


def store_for(side: Side) -> Datastore | None:
    """The image datastore that the copies go to: the one called default, else the first."""
    stores = {one.id: one for one in side.view.datastores.values() if one.type == _IMAGE_DATASTORE}
    named = next((one for one in stores.values() if one.name == "default"), None)
    return named or (stores[min(stores)] if stores else None)


def room(seen: MigrationObservation, source: Side | None, target: Side) -> Outcome:
    """The disks once in the other cloud, and once more where they are, as images, unless that cloud is lost."""
    troubles: list[Outcome] = []
    whole = sum(one.disk.size for one in seen.disks)
    store = store_for(target)
    if store is None:
        troubles.append(stalled(Reason.DATASTORE_NOT_FOUND, f"{where(target.cloud)} has no datastore for images"))
    elif store.free < whole:
        troubles.append(_full(store, target, whole))
    if source is None:
        return merge(troubles)
    needs: dict[int, int] = {}
    for one in seen.disks:
        image = source.view.images.get(one.disk.image_id)
        if image is not None:
            needs[image.datastore_id] = needs.get(image.datastore_id, 0) + one.disk.size
    for number, size in needs.items():
        here = source.view.datastores.get(number)
        if here is not None and here.free < size:
            troubles.append(_full(here, source, size))
    return merge(troubles)


def _full(store: Datastore, side: Side, needs: int) -> Outcome:
    return waiting(
        Reason.NO_CAPACITY,
        f'datastore {store.id} "{store.name}" in {where(side.cloud)} has {capacity.size(store.free)} free, and the copy of the'
        f" disks needs {capacity.size(needs)}",
        after=60.0,
    )


def place(seen: MigrationObservation) -> Outcome:
    """Whether the policies, and its own spec, let it be there: the function that places a machine at first."""
    return seen.chosen.outcome or DONE if seen.chosen is not None else DONE


def quota(move: InstanceMigration, seen: MigrationObservation) -> Outcome:
    if seen.instance is None or seen.target is None:
        return DONE
    try:
        sizes = capacity.declared(seen.instance.spec)
    except ValueError as error:
        return stalled(Reason.INVALID_SPEC, f"HostedInstance {seen.instance.metadata.name}: {error}")
    will_be, cards = as_it_will_be(move, seen.instance), cards_of(move, seen)[0]
    return within_quota(seen.target.tenancy, seen.target.view, taken(will_be, seen.target.view, sizes, -1, cards))


def already_there(move: InstanceMigration, seen: MigrationObservation) -> bool:
    """Nothing to do: its machine is in the other cloud, and none was left."""
    return seen.new is not None and seen.taken_over and seen.old is None and target_of(move) == _cloud(seen)


def _cloud(seen: MigrationObservation) -> object:
    return seen.target.cloud if seen.target is not None else None
