"""`sovereign console`: the screen of an instance."""

from __future__ import annotations

import asyncio
import webbrowser
from collections.abc import Sequence
from typing import Annotated

import typer

from sovereigncloud.api import BareMetalServer, SovereignCloud
from sovereigncloud.commands.access.methods import Way, ways
from sovereigncloud.commands.access.ssh import the_instance
from sovereigncloud.commands.shared.cluster_session import Where, asked
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
    """Say how to get to the screen of an instance: in Sunstone, over VNC, or on a serial line.

    OpenNebula has no call that hands out a console, so this names the ways there are, tries whether the host behind each
    answers from here, and says what each needs. No password is read or printed.
    """
    where = Where(namespace, everywhere=False, context=context, kubeconfig=kubeconfig)

    async def look(connections: Connections, cluster: Cluster) -> list[tuple[Way, bool]]:
        found, resource_graph = await the_instance(connections, cluster, where, instance)
        clouds = resource_graph.clouds_of(found.key)
        cloud = resource_graph.get(clouds[0]) if clouds else None
        if not isinstance(cloud, SovereignCloud):
            raise CommandError(
                f"{found.key} is in no SovereignCloud that can be read: see describe hinst/{found.key.name}"
            )
        servers = [
            s for key in resource_graph.everything(SERVER) if isinstance(s := resource_graph.get(key), BareMetalServer)
        ]
        possible = ways(found, cloud, servers)
        if not possible:
            raise CommandError(f"{cloud.key} has no endpoint that answered yet: see describe scloud/{cloud.key.name}")
        answers = await asyncio.gather(*(connections.reaches(*way.probe) for way in possible if way.probe))
        return list(zip(possible, answers, strict=True))

    found = asked(ctx, where, look)
    if output is not Output.TABLE:
        emit({"format": 1, "items": [{**way.as_json(), "answers": answers} for way, answers in found]}, output)
    else:
        _show(found, color=not no_color)
    if open_browser and not any(webbrowser.open(way.how) for way, _ in found if way.name == "Sunstone"):
        raise CommandError("there is no browser to open here: copy the address")


def _show(found: Sequence[tuple[Way, bool]], *, color: bool) -> None:
    from sovereigncloud.commands.shared.terminal import console as terminal  # noqa: PLC0415 - rich is for what is shown only
    from sovereigncloud.commands.shared.terminal import text  # noqa: PLC0415 - as above

    out = terminal(color=color)
    for way, answers in found:
        host, port = way.probe or ("", 0)
        state = text("answers", "green") if answers else text(f"{host}:{port} does not answer from here", "yellow")
        out.print(text(f"{way.name:<9}", "bold") + text(way.how, "cyan") + text("  ") + state, soft_wrap=True)
        out.print(text(f"{'':<9}needs {way.needs}", "dim"), soft_wrap=True)
