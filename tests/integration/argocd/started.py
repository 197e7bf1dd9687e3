"""Control plane, simulators, operator, a real Argo CD and a Git repository that it reads: started, and ended again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.integration.argocd.gitops import GitOps

from sovereigncloud_sandbox.argocd import ArgoCD
from sovereigncloud_sandbox.controlplane import ControlPlane
from sovereigncloud_sandbox.git_repository import GitRepository
from sovereigncloud_sandbox.stage import Stage
from sovereigncloud_sandbox.toolchain import Toolchain

ENVIRONMENT = {
    "ARGOCD_APPLICATION_CONTROLLER_PERSIST_RESOURCE_HEALTH": "true",  # else only its web interface knows it
    "ARGOCD_RECONCILIATION_TIMEOUT": "24h",
    "ARGOCD_RECONCILIATION_JITTER": "0s",
    "ARGOCD_SYNC_WAVE_DELAY": "0",  # no two seconds for the operator to react in: what is new is Progressing at once
}
"""Argo CD looks at Git when it is told to, and at an application when something in the cluster changed; never because
two minutes are over. So every refresh that nobody asked for was caused by the operator."""


@contextmanager
def started(directory: Path, toolchain: Toolchain, settings: Mapping[str, str]) -> Iterator[GitOps]:
    """The stage, with the operator's settings; about 20 s."""
    with ControlPlane(directory / "control-plane", toolchain) as plane:
        stage = Stage(plane, directory, settings)
        argo = ArgoCD(plane, directory / "argocd", environment=ENVIRONMENT)
        try:
            stage.start_simulators()
            stage.install()
            stage.start_operator()
            argo.start(application_sets=True)
            yield GitOps(stage, argo, GitRepository(directory / "git"))
        finally:
            argo.stop()
            stage.stop()
