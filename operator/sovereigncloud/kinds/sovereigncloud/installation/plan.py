"""Whether OpenNebula is to be installed, is being installed, or was: read from the servers, not from status.

Every server that an installer run covers carries a record (`installation_record`); on the front-end it says "requested"
from before the Job is made until it is known to exist. A missing Job therefore never means that there was none, and a
server without the tag was never covered. A server that is reinstalled says `wiped` instead, from before its disks are: the
next run covers it. Beside servers to cover only a change of access and a new word in install.rerun ever make a run, and in
a cloud with machines that word is needed for each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sovereigncloud.api import BareMetalServer, SovereignCloud
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.core.outcome import DONE, Outcome, stalled, waiting
from sovereigncloud.core.plan import Action, Disruption, Plan, Step
from sovereigncloud.kinds.endpoint.access import access_hash, access_of
from sovereigncloud.kinds.endpoint.endpoint import front_end, front_ends, generated_secret
from sovereigncloud.kinds.sovereigncloud.installation.records import (
    INSTALLED_TAG,
    RERUNS_TAG,
    WIPED,
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
    "Known",
    "Record",
    "RecordInstallation",
    "due",
    "inventory_hash",
    "missing_consent",
    "plan_installation",
    "read_record",
    "record_of",
    "uncovered",
    "unseen",
    "wiped",
]

PATH = "spec.hosted.openNebula.install"
RERUN = f"{PATH}.rerun.request"

_CERTAIN = 3600.0
_LOOK_AGAIN = 5.0
_NAMED = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallOpenNebula(Step):
    """Records the run on all its servers, starts it, records that it was started.

    Attributes:
        urns: of the servers, the front-end's first: its record is what a crash is recovered from.
        reruns: what the front-end says of the words of install.rerun from then on; empty: nothing new.
        word: for status, of the word that is carried out.
        certificate: digest of the certificate that the run brings along.
    """

    installation: Installation
    urns: tuple[str, ...]
    requested: int
    reruns: str = ""
    word: str = ""
    certificate: str = ""


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
        silence: what is said where it answered before, and does not.
        credentials: whether the generated Secret is there.
        machines: how many the cloud has; None: it was not asked, or nothing answers.
        certificate: digest of the one that spec names.
    """

    servers: Mapping[str, ServerSummary]
    job: InstallState | None
    answers: bool
    error: str = ""
    credentials: bool = True
    machines: int | None = None
    certificate: str = ""
    silence: Outcome = DONE


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
    """Whether spec declares something that no run covered: nothing was installed, a server was added or wiped, access is
    another one, a word asks for it.
    """
    record = record_of(cloud, known.servers)
    if record is None or wiped(cloud, known.servers):
        return True
    if record.hash == inventory_hash(cloud):
        return False
    return bool(
        uncovered(cloud, known.servers) or _reached_otherwise(cloud, record) or unused_word(cloud, known.servers)
    )


def _reached_otherwise(cloud: SovereignCloud, record: Record) -> bool:
    return record.access != access_hash(access_of(cloud))


def missing_consent(cloud: SovereignCloud, known: Known) -> str:
    """The field to set, with its value, before the installer runs: on a cloud with machines in it, or one that had some when
    it last answered, it never runs unasked. A front-end that was wiped knows no machines.
    """
    record, servers = record_of(cloud, known.servers), known.servers
    nothing_there = {s.name for s in front_ends(cloud)} <= set(wiped(cloud, servers))
    if known.machines == 0 or nothing_there or (known.machines is None and not cloud.status.endpoint):
        return ""
    begun = record is not None and record.requested and record.hash == inventory_hash(cloud)
    if unused_word(cloud, servers) or begun:
        return ""
    return f"{RERUN}: {suggested_word(cloud, servers)}"


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
        return Plan(outcome=_failed(job))
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
        return Plan(outcome=_failed(job))
    if known.answers:
        return Plan(steps=(_remember(cloud, known, digest),)) if missing else Plan()
    if cloud.status.endpoint:
        return Plan(outcome=known.silence)
    if job is not None and job.state == "Succeeded":
        message = f"OpenNebula was installed; waiting until its front-end answers ({known.error or 'not asked yet'})"
        return Plan(outcome=waiting(Reason.WAITING_FOR_FRONTEND, message, after=5.0))
    return Plan(outcome=_unknown(cloud, known))


def _begin(cloud: SovereignCloud, children: Mapping[str, BareMetalServer], known: Known, now: datetime) -> Plan:
    installation, front = installation_of(cloud, children), _recorder(cloud, known)
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
        target=f"OpenNebula {installation.version} on {_listed([t.name for t in installation.targets])}",
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


def _recorder(cloud: SovereignCloud, known: Known) -> str | None:
    """The front-end whose record a run is begun with: the one that has the newest, else the first that is there."""
    there = [s.name for s in front_ends(cloud) if s.name in known.servers]
    return max(there, key=lambda name: _requested(known.servers[name]), default=None)


def _requested(server: ServerSummary) -> int:
    record = read_record(server.tags)
    return record.requested if record else -1


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _running(cloud: SovereignCloud, job: InstallState) -> Outcome:
    message = f"OpenNebula is being installed on the servers of {cloud.metadata.name}"
    return waiting(
        Reason.INSTALLING,
        f"{message}: {job.message}" if job.message else message,
        after=_LOOK_AGAIN,
        available=cloud.settled,
    )


def _failed(job: InstallState) -> Outcome:
    return stalled(
        Reason.INSTALLATION_FAILED,
        f"the installation of OpenNebula failed: {job.message or 'see the log of its pod'}. To try again: mend the"
        f" cause and set {RERUN} to a new word; if it was finished by hand, delete the Job",
        after=60.0,
    )


def _unknown(cloud: SovereignCloud, known: Known) -> Outcome:
    front = front_end(cloud)
    return stalled(
        Reason.INSTALLATION_UNKNOWN,
        f"server {front.service_name or front.name if front else ''} says that OpenNebula was installed, there is no Job of it, and"
        f" nothing answers ({known.error or 'no answer'}). Start its front-end; or, to install it anew, set {RERUN} to a new"
        " word",
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
    names = [n for n in uncovered(cloud, known.servers) if n in known.servers]
    front = _recorder(cloud, known)
    if front is not None and front not in names:
        names.append(front)
    return RecordInstallation(
        action=Action.INSTALL,
        target=f"record of the installation of {cloud.metadata.name}",
        fields=(PATH,),
        urns=tuple(known.servers[n].urn for n in names),
        hash=digest,
    )
