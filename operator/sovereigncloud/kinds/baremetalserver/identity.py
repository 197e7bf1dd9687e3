"""Which machine a BareMetalServer is: the one that spec names, the one that its tags single out, the one that was delivered.

What was found once is written to status and stays: tags that change later never make it another machine. After the cluster
was lost the mark on the machine says the same.
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
    """Writes to status which machine it is, before anything is done to it."""

    name: str


@dataclass(frozen=True, slots=True)
class Identity:
    """Which machine it is.

    Attributes:
        name: its service name; empty: not known (yet).
        problem: why it cannot be known.
    """

    name: str = ""
    problem: Outcome | None = None


UNKNOWN = Identity()


def service_name_of(resource: BareMetalServer) -> str:
    """The service name that every reader uses; empty while it is not known."""
    declared = resource.spec.ovh.service_name if resource.spec.ovh else None
    return declared or resource.external.get(SERVICE_FACT) or resource.status.service_name or ""


def known_as(resource: BareMetalServer, name: str) -> BareMetalServer:
    """The object as it is once status says which machine it is."""
    if not name or service_name_of(resource) == name:
        return resource
    external = {**resource.external, SERVICE_FACT: name}
    return resource.model_copy(update={"status": resource.status.model_copy(update={"external": external})})


def hosted_service_name(server: HostedServer, child: BareMetalServer | None) -> str:
    """The same for an entry of a cloud, whose child may not be there yet."""
    return server.service_name or (service_name_of(child) if child is not None else "")


def plan_identity(resource: BareMetalServer, name: str) -> Plan:
    """What was found or delivered is written down first: nothing is done to a machine that only a moment's tags name."""
    if service_name_of(resource) == name:
        return Plan()
    step = RecordIdentity(action=Action.UPDATE, target=f"status.serviceName to {name}", inside=True, name=name)
    return Plan(steps=(step,))


def recorded(step: RecordIdentity, object_name: str) -> Outcome:
    """The fact for status, which must be seen before the next step."""
    found = done(Reason.SERVER_FOUND, f"{object_name} is server {step.name}", **{SERVICE_FACT: step.name})
    return replace(found, after=0.05)


def declared_identity(server: HostedServer) -> str:
    """Names the machine by what spec says of it and nothing observed; an approval to pay does not make it another."""
    which = server.model_dump(mode="json", by_alias=True, exclude_none=True, include={"tag_selector", "order"})
    which.get("order", {}).pop("approval", None)
    which.get("order", {}).pop("credentialsSecretRef", None)
    return server.service_name or json.dumps(which, sort_keys=True)


def identify_server(resource: BareMetalServer, servers: Mapping[str, ServerSummary], mark: Mark) -> Identity:
    """The machine in the account, without any call: by name, as recorded, by mark, by its tags."""
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
