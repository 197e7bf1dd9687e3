"""Read everything for a SovereignCloud.

Children, the OVHcloud account, and OpenNebula once it may answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
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
from sovereigncloud.kinds.contract.exit_count import ExitReadiness
from sovereigncloud.kinds.endpoint.certificate_source import Certificate, observe_certificate
from sovereigncloud.kinds.endpoint.deletion import RELEASED, deletes_resources
from sovereigncloud.kinds.endpoint.endpoint import Endpoint, endpoint_of, generated_secret, server_key
from sovereigncloud.kinds.endpoint.federated_login import entered_otherwise
from sovereigncloud.kinds.location.facts import profile_of
from sovereigncloud.kinds.sovereigncloud.compliance import compliant_condition, last_compliant_condition
from sovereigncloud.kinds.sovereigncloud.composition import is_composed, network_key
from sovereigncloud.kinds.sovereigncloud.hosts.draining import HostsToDrain, find_hosts_to_drain
from sovereigncloud.kinds.sovereigncloud.hosts.hosts import host_name
from sovereigncloud.kinds.sovereigncloud.hosts.release import own_hosts
from sovereigncloud.kinds.sovereigncloud.infrastructure.teardown import deletes_parts, without_parts
from sovereigncloud.kinds.sovereigncloud.installation.certificate import renewal_of
from sovereigncloud.kinds.sovereigncloud.installation.plan import InstallationFacts, record_of
from sovereigncloud.kinds.sovereigncloud.installation.request import installation_of
from sovereigncloud.kinds.sovereigncloud.location.observation import observe_locations
from sovereigncloud.kinds.sovereigncloud.location.status import locate
from sovereigncloud.kinds.sovereigncloud.network.plan import ProviderNetwork, observe_provider_network
from sovereigncloud.kinds.sovereigncloud.outage import fenced_for, instances_to_fail_over
from sovereigncloud.kinds.sovereigncloud.stores.observation import ObservedStore, Stores, observe_stores
from sovereigncloud.kinds.sovereigncloud.teardown import RemainingResources
from sovereigncloud.kinds.sovereigncloud.verification.observation import observe_verification, remaining_probes
from sovereigncloud.kinds.sovereigncloud.verification.plan import VerificationObservation
from sovereigncloud.kinds.sovereigncloud.verification.records import Probe
from sovereigncloud.ports.errors import Auth, MissingSecret, Retry
from sovereigncloud.ports.installer.installation import Installation, InstallState
from sovereigncloud.ports.opennebula.views import CloudView, Front, Vm
from sovereigncloud.ports.ovh.account import ServerSummary, VrackView


@dataclass(frozen=True, slots=True)
class CloudObservation:
    """Everything that was read for one cloud.

    Attributes:
        servers, networks: the children that spec lists, by name in spec.
        dropped: children that spec no longer lists.
        summaries: the servers in the account's view, by name in spec.
        provider_network: network resources at the provider; None: not read.
        credentials: whether the generated Secret exists.
        insecure: why the endpoint is not contacted.
        draining: hosts whose servers spec no longer lists.
        node_addresses: host names of the servers with the role Node, by name in spec.
        error, after: why nothing answered, and after how many seconds to retry.
        lost: since when the cloud is unreachable; empty: it is not, or only for a few reads.
        waiting: instances in an unreachable cloud that could fail over.
        fence: the outage (its start) for which the servers are to be switched off.
        account: whether the provider could be read.
        verification: input of a verification; None: not read.
        stores: marketplaces and datastores, and the Secrets that they read.
        probes: test VMs of a verification in a cloud that is being deleted; not counted in `remains`.
        locations: locations of its parts; None: not read.
        federation_secret: the Secret of the federation's master, if the operator logs in with it.
        compliant: the condition Compliant; None: no policy binds the cloud.
        exit: how many of its instances could leave; None: not read.
    """

    mark: Mark
    servers: Mapping[str, BareMetalServer] = field(default_factory=dict)
    networks: Mapping[str, VirtualNetwork] = field(default_factory=dict)
    dropped: tuple[AnyResource, ...] = ()
    summaries: Mapping[str, ServerSummary] = field(default_factory=dict)
    vrack: VrackView | None = None
    provider_network: ProviderNetwork | None = None
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
    remains: RemainingResources = field(default_factory=RemainingResources)
    node_addresses: Mapping[str, str] = field(default_factory=dict)
    admitted: bool = True
    draining: HostsToDrain = field(default_factory=HostsToDrain)
    verification: VerificationObservation | None = None
    probes: tuple[Probe, ...] = ()
    certificate: Certificate = field(default_factory=Certificate)
    federation_secret: str = ""
    renewal: Installation | None = None
    renewing: InstallState | None = None
    stores: Stores = field(default_factory=Stores)
    locations: list[LocationStatus] | None = None
    compliant: Mapping[str, str] | None = None
    exit: ExitReadiness | None = None

    @property
    def known(self) -> InstallationFacts:
        machines = None if self.view is None else len(self.view.vms)
        return InstallationFacts(
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
            # Ready stays as it was, as for any API error: whether the cloud works is unknown.
            told = f"unreachable since {self.lost}: {told}"
            return retry(told, after=self.after, reason=Reason.CLOUD_UNREACHABLE)
        return retry(told, after=self.after)


CountExit = Callable[
    [SovereignCloud, CloudView | None, Iterable[ObservedStore], Context], Awaitable[ExitReadiness | None]
]
"""Counts the instances that could leave a cloud now. `exit_readiness` implements it, which is above this package."""


async def observe_cloud(
    cloud: SovereignCloud, context: Context, count_exit: CountExit | None = None
) -> CloudObservation:
    """Read the state of a cloud; writes nothing."""
    observed = _with_children(cloud, context, CloudObservation(context.mark(cloud), admitted=context.admitted))
    if cloud.deleting:
        observed = replace(await _with_remaining(cloud, context, observed), compliant=last_compliant_condition(cloud))
        probes = await remaining_probes(cloud, observed.mark, context, asked=observed.remains.machines is not None)
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
            observed = await _with_account(cloud, context, observed)
        except Retry as error:
            return _with_silent_provider(cloud, context, observed, error)
        observed = await _with_installation(cloud, context, observed)
    if _may_answer(cloud, observed):
        observed = await _with_opennebula(cloud, context, observed)
    if cloud.spec.hosted is not None:
        observed = _with_hosts(cloud, context, observed)
    return await _with_locations(cloud, context, observed, count_exit)


async def _with_locations(
    cloud: SovereignCloud, context: Context, observed: CloudObservation, count_exit: CountExit | None
) -> CloudObservation:
    """Add locations, compliance and exit readiness.

    They are as last seen while OpenNebula does not answer.
    """
    view, profile = observed.view, profile_of(cloud, context)
    if view is not None:
        kept, hosts = observed.stores.there, observed.node_addresses
        seen = await observe_locations(cloud, context, view, observed.servers, hosts, kept)
        found = locate(cloud, seen, profile, context.now)
        observed = replace(observed, locations=found)
        cloud = cloud.model_copy(update={"status": cloud.status.model_copy(update={"locations": found})})
    policies = context.policies(cloud.metadata.namespace, cloud.key)
    observed = replace(observed, compliant=compliant_condition(cloud, policies, profile, answers=view is not None))
    if count_exit is None:
        return observed
    return replace(observed, exit=await count_exit(cloud, view, observed.stores.there, context))


def _with_hosts(cloud: SovereignCloud, context: Context, observed: CloudObservation) -> CloudObservation:
    """Add the host names of the servers, and the hosts to drain."""
    if observed.view is not None and cloud.spec.hosted is not None and cloud.spec.hosted.open_nebula.adopt is not None:
        names = {n: host_name(observed.view, observed.servers[n], adopted=True) for n in observed.node_addresses}
        observed = replace(observed, node_addresses=names)
    return replace(observed, draining=_hosts_to_drain(cloud, context, observed))


def _hosts_to_drain(cloud: SovereignCloud, context: Context, observed: CloudObservation) -> HostsToDrain:
    """Find the hosts to drain, and the VMs on them that may be interrupted."""
    draining = find_hosts_to_drain(cloud, observed.servers, observed.dropped, observed.view, observed.mark)
    names = {drained.host.name for drained in draining.hosts}
    vms = observed.view.vms.values() if observed.view and names else ()
    return replace(
        draining, interruptible=frozenset(vm.id for vm in vms if vm.host in names and _interruptible(vm, context))
    )


def _interruptible(vm: Vm, context: Context) -> bool:
    kind, _, rest = (vm.mark.object if vm.mark else "").partition("/")
    namespace, _, name = rest.partition("/")
    instance = context.get(Key(kind, namespace, name)) if kind == HostedInstance.crd.kind else None
    policy = instance.spec.update_policy if isinstance(instance, HostedInstance) else None
    return policy is not None and policy.power_cycle is Consent.ALLOW


def _with_children(cloud: SovereignCloud, context: Context, observed: CloudObservation) -> CloudObservation:
    """Add the child objects: those that spec lists, and others that the cloud composed before."""
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


async def _with_account(cloud: SovereignCloud, context: Context, observed: CloudObservation) -> CloudObservation:
    """Add what the OVHcloud account shows: server tags, vRack, network resources."""
    ovh = cloud.spec.hosted.ovh if cloud.spec.hosted else None
    if ovh is None:
        return observed
    namespace, secret = cloud.metadata.namespace, ovh.credentials_secret_ref.name
    account = await context.account(ovh.endpoint, namespace, secret, ovh.vrack)
    vrack = account.vracks.get(ovh.vrack)
    names = {s.name: hosted_service_name(s, observed.servers.get(s.name)) for s in ovh.servers}
    summaries = {name: account.servers[service] for name, service in names.items() if service in account.servers}
    provider_network = await observe_provider_network(cloud, context, account, observed.servers)
    return replace(observed, vrack=vrack, summaries=summaries, provider_network=provider_network)


async def _with_installation(cloud: SovereignCloud, context: Context, observed: CloudObservation) -> CloudObservation:
    """Add certificate renewal, and the installer Job and generated Secret while not settled."""
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
    """Tell whether the Secret of OpenNebula's administrator exists.

    Generated, or that of an adopted cloud.
    """
    adopt = cloud.spec.hosted.open_nebula.adopt if cloud.spec.hosted else None
    name = adopt.credentials_secret_ref.name if adopt else generated_secret(cloud)
    try:
        await context.kubernetes.secret(cloud.metadata.namespace, name)
    except MissingSecret:
        return False
    return True


def _may_answer(cloud: SovereignCloud, observed: CloudObservation) -> bool:
    """Tell whether OpenNebula may be contacted.

    Not before or during an installation, not over insecure HTTP.
    """
    if observed.endpoint is None or observed.insecure is not None or not observed.credentials:
        return False
    if observed.certificate.problem is not None:
        return False
    if cloud.spec.hosted is None or cloud.spec.hosted.open_nebula.install is None or cloud.status.endpoint:
        return True
    begun = record_of(cloud, observed.summaries) is not None
    return begun and (observed.job is None or observed.job.state != "Running")


async def _with_opennebula(cloud: SovereignCloud, context: Context, observed: CloudObservation) -> CloudObservation:
    generated = cloud.spec.hosted is not None and cloud.spec.hosted.open_nebula.install is not None
    try:
        client = await context.open_nebula(cloud.key)
        try:
            observed = replace(observed, front=await client.front())
        except Auth:
            found = await entered_otherwise(cloud, context)
            if found is None:
                raise
            # Status records the Secret first: the rest of the cloud is read with it.
            endpoint = observed.endpoint
            return replace(
                observed,
                front=found.front,
                endpoint=replace(endpoint, secret=found.secret) if endpoint else None,
                federation_secret=found.federation,
            )
        if not cloud.status.endpoint:
            # First answer: the endpoint is published before the content is read, since dependents wait for it.
            return observed
        view, front = await context.view(cloud.key), observed.front
        stores = await observe_stores(cloud, view, client, observed.mark, context)
        observed = replace(observed, view=view, stores=stores)
        if front is None:
            return observed
        seen = await observe_verification(
            cloud, VerificationObservation(context.now, observed.mark, front, view), observed.servers, context
        )
        return replace(observed, verification=seen)
    except Retry as error:
        return _with_outage(cloud, context, replace(observed, front=None, error=str(error), after=error.after))
    except MissingSecret:
        if not generated:
            raise
        return replace(observed, credentials=False)


def _unreachable_since(cloud: SovereignCloud, context: Context) -> str:
    """Return since when the cloud is unreachable; empty: it is not, or it never answered.

    Taken from status, else from the first of several failed reads in a row.
    """
    if cloud.status.lost_since:
        return cloud.status.lost_since
    since = context.silent_since(cloud.key) if cloud.status.endpoint else None
    return timestamp(since) if since is not None else ""


def _with_outage(cloud: SovereignCloud, context: Context, observed: CloudObservation) -> CloudObservation:
    """Add the outage, the instances that could fail over, and whether to fence the servers."""
    if not (lost := _unreachable_since(cloud, context)):
        return observed
    waiting = instances_to_fail_over(cloud, lost, context)
    return replace(observed, lost=lost, waiting=waiting, fence=fenced_for(cloud, lost, waiting, context.now))


def _with_silent_provider(
    cloud: SovereignCloud, context: Context, observed: CloudObservation, error: Retry
) -> CloudObservation:
    """Report an outage of the cloud although its provider does not answer either.

    Raises Retry if the cloud is not known to be unreachable: then nothing can be planned without the provider.
    """
    if context.silent_since(cloud.key) is None or not _unreachable_since(cloud, context):
        raise error
    told = f"its provider does not answer either: {error}"
    return _with_outage(cloud, context, replace(observed, account=False, error=told, after=error.after))


def _insecure(endpoint: Endpoint | None, context: Context) -> Outcome | None:
    if endpoint is None or not endpoint.insecure(context.allows_plain_http):
        return None
    return stalled(
        Reason.INSECURE_ENDPOINT,
        f"{endpoint.url} would carry the administrator's password in clear over a public network; use https, or allow"
        f" plain http to {endpoint.host} by name in the operator's settings",
    )


async def _with_remaining(cloud: SovereignCloud, context: Context, observed: CloudObservation) -> CloudObservation:
    """Read what remains of a cloud that is being deleted. With Retain nothing outside is read."""
    users = [u for u in context.users(cloud.key) if not is_composed(cloud, u)]
    composed = (*observed.servers.values(), *observed.networks.values(), *observed.dropped)
    remains = RemainingResources(
        users=tuple(str(u.key) for u in users), composed=tuple(c for c in composed if is_composed(cloud, c))
    )
    if deletes_resources(cloud) and not users:
        remains = replace(remains, credentials=await _has_credentials(cloud, context))
        if RELEASED not in cloud.external:
            remains = await _remaining_resources(cloud, context, remains, observed)
    if deletes_parts(cloud) and not users:
        observed = await _with_remaining_parts(cloud, context, observed)
    return replace(observed, remains=remains)


async def _with_remaining_parts(
    cloud: SovereignCloud, context: Context, observed: CloudObservation
) -> CloudObservation:
    """Add the parts that the operator created in an existing OpenNebula."""
    try:
        view, client = await context.view(cloud.key), await context.open_nebula(cloud.key)
        stores = await observe_stores(without_parts(cloud), view, client, observed.mark, context)
    except (Retry, MissingSecret) as error:
        return replace(observed, error=str(error))
    return replace(observed, view=view, stores=stores)


async def _remaining_resources(
    cloud: SovereignCloud, context: Context, remains: RemainingResources, observed: CloudObservation
) -> RemainingResources:
    """Add VMs, hosts, IP blocks and names of a cloud that releases them."""
    if cloud.status.endpoint and not remains.credentials:
        return replace(remains, error="the Secret of its administrator is not there, restore it")
    if cloud.status.endpoint:
        try:
            view = await context.view(cloud.key)
        except (Retry, MissingSecret) as error:
            return replace(remains, error=str(error))
        remains = replace(
            remains, machines=tuple(view.vms.values()), hosts=own_hosts(view.hosts.values(), observed.mark)
        )
    ovh = cloud.spec.hosted.ovh if cloud.spec.hosted else None
    if ovh is None or remains.machines or remains.hosts:
        return remains
    account = await context.account(ovh.endpoint, cloud.metadata.namespace, ovh.credentials_secret_ref.name, ovh.vrack)
    return replace(remains, provider_network=await observe_provider_network(cloud, context, account, observed.servers))
