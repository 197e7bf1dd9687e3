"""Manage the DNS record of the endpoint in a zone of the same account.

Records of others are never changed.

A tag on the zone records the owner of a record: its id and the cloud. The tag is written before the record is created and again
after the zone is published, so that an interrupted change is completed later.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sovereigncloud.api import SovereignCloud
from sovereigncloud.api.common.base import Key
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.core.identity import Mark
from sovereigncloud.core.outcome import DONE, Outcome, done, stalled
from sovereigncloud.core.plan import Action, Cause, Drift, Plan, Step
from sovereigncloud.kinds.contract.controller import AnyResource
from sovereigncloud.kinds.endpoint.endpoint import front_end, server_key
from sovereigncloud.ports.ovh.account import Ovh
from sovereigncloud.ports.ovh.dns import Record, Zone

PATH: Final = "spec.hosted.access.fqdn"
KNOWN: Final = "dnsRecord"
"""Fact in `status.external`: zone and name that were written; spec may name another one by now."""
_TAG: Final = "sovereigncloud.io/record/"
_UNPUBLISHED: Final = "!"
_NEW: Final = "new"


@dataclass(frozen=True, slots=True)
class Name:
    """A fully qualified name and its DNS zone."""

    zone: str
    fqdn: str

    @property
    def subdomain(self) -> str:
        return self.fqdn.removesuffix(self.zone).removesuffix(".")

    @property
    def key(self) -> str:
        """The key of its tag, hashed: a name may be longer than a tag key."""
        return _TAG + hashlib.sha256(self.fqdn.encode()).hexdigest()[:16]

    @property
    def text(self) -> str:
        return f"{self.zone} {self.fqdn}"


@dataclass(frozen=True, slots=True)
class ObservedName:
    """A name as observed.

    Attributes:
        zone: None: the account has no such zone.
        target: the desired address; empty: not known yet.
    """

    name: Name
    zone: Zone | None = None
    records: tuple[Record, ...] = ()
    target: str = ""


@dataclass(frozen=True, slots=True)
class _RecordTag:
    """The parsed tag of a name. `number`: id of its record ("new": being created)."""

    number: str
    published: bool
    owner: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteRecord(Step):
    """Create or change a record and publish its zone.

    Empty `number`: create; `number` without `address`: only publish.
    """

    name: Name
    urn: str
    owner: str
    number: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteRecord(Step):
    """Delete a record and its tag.

    `number` empty: the record is gone, the tag and publication remain.
    """

    name: Name
    urn: str
    number: str = ""


def declared_name(cloud: SovereignCloud) -> Name | None:
    access = cloud.spec.hosted.access if cloud.spec.hosted else None
    if access is None or not access.fqdn or not access.dns_zone:
        return None
    return Name(access.dns_zone, access.fqdn)


def known_name(cloud: SovereignCloud) -> Name | None:
    """Return the name that was written last, which spec may no longer declare."""
    zone, _, fqdn = cloud.external.get(KNOWN, "").partition(" ")
    return Name(zone, fqdn) if fqdn else None


def target_of(cloud: SovereignCloud, get: Callable[[Key], AnyResource | None]) -> str:
    """Return the desired address.

    The virtual IP of the front-ends, else the front-end's address.
    """
    install = cloud.spec.hosted.open_nebula.install if cloud.spec.hosted else None
    if install is not None and install.virtual_ip is not None:
        return install.virtual_ip.address
    front = front_end(cloud)
    child = get(server_key(cloud, front)) if front else None
    return (child.status.address or "") if child is not None else ""


def plan_record(cloud: SovereignCloud, entry: ObservedName | None, mark: Mark) -> Plan:
    """Plan one A record to the front-end; other records of that name block."""
    if entry is None:
        return Plan()
    if entry.zone is None:
        message = (
            f"the account has no DNS zone {entry.name.zone}, or the credential may not see it; check access.dnsZone, or"
            " remove it and keep the record elsewhere"
        )
        return Plan(outcome=stalled(Reason.DNS_ZONE_NOT_FOUND, message, after=300.0))
    if not entry.target:
        return Plan()  # the front-end's address is not known yet
    claim = _record_tag(entry, entry.zone)
    if claim is not None and claim.owner != _owner(mark):
        return Plan(outcome=_taken(entry, f"its tag names {claim.owner} as owner"))
    mine = next((r for r in entry.records if claim is not None and str(r.id) == claim.number), None)
    right = [r for r in entry.records if r.type == "A" and r.target == entry.target]
    others = [r for r in entry.records if r != mine and r not in right]
    if others:
        return Plan(drift=_drift(entry), outcome=_taken(entry, f"there is {_describe(others[0])}"))
    if right and (mine is None or mine in right):
        return _keep_record(cloud, entry, entry.zone, claim, mark, mine or right[0])
    return Plan(drift=_drift(entry), steps=(_write_step(cloud, entry, entry.zone, mark, mine),))


def plan_record_release(entry: ObservedName | None, mark: Mark, fields: tuple[str, ...]) -> Plan:
    """Plan to delete the record that the operator created, and only that."""
    claim = _record_tag(entry, entry.zone) if entry is not None and entry.zone is not None else None
    if entry is None or entry.zone is None or claim is None or claim.owner != _owner(mark):
        return Plan()
    mine = [r for r in entry.records if str(r.id) == claim.number]
    if claim.number == _NEW:  # maybe created, but the answer with its id was lost
        mine = [r for r in entry.records if r.type == "A" and r.target == entry.target]
    step = DeleteRecord(
        action=Action.DELETE,
        target=f"DNS record of {entry.name.fqdn}",
        fields=fields,
        name=entry.name,
        urn=entry.zone.urn,
        number=str(mine[0].id) if mine else "",
    )
    return Plan(steps=(step,))


async def write_record(step: WriteRecord, client: Ovh) -> Outcome:
    """Write the record between two writes of the tag.

    Until the zone is published it ends with `!`.
    """
    zone, begun = step.name.zone, f"{step.number or _NEW}{_UNPUBLISHED}"
    number = step.number
    await client.tag(step.urn, {step.name.key: f"{begun}:{step.owner}"})
    if not number:
        number = str(await client.zones.create_record(zone, step.name.subdomain, step.address))
        await client.tag(step.urn, {step.name.key: f"{number}{_UNPUBLISHED}:{step.owner}"})
    elif step.address:
        await client.zones.change_record(zone, int(number), step.address)
    await client.zones.publish(zone)
    await client.tag(step.urn, {step.name.key: f"{number}:{step.owner}"})
    return done(Reason.DNS_RECORD_WRITTEN, f"{step.target}", **{KNOWN: step.name.text})


async def delete_record(step: DeleteRecord, client: Ovh) -> Outcome:
    if step.number:
        await client.zones.delete_record(step.name.zone, int(step.number))
    # Also if the record is gone: an earlier attempt may have ended before publication.
    await client.zones.publish(step.name.zone)
    await client.untag(step.urn, frozenset({step.name.key}))
    return done(Reason.DNS_RECORD_DELETED, f"{step.target} was deleted", **{KNOWN: ""})


# --- details ----------------------------------------------------------------------------------------------------------


def _keep_record(
    cloud: SovereignCloud, entry: ObservedName, zone: Zone, claim: _RecordTag | None, mark: Mark, record: Record
) -> Plan:
    """Plan a correct record: publish it if ours.

    One without our tag is never changed or deleted.
    """
    if claim is None or claim.number not in {_NEW, str(record.id)}:
        return Plan()
    if claim.published:
        known = cloud.external.get(KNOWN) == entry.name.text
        return Plan() if known else Plan(outcome=DONE.with_facts(**{KNOWN: entry.name.text}))
    step = WriteRecord(
        action=Action.UPDATE,
        target=f"DNS zone {zone.name}, published with {entry.name.fqdn}",
        name=entry.name,
        urn=zone.urn,
        owner=_owner(mark),
        number=str(record.id),
    )
    return Plan(steps=(step,))


def _write_step(cloud: SovereignCloud, entry: ObservedName, zone: Zone, mark: Mark, mine: Record | None) -> WriteRecord:
    return WriteRecord(
        action=Action.UPDATE if mine else Action.CREATE,
        target=f"DNS record {entry.name.fqdn} A {entry.target}",
        fields=(PATH,),
        # Recreating a missing record is harmless, so the change limits do not count it.
        cause=Cause.OBSERVED if cloud.settled and mine else Cause.DECLARED,
        part=True,
        name=entry.name,
        urn=zone.urn,
        owner=_owner(mark),
        number=str(mine.id) if mine else "",
        address=entry.target,
    )


def _owner(mark: Mark) -> str:
    return f"{mark.installation}:{mark.object}"


def _record_tag(entry: ObservedName, zone: Zone) -> _RecordTag | None:
    text = zone.tags.get(entry.name.key, "")
    stage, _, owner = text.partition(":")
    if not owner:
        return None
    return _RecordTag(stage.removesuffix(_UNPUBLISHED), not stage.endswith(_UNPUBLISHED), owner)


def _drift(entry: ObservedName) -> tuple[Drift, ...]:
    found = ", ".join(f"{r.type} {r.target}" for r in entry.records) or "no record"
    return (Drift(PATH, f"A {entry.target}", found),)


def _describe(record: Record) -> str:
    return f"record {record.id}, {record.type} {record.target}"


def _taken(entry: ObservedName, why: str) -> Outcome:
    message = (
        f"{entry.name.fqdn} leads elsewhere already: {why}; nothing is changed there. Remove it from zone"
        f" {entry.name.zone}, set it to A {entry.target}, or choose another access.fqdn"
    )
    return stalled(Reason.DNS_RECORD_TAKEN, message, after=60.0)
