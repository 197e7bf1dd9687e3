"""What is wrong at the end of a course: made twice, left behind, not as it must be."""

import re
from collections import Counter

from sovereigncloud.core.identity import mark_from_ovh
from sovereigncloud_sandbox.opennebula.lifecycle import State
from sovereigncloud_sandbox.opennebula.model import Vm
from sovereigncloud_sandbox.ovh.sshd import says

SYSTEM = "ubuntu2404-server_64"
_NAME = re.compile(r".*<NAME>(.*?)</NAME>.*")
_MAKES = re.compile(r"one\.(vm|vn|image|host|vmgroup|secgroup)\.allocate|one\.template\.instantiate")


def made_twice(scene):
    """Every allocation that took effect, by what it names, must be the only one, also where the second went again."""
    said = Counter((method, _NAME.sub(r"\1", what)) for _, method, what in scene.wire.done if _MAKES.match(method))
    return [f"{' '.join(call)}: {times} times" for call, times in said.items() if times > 1]


def several(cloud):
    """Things with one mark, or one name."""
    for pool in (cloud.vms, cloud.vnets, cloud.images, cloud.hosts, cloud.vm_groups):
        names = Counter(one.name for one in pool.values())
        yield from (f"{count} of {name}" for name, count in names.items() if count > 1)


def unknown(scene, cloud):
    """What is marked as ours and belongs to no object that is there."""
    return [
        f"{kind} {one.oid} {one.name}"
        for kind, pool in (("VM", cloud.vms), ("network", cloud.vnets), ("image", cloud.images))
        for one in pool.values()
        if one.state.name != "DONE" and not _object_of(scene, one)
    ]


def left(cloud):
    """What is there after everything was deleted."""
    return [
        *(f"VM {vm.oid} {vm.state.name}" for vm in cloud.vms.values() if vm.state is not State.DONE),
        *(f"network {net.oid}" for net in cloud.vnets.values()),
        *(f"image {image.oid}" for image in cloud.images.values()),
    ]


def untagged(scene):
    """Servers that an object of ours names and that do not carry its mark."""
    for body in scene.api.all("BareMetalServer"):
        name = body["spec"]["ovh"].get("serviceName") or body["status"].get("serviceName", "")
        found = scene.ovh.state.servers.get(name)
        mark = mark_from_ovh(found.resource.tags) if found else None
        wanted = f"BareMetalServer/platform/{body['metadata']['name']}"
        if mark is None or (mark.object, mark.uid) != (wanted, body["metadata"]["uid"]):
            yield f"{name or body['metadata']['name']} carries {mark}"


def bought_twice(scene, wanted):
    """Orders and payments beyond what was asked for; a cart is a piece of paper."""
    orders = scene.ovh.state.orders.values()
    paid = sum(len(order.payments) for order in orders)
    if len(orders) != wanted:
        yield f"{len(orders)} orders"
    if paid != wanted:
        yield f"{paid} payments"


def reinstalled_twice(scene, servers):
    times = Counter(path for _, method, path in scene.wire.done if method == "POST" and path.endswith("/reinstall"))
    return [
        f"{server} was reinstalled {times[f'/dedicated/server/{server}/reinstall']} times"
        for server in servers
        if times[f"/dedicated/server/{server}/reinstall"] != 1
    ]


def server_wrongs(scene, server, vrack):
    """How a server must be when it was reinstalled."""
    found = scene.ovh.state.servers[server]
    if found.document["os"] != SYSTEM:
        yield f"{server} runs {found.document['os']}"
    if not found.document["monitoring"] or found.document["noIntervention"]:
        yield f"monitoring of {server} was not put back"
    if {vni["mode"]: vni["vrack"] for vni in found.vnis} != {"public_aggregation": None, "vrack_aggregation": vrack}:
        yield f"interfaces of {server}: {[(vni['mode'], vni['vrack']) for vni in found.vnis]}"


def host_key_wrongs(scene, server):
    """A server of a cloud that was reinstalled: its key is pinned, and was proven."""
    found = scene.ovh.state.servers[server]
    pinned, (_, host_key) = found.resource.tags.get("sovereigncloud.io/host-key"), says(found)
    if pinned != f"proven:{host_key.split()[1]}":
        yield f"host key of {server}: {pinned}"


def _object_of(scene, one):
    holder = one.user_template if isinstance(one, Vm) else one.template
    marked = holder.get("SOVEREIGNCLOUD_OBJECT").split("/")
    return len(marked) == 3 and scene.api.get(marked[0], marked[2], marked[1])
