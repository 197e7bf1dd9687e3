"""Templates as OpenNebula's XML form: quoted so that no value can become an attribute."""

from __future__ import annotations

import re
from collections.abc import Mapping

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.ports.errors import Rejected
from sovereigncloud.ports.opennebula.client import Attributes
from sovereigncloud.providers.opennebula.session import NOT_XML

# oned upper-cases keys, and takes no '-' or '/' in them (observed).
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# What does not come through XML; and oned keeps objects as CDATA, so what ends CDATA cannot be stored either.
_NOT_STORABLE = re.compile(f"{NOT_XML}|]]>")
_ESCAPED = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def template_xml(attributes: Attributes) -> str:
    """The template with these attributes: a string is a single attribute, a mapping a vector, a list several.

    Raises:
        Rejected: a key that OpenNebula does not take, a value that it cannot store, a vector in a vector.
    """
    return f"<TEMPLATE>{''.join(_attribute(key, value) for key, value in attributes.items())}</TEMPLATE>"


def _attribute(key: str, value: str | Attributes | list[Attributes]) -> str:
    name = _key(key)
    if isinstance(value, list):
        return "".join(_attribute(name, one) for one in value)
    if isinstance(value, Mapping):
        inner = "".join(f"<{_key(inside)}>{_text(key, inside, one)}</{_key(inside)}>" for inside, one in value.items())
        # An empty vector would be read as an empty single attribute.
        return f"<{name}>{inner}</{name}>" if inner else ""
    return f"<{name}>{_text('', key, value)}</{name}>"


def _key(key: str) -> str:
    if not _KEY.fullmatch(key):
        raise Rejected(f"{key!r} cannot be the name of an OpenNebula attribute", reason=Reason.INVALID_TEMPLATE)
    return key.upper()


def _text(vector: str, key: str, value: object) -> str:
    name = f"{vector}/{key}" if vector else key
    if not isinstance(value, str):
        raise Rejected(
            f"{name} must be text: OpenNebula nests attributes one level deep", reason=Reason.INVALID_TEMPLATE
        )
    found = _NOT_STORABLE.search(value)
    if found:
        # Not the value itself: it may be a secret.
        raise Rejected(
            f"{name} holds {found.group()!r}, which OpenNebula cannot store: encode it", reason=Reason.INVALID_TEMPLATE
        )
    return value.translate(_ESCAPED)
