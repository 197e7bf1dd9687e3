"""How many machines of a cloud could leave it now, and what is in the way of the others: for an ExitPlan, and for the cloud itself.

Everything is read from views and from the store: no request for a machine, and none of the source where that is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.core.exit import Blocker, Claim, Estimate, Leaver, Limit, Option, estimate
from sovereigncloud.core.identity import Mark
from sovereigncloud.core.outcome import merge
from sovereigncloud.core.placement import Candidate, Demand
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.contract.tenancy import Tenancy
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.exit_readiness.facts import CopyFacts, InstanceFacts, image_facts
from sovereigncloud.kinds.hostedinstance.continuity.copies import Copy, remembered, usable
from sovereigncloud.kinds.hostedinstance.continuity.retained_copies import KeptThere, kept_there
from sovereigncloud.kinds.hostedinstance.placement.location_compliance import who_is_judged
from sovereigncloud.kinds.hostedinstance.placement.placement import candidates_for
from sovereigncloud.kinds.hostedinstance.placement.relocation import as_it_moves
from sovereigncloud.kinds.instancemigration.checks import of_the_machine
from sovereigncloud.kinds.instancemigration.marketplace import no_marketplace, takes_images
from sovereigncloud.ports.errors import MissingSecret, OutsideError
from sovereigncloud.ports.opennebula.views import CloudView, Vm
from sovereigncloud.ports.opennebula.vm_states import Situation, state_of
from sovereigncloud.sovereignty.rules import Rules

_INSTANCE = HostedInstance.crd.kind
_ENDED = frozenset({Situation.ENDING, Situation.GONE})
_CANNOT = frozenset({Situation.SUSPENDED, Situation.STOPPED, Situation.UNDEPLOYED, Situation.FAILED})
_QUOTAS = {"VMS": "", "CPU": "cpu", "MEMORY": "memory", "SYSTEM_DISK_SIZE": "root"}
"""What is counted of a tenant in a cloud, and what of a machine counts."""


@dataclass(frozen=True, slots=True)
class Source:
    """A cloud that is left.

    Attributes:
        cloud: which.
        view: None where nothing of it is looked at, since it is lost.
        closed: why no disk can be copied out of it.
    """

    cloud: Key
    view: CloudView | None
    closed: Blocker | None = None


def closed(cloud: Key, markets: Iterable[tuple[str, str, bool]], named: str | None = None) -> Blocker | None:
    """Whether there is no marketplace over which disks could go. Whether one has room for them is for each move to see.

    Args:
        cloud: that is left.
        markets: name and driver of each, and whether it is enabled.
        named: the only one that may be used.
    """
    if any(takes_images(driver, enabled=on) and named in {None, name} for name, driver, on in markets):
        return None
    return Blocker(Reason.NO_MARKETPLACE, no_marketplace(where(cloud), named))


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked.

    Attributes:
        targets: for a namespace, the clouds that its machines could go to.
        names: what a network is called elsewhere.
        networks: whether a machine that has no network there cannot leave.
        may: what is in the way of a machine for whoever asks; None: nothing.
        rank: of the group that a machine leaves with.
        skips: machines that are not asked about, since they are on their way.
    """

    targets: Callable[[str], tuple[Key, ...]]
    names: Mapping[str, str] = field(default_factory=dict)
    networks: bool = True
    may: Callable[[InstanceFacts], Blocker | None] = lambda _: None
    rank: Callable[[InstanceFacts], int] = lambda _: 0
    skips: Callable[[InstanceFacts], bool] = lambda _: False


@dataclass(frozen=True, slots=True)
class Kind:
    """Of machines to which the same places are open. `name`: only where a policy speaks of this very machine; `copies`: only where
    they are what it would be made of.
    """

    namespace: str
    source: Key
    networks: tuple[str, ...]
    store: str
    name: str
    copies: tuple[CopyFacts, ...] = ()


async def could_leave(sources: Sequence[Source], question: Question, context: Context) -> Estimate:
    """All machines of these clouds together, those that people made included."""
    machines: list[Leaver] = []
    first: dict[Kind, InstanceFacts] = {}
    spaces: dict[str, _Namespace] = {}
    found = _Found(context, question, frozenset(source.cloud for source in sources if source.view is None))
    for source in sources:
        known = context.inhabitants(source.cloud)
        machines += _unmanaged(source, known, context)
        for facts in known:
            if question.skips(facts):
                continue
            namespace = facts.key.namespace
            if namespace not in spaces:
                spaces[namespace] = _namespace(namespace, question, context)
            kept = await found.kept_of(facts, spaces[namespace].targets) if source.view is None else ()
            one = _leaver(facts, source, question, spaces[namespace].rules, kept)
            machines.append(one)
            if isinstance(one.kind, Kind) and one.blocker is None:
                first.setdefault(one.kind, facts)
    options = {kind: await found.options(kind, facts, spaces[kind.namespace].targets) for kind, facts in first.items()}
    return estimate(machines, options, found.limits)


# ------------------------------------------------------------------------------------------------------- the machines


@dataclass(frozen=True, slots=True)
class _Namespace:
    """What holds for all machines of a namespace: where they could go, and the policies that bind them there."""

    targets: tuple[Key, ...]
    rules: tuple[Rules, ...]


def _namespace(namespace: str, question: Question, context: Context) -> _Namespace:
    targets = question.targets(namespace)
    return _Namespace(targets, tuple(rule for target in targets for rule in context.policies(namespace, target)))


def _leaver(
    facts: InstanceFacts,
    source: Source,
    question: Question,
    rules: Iterable[Rules],
    kept: tuple[CopyFacts, ...],
) -> Leaver:
    name, vm = f"{facts.key.namespace}/{facts.key.name}", None
    blocker = question.may(facts) or facts.blocker
    if source.view is not None:
        vm = source.view.vms.get(facts.vm)
        blocker = blocker or source.closed or _of_its_machine(facts, source.cloud, vm)
    namespace = facts.key.namespace
    judged_by = who_is_judged(rules, namespace, facts.key.name)[1]
    networks = facts.networks if vm is None else tuple(dict.fromkeys(nic.network for nic in vm.nics))
    copies = (*facts.copies, *kept) if source.view is None else ()
    kind = Kind(namespace, source.cloud, networks if question.networks else (), facts.store, judged_by, copies)
    demand = facts.demand if vm is None or source.view is None else demand_of_machine(vm, source.view)
    return Leaver(name, kind, demand, question.rank(facts), blocker)


def demand_of_machine(vm: Vm, view: CloudView) -> Demand:
    """As it is: its own disks where it runs, those that outlive it where images are."""
    persistent = {disk.id for disk in vm.disks if (image := view.images.get(disk.image_id)) and image.persistent}
    return Demand(
        cpu=round(float(vm.cpu or 0) * 100),
        memory=vm.memory,
        root=sum(disk.size for disk in vm.disks if disk.id not in persistent),
        data=sum(disk.size for disk in vm.disks if disk.id in persistent),
    )


def _of_its_machine(facts: InstanceFacts, cloud: Key, vm: Vm | None) -> Blocker | None:
    if vm is None:
        return Blocker(Reason.NOT_MOVABLE, f"VM {facts.vm} is not in {where(cloud)} any more")
    machine = f'VM {vm.id} "{vm.name}" in {where(cloud)}'
    trouble = merge(of_the_machine(vm, machine))
    if trouble.reason:
        return Blocker(Reason(trouble.reason), trouble.message)
    state = state_of(vm)
    if state.situation in _CANNOT:
        return Blocker(Reason.NOT_MOVABLE, f"{machine} is {state.words}; start it or power it off")
    return None


def _unmanaged(source: Source, known: Iterable[InstanceFacts], context: Context) -> Iterator[Leaver]:
    """Machines of nobody that the operator knows; what it made on its own behalf goes by itself."""
    if source.view is None:
        return
    ours = {facts.vm for facts in known}
    for vm in source.view.vms.values():
        if vm.id in ours or state_of(vm).situation in _ENDED:
            continue
        if vm.mark is not None and (not vm.mark.object.startswith(f"{_INSTANCE}/") or _is_being_made(vm.mark, context)):
            continue
        name = f"{where(source.cloud)} VM {vm.id}"
        told = (
            f'VM {vm.id} "{vm.name}" in {where(source.cloud)} belongs to no HostedInstance: adopt it (spec.adopt of a'
            " HostedInstance), or move it by hand"
        )
        yield Leaver(name, None, Demand(), blocker=Blocker(Reason.NOT_MANAGED, told))


def _is_being_made(mark: Mark, context: Context) -> bool:
    """For a HostedInstance that has not recorded it yet."""
    namespace, _, name = mark.object.removeprefix(f"{_INSTANCE}/").partition("/")  # as anybody may have written it
    found = context.get(Key(_INSTANCE, namespace, name))
    return found is not None and context.mark(found).installation == mark.installation


# --------------------------------------------------------------------------------------------------------- the places


class _Found:
    """What is looked at of the targets, each thing once."""

    def __init__(self, context: Context, question: Question, lost: frozenset[Key]) -> None:
        self._world, self._question, self._lost = context, question, lost
        self._views: dict[Key, CloudView | None] = {}
        self._copies: dict[tuple[str, Key], KeptThere] = {}
        self.limits: dict[str, Limit] = {}

    async def options(self, kind: Kind, facts: InstanceFacts, targets: Iterable[Key]) -> tuple[Option, ...]:
        """Of all machines that are like this one."""
        found = self._world.get(facts.key)
        if not isinstance(found, HostedInstance):
            return ()
        spec = found.spec.model_copy(update={"networks": None, "placement": None})
        like = as_it_moves(found.model_copy(update={"spec": spec}))
        options: list[Option] = []
        for target in targets:
            if target == kind.source:
                continue
            places = await candidates_for(like, self._world, (target,))
            view = await self._view(target)
            lacks = await self._lacks(found, target, view) if view is not None and kind.source in self._lost else None
            options += [self._option(place, kind, target, view, lacks) for place in places]
        return tuple(options)

    async def _lacks(self, found: HostedInstance, target: Key, view: CloudView) -> Blocker | None:
        kept = await self._kept(found.metadata.namespace, target)
        return _copy(found, target, view, kept.of(self._world.mark(found)))

    async def kept_of(self, facts: InstanceFacts, targets: Iterable[Key]) -> tuple[CopyFacts, ...]:
        """What rehearsals kept of a machine where it could go."""
        found = self._world.get(facts.key)
        if not isinstance(found, HostedInstance):
            return ()
        mark = self._world.mark(found)
        asked = (target for target in targets if target not in self._lost)
        kept = [copy for target in asked for copy in (await self._kept(facts.key.namespace, target)).of(mark)]
        return tuple(image_facts(copy, found) for copy in kept)

    async def _kept(self, namespace: str, target: Key) -> KeptThere:
        if (namespace, target) not in self._copies:
            view = await self._view(target)
            nothing = KeptThere(target)
            self._copies[namespace, target] = (
                nothing if view is None else await kept_there(view, target, namespace, self._world)
            )
        return self._copies[namespace, target]

    async def _view(self, cloud: Key) -> CloudView | None:
        if cloud not in self._views:
            try:
                self._views[cloud] = await self._world.view(cloud)
            except (OutsideError, MissingSecret):
                self._views[cloud] = None
        return self._views[cloud]

    def _option(
        self, place: Candidate, kind: Kind, target: Key, view: CloudView | None, lacks: Blocker | None
    ) -> Option:
        # How near it is, is the weather: what can leave must not depend on it.
        place = replace(place, latency=None)
        if view is None or not place.seen:
            return Option(place)
        claims = list(self._quota(self._world.tenancy(kind.namespace, target), target, view))
        lacking: list[str] = []
        for name in kind.networks:
            there = self._question.names.get(name, name)
            if (claim := self._addresses(there, target, view)) is None:
                lacking.append(
                    f"it has no network {there}" + ("" if there != name else ", and spec.networkMap names no other")
                )
            else:
                claims.append(claim)
        blocker = Blocker(Reason.NETWORK_NOT_FOUND, ", ".join(lacking)) if lacking else None
        return Option(place, tuple(claims), lacks or blocker)

    def _quota(self, tenancy: Tenancy | None, target: Key, view: CloudView) -> Iterator[Claim]:
        groups = view.tenancy.groups if view.tenancy is not None else {}
        group = groups.get(tenancy.group) if tenancy is not None and tenancy.group is not None else None
        if tenancy is None or group is None:
            return
        for metric, of in _QUOTAS.items():
            quota = group.quota.get(("VM", "", metric))
            if quota is None or quota.limit < 0:
                continue
            name = f"{where(target)} {tenancy.tenant} {metric}"
            times = 100 if metric == "CPU" else 1
            what = f"quota of Tenant {tenancy.tenant} ({metric})"
            self.limits.setdefault(
                name, Limit(int((quota.limit - quota.used) * Decimal(times)), Reason.QUOTA_EXCEEDED, what)
            )
            yield Claim(name, of)

    def _addresses(self, network: str, target: Key, view: CloudView) -> Claim | None:
        """None: there is no network of that name."""
        found = [one for one in view.networks.values() if one.name == network]
        if not found:
            return None
        free = sum(sum(range_.size for range_ in one.ranges) - one.used_leases for one in found)
        name = f"{where(target)} addresses of {network}"
        self.limits.setdefault(name, Limit(free, Reason.NO_CAPACITY, f"addresses in network {network}"))
        return Claim(name)


def _copy(resource: HostedInstance, target: Key, view: CloudView, kept: list[Copy]) -> Blocker | None:
    """Why the other cloud cannot make it of a copy. None: it can."""
    known = [*remembered(resource), *kept]
    found = usable(known, resource, target, view)
    if not isinstance(found, str):
        return None
    inside = bool(known) and not any(copy.outside for copy in known)
    return Blocker(Reason.COPY_INSIDE_CLOUD if inside else Reason.NO_USABLE_COPY, found)
