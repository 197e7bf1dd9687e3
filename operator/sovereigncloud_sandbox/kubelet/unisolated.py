"""Containers without namespaces: paths of volumes and files are rewritten to those on the machine."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from sovereigncloud_sandbox.kubelet.config import Config
from sovereigncloud_sandbox.kubelet.root import Mount

_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


def moved(text: str, mounts: Sequence[Mount]) -> str:
    """The text with each path in the container, and what lies below it, as the path on the machine; longest first."""
    for mount in sorted(mounts, key=lambda one: len(one.target), reverse=True):
        text = re.sub(rf"(?<![\w./-]){re.escape(mount.target)}(?![\w.-])", str(mount.source), text)
    return text


def in_the_open(
    command: Sequence[str], env: Mapping[str, str], mounts: Sequence[Mount], config: Config, directory: Path
) -> tuple[list[str], dict[str, str]]:
    """Command and environment for the machine itself; with a token, a kubeconfig that names its file."""
    changed = {name: moved(value, mounts) for name, value in env.items()}
    account = next((mount.source for mount in mounts if mount.target == _ACCOUNT), None)
    if account is not None:
        kubeconfig = directory / "kubeconfig"
        kubeconfig.write_text(_kubeconfig(config, account))
        changed["KUBECONFIG"] = str(kubeconfig)
    return [moved(part, mounts) for part in command], changed


def _kubeconfig(config: Config, account: Path) -> str:
    cluster = {"server": config.api, "certificate-authority": str(config.authority)}
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": cluster}],
            "users": [{"name": "u", "user": {"tokenFile": str(account / "token")}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "c",
        }
    )
