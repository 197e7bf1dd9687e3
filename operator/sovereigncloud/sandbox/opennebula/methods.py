"""The call table: every method that this front-end has, and how one is served."""

from collections.abc import Mapping
from itertools import count

from sovereigncloud.sandbox.opennebula import render
from sovereigncloud.sandbox.opennebula.access import authenticate
from sovereigncloud.sandbox.opennebula.calls import (
    image,
    infrastructure,
    network,
    people,
    rights,
    system,
    vm,
    vm_devices,
    vm_reads,
)
from sovereigncloud.sandbox.opennebula.calls.call import Call, Context
from sovereigncloud.sandbox.opennebula.cloud import Cloud
from sovereigncloud.sandbox.opennebula.errors import OneError, RpcFault, internal
from sovereigncloud.sandbox.opennebula.wire import (
    NO_SUCH_METHOD,
    WRONG_TYPE,
    Argument,
    encode_error,
    encode_fault,
    encode_success,
)

_FAMILIES = (system, vm_reads, vm, vm_devices, network, image, infrastructure, people, rights)
METHODS: Mapping[str, Call] = {call.name: call for family in _FAMILIES for call in family.CALLS}

_EMPTY = {
    "one.vmpool.info": "VM_POOL",
    "one.vmpool.infoextended": "VM_POOL",
    "one.hostpool.info": "HOST_POOL",
    "one.vnpool.info": "VNET_POOL",
    "one.imagepool.info": "IMAGE_POOL",
    "one.templatepool.info": "VMTEMPLATE_POOL",
    "one.datastorepool.info": "DATASTORE_POOL",
    "one.clusterpool.info": "CLUSTER_POOL",
}
POOLS = tuple(_EMPTY)

_request_ids = count(1)


def serve(cloud: Cloud, name: str, arguments: list[Argument]) -> tuple[bytes, int]:
    """Serve one call; gives the reply and its code: 0, oned's code, or the negative number of a fault."""
    try:
        return encode_success(_perform(cloud, name, arguments)), 0
    except RpcFault as fault:
        return encode_fault(fault), fault.code
    except OneError as error:
        return encode_error(name, error), int(error.code)


def _perform(cloud: Cloud, name: str, arguments: list[Argument]) -> str | int | bool | bytes:
    call = METHODS.get(name)
    if call is None:
        raise RpcFault(NO_SUCH_METHOD, f"Method '{name}' not defined")
    if not arguments or not isinstance(arguments[0], str):
        raise RpcFault(WRONG_TYPE, "Parameter 0 is not of type string")
    cloud.advance()
    caller = authenticate(cloud, arguments[0])
    if not call.reads and not cloud.zones[0].enabled and name != "one.zone.enable":
        raise internal("Cannot process request, zone disabled")
    checked = call.arguments(arguments[1:])
    if name in cloud.empty_pools and name in _EMPTY:
        return render.pool(_EMPTY[name], ())
    return call.perform(Context(cloud, caller, next(_request_ids)), *checked)
