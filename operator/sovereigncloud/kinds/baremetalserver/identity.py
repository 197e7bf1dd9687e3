"""Identify the server of a BareMetalServer.

By service name, by ownership tags, by tag selector or by its order. The result is recorded in status and never
changes: tags that change later do not select another server. If the cluster is lost, the ownership tags on the server
give the same answer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from sovereigncloud.api import BareMetalServer
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.hosted import HostedServer
from sovereigncloud.api.ordering import TagSelector
from sovereigncloud.core.identity import Mark, find, mark_from_ovh
from sovereigncloud.core.outcome import Outcome, done, stalled
from sovereigncloud.core.plan import Action, Plan, Step
from sovereigncloud.ports.ovh.account import ServerSummary

SERVICE_FACT = "serviceName"
"""In `status.external`: the machine that it is."""

_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordIdentity(Step):
    """Record the service name in status before anything is done to the server."""

    name: str


@dataclass(frozen=True, slots=True)
class Identity:
    """The server that a BareMetalServer stands for.

    Attributes:
        name: its service name; empty: not known (yet).
        problem: why it cannot be determined.
    """

    name: str = ""
    problem: Outcome | None = None


UNKNOWN = Identity()


def service_name_of(resource: BareMetalServer) -> str:
    """Return the service name of the server; empty while it is not known."""
    declared = resource.spec.ovh.service_name if resource.spec.ovh else None
    return declared or resource.external.get(SERVICE_FACT) or resource.status.service_name or ""


def known_as(resource: BareMetalServer, name: str) -> BareMetalServer:
    """Return a copy of the resource with the service name recorded in its status."""
    if not name or service_name_of(resource) == name:
        return resource
    external = {**resource.external, SERVICE_FACT: name}
    return resource.model_copy(update={"status": resource.status.model_copy(update={"external": external})})


def hosted_service_name(server: HostedServer, child: BareMetalServer | None) -> str:
    """Return the service name of a server entry of a SovereignCloud, whose child may not exist yet."""
    return server.service_name or (service_name_of(child) if child is not None else "")


def plan_identity(resource: BareMetalServer, name: str) -> Plan:
    """Plan the recording of the service name.

    The name is recorded before any change, so that tags which match only for a moment select no server.
    """
    if service_name_of(resource) == name:
        return Plan()
    step = RecordIdentity(action=Action.UPDATE, target=f"status.serviceName to {name}", inside=True, name=name)
    return Plan(steps=(step,))


def recorded(step: RecordIdentity, object_name: str) -> Outcome:
    """Build the outcome that writes the service name to status; it must be visible before the next step."""
    found = done(Reason.SERVER_FOUND, f"{object_name} is server {step.name}", **{SERVICE_FACT: step.name})
    return replace(found, after=0.05)


def declared_identity(server: HostedServer) -> str:
    """Return a stable key of a server entry, built from spec alone.

    An approval to pay does not change it.
    """
    which = server.model_dump(mode="json", by_alias=True, exclude_none=True, include={"tag_selector", "order"})
    which.get("order", {}).pop("approval", None)
    which.get("order", {}).pop("credentialsSecretRef", None)
    return server.service_name or json.dumps(which, sort_keys=True)


def identify_server(resource: BareMetalServer, servers: Mapping[str, ServerSummary], mark: Mark) -> Identity:
    """Find the server in the account view, without an API call.

    In this order: by name or the record in status, by ownership tags, by tag selector.
    """
    ovh = resource.spec.ovh
    if ovh is None:
        return Identity()
    if known := service_name_of(resource):
        return Identity(known)
    marked = find(((mark_from_ovh(s.tags), s.service_name) for s in servers.values()), mark).candidates
    match marked:
        case (name,):
            return Identity(name)
        case (_, _, *_):
            return Identity(
                problem=_several("this object's mark", marked, "remove the tags of the operator from the others")
            )
        case _:
            pass
    return _by_tags(ovh.tag_selector, servers) if ovh.tag_selector is not None else Identity()


def _by_tags(selector: TagSelector, servers: Mapping[str, ServerSummary]) -> Identity:
    wanted = selector.match_tags.items()
    shown = ", ".join(f"{key}={value}" for key, value in sorted(wanted))
    names = tuple(sorted(name for name, s in servers.items() if wanted <= s.tags.items()))
    match names:
        case ():
            message = (
                f"no server of the account carries the tags {shown}, or the credential may not see it; tag the server, or"
                " make another BareMetalServer with the right ovh.tagSelector"
            )
            return Identity(problem=stalled(Reason.SERVER_NOT_FOUND, message, after=60.0))
        case (name,):
            return Identity(name)
        case _:
            return Identity(problem=_several(f"the tags {shown}", names, "leave them on one, or use ovh.serviceName"))


def _several(what: str, names: tuple[str, ...], remedy: str) -> Outcome:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    message = f"servers {', '.join(sorted(names)[:_NAMED])}{more} all carry {what}: {remedy}"
    return stalled(Reason.MULTIPLE_MATCHES, message, after=60.0)
