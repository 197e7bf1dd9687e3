"""`sovereign plan`: what the operator would do, with files or with what is applied, and why."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import typer

from sovereigncloud.commands.plan.declared import declared, in_cluster
from sovereigncloud.commands.plan.manifests import Document, read
from sovereigncloud.commands.plan.planner import Planner
from sovereigncloud.commands.plan.report import Report, as_json
from sovereigncloud.commands.shared.cluster_session import Where, asked, bodies
from sovereigncloud.commands.shared.connections import Cluster, Connections, NoClusterError, real_doors
from sovereigncloud.commands.shared.errors import CommandError
from sovereigncloud.commands.shared.object_names import chosen, named
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


def plan(
    ctx: typer.Context,
    objects: Objects = None,
    *,
    files: Annotated[
        list[str] | None,
        typer.Option(
            "-f",
            "--filename",
            help="A file, a directory, or - for standard input. Repeat it. Default: what is applied.",
        ),
    ] = None,
    recursive: Annotated[bool, typer.Option("-R", "--recursive", help="Look into directories below.")] = False,
    namespace: Namespace = "",
    all_namespaces: AllNamespaces = False,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    no_cluster: Annotated[
        bool,
        typer.Option("--no-cluster", help="Ask no API server: all that is referred to, Secrets too, is in the files."),
    ] = False,
    output: OutputOption = Output.TABLE,
    no_color: NoColor = False,
) -> None:
    """Print what the operator would do, and why. Nothing is changed, anywhere.

    With -f: with these manifests. Where a kubeconfig names a cluster that answers, files are compared with it, and what they
    refer to is read there; else all of it must be in the files, and only OVHcloud and OpenNebula are asked. Without -f: with
    what is applied, in the namespace, or with the objects that are named.

    The Secrets named by the objects give access. Exit code 0: nothing to do; 2: changes, or something still under way; 1: an
    error.
    """
    doors_of = partial(_doors, ctx)
    debug = bool(ctx.find_root().params.get("debug"))
    where = Where(namespace, all_namespaces, context, kubeconfig)
    if files:
        report, ignored = _of_files(doors_of, where, files, objects or (), recursive, no_cluster, strict=debug)
    elif no_cluster:
        raise CommandError("--no-cluster looks at files alone: name them with -f")
    else:
        look = partial(_of_cluster, where=where, wanted=objects or (), strict=debug)
        report, ignored = asked(ctx, where, look, outside=True), ()
    if output is Output.TABLE:
        from sovereigncloud.commands.plan.tables import show  # noqa: PLC0415 - rich is for tables only
        from sovereigncloud.commands.shared.terminal import console  # noqa: PLC0415 - as above

        for what in ignored:
            typer.echo(f"ignored: {what}", err=True)
        show(report, console(color=not no_color))
    else:
        emit(as_json(report), output)
    raise typer.Exit(report.exit_code)


def _doors(ctx: typer.Context) -> Connections:
    return ctx.obj if isinstance(ctx.obj, Connections) else real_doors()


# --- with what is applied --------------------------------------------------------------------------------------------


async def _of_cluster(
    connections: Connections, cluster: Cluster, *, where: Where, wanted: Sequence[str], strict: bool
) -> Report:
    scope = where.scope(cluster)
    there = await bodies(cluster, scope)
    keys = chosen(named(wanted, whole_kinds=True), there, scope) if wanted else tuple(there)
    if not keys:
        raise CommandError(
            f"nothing is applied {f'in namespace {scope}' if scope else 'in any namespace'}: look with -A, or name files"
            " with -f"
        )
    contents = in_cluster({key: there[key] for key in keys})
    return await Planner(connections, cluster, contents, strict=strict).report()


# --- with files ------------------------------------------------------------------------------------------------------


def _of_files(
    doors_of: Callable[[], Connections],
    where: Where,
    files: Sequence[str],
    wanted: Sequence[str],
    recursive: bool,
    no_cluster: bool,
    *,
    strict: bool,
) -> tuple[Report, tuple[str, ...]]:
    context = where.context or where.kubeconfig
    if no_cluster and context:
        raise CommandError("--no-cluster and --context exclude each other: give one of them")
    if wanted or where.everywhere:
        raise CommandError("objects, or -A, and -f exclude each other: the files say what is planned")
    documents = read(files, recursive=recursive)
    # Files are checked before anything is imported or asked that takes time.
    declared(documents, where.namespace or "default")
    request = _Request(documents=documents, where=where, no_cluster=no_cluster, strict=strict)
    return asyncio.run(_report(doors_of(), request))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """What was asked for on the command line."""

    documents: Sequence[Document]
    where: Where
    no_cluster: bool
    strict: bool


async def _report(connections: Connections, request: _Request) -> tuple[Report, tuple[str, ...]]:
    where = request.where
    if not request.no_cluster:
        try:
            async with connections.cluster(where.context, where.kubeconfig) as cluster:
                if await cluster.reads.answers():
                    return await _planned(connections, cluster, request)
                silent = f"no answer from the cluster at {cluster.host}"
        except NoClusterError as error:
            silent = f"no cluster: {error}"
        if where.context or where.kubeconfig:
            raise CommandError(f"{silent}: choose another --context, or use --no-cluster with all Secrets in the files")
        typer.echo(f"{silent}; planning from the files alone", err=True)
    return await _planned(connections, None, request)


async def _planned(
    connections: Connections, cluster: Cluster | None, request: _Request
) -> tuple[Report, tuple[str, ...]]:
    contents = declared(request.documents, request.where.namespace or (cluster.namespace if cluster else "default"))
    report = await Planner(connections, cluster, contents, strict=request.strict).report()
    return report, contents.ignored
