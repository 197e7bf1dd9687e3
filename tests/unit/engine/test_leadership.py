import asyncio
import copy

import pytest
from tests.fakes.virtual_time import now, run

from sovereigncloud.engine.leadership import Lease
from sovereigncloud.ports.errors import Conflict, Retry


class Api:
    """Leases with resourceVersions, as the API server keeps them."""

    def __init__(self):
        self.stored, self.version, self.down, self.writes, self.before_write = None, 0, False, 0, None

    async def lease(self, namespace, name):
        await asyncio.sleep(0.01)
        if self.down:
            raise Retry("no route to host")
        return copy.deepcopy(self.stored)

    async def write_lease(self, namespace, name, body, *, create):
        if self.before_write:
            self.before_write()
        await asyncio.sleep(0.01)
        if self.down:
            raise Retry("no route to host")
        known = self.stored["metadata"]["resourceVersion"] if self.stored else None
        if known != body["metadata"].get("resourceVersion"):
            raise Conflict("the object has been modified")
        self.put(body)
        self.writes += 1
        return copy.deepcopy(self.stored)

    def put(self, body):
        self.version += 1
        self.stored = copy.deepcopy(body)
        self.stored["metadata"] |= {"resourceVersion": str(self.version)}

    @property
    def holder(self):
        return self.stored["spec"]["holderIdentity"]


def leased(api, name, lost):
    return Lease(
        api,
        namespace="sovereign-system",
        name="sovereign-x",
        identity=name,
        seconds=15,
        lost=lambda: lost.append(now()),
        clock=now,
    )


def scenario(test):
    def wrapper():
        run(test(Api(), []))

    wrapper.__name__ = test.__name__
    return wrapper


@scenario
async def test_the_first_takes_it_at_once_and_keeps_it(api, lost):
    lease = leased(api, "a", lost)
    assert not lease.held
    await lease.acquire()
    assert lease.held
    first = api.stored["spec"]
    for _ in range(100):
        await asyncio.sleep(1)
        assert lease.held
    assert api.holder == "a"
    assert api.stored["spec"]["acquireTime"] == first["acquireTime"]
    assert api.stored["spec"]["leaseTransitions"] == 1
    assert lost == []


@scenario
async def test_a_second_waits_as_long_as_the_first_renews(api, lost):
    first, second = leased(api, "a", lost), leased(api, "b", lost)
    await first.acquire()
    waiting = asyncio.ensure_future(second.acquire())
    await asyncio.sleep(600)
    assert not waiting.done()
    assert not second.held
    assert api.holder == "a"


@scenario
async def test_it_is_taken_over_when_the_first_is_dead_by_the_local_clock(api, lost):
    first, second = leased(api, "a", lost), leased(api, "b", lost)
    await first.acquire()
    await asyncio.sleep(20)
    # dead, with a clock that was a day ahead: what it wrote as renewTime says nothing
    first._task.cancel()
    api.stored["spec"]["renewTime"] = "2099-01-01T00:00:00.000000Z"
    died = now()
    await second.acquire()
    assert 10 <= now() - died <= 15 + 3
    assert api.holder == "b"
    assert api.stored["spec"]["leaseTransitions"] == 2


@scenario
async def test_never_do_two_believe_that_they_hold_it(api, lost):
    first, second = leased(api, "a", lost), leased(api, "b", lost)
    await first.acquire()
    waiting = asyncio.ensure_future(second.acquire())
    await asyncio.sleep(7)
    first._task.cancel()  # it hangs: neither renews nor exits
    while not waiting.done():
        await asyncio.sleep(0.1)
        assert not (first.held and second.held)
    assert not first.held
    assert second.held


@scenario
async def test_an_api_that_is_down_ends_it_in_time(api, lost):
    lease = leased(api, "a", lost)
    await lease.acquire()
    await asyncio.sleep(4)
    api.down = True
    await asyncio.sleep(10.1)
    assert not lease.held, "two thirds of what others wait"
    await asyncio.sleep(10)
    assert len(lost) == 1
    await asyncio.sleep(100)
    assert len(lost) == 1, "told once"


@scenario
async def test_a_short_outage_is_survived(api, lost):
    lease = leased(api, "a", lost)
    await lease.acquire()
    await asyncio.sleep(4)
    api.down = True
    await asyncio.sleep(4)
    api.down = False
    await asyncio.sleep(60)
    assert lease.held
    assert lost == []


@scenario
async def test_whoever_sees_another_holder_stops_at_once(api, lost):
    lease = leased(api, "a", lost)
    await lease.acquire()
    await asyncio.sleep(1)
    api.put({**api.stored, "spec": {**api.stored["spec"], "holderIdentity": "b"}})
    await asyncio.sleep(5)
    assert not lease.held, "though its own time had not passed"
    assert lost
    assert api.holder == "b"


@scenario
async def test_an_expired_stranger_is_not_taken_over_by_who_lost_it(api, lost):
    """It may have been stopped for minutes, while another wrote and died: exit and begin anew, with a grace."""
    lease = leased(api, "a", lost)
    await lease.acquire()
    api.put({**api.stored, "spec": {**api.stored["spec"], "holderIdentity": "b", "leaseDurationSeconds": 0}})
    await asyncio.sleep(30)
    assert lost
    assert api.holder == "b"


@scenario
async def test_of_two_that_race_one_wins(api, lost):
    first, second = leased(api, "a", lost), leased(api, "b", lost)
    tasks = [asyncio.ensure_future(lease.acquire()) for lease in (first, second)]
    await asyncio.sleep(5)
    assert sorted(task.done() for task in tasks) == [False, True]
    assert first.held is not second.held


@scenario
async def test_of_two_that_race_for_an_expired_one_one_wins(api, lost):
    dead = leased(api, "dead", lost)
    await dead.acquire()
    dead._task.cancel()
    first, second = leased(api, "a", lost), leased(api, "b", lost)
    tasks = [asyncio.ensure_future(lease.acquire()) for lease in (first, second)]
    await asyncio.sleep(25)
    assert sorted(task.done() for task in tasks) == [False, True]
    assert first.held is not second.held


@scenario
async def test_released_it_is_free_at_once(api, lost):
    first, second = leased(api, "a", lost), leased(api, "b", lost)
    await first.acquire()
    waiting = asyncio.ensure_future(second.acquire())
    await asyncio.sleep(5)
    await first.release()
    released = now()
    assert not first.held
    await waiting
    assert now() - released <= 2.1
    assert api.holder == "b"
    assert lost == []


@scenario
async def test_releasing_does_not_take_it_from_another(api, lost):
    lease = leased(api, "a", lost)
    await lease.acquire()
    api.put({**api.stored, "spec": {**api.stored["spec"], "holderIdentity": "b"}})
    await lease.release()
    assert api.holder == "b"


@scenario
async def test_releasing_while_the_api_is_down_does_not_fail(api, lost):
    lease = leased(api, "a", lost)
    await lease.acquire()
    api.down = True
    await lease.release()
    assert not lease.held


@scenario
async def test_what_was_never_held_is_not_released(api, lost):
    await leased(api, "a", lost).release()
    assert api.stored is None


@scenario
async def test_a_lease_that_somebody_deleted_is_made_anew(api, lost):
    lease = leased(api, "a", lost)
    await lease.acquire()
    api.stored = None
    await asyncio.sleep(20)
    assert lease.held
    assert api.holder == "a"


@scenario
async def test_a_lease_with_holes_is_read(api, lost):
    api.put(
        {
            "metadata": {"name": "sovereign-x"},
            "spec": {"holderIdentity": "old", "leaseDurationSeconds": None, "leaseTransitions": None},
        }
    )
    lease = leased(api, "a", lost)
    await lease.acquire()
    assert now() >= 1015
    assert api.holder == "a"


@scenario
async def test_a_renewal_counts_from_when_it_was_asked_for(api, lost):
    lease = leased(api, "a", lost)
    await lease.acquire()
    assert lease._renewed == pytest.approx(1000.0), "not from when the answer came, others count from the write"


@scenario
async def test_seizing_it_ends_the_holder_and_waits_until_it_writes_no_more(api, lost):
    operator, release = leased(api, "operator", lost), leased(api, "release", [])
    await operator.acquire()
    await asyncio.sleep(7)
    begun = now()
    await release.seize()
    assert now() - begun >= 15
    assert not operator.held
    assert len(lost) == 1, "it exits"
    assert release.held
    await asyncio.sleep(60)
    assert api.holder == "release", "it is renewed"


@scenario
async def test_nobody_is_waited_for_where_nobody_holds_it(api, lost):
    release = leased(api, "release", lost)
    begun = now()
    await release.seize()
    assert release.held
    assert now() - begun < 1


@scenario
async def test_a_holder_that_renews_at_the_same_moment_loses_it_all_the_same(api, lost):
    operator, release = leased(api, "operator", lost), leased(api, "release", [])
    await operator.acquire()
    times = []

    def renewed_meanwhile():
        if len(times) < 2:
            times.append(now())
            api.put(api.stored)

    api.before_write = renewed_meanwhile
    await release.seize()
    assert api.holder == "release"


@scenario
async def test_left_behind_it_keeps_others_away_for_a_while(api, lost):
    release, operator = leased(api, "release", []), leased(api, "operator", lost)
    await release.seize()
    await release.leave(30)
    begun = now()
    await operator.acquire()
    assert 30 <= now() - begun <= 34
