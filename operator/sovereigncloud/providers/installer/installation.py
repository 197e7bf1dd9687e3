"""The Job: its manifest, how it is started once, and what its conditions say."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from sovereigncloud.ports.errors import Conflict, OutsideError
from sovereigncloud.ports.installer.federation import FederationChange
from sovereigncloud.ports.installer.installation import Installation, InstallState
from sovereigncloud.ports.installer.validation import Validation, ValidationState
from sovereigncloud.providers.installer import federation
from sovereigncloud.providers.installer.job_api import (
    CLOUD_LABEL,
    INSTALLER_LABEL,
    ONE_DEPLOY,
    JobApi,
    Worked,
    job_of,
    only_one,
    state_of,
)
from sovereigncloud.providers.installer.pod import pod
from sovereigncloud.providers.installer.validation import start_validation, validation_state

__all__ = ["CLOUD_LABEL", "INSTALLER_LABEL", "ONE_DEPLOY", "JobApi", "JobInstaller", "job_name", "manifest", "state_of"]

Json = dict[str, Any]

_DEADLINE = 7200  # seconds; one-deploy takes tens of minutes
_MESSAGE = 512  # characters of what a pod said at its end
_NAME = 38  # of the cloud's name, so that the Job's pod has a name that fits


class JobInstaller:
    """The installer port over Kubernetes Jobs.

    Args:
        api: the API server.
        image: an image with what `release/installer/Dockerfile` puts into one.
        environment: further variables of the container: proxies, authorities.
    """

    def __init__(self, api: JobApi, *, image: str, environment: Mapping[str, str] | None = None) -> None:
        self._api, self._image, self._environment = api, image, dict(environment or {})

    async def state(self, installation: Installation) -> InstallState:
        """Absent, Running, Succeeded or Failed: of the Job of exactly this inventory."""
        return await self._state(installation.namespace, job_name(installation))

    async def _state(self, namespace: str, name: str) -> InstallState:
        found = await self._api.job(namespace, name)
        if found is None:
            return InstallState("Absent")
        state = state_of(found)
        return state_of(found, await self._last_words(found)) if state.state == "Failed" else state

    async def _last_words(self, job: Json) -> str:
        """The task that failed, which only the pod knows. Without the right to look there it is in the pod's log."""
        metadata = job["metadata"]
        try:
            found = await self._api.pods(metadata["namespace"], f"job-name={metadata['name']}")
        except OutsideError:
            return ""
        return next(filter(None, map(said_at_its_end, found)), "")

    async def start(self, installation: Installation) -> None:
        """Make the Job unless it is there, finished or not. Raises Conflict while another one of the cloud runs."""
        made = manifest(installation, self._image, self._environment)
        await self._start(installation, job_name(installation), made)

    async def _start(self, worked: Worked, name: str, body: Json) -> None:
        if await self._api.job(worked.namespace, name) is not None:
            return
        await only_one(self._api, worked.namespace, worked.cloud, name)
        try:
            await self._api.create_job(worked.namespace, body)
        except Conflict:
            return  # of the same name, so of the same inventory

    async def federation(self, change: FederationChange) -> InstallState:
        """Absent, Running, Succeeded or Failed: of the Job of exactly this change."""
        return await self._state(change.namespace, federation.job_name(change))

    async def federate(self, change: FederationChange) -> None:
        """Make its Job unless it is there, finished or not. Raises Conflict while another one of the cloud runs."""
        await self._start(
            change, federation.job_name(change), federation.manifest(change, self._image, self._environment)
        )

    async def validation(self, wanted: Validation) -> ValidationState:
        """What became of a run of one-deploy-validation."""
        return await validation_state(self._api, wanted)

    async def validate(self, wanted: Validation) -> None:
        """Make its Job unless it is there. Raises Conflict while another one of the cloud runs."""
        await start_validation(self._api, wanted, self._image, self._environment)


def job_name(installation: Installation) -> str:
    """Named by what is installed: the same inventory never gives a second Job."""
    servers, _, access = installation.hash.partition("-")
    named = hashlib.sha256(installation.hash.encode()).hexdigest() if access else servers
    what = "certificate" if installation.only_certificate else "install"
    return f"{installation.cloud[:_NAME].rstrip('-.')}-{what}-{named[:12]}"


def said_at_its_end(pod: Mapping[str, Any]) -> str:
    """The termination message of a pod's container, in one line."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    told = [((s.get("state") or {}).get("terminated") or {}).get("message") or "" for s in statuses]
    return " ".join(next(filter(None, told), "").split())[:_MESSAGE]


def manifest(installation: Installation, image: str, environment: Mapping[str, str]) -> Json:
    """The Job. It holds no secret itself."""
    return job_of(installation, job_name(installation), {}, _DEADLINE, pod(installation, image, environment))
