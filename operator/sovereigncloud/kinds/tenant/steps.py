"""What can be done for a Tenant in a cloud, and how each of it is done: one call that is safe to repeat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sovereigncloud.api.common.base import GROUP, Key
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.tenant import Tenant
from sovereigncloud.core.outcome import Outcome, done, stalled
from sovereigncloud.core.plan import Step
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.contract.tenancy import secret_name
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.identity.tenant_marks import CLOUD_NOTE, EXTERNAL, NAMESPACE_NOTE
from sovereigncloud.kinds.sovereigncloud.composition import CLOUD_LABEL, GENERATED_LABEL
from sovereigncloud.ports.errors import Auth
from sovereigncloud.ports.opennebula.client import Attributes
from sovereigncloud.ports.opennebula.tenancy import Tenancies

CORE = "core"
NO_PASSWORD = "-"  # noqa: S105 - what oned stores for somebody whose driver looks elsewhere
TENANT_LABEL, NAMESPACE_LABEL = f"{GROUP}/tenant", f"{GROUP}/tenant-namespace"
_LONGEST_LABEL = 63


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantStep(Step):
    cloud: Key


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantCall(TenantStep):
    """One that is a single call, with nothing to tell of it."""

    async def call(self, calls: Tenancies) -> None:
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteAttempt(TenantStep):
    """Record that a group is about to be made: a group takes no mark when it is. Nothing outside."""

    group: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateGroup(TenantStep):
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkGroup(TenantStep):
    only_marks: ClassVar[bool] = True
    group: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SetQuota(TenantCall):
    """Vectors as `one.group.quota` takes them: (kind, its attributes)."""

    group: int
    quota: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]

    async def call(self, calls: Tenancies) -> None:
        await calls.set_quota(self.group, _vectors(self.quota))


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteGroup(TenantCall):
    group: int

    async def call(self, calls: Tenancies) -> None:
        await calls.delete_group(self.group)


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateVdc(TenantStep):
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkVdc(TenantStep):
    only_marks: ClassVar[bool] = True
    vdc: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RenameVdc(TenantCall):
    vdc: int
    name: str

    async def call(self, calls: Tenancies) -> None:
        await calls.rename_vdc(self.vdc, self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteVdc(TenantCall):
    vdc: int

    async def call(self, calls: Tenancies) -> None:
        await calls.delete_vdc(self.vdc)


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinVdc(TenantCall):
    """The group joins the VDC, or leaves it."""

    vdc: int
    group: int
    leave: bool = False

    async def call(self, calls: Tenancies) -> None:
        await (calls.leave_vdc if self.leave else calls.join_vdc)(self.vdc, self.group)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeCluster(TenantCall):
    """A cluster joins the VDC, or leaves it."""

    vdc: int
    zone: int
    cluster: int
    remove: bool = False

    async def call(self, calls: Tenancies) -> None:
        await (calls.remove_cluster if self.remove else calls.add_cluster)(self.vdc, self.zone, self.cluster)


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateLogin(TenantStep):
    """Make the Secret with the password of a namespace's user. Nothing outside."""

    namespace: str
    user: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteLogin(TenantStep):
    """Delete the Secret of a user that is gone. Nothing outside."""

    namespace: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateUser(TenantStep):
    """Of a namespace; or of a person, whose password is not ours: then with `driver` and `subject`."""

    name: str
    group: int
    namespace: str = ""
    driver: str = CORE
    subject: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkUser(TenantStep):
    only_marks: ClassVar[bool] = True
    user: int
    namespace: str
    proves: bool = False
    """It carries no mark at all: that it is ours shows in that our password is its password."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinGroup(TenantCall):
    """A user joins the group, or leaves it."""

    user: int
    group: int
    leave: bool = False

    async def call(self, calls: Tenancies) -> None:
        await (calls.leave_group if self.leave else calls.join_group)(self.user, self.group)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteUser(TenantCall):
    user: int

    async def call(self, calls: Tenancies) -> None:
        await calls.delete_user(self.user)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareImage(TenantCall):
    group: int
    image: int
    zone: int

    async def call(self, calls: Tenancies) -> None:
        await calls.allow_image(self.group, self.image, self.zone)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveRule(TenantCall):
    rule: int

    async def call(self, calls: Tenancies) -> None:
        await calls.remove_rule(self.rule)


def attempt(cloud: Key) -> str:
    """The key of `status.external` for the name of a group that is about to be made."""
    return f"making/{where(cloud)}"


async def perform(step: Step, resource: Tenant, context: Context) -> Outcome:
    """Do one step."""
    match step:
        case NoteAttempt(cloud=cloud, group=group):
            # With a time, so that it stands in the status before the group is asked for.
            return Outcome(facts={attempt(cloud): group}, after=0.0)
        case GenerateLogin():
            return await _generate(step, resource, context)
        case DeleteLogin(cloud=cloud, namespace=namespace):
            name = secret_name(resource.metadata.name, namespace, cloud)
            await context.kubernetes.delete_secret(context.own_namespace, name)
            return done(Reason.CREDENTIALS_DELETED, f"Secret {context.own_namespace}/{name} was deleted")
        case TenantStep():
            calls = (await context.open_nebula(step.cloud)).tenancy
            if isinstance(step, TenantCall):
                await step.call(calls)
                return done()
            if isinstance(step, CreateUser | MarkUser):
                return await _user(step, resource, context, calls)
            return await _marked(step, resource, context, calls)
        case _:
            raise TypeError(f"not a step of a Tenant: {step!r}")


async def _generate(step: GenerateLogin, resource: Tenant, context: Context) -> Outcome:
    name = secret_name(resource.metadata.name, step.namespace, step.cloud)
    labels = {
        GENERATED_LABEL: "true",
        TENANT_LABEL: resource.metadata.name[:_LONGEST_LABEL],
        NAMESPACE_LABEL: step.namespace[:_LONGEST_LABEL],
        CLOUD_LABEL: step.cloud.name[:_LONGEST_LABEL],
    }
    made = await context.kubernetes.generate_login(context.own_namespace, name, step.user, labels)
    told = f"Secret {context.own_namespace}/{name} was made; keep a copy of it"
    return done(Reason.CREDENTIALS_GENERATED, told) if made else done()


async def _user(step: CreateUser | MarkUser, resource: Tenant, context: Context, calls: Tenancies) -> Outcome:
    match step:
        case CreateUser(namespace=""):
            made = await calls.create_user(step.name, step.subject or NO_PASSWORD, step.driver, step.group)
        case CreateUser():
            secret = secret_name(resource.metadata.name, step.namespace, step.cloud)
            values = await context.kubernetes.secret(context.own_namespace, secret)
            made = await calls.create_user(step.name, values.get("password", "").strip(), CORE, step.group)
        case MarkUser():
            if step.proves:
                try:
                    login = await (await context.open_nebula_for(step.cloud, step.namespace, anew=True)).login()
                except Auth:
                    login = None
                if login is None or login.id != step.user:
                    return stalled(
                        Reason.NAME_TAKEN,
                        f"{step.target} in {where(step.cloud)} is not ours: the password of"
                        f" {secret_name(resource.metadata.name, step.namespace, step.cloud)} is not its password. Rename or"
                        " delete it there, or restore the Secret",
                        after=60.0,
                    )
            notes = {CLOUD_NOTE: where(step.cloud), NAMESPACE_NOTE: step.namespace or EXTERNAL}
            await calls.update_user(step.user, {**context.mark(resource).for_opennebula(), **notes})
            return done()
    return done(Reason.CREATED, f'user {made} "{step.name}" created in {where(step.cloud)}')


async def _marked(step: TenantStep, resource: Tenant, context: Context, calls: Tenancies) -> Outcome:
    mark = context.mark(resource).for_opennebula()
    match step:
        case CreateGroup(name=name):
            made = await calls.create_group(name)
            return done(Reason.CREATED, f'group {made} "{name}" created in {where(step.cloud)}')
        case MarkGroup(group=group):
            await calls.update_group(group, mark)
            return done().with_facts(**{attempt(step.cloud): ""})
        case CreateVdc(name=name):
            made = await calls.create_vdc({"NAME": name, **mark})
            return done(Reason.CREATED, f'VDC {made} "{name}" created in {where(step.cloud)}')
        case MarkVdc(vdc=vdc):
            await calls.update_vdc(vdc, mark)
            return done()
        case _:
            raise TypeError(f"not a step that can be done: {step!r}")


def _vectors(quota: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]) -> Attributes:
    found: dict[str, list[Attributes]] = {}
    for kind, attributes in quota:
        found.setdefault(kind, []).append(dict(attributes))
    return dict(found)
