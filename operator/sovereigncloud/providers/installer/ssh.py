"""How the installer's SSH finds the servers: through which host, and which host keys it believes."""

from __future__ import annotations

from sovereigncloud.ports.installer.installation import Installation, JumpHost

KNOWN_HOSTS = "/runner/known_hosts"
BASTION_KEY = "/runner/env/bastion_key"
_SSH = 22


def known_hosts(installation: Installation) -> str:
    """The file of that name: one line for each server whose key was read when it was installed, and the bastion's."""
    lines = [f"{t.address} {t.host_key}" for t in installation.targets if t.address and t.host_key]
    jump = installation.reach.jump_host
    if jump is not None:
        name = jump.host if jump.port == _SSH else f"[{jump.host}]:{jump.port}"
        lines.append(f"{name} {jump.host_key}")
    return "".join(f"{line}\n" for line in lines)


def ssh_arguments(installation: Installation) -> str:
    """For every server. A key that is not known is accepted once; one that differs from a known one never is."""
    pinned = all(t.host_key for t in installation.targets)
    arguments = f"-o UserKnownHostsFile={KNOWN_HOSTS} -o StrictHostKeyChecking={'yes' if pinned else 'accept-new'}"
    jump = installation.reach.jump_host
    return f"{arguments} {_through(jump)}" if jump is not None else arguments


def _through(jump: JumpHost) -> str:
    """ProxyJump would take neither these known hosts nor a key of its own."""
    identity = f"-i {BASTION_KEY} -o IdentitiesOnly=yes " if jump.key_secret else ""
    checked = f"-o UserKnownHostsFile={KNOWN_HOSTS} -o StrictHostKeyChecking=yes"
    return f'-o ProxyCommand="ssh {identity}{checked} -p {jump.port} -W [%h]:%p {jump.user}@{jump.host}"'
