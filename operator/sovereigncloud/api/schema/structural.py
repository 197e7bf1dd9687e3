"""Structural schemas from pydantic's JSON schemas.

pydantic writes draft 2020-12; a CRD holds OpenAPI 3.0 with Kubernetes' extensions, and the API server refuses or, worse,
silently prunes what it does not know. What has a counterpart is translated; the rest is refused here with the path of the
field, so that a model that the API server would not take never reaches `crds/`.

Defaults stay in the models: one in a schema would be written into stored objects and could never change again.
Unions have no counterpart that `kubectl explain` could show: the language has one optional object per alternative instead.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core.core_schema import ModelSchema

from sovereigncloud.api.common.base import WORDS, Rule

RULES = "x-kubernetes-validations"
_INT_OR_STRING = "x-kubernetes-int-or-string"
_PRESERVE = "x-kubernetes-preserve-unknown-fields"
_KEPT = (
    "type", "description", "enum", "minimum", "maximum", "multipleOf", "minLength", "maxLength", "pattern",
    "minItems", "maxItems", "minProperties", "maxProperties", "required",
)  # fmt: skip
_READ = frozenset(_KEPT) | {
    # translated
    "$defs", "properties", "items", "additionalProperties", "const", "uniqueItems", "exclusiveMinimum", "exclusiveMaximum",
    "format",
    # dropped: of no consequence for what is accepted
    "title", "default", "discriminator", "examples", "contentMediaType", "deprecated", "readOnly", "writeOnly",
}  # fmt: skip
_KNOWN_FORMATS = frozenset({"date-time", "int32", "int64", "byte"})  # of others the server warns at every apply
# Rust's regex, which pydantic uses, and Go's RE2, which the API server uses, both lack look-around and back-references;
# the shorthands mean Unicode classes to the one and ASCII to the other, so an object could pass one and not the other.
_NOT_PORTABLE = re.compile(r"\\[dDwWsSbB1-9pP]|\(\?[=!<P]")


class UnsupportedSchemaError(ValueError):
    """A model says something that a structural schema cannot. The message begins with the path of the field."""


class WithRules(GenerateJsonSchema):
    """Adds the CEL rules that stand on the models."""

    def model_schema(self, schema: ModelSchema) -> JsonSchemaValue:
        result = super().model_schema(schema)
        rules: tuple[Rule, ...] = getattr(schema["cls"], "cel_rules", ())
        if rules:
            result[RULES] = [rule.as_validation() for rule in rules]
        return result


def structural(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The structural schema for a JSON schema of pydantic's.

    Raises:
        UnsupportedSchemaError: recursion, unions, tuples, keys with a pattern, values without a type, regular
            expressions that Go and Rust read differently, and every keyword that is not known to be harmless.
    """
    return _Translation(schema.get("$defs", {})).of(schema, path="", within=())


class _Translation:
    """`path` is where a node stands, for errors; `within` names the definitions that are being inlined around it."""

    def __init__(self, defs: Mapping[str, Any]) -> None:
        self._defs = defs

    def of(self, node: Mapping[str, Any], *, path: str, within: tuple[str, ...]) -> dict[str, Any]:
        flat, within = self._flattened(node, path, within)
        out: dict[str, Any] = {key: flat[key] for key in _KEPT if key in flat}
        out |= {key: value for key, value in flat.items() if key.startswith("x-kubernetes-")}
        out |= _translated_keywords(flat)
        if "properties" in flat:
            children = flat["properties"].items()
            out["properties"] = {name: self.of(child, path=f"{path}.{name}", within=within) for name, child in children}
        if "items" in flat:
            out["items"] = self.of(flat["items"], path=f"{path}[]", within=within)
        if isinstance(flat.get("additionalProperties"), Mapping):
            if "properties" in flat:
                raise UnsupportedSchemaError(f"{path or '.'}: properties and additionalProperties exclude each other")
            out["additionalProperties"] = self.of(flat["additionalProperties"], path=f"{path}{{}}", within=within)
        _check(flat, out, path or ".")
        return _in_words(out, flat.get(WORDS))

    def _flattened(
        self, node: Mapping[str, Any], path: str, within: tuple[str, ...]
    ) -> tuple[Mapping[str, Any], tuple[str, ...]]:
        """The node without `$ref`, a single `allOf`, the null branch of an optional, and int | str."""
        while True:
            if "$ref" in node:
                name = str(node["$ref"]).removeprefix("#/$defs/")
                if name in within:
                    raise UnsupportedSchemaError(
                        f"{path or '.'}: {name} contains itself; a structural schema is finite"
                    )
                node, within = _merged(self._defs[name], node, without="$ref"), (*within, name)
            elif len(node.get("allOf", ())) == 1:
                node = _merged(node["allOf"][0], node, without="allOf")
            elif "anyOf" in node or "oneOf" in node:
                union = "anyOf" if "anyOf" in node else "oneOf"
                node = _merged(_one_branch(node[union], path or "."), node, without=union)
            else:
                return node, within


def _merged(inner: Mapping[str, Any], outer: Mapping[str, Any], *, without: str) -> dict[str, Any]:
    """What a field says wins over what its type says; the rules of both hold."""
    out = {**inner, **{key: value for key, value in outer.items() if key != without}}
    if rules := [*inner.get(RULES, ()), *outer.get(RULES, ())]:
        out[RULES] = rules
    return out


def _one_branch(branches: Sequence[Mapping[str, Any]], path: str) -> Mapping[str, Any]:
    """The branch beside null, or int | str as Kubernetes has it: its pattern and bounds hold for their own type."""
    left = [branch for branch in branches if branch.get("type") != "null"]
    if len(left) == 1:
        return left[0]
    if sorted(str(branch.get("type")) for branch in left) == ["integer", "string"]:
        both = {key: value for branch in left for key, value in branch.items() if key != "type"}
        return {**both, _INT_OR_STRING: True}
    raise UnsupportedSchemaError(
        f"{path}: a union; have one optional object per alternative and a rule that exactly one is set"
    )


def _translated_keywords(node: Mapping[str, Any]) -> dict[str, Any]:
    """Keywords that a structural schema spells differently."""
    out: dict[str, Any] = {}
    if "description" in node:
        out["description"] = prose(node["description"])
    if "const" in node:
        out["enum"] = [node["const"]]
    if node.get("uniqueItems"):
        out["x-kubernetes-list-type"] = "set"
    if node.get("additionalProperties") is True:  # `false` is what pruning does anyway
        out[_PRESERVE] = True
    if node.get("format") in _KNOWN_FORMATS:
        out["format"] = node["format"]
    for bound, beyond in (("minimum", operator.ge), ("maximum", operator.le)):
        exclusive = node.get(f"exclusive{bound.capitalize()}")
        if exclusive is not None and beyond(exclusive, node.get(bound, exclusive)):  # of two bounds the stricter holds
            out |= {bound: exclusive, f"exclusive{bound.capitalize()}": True}
    return out


def _in_words(out: dict[str, Any], words: str | None) -> dict[str, Any]:
    """A pattern as a rule with a message: of a pattern the API server says only that it was not matched. Empty words: the
    first rule of the field says it.
    """
    if words is None or "pattern" not in out:
        return out
    value = "string(self)" if _INT_OR_STRING in out else "self"
    matches = f"{value}.matches(r'{out['pattern']}')"
    kept = {key: value for key, value in out.items() if key != "pattern"}
    if words:
        kept[RULES] = [Rule(matches, words).as_validation(), *kept.get(RULES, ())]
    else:
        first, *others = kept[RULES]
        kept[RULES] = [{**first, "rule": f"{matches} && {first['rule']}"}, *others]
    return kept


def _check(node: Mapping[str, Any], out: Mapping[str, Any], path: str) -> None:
    for key in node:
        if key not in _READ and not key.startswith("x-"):
            raise UnsupportedSchemaError(f"{path}: {key} has no counterpart in a structural schema")
    if not {"type", _INT_OR_STRING, _PRESERVE} & out.keys():
        raise UnsupportedSchemaError(f"{path}: has no type")
    if node.get("format") == "duration":
        raise UnsupportedSchemaError(f"{path}: a timedelta refuses 15m and 24h; use Duration")
    if found := _NOT_PORTABLE.search(str(out.get("pattern", ""))):
        raise UnsupportedSchemaError(f"{path}: {found[0]} in a pattern is not the same in Go and in Rust; spell it out")


def prose(text: str) -> str:
    """Paragraphs without the line breaks of the source."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.strip().split("\n\n"))
