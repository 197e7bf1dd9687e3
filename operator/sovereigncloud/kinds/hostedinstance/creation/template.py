"""OpenNebula template of a new VM."""

from __future__ import annotations

from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.core.identity import Mark
from sovereigncloud.kinds.hostedinstance.creation.guest_configuration import GuestConfiguration
from sovereigncloud.kinds.hostedinstance.machine.capacity import cores, declared
from sovereigncloud.kinds.hostedinstance.machine.generic_steps import NewNic
from sovereigncloud.ports.opennebula.attributes import Attributes


def template_from_image(
    resource: HostedInstance, mark: Mark, image: int, nics: tuple[NewNic, ...], guest: GuestConfiguration
) -> Attributes:
    """Return a complete template for a VM with one image as root disk.

    The mark at the top level becomes part of USER_TEMPLATE in the create call itself.
    """
    spec = resource.spec
    sizes = declared(spec)
    vcpu = sizes.vcpu or 1
    disk = {"IMAGE_ID": str(image)}
    if sizes.root_size is not None:
        disk["SIZE"] = str(sizes.root_size)
    return {
        "NAME": resource.outside_name,
        "CPU": str(vcpu) if sizes.cpu is None else cores(sizes.cpu),
        "VCPU": str(vcpu),
        "MEMORY": str(sizes.memory or 0),
        "DISK": [disk],
        "NIC": [nic.as_nic() for nic in nics],
        "CONTEXT": guest.context,
        # Without LISTEN the console is on the host's loopback: these hosts have public addresses.
        "GRAPHICS": {"TYPE": "VNC"},
        **mark.for_opennebula(),
    }


def template_overrides(
    resource: HostedInstance, mark: Mark, nics: tuple[NewNic, ...] | None, guest: GuestConfiguration
) -> Attributes:
    """Return the extra attributes for instantiating a VM template.

    Each key replaces that of the template, lists as a whole (observed), so only declared values are included.
    """
    sizes = declared(resource.spec)
    extra: dict[str, str | Attributes | list[Attributes]] = {}
    if sizes.vcpu is not None:
        extra["VCPU"] = str(sizes.vcpu)
        extra["CPU"] = str(sizes.vcpu)
    if sizes.cpu is not None:
        extra["CPU"] = cores(sizes.cpu)
    if sizes.memory is not None:
        extra["MEMORY"] = str(sizes.memory)
    if nics:
        extra["NIC"] = [nic.as_nic() for nic in nics]
    if guest.is_given_something:
        extra["CONTEXT"] = guest.context
    return {**extra, **mark.for_opennebula()}


def restored_disks(resource: HostedInstance, images: tuple[int, ...]) -> Attributes:
    """Return the DISK attributes of a VM created from a backup, the root disk first."""
    if not images:
        return {}
    disks: list[Attributes] = [{"IMAGE_ID": str(image)} for image in images]
    root = declared(resource.spec).root_size
    return {"DISK": disks} if root is None else {"DISK": [{**disks[0], "SIZE": str(root)}, *disks[1:]]}
