"""Backup repositories: on servers elsewhere, or on hosts of a cloud, which are lost with it.

What another cloud can read of one is what OpenNebula's own restore asks for: restic://DATASTORE/JOB/N:SNAPSHOT,...//disk.N
with the password of its own datastore. No source tells of anybody who did that across clouds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from sovereigncloud_sandbox.opennebula import raft
from sovereigncloud_sandbox.opennebula.model_storage import BACKUP, Datastore, Image
from sovereigncloud_sandbox.opennebula.network import network_of

if TYPE_CHECKING:
    from sovereigncloud_sandbox.opennebula.cloud import Cloud

_PATH = re.compile(
    r"(?P<mad>restic|rsync)://(?P<datastore>\d+)/(?P<job>-?\d*)/(?P<chain>[^/]+)//.*disk\.(?P<disk>\d+)(\.\d+)?"
)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What one backup put there: digests and MB by DISK_ID. `chain`: the snapshots that it builds on, and itself."""

    contents: Mapping[str, str]
    sizes: Mapping[str, int]
    secret: str
    chain: tuple[str, ...]


def _server(datastore: Datastore) -> str:
    return datastore.template.get("RSYNC_HOST" if datastore.ds_mad == "rsync" else "RESTIC_SFTP_SERVER")


def _keeper(cloud: Cloud, datastore: Datastore) -> tuple[Cloud | None, str]:
    """The cloud whose host the server is, and its name; no cloud where it stands elsewhere. Without a server the
    front-end itself keeps it."""
    server = _server(datastore)
    if not server:
        return cloud, ""
    network = network_of(cloud)
    for one in (cloud, *(network.clouds() if network is not None else ())):
        if any(host.name == server for host in one.hosts.values()):
            return one, server
    return None, server


def snapshots(cloud: Cloud, datastore: Datastore) -> dict[str, Snapshot]:
    """What is in the repository of a datastore, by snapshot."""
    keeper, server = _keeper(cloud, datastore)
    held: dict[Any, dict[str, Snapshot]] = cloud.repositories
    return held.setdefault((datastore.ds_mad, keeper.name if keeper else "", server), {})


def unreachable(cloud: Cloud, datastore: Datastore) -> str:
    """Why the server does not answer; empty where it does."""
    keeper, server = _keeper(cloud, datastore)
    if keeper is None:
        return f"ssh: connect to host {server} port 22: No route to host" if server in cloud.dead_servers else ""
    alive = (
        next(host.powered for host in keeper.hosts.values() if host.name == server)
        if server
        else raft.answers(keeper, None)
    )
    return "" if alive else f"ssh: connect to host {server} port 22: No route to host"


def keep(
    cloud: Cloud, datastore: Datastore, name: str, contents: Mapping[str, str], sizes: Mapping[str, int], *chain: str
) -> None:
    """A backup was taken."""
    secret = datastore.template.get("RESTIC_PASSWORD")
    snapshots(cloud, datastore)[name] = Snapshot(dict(contents), dict(sizes), secret, (*chain, name))


def forget(cloud: Cloud, image: Image) -> None:
    """A backup image is deleted, and what it had in the repository."""
    datastore = cloud.datastores.get(image.datastore_id)
    if datastore is not None and not unreachable(cloud, datastore):
        for name in (image.source, *(one["SOURCE"] for one in image.increments)):
            snapshots(cloud, datastore).pop(name, None)


def flattened(cloud: Cloud, image: Image, gone: Iterable[str]) -> None:
    """The oldest of the increments that stay holds what the ones before it held."""
    held, before = snapshots(cloud, cloud.datastores[image.datastore_id]), set(gone)
    for name in before:
        held.pop(name, None)
    for one in image.increments:
        if (kept := held.get(one["SOURCE"])) is not None:
            chain = tuple(name for name in kept.chain if name not in before)
            held[one["SOURCE"]] = replace(kept, chain=chain)


def path(image: Image, datastore: Datastore, increment: int, disk_id: str, system: int) -> str:
    """Where a disk of a backup is, as OpenNebula's restore tells its driver."""
    upto = [(one["ID"], one["SOURCE"]) for one in image.increments if increment < 0 or int(one["ID"]) <= increment]
    chain = ",".join(f"{number}:{name}" for number, name in upto) or f"0:{image.source}"
    vm_id = image.saved.vm_id if image.saved is not None else -1
    folder = f"/var/lib/one/datastores/{system}/{vm_id}/backup/disk.{disk_id}"
    return f"{datastore.ds_mad}://{datastore.oid}/-1/{chain}/{folder}"


def is_path(text: str) -> bool:
    """Whether an image is to come out of a repository."""
    return text.startswith(("restic://", "rsync://"))


def find(cloud: Cloud, text: str, datastore_id: str) -> tuple[Snapshot, str] | str:
    """The snapshot and disk behind a path, read through a backup datastore; or why it cannot be read."""
    found = _PATH.fullmatch(text)
    datastore = cloud.datastores.get(int(datastore_id)) if datastore_id.isdecimal() else None
    if found is None or datastore is None or datastore.type != BACKUP or datastore.ds_mad != found["mad"]:
        return f"Cannot get backup information from {text}"
    if reason := unreachable(cloud, datastore):
        return reason
    held, names = snapshots(cloud, datastore), [one.rpartition(":")[2] for one in found["chain"].split(",")]
    for name in names:
        if name not in held:
            return f"no matching ID found for prefix {name}"
    last = held[names[-1]]
    if last.secret != datastore.template.get("RESTIC_PASSWORD"):
        return "Fatal: wrong password or no key found"
    if found["disk"] not in last.contents or not set(last.chain) <= set(names):
        return f"disk.{found['disk']} cannot be built from the snapshots {', '.join(names)}"
    return last, found["disk"]
