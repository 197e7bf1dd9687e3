"""Who set the annotation that pauses an object, and who will put it back. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sovereigncloud.api.common.base import PAUSED

Json = dict[str, Any]

_BY_HAND = ("kubectl-sovereign", "kubectl-annotate", "kubectl-edit", "kubectl-patch", "Mozilla")
"""Field managers of a person's commands: nobody applies what they set a second time."""
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def owners(body: Mapping[str, Any]) -> tuple[str, ...]:
    """Field managers that apply the annotation from a manifest: they put it back when it was taken away."""
    metadata = body.get("metadata") or {}
    found = [
        str(entry.get("manager", ""))
        for entry in metadata.get("managedFields") or ()
        if not entry.get("subresource") and _holds(entry) and _applies(entry)
    ]
    if not found and _in_last_applied(metadata):
        found = ["kubectl apply"]
    return tuple(dict.fromkeys(found))


def _holds(entry: Mapping[str, Any]) -> bool:
    annotations = ((entry.get("fieldsV1") or {}).get("f:metadata") or {}).get("f:annotations") or {}
    return f"f:{PAUSED}" in annotations


def _applies(entry: Mapping[str, Any]) -> bool:
    """Server-side apply always comes again; an Update comes from a person's hand, or from a client-side apply."""
    manager = str(entry.get("manager", ""))
    return entry.get("operation") == "Apply" or not manager.startswith(_BY_HAND)


def _in_last_applied(metadata: Mapping[str, Any]) -> bool:
    try:
        applied = json.loads((metadata.get("annotations") or {})[_LAST_APPLIED])
        return PAUSED in ((applied.get("metadata") or {}).get("annotations") or {})
    except (KeyError, ValueError, AttributeError, TypeError):
        return False


def is_paused(body: Mapping[str, Any]) -> bool:
    """Whether the annotation says so."""
    return ((body.get("metadata") or {}).get("annotations") or {}).get(PAUSED) == "true"
