"""The files of the project that are made from the code: `crds/`, in the Helm chart the same CRDs and the RBAC rules, and in
the documentation the reference of each kind and of the metrics; Argo CD's health check of every kind; Grafana's dashboard.

The chart keeps them under `files/`, which Helm does not render, so nothing in them needs escaping; its templates take them
from there. `manifests/base/operator.yaml` is the rendered chart (`make manifests`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sovereigncloud.api import KINDS
from sovereigncloud.api.base import GROUP
from sovereigncloud.api.crd import KUSTOMIZATION, manifests
from sovereigncloud.commands import metrics_page
from sovereigncloud.commands.dashboard import dashboard
from sovereigncloud.commands.reference import pages
from sovereigncloud.providers.kubernetes import RBAC, RbacRule

CHART = Path("charts") / "sovereign-cloud-operator"
REFERENCE = Path("docs") / "reference"
"""Its pages are partly written by hand, and stand beside others that are so wholly: none is left over."""
_RBAC_HEADER = "# Generated from RBAC in operator/sovereigncloud/providers/kubernetes.py by `sovereign crds --write`. Do not edit.\n"
ARGOCD = Path("manifests") / "argocd"
HEALTH = Path("resource_customizations") / GROUP / "_" / "health.lua"
"""Where Argo CD's own source has the health check of every kind of a group."""
_ARGOCD_HEADER = f"""\
# How Argo CD judges the health of every kind of {GROUP}, for its ConfigMap argocd-cm:
#
#   kubectl patch configmap argocd-cm --namespace argocd --type merge --patch-file argocd-cm.yaml
#
# Generated from {HEALTH} by `sovereign crds --write`. Do not edit.
"""


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
    """The directory of the CRDs, and beside it the chart and the reference, where they are."""
    documents = manifests()
    found = [Folder(crds, documents, f"{GROUP}_*.yaml")]
    chart = crds.absolute().parent / CHART
    if chart.is_dir():
        files = _relative(chart) / "files"
        definitions = {name: text for name, text in documents.items() if name != KUSTOMIZATION}
        found += [
            Folder(files / "crds", definitions, "*"),
            Folder(files, {"rbac.yaml": rbac()}, "*.yaml"),
            Folder(files / "dashboards", {"sovereign-clouds.json": dashboard()}, "*.json"),
        ]
    reference = crds.absolute().parent / REFERENCE
    if reference.is_dir():
        made = pages(reference) | {"metrics.md": metrics_page.page()}
        found.append(Folder(_relative(reference), made, "*.generated"))
    argocd = crds.absolute().parent / ARGOCD
    if argocd.is_dir():
        script = (argocd / HEALTH).read_text(encoding="utf-8")
        found.append(Folder(_relative(argocd), {"argocd-cm.yaml": argocd_cm(script)}, "argocd-cm.yaml"))
    return found


def argocd_cm(script: str) -> str:
    """The script once, and an alias of it for each further kind: the keys of a ConfigMap know no wildcard."""
    first, *others = (f"resource.customizations.health.{GROUP}_{kind.crd.kind}" for kind in KINDS)
    text = "".join(f"    {line}\n" if line else "\n" for line in script.splitlines())
    aliases = "".join(f"  {key}: *health\n" for key in others)
    return f"{_ARGOCD_HEADER}data:\n  {first}: &health |\n{text}{aliases}"


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
