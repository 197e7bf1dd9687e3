"""Roll out a change of a security group or a network to the VMs that use it, one after another.

OpenNebula: LifeCycleManager::trigger_updatesg, trigger_updatevnet.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from sovereigncloud_sandbox.opennebula import flows
from sovereigncloud_sandbox.opennebula.cloud import Cloud
from sovereigncloud_sandbox.opennebula.lifecycle import FAILURES, Lcm, State
from sovereigncloud_sandbox.opennebula.model import Rollout, Vm

# Where a machine cannot be told: rules and cards are just being made.
_BUSY = frozenset(
    {
        Lcm.BOOT,
        Lcm.BOOT_MIGRATE,
        Lcm.BOOT_SUSPENDED,
        Lcm.BOOT_STOPPED,
        Lcm.BOOT_UNDEPLOY,
        Lcm.BOOT_POWEROFF,
        Lcm.MIGRATE,
        Lcm.HOTPLUG_NIC,
        Lcm.HOTPLUG_NIC_POWEROFF,
        Lcm.UNKNOWN,
        Lcm.BOOT_FAILURE,
    }
)
_HOTPLUG = frozenset(
    {
        Lcm.HOTPLUG,
        Lcm.HOTPLUG_SNAPSHOT,
        Lcm.HOTPLUG_SAVEAS,
        Lcm.HOTPLUG_RESIZE,
        Lcm.DISK_SNAPSHOT,
        Lcm.DISK_SNAPSHOT_DELETE,
        Lcm.DISK_RESIZE,
    }
)


@dataclass(frozen=True, slots=True)
class Change:
    """What is rolled out: `apply` writes it into a machine and says whether its host has to do something."""

    rollout: Rollout
    apply: Callable[[Vm], bool]
    card: bool = False  # the machine's card is changed: HOTPLUG_NIC; else its rules, beside whatever it does
    failed: Callable[[], None] = lambda: None
    ended: Callable[[], None] = field(default=lambda: None)


def commit(cloud: Cloud, change: Change, *, recover: bool) -> None:
    """Begin anew with all machines, or with those alone that it failed for."""
    rollout = change.rollout
    if not recover:
        rollout.outdated |= rollout.updated
        rollout.updated.clear()
    rollout.outdated |= rollout.updating | rollout.error
    rollout.updating.clear()
    rollout.error.clear()
    rollout.serial += 1
    serial = rollout.serial
    cloud.after(cloud.speeds.action_lag, lambda: _go_on(cloud, change, serial))


def _go_on(cloud: Cloud, change: Change, serial: int) -> None:
    rollout = change.rollout
    while rollout.outdated and rollout.serial == serial:
        oid = min(rollout.outdated)
        rollout.outdated.discard(oid)
        vm = cloud.vms.get(oid)
        if vm is None or vm.state is State.DONE:
            continue
        if _unreachable(vm, card=change.card):
            rollout.error.add(oid)
            continue
        needs_host = change.apply(vm)
        vm.touch()
        if needs_host and _reached_on_host(vm, card=change.card):
            _tell_host(cloud, change, vm, serial)
            return
        rollout.updated.add(oid)
    if rollout.serial == serial:
        change.ended()


def _unreachable(vm: Vm, *, card: bool) -> bool:
    return vm.state is State.ACTIVE and (vm.lcm in _BUSY or (card and vm.lcm in _HOTPLUG))


def _reached_on_host(vm: Vm, *, card: bool) -> bool:
    live = {Lcm.RUNNING} if card else {Lcm.RUNNING, Lcm.BACKUP, *_HOTPLUG}
    return vm.state is State.ACTIVE and vm.lcm in live and vm.lcm not in FAILURES


def _tell_host(cloud: Cloud, change: Change, vm: Vm, serial: int) -> None:
    rollout = change.rollout
    rollout.updating.add(vm.oid)

    def settle(*, well: bool) -> None:
        if vm.oid in rollout.updating:
            rollout.updating.discard(vm.oid)
            (rollout.updated if well else rollout.error).add(vm.oid)
            if not well:
                change.failed()
        _go_on(cloud, change, serial)

    if change.card:
        flows.reopen(cloud, vm)
        flows.begin(cloud, vm, "nic", flows.Then(lambda: settle(well=True), lambda: settle(well=False)))
    else:
        cloud.after(cloud.speeds.hotplug, lambda: settle(well=cloud.trip(vm.name, "UPDATESG") is None))
