"""`kubectl explain` reads like a manual: every field at every level says what it is, in what unit, what its values mean
and what happens when it is left out."""

import re

import pytest

from sovereigncloud.api import KINDS
from sovereigncloud.api.schema.crd import resource_schema

SPOKEN_FOR = {".apiVersion", ".kind", ".metadata"}
"""The API server describes these itself."""
LEFT_OUT = re.compile(r"\b(default|absent|without|exactly one|leave it out)\b", re.IGNORECASE)
UNIT = re.compile(
    r"\b(MiB|bytes|processors|seconds|minutes|number of|how many|generation|VLAN|duration)\b", re.IGNORECASE
)


def fields(schema, path="", *, optional=True):
    """Every field below a schema: path, its schema, whether it may be left out."""
    required = schema.get("required", ())
    for name, child in schema.get("properties", {}).items():
        yield f"{path}.{name}", child, name not in required
        yield from fields(child, f"{path}.{name}")
    if "items" in schema:
        yield from fields(schema["items"], f"{path}[]")


FIELDS = [
    pytest.param(path, node, left_out, id=f"{kind.crd.kind}{path}")
    for kind in KINDS
    for path, node, left_out in fields(resource_schema(kind))
    if path not in SPOKEN_FOR
]
SPEC = [field for field in FIELDS if field.values[0].startswith(".spec.")]


@pytest.mark.parametrize(("path", "node", "left_out"), FIELDS)
def test_every_field_is_described_in_a_sentence(path, node, left_out):
    told = node.get("description", "")
    assert re.fullmatch(r"(?s)[A-Z0-9].*[.)]", told), told
    name = path.rpartition(".")[2].removesuffix("[]")
    own = {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)}
    new = {word.lower().rstrip("s") for word in re.findall(r"[A-Za-z]+", told)} - own - {"the", "a", "of", "it", "in"}
    assert len(new) > 1, f"it says no more than its name: {told}"


@pytest.mark.parametrize(("path", "node", "left_out"), SPEC)
def test_what_may_be_left_out_says_what_happens_then(path, node, left_out):
    assert not left_out or LEFT_OUT.search(node["description"]), node["description"]


@pytest.mark.parametrize(("path", "node", "left_out"), FIELDS)
def test_numbers_have_a_unit_and_values_a_meaning(path, node, left_out):
    told = node["description"]
    if node.get("type") == "integer" or node.get("x-kubernetes-int-or-string"):
        assert UNIT.search(told), told
    if node.get("type") == "boolean":
        assert "true" in told, told
    values = node.get("enum") or node.get("items", {}).get("enum") or ()
    for value in values:
        assert re.search(rf"\b{re.escape(str(value))}( \(default\))?: \S", told), f"what {value} means: {told}"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.crd.kind)
def test_a_kind_says_what_it_makes_what_it_waits_for_and_what_happens_when_it_goes(kind):
    told = resource_schema(kind)["description"]
    assert len(told.split("\n\n")) >= 2, "a first paragraph to recognise it, then how it behaves"
    assert "delet" in told.lower()
    assert "status" in told.lower()
    assert f"kubectl get {kind.crd.short_names[0]}" in told
