"""API session of `sovereign release`: the operator's verbs, and two lists that only a person may read."""

from __future__ import annotations

from typing import Any

from sovereigncloud.api.common.base import FINALIZER
from sovereigncloud.providers.kubernetes.api import KubernetesApi

Json = dict[str, Any]

LEASE_PREFIX = "sovereign-"
"""Prefix of an installation's Lease, followed by the installation id."""
_METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


class FinalizerReleaseApi(KubernetesApi):
    """Verbs that release finalizers. Raises the errors of `ports.errors`, Auth when a right is missing."""

    async def finalized_secrets(self) -> list[tuple[str, str]]:
        """Return namespace and name of every Secret with the operator's finalizer, without values."""
        page = await self._request("GET", "/api/v1/secrets", counted=("list", "secrets"), accept=_METADATA_ONLY)
        return sorted(
            (item["metadata"]["namespace"], item["metadata"]["name"])
            for item in page.get("items") or ()
            if FINALIZER in item["metadata"].get("finalizers", ())
        )

    async def leases(self) -> list[Json]:
        """Return the Leases of all installations in the cluster."""
        page = await self._request("GET", "/apis/coordination.k8s.io/v1/leases", counted=("list", "leases"))
        return [item for item in page.get("items") or () if item["metadata"]["name"].startswith(LEASE_PREFIX)]
