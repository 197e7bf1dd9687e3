"""Losses: one is followed up, many at once are held until a person says that reality is really so."""

import asyncio
from unittest.mock import AsyncMock

import pytest
from tests.fakes.engine_bench import WEB, scenario
from tests.fakes.objects import CLOUD, NAMESPACE, key

from sovereigncloud.core.identity import Mark
from sovereigncloud.engine.loop.sweep import Sweeper
from sovereigncloud.ports.errors import Retry

REPLACE = {"updatePolicy": {"replace": "Allow"}}


def names(count):
    return [f"web-{i:02}" for i in range(count)]


def ids(b):
    return sorted(b.outside.vms)


@scenario
async def test_one_that_was_terminated_is_reported(b):
    await b.running(*names(5))
    b.quiet()
    b.outside.lose(12)
    await b.after(130)
    lost = next(key(n) for n in names(5) if b.api.status(key(n))["external"] == {"vm": "12"})
    assert b.reason(lost) == "Stalled/ExternallyDeleted"
    assert not b.ready(lost)
    assert b.reason(CLOUD) == "Ready/AsDeclared"
    written = len(b.api.patches())
    await b.after(600)
    assert len(b.api.patches()) == written, "it does not flap"
    assert b.outside.wrote() == []
    b.api.edit(lost, spec={"updatePolicy": {"replace": "Allow"}})
    await b.after(90)
    assert b.ready(lost)
    assert len(b.outside.vms) == 5


@scenario
async def test_one_that_was_terminated_is_made_anew_where_that_is_allowed(b):
    await b.running(*names(5), **REPLACE)
    b.outside.lose(12)
    await b.after(130)
    assert len(b.outside.vms) == 5
    assert all(b.ready(key(n)) for n in names(5))
    assert len(b.outside.wrote("create")) == 6
    assert sum(c[0] == "vm" for c in b.outside.calls) <= 3, "asked about by id, not over and over"


@scenario
async def test_fifty_at_once_are_held_and_the_cloud_says_what_would_be_done(b):
    await b.running(*names(50), **REPLACE)
    b.quiet()
    b.outside.lose(*ids(b))  # the whole pool answers empty
    await b.after(600)
    assert b.outside.wrote() == []
    assert [c for c in b.outside.calls if c[0] == "vm"] == [], "nor are fifty questions asked"
    assert b.reason(CLOUD) == "Stalled/TooManyChanges"
    assert "50 changes" in b.message(CLOUD)
    assert "spec.approvedPlan: " in b.message(CLOUD)
    assert all(b.ready(key(n)) for n in names(50)), "objects that are held keep their last status"
    assert len(b.api.patches()) == 1, "said once, on the cloud"
    views = b.outside.views
    await b.after(600)
    assert b.outside.views - views <= 11, "and nothing is polled meanwhile"
    assert len(b.api.patches()) == 1


@scenario
async def test_a_view_that_was_wrong_heals_by_itself(b):
    await b.running(*names(20), **REPLACE)
    vms = dict(b.outside.vms)
    b.outside.vms.clear()
    await b.after(130)
    assert b.reason(CLOUD) == "Stalled/TooManyChanges"
    b.outside.vms.update(vms)
    await b.after(70)
    assert b.reason(CLOUD) == "Ready/AsDeclared"
    assert len(b.outside.wrote("create")) == 20


async def approve(b):
    digest = b.message(CLOUD).rpartition("spec.approvedPlan: ")[2].split(";")[0].strip()
    b.api.edit(CLOUD, spec={"approvedPlan": digest})
    return digest


@scenario
async def test_an_approval_lets_exactly_this_go_on_to_its_end(b):
    await b.running(*names(50), **REPLACE)
    b.outside.lose(*ids(b)[:30])
    await b.after(130)
    digest = await approve(b)
    await b.after(120)
    assert len(b.outside.vms) == 50
    assert all(b.ready(key(n)) for n in names(50))
    assert len(b.outside.wrote("create")) == 80
    assert b.reason(CLOUD) == "Ready/AsDeclared"
    assert b.api.status(CLOUD)["lastApprovedPlan"] == digest


@scenario
async def test_an_approved_loss_goes_on_although_many_a_call_fails(b):
    await b.running(*names(30), **REPLACE)
    b.outside.lose(*ids(b))
    await b.after(130)
    b.outside.fail("vm", Retry("HTTP 502", maybe_done=False), times=20)
    b.outside.fail("create", Retry("HTTP 429", maybe_done=False), times=20)
    await approve(b)
    await b.after(300)
    assert len(b.outside.vms) == 30
    assert all(b.ready(key(n)) for n in names(30))


@scenario
async def test_an_approval_counts_once(b):
    await b.running(*names(30), **REPLACE)
    for lost in (1, 2):
        b.outside.lose(*ids(b))
        await b.after(130)
        assert b.reason(CLOUD) == "Stalled/TooManyChanges", f"loss {lost}"
        assert b.outside.vms == {}
        await approve(b)
        await b.after(120)
        assert len(b.outside.vms) == 30


@scenario
async def test_another_hash_lets_nothing_go_on(b):
    await b.running(*names(20), **REPLACE)
    b.outside.lose(*ids(b))
    await b.after(130)
    b.api.edit(CLOUD, spec={"approvedPlan": "0123456789abcdef"})
    await b.after(200)
    assert b.outside.vms == {}


@scenario
async def test_what_was_reported_only_counts_as_well(b):
    """So many that a sweep lets others have their turn before it is through."""
    await b.running(*names(60))
    b.outside.lose(*ids(b))
    await b.after(130)
    assert b.reason(CLOUD) == "Stalled/TooManyChanges"
    await approve(b)
    await b.after(130)
    assert {b.reason(key(n)) for n in names(60)} == {"Stalled/ExternallyDeleted"}
    assert b.outside.vms == {}
    b.quiet()
    await b.after(300)
    assert b.api.writes == [], "what was reported is not reported again"
    await b.restart()
    await b.after(200)
    assert b.api.writes == [], "nor asked about again by the next process"
    assert b.reason(CLOUD) == "Ready/AsDeclared"


@scenario
async def test_what_was_reported_is_looked_at_again_also_where_no_sweep_comes(b):
    await b.running(*names(5))
    vm = b.outside.vms[12]
    b.outside.lose(12)
    await b.after(130)
    lost = next(key(n) for n in names(5) if b.api.status(key(n))["external"] == {"vm": "12"})
    assert b.reason(lost) == "Stalled/ExternallyDeleted"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Sweeper, "cloud", AsyncMock())
        await b.restart()
        await b.after(30)
        b.outside.vms[12] = vm  # it was a backup of OpenNebula's database that was put back
        await b.after(100)
        assert b.ready(lost)


@scenario
async def test_disruption_that_was_observed_counts(b):
    await b.running(*names(20))
    b.quiet()
    for vm_id in ids(b):
        b.outside.change(vm_id, memory=1024)
    await b.after(200)
    assert b.outside.wrote("resize") == []
    assert b.reason(CLOUD) == "Stalled/TooManyChanges"


@scenario
async def test_harmless_corrections_are_not_held(b):
    await b.running(*names(20))
    for vm_id in ids(b):
        b.outside.change(vm_id, name="renamed")
    await b.after(100)
    assert not any(vm.name == "renamed" for vm in b.outside.vms.values())


@scenario
async def test_a_person_who_changes_all_of_them_is_not_held(b):
    await b.running(*names(20))
    for name in names(20):
        b.api.edit(key(name), spec={"memory": "8Gi"})
    await b.after(30)
    assert {vm.memory for vm in b.outside.vms.values()} == {8192}


@scenario
async def test_a_person_who_deletes_all_of_them_is_not_held(b):
    await b.running(*names(20))
    for name in names(20):
        b.api.delete(key(name))
    await b.after(60)
    assert b.outside.vms == {}


@scenario
async def test_who_looks_for_another_reason_is_held_too(b):
    """A restart, a label, an impatient person: no reconcile of one may get past the brakes of all."""
    await b.running(*names(30), **REPLACE)
    b.outside.lose(*ids(b))
    await b.restart()
    for name in names(30):
        b.api.edit(key(name), annotations={"sovereigncloud.io/reconcile-requested-at": "now"})
    await b.after(200)
    assert b.outside.vms == {}
    assert b.reason(CLOUD) == "Stalled/TooManyChanges"


@scenario(brake_objects=100, brake_fraction=1.0)
async def test_the_limits_are_settable(b):
    await b.running(*names(20), **REPLACE)
    b.outside.lose(*ids(b))
    await b.after(150)
    assert len(b.outside.vms) == 20


@scenario
async def test_approved_one_by_one_they_need_no_second_word(b):
    await b.running(*names(10))
    for name in names(10):
        b.api.edit(key(name), spec={"management": "Approve"})
    for vm_id in ids(b):
        b.outside.change(vm_id, memory=1024)
    await b.after(70)
    for name in names(10)[:2]:
        assert b.reason(key(name)) == "Reconciling/ApprovalRequired"
        b.api.edit(key(name), spec={"approvedPlan": b.api.status(key(name))["plan"]["hash"]})
    await b.after(20)
    assert sum(vm.memory == 4096 for vm in b.outside.vms.values()) == 2


# --- whose it is -----------------------------------------------------------------------------------------------------


@scenario
async def test_a_rebuilt_cluster_takes_over_and_makes_nothing(b):
    await b.running(*names(20))
    before = dict(b.outside.vms)
    manifests = [{**o, "status": {}} for o in b.api.listed()]
    b.kill()
    b.api.objects.clear()
    b.quiet()
    for manifest in manifests:
        manifest["metadata"] = {k: v for k, v in manifest["metadata"].items() if k in {"name", "namespace", "uid"}}
        manifest["metadata"]["uid"] += "-rebuilt"
        b.api.apply(manifest)
    await b.start()
    await b.after(120)
    assert all(b.ready(key(n)) for n in names(20))
    assert {c[0] for c in b.outside.wrote()} == {"mark"}
    assert len(b.outside.wrote("mark")) == 20, "each is marked anew, once"
    assert b.outside.vms.keys() == before.keys()
    assert all(vm.mark.uid.rpartition("-")[0].endswith("rebuilt") for vm in b.outside.vms.values())


@scenario
async def test_what_differs_at_a_take_over_is_drift_and_goes_through_the_brakes(b):
    await b.running(*names(20))
    manifests = [{**o, "status": {}} for o in b.api.listed()]
    b.kill()
    b.api.objects.clear()
    for vm_id in ids(b):
        b.outside.change(vm_id, memory=1024)
    b.quiet()
    for manifest in manifests:
        manifest["metadata"] = {k: v for k, v in manifest["metadata"].items() if k in {"name", "namespace", "uid"}}
        manifest["metadata"]["uid"] += "-rebuilt"
        b.api.apply(manifest)
    await b.start()
    await b.after(200)
    assert b.outside.wrote("resize") == []
    assert b.reason(CLOUD) == "Stalled/TooManyChanges"
    drift = b.api.status(key("web-00"))["drift"]
    assert [(d["path"], d["observed"]) for d in drift] == [("spec.memory", "1024Mi")]


@scenario
async def test_several_that_carry_the_mark_need_a_person(b):
    await b.running()
    mark = b.outside.vms[10].mark
    b.outside.lose(10)
    one, other = b.outside.add("web", mark), b.outside.add("web", mark)
    b.quiet()
    await b.after(130)
    assert b.reason() == "Stalled/MultipleMatches"
    assert f"{one}, {other}" in b.message()
    assert b.outside.wrote() == []
    b.outside.lose(other)
    await b.after(130)
    assert b.ready()
    assert b.api.status(WEB)["external"] == {"vm": str(one)}


@pytest.mark.parametrize(
    ("why", "mark", "owner"),
    [
        ("another installation's", Mark("other", f"HostedInstance/{NAMESPACE}/web", "x"), 0),
        ("another object's", Mark("installation", f"HostedInstance/{NAMESPACE}/db", "x"), 0),
        (
            "a tenant wrote our mark on a machine of his own",
            Mark("installation", f"HostedInstance/{NAMESPACE}/web", "x"),
            7,
        ),
        ("unmarked, of the same name", None, 0),
    ],
)
def test_what_is_not_ours_is_not_taken(why, mark, owner):
    @scenario
    async def story(b):
        await b.running("first")
        stranger = b.outside.add("web", mark, owner=owner)
        from tests.fakes import objects  # noqa: PLC0415

        b.api.apply(objects.instance())
        await b.after(20)
        assert b.ready(), why
        assert b.api.status(WEB)["external"]["vm"] != str(stranger), why
        assert b.outside.vms[stranger].mark == mark, why

    story()


@scenario
async def test_a_slow_sweep_does_not_undo_an_admission(b):
    """Sweeps come by while an admitted machine is being looked into; in none of them may it fall out of the count."""
    await b.running(*names(5), **REPLACE)
    call = b.outside.call

    async def slow(verb, argument, effect):
        if verb in {"vm", "create"}:
            await asyncio.sleep(20)
        return await call(verb, argument, effect)

    b.outside.call = slow
    b.outside.lose(12)
    await b.after(240)
    assert len(b.outside.vms) == 5
    assert len(b.outside.wrote("create")) == 6
