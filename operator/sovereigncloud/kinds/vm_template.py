"""The template of a new machine, as OpenNebula takes it."""

from __future__ import annotations

import base64

from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.core.identity import Mark
from sovereigncloud.kinds.errors import MissingSecret
from sovereigncloud.kinds.ports import Attributes, Kubernetes
from sovereigncloud.kinds.vm_capacity import cores, declared

_USER_DATA = "userData"


async def user_data(resource: HostedInstance, kubernetes: Kubernetes) -> str | None:
    """What cloud-init is to be given, from the Secret. Raises MissingSecret where it or the key is not there."""
    if resource.spec.cloud_init is None:
        return None
    ref = resource.spec.cloud_init.user_data_secret_ref
    values = await kubernetes.secret(resource.metadata.namespace, ref.name)
    key = ref.key or (_USER_DATA if _USER_DATA in values or len(values) != 1 else next(iter(values)))
    if key not in values:
        raise MissingSecret(
            f"Secret {resource.metadata.namespace}/{ref.name} has no key {key}; add it, or name another in"
            " spec.cloudInit.userDataSecretRef.key"
        )
    return values[key]


def from_image(
    resource: HostedInstance, mark: Mark, image: int, networks: tuple[int, ...], data: str | None
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
        "NIC": _nics(networks),
        "CONTEXT": _context(resource, data),
        # Without LISTEN the console is on the host's loopback: these hosts have public addresses.
        "GRAPHICS": {"TYPE": "VNC"},
        **mark.for_opennebula(),
    }


def beside_template(
    resource: HostedInstance, mark: Mark, networks: tuple[int, ...] | None, data: str | None
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
    if networks:
        extra["NIC"] = _nics(networks)
    if resource.spec.ssh_authorized_keys or data is not None:
        extra["CONTEXT"] = _context(resource, data)
    return {**extra, **mark.for_opennebula()}


def _nics(networks: tuple[int, ...]) -> list[Attributes]:
    return [{"NETWORK_ID": str(network)} for network in networks]


def _context(resource: HostedInstance, data: str | None) -> Attributes:
    context = {"NETWORK": "YES"}
    if resource.spec.ssh_authorized_keys:
        context["SSH_PUBLIC_KEY"] = "\n".join(resource.spec.ssh_authorized_keys)
    if data is not None:
        context["USER_DATA"] = base64.b64encode(data.encode()).decode()
        context["USERDATA_ENCODING"] = "base64"
    return context
