"""`sovereign export`: the manifests of what stands already."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import Annotated

import typer

from sovereigncloud.commands.export.cloud import declared, of_cluster, with_zone
from sovereigncloud.commands.export.live_inventory import found
from sovereigncloud.commands.export.manifests import Export, Names, as_json, as_yaml, exported
from sovereigncloud.commands.export.selection import Wanted
from sovereigncloud.commands.shared.cluster_session import Where, asked_with
from sovereigncloud.commands.shared.connections import Cluster, Connections
from sovereigncloud.commands.shared.credentials import Given, open_nebula_of, ovh_of
from sovereigncloud.commands.shared.errors import CommandError
from sovereigncloud.commands.shared.options import (
    Context,
    Endpoint,
    Kubeconfig,
    Namespace,
    OpenNebulaSecret,
    OpenNebulaUrl,
    Output,
    OvhSecret,
)
from sovereigncloud.commands.shared.output import emit
from sovereigncloud.engine.loop.read_only_context import INNER_READS, OPENNEBULA_READS, OVH_READS, only_reads
from sovereigncloud.ports.opennebula.client import OpenNebula


class Form(StrEnum):
    """How manifests are written."""

    YAML = "yaml"
    JSON = "json"


Many = list[str] | None


def export(
    ctx: typer.Context,
    *,
    ovh: Annotated[bool, typer.Option("--ovh", help="Read an account of OVHcloud.")] = False,
    secret: OvhSecret = "",
    endpoint: Endpoint = "",
    opennebula: OpenNebulaUrl = "",
    opennebula_secret: OpenNebulaSecret = "",
    cloud: Annotated[
        str,
        typer.Option(
            help="A SovereignCloud of the namespace: what runs in it. With --opennebula: how the one to be written is called."
        ),
    ] = "",
    front_end: Annotated[
        str, typer.Option(help="Service name of the front-end's server, where its address does not tell.")
    ] = "",
    kind: Annotated[
        Many, typer.Option(help="Only objects of this kind, for example HostedInstance. Several: any.")
    ] = None,
    name: Annotated[
        Many, typer.Option(help="Only what is called so in OpenNebula; * and ? stand for anything.")
    ] = None,
    id_: Annotated[list[int] | None, typer.Option("--id", help="Only what has this number in OpenNebula.")] = None,
    owner: Annotated[Many, typer.Option(help="Only what belongs to this user of OpenNebula (name or number).")] = None,
    group: Annotated[Many, typer.Option(help="Only what belongs to this group of OpenNebula.")] = None,
    network: Annotated[Many, typer.Option(help="Only machines with a card in this network (name or number).")] = None,
    label: Annotated[
        Many, typer.Option(help="Only what has this attribute (NAME=VALUE) or this label of Sunstone (NAME).")
    ] = None,
    namespace: Namespace = "",
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    output: Annotated[Form, typer.Option("-o", "--output", help="For kubectl apply -f -.")] = Form.YAML,
) -> None:
    """Write the manifests of what stands: in an account of OVHcloud (--ovh), in an OpenNebula (--opennebula), or in a cloud that is
    declared already (--cloud). Machines, networks and images become objects that adopt them by their number.

    They say management: Observe: applied, nothing is changed outside, and their plan is empty: what a manifest cannot say is
    left out, with a comment. No password is written; comments say which Secrets to make. Without --secret the credential comes
    from the variables of OVHcloud's own clients (OVH_CLIENT_ID and OVH_CLIENT_SECRET, or OVH_APPLICATION_KEY,
    OVH_APPLICATION_SECRET and OVH_CONSUMER_KEY). That of OpenNebula comes from ONE_XMLRPC and ONE_AUTH, as for its own tools.
    """
    given = Given(secret, endpoint, opennebula, opennebula_secret)
    only = Wanted(
        kinds=tuple(kind or ()),
        names=tuple(name or ()),
        ids=tuple(id_ or ()),
        owners=tuple(owner or ()),
        groups=tuple(group or ()),
        networks=tuple(network or ()),
        labels=tuple(label or ()),
    )
    by_cluster = bool(cloud) and not given.url
    if not ovh and not given.url and not cloud:
        raise CommandError(
            "say what to read: --ovh for an account of OVHcloud, --opennebula for an OpenNebula, --cloud for a SovereignCloud"
        )
    if ovh and by_cluster:
        raise CommandError("--ovh and --cloud exclude each other: a cloud that is declared has its servers already")
    where = Where(namespace, context=context, kubeconfig=kubeconfig)

    async def read(connections: Connections, cluster: Cluster | None) -> Export:
        space = where.scope(cluster) if cluster else namespace or "default"
        if by_cluster and cluster is not None:
            return await of_cluster(cloud, space, only, connections, cluster)
        one = await open_nebula_of(given, connections, cluster, space)
        one = _reads(one) if one is not None else None
        secrets = {"ovh_secret": secret, "open_nebula_secret": opennebula_secret}
        names = replace(
            Names(space, endpoint=given.region, front_end=front_end), **{k: v for k, v in secrets.items() if v}
        )
        if not ovh:
            start = declared(given.url, cloud, names, only)
        else:
            account = only_reads(await ovh_of(given, connections, cluster, space), OVH_READS, "OVHcloud", INNER_READS)
            start = exported(await found(account, given.url, one), names)
        return start if one is None else await with_zone(start, one, only, connections)

    result = asked_with(ctx, where, read, cluster=given.needs_cluster or by_cluster)
    if output is Form.JSON:
        emit(as_json(result), Output.JSON)
    else:
        typer.echo(as_yaml(result), nl=False)


def _reads(client: OpenNebula) -> OpenNebula:
    return only_reads(client, OPENNEBULA_READS, "OpenNebula")
