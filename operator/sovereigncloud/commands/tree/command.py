"""`sovereign tree`: what belongs to what."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import typer

from sovereigncloud.api.common.base import Key
from sovereigncloud.commands.shared.cluster_session import ALL, Where, asked, bodies
from sovereigncloud.commands.shared.connections import Cluster, Connections
from sovereigncloud.commands.shared.errors import CommandError
from sovereigncloud.commands.shared.object_names import Named, chosen, named
from sovereigncloud.commands.shared.options import (
    AllNamespaces,
    Context,
    Kubeconfig,
    Namespace,
    NoColor,
    Objects,
    Output,
    OutputOption,
)
from sovereigncloud.commands.shared.output import emit
from sovereigncloud.commands.shared.resource_graph import ResourceGraph
from sovereigncloud.commands.tree.cluster_watch import follow
from sovereigncloud.commands.tree.ownership_tree import Node, forest, needed_secrets
from sovereigncloud.commands.tree.ownership_tree import tree as tree_of
from sovereigncloud.ports.errors import OutsideError

Json = dict[str, Any]
Secrets = Mapping[tuple[str, str], bool | None]


def tree(
    ctx: typer.Context,
    objects: Objects = None,
    *,
    watch: Annotated[bool, typer.Option("-w", "--watch", help="Live, until Ctrl-C: one watch per kind.")] = False,
    namespace: Namespace = "",
    all_namespaces: AllNamespaces = False,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    output: OutputOption = Output.TABLE,
    no_color: NoColor = False,
) -> None:
    """Show what belongs to what: clouds with their servers, networks, images, instances and Secrets.

    Without objects: every cloud of the namespace, then what is in none. A cloud shows all that is in it; any other object
    shows what it uses and who uses it. Each line says whether it is Ready, why not, and in how many fields it drifted.
    """
    where = Where(namespace, all_namespaces, context, kubeconfig)
    wanted = named(objects or (), whole_kinds=True)
    if watch and output is not Output.TABLE:
        raise CommandError("--watch is for people: leave out -o, or use kubectl get sovereign -w -o json")
    if watch:
        try:
            asked(
                ctx,
                where,
                lambda connections, cluster: _watch(connections, cluster, where.scope(cluster), wanted, no_color),
            )
        except KeyboardInterrupt:
            return
    scope, nodes, now = asked(
        ctx, where, lambda connections, cluster: _once(connections, cluster, where.scope(cluster), wanted)
    )
    if output is not Output.TABLE:
        emit({"format": 1, "items": [node.as_json() for node in nodes]}, output)
        return
    from sovereigncloud.commands.shared.terminal import console  # noqa: PLC0415 - rich is for what is shown only
    from sovereigncloud.commands.tree.view import shown  # noqa: PLC0415 - as above

    if not nodes:
        typer.echo(
            f"No objects {f'in namespace {scope}' if scope else 'in any namespace'}: look with -A, or apply some.",
            err=True,
        )
        return
    console(color=not no_color).print(shown(nodes, now, namespaces=scope == ALL))


async def _once(connections: Connections, cluster: Cluster, scope: str, wanted: tuple[Named, ...]) -> Any:
    resource_graph = ResourceGraph((await bodies(cluster, scope)).values(), connections.controllers)
    secrets = await _secrets(cluster, needed_secrets(resource_graph))
    return scope, _nodes(resource_graph, secrets, wanted, scope), connections.now()


def _nodes(resource_graph: ResourceGraph, secrets: Secrets, wanted: tuple[Named, ...], scope: str) -> tuple[Node, ...]:
    if not wanted:
        return forest(resource_graph, secrets)
    return tuple(tree_of(key, resource_graph, secrets) for key in chosen(wanted, resource_graph.everything(), scope))


async def _watch(
    connections: Connections, cluster: Cluster, scope: str, wanted: tuple[Named, ...], no_color: bool
) -> None:
    """Draws anew with each change and each second, since ages grow."""
    from rich.live import Live  # noqa: PLC0415 - as above

    from sovereigncloud.commands.shared.terminal import console  # noqa: PLC0415 - as above
    from sovereigncloud.commands.tree.view import shown  # noqa: PLC0415 - as above

    if not sys.stdout.isatty():
        raise CommandError("--watch needs a terminal: without one use kubectl get sovereign -w")
    secrets: dict[tuple[str, str], bool | None] = {}
    nodes: tuple[Node, ...] = ()

    with Live(
        console=console(color=not no_color), screen=True, auto_refresh=False, vertical_overflow="ellipsis"
    ) as live:

        def draw() -> None:
            live.update(shown(nodes, connections.now(), namespaces=scope == ALL), refresh=True)

        async def news(known: Mapping[Key, Json]) -> None:
            nonlocal nodes
            resource_graph = ResourceGraph(known.values(), connections.controllers)
            # A Secret is looked for when it is first named, and again while it is missing.
            unknown = {s for s in needed_secrets(resource_graph) if not secrets.get(s)}
            secrets.update(await _secrets(cluster, unknown))
            nodes = _nodes(resource_graph, secrets, wanted, scope)
            draw()

        async def ticks() -> None:
            while True:
                await asyncio.sleep(1)
                draw()

        ticking = asyncio.create_task(ticks())
        try:
            await follow(cluster, scope, news)
        finally:
            ticking.cancel()


async def _secrets(cluster: Cluster, wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], bool | None]:
    async def there(namespace: str, name: str) -> bool | None:
        try:
            return await cluster.reads.secret_is_there(namespace, name)
        except OutsideError:
            return None

    asked_for = sorted(wanted)
    return dict(zip(asked_for, await asyncio.gather(*(there(*one) for one in asked_for)), strict=True))
