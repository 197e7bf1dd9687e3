"""What a cloud under construction waits for: its servers, its networks, its credentials, its version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from sovereigncloud.api import SovereignCloud
from sovereigncloud.api.common.base import Status
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.core.outcome import Outcome, blocked, waiting
from sovereigncloud.core.plan import Action, Drift, Plan, Step
from sovereigncloud.kinds.contract.controller import AnyResource
from sovereigncloud.kinds.endpoint.endpoint import generated_secret
from sovereigncloud.kinds.sovereigncloud.installation.plan import PATH, record_of
from sovereigncloud.kinds.sovereigncloud.observation import Observed

_LOOK_AGAIN = 15.0  # only in case the news of a child was missed


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerateCredentials(Step):
    name: str


def plan_credentials(cloud: SovereignCloud, observed: Observed) -> Plan:
    """The administrator's password and the installer's SSH key, before the servers are reinstalled with that key.

    Never once something was installed: the lost Secret of an installed cloud is not replaced.
    """
    hosted = cloud.spec.hosted
    if hosted is None or hosted.open_nebula.install is None or observed.credentials:
        return Plan()
    if record_of(cloud, observed.summaries) is not None:
        return Plan()  # told by the installation: CredentialsLost
    name = generated_secret(cloud)
    return Plan(steps=(GenerateCredentials(action=Action.CREATE, target=f"Secret {name}", inside=True, name=name),))


def is_ready(child: AnyResource) -> bool:
    """Whether a child's current generation is reality."""
    status: Status = child.status
    return status.observed_generation == child.metadata.generation and status.is_true("Ready")


def waiting_for_servers(cloud: SovereignCloud, observed: Observed) -> Plan:
    ovh = cloud.spec.hosted.ovh if cloud.spec.hosted else None
    names = [s.name for s in ovh.servers] if ovh else []
    return Plan(outcome=_unready(cloud, "server", names, observed.servers, Reason.WAITING_FOR_SERVERS))


def waiting_for_networks(cloud: SovereignCloud, observed: Observed) -> Plan:
    names = [n.name for n in (cloud.spec.hosted.networks if cloud.spec.hosted else None) or ()]
    return Plan(outcome=_unready(cloud, "network", names, observed.networks, Reason.WAITING_FOR_NETWORKS))


def _unready(
    cloud: SovereignCloud, what: str, names: list[str], children: Mapping[str, AnyResource], reason: Reason
) -> Outcome:
    """The first that is not ready, in its own words. One that needs a person blocks; the others are on their way."""
    unready = [n for n in names if n not in children or not is_ready(children[n])]
    if not unready:
        return Outcome()
    stuck = [n for n in unready if n in children and children[n].status.is_true("Stalled")]
    first = (stuck or unready)[0]
    more = f" (and {len(unready) - 1} more)" if len(unready) > 1 else ""
    message = f"{what} {first}{more}: {_says(children.get(first))}"
    if stuck:
        return replace(blocked(message), after=30.0, available=cloud.settled)
    return waiting(reason, message, after=_LOOK_AGAIN, available=cloud.settled)


def _says(child: AnyResource | None) -> str:
    if child is None:
        return "being created"
    if child.deleting:
        return "is being deleted although spec lists it"
    condition = child.status.condition("Stalled") or child.status.condition("Ready")
    if condition is None:
        return "not looked at yet"
    return f"{condition.reason}: {condition.message}" if condition.message else condition.reason


def plan_version(cloud: SovereignCloud, observed: Observed) -> Plan:
    """Another version than declared is told: there is no upgrade yet, so nothing is done about it."""
    install = cloud.spec.hosted.open_nebula.install if cloud.spec.hosted else None
    if install is None or observed.front is None:
        return Plan()
    found = observed.front.version
    if not found or found == install.version or found.startswith(f"{install.version}."):
        return Plan()
    return Plan(drift=(Drift(f"{PATH}.version", install.version, found, mendable=False),))
