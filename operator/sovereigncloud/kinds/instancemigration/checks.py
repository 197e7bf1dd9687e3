"""Pre-flight checks of a migration: each blocker has its own reason and says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from sovereigncloud.api.common.base import Consent, Management
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.api.instance_networks import InstanceNetwork
from sovereigncloud.api.instancemigration import InstanceMigration, MigrationMode
from sovereigncloud.core.outcome import DONE, Outcome, blocked, merge, stalled, waiting
from sovereigncloud.kinds.contract.cloud_keys import where
from sovereigncloud.kinds.hostedinstance.machine import capacity
from sovereigncloud.kinds.hostedinstance.machine.generic_steps import NewNic
from sovereigncloud.kinds.hostedinstance.machine.observed import declared_cloud
from sovereigncloud.kinds.hostedinstance.machine.quota import quota_demand, within_quota
from sovereigncloud.kinds.hostedinstance.network.nic_requirements import required_nic
from sovereigncloud.kinds.instancemigration.marketplace import check_marketplace
from sovereigncloud.kinds.instancemigration.observation import (
    MigrationObservation,
    Side,
    instance_in_target,
    network_names,
    target_of,
)
from sovereigncloud.kinds.securitygroup.names import Place
from sovereigncloud.ports.opennebula.views import Datastore, Vm
from sovereigncloud.ports.opennebula.vm_states import AT_REST, Situation, state_of

_IMAGE_DATASTORE = 0
_NO_IMAGE = -1


def check_migration(move: InstanceMigration, seen: MigrationObservation) -> Outcome:
    """Merge all blockers of a migration between two reachable clouds; DONE if it may begin."""
    if seen.other:
        return blocked(f"InstanceMigration {seen.other} migrates the same VM; this one begins when that one is over")
    if seen.instance is None or seen.source is None or seen.target is None or seen.old is None:
        return DONE
    machine = f'VM {seen.old.id} "{seen.old.name}" in {where(seen.source.cloud)}'
    return merge(
        (
            *check_instance(move, seen.instance),
            *check_vm(seen.old, machine),
            _state(move, seen.old, machine),
            seen.exits,
            target_nics(move, seen)[1],
            check_marketplace(move, seen),
            check_free_space(seen, seen.source, seen.target),
            check_placement(seen),
            check_quota(move, seen),
        )
    )


def check_instance(move: InstanceMigration, instance: HostedInstance) -> Iterator[Outcome]:
    name = f"HostedInstance {instance.metadata.name}"
    if instance.deleting:
        yield stalled(Reason.NOT_MOVABLE, f"{name} is being deleted")
    if instance.paused or instance.spec.management is Management.OBSERVE:
        yield blocked(
            f"{name} is paused or only observed, so it cannot hand over its VM; set spec.management: Manage and resume it"
        )
    policy, named = instance.spec.update_policy, declared_cloud(instance)
    goes_back = policy is not None and policy.move is Consent.ALLOW and named not in {None, target_of(move)}
    if goes_back and move.spec.mode == MigrationMode.EXECUTE and move.spec.exit_plan_ref is None:
        yield stalled(
            Reason.NOT_MOVABLE,
            f"{name} would move back: its spec.updatePolicy.move is Allow, and its spec.placement.cloudRef names another cloud"
            " than this migration; set cloudRef to the target, which migrates it as well, or remove cloudRef",
        )


def check_vm(vm: Vm, machine: str) -> Iterator[Outcome]:
    """Blockers of the VM itself: volatile disks, PCI devices, no disk at all."""
    volatile = [str(disk.id) for disk in vm.disks if disk.image_id == _NO_IMAGE]
    if volatile:
        yield stalled(
            Reason.NOT_MOVABLE,
            f"{machine}: disk {', '.join(volatile)} is volatile, so OpenNebula cannot save it; copy its data to a"
            " disk of spec.disks and detach it",
        )
    if vm.pci:
        devices = ", ".join(map(str, vm.pci))
        yield stalled(
            Reason.NOT_MOVABLE,
            f"{machine} has PCI devices of its host ({devices}); remove them from spec.pciDevices before the migration",
        )
    if not vm.disks:
        yield stalled(Reason.NOT_MOVABLE, f"{machine} has no disk, so there is nothing to copy")


def _state(move: InstanceMigration, vm: Vm, machine: str) -> Outcome:
    """Require the VM to be running or powered off: OpenNebula saves disks in no other state."""
    state = state_of(vm)
    if state.situation not in AT_REST and state.situation is not Situation.FAILED:
        return waiting(state.reason, f"{machine} is {state.words}; the migration begins when that is over")
    allowed = {Situation.RUNNING, Situation.POWERED_OFF}
    if state.situation not in allowed:
        how = "rehearsed" if move.spec.mode == MigrationMode.REHEARSE else "moved"
        return stalled(
            Reason.NOT_MOVABLE, f"{machine} is {state.words}; start it or power it off, so that it can be {how}"
        )
    return DONE


# ------------------------------------------------------------------------------------------------------------ networks


def target_nics(move: InstanceMigration, seen: MigrationObservation) -> tuple[tuple[NewNic, ...], Outcome]:
    """NICs that the VM gets in the target cloud, and the blockers among its networks."""
    if seen.instance is None or seen.target is None or seen.machine is None or seen.instance_mark is None:
        return (), DONE
    target = seen.target
    names = network_names(move)
    declared = {one.name: one for one in instance_in_target(move, seen.instance).spec.networks or ()}
    place = Place(target.cloud, target.view, seen.instance_mark, owners=target.owners)
    cards: list[NewNic] = []
    troubles: list[Outcome] = []
    for nic in seen.machine.nics:
        name = names.get(nic.network, nic.network)
        found = required_nic(declared.get(name, InstanceNetwork(name=name)), place)
        if isinstance(found, NewNic):
            cards.append(found)
        elif found.reason == Reason.NETWORK_NOT_FOUND and nic.network not in names:
            told = f"{found.message}; or map {nic.network} to another network in spec.networkMap"
            troubles.append(replace(found, message=told))
        else:
            troubles.append(found)
    return tuple(cards), merge(troubles)


# --------------------------------------------------------------------------------------------------------- free space


def image_datastore(side: Side) -> Datastore | None:
    """Select the image datastore for imported disks: the one named "default", else the lowest id."""
    stores = {one.id: one for one in side.view.datastores.values() if one.type == _IMAGE_DATASTORE}
    named = next((one for one in stores.values() if one.name == "default"), None)
    return named or (stores[min(stores)] if stores else None)


def check_free_space(seen: MigrationObservation, source: Side | None, target: Side) -> Outcome:
    """Check the free space for the disks in the image datastores.

    The target needs room for them once, and so does the source unless it is lost. The source needs room for the
    images that `disk-saveas` writes into the datastores of the disks.
    """
    troubles: list[Outcome] = []
    whole = sum(one.disk.size for one in seen.disks)
    store = image_datastore(target)
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


def check_placement(seen: MigrationObservation) -> Outcome:
    """Check that policies and spec.placement allow the VM in the target cloud."""
    return seen.chosen.outcome or DONE if seen.chosen is not None else DONE


def check_quota(move: InstanceMigration, seen: MigrationObservation) -> Outcome:
    if seen.instance is None or seen.target is None:
        return DONE
    try:
        sizes = capacity.declared(seen.instance.spec)
    except ValueError as error:
        return stalled(Reason.INVALID_SPEC, f"HostedInstance {seen.instance.metadata.name}: {error}")
    will_be, cards = instance_in_target(move, seen.instance), target_nics(move, seen)[0]
    return within_quota(
        seen.target.tenancy, seen.target.view, quota_demand(will_be, seen.target.view, sizes, -1, cards)
    )


def is_in_target(move: InstanceMigration, seen: MigrationObservation) -> bool:
    """Whether the VM already runs in the target cloud and no source VM is left."""
    return seen.new is not None and seen.taken_over and seen.old is None and target_of(move) == _cloud(seen)


def _cloud(seen: MigrationObservation) -> object:
    return seen.target.cloud if seen.target is not None else None
