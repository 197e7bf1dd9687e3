"""The generic loop against an API server and a cloud in memory: what is written, when, and what never."""

import asyncio

import pytest
from tests.fakes import objects
from tests.fakes.engine_bench import WEB, scenario
from tests.fakes.objects import CLOUD, NAMESPACE, key
from tests.fakes.outside import LOST_ANSWER, at
from tests.fakes.virtual_time import now

from sovereigncloud.api.common.base import FINALIZER
from sovereigncloud.ports.errors import Auth, Conflict, Quota, Rejected, Retry

# --- creating and resting --------------------------------------------------------------------------------------------


@scenario
async def test_to_create_costs_a_finalizer_and_a_status_and_one_more_per_visible_step(b):
    await b.running("first")
    b.quiet()
    b.api.apply(objects.instance())
    await b.after(20)
    assert b.ready()
    kinds = [w[0] for w in b.api.patches(WEB)]
    reasons = [w[2]["conditions"][0]["reason"] for w in b.api.patches(WEB) if w[0] == "status"]
    assert kinds[:2] == ["finalizers", "status"]
    assert reasons == ["Creating", "Booting", "AsDeclared"]
    assert b.api.patches(CLOUD) == []
    assert len(b.outside.wrote("create")) == 1
    assert b.api.status(WEB)["external"] == {"vm": "11"}


@scenario
async def test_at_rest_nothing_is_written_anywhere(b):
    names = [f"web-{i}" for i in range(5)]
    await b.running(*names)
    b.quiet()
    views = b.outside.views
    await b.after(100 * 61)
    assert b.api.writes == []
    assert b.outside.wrote() == []
    assert b.api.events == []
    assert 95 <= b.outside.views - views <= 105, "one read per interval, however many machines"


@scenario
async def test_a_restart_at_rest_writes_nothing(b):
    await b.running("a", "c")
    b.quiet()
    await b.restart()
    await b.after(200)
    assert b.api.writes == []
    assert b.outside.wrote() == []


@scenario
async def test_a_relist_looks_and_writes_nothing(b):
    await b.running()
    b.quiet()
    looks = b.machines.looks
    for body in b.api.listed():
        b.engine.told(None, body)
    await b.after(1)
    assert b.machines.looks > looks
    assert b.api.writes == []


@scenario
async def test_a_change_of_spec_is_carried_out(b):
    await b.running()
    b.quiet()
    b.api.edit(WEB, spec={"memory": "8Gi"})
    await b.after(10)
    assert b.outside.vms[10].memory == 8192
    assert b.ready()
    assert b.api.status(WEB)["observedGeneration"] == 2
    assert "drift" not in b.api.status(WEB)
    assert b.outside.wrote() == [("resize", 10)]
    assert len(b.api.patches(WEB)) == 2


@scenario
async def test_a_status_that_somebody_else_wrote_is_put_right(b):
    await b.running()
    b.api.edit(WEB, status={"state": "Broken", "external": {"vm": "99"}})
    await b.after(2)
    assert b.api.status(WEB)["state"] == "Running"
    assert b.api.status(WEB)["external"] == {"vm": "10"}, "found by its mark"
    assert len(b.outside.vms) == 1


@scenario
async def test_a_status_that_was_lost_is_found_again_and_nothing_is_made(b):
    await b.running()
    b.api.edit(WEB, status=dict.fromkeys(b.api.status(WEB)))
    await b.after(10)
    assert b.ready()
    assert b.api.status(WEB)["external"] == {"vm": "10"}
    assert len(b.outside.wrote("create")) == 1


@scenario
async def test_a_spec_that_changes_while_it_is_worked_upon_is_not_said_to_be_done(b):
    await b.running()
    b.api.edit(WEB, spec={"memory": "8Gi"})
    await asyncio.sleep(0.02)  # the resize is being asked for
    b.api.edit(WEB, spec={"memory": "16Gi"})
    await asyncio.sleep(0.05)
    assert b.api.status(WEB)["observedGeneration"] == 2, "of generation 3 nobody knows anything yet"
    await b.after(20)
    assert b.outside.vms[10].memory == 16384
    assert b.api.status(WEB)["observedGeneration"] == 3
    assert b.ready()


# --- drift -----------------------------------------------------------------------------------------------------------


@scenario
async def test_drift_is_found_by_the_sweep_named_and_mended(b):
    await b.running()
    b.quiet()
    b.outside.change(10, name="renamed")
    await b.after(61)
    assert b.outside.vms[10].name == "web"
    drifts = [w[2]["drift"] for w in b.api.patches(WEB) if w[2].get("drift")]
    assert [(d["path"], d["desired"], d["observed"], d["action"]) for d in drifts[0]] == [
        ("spec.name", "web", "renamed", "Correcting")
    ]
    await b.after(10)
    assert "drift" not in b.api.status(WEB)
    assert b.api.condition(WEB, "Drifted")["status"] == "False"
    assert b.ready()
    assert ("web", "Warning", "DriftDetected") in [e[:3] for e in b.api.events]


@scenario
async def test_drift_is_reported_only(b):
    await b.running("web", driftPolicy={"fields": [{"path": "spec.name", "action": "Report"}]})
    b.quiet()
    b.outside.change(10, name="renamed")
    await b.after(300)
    assert b.outside.wrote() == []
    assert b.ready()
    assert b.api.status(WEB)["drift"][0]["action"] == "Reported"
    assert b.api.status(WEB)["driftCount"] == 1
    assert b.api.condition(WEB, "Drifted")["reason"] == "ReportOnly"
    assert len(b.api.patches(WEB)) == 1, "said once"


@scenario
async def test_a_new_spec_is_no_drift_although_the_cloud_could_not_be_asked_at_first(b):
    """With reported drift in status and the API down at the wrong moment, a new spec must not count as drift."""
    await b.running("web", driftPolicy={"default": "Report"})
    b.outside.change(10, name="renamed")
    await b.after(70)
    assert b.api.condition(WEB, "Drifted")["status"] == "True"
    b.outside.fail("view", Retry("HTTP 502"), times=8)
    await b.after(80)
    b.api.edit(WEB, spec={"memory": "8Gi"})
    await b.after(30)
    assert b.api.condition(WEB, "Drifted")["status"] == "Unknown"
    await b.after(200)
    assert b.outside.vms[10].memory == 8192


# --- pause, Observe, Approve -----------------------------------------------------------------------------------------

PAUSED = "sovereigncloud.io/paused"


@scenario
async def test_paused_nothing_outside_is_written_and_all_else_goes_on(b):
    await b.running()
    b.api.edit(WEB, annotations={PAUSED: "true"})
    b.api.edit(WEB, spec={"memory": "8Gi"})
    b.quiet()
    await b.after(300)
    assert b.outside.wrote() == []
    assert b.api.condition(WEB, "Paused")["status"] == "True"
    assert b.api.status(WEB)["observedGeneration"] == 2
    assert b.api.status(WEB)["plan"]["steps"][0]["target"] == "VM 10: resize"
    b.api.edit(WEB, annotations={PAUSED: None})
    await b.after(10)
    assert b.outside.vms[10].memory == 8192
    assert not b.api.condition(WEB, "Paused")["status"]
    assert "plan" not in b.api.status(WEB)


@scenario
async def test_paused_a_deletion_waits_and_says_so_and_nothing_is_polled(b):
    await b.running()
    b.api.edit(WEB, annotations={PAUSED: "true"})
    b.api.delete(WEB)
    await b.after(2)
    assert b.reason() == "Reconciling/PausedDeletion"
    assert PAUSED in b.message()
    views = b.outside.views
    await b.after(300)
    assert b.outside.views - views <= 6
    assert 10 in b.outside.vms
    b.api.edit(WEB, annotations={PAUSED: None})
    await b.after(70)
    assert WEB not in b.api.objects
    assert 10 not in b.outside.vms


@scenario
async def test_observe_fills_the_plan_and_writes_nothing_outside(b):
    b.api.apply(objects.cloud(endpoint=None, spec={"management": "Observe"}))
    b.api.apply(objects.instance())
    await b.start()
    await b.after(300)
    assert b.outside.wrote() == []
    assert b.api.finalizers(WEB) == [], "nothing was attempted, so nothing holds it"
    assert b.api.status(WEB)["plan"]["steps"] == [{"action": "Create", "target": 'VM "web"', "disruption": "None"}]
    assert b.reason() == "Reconciling/NotActing"
    assert not b.ready()
    views = b.outside.views
    await b.after(300)
    assert b.outside.views - views <= 6, "nothing is under way"
    b.api.delete(WEB)
    await b.after(1)
    assert WEB not in b.api.objects


@scenario
async def test_observe_leaves_what_is_there(b):
    await b.running()
    b.api.edit(CLOUD, spec={"management": "Observe"})
    b.outside.change(10, memory=1)
    await b.after(70)
    assert b.api.status(WEB)["drift"][0]["observed"] == "1Mi"
    assert b.ready()
    b.quiet()
    b.api.delete(WEB)
    await b.after(70)
    assert WEB not in b.api.objects
    assert 10 in b.outside.vms
    assert b.outside.wrote() == []


@scenario
async def test_approve_waits_for_the_hash_and_says_which(b):
    b.api.apply(objects.cloud(endpoint=None))
    b.api.apply(objects.instance(spec={"management": "Approve"}))
    await b.start()
    await b.after(100)
    assert b.outside.wrote() == []
    assert b.reason() == "Reconciling/ApprovalRequired"
    digest = b.api.status(WEB)["plan"]["hash"]
    assert digest in b.message()
    b.api.edit(WEB, spec={"approvedPlan": digest})
    await b.after(20)
    assert b.ready()
    assert len(b.outside.vms) == 1
    assert b.api.status(WEB)["lastApprovedPlan"] == digest


@scenario
async def test_an_approval_is_void_when_reality_changed(b):
    await b.running("web", management="Manage")
    b.api.edit(WEB, spec={"management": "Approve"})
    b.outside.change(10, memory=1024)
    await b.after(70)
    digest = b.api.status(WEB)["plan"]["hash"]
    b.outside.change(10, memory=2048)
    b.api.edit(WEB, spec={"approvedPlan": digest})
    await b.after(70)
    assert b.outside.vms[10].memory == 2048
    assert b.api.status(WEB)["plan"]["hash"] != digest


@scenario
async def test_an_approval_is_void_when_spec_changed(b):
    b.api.apply(objects.cloud(endpoint=None))
    b.api.apply(objects.instance(spec={"management": "Approve"}))
    await b.start()
    await b.after(10)
    digest = b.api.status(WEB)["plan"]["hash"]
    b.api.edit(WEB, spec={"approvedPlan": digest, "memory": "512Gi"})
    await b.after(70)
    assert b.outside.vms == {}


@scenario
async def test_an_approval_counts_once(b):
    await b.running()
    b.api.edit(WEB, spec={"management": "Approve"})
    b.outside.change(10, memory=1024)
    await b.after(70)
    b.api.edit(WEB, spec={"approvedPlan": b.api.status(WEB)["plan"]["hash"]})
    await b.after(10)
    assert b.outside.vms[10].memory == 4096
    b.outside.change(10, memory=1024)  # the very same, a second time
    await b.after(200)
    assert b.outside.vms[10].memory == 1024
    assert b.reason() == "Reconciling/ApprovalRequired"


@scenario
async def test_an_approved_plan_is_carried_out_to_its_end_although_a_step_failed(b):
    await b.running()
    b.api.edit(WEB, spec={"management": "Approve", "name": "new", "memory": "8Gi"})
    await b.after(5)
    assert len(b.api.status(WEB)["plan"]["steps"]) == 2
    b.outside.fail("resize", Retry("HTTP 502"))
    b.api.edit(WEB, spec={"approvedPlan": b.api.status(WEB)["plan"]["hash"]})
    await b.after(80)  # an interruption whose answer was lost may come late: it is not asked for a second time before
    assert (b.outside.vms[10].name, b.outside.vms[10].memory) == ("new", 8192)
    assert b.ready()


@scenario
async def test_what_is_left_of_an_approved_plan_is_not_left_for_another_spec(b):
    await b.running()
    b.api.edit(WEB, spec={"management": "Approve", "name": "new", "memory": "8Gi"})
    await b.after(5)
    b.outside.fail("resize", Retry("HTTP 502"), times=5)
    b.api.edit(WEB, spec={"approvedPlan": b.api.status(WEB)["plan"]["hash"]})
    await b.after(1)
    b.api.edit(WEB, spec={"memory": "512Gi"})
    await b.after(120)
    assert b.outside.vms[10].memory == 4096
    assert b.reason() == "Reconciling/ApprovalRequired"


# --- deleting --------------------------------------------------------------------------------------------------------


@scenario
async def test_deleted_it_goes_outside_and_then_here(b):
    await b.running()
    b.quiet()
    b.api.delete(WEB)
    await b.after(10)
    assert WEB not in b.api.objects
    assert b.outside.vms == {}
    assert b.outside.wrote() == [("terminate", 10)]


@pytest.mark.parametrize("when", ["the finalizer is on it", "it is made", "its id is in status"])
def test_let_go_by_the_api_server_in_spite_of_the_finalizer_nothing_of_it_stays(when):
    @scenario
    async def story(b):
        await b.running("busy")
        b.api.apply(objects.instance())
        happened = {
            "the finalizer is on it": lambda: b.api.objects[WEB]["metadata"].get("finalizers"),
            "it is made": lambda: b.outside.marked("web"),
            "its id is in status": lambda: b.api.objects[WEB]["status"].get("external"),
        }[when]
        while not happened():
            await b.after(0.001)
        b.api.lose(WEB)
        await b.after(90)
        assert b.outside.marked("web") == []
        assert len(b.outside.wrote("create")) == 2, "it was made"
        assert b.engine.store.stored(WEB) is None
        assert b.ready(key("busy"))

    story()


@scenario
async def test_let_go_too_early_and_applied_anew_it_is_taken_over(b):
    await b.running("busy")
    b.api.apply(objects.instance())
    while not b.outside.marked("web"):
        await b.after(0.001)
    b.api.lose(WEB)
    b.api.apply(objects.instance())
    await b.after(30)
    assert b.ready()
    assert len(b.outside.marked("web")) == 1


@scenario
async def test_retain_leaves_it(b):
    await b.running("web", deletionPolicy="Retain")
    b.api.delete(WEB)
    await b.after(10)
    assert WEB not in b.api.objects
    assert 10 in b.outside.vms


@scenario
async def test_while_the_crd_goes_everything_counts_as_retain(b):
    await b.running()
    b.api.going.add("HostedInstance")
    b.api.delete(WEB)
    await b.after(10)
    assert WEB not in b.api.objects
    assert 10 in b.outside.vms


@scenario
async def test_a_cloud_waits_for_what_is_in_it_and_names_it(b):
    await b.running("web", "db")
    b.api.delete(CLOUD)
    await b.after(5)
    assert b.reason(CLOUD) == "Reconciling/InUse"
    assert "HostedInstance prefecture/db, HostedInstance prefecture/web" in b.message(CLOUD)
    b.api.delete(WEB)
    await b.after(10)
    assert "web" not in b.message(CLOUD)
    b.api.delete(key("db"))
    await b.after(10)
    assert b.api.objects == {}
    assert b.outside.vms == {}


@scenario
async def test_nothing_new_is_made_in_a_cloud_that_goes(b):
    await b.running()
    b.api.delete(CLOUD)
    b.api.apply(objects.instance("late"))
    await b.after(70)
    assert b.reason(key("late")) == "Reconciling/WaitingForDependency"
    assert len(b.outside.vms) == 1


@scenario
async def test_a_namespace_that_is_deleted_ends_in_any_order(b):
    """The Secret, the cloud and the machine get their deletionTimestamp in one go; the last one that is needed goes last."""
    await b.running("web", "db", cloudInit={"userDataSecretRef": {"name": "init"}})
    b.api.create(NAMESPACE, "init", {"userData": "x"})
    await b.after(1)
    b.api.delete_a_secret(NAMESPACE, "one")
    for which in (CLOUD, WEB, key("db")):
        b.api.delete(which)
    await b.after(30)
    assert b.api.objects == {}
    assert b.outside.vms == {}
    assert (NAMESPACE, "one") not in b.api.secrets


@scenario
async def test_foreground_deletion_of_an_owner_and_its_child_ends(b):
    await b.running("other")
    owner = {
        "apiVersion": "v1", "kind": "SovereignCloud", "name": "paris", "controller": True, "blockOwnerDeletion": True,
        "uid": b.api.objects[CLOUD]["metadata"]["uid"],
    }  # fmt: skip
    b.api.apply(objects.instance("child", ownerReferences=[owner]))
    await b.after(20)
    assert b.ready(key("child"))
    b.api.delete(key("other"))
    await b.after(10)
    b.api.delete(CLOUD, foreground=True)
    await b.after(70)
    assert b.api.objects == {}
    assert b.outside.vms == {}


@scenario
async def test_what_never_had_anything_outside_goes_at_once(b):
    b.api.apply(objects.instance())
    await b.start()
    await b.after(5)
    assert b.reason() == "Reconciling/WaitingForDependency"
    b.api.delete(WEB)
    await b.after(1)
    assert b.api.objects == {}
    assert len(b.engine.store) == 0


# --- references ------------------------------------------------------------------------------------------------------


@scenario
async def test_a_reference_waits_and_heals(b):
    b.api.apply(objects.instance())
    await b.start()
    await b.after(100)
    assert "does not exist" in b.message()
    assert b.engine.watches.clouds == {}, "no cloud, no reads"
    b.api.apply(objects.cloud(endpoint=None))
    await b.after(10)
    assert b.ready()


@scenario
async def test_a_missing_secret_waits_and_heals(b):
    b.api.secrets.clear()
    b.api.apply(objects.cloud(endpoint=None))
    b.api.apply(objects.instance())
    await b.start()
    await b.after(30)
    assert b.reason(CLOUD) == "Reconciling/SecretMissing"
    assert "prefecture/one" in b.message(CLOUD)
    b.api.create(NAMESPACE, "one", {"username": "oneadmin"})
    await b.after(65)
    assert "has no password" in b.message(CLOUD)
    b.api.secrets[NAMESPACE, "one"]["data"]["password"] = "secret"
    await b.after(65)
    assert b.ready(CLOUD)
    assert b.ready()


@scenario
async def test_a_cloud_that_went_leaves_no_watch_behind(b):
    await b.running("web", deletionPolicy="Retain")
    b.api.delete(WEB)
    await b.after(5)
    b.api.delete(CLOUD)
    await b.after(10)
    assert b.engine.watches.clouds == {}
    views = b.outside.views
    b.api.apply(objects.instance("later"))
    await b.after(200)
    assert b.engine.watches.clouds == {}
    assert b.outside.views == views


@scenario
async def test_another_endpoint_is_asked_at_once(b):
    await b.running()
    views = b.outside.views
    b.api.edit(CLOUD, spec={"existing": {"endpoint": "https://other.example.fr/RPC2"}})
    await b.after(2)
    assert b.outside.views > views
    assert b.api.status(CLOUD)["endpoint"] == "https://other.example.fr/RPC2"


# --- errors outside --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("why", "error", "reason", "at_most"),
    [
        ("no capacity: soon, then each minute", Quota("no host has enough memory"), "Reconciling/QuotaExceeded", 18),
        ("refused input: soon, then seldom", Rejected("bad name", reason="NameTaken"), "Stalled/NameTaken", 12),
        ("wrong credentials: soon, then each minute", Auth("not authorized"), "Stalled/CredentialsRejected", 18),
        ("a conflict backs off to a minute", Conflict("locked"), "Reconciling/Conflict", 20),
        (
            "an error that passes backs off to a minute",
            Retry("502", maybe_done=False),
            "Reconciling/RetryingAfterError",
            20,
        ),
        ("Retry-After counts", Retry("429", after=120, maybe_done=False), "Reconciling/RetryingAfterError", 6),
        (
            "and zero of it is no hot loop",
            Retry("429", after=0, maybe_done=False),
            "Reconciling/RetryingAfterError",
            20,
        ),
    ],
)
def test_an_error_is_said_and_tried_again_without_a_hot_loop(why, error, reason, at_most):
    @scenario
    async def story(b):
        await b.running("busy")
        b.outside.boots = 1e9
        b.api.apply(objects.instance("booting"))  # the cloud is swept every two seconds
        await b.after(5)
        b.quiet()
        b.outside.fail("create", error, times=1000)
        b.api.apply(objects.instance())
        await b.after(600)
        assert b.reason() == reason, why
        assert 1 <= len(b.outside.wrote("create")) <= at_most, why
        assert len(b.api.patches(WEB)) <= 3, f"{why}: said once"
        assert error.message in b.message(), why
        b.outside.failing.clear()
        b.outside.boots = 1
        await b.after(301)
        assert len(b.outside.marked("web")) == 1, f"{why}: healed by itself"

    story()


@scenario
async def test_what_a_person_changed_is_tried_at_once(b):
    await b.running("busy")
    b.outside.fail("create", Rejected("bad memory"), times=100)
    b.api.apply(objects.instance())
    await b.after(300)  # the next try is minutes away
    assert b.reason() == "Stalled/Rejected"
    b.outside.failing.clear()
    await b.after(10)
    assert b.reason() == "Stalled/Rejected"
    b.api.edit(WEB, spec={"memory": "2Gi"})
    await b.after(10)
    assert b.ready()


@scenario
async def test_what_a_person_asks_for_anew_is_tried_at_once(b):
    await b.running("busy")
    b.outside.fail("create", Rejected("no such host"), times=100)
    b.api.apply(objects.instance())
    await b.after(300)  # the next try is minutes away
    assert b.reason() == "Stalled/Rejected"
    b.outside.failing.clear()
    await b.after(10)
    assert b.reason() == "Stalled/Rejected"
    b.api.edit(WEB, annotations={"sovereigncloud.io/reconcile-requested-at": "now"})
    await b.after(10)
    assert b.ready()


@scenario
async def test_an_api_that_is_down_for_an_hour(b):
    await b.running("web", "db")
    b.quiet()
    b.outside.fail("view", Retry("connection refused", maybe_done=False), times=10_000)
    at(1800, lambda: b.api.edit(WEB, spec={"memory": "8Gi"}))
    await b.after(3600)
    assert b.reason(CLOUD) == "Reconciling/RetryingAfterError"
    assert b.ready(CLOUD), "Ready is about the cloud, not about the last call"
    assert "connection refused" in b.message(CLOUD)
    assert b.outside.wrote() == []
    assert len(b.api.patches(CLOUD)) == 1
    assert len(b.api.patches()) <= 3
    b.outside.failing.clear()
    await b.after(120)
    assert b.ready(CLOUD)
    assert b.reason(CLOUD) == "Ready/AsDeclared"
    assert b.ready()
    assert b.outside.vms[10].memory + b.outside.vms[11].memory == 8192 + 4096


@scenario
async def test_a_rotated_secret_takes_effect_without_a_restart(b):
    await b.running()
    passwords = []
    client = b.outside.client
    b.outside.client = lambda password: passwords.append(password) or client(password)
    b.api.secrets[NAMESPACE, "one"]["data"]["password"] = "rotated"
    await b.after(130)
    assert passwords == ["rotated"]


@scenario
async def test_refused_credentials_are_read_again_at_once(b):
    await b.running()
    b.outside.fail("view", Auth("wrong password"))
    reads = []
    secret = b.api.secret

    async def counted(*place):
        reads.append(now())
        return await secret(*place)

    b.api.secret = counted
    b.clients._secrets[NAMESPACE, "one"] = b.clients._secrets[NAMESPACE, "one"].__class__(
        {"username": "a", "password": "b"}, now()
    )
    b.engine.watches.clouds[CLOUD].refresh()
    await b.after(5)
    assert reads, "not only when its minute has passed"


# --- bugs ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["observe", "perform"])
def test_a_bug_in_a_kind_ends_nothing_and_tells_no_secret(verb):
    @scenario
    async def story(b):
        await b.running("other")
        b.machines.bugs[verb] = KeyError("hunter2")
        b.api.apply(objects.instance())
        await b.after(30)
        assert b.reason() == "Reconciling/InternalError"
        assert "KeyError" in b.message()
        assert "hunter2" not in str(b.api.objects[WEB])
        assert b.ready(key("other"))
        b.machines.bugs.clear()
        await b.after(130)
        assert b.ready()
        assert len(b.outside.marked("web")) == 1

    story()


@scenario
async def test_a_bug_in_the_engine_itself_does_not_end_the_workers(b):
    await b.running()
    broken = b.engine._reconciler.reconcile

    async def sometimes(which):
        if which == WEB:
            raise ZeroDivisionError
        return await broken(which)

    b.engine._reconciler.reconcile = sometimes
    for _ in range(40):
        b.engine.queue.add(WEB)
        await b.after(1)
    b.api.apply(objects.instance("db"))
    await b.after(20)
    assert b.ready(key("db"))


@scenario
async def test_an_unreadable_spec_is_said_with_its_field(b):
    await b.running("other")
    b.api.apply(objects.instance(spec={"memory": ["much"]}))
    await b.after(20)
    assert b.reason() == "Stalled/InvalidSpec"
    assert "spec.memory" in b.message()
    assert len(b.api.patches(WEB)) == 1
    b.api.edit(WEB, spec={"memory": "2Gi"})
    await b.after(20)
    assert b.ready()


@scenario
async def test_steps_that_change_nothing_end_with_a_person(b):
    await b.running()
    b.outside.deaf = True
    b.api.edit(WEB, spec={"memory": "8Gi"})
    b.quiet()
    await b.after(120)
    assert b.reason() == "Stalled/NotConverging"
    assert len(b.outside.wrote("resize")) == 6
    await b.after(170)
    assert len(b.outside.wrote("resize")) == 6, "for five minutes"
    b.outside.deaf = False
    await b.after(300)
    assert b.ready()


@scenario
async def test_the_same_drift_now_and_then_is_not_taken_for_no_effect(b):
    await b.running()
    for _ in range(10):
        b.outside.change(10, name="renamed")
        await b.after(70)
        assert b.outside.vms[10].name == "web"
    assert b.ready()


# --- requests --------------------------------------------------------------------------------------------------------


@scenario
async def test_a_request_to_look_reads_anew_and_is_acknowledged(b):
    await b.running()
    await b.after(5)
    b.outside.change(10, name="renamed")
    b.api.edit(WEB, annotations={"sovereigncloud.io/reconcile-requested-at": "2026-11-24T10:00"})
    await b.after(5)
    assert b.outside.vms[10].name == "web", "found by a read begun after the request, before the next sweep"
    assert b.api.status(WEB)["lastHandledReconcileAt"] == "2026-11-24T10:00"
    b.quiet()
    await b.after(200)
    assert b.api.writes == []


# --- one writer ------------------------------------------------------------------------------------------------------


@scenario
async def test_without_the_lease_nothing_is_written_anywhere(b):
    b.leader = False
    b.api.apply(objects.cloud(endpoint=None))
    b.api.apply(objects.instance())
    await b.start()
    await b.after(60)
    assert b.api.writes == []
    assert b.outside.wrote() == []
    b.leader = True
    await b.after(20)
    assert b.ready()


@scenario
async def test_a_lease_lost_between_two_steps_ends_the_steps(b):
    await b.running()
    b.quiet()
    b.api.edit(WEB, spec={"name": "new", "memory": "8Gi"})
    rename = b.outside.set

    def lose(vm_id, **attributes):
        rename(vm_id, **attributes)
        b.leader = False

    b.outside.set = lose
    await b.after(30)
    assert b.outside.wrote() == [("rename", 10)]
    assert b.api.writes == []


@scenario
async def test_stop_lets_a_call_end_and_begins_no_step(b):
    await b.running()
    b.quiet()
    b.api.edit(WEB, spec={"name": "new", "memory": "8Gi"})
    await asyncio.sleep(0.03)
    assert b.engine.queue.running
    begun = now()
    assert await b.engine.stop(4.0)
    assert now() - begun < 1
    assert b.outside.wrote() == [("rename", 10)], "the second step was not begun"
    b.api.listeners.clear()
    await b.start()
    await b.after(80)  # nor before what an earlier process asked for can have taken effect
    assert b.outside.vms[10].memory == 8192
    assert b.ready()


@scenario
async def test_stop_keeps_the_id_of_what_is_just_being_made(b):
    await b.running("first")
    b.api.apply(objects.instance())
    await asyncio.sleep(0.04)
    assert len(b.outside.wrote("create")) == 1
    assert await b.engine.stop(4.0)
    assert b.api.status(WEB)["external"] == {"vm": "11"}


@scenario
async def test_stop_does_not_wait_longer_than_its_patience(b):
    await b.running()

    async def hangs(_):
        await asyncio.Event().wait()

    b.outside.point = hangs
    b.api.edit(WEB, spec={"memory": "8Gi"})
    await asyncio.sleep(0.1)
    assert b.engine.oldest_in_flight > 0
    begun = now()
    assert not await b.engine.stop(4.0)
    assert now() - begun == pytest.approx(4.0, abs=0.1)


# --- events and metrics ----------------------------------------------------------------------------------------------


@scenario
async def test_events_are_posted_after_the_write_and_only_on_change(b):
    await b.running()
    assert [e[:3] for e in b.api.events if e[0] == "web"] == [
        ("web", "Normal", "Created"),
        ("web", "Normal", "Ready"),
    ]
    b.quiet()
    b.outside.fail("resize", Rejected("too much"), times=100)
    b.api.edit(WEB, spec={"memory": "8Gi"})
    await b.after(1000)
    assert [e[:3] for e in b.api.events] == [("web", "Warning", "Rejected")], "said once, not with every try"


@scenario
async def test_an_event_of_a_step_is_not_lost_with_the_status_write(b):
    await b.running("first")
    b.api.events.clear()
    b.api.apply(objects.instance())
    await asyncio.sleep(0.03)
    b.api.fail("status", Retry("apiserver restarts"), times=2)
    await b.after(20)
    assert ("web", "Normal", "Created") in [e[:3] for e in b.api.events]


def sample(b, name, **labels):
    return b.metrics.registry.get_sample_value(name, labels)


@scenario
async def test_metrics_tell_what_is_there_and_what_was_done(b):
    await b.running("web", "db", driftPolicy={"default": "Report"})
    b.outside.change(10, name="renamed")
    b.api.apply(objects.instance("new", spec={"placement": {"cloudRef": {"name": "nowhere"}}}))
    await b.after(70)
    told = {(c, s): sample(b, "sovereign_object_conditions", kind="HostedInstance", condition=c, status=s)
            for c in ("Ready", "Drifted", "Reconciling") for s in ("True", "False")}  # fmt: skip
    assert (told["Ready", "True"], told["Ready", "False"]) == (2, 1)
    assert (told["Drifted", "True"], told["Reconciling", "True"]) == (1, 1)
    assert sample(b, "sovereign_objects", kind="HostedInstance") == 3
    assert sample(b, "sovereign_object_conditions", kind="SovereignCloud", condition="Ready", status="True") == 1
    assert sample(b, "sovereign_drift_fields", kind="HostedInstance") == 1
    assert sample(b, "sovereign_steps_total", kind="HostedInstance", action="Create", result="done") == 2
    assert sample(b, "sovereign_queue_depth", lane="user") == 0
    done = sample(b, "sovereign_reconcile_duration_seconds_count", kind="HostedInstance", outcome="done")
    assert done >= 2
    assert sample(b, "sovereign_reconcile_duration_seconds_count", kind="HostedInstance", outcome="blocked") >= 1


# --- the API server --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("applied", [False, True])
def test_ids_survive_a_status_that_could_not_be_written(applied):
    @scenario
    async def story(b):
        await b.running("first")
        b.api.apply(objects.instance())
        await asyncio.sleep(0.03)
        b.api.fail("status", Retry("etcd leader changed"), done=applied, times=3)
        await b.after(20)
        assert b.api.status(WEB)["external"] == {"vm": "11"}
        assert b.ready()
        assert len(b.outside.wrote("create")) == 2

    story()


@scenario
async def test_a_finalizer_that_lost_a_race_is_tried_again(b):
    await b.running("first")
    b.api.apply(objects.instance())
    await asyncio.sleep(0.005)  # the engine does not know of this change yet
    b.api.edit(WEB, annotations={"team": "web"})
    b.api.lag = 0.2
    b.api.edit(WEB, annotations={"team": "db"})
    await b.after(20)
    assert b.ready()
    assert FINALIZER in b.api.finalizers(WEB)
    assert len(b.outside.wrote("create")) == 2


@scenario
async def test_finalizers_of_others_stay(b):
    await b.running("first")
    b.api.apply(objects.instance(finalizers=["somebody.example/else"]))
    await b.after(20)
    assert b.api.finalizers(WEB) == ["somebody.example/else", FINALIZER]
    b.api.delete(WEB)
    await b.after(20)
    assert b.api.finalizers(WEB) == ["somebody.example/else"]
    assert b.outside.marked("web") == []


@scenario
async def test_a_watch_that_lags_does_not_make_it_twice(b):
    b.api.lag = 3.0
    b.api.apply(objects.cloud(endpoint=None))
    b.api.apply(objects.instance())
    await b.start()
    await b.after(60)
    assert b.ready()
    assert len(b.outside.wrote("create")) == 1


@scenario
async def test_an_object_that_went_unseen_is_forgotten_by_the_audit(b):
    await b.running()
    b.api.apply(objects.instance("ghost", spec={"management": "Observe"}))
    await b.after(5)
    b.api.listeners.clear()
    b.api.delete(key("ghost"))
    await b.after(1)
    assert key("ghost") in set(b.engine.store.users(CLOUD))
    b.engine.told(
        "DELETED", {"kind": "HostedInstance", "metadata": {"namespace": NAMESPACE, "name": "ghost", "uid": "x"}}
    )
    assert b.engine.store.stored(key("ghost")) is not None, "of another uid"
    uid = b.engine.store.stored(key("ghost")).uid
    b.engine.told(
        "DELETED", {"kind": "HostedInstance", "metadata": {"namespace": NAMESPACE, "name": "ghost", "uid": uid}}
    )
    assert b.engine.store.stored(key("ghost")) is None
    assert key("ghost") not in set(b.engine.store.users(CLOUD))


@scenario
async def test_what_was_made_is_held_again_where_the_finalizer_was_taken_off(b):
    """By `sovereign release` before a reinstallation, by a replace from Git, by a restored backup."""
    await b.running()
    for one in (WEB, CLOUD):
        b.api.let_go(one)
    b.quiet()
    await b.restart()
    await b.after(70)
    assert b.api.finalizers(WEB) == [FINALIZER]
    assert b.api.finalizers(CLOUD) == [FINALIZER]
    assert b.outside.wrote() == []
    assert {w[0] for w in b.api.writes} == {"finalizers"}
    b.api.delete(WEB)
    await b.after(10)
    assert 10 not in b.outside.vms


@scenario
async def test_what_is_only_observed_or_would_stay_is_not_held(b):
    for name, spec in (("observed", {"management": "Observe"}), ("stays", {"deletionPolicy": "Retain"})):
        await b.running(name)
        b.api.edit(key(name), spec=spec)
        b.api.let_go(key(name))
        await b.after(70)
        assert b.api.finalizers(key(name)) == [], name


# --- Secrets ---------------------------------------------------------------------------------------------------------


def guarded(b, name):
    return FINALIZER in b.api.secrets[NAMESPACE, name]["finalizers"]


@scenario
async def test_a_secret_is_held_before_the_first_step_outside_and_let_go_by_its_last_user(b):
    b.api.create(NAMESPACE, "init", {"userData": "x"})
    await b.running("web", "db", cloudInit={"userDataSecretRef": {"name": "init"}})
    verbs = [(w[0], w[1]) for w in b.api.writes]
    made = next(n for n, w in enumerate(b.api.writes) if w[:2] == ("status", WEB) and "'vm'" in str(w[2:]))
    held = verbs.index(("secret", (NAMESPACE, "init")))
    assert min(verbs.index(("finalizers", k)) for k in (WEB, key("db"))) < held < made
    assert guarded(b, "init")
    assert guarded(b, "one"), "and that of the cloud, which wrote nothing outside itself"
    b.api.delete(WEB)
    await b.after(10)
    assert guarded(b, "init")
    b.api.delete(key("db"))
    await b.after(10)
    assert not guarded(b, "init")
    assert guarded(b, "one")
    b.api.delete(CLOUD)
    await b.after(10)
    assert b.api.objects == {}
    assert not guarded(b, "one")


@scenario
async def test_a_secret_is_let_go_also_by_a_process_that_did_not_take_hold_of_it(b):
    b.api.create(NAMESPACE, "init", {"userData": "x"})
    await b.running("web", cloudInit={"userDataSecretRef": {"name": "init"}})
    b.kill()
    b.api.delete(WEB)
    b.api.delete(CLOUD)
    await b.start()
    await b.after(70)
    assert b.api.objects == {}
    assert not guarded(b, "init")
    assert not guarded(b, "one")


@scenario
async def test_a_secret_that_spec_names_no_more_is_let_go(b):
    b.api.create(NAMESPACE, "init", {"userData": "x"})
    b.api.create(NAMESPACE, "other", {"userData": "x"})
    await b.running("web", cloudInit={"userDataSecretRef": {"name": "init"}})
    b.api.edit(WEB, spec={"cloudInit": {"userDataSecretRef": {"name": "other"}}, "memory": "8Gi"})
    await b.after(10)
    assert not guarded(b, "init")
    assert guarded(b, "other")


@scenario
async def test_a_deleted_secret_outlives_the_machines_that_need_it(b):
    await b.running()
    b.api.delete_a_secret(NAMESPACE, "one")
    await b.after(200)
    assert (NAMESPACE, "one") in b.api.secrets
    b.api.delete(WEB)
    b.api.delete(CLOUD)
    await b.after(20)
    assert b.api.objects == {}
    assert (NAMESPACE, "one") not in b.api.secrets


# --- memory ----------------------------------------------------------------------------------------------------------


@scenario
async def test_nothing_is_kept_of_what_went(b):
    names = [f"web-{i}" for i in range(30)]
    await b.running(*names)
    for name in names:
        b.api.delete(key(name))
    await b.after(30)
    b.api.delete(CLOUD)
    await b.after(400)
    engine = b.engine
    kept = {
        "store": engine.store,
        "users": engine.store._users,
        "parsed": engine.store._parsed,
        "tracks": engine._shared.tracks,
        "verdicts": engine._shared.verdicts,
        "clouds": engine.watches.clouds,
        "since": engine._since,
        "failures": engine.queue._failures,
        "due": engine.queue._due,
        "guarded": engine._reconciler._guards._held,
    }
    assert {name: len(part) for name, part in kept.items() if len(part)} == {}


@scenario
async def test_a_busy_cloud_does_not_send_a_thousand_machines_looking(b):
    await b.running(*[f"web-{i}" for i in range(20)])
    looks = b.machines.looks
    for number in range(10):
        b.api.edit(CLOUD, status={"hostsReady": f"{number}/10"})
        b.api.edit(CLOUD, status={"conditions": [objects.condition("Ready", "False", f"Host{number}")]})
        await asyncio.sleep(0.5)
    await b.after(1)
    assert b.machines.looks == looks


@scenario
async def test_a_lost_answer_of_a_create_alone_makes_it_once(b):
    await b.running("first")
    b.outside.fail("create", LOST_ANSWER, done=True)
    b.api.apply(objects.instance())
    await b.after(90)
    assert b.ready()
    assert len(b.outside.marked("web")) == 1
    assert len(b.outside.wrote("create")) == 2
