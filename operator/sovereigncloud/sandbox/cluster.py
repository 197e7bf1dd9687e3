"""A Kubernetes cluster as a person has it: a kubeconfig, kubectl and helm."""

import base64
import json
import os
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from sovereigncloud.sandbox.certificates import KeyPair
from sovereigncloud.sandbox.toolchain import Toolchain

_TIMEOUT = 60.0


class CommandError(Exception):
    """kubectl or helm ended with an error; the message is the command and what it said."""

    def __init__(self, finished: subprocess.CompletedProcess[str]) -> None:
        command = shlex.join([Path(finished.args[0]).name, *finished.args[1:]])
        super().__init__(f"{command}: exit code {finished.returncode}\n{finished.stderr.strip()}")
        self.finished = finished


class Cluster:
    """A cluster that somebody runs. `directory` holds the caches of kubectl and helm, so that the user's stay clean."""

    def __init__(self, kubeconfig: Path, directory: Path, toolchain: Toolchain | None = None) -> None:
        self.kubeconfig = kubeconfig
        self.directory = directory
        self.toolchain = toolchain or Toolchain()
        self._programs: dict[str, Path] = {}

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
