"""Plan the installation of OpenNebula from the records on the servers, not from status.

Every server that an installer run covers carries a record (`records`). On the front-end it says "requested" from before
the Job is created until it is known to exist, so a missing Job does not mean that there was none, and a server without record
was never covered. A server to be reinstalled is recorded as `wiped` before its disks are erased, and the next run covers it.
Apart from uncovered servers only a change of access or a new install.rerun.request starts a run; in a cloud with VMs every
run needs such a request.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sovereigncloud.api import BareMetalServer, SovereignCloud
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.core.listing import format_list
from sovereigncloud.core.outcome import DONE, Outcome, stalled, waiting
from sovereigncloud.core.plan import Action, Disruption, Plan, Step
from sovereigncloud.kinds.baremetalserver.installation_tag import INSTALLED_TAG, WIPED
from sovereigncloud.kinds.endpoint.access import access_hash, access_of
from sovereigncloud.kinds.endpoint.endpoint import front_end, front_ends, generated_secret
from sovereigncloud.kinds.sovereigncloud.installation.records import (
    RERUNS_TAG,
    Record,
    inventory_hash,
    read_record,
    record_of,
    rerun_fact,
    suggested_word,
    unused_word,
    words_with,
)
from sovereigncloud.kinds.sovereigncloud.installation.request import installation_of
from sovereigncloud.ports.installer.installation import Installation, InstallState
from sovereigncloud.ports.ovh.account import ServerSummary

__all__ = [
    "INSTALLED_TAG",
    "RERUNS_TAG",
    "WIPED",
    "InstallOpenNebula",
    "InstallationFacts",
    "Record",
    "RecordInstallation",
    "inventory_hash",
    "is_run_due",
    "missing_consent",
    "plan_installation",
    "read_record",
    "record_of",
    "uncovered_servers",
    "unlisted_servers",
    "wiped_servers",
]

PATH = "spec.hosted.openNebula.install"
RERUN = f"{PATH}.rerun.request"

_JOB_LOST_AFTER = 3600.0
_LOOK_AGAIN = 5.0
_NAMED = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallOpenNebula(Step):
    """Record a run on all its servers, start it, and record that it started.

    Attributes:
        urns: the servers, the front-end first: recovery after a crash reads its record.
        reruns: new value of RERUNS_TAG on the front-end; empty: unchanged.
        word: digest of the rerun request that is carried out, for status.
        certificate: digest of the certificate that the run installs.
    """

    installation: Installation
    urns: tuple[str, ...]
    requested: int
    reruns: str = ""
    word: str = ""
    certificate: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordInstallation(Step):
    """Restore the record on servers from which somebody removed it."""

    urns: tuple[str, ...]
    hash: str


@dataclass(frozen=True, slots=True)
class InstallationFacts:
    """The observed input of the installation plan.

    Attributes:
        servers: servers in the account's view, by name in spec.
        job: state of the Job of the current inventory; None: not read.
        answers: whether the front-end answers.
        error: why it does not answer.
        silence: outcome for a front-end that answered before and no longer does.
        credentials: whether the generated Secret exists.
        machines: number of VMs; None: not read, or nothing answers.
        certificate: digest of the certificate that spec names.
    """

    servers: Mapping[str, ServerSummary]
    job: InstallState | None
    answers: bool
    error: str = ""
    credentials: bool = True
    machines: int | None = None
    certificate: str = ""
    silence: Outcome = DONE


def uncovered_servers(cloud: SovereignCloud, servers: Mapping[str, ServerSummary]) -> tuple[str, ...]:
    """Return the names of declared servers that no installer run covered."""
    ovh = cloud.spec.hosted.ovh if cloud.spec.hosted else None
    return tuple(
        s.name
        for s in (ovh.servers if ovh else ())
        if s.name not in servers or read_record(servers[s.name].tags) is None
    )


def wiped_servers(cloud: SovereignCloud, servers: Mapping[str, ServerSummary]) -> tuple[str, ...]:
    """Return the names of declared servers that were reinstalled since a run covered them."""
    ovh = cloud.spec.hosted.ovh if cloud.spec.hosted else None
    return tuple(
        s.name
        for s in (ovh.servers if ovh else ())
        if s.name in servers and servers[s.name].tags.get(INSTALLED_TAG) == WIPED
    )


def unlisted_servers(cloud: SovereignCloud, servers: Mapping[str, ServerSummary]) -> tuple[str, ...]:
    """Return the names of declared servers that the account's view does not show."""
    ovh = cloud.spec.hosted.ovh if cloud.spec.hosted else None
    return tuple(s.name for s in (ovh.servers if ovh else ()) if s.name not in servers)


def is_run_due(cloud: SovereignCloud, known: InstallationFacts) -> bool:
    """Tell whether a run is due.

    Nothing installed, server added or wiped, access changed, or rerun requested.
    """
    record = record_of(cloud, known.servers)
    if record is None or wiped_servers(cloud, known.servers):
        return True
    if record.hash == inventory_hash(cloud):
        return False
    return bool(
        uncovered_servers(cloud, known.servers) or _access_changed(cloud, record) or unused_word(cloud, known.servers)
    )


def _access_changed(cloud: SovereignCloud, record: Record) -> bool:
    return record.access != access_hash(access_of(cloud))


def missing_consent(cloud: SovereignCloud, known: InstallationFacts) -> str:
    """Return the field to set, with its value, before the installer may run.

    Empty: no consent is needed.

    Consent is needed on a cloud that has VMs, or had some when it last answered, unless its front-ends were wiped.
    """
    record, servers = record_of(cloud, known.servers), known.servers
    nothing_there = {s.name for s in front_ends(cloud)} <= set(wiped_servers(cloud, servers))
    if known.machines == 0 or nothing_there or (known.machines is None and not cloud.status.endpoint):
        return ""
    begun = record is not None and record.requested and record.hash == inventory_hash(cloud)
    if unused_word(cloud, servers) or begun:
        return ""
    return f"{RERUN}: {suggested_word(cloud, servers)}"


def plan_installation(
    cloud: SovereignCloud, children: Mapping[str, BareMetalServer], known: InstallationFacts, now: datetime
) -> Plan:
    """Plan the installation; empty and done: OpenNebula is installed and answers.

    `children`: the ready BareMetalServers; their addresses and MACs make the inventory.
    """
    record, digest, job = record_of(cloud, known.servers), inventory_hash(cloud), known.job
    if record is not None and not known.credentials:
        return Plan(outcome=_credentials_lost(cloud))
    if job is not None and job.state == "Failed" and not known.answers and (record is None or record.hash == digest):
        return Plan(outcome=_installation_failed(job))
    if is_run_due(cloud, known):
        if record is None and known.answers and cloud.status.endpoint and not wiped_servers(cloud, known.servers):
            # It was running and somebody removed the tag: the record is restored, nothing is installed.
            return Plan(steps=(_record_on_servers(cloud, known, digest),))
        return _begin(cloud, children, known, now)
    if record is not None and record.hash == digest and record.requested:
        return _unconfirmed(cloud, children, known, record, now)
    return _covered(cloud, known, digest)


def _unconfirmed(
    cloud: SovereignCloud,
    children: Mapping[str, BareMetalServer],
    known: InstallationFacts,
    record: Record,
    now: datetime,
) -> Plan:
    """Plan a run that was recorded, but whose Job was not confirmed.

    The same hash never starts two Jobs.
    """
    absent = known.job is None or known.job.state == "Absent"
    if absent and now.timestamp() - record.requested > _JOB_LOST_AFTER:
        if known.answers:
            return Plan(steps=(_record_on_servers(cloud, known, record.hash),))
        return Plan(outcome=_installation_unknown(cloud, known))
    return _begin(cloud, children, known, now)


def _covered(cloud: SovereignCloud, known: InstallationFacts, digest: str) -> Plan:
    """Plan when all servers were covered by a run: wait for its Job and for the front-end."""
    job, missing = known.job, uncovered_servers(cloud, known.servers)
    if job is not None and job.state == "Running":
        return Plan(outcome=_installing(cloud, job))
    if job is not None and job.state == "Failed":
        return Plan(outcome=_installation_failed(job))
    if known.answers:
        return Plan(steps=(_record_on_servers(cloud, known, digest),)) if missing else Plan()
    if cloud.status.endpoint:
        return Plan(outcome=known.silence)
    if job is not None and job.state == "Succeeded":
        message = f"OpenNebula was installed; waiting until its front-end answers ({known.error or 'not asked yet'})"
        return Plan(outcome=waiting(Reason.WAITING_FOR_FRONTEND, message, after=5.0))
    return Plan(outcome=_installation_unknown(cloud, known))


def _begin(
    cloud: SovereignCloud, children: Mapping[str, BareMetalServer], known: InstallationFacts, now: datetime
) -> Plan:
    installation, front = installation_of(cloud, children), _recording_front_end(cloud, known)
    if installation is None or front is None:
        message = "an installation by the operator needs as many servers with the role Frontend as its architecture has"
        return Plan(outcome=stalled(Reason.ARCHITECTURE_MISMATCH, message))
    if known.answers and known.machines is None:
        message = "the front-end answers; counting its machines before the installer runs again"
        return Plan(outcome=waiting(Reason.FIRST_ANSWER, message, after=0.5))
    names = sorted((t.name for t in installation.targets if t.name in known.servers), key=lambda n: n != front)
    word = unused_word(cloud, known.servers)
    step = InstallOpenNebula(
        action=Action.INSTALL,
        target=f"OpenNebula {installation.version} on {format_list([t.name for t in installation.targets], _NAMED)}",
        fields=(PATH,),
        disruption=Disruption.NONE,
        needs=missing_consent(cloud, known),
        installation=installation,
        urns=tuple(known.servers[n].urn for n in names),
        requested=int(now.timestamp()),
        reruns=words_with(cloud, known.servers, word) if word else "",
        word=rerun_fact(cloud) if word else "",
        certificate=known.certificate,
    )
    return Plan(steps=(step,))


def _recording_front_end(cloud: SovereignCloud, known: InstallationFacts) -> str | None:
    """Return the front-end that records a run.

    The one with the newest record, else the first one.
    """
    there = [s.name for s in front_ends(cloud) if s.name in known.servers]
    return max(there, key=lambda name: _requested(known.servers[name]), default=None)


def _requested(server: ServerSummary) -> int:
    record = read_record(server.tags)
    return record.requested if record else -1


def _installing(cloud: SovereignCloud, job: InstallState) -> Outcome:
    message = f"OpenNebula is being installed on the servers of {cloud.metadata.name}"
    return waiting(
        Reason.INSTALLING,
        f"{message}: {job.message}" if job.message else message,
        after=_LOOK_AGAIN,
        available=cloud.settled,
    )


def _installation_failed(job: InstallState) -> Outcome:
    return stalled(
        Reason.INSTALLATION_FAILED,
        f"the installation of OpenNebula failed: {job.message or 'see the log of its pod'}. To retry: fix the"
        f" cause and set {RERUN} to a new word; if it was finished by hand, delete the Job",
        after=60.0,
    )


def _installation_unknown(cloud: SovereignCloud, known: InstallationFacts) -> Outcome:
    front = front_end(cloud)
    return stalled(
        Reason.INSTALLATION_UNKNOWN,
        f"server {front.service_name or front.name if front else ''} records that OpenNebula was installed, its Job is gone, and"
        f" nothing answers ({known.error or 'no answer'}). Start its front-end; or, to install it anew, set {RERUN} to a new"
        " word",
        after=60.0,
    )


def _credentials_lost(cloud: SovereignCloud) -> Outcome:
    name = generated_secret(cloud)
    return stalled(
        Reason.CREDENTIALS_LOST,
        f"OpenNebula was installed, and the Secret {name} with its administrator's password is gone; it is not"
        f" replaced, since a new password would not be OpenNebula's. Restore {name} (username, password,"
        " sshPrivateKey, sshPublicKey) from a backup, or make it with the password that OpenNebula has",
        after=60.0,
    )


def _record_on_servers(cloud: SovereignCloud, known: InstallationFacts, digest: str) -> RecordInstallation:
    names = [n for n in uncovered_servers(cloud, known.servers) if n in known.servers]
    front = _recording_front_end(cloud, known)
    if front is not None and front not in names:
        names.append(front)
    return RecordInstallation(
        action=Action.INSTALL,
        target=f"record of the installation of {cloud.metadata.name}",
        fields=(PATH,),
        urns=tuple(known.servers[n].urn for n in names),
        hash=digest,
    )
