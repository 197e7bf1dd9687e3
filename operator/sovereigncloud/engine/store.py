"""The store: what the API server told, kept small.

One object is kept as compact JSON and parsed when needed (a Python dict of it is five times as large); what is asked
for often - references and generations - is kept beside it. The store holds our own PATCH replies too, so that their
echoes in the watch are recognised and dropped.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from sovereigncloud.api import KINDS
from sovereigncloud.api.base import PAUSED, RECONCILE_REQUESTED_AT, Key, Resource
from sovereigncloud.kinds.controller import Uses

Json = dict[str, Any]
AnyResource = Resource[Any, Any]

_MODELS: Mapping[str, type[AnyResource]] = {kind.crd.kind: kind for kind in KINDS}
_PARSED = 256
_METADATA = (
    "name", "namespace", "uid", "generation", "resourceVersion", "creationTimestamp", "deletionTimestamp",
    "finalizers", "labels", "annotations", "ownerReferences",
)  # fmt: skip
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


@dataclass(slots=True)
class Stored:
    """One object. `trigger` is what makes a change worth a reconcile; status is compared apart."""

    uid: str
    version: str
    trigger: tuple[Any, ...]
    text: bytes
    uses: Uses = field(default_factory=Uses)

    def body(self) -> Json:
        found: Json = json.loads(self.text)
        return found


class Store:
    """Objects of our kinds by key, with the reverse of their references."""

    def __init__(self) -> None:
        self._objects: dict[Key, Stored] = {}
        self._users: dict[Key, set[Key]] = {}
        self._parsed: OrderedDict[tuple[Key, str], AnyResource] = OrderedDict()

    def put(self, body: Mapping[str, Any]) -> tuple[Key, bool]:
        """Keep what the API server told; returns the key and whether it is news that asks for a reconcile."""
        key = key_of(body)
        slim = _slim(body)
        known = self._objects.get(key)
        if known is not None and known.uid == slim["metadata"].get("uid"):
            if _older(slim["metadata"].get("resourceVersion", ""), known.version):
                return key, False
            if slim["metadata"].get("resourceVersion") == known.version:
                return key, False
        trigger = _trigger(slim)
        news = known is None or known.uid != slim["metadata"].get("uid") or known.trigger != trigger
        text = json.dumps(slim, separators=(",", ":")).encode()
        if known is not None and not news:
            # somebody else's edit of status is news too: it is put right again
            news = known.body().get("status") != slim.get("status")
        self._objects[key] = Stored(
            slim["metadata"].get("uid", ""), slim["metadata"].get("resourceVersion", ""), trigger, text
        )
        if known is not None:
            self._objects[key].uses = known.uses
        return key, news

    def put_own(self, body: Mapping[str, Any]) -> Key:
        """Keep the reply to a PATCH of ours: its echo in the watch is no news."""
        key, _ = self.put(body)
        return key

    def set_uses(self, key: Key, uses: Uses) -> None:
        """Remember what an object refers to, and so who refers to whom."""
        stored = self._objects.get(key)
        if stored is None or stored.uses == uses:
            return
        self._unlink(key, stored.uses)
        stored.uses = uses
        for used in _targets(uses):
            self._users.setdefault(used, set()).add(key)

    def remove(self, key: Key, uid: str = "") -> Stored | None:
        """Forget an object; one created anew under its name stays."""
        stored = self._objects.get(key)
        if stored is None or (uid and stored.uid != uid):
            return None
        del self._objects[key]
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
        cached = (key, stored.version)
        if cached in self._parsed:
            self._parsed.move_to_end(cached)
            return self._parsed[cached]
        resource = _MODELS[key.kind].model_validate_json(stored.text)
        self._parsed[cached] = resource
        if len(self._parsed) > _PARSED:
            self._parsed.popitem(last=False)
        return resource

    def users(self, key: Key) -> Iterator[Key]:
        """Keys of the objects that refer to this one."""
        yield from tuple(self._users.get(key, ()))

    def keys(self, kind: str = "", namespace: str = "") -> Iterator[Key]:
        """All keys, or those of a kind, or of a namespace."""
        for key in tuple(self._objects):
            if (not kind or key.kind == kind) and (not namespace or key.namespace == namespace):
                yield key

    def __len__(self) -> int:
        return len(self._objects)

    def _unlink(self, key: Key, uses: Uses) -> None:
        for used in _targets(uses):
            users = self._users.get(used)
            if users is not None:
                users.discard(key)
                if not users:
                    del self._users[used]


def key_of(body: Mapping[str, Any]) -> Key:
    """The key of a raw object."""
    metadata = body["metadata"]
    return Key(body["kind"], metadata.get("namespace", ""), metadata["name"])


def _targets(uses: Uses) -> tuple[Key, ...]:
    return (*((uses.cloud,) if uses.cloud else ()), *uses.objects)


def _slim(body: Mapping[str, Any]) -> Json:
    """What is kept: no managedFields, no copy of the last applied manifest."""
    metadata = {k: body["metadata"][k] for k in _METADATA if k in body["metadata"]}
    if _LAST_APPLIED in metadata.get("annotations", {}):
        metadata["annotations"] = {k: v for k, v in metadata["annotations"].items() if k != _LAST_APPLIED}
    return {
        "kind": body["kind"],
        "metadata": metadata,
        "spec": dict(body.get("spec") or {}),
        "status": dict(body.get("status") or {}),
    }


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


def _older(version: str, known: str) -> bool:
    """Whether a resourceVersion is from before another. Kubernetes makes them comparable as integers from 1.35 on and
    etcd always did; anything else is compared for equality only."""
    return version.isdigit() and known.isdigit() and int(version) < int(known)
