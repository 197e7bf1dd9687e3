"""The installer's inventory and playbooks, read by the real ansible-core as its pod would read them."""

import ipaddress
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import jinja2
import pytest
import yaml
from tests.unit.providers.installer.installations import ALL, BASIC, GUARDED, MEMBERS, SLAVE

from sovereigncloud.providers.installer import federation
from sovereigncloud.providers.installer.firewall import PROBES, firewall
from sovereigncloud.providers.installer.inventory import inventory, render
from sovereigncloud.providers.installer.pod import PLAYBOOKS, playbook

BIN = Path(sys.executable).parent
OWN = [name for name in PLAYBOOKS if name.endswith(".yml")]


def ansible(command, *arguments, folder):
    """Of the same installation as the tests; it keeps what it writes in the folder."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "ANSIBLE_HOME": str(folder / ".ansible"),
        "ANSIBLE_LOCALHOST_WARNING": "False",
        "LC_ALL": "C.UTF-8",
    }
    return subprocess.run(
        [BIN / command, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture
def folder(tmp_path):
    for name in OWN:
        (tmp_path / name).write_text(playbook(name))
    return tmp_path


@pytest.mark.parametrize("name", ALL)
def test_ansible_reads_the_inventory(name, folder):
    (folder / "hosts.yml").write_text(render(ALL[name]))
    read = ansible("ansible-inventory", "--inventory=hosts.yml", "--list", folder=folder)
    assert read.returncode == 0, read.stderr
    assert "WARNING" not in read.stderr
    told, wanted = json.loads(read.stdout), inventory(ALL[name])
    for group in ("frontend", "node"):
        assert told[group]["hosts"] == list(wanted[group]["hosts"])
        for host, variables in wanted[group]["hosts"].items():
            seen = told["_meta"]["hostvars"][host]
            assert seen.items() >= {**variables, "one_version": "7.0"}.items()


@pytest.mark.parametrize("name", ["highly-available", "guarded"])
def test_the_playbooks_are_sound(name, folder):
    (folder / "hosts.yml").write_text(render(ALL[name]))
    checked = ansible("ansible-playbook", "--inventory=hosts.yml", "--syntax-check", *OWN, folder=folder)
    assert checked.returncode == 0, checked.stderr
    assert "WARNING" not in checked.stderr
    assert all(f"playbook: {playbook_}" in checked.stdout for playbook_ in OWN)


def test_the_check_finds_what_is_wrong(folder):
    (folder / "hosts.yml").write_text(render(BASIC))
    (folder / "prepare.yml").write_text(playbook("prepare.yml").replace("ansible.builtin.copy", "ansible.builtin.cpoy"))
    assert ansible("ansible-playbook", "-i", "hosts.yml", "--syntax-check", "prepare.yml", folder=folder).returncode
    (folder / "hosts.yml").write_text(render(BASIC).replace("hosts:", "hosts: -", 1))
    read = ansible("ansible-inventory", "--inventory=hosts.yml", "--list", folder=folder)
    assert read.returncode or "WARNING" in read.stderr


# --- the federation


@pytest.mark.parametrize("change", MEMBERS, ids=lambda change: str(change.change))
def test_the_play_of_a_federation_is_sound_and_finds_its_front_ends(change, folder):
    (folder / "federation.yml").write_text(playbook("federation.yml"))
    (folder / "hosts.yml").write_text(yaml.safe_dump(federation.inventory(change)))
    arguments = ("--inventory=hosts.yml", "federation.yml")
    checked = ansible("ansible-playbook", *arguments, "--syntax-check", folder=folder)
    assert checked.returncode == 0, checked.stderr
    listed = ansible("ansible-playbook", *arguments, "--list-hosts", folder=folder).stdout
    hosts = [line.strip() for line in listed.splitlines() if line.startswith("      ")]
    assert hosts == (["the-master", "the-member"] if change.master else ["the-member"])
    assert "Found both" not in checked.stderr


OBSERVED = """#*******************************************************************************
FEDERATION = [
    MODE          = "STANDALONE",
    ZONE_ID       = 0,
    SERVER_ID     = -1,
    MASTER_ONED   = "",
    MASTER_ONED_GRPC = ""
]
RAFT = [ LIMIT_PURGE = 100000 ]
"""


def test_the_play_puts_its_words_in_place_of_what_oned_conf_says():
    (_, member) = yaml.safe_load(playbook("federation.yml"))
    (block,) = (task["block"] for task in member["tasks"] if "block" in task)
    told = federation.inventory(SLAVE)["all"]["vars"]
    made = jinja2.Environment(keep_trailing_newline=True).from_string(member["vars"]["federation"]).render(told)
    (task,) = (t for t in block if t["name"] == "Write its place in the federation")
    for _ in range(2):  # a second run changes nothing
        written = re.sub(task["ansible.builtin.replace"]["regexp"], made, OBSERVED, flags=re.MULTILINE)
        assert written.count("FEDERATION") == 1
        assert "RAFT = [ LIMIT_PURGE = 100000 ]" in written
        (check,) = (t for t in block if t["name"] == "Is it written")
        pattern = re.search(r"-qE '(.*)' ", check["ansible.builtin.command"])[1]
        pattern = jinja2.Template(pattern).render(told)
        assert any(re.search(pattern, line) for line in written.splitlines())
    assert 'MASTER_ONED   = "https://one.example.fr/RPC2"' in written


# --- the firewall


def rules(installation):
    """What the playbook would write."""
    (play,) = yaml.safe_load(playbook("firewall.yml"))
    (block,) = (t["block"] for t in play["tasks"] if t["name"].startswith("Close what"))
    (task,) = (t for t in block if t["name"].startswith("Write the rules"))
    content = task["ansible.builtin.copy"]["content"]
    # As Ansible has it: blocks take their line with them.
    template = jinja2.Environment(trim_blocks=True, keep_trailing_newline=True).from_string(content)
    return template.render(firewall=firewall(installation))


def test_the_rules_let_in_who_is_named_and_nobody_else():
    told = [line.strip() for line in rules(GUARDED).splitlines()]
    assert "ip saddr { 57.131.167.160/31 } accept" in told, "the servers among themselves"
    assert "ip saddr { 192.0.2.0/24 } tcp dport { 22, 80, 443 } accept" in told
    assert "ip6 saddr { 2001:db8::/32 } tcp dport { 22, 80, 443 } accept" in told
    assert "ip saddr { 57.131.167.176/28 } tcp dport { 5030 } accept" in told, "machines, to OneGate"
    assert "type filter hook input priority filter; policy drop;" in told
    accepting = [line for line in told if line.endswith("accept") and "saddr" not in line]
    assert accepting == [
        "ct state established,related accept",
        'iifname "lo" accept',
        "meta l4proto ipv6-icmp accept",
        "udp sport 67 udp dport 68 accept",
        "udp dport 546 accept",
    ]


def test_without_a_certificate_the_plain_ports_are_open_to_the_same():
    from dataclasses import replace  # noqa: PLC0415

    plain = replace(GUARDED, reach=replace(GUARDED.reach, tls_secret="", fqdn="", machine_ranges=()))
    told = rules(plain)
    assert "tcp dport { 22, 2616, 2633 } accept" in told
    assert "5030" not in told


def test_the_probes_of_ovhcloud_are_always_let_in():
    """Their monitoring, and .250 and .251 of the network of each server."""
    allowed = [ipaddress.ip_network(n) for n in firewall(GUARDED)["probes"]]
    wanted = [*map(ipaddress.ip_network, PROBES), *map(ipaddress.ip_network, ("57.131.167.250", "57.131.167.251"))]
    assert all(any(w.subnet_of(a) for a in allowed) for w in wanted)
    (line,) = (line for line in rules(GUARDED).splitlines() if "213.186.33.13" in line)
    assert line.strip().endswith("ip protocol icmp accept"), "they ping, and nothing else"


@pytest.mark.skipif(shutil.which("nft") is None, reason="nftables is not installed here")
def test_nftables_accepts_the_rules(tmp_path):
    (tmp_path / "rules.nft").write_text(rules(GUARDED))
    subprocess.run(["nft", "--check", "--file", tmp_path / "rules.nft"], check=True)


def test_every_change_of_network_or_firewall_has_a_way_back():
    """The return is scheduled before the change is applied, and called off only after the server answered."""
    for name, returns, applies in (
        ("prepare.yml", "Return to", "Apply the bonds"),
        ("firewall.yml", "Open again", "Apply the r"),
    ):
        order = [line.strip() for line in playbook(name).splitlines() if line.strip().startswith("- name:")]
        at = [
            next(i for i, line in enumerate(order) if word in line)
            for word in (returns, applies, "Wait until it", "Stay")
        ]
        assert at == sorted(at), name
