"""`make demo`, as a person who is new runs it: it ends, and says what it is expected to say. The operator is the chart's pod there,
so this is also a hosted cloud that is built from nothing, reinstallation and host keys included, by a user without a name.
"""

import os
import re
import subprocess
import sys

import pytest


@pytest.fixture(scope="module")
def played(control_plane):
    """What it printed. The programs of the control plane are built by then; it starts its own."""
    done = subprocess.run(
        [sys.executable, "-m", "sovereigncloud.cli", "sandbox", "demo"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "COLUMNS": "160"},
        capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    return done.stdout


def test_it_ends(played):
    assert re.search(r"Done in \d+ s\. Everything that was started is ended\.", played)


def test_three_clouds_and_their_machines_are_ready(played):
    last = played[played.index("And again as declared") :]
    for name in ("onprem-paris", "ovh-adopted", "ovh-rbx", "app-paris", "batch-adopted", "web-rbx"):
        assert re.search(rf"{name} +True ", last), name


def test_the_host_keys_of_the_servers_that_it_installed_are_pinned(played):
    for server in ("ovh-rbx-one-1", "ovh-rbx-one-2"):
        assert re.search(rf"BareMetalServer/{server} +Ready ", played), server


def test_each_difference_is_named_and_mended(played):
    told = re.findall(r"^ {2}(\w+/[-\w]+ spec\S+): .* found, Correcting$", played, re.MULTILINE)
    # A card that is attached again has the groups of its network, too, until they are taken off: told or not, as it comes.
    passing = {"HostedInstance/web-rbx spec.networks[vm_public].securityGroups"}
    assert set(told) - passing == {
        "BareMetalServer/ovh-rbx-one-2 spec.name",
        "BareMetalServer/ovh-rbx-one-2 spec.ovh.vrack",
        "HostedInstance/app-paris spec.power",
        "HostedInstance/web-rbx spec.networks[vm_public]",
        "SovereignCloud/ovh-rbx spec.hosted.networks[vm_public].publicBlock",
        "SovereignCloud/ovh-rbx spec.hosted.ovh.servers[one-2]",
        "VirtualNetwork/ovh-rbx-vm-public spec.gateway",
    }


def test_no_warning_is_about_the_pod_that_is_simulated(played):
    """The installer's pod stays Pending: nobody has to do anything about that."""
    warnings = re.findall(r"^\S+ +Warning +(\w+) ", played, re.MULTILINE)
    assert "DriftDetected" in warnings
    assert "FailedScheduling" not in warnings
