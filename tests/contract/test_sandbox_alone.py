"""`sovereign sandbox ovh` and `sovereign sandbox opennebula`, as a person starts them to try a client."""

import re
import subprocess
import sys

import ovh
import pyone
import pytest


@pytest.fixture
def alone():
    started = []

    def start(*arguments):
        process = subprocess.Popen(
            [sys.executable, "-m", "sovereigncloud.cli", "sandbox", *arguments],
            stdout=subprocess.PIPE,
            text=True,
            env={"PYTHONPATH": ":".join(sys.path), "PATH": "/usr/bin:/bin", "PYTHONUNBUFFERED": "1"},
        )
        started.append(process)
        said = ""
        for line in process.stdout:
            said += line
            if "Ctrl-C" in line:
                return said
        raise AssertionError(f"it ended: {said}")

    yield start
    for process in started:
        process.terminate()
        assert process.wait(10) == 0
        process.stdout.close()


def test_opennebula_alone_answers_the_unmodified_binding_as_it_says(alone):
    said = alone("opennebula", "--listen", "127.0.0.1:0", "--host", "kvm-1")
    endpoint, session = re.search(r'OneServer\("(\S+)", session="(\S+)"\)', said).groups()
    assert [host.NAME for host in pyone.OneServer(endpoint, session=session).hostpool.info().HOST] == ["kvm-1"]


def test_ovhcloud_alone_answers_the_unmodified_client_as_it_says(alone, monkeypatch):
    said = alone("ovh", "--port", "0")
    name, url = re.search(r'ENDPOINTS\["(\w+)"\] = "(\S+)"', said).groups()
    keys = dict(re.findall(r'(application_key|application_secret|consumer_key)="(\S+?)"', said))
    monkeypatch.setitem(ovh.client.ENDPOINTS, name, url)
    assert "ns3012345.ip-57-131-167.eu" in ovh.Client(endpoint=name, **keys).get("/dedicated/server")
