"""The checks of the suite API, and their evaluation against an observed cloud. Pure.

A check passes when OpenNebula reports its VM as running on a host: the API tells no more. Whether the guest answers is tested
by the suite that logs in (OneDeployValidation).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sovereigncloud.api.verification import MAX_MESSAGE, MAX_NAME, ApiCheck, DisabledCheck, Result, Verification
from sovereigncloud.core.listing import format_list
from sovereigncloud.kinds.sovereigncloud.hosts.hosts import DISABLED, MONITORED, host_state_name
from sovereigncloud.kinds.sovereigncloud.verification.records import Probe
from sovereigncloud.ports.opennebula.features import REFERENCE
from sovereigncloud.ports.opennebula.image_states import BOOTABLE_TYPES
from sovereigncloud.ports.opennebula.views import CloudView, Datastore, Front, Host, Image, Network
from sovereigncloud.ports.opennebula.vm_states import Situation, state_of

PROBE_TIMEOUT = 300
"""Seconds within which a test VM must run."""
GRACE_PERIOD = 120
"""Seconds after the start of a run in which a transitional state is waited for instead of failed."""
MAX_PER_KIND = 120
"""Maximum number of hosts, and of networks, tested in one run."""
FINAL = frozenset({Result.PASSED, Result.FAILED, Result.SKIPPED})

_READY = 1
_IN_USE = 2
_OS = 0
_HOST_INIT = frozenset({0, 6})
_NETWORK_ON_ITS_WAY = frozenset({0, 2})
_IMAGE_DATASTORE = 0


@dataclass(frozen=True, slots=True)
class Check:
    """One check and its result."""

    name: str
    result: Result
    message: str = ""

    @property
    def final(self) -> bool:
        return self.result in FINAL


@dataclass(frozen=True, slots=True)
class Wanted:
    """One check to run, of a host or network if it has one.

    `left_out`: how many more are not tested.
    """

    name: str
    host: Host | None = None
    network: Network | None = None
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class CheckContext:
    """The observed state that checks are evaluated against.

    Attributes:
        age: seconds since the run started.
        now: seconds since the epoch.
        version: the version that spec declares; empty: any.
        probes: test VMs of this run, by check.
        fault: (check, message) of a test VM that OpenNebula refused to create.
    """

    front: Front
    view: CloudView
    now: int
    age: int
    version: str
    probes: Mapping[str, Probe]
    fault: tuple[str, str] = ("", "")


def wanted_checks(view: CloudView) -> tuple[Wanted, ...]:
    """Return all checks of the suite, in the order in which status lists them."""
    general = tuple(Wanted(str(c)) for c in ApiCheck if c not in {ApiCheck.VM_ON_HOST, ApiCheck.VM_ON_NETWORK})
    hosts = sorted(view.hosts.values(), key=lambda h: h.id)
    networks = sorted(view.networks.values(), key=lambda n: n.id)
    return (
        *general,
        *_each(ApiCheck.VM_ON_HOST, [Wanted(h.name, host=h) for h in hosts]),
        *_each(ApiCheck.VM_ON_NETWORK, [Wanted(n.name, network=n) for n in networks]),
    )


def _each(check: ApiCheck, objects: Sequence[Wanted]) -> tuple[Wanted, ...]:
    """Return one check per object, and a note on those that are left out.

    The name contains the id of the object if several have its name.
    """
    names = Counter(o.name for o in objects)
    found = tuple(
        Wanted(f"{check}/{_unique(o, several=names[o.name] > 1)}"[:MAX_NAME], o.host, o.network)
        for o in objects[:MAX_PER_KIND]
    )
    left_out = len(objects) - len(found)
    return (*found, Wanted(str(check), left_out=left_out)) if left_out else found


def _unique(wanted: Wanted, *, several: bool) -> str:
    one = wanted.host or wanted.network
    return f"{wanted.name} #{one.id}" if several and one is not None else wanted.name


def evaluate_checks(
    spec: Verification,
    wanted: Iterable[Wanted],
    before: Mapping[str, Check],
    observed: CheckContext,
    source: Image | str | None,
) -> tuple[Check, ...]:
    """Evaluate every check; results that are final stay."""
    return tuple(_evaluate(spec, one, before.get(one.name), observed, source) for one in wanted)


def _evaluate(
    spec: Verification, wanted: Wanted, before: Check | None, observed: CheckContext, source: Image | str | None
) -> Check:
    if (entry := _disabled_entry(spec, wanted.name)) is not None:
        return Check(wanted.name, Result.SKIPPED, f"disabled in spec: {entry.justification}"[:MAX_MESSAGE])
    if before is not None and before.result in {Result.PASSED, Result.FAILED}:
        return before
    if wanted.left_out:
        message = f"{wanted.left_out} more are not tried: at most {MAX_PER_KIND} are in one run"
        return Check(wanted.name, Result.SKIPPED, message)
    if wanted.host is not None:
        result, message = _on_host(wanted, wanted.host, observed, source)
    elif wanted.network is not None:
        result, message = _on_network(wanted, wanted.network, observed, source)
    else:
        result, message = _GENERAL[ApiCheck(wanted.name)](observed)
    return Check(wanted.name, result, message[:MAX_MESSAGE])


def _disabled_entry(spec: Verification, name: str) -> DisabledCheck | None:
    entries = {d.check: d for d in spec.disabled or ()}
    return entries.get(name) or entries.get(name.partition("/")[0])


# --- checks of the pools ----------------------------------------------------------------------------------------------

Finding = tuple[Result, str]


def _running_or_failed(observed: CheckContext, message: str) -> Finding:
    """Return Running early in a run, Failed afterwards."""
    return (Result.RUNNING if observed.age < GRACE_PERIOD else Result.FAILED), message


def _core_version(observed: CheckContext) -> Finding:
    found = observed.front.version
    numbers = re.match(r"(\d+)\.(\d+)", found)
    if numbers is None:
        return Result.FAILED, f'OpenNebula says that its version is "{found}", which is no version'
    if observed.version and not (found == observed.version or found.startswith(f"{observed.version}.")):
        return Result.FAILED, f"OpenNebula is {found} instead of {observed.version}"
    if (int(numbers[1]), int(numbers[2])) < REFERENCE:
        oldest = ".".join(map(str, REFERENCE))
        return Result.FAILED, f"OpenNebula is {found}, older than {oldest}, the oldest that is supported"
    return Result.PASSED, f"OpenNebula {found} answers as zone {observed.front.zone_id} ({observed.front.zone_name})"


def _hosts_monitored(observed: CheckContext) -> Finding:
    hosts = sorted(observed.view.hosts.values(), key=lambda h: h.id)
    if not hosts:
        return Result.FAILED, "OpenNebula has no host"
    wrong = [h for h in hosts if h.state not in MONITORED]
    if not wrong:
        return Result.PASSED, f"{len(hosts)} hosts are monitored"
    message = format_list(f"host {h.name} is {host_state_name(h.state)}" for h in wrong)
    return (
        _running_or_failed(observed, message) if all(h.state in _HOST_INIT for h in wrong) else (Result.FAILED, message)
    )


def _datastores_have_space(observed: CheckContext) -> Finding:
    stores = sorted(observed.view.datastores.values(), key=lambda d: d.id)
    wrong = [t for t in map(_datastore_problem, stores) if t]
    if wrong:
        return _running_or_failed(observed, format_list(wrong))
    return Result.PASSED, f"{len(stores)} datastores are ready and have space"


def _datastore_problem(store: Datastore) -> str:
    if store.state != 0:
        return f"datastore {store.name} is disabled"
    if store.total <= 0:
        # A system datastore of the ssh drivers is on the disks of the hosts and reports no size.
        return f"datastore {store.name} is not monitored" if store.type == _IMAGE_DATASTORE else ""
    return "" if store.free > 0 else f"datastore {store.name} is full ({store.total} MiB)"


def _networks_have_leases(observed: CheckContext) -> Finding:
    networks = sorted(observed.view.networks.values(), key=lambda n: n.id)
    if not networks:
        return Result.SKIPPED, "there is no network"
    wrong = [(n, _network_problem(n)) for n in networks if _network_problem(n)]
    if not wrong:
        return Result.PASSED, f"{len(networks)} networks are ready and have free leases"
    message = format_list(why for _, why in wrong)
    passing = all(n.state in _NETWORK_ON_ITS_WAY for n, _ in wrong)
    return _running_or_failed(observed, message) if passing else (Result.FAILED, message)


def _network_problem(network: Network) -> str:
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


# --- a test VM per host and network -----------------------------------------------------------------------------------


def image_of(spec: Verification, view: CloudView) -> Image | str | None:
    """Choose the image of the test VMs.

    None: an empty disk; a string: why the named image is unusable. A persistent image is never used, since the VM would write to it.
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


def _on_host(wanted: Wanted, host: Host, observed: CheckContext, source: Image | str | None) -> Finding:
    if wanted.name not in observed.probes and host.state not in MONITORED:
        remedy = "; enable it" if host.state in DISABLED else ""
        told = f"host {host.name} is {host_state_name(host.state)}: no machine can run there{remedy}"
        return _running_or_failed(observed, told) if host.state in _HOST_INIT else (Result.FAILED, told)
    return _probe_result(wanted, observed, source)


def _on_network(wanted: Wanted, network: Network, observed: CheckContext, source: Image | str | None) -> Finding:
    if wanted.name not in observed.probes and (why := _network_problem(network)):
        return _running_or_failed(observed, why) if network.state in _NETWORK_ON_ITS_WAY else (Result.FAILED, why)
    return _probe_result(wanted, observed, source)


def _probe_result(wanted: Wanted, observed: CheckContext, source: Image | str | None) -> Finding:
    """Evaluate the test VM of a check; Pending: it is to be created."""
    probe = observed.probes.get(wanted.name)
    if observed.fault[0] == wanted.name:
        return Result.FAILED, f"OpenNebula refuses to make a machine: {observed.fault[1]}"
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
    if observed.now - probe.created >= PROBE_TIMEOUT:
        return Result.FAILED, f"not running after {PROBE_TIMEOUT} seconds: {told}"
    return Result.RUNNING, f"VM {vm.id} was made"
