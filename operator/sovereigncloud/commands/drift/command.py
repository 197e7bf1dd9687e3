"""`sovereign drift`: where reality differs from what is declared."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import typer

from sovereigncloud.commands.drift.report import DriftLine, DriftReport, drift_report
from sovereigncloud.commands.shared.cluster_session import Where, asked, bodies
from sovereigncloud.commands.shared.connections import Cluster, Connections
from sovereigncloud.commands.shared.formatting import counted
from sovereigncloud.commands.shared.kind_names import short_name
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
from sovereigncloud.commands.shared.resource_graph import ResourceGraph

if TYPE_CHECKING:
    from rich.table import Table


def drift(
    ctx: typer.Context,
    objects: Objects = None,
    *,
    namespace: Namespace = "",
    all_namespaces: AllNamespaces = False,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    output: OutputOption = Output.TABLE,
    no_color: NoColor = False,
) -> None:
    """List every field in which reality differs from what is declared, and what is done about it.

    It reads what the operator's sweeps found and wrote into status; `plan` looks at reality itself. Objects: names or a
    kind; without them, everything in the namespace.

    Exit code 0: no drift; 2: drift; 1: an error. What driftPolicy ignores is listed and does not count.
    """
    where = Where(namespace, all_namespaces, context, kubeconfig)
    wanted = named(objects or (), whole_kinds=True)

    async def look(connections: Connections, cluster: Cluster) -> tuple[DriftReport, str, datetime]:
        scope = where.scope(cluster)
        resource_graph = ResourceGraph((await bodies(cluster, scope)).values(), connections.controllers)
        keys = chosen(wanted, resource_graph.everything(), scope) if wanted else resource_graph.everything()
        return drift_report(resource_graph, keys), scope, connections.now()

    report, scope, now = asked(ctx, where, look)
    if output is not Output.TABLE:
        emit(report.as_json(), output)
        raise typer.Exit(report.exit_code)
    from sovereigncloud.commands.shared.terminal import console, text  # noqa: PLC0415 - rich is for what is shown only

    out = console(color=not no_color)
    if report.lines:
        out.print(_table(report.lines, now, namespaces=not scope))
        out.print()
    if report.unknown:
        names = ", ".join(f"{short_name(k.kind)}/{k.name}" for k in report.unknown[:5])
        more = f" and {len(report.unknown) - 5} more" if len(report.unknown) > 5 else ""
        out.print(text(f"Not compared with reality yet: {names}{more}.", "yellow"))
    out.print(text(_verdict(report), "bold yellow" if report.exit_code else "bold green"))
    raise typer.Exit(report.exit_code)


def _verdict(report: DriftReport) -> str:
    ignored = sum(1 for line in report.lines if not line.counts)
    beside = f" ({ignored} ignored by driftPolicy)" if ignored else ""
    if not report.exit_code:
        return f"No drift in {counted(report.looked, 'object')}{beside}."
    fields = len(report.lines) - ignored
    return f"{counted(fields, 'field')} of {counted(report.drifted, 'object')} drifted{beside}."


def _table(lines: tuple[DriftLine, ...], now: datetime, *, namespaces: bool) -> Table:
    from sovereigncloud.commands.shared.terminal import age, table, text  # noqa: PLC0415 - rich is for what is shown only

    styles = {"Correcting": "yellow", "Reported": "bold yellow", "Ignored": "dim"}
    made = table(*(["NAMESPACE"] if namespaces else []), "OBJECT", "PATH", "DECLARED", "FOUND", "ACTION", "FOR")
    before = None
    for line in lines:
        object_ = f"{short_name(line.key.kind)}/{line.key.name}" if line.key != before else ""
        before = line.key
        made.add_row(
            *([text(line.key.namespace if object_ else "", "dim")] if namespaces else []),
            text(object_, "bold cyan"),
            text(line.path),
            text(line.desired or "absent", "green"),
            text(line.observed or "absent", "red"),
            text(line.action, styles.get(line.action, "")),
            text(age(line.since, now), "dim"),
        )
    return made
