"""What is asked of the installer to make a cloud a member of a federation, or none, and when. Pure."""

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
"""Whom OVHcloud's Ubuntu templates let in with the key of the payload, as the installer enters."""
_SSH = 22
_FIRST = "first"
_LEAVE = "leave"


def word_of(zone: FederatedZone) -> str:
    """The word that asks for the change; empty: nobody does. To leave, and to be a master, needs no word: a new one tries again."""
    word = zone.spec.join.request if zone.spec.join else ""
    if zone.deleting:
        return f"{_LEAVE}.{word}" if word else _LEAVE
    return word or (_FIRST if zone.spec.role == ZoneRole.MASTER else "")


def wanted_change(zone: FederatedZone) -> Change:
    """What the cloud is to become."""
    if zone.deleting:
        return Change.STANDALONE
    return Change.MASTER if zone.spec.role == ZoneRole.MASTER else Change.SLAVE


def is_pending(zone: FederatedZone, found: FederationView | None, number: int) -> bool:
    """Whether the cloud is not yet what it is to become. One that does not answer may be on its way."""
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
    """None where the operator is not let in at a front-end that the change needs, or the word for it lacks.

    Args:
        zone: that is to be.
        cloud: of the zone.
        master: the master's cloud, of a slave.
        number: of the zone.
        address: under which the master is reached.
        get: an object of ours.
    """
    change, word = wanted_change(zone), word_of(zone)
    login = login_of(cloud, get) if cloud is not None else None
    there = login_of(master, get) if master is not None and change is Change.SLAVE else None
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


def login_of(cloud: SovereignCloud, get: Callable[[Key], AnyResource | None]) -> Login | None:
    """How the operator enters the only front-end of a cloud: as its installer does, or as spec says. None: it does not."""
    install = cloud.spec.hosted.open_nebula.install if cloud.spec.hosted else None
    several = install is not None and install.architecture == Architecture.HIGHLY_AVAILABLE
    return entry_of(cloud, get) if not several else None


def entry_of(cloud: SovereignCloud, get: Callable[[Key], AnyResource | None]) -> Login | None:
    """As `login_of`; of several front-ends the first."""
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
