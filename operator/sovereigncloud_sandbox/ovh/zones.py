"""``/domain/zone``: DNS records; a change is visible after the zone is refreshed."""

import re
from typing import Any, Final

from sovereigncloud_sandbox.ovh.calls import Call, Route
from sovereigncloud_sandbox.ovh.state import DnsRecord, DnsZone
from sovereigncloud_sandbox.ovh.wire import Json, bad_request, no_such_object, timestamp

_TYPES: Final = frozenset({"A", "AAAA", "CAA", "CNAME", "MX", "NS", "PTR", "SRV", "TXT"})
_LABELS: Final = re.compile(r"(?!.*\.\.)[A-Za-z0-9_*@.-]*")


def _zone(call: Call) -> DnsZone:
    return call.own(call.world.state.zones, call.given["zoneName"])


def _list(call: Call) -> list[str]:
    return [zone.name for zone in call.seen(call.world.state.zones.values())]


def _get(call: Call) -> Json:
    zone = _zone(call)
    return {
        "name": zone.name,
        "dnssecSupported": True,
        "dnssecActivated": False,
        "hasDnsAnycast": False,
        "lastUpdate": timestamp(zone.updated),
        "nameServers": ["dns10.ovh.net", "ns10.ovh.net"],
        "iam": zone.resource.metadata(),
    }


def _records(call: Call) -> list[int]:
    zone, query = _zone(call), call.query
    kind, subdomain = query.get("fieldType"), query.get("subDomain")
    return [
        number
        for number, record in zone.records.items()
        if kind in (None, record.type) and subdomain in (None, record.subdomain)
    ]


def _record(call: Call) -> Json:
    zone = _zone(call)
    return _document(zone, *_one(call, zone))


def _one(call: Call, zone: DnsZone) -> tuple[int, DnsRecord]:
    text = call.given["id"]
    if not text.isdigit():
        raise bad_request(f"[id] Given data ({text}) is not valid for type long")
    number = int(text)
    if number not in zone.records:
        raise no_such_object("id", text)
    return number, zone.records[number]


def _document(zone: DnsZone, number: int, record: DnsRecord) -> Json:
    return {
        "id": number,
        "zone": zone.name,
        "fieldType": record.type,
        "subDomain": record.subdomain,
        "target": record.target,
        "ttl": record.ttl,
    }


def _create(call: Call) -> Json:
    zone, body = _zone(call), call.body()
    kind, target = call.required("fieldType"), call.required("target")
    if kind not in _TYPES:
        raise bad_request(f"[fieldType] Given data ({kind}) is not valid for type domain.zone.RecordTypeEnum")
    subdomain = body.get("subDomain") or ""
    if not isinstance(subdomain, str) or not _LABELS.fullmatch(subdomain):
        raise bad_request(f"[subDomain] Given data ({subdomain}) is not valid for type string")
    number = call.world.next_id()
    zone.records[number] = DnsRecord(subdomain, kind, target, _ttl(body.get("ttl")))
    return _document(zone, number, zone.records[number])


def _edit(call: Call) -> None:
    zone, body = _zone(call), call.body()
    _, record = _one(call, zone)
    if "subDomain" in body:
        record.subdomain = body["subDomain"] or ""
    if "target" in body:
        record.target = call.required("target")
    if "ttl" in body:
        record.ttl = _ttl(body["ttl"])


def _ttl(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _delete(call: Call) -> None:
    zone = _zone(call)
    number, _ = _one(call, zone)
    del zone.records[number]


def _refresh(call: Call) -> None:
    zone = _zone(call)
    zone.publish(call.world.clock())


_Z: Final = "/domain/zone/{zoneName}"
_A: Final = "dnsZone:apiovh:"

ROUTES: Final = (
    Route("GET", "/domain/zone", _list, f"{_A}get"),
    Route("GET", _Z, _get, f"{_A}get"),
    Route("GET", f"{_Z}/record", _records, f"{_A}record/get"),
    Route("POST", f"{_Z}/record", _create, f"{_A}record/create"),
    Route("GET", f"{_Z}/record/{{id}}", _record, f"{_A}record/get"),
    Route("PUT", f"{_Z}/record/{{id}}", _edit, f"{_A}record/edit"),
    Route("DELETE", f"{_Z}/record/{{id}}", _delete, f"{_A}record/delete"),
    Route("POST", f"{_Z}/refresh", _refresh, f"{_A}refresh"),
)
