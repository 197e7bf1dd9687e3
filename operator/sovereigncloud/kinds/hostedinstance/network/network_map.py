"""Network names of a moved VM that differ from spec in its new cloud; stored on the VM."""

from __future__ import annotations

import json
from collections.abc import Mapping

from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.ports.opennebula.views import Vm

NETWORK_MAP = "SOVEREIGNCLOUD_NETWORK_MAP"


def network_map_note(names: Mapping[str, str]) -> dict[str, str]:
    """Return the VM attribute that stores the names; empty if no name differs."""
    return {NETWORK_MAP: json.dumps(dict(sorted(names.items())))} if names else {}


def with_current_networks(resource: HostedInstance, vm: Vm) -> HostedInstance:
    """Return the instance with spec.networks renamed to the names in the cloud of its VM."""
    note = vm.notes.get(NETWORK_MAP)
    return resource if not note else with_renamed_networks(resource, _read(note))


def with_renamed_networks(resource: HostedInstance, names: Mapping[str, str]) -> HostedInstance:
    """Return the instance with spec.networks renamed; names that are not listed stay."""
    networks = [one.model_copy(update={"name": names.get(one.name, one.name)}) for one in resource.spec.networks or ()]
    if not names or not networks:
        return resource
    return resource.model_copy(update={"spec": resource.spec.model_copy(update={"networks": networks})})


def _read(note: str) -> Mapping[str, str]:
    """Parse the note; empty if it is malformed."""
    try:
        found = json.loads(note)
    except ValueError:
        return {}
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}
