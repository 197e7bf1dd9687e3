"""`make demo ARGOCD=1`: clouds delivered by a real Argo CD: sync waves, a bad commit, its revert, deletion."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from rich.console import Console
from rich.markup import escape

from sovereigncloud_sandbox.argocd import MANIFESTS, ArgoCD, Json, health, is_settled, sync
from sovereigncloud_sandbox.argocd_repository import OPERATOR, ROOT, WAVES, publish, root
from sovereigncloud_sandbox.controlplane import ControlPlane
from sovereigncloud_sandbox.git_repository import GitRepository
from sovereigncloud_sandbox.overlay import prepare
from sovereigncloud_sandbox.stage import EXAMPLES, Stage, StageError, condition

_KINDS = "sovereignclouds,baremetalservers,virtualnetworks,machineimages,securitygroups,hostedinstances"
_SETTINGS = {"sweep_interval": "4", "settle_interval": "1", "ovh_requests_per_minute": "3000", "ovh_burst": "100"}
# Nobody wants to watch three minutes of waiting for Argo CD's next look at Git; a webhook would spare it, too.
_ENVIRONMENT = {"ARGOCD_RECONCILIATION_TIMEOUT": "3s", "ARGOCD_RECONCILIATION_JITTER": "0s"}
_CLOUDS = "platform"
_INSTANCES = "manifests/examples/30-instances.yaml"

console = Console(highlight=False, soft_wrap=True)


def argocd_demo() -> None:
    """Play it; everything that was started is ended again."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="sovereign-demo-") as folder:
        directory = Path(folder)
        _chapter("A real Kubernetes control plane on this machine, with a kubelet that runs the operator's pod")
        with ControlPlane(directory / "control-plane") as cluster:
            cluster.start_kubelet()
            stage = Stage(cluster, directory, _SETTINGS)
            argo = ArgoCD(cluster, directory / "argocd", environment=_ENVIRONMENT)
            try:
                stage.start_simulators()
                _play(stage, argo, GitRepository(directory / "git"))
            finally:
                argo.stop()
                stage.stop()
    console.print(f"\n[bold]Done in {time.monotonic() - begun:.0f} s.[/] Everything that was started is ended.")


def _play(stage: Stage, argo: ArgoCD, repository: GitRepository) -> None:
    console.print(
        "SIMULATED: the OVHcloud API, OpenNebula, and the pod of the installer, over their real wire formats."
    )
    console.print(
        "REAL: the Kubernetes API, kubectl, Argo CD, Git, and the operator, which does not know the difference."
    )
    _fill(repository, stage)
    _chapter("Argo CD, told how to judge our kinds")
    argo.start(application_sets=True)
    for name in ("argocd-cm.yaml", "argocd-cm-app-of-apps.yaml"):
        _shown(f"kubectl patch configmap argocd-cm -n argocd --type merge --patch-file manifests/argocd/{name}")
        argo.configure(MANIFESTS / name)
    screen = _Screen(stage, argo)
    _chapter("One Application for everything: the operator first, then the clouds, in waves")
    _shown("kubectl apply -f manifests/argocd/root.yaml")
    argo.apply(root(repository))
    screen.until("the operator runs", lambda: is_settled(argo.get(OPERATOR)), seconds=90)
    if isinstance(stage.cluster, ControlPlane):
        stage.cluster.settle_garbage_collector()
    screen.until("everything is Healthy", lambda: is_settled(argo.get(_CLOUDS)), seconds=180)
    _applications(argo)
    _chapter("A mistake in Git, named by the operator and shown by Argo CD")
    _edit(repository, "name: lan-apps", "name: lan-app", "A mistake: there is no such network")
    screen.until("Degraded", lambda: health(argo.get(_CLOUDS)) == "Degraded", seconds=60)
    _applications(argo)
    _chapter("And taken back")
    _revert(repository)
    screen.until("Healthy again", lambda: is_settled(argo.get(_CLOUDS), repository.revision), seconds=90)
    _chapter("More memory by Git, and back by git revert")
    _edit(repository, "memory: 2Gi", "memory: 3Gi", "app-paris needs more memory")
    screen.until("as Git says", lambda: is_settled(argo.get(_CLOUDS), repository.revision), seconds=90)
    _memory(stage)
    _revert(repository)
    screen.until("as Git says", lambda: is_settled(argo.get(_CLOUDS), repository.revision), seconds=90)
    _memory(stage)
    _chapter("Everything is deleted: machines, networks and images, clouds, and the operator last")
    _shown(f"kubectl delete application {ROOT} -n argocd")
    argo.delete(ROOT)
    screen.until("gone", lambda: not argo.get(ROOT), seconds=180)


def _fill(repository: GitRepository, stage: Stage) -> None:
    """Chart and manifests, and one folder of clouds/: the examples, turned to the simulators, in waves."""
    publish(repository, stage)
    kustomization: Json = yaml.safe_load((prepare(stage) / "kustomization.yaml").read_text())
    kustomization |= {"resources": [f"../../manifests/{EXAMPLES.name}"], "components": [WAVES]}
    repository.commit(
        "The operator, and the clouds of manifests/examples",
        {f"clouds/{_CLOUDS}/kustomization.yaml": yaml.safe_dump(kustomization)},
    )


def _edit(repository: GitRepository, old: str, new: str, message: str) -> None:
    """The first place in the manifests of the instances."""
    text = (repository.directory / _INSTANCES).read_text()
    _shown(f'git commit -m "{message}"   [red]-{old}[/] [green]+{new}[/]')
    repository.commit(message, {_INSTANCES: text.replace(old, new, 1)})


def _revert(repository: GitRepository) -> None:
    _shown("git revert HEAD")
    repository.revert()


def _memory(stage: Stage) -> None:
    machine = next(vm for vm in stage.cloud("onprem-paris")["vms"] if vm["name"] == "app-paris")
    console.print(f"In OpenNebula, machine {machine['id']} now has {machine['memory']} MiB.")


def _applications(argo: ArgoCD) -> None:
    _shown("kubectl get applications -n argocd")
    console.print(escape(argo.cluster.kubectl("get", "applications", "-n", "argocd").stdout.rstrip()))


@dataclass
class _Screen:
    """Prints one line per change of an Application or custom resource."""

    stage: Stage
    argo: ArgoCD
    told: dict[str, str] = field(default_factory=dict)

    def until(self, what: str, test: Callable[[], bool], *, seconds: float) -> None:
        """Raises StageError."""
        begun = time.monotonic()
        while True:
            done = test()
            for name, line in self._lines().items():
                if self.told.get(name) != line:
                    self.told[name] = line
                    console.print(f"[dim]{time.monotonic() - begun:5.1f} s[/]  {name:<42} {escape(line)}")
            if done:
                return
            if time.monotonic() - begun > seconds:
                raise StageError(f"not {what} within {seconds:.0f} s; Argo CD said:\n{self.argo.log()[-3000:]}")
            time.sleep(0.3)

    def _lines(self) -> dict[str, str]:
        cluster = self.stage.cluster
        found = cluster.kubectl("get", f"applications.argoproj.io,{_KINDS}", "-A", "-o", "json", check=False)
        items = json.loads(found.stdout or "{}").get("items") or []
        lines = {f"{item['kind']}/{item['metadata']['name']}": _line(item) for item in items}
        return {name: "gone" for name in self.told if name not in lines and self.told[name]} | lines


def _line(item: Json) -> str:
    if "deletionTimestamp" in item["metadata"]:
        return "is being deleted"
    if item["kind"] == "Application":
        return f"[{sync(item) or 'new'}, {health(item) or 'not judged'}]"
    ready = condition(item, "Ready")
    if not ready:
        return "new"
    told = condition(item, "Stalled") or condition(item, "Reconciling") or ready
    return f"{'Ready' if ready['status'] == 'True' else 'not ready'} {told['reason']}: {told.get('message', '')[:90]}"


def _chapter(title: str) -> None:
    console.print(f"\n[bold cyan]== {title}[/]")


def _shown(command: str) -> None:
    console.print(f"\n[bold]$ {command}[/]")
