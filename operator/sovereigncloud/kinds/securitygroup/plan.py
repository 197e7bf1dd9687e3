"""The plan of a SecurityGroup: in each cloud by itself, put together."""

from __future__ import annotations

from dataclasses import replace

from sovereigncloud.api.common.base import DeletionPolicy
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.securitygroup import SecurityGroup
from sovereigncloud.core.identity import Mark, Ownership, ownership
from sovereigncloud.core.outcome import DONE, Outcome, Phase, blocked, stalled, waiting
from sovereigncloud.core.plan import LOST_PATH, Action, Cause, Drift, Plan, Step
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.identity.adoption import releasing
from sovereigncloud.kinds.identity.adoption_per_cloud import fact, is_let_go, was_adopted
from sovereigncloud.kinds.identity.identification import foreign, looked_for_again, written
from sovereigncloud.kinds.planning.composition import consent_last, join, one_per_path
from sovereigncloud.kinds.securitygroup.observation import CloudGroup, GroupObservation
from sovereigncloud.kinds.securitygroup.rules import check, told, wanted
from sovereigncloud.kinds.securitygroup.steps import (
    COMMIT,
    PENDING,
    AdoptGroup,
    CommitRules,
    CreateGroup,
    DeleteGroup,
    MarkGroup,
    NoteCommitted,
    RecordGroup,
    ReleaseGroup,
    RenameGroup,
    SetRules,
    again,
    record,
)
from sovereigncloud.ports.opennebula.security_groups import DEFAULT_GROUP, SecurityRule
from sovereigncloud.ports.opennebula.security_groups import SecurityGroup as Group
from sovereigncloud.ports.opennebula.views import CloudView
from sovereigncloud.ports.opennebula.vm_states import AT_REST, Situation, state_of

_SHOWN = 10
_PASSES = frozenset({Situation.BUSY, Situation.QUEUED})


def plan(resource: SecurityGroup, observed: GroupObservation) -> Plan:
    """All differences, the steps, and what the groups say."""
    if not resource.deleting:
        try:
            check(resource.spec)
        except ValueError as error:
            return Plan(outcome=stalled(Reason.INVALID_SPEC, str(error)))
        if not observed.clouds:
            namespace = resource.metadata.namespace
            return Plan(outcome=blocked(f"there is no SovereignCloud that namespace {namespace} may use; make one"))
    plan = join(_plan_in(here, resource, observed) for here in observed.clouds)
    return replace(plan, drift=one_per_path(plan.drift), steps=consent_last(plan.steps))


def _plan_in(here: CloudGroup, resource: SecurityGroup, observed: GroupObservation) -> Plan:
    going = resource.deleting or not here.wanted
    if going and is_let_go(resource, here.cloud, here.found.thing):
        return _release(here, late=observed.late)
    problem = here.problem or here.found.problem
    if problem is not None:
        nothing_made = record(here.cloud) not in resource.external and problem.phase is Phase.STALLED
        return Plan() if going and nothing_made and here.found.problem is None else Plan(outcome=problem)
    if here.view is None:
        return Plan()
    if here.found.missing is not None and not observed.admitted:
        return looked_for_again(f"security group {here.found.missing} in {where(here.cloud)}")
    group = here.found.thing
    if going:
        keeps = resource.deletion_policy is DeletionPolicy.RETAIN or here.needs
        return Plan() if group is None or keeps else _deletion(here, group)
    rules = wanted(resource.spec, here.view, here.on_their_way, where(here.cloud), here.owners)
    if group is None:
        return _making(here, resource, observed.mark, rules)
    return _keeping(here, here.view, group, resource, rules)


def _making(here: CloudGroup, resource: SecurityGroup, mark: Mark, rules: tuple[SecurityRule, ...] | Outcome) -> Plan:
    if here.namesake is not None:
        return Plan(outcome=_taken(here, here.namesake, mark))
    if isinstance(rules, Outcome):
        return Plan(outcome=rules)
    lost = here.found.missing
    name = f'security group "{resource.outside_name}"'
    step = CreateGroup(
        action=Action.CREATE,
        target=f"{name} in {where(here.cloud)}",
        cause=Cause.DECLARED if lost is None else Cause.OBSERVED,
        # driftPolicy decides about a group that was lost, never about one that was not made yet.
        fields=() if lost is None else (LOST_PATH,),
        needs=here.needs,
        cloud=here.cloud,
        rules=rules,
    )
    drift = () if lost is None else (Drift(LOST_PATH, name, f"{lost} in {where(here.cloud)} is gone"),)
    return Plan(drift=drift, steps=(step,), outcome=waiting(Reason.CREATING, f"{step.target} is to be made"))


def _taken(here: CloudGroup, found: Group, mark: Mark) -> Outcome:
    """A name can be taken once per owner."""
    what = f'security group {found.id} "{found.name}" in {where(here.cloud)}'
    match ownership(found.mark, mark):
        case Ownership.FOREIGN:
            return foreign(found, "security group")
        case Ownership.NONE if found.id == DEFAULT_GROUP:
            remedy = "it is OpenNebula's own and is never changed"
        case Ownership.NONE:
            remedy = f"if it is the one that spec means, add to its template: {written(mark)}"
        case _:
            remedy = f"it belongs to {found.mark.object.replace('/', ' ', 1) if found.mark else 'nobody'}"
    message = f"{what} has the name already; {remedy}; else set another spec.name, and name that in the instances"
    return stalled(Reason.NAME_TAKEN, message)


def _keeping(
    here: CloudGroup,
    view: CloudView,
    group: Group,
    resource: SecurityGroup,
    rules: tuple[SecurityRule, ...] | Outcome,
) -> Plan:
    target = f'security group {group.id} "{group.name}" in {where(here.cloud)}'
    cause = Cause.OBSERVED if resource.settled else Cause.DECLARED
    steps: list[Step] = []
    drift: list[Drift] = []
    adopted = was_adopted(resource, here.cloud, group)
    unrecorded = adopted and fact(here.cloud) not in resource.external
    if here.found.adoptable:
        steps.append(
            AdoptGroup(
                action=Action.MARK, target=target, needs=here.needs, cloud=here.cloud, group=group.id, owner=group.owner
            )
        )
    elif here.found.predecessor:
        steps.append(MarkGroup(action=Action.MARK, target=target, needs=here.needs, cloud=here.cloud, group=group.id))
    elif resource.external.get(record(here.cloud)) != str(group.id) or unrecorded:
        owner = group.owner if adopted else None
        steps.append(
            RecordGroup(action=Action.UPDATE, target=target, inside=True, cloud=here.cloud, group=group.id, owner=owner)
        )
    if group.name != resource.outside_name and not (adopted and resource.spec.name is None):
        drift.append(Drift("spec.name", resource.outside_name, f"{group.name} in {where(here.cloud)}"))
        steps.append(
            RenameGroup(
                action=Action.UPDATE,
                # The declared name: the step keeps its hash whatever it is called meanwhile.
                target=f'security group {group.id} in {where(here.cloud)}: called "{resource.outside_name}"',
                fields=("spec.name",),
                cause=cause,
                needs=here.needs,
                cloud=here.cloud,
                group=group.id,
                name=resource.outside_name,
            )
        )
    outcome = _machines(here, view, group)
    if isinstance(rules, Outcome):
        return Plan(drift=tuple(drift), steps=tuple(steps), outcome=outcome.merge(rules))
    found = _differences(here, view, group, rules)
    drift += found
    # Each by itself: what a step leaves to the next is seen in the group, also after a crash between them.
    if found:
        steps.append(
            SetRules(
                action=Action.UPDATE,
                target=f"{target}: rules",
                fields=tuple(d.path for d in found),
                cause=cause,
                needs=here.needs,
                cloud=here.cloud,
                group=group.id,
                rules=rules,
            )
        )
    if found or group.notes.get(COMMIT) == PENDING:
        paths = tuple(d.path for d in found)
        steps += _commit(here, target, group, paths, cause)
    elif _may_be_told_again(group, view):
        steps += _commit(here, target, group, (), cause, recover=True)
    return Plan(drift=tuple(drift), steps=tuple(steps), outcome=outcome)


def _may_be_told_again(group: Group, view: CloudView) -> bool:
    """Rules do not reach a machine that starts or gets a card just then, and OpenNebula does not try again by itself. So it is
    asked to, once for the same machines, as soon as all of them are at rest.
    """
    if not group.failed or group.notes.get(COMMIT) == again(group.failed):
        return False
    machines = [view.vms[number] for number in group.failed if number in view.vms]
    return all(state_of(vm).situation in AT_REST for vm in machines)


def _release(here: CloudGroup, *, late: bool) -> Plan:
    """The marks of one that was there before are taken off; nothing where it is gone, or is not this object's (any more)."""
    if here.problem is not None:
        return Plan() if late else Plan(outcome=here.problem)
    group = here.found.thing
    if group is None or here.found.adoptable or here.needs:
        return Plan()
    target = f'marks of security group {group.id} "{group.name}" in {where(here.cloud)}'
    step = ReleaseGroup(action=Action.UPDATE, target=target, cloud=here.cloud, group=group.id)
    return releasing(step)


def _commit(
    here: CloudGroup, target: str, group: Group, fields: tuple[str, ...], cause: Cause, *, recover: bool = False
) -> tuple[Step, ...]:
    """`fields`: those that were changed for it: where they are only reported, nothing is committed either."""
    return (
        CommitRules(
            action=Action.UPDATE,
            target=f"{target}: machines",
            fields=fields,
            cause=cause,
            needs=here.needs,
            cloud=here.cloud,
            group=group.id,
            recover=recover,
        ),
        NoteCommitted(
            action=Action.UPDATE,
            target=f"{target}: note that machines have the rules",
            fields=fields,
            cause=cause,
            needs=here.needs,
            cloud=here.cloud,
            group=group.id,
            again=group.failed if recover else (),
        ),
    )


def _differences(here: CloudGroup, view: CloudView, group: Group, rules: tuple[SecurityRule, ...]) -> list[Drift]:
    place = where(here.cloud)
    missing = [rule for rule in rules if rule not in group.rules]
    surplus = [rule for rule in group.rules if rule not in rules]
    return [
        *(Drift(f"spec.rules[{told(rule, view)}]", "present", f"absent in {place}") for rule in missing),
        *(Drift(f"spec.rules[{told(rule, view)}]", "absent", f"present in {place}") for rule in surplus),
    ]


def _machines(here: CloudGroup, view: CloudView, group: Group) -> Outcome:
    """How far the rules have come to the machines."""
    what = f'security group {group.id} "{group.name}" in {where(here.cloud)}'
    moving = [
        number for number in group.failed if number in view.vms and state_of(view.vms[number]).situation in _PASSES
    ]
    if group.failed and (moving or _may_be_told_again(group, view)):
        names = ", ".join(_named(vm, view) for vm in group.failed[:_SHOWN])
        message = f"{what}: the rules did not reach {names}, which started or changed then; they are brought once more"
        return waiting(Reason.UPDATING, message, available=True)
    if group.failed:
        names = ", ".join(_named(vm, view) for vm in group.failed[:_SHOWN])
        return stalled(
            Reason.UPDATE_FAILURE,
            f"{what}: {len(group.failed)} of {len(group.vms)} machines did not take the rules: {names}; see the log of"
            f" the machine on the front-end, then onesecgroup commit --recover {group.id}",
        )
    late = len({*group.outdated, *group.updating})
    if late:
        return waiting(
            Reason.UPDATING,
            f"{what}: {len(group.vms) - late} of {len(group.vms)} machines have the rules",
            available=True,
        )
    return DONE


def _named(number: int, view: CloudView) -> str:
    vm = view.vms.get(number)
    return f'VM {number} "{vm.name}"' if vm is not None else f"VM {number}"


def _deletion(here: CloudGroup, group: Group) -> Plan:
    """It waits until nobody uses it, then it goes."""
    what = f'security group {group.id} "{group.name}" in {where(here.cloud)}'
    if here.view is None:
        return Plan()
    users = (*here.named_by, *(_named(vm, here.view) for vm in group.vms), *here.networks)
    if users:
        more = f" and {len(users) - _SHOWN} more" if len(users) > _SHOWN else ""
        return Plan(outcome=blocked(f"{what} is in use by {', '.join(users[:_SHOWN])}{more}", reason=Reason.IN_USE))
    step = DeleteGroup(action=Action.DELETE, target=what, cloud=here.cloud, group=group.id)
    return Plan(steps=(step,), outcome=waiting(Reason.DELETING, f"{what} is to be deleted"))
