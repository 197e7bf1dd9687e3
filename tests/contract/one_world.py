"""What the contract tests of the simulated OpenNebula share: a clock that they move, and looks at machines."""

import xmlrpc.client

from sovereigncloud_sandbox.opennebula.install import CloudSpec, HostSpec

HOSTS = (HostSpec("127.0.0.2", cpu=800, memory=16 << 20), HostSpec("127.0.0.3", cpu=800, memory=16 << 20))
OTHER = CloudSpec("other", version="7.4.0", hosts=(HostSpec("127.0.1.2"),))
"""A cloud beside it, which knows nothing of it."""
SOLO, CANDIDATE, FOLLOWER, LEADER = range(4)  # RAFT/STATE
ELECTED = 2.5  # seconds until another front-end leads
SETTLED = 5.0  # seconds in which everything that is under way has happened


class Clock:
    """Seconds since the epoch, as the tests want them."""

    def __init__(self):
        self.now = 1_800_000_000.0

    def __call__(self):
        return self.now

    def pass_(self, seconds=SETTLED):
        self.now += seconds


def running(one, clock, world, name="vm", **_):
    vm = one.template.instantiate(world["template"], name, False, "", False)
    clock.pass_()
    assert where(one, vm) == (3, 3)
    return vm


def where(one, vm):
    found = one.vm.info(vm)
    return found.STATE, found.LCM_STATE


def path(one, clock, vm, seconds=SETTLED):
    """Every state that the machine is in from now on, in order."""
    seen = [where(one, vm)]
    for _ in range(int(seconds / 0.01)):
        clock.pass_(0.01)
        now = where(one, vm)
        if now != seen[-1]:
            seen.append(now)
        if len(seen) > 1 and now in {(3, 3), (8, 0), (5, 0), (4, 0), (9, 0), (6, 0), (3, 36), (3, 39), (3, 40)}:
            break
    return seen


def raw_call(endpoint, session, method, *arguments):
    """The XML of a reply, as it came."""
    with xmlrpc.client.ServerProxy(endpoint) as raw:
        ok, value, *_ = getattr(raw, method)(session, *arguments)
    assert ok, value
    return value
