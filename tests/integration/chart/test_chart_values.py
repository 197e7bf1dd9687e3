"""The values of the chart: each documented once and checked at every level, and what they allow exists in Kubernetes."""

import copy
import json

import jsonschema
import pytest
import yaml
from tests.integration.chart.rendered import CHART

from sovereigncloud.commands.generate import chart_values
from sovereigncloud.commands.generate.chart_values import UndocumentedError

TEXT = (CHART / "values.yaml").read_text()
VALUES = yaml.safe_load(TEXT)
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
DOCUMENTED = chart_values.documented(TEXT)


def resolved(node):
    """A node of the schema, or what it refers to."""
    return SCHEMA["definitions"][node["$ref"].rsplit("/", 1)[1]] if "$ref" in node else node


def objects(node, path=()):
    """Every object below a node of the schema, with the path to one in values; 0 is the first of a list."""
    node = resolved(node)
    if node.get("type") == "object":
        yield path, node
    for key, child in node.get("properties", {}).items():
        yield from objects(child, (*path, key))
    if "items" in node:
        yield from objects(node["items"], (*path, 0))


ALL = dict(objects(SCHEMA))
STRICT = {path: node for path, node in ALL.items() if path not in {("global",), ("crds", "global")}}


def at(path, value):
    for part in reversed(path):
        value = [value] if part == 0 else {part: value}
    return value


def test_nothing_but_global_is_left_open():
    texts = {path for path, node in STRICT.items() if node.get("additionalProperties") == {"type": "string"}}
    closed = {path for path, node in STRICT.items() if node.get("additionalProperties") is False}
    assert texts | closed == STRICT.keys()
    assert len(closed) > 80


@pytest.mark.parametrize("section", sorted(VALUES))
def test_a_typo_at_any_depth_of_a_section_is_refused_and_named(section):
    """What is allowed there otherwise does not matter: the misspelt key is among what is refused."""
    validator = jsonschema.Draft7Validator(SCHEMA)
    deep = [path for path, node in STRICT.items() if path[:1] == (section,) and node["additionalProperties"] is False]
    for path in deep or [()]:
        wrong = at((*path, "mispselt"), 1) if deep else {f"{section}z": VALUES[section]}
        said = [error.message for error in validator.iter_errors(wrong) if error.validator == "additionalProperties"]
        assert any("mispselt" in message or f"{section}z" in message for message in said), path


@pytest.mark.parametrize("section", sorted(key for key in VALUES if isinstance(VALUES[key], dict) and VALUES[key]))
def test_helm_refuses_a_typo_in_a_section(helm_template, section):
    if SCHEMA["properties"][section].get("additionalProperties") != {"type": "string"}:
        finished = helm_template({section: {"mispselt": "1"}}, check=False)
        assert finished.returncode != 0
        assert "mispselt" in finished.stderr


COMMANDS = [["template", "x"], ["install", "x", "--dry-run=client"], ["upgrade", "x", "--install"], ["lint"]]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_every_command_of_helm_refuses(control_plane, command):
    verb, *arguments = command
    finished = control_plane.helm(
        verb, *arguments[:1], str(CHART), *arguments[1:], "--set=limits.ovh.brust=3", "--namespace=default", check=False
    )
    assert finished.returncode != 0
    assert "brust" in finished.stdout + finished.stderr


def test_the_defaults_are_right_by_the_schema():
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    jsonschema.Draft7Validator(SCHEMA).validate(VALUES)


def test_every_value_is_in_both_files():
    """The schema has nothing that values.yaml lacks, but what only umbrella charts set."""
    sections = {part.path[:depth] for part in DOCUMENTED for depth in range(1, len(part.path) + 1)}
    documented = {part.path for part in DOCUMENTED}

    def named(node, path=()):
        for key, child in node.get("properties", {}).items():
            here = (*path, key)
            yield here, "description" in child
            if here in sections - documented:
                yield from named(child, here)

    found = dict(named(SCHEMA))
    assert set(found) == sections | {("global",), ("enabled",), ("crds", "global")}
    assert [path for path, described in found.items() if not described] == []


def test_documentation_says_the_same_everywhere():
    """Made by `sovereign crds --write`, and here without it."""
    assert (
        chart_values.schema((CHART / "values.schema.json").read_text(), DOCUMENTED)
        == (CHART / "values.schema.json").read_text()
    ), "run: sovereign crds --write"
    readme = (CHART / "README.md").read_text()
    assert chart_values.readme(readme, DOCUMENTED) == readme, "run: sovereign crds --write"
    assert "| `limits.ovh.requestsPerMinute` | `50` |" in readme


DOCUMENTS = [
    ("a comment above a value", "# -- What it is.\na: 1\n", [(("a",), 1, "What it is.")]),
    ("one of several lines", "# -- What\n# it is.\na: 1\n", [(("a",), 1, "What it is.")]),
    ("an inner value", "b:\n  # -- In b.\n  a: x\n", [(("b", "a"), "x", "In b.")]),
    ("a mapping as a whole", "# -- All of b.\nb: {a: 1}\n", [(("b",), {"a": 1}, "All of b.")]),
    ("what is said to readers of the file only", "# Aside.\n\n# -- What it is.\na: 1\n", [(("a",), 1, "What it is.")]),
]


@pytest.mark.parametrize(("why", "text", "found"), DOCUMENTS)
def test_comments_are_read_as_helm_docs_reads_them(why, text, found):
    assert [(one.path, one.default, one.meaning) for one in chart_values.documented(text)] == found, why


LACKING = [
    ("a value without a comment", lambda: chart_values.documented("a: 1\n"), "a: no comment"),
    ("an inner one", lambda: chart_values.documented("b:\n  a: 1\n"), "b.a: no comment"),
    ("a comment that is none of documentation", lambda: chart_values.documented("# Aside.\na: 1\n"), "a: no comment"),
    ("a README without the marks", lambda: chart_values.readme("# x\n", DOCUMENTED), "no marks"),
    ("a schema without the value", lambda: chart_values.schema('{"properties": {}}', DOCUMENTED), "installationId: not in"),
]  # fmt: skip


@pytest.mark.parametrize(("why", "act", "said"), LACKING)
def test_what_is_not_documented_is_told(why, act, said):
    with pytest.raises(UndocumentedError, match=said):
        act()


# --- what is Kubernetes' own: a field that the schema allows is one that the API server knows ---------------------------

OF_KUBERNETES = {
    "envVar": "EnvVar",
    "envFromSource": "EnvFromSource",
    "volume": "Volume",
    "volumeMount": "VolumeMount",
    "toleration": "Toleration",
    "topologySpreadConstraint": "TopologySpreadConstraint",
    "nodeAffinity": "NodeAffinity",
    "podAffinity": "PodAffinity",
}


def unknown(node, of_server, components, path=""):
    """Fields of ours that the API server's own schema lacks, through all levels."""
    node = resolved(node)
    while "allOf" in of_server or "$ref" in of_server:
        (of_server,) = of_server.get("allOf", [of_server])
        if "$ref" in of_server:
            of_server = components[of_server["$ref"].rsplit("/", 1)[1]]
    for key, child in node.get("properties", {}).items():
        if key not in of_server.get("properties", {}):
            yield f"{path}.{key}"
        else:
            yield from unknown(child, of_server["properties"][key], components, f"{path}.{key}")
    if "items" in node:
        yield from unknown(node["items"], of_server["items"], components, f"{path}[]")


def test_what_the_schema_allows_is_known_to_kubernetes(control_plane):
    core = control_plane.request("GET", "/openapi/v3/api/v1")["components"]["schemas"]
    for ours, theirs in OF_KUBERNETES.items():
        kind = core[f"io.k8s.api.core.v1.{theirs}"]
        assert list(unknown(SCHEMA["definitions"][ours], kind, core, theirs)) == []
    security = core["io.k8s.api.core.v1.PodSecurityContext"]
    assert list(unknown(SCHEMA["properties"]["podSecurityContext"], security, core)) == []
    networking = control_plane.request("GET", "/openapi/v3/apis/networking.k8s.io/v1")["components"]["schemas"]
    for ours in ("NetworkPolicyPeer", "NetworkPolicyEgressRule"):
        definition = SCHEMA["definitions"][ours[0].lower() + ours[1:]]
        assert list(unknown(definition, networking[f"io.k8s.api.networking.v1.{ours}"], networking)) == []


def test_an_unknown_field_would_be_found(control_plane):
    core = control_plane.request("GET", "/openapi/v3/api/v1")["components"]["schemas"]
    wrong = copy.deepcopy(SCHEMA["definitions"]["toleration"])
    wrong["properties"]["keys"] = {"type": "string"}
    assert list(unknown(wrong, core["io.k8s.api.core.v1.Toleration"], core)) == [".keys"]
