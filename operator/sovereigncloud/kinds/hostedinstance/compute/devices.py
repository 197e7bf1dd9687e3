"""The model of a machine's processors, and the devices of its host that it has for itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.instance_compute import PciDevice
from sovereigncloud.core.outcome import DONE, Outcome, merge, stalled, waiting
from sovereigncloud.core.plan import Action, Drift
from sovereigncloud.kinds.hostedinstance.compute.power_cycle import UNCHANGED, Change, refusal
from sovereigncloud.kinds.hostedinstance.compute.steps import AttachPci, DetachPci, SetCpuModel
from sovereigncloud.kinds.hostedinstance.machine.machine import Machine
from sovereigncloud.kinds.hostedinstance.machine.step import MODEL_REFUSED, PCI_REFUSED
from sovereigncloud.kinds.sovereigncloud.hosts.hosts import MONITORED
from sovereigncloud.ports.opennebula.views import CloudView, Host, Pci
from sovereigncloud.ports.opennebula.vm_states import Situation

_POWERED_OFF = frozenset({Situation.POWERED_OFF})
_SHOWN = 10


def cpu_model(m: Machine) -> Change:
    """The guest sees another processor from its next start on."""
    wanted = m.resource.spec.cpu_model
    if wanted is None or m.vm.cpu_model == wanted:
        return UNCHANGED
    drift = (Drift("spec.cpuModel", wanted, m.vm.cpu_model or "none"),)
    attempt = f"{wanted}/{m.asked}"
    if (refused := refusal(m, MODEL_REFUSED, attempt, Reason.CHANGE_REFUSED, "the cpuModel of spec")) is not None:
        return Change(drift, outcome=refused)
    step = SetCpuModel(
        action=Action.UPDATE,
        target=m.target,
        fields=("spec.cpuModel",),
        cause=m.cause,
        cloud=m.cloud,
        vm=m.vm.id,
        model=wanted,
        attempt=attempt,
    )
    return Change(drift, cold=(step,))


def pci_devices(m: Machine) -> Change:
    """Those of spec and no other. OpenNebula attaches and detaches devices of a machine that is powered off."""
    if m.resource.spec.pci_devices is None:
        return UNCHANGED
    missing, extra = _differences(m.resource.spec.pci_devices, m.vm.pci)
    if not missing and not extra:
        return UNCHANGED
    drift = (
        *(Drift(f"spec.pciDevices[{one.name}]", words(one), "absent") for one in missing),
        *(Drift(f"spec.pciDevices[{one}]", "absent", f"device {one.id}") for one in extra),
    )
    attempt = f"{','.join(words(one) for one in missing)}/{','.join(map(str, extra))}/{m.asked}"
    if (refused := refusal(m, PCI_REFUSED, attempt, Reason.CHANGE_REFUSED, "the pciDevices of spec")) is not None:
        return Change(drift, outcome=refused)
    # Only the machine's own host counts: it is not moved for a device.
    trouble = merge(_none_free(one, [h for h in m.view.hosts.values() if h.name == m.vm.host]) for one in missing)
    if trouble != DONE:
        return Change(drift, outcome=trouble)
    return Change(drift, cold=_steps(m, missing, extra, attempt), states=_POWERED_OFF)


def devices_for_a_new_machine(wanted: Sequence[PciDevice], view: CloudView, place: str) -> Outcome:
    """Whether some host that works has them; which one is the scheduler's choice."""
    hosts = [host for host in view.hosts.values() if host.state in MONITORED]
    known = sorted({str(one) for host in hosts for one in host.pci})
    for device in wanted:
        if not any(_matches(device, one) for host in hosts for one in host.pci):
            there = f"there are: {', '.join(known[:_SHOWN])}" if known else "they have none"
            return stalled(
                Reason.PCI_DEVICE_NOT_FOUND,
                f"no host in {place} has a PCI device {words(device)} for spec.pciDevices[{device.name}]; {there}",
                after=300.0,
            )
    return merge(_none_free(device, hosts) for device in wanted)


def words(device: PciDevice) -> str:
    """As lspci would write it, * for any."""
    return ":".join(part or "*" for part in (device.vendor, device.device, device.class_))


def _none_free(device: PciDevice, hosts: list[Host]) -> Outcome:
    """With the hosts where all are taken, and by whom. What a host does not tell is left to OpenNebula."""
    having = [(host, one) for host in hosts for one in host.pci if _matches(device, one)]
    if any(one.vm < 0 for _, one in having) or not any(host.pci for host in hosts):
        return DONE
    if not having:
        names = ", ".join(host.name for host in hosts)
        message = f"host {names} has no PCI device {words(device)} for spec.pciDevices[{device.name}]"
        return stalled(Reason.PCI_DEVICE_NOT_FOUND, message, after=300.0)
    users = ", ".join(f"VM {one.vm} on {host.name}" for host, one in having[:_SHOWN])
    return waiting(
        Reason.PCI_DEVICES_IN_USE,
        f"every PCI device {words(device)} for spec.pciDevices[{device.name}] is in use: {users}",
        available=True,
    )


def _differences(wanted: Sequence[PciDevice], found: Iterable[Pci]) -> tuple[list[PciDevice], list[Pci]]:
    """Each device of the machine stands for one of spec: those that say most choose first."""
    left = list(found)
    missing: list[PciDevice] = []
    for device in sorted(
        wanted, key=lambda one: -sum(part is not None for part in (one.vendor, one.device, one.class_))
    ):
        match = next((one for one in left if _matches(device, one)), None)
        if match is None:
            missing.append(device)
        else:
            left.remove(match)
    return missing, left


def _matches(device: PciDevice, found: Pci) -> bool:
    return (
        device.vendor in {None, found.vendor}
        and device.device in {None, found.device}
        and device.class_ in {None, found.class_}
    )


def _steps(m: Machine, missing: list[PciDevice], extra: list[Pci], attempt: str) -> tuple[AttachPci | DetachPci, ...]:
    detached = tuple(
        DetachPci(
            action=Action.DETACH,
            target=f"device {one} from {m.target}",
            fields=(f"spec.pciDevices[{one}]",),
            cause=m.cause,
            cloud=m.cloud,
            vm=m.vm.id,
            pci=one.id,
            attempt=attempt,
        )
        for one in extra
    )
    attached = tuple(
        AttachPci(
            action=Action.ATTACH,
            target=f"device {words(one)} to {m.target}",
            fields=(f"spec.pciDevices[{one.name}]",),
            cause=m.cause,
            cloud=m.cloud,
            vm=m.vm.id,
            vendor=one.vendor or "",
            device=one.device or "",
            class_=one.class_ or "",
            attempt=attempt,
        )
        for one in missing
    )
    return (*detached, *attached)
