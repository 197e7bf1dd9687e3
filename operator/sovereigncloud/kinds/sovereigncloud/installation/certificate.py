"""A renewed certificate reaches the front-ends by a run of its own, which touches nothing but their web server.

Which certificate was brought there last, the first front-end says (IAM tag `sovereigncloud.io/certificate`): written once
the Job ended well. A Job that is gone means that it is made again, which brings the same files once more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from sovereigncloud.api import BareMetalServer, SovereignCloud
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.core.outcome import Outcome, done, stalled, waiting
from sovereigncloud.core.plan import Action, Plan, Step
from sovereigncloud.kinds.endpoint.access import access_hash, access_of
from sovereigncloud.kinds.endpoint.certificate_source import Certificate
from sovereigncloud.kinds.endpoint.endpoint import front_ends
from sovereigncloud.kinds.sovereigncloud.installation.records import CERTIFICATE_TAG, record_of
from sovereigncloud.kinds.sovereigncloud.installation.request import installation_of
from sovereigncloud.ports.installer.installation import Installation, InstallState
from sovereigncloud.ports.ovh.account import ServerSummary

PATH = "spec.hosted.access.tls"
_LOOK_AGAIN = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BringCertificate(Step):
    installation: Installation


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordCertificate(Step):
    urn: str
    digest: str


def renewal_of(
    cloud: SovereignCloud,
    children: Mapping[str, BareMetalServer],
    servers: Mapping[str, ServerSummary],
    certificate: Certificate,
) -> Installation | None:
    """The run that brings the certificate; None where it is there, or where the installer has yet to make a place for it."""
    record, front = record_of(cloud, servers), _first(cloud, servers)
    if not certificate.digest or record is None or front is None or record.requested:
        return None
    if record.access != access_hash(access_of(cloud)) or front.tags.get(CERTIFICATE_TAG) == certificate.digest:
        return None
    wanted = installation_of(cloud, children)
    if wanted is None:
        return None
    names = {s.name for s in front_ends(cloud)}
    targets = tuple(t for t in wanted.targets if t.name in names)
    return replace(wanted, targets=targets, hash=f"{wanted.hash}-{certificate.digest}", only_certificate=True)


def plan_certificate(
    cloud: SovereignCloud, renewal: Installation | None, job: InstallState | None, servers: Mapping[str, ServerSummary]
) -> Plan:
    """What to do about a certificate that is not on the front-ends yet."""
    front = _first(cloud, servers)
    if renewal is None or front is None:
        return Plan()
    on = ", ".join(t.name for t in renewal.targets)
    digest = renewal.hash.rpartition("-")[2]
    match job.state if job else "Absent":
        case "Running":
            message = f"the certificate of {renewal.reach.fqdn} is being brought to {on}"
            return Plan(outcome=waiting(Reason.UPDATING_CERTIFICATE, message, after=_LOOK_AGAIN, available=True))
        case "Failed":
            message = f"the certificate was not brought to {on}: {job.message if job else ''}. Mend the cause, then delete the Job"
            return Plan(outcome=stalled(Reason.INSTALLATION_FAILED, message, after=60.0))
        case "Succeeded":
            target = f"record of the certificate of {renewal.reach.fqdn}"
            record = RecordCertificate(
                action=Action.UPDATE, target=target, fields=(PATH,), urn=front.urn, digest=digest
            )
            return Plan(steps=(record,))
        case _:
            target = f"certificate of {renewal.reach.fqdn} on {on}"
            bring = BringCertificate(action=Action.UPDATE, target=target, fields=(PATH,), installation=renewal)
            return Plan(steps=(bring,))


def begun(step: BringCertificate) -> Outcome:
    """What is said once the Job was made."""
    message = f"the {step.target} is being renewed"
    return replace(
        waiting(Reason.UPDATING_CERTIFICATE, message, after=_LOOK_AGAIN, available=True),
        events=((Reason.UPDATING_CERTIFICATE, message),),
    )


def recorded(step: RecordCertificate) -> Outcome:
    """What is said once the front-end says which certificate it has."""
    return done(Reason.CERTIFICATE_UPDATED, f"{step.target} was written to its front-end")


def _first(cloud: SovereignCloud, servers: Mapping[str, ServerSummary]) -> ServerSummary | None:
    return next((servers[s.name] for s in front_ends(cloud) if s.name in servers), None)
