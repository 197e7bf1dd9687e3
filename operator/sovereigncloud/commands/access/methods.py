"""How an instance is reached: which address, with which command, over which console. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from sovereigncloud.api import BareMetalServer, HostedInstance, SovereignCloud
from sovereigncloud.commands.shared.errors import CommandError

Json = dict[str, Any]
RUNNING = "Running"
SSH_PORT = 22
SUNSTONE_PORT = 2616
"""FireEdge's own port, which serves Sunstone: fireedge-server.conf of OpenNebula 6 and 7."""
_VNC_FIRST = 5900
"""oned gives a machine this plus its id, unless that is taken or its template names another (VNC_PORTS in oned.conf)."""


def addresses(instance: HostedInstance) -> tuple[str, ...]:
    """Where it may answer, the public ones first, else in the order of spec.networks. Raises CommandError."""
    what, status = f"HostedInstance {instance.metadata.namespace}/{instance.metadata.name}", instance.status
    if status.id is None:
        raise CommandError(f"{what} has no machine yet: see why with describe hinst/{instance.metadata.name}")
    if status.state != RUNNING:
        raise CommandError(
            f"{what} is {status.state or 'in no known state'}, not Running: start it, with spec.power: Running for example"
        )
    found = status.addresses or ([status.primary_address] if status.primary_address else [])
    if not found:
        raise CommandError(
            f"{what} has no address in its status: a network with address ranges gives it one (spec.networks); else look"
            " at its screen: kubectl sovereign console"
        )
    return tuple(sorted(found, key=lambda a: not is_public(a)))


def is_public(address: str) -> bool:
    """Whether the Internet can route to it."""
    try:
        return ip_address(address).is_global
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Login:
    """How to log in.

    Attributes:
        user: images of the OpenNebula marketplace put the keys of spec.sshAuthorizedKeys into root's account.
        jump: bastions, as ssh -J takes them; empty: straight.
        identity: file of a private key; empty: ssh's own choice.
        options: further options for ssh, each a word.
        command: to be run there; empty: a shell.
    """

    user: str
    port: int = SSH_PORT
    jump: str = ""
    identity: str = ""
    options: tuple[str, ...] = ()
    command: tuple[str, ...] = ()

    def arguments(self, address: str) -> tuple[str, ...]:
        """The whole command line."""
        words = ["ssh"]
        words += ["-J", self.jump] if self.jump else []
        words += ["-i", self.identity] if self.identity else []
        words += ["-p", str(self.port)] if self.port != SSH_PORT else []
        return (*words, *self.options, f"{self.user}@{address}", *self.command)


def out_of_reach(instance: HostedInstance, tried: Iterable[str], port: int) -> str:
    """What to do where no address answers."""
    name, shown = instance.metadata.name, tuple(tried)
    listed = " and ".join(shown)
    if not any(is_public(address) for address in shown):
        host = instance.status.placement.host if instance.status.placement else None
        bastion = f"-J oneadmin@{host}" if host else "-J USER@BASTION"
        return (
            f"{listed} is in a private network and does not answer on port {port} from here: go through a machine that is"
            f" in it or routes to it, for example {bastion}, or join its VPN; the screen is another way: console {name}"
        )
    return (
        f"{listed} does not answer on port {port} from here: see that sshd runs in the guest and that no firewall or"
        f" security group is in between, or look at its screen: console {name}"
    )


# --- the screen -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Way:
    """A way to the screen of a machine.

    Attributes:
        name: Sunstone, VNC or Serial.
        how: an address or a command.
        needs: what must be given for it to work; nobody checked that.
        probe: host and port that must answer for it, where that can be tried.
    """

    name: str
    how: str
    needs: str
    probe: tuple[str, int] | None = None

    def as_json(self) -> Json:
        return {"name": self.name, "how": self.how, "needs": self.needs}


def ways(instance: HostedInstance, cloud: SovereignCloud, servers: Iterable[BareMetalServer]) -> tuple[Way, ...]:
    """Every way that OpenNebula has to the screen of a machine on KVM. Raises CommandError where there is no machine."""
    status = instance.status
    what = f"HostedInstance {instance.metadata.namespace}/{instance.metadata.name}"
    if status.id is None:
        raise CommandError(f"{what} has no machine yet: see why with describe hinst/{instance.metadata.name}")
    found = []
    if cloud.status.endpoint:
        url, probe = sunstone(cloud.status.endpoint)
        found.append(
            Way("Sunstone", url, f"a login to Sunstone; then VMs, {status.id}, and the icon of the screen", probe)
        )
    host = status.placement.host if status.placement else None
    if host is None:
        return tuple(found)
    at, domain = _address_of(host, servers), f"one-{status.id}"
    uri = f"qemu+ssh://oneadmin@{at}/system"
    found.append(
        Way(
            "VNC",
            f"virt-viewer --connect {uri} {domain}",
            "virt-viewer here, and oneadmin's SSH key to the host; the port there, on loopback, is usually"
            f" {_VNC_FIRST + int(status.id) if status.id.isdigit() else _VNC_FIRST} (virsh vncdisplay {domain} says it)",
            (at, SSH_PORT),
        )
    )
    found.append(
        Way(
            "Serial",
            f"ssh -t oneadmin@{at} virsh --connect qemu:///system console {domain}",
            "a VM template with a serial device, and a getty on it in the guest; a machine made from an image has none",
            (at, SSH_PORT),
        )
    )
    return tuple(found)


def sunstone(endpoint: str) -> tuple[str, tuple[str, int]]:
    """Where Sunstone is where nobody moved it: beside the XML-RPC endpoint."""
    parts = urlsplit(endpoint)
    host = parts.hostname or ""
    shown = f"[{host}]" if ":" in host else host
    # Behind a proxy that serves https on its own port, Sunstone is at the same place; oned's own port says there is none.
    if parts.scheme == "https" and parts.port is None:
        return f"https://{shown}/fireedge/sunstone", (host, 443)
    return f"http://{shown}:{SUNSTONE_PORT}/fireedge/sunstone", (host, SUNSTONE_PORT)


def _address_of(host: str, servers: Iterable[BareMetalServer]) -> str:
    """Of a host by its name in OpenNebula, which is an address already where one-deploy set it up."""
    return next((s.status.address for s in servers if s.outside_name == host and s.status.address), host)
