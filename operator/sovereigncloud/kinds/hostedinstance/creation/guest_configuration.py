"""Guest configuration of a new VM: SSH keys and cloud-init user data from spec and Secrets."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.core.outcome import Outcome, stalled
from sovereigncloud.ports.errors import MissingSecret
from sovereigncloud.ports.kubernetes import Kubernetes
from sovereigncloud.ports.opennebula.attributes import Attributes

_USER_DATA, _KEYS = "userData", "authorized_keys"
_VARIABLE = "$"
_KEY_FIELD, _DATA_FIELD = "spec.sshAuthorizedKeysSecretRef.key", "spec.cloudInit.userDataSecretRef.key"


@dataclass(frozen=True, slots=True)
class GuestConfiguration:
    """SSH public keys and cloud-init user data; user data must not appear in a log."""

    keys: tuple[str, ...] = ()
    user_data: str | None = field(default=None, repr=False)

    @property
    def is_given_something(self) -> bool:
        """Whether there is a key or user data."""
        return bool(self.keys) or self.user_data is not None

    @property
    def context(self) -> Attributes:
        """The attributes of CONTEXT=[...]."""
        context = {"NETWORK": "YES"}
        if self.keys:
            context["SSH_PUBLIC_KEY"] = "\n".join(self.keys)
        if self.user_data is not None:
            context["USER_DATA"] = base64.b64encode(self.user_data.encode()).decode()
            context["USERDATA_ENCODING"] = "base64"
        return context


def check_ssh_keys(resource: HostedInstance) -> Outcome | None:
    """Return a stalled outcome if a key in spec contains a $.

    oned substitutes variables in a context, such as $USER[NAME] [VirtualMachineContext.cc].
    """
    for number, key in enumerate(resource.spec.ssh_authorized_keys or ()):
        if _VARIABLE in key:
            return stalled(
                Reason.INVALID_SPEC,
                f"spec.sshAuthorizedKeys[{number}] contains a {_VARIABLE}, which OpenNebula would substitute: remove it from"
                " the comment of the key",
            )
    return None


def guest_secrets(resource: HostedInstance) -> tuple[str, ...]:
    """Return the names of the Secrets that hold keys or user data."""
    init, keys = resource.spec.cloud_init, resource.spec.ssh_authorized_keys_secret_ref
    if init is None and keys is None:
        return ()
    names = (init.user_data_secret_ref.name if init else None, keys.name if keys else None)
    return tuple(dict.fromkeys(name for name in names if name is not None))


async def read_guest_configuration(resource: HostedInstance, kubernetes: Kubernetes) -> GuestConfiguration:
    """Read keys and user data from spec and Secrets.

    Raises:
        MissingSecret: a Secret or its key does not exist, or a key contains a $.
    """
    spec = resource.spec
    keys = list(spec.ssh_authorized_keys or ())
    if spec.ssh_authorized_keys_secret_ref is not None:
        ref = spec.ssh_authorized_keys_secret_ref
        text = await _value(resource, kubernetes, ref.name, ref.key, _KEYS, _KEY_FIELD)
        keys += [line for line in (raw.strip() for raw in text.splitlines()) if line and not line.startswith("#")]
        if _VARIABLE in "".join(keys):
            raise MissingSecret(
                f"Secret {resource.metadata.namespace}/{ref.name} holds a public key with a {_VARIABLE}, which OpenNebula"
                " would substitute: remove it from the comment of the key"
            )
    data = None
    if spec.cloud_init is not None:
        source = spec.cloud_init.user_data_secret_ref
        data = await _value(resource, kubernetes, source.name, source.key, _USER_DATA, _DATA_FIELD)
    return GuestConfiguration(tuple(dict.fromkeys(keys)), data)


async def _value(
    resource: HostedInstance, kubernetes: Kubernetes, secret: str, named: str | None, default: str, path: str
) -> str:
    namespace = resource.metadata.namespace
    values = await kubernetes.secret(namespace, secret)
    key = named or (default if default in values or len(values) != 1 else next(iter(values)))
    if key not in values:
        raise MissingSecret(f"Secret {namespace}/{secret} has no key {key}; add it, or name another in {path}")
    return values[key]
