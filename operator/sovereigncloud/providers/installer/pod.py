"""The installer's pod: one container that is given everything as variables and mounted Secrets, and keeps nothing."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import Any

from sovereigncloud.ports.installer.installation import Installation
from sovereigncloud.providers.installer.inventory import CERTIFICATE, CREDENTIALS, render
from sovereigncloud.providers.installer.ssh import known_hosts

Json = dict[str, Any]

CONTAINER = "one-deploy"
PLAYBOOKS = ("prepare.yml", "certificate.yml", "opennebula.deploy.main", "publish.yml", "firewall.yml")
"""In this order: the network first, the certificate before the web server that serves it, and the doors closed last."""
CERTIFICATE_ONLY = ("certificate.yml",)

BASTION = "/bastion"
_KEY = "sshPrivateKey"
_USER = 1000
_RUNNER_GROUP = 0  # the image lets this group write where ansible-runner wants to


def pod(installation: Installation, image: str, environment: Mapping[str, str]) -> Json:
    """What the Job runs. The Secrets are mounted, so none of them is in it."""
    variables = _variables(installation) | dict(environment)
    return pod_of(container_of(CONTAINER, image, file("run.sh"), variables), _secrets(installation))


def container_of(name: str, image: str, script: str, variables: Mapping[str, str]) -> Json:
    """A container that runs a script with these variables."""
    return {
        "name": name,
        "image": image,
        "command": ["/bin/sh", "-c", script],
        "env": [{"name": n, "value": v} for n, v in variables.items()],
        "resources": {"requests": {"cpu": "250m", "memory": "512Mi"}, "limits": {"memory": "2Gi"}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "terminationMessagePolicy": "File",  # the log may hold passwords
    }


def pod_of(container: Json, secrets: Mapping[str, tuple[str, str, tuple[str, ...]]]) -> Json:
    """A pod of one container. `secrets`: by name of the volume where it is mounted, of which Secret, and which keys."""
    mounts = [{"name": name, "mountPath": path, "readOnly": True} for name, (path, _, _) in secrets.items()]
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _USER,
            "runAsGroup": _RUNNER_GROUP,
            "fsGroup": _RUNNER_GROUP,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [{**container, "volumeMounts": [{"name": "runner", "mountPath": "/runner"}, *mounts]}],
        "volumes": [
            {"name": "runner", "emptyDir": {}},
            *(_volume(name, secret, keys) for name, (_, secret, keys) in secrets.items()),
        ],
    }


def _variables(installation: Installation) -> dict[str, str]:
    return {
        "INVENTORY": render(installation),
        "KNOWN_HOSTS": known_hosts(installation),
        "PLAYBOOKS": " ".join(CERTIFICATE_ONLY if installation.only_certificate else PLAYBOOKS),
        "PREPARE": playbook("prepare.yml"),
        "CERTIFICATE": playbook("certificate.yml"),
        "PUBLISH": playbook("publish.yml"),
        "FIREWALL": playbook("firewall.yml"),
        "HOME": "/runner",
    }


def _secrets(installation: Installation) -> dict[str, tuple[str, str, tuple[str, ...]]]:
    """Name of the volume: where it is mounted, of which Secret, and which of its keys."""
    reach = installation.reach
    found: dict[str, tuple[str, str, tuple[str, ...]]] = {}
    found["credentials"] = (CREDENTIALS, installation.credentials_secret, ("password", _KEY))
    if reach.tls_secret:
        found["certificate"] = (CERTIFICATE, reach.tls_secret, ("tls.crt", "tls.key"))
    if reach.jump_host is not None and reach.jump_host.key_secret:
        found["bastion"] = (BASTION, reach.jump_host.key_secret, (_KEY,))
    return found


def _volume(name: str, secret: str, keys: tuple[str, ...]) -> Json:
    items = [{"key": key, "path": key} for key in keys]
    return {"name": name, "secret": {"secretName": secret, "defaultMode": 0o440, "items": items}}


def playbook(name: str) -> str:
    """One of the operator's own playbooks."""
    return file(f"playbooks/{name}")


def file(name: str) -> str:
    """A file of this package."""
    return resources.files(__package__).joinpath(name).read_text()
