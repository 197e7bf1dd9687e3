"""Token bucket and circuit breaker, on a clock of their own."""

import asyncio

import pytest

from sovereigncloud.providers.limits import CircuitBreaker, TokenBucket


class Clock:
    def __init__(self):
        self.now = 1000.0
        self.slept = []

    def __call__(self):
        return self.now

    async def sleep(self, seconds):
        self.slept.append(seconds)


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(asyncio, "sleep", clock.sleep)
    return clock


async def test_a_burst_passes_and_then_callers_queue_in_order(clock):
    bucket = TokenBucket(rate=2.0, burst=3, clock=clock)
    for _ in range(6):
        await bucket.acquire()
    assert clock.slept == [0.5, 1.0, 1.5], "the burst at once, then one each half second"
    assert bucket.left == -3


async def test_the_bucket_fills_again_up_to_its_burst(clock):
    bucket = TokenBucket(rate=2.0, burst=3, clock=clock)
    for _ in range(3):
        await bucket.acquire()
    clock.now += 1.0
    assert bucket.left == 2
    clock.now += 60.0
    assert bucket.left == 3
    await bucket.acquire()
    assert clock.slept == []


async def test_nobody_passes_before_the_api_said_so(clock):
    bucket = TokenBucket(rate=100.0, burst=100, clock=clock)
    bucket.close(30.0)
    bucket.close(5.0)
    await bucket.acquire()
    clock.now += 31.0
    await bucket.acquire()
    assert clock.slept == [30.0], "the later moment counts, and then it is over"


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
