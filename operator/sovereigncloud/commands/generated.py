"""The files of the project that are made from the code: `crds/`, and in the Helm chart the same CRDs, the rights of the operator
and of people, and what documents its values.

The chart keeps them under `files/`, which Helm does not render, so nothing in them needs escaping; its templates take them
from there. `manifests/base/operator.yaml` is the rendered chart (`make manifests`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sovereigncloud.api.base import GROUP
from sovereigncloud.api.crd import KUSTOMIZATION, manifests
from sovereigncloud.commands import chart_values, user_roles
from sovereigncloud.providers.kubernetes import RBAC, RbacRule

CHART = Path("charts") / "sovereign-cloud-operator"
_RBAC_HEADER = "# Generated from RBAC in operator/sovereigncloud/providers/kubernetes.py by `sovereign crds --write`. Do not edit.\n"


@dataclass(frozen=True, slots=True)
class Folder:
    """A directory and what is to be in it. Files there that match `pattern` and are not wanted are left over."""

    directory: Path
    wanted: Mapping[str, str]
    pattern: str

    def stale(self) -> list[Path]:
        """Files that are missing, differ from the code, or belong to nothing any more."""
        differing = [
            self.directory / name for name, text in self.wanted.items() if _read(self.directory / name) != text
        ]
        left_over = [path for path in self.directory.glob(self.pattern) if path.name not in self.wanted]
        return sorted([*differing, *left_over])

    def write(self) -> list[Path]:
        """Make it so; the files that changed."""
        changed = self.stale()
        self.directory.mkdir(parents=True, exist_ok=True)
        for path in changed:
            if path.name in self.wanted:
                path.write_text(self.wanted[path.name], encoding="utf-8")
            else:
                path.unlink()
        return changed


def folders(crds: Path) -> list[Folder]:
    """The directory of the CRDs, and the chart beside it where there is one."""
    documents = manifests()
    found = [Folder(crds, documents, f"{GROUP}_*.yaml")]
    chart = crds.absolute().parent / CHART
    if chart.is_dir():
        files = _relative(chart) / "files"
        definitions = {name: text for name, text in documents.items() if name != KUSTOMIZATION}
        found += [
            Folder(files / "crds", definitions, "*"),
            Folder(files, {"rbac.yaml": rbac(), "user-roles.yaml": user_roles.document()}, "*.yaml"),
        ]
        if (chart / "values.yaml").exists():
            found.append(Folder(chart, _documentation(chart), "values.schema.json"))
    return found


def _documentation(chart: Path) -> dict[str, str]:
    """What is said about the values in other files than values.yaml."""
    values = chart_values.documented((chart / "values.yaml").read_text(encoding="utf-8"))
    makers = {"README.md": chart_values.readme, "values.schema.json": chart_values.schema}
    return {name: make((chart / name).read_text(encoding="utf-8"), values) for name, make in makers.items()}


def rbac(rules: Sequence[RbacRule] = RBAC) -> str:
    """The rules as the chart wants them: `cluster` for the ClusterRole, `namespace` for the Role beside the operator."""
    parts = {
        "cluster": _rules([rule for rule in rules if not rule.own_namespace]),
        "namespace": _rules([rule for rule in rules if rule.own_namespace]),
    }
    return _RBAC_HEADER + yaml.safe_dump(parts, sort_keys=False, width=120)


def _rules(table: Sequence[RbacRule]) -> list[dict[str, Any]]:
    """One rule per group, verbs and names, with all resources that share them."""
    shared: dict[tuple[str, tuple[str, ...], tuple[str, ...]], list[str]] = {}
    for rule in table:
        shared.setdefault((rule.group, rule.verbs, rule.names), []).append(rule.resource)
    return [
        {"apiGroups": [group], "resources": resources}
        | ({"resourceNames": list(names)} if names else {})
        | {"verbs": list(verbs)}
        for (group, verbs, names), resources in shared.items()
    ]


def _read(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None


def _relative(path: Path) -> Path:
    """Short in messages where that is possible."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
