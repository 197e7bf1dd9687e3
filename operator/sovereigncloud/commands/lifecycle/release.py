"""`sovereign release`: let go of what an operator held that is not there any more."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sovereigncloud.commands.lifecycle.finalizer_release import Released, held, let_go
from sovereigncloud.commands.shared.connections import settings_or_error
from sovereigncloud.commands.shared.errors import CommandError
from sovereigncloud.commands.shared.options import Context, Kubeconfig, Output, OutputOption
from sovereigncloud.commands.shared.output import emit
from sovereigncloud.engine.cache.finalizer_inventory import NOTHING
from sovereigncloud.engine.leadership import Lease
from sovereigncloud.engine.settings import Settings
from sovereigncloud.ports.errors import Auth, OutsideError

if TYPE_CHECKING:
    from sovereigncloud.providers.kubernetes.finalizer_release import ReleasingKubernetesApi

Json = dict[str, Any]
_HELD_AFTERWARDS = 30.0
"""Seconds that a seized Lease stays taken, so that the operator which waits for it does not go on: Helm deletes its
Deployment meanwhile. A new one waits as long."""
_MARGIN = 3.0


@dataclass(frozen=True, slots=True)
class _Wanted:
    settings: Settings
    namespaces: tuple[str, ...]
    installation: str
    force: bool
    looks: bool


def release(
    *,
    namespaces: Annotated[
        list[str] | None,
        typer.Option("-n", "--namespace", help="Only objects of this namespace; may be given again. Default: of all."),
    ] = None,
    operator_namespace: Annotated[
        str, typer.Option(help="Where the operator is, or was: its Lease is there. Default: sovereign-system.")
    ] = "",
    installation: Annotated[
        str, typer.Option(help="Its installation id. Default: what ConfigMap sovereign-installation there says.")
    ] = "",
    force: Annotated[
        bool, typer.Option("--force", help="An operator lives: take its Lease, so that it stops writing, and go on.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be let go, and change nothing.")] = False,
    check: Annotated[bool, typer.Option("--check", help="As --dry-run, and exit with 1 if anything is held.")] = False,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Take the operator's finalizers off objects and Secrets, where no operator is left to do it.

    Nothing outside is changed: machines, networks and servers stay as they are, and nobody keeps them. An object that is
    being deleted goes. An operator that comes back with the same installation id manages what is declared as before.

    It refuses while an operator lives: that one lets go by itself of what is deleted while it runs.
    """
    found = settings_or_error()
    if operator_namespace:
        found = found.model_copy(update={"namespace": operator_namespace})
    watched = tuple(namespaces or ()) or found.watch_namespaces
    wanted = _Wanted(found, watched, installation, force, looks=dry_run or check)
    try:
        done = asyncio.run(_release(wanted, context, kubeconfig))
    except OutsideError as error:
        remedy = "ask for the right" if isinstance(error, Auth) else "try again, what is done is done"
        raise CommandError(f"{error}: {remedy}") from error
    if output is Output.TABLE:
        _show(done, looks=wanted.looks)
    else:
        emit(_as_json(done, looks=wanted.looks), output)
    if check and (done.objects or done.secrets):
        raise typer.Exit(1)


async def _release(wanted: _Wanted, context: str | None, kubeconfig: str | None) -> Released:
    # Half a second, and the bindings more, that no other command should pay.
    from kubernetes.config import ConfigException  # noqa: PLC0415

    from sovereigncloud.kinds import CONTROLLERS  # noqa: PLC0415
    from sovereigncloud.providers.kubernetes.connection import Connection  # noqa: PLC0415
    from sovereigncloud.providers.kubernetes.finalizer_release import ReleasingKubernetesApi  # noqa: PLC0415

    try:
        connection = Connection.load(context, kubeconfig)
    except (ConfigException, OSError) as error:
        raise CommandError(f"no cluster to look into: {error}: set KUBECONFIG or --context") from error
    async with ReleasingKubernetesApi(connection, namespaces=wanted.namespaces) as api:
        among = frozenset(wanted.namespaces)
        if wanted.looks:
            return await held(api, CONTROLLERS, among)
        async with _as_the_only_writer(api, wanted):
            done = await let_go(api, CONTROLLERS, among)
            if wanted.settings.watch_namespaces == wanted.namespaces:
                await _tell_nothing(api, wanted.settings.namespace)
        return done


@asynccontextmanager
async def _as_the_only_writer(api: ReleasingKubernetesApi, wanted: _Wanted) -> AsyncIterator[None]:
    """Holds the Lease, so that no operator begins meanwhile. Raises CommandError where one lives."""
    place = await _place_of_the_lease(api, wanted)
    there = await api.lease(*place) if place else None
    if place is None or there is None:
        yield
        return
    namespace, name = place
    seconds = float(there["spec"].get("leaseDurationSeconds") or wanted.settings.lease_seconds)
    lease = Lease(
        api,
        namespace=namespace,
        name=name,
        identity=f"release_{socket.gethostname()}_{os.getpid()}_{secrets.token_hex(3)}",
        seconds=wanted.settings.lease_seconds,
        lost=lambda: None,  # `let_go` looks again and again, and says so where it does not come to an end
    )
    if wanted.force:
        await lease.seize()
    else:
        try:
            await asyncio.wait_for(lease.acquire(), seconds + _MARGIN)
        except TimeoutError:
            raise CommandError(_lives(there, namespace, name)) from None
    try:
        yield
    finally:
        if wanted.force:
            await lease.leave(_HELD_AFTERWARDS)
        else:
            await lease.release()


async def _place_of_the_lease(api: ReleasingKubernetesApi, wanted: _Wanted) -> tuple[str, str] | None:
    """Namespace and name; None where no operator has ever been."""
    from sovereigncloud.providers.kubernetes.api import INSTALLATION_CONFIG_MAP  # noqa: PLC0415 - as above
    from sovereigncloud.providers.kubernetes.finalizer_release import LEASE_PREFIX  # noqa: PLC0415 - as above

    namespace = wanted.settings.namespace
    installation = wanted.installation or wanted.settings.installation_id
    installation = installation or (await api.config_map(namespace, INSTALLATION_CONFIG_MAP) or {}).get("id", "")
    if installation:
        return namespace, f"{LEASE_PREFIX}{installation}"
    try:
        places = [(one["metadata"]["namespace"], one["metadata"]["name"]) for one in await api.leases()]
    except Auth as error:
        raise CommandError(
            f"whether an operator lives cannot be told: {error}: give --operator-namespace and --installation"
        ) from error
    if len(places) > 1:
        names = ", ".join("/".join(place) for place in places)
        raise CommandError(f"there are Leases of several operators ({names}): choose one with --operator-namespace")
    return places[0] if places else None


def _lives(lease: Json, namespace: str, name: str) -> str:
    holder = lease["spec"].get("holderIdentity")
    return (
        f"an operator lives ({holder} holds Lease {namespace}/{name}) and lets go by itself of what is deleted: delete the"
        " objects while it runs, or end it first (kubectl scale deployment --replicas=0), or take its Lease away: --force"
    )


async def _tell_nothing(api: ReleasingKubernetesApi, namespace: str) -> None:
    """So that an uninstallation is not refused by an old list."""
    try:
        if await api.holdings(namespace):
            await api.tell_holdings(namespace, NOTHING)
    except Auth:
        return


def _show(done: Released, *, looks: bool) -> None:
    for one in done.objects.values():
        going = ", and the object goes" if one.deleting else ""
        typer.echo(f"{'held' if looks else 'released'}: {one.key} (outside stays: {one.outside}{going})")
    for namespace, name in sorted(done.secrets):
        typer.echo(f"{'held' if looks else 'released'}: Secret {namespace}/{name}")
    counted = f"{len(done.objects)} objects and {len(done.secrets)} Secrets"
    if looks:
        typer.echo(f"{counted} carry the operator's finalizer. Nothing was changed.", err=True)
    else:
        typer.echo(f"{counted} released. Nothing outside was changed, and nobody keeps it any more.", err=True)


def _as_json(done: Released, *, looks: bool) -> Json:
    objects = [
        {**one.key._asdict(), "external": dict(one.external), "deleting": one.deleting} for one in done.objects.values()
    ]
    places = [{"namespace": namespace, "name": name} for namespace, name in sorted(done.secrets)]
    return {"format": 1, "changed": not looks, "items": objects, "secrets": places}
