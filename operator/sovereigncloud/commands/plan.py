"""`sovereign plan`: what the operator would do with these files, and why."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import typer

from sovereigncloud.commands.declared import declared
from sovereigncloud.commands.doors import Cluster, Doors, NoClusterError, real_doors
from sovereigncloud.commands.errors import CommandError
from sovereigncloud.commands.manifests import Document, read
from sovereigncloud.commands.plan_report import Report, as_json
from sovereigncloud.commands.planner import Planner


class Output(StrEnum):
    TABLE = "table"
    JSON = "json"


def plan(
    ctx: typer.Context,
    *,
    files: Annotated[
        list[str], typer.Option("-f", "--filename", help="A file, a directory, or - for standard input. Repeat it.")
    ],
    recursive: Annotated[bool, typer.Option("-R", "--recursive", help="Look into directories below.")] = False,
    namespace: Annotated[
        str, typer.Option("-n", "--namespace", help="Of objects that name none. Default: the context's, or default.")
    ] = "",
    context: Annotated[
        str | None, typer.Option(help="Context of the kubeconfig; an error if it does not answer.")
    ] = None,
    no_cluster: Annotated[
        bool,
        typer.Option("--no-cluster", help="Ask no API server: all that is referred to, Secrets too, is in the files."),
    ] = False,
    output: Annotated[Output, typer.Option("-o", "--output", help="table, or json for programs.")] = Output.TABLE,
    no_color: Annotated[bool, typer.Option("--no-color", help="No colours. NO_COLOR in the environment, too.")] = False,
) -> None:
    """Print what the operator would do with these manifests, and why. Nothing is changed, anywhere.

    Exit code 0: nothing to do; 2: changes, or something still under way; 1: an error.

    Where a kubeconfig names a cluster that answers, files are compared with it, and what they refer to is read there. Else
    all of it must be in the files, and only OVHcloud and OpenNebula are asked. The Secrets named by the objects give access.
    """
    if no_cluster and context:
        raise CommandError("--no-cluster and --context exclude each other: give one of them")
    documents = read(files, recursive=recursive)
    # Files are checked before anything is imported or asked that takes time.
    declared(documents, namespace or "default")
    doors = ctx.obj if isinstance(ctx.obj, Doors) else real_doors()
    debug = bool(ctx.find_root().params.get("debug"))
    request = _Request(documents=documents, namespace=namespace, context=context, no_cluster=no_cluster, strict=debug)
    report, ignored = asyncio.run(_report(doors, request))
    if output is Output.JSON:
        typer.echo(json.dumps(as_json(report), indent=2))
    else:
        from sovereigncloud.commands.plan_tables import show  # noqa: PLC0415 - rich is for tables only
        from sovereigncloud.commands.terminal import console  # noqa: PLC0415 - as above

        for what in ignored:
            typer.echo(f"ignored: {what}", err=True)
        show(report, console(color=not no_color))
    raise typer.Exit(report.exit_code)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Request:
    """What was asked for on the command line."""

    documents: Sequence[Document]
    namespace: str
    context: str | None
    no_cluster: bool
    strict: bool


async def _report(doors: Doors, request: _Request) -> tuple[Report, tuple[str, ...]]:
    if not request.no_cluster:
        try:
            async with doors.cluster(request.context) as cluster:
                if await cluster.reads.answers():
                    return await _planned(doors, cluster, request)
                silent = f"no answer from the cluster at {cluster.host}"
        except NoClusterError as error:
            silent = f"no cluster: {error}"
        if request.context:
            raise CommandError(f"{silent}: choose another --context, or use --no-cluster with all Secrets in the files")
        typer.echo(f"{silent}; planning from the files alone", err=True)
    return await _planned(doors, None, request)


async def _planned(doors: Doors, cluster: Cluster | None, request: _Request) -> tuple[Report, tuple[str, ...]]:
    contents = declared(request.documents, request.namespace or (cluster.namespace if cluster else "default"))
    report = await Planner(doors, cluster, contents, strict=request.strict).report()
    return report, contents.ignored
