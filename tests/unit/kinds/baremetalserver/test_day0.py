"""The script of day 0: its very text, what it does when it is run, and what its proof is worth."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from sovereigncloud.core.identity import Mark
from sovereigncloud.kinds.baremetalserver.network.bonds import netplan
from sovereigncloud.kinds.baremetalserver.reinstall.day0 import (
    Day0,
    fingerprint,
    is_proof,
    is_proven,
    proof,
    proof_key,
    script,
)
from sovereigncloud.ports.installer.installation import InstallTarget
from sovereigncloud.providers.installer.netplan import netplan as installed

GOLDEN = Path(__file__).parent / "golden" / "day0.sh"
PUBLIC, PRIVATE = ("a1:b2:c3:d4:e5:c4", "a1:b2:c3:d4:e5:c5"), ("a1:b2:c3:d4:e5:c6", "a1:b2:c3:d4:e5:c7")
KEY = proof_key("a private key", "urn:v1:eu:resource:dedicatedServer:ns1", "first")
DAY0 = Day0("ns1", "first", Mark("prod", "BareMetalServer/platform/rbx-one-1", "u1"), PUBLIC, PRIVATE, KEY)
OURS, OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB"


def test_the_script_is_this_and_nothing_else():
    """Change it with golden/day0.sh beside it: what runs as root on every server is worth a look."""
    if os.environ.get("GOLDEN"):
        GOLDEN.write_text(script(DAY0))
    assert script(DAY0) == GOLDEN.read_text()


def test_the_cards_of_a_bond_are_told_by_mac_in_whatever_order_the_kernel_has_them():
    plan = netplan(PUBLIC, PRIVATE)["network"]
    for bond, macs in (("public_bond", PUBLIC), ("vrack_bond", PRIVATE)):
        cards = plan["bonds"][bond]["interfaces"]
        assert [plan["ethernets"][card]["match"] for card in cards] == [{"macaddress": mac} for mac in macs]
        assert not any("set-name" in plan["ethernets"][card] for card in cards)
        assert plan["bonds"][bond]["parameters"]["mode"] == "802.3ad"
    assert (plan["bonds"]["public_bond"]["dhcp4"], plan["bonds"]["vrack_bond"]["dhcp4"]) == (True, False)


def test_one_card_is_no_aggregation():
    assert netplan(PUBLIC[:1], ())["network"]["bonds"]["public_bond"]["parameters"]["mode"] == "active-backup"
    assert "vrack_bond" not in netplan(PUBLIC, ())["network"]["bonds"]


def test_the_installer_writes_the_very_same_text():
    """Else it would apply another network to a server whose own works."""
    core = pytest.importorskip("ansible.plugins.filter.core")
    target = InstallTarget("one-1", "127.0.0.1", (), PUBLIC, PRIVATE)
    lines = script(DAY0).splitlines()
    begins = next(i for i, line in enumerate(lines) if "50-cloud-init.yaml" in line and "<<" in line) + 1
    text = "\n".join(lines[begins : lines.index("SOVEREIGN_END", begins)]) + "\n"
    assert core.to_nice_yaml(installed(target), indent=2) == text


# --- run


@pytest.fixture
def run(tmp_path):
    """Runs the script on a system that is a directory; what it said."""

    def ran(day0=DAY0):
        done = subprocess.run(
            ["/bin/sh"],
            input=script(day0),
            text=True,
            capture_output=True,
            check=True,
            env={"SOVEREIGN_ROOT": str(tmp_path), "PATH": os.environ["PATH"]},
        )
        assert done.stderr == ""
        return done.stdout

    (tmp_path / "etc" / "ssh").mkdir(parents=True)
    return ran


@pytest.fixture
def ubuntu(tmp_path):
    """A system with netplan, as OVHcloud's template leaves it."""
    plan = tmp_path / "etc" / "netplan" / "50-cloud-init.yaml"
    plan.parent.mkdir(parents=True)
    plan.write_text("network: {ethernets: {eno1: {dhcp4: true}}}\n")
    return tmp_path


needs_programs = pytest.mark.skipif(
    not all(map(shutil.which, ("ssh-keygen", "openssl"))), reason="no ssh-keygen or openssl here"
)


@needs_programs
def test_run_on_a_fresh_system_it_leaves_marker_proof_and_bonds(ubuntu, run):
    said = run()
    marker = json.loads((ubuntu / "etc/sovereigncloud/day0.json").read_text())
    assert marker == {
        "installation": "prod",
        "object": "BareMetalServer/platform/rbx-one-1",
        "request": "first",
        "server": "ns1",
    }
    host_key = (ubuntu / "etc/ssh/ssh_host_ed25519_key.pub").read_text().rsplit(" ", 1)[0]
    addendum = (ubuntu / "etc/ssh/sshd_config.d/00-sovereigncloud.conf").read_text()
    greeting = f"SSH-2.0-OpenSSH_9.6p1 Ubuntu-3ubuntu13.5 {addendum.removeprefix('VersionAddendum ').strip()}"
    assert len(greeting) < 254, "RFC 4253 allows no longer one"
    assert is_proven(greeting, host_key, KEY)
    written = yaml.safe_load((ubuntu / "etc/netplan/50-cloud-init.yaml").read_text())
    assert written == netplan(PUBLIC, PRIVATE)
    assert (ubuntu / "etc/netplan/50-cloud-init.yaml").stat().st_mode & 0o777 == 0o600
    kept = ubuntu / "var/lib/sovereigncloud/netplan-before/50-cloud-init.yaml"
    assert "eno1" in kept.read_text(), "the way back"
    assert "bonds" in said


@needs_programs
def test_a_host_key_that_is_there_stays(ubuntu, run):
    run()
    first = (ubuntu / "etc/ssh/ssh_host_ed25519_key.pub").read_text()
    run()
    assert (ubuntu / "etc/ssh/ssh_host_ed25519_key.pub").read_text() == first
    assert "ssh_deletekeys: false" in (ubuntu / "etc/cloud/cloud.cfg.d/99-sovereigncloud-host-key.cfg").read_text()


@needs_programs
def test_without_netplan_the_network_is_left_to_the_installer_and_that_is_said(tmp_path, run):
    assert "left to the installer" in run()
    assert not (tmp_path / "etc/netplan").exists()


def test_a_server_on_its_own_gets_no_proof_and_one_without_interfaces_no_bonds(tmp_path, run):
    bare = Day0("ns1", "first", DAY0.mark)
    run(bare)
    assert not (tmp_path / "etc/ssh/sshd_config.d").exists()
    assert "netplan" not in script(bare)
    assert "hexkey" not in script(bare)


def test_what_a_person_chose_never_leaves_its_line_of_quoted_text():
    hostile = "x'\nSOVEREIGN_END\nrm -rf /\n$(reboot)`reboot`"
    text = script(Day0(hostile, hostile, Mark(hostile, hostile, "u"), PUBLIC, PRIVATE))
    assert "\nrm -rf" not in text
    lines = text.splitlines()
    assert json.loads(lines[lines.index("SOVEREIGN_END") - 1])["server"] == hostile


# --- what the proof is worth


def test_the_key_of_the_proof_is_another_one_for_each_server_request_and_cloud():
    keys = {
        proof_key(installer, urn, word)
        for installer in ("a", "b")
        for urn in ("u1", "u2")
        for word in ("first", "second")
    }
    assert len(keys) == 8
    assert proof_key("a private key", "urn:v1:eu:resource:dedicatedServer:ns1", "first") == KEY


GREETINGS = [
    ("the server's own", f"SSH-2.0-OpenSSH_9.6p1 Ubuntu-3 sovereigncloud-{proof(KEY, OURS)}", OURS, KEY, True, True),
    ("its proof, shown by who has another key", f"SSH-2.0-X sovereigncloud-{proof(KEY, OURS)}", OTHER, KEY, True, False),
    ("a proof of who does not know the key", f"SSH-2.0-X sovereigncloud-{proof('00' * 32, OTHER)}", OTHER, KEY, True, False),
    ("no proof yet", "SSH-2.0-OpenSSH_9.6p1 Ubuntu-3", OURS, KEY, False, False),
    ("something that only looks like one", "SSH-2.0-X sovereigncloud-1234", OURS, KEY, False, False),
    ("nothing to prove it with", f"SSH-2.0-X sovereigncloud-{proof(KEY, OURS)}", OURS, "", True, False),
]  # fmt: skip


@pytest.mark.parametrize(
    ("why", "greeting", "host_key", "key", "shown", "proven"), GREETINGS, ids=[row[0] for row in GREETINGS]
)
def test_what_a_greeting_proves(why, greeting, host_key, key, shown, proven):
    assert is_proof(greeting) is shown, why
    assert is_proven(greeting, host_key, key) is proven, why


@needs_programs
def test_a_fingerprint_is_that_of_ssh_keygen(ubuntu, run):
    run()
    path = ubuntu / "etc/ssh/ssh_host_ed25519_key.pub"
    told = subprocess.run(["ssh-keygen", "-lf", path], capture_output=True, text=True, check=True)
    assert told.stdout.split()[1] == fingerprint(path.read_text().rsplit(" ", 1)[0])
    assert fingerprint("ssh-ed25519 !") == "unreadable"


def test_no_secret_is_in_what_python_shows_of_it():
    assert KEY not in repr(DAY0)
