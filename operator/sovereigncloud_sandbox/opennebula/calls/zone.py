"""one.zone.*: zones, and the front-ends of each."""

from sovereigncloud_sandbox.opennebula import federation, raft, render
from sovereigncloud_sandbox.opennebula.access import ADMIN, INDIVIDUAL, authorize, authorize_create
from sovereigncloud_sandbox.opennebula.calls.call import Call, Context, Reply
from sovereigncloud_sandbox.opennebula.calls.shared import Kind, info_call, rename_call, update_call, whole_call
from sovereigncloud_sandbox.opennebula.cloud import Cloud
from sovereigncloud_sandbox.opennebula.errors import Code, OneError, not_allocated, refused
from sovereigncloud_sandbox.opennebula.model import Permissions
from sovereigncloud_sandbox.opennebula.model_federation import NO_INDEX, NOTHING_YET, Mode, Replica
from sovereigncloud_sandbox.opennebula.model_people import Zone, ZoneServer
from sovereigncloud_sandbox.opennebula.template import Template, parse

FIRST_FREE_ID = 100


def _changed(_: Cloud, zone: Zone, template: Template) -> None:
    if not template.get("ENDPOINT"):
        template.put("ENDPOINT", "-")  # observed: replacing without ENDPOINT leaves a dash
    template.pop("SERVER")
    zone.template = template


ZONE = Kind(
    kind="ZONE",
    prefix="one.zone",
    root="ZONE_POOL",
    pool=lambda cloud: cloud.zones,
    show=lambda _, one: render.zone(one),
    row=lambda _, one: render.zone(one),
    unique="cloud",
    changed=_changed,
)


def zone_allocate(context: Context, text: str) -> Reply:
    cloud = context.cloud
    if not cloud.federation.is_master:
        raise OneError(Code.ALLOCATE, "New zones can only be created at federation master")
    template = parse(text)
    authorize_create(cloud, context.caller, "ZONE")
    name = template.take("NAME")
    cloud.claim_name(cloud.zones, "ZONE", name)
    if not template.get("ENDPOINT"):
        raise not_allocated("ZONE", "ENDPOINT not present in template.")
    template.pop("SERVER")
    zone = Zone(cloud.next_id("ZONE"), name, template=template, permissions=Permissions(other_u=1))
    cloud.zones[zone.oid] = zone
    endpoint = template.get("ENDPOINT")
    cloud.federation.replicas[zone.oid] = Replica(zone.oid, endpoint, cloud.federation.log.last)
    return zone.oid


def zone_delete(context: Context, oid: int) -> Reply:
    cloud = context.cloud
    ZONE.find(context, oid, ADMIN)
    if oid < FIRST_FREE_ID:
        raise refused("Cannot delete zone. System Zones (ID < 100) cannot be deleted.")
    del cloud.zones[oid]
    for rule_id in [one for one, rule in cloud.acls.items() if rule.zone == INDIVIDUAL | oid]:
        del cloud.acls[rule_id]  # what VDCs hold of the zone stays
    cloud.federation.replicas.pop(oid, None)
    return oid


# ------------------------------------------------------------------------------------- at the zone's own endpoint alone


def _own_zone(context: Context, oid: int, what: str) -> Zone:
    """The zone, if it is the one of this oned.

    Raises:
        OneError: 0x800.
    """
    if oid != context.cloud.federation.zone_id:
        raise refused(f"{what} through the target zone endpoints")
    zone: Zone = ZONE.find(context, oid, ADMIN)
    return zone


def _recorded(cloud: Cloud, zone: Zone) -> Zone:
    """The zone as it is to be written: a slave has its master write it.

    Raises:
        OneError: 0x800, the master does not answer.
    """
    try:
        owner = federation.home(cloud)
    except OneError as error:
        raise refused(error.message) from error
    return owner.zones.get(zone.oid, zone)


def zone_enable(context: Context, oid: int, enable: bool) -> Reply:
    cloud = context.cloud
    zone = _own_zone(context, oid, "Enable/disable mode have to be set")
    _recorded(cloud, zone).enabled = enable
    cloud.federation.enabled = enable
    return oid


def zone_addserver(context: Context, oid: int, text: str) -> Reply:
    zone = _own_zone(context, oid, "Servers have to be added")
    given = parse(text).vector("SERVER")
    if given is None:
        raise refused("SERVER not found in template")
    if not given.get("NAME"):
        raise refused("Missing NAME in SERVER")
    if not given.get("ENDPOINT") and not given.get("ENDPOINT_GRPC"):
        raise refused("Missing ENDPOINT or ENDPOINT_GRPC in SERVER")
    written = _recorded(context.cloud, zone)
    written.servers = [*written.servers, ZoneServer(written.next_server, given["NAME"], given.get("ENDPOINT", ""))]
    written.next_server += 1
    return oid


def zone_delserver(context: Context, oid: int, server: int) -> Reply:
    zone = _own_zone(context, oid, "Servers have to be deleted")
    if all(one.oid != server for one in zone.servers):
        raise refused("SERVER not found in zone")
    written = _recorded(context.cloud, zone)
    written.servers = [one for one in written.servers if one.oid != server]
    raft.removed(context.cloud, server)
    return oid


def zone_resetserver(context: Context, oid: int, _server: int) -> Reply:
    _own_zone(context, oid, "Servers have to be deleted")
    return oid


def raftstatus(context: Context) -> Reply:
    """What this very front-end knows, whatever zone is meant."""
    cloud = context.cloud
    zone = cloud.find(cloud.zones, cloud.federation.zone_id, "ZONE")  # a slave that was never imported has none
    authorize(cloud, context.caller, ADMIN, zone)
    state = cloud.federation
    index = NOTHING_YET if state.log.last == NO_INDEX else state.log.last
    return render.raft(raft.status(cloud, context.server, NO_INDEX if state.conf.mode is Mode.STANDALONE else index))


CALLS = (
    Call("one.zone.raftstatus", "", raftstatus),
    Call("one.zone.allocate", "s", zone_allocate),
    Call("one.zone.delete", "i", zone_delete),
    Call("one.zone.enable", "i b", zone_enable),
    Call("one.zone.addserver", "i s", zone_addserver),
    Call("one.zone.delserver", "i i", zone_delserver),
    Call("one.zone.resetserver", "i i", zone_resetserver),
    info_call(ZONE),
    update_call(ZONE),
    rename_call(ZONE),
    whole_call(ZONE),
)
