"""A process that dies at any moment, an answer that is lost, a write that takes effect late: made once, and never lost."""

import asyncio
import contextlib

import pytest
from tests.fakes import objects
from tests.fakes.engine_bench import WEB, Bench, scenario
from tests.fakes.objects import CLOUD, NAMESPACE, READY, key
from tests.fakes.outside import LOST_ANSWER
from tests.fakes.virtual_time import now, run

from sovereigncloud.ports.errors import Retry


class Crash:
    """Holds the process at its n-th step for ever, as a kill does."""

    def __init__(self, bench, step):
        self.step, self.passed, self.where, self.here = step, [], None, asyncio.Event()
        bench.api.point = bench.outside.point = self

    async def __call__(self, where):
        self.passed.append(where)
        if len(self.passed) - 1 == self.step:
            self.where = where
            self.here.set()
            await asyncio.Event().wait()


def prepared(bench):
    """A cloud that answered before, and a machine that nobody has looked at yet."""
    bench.api.apply(objects.cloud(status={"version": "7.0", **READY}))
    bench.api.apply(objects.instance(spec={"memory": "8Gi"}))


def faults(bench, fault):
    if fault == "lost":
        bench.outside.fail("create", LOST_ANSWER, done=True)
    elif fault == "late":
        bench.outside.fail("create", LOST_ANSWER, done=True, late=30.0)
    elif fault == "status":
        bench.api.fail("status", Retry("etcd leader changed"), done=True)


async def crashed_at(step, fault):
    """Crash at that step, start again, and let it come to rest. Where it crashed; None: it had no such step."""
    bench = Bench()
    prepared(bench)
    faults(bench, fault)
    crash = Crash(bench, step)
    await bench.start()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(130):
            await crash.here.wait()
    bench.kill()
    bench.api.point = bench.outside.point = None
    await bench.start()
    await bench.after(200)
    return bench, crash.where


FAULTS = ["none", "lost", "late", "status"]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_crash_at_any_step_makes_it_exactly_once(fault):
    crashed = []
    for step in range(200):
        bench, where = run(crashed_at(step, fault))
        machines = bench.outside.marked("web")
        story = f"fault {fault}, crash at step {step} ({where})"
        assert len(machines) == 1, story
        assert bench.ready(), f"{story}: {bench.reason()} {bench.message()}"
        assert bench.api.status(WEB)["external"] == {"vm": str(machines[0].id)}, story
        assert machines[0].memory == 8192, story
        if where is None:
            break
        crashed.append(where)
    wanted = {
        "before finalizers",
        "after finalizers",
        "before create",
        "before status",
        "after status",
        "before secret",
    }
    assert wanted <= set(crashed), "every kind of step was met"
    assert len(crashed) >= 15


@pytest.mark.parametrize("fault", ["none", "lost"])
def test_a_crash_at_any_step_of_a_deletion_leaves_nothing(fault):
    async def story(step):
        bench = Bench()
        await bench.running()
        if fault == "lost":
            bench.outside.fail("terminate", LOST_ANSWER, done=True)
        crash = Crash(bench, step)
        bench.api.delete(WEB)
        bench.api.delete(CLOUD)
        await bench.after(30)
        bench.kill()
        bench.api.point = bench.outside.point = None
        await bench.start()
        await bench.after(200)
        assert bench.outside.vms == {}, crash.where
        assert bench.api.objects == {}, crash.where
        assert bench.api.secrets[NAMESPACE, "one"]["finalizers"] == [], crash.where
        return crash.where

    for step in range(200):
        if run(story(step)) is None:
            break
    assert step > 8


@scenario
async def test_a_lost_answer_is_not_answered_by_a_second_create_before_the_grace_has_passed(b):
    await b.running("first")
    b.outside.fail("create", LOST_ANSWER, done=False)
    b.api.apply(objects.instance())
    await b.after(5)
    lost = now()
    assert len(b.outside.wrote("create")) == 2
    await b.after(54)
    assert len(b.outside.wrote("create")) == 2, "it may still take effect"
    await b.after(30)
    assert b.ready()
    creates = b.outside.wrote("create")
    assert len(creates) == 3
    assert now() - lost > 60


@scenario
async def test_a_write_that_takes_effect_late_is_found(b):
    await b.running("first")
    b.outside.fail("create", LOST_ANSWER, done=True, late=50.0)
    b.api.apply(objects.instance())
    await b.after(120)
    assert b.ready()
    assert len(b.outside.marked("web")) == 1
    assert len(b.outside.wrote("create")) == 2


@scenario
async def test_what_surely_never_arrived_is_tried_again_soon(b):
    await b.running("first")
    b.outside.fail("create", Retry("connection refused", maybe_done=False))
    b.api.apply(objects.instance())
    await b.after(15)
    assert b.ready()


@scenario
async def test_a_bug_while_creating_counts_as_a_lost_answer(b):
    await b.running("first")
    make = b.outside.create

    def made_and_then(*what):
        make(*what)
        b.outside.create = make
        raise KeyError("VM_ID")

    b.outside.create = made_and_then
    b.api.apply(objects.instance())
    await b.after(120)
    assert b.ready()
    assert len(b.outside.marked("web")) == 1


@scenario
async def test_a_finalizer_without_an_id_waits_out_the_grace_after_a_start(b):
    prepared(b)
    b.api.objects[WEB]["metadata"]["finalizers"] = ["sovereigncloud.io/finalizer"]
    await b.start()
    await b.after(59)
    assert b.outside.wrote("create") == []
    assert b.reason() == "Reconciling/Observing"
    await b.after(20)
    assert b.ready()
    assert len(b.outside.wrote("create")) == 1


@scenario
async def test_what_is_found_by_its_mark_after_a_start_is_taken_at_once(b):
    prepared(b)
    b.api.objects[WEB]["metadata"]["finalizers"] = ["sovereigncloud.io/finalizer"]
    mark = b.make()._shared
    from sovereigncloud.engine.loop.context import ObjectContext  # noqa: PLC0415

    mark.store.put(b.api.objects[WEB])
    resource = mark.store.get(WEB)
    b.outside.add("web", ObjectContext(mark, resource).mark(resource), memory=8192)
    await b.start()
    await b.after(5)
    assert b.ready()
    assert b.outside.wrote() == []


@scenario
async def test_one_whose_successor_may_be_on_its_way_waits_out_the_grace_too(b):
    """Its status holds the id of the machine that was terminated: that says nothing of the one that is to replace it."""
    await b.running("web", "db", "x", updatePolicy={"replace": "Allow"})
    lost = int(b.api.status(WEB)["external"]["vm"])
    b.outside.lose(lost)
    b.outside.fail("create", LOST_ANSWER, done=True, late=25.0)
    await b.after(61)
    while not b.outside.wrote("create")[3:]:
        await b.after(0.2)
    await b.restart()
    await b.after(150)
    assert len(b.outside.marked("web")) == 1
    assert b.ready()


@scenario
async def test_a_process_that_waited_for_the_lease_counts_from_when_it_took_over(b):
    """The standby was started hours ago, the first one was killed a moment ago, and what it asked for is still to come."""
    prepared(b)
    standby = b.make()
    await b.after(7200)
    await b.start()
    b.outside.fail("create", LOST_ANSWER, done=True, late=40.0)
    while not b.outside.wrote("create"):
        await b.after(0.1)
    b.kill()
    b.engine = standby
    for body in b.api.listed():
        standby.told(None, body)
    b.api.listeners = [standby.told]
    standby.start()
    await b.after(200)
    assert len(b.outside.marked("web")) == 1
    assert b.ready()


@scenario
async def test_made_anew_under_the_same_name_it_is_another_object(b):
    await b.running()
    first = b.api.objects[WEB]["metadata"]["uid"]
    b.api.delete(WEB)
    await b.after(20)
    b.api.apply(objects.instance())
    await b.after(20)
    assert b.ready()
    assert b.api.objects[WEB]["metadata"]["uid"] != first
    assert [vm.mark.uid for vm in b.outside.marked("web")] == [b.api.objects[WEB]["metadata"]["uid"]]


@scenario
async def test_many_made_at_once_with_many_a_lost_answer(b):
    await b.running("first")
    b.outside.fail("create", LOST_ANSWER, done=True, times=5)
    b.outside.fail("create", LOST_ANSWER, done=True, late=20, times=5)
    b.outside.fail("create", LOST_ANSWER, done=False, times=5)
    for number in range(40):
        b.api.apply(objects.instance(f"web-{number:02}"))
    await b.after(200)
    for number in range(40):
        assert len(b.outside.marked(f"web-{number:02}")) == 1
        assert b.ready(key(f"web-{number:02}"))
