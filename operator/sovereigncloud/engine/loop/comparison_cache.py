"""What a comparison looked at: while nothing of that is another, to compare again would say the same.

A plan is a pure function of the object and of what was observed, so whoever compares, a sweep or the reconcile that each
object gets when the operator starts, notes what was looked at of the store and of the view; and of ten thousand machines at
rest a sweep compares only those for which something of it changed. What is not noted here - a call outside, the time,
anything that the world gains later - makes a comparison one that is made each time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple, Self, TypeVar, cast

from sovereigncloud.api.common.base import Key
from sovereigncloud.core.identity import Mark
from sovereigncloud.engine.cache.store import AnyResource, Store, Stored
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.contract.tenancy import Tenancies, Tenancy
from sovereigncloud.ports.opennebula.views import CloudView
from sovereigncloud.sovereignty.rules import Rules

T = TypeVar("T")
_POOLS = tuple(field.name for field in fields(CloudView) if str(field.type).startswith("Mapping["))
_MACHINE = "HostedInstance"
_BESIDE = "what is no pool"
_Thing = tuple[tuple[str, int], object]
"""What was looked up in a pool: its name, the id, and what was there."""
_CLIENTS = frozenset({"open_nebula", "open_nebula_for", "open_nebula_with", "ovh"})
"""To have one says nothing; what one is asked may be answered in another way the next time."""


class _Common(NamedTuple):
    """What thousands of comparisons look at alike, which is kept once.

    Attributes:
        objects: what else was looked up in the store, and its resourceVersion; empty: it was not there.
        pools: pools that were looked through, and their state.
        tenancies: of which namespaces in which clouds was asked who they are there, and the answer.
        policies: of which was asked what binds them there, and the answer.
    """

    objects: tuple[tuple[Key, str], ...] = ()
    pools: tuple[tuple[str, int], ...] = ()
    tenancies: tuple[tuple[tuple[str, Key], Tenancy | None], ...] = ()
    policies: tuple[tuple[tuple[str, Key], tuple[Rules, ...]], ...] = ()

    def shared_with(self, last: _Common) -> _Common:
        """The same, of the very values that the last one had, where they are equal."""
        if self == last:
            return last
        return _Common(
            _one(last.objects, self.objects),
            _one(last.pools, self.pools),
            _one(last.tenancies, self.tenancies),
            _one(last.policies, self.policies),
        )


@dataclass(frozen=True, slots=True)
class Basis:
    """What was looked at when there was nothing to do and nothing to say.

    Attributes:
        version: resourceVersion of the object itself.
        cloud: whose view it was compared with.
        common: what is not of this object alone.
        things: what was looked up in a pool: its name, the id, and what was there.
        referring: of which machines was asked who refers to them, and who did, in which version.
        until: the first moment from which the time compares otherwise with what it was compared with; None: it never does.
    """

    version: str
    cloud: Key
    common: _Common
    things: tuple[_Thing, ...]
    referring: tuple[tuple[Key, tuple[tuple[Key, str], ...]], ...]
    until: datetime | None


@dataclass(slots=True)
class _Seen:
    """A cloud's last view.

    Attributes:
        pools: what is in it; what equals what was there before is the very same value, which is told at a glance.
        states: how often each of the pools was another than before.
        noted: what comparisons are given.
        common: of the last basis.
    """

    view: CloudView
    pools: dict[str, dict[int, object]]
    states: dict[str, int]
    noted: CloudView
    common: _Common


class Notes:
    """What one comparison looks at: for as long as it is made. Whoever compares goes on to wait for the next object, and would keep
    what is in all clouds as it was when the last one was looked at.
    """

    __slots__ = (
        "_notebook",
        "_resources",
        "_store",
        "beyond",
        "clouds",
        "objects",
        "policies",
        "pools",
        "referring",
        "tenancies",
        "things",
        "until",
    )

    def __init__(self, notebook: Notebook, store: Store) -> None:
        self._notebook, self._store = notebook, store
        self.clouds: dict[Key, _Seen] = {}
        self.objects: dict[Key, str] = {}
        self._resources: dict[Key, AnyResource | None] = {}
        self.things: dict[tuple[str, int], _Thing] = {}
        self.pools: set[str] = set()
        self.tenancies: dict[tuple[str, Key], Tenancy | None] = {}
        self.policies: dict[tuple[str, Key], tuple[Rules, ...]] = {}
        self.referring: dict[Key, tuple[tuple[Key, str], ...]] = {}
        self.until: datetime | None = None
        self.beyond = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.clouds.clear()
        self.things.clear()
        self._resources.clear()

    def context(self, context: Context) -> Context:
        """A world in which is noted what is looked at."""
        return cast(Context, _RecordingContext(context, self))

    def time(self, now: datetime) -> datetime:
        """The time, the same way."""
        return self._notebook.noted_time(now)

    def compared(self, now: datetime, moment: datetime) -> None:
        """The time was asked whether it is past that moment: what is past stays so, what is to come is until then."""
        if now <= moment and (self.until is None or moment < self.until):
            self.until = moment

    @property
    def store(self) -> Store:
        """The store, the same way."""
        return cast(Store, _NotedStore(self._store, self))

    def looked_up(self, key: Key) -> None:
        stored = self._store.stored(key)
        self.objects[key] = stored.version if stored is not None else ""

    def resource(self, key: Key) -> AnyResource | None:
        """An object of the store. Half a dozen times a comparison asks for its cloud, and means the same each time."""
        if key not in self._resources:
            self.looked_up(key)
            self._resources[key] = self._store.get(key)
        return self._resources[key]

    def referred(self, key: Key) -> None:
        """Who refers to a machine: hardly ever anybody. To a cloud thousands may, and that is not noted."""
        if key.kind == _MACHINE:
            self.referring[key] = _referring(self._store, key)
        else:
            self.beyond = True

    def view(self, cloud: Key, view: CloudView) -> CloudView:
        """The view of a cloud, the same way."""
        seen = self._notebook.seen(cloud, view)
        if self.clouds.setdefault(cloud, seen) is not seen:
            self.beyond = True  # it was read anew while this comparison waited for something
        self.pools.add(_BESIDE)
        return seen.noted


_NOTES: ContextVar[Notes] = ContextVar("notes")
"""Of the comparison that is made: the views are shared by all, and a reconcile that waits lets others go on."""


class Notebook:
    """Keeps what comparisons looked at apart, and tells whether it is as it was.

    Args:
        store: what it is compared with.
        tenancies: who the namespaces are in the clouds, now.
        policies: what binds a namespace in a cloud, now.
    """

    def __init__(
        self,
        store: Store,
        tenancies: Callable[[], Tenancies],
        policies: Callable[[str, Key], tuple[Rules, ...]] = lambda _namespace, _cloud: (),
    ) -> None:
        self._store, self._tenancies, self._policies = store, tenancies, policies
        self._seen = dict[Key, _Seen]()
        self._time = _NotedTime.of(datetime.min.replace(tzinfo=UTC))

    def begin(self) -> Notes:
        """A comparison begins; the notes are to be left when it ends."""
        notes = Notes(self, self._store)
        _NOTES.set(notes)
        return notes

    def noted_time(self, now: datetime) -> datetime:
        """The time; what is asked of it gets into the notes of whoever asks. Many compare in the same moment."""
        if _time_of(self._time) is not now:
            self._time = _NotedTime.of(now)
        return self._time

    def seen(self, cloud: Key, view: CloudView) -> _Seen:
        """The view of a cloud; what is looked at of it gets into the notes of whoever looks."""
        before = self._seen.get(cloud)
        if before is not None and before.view is view:
            return before
        pools = {name: _same(before.pools[name] if before else {}, getattr(view, name)) for name in _POOLS}
        noted = {name: _NotedPool(name, pool) for name, pool in pools.items()}
        seen = self._seen[cloud] = _Seen(
            view,
            pools,
            _states(before, view, pools),
            replace(view, **cast("dict[str, Any]", noted)),
            before.common if before else _Common(),
        )
        return seen

    @staticmethod
    def basis(notes: Notes, version: str) -> Basis | None:
        """What a comparison of an object in that version rests on; None where that cannot be said."""
        if notes.beyond or len(notes.clouds) != 1:
            return None
        ((cloud, seen),) = notes.clouds.items()
        found = _Common(
            tuple(notes.objects.items()),
            tuple([(name, seen.states[name]) for name in sorted(notes.pools)]),
            tuple(notes.tenancies.items()),
            tuple(notes.policies.items()),
        )
        common = seen.common = found.shared_with(seen.common)
        things, referring = tuple(notes.things.values()), tuple(notes.referring.items())
        return Basis(version, cloud, common, things, referring, notes.until)

    def forget(self, cloud: Key) -> None:
        """Nobody reads that cloud any more."""
        self._seen.pop(cloud, None)

    # --- asking ------------------------------------------------------------------------------------------------------

    def holds(self, basis: Basis, stored: Stored, view: CloudView, now: Callable[[], datetime]) -> bool:
        """Whether all that a comparison looked at is as it was."""
        if basis.version != stored.version or (basis.until is not None and now() >= basis.until):
            return False
        seen, common = self.seen(basis.cloud, view), basis.common
        if any(seen.states[name] != state for name, state in common.pools):
            return False
        if any(seen.pools[name].get(oid) is not found for (name, oid), found in basis.things):
            return False
        if any(self._tenancies().get(which) != found for which, found in common.tenancies):
            return False
        if any(self._policies(*which) != found for which, found in common.policies):
            return False
        if any(_referring(self._store, key) != found for key, found in basis.referring):
            return False
        for key, version in common.objects:
            other = self._store.stored(key)
            if (other.version if other is not None else "") != version:
                return False
        return True


def _one(old: T, new: T) -> T:
    return old if old == new else new


def _referring(store: Store, key: Key) -> tuple[tuple[Key, str], ...]:
    found = [(user, store.stored(user)) for user in store.users(key)]
    return tuple(sorted((user, stored.version) for user, stored in found if stored is not None)) if found else ()


def _same(before: Mapping[int, object], pool: Mapping[int, object]) -> dict[int, object]:
    return {oid: one if (old := before.get(oid)) is one or old != one else old for oid, one in pool.items()}


def _states(seen: _Seen | None, view: CloudView, pools: dict[str, dict[int, object]]) -> dict[str, int]:
    if seen is None:
        return dict.fromkeys((*_POOLS, _BESIDE), 0)
    states = {name: seen.states[name] + _differ(seen.pools[name], pool) for name, pool in pools.items()}
    return {**states, _BESIDE: seen.states[_BESIDE] + (_beside(seen.view) != _beside(view))}


def _differ(before: dict[int, object], pool: dict[int, object]) -> bool:
    return len(before) != len(pool) or any(before.get(oid) is not one for oid, one in pool.items())


def _beside(view: CloudView) -> tuple[object, ...]:
    """What of a view is no pool. When it was read and how quickly is another each time, and no business of a plan."""
    return tuple(getattr(view, one.name) for one in fields(view) if one.name not in {*_POOLS, "began", "latency"})


class _NotedPool(Mapping[int, T]):
    """A pool: one thing that was asked for is noted, or that it was looked through."""

    __slots__ = ("_name", "_pool", "_things")

    def __init__(self, name: str, pool: Mapping[int, T]) -> None:
        self._name, self._pool = name, pool
        self._things: dict[int, _Thing] = {}

    def __getitem__(self, oid: int) -> T:
        self.get(oid)
        return self._pool[oid]

    def get(self, oid: int, default: Any = None) -> Any:
        thing = self._things.get(oid)
        if thing is None:
            thing = self._things[oid] = ((self._name, oid), self._pool.get(oid))
        _NOTES.get().things[thing[0]] = thing
        return default if thing[1] is None else thing[1]

    def __contains__(self, oid: object) -> bool:
        return self.get(cast(int, oid)) is not None

    def __iter__(self) -> Iterator[int]:
        _NOTES.get().pools.add(self._name)
        return iter(self._pool)

    def __len__(self) -> int:
        _NOTES.get().pools.add(self._name)
        return len(self._pool)

    def values(self) -> Any:
        _NOTES.get().pools.add(self._name)
        return self._pool.values()

    def items(self) -> Any:
        _NOTES.get().pools.add(self._name)
        return self._pool.items()


class _NotedTime(datetime):
    """The time. To keep it is nothing, and to ask whether a moment is past is to ask until then; whoever looks at it in another
    way may see another one the next time.
    """

    @staticmethod
    def of(time: datetime) -> _NotedTime:
        clock = (time.hour, time.minute, time.second, time.microsecond, time.tzinfo)
        made = _NotedTime(time.year, time.month, time.day, *clock, fold=time.fold)
        object.__getattribute__(made, "__dict__").update(time=time)
        return made

    def __getattribute__(self, name: str) -> Any:
        return getattr(_looked_at(self), name)


def _time_of(noted: _NotedTime) -> datetime:
    return cast(datetime, object.__getattribute__(noted, "__dict__")["time"])


def _looked_at(noted: _NotedTime) -> datetime:
    if (notes := _NOTES.get(None)) is not None:  # it may be asked outside of any comparison
        notes.beyond = True
    return _time_of(noted)


def _through(operator: str) -> Callable[..., Any]:
    def apply(self: _NotedTime, *others: Any) -> Any:
        return getattr(_looked_at(self), operator)(*others)

    return apply


def _against(operator: str) -> Callable[[_NotedTime, datetime], bool]:
    def compare(self: _NotedTime, moment: datetime) -> bool:
        time = _time_of(self)
        if (notes := _NOTES.get(None)) is not None:
            notes.compared(time, moment)
        return cast(bool, getattr(time, operator)(moment))

    return compare


# What operators do, Python looks up in the type.
for _operator in ("lt", "le", "gt", "ge"):
    setattr(_NotedTime, f"__{_operator}__", _against(f"__{_operator}__"))
for _operator in (
    "eq", "ne", "hash", "add", "radd", "sub", "rsub", "format", "str", "repr", "reduce_ex",
):  # fmt: skip
    setattr(_NotedTime, f"__{_operator}__", _through(f"__{_operator}__"))


class _RecordingContext:
    """What it gives is noted; whatever else it is asked for may be another the next time."""

    __slots__ = ("_notes", "_world")

    def __init__(self, context: Context, notes: Notes) -> None:
        self._world, self._notes = context, notes

    def mark(self, resource: AnyResource) -> Mark:
        return self._world.mark(resource)

    def get(self, key: Key) -> AnyResource | None:
        return self._notes.resource(key)

    def tenancy(self, namespace: str, cloud: Key) -> Tenancy | None:
        found = self._notes.tenancies[namespace, cloud] = self._world.tenancy(namespace, cloud)
        return found

    def policies(self, namespace: str, cloud: Key) -> tuple[Rules, ...]:
        found = self._notes.policies[namespace, cloud] = self._world.policies(namespace, cloud)
        return found

    def users(self, key: Key, *kinds: str) -> Iterable[AnyResource]:
        self._notes.referred(key)
        return self._world.users(key, *kinds)

    @property
    def now(self) -> datetime:
        return self._notes.time(self._world.now)

    @property
    def own_namespace(self) -> str:
        return self._world.own_namespace

    async def view(self, cloud: Key) -> CloudView:
        return self._notes.view(cloud, await self._world.view(cloud))

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._world, name)
        if name not in _CLIENTS:
            self._notes.beyond = True
            return found

        async def client(*whose: Any, **which: Any) -> Any:
            return _NotedClient(await found(*whose, **which), self._notes)

        return client


class _NotedClient:
    """Whatever is asked of it is noted as beyond what is looked at."""

    __slots__ = ("_client", "_notes")

    def __init__(self, client: object, notes: Notes) -> None:
        self._client, self._notes = client, notes

    def __getattr__(self, name: str) -> Any:
        self._notes.beyond = True
        return getattr(self._client, name)


class _NotedStore:
    """As above."""

    __slots__ = ("_notes", "_store")

    def __init__(self, store: Store, notes: Notes) -> None:
        self._store, self._notes = store, notes

    def get(self, key: Key) -> AnyResource | None:
        return self._notes.resource(key)

    def stored(self, key: Key) -> Stored | None:
        self._notes.looked_up(key)
        return self._store.stored(key)

    def __getattr__(self, name: str) -> Any:
        self._notes.beyond = True
        return getattr(self._store, name)
