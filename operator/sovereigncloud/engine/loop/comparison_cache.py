"""Comparison cache: records the inputs of each comparison and skips it while no input changed.

A plan is a pure function of the object and of what was observed. Each comparison, by a sweep or by the reconcile that
each object gets at start, records which objects of the store and which parts of the view it read. Of ten thousand
unchanged VMs a sweep compares only those with a changed input. An input that is not recorded here (an external call,
the time, anything that the context gains later) makes a comparison uncacheable.
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
"""Pool name, id, and the value that was looked up."""
_CLIENTS = frozenset({"open_nebula", "open_nebula_for", "open_nebula_with", "ovh"})
"""Getting a client is no input; the reply to a call may differ the next time."""


class _Common(NamedTuple):
    """Inputs that thousands of comparisons share, stored once.

    Attributes:
        objects: other objects that were read from the store, with resourceVersion; empty: the object did not exist.
        pools: pools that were iterated, with their version.
        tenancies: tenancies that were looked up by namespace and cloud, with the result.
        policies: policies that were looked up by namespace and cloud, with the result.
    """

    objects: tuple[tuple[Key, str], ...] = ()
    pools: tuple[tuple[str, int], ...] = ()
    tenancies: tuple[tuple[tuple[str, Key], Tenancy | None], ...] = ()
    policies: tuple[tuple[tuple[str, Key], tuple[Rules, ...]], ...] = ()

    def shared_with(self, last: _Common) -> _Common:
        """Return an equal value that reuses the parts of `last` that are equal, to save memory."""
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
    """Inputs of a comparison that found nothing to do and no status to write.

    Attributes:
        version: resourceVersion of the object itself.
        cloud: whose view it was compared with.
        common: inputs shared with other objects.
        things: values looked up in a pool: pool name, id, value.
        referring: users that were looked up for a key, with their versions.
        until: first moment at which a time comparison has another result; None: never.
    """

    version: str
    cloud: Key
    common: _Common
    things: tuple[_Thing, ...]
    referring: tuple[tuple[Key, tuple[tuple[Key, str], ...]], ...]
    until: datetime | None


@dataclass(slots=True)
class _Seen:
    """Last view of a cloud.

    Attributes:
        pools: contents by pool; values equal to those of the previous view are the same objects, so a comparison is by
            identity.
        states: version of each pool, increased when it changes.
        noted: recording view that comparisons get.
        common: shared inputs of the last basis.
    """

    view: CloudView
    pools: dict[str, dict[int, object]]
    states: dict[str, int]
    noted: CloudView
    common: _Common


class Notes:
    """Inputs that one comparison reads, recorded until it ends.

    They must not outlive it: they keep the contents of all clouds as of that moment.
    """

    __slots__ = (
        "_comparison_cache",
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

    def __init__(self, comparison_cache: ComparisonCache, store: Store) -> None:
        self._comparison_cache, self._store = comparison_cache, store
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
        """Return a context that records what is read from it."""
        return cast(Context, _RecordingContext(context, self))

    def time(self, now: datetime) -> datetime:
        """Return the time, recording what is compared with it."""
        return self._comparison_cache.noted_time(now)

    def compared(self, now: datetime, moment: datetime) -> None:
        """Record that the time was compared with a moment: the result holds until then, or for ever when it is past."""
        if now <= moment and (self.until is None or moment < self.until):
            self.until = moment

    @property
    def store(self) -> Store:
        """Return the store, recording what is read from it."""
        return cast(Store, _NotedStore(self._store, self))

    def looked_up(self, key: Key) -> None:
        stored = self._store.stored(key)
        self.objects[key] = stored.version if stored is not None else ""

    def resource(self, key: Key) -> AnyResource | None:
        """Return an object of the store and record it. A comparison reads its cloud half a dozen times."""
        if key not in self._resources:
            self.looked_up(key)
            self._resources[key] = self._store.get(key)
        return self._resources[key]

    def referred(self, key: Key) -> None:
        """Record who refers to an instance, which is hardly ever anybody. Users of a cloud (thousands) are not
        recorded.
        """
        if key.kind == _MACHINE:
            self.referring[key] = _referring(self._store, key)
        else:
            self.beyond = True

    def view(self, cloud: Key, view: CloudView) -> CloudView:
        """Return the view of a cloud, recording what is read from it."""
        seen = self._comparison_cache.seen(cloud, view)
        if self.clouds.setdefault(cloud, seen) is not seen:
            self.beyond = True  # it was read anew while this comparison waited for something
        self.pools.add(_BESIDE)
        return seen.noted


_NOTES: ContextVar[Notes] = ContextVar("notes")
"""Record of the current comparison: views are shared by all, and a waiting reconcile lets others run."""


class ComparisonCache:
    """Keeps the last view of each cloud and decides whether a recorded basis still holds.

    Args:
        store: objects to compare with.
        tenancies: current tenancies by namespace and cloud.
        policies: current policies by namespace and cloud.
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
        """Start recording a comparison; use as a context manager."""
        notes = Notes(self, self._store)
        _NOTES.set(notes)
        return notes

    def noted_time(self, now: datetime) -> datetime:
        """Return a time that records its comparisons; shared by all comparisons of the same moment."""
        if _time_of(self._time) is not now:
            self._time = _NotedTime.of(now)
        return self._time

    def seen(self, cloud: Key, view: CloudView) -> _Seen:
        """Return the view of a cloud that records what is read from it."""
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
        """Return the basis of a comparison of this object version; None when it cannot be cached."""
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
        """Forget a cloud that is not read any more."""
        self._seen.pop(cloud, None)

    # --- asking ------------------------------------------------------------------------------------------------------

    def holds(self, basis: Basis, stored: Stored, view: CloudView, now: Callable[[], datetime]) -> bool:
        """Return whether all inputs of a comparison are unchanged."""
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
    """Return the fields of a view that are no pools, except read time and latency, which no plan uses."""
    return tuple(getattr(view, one.name) for one in fields(view) if one.name not in {*_POOLS, "began", "latency"})


class _NotedPool(Mapping[int, T]):
    """Pool that records lookups by id and iterations."""

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
    """Time that records comparisons with a moment; any other use makes the comparison uncacheable."""

    @staticmethod
    def of(time: datetime) -> _NotedTime:
        clock = (time.hour, time.minute, time.second, time.microsecond, time.tzinfo)
        made = _NotedTime(time.year, time.month, time.day, *clock, fold=time.fold)
        object.__getattribute__(made, "__dict__").update(time=time)
        return made

    def __getattribute__(self, name: str) -> Any:
        return getattr(_observed(self), name)


def _time_of(noted: _NotedTime) -> datetime:
    return cast(datetime, object.__getattribute__(noted, "__dict__")["time"])


def _observed(noted: _NotedTime) -> datetime:
    if (notes := _NOTES.get(None)) is not None:  # it may be asked outside of any comparison
        notes.beyond = True
    return _time_of(noted)


def _through(operator: str) -> Callable[..., Any]:
    def apply(self: _NotedTime, *others: Any) -> Any:
        return getattr(_observed(self), operator)(*others)

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
    """Context that records what it returns; any other access makes the comparison uncacheable."""

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
    """Client whose every call makes the comparison uncacheable."""

    __slots__ = ("_client", "_notes")

    def __init__(self, client: object, notes: Notes) -> None:
        self._client, self._notes = client, notes

    def __getattr__(self, name: str) -> Any:
        self._notes.beyond = True
        return getattr(self._client, name)


class _NotedStore:
    """Store that records what is read from it."""

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
