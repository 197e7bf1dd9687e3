"""From what a zone runs to the manifests that take it over: one for each machine, network and image that is nobody's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from sovereigncloud.api.common.base import API_VERSION
from sovereigncloud.api.instance_compute import Recovery
from sovereigncloud.commands.export.check import Standing, checked
from sovereigncloud.commands.export.names import object_name, one_line
from sovereigncloud.commands.export.networks import group_rules, is_ipv4, network_spec
from sovereigncloud.commands.export.selection import Wanted
from sovereigncloud.engine.loop.evaluate import AnyController
from sovereigncloud.kinds.hostedinstance.machine.capacity import cores, size
from sovereigncloud.kinds.identity.identification import Marked
from sovereigncloud.ports.opennebula.details import Particulars
from sovereigncloud.ports.opennebula.image_states import BOOTABLE_TYPES
from sovereigncloud.ports.opennebula.security_groups import DEFAULT_GROUP
from sovereigncloud.ports.opennebula.security_groups import SecurityGroup as Group
from sovereigncloud.ports.opennebula.views import Image, Network, Nic, Vm
from sovereigncloud.ports.opennebula.vm_states import Situation, state_of

Json = dict[str, Any]
_LONGEST = 128
_SHOWN = 5
_LONGEST_DISK = 32
_ONE_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_GONE = frozenset({Situation.ENDING, Situation.GONE})
_OF_ALL = (
    "spec.power is left out everywhere: whether a machine runs stays the guest's own business; add it to have it kept"
)


@dataclass(slots=True)
class Zone:
    """What was read of a zone, for whom it is written, and what has been written.

    Attributes:
        particulars: by "vm", "network" and "image", then by number.
        only: what is meant.
        besides: something else in the manifests speaks of the networks.
        marked: numbers and owners of what is looked after already, by noun and installation.
    """

    context: Standing
    particulars: Mapping[str, Mapping[int, Particulars]]
    only: Wanted
    besides: bool = False
    marked: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    documents: list[Json] = field(default_factory=list)
    comments: dict[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def cloud(self) -> str:
        return self.context.cloud.metadata.name

    def meant(self, noun: str, thing: Marked, networks: tuple[tuple[int, str], ...] = ()) -> bool:
        about = self.particulars.get(noun, {}).get(thing.id, Particulars())
        if not self.only.takes(thing, about, networks):
            return False
        if thing.mark is not None:
            whose = f"{thing.id} (of {thing.mark.object.replace('/', ' ', 1)})"
            self.marked.setdefault((noun, thing.mark.installation), []).append(whose)
        return thing.mark is None


Wish = tuple[str, Marked, Json, list[str]]


async def write_down(zone: Zone, controllers: Mapping[str, AnyController]) -> None:
    """Each thing that is meant, as a document or as a note why there is none."""
    taken: dict[str, set[str]] = {}
    for kind, thing, spec, comments in (
        *_networks(zone),
        *_groups(zone),
        *_images(zone),
        *_machines(zone),
    ):
        name = object_name(thing.name, thing.id, _NOUNS[kind].replace("_", "-"), taken.setdefault(kind, set()))
        await _put(kind, name, thing, _named(name, thing, comments) | spec, comments, zone, controllers)
    if any(document["kind"] == "HostedInstance" for document in zone.documents):
        zone.notes.append(_OF_ALL)
    for (noun, installation), whose in zone.marked.items():
        shown = ", ".join(whose[:_SHOWN]) + (f" and {len(whose) - _SHOWN} more" if len(whose) > _SHOWN else "")
        zone.notes.append(f"what installation {installation} looks after is left out: {noun.replace('_', ' ')} {shown}")


def _networks(zone: Zone) -> Iterator[Wish]:
    if zone.only.has("VirtualNetwork") and not zone.besides:
        for network in _by_id(zone.context.seen.networks):
            if zone.meant("network", network, ((network.id, network.name),)):
                yield "VirtualNetwork", network, *_network(network, zone)


def _groups(zone: Zone) -> Iterator[Wish]:
    """OpenNebula's own stays nobody's."""
    if zone.only.has("SecurityGroup"):
        for group in _by_id(zone.context.seen.security_groups):
            if group.id != DEFAULT_GROUP and zone.meant("security_group", group):
                yield "SecurityGroup", group, *_group(group, zone)


def _images(zone: Zone) -> Iterator[Wish]:
    """Those that machines are made from: a persistent one is the disk of a machine."""
    if zone.only.has("MachineImage"):
        for image in _by_id(zone.context.seen.images):
            if image.type in BOOTABLE_TYPES and not image.persistent and zone.meant("image", image):
                yield "MachineImage", image, *_image(image, zone)


def _machines(zone: Zone) -> Iterator[Wish]:
    if zone.only.has("HostedInstance"):
        for vm in _by_id(zone.context.seen.vms):
            cards = tuple((nic.network_id, nic.network) for nic in vm.nics)
            if state_of(vm).situation not in _GONE and zone.meant("vm", vm, cards):
                yield "HostedInstance", vm, *_machine(vm, zone)


_NOUNS = {
    "VirtualNetwork": "network",
    "SecurityGroup": "security_group",
    "MachineImage": "image",
    "HostedInstance": "vm",
}


async def _put(
    kind: str,
    name: str,
    thing: Marked,
    spec: Json,
    comments: list[str],
    zone: Zone,
    controllers: Mapping[str, AnyController],
) -> None:
    if not spec.keys() & {"adopt", "cloudRefs"}:
        zone.notes.append(_left_out(kind, thing, comments))
        return
    document = {
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": {"name": name, "namespace": zone.context.cloud.metadata.namespace},
        "spec": {"management": "Observe", **spec},
    }
    result = await checked(document, controllers, zone.context)
    told = tuple(one_line(one) for one in (*comments, *result.comments))
    if result.document is None:
        zone.notes.append(_left_out(kind, thing, told))
        return
    zone.documents.append(result.document)
    if told:
        zone.comments[kind, name] = told


def _left_out(kind: str, thing: Marked, why: Iterable[str]) -> str:
    noun = _NOUNS[kind].replace("_", " ")
    return f'{noun} {thing.id} "{one_line(thing.name)}" is left out: {"; ".join(why)}'


def _by_id(pool: Mapping[int, Any]) -> Iterator[Any]:
    return (pool[number] for number in sorted(pool))


def _named(name: str, thing: Marked, comments: list[str]) -> Json:
    if thing.name == name:
        return {}
    if not thing.name or len(thing.name) > _LONGEST:
        comments.append(f"spec.name is left out: {len(thing.name)} characters, of which a manifest can hold {_LONGEST}")
        return {}
    return {"name": thing.name}


# ------------------------------------------------------------------------------------------------------------ machines


def _machine(vm: Vm, zone: Zone) -> tuple[Json, list[str]]:
    comments: list[str] = []
    spec: Json = {"adopt": {"id": str(vm.id)}, "placement": {"cloudRef": {"name": zone.cloud}}}
    root = min((disk for disk in vm.disks if disk.image_id >= 0), key=lambda disk: disk.id, default=None)
    if root is not None and 0 < len(root.image) <= _LONGEST:
        spec["source"] = {"image": root.image}
    else:
        comments.append("spec.source is left out: no disk of it is from an image; it cannot be made anew")
    spec |= _size(vm, comments)
    if (state := state_of(vm)).situation is Situation.FAILED:
        spec["recovery"] = Recovery.MANUAL.value
        comments.append(f"it is in state {state.words}: take spec.recovery out to have OpenNebula asked to try again")
    spec |= _hardware(vm)
    spec |= _cards(vm, zone, comments)
    spec |= _disks(vm, comments)
    return spec, comments


def _size(vm: Vm, comments: list[str]) -> Json:
    found: Json = {}
    try:
        cpu = Decimal(vm.cpu)
    except InvalidOperation:
        cpu = Decimal(0)
    if Decimal("0.01") <= cpu <= 512 and cpu == cpu.quantize(Decimal("0.01")):
        found["cpu"] = cores(cpu)
    else:
        comments.append(f"spec.cpu is left out: {vm.cpu or 'nothing'} is not from 0.01 to 512 in hundredths")
    if 1 <= vm.vcpu <= 512:
        found["vcpu"] = vm.vcpu
    else:
        comments.append(f"spec.vcpu is left out: {vm.vcpu} is not from 1 to 512")
    if 16 <= vm.memory <= 16 << 20:
        found["memory"] = size(vm.memory)
    else:
        comments.append(f"spec.memory is left out: {vm.memory} MiB is not from 16Mi to 16Ti")
    return found


def _hardware(vm: Vm) -> Json:
    """What is only said where it is there."""
    found: Json = {}
    if _ONE_WORD.fullmatch(vm.cpu_model):
        found["cpuModel"] = vm.cpu_model
    if vm.pci:
        found["pciDevices"] = [
            {"name": f"device-{one.id}", "vendor": one.vendor, "device": one.device, "class": one.class_}
            for one in vm.pci
        ]
    room = {
        **({"maxVcpu": vm.vcpu_max} if vm.vcpu <= vm.vcpu_max <= 512 else {}),
        **({"maxMemory": size(vm.memory_max)} if 0 < vm.memory <= vm.memory_max <= 16 << 20 else {}),
    }
    return {**found, **({"hotResize": room} if room else {})}


def _cards(vm: Vm, zone: Zone, comments: list[str]) -> Json:
    names = [nic.network for nic in sorted(vm.nics, key=lambda nic: nic.id)]
    if not names:
        return {}
    if len(set(names)) < len(names):
        comments.append(
            "spec.networks is left out: it has several cards in one network, and spec names each network once"
        )
    elif len(names) > 16 or not all(0 < len(name) <= _LONGEST for name in names):
        comments.append("spec.networks is left out: a card of it is in no network, or there are more than 16")
    else:
        cards = sorted(vm.nics, key=lambda nic: nic.id)
        return {"networks": [_card(nic, zone) for nic in cards]}
    return {}


def _card(nic: Nic, zone: Zone) -> Json:
    """With its address, and with what filters it where that is more than OpenNebula's own group."""
    known = zone.context.seen.security_groups
    groups = sorted(known[one].name if one in known else "" for one in nic.groups)
    card: Json = {"name": nic.network, **({"address": nic.ip} if is_ipv4(nic.ip) else {})}
    if set(nic.groups) - {DEFAULT_GROUP} and all(0 < len(name) <= _LONGEST for name in groups):
        card["securityGroups"] = groups
    return card


def _disks(vm: Vm, comments: list[str]) -> Json:
    disks = sorted(vm.disks, key=lambda disk: disk.id)
    root, others = (disks[0], disks[1:]) if disks else (None, [])
    if root is None or root.size <= 0:
        return {}
    if any(disk.image_id < 0 for disk in disks):
        comments.append("spec.disks is left out: a volatile disk has no image that spec could name")
        return {}
    if len({disk.image_id for disk in disks}) < len(disks) or len(disks) > 16:
        comments.append("spec.disks is left out: it has two disks of one image, or more than 16")
        return {}
    taken: set[str] = {"root"}
    named = [
        {"name": object_name(disk.image, disk.id, "disk", taken, _LONGEST_DISK), "image": disk.image} for disk in others
    ]
    return {"disks": [{"name": "root", "size": size(root.size)}, *named]}


# ------------------------------------------------------------------------------------------- networks, groups, images


def _network(network: Network, zone: Zone) -> tuple[Json, list[str]]:
    comments: list[str] = []
    said = network_spec(network, zone.context.seen, comments)
    named = {"adopt": {"id": str(network.id)}, "cloudRef": {"name": zone.cloud}}
    return ({} if said is None else named | said), comments


def _group(group: Group, zone: Zone) -> tuple[Json, list[str]]:
    spec: Json = {"cloudRefs": [{"name": zone.cloud, "adopt": {"id": str(group.id)}}]}
    return {**spec, "rules": group_rules(group, zone.context.seen)}, []


def _image(image: Image, zone: Zone) -> tuple[Json, list[str]]:
    spec: Json = {"cloudRefs": [{"name": zone.cloud, "adopt": {"id": str(image.id)}}]}
    if image.source.startswith(("http://", "https://")):
        return {**spec, "source": {"url": image.source}}, []
    return spec, ["spec.source is left out: where it came from is not known; it cannot be made anew"]
