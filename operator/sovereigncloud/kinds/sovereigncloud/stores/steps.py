"""What is done about the stores of a cloud: one write each, safe to repeat. No step holds a secret: it is read as it is done."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar

from sovereigncloud.api import SovereignCloud
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.stores import Store, StoreType
from sovereigncloud.core.identity import Mark
from sovereigncloud.core.outcome import DONE, Outcome, done
from sovereigncloud.core.plan import Step
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.identity.part_mark import marked_as
from sovereigncloud.kinds.sovereigncloud.stores.template import (
    DIGEST_NOTE,
    IN_CLEAR,
    SHOWN_NOTE,
    Wanted,
    digest,
    secret_ref,
    wanted,
)
from sovereigncloud.ports.errors import MissingSecret, NotFound
from sovereigncloud.ports.opennebula.infrastructure import Parts

_DEFAULT_CLUSTER = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreStep(Step):
    """What `perform_store` does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateStore(StoreStep):
    store: str
    mark: Mark


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateStore(StoreStep):
    """Brings these attributes, and its secret, to what spec says."""

    kind: StoreType
    store: str
    oid: int
    names: tuple[str, ...]
    secret: bool
    mark: Mark


@dataclass(frozen=True, slots=True, kw_only=True)
class RenameStore(StoreStep):
    kind: StoreType
    oid: int
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteStore(StoreStep):
    """Notes how OpenNebula shows the secret that was written."""

    only_marks: ClassVar[bool] = True
    kind: StoreType
    oid: int
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkStore(StoreStep):
    """Taken over from before the cluster was rebuilt."""

    only_marks: ClassVar[bool] = True
    kind: StoreType
    store: str
    oid: int
    mark: Mark


@dataclass(frozen=True, slots=True, kw_only=True)
class EnableStore(StoreStep):
    oid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteStore(StoreStep):
    kind: StoreType
    oid: int


async def perform_store(step: StoreStep, cloud: SovereignCloud, context: Context) -> Outcome:
    """Do one step."""
    parts = (await context.open_nebula(cloud.key)).parts
    match step:
        case CreateStore():
            return await _create(step, cloud, parts, context)
        case UpdateStore():
            return await _update(step, cloud, parts, context)
        case RenameStore():
            rename = parts.rename_marketplace if step.kind is StoreType.MARKETPLACE else parts.rename_datastore
            await rename(step.oid, step.name)
            return done(Reason.STORE_UPDATED, step.target)
        case NoteStore():
            await _write(parts, step.kind, step.oid, {SHOWN_NOTE: step.note})
            return DONE
        case MarkStore():
            await _write(parts, step.kind, step.oid, marked_as("stores", step.store, step.mark))
            return done(Reason.TAKEN_OVER, f"{step.target} was taken over from before the cluster was rebuilt")
        case EnableStore():
            await parts.enable_marketplace(step.oid)
            return done(Reason.UPDATED, step.target)
        case DeleteStore():
            with suppress(NotFound):  # the answer to an earlier call was lost
                if step.kind is StoreType.MARKETPLACE:
                    await parts.delete_marketplace(step.oid)
                else:
                    await parts.delete_datastore(step.oid)
            return done(Reason.STORE_DELETED, f"{step.target} was deleted: it was empty and is no longer declared")
        case _:
            raise TypeError(f"not a step of a store: {type(step).__name__}")


async def _create(step: CreateStore, cloud: SovereignCloud, parts: Parts, context: Context) -> Outcome:
    store = _declared(cloud, step.store)
    fresh = await _whole(store, cloud, context)
    noted = {DIGEST_NOTE: digest(fresh.secret, step.mark, store.name)} if fresh.secret else {}
    template = {
        "NAME": store.name,
        **fresh.frame,
        **fresh.once,
        **fresh.kept,
        **fresh.secret,
        **noted,
        **marked_as("stores", store.name, step.mark),
    }
    if store.type is StoreType.MARKETPLACE:
        made = await parts.create_marketplace(template)
    else:
        made = await parts.create_datastore(template, _DEFAULT_CLUSTER)
    await _note_shown(parts, store, made, fresh, step.mark)
    return done(Reason.STORE_CREATED, f"{step.target} was made, number {made}")


async def _update(step: UpdateStore, cloud: SovereignCloud, parts: Parts, context: Context) -> Outcome:
    store = _declared(cloud, step.store)
    fresh = await _whole(store, cloud, context) if step.secret else wanted(store, {})
    # How it is shown is noted anew, once it can be seen.
    noted = {DIGEST_NOTE: digest(fresh.secret, step.mark, store.name), SHOWN_NOTE: ""} if step.secret else {}
    changes = {name: value for name, value in fresh.kept.items() if name in step.names}
    await _write(parts, step.kind, step.oid, {**changes, **fresh.secret, **noted})
    await _note_shown(parts, store, step.oid, fresh, step.mark)
    return done(Reason.STORE_UPDATED, f"{step.target} is as spec says: {', '.join(step.fields)}")


async def _note_shown(parts: Parts, store: Store, oid: int, fresh: Wanted, mark: Mark) -> None:
    """How OpenNebula shows what was written; where this is lost, `NoteStore` does it."""
    if not fresh.secret:
        return
    attributes = await parts.shown("market" if store.type is StoreType.MARKETPLACE else "datastore", oid)
    shown = {key: attributes.get(key, "") for key in fresh.secret}
    note = IN_CLEAR if shown == fresh.secret else digest(shown, mark, store.name)
    await _write(parts, store.type, oid, {SHOWN_NOTE: note})


async def _write(parts: Parts, kind: StoreType, oid: int, attributes: Mapping[str, str]) -> None:
    if kind is StoreType.MARKETPLACE:
        await parts.update_marketplace(oid, attributes)
    else:
        await parts.update_datastore(oid, attributes)


def _declared(cloud: SovereignCloud, name: str) -> Store:
    return next(store for store in cloud.spec.stores or () if store.name == name)


async def _whole(store: Store, cloud: SovereignCloud, context: Context) -> Wanted:
    """With its secret, read this moment."""
    reads = secret_ref(store)
    if reads is None:
        return wanted(store, {})
    name, keys = reads
    values = await context.kubernetes.secret(cloud.metadata.namespace, name)
    if not all(values.get(key, "").strip() for key in keys.values()):
        raise MissingSecret(f"Secret {cloud.metadata.namespace}/{name} has not all of {', '.join(keys.values())}")
    return wanted(store, {attribute: values[key].strip() for attribute, key in keys.items()})
