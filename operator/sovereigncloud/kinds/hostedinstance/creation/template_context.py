"""Template attributes of a new VM for CPU, PCI devices, scheduling, VM group and labels."""

from __future__ import annotations

from dataclasses import dataclass

from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.core.quantity import mebibytes
from sovereigncloud.kinds.hostedinstance.machine.labels import labels_text
from sovereigncloud.kinds.hostedinstance.machine.step import LABELS, REQUIREMENTS
from sovereigncloud.ports.opennebula.attributes import Attributes
from sovereigncloud.ports.opennebula.views import Membership


@dataclass(frozen=True, slots=True)
class TemplateContext:
    """Attributes that need lookups in the cloud: VM group and SCHED_REQUIREMENTS."""

    group: Membership | None = None
    requirements: str = ""


EMPTY_CONTEXT = TemplateContext()


def compute_attributes(resource: HostedInstance, surroundings: TemplateContext) -> Attributes:
    """Return the declared compute attributes; each key replaces that of a VM template."""
    spec = resource.spec
    attributes: dict[str, str | Attributes | list[Attributes]] = {}
    if spec.hot_resize is not None:
        # oned and libvirt use the two maxima; Sunstone reads HOT_RESIZE.
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
