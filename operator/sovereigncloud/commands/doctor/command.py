"""`sovereign doctor`: which features will work, before anything is tried."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, cast

import typer

from sovereigncloud.commands.doctor.checks import of_bare_account, of_endpoint, of_object
from sovereigncloud.commands.doctor.report import REACH, Diagnosis, Finding, One, Verdict
from sovereigncloud.commands.shared.cluster_session import Where, asked_with, bodies
from sovereigncloud.commands.shared.connections import Cluster, Connections
from sovereigncloud.commands.shared.credentials import Given, open_nebula_of, ovh_of
from sovereigncloud.commands.shared.errors import CommandError
from sovereigncloud.commands.shared.object_names import Named, chosen, named
from sovereigncloud.commands.shared.options import (
    AllNamespaces,
    Context,
    Endpoint,
    Kubeconfig,
    Namespace,
    NoColor,
    Objects,
    OpenNebulaSecret,
    OpenNebulaUrl,
    Output,
    OutputOption,
    OvhSecret,
)
from sovereigncloud.commands.shared.output import emit
from sovereigncloud.commands.shared.resource_graph import CLOUD, SERVER, ResourceGraph
from sovereigncloud.engine.loop.read_only_context import (
    INNER_READS,
    KUBERNETES_READS,
    OPENNEBULA_READS,
    OVH_READS,
    only_reads,
    reading_open_nebula,
    reading_ovh,
)
from sovereigncloud.engine.views.clients import Clients
from sovereigncloud.kinds.rights.operations import Feature
from sovereigncloud.ports.kubernetes import Kubernetes

if TYPE_CHECKING:
    from rich.table import Table

_STYLES = {Verdict.WORKS: "green", Verdict.FAILS: "bold red", Verdict.UNKNOWN: "yellow"}


def doctor(
    ctx: typer.Context,
    objects: Objects = None,
    *,
    secret: OvhSecret = "",
    endpoint: Endpoint = "",
    opennebula: OpenNebulaUrl = "",
    opennebula_secret: OpenNebulaSecret = "",
    feature: Annotated[
        list[str] | None,
        typer.Option(help="A feature that must work, may be repeated. Default: what the objects need, else Observe."),
    ] = None,
    namespace: Namespace = "",
    all_namespaces: AllNamespaces = False,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    output: OutputOption = Output.TABLE,
    no_color: NoColor = False,
) -> None:
    """Say which features will work: whether both APIs answer, and which rights lack there.

    Objects: SovereignClouds and BareMetalServers; without them, all in the namespace. With --secret or --opennebula, or with the
    variables of OVHcloud's own clients (OVH_CLIENT_ID and so on) where there is no cluster, credentials alone: before anything is
    written down. It only reads: rights are asked of OVHcloud's IAM, and what a user of OpenNebula may do is read from who it
    is and what it sees. Where rights lack at OVHcloud, the policy that adds them is printed.

    Exit code 0: all that is needed works; 2: something that is needed fails; 1: an error. What the API does not say before it is
    tried is Unknown, and does not count.
    """
    given = Given(secret, endpoint, opennebula, opennebula_secret)
    where = Where(namespace, all_namespaces, context, kubeconfig)
    _known(feature or ())
    alone = bool(secret or opennebula or given.by_environment) and not objects
    wanted = named(objects or (), whole_kinds=True)

    async def look(connections: Connections, cluster: Cluster | None) -> Diagnosis:
        if alone:
            return await _credentials(given, connections, cluster, namespace)
        assert cluster is not None  # noqa: S101 - one is opened unless credentials come alone
        return await _objects(wanted, connections, cluster, where.scope(cluster))

    found = asked_with(ctx, where, look, cluster=not alone or given.needs_cluster)
    found = found.wanting(feature) if feature else found
    if output is not Output.TABLE:
        emit(found.as_json(), output)
        raise typer.Exit(found.exit_code)
    _show(found, color=not no_color)
    raise typer.Exit(found.exit_code)


def _known(features: list[str] | tuple[()]) -> None:
    known = {one.lower(): str(one) for one in (REACH, *Feature, *One)}
    for one in features:
        if one.lower() not in known:
            raise CommandError(f"there is no feature {one}: choose from {', '.join(known.values())}")


async def _credentials(given: Given, connections: Connections, cluster: Cluster | None, namespace: str) -> Diagnosis:
    space = namespace or (cluster.namespace if cluster else "")
    found = Diagnosis()
    if given.ovh_secret or given.by_environment:
        account = await ovh_of(given, connections, cluster, space)
        where = f"Secret {space}/{given.ovh_secret}" if given.ovh_secret else "the environment"
        found += await of_bare_account(only_reads(account, OVH_READS, "OVHcloud", INNER_READS), given.region, where)
    if given.url:
        front = await open_nebula_of(given, connections, cluster, space)
        if front is not None:
            found += await of_endpoint(only_reads(front, OPENNEBULA_READS, "OpenNebula"), given.url, connections)
    return found


async def _objects(wanted: tuple[Named, ...], connections: Connections, cluster: Cluster, scope: str) -> Diagnosis:
    resource_graph = ResourceGraph((await bodies(cluster, scope)).values(), connections.controllers)
    there = resource_graph.everything()
    keys = chosen(wanted, there, scope) if wanted else tuple(k for k in there if k.kind in {CLOUD, SERVER})
    if other := [key for key in keys if key.kind not in {CLOUD, SERVER}]:
        raise CommandError(f"{other[0]} lives in a SovereignCloud: name that cloud, scloud/NAME")
    if not keys:
        raise CommandError("there is no SovereignCloud and no BareMetalServer here: name a Secret instead: --secret")
    kubernetes = cast(Kubernetes, only_reads(cluster.reads, KUBERNETES_READS, "Kubernetes"))
    clients = Clients(kubernetes, reading_open_nebula(connections.open_nebula), reading_ovh(connections.ovh))
    found = Diagnosis()
    for key in keys:
        resource = resource_graph.get(key)
        composed = resource is not None and any(r.kind == CLOUD for r in resource.metadata.owner_references)
        if resource is not None and (wanted or not composed):  # a cloud speaks for the servers that it composed
            found += await of_object(resource, clients, connections, resource_graph.get)
    return found


def _show(found: Diagnosis, *, color: bool) -> None:
    from sovereigncloud.commands.shared.terminal import console, text  # noqa: PLC0415 - rich is for what is shown only

    out = console(color=color)
    out.print(_table(found.findings))
    for policy in found.policies:
        out.print()
        out.print(text("The policy that adds what is needed and lacks (docs/ovh-rights.md):", "bold"))
        out.print(text(json.dumps(policy, indent=2)), soft_wrap=True)
    out.print()
    failing = [one for one in found.findings if one.needed and one.verdict is Verdict.FAILS]
    names = ", ".join(dict.fromkeys(f"{one.feature} at {one.api}" for one in failing))
    verdict = f"Will not work: {names}." if failing else "All that is needed works."
    out.print(text(verdict, "bold red" if failing else "bold green"))


def _table(findings: tuple[Finding, ...]) -> Table:
    from sovereigncloud.commands.shared.terminal import table, text  # noqa: PLC0415 - rich is for what is shown only

    made = table("API", "WHERE", "FEATURE", "NEEDED", "VERDICT", "MESSAGE")
    before = ("", "")
    for one in findings:
        place = (one.api, one.where)
        made.add_row(
            text(one.api if place != before else "", "bold cyan"),
            text(one.where if place != before else ""),
            text(one.feature),
            text("yes" if one.needed else "no", "" if one.needed else "dim"),
            text(one.verdict, _STYLES[one.verdict] if one.needed else "dim"),
            text(one.message or one.meaning, "" if one.message else "dim"),
        )
        before = place
    return made
