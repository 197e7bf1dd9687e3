import asyncio

import pytest
from tests.fakes.virtual_time import now, run

from sovereigncloud.engine.loop.queue import Backoff, Lane, Workqueue


def queue(jitter=0.999999):
    return Workqueue(backoff=Backoff(base=1.0, ceiling=8.0, jitter=lambda: jitter), clock=now)


def in_virtual_time(test):
    def wrapper():
        run(test())

    wrapper.__name__ = test.__name__
    return wrapper


async def taken(q):
    """What can be had at once."""
    got = []
    while True:
        try:
            async with asyncio.timeout(0.0001):
                got.append(await q.get())
        except TimeoutError:
            return got


@in_virtual_time
async def test_a_key_that_is_queued_is_queued_once():
    q = queue()
    for _ in range(3):
        q.add("a")
    q.add("b")
    assert len(q) == 2
    assert await taken(q) == ["a", "b"]


@in_virtual_time
async def test_one_worker_per_key():
    q = queue()
    q.add("a")
    assert await q.get() == "a"
    q.add("a")
    assert await taken(q) == [], "it runs"
    assert q.running == {"a"}
    q.done("a")
    assert await taken(q) == ["a"], "what came meanwhile is not lost"
    q.done("a")
    assert await taken(q) == []


@in_virtual_time
async def test_many_additions_while_it_runs_are_one():
    q = queue()
    q.add("a")
    await q.get()
    for lane in (Lane.RECHECK, Lane.USER, Lane.RECHECK):
        q.add("a", lane)
    q.add("b", Lane.RECHECK)
    q.done("a")
    assert await taken(q) == ["a", "b"], "once, in the best lane that was asked for"


@in_virtual_time
async def test_what_a_person_changed_goes_first():
    q = queue()
    for key in ("r1", "r2"):
        q.add(key, Lane.RECHECK)
    q.add("u")
    assert await taken(q) == ["u", "r1", "r2"]


@in_virtual_time
async def test_a_recheck_that_a_person_changed_moves_ahead_and_is_done_once():
    q = queue()
    for key in ("a", "b", "c"):
        q.add(key, Lane.RECHECK)
    q.add("c")
    assert len(q) == 3
    assert await taken(q) == ["c", "a", "b"]


@in_virtual_time
async def test_a_moved_key_leaves_nothing_behind_for_its_next_recheck():
    q = queue()
    q.add("a", Lane.RECHECK)
    q.add("a")
    await q.get()
    q.done("a")
    q.add("a", Lane.RECHECK)
    assert await taken(q) == ["a"]
    q.done("a")
    assert await taken(q) == []


@in_virtual_time
async def test_a_recheck_does_not_pull_a_users_key_back():
    q = queue()
    q.add("a")
    q.add("b", Lane.RECHECK)
    q.add("a", Lane.RECHECK)
    assert await taken(q) == ["a", "b"]


@in_virtual_time
async def test_after_a_time():
    q = queue()
    begun = now()
    q.add_after("a", 30)
    assert await taken(q) == []
    assert await q.get() == "a"
    assert now() - begun == pytest.approx(30, abs=0.01)


@in_virtual_time
async def test_the_earlier_time_stays():
    q = queue()
    begun = now()
    for delay in (10, 60, 5, 20):
        q.add_after("a", delay)
    assert await q.get() == "a"
    assert now() - begun == pytest.approx(5, abs=0.01)
    q.done("a")
    await asyncio.sleep(100)
    assert await taken(q) == [], "the later times were the same wish"


@in_virtual_time
async def test_no_time_is_now():
    q = queue()
    q.add_after("a", 0)
    q.add_after("b", -1)
    assert await taken(q) == ["a", "b"]


@in_virtual_time
async def test_a_later_time_does_not_hold_up_an_earlier_one():
    q = queue()
    waiter = asyncio.ensure_future(q.get())
    q.add_after("late", 100)
    await asyncio.sleep(1)
    begun = now()
    q.add_after("soon", 2)
    assert await waiter == "soon"
    assert now() - begun == pytest.approx(2, abs=0.01)


@in_virtual_time
async def test_a_time_that_comes_while_it_runs_is_not_lost():
    q = queue()
    q.add("a")
    await q.get()
    q.add_after("a", 1)
    await asyncio.sleep(5)
    assert await taken(q) == []
    q.done("a")
    assert await taken(q) == ["a"]


@pytest.mark.parametrize(("jitter", "part"), [(0.0, 0.5), (0.999999, 1.0), (0.5, 0.75)])
def test_backoff_doubles_to_a_ceiling_within_its_jitter(jitter, part):
    async def scenario():
        q = queue(jitter)
        return [q.add_rate_limited("a") for _ in range(6)]

    assert run(scenario()) == pytest.approx([part * d for d in (1, 2, 4, 8, 8, 8)], abs=0.001)


def test_no_jitter_leads_above_the_ceiling():
    backoff = Backoff(base=0.5, ceiling=60.0)
    delays = [backoff.delay(failures) for failures in range(2000)]
    assert max(delays) <= 60.0
    assert min(delays[:1]) >= 0.25
    assert len({round(d, 6) for d in delays[20:]}) > 1000, "thousands that failed together must not come back together"


@in_virtual_time
async def test_failures_are_forgotten_on_success():
    q = queue()
    for _ in range(3):
        q.add_rate_limited("a")
    assert q.failures("a") == 3
    q.forget("a")
    assert q.failures("a") == 0
    assert q.add_rate_limited("a") == pytest.approx(1.0, abs=0.001)


@in_virtual_time
async def test_retry_after_counts_and_zero_of_it_is_no_hot_loop():
    q = queue()
    assert q.add_rate_limited("a", at_least=30) == 30
    assert q.add_rate_limited("b", at_least=0) == pytest.approx(1.0, abs=0.001)


@in_virtual_time
async def test_stop_ends_every_worker_and_hands_out_nothing():
    q = queue()
    workers = [asyncio.ensure_future(q.get()) for _ in range(4)]
    await asyncio.sleep(0)
    q.stop()
    assert await asyncio.gather(*workers) == [None] * 4
    q.add("a")
    assert await q.get() is None
    assert q.stopped


@in_virtual_time
async def test_each_of_many_workers_gets_its_own_key():
    q = queue()
    workers = [asyncio.ensure_future(q.get()) for _ in range(3)]
    await asyncio.sleep(0)
    for key in "abc":
        q.add(key)
    assert sorted(await asyncio.gather(*workers)) == ["a", "b", "c"]


@in_virtual_time
async def test_nothing_is_kept_of_a_key_that_was_done():
    q = queue()
    for number in range(100):
        q.add(number, Lane.RECHECK)
        q.add(number)
        q.add_after(number, 5)
        q.add_rate_limited(number)
    for _ in range(3):
        await asyncio.sleep(10)
        for key in await taken(q):
            q.forget(key)
            q.done(key)
    assert [len(part) for part in (q._queued, q._running, q._again, q._later, q._due, q._failures)] == [0] * 6
    assert [len(lane) for lane in q._lanes] == [0, 0]
