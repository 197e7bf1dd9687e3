import errno
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import textwrap
import time
import uuid
from pathlib import Path

import pytest
import yaml

import sovereigncloud
from sovereigncloud_sandbox.controlplane import ControlPlane, ControlPlaneError
from sovereigncloud_sandbox.process_id import ProcessId
from sovereigncloud_sandbox.toolchain import Toolchain

SOURCE = Path(sovereigncloud.__file__).parent.parent


def wait_until(true, seconds, what):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"{what}: not within {seconds} s"
        time.sleep(0.1)


@pytest.fixture
def namespace(control_plane):
    name = f"test-{uuid.uuid4().hex[:8]}"
    control_plane.kubectl("create", "namespace", name)
    yield name
    control_plane.kubectl("delete", "namespace", name, "--wait=false", "--ignore-not-found")


def crd(kind, spec):
    plural = f"{kind.lower()}s"
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.test.example"},
        "spec": {
            "group": "test.example",
            "scope": "Namespaced",
            "names": {"plural": plural, "kind": kind},
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}},
                }
            ],
        },
    }


def apply(cluster, document, *arguments, check=True):
    return cluster.kubectl("apply", "--filename=-", *arguments, input=yaml.safe_dump(document), check=check)


def test_starts_in_under_ten_seconds_and_a_reset_keeps_address_and_kubeconfigs(tmp_path, programs):
    plane = ControlPlane(tmp_path / "plane", programs)
    began = time.monotonic()
    with plane:
        assert time.monotonic() - began < 10
        assert stat.S_IMODE(plane.kubeconfig.stat().st_mode) == 0o600
        kubeconfig, endpoint = plane.kubeconfig.read_bytes(), plane.endpoint
        before = plane.get("namespace", "default")["metadata"]["uid"]
        plane.kubectl("create", "configmap", "lost")

        plane.reset_etcd()

        assert (plane.kubeconfig.read_bytes(), plane.endpoint) == (kubeconfig, endpoint)
        assert plane.get("namespace", "default")["metadata"]["uid"] != before
        assert "NotFound" in plane.kubectl("get", "configmap", "lost", check=False).stderr
        processes = [ProcessId.of(child.pid) for child in plane.children.values()]
        assert len(processes) == 3
    assert not [process for process in processes if process.is_alive()]


def test_the_api_server_comes_back_with_what_was_stored_and_nobody_takes_its_port_meanwhile(own_control_plane):
    own_control_plane.kubectl("create", "configmap", "kept")
    port = int(own_control_plane.endpoint.rpartition(":")[2])
    with own_control_plane.without_api_server():
        refused = own_control_plane.kubectl("get", "configmap", "kept", check=False)
        assert "refused" in refused.stderr
        with socket.socket() as thief:
            thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with pytest.raises(OSError, match=os.strerror(errno.EADDRINUSE)):
                thief.bind(("127.0.0.1", port))
    assert own_control_plane.get("configmap", "kept")["metadata"]["name"] == "kept"


def test_rbac_denies_a_user_and_a_service_account_until_a_binding_allows(own_control_plane):
    plane = own_control_plane
    plane.kubectl("create", "serviceaccount", "robot")
    callers = {
        "--group=tenants": plane.kubeconfig_for("jane", ["tenants", "guests"]),
        "--serviceaccount=default:robot": plane.kubeconfig_for_service_account("default", "robot"),
    }
    for number, (subject, kubeconfig) in enumerate(callers.items()):
        denied = plane.kubectl("get", "configmaps", kubeconfig=kubeconfig, check=False)
        assert denied.returncode != 0
        assert "(Forbidden)" in denied.stderr, subject
        plane.kubectl("create", "rolebinding", f"viewers-{number}", "--clusterrole=view", subject)
        wait_until(
            lambda kubeconfig=kubeconfig: (
                plane.kubectl("get", "configmaps", kubeconfig=kubeconfig, check=False).returncode == 0
            ),
            5,
            f"{subject} may read what `view` allows",
        )
        refused = plane.kubectl("create", "configmap", "x", kubeconfig=kubeconfig, check=False)
        assert 'cannot create resource "configmaps"' in refused.stderr, subject


def test_a_token_for_a_missing_service_account_is_refused_by_name(own_control_plane):
    with pytest.raises(ControlPlaneError, match='default/nobody: serviceaccounts "nobody" not found'):
        own_control_plane.kubeconfig_for_service_account("default", "nobody")


def test_custom_resources_with_cel_defaults_and_unknown_fields(control_plane, namespace):
    spec = {
        "type": "object",
        "required": ["size"],
        "properties": {"size": {"type": "integer"}, "mode": {"type": "string", "default": "Manage"}},
        "x-kubernetes-validations": [{"rule": "self.size == oldSelf.size", "message": "size is immutable"}],
    }
    apply(control_plane, crd("Probe", spec))
    try:
        control_plane.kubectl("wait", "--for=condition=Established", "crd/probes.test.example", "--timeout=10s")
        probe = {
            "apiVersion": "test.example/v1",
            "kind": "Probe",
            "metadata": {"name": "a", "namespace": namespace},
            "spec": {"size": 1},
        }
        apply(control_plane, probe)
        assert control_plane.get("probes", "a", "-n", namespace)["spec"] == {"size": 1, "mode": "Manage"}
        changed = apply(control_plane, probe | {"spec": {"size": 2}}, check=False)
        assert changed.returncode != 0
        assert "size is immutable" in changed.stderr
        unknown = apply(control_plane, probe | {"spec": {"size": 1, "sise": 2}}, check=False)
        assert 'unknown field "spec.sise"' in unknown.stderr
    finally:
        control_plane.kubectl("delete", "crd", "probes.test.example")


def test_garbage_collection_follows_owner_references_of_kinds_installed_a_moment_ago(own_control_plane, tmp_path):
    plane = own_control_plane
    free = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    (tmp_path / "crds.yaml").write_text(yaml.safe_dump_all([crd("Owner", free), crd("Dependent", free)]))
    plane.install_crds(tmp_path / "crds.yaml")
    apply(plane, {"apiVersion": "test.example/v1", "kind": "Owner", "metadata": {"name": "o"}})
    reference = {
        "apiVersion": "test.example/v1",
        "kind": "Owner",
        "name": "o",
        "uid": plane.get("owners", "o")["metadata"]["uid"],
    }
    for name, references in {"owned": [reference], "free": []}.items():
        metadata = {"name": name, "ownerReferences": references}
        apply(plane, {"apiVersion": "test.example/v1", "kind": "Dependent", "metadata": metadata})
    plane.kubectl("delete", "owners", "o")
    wait_until(
        lambda: [item["metadata"]["name"] for item in plane.get("dependents")["items"]] == ["free"],
        10,
        "the dependent of the deleted owner goes, the other stays",
    )


def test_namespace_deletion_ends_and_takes_what_is_inside(control_plane, namespace):
    control_plane.kubectl("create", "configmap", "inside", "-n", namespace)
    control_plane.kubectl("delete", "namespace", namespace, "--timeout=30s")
    assert "NotFound" in control_plane.kubectl("get", "namespace", namespace, check=False).stderr


def test_a_new_namespace_gets_its_service_account_and_the_authority(control_plane, namespace):
    wait_until(
        lambda: control_plane.kubectl("get", "sa/default", "cm/kube-root-ca.crt", "-n", namespace, check=False).stdout,
        5,
        "default ServiceAccount and kube-root-ca.crt",
    )


def test_helm_installs_lists_and_uninstalls(control_plane, namespace, tmp_path):
    (tmp_path / "templates").mkdir()
    (tmp_path / "Chart.yaml").write_text("apiVersion: v2\nname: tiny\nversion: 0.1.0\n")
    (tmp_path / "templates" / "all.yaml").write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: from-chart}\ndata: {release: '{{ .Release.Name }}'}\n"
    )
    control_plane.helm("install", "one", str(tmp_path), "-n", namespace)
    assert control_plane.get("configmap", "from-chart", "-n", namespace)["data"] == {"release": "one"}
    assert [r["name"] for r in json.loads(control_plane.helm("list", "-n", namespace, "-o", "json").stdout)] == ["one"]
    control_plane.helm("uninstall", "one", "-n", namespace)
    assert json.loads(control_plane.helm("list", "-n", namespace, "-o", "json").stdout) == []


def test_a_parent_killed_with_sigkill_leaves_nothing_running(tmp_path, programs):
    holder = textwrap.dedent("""
        import pathlib, sys, threading
        from sovereigncloud_sandbox.controlplane import ControlPlane
        plane = ControlPlane(pathlib.Path(sys.argv[1])).start()
        print(*(pid for child in plane.children.values() for pid in (child.pid, child.guard_pid)), flush=True)
        threading.Event().wait()
    """)
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(tmp_path / "plane")],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(SOURCE)},
    ) as parent:
        try:
            processes = [ProcessId.of(int(pid)) for pid in parent.stdout.readline().split()]
            assert len(processes) == 6
            assert all(process.is_alive() for process in processes)
        finally:
            parent.send_signal(signal.SIGKILL)
    for process in processes:
        assert process.wait(10), f"{process} outlived its parent"


def test_a_part_that_does_not_start_is_named_with_its_last_words_and_the_others_end(tmp_path, programs):
    assets = tmp_path / "assets"
    assets.mkdir()
    for name in programs.programs:
        (assets / name).symlink_to(programs.resolve(name))
    (assets / "kube-apiserver").unlink()
    (assets / "kube-apiserver").write_text("#!/bin/sh\necho 'unknown flag: --secure-port'\nexit 3\n")
    (assets / "kube-apiserver").chmod(0o755)
    plane = ControlPlane(tmp_path / "plane", Toolchain({"KUBEBUILDER_ASSETS": str(assets)}))
    with pytest.raises(ControlPlaneError, match=r"kube-apiserver ended with code 3:\nunknown flag: --secure-port"):
        plane.start()
    assert plane.children == {}
