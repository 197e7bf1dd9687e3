"""Where a machine is with all that belongs to it, and whether that meets the policies that bind it.

Judged by what is: the host that it runs on, the datastores of its disks and images, where its backups go, the front-end. What
nobody knows does not comply. A machine that breaks a policy is told of and never stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.api.providerprofile import ProviderProfile
from sovereigncloud.api.sovereigncloud import SovereignCloud
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.location.facts import clusters_of, facts_of_machine
from sovereigncloud.kinds.movement.records import REHEARSED, read_rehearsal
from sovereigncloud.ports.opennebula.views import CloudView, Vm
from sovereigncloud.sovereignty.evaluation import COMPLIANT, Verdict, compliance, evaluate, refusals
from sovereigncloud.sovereignty.facts import Facts, Part, Place
from sovereigncloud.sovereignty.rules import Rules

ValueT = TypeVar("ValueT")
_CLOUDS = 64
_JUDGEMENTS = 4096
_BACKUP_DATASTORE = 3
_NONE: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Of a machine.

    Attributes:
        cluster: by its name; empty: not known.
        places: where its host stands: one, or those where it may come to be on.
        compliant: the condition; None: no policy binds it.
        leave: why a policy wants it elsewhere; empty: none does.
        refused: why nothing may be made where it is.
        labels: of its cloud.
    """

    cluster: str = ""
    places: tuple[Place, ...] = ()
    compliant: Mapping[str, str] | None = None
    leave: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)

    @property
    def country(self) -> str:
        """The one country that it is in; empty where nobody knows or it may be several."""
        found = {place.country for place in self.places}
        return found.pop() if len(found) == 1 else ""

    @property
    def datacenter(self) -> str:
        found = {place.datacenter for place in self.places}
        return found.pop() if len(found) == 1 else ""


SOMEWHERE = Whereabouts()
_Parts = tuple[str, str, frozenset[str], frozenset[str], frozenset[str]]
"""Host, cluster, datastores of its images, of its data disks, stores of its backups."""
_Who = tuple[str, str]
"""Namespace and name, the name only where an exception has it."""


def profile_of(cloud: SovereignCloud, context: Context) -> ProviderProfile | None:
    """Who provides it, as somebody wrote down."""
    reference = cloud.spec.provider_ref
    found = context.get(Key(ProviderProfile.crd.kind, "", reference.name)) if reference is not None else None
    return found if isinstance(found, ProviderProfile) else None


@dataclass(slots=True)
class _Known:
    """What followed from a cloud and its profile, while they are these very objects. Ten thousand machines are on a handful of
    hosts, and the same is found for all of one.
    """

    cloud: SovereignCloud
    profile: ProviderProfile | None
    found: dict[Any, Any] = field(default_factory=dict)

    def of(self, what: Any, find: Callable[[], ValueT]) -> ValueT:
        if what not in self.found:
            if len(self.found) >= _JUDGEMENTS:
                self.found.clear()
            self.found[what] = find()
        known: ValueT = self.found[what]
        return known


_known: dict[Key, _Known] = {}


def _known_of(key: Key, cloud: SovereignCloud, profile: ProviderProfile | None) -> _Known:
    known = _known.get(key)
    if known is None or known.cloud is not cloud or known.profile is not profile:
        if len(_known) >= _CLOUDS:
            _known.clear()
        known = _known[key] = _Known(cloud, profile)
    return known


def whereabouts(resource: HostedInstance, vm: Vm, cloud: Key, view: CloudView, context: Context) -> Whereabouts:
    """Of a machine that is there."""
    found = context.get(cloud)
    if not isinstance(found, SovereignCloud):
        return SOMEWHERE
    profile = profile_of(found, context)
    known = _known_of(cloud, found, profile)
    cluster = _cluster_of(resource, vm, view, found)
    images, data = _datastores(vm, view)
    kept = _kept(resource, vm, view)
    parts = (vm.host, cluster, images, data, kept)
    rules = context.policies(resource.metadata.namespace, cloud)
    who = who_is_judged(rules, resource.metadata.namespace, resource.metadata.name)
    # Only where it is asked for: machines that differ in nothing else are judged alike.
    proof = vm.notes.get(REHEARSED, "") if any(one.rehearsal_max_age for one in rules) else ""
    # By which very rules they are: to look at all that they say takes longer than the rest of this. Kept with what was found,
    # so that no others can come to be in their place.
    key = (parts, tuple(map(id, rules)), who, proof)
    return known.of(key, lambda: (_found(cloud, found, profile, parts, rules, who, proof), rules))[0]


def _found(
    key: Key,
    cloud: SovereignCloud,
    profile: ProviderProfile | None,
    parts: _Parts,
    rules: tuple[Rules, ...],
    who: _Who,
    proof: str,
) -> Whereabouts:
    facts = _with_proof(what_there_is(_facts(cloud, profile, *parts)), proof)
    compliant, leave = _judged(rules, facts, who)
    return Whereabouts(
        cluster=parts[1],
        places=facts.places.get(Part.COMPUTE, ()) if cloud.status.locations else (),
        compliant=compliant,
        leave=leave,
        refused=refusals(rules, facts, namespace=who[0], name=who[1], cloud=key),
        labels=cloud.metadata.labels,
    )


def who_is_judged(rules: Iterable[Rules], namespace: str, name: str) -> tuple[str, str]:
    """An exception may be for one machine, which is named then: all others of the namespace are judged alike."""
    excepted = any(e.namespace == namespace and e.name == name for one in rules for e in one.exceptions)
    return namespace, name if excepted else ""


def _judged(rules: tuple[Rules, ...], facts: Facts, who: _Who) -> tuple[Mapping[str, str] | None, tuple[str, ...]]:
    results = {one.policy: evaluate(one, facts, namespace=who[0], name=who[1]) for one in rules}
    leave = tuple(
        f"SovereigntyPolicy {one.policy}, {result}"
        for one in rules
        if one.relocates
        for result in results[one.policy]
        if result.gates and result.verdict is Verdict.FAIL
    )
    return compliance([result for found in results.values() for result in found]), leave


def _facts(
    cloud: SovereignCloud,
    profile: ProviderProfile | None,
    host: str,
    cluster: str,
    images: frozenset[str],
    data: frozenset[str],
    backups: frozenset[str],
) -> Facts:
    """Its root disk lies where the host has it, its data disks in the datastores of their images."""
    facts = facts_of_machine(cloud, profile, host=host, cluster=cluster, images=images or None, backups=backups)
    if not data:
        return facts
    beside = facts_of_machine(cloud, profile, host=host, cluster=cluster, datastores=data).places[Part.STORAGE]
    storage = tuple(dict.fromkeys((*facts.places[Part.STORAGE], *beside)))
    return replace(facts, places={**facts.places, Part.STORAGE: storage})


def _with_proof(facts: Facts, note: str) -> Facts:
    """Whether leaving was rehearsed, as a move noted on the machine itself."""
    proof = read_rehearsal(note)
    return replace(facts, exit_rehearsed=proof.at if proof else "", exit_took=proof.took if proof else None)


def what_there_is(facts: Facts) -> Facts:
    """Without the parts that it does not have: who has no backups has none abroad."""
    return replace(facts, places={part: places for part, places in facts.places.items() if places})


def _cluster_of(resource: HostedInstance, vm: Vm, view: CloudView, cloud: SovereignCloud) -> str:
    """Of its host; of a machine that is on none, the one that was chosen for it, or the only one."""
    if vm.host:
        return view.host_clusters.get(vm.host, "")
    chosen = resource.external.get("cluster", "")
    if chosen.isdigit() and (found := view.clusters.get(int(chosen))) is not None:
        return found.name
    clusters = clusters_of(cloud)
    return clusters[0] if len(clusters) == 1 else ""


def _datastores(vm: Vm, view: CloudView) -> tuple[frozenset[str], frozenset[str]]:
    """Names of those that its images are in, and of those that its data disks are in."""
    images: set[str] = set()
    data: set[str] = set()
    for disk in vm.disks:
        image = view.images.get(disk.image_id) if disk.image_id >= 0 else None
        datastore = view.datastores.get(image.datastore_id) if image is not None else None
        if image is not None and datastore is not None:
            (data if image.persistent else images).add(datastore.name)
    return frozenset(images | data), frozenset(data)


def _kept(resource: HostedInstance, vm: Vm, view: CloudView) -> frozenset[str]:
    """The stores that its backups go to, and those that hold one."""
    if not vm.backups.images and resource.spec.backup is None:
        return _NONE
    names = set(_stores_with_backups(vm, view))
    if resource.spec.backup is not None and resource.spec.backup.store:
        names.add(resource.spec.backup.store)
    return frozenset(names)


def _stores_with_backups(vm: Vm, view: CloudView) -> Iterator[str]:
    for number in vm.backups.images:
        image = view.images.get(number)
        datastore = view.datastores.get(image.datastore_id) if image is not None else None
        if datastore is not None and datastore.type == _BACKUP_DATASTORE:
            yield datastore.name


def kept_compliant(resource: HostedInstance) -> tuple[Mapping[str, str], ...]:
    """As it was said before: nobody could look."""
    before = resource.status.condition(COMPLIANT)
    if before is None:
        return ()
    return ({"type": COMPLIANT, "status": before.status, "reason": before.reason, "message": before.message},)
