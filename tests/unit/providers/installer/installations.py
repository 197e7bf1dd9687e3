"""Installations of the three reference architectures, as the installer is asked for them."""

from dataclasses import replace

from sovereigncloud.ports.installer.federation import Change, FederationChange, Login
from sovereigncloud.ports.installer.installation import Installation, InstallTarget, JumpHost, Reach, VirtualAddress

ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOshSFOnTEAaOhM5ct5FYU+EI6q3+0OrkpRHpFrN5MMX"
BOTH, FRONT, NODE = ("Frontend", "Node"), ("Frontend",), ("Node",)


def target(number, roles, host_key=""):
    """A server with two public and two private cards."""
    mac = f"aa:bb:dd:cc:ee:{number}"
    return InstallTarget(
        f"one-{number + 1}",
        f"57.131.167.{160 + number}",
        roles,
        (f"{mac}1", f"{mac}2"),
        (f"{mac}3", f"{mac}4"),
        host_key,
    )


BASIC = Installation(
    cloud="ovh-rbx",
    namespace="platform",
    owner_uid="u1",
    version="7.0",
    architecture="Basic",
    targets=(target(0, BOTH), target(1, NODE)),
    credentials_secret="ovh-rbx-oneadmin",
    hash="0123456789abcdef",
)
HIGHLY_AVAILABLE = replace(
    BASIC,
    architecture="HighlyAvailable",
    targets=(target(0, BOTH), target(1, BOTH), target(2, FRONT), target(3, NODE)),
    virtual_ip=VirtualAddress("10.1.0.10", 24, "vrack_bond.200"),
)
EDGE = replace(BASIC, architecture="Edge", targets=(target(0, FRONT), target(1, NODE), target(2, NODE)))

GUARDED = replace(
    BASIC,
    targets=(target(0, BOTH, ED25519), target(1, NODE, ED25519)),
    hash="0123456789abcdef-01234567",
    reach=Reach(
        fqdn="one-rbx.example.fr",
        tls_secret="one-rbx-tls",
        source_ranges=("192.0.2.0/24", "192.0.2.7/32", "2001:db8::/32"),
        machine_ranges=("57.131.167.176/28",),
        jump_host=JumpHost("bastion.example.fr", 2222, "jump", ED25519, "bastion-key"),
    ),
)
ALL = {"basic": BASIC, "highly-available": HIGHLY_AVAILABLE, "edge": EDGE, "guarded": GUARDED}

SLAVE = FederationChange(
    cloud="ovh-rbx",
    namespace="platform",
    owner_uid="u1",
    change=Change.SLAVE,
    request="join-1",
    zone=100,
    login=Login("57.131.167.160", 22, "ubuntu", "ovh-rbx-oneadmin", ED25519, GUARDED.reach.jump_host),
    master_endpoint="https://one.example.fr/RPC2",
    master=Login("one.example.fr", 2200, "root", "onprem-ssh", ED25519),
)
MEMBERS = (
    SLAVE,
    replace(SLAVE, cloud="onprem-paris", change=Change.MASTER, zone=0, master_endpoint="", master=None),
    replace(SLAVE, change=Change.STANDALONE, master_endpoint="", master=None),
)
"""What is asked of the installer about federations."""
