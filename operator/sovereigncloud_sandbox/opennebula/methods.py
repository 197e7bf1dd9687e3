"""The call table: every method that this front-end has, and how one is served."""

from collections.abc import Mapping
from itertools import count

from sovereigncloud_sandbox.opennebula import features, federation, raft, render
from sovereigncloud_sandbox.opennebula.access import Caller, authenticate
from sovereigncloud_sandbox.opennebula.calls import (
    backup,
    image,
    infrastructure,
    market,
    network,
    people,
    rights,
    saveas,
    schedule,
    secgroup,
    system,
    vm,
    vm_devices,
    vm_hardware,
    vm_reads,
    vmgroup,
    zone,
)
from sovereigncloud_sandbox.opennebula.calls.call import Call, Context
from sovereigncloud_sandbox.opennebula.cloud import Cloud
from sovereigncloud_sandbox.opennebula.errors import OneError, RpcFault, internal
from sovereigncloud_sandbox.opennebula.wire import (
    NO_SUCH_METHOD,
    WRONG_TYPE,
    Argument,
    encode_error,
    encode_fault,
    encode_success,
)

_FAMILIES = (
    system,
    zone,
    vm_reads,
    vm,
    vm_devices,
    vm_hardware,
    vmgroup,
    backup,
    schedule,
    network,
    secgroup,
    image,
    market,
    saveas,
    infrastructure,
    people,
    rights,
)
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


def serve(cloud: Cloud, name: str, arguments: list[Argument], server: int | None = None) -> tuple[bytes, int]:
    """Serve one call, at one of several front-ends where there are several; gives the reply and its code: 0, oned's code,
    or the negative number of a fault.

    Raises:
        Unanswered: a leader waits for the others before it answers.
    """
    try:
        call, caller = _admitted(cloud, name, arguments, server)
        if name in federation.PASSED_ON and cloud.federation.is_slave:
            return serve(federation.home(cloud), name, arguments)
        return encode_success(_perform(call, Context(cloud, caller, next(_request_ids), server), arguments)), 0
    except RpcFault as fault:
        return encode_fault(fault), fault.code
    except OneError as error:
        return encode_error(features.spoken(cloud.version, name), error), int(error.code)


def _admitted(cloud: Cloud, name: str, arguments: list[Argument], server: int | None) -> tuple[Call, Caller]:
    call = METHODS.get(name)
    if call is None or not features.has_method(cloud.version, name):
        raise RpcFault(NO_SUCH_METHOD, f"Method '{name}' not defined")
    if not arguments or not isinstance(arguments[0], str):
        raise RpcFault(WRONG_TYPE, "Parameter 0 is not of type string")
    cloud.advance()
    caller = authenticate(cloud, arguments[0])
    if not call.reads:
        raft.admit(cloud, server)
        if not cloud.federation.enabled and name != "one.zone.enable":
            raise internal("Cannot process request, zone disabled")
    return call, caller


def _perform(call: Call, context: Context, arguments: list[Argument]) -> str | int | bool | bytes:
    cloud = context.cloud
    checked = call.arguments(arguments[1:])
    if call.name in cloud.empty_pools and call.name in _EMPTY:
        return render.pool(_EMPTY[call.name], ())
    reply = call.perform(context, *checked)
    if call.reads:
        return features.as_of(cloud.version, reply) if isinstance(reply, str | bytes) else reply
    raft.written(cloud)
    if call.name not in federation.FEDERATED:
        federation.note_local(cloud)
    else:
        federation.note(federation.home(cloud), written=True)
    return reply
