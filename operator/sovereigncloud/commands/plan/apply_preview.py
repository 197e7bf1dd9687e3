"""What an object would be after `kubectl apply`: the file merged with what is in the cluster, in memory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sovereigncloud.api.common.base import Key

Json = dict[str, Any]
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_MAPS = ("labels", "annotations")
_OF_THE_SERVER = (
    "uid", "resourceVersion", "creationTimestamp", "deletionTimestamp", "finalizers", "ownerReferences",
)  # fmt: skip


def applied(key: Key, manifest: Mapping[str, Any], live: Json | None) -> Json:
    """The object as the API server would hold it after the apply.

    Fields that were applied before and are no longer in the file go; fields that somebody else set stay. A changed spec gets the next generation, so that status speaks of the spec before.
    """
    metadata: Json = {"name": key.name, "namespace": key.namespace}
    given, spec = manifest["metadata"], _without_nulls(manifest["spec"])
    if live is None:
        metadata |= {
            "uid": f"not-yet/{key.kind}/{key.namespace}/{key.name}",
            "generation": 1,
            "resourceVersion": "planned",
        }
        metadata |= {part: dict(given.get(part) or {}) for part in _MAPS}
        return {"kind": key.kind, "metadata": metadata, "spec": spec, "status": {}}
    before, had = live["metadata"], _last_applied(live)
    spec = _merged(live.get("spec") or {}, had["spec"], spec)
    metadata |= {k: before[k] for k in _OF_THE_SERVER if k in before}
    metadata["generation"] = before.get("generation", 0) + (1 if spec != live.get("spec") else 0)
    metadata["resourceVersion"] = f"{before.get('resourceVersion', '')}+planned"
    for part in _MAPS:
        found = {k: v for k, v in (before.get(part) or {}).items() if k != _LAST_APPLIED}
        metadata[part] = _merged(found, had["metadata"].get(part) or {}, given.get(part) or {})
    return {"kind": key.kind, "metadata": metadata, "spec": spec, "status": dict(live.get("status") or {})}


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_nulls(v) for k, v in value.items() if v is not None}
    return [_without_nulls(v) for v in value] if isinstance(value, list) else value


def _last_applied(live: Json) -> Json:
    """What goes when it is not in the file any more."""
    metadata = live["metadata"]
    try:
        found = json.loads((metadata.get("annotations") or {})[_LAST_APPLIED])
        return {"spec": dict(found.get("spec") or {}), "metadata": dict(found.get("metadata") or {})}
    except (KeyError, ValueError, AttributeError, TypeError):
        pass
    # Server-side apply leaves no such record, but names who set what by other means: that stays.
    others = {
        name.removeprefix("f:")
        for entry in metadata.get("managedFields") or ()
        if entry.get("operation") == "Update" and not entry.get("subresource")
        for name in (entry.get("fieldsV1") or {}).get("f:spec") or ()
    }
    return {"spec": {k: v for k, v in (live.get("spec") or {}).items() if k not in others}, "metadata": {}}


def _merged(live: Json, last: Mapping[str, Any], new: Mapping[str, Any]) -> Json:
    """The three-way merge of kubectl for a custom resource: objects by key, lists whole."""
    merged = {k: v for k, v in live.items() if k in new or k not in last}
    for key, value in new.items():
        if isinstance(value, dict) and isinstance(live.get(key), dict):
            before = last.get(key)
            merged[key] = _merged(live[key], before if isinstance(before, dict) else {}, value)
        else:
            merged[key] = value
    return merged


def changes(before: object, after: object, path: str = "spec") -> list[str]:
    """Paths below which two values differ."""
    if before == after:
        return []
    if isinstance(before, dict) and isinstance(after, dict):
        return [
            p for k in sorted(before.keys() | after.keys()) for p in changes(before.get(k), after.get(k), f"{path}.{k}")
        ]
    return [path]
