import re
from pathlib import Path

import pytest
import yaml

from sovereigncloud.api import KINDS
from sovereigncloud.api.common.base import GROUP
from sovereigncloud.commands.plan.manifest_validation import problems
from sovereigncloud.commands.plan.manifests import read

EXAMPLES = Path(__file__).parents[3] / "manifests" / "examples"
FILES = sorted(path for path in EXAMPLES.glob("*.yaml") if path.name != "kustomization.yaml")
APART = sorted(EXAMPLES.glob("*/*.yaml"))
"""Applied separately: they need an empty cloud, or a server of the account."""
DOCUMENTS = [document for path in (*FILES, *APART) for document in yaml.safe_load_all(path.read_text()) if document]
OURS = [document for document in DOCUMENTS if document["apiVersion"].startswith(GROUP)]


def named(kind):
    return {document["metadata"]["name"]: document for document in DOCUMENTS if document["kind"] == kind}


def references(node, suffix):
    """What fields of this suffix name, anywhere in an object."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key.endswith(suffix):
                yield value["name"]
            elif key.endswith(f"{suffix}s"):
                yield from (one["name"] for one in value)
            else:
                yield from references(value, suffix)
    elif isinstance(node, list):
        for value in node:
            yield from references(value, suffix)


@pytest.mark.parametrize("path", [path for path in (*FILES, *APART) if path.name[0] != "0"], ids=lambda path: path.name)
def test_every_field_exists_and_fits(path):
    assert [line for document in read([str(path)]) for line in problems(document)] == []


def test_every_kind_a_person_writes_is_shown():
    assert {document["kind"] for document in OURS} == {kind.crd.kind for kind in KINDS}


def test_the_kustomization_lists_every_file():
    assert yaml.safe_load((EXAMPLES / "kustomization.yaml").read_text())["resources"] == [path.name for path in FILES]


def test_what_is_referred_to_is_there():
    assert set(references(OURS, "SecretRef")) == set(named("Secret")), "and no Secret is made that nobody reads"
    assert set(references(OURS, "cloudRef")) == set(named("SovereignCloud"))
    assert {document["metadata"].get("namespace") for document in DOCUMENTS} - {None} == set(named("Namespace"))


def test_instances_name_images_and_networks_of_their_cloud():
    """OpenNebula's names: those that the other examples make there."""
    networks = {cloud: set() for cloud in named("SovereignCloud")}
    for name, cloud in named("SovereignCloud").items():
        networks[name] |= {one["name"] for one in cloud["spec"].get("hosted", {}).get("networks", ())}
    for name, network in named("VirtualNetwork").items():
        networks[network["spec"]["cloudRef"]["name"]].add(name)
    placed = set()
    for instance in named("HostedInstance").values():
        cloud = instance["spec"]["placement"]["cloudRef"]["name"]
        placed.add(cloud)
        assert {one["name"] for one in instance["spec"]["networks"]} <= networks[cloud]
        groups = {group for one in instance["spec"]["networks"] for group in one.get("securityGroups", ())}
        assert groups <= set(named("SecurityGroup"))
        image = named("MachineImage")[instance["spec"]["source"]["image"]]
        assert cloud in set(references(image, "cloudRef"))
    assert placed == set(networks), "a machine in each of the clouds"


def test_no_secret_could_be_taken_for_a_real_one():
    for secret in named("Secret").values():
        for key, value in secret["stringData"].items():
            assert value.startswith("REPLACE-WITH-") or (key, value) == ("username", "oneadmin"), key


def test_only_documented_addresses_are_used():
    """Those of the guide, private ones, and names that nobody can own."""
    text = "\n".join(path.read_text() for path in FILES)
    for address in re.findall(r"\b\d+\.\d+\.\d+\.\d+\b", text):
        assert address.startswith(("10.", "57.131.167.")), address
    for host in re.findall(r"https://([^/\s]+)/RPC2", text):
        assert ".example." in host, host
