"""The API server for whoever lets go of what an operator holds: what the operator may, and two looks that only a person may."""

from __future__ import annotations

from typing import Any

from sovereigncloud.api.common.base import FINALIZER
from sovereigncloud.providers.kubernetes.api import KubernetesApi

Json = dict[str, Any]

LEASE_PREFIX = "sovereign-"
"""The Lease of an installation is named by this and its id."""
_METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


class ReleasingKubernetesApi(KubernetesApi):
    """Raises the errors of `kinds.errors`, Auth where a right lacks."""

    async def finalized_secrets(self) -> list[tuple[str, str]]:
        """Namespace and name of every Secret that carries our finalizer. No value is asked for."""
        page = await self._request("GET", "/api/v1/secrets", counted=("list", "secrets"), accept=_METADATA_ONLY)
        return sorted(
            (item["metadata"]["namespace"], item["metadata"]["name"])
            for item in page.get("items") or ()
            if FINALIZER in item["metadata"].get("finalizers", ())
        )

    async def leases(self) -> list[Json]:
        """The Leases of all installations in the cluster."""
        page = await self._request("GET", "/apis/coordination.k8s.io/v1/leases", counted=("list", "leases"))
        return [item for item in page.get("items") or () if item["metadata"]["name"].startswith(LEASE_PREFIX)]
