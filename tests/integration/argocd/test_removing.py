"""What is taken out of Git goes, in an order that leaves nothing behind, and so does a whole Application."""

import pytest

from sovereigncloud_sandbox.argocd import is_settled, operating


@pytest.fixture
def filled(make_folder):
    """Makes a folder with a cloud and one of each thing in it, Synced and Healthy."""

    def make(name):
        cloud, folder = make_folder(name)
        folder.put(cloud.image("alpine"), cloud.network("lan"), cloud.instance("web"))
        folder.settled(folder.create())
        return cloud, folder

    return make


def left_outside(cloud):
    return [*cloud.onlooker.machines(), *cloud.onlooker.networks(), *cloud.onlooker.images()]


def gone_at(chronicle, kind, name, namespace):
    """Where in the history of the whole cluster an object ended."""
    versions = [o for o in chronicle.versions(kind, name) if o["metadata"]["namespace"] == namespace]
    assert "deletionTimestamp" in versions[-1]["metadata"]
    return int(versions[-1]["metadata"]["resourceVersion"])


def test_what_git_has_no_more_is_pruned_in_a_safe_order_and_ends(filled, chronicle):
    cloud, folder = filled("pruned")
    parts = [
        ("HostedInstance", "web"),
        ("VirtualNetwork", "lan"),
        ("MachineImage", "alpine"),
        ("SovereignCloud", "pruned"),
    ]
    for part in parts:
        folder.remove(*part)
    folder.settled(folder.commit("The cloud is given up"))
    machine, network, image, environment = (gone_at(chronicle, *part, "pruned") for part in parts)
    assert machine < network < environment
    assert machine < image < environment
    assert left_outside(cloud) == []
    assert cloud.get("secret", "pruned-one"), "what Git still has stays"
    assert not cloud.get("secret", "pruned-one")["metadata"].get("finalizers"), "and nothing holds it any more"


def test_a_part_that_is_still_used_waits_and_ends_when_its_user_ends(filled):
    cloud, folder = filled("inuse")
    folder.remove("VirtualNetwork", "lan")
    folder.commit("The network goes, the machine stays")
    cloud.says("virtualnetwork", "lan", "Reconciling", "InUse", "HostedInstance inuse/web")
    folder.wait("waiting for it", lambda app: operating(app) == "Running")
    cloud.delete("hostedinstance", "web")
    cloud.gone("virtualnetwork", "lan")
    folder.remove("HostedInstance", "web")
    revision = folder.commit("The machine, too")
    folder.wait("settled", lambda app: is_settled(app, revision), seconds=90)


def test_deleting_the_application_ends_and_leaves_nothing(filled):
    cloud, folder = filled("deleted")
    folder.delete()
    folder.argo.wait_gone("deleted", seconds=90)
    assert not cloud.stage.get("namespaces", "deleted")
    assert left_outside(cloud) == []
