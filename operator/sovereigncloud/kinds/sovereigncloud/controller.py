"""Controller of SovereignCloud.

Compose servers and networks, route IP blocks, install OpenNebula, manage hosts.

Everything in the cloud waits for `status.endpoint`, which is set after the front-end first answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sovereigncloud.api import BareMetalServer, SovereignCloud
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.core.outcome import DONE, Outcome, Phase, done, stalled, waiting
from sovereigncloud.core.plan import Plan, Step
from sovereigncloud.kinds.baremetalserver.installation_tag import INSTALLED_TAG
from sovereigncloud.kinds.contract.controller import Context, SecretUse, Uses
from sovereigncloud.kinds.endpoint.access import INVENTORY_FACT, access_secrets
from sovereigncloud.kinds.endpoint.endpoint import generated_secret
from sovereigncloud.kinds.location.facts import profile_key
from sovereigncloud.kinds.planning.composition import join
from sovereigncloud.kinds.sovereigncloud.adoption import plan_adoption
from sovereigncloud.kinds.sovereigncloud.composition import (
    CLOUD_LABEL,
    GENERATED_LABEL,
    ApplyChild,
    DeleteChild,
    plan_children,
)
from sovereigncloud.kinds.sovereigncloud.hosts import hosts
from sovereigncloud.kinds.sovereigncloud.hosts.draining import (
    DeleteHost,
    DeleteLostVm,
    DisableHost,
    MigrateVm,
    plan_draining,
)
from sovereigncloud.kinds.sovereigncloud.hosts.steps import perform_draining
from sovereigncloud.kinds.sovereigncloud.infrastructure import sites
from sovereigncloud.kinds.sovereigncloud.infrastructure.plan import plan_parts
from sovereigncloud.kinds.sovereigncloud.infrastructure.steps import PartStep, perform_part
from sovereigncloud.kinds.sovereigncloud.infrastructure.teardown import plan_parts_teardown
from sovereigncloud.kinds.sovereigncloud.installation.certificate import (
    InstallCertificate,
    RecordCertificate,
    certificate_recorded,
    plan_certificate,
    renewal_started,
)
from sovereigncloud.kinds.sovereigncloud.installation.plan import (
    InstallOpenNebula,
    RecordInstallation,
    is_run_due,
    plan_installation,
    uncovered_servers,
    unlisted_servers,
)
from sovereigncloud.kinds.sovereigncloud.installation.records import CERTIFICATE_TAG, RERUNS_TAG, Record, record_of
from sovereigncloud.kinds.sovereigncloud.network.plan import (
    NetworkStep,
    perform_network,
    plan_provider_network,
    with_reverse_dns,
)
from sovereigncloud.kinds.sovereigncloud.observation import CloudObservation, CountExit, observe_cloud
from sovereigncloud.kinds.sovereigncloud.outage import next_overdue
from sovereigncloud.kinds.sovereigncloud.prerequisites import (
    GenerateCredentials,
    plan_credentials,
    plan_version,
    waiting_for_networks,
    waiting_for_servers,
)
from sovereigncloud.kinds.sovereigncloud.status import cloud_status
from sovereigncloud.kinds.sovereigncloud.stores.plan import plan_stores
from sovereigncloud.kinds.sovereigncloud.stores.steps import StoreStep, perform_store
from sovereigncloud.kinds.sovereigncloud.stores.template import secret_ref
from sovereigncloud.kinds.sovereigncloud.teardown import DELETED_FACT, DeleteCredentials, plan_teardown
from sovereigncloud.kinds.sovereigncloud.verification.plan import plan_probe_cleanup, with_verification
from sovereigncloud.kinds.sovereigncloud.verification.steps import (
    EndProbe,
    StartProbe,
    StartValidation,
    WriteRecord,
    perform_verification,
)
from sovereigncloud.ports.ovh.account import Ovh

_ADMINISTRATOR = "oneadmin"


class SovereignCloudController:
    """Reconcile SovereignClouds."""

    resource = SovereignCloud

    def __init__(self, count_exit: CountExit | None = None) -> None:
        """Take the function that counts the instances that could leave a cloud. None: the column EXIT stays empty."""
        self._count_exit = count_exit

    def uses(self, resource: SovereignCloud) -> Uses:
        names: list[str] = []
        existing, hosted = resource.spec.existing, resource.spec.hosted
        if existing is not None:
            names.append(existing.credentials_secret_ref.name)
            names += [existing.ca_secret_ref.name] if existing.ca_secret_ref else []
            names += [existing.ssh.private_key_secret_ref.name] if existing.ssh else []
        if hosted is not None:
            names += [hosted.ovh.credentials_secret_ref.name] if hosted.ovh else []
            adopt = hosted.open_nebula.adopt
            names.append(adopt.credentials_secret_ref.name if adopt else generated_secret(resource))
            names += access_secrets(resource)
        names += [resource.status.federation_secret] if resource.status.federation_secret else []
        names += [reads[0] for store in resource.spec.stores or () if (reads := secret_ref(store))]
        profile = profile_key(resource)
        return Uses(
            objects=(profile,) if profile is not None else (),
            secrets=tuple(SecretUse(n) for n in dict.fromkeys(names)),
        )

    async def observe(self, resource: SovereignCloud, context: Context) -> CloudObservation:
        return await observe_cloud(resource, context, self._count_exit)

    def plan(self, resource: SovereignCloud, observed: CloudObservation, now: datetime) -> Plan:
        if resource.deleting:
            return plan_probe_cleanup(observed.probes, now) or _teardown(resource, observed, now)
        declared = self._declared(resource, observed, now)
        if observed.waiting:
            declared = join((declared, Plan(outcome=next_overdue(observed.lost, observed.waiting, now))))
        return with_verification(resource, observed.verification, declared)

    def _declared(self, resource: SovereignCloud, observed: CloudObservation, now: datetime) -> Plan:
        if not observed.account:
            return Plan(outcome=observed.unreachable)
        if resource.spec.hosted is not None:
            return with_reverse_dns(_hosted(resource, observed, now), resource, observed.provider_network)
        if observed.insecure is not None:
            return Plan(outcome=observed.insecure)
        if observed.front is None:
            return Plan(outcome=observed.unreachable)
        return join(_declared_parts(resource, observed)) if observed.view else _first_answer()

    async def perform(self, step: Step, resource: SovereignCloud, context: Context) -> Outcome:
        if isinstance(step, NetworkStep):
            return await _perform_at_provider(step, resource, context)
        match step:
            case ApplyChild() | DeleteChild() | GenerateCredentials() | DeleteCredentials():
                return await _in_kubernetes(step, resource, context)
            case hosts.CreateHost() | hosts.EnableHost() | hosts.MarkHost():
                return await _host(step, resource, context)
            case DisableHost() | MigrateVm() | DeleteLostVm() | DeleteHost():
                return await perform_draining(step, resource, context)
            case InstallOpenNebula() | RecordInstallation() | RecordCertificate():
                return await _record_at_ovh(step, resource, context)
            case sites.CreateCluster() | sites.JoinCluster():
                return await sites.perform_site(step, await context.open_nebula(resource.key))
            case InstallCertificate():
                await context.installer.start(step.installation)
                return renewal_started(step)
            case WriteRecord() | StartProbe() | EndProbe() | StartValidation():
                return await perform_verification(step, resource, context)
            case _:
                return await _part(step, resource, context)

    def status(self, resource: SovereignCloud, observed: CloudObservation) -> Mapping[str, object]:
        return cloud_status(resource, observed)


# --- planning --------------------------------------------------------------------------------------------------------


def _teardown(cloud: SovereignCloud, observed: CloudObservation, now: datetime) -> Plan:
    """Plan the deletion: nothing in the cloud is deleted while other objects refer to it."""
    parts = None
    if not observed.remains.users:
        parts = plan_parts_teardown(cloud, observed.view, observed.stores, observed.mark, observed.error)
    return parts or plan_teardown(cloud, observed.remains, now)


def _hosted(cloud: SovereignCloud, observed: CloudObservation, now: datetime) -> Plan:
    """Plan a hosted cloud: children, credentials, provider resources, installation, hosts."""
    if cloud.spec.hosted is None or cloud.spec.hosted.ovh is None:
        return Plan(outcome=stalled(Reason.NO_PROVIDER, "spec.hosted has no provider; set spec.hosted.ovh"))
    droppable = [c for c in observed.dropped if str(c.key) not in observed.draining.held]
    children = plan_children(cloud, observed.servers, observed.networks, droppable)
    if children.outcome.phase is Phase.STALLED:
        return children
    parts = [plan_credentials(cloud, observed), children]
    if observed.provider_network is not None:
        parts.append(plan_provider_network(cloud, observed.provider_network, now))
    if observed.insecure is not None:
        parts += [waiting_for_servers(cloud, observed), Plan(outcome=observed.insecure)]
        return join(parts)
    bootstrap = _bootstrap(cloud, observed, now)
    if _updates_server(children) and any(isinstance(s, InstallOpenNebula) for s in bootstrap.steps):
        # A server whose reinstall is requested in the same change must not be recorded as covered by this run.
        message = "the BareMetalServers are updated before the installer runs"
        bootstrap = Plan(outcome=waiting(Reason.WAITING_FOR_SERVERS, message, after=1.0, available=cloud.settled))
    if observed.front is None:
        return join((*parts, bootstrap))
    if bootstrap.steps or bootstrap.outcome.phase is not Phase.DONE:
        # An installation that waits for a new server (maybe for days) or for consent does not delay existing hosts.
        there = _hosts(cloud, observed, now)
        waits = any(s.needs for s in bootstrap.steps)
        return join((*parts, *there, bootstrap) if waits else (*parts, bootstrap, *there))
    return join((*parts, bootstrap, *_running(cloud, observed, now)))


def _updates_server(children: Plan) -> bool:
    told = (s.manifest for s in children.steps if isinstance(s, ApplyChild))
    return any(manifest["kind"] == BareMetalServer.crd.kind for manifest in told)


def _bootstrap(cloud: SovereignCloud, observed: CloudObservation, now: datetime) -> Plan:
    """Plan what it takes until the front-end answers; empty and done: it does."""
    hosted = cloud.spec.hosted
    if hosted is None or hosted.ovh is None or hosted.open_nebula.install is None:
        return Plan() if observed.front else Plan(outcome=observed.unreachable)
    known = observed.known
    lost = not observed.credentials and record_of(cloud, known.servers) is not None
    if observed.certificate.problem is not None:
        return Plan(outcome=observed.certificate.problem)
    missing = unlisted_servers(cloud, known.servers)
    if missing:
        # Without its tags it is unknown whether a server was installed: nothing is started unless the front-end answers.
        message = f"the account's list does not show server {', '.join(missing)}; without its tags nothing is installed"
        if observed.front:
            return Plan()
        # The BareMetalServer may know the cause better, for example that there is no such server.
        told = waiting_for_servers(cloud, observed)
        stuck = told.outcome.phase is Phase.BLOCKED
        ordered = any(s.order is not None for s in hosted.ovh.servers if s.name in missing)
        return (
            told
            if stuck or (ordered and told.outcome.reason)
            else Plan(outcome=waiting(Reason.WAITING_FOR_SERVERS, message, after=5.0))
        )
    if (is_run_due(cloud, known) or observed.endpoint is None) and not lost:
        unready = waiting_for_servers(cloud, observed)
        if unready.outcome.phase is not Phase.DONE:
            return unready
    installed = plan_installation(cloud, observed.servers, known, now)
    if is_run_due(cloud, known):
        return installed
    renewed = plan_certificate(cloud, observed.renewal, observed.renewing, observed.summaries)
    return join((installed, renewed))


def _first_answer() -> Plan:
    """Wait until the endpoint is in status; the content of the cloud is read next."""
    return Plan(outcome=waiting(Reason.FIRST_ANSWER, "the front-end answers; reading what is in the cloud", after=0.5))


def _hosts(cloud: SovereignCloud, observed: CloudObservation, now: datetime) -> tuple[Plan, ...]:
    """Plan the hosts to register, and those to drain."""
    view = observed.view
    if view is None:
        return ()
    installs = cloud.spec.hosted is not None and cloud.spec.hosted.open_nebula.install is not None
    # A server that no installer run covered is not registered yet.
    bare = uncovered_servers(cloud, observed.known.servers) if installs else ()
    addresses = {name: address for name, address in observed.node_addresses.items() if name not in bare}
    nodes = frozenset(observed.node_addresses.values())
    return (
        hosts.plan_hosts(cloud, addresses, view, observed.mark, admitted=observed.admitted),
        plan_draining(cloud, observed.draining, view, observed.mark, nodes, now),
    )


def _running(cloud: SovereignCloud, observed: CloudObservation, now: datetime) -> tuple[Plan, ...]:
    """Plan a cloud whose front-end answers: version, hosts, sites, parts, networks."""
    if observed.view is None:
        return (_first_answer(),)
    return (
        plan_version(cloud, observed),
        plan_adoption(cloud, observed),
        *_hosts(cloud, observed, now),
        sites.plan_sites(cloud, observed.node_addresses, observed.view),
        *_declared_parts(cloud, observed),
        waiting_for_servers(cloud, observed),
        waiting_for_networks(cloud, observed),
    )


def _declared_parts(cloud: SovereignCloud, observed: CloudObservation) -> tuple[Plan, ...]:
    """Plan clusters, hosts, datastores and stores that spec declares."""
    if observed.view is None:
        return ()
    mark = observed.mark
    parts = plan_parts(cloud, observed.view, mark, observed.node_addresses, admitted=observed.admitted)
    return parts, plan_stores(cloud, observed.stores, mark)


# --- executing -------------------------------------------------------------------------------------------------------


async def _in_kubernetes(
    step: ApplyChild | DeleteChild | GenerateCredentials | DeleteCredentials, cloud: SovereignCloud, context: Context
) -> Outcome:
    """Execute a step that writes to Kubernetes only."""
    match step:
        case ApplyChild():
            await context.kubernetes.apply(step.manifest)
            return done(Reason.COMPOSED, f"{step.target} was applied")
        case DeleteChild():
            await context.kubernetes.delete(*step.key)
            return done(Reason.DELETING, f"{step.target} is being deleted")
        case GenerateCredentials():
            labels = {CLOUD_LABEL: cloud.metadata.name, GENERATED_LABEL: "true"}
            made = await context.kubernetes.generate_credentials(
                cloud.metadata.namespace, step.name, _ADMINISTRATOR, labels
            )
            return (
                done(Reason.CREDENTIALS_GENERATED, f"Secret {step.name} was made; keep a copy of it") if made else DONE
            )
        case DeleteCredentials():
            await context.kubernetes.delete_secret(cloud.metadata.namespace, step.name)
            return done(Reason.CREDENTIALS_DELETED, f"Secret {step.name} was deleted", **{DELETED_FACT: "true"})


async def _host(
    step: hosts.CreateHost | hosts.EnableHost | hosts.MarkHost, cloud: SovereignCloud, context: Context
) -> Outcome:
    client = await context.open_nebula(cloud.key)
    match step:
        case hosts.CreateHost():
            # one.host.allocate takes no template: allocate, then mark. Unmarked, it is still matched by its address.
            made = await client.create_host(step.name, hosts.DRIVER, hosts.DRIVER, hosts.DEFAULT_CLUSTER)
            await client.update_host(made, step.mark.for_opennebula())
            return done(Reason.HOST_REGISTERED, f"host {made} ({step.name}) was registered")
        case hosts.EnableHost():
            if step.was_leaving:
                await client.update_host(step.host_id, {hosts.LEAVING_NOTE: ""})
            await client.enable_host(step.host_id)
            return done(Reason.HOST_ENABLED, f"{step.target}")
        case hosts.MarkHost():
            await client.update_host(step.host_id, step.mark.for_opennebula())
            return done(Reason.HOST_MARKED, f"{step.target} carries the mark of this installation")


async def _part(step: Step, cloud: SovereignCloud, context: Context) -> Outcome:
    match step:
        case StoreStep():
            return await perform_store(step, cloud, context)
        case PartStep():
            return await perform_part(step, cloud, context)
        case _:
            raise TypeError(f"not a step of a SovereignCloud: {type(step).__name__}")


async def _perform_at_provider(step: NetworkStep, cloud: SovereignCloud, context: Context) -> Outcome:
    ovh = cloud.spec.hosted.ovh if cloud.spec.hosted else None
    if ovh is None:
        return DONE
    client = await context.ovh(ovh.endpoint, cloud.metadata.namespace, ovh.credentials_secret_ref.name)
    return await perform_network(step, client, cloud, context.now)


async def _record_at_ovh(
    step: InstallOpenNebula | RecordInstallation | RecordCertificate,
    cloud: SovereignCloud,
    context: Context,
) -> Outcome:
    ovh = cloud.spec.hosted.ovh if cloud.spec.hosted else None
    if ovh is None:
        return DONE
    client = await context.ovh(ovh.endpoint, cloud.metadata.namespace, ovh.credentials_secret_ref.name)
    match step:
        case RecordCertificate():
            await client.tag(step.urn, {CERTIFICATE_TAG: step.digest})
            return certificate_recorded(step)
        case RecordInstallation():
            for urn in step.urns:
                await client.tag(urn, {INSTALLED_TAG: step.hash})
            return done(Reason.INSTALLATION_RECORDED, f"{step.target} was written to its servers")
        case InstallOpenNebula():
            return await _install(step, client, cloud, context)


async def _install(step: InstallOpenNebula, client: Ovh, cloud: SovereignCloud, context: Context) -> Outcome:
    """Record the run on the servers, the front-end first, then start the Job.

    A crash in between is visible.
    """
    digest, (front, *others) = step.installation.hash, step.urns
    await client.tag(front, {INSTALLED_TAG: Record(digest, step.requested).text})
    for urn in others:
        await client.tag(urn, {INSTALLED_TAG: digest})
    notes = {RERUNS_TAG: step.reruns, CERTIFICATE_TAG: step.certificate}
    if told := {key: value for key, value in notes.items() if value}:
        await client.tag(front, told)
    await context.installer.start(step.installation)
    await client.tag(front, {INSTALLED_TAG: digest})
    message = f"the installation of {step.target} was begun"
    return Outcome(
        Phase.WAITING,
        Reason.INSTALLING,
        message,
        after=5.0,
        available=cloud.settled,
        facts={INVENTORY_FACT: digest, **({"rerun": step.word} if step.word else {})},
        events=((Reason.INSTALLATION_STARTED, message),),
    )
