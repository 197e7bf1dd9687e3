"""kubectl as a user works with it: diff, server-side apply by two teams, a status that is edited by hand, describe, get."""

import json

import pytest
from tests.integration.existing_cloud import KEY

from sovereigncloud.api import KINDS
from sovereigncloud_sandbox.stage import is_ready

SETTINGS = {"sweep_interval": "1", "settle_interval": "0.3"}
HERE = ("-n", "platform")


@pytest.fixture(scope="module")
def web(stage, paris):
    """A machine that runs; each test leaves it as it is."""
    manifest = paris.instance("web", updatePolicy={"powerCycle": "Allow"}, sshAuthorizedKeys=[KEY])
    stage.cluster.kubectl("apply", "-f", "-", input=json.dumps(manifest))
    stage.wait_ready("hostedinstance", "web")
    return manifest


# --- diff


@pytest.mark.parametrize("mode", [(), ("--server-side", "--force-conflicts")], ids=["as a client", "on the server"])
def test_diff_of_what_was_applied_shows_nothing(stage, paris, web, mode):
    """Neither the operator nor a default of the CRD writes anything into what a user declares."""
    applied = [web, paris.network("lan"), paris.image("alpine"), paris.cloud()]
    everything = json.dumps({"apiVersion": "v1", "kind": "List", "items": applied})
    stage.cluster.kubectl("apply", *mode, "-f", "-", input=everything)
    same = stage.cluster.kubectl("diff", *mode, "-f", "-", input=everything, check=False)
    assert (same.returncode, same.stdout) == (0, "")

    larger = json.dumps({**web, "spec": {**web["spec"], "memory": "2Gi"}})
    other = stage.cluster.kubectl("diff", *mode, "-f", "-", input=larger, check=False)
    assert other.returncode == 1
    lines = [line for line in other.stdout.splitlines() if line[:1] in "+-" and line[:3] not in {"+++", "---"}]
    changed = {line[1:].split(":")[0].strip() for line in lines} - {'{"apiVersion"'}  # what this client remembers
    assert changed == {"generation", "memory"}


# --- two teams


def owned(stage, manager, spec, *options, **metadata):
    """A team applies its part of machine `shared`."""
    part = {
        "apiVersion": "sovereigncloud.io/v1alpha1",
        "kind": "HostedInstance",
        "metadata": {"name": "shared", "namespace": "platform", **metadata},
        "spec": spec,
    }
    apply = ("apply", "--server-side", f"--field-manager={manager}", *options, "-f", "-")
    return stage.cluster.kubectl(*apply, input=json.dumps(part), check=False)


def test_two_teams_own_their_parts_of_one_machine(stage, paris):
    stage.apply(paris.network("dmz", 61))
    stage.wait_ready("virtualnetwork", "dmz")
    size = {"source": {"image": "alpine"}, "placement": {"cloudRef": {"name": "paris"}}, "vcpu": 1, "memory": "512Mi"}
    size |= {"power": "Running", "updatePolicy": {"powerCycle": "Allow"}, "networks": [{"name": "lan"}]}
    assert owned(stage, "team-a", size).returncode == 0
    stage.wait_ready("hostedinstance", "shared")

    networks = owned(stage, "team-b", {"networks": [{"name": "dmz"}]}, labels={"team": "b"})
    assert networks.returncode == 0, "a network card is a map entry by its name: both teams have their own"
    stage.wait("hostedinstance", "shared", "both", lambda f: is_ready(f) and len(f["status"].get("addresses", [])) == 2)
    assert sorted(paris.vm("shared").networks) == ["dmz", "lan"]

    refused = owned(stage, "team-b", {"memory": "4Gi", "networks": [{"name": "dmz"}]}, labels={"team": "b"})
    assert refused.returncode != 0
    assert 'conflict with "team-a": .spec.memory' in refused.stderr

    assert owned(stage, "team-a", {**size, "memory": "1Gi"}).returncode == 0
    found = stage.wait(
        "hostedinstance", "shared", "resized", lambda f: is_ready(f) and paris.vm("shared").template["MEMORY"] == "1024"
    )
    assert {n["name"] for n in found["spec"]["networks"]} == {"lan", "dmz"}
    assert found["metadata"]["labels"]["team"] == "b"

    gone = owned(stage, "team-b", {}, labels={"team": "b"})
    assert gone.returncode == 0, "a team takes its part away"
    stage.wait("hostedinstance", "shared", "one", lambda f: is_ready(f) and len(f["status"].get("addresses", [])) == 1)
    assert paris.vm("shared").networks == ["lan"]


def test_the_operator_owns_status_and_its_finalizer_and_nothing_else(stage, web):
    """Whoever asks who set a field is told the truth, and Argo CD and other appliers meet no conflict."""
    found = stage.get("hostedinstance", "web")
    theirs = [e for e in found["metadata"]["managedFields"] if not e["manager"].startswith("kubectl")]
    assert theirs
    for entry in theirs:
        assert set(entry["fieldsV1"]) <= {"f:status", "f:metadata"}, entry["manager"]
        assert set(entry["fieldsV1"].get("f:metadata", {})) <= {"f:finalizers"}, entry["manager"]


# --- status


@pytest.mark.parametrize(
    ("why", "patch"),
    [
        ("another state", {"state": "Suspended"}),
        ("never ready", {"conditions": [{"type": "Ready", "status": "False", "reason": "Edited", "message": "x", "lastTransitionTime": ""}]}),
        ("drift that is none", {"driftCount": 9, "drift": [{"path": "spec.memory", "desired": "1", "observed": "2"}]}),
        ("an address of another machine", {"primaryAddress": "10.9.9.9"}),
    ],
)  # fmt: skip
def test_a_status_that_is_edited_by_hand_is_put_right_and_nothing_else_happens(stage, paris, web, why, patch):
    before, vm = stage.get("hostedinstance", "web"), paris.vm("web")
    wrote = stage.writing_calls("paris")
    edit = ("patch", "hostedinstance", "web", *HERE, "--subresource=status", "--type=merge")
    stage.cluster.kubectl(*edit, f"--patch={json.dumps({'status': patch})}")

    def same(found):
        return stripped(found["status"]) == stripped(before["status"])

    found = stage.wait("hostedinstance", "web", f"put right ({why})", same, seconds=5)
    assert found["spec"] == before["spec"]
    assert found["metadata"]["generation"] == before["metadata"]["generation"]
    assert (stage.writing_calls("paris"), paris.vm("web")) == (wrote, vm)


def stripped(status):
    """Without the times of change."""
    conditions = [{k: v for k, v in c.items() if k != "lastTransitionTime"} for c in status["conditions"]]
    return {**status, "conditions": sorted(conditions, key=lambda c: c["type"])}


def test_ids_that_were_edited_away_are_found_again_by_their_mark(stage, paris, web):
    vm = paris.vm("web")
    edit = ("patch", "hostedinstance", "web", *HERE, "--subresource=status", "--type=merge")
    stage.cluster.kubectl(*edit, '--patch={"status": {"external": null, "id": null}}')
    found = stage.wait(
        "hostedinstance", "web", "found again", lambda f: f["status"].get("external", {}).get("vm"), seconds=10
    )
    assert found["status"]["external"]["vm"] == str(vm.id)
    assert [m.id for m in paris.onlooker.machines("web")] == [vm.id], "one machine, the same"


# --- describe and get


def test_describe_shows_how_it_is_what_differs_and_what_to_do(stage, paris):
    stage.apply(paris.instance("told", driftPolicy={"default": "Report"}))
    stage.wait_ready("hostedinstance", "told")
    paris.mischief("vm-power-off", vm="told")
    stage.wait("hostedinstance", "told", "drifted", lambda f: f["status"].get("drift"))
    stage.annotate("hostedinstance", "told", paused="true")
    stage.patch("hostedinstance", "told", {"spec": {"memory": "1Gi", "vcpu": 2}})
    paris.says("hostedinstance", "told", "Reconciling", "NotActing")

    told = " ".join(stage.cluster.kubectl("describe", "hinst", "told", *HERE).stdout.split())
    assert "Reason: NotActing" in told
    assert "not done: Update VM" in told
    assert "remove the annotation sovereigncloud.io/paused to go on" in told
    assert "DriftDetected" in told
    assert (
        "spec.power is PoweredOff instead of Running; reported only: driftPolicy says Report, set it to Correct" in told
    )


def test_get_sovereign_lists_every_kind(stage, paris, web):
    group = paris.object(
        "SecurityGroup", "web", {"rules": [{"direction": "Inbound", "protocol": "TCP", "range": "22"}]}
    )
    cloud = {"cloudRef": {"name": paris.name, "namespace": paris.namespace}}
    tenant = paris.object("Tenant", "prefecture", {"namespaces": ["prefecture"], "clouds": [cloud]})
    del tenant["metadata"]["namespace"]
    zone = paris.object("FederatedZone", "paris", {"cloudRef": {"name": paris.name}, "role": "Master"})
    policy = paris.object("SovereigntyPolicy", "eu", {"residency": {"allowedCountries": ["EU"]}})
    profile = paris.object("ProviderProfile", "ministry", {"legalEntity": {"name": "Ministry", "country": "FR"}})
    for one in (policy, profile):
        del one["metadata"]["namespace"]
    there = {"cloudRef": {"name": "elsewhere"}}
    move = paris.object("InstanceMigration", "go", {"instanceRef": {"name": "web"}, "to": there, "mode": "Rehearse"})
    plan = paris.object(
        "ExitPlan", "leave", {"from": {"cloudRef": {"name": paris.name}}, "to": [there], "mode": "Plan"}
    )
    stage.apply([group, tenant, zone, policy, profile, move, plan])
    names = stage.cluster.kubectl("get", "sovereign", *HERE, "--output=name").stdout.split()
    listed = {name.split(".")[0] for name in names}
    assert listed >= {kind.crd.kind.lower() for kind in KINDS} - {"baremetalserver"}, "no account in these tests"
