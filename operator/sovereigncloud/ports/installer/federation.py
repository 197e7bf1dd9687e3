"""The door to what no call of OpenNebula does: to make a front-end a member of a federation, or take it out of one."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sovereigncloud.ports.installer.installation import JumpHost


class Change(StrEnum):
    MASTER = "Master"
    SLAVE = "Slave"
    STANDALONE = "Standalone"


@dataclass(frozen=True, slots=True)
class Login:
    """How a front-end is entered. `key_secret`: with the key sshPrivateKey; `host_key`: as known_hosts takes it, empty where
    none is known.
    """

    host: str
    port: int
    user: str
    key_secret: str
    host_key: str = ""
    jump_host: JumpHost | None = None


@dataclass(frozen=True, slots=True)
class FederationChange:
    """One change, which is made once.

    Attributes:
        cloud, namespace, owner_uid: of the SovereignCloud that is changed.
        change: what it becomes.
        request: the word that asks for it.
        zone: the number of its zone.
        master_endpoint: MASTER_ONED of a slave.
        login: to the cloud's front-end.
        master: to the master's, whose database a slave gets a copy of.
    """

    cloud: str
    namespace: str
    owner_uid: str
    change: Change
    request: str
    zone: int
    login: Login
    master_endpoint: str = ""
    master: Login | None = None
