"""``/auth``, ``/me``, ``/services``, ``/v2/iam`` and ``/v2/location``: the customer, its rights, names and tags."""

import base64
import json
import re
from collections.abc import Sequence
from typing import Any, Final

from sovereigncloud_sandbox.ovh.calls import Call, Route, tag_filters, tags_match
from sovereigncloud_sandbox.ovh.catalogue import REGIONS
from sovereigncloud_sandbox.ovh.state import Account, Resource, Server, Vrack
from sovereigncloud_sandbox.ovh.wire import Json, Reply, bad_request, no_such_object, refuse, timestamp

_TAG_KEY: Final = re.compile(r"[a-zA-Z0-9_.:/=+@-]{1,128}")
_TAG_VALUE_LIMIT: Final = 256
_PAGE: Final = 50  # the real default is not documented; a small one makes clients follow the cursor


# -- /auth, /me


def _time(call: Call) -> int:
    return int(call.now)


def _details(call: Call) -> Json:
    caller = call.caller
    rules = [{"method": rule.method, "path": rule.path} for rule in caller.rules]
    return {
        "account": caller.account,
        "allowedRoutes": rules or None,
        "description": None,
        "identities": [caller.identity],
        "method": caller.method,
        "roles": None,
        "user": None,
    }


def _current_credential(call: Call) -> Json:
    for key in call.world.state.application_keys:
        if key.credential_id == call.caller.credential_id:
            return {
                "allowedIPs": None,
                "applicationId": key.application_id,
                "creation": timestamp(key.created),
                "credentialId": key.credential_id,
                "expiration": None if key.expires is None else timestamp(key.expires),
                "lastUse": timestamp(call.now),
                "ovhSupport": False,
                "rules": [{"method": rule.method, "path": rule.path} for rule in key.rules],
                "status": key.status,
            }
    # A service account has no such credential (python-ovh issue 141); the answer's wording is invented.
    raise refuse(404, "Client::NotFound", "No credential found for this authentication")


def _account(call: Call) -> Account:
    return next(one for one in call.world.state.accounts if one.nichandle == call.caller.account)


def _me(call: Call) -> Json:
    call.demand(call.route.action)
    account = _account(call)
    empty = (
        "area",
        "birthCity",
        "birthDay",
        "companyNationalIdentificationNumber",
        "complementaryAddress",
        "corporationType",
        "fax",
        "italianSDI",
        "nationalIdentificationNumber",
        "phoneType",
        "purposeOfPurchase",
        "sex",
        "spareEmail",
        "vat",
    )
    return {
        **dict.fromkeys(empty, None),
        "address": "1 rue de l'Exemple",
        "city": "Roubaix",
        "country": account.country,
        "currency": {"code": "EUR", "symbol": "€"},
        "customerCode": "0000-0000-00",
        "email": f"{account.nichandle}@example.org",
        "firstname": "Example",
        "kycValidated": True,
        "language": "fr_FR",
        "legalform": "corporation",
        "name": "Example",
        "nichandle": account.nichandle,
        "organisation": account.organisation,
        "ovhCompany": "ovh",
        "ovhSubsidiary": account.subsidiary,
        "phone": "+33.100000000",
        "phoneCountry": account.country,
        "state": "complete",
        "zip": "59100",
    }


# -- /services: where a display name is changed


def _services(call: Call) -> list[int]:
    call.demand(call.route.action)
    name, routes = call.query.get("resourceName"), call.query.get("routes")
    return [
        thing.service_id
        for thing in _named_services(call)
        if name in (None, thing.name) and (routes is None or _route_path(thing) in routes.split(","))
    ]


def _named_services(call: Call) -> list[Server | Vrack]:
    state = call.world.state
    things: list[Server | Vrack] = [*state.servers.values(), *state.vracks.values()]
    return [thing for thing in things if thing.account == call.caller.account]


def _route_path(thing: Server | Vrack) -> str:
    return "/vrack/{serviceName}" if isinstance(thing, Vrack) else "/dedicated/server/{serviceName}"


def _one_service(call: Call) -> Server | Vrack:
    call.demand(call.route.action)
    for thing in _named_services(call):
        if str(thing.service_id) == call.given["serviceId"]:
            return thing
    raise no_such_object("serviceId", call.given["serviceId"])


def _service(call: Call) -> Json:
    thing = _one_service(call)
    path = _route_path(thing)
    expires = timestamp(thing.expires)
    contacts = [{"customerCode": thing.account, "type": kind} for kind in ("administrator", "billing", "technical")]
    return {
        "billing": {
            "engagement": None,
            "engagementRequest": None,
            "expirationDate": expires,
            "group": None,
            "lifecycle": {
                "capacities": {"actions": ["terminateAtExpirationDate"]},
                "current": {
                    "creationDate": timestamp(thing.created),
                    "pendingActions": [],
                    "state": "active",
                    "terminationDate": None,
                },
            },
            "nextBillingDate": expires,
            "plan": {"code": "24scale01", "invoiceName": "SCALE-i1"},
            "pricing": None,
            "renew": {
                "capacities": {"mode": ["automatic", "manual"]},
                "current": {"mode": "automatic", "nextDate": expires, "period": "P1M"},
            },
        },
        "customer": {"contacts": contacts},
        "parentServiceId": None,
        "resource": {
            "displayName": thing.resource.display_name,
            "name": thing.name,
            "product": {"description": thing.resource.type, "name": thing.resource.type},
            "resellingProvider": None,
            "state": "active",
        },
        "route": {
            "path": path,
            "url": path.replace("{serviceName}", thing.name),
            "vars": [{"key": "serviceName", "value": thing.name}],
        },
        "serviceId": thing.service_id,
        "tags": [],
    }


def _edit_service(call: Call) -> None:
    thing, body = _one_service(call), call.body()
    name = body.get("displayName")
    if name is not None:
        if not isinstance(name, str):
            raise bad_request(f"[displayName] Given data ({name}) is not valid for type string")
        call.world.rename(thing.resource.urn, name)


# -- /v2/iam


def _resource_document(account: str, resource: Resource) -> Json:
    return {
        "displayName": resource.display_name,
        "id": resource.id,
        "name": resource.name,
        "owner": account,
        "tags": dict(resource.tags),
        "type": resource.type,
        "urn": resource.urn,
    }


def _mine(call: Call) -> list[tuple[str, Resource]]:
    return [
        (account, resource)
        for account, resource in call.world.resources()
        if account == call.caller.account and call.caller.sees(resource.urn)
    ]


def _resources(call: Call) -> Reply:
    query, wanted = call.query, tag_filters(call.query.get("tags"))
    found = [
        _resource_document(account, resource)
        for account, resource in sorted(_mine(call), key=lambda one: one[1].urn)
        if resource.urn in query.getall("resourceURN", [resource.urn])
        and resource.name in query.getall("resourceName", [resource.name])
        and resource.type in query.getall("resourceType", [resource.type])
        and tags_match(resource.tags, wanted)
    ]
    return _page(call, found)


def _page(call: Call, found: Sequence[Any]) -> Reply:
    """One page; the cursor is opaque, as the real one."""
    size_text, cursor = call.headers.get("X-Pagination-Size"), call.headers.get("X-Pagination-Cursor")
    try:
        size = int(size_text) if size_text else _PAGE
        start = int(json.loads(base64.urlsafe_b64decode(cursor))["at"]) if cursor else 0
    except (ValueError, KeyError, TypeError):
        raise bad_request("Invalid pagination headers") from None
    headers = {"X-Pagination-Size": str(size)}
    if cursor:
        headers["X-Pagination-Cursor"] = cursor
    if start + size < len(found):
        after = json.dumps({"at": start + size}).encode()
        headers["X-Pagination-Cursor-Next"] = base64.urlsafe_b64encode(after).decode()
    return Reply(list(found[start : start + size]), headers=headers)


def _one_resource(call: Call) -> tuple[str, Resource]:
    for account, resource in _mine(call):
        if resource.urn == call.given["resourceURN"]:
            return account, resource
    raise refuse(404, "Client::NotFound", f"Resource {call.given['resourceURN']} not found")


def _resource(call: Call) -> Json:
    return _resource_document(*_one_resource(call))


def _add_tag(call: Call) -> None:
    _, resource = _one_resource(call)
    call.demand(call.route.action, resource.urn)
    key, value = call.required("key"), call.required("value")
    if not _TAG_KEY.fullmatch(key) or key.startswith("ovh:"):
        raise bad_request(f"Invalid tag key {key}")
    if len(value) > _TAG_VALUE_LIMIT:
        raise bad_request(f"Tag value is longer than {_TAG_VALUE_LIMIT} characters")
    resource.tags[key] = value


def _remove_tag(call: Call) -> None:
    _, resource = _one_resource(call)
    call.demand(call.route.action, resource.urn)
    if resource.tags.pop(call.given["key"], None) is None:
        raise refuse(404, "Client::NotFound", f"Tag {call.given['key']} not found")


def _check(call: Call) -> Reply:
    body = call.body()
    urns, actions = body.get("resourceURNs"), body.get("actions")
    if not isinstance(urns, list) or not isinstance(actions, list):
        raise bad_request("Missing parameter: [resourceURNs] or [actions]")
    owned = {resource.urn for account, resource in call.world.resources() if account == call.caller.account}
    owned.add(f"urn:v1:eu:resource:account:{call.caller.account}")
    answer: list[Json] = []
    for urn in urns:
        allowed = [action for action in actions if urn in owned and call.caller.may(action, urn)]
        refused = [action for action in actions if action not in allowed]
        answer.append({"resourceURN": urn, "authorizedActions": allowed, "unauthorizedActions": refused})
    return _page(call, answer)


# -- /v2/location


def _locations(call: Call) -> Reply:
    fields = ("cityCode", "cityName", "code", "countryCode", "countryName", "geographyCode", "geographyName")
    exact = {field: call.query[field] for field in (*fields, "name", "specificType", "type") if field in call.query}
    zone = call.query.get("availabilityZone")
    found = [region.location() for region in REGIONS.values()]
    return _page(
        call,
        [
            one
            for one in found
            if all(one[field] == value for field, value in exact.items())
            and (zone is None or zone in one["availabilityZones"])
        ],
    )


def _location(call: Call) -> Json:
    region = REGIONS.get(call.given["name"])
    if region is None:
        raise refuse(404, "Client::NotFound", f"Location {call.given['name']} not found")
    return region.location()


_SERVICES: Final = "account:apiovh:services/"
_TAGS: Final = "account:apiovh:iam/resource/tag/"

ROUTES: Final = (
    Route("GET", "/auth/time", _time, public=True),
    Route("GET", "/auth/details", _details),
    Route("GET", "/auth/currentCredential", _current_credential),
    Route("GET", "/me", _me, "account:apiovh:me/get"),
    Route("GET", "/services", _services, f"{_SERVICES}get"),
    Route("GET", "/services/{serviceId}", _service, f"{_SERVICES}get"),
    Route("PUT", "/services/{serviceId}", _edit_service, f"{_SERVICES}edit"),
    Route("GET", "/iam/resource", _resources, version="v2"),
    Route("GET", "/iam/resource/{resourceURN}", _resource, version="v2"),
    Route("POST", "/iam/resource/{resourceURN}/tag", _add_tag, f"{_TAGS}add", version="v2"),
    Route("DELETE", "/iam/resource/{resourceURN}/tag/{key}", _remove_tag, f"{_TAGS}remove", version="v2"),
    Route("POST", "/iam/authorization/check", _check, version="v2"),
    Route("GET", "/location", _locations, version="v2"),
    Route("GET", "/location/{name}", _location, version="v2"),
)
