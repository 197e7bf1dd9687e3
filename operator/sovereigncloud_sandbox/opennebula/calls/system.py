"""one.system.*, and kinds that this front-end knows and has none of."""

from sovereigncloud_sandbox.opennebula import raft, render
from sovereigncloud_sandbox.opennebula.calls.call import Call, Context, Reply
from sovereigncloud_sandbox.opennebula.errors import unauthorized
from sovereigncloud_sandbox.opennebula.template import Template


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
    conf = context.cloud.federation.conf
    servers = context.cloud.raft.servers
    server = raft.answering(context.cloud, context.server) if servers else -1
    configuration.put(
        "FEDERATION",
        {
            "MODE": conf.mode.value,
            "SERVER_ID": str(server),
            "ZONE_ID": str(conf.zone_id),
            "MASTER_ONED": conf.master_oned,
        },
    )
    return render.configuration(configuration)


# Kinds that this front-end knows and has none of.
_NONE_OF = {
    "one.backupjobpool.info": "BACKUPJOB_POOL",
    "one.vntemplatepool.info": "VNTEMPLATE_POOL",
    "one.vrouterpool.info": "VROUTER_POOL",
}


def _no_members(name: str, root: str) -> Call:
    return Call(name, "i i i", lambda _context, _flag, _start, _end: render.pool(root, ()))


CALLS = (
    *(_no_members(name, root) for name, root in _NONE_OF.items()),
    Call("one.hookpool.info", "", lambda _: render.pool("HOOK_POOL", ())),
    Call("one.system.version", "", version),
    Call("one.system.config", "", config),
)
