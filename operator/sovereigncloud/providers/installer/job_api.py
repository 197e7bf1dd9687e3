"""What Jobs of the operator have in common: their labels, the API they are made through, what their conditions say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from sovereigncloud.api.common.base import API_VERSION, GROUP
from sovereigncloud.ports.errors import Conflict
from sovereigncloud.ports.installer.installation import InstallState

Json = dict[str, Any]

CLOUD_LABEL = f"{GROUP}/cloud"
INSTALLER_LABEL = f"{GROUP}/installer"
ONE_DEPLOY = "one-deploy"


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

    async def pods(self, namespace: str, selector: str) -> list[Json]:
        """Pods with these labels."""
        ...


class Worked(Protocol):
    """On whose servers a Job works."""

    @property
    def cloud(self) -> str: ...
    @property
    def namespace(self) -> str: ...
    @property
    def owner_uid(self) -> str: ...


def job_of(worked: Worked, name: str, labels: Mapping[str, str], deadline: int, pod: Json) -> Json:
    """A Job on the servers of a cloud. It ends with its cloud, and is tried once: retrying is a person's decision.

    Args:
        worked: the cloud it works for.
        name: its name.
        labels: further labels of it and of its pod.
        deadline: seconds that it may take.
        pod: what it runs.
    """
    all_labels = {
        CLOUD_LABEL: worked.cloud,
        INSTALLER_LABEL: ONE_DEPLOY,  # one of them at a time, see `only_one`
        "app.kubernetes.io/part-of": "sovereign-cloud-operator",
        **labels,
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": worked.namespace,
            "labels": all_labels,
            "ownerReferences": [
                {
                    "apiVersion": API_VERSION,
                    "kind": "SovereignCloud",
                    "name": worked.cloud,
                    "uid": worked.owner_uid,
                    "controller": True,
                    "blockOwnerDeletion": False,
                }
            ],
        },
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": deadline,
            "template": {"metadata": {"labels": all_labels}, "spec": pod},
        },
    }


def state_of(job: Mapping[str, Any], last_words: str = "") -> InstallState:
    """What the Job's conditions say; a Job that ended says Complete or Failed, everything before that is running."""
    true = {c["type"]: c for c in (job.get("status") or {}).get("conditions") or () if c.get("status") == "True"}
    if "Complete" in true:
        return InstallState("Succeeded")
    if "Failed" in true:
        name = job["metadata"]["name"]
        why = last_words or true["Failed"].get("message") or true["Failed"].get("reason") or "no reason given"
        return InstallState("Failed", f"Job {name}: {why} (kubectl logs job/{name})")
    return InstallState("Running", f"Job {job['metadata']['name']}")


async def only_one(api: JobApi, namespace: str, cloud: str, name: str) -> None:
    """Whoever works on the servers of a cloud does so alone. Raises Conflict while another Job than `name` does."""
    for other in await api.jobs(namespace, f"{CLOUD_LABEL}={cloud},{INSTALLER_LABEL}={ONE_DEPLOY}"):
        if other["metadata"]["name"] != name and state_of(other).state == "Running":
            raise Conflict(f"Job {other['metadata']['name']} of this cloud still runs; waiting for its end")
