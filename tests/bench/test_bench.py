"""`make bench`: at rest, creating, memory, converging against a bare script, detecting drift. Prints and writes bench.json.

SOVEREIGN_BENCH_OBJECTS sets the number of instances (default 1000).
"""

import asyncio
import os
import re
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.bench.report import keep, show

sys.path.insert(0, str(Path(__file__).parent))
import bare

import sovereigncloud
from sovereigncloud.engine.settings import Settings
from sovereigncloud.providers.kubernetes.api import KubernetesApi
from sovereigncloud.providers.kubernetes.connection import Connection
from sovereigncloud.providers.opennebula.factory import open_nebula_factory
from sovereigncloud_sandbox.stage import Stage

OBJECTS = int(os.environ.get("SOVEREIGN_BENCH_OBJECTS", "1000"))
SWEEP = 10.0
SWEEPS = 3
DRIFTED = 50
SHIPPED = Settings()
WRITES = ("PATCH", "POST", "PUT", "DELETE", "APPLY")

pytestmark = pytest.mark.timeout(1800)


@pytest.fixture(scope="module")
def stage(own_control_plane, tmp_path_factory):
    """Limits as they ship; only the sweep comes more often, so that the bench ends the same day."""
    stage = Stage(own_control_plane, tmp_path_factory.mktemp("bench"), {"sweep_interval": str(SWEEP)})
    try:
        stage.start_simulators()
        stage.install()
        stage.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "platform"}})
        yield stage
    finally:
        stage.stop()


def roomy(stage, name, number):
    """A cloud with room for all."""
    big = {"cpu": 100_000, "memory": 1024 * 1024 * 1024, "disk": 10**9}
    hosts = [{"name": stage.address(number + i), **big} for i in (1, 2)]
    listen = f"{stage.address(number)}:2633"
    stage.one.call("POST", "/clouds", {"name": name, "listen": listen, "hosts": hosts})
    return f"http://{listen}/RPC2"


def rss(pid):
    """Resident memory of a process in bytes."""
    line = next(x for x in Path(f"/proc/{pid}/status").read_text().splitlines() if x.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


def import_base():
    """Resident bytes of a fresh process of the operator's environment that has done nothing but import the operator."""
    script = "import os, sovereigncloud.kopf_app, sovereigncloud.wiring; print(open('/proc/self/status').read())"
    source = str(Path(sovereigncloud.__file__).resolve().parents[1])
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": source}
    sizes = []
    for _ in range(3):
        told = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
        )
        line = next(x for x in told.stdout.splitlines() if x.startswith("VmRSS"))
        sizes.append(int(line.split()[1]) * 1024)
    return statistics.median(sizes)


def at_rest(pid, seconds):
    """Resident bytes over a while, sweeps included: (median, largest)."""
    seen = []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        seen.append(rss(pid))
        time.sleep(0.5)
    return statistics.median(seen), max(seen)


def requests(stage, verbs, resource=""):
    """Requests that the API server counted; Lease renewals, tokens and access reviews left out."""
    total = 0.0
    for line in stage.cluster.kubectl("get", "--raw", "/metrics").stdout.splitlines():
        if not line.startswith("apiserver_request_total{") or not any(f'verb="{v}"' in line for v in verbs):
            continue
        if any(x in line for x in ('resource="leases"', 'group="authorization', 'group="authentication')):
            continue
        if resource in line:
            total += float(line.rsplit(" ", 1)[1])
    return int(total)


def external(stage, cloud):
    """(reads, writes) that OpenNebula saw."""
    counted = stage.one.call("GET", f"/counts?cloud={cloud}")[cloud]
    return counted["total"] - counted["writes"], counted["writes"]


def instances(stage, prefix):
    items = stage.cluster.get("hostedinstances", "-n", "platform")["items"]
    return [i for i in items if i["metadata"]["name"].startswith(prefix)]


def ready(item):
    conditions = {c["type"]: c["status"] for c in item.get("status", {}).get("conditions", [])}
    return conditions.get("Ready") == "True" and "Reconciling" not in conditions


def until(test, seconds, every=1.0):
    deadline = time.monotonic() + seconds
    while not test():
        assert time.monotonic() < deadline, "did not come about"
        time.sleep(every)


def test_bench(stage, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", str(stage.cluster.kubeconfig))
    connection = Connection.load()
    result = {"converge.objects": OBJECTS, "rest.objects": OBJECTS}
    result["converge.bare_seconds"] = asyncio.run(_bare(stage, connection))
    operator = _start(stage)
    empty, base = rss(operator.pid), import_base()
    before = requests(stage, ["PATCH"], 'resource="hostedinstances"')
    begun = time.monotonic()
    asyncio.run(_apply(connection))
    until(lambda: sum(map(ready, instances(stage, "inst"))) == OBJECTS, 900)
    result["converge.operator_seconds"] = time.monotonic() - begun
    result["converge.ratio"] = result["converge.operator_seconds"] / result["converge.bare_seconds"]
    patched = requests(stage, ["PATCH"], 'resource="hostedinstances"') - before
    result["create.patches_per_object"] = patched / OBJECTS
    result |= _rest(stage)
    usual, peak = at_rest(operator.pid, SWEEPS * SWEEP)
    # What counts is the whole process above what it takes to import it: what it needs for itself is in it.
    result["memory.import_base_megabytes"] = base / 1e6
    result["memory.idle_megabytes"] = empty / 1e6
    result["memory.bytes_per_object"] = (usual - base) / OBJECTS
    result["memory.peak_bytes_per_object"] = (peak - base) / OBJECTS
    result["memory.bytes_per_further_object"] = (usual - empty) / OBJECTS
    show(result)
    result["drift.detect_seconds_p99"] = _drift(stage)
    show(result)
    keep(result)
    assert result["rest.kubernetes_writes"] == 0
    assert result["rest.external_writes"] == 0
    assert result["create.patches_per_object"] <= 4, "a finalizer, and a status for each visible step"
    if OBJECTS >= 1000:  # what the process needs for itself is spread over them
        assert result["memory.bytes_per_object"] <= 25_000
    assert result["converge.ratio"] <= 2


async def _bare(stage, connection):
    endpoint = roomy(stage, "bare", 40)
    make = open_nebula_factory(rate=SHIPPED.opennebula_rate, burst=SHIPPED.opennebula_burst)
    client = make(endpoint, "oneadmin", "opennebula", "")
    image, network = await _image_and_network(client)
    async with KubernetesApi(connection) as api:
        seconds = await bare.run(api, client, image, network, "bare", OBJECTS)

        async def let_go(number):
            body = {"metadata": {"finalizers": []}}
            await api._request("PATCH", f"{bare.PATH}/bare-{number:04}", body, counted=("patch", "hostedinstances"))

        await bare.at_once(let_go, range(OBJECTS))
    stage.cluster.kubectl("delete", "hostedinstances", "--all", "-n", "platform", "--wait=false", timeout=300)
    stage.one.call("DELETE", "/clouds/bare")
    return seconds


async def _image_and_network(client):
    await asyncio.sleep(2)  # a datastore has no space before the first host was monitored (observed)
    image = await client.create_image({"NAME": "tiny", "SIZE": "16", "TYPE": "DATABLOCK"}, 1)
    ranges = {"TYPE": "IP4", "IP": "10.0.0.10", "SIZE": "4000"}
    network = await client.create_network({"NAME": "lan", "VN_MAD": "bridge", "BRIDGE": "br0", "AR": ranges}, 0)
    await asyncio.sleep(2)
    return image, network


def _start(stage):
    endpoint = roomy(stage, "roomy", 50)
    asyncio.run(_image_and_network(open_nebula_factory()(endpoint, "oneadmin", "opennebula", "")))
    until(lambda: not instances(stage, ""), 120)
    metadata = {"name": "one", "namespace": "platform"}
    values = {"username": "oneadmin", "password": "opennebula"}
    spec = {"existing": {"endpoint": endpoint, "credentialsSecretRef": {"name": "one"}}}
    stage.apply([
        {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": values},
        {
            "apiVersion": "sovereigncloud.io/v1alpha1",
            "kind": "SovereignCloud",
            "metadata": {"name": "roomy", "namespace": "platform"},
            "spec": spec,
        },
    ])  # fmt: skip
    operator = stage.start_operator()
    stage.wait_ready("sovereigncloud", "roomy")
    time.sleep(3)
    return operator


async def _apply(connection):
    async with KubernetesApi(connection) as api:
        await bare.create_objects(api, "roomy", "inst", OBJECTS)


def _rest(stage):
    """Three sweeps with nothing to do."""
    time.sleep(SWEEP + 5)
    stage.one.call("POST", "/reset")
    began = requests(stage, WRITES)
    time.sleep(SWEEPS * SWEEP)
    reads, written = external(stage, "roomy")
    return {
        "rest.kubernetes_writes": requests(stage, WRITES) - began,
        "rest.external_writes": written,
        "rest.external_reads_per_sweep": reads / SWEEPS,
    }


def _drift(stage):
    """Seconds from a machine's power-off to the step that mends it, as the operator's log tells; includes up to one
    interval of the sweep. (status.drift is gone again before a list of a thousand objects can be read.)"""
    broken = {}
    for number in range(DRIFTED):
        name = f"inst-{number:04}"
        broken[name] = datetime.now(UTC)
        stage.mischief("roomy", "vm-power-off", vm=name)
        time.sleep(0.05)
    mended = re.compile(r"^(\S+ [0-9:]+),([0-9]+) INFO Update .*\[HostedInstance platform/(inst-[0-9]+)\]$")
    seen = {}
    deadline = time.monotonic() + 4 * SWEEP
    while len(seen) < DRIFTED and time.monotonic() < deadline:
        time.sleep(1)
        for line in stage.log().splitlines():
            if (found := mended.match(line)) and found[3] in broken:
                at = datetime.fromisoformat(found[1]).replace(tzinfo=UTC) + timedelta(milliseconds=int(found[2]))
                if at > broken[found[3]]:
                    seen.setdefault(found[3], (at - broken[found[3]]).total_seconds())
    assert len(seen) == DRIFTED, f"{len(seen)} of {DRIFTED} were mended"
    return statistics.quantiles(seen.values(), n=100)[98]
