"""What the guest of a new machine is given: keys and user data, from spec and from Secrets."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.core.outcome import Outcome, stalled
from sovereigncloud.ports.errors import MissingSecret
from sovereigncloud.ports.kubernetes import Kubernetes
from sovereigncloud.ports.opennebula.client import Attributes

_USER_DATA, _KEYS = "userData", "authorized_keys"
_FILLED_IN = "$"
_KEY_FIELD, _DATA_FIELD = "spec.sshAuthorizedKeysSecretRef.key", "spec.cloudInit.userDataSecretRef.key"


@dataclass(frozen=True, slots=True)
class Guest:
    """Keys that may log in, and what cloud-init is given. None of it is to be seen in a log."""

    keys: tuple[str, ...] = ()
    user_data: str | None = field(default=None, repr=False)

    @property
    def is_given_something(self) -> bool:
        return bool(self.keys) or self.user_data is not None

    @property
    def context(self) -> Attributes:
        context = {"NETWORK": "YES"}
        if self.keys:
            context["SSH_PUBLIC_KEY"] = "\n".join(self.keys)
        if self.user_data is not None:
            context["USER_DATA"] = base64.b64encode(self.user_data.encode()).decode()
            context["USERDATA_ENCODING"] = "base64"
        return context


def cannot_be_given(resource: HostedInstance) -> Outcome | None:
    """Why keys of spec cannot be handed on: oned fills in what follows a $ in a context, and knows attributes of the user
    that makes the machine, such as $USER[NAME] [VirtualMachineContext.cc].
    """
    for number, key in enumerate(resource.spec.ssh_authorized_keys or ()):
        if _FILLED_IN in key:
            return stalled(
                Reason.INVALID_SPEC,
                f"spec.sshAuthorizedKeys[{number}] has a {_FILLED_IN}, and OpenNebula would put something else in its place:"
                " take it out of the comment of the key",
            )
    return None


def guest_secrets(resource: HostedInstance) -> tuple[str, ...]:
    """Names of the Secrets that the guest's data is in."""
    init, keys = resource.spec.cloud_init, resource.spec.ssh_authorized_keys_secret_ref
    if init is None and keys is None:
        return ()
    names = (init.user_data_secret_ref.name if init else None, keys.name if keys else None)
    return tuple(dict.fromkeys(name for name in names if name is not None))


async def guest_of(resource: HostedInstance, kubernetes: Kubernetes) -> Guest:
    """Read the Secrets. Raises MissingSecret where one or its key is not there."""
    spec = resource.spec
    keys = list(spec.ssh_authorized_keys or ())
    if spec.ssh_authorized_keys_secret_ref is not None:
        ref = spec.ssh_authorized_keys_secret_ref
        text = await _value(resource, kubernetes, ref.name, ref.key, _KEYS, _KEY_FIELD)
        keys += [line for line in (raw.strip() for raw in text.splitlines()) if line and not line.startswith("#")]
        if _FILLED_IN in "".join(keys):
            raise MissingSecret(
                f"Secret {resource.metadata.namespace}/{ref.name} holds a public key with a {_FILLED_IN}, and OpenNebula would"
                " put something else in its place: take it out of the comment of the key"
            )
    data = None
    if spec.cloud_init is not None:
        source = spec.cloud_init.user_data_secret_ref
        data = await _value(resource, kubernetes, source.name, source.key, _USER_DATA, _DATA_FIELD)
    return Guest(tuple(dict.fromkeys(keys)), data)


async def _value(
    resource: HostedInstance, kubernetes: Kubernetes, secret: str, named: str | None, default: str, path: str
) -> str:
    namespace = resource.metadata.namespace
    values = await kubernetes.secret(namespace, secret)
    key = named or (default if default in values or len(values) != 1 else next(iter(values)))
    if key not in values:
        raise MissingSecret(f"Secret {namespace}/{secret} has no key {key}; add it, or name another in {path}")
    return values[key]
