"""A HostedInstance from birth to death, by its manifest alone: on a real API server, in a cloud that stands elsewhere."""

import base64
from itertools import pairwise

import pytest
from tests.integration.existing_cloud import KEY

from sovereigncloud.api.common.base import FINALIZER
from sovereigncloud_sandbox.stage import condition, is_ready

SETTINGS = {"sweep_interval": "1", "settle_interval": "0.3"}

POWERED_OFF, SUSPENDED = 8, 5


def what_a_person_sees(found):
    """State, reason and message, as `kubectl get -o wide` shows them."""
    ready = condition(found, "Ready")
    return found["status"].get("state"), ready.get("reason"), ready.get("message")


# --- birth


def test_image_network_and_instance_reach_running(stage, make_cloud):
    lyon = make_cloud("lyon")
    user_data = "#cloud-config\npackages: [nginx]\n"
    init = {"userDataSecretRef": {"name": "web-user-data"}}
    web = lyon.instance("web", sshAuthorizedKeys=[KEY], cloudInit=init, vcpu=2, cpu="500m", memory="1Gi")
    secret = lyon.secret("web-user-data", userData=user_data)
    stage.apply([*lyon.foundation(), secret, lyon.image("alpine"), lyon.network("lan"), web])

    status = lyon.ready("hostedinstance", "web")["status"]

    vm = lyon.vm("web")
    assert vm.running
    assert vm.context["SSH_PUBLIC_KEY"] == KEY
    assert base64.b64decode(vm.context["USER_DATA"]).decode() == user_data
    assert (vm.template["CPU"], vm.template["VCPU"], vm.template["MEMORY"]) == ("0.5", "2", "1024")
    assert vm.networks == ["lan"]
    assert vm.user_template["SOVEREIGNCLOUD_OBJECT"] == "HostedInstance/lyon/web"
    assert (status["id"], status["state"]) == (str(vm.id), "Running")
    assert status["addresses"] == vm.addresses == ["10.31.0.10"]
    assert status["primaryAddress"] == "10.31.0.10"
    considered = [
        {"cloud": "lyon/lyon", "cluster": "default", "reason": "the only place that it may be in", "verdict": "Chosen"}
    ]
    where = {"cloud": "lyon/lyon", "cluster": "default", "host": vm.host, "zone": "OpenNebula"}
    assert status["placement"] == {**where, "considered": considered}
    assert vm.host in lyon.hosts
    assert is_ready(lyon.get("machineimage", "alpine"))
    assert is_ready(lyon.get("virtualnetwork", "lan"))
    assert lyon.get("sovereigncloud", "lyon")["status"]["hostsReady"] == "2/2"


def test_creating_costs_one_finalizer_patch_and_one_status_patch_per_visible_step(stage, paris):
    before = stage.kubernetes_writes()
    # Made by the request whose answer is the first version: a read after it may come after the first write.
    path = "/apis/sovereigncloud.io/v1alpha1/namespaces/platform/hostedinstances"
    first = stage.cluster.request("POST", path, paris.instance("frugal"))
    stage.wait_ready("hostedinstance", "frugal")
    wrote = stage.kubernetes_writes() - before

    versions = stage.versions(first)
    assert versions[0]["metadata"].get("finalizers", []) in ([], [FINALIZER])
    assert versions[-1]["metadata"]["finalizers"] == [FINALIZER]
    assert wrote["PATCH hostedinstances"] == 1
    steps = [said for one, said in pairwise(map(what_a_person_sees, versions)) if one != said]
    assert wrote["PATCH hostedinstances/status"] == len(steps), f"written {wrote}, but a person saw {steps}"
    assert len(set(steps)) == len(steps), "a step was told twice"
    assert steps[-1][:2] == ("Running", "AsDeclared")


# --- change


def test_more_memory_waits_for_the_consent_that_it_names(stage, paris):
    stage.apply(paris.instance("grow"))
    stage.wait_ready("hostedinstance", "grow")
    vm = paris.vm("grow")

    stage.patch("hostedinstance", "grow", {"spec": {"memory": "1Gi"}})
    found = paris.says(
        "hostedinstance", "grow", "Reconciling", "ApprovalRequired", "spec.updatePolicy.powerCycle: Allow"
    )

    assert condition(found, "Ready")["status"] == "False" or found["status"]["plan"]
    assert {step["needs"] for step in found["status"]["plan"]["steps"] if step.get("needs")} == {
        "spec.updatePolicy.powerCycle: Allow"
    }
    assert "Restart" in {step["disruption"] for step in found["status"]["plan"]["steps"]}
    assert paris.vm("grow") == vm, "touched without consent"

    stage.patch("hostedinstance", "grow", {"spec": {"updatePolicy": {"powerCycle": "Allow"}}})
    found = stage.wait_ready("hostedinstance", "grow")

    after = paris.vm("grow")
    assert after.running
    assert (after.id, after.template["MEMORY"]) == (vm.id, "1024")
    assert "plan" not in found["status"]


def test_in_approve_mode_a_plan_waits_for_its_hash_and_no_other(stage, paris):
    stage.apply(paris.instance("asked", updatePolicy={"powerCycle": "Allow"}))
    stage.wait_ready("hostedinstance", "asked")
    vm = paris.vm("asked")

    stage.patch("hostedinstance", "asked", {"spec": {"management": "Approve", "vcpu": 2}})
    found = paris.says("hostedinstance", "asked", "Reconciling", "ApprovalRequired", "spec.approvedPlan")
    plan = found["status"]["plan"]
    assert plan["hash"] in condition(found, "Reconciling")["message"]
    stage.patch("hostedinstance", "asked", {"spec": {"approvedPlan": "0" * 16}})
    paris.wait(
        "hostedinstance",
        "asked",
        "looked at",
        lambda f: f["status"]["observedGeneration"] == f["metadata"]["generation"],
    )
    assert paris.vm("asked") == vm, "another hash let it go on"

    stage.patch(
        "hostedinstance",
        "asked",
        {"spec": {"approvedPlan": stage.get("hostedinstance", "asked")["status"]["plan"]["hash"]}},
    )
    stage.wait_ready("hostedinstance", "asked")

    after = paris.vm("asked")
    assert (after.id, after.template["VCPU"]) == (vm.id, "2")
    assert after.running


def test_power_follows_spec(stage, paris):
    stage.apply(paris.instance("switch"))
    stage.wait_ready("hostedinstance", "switch")
    for power, state, words in (
        ("Stopped", POWERED_OFF, "PoweredOff"),
        ("Suspended", SUSPENDED, "Suspended"),
        ("Running", 3, "Running"),
    ):
        stage.patch("hostedinstance", "switch", {"spec": {"power": power}})
        found = stage.wait_ready("hostedinstance", "switch")
        assert found["status"]["state"] == words
        assert paris.vm("switch").state == state


def test_networks_are_attached_and_detached_while_it_runs(stage, paris):
    stage.apply([paris.network("dmz", 32), paris.instance("wired")])
    stage.wait_ready("hostedinstance", "wired")
    vm = paris.vm("wired")

    stage.patch("hostedinstance", "wired", {"spec": {"networks": [{"name": "dmz"}, {"name": "lan"}]}})
    both = stage.wait_ready("hostedinstance", "wired")
    assert paris.vm("wired").networks == ["lan", "dmz"]
    assert both["status"]["addresses"] == list(reversed(paris.vm("wired").addresses)), "not in the order of spec"

    stage.patch("hostedinstance", "wired", {"spec": {"networks": [{"name": "dmz"}]}})
    one = stage.wait_ready("hostedinstance", "wired")
    after = paris.vm("wired")
    assert (after.id, after.networks) == (vm.id, ["dmz"])
    assert one["status"]["addresses"] == after.addresses
    assert after.running


def test_its_root_disk_grows_and_it_is_renamed(stage, paris):
    stage.apply(paris.instance("small", disks=[{"name": "root", "size": "1Gi"}]))
    stage.wait_ready("hostedinstance", "small")
    vm = paris.vm("small")

    stage.patch("hostedinstance", "small", {"spec": {"disks": [{"name": "root", "size": "2Gi"}], "name": "large"}})
    stage.wait_ready("hostedinstance", "small")

    after = paris.vm("large")
    assert after.id == vm.id
    assert after.vectors["DISK"][0]["SIZE"] == "2048"
    assert after.running


# --- death


def test_deleted_it_is_terminated_and_gone(stage, paris):
    stage.apply(paris.instance("short-lived"))
    stage.wait_ready("hostedinstance", "short-lived")
    vm = paris.vm("short-lived")

    stage.delete("hostedinstance", "short-lived")
    stage.wait_gone("hostedinstance", "short-lived")

    assert paris.onlooker.machine(vm.id).done


def test_retained_it_runs_on_and_the_same_manifest_takes_it_over(stage, paris):
    stage.apply(paris.instance("kept", deletionPolicy="Retain"))
    stage.wait_ready("hostedinstance", "kept")
    vm = paris.vm("kept")

    stage.delete("hostedinstance", "kept")
    stage.wait_gone("hostedinstance", "kept")
    assert paris.vm("kept") == vm, "touched"

    stage.apply(paris.instance("kept", deletionPolicy="Retain"))
    found = stage.wait_ready("hostedinstance", "kept")
    assert found["status"]["id"] == str(vm.id)
    assert paris.vm("kept").user_template["SOVEREIGNCLOUD_UID"] == found["metadata"]["uid"]


def test_deleted_and_created_anew_at_once_it_is_another_machine(stage, paris):
    stage.apply(paris.instance("phoenix"))
    stage.wait_ready("hostedinstance", "phoenix")
    before = paris.vm("phoenix")

    stage.delete("hostedinstance", "phoenix")
    stage.wait_gone("hostedinstance", "phoenix")
    stage.apply(paris.instance("phoenix"))
    found = stage.wait_ready("hostedinstance", "phoenix")

    after = paris.vm("phoenix")
    assert after.id != before.id
    assert found["status"]["id"] == str(after.id)
    assert len(paris.onlooker.machines("phoenix", even_done=True)) == 2


EVERYTHING = [
    ("sovereigncloud", "{cloud}"),
    ("secret", "{cloud}-one"),
    ("machineimage", "alpine"),
    ("virtualnetwork", "lan"),
    ("hostedinstance", "web"),
]


def test_deleted_in_the_wrong_order_everything_waits_for_its_users_and_ends(stage, make_cloud):
    nice = make_cloud("nice")
    stage.apply([*nice.foundation(), nice.image("alpine"), nice.network("lan"), nice.instance("web")])
    nice.ready("hostedinstance", "web")
    vm = nice.vm("web")

    for kind, name in EVERYTHING[:-1]:
        nice.delete(kind, name.format(cloud="nice"))
    nice.says("sovereigncloud", "nice", "Reconciling", "InUse", "HostedInstance nice/web", "VirtualNetwork nice/lan")
    nice.says("machineimage", "alpine", "Reconciling", "InUse", "HostedInstance nice/web")
    nice.says("virtualnetwork", "lan", "Reconciling", "InUse", "HostedInstance nice/web")
    assert nice.get("secret", "nice-one")["metadata"]["finalizers"], "the Secret that everything needs is gone"
    assert nice.vm("web") == vm

    nice.delete("hostedinstance", "web")
    for kind, name in reversed(EVERYTHING):
        nice.gone(kind, name.format(cloud="nice"))
    assert nice.onlooker.machine(vm.id).done
    assert nice.onlooker.networks("lan") == []
    assert nice.onlooker.images("alpine") == []


@pytest.mark.parametrize(
    "order", [EVERYTHING, EVERYTHING[::-1], EVERYTHING[2:] + EVERYTHING[:2]], ids=lambda o: o[0][0]
)
def test_deleted_in_any_order_at_once_everything_ends(stage, make_cloud, order):
    cloud = make_cloud(f"order-{order[0][0]}")
    stage.apply([*cloud.foundation(), cloud.image("alpine"), cloud.network("lan"), cloud.instance("web")])
    cloud.ready("hostedinstance", "web")

    for kind, name in order:
        cloud.delete(kind, name.format(cloud=cloud.name))

    for kind, name in order:
        cloud.gone(kind, name.format(cloud=cloud.name))
    assert cloud.onlooker.machines("web") == []
    assert cloud.onlooker.networks("lan") == []
    assert cloud.onlooker.images("alpine") == []


def test_a_deleted_namespace_ends_with_all_that_is_in_it(stage, make_cloud):
    metz = make_cloud("metz")
    stage.apply([*metz.foundation(), metz.image("alpine"), metz.network("lan"), metz.instance("web")])
    metz.ready("hostedinstance", "web")

    stage.delete("namespace", "metz")

    stage.wait_gone("namespace", "metz", seconds=60)
    assert metz.onlooker.machines("web") == []
    assert metz.onlooker.networks("lan") == []
    assert metz.onlooker.images("alpine") == []


def test_the_operator_met_nothing_that_it_did_not_expect(stage):
    assert "Traceback" not in stage.log()
