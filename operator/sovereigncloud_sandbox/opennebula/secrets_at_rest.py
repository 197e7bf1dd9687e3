"""Attributes that oned keeps encrypted: info shows them in clear to oneadmin's group alone, and only on request."""

import base64
import hashlib
from collections.abc import Iterable

from sovereigncloud_sandbox.opennebula.template import Template

# OpenNebula: share/etc/oned.conf, *_ENCRYPTED_ATTR.
OF_DATASTORES = frozenset({"RESTIC_PASSWORD", "NETAPP_PASS", "PUREFA_API_TOKEN"})


def sealed_value(value: str) -> str:
    """What is shown in place of a secret: base64, no two secrets alike."""
    return base64.b64encode(hashlib.sha256(f"sealed:{value}".encode()).digest()).decode()


def sealed(template: Template, secrets: Iterable[str]) -> Template:
    """A template as info shows it to anybody."""
    shown = template.copy()
    for name in secrets:
        if value := shown.get(name):
            shown.put(name, sealed_value(value))
    return shown


def unseal(template: Template, before: Template, secrets: Iterable[str]) -> None:
    """Whoever writes back what was shown changes no secret."""
    for name in secrets:
        value = before.get(name)
        if value and template.get(name) == sealed_value(value):
            template.put(name, value)
