"""ProviderProfile: checked, dates looked after, users counted. Nothing outside belongs to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.providerprofile import ProviderProfile
from sovereigncloud.core.outcome import DONE, Outcome, stalled
from sovereigncloud.core.plan import Plan, Step
from sovereigncloud.kinds.contract.controller import Context, Uses
from sovereigncloud.kinds.planning.schedule import until_tomorrow
from sovereigncloud.sovereignty.certification import SOON
from sovereigncloud.sovereignty.countries import why_no_country
from sovereigncloud.sovereignty.rules import day_of

_TOLD = 5


@dataclass(frozen=True, slots=True)
class ProfileObservation:
    """Attributes:
    today: the day that dates are compared with.
    used_by: how many SovereignClouds name it.
    """

    today: date
    used_by: int


class ProviderProfileController:
    """Reads nothing but the store."""

    resource = ProviderProfile

    def uses(self, resource: ProviderProfile) -> Uses:  # noqa: ARG002  part of the seam
        return Uses()

    async def observe(self, resource: ProviderProfile, context: Context) -> ProfileObservation:
        clouds = context.users(resource.key, "SovereignCloud")
        return ProfileObservation(context.now.astimezone(UTC).date(), sum(1 for _ in clouds))

    def plan(self, resource: ProviderProfile, observed: ProfileObservation, now: datetime) -> Plan:
        if resource.deleting:
            return Plan()
        outcome = _wrong(resource)
        dated = any(until for _, until in _dated(resource))
        return Plan(
            outcome=replace(outcome or _said(resource, observed.today), after=until_tomorrow(now) if dated else None)
        )

    async def perform(self, step: Step, resource: ProviderProfile, context: Context) -> Outcome:
        raise NotImplementedError(f"{resource.key} has no step {step} in {context}")

    def status(self, resource: ProviderProfile, observed: ProfileObservation) -> Mapping[str, object]:
        return {
            "usedBy": observed.used_by,
            "expired": list(_expired(resource, observed.today)) or None,
            "expiring": list(_expiring(resource, observed.today)) or None,
        }


def _dated(resource: ProviderProfile) -> Iterator[tuple[str, str | None]]:
    for certificate in resource.spec.certifications or ():
        yield certificate.scheme, certificate.valid_until
    for datacenter in resource.spec.datacenters or ():
        yield datacenter.name, datacenter.valid_until


def _expired(resource: ProviderProfile, today: date) -> tuple[str, ...]:
    return tuple(dict.fromkeys(what for what, until in _dated(resource) if (day := day_of(until)) and day < today))


def _expiring(resource: ProviderProfile, today: date) -> tuple[str, ...]:
    found = (what for what, until in _dated(resource) if (day := day_of(until)) and today <= day <= today + SOON)
    return tuple(dict.fromkeys(found))


def _said(resource: ProviderProfile, today: date) -> Outcome:
    """It is ready also with dates that passed: what that means, the policies say of those that it is about."""
    expired, expiring = _expired(resource, today), _expiring(resource, today)
    if expired:
        told = f"the last day of {_listed(expired)} has passed: enter what came after it, or take it out"
        return replace(DONE, reason=Reason.CERTIFICATE_EXPIRED, message=told)
    if expiring:
        told = f"{_listed(expiring)} ends within {SOON.days} days: enter what comes after it"
        return replace(DONE, reason=Reason.CERTIFICATE_EXPIRING, message=told)
    return DONE


def _wrong(resource: ProviderProfile) -> Outcome | None:
    """What the API server does not see: codes that are no country's, days that no calendar has."""
    spec = resource.spec
    places = [("spec.legalEntity.country", spec.legal_entity.country)]
    if spec.ultimate_parent is not None:
        places.append(("spec.ultimateParent.country", spec.ultimate_parent.country))
    places += [(f"spec.foreignAffiliates[{one.name}].country", one.country) for one in spec.foreign_affiliates or ()]
    places += [(f"spec.datacenters[{one.name}].country", one.country) for one in spec.datacenters or ()]
    problems = [f"{path}: {why}" for path, code in places if (why := _no_country(code))]
    problems += [
        f"validUntil of {what}: {until} is no day of the calendar"
        for what, until in _dated(resource)
        if until and day_of(until) is None
    ]
    return stalled(Reason.INVALID_SPEC, "; ".join(problems[:_TOLD])) if problems else None


def _no_country(code: str) -> str:
    return f"{code} is a group of countries: write the country" if code == "EU" else why_no_country(code)


def _listed(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _TOLD} more" if len(names) > _TOLD else ""
    return ", ".join(names[:_TOLD]) + more
