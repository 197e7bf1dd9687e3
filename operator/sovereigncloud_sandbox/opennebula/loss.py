"""Loss of clouds and of servers: unreachable oned, stopped hosts, servers without power.

When only oned is dead, the machines run on. When their hosts are dead as well they do not: hosts that stood still in an outage go on
with them when it is over. A server that somebody switched off through its provider stays off, and when it is switched on again nothing
of its guests is left: OpenNebula starts them as transient domains (`virsh create` in src/vmm_mad/remotes/kvm/deploy), which libvirt
does not know after a boot, and what its probe does not find it reports as POWEROFF (`missing_state` in
src/im_mad/remotes/kvm-probes.d/vm/status/state.rb).
"""

from collections.abc import Callable, Mapping
from enum import StrEnum

from sovereigncloud_sandbox.opennebula import contents, flows, running
from sovereigncloud_sandbox.opennebula.cloud import Cloud
from sovereigncloud_sandbox.opennebula.lifecycle import Lcm, State
from sovereigncloud_sandbox.opennebula.model import Host, HostState, Vm


class Hosts(StrEnum):
    """What the hosts do while their oned is lost."""

    ALIVE = "alive"
    DEAD = "dead"


_OUTAGE, _SWITCHED_OFF = "outage", "switched off"


def lose(cloud: Cloud, hosts: str = Hosts.ALIVE) -> None:
    """All front-ends are gone; nothing that oned was about to do happens until it comes back.

    Raises:
        ValueError: hosts are alive or dead.
    """
    wanted = Hosts(hosts)
    cloud.advance()
    if wanted is Hosts.DEAD:
        for host in cloud.hosts.values():
            _cut(cloud, host, _OUTAGE)
    cloud.lose()


def come_back(cloud: Cloud) -> None:
    """The front-ends are there again, with what they knew; so are hosts that nobody switched off."""
    cloud.down = False
    cloud.advance()
    for host in cloud.hosts.values():
        if _OUTAGE in host.without_power:
            _restore(cloud, host, _OUTAGE)
        elif not host.powered:
            _notice(cloud, host)


def switch(cloud: Cloud, host: int | str, *, on: bool) -> None:
    """The provider of a server switches it on or off, whatever oned and the host itself do.

    Raises:
        LookupError: there is no such host.
    """
    cloud.advance()
    found = [one for one in cloud.hosts.values() if host in {one.oid, one.name}]
    if not found:
        raise LookupError(f"no HOST {host!r} in {cloud.name}")
    (_restore if on else _cut)(cloud, found[0], _SWITCHED_OFF)


def mend_host(cloud: Cloud, host: int | str) -> None:
    """Oned reaches a host again; what it did not know of its machines, it sees."""
    cloud.advance()
    found = [one for one in cloud.hosts.values() if host in {one.oid, one.name}]
    if not found:
        raise LookupError(f"no HOST {host!r} in {cloud.name}")
    _monitored(cloud, found[0])


# ------------------------------------------------------------------------------------------------------------ power


def _cut(cloud: Cloud, host: Host, cause: str) -> None:
    had_power = host.powered
    host.without_power.add(cause)
    if cause == _SWITCHED_OFF:
        for vm in _machines(cloud, host):
            vm.gone = vm.gone or vm.dead or vm.wild or contents.guest_runs(vm)
    if not had_power:
        return
    for vm in _machines(cloud, host):
        if contents.guest_runs(vm) or vm.wild:
            vm.dead, vm.wild = True, False
            running.note(cloud, vm, cloud.clock)
    cloud.after(cloud.speeds.host_monitor, lambda: _notice(cloud, host))


def _notice(cloud: Cloud, host: Host) -> None:
    """The host does not answer; what it ran is UNKNOWN."""
    if host.powered:
        return
    if host.state is HostState.MONITORED:
        host.state = HostState.ERROR
    for vm in _machines(cloud, host):
        if vm.where == (State.ACTIVE, Lcm.RUNNING):
            flows.enter(cloud, vm, State.ACTIVE, Lcm.UNKNOWN)


def _restore(cloud: Cloud, host: Host, cause: str) -> None:
    host.without_power.discard(cause)
    if not host.powered:
        return
    for vm in _machines(cloud, host):
        if vm.dead and not vm.gone and contents.guest_runs(vm):
            vm.dead = False
            running.note(cloud, vm, cloud.clock)
    cloud.after(cloud.speeds.host_monitor, lambda: _monitored(cloud, host))


def _monitored(cloud: Cloud, host: Host) -> None:
    if not host.powered:
        return
    if host.state is HostState.ERROR:
        host.state = HostState.MONITORED
    for vm in _machines(cloud, host):
        if vm.gone and vm.where in {(State.ACTIVE, Lcm.UNKNOWN), (State.ACTIVE, Lcm.RUNNING)}:
            vm.dead = vm.gone = False
            flows.enter(cloud, vm, State.POWEROFF, Lcm.LCM_INIT)
        elif vm.where == (State.ACTIVE, Lcm.UNKNOWN):
            flows.enter(cloud, vm, State.ACTIVE, Lcm.RUNNING)


def _machines(cloud: Cloud, host: Host) -> list[Vm]:
    known = {oid: some[-1].vm for oid, some in cloud.runs.items()} | cloud.vms  # oned may have forgotten some
    return [vm for vm in known.values() if vm.last is not None and vm.last.hid == host.oid]


LOSS_MISCHIEF: Mapping[str, Callable[..., None]] = {
    "lose": lose,
    "come-back": come_back,
    "host-switch": switch,
    "host-mend": mend_host,
}
