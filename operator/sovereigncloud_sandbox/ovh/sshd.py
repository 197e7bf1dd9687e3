"""The simulated sshd of an installed server: a real SSH handshake, login with the key of the installation, no programs.

Each installation makes another host key, as a real one does. A script at the end of the installation that asks for a proof of
it (an HMAC of the key in the greeting) is played: what it would write into sshd's configuration is what sshd says here.
"""

import base64
import hashlib
import hmac
import ipaddress
import logging
import re
from dataclasses import dataclass
from functools import partial
from typing import Final

import asyncssh
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from sovereigncloud_sandbox.front_end_sshd import FrontEnd, Ways
from sovereigncloud_sandbox.ovh.state import Server
from sovereigncloud_sandbox.ovh.world import World

logger = logging.getLogger(__name__)

_VERSION: Final = "OpenSSH_9.6p1 Ubuntu-3ubuntu13.5"
_ASKED: Final = re.compile(r"openssl dgst -sha256 -mac HMAC -macopt hexkey:([0-9a-f]+)")
_ADDS: Final = re.compile(r"VersionAddendum (\S+?)\$proof")

asyncssh.set_log_level("WARNING")


@dataclass(frozen=True, slots=True)
class _Place:
    """What listens: another place, another sshd."""

    address: str
    version: str
    seed: str
    key: str


class Sshd:
    """All of them. Port 0: none. `ways`: that lead from them."""

    def __init__(self, port: int) -> None:
        self._port, self.ways = port, Ways()
        self._listening: dict[str, tuple[_Place, asyncssh.SSHAcceptor]] = {}

    async def follow(self, world: World) -> None:
        """Listen for the servers as they are now."""
        if not self._port:
            return
        with world.lock:
            there = [(name, _place(server)) for name, server in world.state.servers.items() if _answers(server)]
        # Only what is an address of this machine can be listened on.
        wanted = {name: place for name, place in there if ipaddress.ip_address(place.address).is_loopback}
        for name, (place, _) in list(self._listening.items()):
            if wanted.get(name) != place:
                await self._end(name)
        for name, place in wanted.items():
            if name not in self._listening:
                await self._begin(name, place)

    async def _begin(self, name: str, place: _Place) -> None:
        try:
            acceptor = await asyncssh.listen(
                place.address,
                self._port,
                server_factory=partial(FrontEnd, _authorized(place.key), self.ways),
                server_host_keys=[_host_key(place.seed)],
                server_version=place.version,
                reuse_address=True,
            )
        except OSError as error:
            logger.warning("sshd of %s cannot listen: %s", name, error)  # tried again at the next change
        else:
            self._listening[name] = place, acceptor

    async def _end(self, name: str) -> None:
        _, acceptor = self._listening.pop(name)
        acceptor.close()
        await acceptor.wait_closed()

    async def stop(self) -> None:
        """Stop listening."""
        for name in list(self._listening):
            await self._end(name)


def says(server: Server) -> tuple[str, str] | None:
    """The first line and the host key of a server's sshd, as a client sees them; None: it does not answer."""
    if not _answers(server):
        return None
    place = _place(server)
    return f"SSH-2.0-{place.version}", _host_key(place.seed).export_public_key("openssh").decode().strip()


def _answers(server: Server) -> bool:
    """It has a system, and it is not being installed."""
    idle = bool(server.installs) and server.installs[-1].status != "doing"
    installed = any(one.status == "done" for one in server.installs)
    return idle and installed


def _place(server: Server) -> _Place:
    done = [one for one in server.installs if one.status == "done"]
    given = done[-1].customizations
    script = base64.b64decode(given.get("postInstallationScript", "")).decode(errors="replace")
    seed = f"{server.name} {done[-1].task_id} {server.rekeyed}"
    return _Place(server.document["ip"], f"{_VERSION}{_addendum(script, seed)}", seed, given.get("sshKey") or "")


def _authorized(key: str) -> list[asyncssh.SSHKey]:
    """What is no key lets nobody in, as in authorized_keys."""
    try:
        return [asyncssh.import_public_key(key)] if key else []
    except asyncssh.KeyImportError:
        return []


def _addendum(script: str, seed: str) -> str:
    asked, adds = _ASKED.search(script), _ADDS.search(script)
    if asked is None or adds is None:
        return ""
    shown = _host_key(seed).export_public_key("openssh").split()[1]
    proof = hmac.new(bytes.fromhex(asked[1]), shown, hashlib.sha256).hexdigest()
    return f" {adds[1]}{proof}"


def _host_key(seed: str) -> asyncssh.SSHKey:
    private = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(seed.encode()).digest())
    return asyncssh.import_private_key(private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()))
