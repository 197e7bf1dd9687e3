"""The cloud that a zone's manifests refer to: one that is declared in a cluster, or one to be declared."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from sovereigncloud.api.common.base import API_VERSION, Key
from sovereigncloud.api.sovereigncloud import SovereignCloud
from sovereigncloud.commands.export.check import Standing
from sovereigncloud.commands.export.manifests import Export, Names, one_secret
from sovereigncloud.commands.export.names import object_name
from sovereigncloud.commands.export.selection import Wanted
from sovereigncloud.commands.export.zone import Zone, write_down
from sovereigncloud.commands.shared.cluster_session import bodies
from sovereigncloud.commands.shared.connections import Cluster, Connections
from sovereigncloud.commands.shared.credentials import secret
from sovereigncloud.commands.shared.errors import CommandError
from sovereigncloud.engine.cache.store import Store
from sovereigncloud.engine.loop.read_only_context import OPENNEBULA_READS, only_reads
from sovereigncloud.kinds.endpoint.endpoint import endpoint_of
from sovereigncloud.ports.opennebula.client import OpenNebula

Json = dict[str, Any]
_NOWHERE = "where that OpenNebula is: no API tells, so say it in spec.existing.location, with spec.providerRef"
_MEMBERS = ("vm", "network", "image", "security_group")


def declared(url: str, name: str, names: Names, only: Wanted) -> Export:
    """A SovereignCloud for an OpenNebula elsewhere. Raises CommandError."""
    called = name or object_name(urlsplit(url).hostname or "", 0, "cloud", set())
    spec = {
        "management": "Observe",
        "existing": {"endpoint": url, "credentialsSecretRef": {"name": names.open_nebula_secret}},
    }
    document = {
        "apiVersion": API_VERSION,
        "kind": SovereignCloud.crd.kind,
        "metadata": {"name": called, "namespace": names.namespace},
        "spec": spec,
    }
    _cloud(document, url)
    shown = (document,) if only.has(SovereignCloud.crd.kind) else ()
    return Export((document,), (one_secret(names),) if shown else (), (_NOWHERE,) if shown else ())


async def with_zone(start: Export, one: OpenNebula, only: Wanted, connections: Connections) -> Export:
    """What the zone runs besides. Without a cloud to refer to: only what there was."""
    body = next((document for document in start.documents if document["kind"] == SovereignCloud.crd.kind), None)
    if body is None:
        return start
    cloud = _cloud(body, "http://here/RPC2")
    zone = await _read(cloud, one, only, connections, besides=cloud.spec.hosted is not None)
    kept = tuple(document for document in start.documents if only.has(document["kind"]))
    return replace(
        start,
        documents=(*(start.documents if not only.kinds else kept), *zone.documents),
        notes=(*start.notes, *zone.notes),
        comments={**start.comments, **zone.comments},
    )


async def of_cluster(name: str, namespace: str, only: Wanted, connections: Connections, cluster: Cluster) -> Export:
    """What runs in a cloud that is declared. Raises CommandError."""
    store = Store()
    for body in (await bodies(cluster, namespace)).values():
        store.put(body)
    cloud = store.get(Key(SovereignCloud.crd.kind, namespace, name))
    if not isinstance(cloud, SovereignCloud):
        there = sorted(key.name for key in store.keys(SovereignCloud.crd.kind, namespace))
        raise CommandError(
            f"there is no SovereignCloud {name} in namespace {namespace}: " + (", ".join(there) or "nor any other")
        )
    endpoint = endpoint_of(cloud, store.get)
    if endpoint is None:
        raise CommandError(f"where {cloud.key} answers is not known yet: wait until it is Ready")
    values = await secret(cluster, namespace, endpoint.secret)
    username, password = values.get("username", "").strip(), values.get("password", "").strip()
    if not username or not password:
        raise CommandError(f"Secret {namespace}/{endpoint.secret} must hold username and password")
    authority = ""
    if endpoint.ca_secret:
        authority = (await secret(cluster, namespace, endpoint.ca_secret)).get("ca.crt", "")
    client = only_reads(
        connections.open_nebula(endpoint.url, username, password, authority), OPENNEBULA_READS, "OpenNebula"
    )
    zone = await _read(cloud, client, only, connections, besides=False)
    return Export(tuple(zone.documents), (), tuple(zone.notes), zone.comments)


async def _read(
    cloud: SovereignCloud, one: OpenNebula, only: Wanted, connections: Connections, *, besides: bool
) -> Zone:
    answering = cloud.model_copy(update={"status": cloud.status.model_copy(update={"endpoint": "http://here/RPC2"})})
    context = Standing(answering, await one.view(0.0), one, connections.now())
    particulars = {member: await one.particulars(member) for member in _MEMBERS}
    zone = Zone(context, particulars, only, besides)
    await write_down(zone, connections.controllers)
    return zone


def _cloud(document: Json, url: str) -> SovereignCloud:
    try:
        return SovereignCloud.model_validate({**document, "status": {"endpoint": url}})
    except ValidationError as error:
        wrong = error.errors()[0]
        raise CommandError(f"{'.'.join(map(str, wrong['loc']))}: {wrong['msg']}") from None
