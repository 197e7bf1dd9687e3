"""The template of a new machine, as OpenNebula takes it."""

from __future__ import annotations

from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.core.identity import Mark
from sovereigncloud.kinds.hostedinstance.creation.guest_configuration import Guest
from sovereigncloud.kinds.hostedinstance.machine.capacity import cores, declared
from sovereigncloud.kinds.hostedinstance.network.steps import NewCard
from sovereigncloud.ports.opennebula.client import Attributes


def from_image(
    resource: HostedInstance, mark: Mark, image: int, cards: tuple[NewCard, ...], guest: Guest
) -> Attributes:
    """A whole template. The mark at the top level lands in USER_TEMPLATE, in the create call itself."""
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
        "NIC": [card.as_nic() for card in cards],
        "CONTEXT": guest.context,
        # Without LISTEN the console is on the host's loopback: these hosts have public addresses.
        "GRAPHICS": {"TYPE": "VNC"},
        **mark.for_opennebula(),
    }


def beside_template(
    resource: HostedInstance, mark: Mark, cards: tuple[NewCard, ...] | None, guest: Guest
) -> Attributes:
    """What is said beside a VM template. Each key given here replaces the template's, lists as a whole (observed), so
    only what spec declares is given.
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
    if cards:
        extra["NIC"] = [card.as_nic() for card in cards]
    if guest.is_given_something:
        extra["CONTEXT"] = guest.context
    return {**extra, **mark.for_opennebula()}


def restored_disks(resource: HostedInstance, images: tuple[int, ...]) -> Attributes:
    """The disks of a machine that is made from a backup, the root disk first."""
    if not images:
        return {}
    disks: list[Attributes] = [{"IMAGE_ID": str(image)} for image in images]
    root = declared(resource.spec).root_size
    return {"DISK": disks} if root is None else {"DISK": [{**disks[0], "SIZE": str(root)}, *disks[1:]]}
