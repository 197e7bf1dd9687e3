"""Whether a SovereignCloud that is being deleted still needs its servers. Pure."""

from __future__ import annotations

from sovereigncloud.api import SovereignCloud
from sovereigncloud.api.common.base import DeletionPolicy

RELEASED = "letGo"
"""Fact of a cloud that is being deleted: hosts, names and blocks are released, its servers may be too."""


def deletes_resources(cloud: SovereignCloud) -> bool:
    """Tell whether deleting the cloud releases anything outside of Kubernetes."""
    return cloud.deletion_policy is DeletionPolicy.DELETE and cloud.spec.hosted is not None


def needs_its_servers(cloud: SovereignCloud) -> bool:
    """Tell whether a cloud that is being deleted still needs its servers."""
    return deletes_resources(cloud) and RELEASED not in cloud.external
