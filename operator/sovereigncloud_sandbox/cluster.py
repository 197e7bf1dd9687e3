"""Access to a Kubernetes cluster with a kubeconfig, kubectl and helm."""

import base64
import http
import json
import os
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import kubernetes
import requests
import yaml

from sovereigncloud_sandbox.certificates import KeyPair
from sovereigncloud_sandbox.toolchain import Toolchain

_TIMEOUT = 60.0


class CommandError(Exception):
    """kubectl or helm failed; the message is the command and its output."""

    def __init__(self, finished: subprocess.CompletedProcess[str]) -> None:
        command = shlex.join([Path(finished.args[0]).name, *finished.args[1:]])
        super().__init__(f"{command}: exit code {finished.returncode}\n{finished.stderr.strip()}")
        self.finished = finished


class RequestError(Exception):
    """The API server refused a request; the message is its answer."""


class Cluster:
    """A cluster that somebody runs. `directory` holds the caches of kubectl and helm, so that the user's stay clean."""

    def __init__(self, kubeconfig: Path, directory: Path, toolchain: Toolchain | None = None) -> None:
        self.kubeconfig = kubeconfig
        self.directory = directory
        self.toolchain = toolchain or Toolchain()
        self._programs: dict[str, Path] = {}
        self._session: tuple[requests.Session, str] | None = None

    def kubectl(
        self,
        *arguments: str,
        input: str | None = None,  # noqa: A002 - as in subprocess.run
        check: bool = True,
        kubeconfig: Path | None = None,
        timeout: float = _TIMEOUT,
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl. Raises `CommandError` unless `check=False`, for what is meant to be refused."""
        return self._execute("kubectl", arguments, given=input, check=check, kubeconfig=kubeconfig, timeout=timeout)

    def helm(
        self,
        *arguments: str,
        input: str | None = None,  # noqa: A002 - as in subprocess.run
        check: bool = True,
        kubeconfig: Path | None = None,
        timeout: float = _TIMEOUT,
    ) -> subprocess.CompletedProcess[str]:
        """Run helm, under the same rules."""
        return self._execute("helm", arguments, given=input, check=check, kubeconfig=kubeconfig, timeout=timeout)

    def get(self, *arguments: str) -> Any:
        """What `kubectl get ... -o json` answers, decoded."""
        return json.loads(self.kubectl("get", *arguments, "--output=json").stdout)

    def environment(self, kubeconfig: Path | None = None) -> dict[str, str]:
        """This process's environment, turned to the cluster; for programs that tests start."""
        return os.environ | {
            "KUBECONFIG": str(kubeconfig or self.kubeconfig),
            "KUBECACHEDIR": str(self._caches / "kubectl"),
            "HELM_CACHE_HOME": str(self._caches / "helm"),
            "HELM_CONFIG_HOME": str(self._caches / "helm-config"),
            "HELM_DATA_HOME": str(self._caches / "helm-data"),
        }

    def request(self, method: str, path: str, body: object = None, content_type: str = "application/json") -> Any:
        """Ask the API server as the kubeconfig's user, for those who ask often: kubectl takes a tenth of a second.

        The decoded answer, a list for a watch; text where it is no JSON, None where there is no such thing. Raises
        `RequestError`.
        """
        session, host = self._connection()
        headers = {"Content-Type": content_type, "Accept": "application/json, */*"}
        data = None if body is None else json.dumps(body)
        reply = session.request(method, f"{host}{path}", data=data, headers=headers, timeout=30)
        if reply.status_code == http.HTTPStatus.NOT_FOUND:
            return None
        if reply.status_code >= http.HTTPStatus.BAD_REQUEST:
            raise RequestError(f"{method} {path}: {reply.status_code} {reply.text[:500]}")
        if not reply.text or not reply.headers.get("Content-Type", "").startswith("application/json"):
            return reply.text
        lines = reply.text.splitlines()  # a watch answers one object a line
        return [json.loads(line) for line in lines] if len(lines) > 1 else reply.json()

    def _connection(self) -> tuple[requests.Session, str]:
        if self._session is None:
            configuration = kubernetes.client.Configuration()
            kubernetes.config.load_kube_config(  # type: ignore[no-untyped-call]
                str(self.kubeconfig), client_configuration=configuration, persist_config=False
            )
            session = requests.Session()
            session.trust_env = False  # the kubeconfig names the server, not a proxy
            session.verify = configuration.ssl_ca_cert or True
            if configuration.cert_file and configuration.key_file:
                session.cert = (configuration.cert_file, configuration.key_file)
            if token := (configuration.api_key or {}).get("BearerToken"):
                session.headers["Authorization"] = f"Bearer {token.removeprefix('Bearer ')}"
            self._session = (session, configuration.host)
        return self._session

    @property
    def _caches(self) -> Path:
        return self.directory / "caches"

    def _execute(
        self,
        name: str,
        arguments: tuple[str, ...],
        *,
        given: str | None,
        check: bool,
        kubeconfig: Path | None,
        timeout: float,
    ) -> subprocess.CompletedProcess[str]:
        if name not in self._programs:
            self._programs[name] = self.toolchain.resolve(name)
        finished = subprocess.run(
            [str(self._programs[name]), *arguments],
            input=given,
            stdin=subprocess.DEVNULL if given is None else None,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
            env=self.environment(kubeconfig),
        )
        if check and finished.returncode:
            raise CommandError(finished)
        return finished


def write_kubeconfig(path: Path, endpoint: str, authority: bytes, user: str, credential: KeyPair | str) -> Path:
    """A kubeconfig (mode 0600) for one user with a client certificate, or with a token where a text is given."""
    if isinstance(credential, KeyPair):
        login: Mapping[str, str] = {
            "client-certificate-data": _base64(credential.certificate),
            "client-key-data": _base64(credential.key),
        }
    else:
        login = {"token": credential}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "sandbox", "cluster": {"server": endpoint, "certificate-authority-data": _base64(authority)}}
        ],
        "users": [{"name": user, "user": dict(login)}],
        "contexts": [{"name": "sandbox", "context": {"cluster": "sandbox", "user": user, "namespace": "default"}}],
        "current-context": "sandbox",
    }
    write_private(path, yaml.safe_dump(document, sort_keys=False).encode())
    return path


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, and replace an older one at once."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
    new.replace(path)


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
