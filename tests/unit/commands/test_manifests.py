"""What is wrong with the given files: one line each, with the file, the line, the document, the field and the remedy."""

import base64
import io

import pytest
from tests.unit.commands.cli_fakes import Outside
from typer.testing import CliRunner

from sovereigncloud.cli import app
from sovereigncloud.commands.plan.manifest_validation import MODELS, server_rules
from sovereigncloud.commands.plan.manifests import read

HEAD = "apiVersion: sovereigncloud.io/v1alpha1\n"
GOOD_SPEC = "source: {image: ubuntu}, vcpu: 2, memory: 4Gi"


def instance(spec=GOOD_SPEC, metadata="{name: web}"):
    return f"{HEAD}kind: HostedInstance\nmetadata: {metadata}\nspec: {{{spec}}}\n"


def network(spec):
    return f"{HEAD}kind: VirtualNetwork\nmetadata: {{name: lan}}\nspec: {{{spec}}}\n"


def run(*arguments, given=""):
    return CliRunner().invoke(app, ["plan", *arguments], input=given, obj=Outside().connections)


def refused(text):
    """The lines on stderr; the exit code is 1 and nothing is on stdout."""
    result = run("-f", "-", given=text)
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert all(line.startswith("error: ") for line in lines)
    return [line.removeprefix("error: ") for line in lines]


@pytest.mark.parametrize(
    ("text", "line", "words", "why"),
    [
        (instance("source: {image: a}, vcpu: 2, memroy: 4Gi"), 4, "spec.memroy: is no field of it: did you mean memory?",
         "a typing error names the field that is near"),
        (instance("source: {image: a}, qqqqqq: 4"), 4, "spec.qqqqqq: is no field of it: remove it; its fields are",
         "nothing is near: the fields are listed"),
        (instance("source: {image: a}, placement: {cloud_ref: {name: x}}"), 4, "did you mean cloudRef?",
         "Python's names of fields are not the language"),
        (instance('source: {image: a}, vcpu: "2"'), 4, "spec.vcpu: must be a whole number without quotes",
         "the API server takes no text for a number"),
        (instance("source: {image: a}, memory: 4GiB"), 4, "spec.memory: has the wrong form", "not a quantity"),
        (instance("source: {image: a}, cpu: -1"), 4, "spec.cpu: must be greater than or equal to 0", "below the minimum"),
        (instance("source: {image: a}, power: On"), 4, "spec.power: must be Running, Stopped or Suspended",
         "YAML 1.1 reads On as true; either way it is none of the words"),
        (instance("source: {image: 7}"), 4, "spec.source.image: must be text: put it in quotes", "a number for text"),
        (instance("source: {image: a}, networks: [{name: lan}, {nme: x}]"), 4, "spec.networks[1].name: is missing",
         "the index says which entry"),
        (instance("source: {image: a}, sshAuthorizedKeys: ssh-ed25519"), 4, "spec.sshAuthorizedKeys: must be a list", "no list"),
        (network("vlanID: 5"), 4, "spec.cloudRef: is missing (The cloud that the network is in", "required, and what it is for"),
        (f"{HEAD}kind: HostedInstance\nmetadata: {{name: web}}\n", 1, "spec: is missing", "no spec at all"),
        (f"{HEAD}kind: HostedInstance\nspec: {{{GOOD_SPEC}}}\n", 1, "metadata: is missing", "no metadata"),
        (instance(metadata="{namespace: a}"), 3, "metadata.name is missing", "no name"),
        (instance(metadata="{name: Web}"), 3, "metadata.name: must be lower-case", "not a name in Kubernetes"),
        (instance(metadata="{name: 5}"), 3, "metadata.name: must be text", "YAML reads a number"),
        (instance(metadata="{name: web, label: {a: b}}"), 3, "metadata.label: is no field of it: did you mean labels?",
         "metadata is checked, too"),
        (instance(metadata="{name: web, labels: {a: 1}}"), 3, "metadata.labels: its values must be text", "a label is text"),
        (instance() + "specs: {}\n", 5, "specs: is no field of it: did you mean spec?", "beside spec"),
        (network("cloudRef: {name: a}, vlanID: 5000, addressRanges: []"), 4, "spec.vlanID: must be less than or equal to 4094",
         "above the maximum"),
        (network("cloudRef: a, vlanID: 5"), 4, "spec.cloudRef: must be an object with the fields name, namespace",
         "text for an object"),
        (f"{HEAD}kind: HostedInstanze\nmetadata: {{name: a}}\n", 2, "has no kind HostedInstanze: its kinds are", "no such kind"),
        ("apiVersion: sovereigncloud.io/v1\nkind: HostedInstance\nmetadata: {name: a}\n", 1, "write sovereigncloud.io/v1alpha1",
         "no such version"),
        ("a: b\n", 1, "document 1 has no apiVersion and kind", "no manifest"),
        ("- a\n", 1, "document 1 is not an object", "a list"),
        (f"{instance()}---\n{instance()}", 6, "HostedInstance default/web is given twice, also at standard input:1", "twice"),
        ("a: [1\n", 2, "not valid YAML", "unbalanced"),
        ("a: 1\nb: 2\na: 3\n", 3, "the key a is given twice", "the last one would win silently"),
        ("apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {password: hunter2}\n", 4,
         "data.password is not base64 of text: put plain text under stringData", "plain text under data"),
        ("apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {password: 5}\n", 4, "stringData.password must be text",
         "a number as a password"),
        ("apiVersion: v1\nkind: Secret\nstringData: {password: hunter2}\n", 1, "metadata.name is missing", "a Secret without a name"),
    ],
)  # fmt: skip
def test_one_line_says_what_where_and_what_to_do(text, line, words, why):
    said = refused(text)
    assert any(words in s for s in said), (why, said)
    where = next(s for s in said if words in s)
    assert where.startswith(f"standard input:{line}: "), (why, where)
    assert "hunter2" not in "".join(said)


def test_every_problem_of_every_document_is_told_at_once():
    said = refused(f"{instance('vcpu: x, power: y')}---\n{network('vlanID: 0')}")
    assert len(said) == 4
    assert [s.split("document ")[1][0] for s in said] == ["1", "1", "2", "2"]


def test_a_line_of_a_secret_is_never_shown():
    said = refused('apiVersion: v1\nkind: Secret\nstringData:\n  password: "hunter2\n  other: x"y\n')
    assert "hunter2" not in "".join(said)
    assert "not valid YAML" in said[0]


@pytest.mark.parametrize(
    ("arguments", "words", "why"),
    [
        (["-f", "/nowhere/a.yaml"], "/nowhere/a.yaml: there is no such file", "no file"),
        (["-f", "{tmp}/empty"], "no .yaml, .yml, .json file in this directory", "nothing in the directory"),
        (["-f", "{tmp}/binary.yaml"], "is not UTF-8 text", "not text"),
        (["-f", "{tmp}/other.yaml"], "no object of sovereigncloud.io in what was given", "nothing of ours"),
        ([], "no cluster to look into", "neither files nor a cluster"),
        (["-f", "{tmp}/other.yaml", "--contxt", "x"], "No such option", "a wrong option is no change: not exit code 2"),
        (["-f", "{tmp}/other.yaml", "-o", "xml"], "'xml' is not one of", "a wrong choice"),
        (["-f", "{tmp}/other.yaml", "--no-cluster", "--context", "x"], "--no-cluster and --context exclude each other", "both"),
    ],
)  # fmt: skip
def test_a_bad_command_line_is_one_line_and_exit_code_1(tmp_path, arguments, words, why):
    (tmp_path / "empty").mkdir()
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "other.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n")
    result = run(*(a.replace("{tmp}", str(tmp_path)) for a in arguments))
    assert result.exit_code == 1, why
    assert words in result.stderr, why
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


def test_files_directories_lists_and_empty_documents_are_read(tmp_path):
    (tmp_path / "a.yaml").write_text(f"---\n{instance()}---\n---\n{network('cloudRef: {name: a}, vlanID: 5')}")
    (tmp_path / "b.json").write_text('{"apiVersion": "v1", "kind": "List", "items": [{"kind": "A"}, {"kind": "B"}]}')
    (tmp_path / "notes.txt").write_text("not read")
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "c.yml").write_text("kind: C\n")
    flat = read([str(tmp_path)])
    assert [d.body["kind"] for d in flat] == ["HostedInstance", "VirtualNetwork", "A", "B"]
    assert [d.source.rsplit(":", 1)[1] for d in flat[:2]] == ["2", "8"]
    deep = read([str(tmp_path)], recursive=True)
    assert "C" in [d.body["kind"] for d in deep]


def test_standard_input_is_read(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("kind: A\n---\nkind: B\n"))
    assert [d.body["kind"] for d in read(["-"])] == ["A", "B"]


def test_a_timestamp_is_text_as_for_kubernetes(tmp_path):
    (tmp_path / "a.yaml").write_text("creationTimestamp: 2026-07-01T12:00:00Z\n")
    assert read([str(tmp_path / "a.yaml")])[0].body == {"creationTimestamp": "2026-07-01T12:00:00Z"}


def test_an_alias_to_what_it_stands_in_is_refused():
    assert "an alias refers to what it stands in" in refused("a: &x\n  b: *x\n")[0]


def test_what_kubectl_prints_of_an_object_can_be_given_back():
    text = instance(metadata="{name: web, uid: x, resourceVersion: '5', managedFields: [], generation: 3}")
    secret = f"apiVersion: v1\nkind: Secret\nmetadata: {{name: one}}\ndata: {{password: {base64.b64encode(b'p').decode()}}}\n"
    result = run("-f", "-", given=f"{text}status: {{observedGeneration: 2, later: x}}\n---\n{secret}")
    assert "standard input" not in result.stderr


@pytest.mark.parametrize("kind", MODELS)
def test_the_rules_that_only_the_api_server_checks_are_listed(kind):
    rules = server_rules(kind)
    assert rules
    assert all(rule.field.split(".")[0] in {"spec", "metadata"} for rule in rules)
    assert len({(r.field, r.message) for r in rules}) == len(rules)
