import asyncio
from dataclasses import dataclass

import pytest
from tests.fakes.virtual_time import now, run

from sovereigncloud.engine.views.cloud_watch import BeingReadError, ViewWatch
from sovereigncloud.ports.errors import Auth, MissingSecret, NotYet, Retry

NEVER = float("-inf")


@dataclass(frozen=True)
class View:
    began: float
    number: int


class Reads:
    """Answers reads, or fails them, after so many seconds."""

    def __init__(self, takes=1.0):
        self.takes, self.began, self.error, self.bug = takes, [], None, None
        self.swept, self.queued, self.failed, self.needs_all = [], [], 0, False

    async def __call__(self, began):
        self.began.append(began)
        await asyncio.sleep(self.takes)
        if self.error or self.bug:
            raise self.error or self.bug
        return View(began, len(self.began))

    async def sweep(self, view, keys):
        self.swept.append(view.number if keys is None else (view.number, *sorted(keys)))
        return self.needs_all

    def fail(self):
        self.failed += 1

    def watch(self, interval=60.0, settle=2.0, **more):
        return ViewWatch(
            "cloud",
            read=self,
            swept=self.sweep,
            enqueue=self.queued.append,
            failed=self.fail,
            interval=interval,
            settle=settle,
            clock=now,
            **more,
        )


def scenario(test):
    def wrapper():
        run(test(Reads()))

    wrapper.__name__ = test.__name__
    return wrapper


def has_none(watch, key="web", newer_than=NEVER):
    with pytest.raises(NotYet) as caught:
        watch.get(key, newer_than)
    return caught.value


@scenario
async def test_at_rest_it_reads_once_per_interval(reads):
    reads.watch().start()
    await asyncio.sleep(300)
    assert len(reads.began) == 5
    assert [round(b - a) for a, b in zip(reads.began, reads.began[1:], strict=False)] == [61] * 4
    assert reads.swept == [1, 2, 3, 4, 5]


@scenario
async def test_a_view_that_costs_much_is_read_more_seldom_at_rest_and_at_once_for_who_waits(reads):
    watch = reads.watch(rest=lambda view: 300.0 if view.number == 1 else 0.0)
    watch.start()
    await asyncio.sleep(250)
    assert reads.swept == [1]
    has_none(watch, newer_than=now())
    await asyncio.sleep(30)
    assert reads.swept == [1, 2], "read for the one, compared with everything, since that is due by the cheaper view"
    await asyncio.sleep(62)
    assert reads.swept == [1, 2, 3]


@scenario
async def test_who_needs_the_first_view_starts_it_and_is_queued_when_it_is_there(reads):
    watch = reads.watch()
    assert isinstance(has_none(watch), BeingReadError)
    assert reads.queued == []
    await asyncio.sleep(1.5)
    assert reads.queued == ["web"]
    assert watch.get("web", NEVER).number == 1


@scenario
async def test_all_who_wait_share_one_read(reads):
    watch = reads.watch()
    for number in range(1000):
        has_none(watch, f"web-{number}")
    await asyncio.sleep(5)
    assert len(reads.began) == 1
    assert len(set(reads.queued)) == len(reads.queued) == 1000


@scenario
async def test_a_write_needs_a_view_that_began_after_it(reads):
    watch = reads.watch()
    watch.start()
    await asyncio.sleep(0.5)  # the first read is under way
    written = now()
    has_none(watch, "web", written)
    await asyncio.sleep(0.6)
    assert reads.queued == ["web"], "told of the view that is there"
    has_none(watch, "web", written)
    assert watch.get("other", NEVER).number == 1, "who wrote nothing takes it"
    await asyncio.sleep(2)
    assert watch.get("web", written).number == 2
    assert watch.get("web", written).began > written


@scenario
async def test_a_view_that_began_at_the_very_moment_of_the_write_does_not_count(reads):
    watch = reads.watch()
    watch.start()
    await asyncio.sleep(2)
    has_none(watch, "web", reads.began[0])


@scenario
async def test_waiters_are_served_soon_but_not_in_a_hot_loop(reads):
    reads.takes = 0.0
    watch = reads.watch()
    watch.start()
    await asyncio.sleep(1)
    for _ in range(50):
        has_none(watch, "web", now())
        await asyncio.sleep(0.02)
    assert len(reads.began) <= 1 + 1.0 / 0.2 + 1


@scenario
async def test_a_write_that_may_take_effect_late_is_waited_for_without_reading(reads):
    watch = reads.watch(interval=1000)
    watch.start()
    await asyncio.sleep(2)
    late = has_none(watch, "web", now() + 60)
    assert not isinstance(late, BeingReadError)
    assert late.after == pytest.approx(60, abs=0.1)
    await asyncio.sleep(30)
    assert len(reads.began) == 1


@scenario
async def test_failures_reach_who_waits(reads):
    reads.error = Auth("wrong password")
    watch = reads.watch()
    has_none(watch)
    await asyncio.sleep(1.5)
    assert reads.queued == ["web"]
    with pytest.raises(Auth, match="wrong password"):
        watch.get("web", NEVER)
    assert reads.swept == []


@scenario
async def test_a_missing_secret_reaches_who_waits(reads):
    reads.error = MissingSecret("Secret ns/one does not exist")
    watch = reads.watch()
    has_none(watch)
    await asyncio.sleep(1.5)
    with pytest.raises(MissingSecret):
        watch.get("web", NEVER)


@scenario
async def test_a_bug_in_an_adapter_does_not_end_the_watch(reads):
    reads.bug = KeyError("STATE")
    watch = reads.watch()
    has_none(watch)
    await asyncio.sleep(1.2)
    with pytest.raises(Retry, match="KeyError while reading"):
        watch.get("web", NEVER)
    reads.bug = None
    await asyncio.sleep(10)
    assert watch.get("web", NEVER).number > 1


@scenario
async def test_a_bug_in_a_sweep_does_not_end_the_watch(reads):
    async def broken(*_):
        raise KeyError("x")

    watch = ViewWatch("c", read=reads, swept=broken, enqueue=reads.queued.append, interval=10, settle=2, clock=now)
    watch.start()
    await asyncio.sleep(40)
    assert len(reads.began) >= 3


@scenario
async def test_a_blip_is_nobodys_business(reads):
    watch = reads.watch()
    watch.start()
    await asyncio.sleep(30)
    reads.error = Retry("HTTP 502")
    await asyncio.sleep(34)  # one read failed
    assert watch.get("web", NEVER).number == 1
    reads.error = None
    await asyncio.sleep(5)
    assert reads.failed == 0
    assert watch.get("web", NEVER).number > 1


@scenario
async def test_an_api_that_is_down_is_told_once_and_old_views_are_not_acted_upon(reads):
    watch = reads.watch()
    watch.start()
    await asyncio.sleep(30)
    reads.error = Retry("connection refused", maybe_done=False)
    await asyncio.sleep(60)
    assert reads.failed == 1
    with pytest.raises(Retry):
        watch.get("web", NEVER)
    began = len(reads.began)
    await asyncio.sleep(3600)
    assert reads.failed == 1, "an hour long"
    assert 3600 / 62 - 1 <= len(reads.began) - began <= 3600 / 60 + 1, "asked once a minute then"
    with pytest.raises(Retry):
        watch.get("web", NEVER)
    reads.error = None
    reads.queued.clear()
    await asyncio.sleep(70)
    assert watch.get("web", NEVER).number == len(reads.began)
    assert "web" in reads.queued, "who waited for it is told that it answers again"


@scenario
async def test_it_is_silent_when_several_in_a_row_were_not_answered_and_since_the_first_of_them(reads):
    watch = reads.watch(interval=10.0)
    watch.start()
    await asyncio.sleep(5)
    reads.error = Retry("no route to host")
    begun = len(reads.began)
    while len(reads.began) < begun + 3:
        assert watch.silent_for is None, "it may be a blip"
        await asyncio.sleep(0.5)
    await asyncio.sleep(1.5)
    assert watch.silent_for == pytest.approx(now() - reads.began[begun])
    reads.error = None
    await asyncio.sleep(20)
    assert watch.silent_for is None


@scenario
async def test_one_that_refuses_is_not_silent(reads):
    """It is there; and what was counted before it answered does not count."""
    watch = reads.watch(interval=10.0)
    reads.error = Retry("no route to host")
    watch.start()
    await asyncio.sleep(3)
    reads.error = Auth("wrong password")
    await asyncio.sleep(60)
    assert (watch.failures > 3, watch.silent_for) == (True, None)
    told = reads.failed
    reads.error = Retry("no route to host")
    await asyncio.sleep(400)
    assert watch.silent_for is not None
    assert reads.failed == told + 1, "that it is silent now is news"


@scenario
async def test_failures_back_off(reads):
    reads.error, reads.takes = Retry("down"), 0.0
    reads.watch().start()
    await asyncio.sleep(500)
    gaps = [round(b - a) for a, b in zip(reads.began, reads.began[1:], strict=False)]
    assert gaps[:7] == [1, 2, 4, 8, 16, 32, 60]
    assert set(gaps[6:]) == {60}


@scenario
async def test_one_error_for_many_does_not_grow(reads):
    reads.error = Retry("down")
    watch = reads.watch()
    has_none(watch)
    await asyncio.sleep(1.5)
    depths = []
    for _ in range(3):
        with pytest.raises(Retry) as caught:
            watch.get("web", NEVER)
        depth, trace = 0, caught.value.__traceback__
        while trace:
            depth, trace = depth + 1, trace.tb_next
        depths.append(depth)
    assert len(set(depths)) == 1


@scenario
async def test_while_something_is_under_way_it_reads_often(reads):
    reads.takes = 0.1
    watch = reads.watch()
    watch.start()
    await asyncio.sleep(10)
    watch.settle("web")
    begun = len(reads.began)
    await asyncio.sleep(10)
    assert 4 <= len(reads.began) - begun <= 6
    watch.rest("web")
    begun = len(reads.began)
    await asyncio.sleep(50)
    assert len(reads.began) - begun <= 2, "the one that was due, and the one of the interval"


@scenario
async def test_a_slow_cloud_is_not_read_without_pause(reads):
    reads.takes = 5.0
    watch = reads.watch()
    watch.settle("web")
    await asyncio.sleep(60)
    assert len(reads.began) == 4, "it rests twice as long as a read takes"


@scenario
async def test_it_rests_when_the_last_one_rests(reads):
    watch = reads.watch()
    watch.settle("a")
    watch.settle("b")
    watch.rest("a")
    assert watch.settling("b")
    watch.rest("b")
    watch.rest("b")
    await asyncio.sleep(50)
    assert len(reads.began) == 1


@scenario
async def test_refresh_reads_at_once_and_once(reads):
    watch = reads.watch()
    watch.start()
    await asyncio.sleep(10)
    for _ in range(100):
        watch.refresh()
    await asyncio.sleep(1.3)
    assert len(reads.began) == 2
    await asyncio.sleep(40)
    assert len(reads.began) == 2


@scenario
async def test_refresh_while_it_reads_is_not_lost(reads):
    watch = reads.watch()
    watch.start()
    await asyncio.sleep(0.5)
    watch.refresh()
    await asyncio.sleep(3)
    assert len(reads.began) == 2


@scenario
async def test_what_was_read_of_another_endpoint_does_not_count(reads):
    watch = reads.watch()
    watch.start()
    await asyncio.sleep(10)
    watch.invalidate()
    has_none(watch)
    await asyncio.sleep(2)
    assert watch.get("web", NEVER).number == 2


@scenario
async def test_an_error_of_another_endpoint_does_not_count(reads):
    reads.error = Retry("down")
    watch = reads.watch()
    watch.start()
    await asyncio.sleep(30)
    reads.error = None
    watch.invalidate()
    assert isinstance(has_none(watch), BeingReadError)
    await asyncio.sleep(2)
    assert watch.get("web", NEVER) is watch.view


@scenario
async def test_stop_ends_it_also_when_something_wakes_it_at_that_moment(reads):
    watch = reads.watch()
    watch.start()
    await asyncio.sleep(10)
    has_none(watch, "web", now())
    watch.stop()
    await asyncio.sleep(500)
    assert len(reads.began) == 1


@scenario
async def test_stop_ends_it(reads):
    watch = reads.watch()
    watch.start()
    await asyncio.sleep(0.5)
    watch.stop()
    await asyncio.sleep(500)
    assert len(reads.began) == 1
    assert reads.swept == []


@scenario
async def test_what_is_under_way_is_compared_with_each_view_and_everything_once_per_interval(reads):
    reads.takes = 0.1
    watch = reads.watch(interval=20)
    watch.start()
    await asyncio.sleep(1)
    watch.settle("a")
    watch.settle("b")
    await asyncio.sleep(50)
    everything = [s for s in reads.swept if isinstance(s, int)]
    some = [s for s in reads.swept if not isinstance(s, int)]
    assert len(everything) == 3
    assert 15 <= len(some) <= 25
    assert {s[1:] for s in some} == {("a", "b")}


@scenario
async def test_a_refresh_compares_everything(reads):
    watch = reads.watch()
    watch.settle("a")
    await asyncio.sleep(10)
    reads.swept.clear()
    watch.refresh()
    await asyncio.sleep(1.5)
    assert isinstance(reads.swept[0], int)
    assert not any(isinstance(s, int) for s in reads.swept[1:])


@scenario
async def test_reads_for_the_sake_of_one_do_not_put_off_the_sweep(reads):
    watch = reads.watch()
    watch.start()
    for _ in range(60):
        await asyncio.sleep(10)
        has_none(watch, "web", now())
    everything = [s for s in reads.swept if isinstance(s, int)]
    assert len(everything) >= 9


@scenario
async def test_a_sweep_that_lacks_the_others_gets_them_with_the_next_view(reads):
    reads.takes, reads.needs_all = 0.1, True
    watch = reads.watch(interval=1000)
    watch.start()
    await asyncio.sleep(0.5)
    reads.swept.clear()
    reads.needs_all = False
    await asyncio.sleep(1)
    assert [type(s) for s in reads.swept] == [int]


@scenario
async def test_who_only_compares_is_not_waited_for(reads):
    watch = reads.watch()
    with pytest.raises(NotYet):
        watch.peek(NEVER)
    await asyncio.sleep(5)
    assert reads.began == []
    watch.start()
    await asyncio.sleep(5)
    assert watch.peek(NEVER).number == 1
    with pytest.raises(NotYet):
        watch.peek(now())
    await asyncio.sleep(5)
    assert len(reads.began) == 1
