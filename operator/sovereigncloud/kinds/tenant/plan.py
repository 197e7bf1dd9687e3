"""The plan of a Tenant in one of its clouds: group, VDC, isolation, quota, images, and last the users.

In this order: until it is kept out of the default VDC and within its quota, nobody is in the group.
"""

from __future__ import annotations

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.machineimage import MachineImage
from sovereigncloud.api.tenant import Tenant
from sovereigncloud.core.identity import Mark, Ownership, ownership
from sovereigncloud.core.outcome import DONE, stalled, waiting
from sovereigncloud.core.plan import Action, Cause, Drift, Plan
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.identity.identification import foreign, written
from sovereigncloud.kinds.planning.composition import join
from sovereigncloud.kinds.tenant.observation import TenantIn
from sovereigncloud.kinds.tenant.quota import plan_quota
from sovereigncloud.kinds.tenant.steps import (
    ChangeCluster,
    CreateGroup,
    CreateVdc,
    JoinVdc,
    MarkGroup,
    MarkVdc,
    NoteAttempt,
    RemoveRule,
    RenameVdc,
    ShareImage,
    attempt,
)
from sovereigncloud.kinds.tenant.users import plan_users
from sovereigncloud.ports.opennebula.tenancy import ALL_CLUSTERS, DEFAULT_VDC, Group, Vdc


def plan_in(here: TenantIn, resource: Tenant, mark: Mark) -> Plan:
    """What differs in a cloud that spec lists, and what is to be done."""
    problem = here.problem or here.group.problem or here.vdc.problem
    if problem is not None:
        return Plan(outcome=problem)
    cause = Cause.OBSERVED if resource.settled else Cause.DECLARED
    group = here.group.thing
    if group is None:
        return _no_group(here, resource, mark, cause)
    parts = [
        _marked(here, resource, group),
        _out_of_default(here, group, cause),
        _vdc(here, resource, group, cause),
        plan_quota(here, group, cause),
        _images(here, group, mark, cause),
        plan_users(here, resource, group, mark, cause),
    ]
    return join(parts)


def _no_group(here: TenantIn, resource: Tenant, mark: Mark, cause: Cause) -> Plan:
    """A group takes no template: the attempt is recorded, then it is made, then it is marked."""
    name, place = resource.outside_name, where(here.cloud)
    groups = here.people.groups.values() if here.people is not None else ()
    namesake = next((g for g in groups if g.name == name), None)
    tried = resource.external.get(attempt(here.cloud)) == name
    if namesake is not None:
        return _namesake(here, namesake, mark, tried=tried)
    drift: tuple[Drift, ...] = ()
    if here.group.missing is not None:
        drift = (Drift(f"{here.path}.group", f'group "{name}"', f"group {here.group.missing} was deleted"),)
    target = f'group "{name}" in {place}'
    note = NoteAttempt(
        action=Action.UPDATE, target=f"attempt to make {target}", inside=True, cloud=here.cloud, group=name
    )
    create = CreateGroup(
        action=Action.CREATE,
        target=target,
        fields=tuple(d.path for d in drift),
        cause=cause if drift else Cause.DECLARED,
        cloud=here.cloud,
        name=name,
    )
    steps = (create,) if tried else (note, create)
    return Plan(drift=drift, steps=steps, outcome=waiting(Reason.CREATING, f"{target} is to be made"))


def _namesake(here: TenantIn, group: Group, mark: Mark, *, tried: bool) -> Plan:
    what = f'group {group.id} "{group.name}" in {where(here.cloud)}'
    match ownership(group.mark, mark):
        case Ownership.NONE if tried:
            return Plan(
                steps=(MarkGroup(action=Action.UPDATE, target=f"mark of {what}", cloud=here.cloud, group=group.id),),
                outcome=waiting(Reason.CREATING, f"{what} is to be marked"),
            )
        case Ownership.FOREIGN:
            return Plan(outcome=foreign(group, "group"))
        case _:
            return Plan(
                outcome=stalled(
                    Reason.NAME_TAKEN,
                    f"{what} is there already and is not ours; set spec.name to another name, or hand it over: add to its"
                    f" template {written(mark)}",
                )
            )


def _marked(here: TenantIn, resource: Tenant, group: Group) -> Plan:
    name, drift = resource.outside_name, tuple[Drift, ...]()
    if group.name != name:  # OpenNebula has no call that renames a group
        drift = (Drift(f"{here.path}.group", f'called "{name}"', f'called "{group.name}"', mendable=False),)
    if not here.group.predecessor:
        return Plan(drift=drift)
    target = f'group {group.id} "{group.name}" in {where(here.cloud)}'
    step = MarkGroup(action=Action.MARK, target=target, cloud=here.cloud, group=group.id)
    return Plan(drift=drift, steps=(step,))


def _out_of_default(here: TenantIn, group: Group, cause: Cause) -> Plan:
    """OpenNebula puts every new group into the default VDC, which holds everything."""
    default = here.people.vdcs.get(DEFAULT_VDC) if here.people is not None else None
    if default is None or group.id not in default.groups:
        return Plan()
    path = f"{here.path}.isolation"
    step = JoinVdc(
        action=Action.UPDATE,
        target=f'group {group.id} "{group.name}" out of the default VDC of {where(here.cloud)}',
        fields=(path,),
        cause=cause,
        cloud=here.cloud,
        vdc=DEFAULT_VDC,
        group=group.id,
        leave=True,
    )
    return Plan(drift=(Drift(path, "not in the default VDC", f'in VDC 0 "{default.name}"'),), steps=(step,))


# ------------------------------------------------------------------------------------------------------------- the VDC


def _vdc(here: TenantIn, resource: Tenant, group: Group, cause: Cause) -> Plan:
    vdc, name = here.vdc.thing, resource.outside_name
    if vdc is None:
        return _no_vdc(here, name, cause)
    target = f'VDC {vdc.id} "{vdc.name}" in {where(here.cloud)}'
    steps = []
    drift = []
    if here.vdc.predecessor:
        steps.append(MarkVdc(action=Action.MARK, target=target, cloud=here.cloud, vdc=vdc.id))
    renaming: list[RenameVdc] = []
    if vdc.name != name:
        drift.append(Drift("spec.name" if resource.spec.name else "metadata.name", name, vdc.name))
        renaming.append(
            RenameVdc(
                action=Action.UPDATE, target=f"{target}: name", fields=(drift[-1].path,), cause=cause, cloud=here.cloud,
                vdc=vdc.id, name=name,
            )
        )  # fmt: skip
    clusters = _clusters(here, vdc, cause)
    membership = Plan()
    if group.id not in vdc.groups:
        path = f"{here.path}.vdc"
        joining = JoinVdc(
            action=Action.UPDATE,
            target=f"{target}: group {group.id}",
            fields=(path,),
            cause=cause,
            cloud=here.cloud,
            vdc=vdc.id,
            group=group.id,
        )
        membership = Plan(drift=(Drift(path, f"group {group.id} in it", "not in it"),), steps=(joining,))
    return join([Plan(drift=tuple(drift), steps=(*steps, *renaming)), clusters, membership])


def _no_vdc(here: TenantIn, name: str, cause: Cause) -> Plan:
    place = where(here.cloud)
    vdcs = here.people.vdcs.values() if here.people is not None else ()
    if (taken := next((v for v in vdcs if v.name == name), None)) is not None:
        return Plan(
            outcome=stalled(
                Reason.NAME_TAKEN,
                f'VDC {taken.id} "{name}" is in {place} already and is not ours; rename it there, or set spec.name to another'
                " name",
            )
        )
    drift: tuple[Drift, ...] = ()
    if here.vdc.missing is not None:
        drift = (Drift(f"{here.path}.vdc", f'VDC "{name}"', f"VDC {here.vdc.missing} was deleted"),)
    step = CreateVdc(
        action=Action.CREATE,
        target=f'VDC "{name}" in {place}',
        fields=tuple(d.path for d in drift),
        cause=cause if drift else Cause.DECLARED,
        cloud=here.cloud,
        name=name,
    )
    return Plan(drift=drift, steps=(step,), outcome=waiting(Reason.CREATING, f"{step.target} is to be made"))


def _clusters(here: TenantIn, vdc: Vdc, cause: Cause) -> Plan:
    """Those of this cloud's zone: in a federation the VDC is one for all of them."""
    wanted, view, people = here.wanted, here.view, here.people
    if wanted is None or view is None or people is None:
        return Plan()
    by_name = {cluster.name: cluster.id for cluster in view.clusters.values()}
    names = {cluster.id: f'"{cluster.name}"' for cluster in view.clusters.values()} | {ALL_CLUSTERS: "all"}
    unknown = [name for name in wanted.clusters or () if name not in by_name]
    ids = {by_name[n] for n in wanted.clusters if n in by_name} if wanted.clusters else {ALL_CLUSTERS}
    found = {cluster for zone, cluster in vdc.clusters if zone == people.zone}
    problem = DONE
    if unknown:
        there = ", ".join(sorted(by_name)) or "none"
        problem = stalled(
            Reason.UNKNOWN_REFERENCE,
            f"{where(here.cloud)} has no cluster called {', '.join(unknown)} as {here.path}.clusters says; there are: {there}",
        )
    if ids == found or (unknown and not ids):
        return Plan(outcome=problem)
    path = f"{here.path}.clusters"

    def told(clusters: set[int]) -> str:
        return ", ".join(sorted(names.get(cluster, str(cluster)) for cluster in clusters)) or "none"

    changes = [*((c, False) for c in sorted(ids - found)), *((c, True) for c in sorted(found - ids) if not unknown)]
    steps = tuple(
        ChangeCluster(
            action=Action.UPDATE,
            target=f'VDC {vdc.id} "{vdc.name}" in {where(here.cloud)}: cluster {names.get(cluster, cluster)}'
            + (" leaves" if remove else ""),
            fields=(path,),
            cause=cause,
            cloud=here.cloud,
            vdc=vdc.id,
            zone=people.zone,
            cluster=cluster,
            remove=remove,
        )
        for cluster, remove in changes
    )
    return Plan(drift=(Drift(path, told(ids), told(found)),), steps=steps, outcome=problem)


# -------------------------------------------------------------------------------------------------------------- images


def _images(here: TenantIn, group: Group, mark: Mark, cause: Cause) -> Plan:
    """A rule for each image that a MachineImage of the cloud's namespace made, since images belong to the administrator; and
    none for images that are gone. Nobody else's images are opened to the tenant.
    """
    view, people = here.view, here.people
    if view is None or people is None:
        return Plan()
    ours = f"{MachineImage.crd.kind}/{here.cloud.namespace}/"
    drift: list[Drift] = []
    steps: list[ShareImage | RemoveRule] = []
    for image in sorted(view.images.values(), key=lambda i: i.id):
        made = image.mark is not None and image.mark.installation == mark.installation
        if not made or image.mark is None or not image.mark.object.startswith(ours) or image.public:
            continue
        if (group.id, image.id) not in people.images:
            path = f"{here.path}.images[{image.name}]"
            drift.append(Drift(path, "shared", "not shared"))
            steps.append(
                ShareImage(
                    action=Action.UPDATE,
                    target=f'image {image.id} "{image.name}" in {where(here.cloud)} for group {group.id}',
                    fields=(path,), cause=cause, cloud=here.cloud, group=group.id, image=image.id, zone=people.zone,
                )
            )  # fmt: skip
    steps += [
        RemoveRule(
            action=Action.UPDATE, target=f"rule {rule} about image {image}, which is gone", cloud=here.cloud, rule=rule
        )
        for (whose, image), rule in sorted(people.images.items())
        if whose == group.id and image not in view.images
    ]
    return Plan(drift=tuple(drift), steps=tuple(steps))
