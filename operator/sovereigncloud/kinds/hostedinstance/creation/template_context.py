"""What a new machine is told of processors, devices, hosts, its group and its labels, as OpenNebula takes it."""

from __future__ import annotations

from dataclasses import dataclass

from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.core.quantity import mebibytes
from sovereigncloud.kinds.hostedinstance.machine.labels import labels_text
from sovereigncloud.kinds.hostedinstance.machine.step import LABELS, REQUIREMENTS
from sovereigncloud.ports.opennebula.client import Attributes
from sovereigncloud.ports.opennebula.views import Membership


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What had to be looked up: its VM group, and SCHED_REQUIREMENTS for its hosts."""

    group: Membership | None = None
    requirements: str = ""


NOTHING_AROUND = Surroundings()


def compute_attributes(resource: HostedInstance, surroundings: Surroundings) -> Attributes:
    """Only what spec declares: each key given beside a VM template replaces the template's."""
    spec = resource.spec
    attributes: dict[str, str | Attributes | list[Attributes]] = {}
    if spec.hot_resize is not None:
        # oned and libvirt go by the two maxima; the vector is how Sunstone knows.
        vcpu, memory = spec.hot_resize.max_vcpu, spec.hot_resize.max_memory
        if vcpu is not None:
            attributes["VCPU_MAX"] = str(vcpu)
        if memory is not None:
            attributes["MEMORY_MAX"] = str(mebibytes(memory))
        attributes["HOT_RESIZE"] = {
            "CPU_HOT_ADD_ENABLED": "NO" if vcpu is None else "YES",
            "MEMORY_HOT_ADD_ENABLED": "NO" if memory is None else "YES",
        }
    if spec.cpu_model is not None:
        attributes["CPU_MODEL"] = {"MODEL": spec.cpu_model}
    if spec.pci_devices:
        wanted = [{"VENDOR": d.vendor, "DEVICE": d.device, "CLASS": d.class_} for d in spec.pci_devices]
        attributes["PCI"] = [{key: value for key, value in one.items() if value} for one in wanted]
    if surroundings.group is not None:
        attributes["VMGROUP"] = {"VMGROUP_ID": str(surroundings.group.group), "ROLE": surroundings.group.role}
    if surroundings.requirements:
        attributes[REQUIREMENTS] = surroundings.requirements
    if text := labels_text(resource.metadata.labels):
        attributes[LABELS] = text
    return attributes
