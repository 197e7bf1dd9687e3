"""Store: the objects that the API server delivered, indexed and kept compact.

An object is kept as compact JSON and parsed when needed (as a Python dict it is five times as large). Fields that are
read often - references, generation, deletion - are kept beside it. The store also holds the replies to the operator's
own PATCHes, so that their echoes in the watch are recognised and ignored.
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
"""Size of the cache of parsed objects: those being reconciled and their references. Each takes 20 KB."""
_METADATA = (
    "name", "namespace", "uid", "generation", "resourceVersion", "creationTimestamp", "deletionTimestamp",
    "finalizers", "labels", "annotations", "ownerReferences",
)  # fmt: skip
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_VALUES = 1024
"""Size of the table of values shared between objects; when it is full it is emptied."""
_NOTHING = Uses()
SameT = TypeVar("SameT")
_MOVE = "InstanceMigration"
_EXIT = "ExitPlan"
_MACHINE, _GROUP = "HostedInstance", "SecurityGroup"
_CLOUD, _SERVER = "SovereignCloud", "BareMetalServer"


@dataclass(slots=True)
class Stored:
    """One object in the store.

    Attributes:
        trigger: fields whose change requires a reconcile; status is compared separately.
        others: fields whose change requires a reconcile of related objects, see `_others`.
        owners: UIDs of its owners.
        declared: JSON of everything before the status.
        said: JSON of the status, separate because a sweep compares it for each of ten thousand objects.
        summary: status fields for metrics.
        lingers: it is gone from the API server, and its external resources are still to be deleted.
    """

    uid: str
    version: str
    trigger: tuple[Any, ...]
    others: tuple[Any, ...]
    owners: tuple[str, ...]
    declared: bytes
    said: bytes
    summary: StatusSummary
    uses: Uses = _NOTHING
    lingers: bool = False

    @property
    def deleting(self) -> bool:
        return self.trigger[1] is not None

    @property
    def finalized(self) -> bool:
        """Return whether it carries the operator's finalizer."""
        return FINALIZER in self.trigger[2]

    @property
    def ready(self) -> bool:
        return self.summary.ready == ConditionStatus.TRUE

    @property
    def text(self) -> bytes:
        """Return the whole object as JSON."""
        return b"%b%b}" % (self.declared, self.said)

    def body(self) -> Json:
        found: Json = from_json(self.text)  # three times as fast as json.loads
        return found

    def status(self) -> Json:
        found: Json = from_json(self.said)
        return found


class Store:
    """Objects of the operator's kinds by key, with a reverse index of their references."""

    def __init__(self) -> None:
        self._objects: dict[Key, Stored] = {}
        self._kinds: dict[str, set[Key]] = {}
        self._users: dict[Key, dict[Key, None]] = {}
        self._parsed: OrderedDict[Key, tuple[str, AnyResource]] = OrderedDict()
        self._values: dict[Any, Any] = {}
        self.changes: Counter[str] = Counter()
        """Number of additions, changes and deletions per kind; caches compare it."""

    def put(self, body: Mapping[str, Any]) -> tuple[Key, bool]:
        """Store an object from the watch; return its key and whether the change requires a reconcile."""
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
        summary, shared = StatusSummary.of(slim["status"]), self._same
        others = _others(slim, summary.ready)
        self._objects[key] = Stored(
            uid, version, shared(trigger), shared(others), shared(owners), declared, said, shared(summary), uses
        )
        self._kinds.setdefault(key.kind, set()).add(key)
        self.changes[key.kind] += 1
        return key, news

    def put_own(self, body: Mapping[str, Any]) -> Key | None:
        """Store the reply to the operator's own PATCH, so that its echo in the watch requires no reconcile.

        A reply that arrives after the object was deleted or created anew is ignored.
        """
        known = self._objects.get(key_of(body))
        if known is None or known.uid != body["metadata"].get("uid", ""):
            return None
        return self.put(body)[0]

    def keep_deleted(self, body: Mapping[str, Any], now: str) -> Key | None:
        """Keep an object that was deleted in spite of the finalizer, as one that is being deleted.

        Returns None when another object has its name by now.
        """
        known = self._objects.get(key_of(body))
        if known is not None and known.uid != body["metadata"].get("uid", ""):
            return None
        key, _ = self.put({**body, "metadata": {**body["metadata"], "deletionTimestamp": now}})
        self._objects[key].lingers = True
        return key

    def set_uses(self, key: Key, uses: Uses) -> Uses | None:
        """Update the references of an object and the reverse index; return the former ones, None when unchanged."""
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
        """Remove an object; one that was created anew under the same name stays."""
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
        """Return the parsed object; None when it does not exist or is invalid."""
        try:
            return self.parse(key)
        except ValidationError:
            return None

    def parse(self, key: Key) -> AnyResource | None:
        """Return the parsed object. Raises pydantic's ValidationError."""
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
        """Parse several objects, skipping missing and invalid ones, for a sweep over thousands.

        Parsing several at a time takes less than half the time of parsing each between other work. None is cached,
        because that would evict the others.
        """
        found = ((key.kind, self._objects.get(key)) for key in keys)
        resources: list[AnyResource] = []
        for kind, stored in found:
            if stored is not None:
                with suppress(ValidationError):
                    resources.append(_MODELS[kind].model_validate_json(stored.text))
        return resources

    def users(self, key: Key) -> Iterator[Key]:
        """Return the keys of the objects that refer to this one, or to a Secret (`secret_key`)."""
        return iter(tuple(self._users.get(key, ())))

    def keys(self, kind: str = "", namespace: str = "") -> Iterator[Key]:
        """Return all keys, or those of a kind or a namespace."""
        for key in tuple(self._kinds.get(kind, ()) if kind else self._objects):
            if not namespace or key.namespace == namespace:
                yield key

    def summaries(self) -> Counter[tuple[str, StatusSummary]]:
        """Count the objects by kind and status summary."""
        return Counter((key.kind, stored.summary) for key, stored in self._objects.items())

    def _same(self, value: SameT) -> SameT:
        """Return a shared value equal to this one: thousands of objects have a handful of different summaries and
        references.
        """
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
    """Return the key of a raw object."""
    metadata = body["metadata"]
    return Key(sys.intern(body["kind"]), sys.intern(metadata.get("namespace", "")), metadata["name"])


def secret_key(namespace: str, name: str) -> Key:
    """Return the key under which the users of a Secret are indexed."""
    return Key("Secret", namespace, name)


def targets(uses: Uses) -> tuple[Key, ...]:
    """Return the keys of the objects that are referred to."""
    return (*((uses.cloud,) if uses.cloud else ()), *uses.objects)


def _targets(key: Key, uses: Uses) -> tuple[Key, ...]:
    return (*targets(uses), *(secret_key(key.namespace, s.name) for s in uses.secrets))


def namespaces_of_tenants(store: Store, key: Key, before: Stored | None) -> frozenset[str]:
    """Return the namespaces to reconcile after a Tenant, or a cloud that Tenants list, changed.

    Includes the namespaces that the Tenant had before. No reference leads from their objects to a new Tenant or
    cloud.
    """
    whose = (key,) if key.kind == "Tenant" else (user for user in store.users(key) if user.kind == "Tenant")
    found = [store.stored(tenant) for tenant in whose] + [before if key.kind == "Tenant" else None]
    return frozenset(str(name) for one in found if one for name in one.body()["spec"].get("namespaces") or ())


def exit_plan_of(move: Stored) -> Key | None:
    """Return the ExitPlan that created this InstanceMigration. It is no reference, because it must not block its
    deletion.
    """
    body = move.body()
    ref = body["spec"].get("exitPlanRef") or {}
    return Key(_EXIT, ref.get("namespace") or body["metadata"]["namespace"], ref["name"]) if ref.get("name") else None


def related_security_groups(store: Store, key: Key, before: Stored | None) -> Iterator[Key]:
    """Return the SecurityGroups whose status depends on this cloud or instance, without a reference to it.

    Security groups exist in every cloud and count the VMs whose NICs name them, or named them before.
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
    """Return the names of the security groups on the NICs of an instance, in spec and in status."""
    cards = (slim["spec"].get("networks") or (), slim["status"].get("networks") or ())
    return tuple(tuple(sorted({name for one in some for name in one.get("securityGroups") or ()})) for some in cards)


def instances_waiting_for(store: Store, named: Stored) -> Iterator[Key]:
    """Return the instances that may name this image or network; they use OpenNebula names, not references."""
    for user in (user for cloud in targets(named.uses) for user in store.users(cloud)):
        waits = store.stored(user)
        if user.kind == "Tenant" or (user.kind == "HostedInstance" and waits is not None and not waits.ready):
            yield user


def _slim(body: Mapping[str, Any]) -> Json:
    """Return the object without managedFields and without the last applied manifest."""
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
    """Return the JSON of the object, split where the status begins, which comes last."""
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
    """Return the fields that users and owners of this object act upon.

    The readiness of a cloud is left out: a thousand instances need its endpoint, and need no reconcile whenever one
    of its hosts is busy.
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


def differs_only_in_outage(before: Stored, after: Stored) -> bool:
    """Return whether only outage and fencing fields differ between two versions."""
    return before.uid == after.uid and before.others[:-1] == after.others[:-1]


def _loss(slim: Json) -> tuple[Any, ...] | None:
    """Return the outage and fencing fields of a cloud."""
    status, spec = slim["status"], slim["spec"]
    if slim["kind"] == _SERVER:
        return (_compact(status.get("power")),)
    if slim["kind"] != _CLOUD:
        return None
    proven = [one.get("status") for one in status.get("conditions") or () if one.get("type") == "Fenced"]
    consent = _compact((spec.get("hosted") or {}).get("fencing"))
    return (status.get("lostSince"), status.get("fencedFor"), _compact(spec.get("fencing")), consent, *proven)


def _movement(slim: Json) -> tuple[Any, ...] | None:
    """Return the fields that an instance and its InstanceMigration exchange: progress, and whether the instance
    follows.
    """
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
    """Return whether a resourceVersion is older than another.

    Kubernetes defines them as comparable integers from 1.35 on, and etcd always did; anything else is compared for
    equality.
    """
    return version.isdigit() and known.isdigit() and int(version) < int(known)
