"""What it costs the operator to read, parse and compare a full cloud: `python pool_reader.py ENDPOINT COUNT` prints JSON. In
a process of its own, whose size before it does anything is that of the operator before it does anything.
"""

import asyncio
import gc
import json
import sys
import xmlrpc.client
from pathlib import Path
from time import process_time
from types import SimpleNamespace

from pool_objects import INSTALLATION, LABELS, NAMESPACE, cloud, instance, name_of
from prometheus_client import CollectorRegistry

import sovereigncloud.kopf_app  # noqa: F401 - the base is a process that has imported the whole operator
from sovereigncloud.api.common.base import Key
from sovereigncloud.core.conditions import plain
from sovereigncloud.engine.heap_trimming import few_arenas, give_back, keep_what_is_imported
from sovereigncloud.engine.loop.context import SweepContext
from sovereigncloud.engine.loop.evaluate import Subject, evaluate, said, status_patch
from sovereigncloud.engine.runtime import Engine
from sovereigncloud.engine.settings import Settings
from sovereigncloud.engine.telemetry.metrics import Metrics
from sovereigncloud.engine.views.clients import Clients
from sovereigncloud.kinds import CONTROLLERS
from sovereigncloud.providers.opennebula.factory import open_nebula_factory
from sovereigncloud.providers.opennebula.session import forget_bindings
from sovereigncloud.wiring import open_nebula_clients

CREDENTIALS = {"username": "oneadmin", "password": "opennebula"}
FIRST, REST, BUSY = ROUNDS = range(3)
"""Sweeps: of a process that knows nothing yet, where nothing changed, and where somebody changed a tenth of the machines."""


def resident(field="VmRSS"):
    line = next(x for x in Path("/proc/self/status").read_text().splitlines() if x.startswith(field))
    return int(line.split()[1]) * 1024


def forget_peak():
    Path("/proc/self/clear_refs").write_text("5")


class Kubernetes:
    async def secret(self, _namespace, _name):
        return CREDENTIALS


def engine():

    settings = Settings(installation_id=INSTALLATION)
    return Engine(
        settings, INSTALLATION, CONTROLLERS,
        clients=Clients(Kubernetes(), open_nebula_clients(settings), lambda *_: None), kubernetes=Kubernetes(),
        writer=SimpleNamespace(), installer=SimpleNamespace(), metrics=Metrics(CollectorRegistry()), may_write=lambda: True,
    )  # fmt: skip


async def settle(engine, keys):
    """Write into every object what a reconcile would say of it, so that nothing is left to tell."""

    for key in keys:
        looked = engine.store.parse(key)
        seen = await evaluate(CONTROLLERS[key.kind], looked, SweepContext(engine._shared, looked), engine.store)
        assert not seen.decision.steps, seen.decision.steps
        body = engine.store.stored(key).body()
        previous = body["status"]
        patch = status_patch(
            Subject.looked_at(looked, previous), previous, said(seen), now=engine._shared.now(), examination=seen
        )
        body["status"] = plain({**previous, **patch})
        body["metadata"]["resourceVersion"] = "2"
        engine.told("MODIFIED", body)


def meddle(endpoint, count, labels="app=other"):
    proxy = xmlrpc.client.ServerProxy(endpoint)
    for number in range(0, count, 10):
        done, *answer = proxy.one.vm.update(
            ":".join(CREDENTIALS.values()), number, f'SOVEREIGNCLOUD_LABELS="{labels}"', 1
        )
        assert done, answer


async def measure(endpoint, count):

    few_arenas()
    forget_bindings()
    keep_what_is_imported()
    base = resident()
    running = engine()
    running.told(None, cloud(endpoint))
    for number in range(count):
        running.told(None, instance(number))
    keys = [Key("HostedInstance", NAMESPACE, name_of(number)) for number in range(count)]
    watch = running.watches.of_cloud(Key("SovereignCloud", NAMESPACE, "full"))
    watch.stop()
    other = open_nebula_factory()(endpoint, *CREDENTIALS.values(), "")
    watch._view = await other.view(running._clock())
    assert len(watch.view.vms) == count
    await settle(running, keys)
    del other
    queued = [await running.queue.get() for _ in range(running.queue.depth.total())]
    for key in queued:
        running.queue.done(key)
    gc.collect()
    give_back()
    stored = resident()
    read, compared, differing = [], [], []
    forget_peak()
    for number in ROUNDS:
        if number == BUSY:
            await asyncio.to_thread(meddle, endpoint, count)
        at = process_time()
        watch._view = await watch._read(running._clock())  # the last one is there meanwhile, as in the watch
        read.append(process_time() - at)
        at = process_time()
        await running._sweeper.cloud(Key("SovereignCloud", NAMESPACE, "full"))
        compared.append(process_time() - at)
        differing.append(len([key for key in running.queue._queued if key.kind == "HostedInstance"]))
    peak = resident("VmHWM")
    await asyncio.to_thread(meddle, endpoint, count, LABELS)  # for the next process
    print(
        json.dumps({
            "pool.machines": count,
            "pool.first.read_and_parse_cpu_seconds": read[FIRST],
            "pool.first.compare_cpu_seconds": compared[FIRST],
            "pool.later.read_and_parse_cpu_seconds": read[REST],
            "pool.later.compare_cpu_seconds": compared[REST],
            "pool.busy.read_and_parse_cpu_seconds": read[BUSY],
            "pool.busy.compare_cpu_seconds": compared[BUSY],
            "pool.first.differing": differing[FIRST],
            "pool.later.differing": differing[REST],
            "pool.busy.differing": differing[BUSY],
            "pool.import_base_megabytes": base / 1e6,
            "pool.objects_megabytes": (stored - base) / 1e6,
            "pool.peak_above_base_megabytes": (peak - base) / 1e6,
        })
    )  # fmt: skip


if __name__ == "__main__":
    asyncio.run(measure(sys.argv[1], int(sys.argv[2])))
