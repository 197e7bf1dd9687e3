"""What is read for a BareMetalServer: the account's view at rest, one server in detail while something is open."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sovereigncloud.api import BareMetalServer, SovereignCloud
from sovereigncloud.api.baremetalserver import OvhServer
from sovereigncloud.api.base import FINALIZER, DeletionPolicy, Key
from sovereigncloud.api.sovereigncloud import HostedServer
from sovereigncloud.core.identity import Mark, Ownership, mark_from_ovh, ownership
from sovereigncloud.kinds import endpoint
from sovereigncloud.kinds.controller import World
from sovereigncloud.kinds.errors import MissingSecret, NotFound, OutsideError
from sovereigncloud.kinds.giving_back import holds_its_servers
from sovereigncloud.kinds.ordering_observation import Purchase, observe_purchase
from sovereigncloud.kinds.ordering_port import Renewal
from sovereigncloud.kinds.ports import Ovh, ServerSummary, VrackView
from sovereigncloud.kinds.private_interface import attached
from sovereigncloud.kinds.reinstall import Details, carried_out, is_open, read_record
from sovereigncloud.kinds.server_identity import (
    UNKNOWN,
    Identity,
    hosted_service_name,
    identify_server,
    known_as,
    service_name_of,
)

_OURS = frozenset({Ownership.OURS, Ownership.PREDECESSOR})


@dataclass(frozen=True, slots=True)
class Observed:
    """What was read for one server.

    Attributes:
        identity: which machine it is.
        purchase: how far its order is, until it is known which machine was delivered.
        renewal: how the service goes on, of a server that is to end with its object.
        summary: None where the account's view does not show the server (or, being deleted, nothing was asked).
        details: None at rest.
        holder: another object of this installation that the server is marked for and that exists.
        held: who still uses a server that is being deleted.
        ssh_key: the public key that a reinstallation lets in.
    """

    mark: Mark
    identity: Identity = UNKNOWN
    purchase: Purchase | None = None
    renewal: Renewal | None = None
    summary: ServerSummary | None = None
    vrack: VrackView | None = None
    details: Details | None = None
    holder: str = ""
    held: tuple[str, ...] = ()
    ssh_key: str = ""

    @property
    def is_ours(self) -> bool:
        """Whether the machine carries this object's mark, or was delivered for it a moment ago."""
        if self.summary is None:
            return False
        found = mark_from_ovh(self.summary.tags)
        return ownership(found, self.mark) in _OURS or (found is None and self.purchase is not None)


async def observe_server(resource: BareMetalServer, world: World) -> Observed:
    mark, ovh = world.mark(resource), resource.spec.ovh
    if resource.deleting:
        held = await _held(resource, world)
        if held or ovh is None:
            return Observed(mark, held=held)
        return await _last_look(resource, ovh, world, mark)
    if ovh is None:
        return Observed(mark)
    observed = await _in_account(resource, ovh, world, mark)
    if not observed.identity.name:
        return observed
    resource, summary = known_as(resource, observed.identity.name), observed.summary
    if summary is None or look_closer(resource, summary, observed.vrack):
        client = await world.ovh(ovh.endpoint, resource.metadata.namespace, ovh.credentials_secret_ref.name)
        observed = replace(observed, details=await _details(client, resource, observed.identity.name, summary))
    if observed.summary is None and observed.details is not None:
        server = observed.details.server
        known = ServerSummary(server.service_name, server.urn, server.display_name, server.tags)
        observed = replace(observed, summary=known)
    if observed.details is not None and observed.details.systems:
        observed = replace(observed, ssh_key=await _ssh_key(resource, world))
    return replace(observed, holder=_holder(observed, world))


async def _in_account(resource: BareMetalServer, ovh: OvhServer, world: World, mark: Mark) -> Observed:
    """The account's view, and the order of a machine that is not known yet."""
    namespace, secret = resource.metadata.namespace, ovh.credentials_secret_ref.name
    view = await world.account(ovh.endpoint, namespace, secret, ovh.vrack or "")
    identity, purchase = identify_server(resource, view.servers, mark), None
    if not identity.name and identity.problem is None and ovh.order is not None:
        purchase = await observe_purchase(resource, ovh.order, world)
        identity = Identity(purchase.domain)
    return Observed(
        mark,
        identity,
        purchase,
        summary=view.servers.get(identity.name),
        vrack=view.vracks.get(ovh.vrack or ""),
    )


async def _last_look(resource: BareMetalServer, ovh: OvhServer, world: World, mark: Mark) -> Observed:
    """What a server that is being deleted still has of ours. With Retain nothing that fails here holds it up."""
    if resource.deletion_policy is DeletionPolicy.RETAIN:
        secret = ovh.credentials_secret_ref.name
        try:
            view = await world.account(ovh.endpoint, resource.metadata.namespace, secret, ovh.vrack or "")
        except (MissingSecret, OutsideError):
            return Observed(mark)
        identity = identify_server(resource, view.servers, mark)
        return Observed(mark, identity, summary=view.servers.get(identity.name))
    observed = await _in_account(resource, ovh, world, mark)
    if not observed.is_ours:
        return observed
    client = await world.ovh(ovh.endpoint, resource.metadata.namespace, ovh.credentials_secret_ref.name)
    try:
        return replace(observed, renewal=await client.orders.renewal(observed.identity.name))
    except NotFound:
        return observed


def look_closer(resource: BareMetalServer, summary: ServerSummary, vrack: VrackView | None) -> bool:
    """Whether the view and status leave something open that only the server itself can tell."""
    ovh = resource.spec.ovh
    if not resource.settled or is_open(summary.tags) or not carried_out(resource, summary.tags):
        return True
    record, request = read_record(summary.tags), resource.spec.reinstall
    if request is not None and record is None:
        return True
    return (ovh is not None and bool(ovh.vrack) and not attached(resource, vrack)) or resource.status.address is None


async def _details(client: Ovh, resource: BareMetalServer, name: str, summary: ServerSummary | None) -> Details | None:
    """One server in detail; None: there is none of that name."""
    try:
        server = await client.server(name)
    except NotFound:
        return None
    tags = summary.tags if summary else server.tags
    details = Details(server=server, interfaces=await client.interfaces(name), tasks=await client.reinstall_tasks(name))
    if details.active is not None or is_open(tags):
        details = replace(details, progress=await client.install_progress(name))
    if not carried_out(resource, tags):
        details = replace(
            details, disk_groups=await client.disk_groups(name), systems=await client.compatible_systems(name)
        )
    return details


async def _ssh_key(resource: BareMetalServer, world: World) -> str:
    """The public key of the cloud's installer, made before its servers; a server on its own has none."""
    owner = endpoint.owner_of(resource)
    cloud = world.get(owner) if owner else None
    if not isinstance(cloud, SovereignCloud) or cloud.spec.hosted is None or not cloud.spec.hosted.open_nebula.install:
        return ""
    secret = await world.kubernetes.secret(cloud.metadata.namespace, endpoint.generated_secret(cloud))
    return secret.get("sshPublicKey", "")


def _holder(observed: Observed, world: World) -> str:
    """The other object that the server is marked for, if there is such an object."""
    found = mark_from_ovh(observed.summary.tags) if observed.summary else None
    if found is None or ownership(found, observed.mark) is not Ownership.SIBLING:
        return ""
    kind, _, rest = found.object.partition("/")
    namespace, _, name = rest.rpartition("/")
    return found.object if world.get(Key(kind, namespace, name)) is not None else ""


async def _held(resource: BareMetalServer, world: World) -> tuple[str, ...]:
    """Who still needs a server that is being deleted: its cloud, or what is in that cloud.

    Foreground deletion gives the cloud and its children their deletionTimestamp in the same second; the server then
    waits until nothing but servers refers to the cloud, and the cloud waits until its servers are gone.
    """
    key = endpoint.owner_of(resource)
    cloud = world.get(key) if key else None
    if key is None or not isinstance(cloud, SovereignCloud) or FINALIZER not in cloud.metadata.finalizers:
        return ()
    if cloud.deleting:
        others = tuple(str(user.key) for user in world.users(key) if not isinstance(user, BareMetalServer))
        leaves = resource.deletion_policy is DeletionPolicy.DELETE and holds_its_servers(cloud)
        return others or ((f"{key} gives back its hosts and blocks first",) if leaves else ())
    hosted = cloud.spec.hosted.ovh if cloud.spec.hosted else None
    if hosted is not None and any(_is_listed(resource, cloud, server, world) for server in hosted.servers):
        return (f"{key} lists it in spec.hosted.ovh.servers",)
    if not cloud.status.endpoint or not resource.status.address:
        return ()
    view = await world.view(key)
    return tuple(
        f"host {host.id} ({host.name}) of {key} is on it: that cloud empties and deletes it first"
        for host in view.hosts.values()
        if host.name == resource.status.address
    )


def _is_listed(resource: BareMetalServer, cloud: SovereignCloud, server: HostedServer, world: World) -> bool:
    """Whether an entry of the cloud is this machine: under its own name, or under another one."""
    key = endpoint.server_key(cloud, server)
    child = world.get(key)
    name = hosted_service_name(server, child if isinstance(child, BareMetalServer) else None)
    return key == resource.key or bool(name and name == service_name_of(resource))
