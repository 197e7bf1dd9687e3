"""The Job that makes a front-end a member of a federation, or takes it out of one: its inventory, and what its pod is given.

It is the operator's own play, not one-deploy: that never runs on a cloud it did not build.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import yaml

from sovereigncloud.api.common.base import GROUP
from sovereigncloud.ports.installer.federation import Change, FederationChange, Login
from sovereigncloud.ports.installer.installation import JumpHost
from sovereigncloud.providers.installer.job_api import job_of
from sovereigncloud.providers.installer.pod import CONTAINER, container_of, file, playbook, pod_of

Json = dict[str, Any]

FEDERATION_LABEL = f"{GROUP}/federation"
PLAYBOOK = "federation.yml"

_DEADLINE = 3600  # seconds; two copies of a database and a restart
_NAME = 34  # of the cloud's name
_KEY = "sshPrivateKey"
_KNOWN_HOSTS = "/runner/known_hosts"
_SSH = 22


def job_name(change: FederationChange) -> str:
    """Named by what is changed: the same word never gives a second Job."""
    told = f"{change.change} {change.request} {change.zone} {change.master_endpoint}"
    digest = hashlib.sha256(told.encode()).hexdigest()[:12]
    return f"{change.cloud[:_NAME].rstrip('-.')}-federation-{digest}"


def manifest(change: FederationChange, image: str, environment: Mapping[str, str]) -> Json:
    """The Job. It holds no secret itself."""
    labels = {FEDERATION_LABEL: str(change.change)}
    return job_of(change, job_name(change), labels, _DEADLINE, _pod(change, image, environment))


def inventory(change: FederationChange) -> Json:
    """The two front-ends, and what becomes of the one that is changed."""
    told: Json = {
        "ansible_become": True,
        "ansible_python_interpreter": "/usr/bin/python3",
        "federation_mode": str(change.change).upper(),
        # A cloud of its own is zone 0 again, as every OpenNebula is that was never in a federation.
        "federation_zone": change.zone if change.change is Change.SLAVE else 0,
        "federation_master_oned": change.master_endpoint,
        "federation_request": hashlib.sha256(change.request.encode()).hexdigest()[:12],
    }
    groups: Json = {"member": {"hosts": {"the-member": _host("member", change.login)}}}
    if change.master is not None:
        groups["master"] = {"hosts": {"the-master": _host("master", change.master)}}
    return {"all": {"vars": told}, **groups}


def _host(name: str, login: Login) -> Json:
    return {
        "ansible_host": login.host,
        "ansible_port": login.port,
        "ansible_user": login.user,
        "ansible_ssh_private_key_file": f"/runner/env/{name}_key",
        "ansible_ssh_common_args": _arguments(name, login),
    }


def _arguments(name: str, login: Login) -> str:
    """A key that is not known is accepted once; one that differs from a known one never is."""
    checked = "yes" if login.host_key else "accept-new"
    arguments = f"-o UserKnownHostsFile={_KNOWN_HOSTS} -o StrictHostKeyChecking={checked} -o IdentitiesOnly=yes"
    jump = login.jump_host
    if jump is None:
        return arguments
    key = f"/runner/env/{name}_bastion_key" if jump.key_secret else f"/runner/env/{name}_key"
    through = f"-o UserKnownHostsFile={_KNOWN_HOSTS} -o StrictHostKeyChecking=yes -p {jump.port} -W [%h]:%p"
    return f'{arguments} -o ProxyCommand="ssh -i {key} -o IdentitiesOnly=yes {through} {jump.user}@{jump.host}"'


def known_hosts(change: FederationChange) -> str:
    """The file of that name."""
    lines: dict[str, None] = {}
    for login in (change.login, change.master):
        if login is not None and login.host_key:
            lines[f"{_name(login.host, login.port)} {login.host_key}\n"] = None
        if login is not None and login.jump_host is not None:
            jump: JumpHost = login.jump_host
            lines[f"{_name(jump.host, jump.port)} {jump.host_key}\n"] = None
    return "".join(lines)


def _name(host: str, port: int) -> str:
    return host if port == _SSH else f"[{host}]:{port}"


def _pod(change: FederationChange, image: str, environment: Mapping[str, str]) -> Json:
    variables = {
        "INVENTORY": yaml.safe_dump(inventory(change), sort_keys=True, width=120),
        "KNOWN_HOSTS": known_hosts(change),
        "PLAYBOOK": playbook(PLAYBOOK),
        "HOME": "/runner",
        **environment,
    }
    container = container_of(CONTAINER, image, file("federate.sh"), variables)
    return pod_of(container, _secrets(change))


def _secrets(change: FederationChange) -> dict[str, tuple[str, str, tuple[str, ...]]]:
    """Name of the volume: where it is mounted, of which Secret, and which of its keys."""
    found: dict[str, tuple[str, str, tuple[str, ...]]] = {}
    for name, login in (("member", change.login), ("master", change.master)):
        if login is None:
            continue
        found[name] = (f"/keys/{name}", login.key_secret, (_KEY,))
        if login.jump_host is not None and login.jump_host.key_secret:
            found[f"{name}-bastion"] = (f"/keys/{name}_bastion", login.jump_host.key_secret, (_KEY,))
    return found
