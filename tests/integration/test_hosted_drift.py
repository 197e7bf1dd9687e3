"""A hosted cloud is changed behind the operator's back: named field by field, and brought back or only told."""

from dataclasses import dataclass
from typing import Any

import pytest
from tests.integration.hosted_scenes import BLOCK, NODE, VRACK, account, hosted

from sovereigncloud_sandbox.stage import condition, is_ready

CLOUD = ("SovereignCloud", "ovh-rbx")
SERVER = ("BareMetalServer", "ovh-rbx-one-2")
NETWORK = ("VirtualNetwork", "ovh-rbx-vm-public")
HOST = "spec.hosted.ovh.servers[one-2]"
ROUTE = "spec.hosted.networks[vm_public].publicBlock"


@dataclass(frozen=True)
class Change:
    """Something that somebody else does, what is told of it, and how reality says that it is back."""

    why: str
    object: tuple[str, str]
    path: str
    desired: str
    observed: str
    do: Any
    back: Any

    def __str__(self):
        return self.why.replace(" ", "-")


def host(stage):
    """one-2 in OpenNebula, {} when it is not there."""
    return next((h for h in stage.cloud("ovh-rbx")["hosts"] if h["name"] == stage.address(11)), {})


def gateway(stage):
    attributes = stage.one.call("GET", "/clouds/ovh-rbx")["vnets"]
    return next(v for v in attributes if v["name"] == "vm_public")["attributes"]["GATEWAY"]


CHANGES = [
    Change(
        "a host is disabled", CLOUD, HOST, "enabled", "disabled",
        lambda stage: stage.mischief("ovh-rbx", "host-disable", host=stage.address(11)),
        lambda stage: "DISABLED" not in host(stage)["state"],
    ),
    Change(
        "a host is deleted in OpenNebula", CLOUD, HOST, "registered", "not registered",
        lambda stage: stage.mischief("ovh-rbx", "host-delete", host=stage.address(11)),
        host,
    ),
    Change(
        "an attribute of a network is edited", NETWORK, "spec.gateway", "57.131.167.190", "57.131.167.177",
        lambda stage: stage.mischief("ovh-rbx", "vnet-edit", vnet="vm_public", attributes={"GATEWAY": "57.131.167.177"}),
        lambda stage: gateway(stage) == "57.131.167.190",
    ),
    Change(
        "a private interface leaves the vRack", SERVER, "spec.ovh.vrack", VRACK, "not attached",
        lambda stage: stage.detach_from_vrack(NODE),
        lambda stage: stage.private_interface(NODE)["vrack"] == VRACK,
    ),
    Change(
        "an IP block is moved off the vRack", CLOUD, ROUTE, f"{BLOCK} routed to {VRACK}", "parked",
        lambda stage: stage.park_block(BLOCK),
        lambda stage: (stage.block(BLOCK)["document"]["routedTo"] or {}).get("serviceName") == VRACK,
    ),
    Change(
        "a server is renamed", SERVER, "spec.name", "one-2", "do-not-touch",
        lambda stage: stage.rename_server(NODE, "do-not-touch"),
        lambda stage: stage.server(NODE)["resource"]["display_name"] == "one-2",
    ),
]  # fmt: skip


@pytest.fixture(scope="module")
def built(stage, chronicle):
    stage.apply([account(stage), hosted()])
    chronicle.ready(*CLOUD, 120)


def handled(chronicle):
    """The requests to look anew that were acknowledged."""
    return {o["status"].get("lastHandledReconcileAt") for o in chronicle.objects()}


def drifting(chronicle):
    """Paths of the cloud that differ now."""
    return [d["path"] for d in chronicle.get(*CLOUD)["status"].get("drift") or ()]


def told(chronicle, change, since):
    return chronicle.drifts(since).get((*change.object, change.path))


def rests(chronicle):
    """Everything is as declared, also for a moment that was not looked at."""
    chronicle.catch_up()

    def test():
        return all(is_ready(o) and not o["status"].get("drift") for o in chronicle.objects())

    chronicle.until("everything as declared", test)


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_what_somebody_changed_is_named_and_brought_back(stage, built, chronicle, change):
    rests(chronicle)
    since = chronicle.mark
    change.do(stage)
    drift = chronicle.until("told", lambda: told(chronicle, change, since), 30)
    assert (drift["desired"], drift["observed"], drift["action"]) == (change.desired, change.observed, "Correcting")
    stage.until(lambda: change.back(stage), "back as declared", seconds=30)
    rests(chronicle)
    drifted = [condition(o, "Drifted") for o in chronicle.versions(*change.object, since)]
    assert [c["status"] for c in drifted][-1] == "False"
    others = {k: d for k, d in chronicle.drifts(since).items() if k[:2] != change.object}
    assert others == {}, "nobody else is blamed"


def test_all_at_once_each_is_named_and_brought_back(stage, built, chronicle):
    changes = [c for c in CHANGES if c.path != HOST or c.observed == "disabled"]
    since = chronicle.mark
    for change in changes:
        change.do(stage)
    chronicle.until("all of it told", lambda: all(told(chronicle, c, since) for c in changes), 40)
    for change in changes:
        stage.until(lambda change=change: change.back(stage), f"{change.why}: back as declared", seconds=40)
    rests(chronicle)


@pytest.fixture(scope="module")
def reporting(stage, built, chronicle):
    """The cloud, and with it what it composes, only reports."""
    rests(chronicle)
    stage.apply(hosted(driftPolicy={"default": "Report"}))
    chronicle.ready(*CLOUD)
    rests(chronicle)  # the parts of it, too, that it has told by now
    return stage.ovh_mark, stage.one_mark("ovh-rbx")


@pytest.mark.parametrize("change", [c for c in CHANGES if c.observed != "disabled"], ids=str)
def test_with_report_it_is_named_and_left_alone(stage, reporting, chronicle, change):
    since = chronicle.mark
    change.do(stage)
    drift = chronicle.until("told", lambda: told(chronicle, change, since), 30)
    assert (drift["desired"], drift["observed"], drift["action"]) == (change.desired, change.observed, "Reported")


def test_with_report_nothing_was_written_outside(stage, reporting, chronicle):
    """All of it stands, several sweeps later; the cloud is Ready and says how much differs."""
    writes, calls = reporting
    asked = (
        "annotate",
        "scloud,bms,onevnet",
        "--all",
        "-n",
        "platform",
        "sovereigncloud.io/reconcile-requested-at=report",
    )
    stage.cluster.kubectl(*asked)
    chronicle.until("asked to look", lambda: handled(chronicle) == {"report"})
    assert stage.ovh_writes(writes) == []
    assert stage.one_calls("ovh-rbx", since=calls) == []
    cloud = chronicle.get(*CLOUD)
    assert condition(cloud, "Ready")["status"] == "True"
    drifted = condition(cloud, "Drifted")
    assert (drifted["status"], drifted["reason"]) == ("True", "ReportOnly")
    assert cloud["status"]["driftCount"] == 2


def test_correct_again_brings_everything_back(stage, reporting, chronicle):
    stage.apply(hosted(driftPolicy={"default": "Correct"}))
    rests(chronicle)
    for change in CHANGES:
        assert change.back(stage), change.why


def test_one_field_may_be_ignored_while_the_others_are_corrected(stage, built, chronicle):
    fields = [{"path": HOST, "action": "Ignore"}]
    stage.apply(hosted(driftPolicy={"fields": fields}))
    rests(chronicle)
    since, calls = chronicle.mark, stage.one_mark("ovh-rbx")
    disabled, parked = CHANGES[0], CHANGES[4]
    disabled.do(stage)
    parked.do(stage)
    chronicle.until("both told", lambda: all(told(chronicle, c, since) for c in (disabled, parked)), 30)
    assert told(chronicle, disabled, since)["action"] == "Ignored"
    stage.until(lambda: parked.back(stage), "routed again", seconds=30)
    chronicle.until("only the ignored left", lambda: drifting(chronicle) == [HOST])
    assert "driftCount" not in chronicle.get(*CLOUD)["status"], "what is ignored is not counted"
    assert stage.one_calls("ovh-rbx", "one.host.status", since=calls) == []
