"""The checks of suite API: which there are, and what a look at the cloud says of each. Pure.

A machine that runs on a host, as OpenNebula reports it, is all that its API can tell: whether the guest inside answers is for
the suite that logs in.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sovereigncloud.api.verification import MAX_MESSAGE, MAX_NAME, ApiCheck, DisabledCheck, Result, Verification
from sovereigncloud.kinds.sovereigncloud.hosts.hosts import DISABLED, MONITORED, word
from sovereigncloud.kinds.sovereigncloud.verification.records import Probe
from sovereigncloud.ports.opennebula.features import REFERENCE
from sovereigncloud.ports.opennebula.image_states import BOOTABLE_TYPES
from sovereigncloud.ports.opennebula.views import CloudView, Datastore, Front, Host, Image, Network
from sovereigncloud.ports.opennebula.vm_states import Situation, state_of

LIMIT = 300
"""Seconds that a machine may take until it runs."""
SETTLES = 120
"""Seconds after the beginning of a run in which what is on its way is waited for."""
MOST_OF_A_KIND = 120
"""Hosts, and networks, that are tried in one run."""
FINAL = frozenset({Result.PASSED, Result.FAILED, Result.SKIPPED})

_READY = 1
_IN_USE = 2
_OS = 0
_HOST_INIT = frozenset({0, 6})
_NETWORK_ON_ITS_WAY = frozenset({0, 2})
_IMAGE_DATASTORE = 0
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Check:
    """One check and what came of it."""

    name: str
    result: Result
    message: str = ""

    @property
    def final(self) -> bool:
        return self.result in FINAL


@dataclass(frozen=True, slots=True)
class Wanted:
    """One check that is to be made: of a host or a network where it names one."""

    name: str
    host: Host | None = None
    network: Network | None = None
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Look:
    """What a run is judged by.

    Attributes:
        age: seconds since it was begun.
        now: seconds since the epoch.
        version: that spec declares; empty: any.
        probes: machines of this run, by check.
        fault: (check, message): a machine that OpenNebula refused to make.
    """

    front: Front
    view: CloudView
    now: int
    age: int
    version: str
    probes: Mapping[str, Probe]
    fault: tuple[str, str] = ("", "")


def wanted_checks(view: CloudView) -> tuple[Wanted, ...]:
    """All checks of the suite, in the order in which status lists them."""
    general = tuple(Wanted(str(c)) for c in ApiCheck if c not in {ApiCheck.VM_ON_HOST, ApiCheck.VM_ON_NETWORK})
    hosts = sorted(view.hosts.values(), key=lambda h: h.id)
    networks = sorted(view.networks.values(), key=lambda n: n.id)
    return (
        *general,
        *_each(ApiCheck.VM_ON_HOST, [Wanted(h.name, host=h) for h in hosts]),
        *_each(ApiCheck.VM_ON_NETWORK, [Wanted(n.name, network=n) for n in networks]),
    )


def _each(check: ApiCheck, objects: Sequence[Wanted]) -> tuple[Wanted, ...]:
    """One for each object; a name that several have gets the number. Of very many some are left out, and that is said."""
    names = Counter(o.name for o in objects)
    found = tuple(
        Wanted(f"{check}/{_unique(o, several=names[o.name] > 1)}"[:MAX_NAME], o.host, o.network)
        for o in objects[:MOST_OF_A_KIND]
    )
    left_out = len(objects) - len(found)
    return (*found, Wanted(str(check), left_out=left_out)) if left_out else found


def _unique(wanted: Wanted, *, several: bool) -> str:
    one = wanted.host or wanted.network
    return f"{wanted.name} #{one.id}" if several and one is not None else wanted.name


def judge(
    spec: Verification, wanted: Iterable[Wanted], before: Mapping[str, Check], look: Look, source: Image | str | None
) -> tuple[Check, ...]:
    """Every check with what is known of it now. What is final stays."""
    return tuple(_judged(spec, one, before.get(one.name), look, source) for one in wanted)


def _judged(spec: Verification, wanted: Wanted, before: Check | None, look: Look, source: Image | str | None) -> Check:
    if (entry := _disabled(spec, wanted.name)) is not None:
        return Check(wanted.name, Result.SKIPPED, f"disabled in spec: {entry.justification}"[:MAX_MESSAGE])
    if before is not None and before.result in {Result.PASSED, Result.FAILED}:
        return before
    if wanted.left_out:
        message = f"{wanted.left_out} more are not tried: at most {MOST_OF_A_KIND} are in one run"
        return Check(wanted.name, Result.SKIPPED, message)
    if wanted.host is not None:
        result, message = _on_host(wanted, wanted.host, look, source)
    elif wanted.network is not None:
        result, message = _on_network(wanted, wanted.network, look, source)
    else:
        result, message = _GENERAL[ApiCheck(wanted.name)](look)
    return Check(wanted.name, result, message[:MAX_MESSAGE])


def _disabled(spec: Verification, name: str) -> DisabledCheck | None:
    entries = {d.check: d for d in spec.disabled or ()}
    return entries.get(name) or entries.get(name.partition("/")[0])


# --- what the pools tell -----------------------------------------------------------------------------------------------

Told = tuple[Result, str]


def _passing_or(look: Look, message: str) -> Told:
    """What may be on its way is waited for at the beginning of a run."""
    return (Result.RUNNING if look.age < SETTLES else Result.FAILED), message


def _core_version(look: Look) -> Told:
    found = look.front.version
    numbers = re.match(r"(\d+)\.(\d+)", found)
    if numbers is None:
        return Result.FAILED, f'OpenNebula says that its version is "{found}", which is no version'
    if look.version and not (found == look.version or found.startswith(f"{look.version}.")):
        return Result.FAILED, f"OpenNebula is {found} instead of {look.version}"
    if (int(numbers[1]), int(numbers[2])) < REFERENCE:
        oldest = ".".join(map(str, REFERENCE))
        return Result.FAILED, f"OpenNebula is {found}, older than {oldest}, the oldest that is supported"
    return Result.PASSED, f"OpenNebula {found} answers as zone {look.front.zone_id} ({look.front.zone_name})"


def _hosts_monitored(look: Look) -> Told:
    hosts = sorted(look.view.hosts.values(), key=lambda h: h.id)
    if not hosts:
        return Result.FAILED, "OpenNebula has no host"
    wrong = [h for h in hosts if h.state not in MONITORED]
    if not wrong:
        return Result.PASSED, f"{len(hosts)} hosts are monitored"
    message = _listed(f"host {h.name} is {word(h.state)}" for h in wrong)
    return _passing_or(look, message) if all(h.state in _HOST_INIT for h in wrong) else (Result.FAILED, message)


def _datastores_have_space(look: Look) -> Told:
    stores = sorted(look.view.datastores.values(), key=lambda d: d.id)
    wrong = [t for t in map(_wrong_with, stores) if t]
    if wrong:
        return _passing_or(look, _listed(wrong))
    return Result.PASSED, f"{len(stores)} datastores are ready and have space"


def _wrong_with(store: Datastore) -> str:
    if store.state != 0:
        return f"datastore {store.name} is disabled"
    if store.total <= 0:
        # A system datastore of the ssh drivers is on the disks of the hosts, and has no size of its own.
        return f"datastore {store.name} is not monitored" if store.type == _IMAGE_DATASTORE else ""
    return "" if store.free > 0 else f"datastore {store.name} is full ({store.total} MiB)"


def _networks_have_leases(look: Look) -> Told:
    networks = sorted(look.view.networks.values(), key=lambda n: n.id)
    if not networks:
        return Result.SKIPPED, "there is no network"
    wrong = [(n, _unusable(n)) for n in networks if _unusable(n)]
    if not wrong:
        return Result.PASSED, f"{len(networks)} networks are ready and have free leases"
    message = _listed(why for _, why in wrong)
    passing = all(n.state in _NETWORK_ON_ITS_WAY for n, _ in wrong)
    return _passing_or(look, message) if passing else (Result.FAILED, message)


def _unusable(network: Network) -> str:
    if network.state != _READY:
        return f"network {network.name} is not ready (state {network.state})"
    size = sum(r.size for r in network.ranges)
    return "" if size > network.used_leases else f"network {network.name} has no free lease ({size} in use)"


_GENERAL = {
    ApiCheck.CORE_VERSION: _core_version,
    ApiCheck.HOSTS_MONITORED: _hosts_monitored,
    ApiCheck.DATASTORES_HAVE_SPACE: _datastores_have_space,
    ApiCheck.NETWORKS_HAVE_LEASES: _networks_have_leases,
}


def _listed(texts: Iterable[str]) -> str:
    found = list(texts)
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return ", ".join(found[:_SHOWN]) + more


# --- a machine on each host and network ------------------------------------------------------------------------------------


def image_of(spec: Verification, view: CloudView) -> Image | str | None:
    """What the machines start from: an image, None for an empty disk, or why the named image will not do. A persistent
    image is never taken: a machine would write to it.
    """
    if spec.image is None:
        free = [i for i in view.images.values() if i.type == _OS and i.state in {_READY, _IN_USE} and not i.persistent]
        return min(free, key=lambda i: (i.size, i.id), default=None)
    found = [i for i in view.images.values() if i.name == spec.image and i.type in BOOTABLE_TYPES]
    if not found:
        return f'there is no image "{spec.image}": correct spec.verification.image'
    usable = [i for i in found if i.state in {_READY, _IN_USE} and not i.persistent]
    if not usable:
        why = "persistent, and a machine would write to it" if found[0].persistent else "not ready"
        return f'image "{spec.image}" is {why}: name another in spec.verification.image'
    return min(usable, key=lambda i: i.id)


def _on_host(wanted: Wanted, host: Host, look: Look, source: Image | str | None) -> Told:
    if wanted.name not in look.probes and host.state not in MONITORED:
        remedy = "; enable it" if host.state in DISABLED else ""
        told = f"host {host.name} is {word(host.state)}: no machine can run there{remedy}"
        return _passing_or(look, told) if host.state in _HOST_INIT else (Result.FAILED, told)
    return _machine(wanted, look, source)


def _on_network(wanted: Wanted, network: Network, look: Look, source: Image | str | None) -> Told:
    if wanted.name not in look.probes and (why := _unusable(network)):
        return _passing_or(look, why) if network.state in _NETWORK_ON_ITS_WAY else (Result.FAILED, why)
    return _machine(wanted, look, source)


def _machine(wanted: Wanted, look: Look, source: Image | str | None) -> Told:
    """What the machine of a check says. None yet: it is to be made, unless it was refused."""
    probe = look.probes.get(wanted.name)
    if look.fault[0] == wanted.name:
        return Result.FAILED, f"OpenNebula refuses to make a machine: {look.fault[1]}"
    if probe is None:
        return (Result.FAILED, source) if isinstance(source, str) else (Result.PENDING, "")
    vm, state = probe.vm, state_of(probe.vm)
    if state.situation is Situation.RUNNING:
        address = f" with address {vm.nics[0].ip}" if vm.nics and vm.nics[0].ip else ""
        return Result.PASSED, f"VM {vm.id} ran on host {vm.host}{address}"
    why = vm.error or vm.scheduler_message
    told = f"VM {vm.id} is {state.words}" + (f" on host {vm.host}" if vm.host else "") + (f": {why}" if why else "")
    if state.situation in {Situation.FAILED, Situation.LOST}:
        return Result.FAILED, told
    if look.now - probe.created >= LIMIT:
        return Result.FAILED, f"not running after {LIMIT} seconds: {told}"
    return Result.RUNNING, f"VM {vm.id} was made"
