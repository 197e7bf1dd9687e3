"""Whether OpenNebula is to be installed, is being installed, or was: read from the servers, not from status.

Every server that an installer run covers carries `sovereigncloud.io/installed: <hash of the inventory>`; on the
front-end it says `<hash>:requested:<unix>` from before the Job is made until it is known to exist. A missing Job
therefore never means that there was none, and a server without the tag was never covered. A server that is reinstalled
says `wiped` instead, from before its disks are: the next run covers it, and nothing else ever makes a run of what was
covered before.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sovereigncloud.api import BareMetalServer, SovereignCloud
from sovereigncloud.api.reasons import Reason
from sovereigncloud.api.sovereigncloud import HostedServer, Install
from sovereigncloud.core.outcome import Outcome, retry, stalled, waiting
from sovereigncloud.core.plan import Action, Disruption, Plan, Step
from sovereigncloud.kinds.endpoint import front_end, generated_secret
from sovereigncloud.kinds.ports import Installation, InstallState, InstallTarget, ServerSummary
from sovereigncloud.kinds.server_identity import declared_identity

INSTALLED_TAG = "sovereigncloud.io/installed"
WIPED = "wiped"
PATH = "spec.hosted.openNebula.install"

_CERTAIN = 3600.0
_LOOK_AGAIN = 5.0


@dataclass(frozen=True, slots=True)
class Record:
    """What the front-end's tag says. `requested`: seconds since the epoch; 0 once the Job was seen."""

    hash: str
    requested: int = 0

    @property
    def text(self) -> str:
        return f"{self.hash}:requested:{self.requested}" if self.requested else self.hash


def read_record(tags: Mapping[str, str]) -> Record | None:
    digest, _, rest = tags.get(INSTALLED_TAG, "").partition(":")
    if digest in {"", WIPED}:
        return None
    at = rest.partition(":")[2]
    return Record(digest, int(at) if rest.startswith("requested:") and at.isdigit() else 0)


def inventory_hash(cloud: SovereignCloud) -> str:
    """Names what spec declares to be installed. Nothing observed is in it, so that no drift ever runs the installer; the
    requests to reinstall are, since a server that was wiped is to be covered by another run.
    """
    hosted = cloud.spec.hosted
    if hosted is None or hosted.ovh is None or hosted.open_nebula.install is None:
        return ""
    install = hosted.open_nebula.install
    servers = sorted(
        [s.name, declared_identity(s), sorted(s.roles), s.reinstall.request if s.reinstall else ""]
        for s in hosted.ovh.servers
    )
    text = json.dumps([install.architecture, install.version, servers])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallOpenNebula(Step):
    """Records the run on all its servers, starts it, records that it was started.

    Attributes:
        urns: of the servers, the front-end's first: its record is what a crash is recovered from.
    """

    installation: Installation
    urns: tuple[str, ...]
    requested: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordInstallation(Step):
    """Gives servers back the record that someone removed."""

    urns: tuple[str, ...]
    hash: str


@dataclass(frozen=True, slots=True)
class Known:
    """What is known outside of the installation.

    Attributes:
        servers: by name in spec, as the account's view shows them.
        job: state of the Job of the current inventory; None: not asked.
        answers: whether the front-end answers.
        error: why it does not.
        credentials: whether the generated Secret is there.
    """

    servers: Mapping[str, ServerSummary]
    job: InstallState | None
    answers: bool
    error: str = ""
    credentials: bool = True


def record_of(cloud: SovereignCloud, servers: Mapping[str, ServerSummary]) -> Record | None:
    """The record on the cloud's front-end."""
    front = front_end(cloud)
    summary = servers.get(front.name) if front else None
    return read_record(summary.tags) if summary else None


def uncovered(cloud: SovereignCloud, servers: Mapping[str, ServerSummary]) -> tuple[str, ...]:
    """Names of declared servers that no installer run covered."""
    ovh = cloud.spec.hosted.ovh if cloud.spec.hosted else None
    return tuple(
        s.name
        for s in (ovh.servers if ovh else ())
        if s.name not in servers or read_record(servers[s.name].tags) is None
    )


def wiped(cloud: SovereignCloud, servers: Mapping[str, ServerSummary]) -> tuple[str, ...]:
    """Names of declared servers that were reinstalled after a run had covered them."""
    ovh = cloud.spec.hosted.ovh if cloud.spec.hosted else None
    return tuple(
        s.name
        for s in (ovh.servers if ovh else ())
        if s.name in servers and servers[s.name].tags.get(INSTALLED_TAG) == WIPED
    )


def unseen(cloud: SovereignCloud, servers: Mapping[str, ServerSummary]) -> tuple[str, ...]:
    """Names of declared servers that the account's view does not show."""
    ovh = cloud.spec.hosted.ovh if cloud.spec.hosted else None
    return tuple(s.name for s in (ovh.servers if ovh else ()) if s.name not in servers)


def due(cloud: SovereignCloud, known: Known) -> bool:
    """Whether spec declares something that no run covered: nothing was installed, a server was added or wiped."""
    record = record_of(cloud, known.servers)
    if record is None or wiped(cloud, known.servers):
        return True
    return record.hash != inventory_hash(cloud) and bool(uncovered(cloud, known.servers))


def plan_installation(
    cloud: SovereignCloud, children: Mapping[str, BareMetalServer], known: Known, now: datetime
) -> Plan:
    """What to do about the installation; empty and done: OpenNebula is there and answers.

    `children` are the servers, ready: their addresses and MACs make the inventory.
    """
    record, digest, job = record_of(cloud, known.servers), inventory_hash(cloud), known.job
    if record is not None and not known.credentials:
        return Plan(outcome=_lost(cloud))
    if job is not None and job.state == "Failed" and not known.answers and (record is None or record.hash == digest):
        return Plan(outcome=_failed(cloud, job))
    if due(cloud, known):
        if record is None and known.answers and cloud.status.endpoint and not wiped(cloud, known.servers):
            # It was running and someone removed our tag: a record is given back, nothing is installed.
            return Plan(steps=(_remember(cloud, known, digest),))
        return _begin(cloud, children, known, now)
    if record is not None and record.hash == digest and record.requested:
        return _unconfirmed(cloud, children, known, record, now)
    return _covered(cloud, known, digest)


def _unconfirmed(
    cloud: SovereignCloud, children: Mapping[str, BareMetalServer], known: Known, record: Record, now: datetime
) -> Plan:
    """Recorded, and the operator ended before it knew that the Job was made. The same hash never starts a second."""
    absent = known.job is None or known.job.state == "Absent"
    if absent and now.timestamp() - record.requested > _CERTAIN:
        if known.answers:
            return Plan(steps=(_remember(cloud, known, record.hash),))
        return Plan(outcome=_unknown(cloud, known))
    return _begin(cloud, children, known, now)


def _covered(cloud: SovereignCloud, known: Known, digest: str) -> Plan:
    """All servers were covered by a run; is it over, and does the front-end answer?"""
    job, missing = known.job, uncovered(cloud, known.servers)
    if job is not None and job.state == "Running":
        return Plan(outcome=_running(cloud, job))
    if job is not None and job.state == "Failed":
        return Plan(outcome=_failed(cloud, job))
    if known.answers:
        return Plan(steps=(_remember(cloud, known, digest),)) if missing else Plan()
    if cloud.status.endpoint:
        return Plan(outcome=retry(known.error or "the front-end does not answer", after=None))
    if job is not None and job.state == "Succeeded":
        message = f"OpenNebula was installed; waiting until its front-end answers ({known.error or 'not asked yet'})"
        return Plan(outcome=waiting(Reason.WAITING_FOR_FRONTEND, message, after=5.0))
    return Plan(outcome=_unknown(cloud, known))


def _begin(cloud: SovereignCloud, children: Mapping[str, BareMetalServer], known: Known, now: datetime) -> Plan:
    installation, front = installation_of(cloud, children), front_end(cloud)
    if installation is None or front is None or front.name not in known.servers:
        message = "an installation by the operator needs exactly one server with the role Frontend"
        return Plan(outcome=stalled(Reason.ARCHITECTURE_MISMATCH, message))
    names = sorted((t.name for t in installation.targets if t.name in known.servers), key=lambda n: n != front.name)
    step = InstallOpenNebula(
        action=Action.INSTALL,
        target=f"OpenNebula {installation.version} on {', '.join(t.name for t in installation.targets)}",
        fields=(PATH,),
        disruption=Disruption.NONE,
        installation=installation,
        urns=tuple(known.servers[n].urn for n in names),
        requested=int(now.timestamp()),
    )
    return Plan(steps=(step,))


def _running(cloud: SovereignCloud, job: InstallState) -> Outcome:
    message = f"OpenNebula is being installed on the servers of {cloud.metadata.name}"
    return waiting(
        Reason.INSTALLING,
        f"{message}: {job.message}" if job.message else message,
        after=_LOOK_AGAIN,
        available=cloud.settled,
    )


def _failed(cloud: SovereignCloud, job: InstallState) -> Outcome:
    front = front_end(cloud)
    return stalled(
        Reason.INSTALLATION_FAILED,
        f"the installation of OpenNebula failed: {job.message or 'see the log of its pod'}. To try again: mend the"
        f" cause, delete the Job, and remove the tag {INSTALLED_TAG} from server"
        f" {front.service_name or front.name if front else ''}; if it was finished by hand, delete the Job only",
        after=60.0,
    )


def _unknown(cloud: SovereignCloud, known: Known) -> Outcome:
    front = front_end(cloud)
    return stalled(
        Reason.INSTALLATION_UNKNOWN,
        f"server {front.service_name or front.name if front else ''} says that OpenNebula was installed, there is no Job of it, and"
        f" nothing answers ({known.error or 'no answer'}). Start its front-end; or, to install it anew, remove the tag"
        f" {INSTALLED_TAG} from that server",
        after=60.0,
    )


def _lost(cloud: SovereignCloud) -> Outcome:
    name = generated_secret(cloud)
    return stalled(
        Reason.CREDENTIALS_LOST,
        f"OpenNebula was installed, and the Secret {name} with its administrator's password is gone; it is not"
        f" replaced, since a new password would not be OpenNebula's. Restore {name} (username, password,"
        " sshPrivateKey, sshPublicKey) from a backup, or make it with the password that OpenNebula has",
        after=60.0,
    )


def _remember(cloud: SovereignCloud, known: Known, digest: str) -> RecordInstallation:
    front = front_end(cloud)
    names = [n for n in uncovered(cloud, known.servers) if n in known.servers]
    if front is not None and front.name in known.servers and front.name not in names:
        names.append(front.name)
    return RecordInstallation(
        action=Action.INSTALL,
        target=f"record of the installation of {cloud.metadata.name}",
        fields=(PATH,),
        urns=tuple(known.servers[n].urn for n in names),
        hash=digest,
    )


def _target(server: HostedServer, child: BareMetalServer) -> InstallTarget:
    """A server as the installer sees it; bonds are told apart by MAC, never by the order of the cards."""
    interfaces = child.status.interfaces or ()
    public = tuple(m for i in interfaces if (i.mode or "").startswith("public") for m in i.macs or ())
    private = tuple(m for i in interfaces if (i.mode or "").startswith("vrack") for m in i.macs or ())
    return InstallTarget(
        name=server.name,
        address=child.status.address or "",
        roles=tuple(sorted(server.roles)),
        public_macs=public,
        private_macs=private,
        host_key=child.status.host_key or "",
    )


def installation_of(cloud: SovereignCloud, children: Mapping[str, BareMetalServer]) -> Installation | None:
    """What the installer is asked for; None for a cloud that is not installed by the operator."""
    hosted = cloud.spec.hosted
    if hosted is None or hosted.ovh is None or hosted.open_nebula.install is None:
        return None
    install: Install = hosted.open_nebula.install
    return Installation(
        cloud=cloud.metadata.name,
        namespace=cloud.metadata.namespace,
        owner_uid=cloud.metadata.uid,
        version=install.version,
        architecture=install.architecture,
        targets=tuple(_target(s, children[s.name]) for s in hosted.ovh.servers if s.name in children),
        credentials_secret=generated_secret(cloud),
        hash=inventory_hash(cloud),
    )
