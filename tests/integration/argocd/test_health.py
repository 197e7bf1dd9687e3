"""health.lua, one script for every kind: its own test cases, laid out as in Argo CD's source, judged by Argo CD."""

import subprocess

import pytest
import yaml

from sovereigncloud.api import KINDS
from sovereigncloud.api.common.base import GROUP
from sovereigncloud_sandbox.argocd import MANIFESTS

CASES = MANIFESTS / "resource_customizations" / GROUP / "_"
TESTS = yaml.safe_load((CASES / "health_test.yaml").read_text())["tests"]


def judged(argocd, path):
    """Status and message that Argo CD's own program gives an object in a file, with our argocd-cm.yaml."""
    asked = ["admin", "settings", "resource-overrides", "health", str(path)]
    command = [argocd, *asked, "--argocd-cm-path", MANIFESTS / "argocd-cm.yaml"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    told = dict(line.split(": ", 1) for line in answer.stdout.splitlines() if ": " in line)
    assert "STATUS" in told, answer
    return told["STATUS"], told.get("MESSAGE", "")


@pytest.mark.parametrize("case", TESTS, ids=lambda case: case["inputPath"].removeprefix("testdata/"))
def test_argo_cd_judges_it_as_its_test_case_says(argocd_programs, case):
    wanted = case["healthStatus"]
    found = judged(argocd_programs.resolve("argocd"), CASES / case["inputPath"])
    assert found == (wanted["status"], wanted["message"])


def test_every_file_of_testdata_is_a_case():
    assert sorted(case["inputPath"] for case in TESTS) == sorted(f"testdata/{p.name}" for p in CASES.glob("testdata/*"))


@pytest.mark.parametrize("kind", [kind.crd.kind for kind in KINDS])
def test_every_kind_is_judged_alike(argocd_programs, tmp_path, kind):
    stalled = yaml.safe_load((CASES / "testdata" / "degraded.yaml").read_text()) | {"kind": kind}
    (tmp_path / "object.yaml").write_text(yaml.safe_dump(stalled))
    assert judged(argocd_programs.resolve("argocd"), tmp_path / "object.yaml")[0] == "Degraded"


def test_every_kind_has_a_wave():
    waves = yaml.safe_load((MANIFESTS / "waves" / "kustomization.yaml").read_text())["patches"]
    assert {k for patch in waves for k in patch["target"]["kind"].split("|")} == {kind.crd.kind for kind in KINDS}


def test_no_difference_is_ignored_and_a_typo_is_refused():
    applications = [
        document["spec"]["template"] if document["kind"] == "ApplicationSet" else document
        for path in MANIFESTS.glob("**/*.yaml")
        for document in yaml.safe_load_all(path.read_text())
        if document.get("kind") in {"Application", "ApplicationSet"}
    ]
    assert len(applications) == 4
    for application in applications:
        assert "ignoreDifferences" not in application["spec"]
        policy = application["spec"]["syncPolicy"]
        assert "ServerSideApply=true" in policy["syncOptions"]
        assert policy["automated"] == {"prune": True, "selfHeal": True}
