"""The files of the project that are made from the code: `crds/`; in the Helm charts the same CRDs, the rights of the operator
and of people, what documents the values, and Grafana's dashboard; Argo CD's health check of every kind; in the documentation
the reference of each kind, of the metrics and of the commands, and the rights at OVHcloud.

The charts keep them under `files/`, which Helm does not render, so nothing in them needs escaping; their templates take them
from there. The chart of the operator has a copy of the chart of the CRDs inside: Helm takes it from the checkout as it is, and
no symbolic link has to survive a download (docs/adr/0009-crds-in-a-chart-of-their-own.md). `manifests/base/operator.yaml` is
the rendered chart (`make manifests`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from sovereigncloud.api import KINDS
from sovereigncloud.api.common.base import GROUP
from sovereigncloud.api.schema.crd import compact_manifests, manifests
from sovereigncloud.commands.generate import chart_values, cli_reference, metrics_reference, ovh_rights_page, user_roles
from sovereigncloud.commands.generate.dashboard import dashboard
from sovereigncloud.commands.generate.kind_reference import pages
from sovereigncloud.providers.kubernetes.rbac import RBAC, RbacRule

CHART = Path("charts") / "sovereign-cloud-operator"
CRDS_CHART = Path("charts") / "sovereign-cloud-crds"
REFERENCE = Path("docs") / "reference"
"""Its pages are partly written by hand, and stand beside others that are so wholly: none is left over."""
_RBAC_HEADER = "# Generated from RBAC in operator/sovereigncloud/providers/kubernetes/rbac.py by `sovereign crds --write`. Do not edit.\n"
ARGOCD = Path("manifests") / "argocd"
HEALTH = Path("resource_customizations") / GROUP / "_" / "health.lua"
"""Where Argo CD's own source has the health check of every kind of a group."""
_ARGOCD_HEADER = f"""\
# How Argo CD judges the health of every kind of {GROUP}, for its ConfigMap argocd-cm:
#
#   kubectl patch configmap argocd-cm --namespace argocd --type merge --patch-file argocd-cm.yaml
#
# Generated from {HEALTH} by `sovereign crds --write`. Do not edit.
apiVersion: v1
kind: ConfigMap
metadata:
  name: argocd-cm
  labels: {{app.kubernetes.io/part-of: argocd}}
"""


@dataclass(frozen=True, slots=True)
class Folder:
    """A directory and what is to be in it, by relative path. Files there that match `pattern` and are not wanted are left
    over.
    """

    directory: Path
    wanted: Mapping[str, str]
    pattern: str

    def stale(self) -> list[Path]:
        """Files that are missing, differ from the code, or belong to nothing any more."""
        differing = [
            self.directory / name for name, text in self.wanted.items() if _read(self.directory / name) != text
        ]
        there = (path for path in self.directory.glob(self.pattern) if path.is_file())
        left_over = [path for path in there if self._name(path) not in self.wanted]
        return sorted([*differing, *left_over])

    def write(self) -> list[Path]:
        """Make it so; the files that changed."""
        changed = self.stale()
        for path in changed:
            if self._name(path) in self.wanted:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(self.wanted[self._name(path)], encoding="utf-8")
            else:
                path.unlink()
        return changed

    def _name(self, path: Path) -> str:
        return path.relative_to(self.directory).as_posix()


def folders(crds: Path) -> list[Folder]:
    """The directory of the CRDs, and beside it the charts and the reference, where they are."""
    found = [Folder(crds, manifests(), f"{GROUP}_*.yaml")]
    root = crds.absolute().parent
    definitions = compact_manifests()
    if (chart := root / CRDS_CHART).is_dir():
        found.append(Folder(_relative(chart) / "files", definitions, "*"))
    if (operator := root / CHART).is_dir():
        files = _relative(operator) / "files"
        rights = {"rbac.yaml": rbac(), "user-roles.yaml": user_roles.document()}
        found += [Folder(files, {name: text}, name) for name, text in rights.items()]  # others are written by hand
        found.append(Folder(files / "dashboards", {"sovereign-clouds.json": dashboard()}, "*.json"))
        inside = _relative(operator) / "charts" / CRDS_CHART.name
        found.append(Folder(inside, _written_by_hand(chart) | _below("files", definitions), "**/*"))
        if (operator / "values.yaml").exists():
            found.append(Folder(_relative(operator), _documentation(operator), "values.schema.json"))
    if (argocd := root / ARGOCD).is_dir():
        script = (argocd / HEALTH).read_text(encoding="utf-8")
        found.append(Folder(_relative(argocd), {"argocd-cm.yaml": argocd_cm(script)}, "argocd-cm.yaml"))
    if (reference := root / REFERENCE).is_dir():
        made = pages(reference) | {
            "metrics.md": metrics_reference.page(),
            cli_reference.PAGE: cli_reference.page(reference),
        }
        found.append(Folder(_relative(reference), made, "*.generated"))
    if (docs := root / "docs").is_dir():
        found.append(Folder(_relative(docs), {ovh_rights_page.PAGE: ovh_rights_page.page(docs)}, "*.generated"))
    return found


def _documentation(chart: Path) -> dict[str, str]:
    """What is said about the values in other files than values.yaml."""
    values = chart_values.documented((chart / "values.yaml").read_text(encoding="utf-8"))
    makers = {"README.md": chart_values.readme, "values.schema.json": chart_values.schema}
    return {name: make((chart / name).read_text(encoding="utf-8"), values) for name, make in makers.items()}


def _written_by_hand(chart: Path) -> dict[str, str]:
    """Everything of a chart but its generated files."""
    paths = (path for path in chart.glob("**/*") if path.is_file() and path.parent != chart / "files")
    return {path.relative_to(chart).as_posix(): path.read_text(encoding="utf-8") for path in paths}


def _below(directory: str, files: Mapping[str, str]) -> dict[str, str]:
    return {f"{directory}/{name}": text for name, text in files.items()}


def argocd_cm(script: str) -> str:
    """The script once, and an alias of it for each further kind: the keys of a ConfigMap know no wildcard."""
    first, *others = (f"resource.customizations.health.{GROUP}_{kind.crd.kind}" for kind in KINDS)
    text = "".join(f"    {line}\n" if line else "\n" for line in script.splitlines())
    aliases = "".join(f"  {key}: *health\n" for key in others)
    return f"{_ARGOCD_HEADER}data:\n  {first}: &health |\n{text}{aliases}"


def rbac(rules: Sequence[RbacRule] = RBAC) -> str:
    """The rules as the chart wants them, by where they are granted:

    `watched` for all namespaces, or each that is watched; `wide` where all of them are watched; `cluster` for kinds without a
    namespace; `narrowed` for such kinds where only some namespaces are watched; `own` for the namespace of the operator.
    """
    parts = {
        "watched": _rules([r for r in rules if not r.own_namespace and not r.cluster_kind and not r.wide]),
        "wide": _rules([rule for rule in rules if rule.wide]),
        "cluster": _rules([rule for rule in rules if rule.cluster_kind and not rule.narrowed]),
        "narrowed": _rules([rule for rule in rules if rule.cluster_kind and rule.narrowed]),
        "own": _rules([rule for rule in rules if rule.own_namespace]),
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
