"""What is read for a SovereignCloud: the store, the account's view, and OpenNebula once something may answer there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from sovereigncloud.api import BareMetalServer, SovereignCloud, VirtualNetwork
from sovereigncloud.api.common.base import Consent, Key
from sovereigncloud.api.common.locations import LocationStatus
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.hosted import Role
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.core.conditions import timestamp
from sovereigncloud.core.identity import Mark
from sovereigncloud.core.outcome import DONE, Outcome, retry, stalled
from sovereigncloud.kinds.baremetalserver.identity import hosted_service_name
from sovereigncloud.kinds.contract.controller import AnyResource, Context
from sovereigncloud.kinds.endpoint.certificate_source import Certificate, observe_certificate
from sovereigncloud.kinds.endpoint.endpoint import Endpoint, endpoint_of, generated_secret, server_key
from sovereigncloud.kinds.endpoint.federated_login import entered_otherwise
from sovereigncloud.kinds.exit_readiness.cloud_column import Exit, way_out
from sovereigncloud.kinds.sovereigncloud.compliance import judged, judged_before
from sovereigncloud.kinds.sovereigncloud.composition import is_composed, network_key
from sovereigncloud.kinds.sovereigncloud.hosts.draining import Going, find_leavers
from sovereigncloud.kinds.sovereigncloud.hosts.hosts import host_name
from sovereigncloud.kinds.sovereigncloud.hosts.release import LET_GO, gives_back, ours
from sovereigncloud.kinds.sovereigncloud.infrastructure.teardown import ends_parts, without_parts
from sovereigncloud.kinds.sovereigncloud.installation.certificate import renewal_of
from sovereigncloud.kinds.sovereigncloud.installation.plan import Known, record_of
from sovereigncloud.kinds.sovereigncloud.installation.request import installation_of
from sovereigncloud.kinds.sovereigncloud.location.observation import observe_sighting, profile_of
from sovereigncloud.kinds.sovereigncloud.location.status import located
from sovereigncloud.kinds.sovereigncloud.network.plan import Outside, observe_outside
from sovereigncloud.kinds.sovereigncloud.outage import fenced_for, who_waits
from sovereigncloud.kinds.sovereigncloud.stores.observation import Stores, observe_stores
from sovereigncloud.kinds.sovereigncloud.teardown import Remains
from sovereigncloud.kinds.sovereigncloud.verification.observation import last_probes, observe_verification
from sovereigncloud.kinds.sovereigncloud.verification.plan import Seen
from sovereigncloud.kinds.sovereigncloud.verification.records import Probe
from sovereigncloud.ports.errors import Auth, MissingSecret, Retry
from sovereigncloud.ports.installer.installation import Installation, InstallState
from sovereigncloud.ports.opennebula.views import CloudView, Front, Vm
from sovereigncloud.ports.ovh.account import ServerSummary, VrackView


@dataclass(frozen=True, slots=True)
class Observed:
    """What was read for one cloud.

    Attributes:
        servers, networks: the children that spec lists, by their names there.
        dropped: children that spec no longer lists.
        summaries: the servers in the account's view, by their names in spec.
        outside: what the cloud has at its provider beside servers; None: not looked at.
        credentials: whether the generated Secret is there.
        insecure: why the endpoint is not even asked.
        going: hosts whose servers spec no longer lists.
        node_addresses: of the servers with the role Node, by their names in spec: under which name each is a host.
        error: why nothing answered, and after how many seconds to ask again.
        lost: since when it does not answer, once that is no blip any more.
        waiting: machines in a lost cloud that could start elsewhere.
        fence: the outage for which its servers are to be switched off.
        account: whether its provider could be asked.
        verification: what a verification needs to know.
        stores: marketplaces and datastores, and the Secrets that they read.
        probes: machines of a verification in a cloud that is being deleted; `remains` does not count them.
        locations: where its parts are; None: nobody could look.
        federation_secret: the Secret of the federation's master, where that is what lets us in.
        compliant: what its policies say of that; None: none binds it.
        exit: how many of its machines could leave it; None: nobody could look.
    """

    mark: Mark
    servers: Mapping[str, BareMetalServer] = field(default_factory=dict)
    networks: Mapping[str, VirtualNetwork] = field(default_factory=dict)
    dropped: tuple[AnyResource, ...] = ()
    summaries: Mapping[str, ServerSummary] = field(default_factory=dict)
    vrack: VrackView | None = None
    outside: Outside | None = None
    endpoint: Endpoint | None = None
    credentials: bool = True
    insecure: Outcome | None = None
    job: InstallState | None = None
    front: Front | None = None
    view: CloudView | None = None
    error: str = ""
    after: float | None = None
    lost: str = ""
    waiting: tuple[HostedInstance, ...] = ()
    fence: str = ""
    account: bool = True
    remains: Remains = field(default_factory=Remains)
    node_addresses: Mapping[str, str] = field(default_factory=dict)
    admitted: bool = True
    going: Going = field(default_factory=Going)
    verification: Seen | None = None
    probes: tuple[Probe, ...] = ()
    certificate: Certificate = field(default_factory=Certificate)
    federation_secret: str = ""
    renewal: Installation | None = None
    renewing: InstallState | None = None
    stores: Stores = field(default_factory=Stores)
    locations: list[LocationStatus] | None = None
    compliant: Mapping[str, str] | None = None
    exit: Exit | None = None

    @property
    def known(self) -> Known:
        machines = None if self.view is None else len(self.view.vms)
        return Known(
            self.summaries,
            self.job,
            self.front is not None,
            self.error,
            self.credentials,
            machines,
            self.certificate.digest,
            self.unreachable if self.front is None else DONE,
        )

    @property
    def unreachable(self) -> Outcome:
        where = self.endpoint.url if self.endpoint else "the front-end"
        told = self.error or f"{where} does not answer"
        if self.lost:
            # Ready stays as it was, as with any API that fails: nobody knows that the cloud does not do its job.
            told = f"nothing answers since {self.lost}: {told}"
            return retry(told, after=self.after, reason=Reason.CLOUD_UNREACHABLE)
        return retry(told, after=self.after)


async def observe_cloud(cloud: SovereignCloud, context: Context) -> Observed:
    """Reads only."""
    observed = _children(cloud, context, Observed(context.mark(cloud), admitted=context.admitted))
    if cloud.deleting:
        observed = replace(await _last_look(cloud, context, observed), compliant=judged_before(cloud))
        probes = await last_probes(cloud, observed.mark, context, asked=observed.remains.machines is not None)
        return replace(observed, remains=observed.remains.without(p.vm.id for p in probes), probes=probes)
    endpoint = endpoint_of(cloud, context.get)
    observed = replace(
        observed,
        endpoint=endpoint,
        insecure=_insecure(endpoint, context),
        federation_secret=cloud.status.federation_secret or "",
    )
    if cloud.spec.hosted is not None:
        try:
            observed = await _account(cloud, context, observed)
        except Retry as error:
            return _with_its_provider(cloud, context, observed, error)
        observed = await _installation(cloud, context, observed)
    if _may_answer(cloud, observed):
        observed = await _ask(cloud, context, observed)
    if cloud.spec.hosted is not None:
        observed = _among_hosts(cloud, context, observed)
    return await _located(cloud, context, observed)


async def _located(cloud: SovereignCloud, context: Context, observed: Observed) -> Observed:
    """Where its parts are, and whether policies let them be there; as last seen while nothing answers."""
    view, profile = observed.view, profile_of(cloud, context)
    if view is not None:
        kept, hosts = observed.stores.there, observed.node_addresses
        seen = await observe_sighting(cloud, context, view, observed.servers, hosts, kept)
        found = located(cloud, seen, profile, context.now)
        observed = replace(observed, locations=found)
        cloud = cloud.model_copy(update={"status": cloud.status.model_copy(update={"locations": found})})
    policies = context.policies(cloud.metadata.namespace, cloud.key)
    observed = replace(observed, compliant=judged(cloud, policies, profile, answers=view is not None))
    return replace(observed, exit=await way_out(cloud, view, observed.stores.there, context))


def _among_hosts(cloud: SovereignCloud, context: Context, observed: Observed) -> Observed:
    """Which hosts the servers are, and which hosts go."""
    if observed.view is not None and cloud.spec.hosted is not None and cloud.spec.hosted.open_nebula.adopt is not None:
        names = {n: host_name(observed.view, observed.servers[n], adopted=True) for n in observed.node_addresses}
        observed = replace(observed, node_addresses=names)
    return replace(observed, going=_going(cloud, context, observed))


def _going(cloud: SovereignCloud, context: Context, observed: Observed) -> Going:
    """Who goes, and which machines on their hosts may be interrupted, as their objects say."""
    going = find_leavers(cloud, observed.servers, observed.dropped, observed.view, observed.mark)
    names = {leaver.host.name for leaver in going.leavers}
    vms = observed.view.vms.values() if observed.view and names else ()
    return replace(
        going, interruptible=frozenset(vm.id for vm in vms if vm.host in names and _interruptible(vm, context))
    )


def _interruptible(vm: Vm, context: Context) -> bool:
    kind, _, rest = (vm.mark.object if vm.mark else "").partition("/")
    namespace, _, name = rest.partition("/")
    instance = context.get(Key(kind, namespace, name)) if kind == HostedInstance.crd.kind else None
    policy = instance.spec.update_policy if isinstance(instance, HostedInstance) else None
    return policy is not None and policy.power_cycle is Consent.ALLOW


def _children(cloud: SovereignCloud, context: Context, observed: Observed) -> Observed:
    """The children from the store: those that spec lists by name, the others since they refer to the cloud."""
    servers: dict[str, BareMetalServer] = {}
    networks: dict[str, VirtualNetwork] = {}
    hosted = cloud.spec.hosted
    for server in hosted.ovh.servers if hosted and hosted.ovh else ():
        child = context.get(server_key(cloud, server))
        if isinstance(child, BareMetalServer):
            servers[server.name] = child
    for network in (hosted.networks if hosted else None) or ():
        child = context.get(network_key(cloud, network))
        if isinstance(child, VirtualNetwork):
            networks[network.name] = child
    listed = {c.key for c in (*servers.values(), *networks.values())}
    composed = context.users(cloud.key, BareMetalServer.crd.kind, VirtualNetwork.crd.kind)
    dropped = tuple(u for u in composed if is_composed(cloud, u) and u.key not in listed)
    nodes = {s.name for s in (hosted.ovh.servers if hosted and hosted.ovh else ()) if Role.NODE in s.roles}
    addresses = {n: c.status.address for n, c in servers.items() if n in nodes and c.status.address}
    return replace(observed, servers=servers, networks=networks, dropped=dropped, node_addresses=addresses)


async def _account(cloud: SovereignCloud, context: Context, observed: Observed) -> Observed:
    """Tags of the servers, the vRack, and what else the cloud has there."""
    ovh = cloud.spec.hosted.ovh if cloud.spec.hosted else None
    if ovh is None:
        return observed
    namespace, secret = cloud.metadata.namespace, ovh.credentials_secret_ref.name
    account = await context.account(ovh.endpoint, namespace, secret, ovh.vrack)
    vrack = account.vracks.get(ovh.vrack)
    names = {s.name: hosted_service_name(s, observed.servers.get(s.name)) for s in ovh.servers}
    summaries = {name: account.servers[service] for name, service in names.items() if service in account.servers}
    outside = await observe_outside(cloud, context, account, observed.servers)
    return replace(observed, vrack=vrack, summaries=summaries, outside=outside)


async def _installation(cloud: SovereignCloud, context: Context, observed: Observed) -> Observed:
    """The generated Secret and the Job, while the cloud is not settled: at rest the front-end's answer is enough."""
    observed = replace(observed, certificate=await observe_certificate(cloud, context))
    renewal = renewal_of(cloud, observed.servers, observed.summaries, observed.certificate)
    if renewal is not None:
        observed = replace(observed, renewal=renewal, renewing=await context.installer.state(renewal))
    wanted = installation_of(cloud, observed.servers)
    if wanted is None or cloud.settled:
        return observed
    job = await context.installer.state(wanted)
    return replace(observed, credentials=await _has_credentials(cloud, context), job=job)


async def _has_credentials(cloud: SovereignCloud, context: Context) -> bool:
    """Whether the Secret of OpenNebula's administrator is there: generated, or given where the cloud was adopted."""
    adopt = cloud.spec.hosted.open_nebula.adopt if cloud.spec.hosted else None
    name = adopt.credentials_secret_ref.name if adopt else generated_secret(cloud)
    try:
        await context.kubernetes.secret(cloud.metadata.namespace, name)
    except MissingSecret:
        return False
    return True


def _may_answer(cloud: SovereignCloud, observed: Observed) -> bool:
    """Whether there is somebody to ask: not before an installation, not while it runs, never in clear in public."""
    if observed.endpoint is None or observed.insecure is not None or not observed.credentials:
        return False
    if observed.certificate.problem is not None:
        return False
    if cloud.spec.hosted is None or cloud.spec.hosted.open_nebula.install is None or cloud.status.endpoint:
        return True
    begun = record_of(cloud, observed.summaries) is not None
    return begun and (observed.job is None or observed.job.state != "Running")


async def _ask(cloud: SovereignCloud, context: Context, observed: Observed) -> Observed:
    generated = cloud.spec.hosted is not None and cloud.spec.hosted.open_nebula.install is not None
    try:
        client = await context.open_nebula(cloud.key)
        try:
            observed = replace(observed, front=await client.front())
        except Auth:
            found = await entered_otherwise(cloud, context)
            if found is None:
                raise
            # It is written first, since whatever is in the cloud is read with it.
            endpoint = observed.endpoint
            return replace(
                observed,
                front=found.front,
                endpoint=replace(endpoint, secret=found.secret) if endpoint else None,
                federation_secret=found.federation,
            )
        if not cloud.status.endpoint:
            # Its first answer: it is told before anything in it is read, since all that lives there waits for it.
            return observed
        view, front = await context.view(cloud.key), observed.front
        stores = await observe_stores(cloud, view, client, observed.mark, context)
        observed = replace(observed, view=view, stores=stores)
        if front is None:
            return observed
        seen = await observe_verification(
            cloud, Seen(context.now, observed.mark, front, view), observed.servers, context
        )
        return replace(observed, verification=seen)
    except Retry as error:
        return _while_lost(cloud, context, replace(observed, front=None, error=str(error), after=error.after))
    except MissingSecret:
        if not generated:
            raise
        return replace(observed, credentials=False)


def _lost(cloud: SovereignCloud, context: Context) -> str:
    """Since when it does not answer, if it ever did: as it was written down once, else once several reads in a row failed."""
    if cloud.status.lost_since:
        return cloud.status.lost_since
    since = context.silent_since(cloud.key) if cloud.status.endpoint else None
    return timestamp(since) if since is not None else ""


def _while_lost(cloud: SovereignCloud, context: Context, observed: Observed) -> Observed:
    """Who waits, and what is to be done for them."""
    if not (lost := _lost(cloud, context)):
        return observed
    waiting = who_waits(cloud, lost, context)
    return replace(observed, lost=lost, waiting=waiting, fence=fenced_for(cloud, lost, waiting, context.now))


def _with_its_provider(cloud: SovereignCloud, context: Context, observed: Observed, error: Retry) -> Observed:
    """Its provider does not answer. That holds up what would be done about a cloud that answers, and not the news that this one
    does not. Raises Retry.
    """
    if context.silent_since(cloud.key) is None or not _lost(cloud, context):
        raise error
    told = f"nor does its provider: {error}"
    return _while_lost(cloud, context, replace(observed, account=False, error=told, after=error.after))


def _insecure(endpoint: Endpoint | None, context: Context) -> Outcome | None:
    if endpoint is None or not endpoint.insecure(context.allows_plain_http):
        return None
    return stalled(
        Reason.INSECURE_ENDPOINT,
        f"{endpoint.url} would carry the administrator's password in clear over a public network; use https, or allow"
        f" plain http to {endpoint.host} by name in the operator's settings",
    )


async def _last_look(cloud: SovereignCloud, context: Context, observed: Observed) -> Observed:
    """What is still there of a cloud that is being deleted. With Retain nothing outside is asked."""
    users = [u for u in context.users(cloud.key) if not is_composed(cloud, u)]
    composed = (*observed.servers.values(), *observed.networks.values(), *observed.dropped)
    remains = Remains(
        users=tuple(str(u.key) for u in users), composed=tuple(c for c in composed if is_composed(cloud, c))
    )
    if gives_back(cloud) and not users:
        remains = replace(remains, credentials=await _has_credentials(cloud, context))
        if LET_GO not in cloud.external:
            remains = await _what_stands(cloud, context, remains, observed)
    if ends_parts(cloud) and not users:
        observed = await _parts_left(cloud, context, observed)
    return replace(observed, remains=remains)


async def _parts_left(cloud: SovereignCloud, context: Context, observed: Observed) -> Observed:
    """What the operator made in an OpenNebula that stays."""
    try:
        view, client = await context.view(cloud.key), await context.open_nebula(cloud.key)
        stores = await observe_stores(without_parts(cloud), view, client, observed.mark, context)
    except (Retry, MissingSecret) as error:
        return replace(observed, error=str(error))
    return replace(observed, view=view, stores=stores)


async def _what_stands(cloud: SovereignCloud, context: Context, remains: Remains, observed: Observed) -> Remains:
    """Machines, hosts, blocks and names of a cloud that gives them back."""
    if cloud.status.endpoint and not remains.credentials:
        return replace(remains, error="the Secret of its administrator is not there, restore it")
    if cloud.status.endpoint:
        try:
            view = await context.view(cloud.key)
        except (Retry, MissingSecret) as error:
            return replace(remains, error=str(error))
        remains = replace(remains, machines=tuple(view.vms.values()), hosts=ours(view.hosts.values(), observed.mark))
    ovh = cloud.spec.hosted.ovh if cloud.spec.hosted else None
    if ovh is None or remains.machines or remains.hosts:
        return remains
    account = await context.account(ovh.endpoint, cloud.metadata.namespace, ovh.credentials_secret_ref.name, ovh.vrack)
    return replace(remains, outside=await observe_outside(cloud, context, account, observed.servers))
