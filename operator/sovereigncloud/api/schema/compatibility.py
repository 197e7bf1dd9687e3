"""What a new schema no longer accepts that an older one did.

There is one version and no conversion: stored objects must stay readable and writable, so within v1alpha1 the language only
grows. CEL rules are not compared: the API server does not hold a new rule against values that an update leaves unchanged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

# A new or stricter bound refuses what was accepted before.
_UPPER = ("maximum", "maxLength", "maxItems", "maxProperties")
_LOWER = ("minimum", "minLength", "minItems", "minProperties")
# Any change of these changes how stored objects are read or merged.
_FIXED = (
    "type", "pattern", "format", "multipleOf", "x-kubernetes-int-or-string", "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
)  # fmt: skip


def incompatibilities(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Sentences that begin with the path of the field, for two CustomResourceDefinitions of one kind; empty: the new one
    accepts whatever the old one did.
    """
    before, after = _identity(old), _identity(new)
    found = [f"{key}: {before[key]} became {after[key]}" for key in before if before[key] != after[key]]
    versions = {version["name"]: version for version in new["spec"]["versions"]}
    for version in old["spec"]["versions"]:
        name = version["name"]
        if name not in versions or not versions[name]["served"]:
            found.append(f"{name}: no longer served")
            continue
        schemas = (version["schema"]["openAPIV3Schema"], versions[name]["schema"]["openAPIV3Schema"])
        found.extend(_narrowed(*schemas, path=""))
    return found


def _identity(crd: Mapping[str, Any]) -> dict[str, str]:
    spec = crd["spec"]
    return {
        "group": spec["group"],
        "scope": spec["scope"],
        "kind": spec["names"]["kind"],
        "plural": spec["names"]["plural"],
    }


def _narrowed(old: Mapping[str, Any], new: Mapping[str, Any], *, path: str) -> Iterator[str]:
    where = path or "."
    yield from _changed_values(old, new, where)
    for name in sorted(set(new.get("required", ())) - set(old.get("required", ()))):
        yield f"{path}.{name}: is required now"
    new_fields = new.get("properties", {})
    for name, child in old.get("properties", {}).items():
        if name in new_fields:
            yield from _narrowed(child, new_fields[name], path=f"{path}.{name}")
        elif not new.get("x-kubernetes-preserve-unknown-fields"):
            yield f"{path}.{name}: was removed"
    for key, sign in (("items", "[]"), ("additionalProperties", "{}")):
        if key in old and key in new:
            yield from _narrowed(old[key], new[key], path=f"{path}{sign}")
        elif key in old:
            yield f"{where}: {key} was removed"


def _changed_values(old: Mapping[str, Any], new: Mapping[str, Any], where: str) -> Iterator[str]:
    if "enum" in new and "enum" not in old:
        yield f"{where}: only {', '.join(map(str, new['enum']))} are accepted now"
    elif lost := [value for value in old.get("enum", ()) if "enum" in new and value not in new["enum"]]:
        yield f"{where}: {', '.join(map(str, lost))} are no longer accepted"
    if old.get("x-kubernetes-preserve-unknown-fields") and not new.get("x-kubernetes-preserve-unknown-fields"):
        yield f"{where}: unknown fields are no longer kept"
    for key in _FIXED:
        if old.get(key) != new.get(key) and not (key in ("pattern", "multipleOf", "format") and key not in new):
            yield f"{where}: {key} {old.get(key, 'none')} became {new.get(key, 'none')}"
    for key in (*_UPPER, *_LOWER):
        if key in new and (key not in old or _stricter(key, old, new)):
            yield f"{where}: {key} {old.get(key, 'none')} became {new[key]}"


def _stricter(key: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    if old[key] == new[key]:
        flag = f"exclusive{key.capitalize()}"
        return bool(new.get(flag)) and not old.get(flag)
    return bool(new[key] < old[key] if key in _UPPER else new[key] > old[key])
