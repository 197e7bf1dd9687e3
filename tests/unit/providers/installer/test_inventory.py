"""The inventory: that it is the guide's for the guide's values, and what each reference architecture makes of it.

The figures are those of OpenNebula/hosted-cloud-ovhcloud @ 8fff539 (inventory/ovhcloud.yml, inventory/group_vars/all.yml,
roles/system-optimization), which OVHcloud's guide has its readers fill in.
"""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from tests.unit.providers.installer.installations import (
    ALL,
    BASIC,
    BOTH,
    ED25519,
    GUARDED,
    HIGHLY_AVAILABLE,
    NODE,
    target,
)

from sovereigncloud.ports.installer.installation import InstallTarget
from sovereigncloud.providers.installer.inventory import inventory, render
from sovereigncloud.providers.installer.netplan import netplan
from sovereigncloud.providers.installer.pod import playbook
from sovereigncloud.providers.installer.ssh import known_hosts, ssh_arguments

GOLDEN = Path(__file__).parent / "golden"


def cards(*numbers):
    return tuple(f"aa:bb:dd:cc:ee:{number}" for number in numbers)


def nics(names, numbers):
    return [{"name": n, "macaddress": m} for n, m in zip(names, cards(*numbers), strict=True)]


PUBLIC_NAMES, PRIVATE_NAMES = ("ens3f0np0", "ens3f1np1"), ("enp129s0f0np0", "enp129s0f1np1")
FIRST = {
    "ansible_host": "57.131.167.160",
    "public_nics": nics(PUBLIC_NAMES, ("01", "02")),
    "private_nics": nics(PRIVATE_NAMES, ("03", "04")),
}
SECOND = {
    "ansible_host": "57.131.167.161",
    "public_nics": nics(PUBLIC_NAMES, ("11", "12")),
    "private_nics": nics(PRIVATE_NAMES, ("13", "14")),
}
GUIDE = {
    "all": {
        "vars": {
            "ansible_user": "ubuntu",
            "ansible_python_interpreter": "/usr/bin/python3",
            "ensure_keys_for": ["root"],
            "ensure_hostname": True,
            "ensure_hosts": True,
            "unattend_disable": True,
            "update_pkg_cache": True,
            "features": {"evpn": False},
            "one_version": "7.0",
            "one_pass": "opennebula",
            "db_backend": "SQLite",
            "vn": {"vm_public": "...", "vm_vlan100": "...", "vm_vlan101": "..."},
        }
    },
    "frontend": {"hosts": {"fe": FIRST}},
    "node": {"hosts": {"host01": FIRST, "host02": SECOND}},
}
ASKED = replace(
    BASIC,
    targets=(
        InstallTarget("host01", "57.131.167.160", BOTH, cards("01", "02"), cards("03", "04")),
        InstallTarget("host02", "57.131.167.161", NODE, cards("11", "12"), cards("13", "14")),
    ),
)

ONLY_IN_THE_GUIDE = {
    "all.vars.vn.vm_public": "the operator keeps networks over the API: two writers would fight",
    "all.vars.vn.vm_vlan100": "the same",
    "all.vars.vn.vm_vlan101": "the same",
    **{
        f"{group}.{kind}.{number}.name": "kernel names need a login; the cards are told by MAC, so nobody needs them"
        for group in ("frontend.hosts.host01", "node.hosts.host01", "node.hosts.host02")
        for kind in ("public_nics", "private_nics")
        for number in (0, 1)
    },
}
ONLY_OURS = {
    "all.vars.ansible_become": "the guide's ansible.cfg says so; a Job has no ansible.cfg of that repository",
    "all.vars.ansible_ssh_common_args": "host keys are pinned where they are known",
    **{
        f"{host}.netplan": "the guide's role network renders the bonds from the cards; here they are rendered and tested"
        for host in ("frontend.hosts.host01", "node.hosts.host01", "node.hosts.host02")
    },
}
OTHERWISE = {
    "all.vars.one_pass": "generated, and read from the mounted Secret: the inventory holds no secret",
}


def flat(node, path=""):
    """Each leaf by its path; what `netplan` holds is looked at on its own."""
    if path.endswith((".netplan",)) or not isinstance(node, dict | list) or not node:
        return {path: node}
    items = node.items() if isinstance(node, dict) else enumerate(node)
    return {k: v for key, value in items for k, v in flat(value, f"{path}.{key}" if path else str(key)).items()}


def test_it_is_the_inventory_of_the_guide_key_by_key():
    """One machine has one name here: the guide calls its first one fe and host01."""
    guide = {**GUIDE, "frontend": {"hosts": {"host01": GUIDE["frontend"]["hosts"]["fe"]}}}
    theirs, ours = flat(guide), flat(inventory(ASKED))
    assert theirs.keys() - ours.keys() == ONLY_IN_THE_GUIDE.keys()
    assert ours.keys() - theirs.keys() == ONLY_OURS.keys()
    assert {k for k in theirs.keys() & ours.keys() if theirs[k] != ours[k]} == OTHERWISE.keys()


def test_the_bonds_are_those_of_the_guide():
    """What its role network writes for the first server, but for the cards' names and for not waiting for a missing one."""
    network = netplan(ASKED.targets[0])["network"]
    lacp = {"mode": "802.3ad", "lacp-rate": "fast", "transmit-hash-policy": "layer3+4"}
    for bond, mac, dhcp in (("public_bond", "01", True), ("vrack_bond", "03", False)):
        told = network["bonds"][bond]
        assert told["macaddress"] == f"aa:bb:dd:cc:ee:{mac}", bond
        assert (told["dhcp4"], told["accept-ra"]) == (dhcp, False), bond
        assert told["parameters"].items() >= lacp.items(), bond
        assert next(network["ethernets"][i]["match"] for i in told["interfaces"]) == {"macaddress": told["macaddress"]}


KERNEL = {
    "net.ipv4.tcp_syncookies": "1",
    "net.ipv4.conf.all.accept_source_route": "0",
    "net.ipv4.conf.default.accept_source_route": "0",
    "net.ipv4.conf.all.accept_redirects": "0",
    "net.ipv4.conf.default.accept_redirects": "0",
    "net.ipv4.conf.all.secure_redirects": "1",
    "net.ipv4.conf.default.secure_redirects": "1",
    "net.ipv4.ip_forward": "1",
    "net.ipv4.conf.all.send_redirects": "1",
    "net.ipv4.conf.default.send_redirects": "1",
    "net.ipv4.conf.all.rp_filter": "1",
    "net.ipv4.conf.default.rp_filter": "1",
    "net.ipv4.icmp_echo_ignore_broadcasts": "1",
    "net.ipv4.icmp_ignore_bogus_error_responses": "1",
    "net.ipv4.conf.all.log_martians": "1",
    "net.ipv4.conf.default.log_martians": "1",
    "kernel.randomize_va_space": "2",
    "kernel.panic": "30",
    "net.core.somaxconn": "4096",
    "net.ipv4.tcp_max_syn_backlog": "1024",
    "net.core.rmem_max": "33554432",
    "net.core.wmem_max": "33554432",
    "net.ipv4.tcp_timestamps": "1",
    "net.ipv4.tcp_window_scaling": "1",
    "net.ipv4.tcp_wmem": "8192 1048576 33554432",
    "net.ipv4.tcp_rmem": "8192 1048576 33554432",
    "net.core.optmem_max": "524287",
    "net.core.netdev_max_backlog": "250000",
    "net.ipv4.tcp_keepalive_time": "3000",
}


def test_the_kernel_is_tuned_as_by_the_guide():
    (play,) = yaml.safe_load(playbook("prepare.yml"))
    (task,) = (t for t in play["tasks"] if t["name"].startswith("Tune the kernel"))
    told = dict(line.split(" = ") for line in task["ansible.builtin.copy"]["content"].splitlines())
    assert told == KERNEL


@pytest.mark.parametrize("name", ALL)
def test_golden(name):
    """To accept a change: write what is rendered into the file, and read the difference."""
    path = GOLDEN / f"inventory-{name}.yaml"
    assert yaml.safe_load(render(ALL[name])) == inventory(ALL[name])
    assert render(ALL[name]) == path.read_text(), f"differs from {path}"


def test_three_front_ends_share_a_database_and_an_address():
    told = inventory(HIGHLY_AVAILABLE)
    assert len(told["frontend"]["hosts"]) == 3
    wanted = {"db_backend": "MariaDB", "one_vip": "10.1.0.10", "one_vip_cidr": 24, "one_vip_if": "vrack_bond.200"}
    assert told["all"]["vars"].items() >= wanted.items()


def test_the_vlan_of_the_shared_address_is_made_on_front_ends_only():
    told = inventory(HIGHLY_AVAILABLE)
    vlan = {"vrack_bond.200": {"id": 200, "link": "vrack_bond", "dhcp4": False, "optional": True}}
    assert told["frontend"]["hosts"]["one-3"]["netplan"]["network"]["vlans"] == vlan
    assert "vlans" not in told["node"]["hosts"]["one-4"]["netplan"]["network"]
    assert "vlans" not in netplan(HIGHLY_AVAILABLE.targets[0], "vrack_bond")["network"]
    assert "vlans" not in netplan(HIGHLY_AVAILABLE.targets[0], "eno1.200")["network"], "no bond of ours"


def test_no_secret_is_in_it():
    for installation in ALL.values():
        assert "lookup(" in inventory(installation)["all"]["vars"]["one_pass"]


def test_64_servers_fit_into_a_variable_of_the_container():
    """Linux takes 128 KiB for one."""
    many = replace(GUARDED, targets=tuple(target(n, BOTH if not n else NODE, ED25519) for n in range(64)))
    assert len(render(many).encode()) < 131_072 * 0.9


# --- SSH


@pytest.mark.parametrize(
    ("why", "keys", "checking"),
    [
        ("no key is known: the first is taken, another one afterwards is refused", ("", ""), "accept-new"),
        ("one is not known yet", (ED25519, ""), "accept-new"),
        ("all are known: nothing is taken on trust", (ED25519, ED25519), "yes"),
    ],
)
def test_host_keys(why, keys, checking):
    asked = replace(BASIC, targets=tuple(target(n, BOTH, key) for n, key in enumerate(keys)))
    assert ssh_arguments(asked) == (f"-o UserKnownHostsFile=/runner/known_hosts -o StrictHostKeyChecking={checking}"), (
        why
    )
    told = [f"57.131.167.{160 + n} {key}" for n, key in enumerate(keys) if key]
    assert known_hosts(asked).splitlines() == told, why


def test_through_a_bastion_whose_key_is_known():
    told = ssh_arguments(GUARDED)
    assert "-p 2222 -W [%h]:%p jump@bastion.example.fr" in told
    assert told.count("StrictHostKeyChecking=yes") == 2
    assert f"[bastion.example.fr]:2222 {ED25519}" in known_hosts(GUARDED).splitlines()
    assert "-i /runner/env/bastion_key" in told
    own = replace(GUARDED.reach.jump_host, key_secret="", port=22)
    bare = replace(GUARDED, reach=replace(GUARDED.reach, jump_host=own))
    assert "-i " not in ssh_arguments(bare), "the key of the servers is in the agent"
    assert f"bastion.example.fr {ED25519}" in known_hosts(bare).splitlines()
