"""The record of the endpoint's name, in a zone of the same account. What the operator did not make it does not touch.

Whose a record is stands in a tag on the zone: its number, and the cloud. It is written before the record is made and again once
the zone is published, so whatever ends in between is found and finished.
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
"""The fact that remembers which name of which zone was written: spec may name another one by now."""
_TAG: Final = "sovereigncloud.io/record/"
_UNPUBLISHED: Final = "!"
_NEW: Final = "new"


@dataclass(frozen=True, slots=True)
class Name:
    """A full name and the zone that it is in."""

    zone: str
    fqdn: str

    @property
    def subdomain(self) -> str:
        return self.fqdn.removesuffix(self.zone).removesuffix(".")

    @property
    def key(self) -> str:
        """The key of its tag: a name may be longer than a key."""
        return _TAG + hashlib.sha256(self.fqdn.encode()).hexdigest()[:16]

    @property
    def text(self) -> str:
        return f"{self.zone} {self.fqdn}"


@dataclass(frozen=True, slots=True)
class Entry:
    """A name as it is.

    Attributes:
        zone: None: the account has no such zone.
        target: where it is to lead; empty: not known yet.
    """

    name: Name
    zone: Zone | None = None
    records: tuple[Record, ...] = ()
    target: str = ""


@dataclass(frozen=True, slots=True)
class _Claim:
    """What the tag on the zone says of a name: `number` of the record ("new": being made), published or not."""

    number: str
    published: bool
    owner: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteRecord(Step):
    """Make it, change it (`number`), or only publish it (`number` and no `address`)."""

    name: Name
    urn: str
    owner: str
    number: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteRecord(Step):
    """`number` empty: it is gone already, its tag is left, and the zone may not be published."""

    name: Name
    urn: str
    number: str = ""


def declared_name(cloud: SovereignCloud) -> Name | None:
    access = cloud.spec.hosted.access if cloud.spec.hosted else None
    if access is None or not access.fqdn or not access.dns_zone:
        return None
    return Name(access.dns_zone, access.fqdn)


def known_name(cloud: SovereignCloud) -> Name | None:
    """What was written before, and spec may not name any more."""
    zone, _, fqdn = cloud.external.get(KNOWN, "").partition(" ")
    return Name(zone, fqdn) if fqdn else None


def target_of(cloud: SovereignCloud, get: Callable[[Key], AnyResource | None]) -> str:
    """Where the name is to lead: to whichever front-end leads, else to the front-end."""
    install = cloud.spec.hosted.open_nebula.install if cloud.spec.hosted else None
    if install is not None and install.virtual_ip is not None:
        return install.virtual_ip.address
    front = front_end(cloud)
    child = get(server_key(cloud, front)) if front else None
    return (child.status.address or "") if child is not None else ""


def plan_record(cloud: SovereignCloud, entry: Entry | None, mark: Mark) -> Plan:
    """One A record that leads to the front-end; anything else under that name is somebody else's."""
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
    claim = _claim(entry, entry.zone)
    if claim is not None and claim.owner != _owner(mark):
        return Plan(outcome=_taken(entry, f"its tag says that it is {claim.owner}'s"))
    mine = next((r for r in entry.records if claim is not None and str(r.id) == claim.number), None)
    right = [r for r in entry.records if r.type == "A" and r.target == entry.target]
    others = [r for r in entry.records if r != mine and r not in right]
    if others:
        return Plan(drift=_drift(entry), outcome=_taken(entry, f"there is {_told(others[0])}"))
    if right and (mine is None or mine in right):
        return _there(cloud, entry, entry.zone, claim, mark, mine or right[0])
    return Plan(drift=_drift(entry), steps=(_writing(cloud, entry, entry.zone, mark, mine),))


def plan_record_release(entry: Entry | None, mark: Mark, fields: tuple[str, ...]) -> Plan:
    """Take away what was made, and only that."""
    claim = _claim(entry, entry.zone) if entry is not None and entry.zone is not None else None
    if entry is None or entry.zone is None or claim is None or claim.owner != _owner(mark):
        return Plan()
    mine = [r for r in entry.records if str(r.id) == claim.number]
    if claim.number == _NEW:  # made, perhaps, and its number was lost
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
    """The tag before and after: until the zone is published it says so."""
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
    # Also where it is gone already: an earlier look may have ended before.
    await client.zones.publish(step.name.zone)
    await client.untag(step.urn, frozenset({step.name.key}))
    return done(Reason.DNS_RECORD_DELETED, f"{step.target} was deleted", **{KNOWN: ""})


# --- words -----------------------------------------------------------------------------------------------------------


def _there(cloud: SovereignCloud, entry: Entry, zone: Zone, claim: _Claim | None, mark: Mark, record: Record) -> Plan:
    """It leads to where it is to lead. Unmarked it is somebody's who wanted the same: left alone, also at the end."""
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


def _writing(cloud: SovereignCloud, entry: Entry, zone: Zone, mark: Mark, mine: Record | None) -> WriteRecord:
    return WriteRecord(
        action=Action.UPDATE if mine else Action.CREATE,
        target=f"DNS record {entry.name.fqdn} A {entry.target}",
        fields=(PATH,),
        # A record that is gone is made again, which disturbs nobody: the brakes need not count it.
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


def _claim(entry: Entry, zone: Zone) -> _Claim | None:
    text = zone.tags.get(entry.name.key, "")
    stage, _, owner = text.partition(":")
    if not owner:
        return None
    return _Claim(stage.removesuffix(_UNPUBLISHED), not stage.endswith(_UNPUBLISHED), owner)


def _drift(entry: Entry) -> tuple[Drift, ...]:
    found = ", ".join(f"{r.type} {r.target}" for r in entry.records) or "no record"
    return (Drift(PATH, f"A {entry.target}", found),)


def _told(record: Record) -> str:
    return f"record {record.id}, {record.type} {record.target}"


def _taken(entry: Entry, why: str) -> Outcome:
    message = (
        f"{entry.name.fqdn} leads elsewhere already: {why}; nothing is changed there. Remove it from zone"
        f" {entry.name.zone}, set it to A {entry.target}, or choose another access.fqdn"
    )
    return stalled(Reason.DNS_RECORD_TAKEN, message, after=60.0)
