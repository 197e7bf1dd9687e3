"""Token bucket and circuit breaker, in virtual time."""

import asyncio

import pytest
from tests.fakes.virtual_time import now, run

from sovereigncloud.kinds.planning.urgency import Urgency, at
from sovereigncloud.providers.rate_limits import FAIRNESS, CircuitBreaker, HeldOffError, TokenBucket


def bucket(**given):
    return TokenBucket(**{"rate": 2.0, "burst": 3, "clock": now, **given})


async def called(bucket, name="", seen=None, urgency=Urgency.RECHECK, lasts=0.0):
    """One call; when it went."""
    with at(urgency):
        async with bucket.turn():
            if seen is not None:
                seen.append(name)
            went = now() - 1000.0
            await asyncio.sleep(lasts)
            return went


async def together(*calls):
    """Began in this order, all in the same moment."""
    return await asyncio.gather(*(asyncio.create_task(call) for call in calls))


def test_a_burst_passes_and_then_callers_queue_in_order():
    async def story():
        one = bucket()
        calls = together(*(called(one) for _ in range(6)))
        waiting = asyncio.create_task(calls)
        await asyncio.sleep(0.1)
        assert one.left < -2, "three of them wait"
        assert [round(at, 6) for at in await waiting] == [0.0, 0.0, 0.0, 0.5, 1.0, 1.5], (
            "the burst at once, then one each half second"
        )

    run(story())


def test_the_bucket_fills_again_up_to_its_burst():
    async def story():
        one = bucket()
        await together(*(called(one) for _ in range(3)))
        await asyncio.sleep(1.0)
        assert one.left == 2
        await asyncio.sleep(60.0)
        assert one.left == 3

    run(story())


def test_never_more_than_sixty_in_any_minute_with_what_ships():
    from sovereigncloud.providers.ovh import Limits  # noqa: PLC0415 - what ships is said there

    async def story():
        shipped = Limits()
        one = bucket(rate=shipped.rate, burst=shipped.burst)
        await asyncio.sleep(3600.0)
        went = await together(*(called(one) for _ in range(300)))
        assert max(sum(1 for other in went if at <= other < at + 60.0) for at in went) <= 60

    run(story())


def test_a_persons_call_goes_before_those_of_a_sweep_that_came_first():
    async def story():
        one, seen = bucket(burst=1), []
        sweep = [called(one, f"sweep {number}", seen) for number in range(3)]
        await together(*sweep, called(one, "person", seen, Urgency.USER))
        assert seen == ["sweep 0", "person", "sweep 1", "sweep 2"], (
            "the first had its turn before anybody else was there"
        )

    run(story())


def test_who_is_less_urgent_is_served_all_the_same():
    async def story():
        one, seen = bucket(burst=1), []
        people = [called(one, "person", seen, Urgency.USER) for _ in range(4 * FAIRNESS)]
        await together(*people, called(one, "sweep", seen), called(one, "sweep", seen))
        assert [number for number, who in enumerate(seen) if who == "sweep"] == [FAIRNESS, 2 * FAIRNESS]

    run(story())


def test_a_sweep_that_waits_for_a_place_does_not_stand_in_the_way_either():
    async def story():
        one, seen = bucket(rate=100.0, burst=100, places=1), []
        slow = called(one, "slow", seen, lasts=5.0)
        await together(slow, called(one, "sweep", seen), called(one, "person", seen, Urgency.USER))
        assert seen == ["slow", "person", "sweep"]
        assert one.left > 90

    run(story())


@pytest.mark.parametrize(
    "lasts", [0.0, 5.0], ids=["while it waits for its turn", "in the moment that it is let through"]
)
def test_a_call_that_is_given_up_gives_its_place_back(lasts):
    async def story():
        one, seen = bucket(rate=100.0, burst=100, places=1), []
        first = asyncio.create_task(called(one, "first", seen, lasts=5.0))
        second = asyncio.create_task(called(one, "second", seen))
        await asyncio.sleep(lasts)
        second.cancel()
        await asyncio.gather(first, second, return_exceptions=True)
        async with asyncio.timeout(1.0):
            await called(one, "third", seen)
        assert seen[-1] == "third"

    run(story())


def test_nobody_passes_before_the_api_said_so():
    async def story():
        one = bucket(rate=100.0, burst=100)
        one.close(4.0)
        one.close(2.0)
        assert await called(one) == 4.0, "the later moment counts"
        assert await called(one) == 4.0, "and then it is over"

    run(story())


def test_who_would_have_to_wait_for_long_is_told_so_at_once_also_who_stands_in_line_already():
    async def story():
        one = bucket(burst=1)
        await called(one)
        waits = asyncio.create_task(called(one))
        await asyncio.sleep(0.1)
        one.close(30.0)
        with pytest.raises(HeldOffError):
            await waits
        with pytest.raises(HeldOffError) as told:
            await called(one)
        assert (told.value.seconds, now()) == (pytest.approx(30.0), 1000.1)
        await asyncio.sleep(30.0)
        assert await called(one) == pytest.approx(30.1)

    run(story())


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


STORIES = [
    ("closed as long as it works", "ok ok", [0.0, 0.0, 0.0]),
    ("two failures are bad luck", "bad bad", [0.0, 0.0, 0.0]),
    ("three in a row open it", "bad bad bad", [0.0, 0.0, 0.0, 5.0]),
    ("a success between counts anew", "bad bad ok bad bad", [0.0] * 6),
]


@pytest.mark.parametrize(("why", "story", "waits"), STORIES, ids=[row[0] for row in STORIES])
def test_when_the_breaker_opens(why, story, waits):
    breaker = CircuitBreaker(failures=3, clock=Clock())
    seen = [breaker.wait()]
    for event in story.split():
        breaker.succeeded() if event == "ok" else breaker.failed()
        seen.append(breaker.wait())
    assert seen == waits, why


def test_one_tries_when_the_time_is_over():
    clock = Clock()
    breaker = CircuitBreaker(failures=1, cooldown=5.0, longest=12.0, clock=clock)
    breaker.failed()
    waits = []
    for _ in range(3):
        clock.now += 60.0
        assert breaker.wait() == 0.0, "the one that tries"
        assert breaker.wait() > 0.0, "the others wait for it"
        breaker.failed()
        waits.append(breaker.wait())
    assert waits == [10.0, 12.0, 12.0], "each failure doubles the pause, up to the longest"
    clock.now += 60.0
    breaker.wait()
    breaker.succeeded()
    assert breaker.wait() == 0.0
    breaker.failed()
    assert breaker.wait() == 5.0
