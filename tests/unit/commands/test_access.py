"""ssh and console: which address, which command, and what to do where neither gets through."""

import json
import os

import pytest
from tests.unit.commands.cli_fakes import CLOUD_SPEC, CLOUD_STATUS, INSTANCE_SPEC, Outside, body, ready
from typer.testing import CliRunner

from sovereigncloud.api.common.base import Key
from sovereigncloud.cli import app
from sovereigncloud.commands.access.methods import Login, addresses, sunstone, ways
from sovereigncloud.commands.shared.errors import CommandError
from sovereigncloud.commands.shared.resource_graph import ResourceGraph
from sovereigncloud.kinds import CONTROLLERS

PLACE = {"placement": {"cloud": "team/paris", "host": "one-1"}}
RUNNING = {"id": "12", "state": "Running", **PLACE}
CLOUD = body("SovereignCloud", "paris", CLOUD_SPEC, CLOUD_STATUS)


def web(**status):
    return body("HostedInstance", "web", INSTANCE_SPEC, ready(**status))


def instance(**status):
    return ResourceGraph([web(**status)], CONTROLLERS).get(Key("HostedInstance", "team", "web"))


def run(*arguments, outside):
    return CliRunner().invoke(app, arguments, obj=outside.connections)


@pytest.mark.parametrize(
    ("status", "found", "why"),
    [
        ({"addresses": ["10.0.0.5", "57.131.167.178"]}, ("57.131.167.178", "10.0.0.5"), "the public one first"),
        ({"addresses": ["10.0.0.5", "192.168.1.2"]}, ("10.0.0.5", "192.168.1.2"), "else as in spec.networks"),
        ({"primaryAddress": "10.0.0.5"}, ("10.0.0.5",), "the only one that is known"),
        ({"addresses": ["2001:4860::1", "fd00::1"]}, ("2001:4860::1", "fd00::1"), "IPv6"),
    ],
)
def test_addresses_in_the_order_in_which_they_are_tried(status, found, why):
    assert addresses(instance(**RUNNING, **status)) == found, why


@pytest.mark.parametrize(
    ("status", "said", "why"),
    [
        ({}, "has no machine yet: see why with describe hinst/web", "it is not made"),
        ({**RUNNING, "state": "PoweredOff"}, "is PoweredOff, not Running: start it", "nobody answers"),
        (RUNNING, "has no address in its status", "no network gives it one"),
    ],
)
def test_a_machine_without_an_address_says_what_to_do(status, said, why):
    with pytest.raises(CommandError) as refused:
        addresses(instance(**status))
    assert said in str(refused.value), why


@pytest.mark.parametrize(
    ("login", "command", "why"),
    [
        (Login("root"), "ssh root@10.0.0.5", "root, whom the marketplace's images know"),
        (Login("ubuntu", port=2222), "ssh -p 2222 ubuntu@10.0.0.5", "another port"),
        (Login("root", jump="me@bastion"), "ssh -J me@bastion root@10.0.0.5", "a bastion"),
        (Login("root", identity="key", options=("-v",), command=("uptime", "-p")), "ssh -i key -v root@10.0.0.5 uptime -p", "all"),
    ],
)  # fmt: skip
def test_the_command_line_of_ssh(login, command, why):
    assert " ".join(login.arguments("10.0.0.5")) == command, why


def test_print_runs_and_tries_nothing():
    outside = Outside().with_cluster(CLOUD, web(**RUNNING, addresses=["10.0.0.5"]))
    assert run("ssh", "web", "--print", "-l", "ubuntu", outside=outside).stdout == "ssh ubuntu@10.0.0.5\n"
    told = json.loads(run("ssh", "hinst/web", "-o", "json", outside=outside).stdout)
    assert told == {"format": 1, "command": ["ssh", "root@10.0.0.5"], "addresses": ["10.0.0.5"]}
    assert not [entry for entry in outside.log if entry.startswith("try")]


def test_the_first_address_that_answers_is_taken(monkeypatch, tmp_path):
    (tmp_path / "ssh").touch(mode=0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    ran = []
    monkeypatch.setattr(os, "execv", lambda program, words: ran.append((program, words)))
    outside = Outside().with_cluster(CLOUD, web(**RUNNING, addresses=["57.131.167.178", "10.0.0.5"]))
    outside.answering = {"10.0.0.5"}
    assert run("ssh", "web", "--", "-v", "uptime", "-p", outside=outside).exit_code == 0
    assert ran == [(str(tmp_path / "ssh"), ("ssh", "-v", "root@10.0.0.5", "uptime", "-p"))]
    assert [entry for entry in outside.log if entry.startswith("try")] == ["try 57.131.167.178:22", "try 10.0.0.5:22"]


@pytest.mark.parametrize(
    ("found", "said", "why"),
    [
        (
            ["10.0.0.5"],
            "is in a private network and does not answer on port 22 from here: go through a machine",
            "private",
        ),
        (["10.0.0.5"], "for example -J oneadmin@one-1", "its host is a bastion that is there"),
        (["57.131.167.178"], "see that sshd runs in the guest and that no firewall", "public"),
    ],
)
def test_where_no_address_answers_it_says_what_to_do(found, said, why):
    result = run("ssh", "web", outside=Outside().with_cluster(CLOUD, web(**RUNNING, addresses=found)))
    assert result.exit_code == 1
    assert said in result.stderr, why
    assert result.stderr.count("\n") == 1


def test_only_an_instance_has_a_login():
    result = run("ssh", "scloud/paris", outside=Outside().with_cluster(CLOUD))
    assert "scloud/paris is no HostedInstance" in result.stderr


# --- the screen -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("endpoint", "url", "probe", "why"),
    [
        ("http://10.0.0.1:2633/RPC2", "http://10.0.0.1:2616/fireedge/sunstone", ("10.0.0.1", 2616), "oned's own port"),
        ("https://one.example/RPC2", "https://one.example/fireedge/sunstone", ("one.example", 443), "behind a proxy"),
        ("http://[fd00::1]:2633/RPC2", "http://[fd00::1]:2616/fireedge/sunstone", ("fd00::1", 2616), "IPv6"),
    ],
)
def test_where_sunstone_usually_is(endpoint, url, probe, why):
    assert sunstone(endpoint) == (url, probe), why


def test_the_ways_to_a_screen_name_host_machine_and_what_each_needs():
    cloud = ResourceGraph([CLOUD], CONTROLLERS).get(Key("SovereignCloud", "team", "paris"))
    ovh = {"endpoint": "ovh-eu", "credentialsSecretRef": {"name": "ovh"}, "serviceName": "ns1.example"}
    server = body("BareMetalServer", "rbx-one-1", {"name": "one-1", "ovh": ovh}, ready(address="57.131.167.160"))
    bms = ResourceGraph([server], CONTROLLERS).get(Key("BareMetalServer", "team", "rbx-one-1"))
    by_name = {way.name: way for way in ways(instance(**RUNNING), cloud, [bms])}
    assert by_name["VNC"].how == "virt-viewer --connect qemu+ssh://oneadmin@57.131.167.160/system one-12"
    assert "usually 5912" in by_name["VNC"].needs
    assert by_name["Serial"].how == "ssh -t oneadmin@57.131.167.160 virsh --connect qemu:///system console one-12"
    assert "a machine made from an image has none" in by_name["Serial"].needs
    unknown = {way.name: way for way in ways(instance(**RUNNING), cloud, [])}
    assert "oneadmin@one-1" in unknown["Serial"].how, "a host that is no server of ours, by its name"


def test_console_says_what_answers_and_prints_no_password():
    secrets = {("team", "one"): {"username": "oneadmin", "password": "hunter2"}}
    outside = Outside().with_cluster(CLOUD, web(**RUNNING), secrets=secrets)
    outside.answering = {"one.example.gouv.fr"}
    result = run("console", "web", outside=outside)
    assert "Sunstone https://one.example.gouv.fr/fireedge/sunstone  answers" in result.stdout
    assert "one-1:22 does not answer from here" in result.stdout
    assert "hunter2" not in result.output
    assert not [entry for entry in outside.log if "secret" in entry]
    told = json.loads(run("console", "web", "-o", "json", outside=outside).stdout)
    assert [(way["name"], way["answers"]) for way in told["items"]] == [
        ("Sunstone", True),
        ("VNC", False),
        ("Serial", False),
    ]


@pytest.mark.parametrize(
    ("bodies", "said"),
    [
        ([CLOUD, web()], "has no machine yet"),
        ([web(**RUNNING)], "is in no SovereignCloud that can be read"),
    ],
)
def test_a_screen_that_is_not_there_says_why(bodies, said):
    result = run("console", "web", outside=Outside().with_cluster(*bodies))
    assert result.exit_code == 1
    assert said in result.stderr
