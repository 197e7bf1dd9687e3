"""The Job: its manifest, how it is started once, and what its conditions say."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import Any, Protocol

from sovereigncloud.api.base import API_VERSION, GROUP
from sovereigncloud.kinds.errors import Conflict
from sovereigncloud.kinds.ports import Installation, InstallState
from sovereigncloud.providers.installer.inventory import CREDENTIALS, render

Json = dict[str, Any]

CLOUD_LABEL = f"{GROUP}/cloud"
INSTALLER_LABEL = f"{GROUP}/installer"
ONE_DEPLOY = "one-deploy"
COLLECTION = "git+https://github.com/OpenNebula/one-deploy.git,38f3937"

_DEADLINE = 7200  # seconds; one-deploy takes tens of minutes
_NAME = 40  # of the cloud's name, so that the Job's pod has a name that fits
_USER = 1000
_RUNNER_GROUP = 0  # the image lets this group write where ansible-runner wants to


class JobApi(Protocol):
    """What is needed of the API server. Raises the errors of `kinds.errors`."""

    async def job(self, namespace: str, name: str) -> Json | None:
        """A Job, or None."""
        ...

    async def jobs(self, namespace: str, selector: str) -> list[Json]:
        """Jobs with these labels."""
        ...

    async def create_job(self, namespace: str, body: Json) -> None:
        """Raises Conflict when one of that name is there."""
        ...


class JobInstaller:
    """The installer port over Kubernetes Jobs.

    Args:
        api: the API server.
        image: an image with ansible-runner, ansible-galaxy and git.
        collection: one-deploy as `ansible-galaxy collection install` takes it.
    """

    def __init__(self, api: JobApi, *, image: str, collection: str = COLLECTION) -> None:
        self._api, self._image, self._collection = api, image, collection

    async def state(self, installation: Installation) -> InstallState:
        """Absent, Running, Succeeded or Failed: of the Job of exactly this inventory."""
        found = await self._api.job(installation.namespace, job_name(installation))
        return InstallState("Absent") if found is None else state_of(found)

    async def start(self, installation: Installation) -> None:
        """Make the Job unless it is there, finished or not. Raises Conflict while another one of the cloud runs."""
        namespace, name = installation.namespace, job_name(installation)
        if await self._api.job(namespace, name) is not None:
            return
        selector = f"{CLOUD_LABEL}={installation.cloud},{INSTALLER_LABEL}={ONE_DEPLOY}"
        for other in await self._api.jobs(namespace, selector):
            if other["metadata"]["name"] != name and state_of(other).state == "Running":
                raise Conflict(
                    f"Job {other['metadata']['name']} of an earlier inventory still runs; waiting for its end"
                )
        try:
            await self._api.create_job(namespace, manifest(installation, self._image, self._collection))
        except Conflict:
            return  # of the same name, so of the same inventory


def job_name(installation: Installation) -> str:
    """Named by what is installed: the same inventory never gives a second Job."""
    return f"{installation.cloud[:_NAME].rstrip('-.')}-install-{installation.hash[:12]}"


def state_of(job: Mapping[str, Any]) -> InstallState:
    """What the Job's conditions say; a Job that ended says Complete or Failed, everything before that is running."""
    true = {c["type"]: c for c in (job.get("status") or {}).get("conditions") or () if c.get("status") == "True"}
    if "Complete" in true:
        return InstallState("Succeeded")
    if "Failed" in true:
        name = job["metadata"]["name"]
        why = true["Failed"].get("message") or true["Failed"].get("reason") or "no reason given"
        return InstallState("Failed", f"Job {name}: {why} (kubectl logs job/{name})")
    return InstallState("Running", f"Job {job['metadata']['name']}")


def manifest(installation: Installation, image: str, collection: str) -> Json:
    """The Job. It ends with its cloud, holds no secret itself, and is tried once: retrying is a person's decision."""
    labels = {
        CLOUD_LABEL: installation.cloud,
        INSTALLER_LABEL: ONE_DEPLOY,
        "app.kubernetes.io/part-of": "sovereign-cloud-operator",
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": job_name(installation),
            "namespace": installation.namespace,
            "labels": labels,
            "ownerReferences": [
                {
                    "apiVersion": API_VERSION,
                    "kind": "SovereignCloud",
                    "name": installation.cloud,
                    "uid": installation.owner_uid,
                    "controller": True,
                    "blockOwnerDeletion": False,
                }
            ],
        },
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": _DEADLINE,
            "template": {"metadata": {"labels": labels}, "spec": _pod(installation, image, collection)},
        },
    }


def _pod(installation: Installation, image: str, collection: str) -> Json:
    variables = {
        "INVENTORY": render(installation),
        "PREPARE": _file("prepare.yml"),
        "COLLECTION": collection,
        "HOME": "/runner",
    }
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
        "containers": [
            {
                "name": ONE_DEPLOY,
                "image": image,
                "command": ["/bin/sh", "-c", _file("run.sh")],
                "env": [{"name": name, "value": value} for name, value in variables.items()],
                "resources": {"requests": {"cpu": "250m", "memory": "512Mi"}, "limits": {"memory": "2Gi"}},
                "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                "volumeMounts": [
                    {"name": "runner", "mountPath": "/runner"},
                    {"name": "credentials", "mountPath": CREDENTIALS, "readOnly": True},
                ],
            }
        ],
        "volumes": [
            {"name": "runner", "emptyDir": {}},
            {
                "name": "credentials",
                "secret": {
                    "secretName": installation.credentials_secret,
                    "defaultMode": 0o440,
                    "items": [{"key": key, "path": key} for key in ("password", "sshPrivateKey")],
                },
            },
        ],
    }


def _file(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text()
