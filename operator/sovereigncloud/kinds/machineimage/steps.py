"""What is done about an image: one write each, safe to repeat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.machineimage import MachineImage
from sovereigncloud.core.identity import ONE_ADOPTED, Mark
from sovereigncloud.core.outcome import Outcome, done, waiting
from sovereigncloud.core.plan import Step
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.identity.adoption_per_cloud import fact
from sovereigncloud.kinds.machineimage.observation import record
from sovereigncloud.kinds.machineimage.versions import VERSION_NOTE, version_of
from sovereigncloud.ports.opennebula.client import Attributes

_ATTEMPTS = "attempts."


def attempts(cloud: Key) -> str:
    """The key of `status.external` for how often a download there failed."""
    return f"{_ATTEMPTS}{cloud.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateImage(Step):
    """From marketplace app `app`, or from spec.source.url where it is None."""

    cloud: Key
    datastore: int
    app: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkImage(Step):
    cloud: Key
    image: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordImage(Step):
    """Record the image that was found by its mark: the answer to its creation was lost. Nothing outside. `owner`: whose it
    was when it was adopted.
    """

    cloud: Key
    image: int
    owner: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AdoptImage(Step):
    """Mark one that was there before, and note that it was. `owner`: whose it is, and stays."""

    cloud: Key
    image: int
    owner: int
    only_marks: ClassVar[bool] = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseImage(Step):
    """Take off what the operator wrote on one that was there before."""

    cloud: Key
    image: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RenameImage(Step):
    cloud: Key
    image: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribeImage(Step):
    cloud: Key
    image: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SetPersistent(Step):
    cloud: Key
    image: int
    persistent: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteImage(Step):
    """`attempt`: how often its download failed, where that is why. `earlier`: it is a version before."""

    cloud: Key
    image: int
    attempt: int = 0
    earlier: bool = False


async def perform_image(step: Step, resource: MachineImage, context: Context) -> Outcome:
    """Do one step. Its outcome records which image it was, where."""
    match step:
        case RecordImage():
            adopted = {} if step.owner is None else {fact(step.cloud): str(step.owner)}
            return done().with_facts(**{record(step.cloud): str(step.image), **adopted})
        case AdoptImage():
            client = await context.open_nebula(step.cloud)
            await client.update_image(step.image, {**context.mark(resource).for_opennebula(), ONE_ADOPTED: "YES"})
            message = f"image {step.image} in {where(step.cloud)} adopted; it still belongs to user {step.owner}"
            facts = {record(step.cloud): str(step.image), fact(step.cloud): str(step.owner)}
            return done(Reason.ADOPTED, message).with_facts(**facts)
        case ReleaseImage():
            await (await context.open_nebula(step.cloud)).unmark("image", step.image)
            message = f"image {step.image} in {where(step.cloud)} no longer carries the mark of this installation"
            return done(Reason.RELEASED, message).with_facts(**{record(step.cloud): "", fact(step.cloud): ""})
        case CreateImage():
            client = await context.open_nebula(step.cloud)
            made = await client.create_image(_template(step, resource, context.mark(resource)), step.datastore)
            message = f'image {made} "{resource.outside_name}" created in {where(step.cloud)}'
            return done(Reason.CREATED, message, **{record(step.cloud): str(made), fact(step.cloud): ""})
        case MarkImage():
            client = await context.open_nebula(step.cloud)
            await client.update_image(step.image, context.mark(resource).for_opennebula())
            message = f"image {step.image} in {where(step.cloud)} taken over from before the cluster was rebuilt"
            return done(Reason.TAKEN_OVER, message, **{record(step.cloud): str(step.image)})
        case DeleteImage():
            client = await context.open_nebula(step.cloud)
            await client.delete_image(step.image)
            return _gone(step)
        case _:
            return await _change(step, resource, context)


async def _change(step: Step, resource: MachineImage, context: Context) -> Outcome:
    match step:
        case RenameImage():
            await (await context.open_nebula(step.cloud)).rename_image(step.image, resource.outside_name)
            return done(
                Reason.RENAMED, f'image {step.image} in {where(step.cloud)} is called "{resource.outside_name}"'
            )
        case DescribeImage():
            described = {"DESCRIPTION": resource.spec.description or ""}
            await (await context.open_nebula(step.cloud)).update_image(step.image, described)
            return done(Reason.UPDATED, f"image {step.image} in {where(step.cloud)}: spec.description")
        case SetPersistent():
            client = await context.open_nebula(step.cloud)
            await client.set_persistent(step.image, persistent=step.persistent)
            return done(Reason.UPDATED, f"image {step.image} in {where(step.cloud)}: spec.persistent")
        case _:
            raise TypeError(f"not a step of a MachineImage: {step!r}")


def _gone(step: DeleteImage) -> Outcome:
    message = f"image {step.image} in {where(step.cloud)} is being deleted"
    if step.earlier:
        return waiting(Reason.DELETING, f"{message}: a version before, which nothing uses", after=1.0, available=True)
    # Forgotten at once: while it goes it is found by its mark, and then its absence is no loss.
    facts = {record(step.cloud): "", **({attempts(step.cloud): str(step.attempt)} if step.attempt else {})}
    return waiting(Reason.DELETING, message).with_facts(**facts)


def _template(step: CreateImage, resource: MachineImage, mark: Mark) -> Attributes:
    """The mark is in the create call itself. FROM_APP lets oned fill in path, format and size."""
    spec = resource.spec
    source = {"FROM_APP": str(step.app)} if step.app is not None else {"PATH": spec.source.url or ""}
    if spec.source.checksum and step.app is None:
        kind, _, value = spec.source.checksum.partition(":")
        source[kind.upper()] = value
    described = {} if spec.description is None else {"DESCRIPTION": spec.description}
    persistent = {"PERSISTENT": "YES"} if spec.persistent else {}
    noted = {VERSION_NOTE: version_of(resource)}
    return {
        "NAME": resource.outside_name,
        "TYPE": "OS",
        **source,
        **described,
        **persistent,
        **noted,
        **mark.for_opennebula(),
    }
