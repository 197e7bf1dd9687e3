"""`sovereign reconcile`: have an object looked at now."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from sovereigncloud.api.common.base import RECONCILE_REQUESTED_AT, Key
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.commands.shared.cluster_session import Where, asked, bodies
from sovereigncloud.commands.shared.condition_summary import Health, State, missing, state_of, unreadable
from sovereigncloud.commands.shared.connections import Cluster, Connections
from sovereigncloud.commands.shared.errors import CommandError
from sovereigncloud.commands.shared.formatting import counted, seconds
from sovereigncloud.commands.shared.kind_names import short_name
from sovereigncloud.commands.shared.object_names import chosen, named
from sovereigncloud.commands.shared.options import Context, Kubeconfig, Namespace, Output, OutputOption, SomeObjects
from sovereigncloud.commands.shared.output import emit
from sovereigncloud.commands.shared.resource_graph import ResourceGraph
from sovereigncloud.core.conditions import timestamp
from sovereigncloud.ports.errors import Auth

Json = dict[str, Any]

READY, NOT_READY = 0, 2
"""Exit codes with --wait; 1 is an error, a timeout too."""


def reconcile(
    ctx: typer.Context,
    objects: SomeObjects,
    *,
    wait: Annotated[
        bool, typer.Option("--wait", help="Until the operator has looked, and what it set about has come to an end.")
    ] = False,
    timeout: Annotated[str, typer.Option(help="How long --wait waits, for example 90s or 5m.")] = "2m",
    namespace: Namespace = "",
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Have these objects looked at now, instead of at the next sweep.

    It sets the annotation sovereigncloud.io/reconcile-requested-at to a new word; the operator writes the word into
    status.lastHandledReconcileAt once it has looked.

    Exit code with --wait: 0 when all are Ready; 2 when one was looked at and is not; 1 for an error or a timeout.
    """
    where = Where(namespace, everywhere=False, context=context, kubeconfig=kubeconfig)
    wanted, within = named(objects), seconds(timeout)

    async def act(connections: Connections, cluster: Cluster) -> list[_Result]:
        scope = where.scope(cluster)
        resource_graph = ResourceGraph((await bodies(cluster, scope)).values(), connections.controllers)
        keys = chosen(wanted, resource_graph.everything(), scope)
        token = f"{timestamp(connections.now()).replace(':', '')}-{secrets.token_hex(2)}"
        for key in keys:
            await _ask(cluster, key, token)
        if not wait:
            return [_Result(key, token, handled=False) for key in keys]
        waiting = (_wait(connections, cluster, key, token, within) for key in keys)
        return list(await asyncio.gather(*waiting))

    results = asked(ctx, where, act)
    if output is not Output.TABLE:
        emit({"format": 1, "items": [one.as_json() for one in results]}, output)
    else:
        _tell(results, wait=wait, timeout=timeout)
    if wait:
        raise typer.Exit(exit_code(results))


@dataclass(frozen=True, slots=True)
class _Result:
    """What came of a request. `handled`: the operator looked; `state`: as it was then, or last."""

    key: Key
    token: str
    handled: bool
    state: State | None = None
    settled: bool = False

    def as_json(self) -> Json:
        return {
            "kind": self.key.kind,
            "namespace": self.key.namespace,
            "name": self.key.name,
            "reconcileRequestedAt": self.token,
            "handled": self.handled,
            "settled": self.settled,
            **(self.state.as_json() if self.state else {}),
        }


def exit_code(results: list[_Result]) -> int:
    """The worst decides."""
    if not all(one.handled and one.settled for one in results):
        return 1
    return READY if all(one.state is not None and one.state.health is Health.READY for one in results) else NOT_READY


async def _ask(cluster: Cluster, key: Key, token: str) -> None:
    try:
        await cluster.annotate(key, {RECONCILE_REQUESTED_AT: token})
    except Auth as error:
        raise CommandError(
            f"you may not change {_name(key)}{f' in namespace {key.namespace}' if key.namespace else ''}: ask for a Role with"
            " patch on it"
        ) from error


async def _wait(connections: Connections, cluster: Cluster, key: Key, token: str, within: float) -> _Result:
    """Follow one object until it was looked at and rests: Ready, in need of a person, or waiting for something."""
    last = _Result(key, token, handled=False)
    try:
        async with asyncio.timeout(within):
            async for what, found in cluster.reads.changes(key.kind, key.namespace, key.name):
                if what == "DELETED" or not found:
                    return _Result(key, token, handled=True, state=missing(), settled=True)
                last = judged(key, token, found[0], connections)
                if last.settled:
                    return last
    except TimeoutError:
        pass
    return last


def judged(key: Key, token: str, body: Mapping[str, Any], connections: Connections) -> _Result:
    """What a version of the object says of the request. What only waits for time to pass is not at rest."""
    resource = ResourceGraph([body], connections.controllers).get(key)
    if resource is None:
        return _Result(key, token, handled=True, state=unreadable(), settled=True)
    state = state_of(resource)
    handled = resource.status.last_handled_reconcile_at == token
    current = resource.status.observed_generation == resource.metadata.generation
    resting = state.health is not Health.PROGRESSING or state.reason in _RESTING
    return _Result(key, token, handled=handled, state=state, settled=handled and current and resting)


_RESTING = frozenset({
    Reason.APPROVAL_REQUIRED, Reason.WAITING_FOR_DEPENDENCY, Reason.IN_USE, Reason.NOT_ACTING, Reason.PAUSED_DELETION,
})  # fmt: skip
"""Reasons under which nothing moves until somebody does something."""


def _tell(results: list[_Result], *, wait: bool, timeout: str) -> None:
    for one in results:
        if not wait:
            typer.echo(f"{_name(one.key)} is looked at soon: {RECONCILE_REQUESTED_AT}={one.token}")
            continue
        state = one.state
        said = ": ".join(filter(None, (state.reason, state.message))) if state else ""
        if not one.handled:
            typer.echo(
                f"{_name(one.key)} was not looked at within {timeout}: see that the operator runs and holds its Lease:"
                " kubectl get pods,leases -A -l app.kubernetes.io/part-of=sovereign-cloud-operator",
                err=True,
            )
        elif not one.settled:
            typer.echo(f"{_name(one.key)} was looked at, and is still under way after {timeout}: {said}", err=True)
        else:
            drift = f" (drift in {counted(state.drift, 'field')})" if state and state.drift else ""
            typer.echo(f"{_name(one.key)} was looked at: {said}{drift}")


def _name(key: Key) -> str:
    return f"{short_name(key.kind)}/{key.name}"
