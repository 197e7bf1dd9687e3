"""What becomes of pydantic's JSON schema, and that crds/ is what the models say."""

import os
import re
import subprocess
import sys
import zipfile
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field
from typer.testing import CliRunner

from sovereigncloud.api import KINDS
from sovereigncloud.api.common.base import Duration, Quantity, Rule
from sovereigncloud.api.common.rules import checked
from sovereigncloud.api.schema.crd import custom_resource_definition, manifests, resource_schema
from sovereigncloud.api.schema.structural import UnsupportedSchemaError, WithRules, structural
from sovereigncloud.cli import app
from sovereigncloud.commands.generate.command import stale

REPOSITORY = Path(__file__).parents[3]


class Colour(StrEnum):
    """The docstring of a type."""

    RED = "Red"
    BLUE = "Blue"


class Inner(BaseModel):
    """An inner
    object.

    Second paragraph.
    """

    cel_rules: ClassVar[tuple[Rule, ...]] = (Rule("self.a != ''", "set a", field=".a"),)
    a: str


class Node(BaseModel):
    children: list["Node"] = []


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    a: str | None = None


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")
    a: str


def field_of(annotation: Any, field: Any = ...) -> dict[str, Any]:
    """The structural schema of one field `x` of a model."""
    model = type("M", (BaseModel,), {"__annotations__": {"x": annotation}, "x": field, "__module__": __name__})
    return structural(model.model_json_schema(schema_generator=WithRules))["properties"]["x"]


INNER = {
    "type": "object",
    "description": "An inner object.\n\nSecond paragraph.",
    "required": ["a"],
    "properties": {"a": {"type": "string"}},
    "x-kubernetes-validations": [{"rule": "self.a != ''", "message": "set a", "fieldPath": ".a"}],
}


@pytest.mark.parametrize(
    ("why", "annotation", "field", "expected"),
    [
        ("title and default go", str, "x", {"type": "string"}),
        ("optional is not required, never nullable", str | None, None, {"type": "string"}),
        (
            "bounds of an optional stay",
            Annotated[int, Field(ge=1, le=5)] | None,
            None,
            {"type": "integer", "minimum": 1, "maximum": 5},
        ),
        (
            "an exclusive bound is a bound and a flag",
            Annotated[int, Field(gt=1, lt=5)],
            ...,
            {"type": "integer", "minimum": 1, "exclusiveMinimum": True, "maximum": 5, "exclusiveMaximum": True},
        ),
        (
            "of two lower bounds the stricter: the exclusive one",
            Annotated[int, Field(ge=1, gt=1)],
            ...,
            {"type": "integer", "minimum": 1, "exclusiveMinimum": True},
        ),
        (
            "of two lower bounds the stricter: the inclusive one",
            Annotated[int, Field(ge=3, gt=1)],
            ...,
            {"type": "integer", "minimum": 3},
        ),
        (
            "of two upper bounds the stricter",
            Annotated[int, Field(le=3, lt=9)],
            ...,
            {"type": "integer", "maximum": 3},
        ),
        ("const is an enum of one", Literal["a"], ..., {"type": "string", "enum": ["a"]}),
        ("a literal of an enum's member too", Literal[Colour.RED], ..., {"type": "string", "enum": ["Red"]}),
        (
            "an enum is inlined with its docstring",
            Colour | None,
            None,
            {"type": "string", "enum": ["Red", "Blue"], "description": "The docstring of a type."},
        ),
        (
            "the field's description wins over the type's",
            Colour,
            Field(description="Its colour."),
            {"type": "string", "enum": ["Red", "Blue"], "description": "Its colour."},
        ),
        ("a reference is inlined, its docstring without line breaks", Inner, ..., INNER),
        ("below an array too", list[Inner], ..., {"type": "array", "items": INNER}),
        (
            "rules of type and field both hold",
            Inner | None,
            Field(default=None, json_schema_extra=checked(Rule("true", "never"))),
            {
                **INNER,
                "x-kubernetes-validations": [
                    *INNER["x-kubernetes-validations"],
                    {"rule": "true", "message": "never"},
                ],
            },
        ),
        (
            "int | str is int-or-string without a type",
            Annotated[int | str, Field(json_schema_extra={"x-quantity": True})],
            ...,
            {"x-kubernetes-int-or-string": True},
        ),
        (
            "a quantity keeps its bounds, its pattern becomes a rule in words, its markers go",
            Quantity | None,
            None,
            {
                "x-kubernetes-int-or-string": True,
                "minimum": 0,
                "maxLength": 32,
                "x-kubernetes-validations": [
                    {
                        "rule": r"string(self).matches(r'^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$')",
                        "message": "must be a quantity without a space: a number, and for more than bytes a suffix, for"
                        " example 4Gi, 512Mi or 500m",
                    }
                ],
            },
        ),
        (
            "a duration is a text with a pattern",
            Duration,
            ...,
            {"type": "string", "maxLength": 32, "pattern": r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"},
        ),
        (
            "a dict describes its values",
            dict[str, int],
            Field(json_schema_extra={"maxProperties": 3}),
            {"type": "object", "additionalProperties": {"type": "integer"}, "maxProperties": 3},
        ),
        (
            "a dict of anything keeps what is unknown",
            dict[str, Any],
            ...,
            {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        ),
        (
            "extra=allow keeps what is unknown",
            Open,
            ...,
            {
                "type": "object",
                "properties": {"a": {"type": "string"}},
                "x-kubernetes-preserve-unknown-fields": True,
            },
        ),
        (
            "extra=forbid is what pruning does anyway",
            Closed,
            ...,
            {"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}}},
        ),
        (
            "a set is a list of type set",
            frozenset[str],
            ...,
            {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
        ),
        (
            "a list by name is a list of type map",
            list[Inner],
            Field(json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["a"]}),
            {
                "type": "array",
                "items": INNER,
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["a"],
            },
        ),
        ("a format that the server knows stays", datetime, ..., {"type": "string", "format": "date-time"}),
        (
            "another format goes, for the server warns of it",
            Annotated[str, Field(json_schema_extra={"format": "ipv4network"})],
            ...,
            {"type": "string"},
        ),
        (
            "notes for readers of JSON schema go",
            Annotated[str, Field(deprecated=True, examples=["a"], json_schema_extra={"readOnly": True})],
            ...,
            {"type": "string"},
        ),
    ],
)
def test_translated(why, annotation, field, expected):
    assert field_of(annotation, field) == expected, why


def test_a_single_all_of_is_merged():
    schema = {"type": "object", "properties": {"x": {"allOf": [{"type": "string"}], "description": "X."}}}
    assert structural(schema)["properties"]["x"] == {"type": "string", "description": "X."}


@pytest.mark.parametrize(
    ("why", "annotation", "message"),
    [
        ("recursion has no end", Node, r"^\.x\.children\[\]: Node contains itself"),
        ("no union of objects", Cat | Dog, r"^\.x: a union; have one optional object per alternative"),
        (
            "no discriminated union either",
            Annotated[Cat | Dog, Field(discriminator="kind")],
            r"^\.x: a union; have one optional object per alternative",
        ),
        ("no union of scalars but int | str", bool | str, r"^\.x: a union"),
        ("a Decimal is a union with a look-around pattern", Decimal, r"^\.x: a union"),
        ("a tuple is refused by the server", tuple[int, str], r"^\.x: prefixItems has no counterpart"),
        (
            "keys with a pattern are refused by the server",
            dict[Annotated[str, Field(pattern="^a$")], int],
            r"^\.x: patternProperties has no counterpart",
        ),
        ("a value of any type has no type", Any, r"^\.x: has no type"),
        ("inside of arrays too", list[Any], r"^\.x\[\]: has no type"),
        ("a timedelta refuses what users write", timedelta, r"^\.x: a timedelta refuses 15m"),
        ("\\d is Unicode in Rust, ASCII in Go", Annotated[str, Field(pattern=r"^\d$")], r"^\.x: \\d in a pattern"),
        ("\\w likewise", Annotated[str, Field(pattern=r"^\w$")], r"^\.x: \\w in a pattern"),
        (
            "a keyword that nobody thought of",
            Annotated[str, Field(json_schema_extra={"if": {}})],
            r"^\.x: if has no counterpart",
        ),
    ],
)
def test_refused(why, annotation, message):
    with pytest.raises(UnsupportedSchemaError, match=message):
        field_of(annotation)


def test_look_around_in_a_pattern_is_refused():
    with pytest.raises(UnsupportedSchemaError, match=r"^\.x: \(\?= in a pattern"):
        structural({"type": "object", "properties": {"x": {"type": "string", "pattern": "^(?=a)"}}})


def nodes(schema: dict[str, Any], path: str = ""):
    """Every schema below this one with its path."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from nodes(child, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield from nodes(schema[key], f"{path}[]")


kinds = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


@kinds
def test_the_only_default_is_the_observed_generation(kind):
    defaults = {path: node["default"] for path, node in nodes(resource_schema(kind)) if "default" in node}
    assert defaults == {".status": {"observedGeneration": -1}}


@kinds
def test_nothing_in_status_is_required_for_its_default_must_be_valid(kind):
    assert "required" not in resource_schema(kind)["properties"]["status"]


@kinds
def test_kubectl_explain_is_a_manual(kind):
    schema = resource_schema(kind)
    undescribed = [
        f"{path}.{name}"
        for path, node in nodes(schema)
        for name, child in node.get("properties", {}).items()
        if not child.get("description") and f"{path}.{name}" not in (".apiVersion", ".kind", ".metadata")
    ]
    assert schema["description"]
    assert undescribed == []


@kinds
def test_lists_by_key_have_that_key_required(kind):
    for path, node in nodes(resource_schema(kind)):
        if node.get("x-kubernetes-list-type") == "map":
            assert set(node["x-kubernetes-list-map-keys"]) <= set(node["items"]["required"]), path


@kinds
def test_every_rule_says_what_to_do(kind):
    """The path is the server's to say; a message is a fault and a remedy, or what it must be and an example."""
    for path, node in nodes(resource_schema(kind)):
        for rule in node.get("x-kubernetes-validations", ()):
            assert re.search(r": |or |for example", rule["message"]), (path, rule["message"])
            assert len(rule["message"]) <= 300, path
            assert "\n" not in rule["rule"] + rule["message"], path


@kinds
def test_columns_point_at_fields_of_the_schema(kind):
    schema = resource_schema(kind)
    for column in kind.crd.columns:
        if column.json_path == ".metadata.creationTimestamp":
            continue
        node = schema
        for name in column.json_path.split("[")[0].strip(".").split("."):
            node = node["properties"][name]
        assert column.type == node.get("type", "string") or "conditions" in column.json_path, column.name


@kinds
def test_the_envelope(kind):
    crd = custom_resource_definition(kind)
    (version,) = crd["spec"]["versions"]
    assert crd["metadata"] == {"name": f"{kind.crd.plural}.sovereigncloud.io"}
    assert set(crd) == {"apiVersion", "kind", "metadata", "spec"}
    assert "preserveUnknownFields" not in crd["spec"]
    assert crd["spec"]["names"]["categories"] == ["sovereign"]
    assert crd["spec"]["names"]["shortNames"] == list(kind.crd.short_names)
    assert version["subresources"] == {"status": {}}
    assert [column["name"] for column in version["additionalPrinterColumns"]][:2] == ["Ready", "Reason"]


def test_short_names_are_unique_and_none_of_a_built_in():
    """A short name of a built-in wins over ours: `sc` is StorageClass."""
    built_in = {"cm", "cs", "ds", "ep", "ev", "no", "ns", "po", "pv", "pvc", "rc", "rs", "sa", "sc", "sts", "svc"}
    ours = [name for kind in KINDS for name in kind.crd.short_names]
    assert len(ours) == len(set(ours))
    assert not built_in & set(ours)


def test_files_are_named_by_group_and_plural():
    assert sorted(manifests()) == [
        "kustomization.yaml",
        "sovereigncloud.io_baremetalservers.yaml",
        "sovereigncloud.io_exitplans.yaml",
        "sovereigncloud.io_federatedzones.yaml",
        "sovereigncloud.io_hostedinstances.yaml",
        "sovereigncloud.io_instancemigrations.yaml",
        "sovereigncloud.io_machineimages.yaml",
        "sovereigncloud.io_providerprofiles.yaml",
        "sovereigncloud.io_securitygroups.yaml",
        "sovereigncloud.io_sovereignclouds.yaml",
        "sovereigncloud.io_sovereigntypolicies.yaml",
        "sovereigncloud.io_tenants.yaml",
        "sovereigncloud.io_virtualnetworks.yaml",
    ]


def test_the_kustomization_names_every_kind():
    files = manifests()
    resources = yaml.safe_load(files["kustomization.yaml"])["resources"]
    assert sorted(resources) == sorted(name for name in files if name != "kustomization.yaml")


def test_texts_read_back_as_what_was_generated_and_use_no_anchors():
    for kind in KINDS:
        text = manifests()[f"sovereigncloud.io_{kind.crd.plural}.yaml"]
        assert yaml.safe_load(text) == custom_resource_definition(kind)
        assert not re.search(r"[:-] [&*]id", text)


def test_the_same_in_every_process():
    """Hashes of strings differ between processes; an order that came from a set would show."""
    program = "from sovereigncloud.api.schema.crd import manifests; print(manifests())"
    texts = {
        subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {"PYTHONPATH": str(REPOSITORY / "operator"), "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(texts) == 1


def test_the_repository_is_up_to_date():
    assert stale(REPOSITORY / "crds") == [], "run: sovereign crds --write"


def run(*arguments: str | Path):
    return CliRunner().invoke(app, ["crds", *map(str, arguments)])


def test_printed_documents_are_all_kinds_and_nothing_else():
    result = run()
    assert result.exit_code == 0
    documents = list(yaml.safe_load_all(result.stdout))
    assert {document["kind"] for document in documents} == {"CustomResourceDefinition"}
    assert sorted(document["spec"]["names"]["kind"] for document in documents) == sorted(
        kind.crd.kind for kind in KINDS
    )


def test_written_files_pass_the_check(tmp_path):
    written = run("--write", "--directory", tmp_path / "new")
    assert written.exit_code == 0
    assert written.stdout.count("written: ") == len(manifests())
    assert run("--check", "--directory", tmp_path / "new").exit_code == 0
    assert run("--write", "--directory", tmp_path / "new").stdout == "", "what is up to date is left alone"


@pytest.mark.parametrize(
    ("why", "damage", "named"),
    [
        ("edited by hand", lambda d: append(d / "sovereigncloud.io_machineimages.yaml"), "machineimages"),
        ("removed", lambda d: (d / "kustomization.yaml").unlink(), "kustomization"),
        ("of a kind that is gone", lambda d: (d / "sovereigncloud.io_ghosts.yaml").write_text("x"), "ghosts"),
    ],
)
def test_a_stale_directory_is_named_and_mended(tmp_path, why, damage, named):
    run("--write", "--directory", tmp_path)
    damage(tmp_path)
    check = run("--check", "--directory", tmp_path)
    assert check.exit_code == 1, why
    (line,) = [line for line in check.stderr.splitlines() if line.startswith("stale: ")]
    assert named in line
    assert "sovereign crds --write" in check.stderr
    run("--write", "--directory", tmp_path)
    assert run("--check", "--directory", tmp_path).exit_code == 0


def append(path: Path) -> None:
    path.write_text(path.read_text() + "# edited\n")


def test_an_installed_package_carries_the_files(tmp_path):
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)],
        cwd=REPOSITORY,
        capture_output=True,
        check=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        carried = {
            name.removeprefix("sovereigncloud/_crds/"): archive.read(name).decode()
            for name in archive.namelist()
            if name.startswith("sovereigncloud/_crds/")
        }
    assert carried == manifests()


def test_write_and_check_exclude_each_other(tmp_path):
    assert run("--write", "--check", "--directory", tmp_path).exit_code == 1
    assert list(tmp_path.iterdir()) == []
