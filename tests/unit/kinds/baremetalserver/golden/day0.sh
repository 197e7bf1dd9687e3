#!/bin/sh
# Day 0, by the sovereign cloud operator. Run once, as root, by OVHcloud's installation.
set -eu
umask 022
root="${SOVEREIGN_ROOT:-}"  # for tests
mkdir -p "$root/etc/sovereigncloud" "$root/var/lib/sovereigncloud"
say() { echo "sovereigncloud day 0: $*"; echo "$*" >> "$root/var/lib/sovereigncloud/day0.log"; }
runs() { [ -z "$root" ] && [ -d /run/systemd/system ]; }

cat > "$root/etc/sovereigncloud/day0.json" <<'SOVEREIGN_END'
{"installation": "prod", "object": "BareMetalServer/platform/rbx-one-1", "request": "first", "server": "ns1"}
SOVEREIGN_END
chmod 644 "$root/etc/sovereigncloud/day0.json"

# The host key stays, and sshd says in its greeting whose it is. The key of that proof is used once, and opens nothing.
mkdir -p "$root/etc/cloud/cloud.cfg.d" "$root/etc/ssh/sshd_config.d"
echo 'ssh_deletekeys: false' > "$root/etc/cloud/cloud.cfg.d/99-sovereigncloud-host-key.cfg"
host_key="$root/etc/ssh/ssh_host_ed25519_key"
[ -s "$host_key.pub" ] || ssh-keygen -q -t ed25519 -N '' -f "$host_key"
proof=$(cut -d ' ' -f 2 "$host_key.pub" | tr -d '\n' | openssl dgst -sha256 -mac HMAC -macopt hexkey:06d78d6e82db16b5a55d065cb86713a23201f5ea132c13a83baa03639c489783 | sed 's/^.*= *//')
echo "VersionAddendum sovereigncloud-$proof" > "$root/etc/ssh/sshd_config.d/00-sovereigncloud.conf"
if runs; then
    systemctl try-reload-or-restart ssh.service 2>/dev/null || systemctl try-reload-or-restart sshd.service 2>/dev/null || true
fi
say 'the host key is shown with its proof'

# The bonds, their cards told by MAC; where the gateway is not reached over them, everything is as it was.
reached() {
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        gateway=$(ip -4 route show default | sed -n '1s/^default via \([0-9.]*\).*/\1/p')
        if [ -n "$gateway" ]; then
            ping -c 1 -W 2 "$gateway" > /dev/null 2>&1 && return 0
            ip neigh show "$gateway" | grep -q REACHABLE && return 0
        fi
        sleep 3
    done
    return 1
}
plan="$root/etc/netplan" before="$root/var/lib/sovereigncloud/netplan-before"
if [ -d "$plan" ]; then
    mkdir -p "$before" "$root/etc/cloud/cloud.cfg.d"
    find "$plan" -name '*.yaml' -exec mv '{}' "$before" ';'
    cat > "$plan/50-cloud-init.yaml" <<'SOVEREIGN_END'
network:
  bonds:
    public_bond:
      accept-ra: false
      dhcp4: true
      interfaces:
      - public0
      - public1
      macaddress: a1:b2:c3:d4:e5:c4
      optional: false
      parameters:
        lacp-rate: fast
        mii-monitor-interval: 100
        mode: 802.3ad
        transmit-hash-policy: layer3+4
    vrack_bond:
      accept-ra: false
      dhcp4: false
      interfaces:
      - private0
      - private1
      macaddress: a1:b2:c3:d4:e5:c6
      optional: true
      parameters:
        lacp-rate: fast
        mii-monitor-interval: 100
        mode: 802.3ad
        transmit-hash-policy: layer3+4
  ethernets:
    private0:
      match:
        macaddress: a1:b2:c3:d4:e5:c6
      optional: true
    private1:
      match:
        macaddress: a1:b2:c3:d4:e5:c7
      optional: true
    public0:
      match:
        macaddress: a1:b2:c3:d4:e5:c4
      optional: true
    public1:
      match:
        macaddress: a1:b2:c3:d4:e5:c5
      optional: true
  renderer: networkd
  version: 2
SOVEREIGN_END
    chmod 600 "$plan/50-cloud-init.yaml"
    echo 'network: {config: disabled}' > "$root/etc/cloud/cloud.cfg.d/99-disable-network-config.cfg"
    if ! runs; then
        say 'the bonds are written, and apply from the next start'
    elif netplan apply && reached; then
        say 'the bonds are in use'
    else
        rm -f "$plan/50-cloud-init.yaml" "$root/etc/cloud/cloud.cfg.d/99-disable-network-config.cfg"
        find "$before" -name '*.yaml' -exec cp -p '{}' "$plan" ';'
        netplan apply || true
        say 'no gateway over the bonds: the network is as it was, and left to the installer'
    fi
else
    say 'there is no netplan: the network is left to the installer'
fi
