"""Downloadable files: published URLs and marketplace apps, while their server is reachable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from sovereigncloud_sandbox.opennebula import contents, raft, repositories
from sovereigncloud_sandbox.opennebula.model_storage import Image, MarketApp, Marketplace

if TYPE_CHECKING:
    from sovereigncloud_sandbox.opennebula.cloud import Cloud


@dataclass(slots=True)
class Served:
    """A file of a marketplace. `keepers`: who serves it, by name or address; none: the front-end of `cloud`."""

    cloud: Cloud
    size: int
    md5: str
    keepers: tuple[str, ...] = ()
    outside: bool = False  # kept by nobody of this cloud: object storage


def keeps(cloud: Cloud, server: str) -> bool:
    """Whether a server answers: what is no host and no front-end of this cloud stands elsewhere, and does."""
    host = next((one for one in cloud.hosts.values() if server == one.name), None)
    return host.powered if host is not None else server not in cloud.dead_servers


def publish(cloud: Cloud, market: Marketplace, app: MarketApp, content: str) -> None:
    """A marketplace serves the file of an app from now on: what does not fit into it is refused before."""
    names = tuple(market.template.get("BRIDGE_LIST").split())
    cloud.files[app.source] = Served(cloud, app.size, content, names, outside=market.market_mad == "s3")


def unserved(cloud: Cloud, url: str) -> str:
    """Why a file of a marketplace cannot be had; empty where it can, or where the URL is none of a marketplace."""
    served = cloud.files.get(url)
    if served is None or served.outside:
        return ""
    alive = any(keeps(served.cloud, one) for one in served.keepers) if served.keepers else _front_end(served.cloud)
    return "" if alive else f"Failed to connect to {urlsplit(url).hostname}: Connection timed out"


def _front_end(cloud: Cloud) -> bool:
    return any(one.alive for one in cloud.raft.servers.values()) if cloud.raft.servers else raft.answers(cloud, None)


def size(cloud: Cloud, url: str) -> int | None:
    """MB behind a URL; None where nobody published anything there."""
    known = cloud.published.get(url) or cloud.files.get(url)
    return known.size if known is not None else None


_HASHES = {"MD5": 32, "SHA1": 40}


def take(cloud: Cloud, image: Image) -> str | None:
    """Let an image have what is behind its path. Gives what the driver says where that is not what was announced; what
    nobody published is taken at its word."""
    if repositories.is_path(image.path):
        found = repositories.find(cloud, image.path, image.template.get("FROM_BACKUP_DS"))
        if isinstance(found, str):
            return found
        image.content = found[0].contents[found[1]]
        return None
    if not image.path:
        image.content = contents.digest(image.source or f"empty {image.size}")
        return None
    from_app = image.template.get("FROM_APP")
    served, published = cloud.files.get(image.path), cloud.published.get(image.path)
    if reason := unserved(cloud, image.path):
        return f"Error downloading {image.path}: {reason}"
    if image.path.startswith("s3://") and not from_app:  # the keys are in the marketplace alone
        return f"Error downloading {image.path}: no credentials"
    known = served.md5 if served is not None else published.md5 if published is not None else ""
    image.content = known or image.template.get("FROM_APP_MD5") or contents.digest(image.path)
    if from_app:
        return None if image.content == image.template.get("FROM_APP_MD5") else "Hash does not match"
    return _compare(image, known, published.sha1 if published is not None else "")


def _compare(image: Image, md5: str, sha1: str) -> str | None:
    for (name, length), known in zip(_HASHES.items(), (md5, sha1), strict=True):
        announced = image.template.get(name)
        if not announced:
            continue
        whole = len(announced) == length and not announced.strip("0123456789abcdef")
        if not whole or (known and known != announced):
            return "Hash does not match"
        image.content = announced if name == "MD5" else image.content
        return None  # one is looked at, not both
    return None
