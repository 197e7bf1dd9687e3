"""Keys of SovereignClouds, and their form namespace/name in status and messages. Pure."""

from __future__ import annotations

from functools import lru_cache

from sovereigncloud.api.common.base import CloudRef, Key
from sovereigncloud.api.sovereigncloud import SovereignCloud


@lru_cache(maxsize=1024)  # of ten thousand machines the same few are asked for, again and again
def cloud_key(name: str, namespace: str) -> Key:
    return Key(SovereignCloud.crd.kind, namespace, name)


def referred(ref: CloudRef, namespace: str) -> Key:
    """Return the key of a referenced cloud; without a namespace it is in the object's own."""
    return cloud_key(ref.name, ref.namespace or namespace)


def where(cloud: Key) -> str:
    """Format a cloud as namespace/name, as in `status.placement.cloud` and in messages."""
    return f"{cloud.namespace}/{cloud.name}"


@lru_cache(maxsize=1024)
def written_cloud(text: str) -> Key | None:
    """Parse "namespace/name" into the key of a cloud."""
    namespace, slash, name = text.partition("/")
    return cloud_key(name, namespace) if slash and namespace and name else None
