"""The Git repository that docs/how-to/gitops.md describes: the chart and its values, manifests/argocd, a folder per cloud."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml

from sovereigncloud_sandbox.argocd import MANIFESTS, Json
from sovereigncloud_sandbox.git_repository import GitRepository
from sovereigncloud_sandbox.stage import CHART, EXAMPLES, Stage

PLACEHOLDER = "https://git.example.org/platform.git"
"""What the manifests of manifests/argocd call the repository."""
ROOT = "sovereign-cloud"
OPERATOR = "sovereign-cloud-operator"
WAVES = "../../manifests/argocd/waves"


def publish(repository: GitRepository, stage: Stage) -> None:
    """Put in what does not depend on any cloud; not committed yet."""
    repository.copy(CHART, f"charts/{CHART.name}")
    repository.copy(EXAMPLES, "manifests/examples")
    repository.copy(MANIFESTS / "waves", "manifests/argocd/waves")
    for path in (MANIFESTS / "apps").iterdir():
        repository.write({f"manifests/argocd/apps/{path.name}": _turned(path, repository)})
    repository.write({"operator/values.yaml": stage.write_values().read_text()})


def root(repository: GitRepository) -> Json:
    """manifests/argocd/root.yaml for this repository."""
    document: Json = yaml.safe_load(_turned(MANIFESTS / "root.yaml", repository))
    return document


def application(repository: GitRepository, name: str, path: str) -> Json:
    """manifests/argocd/application.yaml for one folder of this repository."""
    document: Json = yaml.safe_load(_turned(MANIFESTS / "application.yaml", repository))
    document["metadata"]["name"] = name
    document["spec"]["source"]["path"] = path
    return document


def folder(documents: Mapping[str, Json]) -> dict[str, str]:
    """Texts by file name: the documents, and the kustomization that gives each its wave."""
    texts = {name: yaml.safe_dump(document, sort_keys=False) for name, document in documents.items()}
    kustomization = {"resources": sorted(texts), "components": [WAVES]}
    return {**texts, "kustomization.yaml": yaml.safe_dump(kustomization)}


def _turned(path: Path, repository: GitRepository) -> str:
    text = path.read_text()
    if PLACEHOLDER not in text:
        raise ValueError(f"{path} does not name {PLACEHOLDER}")
    return text.replace(PLACEHOLDER, repository.url)
