"""`sovereign describe`: one object, what it is connected with, what it waits for and what to do next."""

from __future__ import annotations

from functools import partial

import typer
from pydantic import ValidationError

from sovereigncloud.api.common.base import Key
from sovereigncloud.commands.shared.cluster_session import Where, asked, bodies
from sovereigncloud.commands.shared.connections import Cluster, ClusterReads, Connections
from sovereigncloud.commands.shared.description import Description, describe_object
from sovereigncloud.commands.shared.errors import CommandError
from sovereigncloud.commands.shared.loading import load
from sovereigncloud.commands.shared.object_names import Named, chosen, named, not_there
from sovereigncloud.commands.shared.options import Context, Kubeconfig, Namespace, NoColor, SomeObjects
from sovereigncloud.engine.cache.store import Store
from sovereigncloud.ports.errors import OutsideError


def describe(
    ctx: typer.Context,
    objects: SomeObjects,
    *,
    namespace: Namespace = "",
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    no_color: NoColor = False,
) -> None:
    """Show an object as a tree: what it uses, composed and is used by; what it waits for, and what to do next.

    Then its conditions, drift, pending plan, ids outside and last steps. It only reads, and only from the cluster: for what
    the operator would do about reality at this moment see `plan`.
    """
    wanted = named(objects)
    if len(wanted) != 1:
        raise CommandError("one object at a time is described: name one, for example hinst/web")
    where = Where(namespace, everywhere=False, context=context, kubeconfig=kubeconfig)
    found = asked(ctx, where, partial(_described, where=where, wanted=wanted))
    from sovereigncloud.commands.describe.view import show  # noqa: PLC0415 - rich is for what is shown only
    from sovereigncloud.commands.shared.terminal import console  # noqa: PLC0415 - as above

    show(found, console(color=not no_color))


async def _described(
    connections: Connections, cluster: Cluster, *, where: Where, wanted: tuple[Named, ...]
) -> Description:
    namespace, store = where.namespace or cluster.namespace, Store()
    for body in (await load(cluster.reads, [namespace])).values():
        put, _ = store.put(body)
        resource = store.get(put)
        if resource is not None:
            store.set_uses(put, connections.controllers[put.kind].uses(resource))
    if not len(store):
        await bodies(cluster, namespace)  # which says so where there is not even a kind
    (key,) = chosen(wanted, store.keys(), namespace)
    try:
        resource = store.parse(key)
        if resource is None:
            raise CommandError(not_there(wanted[0], store.keys(), namespace))
        uses = connections.controllers[key.kind].uses(resource)
        secrets = {s.name: await _is_there(cluster.reads, key.namespace, s.name) for s in uses.secrets}
        return describe_object(
            key,
            store,
            connections.controllers,
            now=connections.now(),
            secrets=secrets,
            events=await _events(cluster.reads, key),
        )
    except ValidationError as error:
        fields = "; ".join(f"{'.'.join(str(p) for p in e['loc'])}: {e['msg']}" for e in error.errors()[:5])
        raise CommandError(f"{key} holds what this version does not understand: {fields}") from None


async def _is_there(reads: ClusterReads, namespace: str, name: str) -> bool | None:
    """Whether a Secret is there. None: it may not be read."""
    try:
        return await reads.secret_is_there(namespace, name)
    except OutsideError:
        return None


async def _events(reads: ClusterReads, key: Key) -> list[dict[str, object]] | None:
    try:
        return await reads.events(key)
    except OutsideError:
        return None
