"""Read what a BareMetalServer needs.

At rest that is the account view; one server is read in detail while an operation is open.
"""

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
from sovereigncloud.kinds.baremetalserver.network.private_interface import VrackFacts, attached, check_eligibility
from sovereigncloud.kinds.baremetalserver.ordering.observation import Purchase, observe_purchase
from sovereigncloud.kinds.baremetalserver.power import PowerState, needs_power_state, observe_power, read_fenced
from sovereigncloud.kinds.baremetalserver.reinstall.day0 import proof_key
from sovereigncloud.kinds.baremetalserver.reinstall.host_key import AT_REST, HostKeyScan, Trust, read_pin
from sovereigncloud.kinds.baremetalserver.reinstall.plan import ServerDetails
from sovereigncloud.kinds.baremetalserver.reinstall.records import carried_out, is_open, read_record
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.endpoint import endpoint
from sovereigncloud.kinds.endpoint.deletion import needs_its_servers
from sovereigncloud.ports.errors import MissingSecret, NotFound, OutsideError, Retry
from sovereigncloud.ports.ovh.account import Ovh, ServerSummary, VrackView
from sovereigncloud.ports.ovh.orders import Renewal

_OURS = frozenset({Ownership.OURS, Ownership.PREDECESSOR})


@dataclass(frozen=True, slots=True)
class ServerObservation:
    """Everything that was read for one server.

    Attributes:
        identity: which server it is.
        purchase: the state of its order, until the delivered server is known.
        renewal: how the service is renewed, for a server that ends with its object.
        summary: None where the account view does not show the server (or, being deleted, nothing was asked).
        details: None at rest.
        holder: another existing object of this installation that the server is marked for.
        held: who still uses a server that is being deleted.
        ssh_key: the public key that a reinstallation authorizes.
        vrack_facts: the facts that decide whether its interface may be moved and attached.
        proof_key: the key with which a reinstalled server proves its host key.
        cloud: the SovereignCloud that owns the server.
        power: the power state, read while that cloud is lost or fenced.
        host_key_scan: the result of the SSH host key scan; None: not scanned.
        now: when this was read.
    """

    mark: Mark
    identity: Identity = UNKNOWN
    purchase: Purchase | None = None
    renewal: Renewal | None = None
    summary: ServerSummary | None = None
    vrack: VrackView | None = None
    details: ServerDetails | None = None
    holder: str = ""
    held: tuple[str, ...] = ()
    ssh_key: str = ""
    vrack_facts: VrackFacts = field(default_factory=VrackFacts)
    proof_key: str = field(default="", repr=False)
    host_key_scan: HostKeyScan | None = None
    cloud: SovereignCloud | None = None
    power: PowerState | None = None
    now: datetime | None = None

    @property
    def is_ours(self) -> bool:
        """Whether the server carries this object's mark or part of it, or was just delivered for it."""
        if self.summary is None:
            return False
        found = mark_from_ovh(self.summary.tags)
        if found is None:
            # Of a mark the UID is the first tag that is written and the last that is taken off.
            return self.purchase is not None or self.summary.tags.get(OVH_UID) == self.mark.uid
        return ownership(found, self.mark) in _OURS


async def observe_server(resource: BareMetalServer, context: Context) -> ServerObservation:
    """Read the server of a BareMetalServer, with as few calls as its state allows."""
    mark, ovh = context.mark(resource), resource.spec.ovh
    if resource.deleting:
        held = await _users(resource, context)
        if held or ovh is None:
            return ServerObservation(mark, held=held)
        return await _observe_for_release(resource, ovh, context, mark)
    if ovh is None:
        return ServerObservation(mark)
    observed = await _observe_account(resource, ovh, context, mark)
    if not observed.identity.name:
        return observed
    observed = await _observe_power(resource, ovh, context, observed)
    if observed.summary is not None and read_fenced(observed.summary.tags) is not None:
        return replace(observed, now=context.now)  # it is off, and nothing else is done
    resource, summary = known_as(resource, observed.identity.name), observed.summary
    if summary is None or needs_details(resource, summary, observed.vrack):
        client = await context.ovh(ovh.endpoint, resource.metadata.namespace, ovh.credentials_secret_ref.name)
        details, vrack_facts = await _details(client, resource, observed.identity.name, summary), observed.vrack_facts
        if details is not None:
            vrack_facts = await check_eligibility(resource, client, details.interfaces, vrack_facts, context.now)
        observed = replace(observed, details=details, vrack_facts=vrack_facts)
    if observed.summary is None and observed.details is not None:
        server = observed.details.server
        known = ServerSummary(server.service_name, server.urn, server.display_name, server.tags)
        observed = replace(observed, summary=known)
    if observed.details is not None and observed.details.systems and resource.spec.reinstall is not None:
        public, private = await _installer_keys(resource, context)
        urn, word = observed.details.server.urn, resource.spec.reinstall.request
        observed = replace(observed, ssh_key=public, proof_key=proof_key(private, urn, word) if private else "")
    observed = replace(observed, host_key_scan=await _scan_host_key(resource, observed, context))
    return replace(observed, holder=_holder(observed, context), now=context.now)


async def _observe_power(
    resource: BareMetalServer, ovh: OvhServer, context: Context, observed: ServerObservation
) -> ServerObservation:
    """Add the power state while the server's cloud is lost."""
    owner, summary = endpoint.owner_of(resource), observed.summary
    cloud = context.get(owner) if owner is not None else None
    if not isinstance(cloud, SovereignCloud):
        return observed
    observed = replace(observed, cloud=cloud)
    if summary is None or not observed.is_ours or not needs_power_state(cloud, resource, summary.tags):
        return observed
    client, now = (
        await context.ovh(ovh.endpoint, resource.metadata.namespace, ovh.credentials_secret_ref.name),
        context.now,
    )
    server = replace(await client.server(observed.identity.name), tags=summary.tags)
    return replace(observed, power=await observe_power(client, server, cloud, now))


async def _observe_account(
    resource: BareMetalServer, ovh: OvhServer, context: Context, mark: Mark
) -> ServerObservation:
    """Read the account view, and the order of a server that is not identified yet."""
    namespace, secret = resource.metadata.namespace, ovh.credentials_secret_ref.name
    view = await context.account(ovh.endpoint, namespace, secret, ovh.vrack or "")
    identity, purchase = identify_server(resource, view.servers, mark), None
    if not identity.name and identity.problem is None and ovh.order is not None:
        purchase = await observe_purchase(resource, ovh.order, context)
        identity = Identity(purchase.domain)
    summary = view.servers.get(identity.name)
    return ServerObservation(
        mark,
        identity,
        purchase,
        summary=summary,
        vrack=view.vracks.get(ovh.vrack or ""),
        vrack_facts=VrackFacts(mark, summary.tags if summary else {}, view.vrack_tags),
    )


async def _observe_for_release(
    resource: BareMetalServer, ovh: OvhServer, context: Context, mark: Mark
) -> ServerObservation:
    """Read what a server that is being deleted still carries of this installation.

    With Retain a failure here never blocks the deletion.
    """
    if resource.deletion_policy is DeletionPolicy.RETAIN:
        secret = ovh.credentials_secret_ref.name
        try:
            view = await context.account(ovh.endpoint, resource.metadata.namespace, secret, ovh.vrack or "")
        except (MissingSecret, OutsideError):
            return ServerObservation(mark)
        identity = identify_server(resource, view.servers, mark)
        return ServerObservation(mark, identity, summary=view.servers.get(identity.name))
    observed = await _observe_account(resource, ovh, context, mark)
    if not observed.is_ours:
        return observed
    client = await context.ovh(ovh.endpoint, resource.metadata.namespace, ovh.credentials_secret_ref.name)
    try:
        return replace(observed, renewal=await client.orders.renewal(observed.identity.name))
    except NotFound:
        return observed


def needs_details(resource: BareMetalServer, summary: ServerSummary, vrack: VrackView | None) -> bool:
    """Whether the account view and status leave something open that only a read of the server can tell."""
    ovh = resource.spec.ovh
    if not resource.settled or is_open(summary.tags) or not carried_out(resource, summary.tags):
        return True
    if resource.status.monitoring is False:
        return True  # told as a difference, and no view shows that it is over
    record, request = read_record(summary.tags), resource.spec.reinstall
    if request is not None and record is None:
        return True
    return (ovh is not None and bool(ovh.vrack) and not attached(resource, vrack)) or resource.status.address is None


async def _details(
    client: Ovh, resource: BareMetalServer, name: str, summary: ServerSummary | None
) -> ServerDetails | None:
    """Read one server in detail; None: there is no server of that name."""
    try:
        server = await client.server(name)
    except NotFound:
        return None
    tags = summary.tags if summary else server.tags
    details = ServerDetails(
        server=server, interfaces=await client.interfaces(name), tasks=await client.reinstall_tasks(name)
    )
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


async def _scan_host_key(
    resource: BareMetalServer, observed: ServerObservation, context: Context
) -> HostKeyScan | None:
    """Scan the SSH host key at the server's address, where a key is awaited or pinned."""
    summary, details = observed.summary, observed.details
    tags = summary.tags if summary else {}
    pin, record = read_pin(tags), read_record(tags)
    address = details.server.ip if details else resource.status.address
    if summary is None or pin is None or not address or is_open(tags):
        return None
    asked = resource.metadata.annotations.get(RECONCILE_REQUESTED_AT, "")
    at_rest = resource.settled and not pin.awaited and asked in {"", resource.status.last_handled_reconcile_at}
    host_key_scan, within = HostKeyScan(address), AT_REST if at_rest else 0.0
    if pin.awaited and pin.trust is Trust.PROVEN and record is not None:
        _, private = await _installer_keys(resource, context)
        host_key_scan = replace(
            host_key_scan, proof_key=proof_key(private, summary.urn, record.token) if private else ""
        )
    try:
        greeting = await context.greeting(address, within)
    except Retry as error:
        return replace(host_key_scan, error=str(error))
    return replace(host_key_scan, greeting=greeting) if greeting is not None else None


async def _installer_keys(resource: BareMetalServer, context: Context) -> tuple[str, str]:
    """Return the public and private SSH key of the cloud's installer; empty for a standalone server."""
    owner = endpoint.owner_of(resource)
    cloud = context.get(owner) if owner else None
    if not isinstance(cloud, SovereignCloud) or cloud.spec.hosted is None or not cloud.spec.hosted.open_nebula.install:
        return "", ""
    secret = await context.kubernetes.secret(cloud.metadata.namespace, endpoint.generated_secret(cloud))
    return secret.get("sshPublicKey", ""), secret.get("sshPrivateKey", "")


def _holder(observed: ServerObservation, context: Context) -> str:
    """Return the other object that the server is marked for, if that object exists."""
    found = mark_from_ovh(observed.summary.tags) if observed.summary else None
    if found is None or ownership(found, observed.mark) is not Ownership.SIBLING:
        return ""
    kind, _, rest = found.object.partition("/")
    namespace, _, name = rest.rpartition("/")
    return found.object if context.get(Key(kind, namespace, name)) is not None else ""


async def _users(resource: BareMetalServer, context: Context) -> tuple[str, ...]:
    """List what still uses a server that is being deleted: its cloud, or a host in that cloud.

    Foreground deletion sets the deletionTimestamp of the cloud and its children in the same second. The server then
    waits until only servers refer to the cloud, and the cloud waits until its servers are gone.
    """
    key = endpoint.owner_of(resource)
    cloud = context.get(key) if key else None
    if key is None or not isinstance(cloud, SovereignCloud) or FINALIZER not in cloud.metadata.finalizers:
        return ()
    if cloud.deleting:
        others = tuple(str(user.key) for user in context.users(key) if not isinstance(user, BareMetalServer))
        leaves = resource.deletion_policy is DeletionPolicy.DELETE and needs_its_servers(cloud)
        return others or ((f"{key} removes its hosts and IP blocks first",) if leaves else ())
    hosted = cloud.spec.hosted.ovh if cloud.spec.hosted else None
    if hosted is not None and any(_is_listed(resource, cloud, server, context) for server in hosted.servers):
        return (f"{key} lists it in spec.hosted.ovh.servers",)
    if not cloud.status.endpoint or not resource.status.address:
        return ()
    view = await context.view(key)
    return tuple(
        f"host {host.id} ({host.name}) of {key} runs on it: that cloud drains and deletes it first"
        for host in view.hosts.values()
        if host.name == resource.status.address
    )


def _is_listed(resource: BareMetalServer, cloud: SovereignCloud, server: HostedServer, context: Context) -> bool:
    """Whether an entry of the cloud is this server, under the same or another name."""
    key = endpoint.server_key(cloud, server)
    child = context.get(key)
    name = hosted_service_name(server, child if isinstance(child, BareMetalServer) else None)
    return key == resource.key or bool(name and name == service_name_of(resource))
