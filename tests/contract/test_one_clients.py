"""The OpenNebula simulator as a program: its admin door, its addresses, its end, and a foreign client against it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyone
import pytest
import requests

from sovereigncloud_sandbox.opennebula.command import Options, started
from sovereigncloud_sandbox.opennebula.install import CloudSpec, parse_spec
from sovereigncloud_sandbox.opennebula.sandbox import open_sandbox

SOURCE = Path(__file__).resolve().parents[2] / "operator"
CLI = Path(sys.executable).parent / "one"


@pytest.fixture(scope="module")
def program():
    """The simulator started as people start it."""
    command = [sys.executable, "-m", "sovereigncloud_sandbox.opennebula", "--host", "one-1", "--host", "one-2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment(), text=True) as process:
        try:
            where = json.loads(process.stdout.readline())
            wait_for_room(where)
            yield where
        finally:
            process.terminate()
    assert process.returncode == 0


def environment(**more):
    return {**os.environ, "PYTHONPATH": str(SOURCE), **more}


def wait_for_room(where):
    one = pyone.OneServer(where["endpoint"], session=f"{where['username']}:{where['password']}")
    while min(store.TOTAL_MB for store in one.datastorepool.info().DATASTORE) == 0:
        time.sleep(0.05)


@pytest.fixture
def admin(program):
    return program["admin"]


def post(url, document):
    return requests.post(url, json=document, timeout=10)


def get(url):
    return requests.get(url, timeout=10).json()


# ------------------------------------------------------------------------------------------------------ opennebula-cli


@pytest.fixture
def cli(program, tmp_path):
    """Runs opennebula-cli, configured as its README says."""
    auth = tmp_path / "one_auth"
    auth.write_text(f"{program['username']}:{program['password']}\n")
    auth.chmod(0o600)
    settings = environment(HOME=str(tmp_path), ONE_XMLRPC=program["endpoint"], ONE_AUTH=str(auth), NO_COLOR="1")

    def run(*arguments, succeeds=True):
        done = subprocess.run(
            [str(CLI), "--output", "json", *arguments],
            env=settings,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode == 0) is succeeds, done.stdout + done.stderr
        return json.loads(done.stdout) if succeeds else done.stderr + done.stdout

    return run


def test_opennebula_cli_is_healthy_against_it(cli):
    assert cli("doctor")["healthy"] is True


@pytest.mark.parametrize(("kind", "empty"), [("host", False), ("datastore", False), ("user", False), ("vm", True)])
def test_opennebula_cli_lists(cli, kind, empty):
    listed = cli(kind, "list")
    assert isinstance(listed, list)
    assert empty or listed


def test_opennebula_cli_makes_shows_and_acts(cli, tmp_path):
    network, machine = tmp_path / "net", tmp_path / "vm"
    network.write_text("NAME=clinet\nVN_MAD=bridge\nPHYDEV=vrack_bond\nAR=[TYPE=IP4,IP=10.9.0.10,SIZE=5]\n")
    machine.write_text("NAME=cli\nCPU=0.1\nMEMORY=64\nNIC=[NETWORK=clinet]\nDISK=[IMAGE=clidata]\n")
    net = cli("vnet", "create", str(network))["id"]
    image = cli("image", "create", "-d", "1", "--name", "clidata", "--type", "DATABLOCK", "--size", "8")["id"]
    until(lambda: cli("vnet", "show", str(net)), lambda shown: shown["name"] == "clinet")
    until(lambda: cli("image", "show", str(image)), lambda shown: shown["state_id"] == 1)
    vm = cli("vm", "create", str(machine))["id"]
    until(lambda: cli("vm", "show", str(vm)), lambda shown: shown["lcm_state"] == "RUNNING")
    assert cli("vm", "show", str(vm))["ips"] == ["10.9.0.10"]
    cli("vm", "poweroff", str(vm))
    until(lambda: cli("vm", "show", str(vm)), lambda shown: shown["state"] == "POWEROFF")
    cli("vm", "terminate", str(vm))
    until(lambda: cli("vm", "list"), lambda shown: vm not in {one["id"] for one in shown})
    assert "Error getting virtual machine [9999]." in cli("vm", "show", "9999", succeeds=False)


def until(look, good):
    for _ in range(30):
        found = look()
        if good(found):
            return
        time.sleep(0.05)
    pytest.fail(str(found))


# -------------------------------------------------------------------------------------------------------- admin door


def test_an_installer_makes_clouds_each_at_an_address_of_its_own(admin):
    """A hosted cloud's front-end lives at the address of its server."""
    made = []
    for number in (1, 2):
        document = {
            "name": f"cloud{number}",
            "listen": f"127.57.131.16{number}:0",
            "zone_name": f"Zone{number}",
            "version": "7.0.0",
            "oneadmin_password": f"secret{number}",
            "hosts": [{"name": f"127.57.131.16{number}", "im_mad": "kvm", "vmm_mad": "kvm"}],
        }
        reply = post(f"{admin}/clouds", document)
        assert reply.status_code == 201
        assert "secret" not in reply.text
        made.append(pyone.OneServer(reply.json()["endpoint"], session=f"oneadmin:secret{number}"))
        assert f"127.57.131.16{number}" in reply.json()["endpoint"]
    first, second = made
    first.vn.allocate("NAME=only-here VN_MAD=bridge", 0)
    assert second.vnpool.info(-2, -1, -1).VNET == []
    assert [one.zonepool.info().ZONE[0].NAME for one in made] == ["Zone1", "Zone2"]
    host = first.hostpool.info().HOST[0]
    assert (host.NAME, host.IM_MAD, host.VM_MAD) == ("127.57.131.161", "kvm", "kvm")
    assert [store.NAME for store in first.datastorepool.info().DATASTORE] == ["files", "default", "system"]
    with pytest.raises(pyone.OneAuthenticationException):
        pyone.OneServer(get(f"{admin}/clouds/cloud1")["endpoint"], session="oneadmin:secret2").system.version()
    for number in (1, 2):
        assert requests.delete(f"{admin}/clouds/cloud{number}", timeout=10).status_code == 204
    with pytest.raises(requests.ConnectionError):
        first.system.version()
    assert {one["name"] for one in get(f"{admin}/clouds")} == {"sandbox"}


def test_the_admin_door_shows_and_breaks_things(program, admin):
    one = pyone.OneServer(program["endpoint"], session="oneadmin:opennebula")
    vm = one.vm.allocate("NAME=broken CPU=0.1 MEMORY=1")
    assert post(f"{admin}/clouds/sandbox/mischief", {"what": "vm-power-off", "vm": "broken"}).status_code == 200
    assert one.vm.info(vm).STATE == 8
    shown = next(found for found in get(f"{admin}/clouds/sandbox")["vms"] if found["id"] == vm)
    assert (shown["name"], shown["state"]) == ("broken", "POWEROFF")
    assert "vm-terminate-all" in get(f"{admin}/clouds/sandbox/mischief")
    assert post(f"{admin}/clouds/sandbox/speeds", {"boot": 0.05}).json()["boot"] == 0.05
    post(f"{admin}/clouds/sandbox/mischief", {"what": "vm-terminate", "vm": vm})
    assert one.vm.info(vm).STATE == 6


def test_the_admin_door_plans_faults_and_counts(program, admin):
    one = pyone.OneServer(program["endpoint"], session="oneadmin:opennebula")
    requests.post(f"{admin}/reset", timeout=10)
    post(f"{admin}/clouds/sandbox/faults", {"kind": "reply", "status": 502, "path": "one.hostpool.info", "count": 1})
    with pytest.raises(Exception, match="502"):
        one.hostpool.info()
    assert one.hostpool.info().HOST
    one.vn.hold  # noqa: B018 - a name is no call
    counted = get(f"{admin}/counts")["sandbox"]
    assert counted == {"total": 2, "writes": 0, "methods": {"one.hostpool.info": 2}}
    entries = get(f"{admin}/log")["sandbox"]["entries"]
    assert [entry["status"] for entry in entries] == [502, 0]
    assert get(f"{admin}/clouds/sandbox/faults")[0]["struck"] == 1
    requests.delete(f"{admin}/clouds/sandbox/faults", timeout=10)
    assert get(f"{admin}/clouds/sandbox/faults") == []


REFUSED = [
    ("a mischief that is none", "clouds/sandbox/mischief", {"what": "earthquake"}, 404, "vm-power-off"),
    ("a machine that is none", "clouds/sandbox/mischief", {"what": "vm-power-off", "vm": "none"}, 404, "no VM 'none'"),
    ("an argument too many", "clouds/sandbox/mischief", {"what": "vm-power-off", "wm": 1}, 400, "wm"),
    ("a cloud that is none", "clouds/none/mischief", {"what": "down"}, 404, "no cloud 'none'"),
    ("an unknown field", "clouds", {"name": "x", "hots": []}, 400, "hots"),
    ("a name that is taken", "clouds", {"name": "sandbox"}, 400, "already"),
    ("an address that is not ours", "clouds", {"name": "x", "listen": "192.0.2.1:0"}, 409, "address"),
    ("a speed that is none", "clouds/sandbox/speeds", {"bot": 1}, 400, "bot"),
    ("a fault that is none", "clouds/sandbox/faults", {"kind": "plague"}, 400, "plague"),
]


@pytest.mark.parametrize(("why", "path", "document", "status", "words"), REFUSED, ids=[row[0] for row in REFUSED])
def test_what_the_admin_door_refuses(admin, why, path, document, status, words):
    reply = post(f"{admin}/{path}", document)
    assert reply.status_code == status, why
    assert words in reply.json()["error"]


def test_a_specification_hides_its_password():
    spec = parse_spec({"name": "x", "oneadmin_password": "pa55", "tls": {"certificate": "c", "key": "k3y"}})
    assert "pa55" not in repr(spec)
    assert "k3y" not in repr(spec)
    with pytest.raises(ValueError, match="oneadmin_password") as refused:
        parse_spec({"name": "x", "oneadmin_password": ["pa55"]})
    assert "pa55" not in str(refused.value)


# ------------------------------------------------------------------------------------------------------ start and end


async def test_it_starts_in_the_process_too():
    async with started(Options(name="inside", hosts=("h1",))) as (sandbox, where):
        assert sandbox.names() == ["inside"]
        assert where.endpoint.endswith("/RPC2")
        assert json.loads(where.json())["admin"].endswith("/_admin")
    async with started(Options(empty=True)) as (sandbox, where):
        assert sandbox.names() == []
        assert where.endpoint == ""


async def test_an_address_is_free_again_and_taken_while_it_is_used():
    async with open_sandbox(CloudSpec("a")) as sandbox:
        address = sandbox.endpoint("a").removeprefix("http://").removesuffix("/RPC2")
        with pytest.raises(OSError, match="in use"):
            await sandbox.create(CloudSpec("b", listen=address))
        await sandbox.destroy("a")
        await sandbox.create(CloudSpec("b", listen=address))
        assert sandbox.names() == ["b"]


def test_it_ends_when_its_parent_is_killed():
    parent = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-m', 'sovereigncloud_sandbox.opennebula'], stdout=subprocess.PIPE)\n"
        "child.stdout.readline()\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", parent], stdout=subprocess.PIPE, env=environment(), text=True
    ) as process:
        child = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
    end = time.monotonic() + 10
    while alive(child):
        assert time.monotonic() < end
        time.sleep(0.05)


def alive(pid):
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
