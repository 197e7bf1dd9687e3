"""one.system.* and one.zone.*."""

from sovereigncloud.sandbox.opennebula import render
from sovereigncloud.sandbox.opennebula.access import ADMIN
from sovereigncloud.sandbox.opennebula.calls.call import Call, Context, Reply
from sovereigncloud.sandbox.opennebula.calls.shared import Kind, info_call, rename_call, update_call, whole_call
from sovereigncloud.sandbox.opennebula.cloud import Cloud
from sovereigncloud.sandbox.opennebula.errors import Code, OneError, refused, unauthorized
from sovereigncloud.sandbox.opennebula.model import Zone
from sovereigncloud.sandbox.opennebula.template import Template


def _zone_changed(_: Cloud, zone: Zone, template: Template) -> None:
    if not template.get("ENDPOINT"):
        template.put("ENDPOINT", "-")  # observed: replacing without ENDPOINT leaves a dash
    zone.template = template


ZONE = Kind(
    kind="ZONE",
    prefix="one.zone",
    root="ZONE_POOL",
    pool=lambda cloud: cloud.zones,
    show=lambda _, one: render.zone(one),
    row=lambda _, one: render.zone(one),
    unique="cloud",
    changed=_zone_changed,
)
FIRST_FREE_ID = 100


def version(context: Context) -> Reply:
    return context.cloud.version


def config(context: Context) -> Reply:
    if not context.caller.admin:
        raise unauthorized(
            context.caller.uid, "The oned configuration can only be retrieved by users in the oneadmin group"
        )
    configuration = Template()
    for name, value in (
        ("API_LIST_ORDER", "DESC"),
        ("DATASTORE_CAPACITY_CHECK", "yes"),
        ("DATASTORE_LOCATION", "/var/lib/one//datastores"),
        ("DEFAULT_DEVICE_PREFIX", "vd"),
        ("DEFAULT_IMAGE_TYPE", "OS"),
        ("DEFAULT_UMASK", "177"),
        ("ENABLE_OTHER_PERMISSIONS", "YES"),
        ("MONITORING_INTERVAL_HOST", "180"),
        ("NETWORK_SIZE", "254"),
        ("PORT", "2633"),
        ("SCRIPTS_REMOTE_DIR", "/var/tmp/one"),
        ("VM_SUBMIT_ON_HOLD", "NO"),
    ):
        configuration.put(name, value)
    configuration.put("FEDERATION", {"MODE": "STANDALONE", "SERVER_ID": "-1", "ZONE_ID": "0", "MASTER_ONED": ""})
    return render.configuration(configuration)


def raftstatus(context: Context) -> Reply:
    if not context.caller.admin:
        raise unauthorized(context.caller.uid, "Not authorized to perform ADMIN ZONE")
    return render.raft()


def zone_allocate(context: Context, _text: str) -> Reply:
    if not context.caller.admin:
        raise unauthorized(context.caller.uid, "Not authorized to perform CREATE ZONE")
    raise OneError(Code.ALLOCATE, "New zones can only be created at federation master")


def zone_delete(context: Context, oid: int) -> Reply:
    ZONE.find(context, oid, ADMIN)
    raise refused("Cannot delete zone. Zone 0 is the local zone and cannot be deleted.")


def zone_enable(context: Context, oid: int, enable: bool) -> Reply:
    zone: Zone = ZONE.find(context, oid, ADMIN)
    zone.enabled = enable
    return oid


CALLS = (
    Call("one.system.version", "", version),
    Call("one.system.config", "", config),
    Call("one.zone.raftstatus", "", raftstatus),
    Call("one.zone.allocate", "s", zone_allocate),
    Call("one.zone.delete", "i", zone_delete),
    Call("one.zone.enable", "i b", zone_enable),
    info_call(ZONE),
    update_call(ZONE),
    rename_call(ZONE),
    whole_call(ZONE),
)
