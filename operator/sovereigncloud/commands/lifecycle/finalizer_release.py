"""Taking the operator's finalizers off where no operator does it: what is held, and letting it go."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from sovereigncloud.api import KINDS
from sovereigncloud.api.common.base import FINALIZER, Key
from sovereigncloud.commands.shared.errors import CommandError
from sovereigncloud.engine.cache.store import AnyResource, Store
from sovereigncloud.engine.loop.evaluate import AnyController
from sovereigncloud.ports.errors import Auth, Conflict, NotFound

Json = dict[str, Any]
_PASSES = 5
"""How often everything is looked through again for what somebody changed meanwhile."""


class ReleaseApi(Protocol):
    """What is asked of the API server. Raises OutsideError."""

    def objects(self, kind: str) -> AsyncIterator[Json]: ...
    async def patch_finalizers(
        self, kind: str, namespace: str, name: str, version: str, finalizers: list[str]
    ) -> Json: ...
    async def guard_secret(self, namespace: str, name: str, *, hold: bool) -> bool: ...
    async def finalized_secrets(self) -> list[tuple[str, str]]: ...


@dataclass(frozen=True, slots=True)
class Held:
    """An object that carries the operator's finalizer.

    Attributes:
        version: its resourceVersion.
        finalizers: all of them.
        external: ids outside, as its status has them.
        secrets: names of Secrets in its namespace that it may have guarded.
        deleting: it goes as soon as nothing holds it.
    """

    key: Key
    version: str
    finalizers: tuple[str, ...]
    external: Mapping[str, str]
    secrets: tuple[str, ...]
    deleting: bool

    @property
    def outside(self) -> str:
        """What stays, in words."""
        return ", ".join(f"{name} {value}" for name, value in sorted(self.external.items())) or "nothing recorded"


@dataclass(slots=True)
class Released:
    """What was let go, or would be.

    Attributes:
        secrets: (namespace, name).
    """

    objects: dict[Key, Held] = field(default_factory=dict)
    secrets: set[tuple[str, str]] = field(default_factory=set)


async def held(api: ReleaseApi, controllers: Mapping[str, AnyController], namespaces: frozenset[str]) -> Released:
    """Everything that carries the finalizer, in the namespaces of the API; Secrets in these namespaces or in all.

    Secrets are named by the objects that use them; who may list Secrets finds those whose user is gone as well.
    """
    found = Released()
    for kind in KINDS:
        try:
            async for body in api.objects(kind.crd.kind):
                if FINALIZER in body["metadata"].get("finalizers", ()):
                    one = _held(body, controllers)
                    found.objects[one.key] = one
                    found.secrets |= {(one.key.namespace, name) for name in one.secrets}
        except NotFound:
            continue  # its CRD is gone, and all objects with it
    try:
        there = await api.finalized_secrets()
    except Auth:
        return found
    found.secrets = {place for place in there if not namespaces or place[0] in namespaces}
    return found


async def let_go(api: ReleaseApi, controllers: Mapping[str, AnyController], namespaces: frozenset[str]) -> Released:
    """Take the finalizers off. Nothing else of an object is written, and nothing outside.

    Secrets before their users: where this is cut off, the next time finds them by the objects that are still held.

    Raises:
        CommandError: objects are changed as fast as they are let go; an operator lives.
    """
    done = Released()
    for _ in range(_PASSES):
        now = await held(api, controllers, namespaces)
        changed = False
        for place in sorted(now.secrets):
            if await api.guard_secret(*place, hold=False):
                done.secrets.add(place)
        for one in now.objects.values():
            left = [name for name in one.finalizers if name != FINALIZER]
            try:
                await api.patch_finalizers(*one.key, one.version, left)
            except NotFound:
                continue
            except Conflict:
                changed = True
            else:
                done.objects[one.key] = one
        if not changed:
            return done
    raise CommandError(
        f"the objects are changed as fast as they are let go ({len(done.objects)} were): does an operator live that this"
        " command does not know of? Stop it, then try again"
    )


def _held(body: Json, controllers: Mapping[str, AnyController]) -> Held:
    store, metadata = Store(), body["metadata"]
    key, _ = store.put(body)
    external = (body.get("status") or {}).get("external") or {}
    return Held(
        key,
        metadata["resourceVersion"],
        tuple(metadata["finalizers"]),
        {str(name): str(value) for name, value in external.items()},
        _secrets(store.get(key), controllers[key.kind]),
        "deletionTimestamp" in metadata,
    )


def _secrets(resource: AnyResource | None, controller: AnyController) -> tuple[str, ...]:
    if resource is None:
        return ()  # of another version of the language; its finalizer goes all the same
    # A kind may need no Secret any more to end what it made; it did, and held it, while that was there.
    alive = resource.model_copy(update={"metadata": resource.metadata.model_copy(update={"deletion_timestamp": None})})
    return tuple(sorted(secret.name for secret in controller.uses(alive).secrets))
