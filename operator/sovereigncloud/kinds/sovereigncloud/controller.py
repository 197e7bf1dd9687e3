"""SovereignCloud: composes servers and networks, routes blocks, has OpenNebula installed, keeps its hosts.

Everything that lives in the cloud waits for `status.endpoint`, which is set once the front-end answered.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sovereigncloud.api import BareMetalServer, SovereignCloud
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.core.outcome import DONE, Outcome, Phase, done, stalled, waiting
from sovereigncloud.core.plan import Plan, Step
from sovereigncloud.kinds.contract.controller import Context, SecretUse, Uses
from sovereigncloud.kinds.endpoint.access import INVENTORY_FACT, access_secrets
from sovereigncloud.kinds.endpoint.endpoint import generated_secret
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
    DisableHost,
    GiveUpMachine,
    MoveMachine,
    plan_leaving,
)
from sovereigncloud.kinds.sovereigncloud.hosts.steps import perform_leaving
from sovereigncloud.kinds.sovereigncloud.infrastructure import sites
from sovereigncloud.kinds.sovereigncloud.infrastructure.plan import plan_parts
from sovereigncloud.kinds.sovereigncloud.infrastructure.steps import PartStep, perform_part
from sovereigncloud.kinds.sovereigncloud.infrastructure.teardown import plan_parts_end
from sovereigncloud.kinds.sovereigncloud.installation import certificate
from sovereigncloud.kinds.sovereigncloud.installation import plan as installation
from sovereigncloud.kinds.sovereigncloud.installation.records import CERTIFICATE_TAG
from sovereigncloud.kinds.sovereigncloud.location.observation import profile_key
from sovereigncloud.kinds.sovereigncloud.network.plan import NetworkStep, names_last, perform_outside, plan_outside
from sovereigncloud.kinds.sovereigncloud.observation import Observed, observe_cloud
from sovereigncloud.kinds.sovereigncloud.outage import looks_again
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
from sovereigncloud.kinds.sovereigncloud.teardown import DELETED_FACT, DeleteCredentials, plan_dismantling
from sovereigncloud.kinds.sovereigncloud.verification.plan import plan_last_probes, with_verification
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
    """What a SovereignCloud does."""

    resource = SovereignCloud

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

    async def observe(self, resource: SovereignCloud, context: Context) -> Observed:
        return await observe_cloud(resource, context)

    def plan(self, resource: SovereignCloud, observed: Observed, now: datetime) -> Plan:
        if resource.deleting:
            return plan_last_probes(observed.probes, now) or _ending(resource, observed, now)
        declared = self._declared(resource, observed, now)
        if observed.waiting:
            declared = join((declared, Plan(outcome=looks_again(observed.lost, observed.waiting, now))))
        return with_verification(resource, observed.verification, declared)

    def _declared(self, resource: SovereignCloud, observed: Observed, now: datetime) -> Plan:
        if not observed.account:
            return Plan(outcome=observed.unreachable)
        if resource.spec.hosted is not None:
            return names_last(_hosted(resource, observed, now), resource, observed.outside)
        if observed.insecure is not None:
            return Plan(outcome=observed.insecure)
        if observed.front is None:
            return Plan(outcome=observed.unreachable)
        return join(_inside_it(resource, observed)) if observed.view else _first_answer()

    async def perform(self, step: Step, resource: SovereignCloud, context: Context) -> Outcome:
        if isinstance(step, NetworkStep):
            return await _beside_servers(step, resource, context)
        match step:
            case ApplyChild() | DeleteChild() | GenerateCredentials() | DeleteCredentials():
                return await _inside(step, resource, context)
            case hosts.CreateHost() | hosts.EnableHost() | hosts.MarkHost():
                return await _host(step, resource, context)
            case DisableHost() | MoveMachine() | GiveUpMachine() | DeleteHost():
                return await perform_leaving(step, resource, context)
            case installation.InstallOpenNebula() | installation.RecordInstallation() | certificate.RecordCertificate():
                return await _at_ovh(step, resource, context)
            case sites.CreateCluster() | sites.JoinCluster():
                return await sites.perform_site(step, await context.open_nebula(resource.key))
            case certificate.BringCertificate():
                await context.installer.start(step.installation)
                return certificate.begun(step)
            case WriteRecord() | StartProbe() | EndProbe() | StartValidation():
                return await perform_verification(step, resource, context)
            case _:
                return await _part(step, resource, context)

    def status(self, resource: SovereignCloud, observed: Observed) -> Mapping[str, object]:
        return cloud_status(resource, observed)


# --- planning --------------------------------------------------------------------------------------------------------


def _ending(cloud: SovereignCloud, observed: Observed, now: datetime) -> Plan:
    """While somebody refers to it nothing in it goes."""
    parts = None
    if not observed.remains.users:
        parts = plan_parts_end(cloud, observed.view, observed.stores, observed.mark, observed.error)
    return parts or plan_dismantling(cloud, observed.remains, now)


def _hosted(cloud: SovereignCloud, observed: Observed, now: datetime) -> Plan:
    """Children and credentials first, then what is outside; each aspect speaks for itself."""
    if cloud.spec.hosted is None or cloud.spec.hosted.ovh is None:
        return Plan(outcome=stalled(Reason.NO_PROVIDER, "spec.hosted has no provider; set spec.hosted.ovh"))
    droppable = [c for c in observed.dropped if str(c.key) not in observed.going.held]
    children = plan_children(cloud, observed.servers, observed.networks, droppable)
    if children.outcome.phase is Phase.STALLED:
        return children
    parts = [plan_credentials(cloud, observed), children]
    if observed.outside is not None:
        parts.append(plan_outside(cloud, observed.outside, now))
    if observed.insecure is not None:
        parts += [waiting_for_servers(cloud, observed), Plan(outcome=observed.insecure)]
        return join(parts)
    bootstrap = _bootstrap(cloud, observed, now)
    if _tells_a_server(children) and any(isinstance(s, installation.InstallOpenNebula) for s in bootstrap.steps):
        # Told to be reinstalled in the same change, it would be covered by the run before it is wiped.
        message = "the servers are told of the change before the installer runs"
        bootstrap = Plan(outcome=waiting(Reason.WAITING_FOR_SERVERS, message, after=1.0, available=cloud.settled))
    if observed.front is None:
        return join((*parts, bootstrap))
    if bootstrap.steps or bootstrap.outcome.phase is not Phase.DONE:
        # What waits for a new server, which may take days, or for consent does not hold up the hosts that are there.
        there = _hosts(cloud, observed, now)
        waits = any(s.needs for s in bootstrap.steps)
        return join((*parts, *there, bootstrap) if waits else (*parts, bootstrap, *there))
    return join((*parts, bootstrap, *_running(cloud, observed, now)))


def _tells_a_server(children: Plan) -> bool:
    told = (s.manifest for s in children.steps if isinstance(s, ApplyChild))
    return any(manifest["kind"] == BareMetalServer.crd.kind for manifest in told)


def _bootstrap(cloud: SovereignCloud, observed: Observed, now: datetime) -> Plan:
    """What brings a front-end that answers; empty and done: it is there."""
    hosted = cloud.spec.hosted
    if hosted is None or hosted.ovh is None or hosted.open_nebula.install is None:
        return Plan() if observed.front else Plan(outcome=observed.unreachable)
    known = observed.known
    lost = not observed.credentials and installation.record_of(cloud, known.servers) is not None
    if observed.certificate.problem is not None:
        return Plan(outcome=observed.certificate.problem)
    unseen = installation.unseen(cloud, known.servers)
    if unseen:
        # Without its tags nobody knows whether a server was installed: an answer is enough, else nothing is begun.
        message = f"the account's list does not show server {', '.join(unseen)}; without its tags nothing is installed"
        if observed.front:
            return Plan()
        # Its own object knows better why: no such server, for one.
        told = waiting_for_servers(cloud, observed)
        stuck = told.outcome.phase is Phase.BLOCKED
        ordered = any(s.order is not None for s in hosted.ovh.servers if s.name in unseen)
        return (
            told
            if stuck or (ordered and told.outcome.reason)
            else Plan(outcome=waiting(Reason.WAITING_FOR_SERVERS, message, after=5.0))
        )
    if (installation.due(cloud, known) or observed.endpoint is None) and not lost:
        unready = waiting_for_servers(cloud, observed)
        if unready.outcome.phase is not Phase.DONE:
            return unready
    installed = installation.plan_installation(cloud, observed.servers, known, now)
    if installation.due(cloud, known):
        return installed
    renewed = certificate.plan_certificate(cloud, observed.renewal, observed.renewing, observed.summaries)
    return join((installed, renewed))


def _first_answer() -> Plan:
    """The endpoint is written to status; what is in the cloud is read next."""
    return Plan(outcome=waiting(Reason.FIRST_ANSWER, "the front-end answers; reading what is in the cloud", after=0.5))


def _hosts(cloud: SovereignCloud, observed: Observed, now: datetime) -> tuple[Plan, ...]:
    """The hosts that there are to be, and those that go."""
    view = observed.view
    if view is None:
        return ()
    installs = cloud.spec.hosted is not None and cloud.spec.hosted.open_nebula.install is not None
    # A server that no installer run covered is no host yet, whatever its address is.
    bare = installation.uncovered(cloud, observed.known.servers) if installs else ()
    addresses = {name: address for name, address in observed.node_addresses.items() if name not in bare}
    nodes = frozenset(observed.node_addresses.values())
    return (
        hosts.plan_hosts(cloud, addresses, view, observed.mark, admitted=observed.admitted),
        plan_leaving(cloud, observed.going, view, observed.mark, nodes, now),
    )


def _running(cloud: SovereignCloud, observed: Observed, now: datetime) -> tuple[Plan, ...]:
    """The front-end answers: hosts, version, networks."""
    if observed.view is None:
        return (_first_answer(),)
    return (
        plan_version(cloud, observed),
        plan_adoption(cloud, observed),
        *_hosts(cloud, observed, now),
        sites.plan_sites(cloud, observed.node_addresses, observed.view),
        *_inside_it(cloud, observed),
        waiting_for_servers(cloud, observed),
        waiting_for_networks(cloud, observed),
    )


def _inside_it(cloud: SovereignCloud, observed: Observed) -> tuple[Plan, ...]:
    """What a cloud consists of beside servers and networks."""
    if observed.view is None:
        return ()
    mark = observed.mark
    parts = plan_parts(cloud, observed.view, mark, observed.node_addresses, admitted=observed.admitted)
    return parts, plan_stores(cloud, observed.stores, mark)


# --- performing ------------------------------------------------------------------------------------------------------


async def _inside(
    step: ApplyChild | DeleteChild | GenerateCredentials | DeleteCredentials, cloud: SovereignCloud, context: Context
) -> Outcome:
    """Writes to Kubernetes only."""
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
            # A host takes no template: allocate, then mark. Unmarked, its address still says that it is this one.
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


async def _beside_servers(step: NetworkStep, cloud: SovereignCloud, context: Context) -> Outcome:
    ovh = cloud.spec.hosted.ovh if cloud.spec.hosted else None
    if ovh is None:
        return DONE
    client = await context.ovh(ovh.endpoint, cloud.metadata.namespace, ovh.credentials_secret_ref.name)
    return await perform_outside(step, client, cloud, context.now)


async def _at_ovh(
    step: installation.InstallOpenNebula | installation.RecordInstallation | certificate.RecordCertificate,
    cloud: SovereignCloud,
    context: Context,
) -> Outcome:
    ovh = cloud.spec.hosted.ovh if cloud.spec.hosted else None
    if ovh is None:
        return DONE
    client = await context.ovh(ovh.endpoint, cloud.metadata.namespace, ovh.credentials_secret_ref.name)
    match step:
        case certificate.RecordCertificate():
            await client.tag(step.urn, {CERTIFICATE_TAG: step.digest})
            return certificate.recorded(step)
        case installation.RecordInstallation():
            for urn in step.urns:
                await client.tag(urn, {installation.INSTALLED_TAG: step.hash})
            return done(Reason.INSTALLATION_RECORDED, f"{step.target} was written to its servers")
        case installation.InstallOpenNebula():
            return await _install(step, client, cloud, context)


async def _install(
    step: installation.InstallOpenNebula, client: Ovh, cloud: SovereignCloud, context: Context
) -> Outcome:
    """The record first, the front-end's before all: whatever becomes of the Job, the servers tell that it was begun."""
    digest, (front, *others) = step.installation.hash, step.urns
    await client.tag(front, {installation.INSTALLED_TAG: installation.Record(digest, step.requested).text})
    for urn in others:
        await client.tag(urn, {installation.INSTALLED_TAG: digest})
    notes = {installation.RERUNS_TAG: step.reruns, CERTIFICATE_TAG: step.certificate}
    if told := {key: value for key, value in notes.items() if value}:
        await client.tag(front, told)
    await context.installer.start(step.installation)
    await client.tag(front, {installation.INSTALLED_TAG: digest})
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
