"""A SovereigntyPolicy as it is judged by: groups of countries expanded, dates compared with today. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.sovereigntypolicy import (
    CertificateScope,
    CertificationDemand,
    Enforcement,
    ExitDemand,
    ForeignAffiliates,
    OnViolation,
    SovereigntyPolicy,
)
from sovereigncloud.core.quantity import seconds
from sovereigncloud.sovereignty.binding import EVERYTHING, Binding, binding_of
from sovereigncloud.sovereignty.countries import expanded
from sovereigncloud.sovereignty.facts import Grade, Part


@dataclass(frozen=True, slots=True)
class Demand:
    """One of these certificates is asked for.

    Attributes:
        per_datacenter: it must list each datacenter in which something is; else it is enough that the provider has it.
    """

    any_of: tuple[str, ...]
    per_datacenter: bool = True
    min_grade: Grade = Grade.DECLARED

    @property
    def rule(self) -> str:
        return f"certification.{'|'.join(self.any_of)}"


@dataclass(frozen=True, slots=True)
class Dispensation:
    """An exception that was written down.

    Attributes:
        name: empty: each object of the namespace.
        expires: the last day on which it holds.
    """

    rule: str
    namespace: str
    name: str
    approved_by: str
    expires: date

    def names(self, rule: str, namespace: str, name: str) -> bool:
        return self.rule == rule and self.namespace == namespace and self.name in {"", name}


@dataclass(frozen=True, slots=True)
class Rules:
    """What one policy asks for, today.

    Attributes:
        countries: in which things may be; None: anywhere.
        covers: what must be there.
        jurisdiction: countries under whose law the provider may be; None: any.
        rehearsal_max_age: how long ago the last rehearsal of an exit may be; None: none is asked for.
        exit_max_duration: seconds that leaving may take, as the rehearsal showed; None: as long as it takes.
        today: the day that dates are compared with. A comparison that rests on these rules rests on no clock.
        held: clouds in which nothing new of the bound namespaces is placed.
    """

    policy: str
    today: date
    binding: Binding = EVERYTHING
    enforced: bool = False
    on_violation: OnViolation = OnViolation.REPORT
    countries: frozenset[str] | None = None
    written_countries: tuple[str, ...] = ()
    covers: frozenset[Part] = frozenset(Part)
    min_grade: Grade = Grade.DECLARED
    jurisdiction: frozenset[str] | None = None
    written_jurisdiction: tuple[str, ...] = ()
    affiliates: ForeignAffiliates = ForeignAffiliates.DISCLOSE
    demands: tuple[Demand, ...] = ()
    rehearsal_max_age: timedelta | None = None
    exit_max_duration: float | None = None
    exceptions: tuple[Dispensation, ...] = ()
    held: frozenset[Key] = frozenset()

    @property
    def holds(self) -> bool:
        """Whether a cloud in which it is broken takes nothing new of the bound namespaces."""
        return self.enforced and self.on_violation is not OnViolation.REPORT

    @property
    def relocates(self) -> bool:
        return self.enforced and self.on_violation is OnViolation.RELOCATE

    def live(self) -> tuple[Dispensation, ...]:
        """The exceptions that hold today."""
        return tuple(e for e in self.exceptions if self.today <= e.expires)


def rules_of(policy: SovereigntyPolicy, now: datetime) -> Rules:
    """What the policy asks for at this time. Days are those of UTC."""
    spec = policy.spec
    rules = Rules(
        policy=policy.metadata.name,
        today=now.astimezone(UTC).date(),
        binding=binding_of(spec.applies_to),
        enforced=spec.enforcement is Enforcement.ENFORCE,
        on_violation=spec.on_violation or OnViolation.REPORT,
        demands=tuple(map(_demand, spec.certifications or ())),
        rehearsal_max_age=_longest(spec.exit),
        exit_max_duration=seconds(spec.exit.max_duration) if spec.exit and spec.exit.max_duration else None,
        exceptions=tuple(
            Dispensation(e.rule, e.namespace, e.name or "", e.approved_by, day)
            for e in spec.exceptions or ()
            if (day := day_of(e.expires))
        ),
        held=frozenset(map(cloud_of, policy.status.held_clouds or ())),
    )
    if (residency := spec.residency) is not None:
        rules = replace(
            rules,
            countries=expanded(residency.allowed_countries),
            written_countries=tuple(residency.allowed_countries),
            covers=frozenset(Part(part) for part in residency.covers) if residency.covers else frozenset(Part),
            min_grade=Grade.of(residency.min_grade),
        )
    if (jurisdiction := spec.jurisdiction) is not None:
        rules = replace(
            rules,
            jurisdiction=expanded(jurisdiction.allowed),
            written_jurisdiction=tuple(jurisdiction.allowed),
            affiliates=jurisdiction.foreign_affiliates or ForeignAffiliates.DISCLOSE,
        )
    return rules


def _demand(written: CertificationDemand) -> Demand:
    return Demand(tuple(written.any_of), written.scope is not CertificateScope.PROVIDER, Grade.of(written.min_grade))


def rules_of_demands(policy: SovereigntyPolicy) -> tuple[str, ...]:
    """The names of its rules about certificates."""
    return tuple(_demand(one).rule for one in policy.spec.certifications or ())


def _longest(demand: ExitDemand | None) -> timedelta | None:
    age = demand.rehearsal_max_age if demand is not None else None
    return timedelta(seconds=seconds(age)) if age is not None else None


def day_of(text: str | None) -> date | None:
    """A day as people write it; None for none, and for one that no calendar has, such as 30 February."""
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        return None


def cloud_of(text: str) -> Key:
    """The cloud that namespace/name stands for."""
    namespace, _, name = text.partition("/")
    return Key("SovereignCloud", namespace, name)


def together(rules: Iterable[Rules]) -> frozenset[str] | None:
    """The countries that all of them allow; None: anywhere."""
    found = [one.countries for one in rules if one.countries is not None]
    return frozenset.intersection(*found) if found else None
