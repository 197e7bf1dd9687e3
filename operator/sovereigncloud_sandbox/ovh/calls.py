"""One API call: route, caller, the resources that the caller may use, query and body."""

import fnmatch
import ipaddress
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar
from urllib.parse import unquote

from multidict import MultiMapping

from sovereigncloud_sandbox.ovh.state import AccessRule, Grant, IpBlock, Resource, Server, Vrack
from sovereigncloud_sandbox.ovh.wire import Json, Reply, bad_request, no_such_service, no_such_url, refuse
from sovereigncloud_sandbox.ovh.world import World


@dataclass(frozen=True, slots=True)
class Caller:
    """Who was recognised. `method` is the word of ``GET /auth/details``; `grants` None: the account itself."""

    account: str
    method: str
    identity: str
    credential_id: int | None = None
    rules: tuple[AccessRule, ...] = ()
    grants: tuple[Grant, ...] | None = None

    def may(self, action: str, urn: str = "*") -> bool:
        """Whether IAM lets this caller do `action` on the resource; `*`: on any resource at all."""
        if self.grants is None:
            return True
        on = [grant for grant in self.grants if urn == "*" or _any(grant.resources, urn)]
        return any(_any(grant.allow, action) for grant in on) and not any(_any(grant.deny, action) for grant in on)

    def sees(self, urn: str) -> bool:
        """Whether any statement of its policies names the resource."""
        return self.grants is None or any(_any(grant.resources, urn) for grant in self.grants)


def _any(patterns: Iterable[str], text: str) -> bool:
    return any(fnmatch.fnmatchcase(text, pattern) for pattern in patterns)


class Owned(Protocol):
    """A service of an account."""

    account: str
    resource: Resource


Thing = TypeVar("Thing", bound=Owned)


@dataclass(frozen=True, slots=True)
class Call:
    """A call whose route and caller are known. `given` holds the parameters of the path, decoded."""

    world: World
    route: "Route"
    caller: Caller
    given: Mapping[str, str]
    query: MultiMapping[str]
    headers: Mapping[str, str]
    raw: bytes
    now: float  # the server's clock, which may be skewed

    def demand(self, action: str, urn: str = "*") -> None:
        """Refuse as IAM does unless the caller may.

        Raises:
            Refusal: 403 that names the missing action.
        """
        if not self.caller.may(action, urn):
            raise refuse(
                403,
                "Client::Forbidden",
                "User not granted for this request",
                unauthorizedActionsByAuthentication="",
                unauthorizedActionsByIAM=action,
            )

    def seen(self, things: Iterable[Thing]) -> list[Thing]:
        """Of these services the account's own that the caller may see, filtered by ``iamTags``."""
        self.demand(self.route.action)
        wanted = tag_filters(self.query.get("iamTags"))
        return [
            thing
            for thing in things
            if thing.account == self.caller.account
            and self.caller.may(self.route.action, thing.resource.urn)
            and tags_match(thing.resource.tags, wanted)
        ]

    def own(self, things: Mapping[str, Thing], name: str) -> Thing:
        """The account's own service of this name, which the caller may use for this route.

        Raises:
            Refusal: 404 (also for somebody else's), 403.
        """
        thing = things.get(name)
        if thing is None or thing.account != self.caller.account:
            raise no_such_service()
        self.demand(self.route.action, thing.resource.urn)
        return thing

    def server(self) -> Server:
        return self.own(self.world.state.servers, self.given["serviceName"])

    def vrack(self) -> Vrack:
        return self.own(self.world.state.vracks, self.given["serviceName"])

    def ip(self) -> IpBlock:
        return self.own(self.world.state.ips, canonical_block(self.given["ip"], "ip"))

    def body(self) -> Json:
        """The body as an object.

        Raises:
            Refusal: 400.
        """
        try:
            body = json.loads(self.raw or b"{}")
        except ValueError as error:
            raise bad_request(f"Invalid JSON received: {error}") from error
        if not isinstance(body, dict):
            raise bad_request("Invalid JSON received: an object is expected")
        return body

    def required(self, name: str) -> str:
        """A string of the body that must be there."""
        value = self.body().get(name)
        if value is None:
            raise bad_request(f"Missing parameter: [{name}]")
        if not isinstance(value, str):
            raise bad_request(f"[{name}] Given data ({json.dumps(value)}) is not valid for type string")
        return value


Handler = Callable[[Call], Reply | Any]


@dataclass(frozen=True, slots=True)
class Route:
    """An operation: where it is, what it needs, what it does. `path` is relative to the version."""

    method: str
    path: str
    handle: Handler
    action: str = ""
    version: str = "v1"
    public: bool = False

    @property
    def segments(self) -> tuple[str, ...]:
        return tuple(self.path.strip("/").split("/"))

    @property
    def literals(self) -> int:
        return sum(not segment.startswith("{") for segment in self.segments)


_PREFIXES = {"1.0": "v1", "v1": "v1", "v2": "v2"}


@dataclass(frozen=True, slots=True)
class Found:
    """A route and the parameters of the path it was found by. `logical` is the path without its version."""

    route: Route
    given: Mapping[str, str]
    logical: str


def find_route(routes: Sequence[Route], method: str, raw_path: str) -> Found:
    """The route of a path as it was sent, before any decoding: an encoded ``/`` is part of a parameter.

    Raises:
        Refusal: 404.
    """
    prefix, _, rest = raw_path.lstrip("/").partition("/")
    version, logical = _PREFIXES.get(prefix), "/" + rest
    parts = rest.split("/")
    best: Found | None = None
    for route in routes:
        if route.version != version or route.method != method or len(route.segments) != len(parts):
            continue
        given = _match(route.segments, parts)
        if given is not None and (best is None or route.literals > best.route.literals):
            best = Found(route, given, logical)
    if best is None:
        raise no_such_url()
    return best


def _match(segments: Sequence[str], parts: Sequence[str]) -> dict[str, str] | None:
    given: dict[str, str] = {}
    for segment, part in zip(segments, parts, strict=True):
        if segment.startswith("{"):
            if not part:
                return None
            given[segment[1:-1]] = unquote(part)
        elif segment != unquote(part):
            return None
    return given


def canonical_block(text: str, parameter: str) -> str:
    """An ``ipBlock`` as the API writes it; one address has a mask too.

    Raises:
        Refusal: 400, it is none.
    """
    try:
        return str(ipaddress.ip_network(text))
    except ValueError:
        raise bad_request(f"[{parameter}] Given data ({text}) is not valid for type ipBlock") from None


TagFilters = Mapping[str, Sequence[Mapping[str, Any]]]


def tag_filters(text: str | None) -> TagFilters:
    """The ``map[string][]iam.resource.TagFilter`` of a query, sent as JSON.

    Raises:
        Refusal: 400, it is not JSON of that shape; the Python client sends the repr of a dict if it is given one.
    """
    if not text:
        return {}
    try:
        filters = json.loads(text)
    except ValueError:
        filters = None
    if not isinstance(filters, dict) or not all(isinstance(one, list) for one in filters.values()):
        raise bad_request(f"[iamTags] Given data ({text}) is not valid for type map[string][]iam.resource.TagFilter")
    return filters


def tags_match(tags: Mapping[str, str], filters: TagFilters) -> bool:
    """Whether every filter holds."""
    return all(_tag_matches(tags.get(key), one) for key, wanted in filters.items() for one in wanted)


def _tag_matches(value: str | None, wanted: Mapping[str, Any]) -> bool:
    operator, text = wanted.get("operator") or "EQ", str(wanted.get("value", ""))
    match operator:
        case "EXISTS":
            return value is not None
        case "NEXISTS":
            return value is None
        case "NEQ":
            return value != text
        case "EQ":
            return value == text
        case "LIKE":
            return value is not None and like(text, value)
        case "ILIKE":
            return value is not None and like(text.lower(), value.lower())
        case _:
            raise bad_request(f"[operator] Given data ({operator}) is not valid for type OperatorEnum")


def like(pattern: str, text: str) -> bool:
    """SQL's LIKE with ``%``; without it, equality."""
    return re.fullmatch(".*".join(re.escape(part) for part in pattern.split("%")), text) is not None
