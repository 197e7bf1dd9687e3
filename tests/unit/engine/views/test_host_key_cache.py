"""A sweep asks no server: what was heard serves, and what is too old makes it a reconcile, once an hour."""

from types import SimpleNamespace

import pytest
from tests.unit.kinds.cloud_fakes import run

from sovereigncloud.engine.loop.context import BeyondSweepError, ObjectContext, SweepContext
from sovereigncloud.engine.views.host_key_cache import Greetings
from sovereigncloud.ports.errors import Retry
from sovereigncloud.ports.ssh import Greeting

SAID = Greeting("SSH-2.0-x", "ssh-ed25519 AAAA")


class Ssh:
    def __init__(self, answer):
        self.answer, self.asked = answer, 0

    async def greeting(self, _address):
        self.asked += 1
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def worlds(ssh, clock):
    shared = SimpleNamespace(greetings=Greetings(ssh, clock))
    return ObjectContext(shared, None), SweepContext(shared, None)


def test_a_sweep_takes_what_was_heard_and_an_hour_later_has_it_heard_anew(clock):
    ssh = Ssh(SAID)
    look, sweep = worlds(ssh, clock)
    with pytest.raises(BeyondSweepError):
        run(sweep.greeting("a", 3600))
    assert run(look.greeting("a", 3600)) == SAID
    clock.now = 3599.0
    assert run(sweep.greeting("a", 3600)) == SAID
    clock.now = 3600.0
    with pytest.raises(BeyondSweepError):
        run(sweep.greeting("a", 3600))
    assert ssh.asked == 1


def test_silence_is_what_a_sweep_hears_too(clock):
    look, sweep = worlds(Ssh(Retry("no answer in time")), clock)
    for world in (look, sweep):
        with pytest.raises(Retry, match="no answer"):
            run(world.greeting("a", 3600))


def test_where_nobody_is_asked_no_sweep_makes_a_reconcile_of_it(clock):
    assert [run(world.greeting("a", 0)) for world in worlds(None, clock)] == [None, None]
