"""Whom a policy binds: namespaces by their labels, and clouds. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.sovereigntypolicy import AppliesTo, LabelOperator


@dataclass(frozen=True, slots=True)
class Requirement:
    """One condition on the labels of a namespace."""

    key: str
    operator: LabelOperator
    values: frozenset[str] = frozenset()

    def met(self, labels: Mapping[str, str]) -> bool:
        """As Kubernetes reads it: NotIn is met where the label is not there at all."""
        match self.operator:
            case LabelOperator.IN:
                return labels.get(self.key) in self.values
            case LabelOperator.NOT_IN:
                return labels.get(self.key) not in self.values
            case LabelOperator.EXISTS:
                return self.key in labels
            case LabelOperator.DOES_NOT_EXIST:
                return self.key not in labels


@dataclass(frozen=True, slots=True)
class Binding:
    """Whom a policy binds.

    Attributes:
        requirements: all of which the labels of a namespace must meet; none: each namespace does.
        clouds: only what is in one of these; None: in whichever.
    """

    requirements: tuple[Requirement, ...] = ()
    clouds: frozenset[Key] | None = None

    def binds_namespace(self, labels: Mapping[str, str]) -> bool:
        return all(one.met(labels) for one in self.requirements)

    def binds_cloud(self, cloud: Key) -> bool:
        return self.clouds is None or cloud in self.clouds

    def binds(self, labels: Mapping[str, str], cloud: Key) -> bool:
        return self.binds_namespace(labels) and self.binds_cloud(cloud)


EVERYTHING = Binding()


def binding_of(applies_to: AppliesTo | None) -> Binding:
    if applies_to is None:
        return EVERYTHING
    selector, requirements = applies_to.namespace_selector, list[Requirement]()
    if selector is not None:
        requirements += [
            Requirement(key, LabelOperator.IN, frozenset({value}))
            for key, value in sorted((selector.match_labels or {}).items())
        ]
        requirements += [
            Requirement(one.key, one.operator, frozenset(one.values or ())) for one in selector.match_expressions or ()
        ]
    clouds = applies_to.clouds
    return Binding(
        tuple(requirements),
        frozenset(Key("SovereignCloud", one.namespace, one.name) for one in clouds) if clouds is not None else None,
    )
