"""How a SovereigntyPolicy is enforced at apply: a binding of the chart's ValidatingAdmissionPolicies for each kind. Pure.

The expressions stand in the chart, once; a binding says for which policy they are evaluated, in which namespaces, and whether
they refuse or warn. The API server does that alone: it holds while the operator is down.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sovereigncloud.api.common.base import API_VERSION, GROUP
from sovereigncloud.api.common.policy_terms import CoveredPart
from sovereigncloud.api.sovereigntypolicy import Enforcement, NamespaceSelector, SovereigntyPolicy

SUFFIX = f"borders.{GROUP}"
INSTALLATION_LABEL = f"{GROUP}/installation"
INSTANCES, IMAGES, NAMESPACES = (f"{what}.{SUFFIX}" for what in ("hostedinstances", "machineimages", "namespaces"))
"""The ValidatingAdmissionPolicies, by the resource that they look at (charts/.../templates/policies/borders-*.yaml)."""
ADMISSION_POLICIES = (INSTANCES, IMAGES, NAMESPACES)
Json = dict[str, Any]


def name_of(policy: str, admission_policy: str) -> str:
    """Of the binding: it can be told from it whose it is."""
    return f"{policy}.{admission_policy}"


def bindings_of(policy: SovereigntyPolicy, installation: str) -> dict[str, Json]:
    """The bindings that the policy asks for, by the ValidatingAdmissionPolicy. What it does not ask for is to be absent."""
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
    """The labels of namespaces that decide whom it binds."""
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
            "name": name_of(name, to),
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


def is_as_wanted(found: Json, wanted: Json) -> bool:
    """Spec, labels and owner; what others noted on it beside is theirs."""
    metadata, mine = found.get("metadata") or {}, wanted["metadata"]
    labels = metadata.get("labels") or {}
    owners = [(o.get("kind"), o.get("uid")) for o in metadata.get("ownerReferences") or ()]
    return (
        found.get("spec") == wanted["spec"]
        and all(labels.get(key) == value for key, value in mine["labels"].items())
        and all((o["kind"], o["uid"]) in owners for o in mine["ownerReferences"])
    )
