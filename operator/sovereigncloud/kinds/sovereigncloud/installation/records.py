"""Records of installer runs on the servers, as IAM tags.

sovereigncloud.io/installed   <hash>[-<access>]                   covered by the run of that inventory
                              <hash>[-<access>]:requested:<unix>  on the front-end, until the Job is known to exist
                              wiped                               reinstalled since: another run must cover it
sovereigncloud.io/reruns      on a front-end: digests of the install.rerun requests that were carried out
sovereigncloud.io/certificate on a front-end: digest of the certificate that is installed there
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from sovereigncloud.api import SovereignCloud
from sovereigncloud.api.hosted import HostedServer
from sovereigncloud.kinds.baremetalserver.identity import declared_identity
from sovereigncloud.kinds.baremetalserver.installation_tag import INSTALLED_TAG, WIPED
from sovereigncloud.kinds.endpoint.access import access_hash
from sovereigncloud.kinds.endpoint.endpoint import front_ends
from sovereigncloud.ports.ovh.account import ServerSummary

RERUNS_TAG = "sovereigncloud.io/reruns"
CERTIFICATE_TAG = "sovereigncloud.io/certificate"

_MAX_WORDS = 28  # digests of 8 characters and a dot fit into a tag of 256


@dataclass(frozen=True, slots=True)
class Record:
    """The record of a server.

    `requested`: seconds since the epoch; 0 once the Job is known to exist.
    """

    hash: str
    requested: int = 0

    @property
    def text(self) -> str:
        return f"{self.hash}:requested:{self.requested}" if self.requested else self.hash

    @property
    def access(self) -> str:
        """Hash of the access settings of the run; empty: none were declared."""
        return self.hash.partition("-")[2]


def read_record(tags: Mapping[str, str]) -> Record | None:
    digest, _, rest = tags.get(INSTALLED_TAG, "").partition(":")
    if digest in {"", WIPED}:
        return None
    at = rest.partition(":")[2]
    return Record(digest, int(at) if rest.startswith("requested:") and at.isdigit() else 0)


def record_of(cloud: SovereignCloud, servers: Mapping[str, ServerSummary]) -> Record | None:
    """Return the record on the cloud's front-end; None: no run.

    Of several front-ends the one from which the latest run was requested; a replaced one has no record.
    """
    records = [r for s in front_ends(cloud) if s.name in servers and (r := read_record(servers[s.name].tags))]
    return max(records, key=lambda r: r.requested, default=None)


def inventory_hash(cloud: SovereignCloud) -> str:
    """Return the hash of what spec declares to install.

    It contains nothing observed, so that drift never starts the installer, but the reinstall requests, since another run must
    cover a wiped server.
    """
    word = rerun_word(cloud)
    return _inventory_hash(cloud, [word] if word else [])


def suggested_word(cloud: SovereignCloud, servers: Mapping[str, ServerSummary]) -> str:
    """Return an unused value for install.rerun.request, derived from the inventory."""
    word, used = _inventory_hash(cloud, []).replace("-", "")[:12], words_of(cloud, servers)
    return next(w for number in range(1, _MAX_WORDS + 2) if _digest(w := f"{word}-{number}") not in used)


def _inventory_hash(cloud: SovereignCloud, more: list[str]) -> str:
    hosted = cloud.spec.hosted
    if hosted is None or hosted.ovh is None or hosted.open_nebula.install is None:
        return ""
    install = hosted.open_nebula.install
    servers = sorted(map(_server_entry, hosted.ovh.servers))
    leader = [install.virtual_ip.model_dump(mode="json")] if install.virtual_ip else []
    text = json.dumps([install.architecture, install.version, servers, *leader, *more])
    access = access_hash(hosted.access)
    return hashlib.sha256(text.encode()).hexdigest()[:16] + (f"-{access}" if access else "")


def _server_entry(server: HostedServer) -> list[object]:
    found = [
        server.name,
        declared_identity(server),
        sorted(server.roles),
        server.reinstall.request if server.reinstall else "",
    ]
    return [*found, *([server.site] if server.site else [])]


def rerun_word(cloud: SovereignCloud) -> str:
    """Return install.rerun.request; empty: none."""
    install = cloud.spec.hosted.open_nebula.install if cloud.spec.hosted else None
    return install.rerun.request if install and install.rerun else ""


def words_of(cloud: SovereignCloud, servers: Mapping[str, ServerSummary]) -> tuple[str, ...]:
    """Return digests of the rerun requests carried out, oldest first, from tags and status."""
    found = [cloud.external.get("rerun", "")]
    for server in front_ends(cloud):
        summary = servers.get(server.name)
        found += summary.tags.get(RERUNS_TAG, "").split(".") if summary else []
    return tuple(dict.fromkeys(filter(None, found)))


def unused_word(cloud: SovereignCloud, servers: Mapping[str, ServerSummary]) -> str:
    """Return the rerun request in spec that was not carried out yet; empty: none."""
    word = rerun_word(cloud)
    return word if word and _digest(word) not in words_of(cloud, servers) else ""


def words_with(cloud: SovereignCloud, servers: Mapping[str, ServerSummary], word: str) -> str:
    """Return the value of RERUNS_TAG after one more request."""
    known = dict.fromkeys((*words_of(cloud, servers), _digest(word)))
    return ".".join(tuple(known)[-_MAX_WORDS:])


def rerun_fact(cloud: SovereignCloud) -> str:
    """Return the digest of the rerun request in spec, for `status.external`; empty: none."""
    word = rerun_word(cloud)
    return _digest(word) if word else ""


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
