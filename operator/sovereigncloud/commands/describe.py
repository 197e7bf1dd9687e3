"""`sovereign describe`: one object, what it is connected with, what it waits for and what to do next."""

from __future__ import annotations

import asyncio
from difflib import get_close_matches
from typing import Annotated

import typer
from pydantic import ValidationError

from sovereigncloud.api.base import Key
from sovereigncloud.commands.description import Description, describe_object
from sovereigncloud.commands.doors import Cluster, ClusterReads, Doors, NoClusterError, real_doors
from sovereigncloud.commands.errors import CommandError
from sovereigncloud.commands.kind_names import parse
from sovereigncloud.commands.loading import load
from sovereigncloud.engine.store import Store
from sovereigncloud.kinds.errors import MissingSecret, OutsideError


def describe(
    ctx: typer.Context,
    *,
    what: Annotated[
        list[str], typer.Argument(metavar="KIND/NAME", help="For example hinst/web, or HostedInstance web.")
    ],
    namespace: Annotated[str, typer.Option("-n", "--namespace", help="Default: the context's, or default.")] = "",
    context: Annotated[str | None, typer.Option(help="Context of the kubeconfig. Default: the current one.")] = None,
    no_color: Annotated[bool, typer.Option("--no-color", help="No colours. NO_COLOR in the environment, too.")] = False,
) -> None:
    """Show an object as a tree: what it uses, composed and is used by; what it waits for, and what to do next.

    Then its conditions, drift, pending plan, ids outside and last steps. It only reads, and only from the cluster: for what
    the operator would do about reality at this moment see `plan`.
    """
    kind, name = parse(what)
    doors = ctx.obj if isinstance(ctx.obj, Doors) else real_doors()
    found = asyncio.run(_describe(doors, kind, name, namespace, context))
    from sovereigncloud.commands.description_view import show  # noqa: PLC0415 - rich is for what is shown only
    from sovereigncloud.commands.terminal import console  # noqa: PLC0415 - as above

    show(found, console(color=not no_color))


async def _describe(doors: Doors, kind: str, name: str, namespace: str, context: str | None) -> Description:
    try:
        async with doors.cluster(context) as cluster:
            if not await cluster.reads.answers():
                raise CommandError(
                    f"no answer from the cluster at {cluster.host}: check it, or choose another --context"
                )
            return await _in(doors, cluster, Key(kind, namespace or cluster.namespace, name))
    except NoClusterError as error:
        raise CommandError(f"no cluster to look into: {error}: set KUBECONFIG or --context") from error


async def _in(doors: Doors, cluster: Cluster, key: Key) -> Description:
    store = Store()
    for body in (await load(cluster.reads, [key.namespace])).values():
        put, _ = store.put(body)
        resource = store.get(put)
        if resource is not None:
            store.set_uses(put, doors.controllers[put.kind].uses(resource))
    if store.stored(key) is None:
        raise CommandError(_not_there(key, store))
    try:
        resource = store.parse(key)
        if resource is None:
            raise CommandError(_not_there(key, store))
        uses = doors.controllers[key.kind].uses(resource)
        secrets = {s.name: await _is_there(cluster.reads, key.namespace, s.name) for s in uses.secrets}
        return describe_object(
            key, store, doors.controllers, now=doors.now(), secrets=secrets, events=await _events(cluster.reads, key)
        )
    except ValidationError as error:
        fields = "; ".join(f"{'.'.join(str(p) for p in e['loc'])}: {e['msg']}" for e in error.errors()[:5])
        raise CommandError(f"{key} holds what this version does not understand: {fields}") from None


def _not_there(key: Key, store: Store) -> str:
    names = [k.name for k in store.keys(key.kind, key.namespace)]
    elsewhere = sorted(k.namespace for k in store.keys(key.kind) if k.name == key.name)
    near = get_close_matches(key.name, names, n=3, cutoff=0.5) or sorted(names)[:3]
    hint = f"did you mean {' or '.join(near)}?" if near else f"there is no {key.kind} in namespace {key.namespace}"
    if elsewhere:
        hint = f"there is one in namespace {elsewhere[0]}: -n {elsewhere[0]}"
    return f"{key} does not exist: {hint}"


async def _is_there(reads: ClusterReads, namespace: str, name: str) -> bool | None:
    """Whether a Secret is there; its values are not looked at. None: it may not be read."""
    try:
        await reads.secret(namespace, name)
    except MissingSecret:
        return False
    except OutsideError:
        return None
    return True


async def _events(reads: ClusterReads, key: Key) -> list[dict[str, object]] | None:
    try:
        return await reads.events(key)
    except OutsideError:
        return None
