"""Test environment: control plane, simulators, installer and operator on one machine.

The demo, the tests and the bench use it, and inject faults through the admin interfaces of the simulators.
The Kubernetes API, Helm and the operator are real. OVHcloud and OpenNebula are simulated over their real wire formats,
and so is the pod of the installer, since no image of it is here. The operator does not know.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import requests
import yaml

import sovereigncloud_sandbox
from sovereigncloud_sandbox.child import Child
from sovereigncloud_sandbox.cluster import Cluster
from sovereigncloud_sandbox.controlplane import ControlPlane
from sovereigncloud_sandbox.custom_resources import CUSTOM_RESOURCES, GROUP, VERSION
from sovereigncloud_sandbox.kubelet.node import RUNTIME
from sovereigncloud_sandbox.outside import Door, Outside, StageError

Json = dict[str, Any]

SYSTEM = "sovereign-system"
RELEASE = "sovereign-cloud-operator"
SERVICE_ACCOUNT = "sovereign-cloud-operator"
_ROOT = Path(sovereigncloud_sandbox.__file__).resolve().parents[2]
CHART = _ROOT / "charts" / "sovereign-cloud-operator"
EXAMPLES = _ROOT / "manifests" / "examples"
_VALUES = {
    "sweep_interval": "sweepInterval",
    "settle_interval": "settleInterval",
    "late_write_grace": "lateWriteGrace",
    "lease_seconds": "leaseSeconds",
    "ovh_requests_per_minute": "limits.ovh.requestsPerMinute",
    "ovh_burst": "limits.ovh.burst",
    "opennebula_rate": "limits.openNebula.rate",
    "opennebula_burst": "limits.openNebula.burst",
    "ssh_port": "installer.sshPort",
    "site_latency_interval": "siteLatencyInterval",
    "log_level": "logs.level",
    "log_format": "logs.format",
}
"""Values of the chart by setting of the operator."""
_GRANTED: tuple[Json, ...] = (
    {"verb": "list", "group": GROUP, "resource": "sovereignclouds"},
    {"verb": "create", "group": "coordination.k8s.io", "resource": "leases", "namespace": SYSTEM},
)
"""One right of the chart's ClusterRole and one of its Role: both bindings are known where both are granted."""
_STARTED_WITHIN = 30.0
_SSH_PORT = 2222
"""Where sshd answers on the servers' loopback addresses: 22 is root's alone."""
_GRACE = 10.0
"""Seconds that a process gets after SIGTERM: a kubelet gives 30."""
_SERVES = re.compile(r"serving probes and metrics on \('127\.0\.0\.1', (\d+)\)")
_CORE = {"namespaces", "secrets", "events", "configmaps"}
_WITHOUT_NAMESPACE = frozenset(one.plural for one in CUSTOM_RESOURCES if not one.namespaced)
_PLURALS = {one.kind.lower(): one.plural for one in CUSTOM_RESOURCES} | {plural[:-1]: plural for plural in _CORE}
_WRITES = {"POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION"}
_LABEL = re.compile(r'(\w+)="([^"]*)"')


class Stage(Outside):
    """Simulators, installer and operator on one control plane.

    Args:
        cluster: the control plane, started.
        directory: for logs and files of this stage.
        settings: SOVEREIGN_* settings of the operator, without the prefix.
    """

    def __init__(self, cluster: Cluster, directory: Path, settings: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self.cluster, self.directory = cluster, directory
        self.settings = {"ssh_port": str(_SSH_PORT), **(settings or {})}
        self.children: dict[str, Child] = {}
        # Servers answer on loopback addresses of their own, so that a front-end has the port that it has in reality.
        self._network = f"127.{random.randint(64, 250)}.{random.randint(1, 250)}"
        self.ovh_connection: Json = {}
        self._said: dict[str, int] = {}

    def address(self, number: int) -> str:
        """A loopback address of this stage."""
        return f"{self._network}.{number}"

    # --- start and stop ---------------------------------------------------------------------------------------------

    def start_simulators(self) -> None:
        """OVHcloud with the two servers of its guide and two more, OpenNebula with no cloud yet, and the installer."""
        servers = {"ns3012345.ip-57-131-167.eu": 10, "ns3012346.ip-57-131-167.eu": 11}
        ips = [f"--server-ip={name}={self.address(number)}" for name, number in servers.items()]
        self.ovh_connection = self._announced("ovh", ["--port", "0", f"--ssh-port={_SSH_PORT}", *ips])
        self.ovh = Door(self.ovh_connection["admin"])
        self.one = Door(self._announced("opennebula", ["--empty"])["admin"])
        self.ovh.call("PUT", "/power-door", {"url": self.one.url})  # the servers of the one are the hosts of the other
        self._start(
            "installer",
            ["-m", "sovereigncloud_sandbox.installer_player"],
            SOVEREIGN_SANDBOX_ONE=self.one.url,
            KUBECONFIG=str(self.cluster.kubeconfig),
        )

    def install(self, *values: str) -> None:
        """Install the chart as a person would, and do not wait for its pod: where no node is, none ever runs."""
        given = [f"--set={value}" for value in values]
        self._helm_upgrade(*given)
        self.cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")
        if isinstance(self.cluster, ControlPlane):
            self.cluster.settle_garbage_collector()
        self._await_rights()

    def _await_rights(self) -> None:
        """The API server learns of roles and bindings by watching them: until it has, it refuses what they grant."""
        user = f"system:serviceaccount:{SYSTEM}:{SERVICE_ACCOUNT}"
        for attributes in _GRANTED:
            review = {
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SubjectAccessReview",
                "spec": {"user": user, "resourceAttributes": attributes},
            }

            def granted(body: Json = review) -> bool:
                path = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
                return bool(self.cluster.request("POST", path, body)["status"]["allowed"])

            self.until(granted, f"granted {attributes} to the operator", seconds=30)

    def deploy(self, *arguments: str) -> None:
        """Install the chart with this stage's settings as values, and wait until its pod is ready: this is the operator.

        Needs a node (`ControlPlane.start_kubelet`). `arguments` are further ones of `helm upgrade`.
        """
        self._helm_upgrade(f"--values={self.write_values()}", "--wait", "--timeout=90s", *arguments)
        if isinstance(self.cluster, ControlPlane):
            self.cluster.settle_garbage_collector()

    @property
    def has_node(self) -> bool:
        """Whether the cluster has a node that runs the operator's pod from the sources here."""
        nodes = self.cluster.get("nodes")["items"]
        return any(node["status"]["nodeInfo"]["containerRuntimeVersion"] == RUNTIME for node in nodes)

    def write_values(self) -> Path:
        """A file of values: the settings of this stage, and where the simulated OVHcloud is."""
        urls = {"ovh-eu": {"api": self.ovh_connection["endpoint"], "token": self.ovh_connection["tokenURL"]}}
        values: Json = {"ovhEndpoints": urls}
        for setting, given in self.settings.items():
            *above, last = _VALUES[setting].split(".")
            inner = values
            for name in above:
                inner = inner.setdefault(name, {})
            inner[last] = yaml.safe_load(given)
        path = self.directory / "values.yaml"
        path.write_text(yaml.safe_dump(values))
        return path

    def pod_log(self) -> str:
        """What the operator's pod says."""
        selector = f"--selector=app.kubernetes.io/instance={RELEASE}"
        return self.cluster.kubectl("logs", selector, f"--namespace={SYSTEM}", "--tail=-1").stdout

    def _helm_upgrade(self, *arguments: str) -> None:
        where = (f"--namespace={SYSTEM}", "--create-namespace")
        self.cluster.helm("upgrade", "--install", RELEASE, str(CHART), *where, *arguments, timeout=120)

    def start_operator(self, name: str = "operator", *, account: str = SERVICE_ACCOUNT, **settings: str) -> Child:
        """The container's command as a process, under the chart's own ServiceAccount and rights, or under another one."""
        kubeconfig = self._kubeconfig_of_the_pod(account)
        urls = {"ovh-eu": {"api": self.ovh_connection["endpoint"], "token": self.ovh_connection["tokenURL"]}}
        wanted = {
            "namespace": SYSTEM,
            "ovh_endpoints": json.dumps(urls),
            "http_host": "127.0.0.1",
            "http_port": "0",
            "log_format": "text",
            **self.settings,
            **settings,
        }
        environment = self._of_the_chart() | {f"SOVEREIGN_{key.upper()}": value for key, value in wanted.items()}
        self._said[name] = len(self.log(name))
        return self._start(name, ["-m", "sovereigncloud.cli", "run"], KUBECONFIG=str(kubeconfig), **environment)

    def _of_the_chart(self) -> dict[str, str]:
        """What the values that it was installed with say to the operator."""
        deployment = self.cluster.get("deployment", SERVICE_ACCOUNT, f"--namespace={SYSTEM}")
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        told = {entry["name"]: entry.get("value", "") for entry in container["env"]}
        return {name: value for name, value in told.items() if value and name.startswith("SOVEREIGN_")}

    def stop_operator(self, name: str = "operator") -> float:
        """SIGTERM, as a kubelet does; the seconds that it took to end."""
        begun = time.monotonic()
        self.children.pop(name).stop()
        return time.monotonic() - begun

    def kill_operator(self, name: str = "operator") -> None:
        """SIGKILL: it has no time for anything."""
        child = self.children.pop(name)
        os.kill(child.pid, signal.SIGKILL)
        child.stop()

    def probe(self, path: str, name: str = "operator") -> requests.Response:
        """What the running operator answers over http: /healthz, /readyz, /metrics."""
        said = self.until(lambda: _SERVES.findall(self.log_since_start(name)), f"port of {name}", seconds=30)
        return requests.get(f"http://127.0.0.1:{said[-1]}{path}", timeout=10)

    def log_since_start(self, name: str = "operator") -> str:
        """What the operator said since it was started last."""
        return self.log(name)[self._said[name] :]

    def until(self, test: Callable[[], Any], what: str, *, seconds: float) -> Any:
        """What the test says as soon as that is true. Raises StageError."""
        deadline = time.monotonic() + seconds
        while not (found := test()):
            if time.monotonic() > deadline:
                raise StageError(f"not {what} within {seconds:.0f} s, but {found!r}")
            time.sleep(0.1)
        return found

    def _kubeconfig_of_the_pod(self, account: str) -> Path:
        """A kubeconfig with a token of a ServiceAccount, as the kubelet would mount one."""
        created = self.cluster.kubectl("create", "token", account, "-n", SYSTEM, "--duration=12h")
        config = json.loads(self.cluster.kubectl("config", "view", "--raw", "--minify", "-o", "json").stdout)
        config["users"][0]["user"] = {"token": created.stdout.strip()}
        path = self.directory / f"{account}.kubeconfig"
        path.touch(mode=0o600)
        path.write_text(json.dumps(config))
        return path

    def stop(self) -> None:
        """End what was started, last first."""
        for child in reversed(list(self.children.values())):
            child.stop()
        self.children.clear()

    def log(self, name: str = "operator") -> str:
        """What a process said, also before it was started anew."""
        log = self.directory / f"{name}.log"
        return log.read_text(errors="replace") if log.exists() else ""

    def _start(self, name: str, arguments: list[str], **environment: str) -> Child:
        source = str(Path(sovereigncloud_sandbox.__file__).resolve().parents[1])
        child = Child(
            name,
            [sys.executable, *arguments],
            log=self.directory / f"{name}.log",
            env={**_clean_environment(), "PYTHONPATH": source, "PYTHONUNBUFFERED": "1", **environment},
            grace=_GRACE,
        )
        self.children[name] = child
        return child

    def _announced(self, name: str, arguments: list[str]) -> Json:
        child = self._start(name, ["-m", f"sovereigncloud_sandbox.{name}", *arguments])
        log = self.directory / f"{name}.log"
        deadline = time.monotonic() + _STARTED_WITHIN
        while time.monotonic() < deadline:
            for line in log.read_text().splitlines() if log.exists() else ():
                if line.startswith("{"):
                    found: Json = json.loads(line)
                    return found
            if child.poll() is not None:
                break
            time.sleep(0.05)
        raise StageError(f"{name} did not start: {log.read_text()[-2000:] if log.exists() else ''}")

    # --- what a user does -------------------------------------------------------------------------------------------

    def apply(self, manifest: str | Json | list[Json]) -> None:
        """Kubectl apply."""
        text = manifest if isinstance(manifest, str) else yaml.safe_dump_all(_documents(manifest))
        self.cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=text)

    def get(self, kind: str, name: str, namespace: str = "platform") -> Json:
        """An object, or {} when it is not there."""
        found: Json = self.cluster.request("GET", _path(kind, name, namespace)) or {}
        return found

    def patch(self, kind: str, name: str, change: Json, namespace: str = "platform") -> Json:
        """Kubectl patch --type=merge; the object as it is then."""
        path = _path(kind, name, namespace)
        changed: Json = self.cluster.request("PATCH", path, change, "application/merge-patch+json")
        if not changed:
            raise StageError(f"there is no {kind} {namespace}/{name}")
        return changed

    def annotate(self, kind: str, name: str, namespace: str = "platform", **annotations: str | None) -> Json:
        """Annotations of the group sovereigncloud.io; _ stands for -, None removes."""
        wanted = {f"{GROUP}/{key.replace('_', '-')}": value for key, value in annotations.items()}
        return self.patch(kind, name, {"metadata": {"annotations": wanted}}, namespace)

    def delete(self, kind: str, name: str, namespace: str = "platform") -> None:
        """Kubectl delete --wait=false; not being there is fine."""
        self.cluster.request("DELETE", _path(kind, name, namespace))

    def wait(
        self,
        kind: str,
        name: str,
        what: str,
        test: Callable[[Json], object],
        *,
        namespace: str = "platform",
        seconds: float = 60,
    ) -> Json:
        """The object as soon as the test holds. Raises StageError with what it was instead."""
        deadline = time.monotonic() + seconds
        while True:
            found = self.get(kind, name, namespace)
            if test(found):
                return found
            if time.monotonic() > deadline:
                shown = yaml.safe_dump({k: found.get(k) for k in ("spec", "status")}) if found else "not there"
                raise StageError(f"{kind} {namespace}/{name}: not {what} within {seconds:.0f} s but:\n{shown}")
            time.sleep(0.25)

    def wait_ready(self, kind: str, name: str, *, namespace: str = "platform", seconds: float = 60) -> Json:
        """Ready, and for the generation that is there."""
        return self.wait(kind, name, "ready", is_ready, namespace=namespace, seconds=seconds)

    def wait_gone(self, kind: str, name: str, *, namespace: str = "platform", seconds: float = 60) -> None:
        self.wait(kind, name, "gone", lambda found: not found, namespace=namespace, seconds=seconds)

    # --- what the API server and the simulators saw ------------------------------------------------------------------

    def versions(self, first: Json) -> list[Json]:
        """An object as it was after each of its changes, from `first` on, as a watch tells it."""
        metadata = first["metadata"]
        path = _path(first["kind"], "", metadata["namespace"])
        since = f"watch=1&resourceVersion={metadata['resourceVersion']}&timeoutSeconds=1"
        told = self.cluster.request("GET", f"{path}?fieldSelector=metadata.name={metadata['name']}&{since}")
        events = told if isinstance(told, list) else [told] if told else []
        return [first, *(event["object"] for event in events if event["type"] in {"MODIFIED", "DELETED"})]

    def kubernetes_writes(self) -> Counter[str]:
        """Writes to the API server since it started, by "VERB resource/subresource", whoever made them; no Leases."""
        counted: Counter[str] = Counter()
        for line in self.cluster.request("GET", "/metrics").splitlines():
            if line.startswith("apiserver_request_total{"):
                labels = dict(_LABEL.findall(line))
                if labels["verb"] in _WRITES and labels["resource"] != "leases":
                    where = "/".join(filter(None, (labels["resource"], labels["subresource"])))
                    counted[f"{labels['verb']} {where}"] += int(float(line.rpartition(" ")[2]))
        return counted

    def events(self, kind: str, name: str, namespace: str = "platform") -> list[Json]:
        """Kubernetes events about an object, oldest first."""
        found = self.cluster.request("GET", f"/api/v1/namespaces/{namespace}/events?limit=5000")["items"]
        about = [e for e in found if (e["involvedObject"]["kind"], e["involvedObject"]["name"]) == (kind, name)]
        return sorted(about, key=lambda event: int(event["metadata"]["resourceVersion"]))


def is_ready(found: Json) -> bool:
    """Ready=True for the generation that is there, and nothing under way."""
    status = found.get("status") or {}
    return (
        status.get("observedGeneration") == found.get("metadata", {}).get("generation")
        and condition(found, "Ready").get("status") == "True"
        and not condition(found, "Reconciling")
    )


def condition(found: Json, kind: str) -> Json:
    """A condition of an object, or {}."""
    conditions = (found.get("status") or {}).get("conditions") or []
    return next((c for c in conditions if c["type"] == kind), {})


def _path(kind: str, name: str, namespace: str) -> str:
    """Where the API server has an object, or all of a kind; `kind` as kubectl takes it."""
    plural = _PLURALS.get(kind.lower(), kind.lower())
    if plural in _CORE:
        return f"/api/v1/{'' if plural == 'namespaces' else f'namespaces/{namespace}/'}{plural}/{name}".rstrip("/")
    scope = "" if plural in _WITHOUT_NAMESPACE else f"namespaces/{namespace}/"
    return f"/apis/{GROUP}/{VERSION}/{scope}{plural}/{name}".rstrip("/")


def _documents(manifest: Json | list[Json]) -> list[Json]:
    return manifest if isinstance(manifest, list) else [manifest]


def _clean_environment() -> dict[str, str]:
    """Without the settings and credentials of the person who starts it."""
    return {k: v for k, v in os.environ.items() if not k.startswith(("SOVEREIGN_", "OVH_", "KUBE", "ONE_"))}


__all__ = ["CHART", "EXAMPLES", "Cluster", "Door", "Stage", "StageError", "condition", "is_ready"]
