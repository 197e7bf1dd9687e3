"""What a run of the installer leaves on the servers, as IAM tags, so that none is repeated without need:

sovereigncloud.io/installed   <hash>[-<access>]                   covered by the run of that inventory
                              <hash>[-<access>]:requested:<unix>  on the front-end, until the Job is known to exist
                              wiped                               reinstalled since: to be covered by another run
sovereigncloud.io/reruns      on a front-end: digests of the words of install.rerun that were carried out
sovereigncloud.io/certificate on a front-end: digest of the certificate that was brought there
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

from sovereigncloud.api import SovereignCloud
from sovereigncloud.api.hosted import HostedServer
from sovereigncloud.kinds.baremetalserver.identity import declared_identity
from sovereigncloud.kinds.endpoint.access import access_hash
from sovereigncloud.kinds.endpoint.endpoint import front_ends
from sovereigncloud.ports.ovh.account import ServerSummary

INSTALLED_TAG = "sovereigncloud.io/installed"
RERUNS_TAG = "sovereigncloud.io/reruns"
CERTIFICATE_TAG = "sovereigncloud.io/certificate"
WIPED = "wiped"

_WORDS = 28  # digests of 8 characters and a dot fit into a tag of 256


@dataclass(frozen=True, slots=True)
class Record:
    """What a server's tag says. `requested`: seconds since the epoch; 0 once the Job was seen."""

    hash: str
    requested: int = 0

    @property
    def text(self) -> str:
        return f"{self.hash}:requested:{self.requested}" if self.requested else self.hash

    @property
    def access(self) -> str:
        """Names how the cloud was made reachable; empty for one that nothing was declared of."""
        return self.hash.partition("-")[2]


def read_record(tags: Mapping[str, str]) -> Record | None:
    digest, _, rest = tags.get(INSTALLED_TAG, "").partition(":")
    if digest in {"", WIPED}:
        return None
    at = rest.partition(":")[2]
    return Record(digest, int(at) if rest.startswith("requested:") and at.isdigit() else 0)


def record_of(cloud: SovereignCloud, servers: Mapping[str, ServerSummary]) -> Record | None:
    """The record on the cloud's front-end. Of several, one that was replaced has none, and the one that a run was begun
    from says more than the others.
    """
    records = [r for s in front_ends(cloud) if s.name in servers and (r := read_record(servers[s.name].tags))]
    return max(records, key=lambda r: r.requested, default=None)


def inventory_hash(cloud: SovereignCloud) -> str:
    """Names what spec declares to be installed. Nothing observed is in it, so that no drift ever runs the installer; the
    requests to reinstall are, since a server that was wiped is to be covered by another run.
    """
    word = rerun_word(cloud)
    return _named(cloud, [word] if word else [])


def suggested_word(cloud: SovereignCloud, servers: Mapping[str, ServerSummary]) -> str:
    """A word for install.rerun that names what waits and was not used before."""
    word, used = _named(cloud, []).replace("-", "")[:12], words_of(cloud, servers)
    return next(w for number in range(1, _WORDS + 2) if _digest(w := f"{word}-{number}") not in used)


def _named(cloud: SovereignCloud, more: list[str]) -> str:
    hosted = cloud.spec.hosted
    if hosted is None or hosted.ovh is None or hosted.open_nebula.install is None:
        return ""
    install = hosted.open_nebula.install
    servers = sorted(map(_of_server, hosted.ovh.servers))
    leader = [install.virtual_ip.model_dump(mode="json")] if install.virtual_ip else []
    text = json.dumps([install.architecture, install.version, servers, *leader, *more])
    access = access_hash(hosted.access)
    return hashlib.sha256(text.encode()).hexdigest()[:16] + (f"-{access}" if access else "")


def _of_server(server: HostedServer) -> list[object]:
    found = [
        server.name,
        declared_identity(server),
        sorted(server.roles),
        server.reinstall.request if server.reinstall else "",
    ]
    return [*found, *([server.site] if server.site else [])]


def rerun_word(cloud: SovereignCloud) -> str:
    """The word of install.rerun; empty: none."""
    install = cloud.spec.hosted.open_nebula.install if cloud.spec.hosted else None
    return install.rerun.request if install and install.rerun else ""


def words_of(cloud: SovereignCloud, servers: Mapping[str, ServerSummary]) -> tuple[str, ...]:
    """Digests of the words that were carried out, oldest first; what status remembers is among them."""
    found = [cloud.external.get("rerun", "")]
    for server in front_ends(cloud):
        summary = servers.get(server.name)
        found += summary.tags.get(RERUNS_TAG, "").split(".") if summary else []
    return tuple(dict.fromkeys(filter(None, found)))


def unused_word(cloud: SovereignCloud, servers: Mapping[str, ServerSummary]) -> str:
    """The word in spec that asks for a run which was not made yet; empty: none."""
    word = rerun_word(cloud)
    return word if word and _digest(word) not in words_of(cloud, servers) else ""


def words_with(cloud: SovereignCloud, servers: Mapping[str, ServerSummary], word: str) -> str:
    """What the tag says once this word is carried out, too."""
    known = dict.fromkeys((*words_of(cloud, servers), _digest(word)))
    return ".".join(tuple(known)[-_WORDS:])


def rerun_fact(cloud: SovereignCloud) -> str:
    """For `status.external`: a copy of what the tag says of the word in spec."""
    word = rerun_word(cloud)
    return _digest(word) if word else ""


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
