"""The bare script: the calls that cannot be avoided, made as fast as the limits that ship allow.

It makes the objects, allocates the machines, writes a finalizer and two statuses for each, and polls the pool until all
run: no watch, no queue, no plan, no safety. What the operator needs more than this is its own doing.
"""

import asyncio
import time

from sovereigncloud.api.common.base import FINALIZER, GROUP, VERSION

PATH = f"/apis/{GROUP}/{VERSION}/namespaces/platform/hostedinstances"
AT_ONCE = 16  # as many as the operator has workers
RUNNING = (3, 3)
KEY = "ssh-ed25519 AAAA bench"


def manifest(name, cloud):
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "HostedInstance",
        "metadata": {"name": name, "namespace": "platform"},
        "spec": {
            "source": {"image": "tiny"},
            "vcpu": 1,
            "cpu": "10m",
            "memory": "16Mi",
            "power": "Running",
            "networks": [{"name": "lan"}],
            "placement": {"cloudRef": {"name": cloud}},
            "sshAuthorizedKeys": [KEY],
        },
    }


async def create_objects(api, cloud, prefix, count):
    """What `kubectl apply` of that many manifests does, 16 at a time."""

    async def create(number):
        body = manifest(f"{prefix}-{number:04}", cloud)
        await api._request("POST", PATH, body, counted=("create", "hostedinstances"))

    await at_once(create, range(count))


async def run(api, client, image, network, prefix, count):
    """Seconds from the first object to the last status that says Ready."""
    begun = time.monotonic()
    await create_objects(api, "bare", prefix, count)
    made = {}

    async def bring_up(number):
        name = f"{prefix}-{number:04}"
        body = {"metadata": {"finalizers": [FINALIZER]}}
        await api._request("PATCH", f"{PATH}/{name}", body, counted=("patch", "hostedinstances"))
        vm = await client.create_vm({
            "NAME": name, "CPU": "0.01", "VCPU": "1", "MEMORY": "16", "DISK": {"IMAGE_ID": str(image)},
            "NIC": {"NETWORK_ID": str(network)}, "CONTEXT": {"NETWORK": "YES", "SSH_PUBLIC_KEY": KEY},
            "SOVEREIGNCLOUD_OBJECT": f"HostedInstance/platform/{name}",
        })  # fmt: skip
        made[vm] = name
        await status(name, "Creating", vm)

    async def status(name, state, vm):
        condition = {
            "type": "Ready",
            "status": "True" if state == "Running" else "False",
            "reason": state,
            "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
        body = {"status": {"observedGeneration": 1, "id": str(vm), "state": state, "conditions": [condition]}}
        await api._request("PATCH", f"{PATH}/{name}/status", body, counted=("patch", "hostedinstances/status"))

    async def poll():
        waiting = count
        while waiting:
            view = await client.view(time.monotonic())
            up = [v for v in view.vms.values() if (v.state, v.lcm_state) == RUNNING and v.id in made]
            fresh = [(made.pop(v.id), v.id) for v in up]
            await at_once(lambda one: status(one[0], "Running", one[1]), fresh)
            waiting -= len(fresh)
            await asyncio.sleep(2 if waiting else 0)

    await asyncio.gather(at_once(bring_up, range(count)), poll())
    return time.monotonic() - begun


async def at_once(work, items):
    queue = asyncio.Queue()
    for item in items:
        queue.put_nowait(item)

    async def worker():
        while not queue.empty():
            await work(queue.get_nowait())

    await asyncio.gather(*(worker() for _ in range(AT_ONCE)))
