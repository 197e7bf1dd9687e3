"""What the shell offers at the TAB key. Nothing here may fail or take long: then nothing is offered."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from sovereigncloud.commands.shared.connections import Cluster

_WITHIN = 3.0
"""Seconds: a person at the TAB key waits no longer."""
_INSTANCE = "HostedInstance"


def complete_object(ctx: typer.Context, incomplete: str) -> list[str]:
    """Kinds, then names after KIND/ or after a word that is a kind; bare names, too."""
    from sovereigncloud.commands.shared.kind_names import known_kinds, short_name  # noqa: PLC0415 - the models take a while

    kinds = known_kinds()
    before = [str(word) for word in ctx.params.get("objects") or ()]
    if "/" in incomplete:
        typed = incomplete.partition("/")[0]
        kind = kinds.get(typed.lower())
        return (
            [f"{typed}/{name}" for name in _names(ctx, kind) if f"{typed}/{name}".startswith(incomplete)]
            if kind
            else []
        )
    if before and before[0].lower() in kinds:
        return [name for name in _names(ctx, kinds[before[0].lower()]) if name.startswith(incomplete)]
    # A kind is offered with its slash and its names: one TAB less.
    found = [f"{short_name(kind)}/{name}" for kind in dict.fromkeys(kinds.values()) for name in _names(ctx, kind)]
    return [
        *(word for word in found if word.startswith(incomplete)),
        *(word for word in kinds if incomplete and word.startswith(incomplete)),
    ]


def complete_instance(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of instances."""
    return [name for name in _names(ctx, _INSTANCE) if name.startswith(incomplete)]


def complete_namespace(ctx: typer.Context, incomplete: str) -> list[str]:
    """Namespaces that hold objects of ours."""

    async def ask(cluster: Cluster) -> list[str]:
        from sovereigncloud.api import KINDS  # noqa: PLC0415 - as above

        found = await asyncio.gather(*(cluster.reads.names(kind.crd.kind, "") for kind in KINDS))
        return sorted({namespace for listed in found for namespace, _ in listed if namespace})

    return [name for name in _asked(ctx, ask) if name.startswith(incomplete)]


def _names(ctx: typer.Context, kind: str) -> list[str]:
    everything: dict[str, list[str]] = ctx.meta.setdefault("sovereigncloud.names", {})
    if not everything:
        everything.update(_all_names(ctx))
    return everything.get(kind, [])


def _all_names(ctx: typer.Context) -> dict[str, list[str]]:
    async def ask(cluster: Cluster) -> dict[str, list[str]]:
        from sovereigncloud.api import KINDS  # noqa: PLC0415 - as above

        kinds = [kind.crd.kind for kind in KINDS]
        scope = "" if ctx.params.get("all_namespaces") else ctx.params.get("namespace") or cluster.namespace
        found = await asyncio.gather(*(cluster.reads.names(kind, scope) for kind in kinds))
        return {kind: sorted({name for _, name in listed}) for kind, listed in zip(kinds, found, strict=True)}

    return _asked(ctx, ask) or {}


def _asked(ctx: typer.Context, ask: Any) -> Any:
    """What the cluster says; nothing where it is away, says no or takes too long."""
    from sovereigncloud.commands.shared.connections import Connections, NoClusterError, real_cluster  # noqa: PLC0415 - as above
    from sovereigncloud.ports.errors import OutsideError  # noqa: PLC0415 - as above

    async def within() -> Any:
        context, kubeconfig = ctx.params.get("context"), ctx.params.get("kubeconfig")
        connections = ctx.find_root().obj
        opened = (
            connections.cluster(context, kubeconfig)
            if isinstance(connections, Connections)
            else real_cluster("", context, kubeconfig)
        )
        async with asyncio.timeout(_WITHIN), opened as cluster:
            return await ask(cluster)

    with contextlib.suppress(NoClusterError, OutsideError, TimeoutError):
        return asyncio.run(within())
    return []
