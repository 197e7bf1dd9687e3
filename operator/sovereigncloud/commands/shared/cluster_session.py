"""A cluster opened for a command, and in plain words why it cannot be asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import typer

from sovereigncloud.api import KINDS
from sovereigncloud.api.common.base import GROUP, Key
from sovereigncloud.commands.shared.connections import Cluster, Connections, NoClusterError, real_doors
from sovereigncloud.commands.shared.errors import CommandError
from sovereigncloud.engine.cache.store import key_of
from sovereigncloud.ports.errors import Auth, NotFound, OutsideError

Json = dict[str, Any]
T = TypeVar("T")

ALL = ""
"""Every namespace."""
_WITHOUT_NAMESPACE = frozenset(kind.crd.kind for kind in KINDS if not kind.crd.namespaced)


@dataclass(frozen=True, slots=True)
class Where:
    """What -n, -A, --context and --kubeconfig say."""

    namespace: str = ""
    everywhere: bool = False
    context: str | None = None
    kubeconfig: str | None = None

    def scope(self, cluster: Cluster) -> str:
        """The namespace that is meant, or ALL."""
        return ALL if self.everywhere else self.namespace or cluster.namespace


def asked(
    ctx: typer.Context, where: Where, what: Callable[[Connections, Cluster], Awaitable[T]], *, outside: bool = False
) -> T:
    """What a coroutine finds in the cluster; with `outside`, also at the APIs of the clouds. Raises CommandError."""
    if where.namespace and where.everywhere:
        raise CommandError("-n and -A exclude each other: give one of them")
    connections = ctx.obj if isinstance(ctx.obj, Connections) else real_doors(outside=outside)

    async def ask() -> T:
        async with _opened(connections, where) as cluster:
            try:
                return await what(connections, cluster)
            except OutsideError as error:
                raise CommandError(f"{error}: {_remedy(error)}") from error

    return asyncio.run(ask())


def asked_with(
    ctx: typer.Context, where: Where, what: Callable[[Connections, Cluster | None], Awaitable[T]], *, cluster: bool
) -> T:
    """As `asked`, also at the APIs of the clouds, with a cluster only where one is needed. Raises CommandError."""
    connections = ctx.obj if isinstance(ctx.obj, Connections) else real_doors()

    async def ask() -> T:
        try:
            if not cluster:
                return await what(connections, None)
            async with _opened(connections, where) as found:
                return await what(connections, found)
        except OutsideError as error:
            raise CommandError(f"{error}: {_remedy(error)}") from error

    return asyncio.run(ask())


@asynccontextmanager
async def _opened(connections: Connections, where: Where) -> AsyncIterator[Cluster]:
    try:
        async with connections.cluster(where.context, where.kubeconfig) as cluster:
            if not await cluster.reads.answers():
                raise CommandError(
                    f"no answer from the cluster at {cluster.host}: check it, or choose another --context"
                )
            yield cluster
    except NoClusterError as error:
        raise CommandError(
            f"no cluster to look into: {error}: set KUBECONFIG, or give --kubeconfig or --context"
        ) from error


async def bodies(cluster: Cluster, scope: str) -> dict[Key, Json]:
    """Every object of ours in a namespace, or in all. Raises CommandError."""
    found = await asyncio.gather(*(_of_kind(cluster, kind.crd.kind, scope) for kind in KINDS))
    if all(listed is None for listed in found):
        raise CommandError(not_installed(cluster))
    return {key_of(body): body for listed in found for body in listed or ()}


async def _of_kind(cluster: Cluster, kind: str, scope: str) -> list[Json] | None:
    """None: the API server does not know the kind."""
    try:
        if scope == ALL:
            return [body async for body in cluster.reads.objects(kind)]
        return [body async for body in cluster.reads.objects_in(kind, scope)]
    except NotFound:
        return None
    except Auth as error:
        if scope != ALL and kind in _WITHOUT_NAMESPACE:
            return []  # who looks into one namespace need not be let see what is in none
        raise CommandError(forbidden(kind, scope, error)) from error
    except OutsideError as error:
        raise CommandError(f"cannot read {plural(kind)} from the cluster: {error}") from error


def not_installed(cluster: Cluster) -> str:
    """The cluster has none of our kinds."""
    return (
        f"the cluster at {cluster.host} does not know the kinds of {GROUP}: install the operator's chart, or the"
        " definitions alone: sovereign crds | kubectl apply --server-side -f -"
    )


def forbidden(kind: str, scope: str, error: Auth) -> str:
    """Who asks may not."""
    if "Unauthorized" in error.message:
        return "the API server does not know who you are (Unauthorized): log in anew, or choose another --context"
    where = f"in namespace {scope}" if scope else "in all namespaces"
    remedy = "ask for a Role with get, list and watch on them" + ("" if scope else ", or look into one namespace: -n")
    return f"you may not list {plural(kind)} {where}: {remedy}"


def plural(kind: str) -> str:
    """As in the URLs of the API server."""
    return next(k.crd.plural for k in KINDS if k.crd.kind == kind)


def _remedy(error: OutsideError) -> str:
    match error:
        case Auth() if not error.where.startswith(("OVHcloud", "OpenNebula")):
            return "ask for a Role that allows it"
        case Auth():
            return "check the credential and its rights: sovereign doctor says which lack"
        case NotFound():
            return "look whether it is still there"
        case _:
            return "try again"
