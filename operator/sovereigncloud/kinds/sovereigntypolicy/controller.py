"""SovereigntyPolicy: what it allows now, for the API server to read, and its bindings there. Nothing outside belongs to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from sovereigncloud.api import HostedInstance, ProviderProfile, SovereignCloud
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.sovereigntypolicy import Enforcement, SovereigntyPolicy
from sovereigncloud.core.outcome import DONE, Outcome, done, stalled
from sovereigncloud.core.plan import Action, Plan, Step
from sovereigncloud.kinds.contract.controller import OWN_CONDITIONS, Context, Uses
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.location.facts import clusters_of, facts_of_cluster
from sovereigncloud.kinds.sovereigncloud.location.observation import profile_of
from sovereigncloud.kinds.sovereigntypolicy.admission import (
    ADMISSION_POLICIES,
    Json,
    bindings_of,
    is_as_wanted,
    name_of,
)
from sovereigncloud.kinds.sovereigntypolicy.validation import why_unusable
from sovereigncloud.sovereignty.evaluation import Verdict, evaluate
from sovereigncloud.sovereignty.rules import Rules, rules_of, together
from sovereigncloud.sovereignty.verdict import Judged

SATISFIABLE = "Satisfiable"
_LOOK_AGAIN = 120.0
"""Seconds until the bindings are looked at again: nobody tells of what became of them."""
_MOST = 256
_MACHINE = HostedInstance.crd.kind


@dataclass(frozen=True, slots=True)
class PolicyObservation:
    """What there is.

    Attributes:
        rules: what it asks for today.
        clouds: each SovereignCloud with the profile that it names.
        judged: what it binds, with what became of that.
        beside: each set of policies, this one among them, that bind together somewhere.
        wanted: bindings, by the ValidatingAdmissionPolicy.
        found: those that are there.
        installed: the ValidatingAdmissionPolicies that are there.
    """

    rules: Rules
    clouds: tuple[tuple[SovereignCloud, ProviderProfile | None], ...]
    judged: tuple[Judged, ...]
    beside: tuple[tuple[Rules, ...], ...]
    wanted: Mapping[str, Json]
    found: Mapping[str, Json]
    installed: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PutBinding(Step):
    binding: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteBinding(Step):
    name: str


class SovereigntyPolicyController:
    """Writes ValidatingAdmissionPolicyBindings."""

    resource = SovereigntyPolicy

    def uses(self, resource: SovereigntyPolicy) -> Uses:  # noqa: ARG002  part of the seam
        return Uses()

    async def observe(self, resource: SovereigntyPolicy, context: Context) -> PolicyObservation:
        name, admission = resource.metadata.name, context.kubernetes.admission
        clouds = (c for c in context.everything(SovereignCloud.crd.kind) if isinstance(c, SovereignCloud))
        found, installed = dict[str, Json](), set[str]()
        for to in ADMISSION_POLICIES:
            if (binding := await admission.binding(name_of(name, to))) is not None:
                found[to] = dict(binding)
            if await admission.installed(to):
                installed.add(to)
        return PolicyObservation(
            rules=rules_of(resource, context.now),
            clouds=tuple((c, profile_of(c, context)) for c in clouds if not c.deleting),
            judged=context.judged(name),
            beside=context.beside(name),
            wanted=bindings_of(resource, context.mark(resource).installation),
            found=found,
            installed=frozenset(installed),
        )

    def plan(self, resource: SovereigntyPolicy, observed: PolicyObservation, now: datetime) -> Plan:  # noqa: ARG002  part of the seam
        steps = tuple(_steps(observed))
        if resource.deleting:
            return Plan(steps=steps)
        wrong = why_unusable(resource)
        outcome = stalled(Reason.INVALID_SPEC, wrong) if wrong else _said(resource, observed)
        return Plan(steps=steps, outcome=replace(outcome, after=_LOOK_AGAIN))

    async def perform(self, step: Step, resource: SovereigntyPolicy, context: Context) -> Outcome:
        match step:
            case PutBinding():
                await context.kubernetes.admission.put_binding(step.binding)
            case DeleteBinding():
                await context.kubernetes.admission.delete_binding(step.name)
            case _:
                raise NotImplementedError(f"{resource.key} has no step {step}")
        return done()

    def status(self, resource: SovereigntyPolicy, observed: PolicyObservation) -> Mapping[str, object]:
        rules = observed.rules
        allowed = _allowed(observed)
        met = sum(1 for one in observed.judged if one.compliant == "True")
        return {
            "effectiveCountries": sorted(rules.countries)[:_MOST] if rules.countries is not None else None,
            "allowedClouds": allowed[:_MOST],
            "heldClouds": _held(resource, observed)[:_MOST] or None,
            "liveExceptions": sorted({_excepted(e.namespace, e.name) for e in rules.live() if _gates(e.rule)}) or None,
            "enforcement": resource.spec.enforcement or Enforcement.AUDIT,
            "countries": ", ".join(rules.written_countries) or None,
            "clouds": f"{len(allowed)}/{len(observed.clouds)}",
            "compliant": f"{met}/{len(observed.judged)}" if observed.judged else None,
            OWN_CONDITIONS: [_satisfiable(observed)],
        }


# --- what is allowed -------------------------------------------------------------------------------------------------


def _allowed(observed: PolicyObservation) -> list[str]:
    """Clouds with at least one cluster that meets it, and those of which it says nothing. Without backups: where those may go
    depends on the store that a machine names.
    """
    return sorted(where(cloud.key) for cloud, profile in observed.clouds if _meets(cloud, profile, observed.rules))


def _meets(cloud: SovereignCloud, profile: ProviderProfile | None, rules: Rules) -> bool:
    if not rules.binding.binds_cloud(cloud.key):
        return True
    return any(_gates_open(rules, cloud, cluster, profile) for cluster in clusters_of(cloud))


def _gates_open(rules: Rules, cloud: SovereignCloud, cluster: str, profile: ProviderProfile | None) -> bool:
    facts = facts_of_cluster(cloud, cluster, profile, backups=())
    return all(r.verdict < Verdict.UNKNOWN for r in evaluate(rules, facts, namespace="", name="") if r.gates)


def _held(resource: SovereigntyPolicy, observed: PolicyObservation) -> list[str]:
    if not observed.rules.holds:
        return []
    name = resource.metadata.name
    return sorted({where(one.cloud) for one in observed.judged if name in one.broken and one.key.kind == _MACHINE})


def _excepted(namespace: str, name: str) -> str:
    return f"{namespace}/{name or '*'}"


def _gates(rule: str) -> bool:
    return not rule.startswith("exit.")


def _satisfiable(observed: PolicyObservation) -> dict[str, str]:
    """Whether anything is left where it binds together with others: of two that leave nothing both are named, of more all."""
    pairs = ((observed.rules, one) for group in observed.beside for one in group if one.policy != observed.rules.policy)
    for some in (*pairs, *observed.beside):
        what = _excluded(some)
        if what and len(some) > 1:
            return _conflict(some, what)
    return {
        "type": SATISFIABLE,
        "status": "True",
        "reason": Reason.POLICIES_AGREE,
        "message": "what this policy allows, others that bind the same do not exclude as a whole",
    }


def _excluded(some: tuple[Rules, ...]) -> str:
    """Of what they leave nothing; empty: something is left."""
    left = together(some)
    laws = [one.jurisdiction for one in some if one.jurisdiction is not None]
    if left is not None and not left:
        return "country"
    return "jurisdiction" if laws and not frozenset.intersection(*laws) else ""


def _conflict(some: tuple[Rules, ...], what: str) -> dict[str, str]:
    names = " and ".join(f"SovereigntyPolicy {one.policy}" for one in some)
    told = (
        f"{names} bind the same namespaces and clouds, and no {what} is allowed by all of them: nothing can be placed there until"
        " one of them is changed"
    )
    return {"type": SATISFIABLE, "status": "False", "reason": Reason.POLICY_CONFLICT, "message": told}


# --- bindings --------------------------------------------------------------------------------------------------------


def _steps(observed: PolicyObservation) -> Iterable[Step]:
    for to, binding in observed.wanted.items():
        found = observed.found.get(to)
        # Without it the API server does not let it be bound to, and nothing would look at it.
        if to in observed.installed and (found is None or not is_as_wanted(found, binding)):
            name = str(binding["metadata"]["name"])
            yield PutBinding(action=Action.UPDATE, target=f"ValidatingAdmissionPolicyBinding {name}", binding=binding)
    for to, found in observed.found.items():
        if to not in observed.wanted:
            name = str(found["metadata"]["name"])
            yield DeleteBinding(action=Action.DELETE, target=f"ValidatingAdmissionPolicyBinding {name}", name=name)


def _said(resource: SovereigntyPolicy, observed: PolicyObservation) -> Outcome:
    missing = sorted(to for to in observed.wanted if to not in observed.installed)
    if not missing:
        return DONE
    lacks = f"there is no ValidatingAdmissionPolicy {', '.join(missing)}: install the chart with policies.enforce=true"
    if resource.spec.enforcement is not Enforcement.ENFORCE:
        return replace(
            DONE, reason=Reason.ADMISSION_MISSING, message=f"kubectl warns of nothing at apply, since {lacks}"
        )
    return stalled(
        Reason.ADMISSION_MISSING,
        f"the API server refuses nothing, since {lacks}. Nothing is placed where it would break the policy all the same",
    )
