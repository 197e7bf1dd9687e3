"""A public network card without a security group: kubectl warns at apply, and applies."""

import json
import time
from pathlib import Path

import pytest
from tests.integration.chart.rendered import documents

from sovereigncloud.api.schema.crd import manifests

CHART = Path(__file__).parents[3] / "charts" / "sovereign-cloud-operator"
NAMESPACE = "public-cards"
PUBLIC = {"name": "vm_public", "cloudRef": {"name": "rbx"}, "publicBlock": "57.131.167.176/28"}
VLAN = {"cloudRef": {"name": "rbx"}, "vlanID": 100, "addressRanges": [{"ip": "10.100.0.10", "size": 20}]}


def manifest(kind, name, spec, namespace=NAMESPACE):
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "sovereigncloud.io/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


def instance(*cards, cloud="rbx", namespace=NAMESPACE):
    spec = {"source": {"template": "small"}, "placement": {"cloudRef": {"name": cloud}}}
    return manifest("HostedInstance", "web", spec | ({"networks": list(cards)} if cards else {}), namespace)


@pytest.fixture(scope="module")
def api(control_plane, tmp_path_factory):
    directory = tmp_path_factory.mktemp("crds")
    for name, text in manifests().items():
        (directory / name).write_text(text)
    control_plane.kubectl("apply", "--server-side", "--force-conflicts", f"--kustomize={directory}")
    control_plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")
    values = ("--set=installationId=cards", "--show-only=templates/policies/public-cards.yaml")
    policy = control_plane.helm("template", "c", str(CHART), *values).stdout
    for namespace in (NAMESPACE, "elsewhere"):
        control_plane.kubectl("create", "namespace", namespace, check=False)
    networks = [manifest("VirtualNetwork", "vm-public", PUBLIC), manifest("VirtualNetwork", "lan", VLAN)]
    for one in [*networks, *documents(policy)]:
        control_plane.kubectl("apply", "--server-side", "--filename=-", input=json.dumps(one))
    yield control_plane
    control_plane.kubectl("delete", "--filename=-", input=policy)
    control_plane.kubectl("delete", "namespace", NAMESPACE, "elsewhere", "--wait=false")


def said(api, wanted):
    done = api.kubectl("apply", "--dry-run=server", "--filename=-", input=json.dumps(wanted))
    return done.stderr


def test_it_is_warned_about_and_nothing_else_is(api):
    end = time.monotonic() + 30  # the API server takes a moment to learn a policy
    while "Warning" not in said(api, instance({"name": "vm_public"})):
        assert time.monotonic() < end
        time.sleep(0.5)
    warning = said(api, instance({"name": "lan"}, {"name": "vm_public"}))
    assert "the card on network vm_public has a public address and no security group" in warning
    for why, wanted in (
        ("it has groups", instance({"name": "vm_public", "securityGroups": ["web"]})),
        ("a private network", instance({"name": "lan"})),
        ("no network at all", instance()),
        ("a network of that name in another cloud", instance({"name": "vm_public"}, cloud="gra")),
        ("a namespace without networks of its own", instance({"name": "vm_public"}, namespace="elsewhere")),
    ):
        assert said(api, wanted) == "", why
