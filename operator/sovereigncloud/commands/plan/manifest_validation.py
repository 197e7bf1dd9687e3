"""What is wrong with an object in a file: each field with its line and what to write instead.

The models check structure, types and values as the API server does with the schema that is generated from them. The CEL
rules in that schema run in the API server only; `server_rules` lists them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import Any

from pydantic import ValidationError

from sovereigncloud.api import KINDS
from sovereigncloud.api.common.base import Resource
from sovereigncloud.api.schema.crd import resource_schema
from sovereigncloud.api.schema.structural import RULES
from sovereigncloud.commands.plan.manifests import Document, Location

AnyResource = Resource[Any, Any]
Schema = Mapping[str, Any]

MODELS: Mapping[str, type[AnyResource]] = {kind.crd.kind: kind for kind in KINDS}
_METADATA = frozenset(
    {
        "name", "generateName", "namespace", "selfLink", "uid", "resourceVersion", "generation", "creationTimestamp",
        "deletionTimestamp", "deletionGracePeriodSeconds", "labels", "annotations", "ownerReferences", "finalizers",
        "managedFields",
    }
)  # fmt: skip
_NAME = re.compile(r"^(?=.{1,253}$)[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
_TOP = ("apiVersion", "kind", "metadata", "spec", "status")
_UNION_TAGS = ("constrained-int", "constrained-str", "int", "str")


@dataclass(frozen=True, slots=True)
class ServerRule:
    """A rule that only the API server checks."""

    kind: str
    field: str
    message: str


def server_rules(kind: str) -> list[ServerRule]:
    """The CEL rules of a kind, by the field they stand on."""
    return list(_rules(kind, _schema(kind), ""))


def _rules(kind: str, node: Schema, path: str) -> Iterator[ServerRule]:
    for rule in node.get(RULES, ()):
        yield ServerRule(kind, f"{path}{rule.get('fieldPath', '')}".lstrip(".") or "metadata.name", rule["message"])
    for name, child in node.get("properties", {}).items():
        yield from _rules(kind, child, f"{path}.{name}")
    if "items" in node:
        yield from _rules(kind, node["items"], f"{path}[]")


def problems(document: Document) -> list[str]:
    """What the API server would refuse of the structure of an object of ours, one line per field."""
    kind = document.body["kind"]
    said: dict[Location, str] = dict(_around_spec(document.body))
    # Metadata is checked above; status is the operator's, whatever the file says.
    candidate = {"kind": kind, "metadata": {"name": "checked"}, "status": {}}
    if "spec" in document.body:
        candidate["spec"] = document.body["spec"]
    try:
        # Strict and by alias: "2" is no number and cloud_ref no field, as for the API server.
        MODELS[kind].model_validate_json(
            json.dumps(candidate), strict=True, extra="forbid", by_alias=True, by_name=False
        )
    except ValidationError as error:
        for entry in error.errors(include_url=False, include_input=False):
            location = tuple(p for p in entry["loc"] if p not in _UNION_TAGS)
            node, known = _find(_schema(kind), location)
            # Of a union each member complains: the one about the form says more than the one about the type.
            if location not in said or entry["type"] in {"string_pattern_mismatch", "greater_than_equal"}:
                said[location] = _sentence(entry["type"], entry["msg"], location, node, known)
    ordered = sorted(said.items(), key=lambda item: document.position(item[0]))
    return [_line(document, location, text) for location, text in ordered]


def _around_spec(body: Mapping[str, Any]) -> Iterator[tuple[Location, str]]:
    for key in body:
        if key not in _TOP:
            yield (key,), _unknown(key, _TOP)
    metadata = body.get("metadata")
    if isinstance(metadata, dict):
        yield from _metadata(metadata)
    else:
        yield ("metadata",), "is missing: give the object a name in metadata.name"


def _metadata(metadata: Mapping[str, Any]) -> Iterator[tuple[Location, str]]:
    for key in metadata:
        if key not in _METADATA:
            yield ("metadata", key), _unknown(key, sorted(_METADATA))
    for key in ("name", "namespace"):
        value = metadata.get(key)
        if value is None and key == "name":
            yield ("metadata",), "metadata.name is missing: give the object a name"
        elif value is not None and not isinstance(value, str):
            yield ("metadata", key), "must be text: put it in quotes"
        elif value is not None and not _NAME.match(value):
            yield ("metadata", key), "must be lower-case letters, digits, - and . with a letter or digit at both ends"
    for key in ("labels", "annotations"):
        values = metadata.get(key) or {}
        if not isinstance(values, dict) or not all(isinstance(v, str) for v in values.values()):
            yield ("metadata", key), "its values must be text: put them in quotes"


def _line(document: Document, location: Location, text: str) -> str:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")
    return f"{document.line(location)}: {document}: {path}: {text}"


def _sentence(kind: str, message: str, location: Location, node: Schema, known: Schema) -> str:
    """Node is the schema of the field, known that of the nearest field around it that exists."""
    described = f" ({node['description']})" if node.get("description") else ""
    match kind:
        case "extra_forbidden":
            return _unknown(str(location[-1]), list(known.get("properties", {})))
        case "missing":
            return f"is missing{described}"
        case "literal_error" | "enum":
            return f"must be {_or([str(v) for v in node.get('enum', ())]) or 'another value'}{described}"
        case "string_type" if "x-kubernetes-int-or-string" not in node:
            return f"must be text: put it in quotes{described}"
        case "int_type":
            return f"must be a whole number without quotes{described}"
        case "bool_type":
            return f"must be true or false without quotes{described}"
        case "list_type":
            return f"must be a list{described}"
        case "model_type" | "model_attributes_type" | "dict_type":
            fields = ", ".join(node.get("properties", {}))
            return f"must be an object with the fields {fields}" if fields else "must be an object"
        case "string_pattern_mismatch" | "string_type":
            return f"has the wrong form, it must match {node.get('pattern', 'the pattern of its type')}{described}"
        case _:
            said = message.replace("Input should", "must").replace(" after validation", "")
            return f"{said[:1].lower()}{said[1:]}{described}"


def _unknown(name: str, known: list[str] | tuple[str, ...]) -> str:
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    if near:
        return f"is no field of it: did you mean {near[0]}?"
    return f"is no field of it: remove it; its fields are {', '.join(known)}"


def _or(words: list[str]) -> str:
    return " or ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def _find(schema: Schema, location: Location) -> tuple[Schema, Schema]:
    """The schema of a field ({} for one that does not exist), and of the innermost one around it that does."""
    node = around = schema
    for part in location:
        around = node
        child = node.get("items") if isinstance(part, int) else node.get("properties", {}).get(part)
        if child is None:
            child = node.get("additionalProperties")
        if not isinstance(child, Mapping):
            return {}, around
        node = child
    return node, around


@cache
def _schema(kind: str) -> Schema:
    return resource_schema(MODELS[kind])
