"""Whose requests go first: what a person changed is urgent until it came to something, and nobody else's is."""

import asyncio

from tests.fakes.engine_bench import WEB, scenario
from tests.fakes.objects import key

from sovereigncloud.kinds.planning import urgency
from sovereigncloud.kinds.planning.urgency import Urgency
from sovereigncloud.ports.errors import Retry


def listen(b):
    """The urgency of each call that reaches the cloud from now on."""
    heard, call = [], b.outside.call

    async def listening(verb, argument, effect):
        heard.append((verb, urgency.current()))
        return await call(verb, argument, effect)

    b.outside.call = listening
    return heard


@scenario
async def test_what_a_person_changed_is_urgent_through_all_the_looks_that_it_takes(b):
    await b.running()
    heard = listen(b)
    b.api.edit(WEB, spec={"name": "www"})
    await b.after(1)
    assert {verb for verb, _ in heard} >= {"view", "rename"}
    assert {how for _, how in heard} == {Urgency.USER}


@scenario
async def test_a_sweep_and_what_it_found_are_not(b):
    await b.running()
    heard = listen(b)
    b.outside.change(10, name="renamed by somebody")
    await b.after(100)
    assert {verb for verb, _ in heard} >= {"view", "rename"}
    assert {how for _, how in heard} == {Urgency.RECHECK}


@scenario
async def test_it_is_over_when_it_came_to_something(b):
    await b.running()
    b.api.edit(WEB, spec={"name": "www"})
    await b.after(30)
    heard = listen(b)
    await b.after(200)
    assert {how for _, how in heard} == {Urgency.RECHECK}
    assert b.engine._asked == set()


@scenario
async def test_what_is_gone_is_not_kept(b):
    await b.running()
    b.outside.fail("rename", Retry("down"), times=1000)
    b.api.edit(WEB, spec={"name": "www"})
    await b.after(5)
    assert b.engine._asked == {WEB}
    b.api.delete(WEB)
    await b.after(60)
    assert b.engine._asked == set()


@scenario(workers=8)
async def test_a_person_finds_a_worker_while_what_the_sweep_found_waits_for_its_turn(b):
    names = [f"web-{number}" for number in range(10)]
    await b.running(*names)
    call = b.outside.call

    async def slow(verb, argument, effect):
        if verb == "rename" and urgency.current() is Urgency.RECHECK:
            await asyncio.sleep(300)
        return await call(verb, argument, effect)

    b.outside.call = slow
    for vm in list(b.outside.vms.values()):
        if vm.name != "web-0":
            b.outside.change(vm.id, name="renamed by somebody")
    await b.after(70)
    assert len(b.engine.queue.running) == 6, "as many as are not kept for people"
    b.api.edit(key("web-0"), spec={"name": "www"})
    await b.after(2)
    assert [vm.name for vm in b.outside.vms.values()].count("www") == 1
