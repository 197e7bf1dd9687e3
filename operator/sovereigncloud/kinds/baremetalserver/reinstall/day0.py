"""What a fresh server does with itself before anybody logs in: a marker, a proof of its host key, its bonds.

OVHcloud runs it once, as root, at the end of the installation (postInstallationScript). It fetches nothing and calls nobody.

The proof is how the operator knows, without trust on first use, that the host key which answers at the server's address is
the server's: the script carries a key that is derived for this server and this request from the installer's private key, and
has sshd show HMAC(that key, host key) in its greeting (docs/adr/0011). No private key of anybody is in it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
from dataclasses import dataclass, field

import yaml

from sovereigncloud.core.identity import Mark
from sovereigncloud.kinds.baremetalserver.network.bonds import netplan

_PROOF = re.compile(r"\bsovereigncloud-([0-9a-f]{64})$")
_END = "SOVEREIGN_END"


@dataclass(frozen=True, slots=True)
class Day0:
    """What the script of one server is made from.

    Attributes:
        proof_key: see `proof_key`; empty: the host key is not proven.
    """

    service_name: str
    request: str
    mark: Mark
    public_macs: tuple[str, ...] = ()
    private_macs: tuple[str, ...] = ()
    proof_key: str = field(default="", repr=False)


def proof_key(installer_key: str, urn: str, request: str) -> str:
    """The key of the proof, in hexadecimal: of this server, for this request, known to who holds the installer's private key.

    The same each time, so that a lost answer or a lost cluster changes nothing.
    """
    said = f"sovereigncloud day 0 host key\n{urn}\n{request}"
    return hmac.new(installer_key.encode(), said.encode(), hashlib.sha256).hexdigest()


def proof(key: str, host_key: str) -> str:
    """What the script makes of a host key ("ssh-ed25519 AAAA..."), by the base64 of it."""
    return hmac.new(bytes.fromhex(key), host_key.split(" ")[1].encode(), hashlib.sha256).hexdigest()


def is_proven(greeting: str, host_key: str, key: str) -> bool:
    """Whether the greeting of an SSH server proves that the host key is that of the server which the script ran on."""
    shown = _PROOF.search(greeting.strip())
    return shown is not None and bool(key) and hmac.compare_digest(shown[1], proof(key, host_key))


def is_proof(greeting: str) -> bool:
    """Whether it shows any proof: the script ran, whosever it was."""
    return _PROOF.search(greeting.strip()) is not None


def fingerprint(host_key: str) -> str:
    """As ssh-keygen -l shows it."""
    try:
        blob = base64.b64decode(host_key.split(" ")[1], validate=True)
    except (IndexError, binascii.Error):
        return "unreadable"
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def script(day0: Day0) -> str:
    """The script. Nothing that a person chose is outside of quoted text of one line."""
    parts = [_HEAD, _file("/etc/sovereigncloud/day0.json", 644, json.dumps(_marker(day0), sort_keys=True))]
    if day0.proof_key:
        parts.append(_PROVE.replace("@KEY@", day0.proof_key))
    if day0.public_macs:
        bonds = netplan(day0.public_macs, day0.private_macs)
        # The very text of Ansible's to_nice_yaml, so that the installer finds nothing to change in a network that works.
        text = yaml.safe_dump(bonds, indent=2, sort_keys=True, default_flow_style=False, allow_unicode=True)
        parts.append(_NETWORK.replace("@BONDS@", text.rstrip()))
    return "\n".join(parts)


def _marker(day0: Day0) -> dict[str, str]:
    return {
        "installation": day0.mark.installation,
        "object": day0.mark.object,
        "request": day0.request,
        "server": day0.service_name,
    }


def _file(path: str, mode: int, text: str) -> str:
    return f'cat > "$root{path}" <<\'{_END}\'\n{text}\n{_END}\nchmod {mode} "$root{path}"\n'


_HEAD = """\
#!/bin/sh
# Day 0, by the sovereign cloud operator. Run once, as root, by OVHcloud's installation.
set -eu
umask 022
root="${SOVEREIGN_ROOT:-}"  # for tests
mkdir -p "$root/etc/sovereigncloud" "$root/var/lib/sovereigncloud"
say() { echo "sovereigncloud day 0: $*"; echo "$*" >> "$root/var/lib/sovereigncloud/day0.log"; }
runs() { [ -z "$root" ] && [ -d /run/systemd/system ]; }
"""

_PROVE = """\
# The host key stays, and sshd says in its greeting whose it is. The key of that proof is used once, and opens nothing.
mkdir -p "$root/etc/cloud/cloud.cfg.d" "$root/etc/ssh/sshd_config.d"
echo 'ssh_deletekeys: false' > "$root/etc/cloud/cloud.cfg.d/99-sovereigncloud-host-key.cfg"
host_key="$root/etc/ssh/ssh_host_ed25519_key"
[ -s "$host_key.pub" ] || ssh-keygen -q -t ed25519 -N '' -f "$host_key"
proof=$(cut -d ' ' -f 2 "$host_key.pub" | tr -d '\\n' | openssl dgst -sha256 -mac HMAC -macopt hexkey:@KEY@ | sed 's/^.*= *//')
echo "VersionAddendum sovereigncloud-$proof" > "$root/etc/ssh/sshd_config.d/00-sovereigncloud.conf"
if runs; then
    systemctl try-reload-or-restart ssh.service 2>/dev/null || systemctl try-reload-or-restart sshd.service 2>/dev/null || true
fi
say 'the host key is shown with its proof'
"""

_NETWORK = f"""\
# The bonds, their cards told by MAC; where the gateway is not reached over them, everything is as it was.
reached() {{
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        gateway=$(ip -4 route show default | sed -n '1s/^default via \\([0-9.]*\\).*/\\1/p')
        if [ -n "$gateway" ]; then
            ping -c 1 -W 2 "$gateway" > /dev/null 2>&1 && return 0
            ip neigh show "$gateway" | grep -q REACHABLE && return 0
        fi
        sleep 3
    done
    return 1
}}
plan="$root/etc/netplan" before="$root/var/lib/sovereigncloud/netplan-before"
if [ -d "$plan" ]; then
    mkdir -p "$before" "$root/etc/cloud/cloud.cfg.d"
    find "$plan" -name '*.yaml' -exec mv '{{}}' "$before" ';'
    cat > "$plan/50-cloud-init.yaml" <<'{_END}'
@BONDS@
{_END}
    chmod 600 "$plan/50-cloud-init.yaml"
    echo 'network: {{config: disabled}}' > "$root/etc/cloud/cloud.cfg.d/99-disable-network-config.cfg"
    if ! runs; then
        say 'the bonds are written, and apply from the next start'
    elif netplan apply && reached; then
        say 'the bonds are in use'
    else
        rm -f "$plan/50-cloud-init.yaml" "$root/etc/cloud/cloud.cfg.d/99-disable-network-config.cfg"
        find "$before" -name '*.yaml' -exec cp -p '{{}}' "$plan" ';'
        netplan apply || true
        say 'no gateway over the bonds: the network is as it was, and left to the installer'
    fi
else
    say 'there is no netplan: the network is left to the installer'
fi
"""
