"""What the installer is asked for: a cloud's spec, with the addresses and cards that were observed of its servers."""

from __future__ import annotations

from collections.abc import Mapping

from sovereigncloud.api import BareMetalServer, SovereignCloud
from sovereigncloud.api.access import Access, Bastion
from sovereigncloud.api.hosted import Hosted, HostedServer, VirtualIp
from sovereigncloud.kinds.endpoint.endpoint import generated_secret
from sovereigncloud.kinds.sovereigncloud.installation.records import inventory_hash
from sovereigncloud.ports.installer.installation import Installation, InstallTarget, JumpHost, Reach, VirtualAddress

_SSH = 22


def installation_of(cloud: SovereignCloud, children: Mapping[str, BareMetalServer]) -> Installation | None:
    """What the installer is asked for; None for a cloud that is not installed by the operator."""
    hosted = cloud.spec.hosted
    if hosted is None or hosted.ovh is None or hosted.open_nebula.install is None:
        return None
    install = hosted.open_nebula.install
    return Installation(
        cloud=cloud.metadata.name,
        namespace=cloud.metadata.namespace,
        owner_uid=cloud.metadata.uid,
        version=install.version,
        architecture=install.architecture,
        targets=tuple(_target(s, children[s.name]) for s in hosted.ovh.servers if s.name in children),
        credentials_secret=generated_secret(cloud),
        hash=inventory_hash(cloud),
        virtual_ip=_virtual_address(install.virtual_ip),
        reach=reach_of(hosted),
    )


def _target(server: HostedServer, child: BareMetalServer) -> InstallTarget:
    """A server as the installer sees it; bonds are told apart by MAC, never by the order of the cards."""
    interfaces = child.status.interfaces or ()
    public = tuple(m for i in interfaces if (i.mode or "").startswith("public") for m in i.macs or ())
    private = tuple(m for i in interfaces if (i.mode or "").startswith("vrack") for m in i.macs or ())
    return InstallTarget(
        name=server.name,
        address=child.status.address or "",
        roles=tuple(sorted(server.roles)),
        public_macs=public,
        private_macs=private,
        host_key=child.status.host_key or "",
    )


def _virtual_address(declared: VirtualIp | None) -> VirtualAddress | None:
    return None if declared is None else VirtualAddress(declared.address, declared.cidr, declared.interface)


def reach_of(hosted: Hosted) -> Reach:
    """How a cloud that the operator installs is reached."""
    access = hosted.access or Access()
    return Reach(
        fqdn=(access.fqdn or "") if access.tls else "",
        tls_secret=access.tls.secret_ref.name if access.tls else "",
        source_ranges=tuple(access.allowed_source_ranges or ()),
        machine_ranges=tuple(n.public_block for n in hosted.networks or () if n.public_block),
        jump_host=_jump_host(access.bastion) if access.bastion else None,
    )


def _jump_host(bastion: Bastion) -> JumpHost:
    key = bastion.private_key_secret_ref
    return JumpHost(bastion.host, bastion.port or _SSH, bastion.user, bastion.host_key, key.name if key else "")
