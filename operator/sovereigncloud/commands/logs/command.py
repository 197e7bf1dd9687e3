"""`sovereign logs`: what the operator said about one object."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Annotated, Any

import typer

from sovereigncloud.api.common.base import Key
from sovereigncloud.commands.logs.lines import About, LogLine
from sovereigncloud.commands.shared.cluster_session import ALL, Where, asked, bodies
from sovereigncloud.commands.shared.connections import Cluster, Connections
from sovereigncloud.commands.shared.errors import CommandError
from sovereigncloud.commands.shared.formatting import seconds
from sovereigncloud.commands.shared.object_names import chosen, named
from sovereigncloud.commands.shared.options import (
    Context,
    Kubeconfig,
    Namespace,
    NoColor,
    Output,
    OutputOption,
    SomeObjects,
)
from sovereigncloud.commands.shared.output import emit
from sovereigncloud.engine.cache.store import key_of
from sovereigncloud.ports.errors import Auth, OutsideError

Json = dict[str, Any]
_SELECTOR = "app.kubernetes.io/part-of=sovereign-cloud-operator"
_CONTAINER = "operator"
_STYLES = {"WARNING": "yellow", "ERROR": "bold red", "CRITICAL": "bold red", "DEBUG": "dim"}
_EVERY_LINE = 100_000
"""Lines that are looked through at most: most are about other objects, so --tail counts what was found."""


def logs(
    ctx: typer.Context,
    objects: SomeObjects,
    *,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on as lines come, until Ctrl-C.")] = False,
    since: Annotated[str, typer.Option(help="Only lines younger than this, for example 10m.")] = "",
    tail: Annotated[int, typer.Option(help="Only so many of the last lines about it; -1: all.", min=-1)] = -1,
    operator_namespace: Annotated[
        str, typer.Option(help="Where the operator runs. Default: looked for in all namespaces, else sovereign-system.")
    ] = "",
    namespace: Namespace = "",
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    output: OutputOption = Output.TABLE,
    no_color: NoColor = False,
) -> None:
    """Print what the operator said about an object.

    The lines come from the logs of the operator's pods, by way of the API server, and are picked by the object that each
    line names. Whoever asks needs the right to read pods and their logs where the operator runs. Reads JSON logs and text.
    """
    where = Where(namespace, everywhere=False, context=context, kubeconfig=kubeconfig)
    wanted = named(objects)
    age = max(1, round(seconds(since))) if since else None
    if follow and output is Output.YAML:
        raise CommandError("--follow prints one JSON object a line: use -o json")
    show = _printer(output, no_color=no_color)
    found: list[LogLine] = []

    async def look(connections: Connections, cluster: Cluster) -> None:
        key = await _the_object(cluster, where, wanted)
        pods = await _pods(connections, cluster, operator_namespace)
        streams = (_one(cluster, pod, key, follow=follow, since=age, tail=tail, take=take) for pod in pods)
        await asyncio.gather(*streams)

    def take(line: LogLine) -> None:
        if follow:
            show(line)
        else:
            found.append(line)

    try:
        asked(ctx, where, look)
    except KeyboardInterrupt:
        return
    if follow:
        return
    if output is not Output.TABLE:
        emit({"format": 1, "items": [line.as_json() for line in found]}, output)
        return
    for line in found:
        show(line)
    if not found:
        typer.echo(
            "The operator said nothing about it since its pod began: what it knows is in its status: describe.",
            err=True,
        )


async def _the_object(cluster: Cluster, where: Where, wanted: Any) -> Key:
    scope = where.scope(cluster)
    keys = [key_of(body) for body in (await bodies(cluster, scope)).values()]
    found = chosen(wanted, keys, scope)
    if len(found) != 1:
        raise CommandError("logs are of one object at a time: name one")
    return found[0]


async def _pods(connections: Connections, cluster: Cluster, namespace: str) -> list[Json]:
    """The operator's, by the labels of the chart."""
    fallback = connections.settings.namespace
    try:
        try:
            found = await cluster.reads.pods(namespace or ALL, _SELECTOR)
        except Auth:
            if namespace:
                raise
            found = await cluster.reads.pods(fallback, _SELECTOR)
    except Auth as error:
        raise CommandError(
            f"you may not read pods in namespace {namespace or fallback}, where the operator runs: ask for a Role with get"
            " and list on pods and pods/log there, or read what the operator said in `describe`"
        ) from error
    operators = [pod for pod in found if _has_operator(pod)]
    if not operators:
        where = f"in namespace {namespace}" if namespace else "in any namespace"
        raise CommandError(
            f"no pod of the operator {where}: install the chart, name its namespace with --operator-namespace, or, where it"
            " runs as a process, look into its own output"
        )
    waiting = [pod for pod in operators if not (pod.get("spec") or {}).get("nodeName")]
    if len(waiting) == len(operators):
        name, place = waiting[0]["metadata"]["name"], waiting[0]["metadata"]["namespace"]
        raise CommandError(
            f"pod {place}/{name} of the operator runs on no node yet, so there is no log: see why with"
            f" kubectl describe pod {name} -n {place}"
        )
    return [pod for pod in operators if pod not in waiting]


def _has_operator(pod: Json) -> bool:
    return any(c.get("name") == _CONTAINER for c in (pod.get("spec") or {}).get("containers") or ())


async def _one(
    cluster: Cluster,
    pod: Json,
    key: Key,
    *,
    follow: bool,
    since: int | None,
    tail: int,
    take: Callable[[LogLine], None],
) -> None:
    metadata, picks = pod["metadata"], About(key)
    lines = cluster.reads.log_lines(
        metadata["namespace"], metadata["name"], _CONTAINER, follow=follow and tail != 0, since=since, tail=_EVERY_LINE
    )
    kept: list[LogLine] = []
    try:
        if follow and tail >= 0:
            # What was there before is cut, what comes is not: the two are one stream, so the past is read first.
            await _one(cluster, pod, key, follow=False, since=since, tail=tail, take=take)
            lines = cluster.reads.log_lines(
                metadata["namespace"], metadata["name"], _CONTAINER, follow=True, since=since, tail=0
            )
        async for line in lines:
            if (found := picks.pick(line)) is None:
                continue
            if follow:
                take(found)
            else:
                kept.append(found)
    except Auth as error:
        raise CommandError(
            f"you may not read logs in namespace {metadata['namespace']}: ask for a Role with get on pods/log there"
        ) from error
    except OutsideError as error:
        raise CommandError(
            f"the log of pod {metadata['namespace']}/{metadata['name']} cannot be read: {error.message}: see that it runs:"
            f" kubectl get pod {metadata['name']} -n {metadata['namespace']}"
        ) from error
    for one in kept if tail < 0 else kept[len(kept) - tail :] if tail else []:
        take(one)


def _printer(output: Output, *, no_color: bool) -> Callable[[LogLine], None]:
    if output is not Output.TABLE:
        return lambda line: typer.echo(json.dumps(line.as_json()))
    from sovereigncloud.commands.shared.terminal import console, text  # noqa: PLC0415 - rich is for what is shown only

    out = console(color=not no_color)

    def show(line: LogLine) -> None:
        if not line.time:
            out.print(text(line.message, "dim"), soft_wrap=True)
            return
        style = _STYLES.get(line.level, "")
        said = text(line.time + " ", "dim") + text(f"{line.level:<7} ", style) + text(line.message, style)
        traced = line.fields.get("exc_info")
        out.print(said, soft_wrap=True)
        if traced:
            out.print(text(traced, "dim"), soft_wrap=True)

    return show
