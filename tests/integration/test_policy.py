"""Who acts, and when: pause, Observe, Approve, references that wait, deletionPolicy - and what kubectl shows of it."""

import pytest

from sovereigncloud_sandbox.stage import condition, is_ready

SETTINGS = {"sweep_interval": "1", "settle_interval": "0.3"}

POWERED_OFF = 8


def steps(found):
    return [(step["action"], step["target"]) for step in (found["status"].get("plan") or {}).get("steps", [])]


def seen(found):
    """Looked at, for the generation that is there."""
    return found["status"].get("observedGeneration") == found["metadata"]["generation"]


# --- pause


def test_paused_nothing_outside_is_written_and_all_else_goes_on(stage, paris):
    stage.apply(paris.instance("calm", updatePolicy={"powerCycle": "Allow"}))
    stage.wait_ready("hostedinstance", "calm")
    stage.annotate("hostedinstance", "calm", paused="true")
    stage.wait("hostedinstance", "calm", "paused", lambda f: condition(f, "Paused").get("status") == "True")
    vm = paris.vm("calm")

    paris.mischief("rename", kind="VM", which=vm.id, name="other")
    found = stage.wait("hostedinstance", "calm", "drifted", lambda f: f["status"].get("drift"))
    assert [(entry["path"], entry["action"]) for entry in found["status"]["drift"]] == [("spec.name", "Reported")]
    assert condition(found, "Ready")["status"] == "True"

    stage.patch("hostedinstance", "calm", {"spec": {"memory": "1Gi"}})
    found = paris.says("hostedinstance", "calm", "Reconciling", "NotActing", "sovereigncloud.io/paused")
    assert seen(found)
    assert condition(found, "Ready")["status"] == "False", "this spec is not reality"
    assert "Restart" in {step["disruption"] for step in found["status"]["plan"]["steps"]}
    paris.swept()
    still = paris.onlooker.machine(vm.id)
    assert (still.name, still.template["MEMORY"], still.running) == ("other", "512", True)

    stage.annotate("hostedinstance", "calm", paused=None)
    stage.wait("hostedinstance", "calm", "going on", lambda f: is_ready(f) and not condition(f, "Paused"))
    after = paris.vm("calm")
    assert (after.id, after.template["MEMORY"], after.running) == (vm.id, "1024", True)


def test_what_spec_asks_for_while_paused_is_done_afterwards_whatever_driftpolicy_says(stage, paris):
    """It is a change of spec, and no drift, however long the pause was."""
    stage.apply(paris.instance("later", updatePolicy={"powerCycle": "Allow"}, driftPolicy={"default": "Report"}))
    stage.wait_ready("hostedinstance", "later")
    stage.annotate("hostedinstance", "later", paused="true")
    stage.patch("hostedinstance", "later", {"spec": {"memory": "1Gi"}})
    paris.says("hostedinstance", "later", "Reconciling", "NotActing", "sovereigncloud.io/paused")
    paris.swept()
    assert not stage.get("hostedinstance", "later")["status"].get("drift")

    stage.annotate("hostedinstance", "later", paused=None)
    stage.wait("hostedinstance", "later", "done", lambda f: is_ready(f) and not condition(f, "Paused"))
    assert paris.vm("later").template["MEMORY"] == "1024"


def test_a_deletion_while_paused_says_at_once_that_it_waits(stage, paris):
    stage.apply(paris.instance("pausing"))
    stage.wait_ready("hostedinstance", "pausing")
    stage.annotate("hostedinstance", "pausing", paused="true")
    vm = paris.vm("pausing")

    stage.delete("hostedinstance", "pausing")
    paris.says("hostedinstance", "pausing", "Reconciling", "PausedDeletion", "sovereigncloud.io/paused", seconds=2)
    paris.swept()
    assert paris.vm("pausing") == vm

    stage.annotate("hostedinstance", "pausing", paused=None)
    stage.wait_gone("hostedinstance", "pausing")
    assert paris.onlooker.machine(vm.id).done


# --- Observe


def test_observed_a_machine_is_planned_and_not_made(stage, paris):
    wrote = stage.writing_calls("paris")
    stage.apply(paris.instance("imagined", management="Observe"))

    found = paris.wait("hostedinstance", "imagined", "planned", steps)
    assert steps(found) == [("Create", 'VM "imagined" in platform/paris')]
    assert (condition(found, "Ready")["status"], condition(found, "Ready")["reason"]) == ("False", "NotActing")
    assert "management is Observe" in condition(found, "Ready")["message"]
    paris.swept()
    assert stage.writing_calls("paris") == wrote
    assert "finalizers" not in stage.get("hostedinstance", "imagined")["metadata"]

    stage.patch("hostedinstance", "imagined", {"spec": {"management": "Manage"}})
    found = stage.wait_ready("hostedinstance", "imagined")
    assert not steps(found)
    assert paris.vm("imagined").running


def test_observed_it_is_compared_and_left_also_when_it_is_deleted(stage, paris):
    stage.apply(paris.instance("watched"))
    stage.wait_ready("hostedinstance", "watched")
    stage.patch("hostedinstance", "watched", {"spec": {"management": "Observe"}})
    stage.wait("hostedinstance", "watched", "seen", seen)
    vm = paris.vm("watched")

    paris.mischief("vm-power-off", vm="watched")
    found = stage.wait("hostedinstance", "watched", "drifted", lambda f: f["status"].get("drift"))
    assert [(d["path"], d["observed"], d["action"]) for d in found["status"]["drift"]] == [
        ("spec.power", "PoweredOff", "Reported")
    ]
    assert steps(found) == [("Update", f'VM {vm.id} "watched": resume')]
    paris.swept()
    assert paris.vm("watched").state == POWERED_OFF

    stage.delete("hostedinstance", "watched")
    stage.wait_gone("hostedinstance", "watched")
    assert paris.vm("watched").id == vm.id


def test_a_cloud_that_is_observed_holds_everything_in_it(stage, make_cloud):
    brest = make_cloud("brest")
    everything = [("machineimage", "alpine"), ("virtualnetwork", "lan"), ("hostedinstance", "web")]
    stage.apply(
        [*brest.foundation(management="Observe"), brest.image("alpine"), brest.network("lan"), brest.instance("web")]
    )

    image = brest.wait("machineimage", "alpine", "planned", steps)
    network = brest.wait("virtualnetwork", "lan", "planned", steps)
    brest.says("hostedinstance", "web", "Reconciling", "WaitingForDependency", "MachineImage brest/alpine")
    assert steps(image) == [("Create", 'image "alpine" in brest/brest')]
    assert steps(network) == [("Create", 'network "lan" in brest/brest')]
    brest.swept()
    assert stage.writing_calls("brest") == 0
    assert not any("finalizers" in brest.get(kind, name)["metadata"] for kind, name in everything)

    brest.patch("sovereigncloud", "brest", management="Manage")
    for kind, name in everything:
        brest.ready(kind, name)
    assert brest.vm("web").running


# --- Approve


def test_a_plan_that_is_approved_is_carried_out_once(stage, paris):
    stage.apply(paris.instance("decided", management="Approve"))
    found = paris.says("hostedinstance", "decided", "Reconciling", "ApprovalRequired", "spec.approvedPlan")
    assert steps(found) == [("Create", 'VM "decided" in platform/paris')]
    digest = found["status"]["plan"]["hash"]
    assert paris.onlooker.machines("decided") == []

    stage.patch("hostedinstance", "decided", {"spec": {"approvedPlan": digest}})
    found = stage.wait_ready("hostedinstance", "decided")
    assert found["status"]["lastApprovedPlan"] == digest
    vm = paris.vm("decided")

    paris.mischief("vm-power-off", vm="decided")
    found = paris.says("hostedinstance", "decided", "Reconciling", "ApprovalRequired", "spec.approvedPlan")
    assert steps(found) == [("Update", f'VM {vm.id} "decided": resume')]
    assert found["status"]["plan"]["hash"] != digest
    assert paris.vm("decided").state == POWERED_OFF, "an approval counted twice"


# --- asked to look


def test_a_request_to_look_now_is_acknowledged_with_what_was_found(stage, paris):
    stage.apply(paris.instance("asked-for", driftPolicy={"default": "Report"}))
    first = stage.wait_ready("hostedinstance", "asked-for")

    paris.mischief("vm-power-off", vm="asked-for")
    stage.annotate("hostedinstance", "asked-for", reconcile_requested_at="now")
    stage.wait(
        "hostedinstance", "asked-for", "acknowledged", lambda f: f["status"].get("lastHandledReconcileAt") == "now"
    )

    handled = [v for v in stage.versions(first) if v["status"].get("lastHandledReconcileAt") == "now"]
    assert [entry["path"] for entry in handled[0]["status"]["drift"]] == ["spec.power"], (
        "acknowledged before it was looked at"
    )


# --- references


def test_applied_in_the_wrong_order_everything_waits_and_comes(stage, make_cloud):
    caen = make_cloud("caen")
    stage.apply([caen.instance("web"), caen.network("lan"), caen.image("alpine")])
    for kind, name in (("hostedinstance", "web"), ("virtualnetwork", "lan"), ("machineimage", "alpine")):
        found = caen.says(kind, name, "Reconciling", "WaitingForDependency", "caen/caen")
        assert condition(found, "Ready")["status"] == "False"
        assert "finalizers" not in found["metadata"], "held, though nothing outside was attempted"

    stage.apply(caen.foundation())
    for kind, name in (("hostedinstance", "web"), ("virtualnetwork", "lan"), ("machineimage", "alpine")):
        caen.ready(kind, name)
    assert caen.vm("web").networks == ["lan"]


# --- deletionPolicy


def test_what_is_retained_stays_and_the_rest_goes(stage, paris):
    kept, gone = [paris.network(f"net-{word}", number) for word, number in (("kept", 34), ("gone", 35))]
    kept["spec"]["deletionPolicy"] = "Retain"
    stage.apply([kept, gone, paris.image("img-kept", deletionPolicy="Retain"), paris.image("img-gone")])
    for kind, name in (("virtualnetwork", "net"), ("machineimage", "img")):
        for word in ("kept", "gone"):
            stage.wait_ready(kind, f"{name}-{word}")
            stage.delete(kind, f"{name}-{word}")
    for kind, name in (("virtualnetwork", "net"), ("machineimage", "img")):
        for word in ("kept", "gone"):
            stage.wait_gone(kind, f"{name}-{word}")

    assert len(paris.onlooker.networks("net-kept")) == len(paris.onlooker.images("img-kept")) == 1
    assert paris.onlooker.networks("net-gone") == paris.onlooker.images("img-gone") == []


def test_a_network_that_a_person_made_is_adopted_as_it_is_and_stays(stage, paris):
    template = "NAME=old VN_MAD=802.1Q PHYDEV=eth7 VLAN_ID=336 DNS=10.36.0.2 AR=[TYPE=IP4,IP=10.36.0.10,SIZE=50]"
    number = paris.onlooker.call("one.vn.allocate", template, 0)
    old = paris.network("old", 36, gateway=None, addressRanges=[{"ip": "10.36.0.10", "size": 50}])
    del old["spec"]["gateway"]

    stage.apply(old)
    found = stage.wait_ready("virtualnetwork", "old")
    assert found["status"]["id"] == str(number)
    (network,) = paris.onlooker.networks("old")
    assert (network.template["PHYDEV"], network.template["DNS"]) == ("eth7", "10.36.0.2")
    assert network.template["SOVEREIGNCLOUD_OBJECT"] == "VirtualNetwork/platform/old"

    stage.delete("virtualnetwork", "old")
    stage.wait_gone("virtualnetwork", "old")
    assert [one.id for one in paris.onlooker.networks("old")] == [number]


# --- what kubectl shows


def test_kubectl_wait_ends_when_it_is_ready_for_this_spec(stage, paris):
    wait = ("wait", "--for=condition=Ready", "hostedinstance/awaited", "-n", "platform", "--timeout=60s")
    stage.apply(paris.instance("awaited", updatePolicy={"powerCycle": "Allow"}))
    stage.cluster.kubectl(*wait, timeout=90)
    assert paris.vm("awaited").running

    stage.patch("hostedinstance", "awaited", {"spec": {"memory": "1Gi"}})
    # kubectl looks at the condition alone until status speaks of this generation, which the first look writes.
    stage.wait("hostedinstance", "awaited", "seen", seen)
    stage.cluster.kubectl(*wait, timeout=90)
    vm = paris.vm("awaited")
    assert (vm.template["MEMORY"], vm.running) == ("1024", True)

    stage.cluster.kubectl("delete", "hostedinstance", "awaited", "-n", "platform", "--wait=false")
    stage.cluster.kubectl("wait", "--for=delete", *wait[2:], timeout=90)
    assert paris.onlooker.machines("awaited") == []


@pytest.mark.parametrize("name", ["hinst", "hostedinstances", "sovereign"], ids=["short name", "plural", "category"])
def test_kubectl_get_shows_the_story_in_a_line(stage, paris, name):
    stage.apply(paris.instance("shown", driftPolicy={"default": "Report"}))
    found = stage.wait("hostedinstance", "shown", "ready", is_ready)
    if not found["status"].get("drift"):
        paris.mischief("vm-power-off", vm="shown")
        found = stage.wait("hostedinstance", "shown", "drifted", lambda f: f["status"].get("drift"))

    lines = stage.cluster.kubectl("get", name, "-n", "platform", "--output=wide").stdout.splitlines()
    row = next(line for line in lines if line and line.split()[0].split("/")[-1] == "shown")
    head = next(line for line in reversed(lines[: lines.index(row)]) if line.startswith("NAME"))
    cells = {column: row[head.index(column) :].split("  ")[0].strip() for column in head.split()}

    address = paris.vm("shown").addresses[0]
    assert cells["READY"] == "True"
    assert (cells["REASON"], cells["STATE"], cells["ADDRESS"], cells["DRIFT"]) == (
        "Drifted",
        "PoweredOff",
        address,
        "1",
    )
    assert cells["CLOUD"] == "platform/paris"
    assert cells["MESSAGE"].startswith("spec.power is PoweredOff instead of Running; reported only: driftPolicy says")


def test_events_tell_what_was_done_and_found_each_once(stage, paris):
    stage.apply(paris.instance("told"))
    stage.wait_ready("hostedinstance", "told")
    vm = paris.vm("told")
    paris.mischief("vm-power-off", vm="told")
    stage.wait("hostedinstance", "told", "drifted", lambda f: f["status"].get("drift"))
    stage.wait("hostedinstance", "told", "mended", lambda f: is_ready(f) and not f["status"].get("drift"))
    paris.swept()

    told = [
        (event["type"], event["reason"], event["message"], event.get("count", 1))
        for event in stage.events("HostedInstance", "told")
    ]
    assert told == [
        ("Normal", "Created", f'VM {vm.id} "told" created in platform/paris', 1),
        ("Warning", "DriftDetected", "spec.power is PoweredOff instead of Running", 1),
        ("Normal", "Starting", f"starting VM {vm.id}", 1),
        ("Normal", "Ready", "as declared", 2),  # the same again counts up
    ]


def test_the_operator_met_nothing_that_it_did_not_expect(stage):
    assert "Traceback" not in stage.log()
