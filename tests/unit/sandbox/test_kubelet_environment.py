"""Environment, command and volumes of a container, as Kubernetes builds them from a spec."""

import base64

import pytest

from sovereigncloud_sandbox.kubelet.environment import (
    ConfigError,
    argv,
    environment_of,
    expand,
    field_of,
    quantity,
    resource_of,
    sources_of,
)
from sovereigncloud_sandbox.kubelet.images import Image, repository
from sovereigncloud_sandbox.kubelet.root import user_of
from sovereigncloud_sandbox.kubelet.volumes import File, TokenWanted, files_of, kind_of, tokens_of, write_files

IMAGE = Image(entrypoint=("run",), command=("by", "default"), env={"PATH": "/bin", "LISTEN": "$(POD_IP):1"}, user=65532)
POD = {
    "metadata": {
        "name": "web",
        "namespace": "shop",
        "uid": "u1",
        "labels": {"app": "web"},
        "annotations": {"a/b": "c"},
    },
    "spec": {"nodeName": "n", "serviceAccountName": "sa", "containers": [{"name": "main"}]},
    "status": {"podIP": "127.1.2.3", "hostIP": "127.0.0.1"},
}
SECRET = {"data": {"k": base64.b64encode(b"v").decode()}}
CONFIG = {"data": {"c": "C"}, "binaryData": {"b": base64.b64encode(b"\xff").decode()}}
SOURCES = {("Secret", "s"): SECRET, ("ConfigMap", "m"): CONFIG, ("Secret", "gone"): None, ("ConfigMap", "gone"): None}


@pytest.mark.parametrize(
    ("text", "expected", "why"),
    [
        ("$(A)", "1", "a known name is replaced"),
        ("x$(A)y$(A)", "x1y1", "wherever it stands"),
        ("$(NO)", "$(NO)", "an unknown one stays as it is"),
        ("$$(A)", "$(A)", "two dollars are one, and no reference"),
        ("$$$(A)", "$1", "the third begins one"),
        ("$A ${A}", "$A ${A}", "what a shell would replace is left to it"),
        ("$(A", "$(A", "an unfinished one is text"),
        ("100$", "100$", "a dollar at the end is one"),
    ],
)
def test_references_are_replaced(text, expected, why):
    assert expand(text, {"A": "1"}) == expected, why


@pytest.mark.parametrize(
    ("spec", "expected", "why"),
    [
        ({}, ["run", "by", "default"], "ENTRYPOINT and CMD of the image"),
        ({"args": ["x"]}, ["run", "x"], "args replace CMD"),
        ({"command": ["c"]}, ["c"], "command replaces ENTRYPOINT, and CMD with it"),
        ({"command": ["c"], "args": ["$(PATH)"]}, ["c", "/bin"], "both, with the environment"),
    ],
)
def test_the_command(spec, expected, why):
    assert argv(spec, IMAGE, {"PATH": "/bin"}) == expected, why


def key(kind, name, key, **more):
    return {"name": "X", "valueFrom": {kind: {"name": name, "key": key, **more}}}


@pytest.mark.parametrize(
    ("entry", "expected", "why"),
    [
        ({"name": "X"}, "", "no value is an empty one"),
        ({"name": "X", "value": "$(PATH)/x"}, "/bin/x", "what the image sets may be referred to"),
        (key("secretKeyRef", "s", "k"), "v", "of a Secret, decoded"),
        (key("configMapKeyRef", "m", "c"), "C", "of a ConfigMap"),
        (key("secretKeyRef", "gone", "k", optional=True), None, "an optional Secret that is not there sets nothing"),
        (key("configMapKeyRef", "m", "no", optional=True), None, "nor does an optional key"),
    ],
)
def test_a_variable(entry, expected, why):
    assert environment_of({"env": [entry]}, POD, IMAGE, SOURCES, {}).get("X") == expected, why


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"env": [key("secretKeyRef", "gone", "k")]}, 'secret "gone" not found'),
        ({"env": [key("configMapKeyRef", "gone", "k")]}, 'configmap "gone" not found'),
        ({"env": [key("secretKeyRef", "s", "no")]}, "couldn't find key no in Secret shop/s"),
        ({"envFrom": [{"configMapRef": {"name": "gone"}}]}, 'configmap "gone" not found'),
        ({"env": [{"name": "X", "valueFrom": {"fileKeyRef": {"path": "p"}}}]}, "unsupported valueFrom: fileKeyRef"),
    ],
)
def test_what_is_missing_is_named_in_the_words_of_a_kubelet(spec, message):
    with pytest.raises(ConfigError) as error:
        environment_of(spec, POD, IMAGE, SOURCES, {})
    assert str(error.value) == message


def test_env_wins_over_env_from_and_that_over_what_is_given_and_that_over_the_image():
    spec = {
        "envFrom": [{"secretRef": {"name": "s"}}, {"prefix": "P_", "configMapRef": {"name": "m"}}],
        "env": [{"name": "P_c", "value": "mine"}],
    }
    made = environment_of(spec, POD, IMAGE, SOURCES, {"PATH": "/given", "k": "given"})
    assert (made["PATH"], made["k"], made["P_c"], made["LISTEN"]) == ("/given", "v", "mine", "127.1.2.3:1")
    assert set(sources_of(spec)) == {("Secret", "s"), ("ConfigMap", "m")}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("metadata.name", "web"),
        ("metadata.labels['app']", "web"),
        ("metadata.annotations['a/b']", "c"),
        ("metadata.labels['none']", ""),
        ("metadata.labels", 'app="web"'),
        ("spec.serviceAccountName", "sa"),
        ("status.podIP", "127.1.2.3"),
    ],
)
def test_fields_of_the_pod(path, expected):
    assert field_of(POD, path) == expected


def test_a_field_that_is_none_is_refused():
    with pytest.raises(ConfigError, match="unsupported fieldPath"):
        field_of(POD, "spec.containers")


@pytest.mark.parametrize(
    ("reference", "expected", "why"),
    [
        ({"resource": "limits.cpu"}, "1", "half a CPU is rounded up"),
        ({"resource": "limits.cpu", "divisor": "1m"}, "500", "in thousandths it is exact"),
        ({"resource": "limits.memory", "divisor": "1Mi"}, "64", "64Mi"),
        ({"resource": "requests.memory", "divisor": "1Ki"}, "65536", "without a request the limit counts"),
    ],
)
def test_resources_of_a_container(reference, expected, why):
    spec = {"resources": {"limits": {"cpu": "500m", "memory": "64Mi"}}}
    assert resource_of(spec, reference) == expected, why


@pytest.mark.parametrize(
    ("text", "value"), [("1", 1), ("0.5", 0.5), ("100m", 0.1), ("2Ki", 2048), ("1e3", 1000), ("3G", 3e9)]
)
def test_quantities(text, value):
    assert quantity(text) == pytest.approx(value)


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("nginx", "nginx"),
        ("nginx:1.2", "nginx"),
        ("host:5000/a/b", "host:5000/a/b"),
        ("host:5000/a/b:tag", "host:5000/a/b"),
        ("ghcr.io/a/b@sha256:00", "ghcr.io/a/b"),
        ("ghcr.io/a/b:1@sha256:00", "ghcr.io/a/b"),
    ],
)
def test_the_repository_of_an_image(reference, expected):
    assert repository(reference) == expected


@pytest.mark.parametrize(
    ("of_pod", "of_container", "user", "why"),
    [
        ({}, {}, 65532, "the image's USER"),
        ({"runAsUser": 1}, {}, 1, "the pod's"),
        ({"runAsUser": 1}, {"runAsUser": 0}, 0, "the container's, also where it is 0"),
    ],
)
def test_the_user(of_pod, of_container, user, why):
    assert user_of({"spec": {"securityContext": of_pod}}, {"securityContext": of_container}, IMAGE) == user, why


# --- volumes --------------------------------------------------------------------------------------------------------------

PROJECTED = {
    "name": "all",
    "projected": {
        "defaultMode": 0o400,
        "sources": [
            {"secret": {"name": "s", "items": [{"key": "k", "path": "deep/k", "mode": 0o444}]}},
            {"configMap": {"name": "m"}},
            {"downwardAPI": {"items": [{"path": "ns", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
            {"serviceAccountToken": {"path": "token", "audience": "a", "expirationSeconds": 600}},
        ],
    },
}


def test_a_projected_volume_is_all_of_its_sources():
    assert files_of(PROJECTED, POD, SOURCES) == {
        "deep/k": File(b"v", 0o444),
        "c": File(b"C", 0o400),
        "b": File(b"\xff", 0o400),
        "ns": File(b"shop", 0o400),
    }
    assert list(tokens_of(PROJECTED)) == [TokenWanted("token", "a", 600)]


@pytest.mark.parametrize(
    ("volume", "expected", "why"),
    [
        ({"name": "v", "emptyDir": {}}, {}, "nothing is in it"),
        ({"name": "v", "secret": {"secretName": "s"}}, {"k": File(b"v")}, "every key of a Secret"),
        ({"name": "v", "secret": {"secretName": "gone", "optional": True}}, {}, "an optional one may be missing"),
    ],
)
def test_files_of_a_volume(volume, expected, why):
    assert files_of(volume, POD, SOURCES) == expected, why


@pytest.mark.parametrize(
    ("volume", "message"),
    [
        ({"name": "v", "secret": {"secretName": "gone"}}, 'secret "gone" not found'),
        (
            {"name": "v", "configMap": {"name": "m", "items": [{"key": "no", "path": "p"}]}},
            "non-existent configmap key: no",
        ),
    ],
)
def test_a_volume_without_its_source_is_refused(volume, message):
    with pytest.raises(ConfigError, match=message):
        files_of(volume, POD, SOURCES)


def test_a_kind_of_volume_that_is_not_here_is_named():
    with pytest.raises(ConfigError, match="no persistentVolumeClaim volumes"):
        kind_of({"name": "data", "persistentVolumeClaim": {"claimName": "c"}})


def test_files_are_replaced_and_what_is_no_more_named_goes(tmp_path):
    write_files(tmp_path, {"a": File(b"1"), "deep/b": File(b"2", 0o400)}, 0, None)
    assert (tmp_path / "deep/b").stat().st_mode & 0o777 == 0o400
    write_files(tmp_path, {"a": File(b"3")}, 0, None)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["a"]
    assert (tmp_path / "a").read_bytes() == b"3"
