"""What spec says of how a cloud is reached that the operator installs, and what names it in the records of its runs."""

from __future__ import annotations

import hashlib
import json

from sovereigncloud.api import SovereignCloud
from sovereigncloud.api.access import Access

INVENTORY_FACT = "inventory"
"""In `status.external`: the hash of the last run of the installer that was begun; a copy of the record."""


def access_of(cloud: SovereignCloud) -> Access | None:
    """How a cloud that the operator installs is reached; None where nothing is said."""
    hosted = cloud.spec.hosted
    return hosted.access if hosted and hosted.open_nebula.install else None


def access_secrets(cloud: SovereignCloud) -> list[str]:
    """Names of the Secrets that access refers to."""
    access = access_of(cloud) or Access()
    bastion = access.bastion.private_key_secret_ref if access.bastion else None
    return [ref.name for ref in (access.tls.secret_ref if access.tls else None, bastion) if ref]


def access_hash(access: Access | None) -> str:
    """Names what the installer does for access; empty: nothing. The way that its SSH takes is none of it."""
    if access is None or not (access.tls or access.allowed_source_ranges):
        return ""
    name = access.fqdn if access.tls else ""
    text = json.dumps([name, bool(access.tls), sorted(access.allowed_source_ranges or ())])
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def is_reached_so(cloud: SovereignCloud) -> bool:
    """Whether the last run made the cloud reachable as spec says now, as far as status remembers."""
    return cloud.external.get(INVENTORY_FACT, "").partition("-")[2] == access_hash(access_of(cloud))
