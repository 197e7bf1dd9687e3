"""What can be done to a security group, and how each of it is done: one call that is safe to repeat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.securitygroup import SecurityGroup
from sovereigncloud.core.identity import ONE_ADOPTED
from sovereigncloud.core.outcome import Outcome, done
from sovereigncloud.core.plan import Step
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.identity.adoption_per_cloud import fact
from sovereigncloud.ports.opennebula.security_groups import SecurityGroups, SecurityRule

COMMIT = "SOVEREIGNCLOUD_COMMIT"
PENDING, COMMITTED = "PENDING", "DONE"
"""Noted on the group in the very call that changes its rules: machines have the old ones until a commit, and whether that
was made cannot be seen afterwards."""
_RECORD = "group."


def again(machines: tuple[int, ...]) -> str:
    """The note that the rules were brought once more to machines that they had not reached."""
    return "AGAIN " + " ".join(map(str, sorted(machines)))


def record(cloud: Key) -> str:
    """The key of `status.external` for the id there."""
    return f"{_RECORD}{where(cloud)}"


def recorded_clouds(external: dict[str, str]) -> tuple[str, ...]:
    """The clouds where it was made, as namespace/name."""
    return tuple(sorted(key.removeprefix(_RECORD) for key in external if key.startswith(_RECORD)))


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupStep(Step):
    cloud: Key


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateGroup(GroupStep):
    rules: tuple[SecurityRule, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OnGroup(GroupStep):
    group: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordGroup(OnGroup):
    """Record the group that was found by its mark: the answer to its creation was lost. Nothing outside. `owner`: whose it
    was when it was adopted.
    """

    owner: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AdoptGroup(OnGroup):
    """Mark one that was there before, and note that it was. `owner`: whose it is, and stays."""

    owner: int
    only_marks: ClassVar[bool] = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseGroup(OnGroup):
    """Take off what the operator wrote on one that was there before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkGroup(OnGroup):
    """Take it over from before the cluster was rebuilt."""

    only_marks: ClassVar[bool] = True


@dataclass(frozen=True, slots=True, kw_only=True)
class SetRules(OnGroup):
    rules: tuple[SecurityRule, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitRules(OnGroup):
    """Bring the rules to the machines; `recover`: only to those that they did not reach."""

    recover: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteCommitted(OnGroup):
    """Note that the commit was made; `again`: for which machines it was made once more, so that it is not for ever."""

    again: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RenameGroup(OnGroup):
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteGroup(OnGroup):
    pass


async def perform(step: Step, resource: SecurityGroup, context: Context) -> Outcome:
    """Do one step. Its outcome records which group it was, where."""
    if not isinstance(step, GroupStep):
        raise TypeError(f"not a step of a SecurityGroup: {step!r}")
    if isinstance(step, RecordGroup):
        adopted = {} if step.owner is None else {fact(step.cloud): str(step.owner)}
        return done().with_facts(**{record(step.cloud): str(step.group), **adopted})
    group = step.group if isinstance(step, OnGroup) else None
    client = await context.open_nebula_for(step.cloud, resource.metadata.namespace, security_group=group)
    port = client.security_groups
    if isinstance(step, ReleaseGroup):
        await client.unmark("security_group", step.group)
        message = f"security group {step.group} in {where(step.cloud)} no longer carries the mark of this installation"
        return done(Reason.RELEASED, message).with_facts(**{record(step.cloud): "", fact(step.cloud): ""})
    if isinstance(step, CreateGroup):
        mark = context.mark(resource).for_opennebula()
        made = await port.create(resource.outside_name, step.rules, mark)
        message = f'security group {made} "{resource.outside_name}" created in {where(step.cloud)}'
        return done(Reason.CREATED, message, **{record(step.cloud): str(made), fact(step.cloud): ""})
    if not isinstance(step, OnGroup):
        raise TypeError(f"not a step that can be done: {step!r}")
    outcome = await _perform(step, resource, context, port)
    return outcome.with_facts(**{record(step.cloud): "" if isinstance(step, DeleteGroup) else str(step.group)})


async def _perform(step: OnGroup, resource: SecurityGroup, context: Context, port: SecurityGroups) -> Outcome:
    what = f"security group {step.group} in {where(step.cloud)}"
    match step:
        case MarkGroup():
            await port.update(step.group, context.mark(resource).for_opennebula())
            return done(Reason.TAKEN_OVER, f"{what} taken over from before the cluster was rebuilt")
        case AdoptGroup(owner=owner):
            await port.update(step.group, {**context.mark(resource).for_opennebula(), ONE_ADOPTED: "YES"})
            message = f"{what} adopted; it still belongs to user {owner}"
            return done(Reason.ADOPTED, message).with_facts(**{fact(step.cloud): str(owner)})
        case SetRules():
            await port.set_rules(step.group, step.rules, {COMMIT: PENDING})
            return done(Reason.UPDATED, f"{what}: its {len(step.rules)} rules are as declared now")
        case CommitRules():
            await port.commit(step.group, recover=step.recover)
            return done(Reason.UPDATED, f"{what}: its rules are brought to the machines")
        case NoteCommitted():
            await port.update(step.group, {COMMIT: again(step.again) if step.again else COMMITTED})
            return done()
        case RenameGroup():
            await port.rename(step.group, step.name)
            return done(Reason.RENAMED, f'{what} is called "{step.name}" again')
        case DeleteGroup():
            await port.delete(step.group)
            return done(Reason.DELETING, f"{what} deleted")
        case _:
            raise TypeError(f"not a step that can be done: {step!r}")
