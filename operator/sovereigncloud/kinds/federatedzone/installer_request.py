"""Build the installer request that makes a cloud join or leave a federation. Pure."""

from __future__ import annotations

from collections.abc import Callable

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.federatedzone import FederatedZone, ZoneRole
from sovereigncloud.api.hosted import Architecture
from sovereigncloud.api.sovereigncloud import SovereignCloud
from sovereigncloud.kinds.contract.controller import AnyResource
from sovereigncloud.kinds.endpoint.endpoint import front_end, generated_secret, server_key
from sovereigncloud.kinds.sovereigncloud.installation.request import reach_of
from sovereigncloud.ports.installer.federation import Change, FederationChange, Login
from sovereigncloud.ports.opennebula.zones import FederationView, Mode

INSTALLERS_USER = "ubuntu"
"""The SSH user of OVHcloud's Ubuntu templates, which the installer uses too."""
_SSH = 22
_FIRST = "first"
_LEAVE = "leave"


def word_of(zone: FederatedZone) -> str:
    """Return the request id of the change; empty: not requested.

    Leaving and becoming a master need no `spec.join.request`; a new value retries.
    """
    word = zone.spec.join.request if zone.spec.join else ""
    if zone.deleting:
        return f"{_LEAVE}.{word}" if word else _LEAVE
    return word or (_FIRST if zone.spec.role == ZoneRole.MASTER else "")


def wanted_change(zone: FederatedZone) -> Change:
    """Return the federation mode that the cloud must get."""
    if zone.deleting:
        return Change.STANDALONE
    return Change.MASTER if zone.spec.role == ZoneRole.MASTER else Change.SLAVE


def is_pending(zone: FederatedZone, found: FederationView | None, number: int) -> bool:
    """Tell whether the cloud does not have its desired mode yet.

    An unreachable one counts as pending.
    """
    if found is None:
        return True
    if found.problem:
        return False
    match wanted_change(zone):
        case Change.MASTER:
            return found.config.mode is Mode.STANDALONE
        case Change.STANDALONE:
            return found.config.mode is Mode.SLAVE
        case Change.SLAVE:
            joined = found.config.mode is Mode.SLAVE and found.config.zone == number
            return found.config.mode is Mode.STANDALONE or (joined and not found.imported)


def change_of(
    zone: FederatedZone,
    cloud: SovereignCloud | None,
    master: SovereignCloud | None,
    number: int,
    address: str,
    get: Callable[[Key], AnyResource | None],
) -> FederationChange | None:
    """Return the installer request.

    None: no SSH login at a required front-end, or no request in spec.

    Args:
        zone: the zone to change.
        cloud: the cloud of the zone.
        master: the master's cloud, for a slave.
        number: id of the zone.
        address: endpoint of the master.
        get: looks up an object by key.
    """
    change, word = wanted_change(zone), word_of(zone)
    login = single_front_end_login(cloud, get) if cloud is not None else None
    there = single_front_end_login(master, get) if master is not None and change is Change.SLAVE else None
    if cloud is None or login is None or not word or (change is Change.SLAVE and there is None):
        return None
    return FederationChange(
        cloud=cloud.metadata.name,
        namespace=cloud.metadata.namespace,
        owner_uid=cloud.metadata.uid,
        change=change,
        request=word,
        zone=number,
        login=login,
        master_endpoint=address if change is Change.SLAVE else "",
        master=there,
    )


def single_front_end_login(cloud: SovereignCloud, get: Callable[[Key], AnyResource | None]) -> Login | None:
    """Return the SSH login of a cloud's single front-end; None: several front-ends, or no login."""
    install = cloud.spec.hosted.open_nebula.install if cloud.spec.hosted else None
    several = install is not None and install.architecture == Architecture.HIGHLY_AVAILABLE
    return front_end_login(cloud, get) if not several else None


def front_end_login(cloud: SovereignCloud, get: Callable[[Key], AnyResource | None]) -> Login | None:
    """Return the SSH login of a cloud's first front-end; None: no login."""
    if cloud.spec.existing is not None:
        ssh = cloud.spec.existing.ssh
        if ssh is None:
            return None
        return Login(ssh.host, ssh.port or _SSH, ssh.user, ssh.private_key_secret_ref.name, ssh.host_key)
    hosted = cloud.spec.hosted
    install = hosted.open_nebula.install if hosted else None
    front = front_end(cloud)
    if hosted is None or install is None or front is None:
        return None
    child = get(server_key(cloud, front))
    address = child.status.address if child is not None else None
    if child is None or not address:
        return None
    key = child.status.host_key or ""
    return Login(address, _SSH, INSTALLERS_USER, generated_secret(cloud), key, reach_of(hosted).jump_host)
