"""What people get wrong in a manifest, and the exact words in which kubectl tells them (golden/refusals.yaml)."""

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from sovereigncloud.api.common.base import API_VERSION

GOLDEN = Path(__file__).parent / "golden" / "refusals.yaml"
CRDS = Path(__file__).parents[2] / "crds"
NAMESPACE = "refusals"
TOLD = yaml.safe_load(GOLDEN.read_text())
REGEX = ("should match", "self.", "has(", "failed rule", "compile")
"""What no person should have to read."""


def document(manifest):
    metadata = {**manifest["metadata"], "namespace": NAMESPACE}
    return {"apiVersion": API_VERSION, **manifest, "metadata": metadata}


@pytest.fixture(scope="module")
def said(control_plane):
    """What kubectl says to each of them, in their order."""
    files = [f"--filename={path}" for path in sorted(CRDS.glob("sovereigncloud.io_*.yaml"))]
    control_plane.kubectl("apply", "--server-side", "--force-conflicts", *files)
    control_plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", *files)
    control_plane.kubectl("create", "namespace", NAMESPACE)
    stored = {"apiVersion": "v1", "kind": "List", "items": [document(manifest) for manifest in TOLD["stored"]]}
    control_plane.kubectl("apply", "--filename=-", input=json.dumps(stored))

    for manifest in TOLD["stored"]:
        if "status" in manifest:
            found = (manifest["kind"].lower(), manifest["metadata"]["name"], f"--namespace={NAMESPACE}")
            patch = json.dumps({"status": manifest["status"]})
            control_plane.kubectl("patch", *found, "--subresource=status", "--type=merge", f"--patch={patch}")

    def apply(row):
        # A new object has a name of its own, so that it is created; a change meets the object that stands.
        manifest = row["manifest"]
        if not row.get("changes"):
            manifest = {**manifest, "metadata": {"name": f"new-{manifest['metadata']['name']}"}}
        text = json.dumps(document(manifest))
        refused = control_plane.kubectl("apply", "--dry-run=server", "--filename=-", input=text, check=False)
        return refused.stderr.strip() if refused.returncode else "accepted"

    with ThreadPoolExecutor(4) as several:
        answers = list(several.map(apply, TOLD["refused"]))
    if os.environ.get("SOVEREIGN_WRITE_GOLDEN"):
        write(answers)
    yield answers
    control_plane.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def write(answers):
    comment = "".join(line for line in GOLDEN.read_text().splitlines(keepends=True) if line.startswith("#"))
    rows = [{**row, "said": answer} for row, answer in zip(TOLD["refused"], answers, strict=True)]
    GOLDEN.write_text(comment + yaml.dump({**TOLD, "refused": rows}, sort_keys=False, width=120, allow_unicode=True))


@pytest.mark.parametrize("number", range(len(TOLD["refused"])), ids=[row["why"] for row in TOLD["refused"]])
def test_the_answer_is_the_one_that_was_read_and_found_helpful(said, number):
    row = TOLD["refused"][number]
    assert said[number] == row.get("said"), row["why"]


def test_each_answer_names_the_field_and_speaks_in_words(said):
    assert len(said) >= 40
    for row, answer in zip(TOLD["refused"], said, strict=True):
        assert row["field"] in answer, row["why"]
        assert not [word for word in REGEX if word in answer], answer


def test_a_password_that_was_put_in_a_manifest_is_not_repeated_more_than_the_server_must(said):
    for row, answer in zip(TOLD["refused"], said, strict=True):
        if row["field"] == "spec.existing.password":
            assert "opennebula" not in answer
