"""The store: what the API server told, kept small.

One object is kept as compact JSON and parsed when needed (a Python dict of it is five times as large); what is asked
for often - references, generations, whether it is going - is kept beside it. The store holds our own PATCH replies too,
so that their echoes in the watch are recognised and dropped.
"""

from __future__ import annotations

import json
import sys
from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import from_json

from sovereigncloud.api import KINDS
from sovereigncloud.api.common.base import FINALIZER, PAUSED, RECONCILE_REQUESTED_AT, ConditionStatus, Key, Resource
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.engine.cache.status_summary import StatusSummary
from sovereigncloud.kinds.contract.controller import Uses

Json = dict[str, Any]
AnyResource = Resource[Any, Any]

_MODELS: Mapping[str, type[AnyResource]] = {kind.crd.kind: kind for kind in KINDS}
_PARSED = 24
"""Parsed objects that are kept: as many as are worked on at once, and what they refer to. Each takes 20 KB."""
_METADATA = (
    "name", "namespace", "uid", "generation", "resourceVersion", "creationTimestamp", "deletionTimestamp",
    "finalizers", "labels", "annotations", "ownerReferences",
)  # fmt: skip
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_VALUES = 1024
"""Values that are shared between objects; when there are more of them, those that come later are shared anew."""
_NOTHING = Uses()
SameT = TypeVar("SameT")
_MOVE = "InstanceMigration"
_EXIT = "ExitPlan"
_MACHINE, _GROUP = "HostedInstance", "SecurityGroup"
_CLOUD, _SERVER = "SovereignCloud", "BareMetalServer"


@dataclass(slots=True)
class Stored:
    """One object.

    Attributes:
        trigger: what makes a change worth a reconcile; status is compared apart.
        others: what makes a change worth a look for the objects beside it, see `_others`.
        owners: uids of its owners.
        declared: all but its status, as the JSON that goes before it.
        said: its status, apart: of ten thousand objects a sweep needs that alone once more.
        standing: what its status says.
        lingers: it is not in the API server any more, and what is outside for it has to be ended.
    """

    uid: str
    version: str
    trigger: tuple[Any, ...]
    others: tuple[Any, ...]
    owners: tuple[str, ...]
    declared: bytes
    said: bytes
    standing: StatusSummary
    uses: Uses = _NOTHING
    lingers: bool = False

    @property
    def deleting(self) -> bool:
        return self.trigger[1] is not None

    @property
    def finalized(self) -> bool:
        """Whether it carries our finalizer."""
        return FINALIZER in self.trigger[2]

    @property
    def ready(self) -> bool:
        return self.standing.ready == ConditionStatus.TRUE

    @property
    def text(self) -> bytes:
        """All of it as JSON."""
        return b"%b%b}" % (self.declared, self.said)

    def body(self) -> Json:
        found: Json = from_json(self.text)  # three times as fast as json.loads
        return found

    def status(self) -> Json:
        found: Json = from_json(self.said)
        return found


class Store:
    """Objects of our kinds by key, with the reverse of their references."""

    def __init__(self) -> None:
        self._objects: dict[Key, Stored] = {}
        self._kinds: dict[str, set[Key]] = {}
        self._users: dict[Key, dict[Key, None]] = {}
        self._parsed: OrderedDict[Key, tuple[str, AnyResource]] = OrderedDict()
        self._values: dict[Any, Any] = {}
        self.changes: Counter[str] = Counter()
        """How often objects of a kind came, changed or went: who keeps what follows from them looks here."""

    def put(self, body: Mapping[str, Any]) -> tuple[Key, bool]:
        """Keep what the API server told; returns the key and whether it is news that asks for a reconcile."""
        key = key_of(body)
        slim = _slim(body)
        uid, version = slim["metadata"].get("uid", ""), slim["metadata"].get("resourceVersion", "")
        known = self._objects.get(key)
        anew = known is None or known.uid != uid
        if known is not None and not anew and (version == known.version or _older(version, known.version)):
            return key, False
        trigger = _trigger(slim)
        news = known is None or anew or known.trigger != trigger
        if known is not None and not news:
            # somebody else's edit of status is news too: it is put right again
            news = known.status() != slim["status"]
        if known is not None:
            self._parsed.pop(key, None)
            if anew:
                self._unlink(key, known.uses)
        owners = tuple(r.get("uid", "") for r in slim["metadata"].get("ownerReferences") or ())
        declared, said = _texts(slim)
        uses = known.uses if known is not None and not anew else _NOTHING
        standing, shared = StatusSummary.of(slim["status"]), self._same
        others = _others(slim, standing.ready)
        self._objects[key] = Stored(
            uid, version, shared(trigger), shared(others), shared(owners), declared, said, shared(standing), uses
        )
        self._kinds.setdefault(key.kind, set()).add(key)
        self.changes[key.kind] += 1
        return key, news

    def put_own(self, body: Mapping[str, Any]) -> Key | None:
        """Keep the reply to a PATCH of ours: its echo in the watch is no news. The reply may come after the object went,
        or was made anew: then it is about nothing that is there.
        """
        known = self._objects.get(key_of(body))
        if known is None or known.uid != body["metadata"].get("uid", ""):
            return None
        return self.put(body)[0]

    def linger(self, body: Mapping[str, Any], now: str) -> Key | None:
        """Keep an object that the API server let go too early, as one that is being deleted; None where another one has
        its name by now.
        """
        known = self._objects.get(key_of(body))
        if known is not None and known.uid != body["metadata"].get("uid", ""):
            return None
        key, _ = self.put({**body, "metadata": {**body["metadata"], "deletionTimestamp": now}})
        self._objects[key].lingers = True
        return key

    def set_uses(self, key: Key, uses: Uses) -> Uses | None:
        """Remember what an object refers to, and so who refers to whom; returns what it referred to, None if that is the
        same.
        """
        stored = self._objects.get(key)
        if stored is None or stored.uses == uses:
            return None
        before = stored.uses
        self._unlink(key, stored.uses)
        stored.uses = self._same(uses)
        for used in _targets(key, uses):
            self._users.setdefault(used, {})[key] = None
        return before

    def remove(self, key: Key, uid: str = "") -> Stored | None:
        """Forget an object; one created anew under its name stays."""
        stored = self._objects.get(key)
        if stored is None or (uid and stored.uid != uid):
            return None
        del self._objects[key]
        self.changes[key.kind] += 1
        self._kinds[key.kind].discard(key)
        self._parsed.pop(key, None)
        self._unlink(key, stored.uses)
        return stored

    def stored(self, key: Key) -> Stored | None:
        return self._objects.get(key)

    def get(self, key: Key) -> AnyResource | None:
        """The parsed object; None when it is not there or cannot be parsed."""
        try:
            return self.parse(key)
        except ValidationError:
            return None

    def parse(self, key: Key) -> AnyResource | None:
        """The parsed object. Raises pydantic's ValidationError."""
        stored = self._objects.get(key)
        if stored is None:
            return None
        cached = self._parsed.get(key)
        if cached is not None and cached[0] == stored.version:
            self._parsed.move_to_end(key)
            return cached[1]
        resource = _MODELS[key.kind].model_validate_json(stored.text)
        self._parsed[key] = (stored.version, resource)
        if len(self._parsed) > _PARSED:
            self._parsed.popitem(last=False)
        return resource

    def parse_some(self, keys: Iterable[Key]) -> list[AnyResource]:
        """Those of them that are there and can be parsed, for who goes through thousands: to parse several at a time takes less
        than half of what each takes by itself between other work, and none is kept, which would only drive out what is.
        """
        found = ((key.kind, self._objects.get(key)) for key in keys)
        resources: list[AnyResource] = []
        for kind, stored in found:
            if stored is not None:
                with suppress(ValidationError):
                    resources.append(_MODELS[kind].model_validate_json(stored.text))
        return resources

    def users(self, key: Key) -> Iterator[Key]:
        """Keys of the objects that refer to this one, or to a Secret (`secret_key`)."""
        return iter(tuple(self._users.get(key, ())))

    def keys(self, kind: str = "", namespace: str = "") -> Iterator[Key]:
        """All keys, or those of a kind, or of a namespace."""
        for key in tuple(self._kinds.get(kind, ()) if kind else self._objects):
            if not namespace or key.namespace == namespace:
                yield key

    def standings(self) -> Counter[tuple[str, StatusSummary]]:
        """How many objects of a kind stand how."""
        return Counter((key.kind, stored.standing) for key, stored in self._objects.items())

    def _same(self, value: SameT) -> SameT:
        """One for all that equal it: a thousand objects stand in a handful of ways, and live in a handful of clouds."""
        if len(self._values) >= _VALUES:
            self._values.clear()
        known: SameT = self._values.setdefault(value, value)
        return known

    def __len__(self) -> int:
        return len(self._objects)

    def _unlink(self, key: Key, uses: Uses) -> None:
        for used in _targets(key, uses):
            users = self._users.get(used)
            if users is not None:
                users.pop(key, None)
                if not users:
                    del self._users[used]


def key_of(body: Mapping[str, Any]) -> Key:
    """The key of a raw object."""
    metadata = body["metadata"]
    return Key(sys.intern(body["kind"]), sys.intern(metadata.get("namespace", "")), metadata["name"])


def secret_key(namespace: str, name: str) -> Key:
    """Under which the users of a Secret are found."""
    return Key("Secret", namespace, name)


def targets(uses: Uses) -> tuple[Key, ...]:
    """The objects of ours that are referred to."""
    return (*((uses.cloud,) if uses.cloud else ()), *uses.objects)


def _targets(key: Key, uses: Uses) -> tuple[Key, ...]:
    return (*targets(uses), *(secret_key(key.namespace, s.name) for s in uses.secrets))


def namespaces_of_tenants(store: Store, key: Key, before: Stored | None) -> frozenset[str]:
    """The namespaces of a Tenant, those too that it had before; or of the Tenants that list a cloud. What is in them looks again
    when one of these changed: what is not there yet refers to neither.
    """
    whose = (key,) if key.kind == "Tenant" else (user for user in store.users(key) if user.kind == "Tenant")
    found = [store.stored(tenant) for tenant in whose] + [before if key.kind == "Tenant" else None]
    return frozenset(str(name) for one in found if one for name in one.body()["spec"].get("namespaces") or ())


def exit_of(move: Stored) -> Key | None:
    """The ExitPlan that follows a move, to which no reference leads: it must not hold up its deletion."""
    body = move.body()
    ref = body["spec"].get("exitPlanRef") or {}
    return Key(_EXIT, ref.get("namespace") or body["metadata"]["namespace"], ref["name"]) if ref.get("name") else None


def groups_beside(store: Store, key: Key, before: Stored | None) -> Iterator[Key]:
    """The SecurityGroups that tell of a cloud or of a machine, to none of which a reference leads: they are wanted in every cloud,
    and count the machines whose cards name them, or named them.
    """
    if key.kind == "SovereignCloud":
        yield from store.keys(_GROUP)
    if key.kind != _MACHINE:
        return
    bodies = [one.body() for one in (before, store.stored(key)) if one is not None]
    names = {name for body in bodies for names in _filters(body) for name in names}
    for group in store.keys(_GROUP) if names else ():
        stored = store.stored(group)
        if stored is not None and (stored.body()["spec"].get("name") or group.name) in names:
            yield group


def _filters(slim: Json) -> tuple[tuple[str, ...], ...]:
    """The security groups of a machine's cards, by name: as declared, and as they are."""
    cards = (slim["spec"].get("networks") or (), slim["status"].get("networks") or ())
    return tuple(tuple(sorted({name for one in some for name in one.get("securityGroups") or ()})) for some in cards)


def who_waits_for_a_name(store: Store, named: Stored) -> Iterator[Key]:
    """A machine names images and networks as OpenNebula does, so nothing refers to what it waits for."""
    for user in (user for cloud in targets(named.uses) for user in store.users(cloud)):
        waits = store.stored(user)
        if user.kind == "Tenant" or (user.kind == "HostedInstance" and waits is not None and not waits.ready):
            yield user


def _slim(body: Mapping[str, Any]) -> Json:
    """What is kept: no managedFields, no copy of the last applied manifest."""
    metadata = {k: body["metadata"][k] for k in _METADATA if k in body["metadata"]}
    if _LAST_APPLIED in (metadata.get("annotations") or {}):
        metadata["annotations"] = {k: v for k, v in metadata["annotations"].items() if k != _LAST_APPLIED}
    return {
        "kind": body["kind"],
        "metadata": metadata,
        "spec": dict(body.get("spec") or {}),
        "status": dict(body.get("status") or {}),
    }


def _texts(slim: Json) -> tuple[bytes, bytes]:
    """The JSON of it, cut in two where its status begins, which comes last."""
    declared = json.dumps({**slim, "status": None}, separators=(",", ":")).removesuffix("null}")
    return declared.encode(), json.dumps(slim["status"], separators=(",", ":")).encode()


def _trigger(slim: Json) -> tuple[Any, ...]:
    metadata = slim["metadata"]
    annotations = metadata.get("annotations") or {}
    return (
        metadata.get("generation"),
        metadata.get("deletionTimestamp"),
        tuple(metadata.get("finalizers") or ()),
        annotations.get(PAUSED),
        annotations.get(RECONCILE_REQUESTED_AT),
        tuple(sorted((metadata.get("labels") or {}).items())),
    )


def _others(slim: Json, ready: str) -> tuple[Any, ...]:
    """What objects that use this one, or composed it, act upon. A cloud's readiness is left out: a thousand machines need
    its endpoint, and need not look again each time that one of its hosts is busy.
    """
    spec, status = slim["spec"], slim["status"]
    return (
        slim["metadata"].get("deletionTimestamp") is not None,
        ready if slim["kind"] != "SovereignCloud" else "",
        status.get("endpoint"),
        status.get("credentialsSecret"),
        status.get("address"),
        spec.get("management"),
        # Who may use what follows from all of a Tenant.
        (slim["metadata"].get("generation"), _compact(status.get("clouds"))) if slim["kind"] == "Tenant" else None,
        _filters(slim) if slim["kind"] == _MACHINE else None,
        _movement(slim),
        _loss(slim),  # the last: `differs_in_loss`
    )


def differs_in_loss(before: Stored, after: Stored) -> bool:
    """Whether all that others act upon is as it was, but for what is told of a loss."""
    return before.uid == after.uid and before.others[:-1] == after.others[:-1]


def _loss(slim: Json) -> tuple[Any, ...] | None:
    """Whether a cloud is lost and its machines dead, and what is said and seen of that."""
    status, spec = slim["status"], slim["spec"]
    if slim["kind"] == _SERVER:
        return (_compact(status.get("power")),)
    if slim["kind"] != _CLOUD:
        return None
    proven = [one.get("status") for one in status.get("conditions") or () if one.get("type") == "Fenced"]
    consent = _compact((spec.get("hosted") or {}).get("fencing"))
    return (status.get("lostSince"), status.get("fencedFor"), _compact(spec.get("fencing")), consent, *proven)


def _movement(slim: Json) -> tuple[Any, ...] | None:
    """What a machine that moves and its move tell one another: how far the one is, and that the other follows."""
    status = slim["status"]
    if slim["kind"] == _MOVE:
        stalled = any(one.get("type") == "Stalled" for one in status.get("conditions") or ())
        return (status.get("phase"), stalled)  # the exit that it is part of goes on without one that does not begin
    reasons = {one.get("reason") for one in status.get("conditions") or () if one.get("type") == "Reconciling"}
    if slim["kind"] != _MACHINE or Reason.MOVING not in reasons:
        return None
    external = status.get("external") or {}
    return (external.get("vm"), external.get("cloud"))


def _compact(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _older(version: str, known: str) -> bool:
    """Whether a resourceVersion is from before another. Kubernetes makes them comparable as integers from 1.35 on and
    etcd always did; anything else is compared for equality only."""
    return version.isdigit() and known.isdigit() and int(version) < int(known)
