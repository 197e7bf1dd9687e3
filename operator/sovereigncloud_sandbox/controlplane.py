"""A real Kubernetes control plane on loopback: etcd, kube-apiserver, kube-controller-manager, and a node on demand.

Everything about the API is real: CRDs with CEL, server-side apply, watches, RBAC, ServiceAccounts, garbage collection
by ownerReferences, namespace deletion. Without `start_kubelet()` there is no node: a Deployment never becomes ready and
a Job never runs its pod.
"""

import contextlib
import http.client
import json
import os
import random
import shutil
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import sovereigncloud_sandbox
from sovereigncloud_sandbox.certificates import Authority, key_pem, new_key
from sovereigncloud_sandbox.child import Child
from sovereigncloud_sandbox.cluster import Cluster, write_kubeconfig, write_private
from sovereigncloud_sandbox.kubelet.config import Config
from sovereigncloud_sandbox.kubelet.images import Image, operator_images
from sovereigncloud_sandbox.kubelet.log_file import text_of
from sovereigncloud_sandbox.toolchain import Toolchain

LOOPBACK = "127.0.0.1"
_READY_WITHIN = 60.0  # seconds; 3 are usual
_NODE = "sandbox"
_KUBELET_GRACE = 5.0  # seconds; its pods get 2 of them
_GRACE = 1.0  # seconds; kube-apiserver would wait for its watches to drain, and nothing here is worth that
_POLL = 0.05
_AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "None", "userGroups": ["system:serviceaccounts:kube-system"]},
        {"level": "Metadata", "userGroups": ["system:serviceaccounts"]},
    ],
}
Json = dict[str, Any]


class ControlPlaneError(Exception):
    """A component did not start; the message has the last lines of its log."""


class ControlPlane(Cluster):
    """One control plane: `start()` and `stop()`, or a `with` block.

    Its ports are held from `start()` to `stop()` by bound sockets with SO_REUSEPORT, which the servers share: no other
    program can take one between choosing and listening, nor while a server is restarted by `reset_etcd()`.
    The programs end with this process, however it ends. `directory` is made if need be and keeps the logs.
    """

    def __init__(self, directory: Path, toolchain: Toolchain | None = None, *, audited: bool = False) -> None:
        """`audited`: what ServiceAccounts other than Kubernetes' own ask for is logged, see `audit()`."""
        directory = directory.absolute()
        super().__init__(directory / "kubeconfig", directory, toolchain)
        self._audited = audited
        self._authority = Authority.create("sovereign-sandbox")
        # The kubelet listens on the addresses of Services, and other control planes on the machine have some, too.
        self._services = f"127.{random.randint(32, 63)}.{random.randint(0, 255)}"
        self._admin: ssl.SSLContext | None = None
        self._ports: dict[str, socket.socket] = {}
        self._children: dict[str, Child] = {}

    @property
    def endpoint(self) -> str:
        """The address of the API server."""
        return f"https://{LOOPBACK}:{self._port('api')}"

    @property
    def children(self) -> Mapping[str, Child]:
        """The running programs by name."""
        return dict(self._children)

    def start(self) -> Self:
        """Start, and return when the API answers and the controllers work: about 4 s once everything is built.

        Raises `BuildError` or `ControlPlaneError`.
        """
        programs = {
            name: self.toolchain.resolve(name) for name in ("etcd", "kube-apiserver", "kube-controller-manager")
        }
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._programs.update(programs)
        self._ports = {name: _reserve_port() for name in ("etcd", "etcd-peer", "api")}
        try:
            self._write_files()
            self._run_all()
        except BaseException:
            self.stop()
            raise
        return self

    def start_kubelet(self, images: Mapping[str, Image] | None = None, *, refresh: float = 30.0) -> None:
        """Add a node that runs pods of these images by repository, the operator's if none are named; about 1 s.

        `refresh`: see `kubelet.config.Config`. Raises `ControlPlaneError`.
        """
        directory = self._file("kubelet")
        directory.mkdir(mode=0o700)
        node = self._authority.issue(f"system:node:{_NODE}", organizations=["system:masters"], names=[LOOPBACK])
        write_private(directory / "node.crt", node.certificate)
        write_private(directory / "node.key", node.key)
        config = Config(
            node=_NODE,
            api=self.endpoint,
            authority=self._file("ca.crt"),
            certificate=directory / "node.crt",
            key=directory / "node.key",
            directory=directory,
            images=operator_images(directory) if images is None else images,
            # Other control planes on the machine have pods, too.
            pods=f"127.{random.randint(1, 31)}.{random.randint(0, 255)}",
            refresh=refresh,
        )
        config.write(self._kubelet_config)
        self.restart_kubelet()

    def restart_kubelet(self, *, namespaces: bool = True) -> None:
        """The kubelet anew, where it ended or runs; its pods run anew as well. `namespaces`: see `Config`."""
        self._end("kubelet")
        replace(Config.read(self._kubelet_config), namespaces=namespaces).write(self._kubelet_config)
        source = str(Path(sovereigncloud_sandbox.__file__).resolve().parents[1])
        self._children["kubelet"] = Child(
            "kubelet",
            [sys.executable, "-m", "sovereigncloud_sandbox.kubelet", self._kubelet_config],
            log=self._file("kubelet.log"),
            env=os.environ | {"PYTHONPATH": source, "PYTHONUNBUFFERED": "1"},
            cwd=self.directory,
            grace=_KUBELET_GRACE,
        )
        self._await("kubelet", lambda: self._request("GET", f"/api/v1/nodes/{_NODE}")[0] == http.HTTPStatus.OK)

    @property
    def _kubelet_config(self) -> Path:
        return self._file("kubelet") / "config.json"

    def pod_log(self, namespace: str, pod: str, container: str) -> str:
        """What a container of a pod said in all its runs, also after the pod is gone; "" if there is none."""
        folders = sorted(self._file("kubelet").glob(f"logs/{namespace}_{pod}_*/{container}"))
        logs = [log for folder in folders for log in sorted(folder.glob("*.log"), key=lambda one: int(one.stem))]
        return "".join(text_of(log) for log in logs)

    def stop(self) -> None:
        """End every program and give the ports back. Safe to call again."""
        self._end("kubelet")  # before the API server goes, which it tells the end of its pods
        self._end("kube-controller-manager", "kube-apiserver", "etcd")
        for reservation in self._ports.values():
            reservation.close()
        self._ports = {}

    def reset_etcd(self) -> None:
        """Lose the cluster: everything stored is gone, the address and all kubeconfigs stay valid.

        Tokens of ServiceAccounts do not survive: the accounts that they name are gone.
        """
        self._end("kube-controller-manager", "kube-apiserver", "etcd")
        self._run_all()

    @contextlib.contextmanager
    def without_api_server(self) -> Iterator[None]:
        """The API server is down for the length of the block, and back with everything stored after it."""
        self._end("kube-controller-manager", "kube-apiserver")
        try:
            yield
        finally:
            self._run_api_server()
            self._run_controller_manager()

    def install_crds(self, *files: Path) -> None:
        """Apply CRDs, wait until they are served, and let the garbage collector know of them.

        The collector looks for new kinds only every 30 s (kube-controller-manager, garbagecollector.Sync); starting it
        anew is quicker than that wait. After `reset_etcd()` this is needed again.
        """
        arguments = [f"--filename={file}" for file in files]
        self.kubectl("apply", "--server-side", *arguments)
        self.kubectl("wait", "--for=condition=Established", "--timeout=30s", *arguments)
        self.settle_garbage_collector()

    def settle_garbage_collector(self) -> None:
        """Let the garbage collector know of kinds that were added just now."""
        self._end("kube-controller-manager")
        self._run_controller_manager()

    def kubeconfig_for(self, user: str, groups: Sequence[str] = ()) -> Path:
        """A kubeconfig for a user in groups, by client certificate. RBAC decides what it may do: at first nothing."""
        pair = self._authority.issue(user, organizations=groups)
        path = self._file(f"user-{_file_name(user)}.kubeconfig")
        return write_kubeconfig(path, self.endpoint, self._authority.pem, user, pair)

    def kubeconfig_for_service_account(self, namespace: str, name: str, *, seconds: int = 3600) -> Path:
        """A kubeconfig with a token of an existing ServiceAccount, valid for `seconds` (at least 600)."""
        status, answer = self._request(
            "POST",
            f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token",
            {
                "apiVersion": "authentication.k8s.io/v1",
                "kind": "TokenRequest",
                "spec": {"expirationSeconds": seconds},
            },
        )
        if status != http.HTTPStatus.CREATED:
            raise ControlPlaneError(f"no token for ServiceAccount {namespace}/{name}: {answer.get('message', status)}")
        path = self._file(f"serviceaccount-{namespace}-{name}.kubeconfig")
        return write_kubeconfig(path, self.endpoint, self._authority.pem, name, str(answer["status"]["token"]))

    def audit(self) -> list[Json]:
        """What ServiceAccounts asked for so far, as the API server's audit log has it (level Metadata)."""
        log = self._file("audit.log")
        complete = log.read_text().rpartition("\n")[0] if log.exists() else ""
        return [json.loads(line) for line in complete.splitlines()]

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _write_files(self) -> None:
        issue = self._authority.issue
        admin = issue("sandbox-admin", organizations=["system:masters"])
        manager = issue("system:kube-controller-manager")
        server = issue(
            "kube-apiserver",
            names=[
                *("localhost", LOOPBACK, f"{self._services}.1"),  # the first is that of the Service `kubernetes`
                *("kubernetes", "kubernetes.default", "kubernetes.default.svc"),
            ],
        )
        etcd = issue("etcd", names=["localhost", LOOPBACK])
        self._file("ca.crt").write_bytes(self._authority.pem)
        self._file("audit-policy.json").write_text(json.dumps(_AUDIT_POLICY))
        kubelets_client = issue("kube-apiserver-kubelet-client")
        for name, pair in {"admin": admin, "api": server, "etcd": etcd, "kubelet-client": kubelets_client}.items():
            write_private(self._file(f"{name}.crt"), pair.certificate)
            write_private(self._file(f"{name}.key"), pair.key)
        write_private(self._file("serviceaccount.key"), key_pem(new_key()))
        write_kubeconfig(self.kubeconfig, self.endpoint, self._authority.pem, "sandbox-admin", admin)
        write_kubeconfig(
            self._file("controller-manager.kubeconfig"), self.endpoint, self._authority.pem, "controllers", manager
        )
        self._admin = ssl.create_default_context(cafile=str(self._file("ca.crt")))
        self._admin.load_cert_chain(self._file("admin.crt"), self._file("admin.key"))

    def _run_all(self) -> None:
        shutil.rmtree(self._file("etcd"), ignore_errors=True)
        # kubectl keeps what it discovered for 10 minutes per address, and a new cluster lives at the same address.
        shutil.rmtree(self._caches, ignore_errors=True)
        self._run_etcd()
        self._run_api_server()
        self._run_controller_manager()

    def _run_etcd(self) -> None:
        client, peer = (f"https://{LOOPBACK}:{self._port(name)}" for name in ("etcd", "etcd-peer"))
        pair = {"cert-file": self._file("etcd.crt"), "key-file": self._file("etcd.key")}
        trust = {"trusted-ca-file": self._file("ca.crt"), "client-cert-auth": "true"}
        self._run(
            "etcd",
            {
                "name": "sandbox",
                "data-dir": self._file("etcd"),
                "listen-client-urls": client,
                "advertise-client-urls": client,
                "listen-peer-urls": peer,
                "initial-advertise-peer-urls": peer,
                "initial-cluster": f"sandbox={peer}",
                **pair,
                **trust,
                **{f"peer-{name}": value for name, value in (pair | trust).items()},
                "socket-reuse-port": "true",
                "unsafe-no-fsync": "true",  # nothing here is worth a disk's time
                "log-level": "warn",
            },
        )

    def _run_api_server(self) -> None:
        key = self._file("serviceaccount.key")
        audit = {"audit-policy-file": self._file("audit-policy.json"), "audit-log-path": self._file("audit.log")}
        self._run(
            "kube-apiserver",
            {
                "etcd-servers": f"https://{LOOPBACK}:{self._port('etcd')}",
                "etcd-cafile": self._file("ca.crt"),
                "etcd-certfile": self._file("etcd.crt"),
                "etcd-keyfile": self._file("etcd.key"),
                "bind-address": LOOPBACK,
                "advertise-address": LOOPBACK,
                "secure-port": self._port("api"),
                "permit-port-sharing": "true",
                "endpoint-reconciler-type": "none",
                "tls-cert-file": self._file("api.crt"),
                "tls-private-key-file": self._file("api.key"),
                "client-ca-file": self._file("ca.crt"),
                "service-account-key-file": key,
                "service-account-signing-key-file": key,
                "service-account-issuer": "https://kubernetes.default.svc",
                "service-cluster-ip-range": f"{self._services}.0/24",
                "authorization-mode": "Node,RBAC",
                "allow-privileged": "true",
                "kubelet-client-certificate": self._file("kubelet-client.crt"),
                "kubelet-client-key": self._file("kubelet-client.key"),
                "kubelet-certificate-authority": self._file("ca.crt"),
                **(audit if self._audited else {}),
            },
        )
        self._await("kube-apiserver", lambda: self._request("GET", "/readyz")[0] == http.HTTPStatus.OK)

    def _run_controller_manager(self) -> None:
        kubeconfig = self._file("controller-manager.kubeconfig")
        self._run(
            "kube-controller-manager",
            {
                "kubeconfig": kubeconfig,
                "service-account-private-key-file": self._file("serviceaccount.key"),
                "root-ca-file": self._file("ca.crt"),
                "use-service-account-credentials": "true",
                "secure-port": 0,  # nobody reads its metrics
                "leader-elect": "false",
                # Their addresses would be on loopback, which the API server refuses in Endpoints: see kubelet.services.
                "controllers": "*,-endpoints-controller,-endpointslice-controller,-endpointslice-mirroring-controller",
                "kube-api-qps": 500,  # the default of 20 makes the deletion of a thousand objects take a minute
                "kube-api-burst": 1000,
            },
        )
        account = "/api/v1/namespaces/default/serviceaccounts/default"
        self._await("kube-controller-manager", lambda: self._request("GET", account)[0] == http.HTTPStatus.OK)

    def _run(self, name: str, flags: Mapping[str, object]) -> None:
        command: list[str | Path] = [self._programs[name], *(f"--{flag}={value}" for flag, value in flags.items())]
        self._children[name] = Child(name, command, log=self._file(f"{name}.log"), cwd=self.directory, grace=_GRACE)

    def _await(self, name: str, ready: Callable[[], bool]) -> None:
        """Wait for a part; give up as soon as any program ended, for it will not come back."""
        deadline = time.monotonic() + _READY_WITHIN
        while True:
            with contextlib.suppress(OSError, http.client.HTTPException):
                if ready():
                    return
            for child in self._children.values():
                if child.poll() is not None:
                    raise ControlPlaneError(f"{child.name} ended with code {child.poll()}:\n{child.tail()}")
            if time.monotonic() > deadline:
                raise ControlPlaneError(f"{name} not ready in {_READY_WITHIN:.0f} s:\n{self._children[name].tail()}")
            time.sleep(_POLL)

    def _request(
        self, method: str, path: str, body: object = None, content_type: str = "application/json"
    ) -> tuple[int, Any]:
        connection = http.client.HTTPSConnection(LOOPBACK, self._port("api"), timeout=30, context=self._admin)
        with contextlib.closing(connection):
            headers = {"Content-Type": content_type, "Accept": "application/json, */*"}
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            answer = connection.getresponse()
            content = answer.read().decode()
        if not content or answer.headers.get_content_type() != "application/json":
            return answer.status, content
        lines = content.splitlines()  # a watch answers one object a line
        return answer.status, [json.loads(line) for line in lines] if len(lines) > 1 else json.loads(content)

    def _end(self, *names: str) -> None:
        children = [self._children.pop(name) for name in names if name in self._children]
        for child in children:
            child.ask_to_stop()
        for child in children:
            child.stop()

    def _port(self, name: str) -> int:
        if name not in self._ports:
            raise ControlPlaneError("the control plane is not started")
        return int(self._ports[name].getsockname()[1])

    def _file(self, name: str) -> Path:
        return self.directory / name


def _reserve_port() -> socket.socket:
    """A port of loopback that is ours as long as the socket is open; it never listens, so it takes no connection.

    The kernel gives no port twice to those that ask for any, and none that is bound so to an outgoing connection.
    """
    reservation = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    reservation.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    reservation.bind((LOOPBACK, 0))
    return reservation


def _file_name(user: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-." else "_" for letter in user)
