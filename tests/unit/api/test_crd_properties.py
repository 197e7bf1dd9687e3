"""Schema and models agree: what one writes the other reads, and what one refuses the other refuses.

Objects are drawn from the schemas, so that every field, bound and pattern of every kind comes up.
"""

import copy
import re
from functools import cache

import jsonschema
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from sovereigncloud.api import KINDS
from sovereigncloud.api.schema.crd import resource_schema

INT_OR_STRING = "x-kubernetes-int-or-string"
PARTS = [(kind, part) for kind in KINDS for part in ("spec", "status")]
parts = pytest.mark.parametrize(("kind", "part"), PARTS, ids=lambda value: getattr(value, "__name__", value))
few = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


def is_int_or_string(_validator, wanted, instance, _schema):
    if wanted and not (isinstance(instance, str) or (isinstance(instance, int) and not isinstance(instance, bool))):
        yield jsonschema.ValidationError(f"{instance!r} is neither integer nor string")


# Draft 4 is the one whose exclusive bounds are flags, as in OpenAPI 3.0.
Validator = jsonschema.validators.extend(jsonschema.Draft4Validator, {INT_OR_STRING: is_int_or_string})


@cache
def schema_of(kind, part):
    return with_patterns(resource_schema(kind)["properties"][part])


def with_patterns(node):
    """With the patterns that the API server is told as rules, so that it can say them in words, where the models have
    them."""
    if isinstance(node, list):
        return [with_patterns(item) for item in node]
    if not isinstance(node, dict):
        return node
    found = {key: with_patterns(value) for key, value in node.items()}
    for rule in node.get("x-kubernetes-validations", ()):
        if isinstance(rule, dict) and (told := re.match(r"(?:self|string\(self\))\.matches\(r'(.*?)'\)", rule["rule"])):
            found["pattern"] = told[1]
    return found


def model_of(kind, part):
    return kind.model_fields[part].annotation


def accepted_by_schema(schema, value):
    return Validator(schema).is_valid(value)


def accepted_by_model(model, value):
    try:
        model.model_validate(value)
    except ValidationError:
        return False
    return True


@cache
def values_of(kind, part):
    """Made once: of a large kind that takes longer than to draw from it."""
    return values(schema_of(kind, part))


def values(schema):
    """Values that the schema accepts."""
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if schema.get(INT_OR_STRING):
        return st.one_of(integers(schema), strings(schema))
    return {
        "string": strings,
        "integer": integers,
        "boolean": lambda _: st.booleans(),
        "array": lists,
        "object": objects,
    }[schema["type"]](schema)


def strings(schema):
    low, high = schema.get("minLength", 0), schema.get("maxLength", 40)
    if "pattern" not in schema:
        return st.text(min_size=low, max_size=min(high, low + 20))
    drawn = st.from_regex(schema["pattern"], fullmatch=True)
    return drawn.filter(lambda text: low <= len(text) <= high)


def integers(schema):
    return st.integers(schema.get("minimum", -(2**31)), schema.get("maximum", 2**31))


def lists(schema):
    low, high = schema.get("minItems", 0), schema.get("maxItems", 3)
    unique = None
    if schema.get("x-kubernetes-list-type") == "map":
        keys = schema["x-kubernetes-list-map-keys"]
        unique = lambda item: tuple(item[key] for key in keys)  # noqa: E731
    elif schema.get("x-kubernetes-list-type") == "set":
        unique = str
    return st.lists(values(schema["items"]), min_size=low, max_size=min(high, low + 2), unique_by=unique)


def objects(schema):
    if "additionalProperties" in schema:
        least, child = schema.get("minProperties", 0), values(schema["additionalProperties"])
        return st.dictionaries(st.text(min_size=1, max_size=9), child, min_size=least, max_size=least + 3)
    fields = {name: values(child) for name, child in schema["properties"].items()}
    required = schema.get("required", ())
    return st.fixed_dictionaries(
        {name: fields[name] for name in fields if name in required},
        optional={name: fields[name] for name in fields if name not in required},
    )


@parts
@few
@given(data=st.data())
def test_what_the_schema_accepts_the_model_reads_and_writes_back(kind, part, data):
    schema, model = schema_of(kind, part), model_of(kind, part)
    value = data.draw(values_of(kind, part))
    assert accepted_by_schema(schema, value)
    dumped = model.model_validate(value).model_dump(mode="json", by_alias=True, exclude_unset=True)
    assert dumped == value
    written = model.model_validate(value).model_dump(mode="json", by_alias=True, exclude_none=True)
    assert accepted_by_schema(schema, written)
    assert model.model_validate(written) == model.model_validate(value)


def places(schema, value, path=()):
    """Every value in an object with its schema and path."""
    yield path, schema, value
    if isinstance(value, dict):
        for name, child in value.items():
            below = schema["properties"][name] if "properties" in schema else schema["additionalProperties"]
            yield from places(below, child, (*path, name))
    if isinstance(value, list):
        for index, child in enumerate(value):
            yield from places(schema["items"], child, (*path, index))


def damages(schema, value):
    """Replacements of a value that its schema must not accept."""
    yield {"nonsense": {}} if schema.get("type") != "object" else "nonsense"
    if schema.get("type") in ("integer", "boolean", "array") or "enum" in schema:
        yield "nonsense"
    if "minimum" in schema:
        yield schema["minimum"] - 1
    if "maximum" in schema:
        yield schema["maximum"] + 1
    if "pattern" in schema:
        yield "\u00a7 \n"
    if schema.get("minLength"):
        yield ""
    if "maxLength" in schema and "pattern" not in schema:
        yield "a" * (schema["maxLength"] + 1)
    if schema.get("minItems"):
        yield []
    if "maxItems" in schema and value:
        yield [*value, *value[:1] * schema["maxItems"]]
    for name in schema.get("required", ()):
        yield {key: child for key, child in value.items() if key != name}


def put(value, path, new):
    if not path:
        return new
    value = copy.deepcopy(value)
    node = value
    for step in path[:-1]:
        node = node[step]
    node[path[-1]] = new
    return value


@parts
@few
@given(data=st.data())
def test_what_one_refuses_the_other_refuses(kind, part, data):
    schema, model = schema_of(kind, part), model_of(kind, part)
    value = data.draw(values_of(kind, part))
    path, below, old = data.draw(st.sampled_from(list(places(schema, value))))
    damage = data.draw(st.sampled_from(list(damages(below, old))))
    bad = put(value, path, damage)
    assume(bad != value)
    assert not accepted_by_schema(schema, bad), (path, damage)
    assert not accepted_by_model(model, bad), (path, damage)
