"""A picture of the cluster that follows it: one watch per kind, nothing is polled."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from sovereigncloud.api import KINDS
from sovereigncloud.api.common.base import Key
from sovereigncloud.commands.shared.cluster_session import forbidden, not_installed
from sovereigncloud.commands.shared.connections import Cluster
from sovereigncloud.commands.shared.errors import CommandError
from sovereigncloud.engine.cache.store import key_of
from sovereigncloud.ports.errors import Auth, NotFound

Json = dict[str, Any]
_NAMESPACED = {kind.crd.kind: kind.crd.namespaced for kind in KINDS}
_TOGETHER = 0.1
"""Seconds in which changes are shown together: a machine being made changes several times in one."""


async def follow(cluster: Cluster, scope: str, shown: Callable[[Mapping[Key, Json]], Awaitable[None]]) -> None:
    """Call `shown` with everything once it is listed, then after each change. Ends only with an error or a cancellation.

    Raises:
        CommandError: the kinds are not installed, or may not be read.
    """
    known: dict[str, dict[Key, Json]] = {}
    unknown: set[str] = set()
    changed = asyncio.Event()

    async def watch(kind: str) -> None:
        try:
            async for what, found in cluster.reads.changes(kind, scope):
                apply(known, kind, what, found)
                changed.set()
        except NotFound:
            known[kind] = {}
            unknown.add(kind)
            changed.set()
        except Auth as error:
            known[kind] = _nothing(kind, scope, error)
            changed.set()

    async def show() -> None:
        while True:
            await changed.wait()
            changed.clear()
            if len(known) < len(KINDS) or len(unknown) == len(KINDS):
                continue
            await shown({key: body for listed in known.values() for key, body in listed.items()})
            await asyncio.sleep(_TOGETHER)

    failed: CommandError | None = None
    try:
        async with asyncio.TaskGroup() as group:
            watches = [group.create_task(watch(kind.crd.kind)) for kind in KINDS]
            drawing = group.create_task(show())
            await asyncio.wait(watches)
            drawing.cancel()
    except* CommandError as errors:
        failed = next(e for e in errors.exceptions if isinstance(e, CommandError))
    if failed is not None:
        raise failed
    # Every watch ended without an error: there is none of the kinds to watch.
    raise CommandError(not_installed(cluster))


def _nothing(kind: str, scope: str, error: Auth) -> dict[Key, Json]:
    """Who looks into one namespace need not be let see what is in none. Raises CommandError for what is in one."""
    if _NAMESPACED[kind] or not scope:
        raise CommandError(forbidden(kind, scope, error)) from error
    return {}


def apply(known: dict[str, dict[Key, Json]], kind: str, what: str, found: list[Json]) -> None:
    """Take one message of a watch into what is known."""
    if what == "LISTED":
        known[kind] = {key_of(body): body for body in found}
        return
    for body in found:
        if what == "DELETED":
            known.setdefault(kind, {}).pop(key_of(body), None)
        else:
            known.setdefault(kind, {})[key_of(body)] = body
