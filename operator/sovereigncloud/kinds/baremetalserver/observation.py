"""What is read for a BareMetalServer: the account's view at rest, one server in detail while something is open."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime

from sovereigncloud.api import BareMetalServer, SovereignCloud
from sovereigncloud.api.baremetalserver import OvhServer
from sovereigncloud.api.common.base import FINALIZER, RECONCILE_REQUESTED_AT, DeletionPolicy, Key
from sovereigncloud.api.hosted import HostedServer
from sovereigncloud.core.identity import OVH_UID, Mark, Ownership, mark_from_ovh, ownership
from sovereigncloud.kinds.baremetalserver.identity import (
    UNKNOWN,
    Identity,
    hosted_service_name,
    identify_server,
    known_as,
    service_name_of,
)
from sovereigncloud.kinds.baremetalserver.network.private_interface import Joining, attached, look_who_may_join
from sovereigncloud.kinds.baremetalserver.ordering.observation import Purchase, observe_purchase
from sovereigncloud.kinds.baremetalserver.power import PowerSeen, is_looked_at, look_at_power, read_fenced
from sovereigncloud.kinds.baremetalserver.reinstall.day0 import proof_key
from sovereigncloud.kinds.baremetalserver.reinstall.host_key import AT_REST, Heard, Trust, read_pin
from sovereigncloud.kinds.baremetalserver.reinstall.plan import Details
from sovereigncloud.kinds.baremetalserver.reinstall.records import carried_out, is_open, read_record
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.endpoint import endpoint
from sovereigncloud.kinds.sovereigncloud.hosts.release import holds_its_servers
from sovereigncloud.ports.errors import MissingSecret, NotFound, OutsideError, Retry
from sovereigncloud.ports.ovh.account import Ovh, ServerSummary, VrackView
from sovereigncloud.ports.ovh.orders import Renewal

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
        joining: what says whether its interface may be moved and may join.
        proof_key: what a reinstallation proves its host key with.
        cloud: that it is a server of.
        power: whether it runs, looked at while that cloud is lost, or was.
        heard: what SSH says at its address; None: nobody asked.
        now: when this was read.
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
    joining: Joining = field(default_factory=Joining)
    proof_key: str = field(default="", repr=False)
    heard: Heard | None = None
    cloud: SovereignCloud | None = None
    power: PowerSeen | None = None
    now: datetime | None = None

    @property
    def is_ours(self) -> bool:
        """Whether the machine carries this object's mark, part of it, or was delivered for it a moment ago."""
        if self.summary is None:
            return False
        found = mark_from_ovh(self.summary.tags)
        if found is None:
            # Of a mark the UID is the first tag that is written and the last that is taken off.
            return self.purchase is not None or self.summary.tags.get(OVH_UID) == self.mark.uid
        return ownership(found, self.mark) in _OURS


async def observe_server(resource: BareMetalServer, context: Context) -> Observed:
    mark, ovh = context.mark(resource), resource.spec.ovh
    if resource.deleting:
        held = await _held(resource, context)
        if held or ovh is None:
            return Observed(mark, held=held)
        return await _last_look(resource, ovh, context, mark)
    if ovh is None:
        return Observed(mark)
    observed = await _in_account(resource, ovh, context, mark)
    if not observed.identity.name:
        return observed
    observed = await _with_power(resource, ovh, context, observed)
    if observed.summary is not None and read_fenced(observed.summary.tags) is not None:
        return replace(observed, now=context.now)  # it is off, and nothing else is done
    resource, summary = known_as(resource, observed.identity.name), observed.summary
    if summary is None or look_closer(resource, summary, observed.vrack):
        client = await context.ovh(ovh.endpoint, resource.metadata.namespace, ovh.credentials_secret_ref.name)
        details, joining = await _details(client, resource, observed.identity.name, summary), observed.joining
        if details is not None:
            joining = await look_who_may_join(resource, client, details.interfaces, joining, context.now)
        observed = replace(observed, details=details, joining=joining)
    if observed.summary is None and observed.details is not None:
        server = observed.details.server
        known = ServerSummary(server.service_name, server.urn, server.display_name, server.tags)
        observed = replace(observed, summary=known)
    if observed.details is not None and observed.details.systems and resource.spec.reinstall is not None:
        public, private = await _installer_keys(resource, context)
        urn, word = observed.details.server.urn, resource.spec.reinstall.request
        observed = replace(observed, ssh_key=public, proof_key=proof_key(private, urn, word) if private else "")
    observed = replace(observed, heard=await _listen(resource, observed, context))
    return replace(observed, holder=_holder(observed, context), now=context.now)


async def _with_power(resource: BareMetalServer, ovh: OvhServer, context: Context, observed: Observed) -> Observed:
    """Whether it runs, where its cloud does not answer."""
    owner, summary = endpoint.owner_of(resource), observed.summary
    cloud = context.get(owner) if owner is not None else None
    if not isinstance(cloud, SovereignCloud):
        return observed
    observed = replace(observed, cloud=cloud)
    if summary is None or not observed.is_ours or not is_looked_at(cloud, resource, summary.tags):
        return observed
    client, now = (
        await context.ovh(ovh.endpoint, resource.metadata.namespace, ovh.credentials_secret_ref.name),
        context.now,
    )
    server = replace(await client.server(observed.identity.name), tags=summary.tags)
    return replace(observed, power=await look_at_power(client, server, cloud, now))


async def _in_account(resource: BareMetalServer, ovh: OvhServer, context: Context, mark: Mark) -> Observed:
    """The account's view, and the order of a machine that is not known yet."""
    namespace, secret = resource.metadata.namespace, ovh.credentials_secret_ref.name
    view = await context.account(ovh.endpoint, namespace, secret, ovh.vrack or "")
    identity, purchase = identify_server(resource, view.servers, mark), None
    if not identity.name and identity.problem is None and ovh.order is not None:
        purchase = await observe_purchase(resource, ovh.order, context)
        identity = Identity(purchase.domain)
    summary = view.servers.get(identity.name)
    return Observed(
        mark,
        identity,
        purchase,
        summary=summary,
        vrack=view.vracks.get(ovh.vrack or ""),
        joining=Joining(mark, summary.tags if summary else {}, view.vrack_tags),
    )


async def _last_look(resource: BareMetalServer, ovh: OvhServer, context: Context, mark: Mark) -> Observed:
    """What a server that is being deleted still has of ours. With Retain nothing that fails here holds it up."""
    if resource.deletion_policy is DeletionPolicy.RETAIN:
        secret = ovh.credentials_secret_ref.name
        try:
            view = await context.account(ovh.endpoint, resource.metadata.namespace, secret, ovh.vrack or "")
        except (MissingSecret, OutsideError):
            return Observed(mark)
        identity = identify_server(resource, view.servers, mark)
        return Observed(mark, identity, summary=view.servers.get(identity.name))
    observed = await _in_account(resource, ovh, context, mark)
    if not observed.is_ours:
        return observed
    client = await context.ovh(ovh.endpoint, resource.metadata.namespace, ovh.credentials_secret_ref.name)
    try:
        return replace(observed, renewal=await client.orders.renewal(observed.identity.name))
    except NotFound:
        return observed


def look_closer(resource: BareMetalServer, summary: ServerSummary, vrack: VrackView | None) -> bool:
    """Whether the view and status leave something open that only the server itself can tell."""
    ovh = resource.spec.ovh
    if not resource.settled or is_open(summary.tags) or not carried_out(resource, summary.tags):
        return True
    if resource.status.monitoring is False:
        return True  # told as a difference, and no view shows that it is over
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
        request = resource.spec.reinstall
        if request is not None and request.operating_system in details.systems:
            details = replace(details, template=await client.template(request.operating_system))
    return details


async def _listen(resource: BareMetalServer, observed: Observed, context: Context) -> Heard | None:
    """What SSH says at the server's address, where its host key is awaited or pinned."""
    summary, details = observed.summary, observed.details
    tags = summary.tags if summary else {}
    pin, record = read_pin(tags), read_record(tags)
    address = details.server.ip if details else resource.status.address
    if summary is None or pin is None or not address or is_open(tags):
        return None
    asked = resource.metadata.annotations.get(RECONCILE_REQUESTED_AT, "")
    at_rest = resource.settled and not pin.awaited and asked in {"", resource.status.last_handled_reconcile_at}
    heard, within = Heard(address), AT_REST if at_rest else 0.0
    if pin.awaited and pin.trust is Trust.PROVEN and record is not None:
        _, private = await _installer_keys(resource, context)
        heard = replace(heard, proof_key=proof_key(private, summary.urn, record.token) if private else "")
    try:
        greeting = await context.greeting(address, within)
    except Retry as error:
        return replace(heard, error=str(error))
    return replace(heard, greeting=greeting) if greeting is not None else None


async def _installer_keys(resource: BareMetalServer, context: Context) -> tuple[str, str]:
    """The public and the private key of the cloud's installer, made before its servers; a server on its own has none."""
    owner = endpoint.owner_of(resource)
    cloud = context.get(owner) if owner else None
    if not isinstance(cloud, SovereignCloud) or cloud.spec.hosted is None or not cloud.spec.hosted.open_nebula.install:
        return "", ""
    secret = await context.kubernetes.secret(cloud.metadata.namespace, endpoint.generated_secret(cloud))
    return secret.get("sshPublicKey", ""), secret.get("sshPrivateKey", "")


def _holder(observed: Observed, context: Context) -> str:
    """The other object that the server is marked for, if there is such an object."""
    found = mark_from_ovh(observed.summary.tags) if observed.summary else None
    if found is None or ownership(found, observed.mark) is not Ownership.SIBLING:
        return ""
    kind, _, rest = found.object.partition("/")
    namespace, _, name = rest.rpartition("/")
    return found.object if context.get(Key(kind, namespace, name)) is not None else ""


async def _held(resource: BareMetalServer, context: Context) -> tuple[str, ...]:
    """Who still needs a server that is being deleted: its cloud, or what is in that cloud.

    Foreground deletion gives the cloud and its children their deletionTimestamp in the same second; the server then
    waits until nothing but servers refers to the cloud, and the cloud waits until its servers are gone.
    """
    key = endpoint.owner_of(resource)
    cloud = context.get(key) if key else None
    if key is None or not isinstance(cloud, SovereignCloud) or FINALIZER not in cloud.metadata.finalizers:
        return ()
    if cloud.deleting:
        others = tuple(str(user.key) for user in context.users(key) if not isinstance(user, BareMetalServer))
        leaves = resource.deletion_policy is DeletionPolicy.DELETE and holds_its_servers(cloud)
        return others or ((f"{key} gives back its hosts and blocks first",) if leaves else ())
    hosted = cloud.spec.hosted.ovh if cloud.spec.hosted else None
    if hosted is not None and any(_is_listed(resource, cloud, server, context) for server in hosted.servers):
        return (f"{key} lists it in spec.hosted.ovh.servers",)
    if not cloud.status.endpoint or not resource.status.address:
        return ()
    view = await context.view(key)
    return tuple(
        f"host {host.id} ({host.name}) of {key} is on it: that cloud empties and deletes it first"
        for host in view.hosts.values()
        if host.name == resource.status.address
    )


def _is_listed(resource: BareMetalServer, cloud: SovereignCloud, server: HostedServer, context: Context) -> bool:
    """Whether an entry of the cloud is this machine: under its own name, or under another one."""
    key = endpoint.server_key(cloud, server)
    child = context.get(key)
    name = hosted_service_name(server, child if isinstance(child, BareMetalServer) else None)
    return key == resource.key or bool(name and name == service_name_of(resource))
