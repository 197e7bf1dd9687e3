"""Networks that have another name in the cloud that a machine moved to. It is written on the machine: spec keeps its names."""

from __future__ import annotations

import json
from collections.abc import Mapping

from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.ports.opennebula.views import Vm

NETWORK_MAP = "SOVEREIGNCLOUD_NETWORK_MAP"


def written(names: Mapping[str, str]) -> dict[str, str]:
    """The note on the machine; nothing where every network has its own name."""
    return {NETWORK_MAP: json.dumps(dict(sorted(names.items())))} if names else {}


def as_named_there(resource: HostedInstance, vm: Vm) -> HostedInstance:
    """The resource with its networks as they are called where its machine is."""
    note = vm.notes.get(NETWORK_MAP)
    return resource if not note else renamed(resource, _read(note))


def renamed(resource: HostedInstance, names: Mapping[str, str]) -> HostedInstance:
    """A network that is not listed keeps its name."""
    networks = [one.model_copy(update={"name": names.get(one.name, one.name)}) for one in resource.spec.networks or ()]
    if not names or not networks:
        return resource
    return resource.model_copy(update={"spec": resource.spec.model_copy(update={"networks": networks})})


def _read(note: str) -> Mapping[str, str]:
    """What a person made of it that is none is none."""
    try:
        found = json.loads(note)
    except ValueError:
        return {}
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}
