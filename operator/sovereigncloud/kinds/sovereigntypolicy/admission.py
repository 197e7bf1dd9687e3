"""Build the ValidatingAdmissionPolicyBindings of a SovereigntyPolicy, one per covered kind. Pure.

The CEL expressions are in the chart. A binding names the policy they are evaluated with, the namespaces, and whether
they deny or warn. The API server enforces them alone, also while the operator is down.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sovereigncloud.api.common.base import API_VERSION, GROUP
from sovereigncloud.api.common.policy_terms import CoveredPart
from sovereigncloud.api.sovereigntypolicy import Enforcement, NamespaceSelector, SovereigntyPolicy
from sovereigncloud.ports.admission import IMAGES, INSTANCES, NAMESPACES

INSTALLATION_LABEL = f"{GROUP}/installation"
Json = dict[str, Any]


def binding_name(policy: str, admission_policy: str) -> str:
    """Return the name of a binding, which contains the name of its SovereigntyPolicy."""
    return f"{policy}.{admission_policy}"


def desired_bindings(policy: SovereigntyPolicy, installation: str) -> dict[str, Json]:
    """Return the desired bindings, by ValidatingAdmissionPolicy; all others must be absent."""
    return {} if policy.deleting else {to: _binding(policy, to, installation) for to in _wanted(policy)}


def _wanted(policy: SovereigntyPolicy) -> Iterator[str]:
    spec = policy.spec
    yield INSTANCES
    covers = spec.residency.covers if spec.residency is not None else None
    if spec.residency is not None and (covers is None or CoveredPart.IMAGES in covers):
        yield IMAGES
    if label_keys(policy):
        yield NAMESPACES


def label_keys(policy: SovereigntyPolicy) -> tuple[str, ...]:
    """Return the namespace label keys that decide whether a namespace is bound."""
    selector = _selector(policy)
    if selector is None:
        return ()
    return tuple(sorted({*(selector.match_labels or {}), *(one.key for one in selector.match_expressions or ())}))


def _selector(policy: SovereigntyPolicy) -> NamespaceSelector | None:
    return policy.spec.applies_to.namespace_selector if policy.spec.applies_to is not None else None


def _binding(policy: SovereigntyPolicy, to: str, installation: str) -> Json:
    name = policy.metadata.name
    selector = _selector(policy) if to != NAMESPACES else None  # labels are looked after on each namespace
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {
            "name": binding_name(name, to),
            "labels": {INSTALLATION_LABEL: installation},
            "ownerReferences": [
                {
                    "apiVersion": API_VERSION,
                    "kind": policy.crd.kind,
                    "name": name,
                    "uid": policy.metadata.uid,
                    "controller": True,
                }
            ],
        },
        "spec": {
            "policyName": to,
            "paramRef": {"name": name, "parameterNotFoundAction": "Deny"},
            "matchResources": {
                "namespaceSelector": selector.model_dump(by_alias=True, exclude_none=True, mode="json")
                if selector
                else {},
                "objectSelector": {},
                "matchPolicy": "Equivalent",
            },
            "validationActions": ["Deny"] if policy.spec.enforcement is Enforcement.ENFORCE else ["Warn", "Audit"],
        },
    }


def matches(found: Json, wanted: Json) -> bool:
    """Whether a binding has the desired spec, labels and owner; other metadata is ignored."""
    metadata, mine = found.get("metadata") or {}, wanted["metadata"]
    labels = metadata.get("labels") or {}
    owners = [(o.get("kind"), o.get("uid")) for o in metadata.get("ownerReferences") or ()]
    return (
        found.get("spec") == wanted["spec"]
        and all(labels.get(key) == value for key, value in mine["labels"].items())
        and all((o["kind"], o["uid"]) in owners for o in mine["ownerReferences"])
    )
