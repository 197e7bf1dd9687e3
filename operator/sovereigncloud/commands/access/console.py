"""`sovereign console`: console access to an instance."""

from __future__ import annotations

import asyncio
import webbrowser
from collections.abc import Sequence
from typing import Annotated

import typer

from sovereigncloud.api import BareMetalServer, SovereignCloud
from sovereigncloud.commands.access.methods import ConsoleMethod, console_methods
from sovereigncloud.commands.access.ssh import find_instance
from sovereigncloud.commands.shared.cluster_session import ClusterScope, run_in_cluster
from sovereigncloud.commands.shared.connections import Cluster, Connections
from sovereigncloud.commands.shared.errors import CommandError
from sovereigncloud.commands.shared.options import (
    Context,
    Instance,
    Kubeconfig,
    Namespace,
    NoColor,
    Output,
    OutputOption,
)
from sovereigncloud.commands.shared.output import emit
from sovereigncloud.commands.shared.resource_graph import SERVER


def console(
    ctx: typer.Context,
    instance: Instance,
    *,
    open_browser: Annotated[bool, typer.Option("--open", help="Open Sunstone in the browser.")] = False,
    namespace: Namespace = "",
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    output: OutputOption = Output.TABLE,
    no_color: NoColor = False,
) -> None:
    """Show how to open the console of an instance: in Sunstone, over VNC, or on a serial line.

    OpenNebula has no call that hands out a console, so this names the ways there are, tries whether the host behind each
    answers from here, and says what each needs. No password is read or printed.
    """
    where = ClusterScope(namespace, everywhere=False, context=context, kubeconfig=kubeconfig)

    async def look(connections: Connections, cluster: Cluster) -> list[tuple[ConsoleMethod, bool]]:
        found, resource_graph = await find_instance(connections, cluster, where, instance)
        clouds = resource_graph.clouds_of(found.key)
        cloud = resource_graph.get(clouds[0]) if clouds else None
        if not isinstance(cloud, SovereignCloud):
            raise CommandError(
                f"{found.key} is in no SovereignCloud that can be read: see describe hinst/{found.key.name}"
            )
        servers = [
            s for key in resource_graph.everything(SERVER) if isinstance(s := resource_graph.get(key), BareMetalServer)
        ]
        possible = console_methods(found, cloud, servers)
        if not possible:
            raise CommandError(f"{cloud.key} has no endpoint that answered yet: see describe scloud/{cloud.key.name}")
        answers = await asyncio.gather(*(connections.reaches(*method.probe) for method in possible if method.probe))
        return list(zip(possible, answers, strict=True))

    found = run_in_cluster(ctx, where, look)
    if output is not Output.TABLE:
        emit({"format": 1, "items": [{**method.as_json(), "answers": answers} for method, answers in found]}, output)
    else:
        _show(found, color=not no_color)
    if open_browser and not any(webbrowser.open(method.how) for method, _ in found if method.name == "Sunstone"):
        raise CommandError("there is no browser to open here: copy the address")


def _show(found: Sequence[tuple[ConsoleMethod, bool]], *, color: bool) -> None:
    from sovereigncloud.commands.shared.terminal import console as terminal  # noqa: PLC0415 - rich is for what is shown only
    from sovereigncloud.commands.shared.terminal import text  # noqa: PLC0415 - as above

    out = terminal(color=color)
    for method, answers in found:
        host, port = method.probe or ("", 0)
        state = text("answers", "green") if answers else text(f"{host}:{port} does not answer from here", "yellow")
        out.print(text(f"{method.name:<9}", "bold") + text(method.how, "cyan") + text("  ") + state, soft_wrap=True)
        out.print(text(f"{'':<9}needs {method.needs}", "dim"), soft_wrap=True)
