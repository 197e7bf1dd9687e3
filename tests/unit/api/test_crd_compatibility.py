"""Within one version the language only grows."""

import copy

import pytest

from sovereigncloud.api import KINDS
from sovereigncloud.api.schema.compatibility import incompatibilities
from sovereigncloud.api.schema.crd import custom_resource_definition

SPEC = {
    "type": "object",
    "required": ["source"],
    "properties": {
        "source": {"type": "string", "minLength": 1, "maxLength": 10, "pattern": "^a"},
        "power": {"type": "string", "enum": ["On", "Off"]},
        "size": {"type": "integer", "minimum": 1, "maximum": 9},
        "disks": {
            "type": "array",
            "maxItems": 4,
            "items": {"type": "object", "properties": {"name": {"type": "string"}}},
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
        },
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "extra": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
    },
}


def crd_of(spec):
    schema = {"type": "object", "properties": {"spec": spec}}
    return {
        "spec": {
            "group": "g",
            "scope": "Namespaced",
            "names": {"kind": "Thing", "plural": "things"},
            "versions": [{"name": "v1", "served": True, "schema": {"openAPIV3Schema": schema}}],
        }
    }


def with_change(path, value):
    """SPEC with one value set, or removed where the value is None."""
    spec = copy.deepcopy(SPEC)
    *parents, last = path.split("/")
    node = spec
    for name in parents:
        node = node[name]
    if value is None:
        del node[last]
    else:
        node[last] = value
    return crd_of(spec)


@pytest.mark.parametrize(
    ("why", "path", "value", "found"),
    [
        ("a field went: stored values are pruned", "properties/power", None, [".spec.power: was removed"]),
        ("so did one of an array", "properties/disks/items/properties/name", None, [".spec.disks[].name: was removed"]),
        ("a value less", "properties/power/enum", ["On"], [".spec.power: Off are no longer accepted"]),
        ("an enum where there was none", "properties/source/enum", ["a"], [".spec.source: only a are accepted now"]),
        ("one more is required", "required", ["source", "size"], [".spec.size: is required now"]),
        ("the type changed", "properties/size/type", "string", [".spec.size: type integer became string"]),
        ("the pattern changed", "properties/source/pattern", "^b", [".spec.source: pattern ^a became ^b"]),
        ("a pattern came", "properties/power/pattern", "^O", [".spec.power: pattern none became ^O"]),
        ("shorter", "properties/source/maxLength", 9, [".spec.source: maxLength 10 became 9"]),
        ("longer at least", "properties/source/minLength", 2, [".spec.source: minLength 1 became 2"]),
        ("fewer", "properties/disks/maxItems", 3, [".spec.disks: maxItems 4 became 3"]),
        ("a bound came", "properties/disks/minItems", 1, [".spec.disks: minItems none became 1"]),
        ("smaller", "properties/size/maximum", 8, [".spec.size: maximum 9 became 8"]),
        ("the bound excludes itself", "properties/size/exclusiveMaximum", True, [".spec.size: maximum 9 became 9"]),
        (
            "merged in another way",
            "properties/disks/x-kubernetes-list-type",
            "atomic",
            [".spec.disks: x-kubernetes-list-type map became atomic"],
        ),
        (
            "values of a dict",
            "properties/labels/additionalProperties/type",
            "integer",
            [".spec.labels{}: type string became integer"],
        ),
        (
            "a dict is none any more",
            "properties/labels/additionalProperties",
            None,
            [".spec.labels: additionalProperties was removed"],
        ),
        (
            "unknown fields go",
            "properties/extra/x-kubernetes-preserve-unknown-fields",
            None,
            [".spec.extra: unknown fields are no longer kept"],
        ),
        ("a field more", "properties/more", {"type": "string"}, []),
        ("a value more", "properties/power/enum", ["On", "Off", "Paused"], []),
        ("any value", "properties/power/enum", None, []),
        ("one less is required", "required", [], []),
        ("any text", "properties/source/pattern", None, []),
        ("longer", "properties/source/maxLength", 11, []),
        ("as many as one likes", "properties/disks/maxItems", None, []),
        ("larger", "properties/size/maximum", 10, []),
        ("another description", "properties/size/description", "How big.", []),
    ],
)
def test_a_change(why, path, value, found):
    assert incompatibilities(crd_of(SPEC), with_change(path, value)) == found, why


@pytest.mark.parametrize(
    ("why", "change", "found"),
    [
        ("the scope", lambda spec: spec.update(scope="Cluster"), ["scope: Namespaced became Cluster"]),
        ("the plural", lambda spec: spec["names"].update(plural="thingies"), ["plural: things became thingies"]),
        ("the version went", lambda spec: spec.update(versions=[]), ["v1: no longer served"]),
        ("it is not served", lambda spec: spec["versions"][0].update(served=False), ["v1: no longer served"]),
        ("nothing", lambda spec: None, []),
    ],
)
def test_a_change_of_the_envelope(why, change, found):
    new = crd_of(copy.deepcopy(SPEC))
    change(new["spec"])
    assert incompatibilities(crd_of(SPEC), new) == found, why


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_our_own_kinds_are_compatible_with_themselves_and_not_without_a_field(kind):
    crd = custom_resource_definition(kind)
    assert incompatibilities(crd, crd) == []
    narrower = copy.deepcopy(crd)
    fields = narrower["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
    gone = min(fields)
    del fields[gone]
    assert f".spec.{gone}: was removed" in incompatibilities(crd, narrower)
