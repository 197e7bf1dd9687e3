"""Clusters, hosts and datastores of a cloud, as far as spec declares them.

What bears the name already is taken as it is: it is kept in what spec declares, and nothing else of it is touched, nor is it
ever deleted. What the operator made goes once spec does not list it any more and it is empty. Hosts are registered one after
the other, each only when the one before it is monitored: two at once may get one name (OpenNebula/one#7527).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from sovereigncloud.api import SovereignCloud
from sovereigncloud.api.cloud_parts import ClusterPart, DatastorePart, DatastoreType, HostPart
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.core.identity import Mark, Ownership, ownership
from sovereigncloud.core.outcome import Outcome, stalled, waiting
from sovereigncloud.core.plan import Action, Cause, Drift, Plan, Step
from sovereigncloud.core.quantity import mebibytes
from sovereigncloud.kinds.identity.part_mark import Marked, made_for
from sovereigncloud.kinds.planning.composition import join
from sovereigncloud.kinds.sovereigncloud.hosts.hosts import (
    BROKEN,
    DEFAULT_CLUSTER,
    DISABLED,
    DRIVER,
    LEAVING_NOTE,
    word,
)
from sovereigncloud.kinds.sovereigncloud.infrastructure.cluster_membership import plan_membership
from sovereigncloud.kinds.sovereigncloud.infrastructure.removal import anything_leaves, as_marked, plan_parts_leaving
from sovereigncloud.kinds.sovereigncloud.infrastructure.steps import (
    ATTEMPT,
    CLUSTERS,
    DATASTORES,
    HOSTS,
    AttemptPart,
    CreatePart,
    MarkPart,
    RenamePart,
    ReturnHost,
    UpdatePart,
)
from sovereigncloud.ports.opennebula.views import CloudView, Cluster, Datastore, Host

_TYPES = {DatastoreType.IMAGE: 0, DatastoreType.SYSTEM: 1, DatastoreType.FILE: 2}
_TEMPLATE_TYPES = {0: "IMAGE_DS", 1: "SYSTEM_DS", 2: "FILE_DS"}
_INIT = frozenset({0, 6})
_KIB_IN_A_MIB = 1024
_FRAME = frozenset({"NAME", "TYPE", "DS_MAD", "TM_MAD"})


def plan_parts(cloud: SovereignCloud, view: CloudView, mark: Mark, nodes: Mapping[str, str], *, admitted: bool) -> Plan:
    """`nodes`: hosts of a hosted cloud by the names of their servers."""
    spec = cloud.spec
    if not (spec.clusters or spec.hosts or spec.datastores) and not anything_leaves(cloud, view, mark):
        return Plan()
    plans = [_cluster(cloud, part, view, mark) for part in spec.clusters or ()]
    plans += [_datastore(cloud, part, view, mark) for part in spec.datastores or ()]
    plans += _hosts(cloud, view, mark, admitted=admitted)
    membership = plan_membership(cloud, view, mark, nodes)
    # What is where comes after what there is; but what is only reported must not hide where things are.
    plans.append(Plan(drift=membership.drift) if any(plan.steps for plan in plans) else membership)
    whole = join((*plans, *plan_parts_leaving(cloud, view, mark)))
    # An attempt that left something unmarked is the only one that is remembered: it is marked before another is begun.
    marks = tuple(step for step in whole.steps if isinstance(step, MarkPart))
    return replace(whole, steps=(*marks, *(step for step in whole.steps if step not in marks)))


def _cause(cloud: SovereignCloud) -> Cause:
    return Cause.OBSERVED if cloud.settled else Cause.DECLARED


def find_part(things: Iterable[Marked], field: str, name: str, mark: Mark) -> tuple[Marked | None, bool]:
    """What was made for the entry, else what bears its name; and whether it is ours."""
    pool = tuple(things)
    ours = made_for(pool, field, name, mark)
    return (ours[0], True) if ours else (next((t for t in pool if t.name == name), None), False)


def _foreign(thing: Marked, mark: Mark, path: str) -> Outcome | None:
    """Why nothing is written there: another installation has it, or another object of this one."""
    if thing.mark is None:
        return None
    match ownership(thing.mark, mark):
        case Ownership.FOREIGN:
            return stalled(
                Reason.OWNED_BY_ANOTHER_INSTALLATION,
                f"{path}: number {thing.id} carries the mark of installation {thing.mark.installation} ({thing.mark.object});"
                " nothing is written there. Remove its SOVEREIGNCLOUD_ attributes if that installation is gone",
                after=300.0,
            )
        case Ownership.SIBLING:
            whose = thing.mark.object.replace("/", " ", 1)
            message = f"{path}: number {thing.id} belongs to {whose}, which says what it is; use another name, or take it out there"
            return stalled(Reason.NAME_TAKEN, message, after=300.0)
        case _:
            return None


def _made(cloud: SovereignCloud, step: CreatePart) -> Plan:
    """A cluster and a host are attempted in writing before, since they cannot be marked as they are made."""
    path = step.fields[0]
    drift = (Drift(path, "there", "not there"),)
    if step.template is None and cloud.external.get(ATTEMPT) != f"{step.field}/{step.name}":
        attempt = AttemptPart(
            action=Action.CREATE, target=step.target, fields=step.fields, cause=step.cause, part=True, field=step.field,
            name=step.name, mark=step.mark,
        )  # fmt: skip
        return Plan(drift, (attempt,))
    return Plan(drift, (step,))


def _marking(cloud: SovereignCloud, thing: Marked, field: str, name: str, target: str, mark: Mark) -> MarkPart | None:
    """Taken over from before the cluster was rebuilt, or left unmarked by an attempt of ours."""
    whose = ownership(thing.mark, mark)
    ours_by_attempt = whose is Ownership.NONE and cloud.external.get(ATTEMPT) == f"{field}/{name}"
    if whose is not Ownership.PREDECESSOR and not ours_by_attempt:
        return None
    action = Action.MARK if whose is Ownership.PREDECESSOR else Action.UPDATE
    return MarkPart(action=action, target=f"mark of {target}", field=field, name=name, mark=mark, oid=thing.id)


# --- clusters ------------------------------------------------------------------------------------------------------


def _cluster(cloud: SovereignCloud, part: ClusterPart, view: CloudView, mark: Mark) -> Plan:
    path = f"spec.clusters[{part.name}]"
    found, ours = find_part(view.clusters.values(), CLUSTERS, part.name, mark)
    if not isinstance(found, Cluster):
        create = CreatePart(
            action=Action.CREATE, target=f"cluster {part.name}", fields=(path,), cause=_cause(cloud), part=True,
            field=CLUSTERS, name=part.name, mark=mark,
        )  # fmt: skip
        return _made(cloud, create)
    target = f"cluster {found.id} ({found.name})"
    if (foreign := _foreign(found, mark, path)) is not None:
        return Plan(outcome=foreign)
    if (marking := _marking(cloud, found, CLUSTERS, part.name, target, mark)) is not None:
        return Plan(tuple(d for _, d in _reservations_that_differ(part, found)), (marking,))
    drift = [d for _, d in _reservations_that_differ(part, found)]
    steps: list[Step] = [
        _attribute(cloud, CLUSTERS, part.name, found, mark, target, (d.path, name, _reservations(part)[name]))
        for name, d in _reservations_that_differ(part, found)
    ]
    drift += _renamed(path, part.name, found, ours=ours)
    steps += _renaming(cloud, path, CLUSTERS, part.name, found, mark) if ours else []
    return Plan(tuple(drift), tuple(steps))


def _reservations(part: ClusterPart) -> dict[str, str]:
    """As OpenNebula counts: hundredths of a processor, KiB."""
    reserved = part.reserved
    if reserved is None:
        return {}
    cpu = {} if reserved.cpu is None else {"RESERVED_CPU": str(reserved.cpu * 100)}
    memory = {} if reserved.memory is None else {"RESERVED_MEM": str(mebibytes(reserved.memory) * _KIB_IN_A_MIB)}
    return cpu | memory


def _reservations_that_differ(part: ClusterPart, found: Cluster) -> Iterator[tuple[str, Drift]]:
    names = {"RESERVED_CPU": "cpu", "RESERVED_MEM": "memory"}
    units = {"RESERVED_CPU": " hundredths of a processor", "RESERVED_MEM": " KiB"}
    for name, value in _reservations(part).items():
        there = found.attributes.get(name, "")
        if there != value:
            path = f"spec.clusters[{part.name}].reserved.{names[name]}"
            yield name, Drift(path, f"{value}{units[name]}", f"{there}{units[name]}" if there else "none")


def _attribute(
    cloud: SovereignCloud, field: str, name: str, found: Marked, mark: Mark, target: str, what: tuple[str, str, str]
) -> UpdatePart:
    """One write for one field (path, attribute, value): what driftPolicy says of one is not to be undone by another."""
    path, attribute, value = what
    return UpdatePart(
        action=Action.UPDATE,
        target=target,
        fields=(path,),
        cause=_cause(cloud),
        field=field,
        name=name,
        mark=mark,
        oid=found.id,
        attributes={attribute: value},
    )


def _renamed(path: str, name: str, found: Marked, *, ours: bool) -> list[Drift]:
    return [Drift(f"{path}.name", name, found.name)] if ours and found.name != name else []


def _renaming(cloud: SovereignCloud, path: str, field: str, name: str, found: Marked, mark: Mark) -> list[Step]:
    if found.name == name:
        return []
    target = f"{field.removesuffix('s')} {found.id} ({found.name}), called {name}"
    return [
        RenamePart(
            action=Action.UPDATE,
            target=target,
            fields=(f"{path}.name",),
            cause=_cause(cloud),
            field=field,
            name=name,
            mark=mark,
            oid=found.id,
        )
    ]


# --- datastores ----------------------------------------------------------------------------------------------------


def _datastore(cloud: SovereignCloud, part: DatastorePart, view: CloudView, mark: Mark) -> Plan:
    path = f"spec.datastores[{part.name}]"
    for name in part.attributes or ():
        if name.upper() != name or name in _FRAME or name.startswith("SOVEREIGNCLOUD_"):
            message = f"{path}.attributes: {name} is said by another field, or is not in capital letters; remove or correct it"
            return Plan(outcome=stalled(Reason.INVALID_SPEC, message))
    found, ours = find_part(view.datastores.values(), DATASTORES, part.name, mark)
    if not isinstance(found, Datastore):
        kind = _TEMPLATE_TYPES[_TYPES[DatastoreType(part.type)]]
        driver = {} if part.type is DatastoreType.SYSTEM else {"DS_MAD": part.driver or "fs"}
        template = {"NAME": part.name, "TYPE": kind, "TM_MAD": part.transfer, **driver, **(part.attributes or {})}
        first = next((c.id for c in view.clusters.values() if c.name == (part.clusters or [""])[0]), DEFAULT_CLUSTER)
        step = CreatePart(
            action=Action.CREATE, target=f"datastore {part.name}", fields=(path,), cause=_cause(cloud), part=True,
            field=DATASTORES, name=part.name, mark=mark, template=template, cluster=first,
        )  # fmt: skip
        return _made(cloud, step)
    target = f"datastore {found.id} ({found.name})"
    if (foreign := _foreign(found, mark, path)) is not None:
        return Plan(outcome=foreign)
    if found.type != _TYPES[DatastoreType(part.type)]:
        message = f"{path}: {target} is of another type ({found.attributes.get('TYPE', found.type)}); use another name"
        return Plan(outcome=stalled(Reason.NAME_TAKEN, message))
    drift = [
        Drift(f"{path}.attributes.{name}", value, found.attributes.get(name) or "absent")
        for name, value in (part.attributes or {}).items()
        if found.attributes.get(name, "") != value
    ]
    told = list(_other_drivers(path, part, found))
    if (marking := _marking(cloud, found, DATASTORES, part.name, target, mark)) is not None:
        return Plan((*drift, *told), (marking,))
    steps: list[Step] = [
        _attribute(cloud, DATASTORES, part.name, found, mark, target, (d.path, d.path.rpartition(".")[2], d.desired))
        for d in drift
    ]
    steps += _renaming(cloud, path, DATASTORES, part.name, found, mark) if ours else []
    return Plan((*drift, *told, *_renamed(path, part.name, found, ours=ours)), tuple(steps))


def _other_drivers(path: str, part: DatastorePart, found: Datastore) -> Iterator[Drift]:
    """What is in it was laid out for them: they are told, never changed."""
    if found.transfer != part.transfer:
        yield Drift(f"{path}.transfer", part.transfer, found.transfer, mendable=False)
    if part.driver and found.driver != part.driver:
        yield Drift(f"{path}.driver", part.driver, found.driver, mendable=False)


# --- hosts -----------------------------------------------------------------------------------------------------------


def _hosts(cloud: SovereignCloud, view: CloudView, mark: Mark, *, admitted: bool) -> Iterator[Plan]:
    by_name = {host.name: host for host in sorted(view.hosts.values(), key=lambda h: -h.id)}
    declared = cloud.spec.hosts or ()
    unready = next((h for p in declared if (h := by_name.get(p.name)) and h.state in _INIT), None)
    begun = False
    for part in declared:
        host = by_name.get(part.name)
        if host is not None:
            yield _host(cloud, part, host, mark)
        elif begun:
            yield Plan((Drift(f"spec.hosts[{part.name}]", "registered", "not registered"),), outcome=_next(part.name))
        elif unready is not None:
            yield Plan(outcome=_in_series(part.name, unready))
        else:
            plan = _new_host(cloud, part, view, mark, admitted=admitted)
            begun = bool(plan.steps)
            yield plan


def _next(name: str) -> Outcome:
    return waiting(Reason.HOST_NOT_MONITORED, f"host {name} is registered after the ones before it", available=True)


def _in_series(name: str, before: Host) -> Outcome:
    message = f"host {name} is registered once host {before.id} ({before.name}) is monitored: it is in state {word(before.state)}"
    return waiting(Reason.HOST_NOT_MONITORED, message, after=2.0, available=True)


def _new_host(cloud: SovereignCloud, part: HostPart, view: CloudView, mark: Mark, *, admitted: bool) -> Plan:
    path = f"spec.hosts[{part.name}]"
    if cloud.settled and not admitted:
        message = f"host {part.name} is missing in OpenNebula's list"
        outcome = waiting(Reason.CONFIRMING_ABSENCE, message, available=True)
        return Plan((Drift(path, "registered", "not registered"),), outcome=outcome, absent=True)
    cluster = next((c.id for c in view.clusters.values() if c.name == part.cluster), DEFAULT_CLUSTER)
    vmm = part.vmm or DRIVER
    step = CreatePart(
        action=Action.CREATE, target=f"host {part.name}", fields=(path,), cause=_cause(cloud), part=True, field=HOSTS,
        name=part.name, mark=mark, drivers=(part.im or vmm, vmm), cluster=cluster,
    )  # fmt: skip
    return _made(cloud, step)


def _host(cloud: SovereignCloud, part: HostPart, host: Host, mark: Mark) -> Plan:
    path, target = f"spec.hosts[{part.name}]", f"host {host.id} ({host.name})"
    if (foreign := _foreign(as_marked(host), mark, path)) is not None:
        return Plan(outcome=foreign)
    told = [
        Drift(f"{path}.{field}", wanted, there, mendable=False)
        for field, wanted, there in (("vmm", part.vmm, host.vm_mad), ("im", part.im, host.im_mad))
        if wanted and wanted != there
    ]
    steps: list[Step] = []
    marking = _marking(cloud, as_marked(host), HOSTS, part.name, target, mark)
    if marking is not None:
        steps.append(marking)
    elif host.state in DISABLED and LEAVING_NOTE in host.notes:
        steps.append(
            ReturnHost(
                action=Action.UPDATE,
                target=f"{target}, enabled",
                fields=(path,),
                cause=_cause(cloud),
                field=HOSTS,
                name=part.name,
                mark=mark,
                oid=host.id,
            )
        )
    outcome = Outcome()
    if host.state in BROKEN or host.state in _INIT:
        message = f"{target} is in state {word(host.state)}: look at its monitoring in OpenNebula"
        outcome = waiting(Reason.HOST_NOT_MONITORED, message, available=cloud.settled)
    return Plan(tuple(told), tuple(steps), outcome)
