"""SovereigntyPolicy controller: effective rules in status, and admission bindings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from sovereigncloud.api import HostedInstance, ProviderProfile, SovereignCloud
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.sovereigntypolicy import Enforcement, SovereigntyPolicy
from sovereigncloud.core.outcome import DONE, Outcome, done, stalled
from sovereigncloud.core.plan import Action, Plan, Step
from sovereigncloud.kinds.contract.cloud_keys import where
from sovereigncloud.kinds.contract.controller import OWN_CONDITIONS, Context, Uses
from sovereigncloud.kinds.location.facts import clusters_of, facts_of_cluster, profile_of
from sovereigncloud.kinds.sovereigntypolicy.admission import Json, binding_name, desired_bindings, matches
from sovereigncloud.kinds.sovereigntypolicy.validation import find_spec_problems
from sovereigncloud.ports.admission import ADMISSION_POLICIES
from sovereigncloud.sovereignty.evaluation import Verdict, evaluate
from sovereigncloud.sovereignty.rules import Rules, rules_of, together
from sovereigncloud.sovereignty.verdict import Judged

SATISFIABLE = "Satisfiable"
_LOOK_AGAIN = 120.0
"""Seconds between checks of the bindings, which the operator does not watch."""
_MOST = 256
_MACHINE = HostedInstance.crd.kind


@dataclass(frozen=True, slots=True)
class PolicyObservation:
    """The inputs of a SovereigntyPolicy's plan and status.

    Attributes:
        rules: its effective rules today.
        clouds: each SovereignCloud with its ProviderProfile.
        judged: the objects that it binds, with their verdicts.
        beside: each set of policies, this one among them, that bind the same namespace and cloud.
        wanted: the desired bindings, by ValidatingAdmissionPolicy.
        found: the existing bindings.
        installed: the ValidatingAdmissionPolicies that exist.
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
    """Create or update a ValidatingAdmissionPolicyBinding."""

    binding: Json


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteBinding(Step):
    """Delete a ValidatingAdmissionPolicyBinding."""

    name: str


class SovereigntyPolicyController:
    """Reconcile SovereigntyPolicy resources."""

    resource = SovereigntyPolicy

    def uses(self, resource: SovereigntyPolicy) -> Uses:  # noqa: ARG002  part of the Controller protocol
        return Uses()

    async def observe(self, resource: SovereigntyPolicy, context: Context) -> PolicyObservation:
        name, admission = resource.metadata.name, context.kubernetes.admission
        clouds = (c for c in context.everything(SovereignCloud.crd.kind) if isinstance(c, SovereignCloud))
        found, installed = dict[str, Json](), set[str]()
        for to in ADMISSION_POLICIES:
            if (binding := await admission.binding(binding_name(name, to))) is not None:
                found[to] = dict(binding)
            if await admission.installed(to):
                installed.add(to)
        return PolicyObservation(
            rules=rules_of(resource, context.now),
            clouds=tuple((c, profile_of(c, context)) for c in clouds if not c.deleting),
            judged=context.judged(name),
            beside=context.beside(name),
            wanted=desired_bindings(resource, context.mark(resource).installation),
            found=found,
            installed=frozenset(installed),
        )

    def plan(self, resource: SovereigntyPolicy, observed: PolicyObservation, now: datetime) -> Plan:  # noqa: ARG002  part of the Controller protocol
        steps = tuple(_steps(observed))
        if resource.deleting:
            return Plan(steps=steps)
        wrong = find_spec_problems(resource)
        outcome = stalled(Reason.INVALID_SPEC, wrong) if wrong else _admission_outcome(resource, observed)
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
    """List the allowed clouds: at least one cluster complies, or the policy does not bind the cloud.

    Backups are not evaluated: their location depends on the store that an instance names.
    """
    return sorted(where(cloud.key) for cloud, profile in observed.clouds if _meets(cloud, profile, observed.rules))


def _meets(cloud: SovereignCloud, profile: ProviderProfile | None, rules: Rules) -> bool:
    if not rules.binding.binds_cloud(cloud.key):
        return True
    return any(_complies(rules, cloud, cluster, profile) for cluster in clusters_of(cloud))


def _complies(rules: Rules, cloud: SovereignCloud, cluster: str, profile: ProviderProfile | None) -> bool:
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
    """Build the condition Satisfiable: whether the policies that bind together leave any location.

    It names both of a conflicting pair, else all policies of the set.
    """
    pairs = ((observed.rules, one) for group in observed.beside for one in group if one.policy != observed.rules.policy)
    for some in (*pairs, *observed.beside):
        what = _empty_rule(some)
        if what and len(some) > 1:
            return _conflict(some, what)
    return {
        "type": SATISFIABLE,
        "status": "True",
        "reason": Reason.POLICIES_AGREE,
        "message": "the policies that bind the same namespaces and clouds leave at least one allowed country and jurisdiction",
    }


def _empty_rule(some: tuple[Rules, ...]) -> str:
    """Return the rule of which the policies leave no value, country or jurisdiction; empty: none."""
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
        if to in observed.installed and (found is None or not matches(found, binding)):
            name = str(binding["metadata"]["name"])
            yield PutBinding(action=Action.UPDATE, target=f"ValidatingAdmissionPolicyBinding {name}", binding=binding)
    for to, found in observed.found.items():
        if to not in observed.wanted:
            name = str(found["metadata"]["name"])
            yield DeleteBinding(action=Action.DELETE, target=f"ValidatingAdmissionPolicyBinding {name}", name=name)


def _admission_outcome(resource: SovereigntyPolicy, observed: PolicyObservation) -> Outcome:
    missing = sorted(to for to in observed.wanted if to not in observed.installed)
    if not missing:
        return DONE
    lacks = f"there is no ValidatingAdmissionPolicy {', '.join(missing)}: install the chart with policies.enforce=true"
    if resource.spec.enforcement is not Enforcement.ENFORCE:
        return replace(DONE, reason=Reason.ADMISSION_MISSING, message=f"kubectl apply shows no warnings, since {lacks}")
    return stalled(
        Reason.ADMISSION_MISSING,
        f"the API server rejects nothing at apply, since {lacks}. Placement enforces the policy nevertheless",
    )
