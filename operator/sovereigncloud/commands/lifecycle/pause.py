"""`sovereign pause` and `resume`: stop the operator's writes for an object, and let them go on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import typer

from sovereigncloud.api.common.base import PAUSED, Key
from sovereigncloud.commands.lifecycle.pause_ownership import is_paused, owners
from sovereigncloud.commands.shared.cluster_session import Where, asked, bodies
from sovereigncloud.commands.shared.connections import Cluster, Connections
from sovereigncloud.commands.shared.errors import CommandError
from sovereigncloud.commands.shared.formatting import counted
from sovereigncloud.commands.shared.kind_names import short_name
from sovereigncloud.commands.shared.object_names import Named, chosen, named
from sovereigncloud.commands.shared.options import Context, Kubeconfig, Namespace, Output, OutputOption, SomeObjects
from sovereigncloud.commands.shared.output import emit
from sovereigncloud.commands.shared.resource_graph import CLOUD, ResourceGraph
from sovereigncloud.ports.errors import Auth

Json = dict[str, Any]

Recursive = Annotated[
    bool,
    typer.Option("-R", "--recursive", help="Of a SovereignCloud: also everything that is in it, as `tree` shows it."),
]


def pause(
    ctx: typer.Context,
    objects: SomeObjects,
    *,
    recursive: Recursive = False,
    namespace: Namespace = "",
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Stop every write outside for these objects, until `resume`.

    The operator goes on looking: sweeps, status and drift stay fresh, and a deletion waits and says so. Each object is
    paused alone; what is in a cloud goes on unless --recursive is given. Argo CD shows a paused object as Suspended, and
    holds the sync waves behind it.

    It sets the annotation sovereigncloud.io/paused and nothing else.
    """
    where = Where(namespace, everywhere=False, context=context, kubeconfig=kubeconfig)
    done = _set(ctx, where, named(objects), "true", recursive=recursive)
    if output is not Output.TABLE:
        emit(_as_json(done), output)
        return
    for one in done:
        typer.echo(f"{_name(one.key)} {'was paused already' if one.before else 'paused'}")
    inside = sum(one.inside for one in done)
    if inside and not recursive:
        typer.echo(f"what is in it goes on ({counted(inside, 'object')}): --recursive pauses it, too", err=True)
    typer.echo(
        "Nothing outside is written for it any more; drift is still found and shown, a deletion waits. Argo CD shows it"
        " as Suspended and holds later sync waves. Go on: kubectl sovereign resume " + " ".join(objects),
        err=True,
    )


def resume(
    ctx: typer.Context,
    objects: SomeObjects,
    *,
    recursive: Recursive = False,
    namespace: Namespace = "",
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Let the operator write outside again for these objects. What drifted meanwhile is mended as driftPolicy says.

    It removes the annotation sovereigncloud.io/paused and nothing else. Where that comes from a manifest in Git, whoever
    applies the manifest puts it back: then it is said who.
    """
    where = Where(namespace, everywhere=False, context=context, kubeconfig=kubeconfig)
    done = _set(ctx, where, named(objects), None, recursive=recursive)
    if output is not Output.TABLE:
        emit(_as_json(done), output)
        return
    for one in done:
        typer.echo(f"{_name(one.key)} {'resumed' if one.before else 'was not paused'}")
        if one.before and one.owners:
            typer.echo(
                f"warning: {' and '.join(one.owners)} applies the annotation {PAUSED} from a manifest and will put it"
                " back: take it out of the manifest, in Git if it comes from there",
                err=True,
            )


@dataclass(frozen=True, slots=True)
class _Done:
    """An object whose annotation was set or removed.

    Attributes:
        before, now: whether it was, and is, paused.
        owners: who applies the annotation from a manifest.
        inside: how many objects are in it, where it is a cloud.
    """

    key: Key
    before: bool
    now: bool
    owners: tuple[str, ...]
    inside: int


def _set(
    ctx: typer.Context, where: Where, wanted: tuple[Named, ...], value: str | None, *, recursive: bool
) -> list[_Done]:
    async def act(connections: Connections, cluster: Cluster) -> list[_Done]:
        scope = where.scope(cluster)
        there = await bodies(cluster, scope)
        resource_graph = ResourceGraph(there.values(), connections.controllers)
        keys = list(chosen(wanted, resource_graph.everything(), scope))
        if recursive:
            inside = [member for key in keys if key.kind == CLOUD for member in resource_graph.members(key)]
            keys = list(dict.fromkeys([*keys, *(key for key in inside if key in resource_graph)]))
        done = []
        for key in keys:
            before, now = is_paused(there[key]), value is not None
            if before != now:
                await _annotate(cluster, key, value)
            inside_of = len(resource_graph.members(key)) if key.kind == CLOUD else 0
            done.append(_Done(key, before, now, owners(there[key]), inside_of))
        return done

    return asked(ctx, where, act)


async def _annotate(cluster: Cluster, key: Key, value: str | None) -> None:
    try:
        await cluster.annotate(key, {PAUSED: value})
    except Auth as error:
        raise CommandError(
            f"you may not change {_name(key)}{f' in namespace {key.namespace}' if key.namespace else ''}: ask for a Role with"
            " patch on it"
        ) from error


def _name(key: Key) -> str:
    return f"{short_name(key.kind)}/{key.name}"


def _as_json(done: list[_Done]) -> Json:
    items = [
        {
            "kind": one.key.kind,
            "namespace": one.key.namespace,
            "name": one.key.name,
            "paused": one.now,
            "changed": one.before != one.now,
            "appliedBy": list(one.owners),
        }
        for one in done
    ]
    return {"format": 1, "items": items}
