"""Location compliance: where a VM and its data are, and whether policies allow that.

Evaluated from the actual host, the datastores of disks and images, the backup stores and the front-end. Unknown
locations do not comply. A violation is reported; the VM is never stopped.
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
from sovereigncloud.kinds.hostedinstance.machine.observed import UNKNOWN_LOCATION, VmLocation
from sovereigncloud.kinds.location.facts import clusters_of, facts_of_machine
from sovereigncloud.kinds.movement.records import REHEARSED, read_rehearsal
from sovereigncloud.ports.opennebula.views import CloudView, Vm
from sovereigncloud.sovereignty.evaluation import COMPLIANT, Verdict, compliance, evaluate, refusals
from sovereigncloud.sovereignty.facts import Facts, Part
from sovereigncloud.sovereignty.rules import Rules

ValueT = TypeVar("ValueT")
_CLOUDS = 64
_JUDGEMENTS = 4096
_BACKUP_DATASTORE = 3
_NONE: frozenset[str] = frozenset()


_Parts = tuple[str, str, frozenset[str], frozenset[str], frozenset[str]]
"""Host, cluster, datastores of images, datastores of data disks, backup stores."""
_Who = tuple[str, str]
"""Namespace and name; the name only if an exception of a policy has it."""


def profile_of(cloud: SovereignCloud, context: Context) -> ProviderProfile | None:
    """ProviderProfile of a cloud; None if it has none."""
    reference = cloud.spec.provider_ref
    found = context.get(Key(ProviderProfile.crd.kind, "", reference.name)) if reference is not None else None
    return found if isinstance(found, ProviderProfile) else None


@dataclass(slots=True)
class _Cache:
    """Cache of evaluations, valid as long as cloud and profile are the same objects.

    Ten thousand VMs run on a handful of hosts, and all VMs of one host have the same result.
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


_known: dict[Key, _Cache] = {}


def _cache_of(key: Key, cloud: SovereignCloud, profile: ProviderProfile | None) -> _Cache:
    known = _known.get(key)
    if known is None or known.cloud is not cloud or known.profile is not profile:
        if len(_known) >= _CLOUDS:
            _known.clear()
        known = _known[key] = _Cache(cloud, profile)
    return known


def vm_location(resource: HostedInstance, vm: Vm, cloud: Key, view: CloudView, context: Context) -> VmLocation:
    """Location of an existing VM and its evaluation, cached."""
    found = context.get(cloud)
    if not isinstance(found, SovereignCloud):
        return UNKNOWN_LOCATION
    profile = profile_of(found, context)
    known = _cache_of(cloud, found, profile)
    cluster = _cluster_of(resource, vm, view, found)
    images, data = _datastores(vm, view)
    kept = _kept(resource, vm, view)
    parts = (vm.host, cluster, images, data, kept)
    rules = context.policies(resource.metadata.namespace, cloud)
    who = evaluation_scope(rules, resource.metadata.namespace, resource.metadata.name)
    # Only if a rule needs it: VMs that differ in nothing else share a result.
    proof = vm.notes.get(REHEARSED, "") if any(one.rehearsal_max_age for one in rules) else ""
    # Cache key by identity of the rules, since comparing their content is slow. The rules are kept in the cached value,
    # so that their ids are not reused.
    key = (parts, tuple(map(id, rules)), who, proof)
    return known.of(key, lambda: (_evaluate_location(cloud, found, profile, parts, rules, who, proof), rules))[0]


def _evaluate_location(
    key: Key,
    cloud: SovereignCloud,
    profile: ProviderProfile | None,
    parts: _Parts,
    rules: tuple[Rules, ...],
    who: _Who,
    proof: str,
) -> VmLocation:
    facts = _with_proof(existing_parts(_facts(cloud, profile, *parts)), proof)
    compliant, leave = _evaluated(rules, facts, who)
    return VmLocation(
        cluster=parts[1],
        places=facts.places.get(Part.COMPUTE, ()) if cloud.status.locations else (),
        compliant=compliant,
        leave=leave,
        refused=refusals(rules, facts, namespace=who[0], name=who[1], cloud=key),
        labels=cloud.metadata.labels,
    )


def evaluation_scope(rules: Iterable[Rules], namespace: str, name: str) -> tuple[str, str]:
    """Namespace and name to evaluate policies with; the name only if an exception has it.

    So all other VMs of the namespace share a result.
    """
    excepted = any(e.namespace == namespace and e.name == name for one in rules for e in one.exceptions)
    return namespace, name if excepted else ""


def _evaluated(rules: tuple[Rules, ...], facts: Facts, who: _Who) -> tuple[Mapping[str, str] | None, tuple[str, ...]]:
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
    """Location facts: root disk on its host, data disks in the datastores of their images."""
    facts = facts_of_machine(cloud, profile, host=host, cluster=cluster, images=images or None, backups=backups)
    if not data:
        return facts
    beside = facts_of_machine(cloud, profile, host=host, cluster=cluster, datastores=data).places[Part.STORAGE]
    storage = tuple(dict.fromkeys((*facts.places[Part.STORAGE], *beside)))
    return replace(facts, places={**facts.places, Part.STORAGE: storage})


def _with_proof(facts: Facts, note: str) -> Facts:
    """Facts with the last rehearsal, as noted on the VM."""
    proof = read_rehearsal(note)
    return replace(facts, exit_rehearsed=proof.at if proof else "", exit_took=proof.took if proof else None)


def existing_parts(facts: Facts) -> Facts:
    """Facts without the parts that do not exist, such as backups of a VM without any."""
    return replace(facts, places={part: places for part, places in facts.places.items() if places})


def _cluster_of(resource: HostedInstance, vm: Vm, view: CloudView, cloud: SovereignCloud) -> str:
    """Cluster of the VM's host, else the chosen one, else the only one."""
    if vm.host:
        return view.host_clusters.get(vm.host, "")
    chosen = resource.external.get("cluster", "")
    if chosen.isdigit() and (found := view.clusters.get(int(chosen))) is not None:
        return found.name
    clusters = clusters_of(cloud)
    return clusters[0] if len(clusters) == 1 else ""


def _datastores(vm: Vm, view: CloudView) -> tuple[frozenset[str], frozenset[str]]:
    """Names of the datastores of all its images, and of its data disks."""
    images: set[str] = set()
    data: set[str] = set()
    for disk in vm.disks:
        image = view.images.get(disk.image_id) if disk.image_id >= 0 else None
        datastore = view.datastores.get(image.datastore_id) if image is not None else None
        if image is not None and datastore is not None:
            (data if image.persistent else images).add(datastore.name)
    return frozenset(images | data), frozenset(data)


def _kept(resource: HostedInstance, vm: Vm, view: CloudView) -> frozenset[str]:
    """Names of the stores that receive or hold its backups."""
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


def reported_compliance(resource: HostedInstance) -> tuple[Mapping[str, str], ...]:
    """Keep the reported condition while the VM cannot be observed."""
    before = resource.status.condition(COMPLIANT)
    if before is None:
        return ()
    return ({"type": COMPLIANT, "status": before.status, "reason": before.reason, "message": before.message},)
