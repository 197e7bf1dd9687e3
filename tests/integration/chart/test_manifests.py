import os
import re
from pathlib import Path

import pytest
import yaml

from sovereigncloud.api import KINDS
from sovereigncloud.api.common.base import GROUP

REPOSITORY = Path(__file__).parents[3]
BASE = REPOSITORY / "manifests" / "base"
EXAMPLES = REPOSITORY / "manifests" / "examples"
NAME = "sovereign-cloud-operator"


def documents(text):
    return {(d["kind"], d["metadata"]["name"]): d for d in yaml.safe_load_all(text) if d}


def test_the_base_is_the_rendered_chart(control_plane):
    rendered = control_plane.helm(
        "template", NAME, str(REPOSITORY / "charts" / NAME), "--namespace=sovereign-system", "--set=crds.install=false",
        "--set=uninstall.policy=Release", "--no-hooks",
    )  # fmt: skip
    assert documents((BASE / "operator.yaml").read_text()) == documents(rendered.stdout), "run: make manifests"


@pytest.fixture(scope="module")
def applied(own_control_plane):
    own_control_plane.kubectl("apply", "--server-side", f"--kustomize={BASE}")
    crds = [f"crd/{kind.crd.plural}.{GROUP}" for kind in KINDS]
    own_control_plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", *crds)
    return own_control_plane


def test_the_base_is_all_it_takes(applied):
    deployment = applied.get("deployment", NAME, "--namespace=sovereign-system")
    assert deployment["spec"]["template"]["spec"]["serviceAccountName"] == NAME
    subject = f"--as=system:serviceaccount:sovereign-system:{NAME}"
    for question in (("patch", f"hostedinstances.{GROUP}", "--subresource=status"), ("create", "leases")):
        answer = applied.kubectl("auth", "can-i", *question, subject, "--namespace=sovereign-system")
        assert answer.stdout.strip() == "yes"


def test_an_overlay_may_choose_the_namespace(applied, tmp_path):
    """Also in what names the account: a binding to nobody would be found out late."""
    kustomization = {"namespace": "elsewhere", "resources": [os.path.relpath(BASE, tmp_path)]}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    found = documents(applied.kubectl("kustomize", str(tmp_path)).stdout)
    for kind in ("ClusterRoleBinding", "RoleBinding"):
        ((_, binding),) = [item for item in found.items() if item[0][0] == kind]
        assert [subject["namespace"] for subject in binding["subjects"]] == ["elsewhere"]
    assert {d["metadata"]["namespace"] for d in found.values() if "namespace" in d["metadata"]} == {"elsewhere"}


def test_the_api_server_takes_every_example(applied):
    """As a person applies them: unknown fields are errors, and every rule of the CRDs is asked."""
    done = applied.kubectl("apply", f"--kustomize={EXAMPLES}", "--validate=strict")
    assert done.stderr == ""
    stored = applied.get("sovereign", "--all-namespaces")["items"]
    assert {(item["kind"], item["metadata"]["name"]) for item in stored} >= {
        ("SovereignCloud", "ovh-rbx"),
        ("SovereignCloud", "ovh-adopted"),
        ("SovereignCloud", "onprem-paris"),
        ("MachineImage", "ubuntu-24.04"),
        ("VirtualNetwork", "lan-apps"),
        ("SecurityGroup", "web"),
        ("HostedInstance", "web-rbx"),
    }
    again = applied.kubectl("apply", f"--kustomize={EXAMPLES}").stdout
    ours = [line for line in again.splitlines() if f".{GROUP}/" in line]
    assert len(ours) == len(stored)
    assert {line.rsplit(" ", 1)[1] for line in ours} == {"unchanged"}, "nothing is defaulted into spec"


def test_the_api_server_takes_every_manifest_that_a_page_shows(applied):
    """As a dry run, so that every rule of the CRDs is asked; those of manifests/examples are there already."""
    shown = [
        block
        for page in (REPOSITORY / "docs").rglob("*.md")
        for block in re.findall(r"```yaml[^\n]*\n(.*?)```", page.read_text(), re.DOTALL)
        if block.startswith(f"apiVersion: {GROUP}/")
    ]
    assert len(shown) >= len(KINDS)
    done = applied.kubectl(
        "apply", "--dry-run=server", "--validate=strict", "--filename=-", input="\n---\n".join(shown)
    )
    assert done.stderr == ""
