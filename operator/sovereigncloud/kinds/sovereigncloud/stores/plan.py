"""What becomes of the stores of a cloud: made, kept as declared, and deleted once nobody uses them.

A store of that name that the operator did not make is used as it is: where it differs, that is told and never mended, and it
is never deleted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from sovereigncloud.api import SovereignCloud
from sovereigncloud.api.common.base import DeletionPolicy
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.stores import Store, StoreType
from sovereigncloud.core.identity import Mark, Ownership, ownership
from sovereigncloud.core.outcome import DONE, Outcome, blocked, stalled, waiting
from sovereigncloud.core.plan import Action, Cause, Drift, Plan, Step
from sovereigncloud.kinds.identity.part_mark import leaving, made_for
from sovereigncloud.kinds.planning.composition import join
from sovereigncloud.kinds.sovereigncloud.stores.observation import FIELD, Kept, Stores
from sovereigncloud.kinds.sovereigncloud.stores.steps import (
    CreateStore,
    DeleteStore,
    EnableStore,
    MarkStore,
    NoteStore,
    RenameStore,
    UpdateStore,
)
from sovereigncloud.kinds.sovereigncloud.stores.template import (
    DIGEST_NOTE,
    HIDDEN,
    IN_CLEAR,
    SHOWN_NOTE,
    Wanted,
    digest,
    misplaced,
    noun,
    path_of,
    wanted,
)

_SHOWN = 10


def plan_stores(cloud: SovereignCloud, seen: Stores, mark: Mark) -> Plan:
    """Each store by itself: one that cannot be looked after does not hold up the others."""
    parts = [_one(cloud, store, seen, mark) for store in cloud.spec.stores or ()]
    return join((*parts, *_going(cloud, seen, mark)))


def kept_as(store: Store, seen: Stores, mark: Mark) -> Kept | None:
    """What the store is in OpenNebula: made for it, else of its name."""
    ours = made_for(_owned(seen), FIELD, store.name, mark)
    named = (kept for kept in seen.there if kept.name == store.name and _same_pool(kept, store.type))
    return ours[0] if ours else next(named, None)


def _owned(seen: Stores) -> tuple[Kept, ...]:
    """Whoever owns a datastore can write our mark into it: only what the credential's own user owns counts."""
    return tuple(kept for kept in seen.there if seen.owner is None or kept.owner == seen.owner)


def _same_pool(kept: Kept, kind: StoreType) -> bool:
    """Names are unique among marketplaces, and among datastores of whatever type."""
    return (kept.kind is StoreType.MARKETPLACE) == (kind is StoreType.MARKETPLACE)


def _one(cloud: SovereignCloud, store: Store, seen: Stores, mark: Mark) -> Plan:
    where = f"spec.stores[{store.name}]"
    if wrong := misplaced(store):
        return Plan(outcome=stalled(Reason.INVALID_SPEC, f"{where}.attributes: {wrong}"))
    ours = made_for(_owned(seen), FIELD, store.name, mark)
    if len(ours) > 1:
        ids = ", ".join(str(kept.id) for kept in ours)
        message = (
            f"{where}: {noun(store.type)}s {ids} all carry the mark of this store; delete all but one in OpenNebula"
        )
        return Plan(outcome=stalled(Reason.MULTIPLE_MATCHES, message))
    found = kept_as(store, seen, mark)
    secret = seen.secrets.get(store.name, {})
    problem = secret if isinstance(secret, Outcome) else DONE
    fresh = wanted(store, {} if isinstance(secret, Outcome) else secret)
    if found is None:
        return _missing(cloud, store, mark, problem)
    if not ours:
        return _somebodys(store, found, fresh, mark)
    kept = _keeping(cloud, store, found, fresh, mark, compares=not isinstance(secret, Outcome))
    # A store does its job while the Secret is away: its value was written long ago.
    return replace(kept, outcome=kept.outcome.merge(replace(problem, available=True)))


def _missing(cloud: SovereignCloud, store: Store, mark: Mark, problem: Outcome) -> Plan:
    path = f"spec.stores[{store.name}]"
    told = (Drift(path, "there", "no such store"),)
    if problem.reason:
        return Plan(told, outcome=problem)
    step = CreateStore(
        action=Action.CREATE,
        target=f"{noun(store.type)} {store.name}",
        fields=(path,),
        cause=_cause(cloud),
        part=True,
        store=store.name,
        mark=mark,
    )
    return Plan(told, (step,))


def _cause(cloud: SovereignCloud) -> Cause:
    return Cause.OBSERVED if cloud.settled else Cause.DECLARED


def _somebodys(store: Store, found: Kept, fresh: Wanted, mark: Mark) -> Plan:
    """It is used as it is, where it is what is declared at all."""
    what = f"{noun(store.type)} {found.id} ({found.name})"
    if found.mark is not None and ownership(found.mark, mark) is Ownership.FOREIGN:
        message = (
            f"spec.stores[{store.name}]: {what} carries the mark of installation {found.mark.installation}"
            f" ({found.mark.object}); nothing is written there. Use another name, or remove its SOVEREIGNCLOUD_ attributes if"
            " that installation is gone"
        )
        return Plan(outcome=stalled(Reason.OWNED_BY_ANOTHER_INSTALLATION, message, after=300.0))
    if found.kind is not store.type or any(found.frame.get(k) != v for k, v in fresh.frame.items()):
        there = ", ".join(f"{k}={v}" for k, v in found.frame.items() if v)
        message = (
            f"spec.stores[{store.name}]: the name is taken by a store of another kind, number {found.id} ({there}); use"
            " another name"
        )
        return Plan(outcome=stalled(Reason.NAME_TAKEN, message))
    drift = tuple(
        Drift(path_of(store, name), value, found.attributes.get(name) or "absent", mendable=False)
        for name, value in fresh.kept.items()
        if found.attributes.get(name, "") != value
    )
    return Plan(drift, outcome=_usable(store, found))


def _keeping(cloud: SovereignCloud, store: Store, found: Kept, fresh: Wanted, mark: Mark, *, compares: bool) -> Plan:
    """A store of ours."""
    what, path = f"{noun(store.type)} {found.id} ({found.name})", f"spec.stores[{store.name}]"
    if ownership(found.mark, mark) is Ownership.PREDECESSOR:
        taken = MarkStore(action=Action.MARK, target=what, kind=store.type, store=store.name, oid=found.id, mark=mark)
        return Plan(tuple(_differences(store, found, fresh)), (taken,))
    rewrites, note = _secret(found, fresh, mark, store.name) if compares else (False, "")
    secret = sorted({path_of(store, name) for name in fresh.secret}) if rewrites else []
    drift = [*_differences(store, found, fresh), *(Drift(p, HIDDEN, "another one") for p in secret)]
    # A write for each field: what driftPolicy says of one is not to be undone by another.
    steps: list[Step] = [
        _update(cloud, store, found, mark, (path_of(store, name),), names=(name,))
        for name, value in fresh.kept.items()
        if found.attributes.get(name, "") != value
    ]
    if rewrites:
        steps.append(_update(cloud, store, found, mark, tuple(secret), secret=True))
    elif note:
        steps.append(
            NoteStore(action=Action.UPDATE, target=f"note of {what}", kind=store.type, oid=found.id, note=note)
        )
    rest = _name_and_state(cloud, store, found, what, path)
    return Plan((*drift, *rest.drift), (*steps, *rest.steps), _usable(store, found))


def _update(
    cloud: SovereignCloud,
    store: Store,
    found: Kept,
    mark: Mark,
    fields: tuple[str, ...],
    *,
    names: tuple[str, ...] = (),
    secret: bool = False,
) -> UpdateStore:
    return UpdateStore(
        action=Action.UPDATE,
        target=f"{noun(store.type)} {found.id} ({found.name})",
        fields=fields,
        cause=_cause(cloud),
        kind=store.type,
        store=store.name,
        oid=found.id,
        names=names,
        secret=secret,
        mark=mark,
    )


def _name_and_state(cloud: SovereignCloud, store: Store, found: Kept, what: str, path: str) -> Plan:
    drift: list[Drift] = []
    steps: list[Step] = []
    cause = _cause(cloud)
    if found.name != store.name:
        drift.append(Drift(f"{path}.name", store.name, found.name))
        steps.append(
            RenameStore(
                action=Action.UPDATE,
                target=f"{what}, called {store.name}",
                fields=(f"{path}.name",),
                cause=cause,
                kind=store.type,
                oid=found.id,
                name=store.name,
            )
        )
    if store.type is StoreType.MARKETPLACE and not found.enabled:
        drift.append(Drift(path, "enabled", "disabled"))
        steps.append(
            EnableStore(action=Action.UPDATE, target=f"{what}, enabled", fields=(path,), cause=cause, oid=found.id)
        )
    return Plan(tuple(drift), tuple(steps))


def _differences(store: Store, found: Kept, fresh: Wanted) -> Iterator[Drift]:
    """Of what can be seen."""
    for name, value in fresh.kept.items():
        if found.attributes.get(name, "") != value:
            yield Drift(path_of(store, name), value, found.attributes.get(name) or "absent")


def _secret(found: Kept, fresh: Wanted, mark: Mark, name: str) -> tuple[bool, str]:
    """Whether the secret is to be written, and what is to be noted of how OpenNebula shows it.

    It shows an attribute that its configuration lists as encrypted in another form than it was given; what it showed right
    after it was written is noted, so that what is seen later can be compared with that.
    """
    if not fresh.secret:
        return False, ""
    shown = {key: found.attributes.get(key, "") for key in fresh.secret}
    noted = found.attributes.get(SHOWN_NOTE, "")
    if shown == fresh.secret:
        return False, "" if noted == IN_CLEAR else IN_CLEAR
    if found.attributes.get(DIGEST_NOTE, "") != digest(fresh.secret, mark, name) or noted == IN_CLEAR:
        return True, ""
    showing = digest(shown, mark, name)
    return (False, showing) if not noted else (noted != showing, "")


def _usable(store: Store, found: Kept) -> Outcome:
    what = f"{noun(store.type)} {found.id} ({found.name})"
    if not found.monitored:
        message = (
            f"{what} reports no capacity yet; OpenNebula looks at it every few minutes. If it stays so, its server cannot be"
            f" reached from the front-end: see onedatastore show {found.id} and oned.log"
        )
        return waiting(Reason.DATASTORE_NOT_MONITORED, message, after=30.0, available=True)
    return DONE


def _going(cloud: SovereignCloud, seen: Stores, mark: Mark) -> Iterator[Plan]:
    """Stores that spec does not list any more: those that the operator made go once they are empty."""
    if cloud.spec.deletion_policy is DeletionPolicy.RETAIN:
        return
    for name, kept in leaving(_owned(seen), FIELD, (store.name for store in cloud.spec.stores or ()), mark):
        if kept.kind is None:
            continue
        what = f"{noun(kept.kind)} {kept.id} ({kept.name})"
        users = seen.users.get((kept.kind, kept.id), ())
        if kept.content or users:
            told = users or (f"{len(kept.content)} things in it",)
            yield Plan(outcome=replace(blocked(_in_use(what, told), reason=Reason.IN_USE), after=60.0, available=True))
            continue
        step = DeleteStore(
            action=Action.DELETE, target=what, fields=(f"spec.stores[{name}]",), part=True, kind=kept.kind, oid=kept.id
        )
        yield Plan(steps=(step,))


def _in_use(what: str, users: Iterable[str]) -> str:
    named = tuple(users)
    more = f" and {len(named) - _SHOWN} more" if len(named) > _SHOWN else ""
    return (
        f"{what} is no longer in spec.stores and is in use by {', '.join(named[:_SHOWN])}{more}: delete them, or list the store"
        " again"
    )


def store_status(cloud: SovereignCloud, seen: Stores, mark: Mark) -> Mapping[str, object]:
    """`storesReady` and `stores`."""
    declared = cloud.spec.stores or []
    entries: list[dict[str, str]] = []
    for store in declared:
        found = kept_as(store, seen, mark)
        entry = {"name": store.name, "type": str(store.type), "state": _state(found)}
        entry |= {"id": str(found.id)} if found else {}
        entry |= {"country": store.location.country} if store.location else {}
        entries.append(entry)
    ready = sum(entry["state"] == "Ready" for entry in entries)
    for _, kept in leaving(_owned(seen), FIELD, (store.name for store in declared), mark):
        if kept.kind is not None:
            entries.append({"name": kept.name, "type": str(kept.kind), "id": str(kept.id), "state": "Leaving"})
    return {"storesReady": f"{ready}/{len(declared)}" if declared else None, "stores": entries or None}


def _state(found: Kept | None) -> str:
    if found is None:
        return "Absent"
    if not found.enabled:
        return "Disabled"
    return "Ready" if found.monitored else "NotMonitored"
