"""The VM group of a machine: a group of its namespace in its cloud, made before its first member, deleted after its last.

OpenNebula knows groups by name and owner; the name here is namespace.group, which no other namespace can have. Each group
has both roles, so that a machine changes its mind without a group being made anew.
"""

from __future__ import annotations

from dataclasses import replace

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.api.instance_compute import Affinity, Group
from sovereigncloud.core.identity import Mark
from sovereigncloud.core.outcome import DONE, Outcome, Phase, stalled
from sovereigncloud.core.plan import Action, Disruption, Drift, Plan, Step
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.hostedinstance.compute.steps import (
    APART,
    TOGETHER,
    CreateGroup,
    DeleteGroup,
    JoinGroup,
    LeaveGroup,
)
from sovereigncloud.kinds.hostedinstance.machine.cloud_context import name_of_group as name_of
from sovereigncloud.kinds.hostedinstance.machine.machine import NOTHING, Machine, Part
from sovereigncloud.kinds.hostedinstance.observation import InstanceObservation
from sovereigncloud.kinds.hostedinstance.steps import MoveVm
from sovereigncloud.kinds.identity.identification import foreign
from sovereigncloud.ports.opennebula.features import Feature, has
from sovereigncloud.ports.opennebula.views import CloudView, Membership
from sovereigncloud.ports.opennebula.vm_groups import VmGroup
from sovereigncloud.ports.opennebula.vm_states import AT_REST, Situation

PATH = "spec.group"
_ROLES = {Affinity.TOGETHER: TOGETHER, Affinity.APART: APART}


def role_of(group: Group) -> str:
    return _ROLES[Affinity(group.policy)]


def prepared(
    resource: HostedInstance, observed: InstanceObservation, cloud: Key, view: CloudView
) -> VmGroup | CreateGroup | Outcome:
    """The group that spec names; else the step that makes it, or why there is none."""
    declared = resource.spec.group
    if declared is None:
        return DONE
    namespace = resource.metadata.namespace
    name = name_of(namespace, declared.name)
    named = [one for one in view.vm_groups.values() if one.name == name and one.owner == observed.owner]
    for one in named:
        if _is_ours(one, namespace, observed):
            return one
        if one.mark is not None and one.mark.installation != observed.mark.installation:
            return foreign(one, "VM group")
        return stalled(
            Reason.NAME_TAKEN,
            f'{where(cloud)} has a VM group {one.id} "{name}" that was not made for this namespace: rename or delete it'
            " there, or name another one in spec.group",
        )
    return CreateGroup(
        action=Action.CREATE,
        target=f'VM group "{name}" in {where(cloud)}',
        cloud=cloud,
        name=name,
        mark=Mark(observed.mark.installation, _object(namespace, declared.name), declared.name),
        part=True,
    )


def group(m: Machine) -> Part:
    """In the group that spec names, and in no other."""
    found = prepared(m.resource, m.observed, m.cloud, m.view)
    declared = m.resource.spec.group
    if declared is None:
        steps = leftovers(m.resource, m.observed, m.cloud)
        return Part(steps=steps) if steps else NOTHING
    if isinstance(found, VmGroup) and m.vm.groups == (Membership(found.id, role_of(declared)),):
        return Part(steps=leftovers(m.resource, m.observed, m.cloud))
    drift = (Drift(PATH, f"{declared.name} ({declared.policy})", _told(m)),)
    if isinstance(found, Outcome):
        return Part(drift, outcome=found)
    if not has(m.observed.site.version, Feature.GROUP_MEMBERSHIP):
        return Part(drift, (_replacement(m),))
    if m.situation not in AT_REST | {Situation.QUEUED, Situation.HELD}:
        return Part(drift)
    # Left before it is joined: oned would put it in both (OpenNebula/one#8016).
    leave = LeaveGroup(
        action=Action.DETACH,
        target=f"{m.target} from its VM group",
        fields=(PATH,),
        cause=m.cause,
        cloud=m.cloud,
        vm=m.vm.id,
    )
    leaves = (leave,) if m.vm.groups else ()
    if isinstance(found, CreateGroup):
        return Part(drift, (replace(found, fields=(PATH,)), *leaves))
    join = JoinGroup(
        action=Action.ATTACH,
        target=f'{m.target} to VM group "{found.name}", {role_of(declared)}',
        fields=(PATH,),
        cause=m.cause,
        cloud=m.cloud,
        vm=m.vm.id,
        group=found.id,
        role=role_of(declared),
    )
    return Part(drift, (*leaves, join))


def with_leftovers(plan: Plan, resource: HostedInstance, observed: InstanceObservation) -> Plan:
    """The end of a machine is the end of its group, if it was the last."""
    if observed.cloud is None or plan.outcome.phase is not Phase.DONE:
        return plan
    return replace(plan, steps=(*plan.steps, *leftovers(resource, observed, observed.cloud)))


def leftovers(resource: HostedInstance, observed: InstanceObservation, cloud: Key) -> tuple[Step, ...]:
    """Groups of the namespace in which nobody is and that nobody names: whoever is the last deletes them."""
    if observed.view is None:
        return ()
    return tuple(
        DeleteGroup(
            action=Action.DELETE,
            target=f'VM group {one.id} "{one.name}" in {where(cloud)}',
            cloud=cloud,
            group=one.id,
        )
        for one in empty_groups(observed.view, resource.metadata.namespace, observed)
        if one.name not in observed.groups_in_use
    )


def empty_groups(view: CloudView, namespace: str, observed: InstanceObservation) -> tuple[VmGroup, ...]:
    """Of this namespace, made by us."""
    return tuple(one for one in view.empty_groups if _is_ours(one, namespace, observed))


def _is_ours(one: VmGroup, namespace: str, observed: InstanceObservation) -> bool:
    mark = one.mark
    return (
        mark is not None
        and one.owner in observed.owners
        and mark.installation == observed.mark.installation
        and one.name == name_of(namespace, mark.uid)
        and mark.object == _object(namespace, mark.uid)
    )


def _object(namespace: str, group: str) -> str:
    return f"VmGroup/{namespace}/{group}"


def _told(m: Machine) -> str:
    known = {one.id: one.name for one in m.view.vm_groups.values()}
    told = [f"{known.get(one.group, one.group)} ({one.role})" for one in m.vm.groups]
    return ", ".join(told) or "none"


def _replacement(m: Machine) -> MoveVm:
    """Shown, never done: nobody means the loss of a disk by a group."""
    return MoveVm(
        action=Action.REPLACE,
        target=m.target,
        fields=(PATH,),
        disruption=Disruption.DATA_LOSS,
        cause=m.cause,
        needs=f"another HostedInstance (OpenNebula {m.observed.site.version} keeps a machine in its group; 7.4 does not)",
        cloud=m.cloud,
        vm=m.vm.id,
    )
