"""`sovereign export`: the manifests of what stands already."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import Annotated

import typer

from sovereigncloud.commands.asking import Where, asked_with
from sovereigncloud.commands.credentials import Given, open_nebula_of, ovh_of
from sovereigncloud.commands.doors import Cluster, Doors
from sovereigncloud.commands.errors import CommandError
from sovereigncloud.commands.exporting import Export, Names, as_json, as_yaml, exported
from sovereigncloud.commands.found import found
from sovereigncloud.commands.given_options import (
    Endpoint,
    OpenNebulaSecret,
    OpenNebulaUrl,
    OvhSecret,
)
from sovereigncloud.commands.options import Context, Kubeconfig, Namespace, Output
from sovereigncloud.commands.output import emit
from sovereigncloud.engine.reading import INNER_READS, OPENNEBULA_READS, OVH_READS, only_reads


class Form(StrEnum):
    """How manifests are written."""

    YAML = "yaml"
    JSON = "json"


def export(
    ctx: typer.Context,
    *,
    ovh: Annotated[bool, typer.Option("--ovh", help="Read an account of OVHcloud.")] = False,
    secret: OvhSecret = "",
    endpoint: Endpoint = "",
    opennebula: OpenNebulaUrl = "",
    opennebula_secret: OpenNebulaSecret = "",
    front_end: Annotated[
        str, typer.Option(help="Service name of the front-end's server, where its address does not tell.")
    ] = "",
    namespace: Namespace = "",
    context: Context = None,
    kubeconfig: Kubeconfig = None,
    output: Annotated[Form, typer.Option("-o", "--output", help="For kubectl apply -f -.")] = Form.YAML,
) -> None:
    """Write the manifests of what stands in an account: a SovereignCloud for the OpenNebula on it, its other servers besides.

    They say management: Observe: applied, nothing is changed outside. No password is written; comments say which Secrets to
    make, and what could not be written down. Without --secret the credential comes from the variables of OVHcloud's own
    clients (OVH_CLIENT_ID and OVH_CLIENT_SECRET, or OVH_APPLICATION_KEY, OVH_APPLICATION_SECRET and OVH_CONSUMER_KEY). That of
    OpenNebula comes from ONE_XMLRPC and ONE_AUTH, as for its own tools.
    """
    if not ovh:
        raise CommandError("say what to read: --ovh for an account of OVHcloud")
    given = Given(secret, endpoint, opennebula, opennebula_secret)
    where = Where(namespace, context=context, kubeconfig=kubeconfig)

    async def read(doors: Doors, cluster: Cluster | None) -> Export:
        space = where.scope(cluster) if cluster else namespace or "default"
        account = only_reads(await ovh_of(given, doors, cluster, space), OVH_READS, "OVHcloud", INNER_READS)
        cloud = await open_nebula_of(given, doors, cluster, space)
        cloud = only_reads(cloud, OPENNEBULA_READS, "OpenNebula") if cloud is not None else None
        secrets = {"ovh_secret": secret, "open_nebula_secret": opennebula_secret}
        names = replace(
            Names(space, endpoint=given.region, front_end=front_end), **{k: v for k, v in secrets.items() if v}
        )
        return exported(await found(account, given.url, cloud), names)

    result = asked_with(ctx, where, read, cluster=given.needs_cluster)
    if output is Form.JSON:
        emit(as_json(result), Output.JSON)
    else:
        typer.echo(as_yaml(result), nl=False)
