"""Exit estimate: how many VMs could leave their clouds now, and what blocks the others.

Everything is read from cached views and the informer cache: no API request per VM, and none to a lost source.
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
from sovereigncloud.kinds.contract.cloud_keys import where
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.contract.instance_facts import CopyFacts, InstanceFacts
from sovereigncloud.kinds.contract.tenancy import Tenancy
from sovereigncloud.kinds.exit_readiness.facts import image_facts
from sovereigncloud.kinds.hostedinstance.continuity.copies import recorded_copies, usable_copy
from sovereigncloud.kinds.hostedinstance.continuity.retained_copies import RetainedInCloud, retained_in_cloud
from sovereigncloud.kinds.hostedinstance.machine.copy import Copy
from sovereigncloud.kinds.hostedinstance.placement.location_compliance import evaluation_scope
from sovereigncloud.kinds.hostedinstance.placement.placement import candidates_for
from sovereigncloud.kinds.hostedinstance.placement.relocation import relocated_instance
from sovereigncloud.kinds.instancemigration.checks import check_vm
from sovereigncloud.kinds.instancemigration.marketplace import no_marketplace, takes_images
from sovereigncloud.ports.errors import MissingSecret, OutsideError
from sovereigncloud.ports.opennebula.views import CloudView, Vm
from sovereigncloud.ports.opennebula.vm_states import Situation, state_of
from sovereigncloud.sovereignty.rules import Rules

_INSTANCE = HostedInstance.crd.kind
_ENDED = frozenset({Situation.ENDING, Situation.GONE})
_CANNOT = frozenset({Situation.SUSPENDED, Situation.STOPPED, Situation.UNDEPLOYED, Situation.FAILED})
_QUOTAS = {"VMS": "", "CPU": "cpu", "MEMORY": "memory", "SYSTEM_DISK_SIZE": "root"}
"""Quota metrics of a tenant in a cloud, and the part of a VM's demand that each counts."""


@dataclass(frozen=True, slots=True)
class Source:
    """A source cloud.

    Attributes:
        cloud: which.
        view: its view; None if it is lost and not read.
        closed: why no disk can be copied out of it.
    """

    cloud: Key
    view: CloudView | None
    marketplace_blocker: Blocker | None = None


def marketplace_blocker(
    cloud: Key, markets: Iterable[tuple[str, str, bool]], named: str | None = None
) -> Blocker | None:
    """Blocker for a cloud that has no marketplace to transfer disks through.

    Whether a marketplace has enough space is checked by each migration.

    Args:
        cloud: the source.
        markets: name and driver of each, and whether it is enabled.
        named: the only marketplace that may be used; None: any.
    """
    if any(takes_images(driver, enabled=on) and named in {None, name} for name, driver, on in markets):
        return None
    return Blocker(Reason.NO_MARKETPLACE, no_marketplace(where(cloud), named))


@dataclass(frozen=True, slots=True)
class ExitQuery:
    """Scope and rules of an exit estimate.

    Attributes:
        targets: for a namespace, the clouds that its VMs could move to.
        names: network names in the target, for those that are mapped.
        networks: whether a missing network blocks a VM.
        may: blocker of a VM for whoever asks; None: none.
        rank: number of the group that a VM leaves with.
        skips: VMs that are left out because they are being migrated.
    """

    targets: Callable[[str], tuple[Key, ...]]
    names: Mapping[str, str] = field(default_factory=dict)
    networks: bool = True
    may: Callable[[InstanceFacts], Blocker | None] = lambda _: None
    rank: Callable[[InstanceFacts], int] = lambda _: 0
    skips: Callable[[InstanceFacts], bool] = lambda _: False


@dataclass(frozen=True, slots=True)
class VmClass:
    """Equivalence class of VMs with the same possible targets, computed once per class.

    `name`: set only if a policy names this very VM; `copies`: set only if the VM would be recreated from them.

    `name`: set only if a policy names this very VM; `copies`: set only if the VM would be recreated from them.
    """

    namespace: str
    source: Key
    networks: tuple[str, ...]
    store: str
    name: str
    copies: tuple[CopyFacts, ...] = ()


async def estimate_exit(sources: Sequence[Source], question: ExitQuery, context: Context) -> Estimate:
    """Estimate for all VMs of these clouds together, including VMs without a HostedInstance."""
    machines: list[Leaver] = []
    first: dict[VmClass, InstanceFacts] = {}
    spaces: dict[str, _Namespace] = {}
    found = _TargetLookups(context, question, frozenset(source.cloud for source in sources if source.view is None))
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
            if isinstance(one.kind, VmClass) and one.blocker is None:
                first.setdefault(one.kind, facts)
    options = {kind: await found.options(kind, facts, spaces[kind.namespace].targets) for kind, facts in first.items()}
    return estimate(machines, options, found.limits)


# ------------------------------------------------------------------------------------------------------- the machines


@dataclass(frozen=True, slots=True)
class _Namespace:
    """Possible targets of a namespace and the policies that bind it there."""

    targets: tuple[Key, ...]
    rules: tuple[Rules, ...]


def _namespace(namespace: str, question: ExitQuery, context: Context) -> _Namespace:
    targets = question.targets(namespace)
    return _Namespace(targets, tuple(rule for target in targets for rule in context.policies(namespace, target)))


def _leaver(
    facts: InstanceFacts,
    source: Source,
    question: ExitQuery,
    rules: Iterable[Rules],
    kept: tuple[CopyFacts, ...],
) -> Leaver:
    name, vm = f"{facts.key.namespace}/{facts.key.name}", None
    blocker = question.may(facts) or facts.blocker
    if source.view is not None:
        vm = source.view.vms.get(facts.vm)
        blocker = blocker or source.marketplace_blocker or _vm_blocker(facts, source.cloud, vm)
    namespace = facts.key.namespace
    judged_by = evaluation_scope(rules, namespace, facts.key.name)[1]
    networks = facts.networks if vm is None else tuple(dict.fromkeys(nic.network for nic in vm.nics))
    copies = (*facts.copies, *kept) if source.view is None else ()
    kind = VmClass(namespace, source.cloud, networks if question.networks else (), facts.store, judged_by, copies)
    demand = facts.demand if vm is None or source.view is None else demand_of_machine(vm, source.view)
    return Leaver(name, kind, demand, question.rank(facts), blocker)


def demand_of_machine(vm: Vm, view: CloudView) -> Demand:
    """Demand of a VM as it is: its non-persistent disks as root, its persistent ones as data."""
    persistent = {disk.id for disk in vm.disks if (image := view.images.get(disk.image_id)) and image.persistent}
    return Demand(
        cpu=round(float(vm.cpu or 0) * 100),
        memory=vm.memory,
        root=sum(disk.size for disk in vm.disks if disk.id not in persistent),
        data=sum(disk.size for disk in vm.disks if disk.id in persistent),
    )


def _vm_blocker(facts: InstanceFacts, cloud: Key, vm: Vm | None) -> Blocker | None:
    if vm is None:
        return Blocker(Reason.NOT_MOVABLE, f"VM {facts.vm} is not in {where(cloud)} any more")
    machine = f'VM {vm.id} "{vm.name}" in {where(cloud)}'
    trouble = merge(check_vm(vm, machine))
    if trouble.reason:
        return Blocker(Reason(trouble.reason), trouble.message)
    state = state_of(vm)
    if state.situation in _CANNOT:
        return Blocker(Reason.NOT_MOVABLE, f"{machine} is {state.words}; start it or power it off")
    return None


def _unmanaged(source: Source, known: Iterable[InstanceFacts], context: Context) -> Iterator[Leaver]:
    """VMs without a HostedInstance, each as a blocker.

    VMs that the operator runs for itself are left out.
    """
    if source.view is None:
        return
    ours = {facts.vm for facts in known}
    for vm in source.view.vms.values():
        if vm.id in ours or state_of(vm).situation in _ENDED:
            continue
        if vm.mark is not None and (
            not vm.mark.object.startswith(f"{_INSTANCE}/") or _is_being_created(vm.mark, context)
        ):
            continue
        name = f"{where(source.cloud)} VM {vm.id}"
        told = (
            f'VM {vm.id} "{vm.name}" in {where(source.cloud)} belongs to no HostedInstance: adopt it (spec.adopt of a'
            " HostedInstance), or move it by hand"
        )
        yield Leaver(name, None, Demand(), blocker=Blocker(Reason.NOT_MANAGED, told))


def _is_being_created(mark: Mark, context: Context) -> bool:
    """Whether the VM was just created for a HostedInstance that has not recorded it yet."""
    namespace, _, name = mark.object.removeprefix(f"{_INSTANCE}/").partition("/")  # untrusted text
    found = context.get(Key(_INSTANCE, namespace, name))
    return found is not None and context.mark(found).installation == mark.installation


# -------------------------------------------------------------------------------------------------------- the targets


class _TargetLookups:
    """Lookups in the target clouds, each done once."""

    def __init__(self, context: Context, question: ExitQuery, lost: frozenset[Key]) -> None:
        self._context, self._question, self._lost = context, question, lost
        self._views: dict[Key, CloudView | None] = {}
        self._copies: dict[tuple[str, Key], RetainedInCloud] = {}
        self.limits: dict[str, Limit] = {}

    async def options(self, kind: VmClass, facts: InstanceFacts, targets: Iterable[Key]) -> tuple[Option, ...]:
        """Placement options of a whole equivalence class, computed for this VM."""
        found = self._context.get(facts.key)
        if not isinstance(found, HostedInstance):
            return ()
        spec = found.spec.model_copy(update={"networks": None, "placement": None})
        like = relocated_instance(found.model_copy(update={"spec": spec}))
        options: list[Option] = []
        for target in targets:
            if target == kind.source:
                continue
            places = await candidates_for(like, self._context, (target,))
            view = await self._view(target)
            lacks = (
                await self._copy_blocker(found, target, view)
                if view is not None and kind.source in self._lost
                else None
            )
            options += [self._option(place, kind, target, view, lacks) for place in places]
        return tuple(options)

    async def _copy_blocker(self, found: HostedInstance, target: Key, view: CloudView) -> Blocker | None:
        kept = await self._kept(found.metadata.namespace, target)
        return _copy(found, target, view, kept.of(self._context.mark(found)))

    async def kept_of(self, facts: InstanceFacts, targets: Iterable[Key]) -> tuple[CopyFacts, ...]:
        """Retained copies of a VM in its possible targets."""
        found = self._context.get(facts.key)
        if not isinstance(found, HostedInstance):
            return ()
        mark = self._context.mark(found)
        asked = (target for target in targets if target not in self._lost)
        kept = [copy for target in asked for copy in (await self._kept(facts.key.namespace, target)).of(mark)]
        return tuple(image_facts(copy, found) for copy in kept)

    async def _kept(self, namespace: str, target: Key) -> RetainedInCloud:
        if (namespace, target) not in self._copies:
            view = await self._view(target)
            nothing = RetainedInCloud(target)
            self._copies[namespace, target] = (
                nothing if view is None else await retained_in_cloud(view, target, namespace, self._context)
            )
        return self._copies[namespace, target]

    async def _view(self, cloud: Key) -> CloudView | None:
        if cloud not in self._views:
            try:
                self._views[cloud] = await self._context.view(cloud)
            except (OutsideError, MissingSecret):
                self._views[cloud] = None
        return self._views[cloud]

    def _option(
        self, place: Candidate, kind: VmClass, target: Key, view: CloudView | None, lacks: Blocker | None
    ) -> Option:
        # Latency changes all the time, and whether a VM can leave must not depend on it.
        place = replace(place, latency=None)
        if view is None or not place.seen:
            return Option(place)
        claims = list(self._quota(self._context.tenancy(kind.namespace, target), target, view))
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
        """Claim on the free addresses of a network; None if there is no network of that name."""
        found = [one for one in view.networks.values() if one.name == network]
        if not found:
            return None
        free = sum(sum(range_.size for range_ in one.ranges) - one.used_leases for one in found)
        name = f"{where(target)} addresses of {network}"
        self.limits.setdefault(name, Limit(free, Reason.NO_CAPACITY, f"addresses in network {network}"))
        return Claim(name)


def _copy(resource: HostedInstance, target: Key, view: CloudView, kept: list[Copy]) -> Blocker | None:
    """Why the target cannot recreate the VM from any copy; None if it can."""
    known = [*recorded_copies(resource), *kept]
    found = usable_copy(known, resource, target, view)
    if not isinstance(found, str):
        return None
    inside = bool(known) and not any(copy.outside for copy in known)
    return Blocker(Reason.COPY_INSIDE_CLOUD if inside else Reason.NO_USABLE_COPY, found)
