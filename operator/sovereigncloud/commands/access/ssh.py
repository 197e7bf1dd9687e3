"""`sovereign ssh`: log in to an instance."""

from __future__ import annotations

import os
import shlex
import shutil
from itertools import takewhile
from typing import Annotated, Any

import typer

from sovereigncloud.api import HostedInstance
from sovereigncloud.commands.access.methods import SSH_PORT, Login, addresses, out_of_reach
from sovereigncloud.commands.shared.cluster_session import Where, asked, bodies
from sovereigncloud.commands.shared.connections import Cluster, Connections
from sovereigncloud.commands.shared.errors import CommandError
from sovereigncloud.commands.shared.object_names import Named, chosen, named
from sovereigncloud.commands.shared.options import Context, Instance, Kubeconfig, Namespace, Output, OutputOption
from sovereigncloud.commands.shared.output import emit
from sovereigncloud.commands.shared.resource_graph import INSTANCE, ResourceGraph


def ssh(
    ctx: typer.Context,
    instance: Instance,
    command: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- COMMAND...]", help="To be run there instead of a shell; ssh's own options, too."),
    ] = None,
    *,
    user: Annotated[
        str, typer.Option("-l", "--user", help="Whom to log in as; images of the marketplace know root.")
    ] = "root",
    jump: Annotated[str, typer.Option("-J", "--jump", help="Go through this bastion, as with ssh -J.")] = "",
    identity: Annotated[str, typer.Option("-i", "--identity", help="File of the private key.")] = "",
    port: Annotated[int, typer.Option("-p", "--port", help="Port of its sshd.", min=1, max=65535)] = SSH_PORT,
    print_only: Annotated[bool, typer.Option("--print", help="Print the command, and run nothing.")] = False,
    namespace: Namespace = "",
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Log in to an instance with ssh, at the address that its status names.

    Of several addresses the public ones are tried first, and the first that answers is taken; with -J none is tried, since
    they need not be reachable from here. The keys of spec.sshAuthorizedKeys may log in. -o prints what would be run.
    """
    where = Where(namespace, everywhere=False, context=context, kubeconfig=kubeconfig)
    # ssh takes its own options before the command: -oName=value is one word.
    options = tuple(takewhile(lambda word: word.startswith("-"), command or ()))
    login = Login(user, port, jump, identity, options, tuple(command or ())[len(options) :])
    only_said = print_only or output is not Output.TABLE

    async def look(connections: Connections, cluster: Cluster) -> tuple[str, ...]:
        found = await the_instance(connections, cluster, where, instance)
        possible = addresses(found[0])
        if only_said or jump:
            return possible
        for address in possible:
            if await connections.reaches(address, port):
                return (address,)
        raise CommandError(out_of_reach(found[0], possible, port))

    possible = asked(ctx, where, look)
    words = login.arguments(possible[0])
    if output is not Output.TABLE:
        emit({"format": 1, "command": list(words), "addresses": list(possible)}, output)
        return
    if print_only:
        typer.echo(shlex.join(words))
        return
    program = shutil.which("ssh")
    if program is None:
        raise CommandError(
            f"there is no program ssh on the PATH: install OpenSSH, or run elsewhere: {shlex.join(words)}"
        )
    # In place of this process: the terminal, signals and the exit code are ssh's own.
    os.execv(program, words)  # noqa: S606 - no shell; the words are a list


async def the_instance(
    connections: Connections, cluster: Cluster, where: Where, typed: str
) -> tuple[HostedInstance, ResourceGraph]:
    """The instance of that name, and what is around it. Raises CommandError."""
    (one,) = named([typed])
    if one.kind not in {"", INSTANCE}:
        raise CommandError(f"{typed} is no HostedInstance: only those have a login and a screen")
    scope = where.scope(cluster)
    resource_graph = ResourceGraph((await bodies(cluster, scope)).values(), connections.controllers)
    (key,) = chosen([Named(INSTANCE, one.name)], resource_graph.everything(INSTANCE), scope)
    found: Any = resource_graph.get(key)
    if not isinstance(found, HostedInstance):
        raise CommandError(f"{key} holds what this version does not understand: use the version that the cluster runs")
    return found, resource_graph
