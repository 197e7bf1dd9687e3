"""What people may do with the kinds: the ClusterRoles that the chart offers, made from the kinds so that a new one is in them.

Nobody writes status but the operator. Secrets can be put in place by a platform engineer and read by nobody here: who may
read them in a namespace is decided by Kubernetes' own roles.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from sovereigncloud.api import KINDS
from sovereigncloud.api.common.base import GROUP

_HEADER = (
    "# Generated from operator/sovereigncloud/commands/generate/user_roles.py by `sovereign crds --write`. Do not edit.\n"
    "# `aggregateTo`: Kubernetes' own roles that it is a part of.\n"
)
_READ = ("get", "list", "watch")
_WRITE = ("create", "update", "patch", "delete", "deletecollection")
_TENANTS = ("HostedInstance", "InstanceMigration", "ExitPlan")
"""Kinds that a tenant writes; everything else is the platform's."""
_OFFICERS = ("SovereigntyPolicy", "ProviderProfile")
"""Kinds that who answers for compliance writes: who is bound by a rule does not write it."""


@dataclass(frozen=True, slots=True)
class UserRole:
    """A ClusterRole for people. `aggregate_to` names Kubernetes' own roles that it becomes a part of."""

    rules: Sequence[Mapping[str, Any]]
    aggregate_to: Sequence[str] = ()


def _ours(kinds: Sequence[str], verbs: Sequence[str]) -> dict[str, Any]:
    plurals = [kind.crd.plural for kind in KINDS if kind.crd.kind in kinds]
    return {"apiGroups": [GROUP], "resources": plurals, "verbs": list(verbs)}


def _rule(group: str, resources: Sequence[str], verbs: Sequence[str]) -> dict[str, Any]:
    return {"apiGroups": [group], "resources": list(resources), "verbs": list(verbs)}


_EVERY = tuple(kind.crd.kind for kind in KINDS)
_PLATFORMS = tuple(kind for kind in _EVERY if kind not in _OFFICERS)
_LOOK_AROUND = (
    _rule("", ("events",), _READ),
    _rule("events.k8s.io", ("events",), _READ),
)

ROLES: Mapping[str, UserRole] = {
    # Bound in the namespaces of clouds, or cluster-wide.
    "platform-engineer": UserRole((
        _ours(_PLATFORMS, (*_READ, *_WRITE)),
        _ours(_OFFICERS, _READ),
        # The installer: its Job, and what its pod says.
        _rule("batch", ("jobs",), _READ),
        _rule("", ("pods", "pods/log"), _READ),
        *_LOOK_AROUND,
        # Credentials are put in place (`kubectl create`, server-side apply) and not read back.
        _rule("", ("secrets",), ("create", "patch", "delete")),
    )),
    "tenant": UserRole((_ours(_TENANTS, _WRITE),), aggregate_to=("admin", "edit")),
    "tenant-view": UserRole((_ours(_EVERY, _READ),), aggregate_to=("admin", "edit", "view")),
    # Cluster-wide by its nature: what is where, and what happened to it. No Secrets, no machines' logs, nothing written but rules
    # and facts about providers.
    "sovereignty-officer": UserRole((
        _ours(_EVERY, _READ),
        _ours(_OFFICERS, _WRITE),
        *_LOOK_AROUND,
        _rule("apiextensions.k8s.io", ("customresourcedefinitions",), _READ),
    )),
}  # fmt: skip


def document(roles: Mapping[str, UserRole] = ROLES) -> str:
    """The roles as the chart wants them, by the end of their names."""
    parts = {
        name: {"aggregateTo": list(role.aggregate_to), "rules": [dict(rule) for rule in role.rules]}
        for name, role in roles.items()
    }
    return _HEADER + yaml.dump(parts, Dumper=_Plain, sort_keys=False, width=120)


class _Plain(yaml.SafeDumper):
    """Without anchors: the same list stands written out in each rule."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the signature is PyYAML's
        return True
