"""What the simulator replies has the shape of what a real oned replied: no element of a recorded reply is missing.

Recorded replies are data beside the project; where they are not there, the comparison is skipped, the parsing is not.
"""

import gzip
import itertools
import os
import re
import xmlrpc.client
from pathlib import Path

import pyone
import pytest
import requests
from lxml import etree

from sovereigncloud_sandbox.opennebula import mischief
from sovereigncloud_sandbox.opennebula.background import BackgroundSandbox
from sovereigncloud_sandbox.opennebula.install import CloudSpec, HostSpec

REPOSITORY = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("SOVEREIGN_SHARED", REPOSITORY.parent / "shared"))
REPLIES = SHARED / "opennebula" / "replies"
HOSTS = (HostSpec("host0"), HostSpec("host1"))

# Elements of recorded replies that stand for what the recording's machine had, not for what oned is.
ABSENT = {
    r"/HOST_SHARE/PCI_DEVICES/PCI": "the dummy driver invents PCI devices",
    r"/HOST/TEMPLATE/MEMORY_ENCRYPTION": "the dummy driver's host has SEV",
    r"/TEMPLATE/MYATTR": "an attribute that the recording's user gave",
    r"/USER_TEMPLATE/(MYATTR|K8S_GEN|K8S_UID)": "an attribute that the recording's user gave",
    r"/CONTEXT/SSH_PUBLIC_KEY": "an attribute that the recording's user gave",
    r"/GROUP/TEMPLATE/SUNSTONE": "settings of the web interface",
}


class Clock:
    now = 1_800_000_000.0

    def __call__(self):
        return self.now

    def pass_(self, seconds=5.0):
        self.now += seconds


@pytest.fixture(scope="module")
def clock():
    return Clock()


@pytest.fixture(scope="module")
def sandbox(clock):
    with BackgroundSandbox(CloudSpec("zone", version="7.4.0", hosts=HOSTS), clock=clock) as running:
        clock.pass_()
        yield running


@pytest.fixture(scope="module")
def one(sandbox):
    return pyone.OneServer(sandbox.endpoint("zone"), session="oneadmin:opennebula")


@pytest.fixture(scope="module")
def states(sandbox, one, clock):
    """Machines by the state that a recorded reply shows, made the way the recording was."""
    cloud = sandbox["zone"]
    net = one.vn.allocate("NAME=net1 VN_MAD=dummy BRIDGE=br0 DNS=1.1.1.1 AR=[TYPE=IP4,IP=10.0.0.10,SIZE=50]", -1)
    one.image.allocate("NAME=img1 PATH=http://images.example.org/i SIZE=1024", 1)
    one.image.allocate("NAME=data1 TYPE=DATABLOCK SIZE=512 FS=ext4 PERSISTENT=YES", 1)
    clock.pass_()
    one.vn.add_ar(net, "AR=[TYPE=IP4,IP=10.0.1.10,SIZE=20]")
    one.vn.reserve(net, "SIZE=5 NAME=resv1")
    template = one.template.allocate(
        "NAME=tpl1 CPU=0.1 VCPU=1 MEMORY=128 LABELS=a DISK=[IMAGE=img1] NIC=[NETWORK=net1] CONTEXT=[NETWORK=YES]"
    )

    def made(hold=False, extra=""):
        vm = one.template.instantiate(template, "vm", hold, extra, False)
        clock.pass_()
        return vm

    def acted(*actions, extra=""):
        vm = made(extra=extra)
        for action in actions:
            one.vm.action(action, vm)
            clock.pass_()
        return vm

    machines = {"running": made(), "hold": made(hold=True)}
    machines["pending_unschedulable"] = made(extra='SCHED_REQUIREMENTS="ID=12345"')
    for state, step in (("boot_failure", "BOOT"), ("prolog_failure", "PROLOG")):
        sandbox.do(mischief.fail_next, cloud, step, "injected")
        machines[state] = made()
    machines |= {"suspended": acted("suspend"), "stopped": acted("stop"), "undeployed": acted("undeploy")}
    machines["poweroff"] = acted("poweroff")
    for name in ("poweroff", "done"):
        vm = machines.setdefault(name, made())
        if name == "poweroff":
            one.vm.action("resume", vm)
            clock.pass_()
        one.vm.attach(vm, "DISK=[TYPE=fs,SIZE=100,FORMAT=raw]")
        clock.pass_()
        snapshot = one.vm.disksnapshotcreate(vm, 0, "s")
        clock.pass_()
        one.vm.disksnapshotdelete(vm, 0, snapshot)
        clock.pass_()
        one.vm.action("poweroff" if name == "poweroff" else "terminate", vm)
        clock.pass_()
    machines["hotplug_nic"] = made()
    one.vm.attach(machines["hotplug_nic"], "DISK=[TYPE=fs,SIZE=100,FORMAT=raw]")
    clock.pass_()
    one.vm.attachnic(machines["hotplug_nic"], "NIC=[NETWORK=net1]")
    return machines


def raw(sandbox, method, *arguments):
    """The XML of a reply."""
    body = xmlrpc.client.dumps(("oneadmin:opennebula", *arguments), method)
    reply = requests.post(sandbox.endpoint("zone"), data=body, timeout=30)
    ok, value, *_ = xmlrpc.client.loads(reply.content)[0][0]
    assert ok, value
    return value


def recorded(name):
    path = REPLIES / name
    if not path.exists():
        pytest.skip(f"{path} is not there: recorded replies are no part of the project")
    return gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()


def paths(xml):
    """Every path of elements, siblings of one name being one; and for each parent the order of its children's names."""
    found, order = set(), {}

    def walk(element, path):
        found.add(path)
        names = [name for name, _ in itertools.groupby(child.tag for child in element)]
        order.setdefault(path, []).append(names)
        for child in element:
            walk(child, f"{path}/{child.tag}")

    root = etree.fromstring(xml)
    walk(root, f"/{root.tag}")
    return found, order


def missing(theirs, ours):
    return sorted(
        path for path in paths(theirs)[0] - paths(ours)[0] if not any(re.search(rule, path) for rule in ABSENT)
    )


MACHINES = (
    "running", "hold", "pending_unschedulable", "boot_failure", "prolog_failure", "suspended", "stopped", "undeployed",
    "poweroff", "done", "hotplug_nic",
)  # fmt: skip


@pytest.mark.parametrize("state", MACHINES)
def test_machines_have_the_recorded_shape(sandbox, states, state):
    theirs = recorded(f"vminfo_{state}.xml")
    ours = raw(sandbox, "one.vm.info", states[state], False)
    assert missing(theirs, ours) == []
    for field in ("STATE", "LCM_STATE", "PREV_STATE", "PREV_LCM_STATE"):
        assert etree.fromstring(ours).findtext(field) == etree.fromstring(theirs).findtext(field)
    assert order_of("/VM", ours) == order_of("/VM", theirs), "schemas are sequences: the order is part of the shape"


def order_of(path, xml):
    return [name for name in paths(xml)[1][path][0] if name != "LOCK"]


ALL = (-2, -1, -1)
OBJECTS = [
    ("vmpool_info.xml", "one.vmpool.info", (*ALL, -1)),
    ("vmpool_infoextended.xml", "one.vmpool.infoextended", (*ALL, -1)),
    ("vmpool1000_info.xml.gz", "one.vmpool.info", (*ALL, -1)),
    ("vmpool1000_infoextended.xml.gz", "one.vmpool.infoextended", (*ALL, -1)),
    ("vnpool.xml", "one.vnpool.info", ALL),
    ("vninfo.xml", "one.vn.info", (0, False)),
    ("imagepool.xml", "one.imagepool.info", ALL),
    ("templatepool.xml", "one.templatepool.info", ALL),
    ("secgrouppool.xml", "one.secgrouppool.info", ALL),
    ("hostpool.xml", "one.hostpool.info", ()),
    ("hostinfo.xml", "one.host.info", (0, False)),
    ("hostmonitoring.xml", "one.host.monitoring", (0,)),
    ("clusterpool.xml", "one.clusterpool.info", ()),
    ("datastorepool.xml", "one.datastorepool.info", ()),
    ("userpool.xml", "one.userpool.info", ()),
    ("grouppool.xml", "one.grouppool.info", ()),
    ("vdcpool.xml", "one.vdcpool.info", ()),
    ("zonepool_standalone.xml", "one.zonepool.info", ()),
    ("aclpool.xml", "one.acl.info", ()),
    ("zone_raftstatus_standalone.xml", "one.zone.raftstatus", ()),
]


@pytest.mark.parametrize(("name", "method", "arguments"), OBJECTS, ids=[row[0] for row in OBJECTS])
def test_objects_have_the_recorded_shape(sandbox, states, name, method, arguments):
    theirs, ours = recorded(name), raw(sandbox, method, *arguments)
    assert missing(theirs, ours) == []
    their_order, our_order = paths(theirs)[1], paths(ours)[1]
    for path, orders in our_order.items():
        # Templates are sorted by name; what stands in them differs.
        if "TEMPLATE" in path or path not in their_order:
            continue
        known = max(their_order[path], key=len)
        for names in orders:
            common = [one_name for one_name in names if one_name in known]
            assert common == [one_name for one_name in known if one_name in common], path


def test_a_template_is_sorted_as_oned_sorts_it(sandbox, states):
    template = etree.fromstring(raw(sandbox, "one.vm.info", states["running"], False)).find("TEMPLATE")
    assert [child.tag for child in template] == sorted(child.tag for child in template)
    for vector in template:
        assert [child.tag for child in vector] == sorted(child.tag for child in vector)


# ---------------------------------------------------------------------------------------------- OpenNebula's schemas

NAMESPACE = "http://opennebula.org/XMLSchema"
# What of the schema's complaints is passed over, and why.
BEYOND = {
    "ENDPOINT_GRPC": "a recorded zone has it, the schema of that release has not",
    "Expected is ( {http://opennebula.org/XMLSchema}TM_MAD_SYSTEM )": "a machine never placed has none (recorded); the schema wants it",
    "CPU_MODEL": "documented and settable by updateconf; the schema of a machine's TEMPLATE forgot it",
    "RANGE": "attributes of a vector are sorted by name (recorded); the schema of a RULE has RULE_TYPE first",
}


@pytest.fixture(scope="module")
def furnished(sandbox, one, clock, states):
    """More of everything: what the recording did not have."""
    cloud, vm = sandbox["zone"], states["running"]
    sandbox.do(mischief.plug_device, cloud, 0)
    store = one.datastore.allocate("NAME=vault TYPE=BACKUP_DS DS_MAD=restic RESTIC_PASSWORD=x RESTIC_SFTP_SERVER=h", -1)
    market = one.market.allocate("NAME=ours MARKET_MAD=http BASE_URL=http://h PUBLIC_DIR=/p")
    group = one.vmgroup.allocate(
        'NAME=web ROLE=[NAME="a",POLICY="AFFINED"] ROLE=[NAME="b",HOST_AFFINED="0"] AFFINED="a,b"'
    )
    tenant = one.user.allocate("tenant", "secret", "", [])
    one.user.quota(
        tenant,
        'VM=[VMS=9] VM=[CLUSTER_IDS="0",VMS=5] DATASTORE=[ID=1,SIZE=9] NETWORK=[ID=0,LEASES=9] IMAGE=[ID=0,RVMS=9]',
    )
    vdc = one.vdc.allocate("NAME=v")
    for add, member in ((one.vdc.addcluster, 0), (one.vdc.addhost, 0), (one.vdc.adddatastore, 1), (one.vdc.addvnet, 0)):
        add(vdc, 0, member)
    clock.pass_()
    one.marketapp.allocate("NAME=app ORIGIN_ID=0 VERSION=1", market)
    one.vm.updateconf(vm, 'BACKUP_CONFIG=[MODE="INCREMENT", KEEP_LAST="3"]', 1)
    for _ in range(2):
        one.vm.backup(vm, store, False)
        clock.pass_()
    one.vm.snapshotcreate(vm, "s")
    clock.pass_()
    one.vm.schedadd(vm, f'SCHED_ACTION=[ACTION="backup", ARGS="{store}", TIME="+999999", REPEAT="0", DAYS="1,3"]')
    one.vm.lock(vm, 1)
    gpu = one.vm.allocate(
        f'NAME=gpu CPU=1 MEMORY=64 PCI=[VENDOR="10de"] VMGROUP=[VMGROUP_ID={group},ROLE="a"] CPU_MODEL=[MODEL="host-passthrough"]'
    )
    one.secgroup.allocate('NAME=web RULE=[PROTOCOL=TCP, RULE_TYPE=INBOUND, RANGE="80,443"]')
    clock.pass_()
    one.vm.chown(gpu, tenant, -1)
    one.vm.disksnapshotcreate(states["hotplug_nic"], 0, "d")
    clock.pass_()
    return {"vm": vm, "gpu": gpu, "store": store, "market": market, "group": group, "tenant": tenant, "vdc": vdc}


SCHEMAS = [
    ("vm.xsd", "one.vm.info", lambda f: (f["vm"], False)),
    ("vm.xsd", "one.vm.info", lambda f: (f["gpu"], False)),
    ("vm_pool.xsd", "one.vmpool.info", lambda _: (*ALL, -2)),
    ("vm_pool_extended.xsd", "one.vmpool.infoextended", lambda _: (*ALL, -2)),
    ("host.xsd", "one.host.info", lambda _: (0, False)),
    ("host_pool.xsd", "one.hostpool.info", lambda _: ()),
    ("image_pool.xsd", "one.imagepool.info", lambda _: ALL),
    ("vnet.xsd", "one.vn.info", lambda _: (0, False)),
    ("vnet_pool.xsd", "one.vnpool.info", lambda _: ALL),
    ("datastore_pool.xsd", "one.datastorepool.info", lambda _: ()),
    ("datastore.xsd", "one.datastore.info", lambda f: (f["store"], True)),
    ("cluster_pool.xsd", "one.clusterpool.info", lambda _: ()),
    ("user.xsd", "one.user.info", lambda f: (f["tenant"], False)),
    ("user_pool.xsd", "one.userpool.info", lambda _: ()),
    ("group.xsd", "one.group.info", lambda _: (1, False)),
    ("group_pool.xsd", "one.grouppool.info", lambda _: ()),
    ("vdc_pool.xsd", "one.vdcpool.info", lambda _: ()),
    ("security_group_pool.xsd", "one.secgrouppool.info", lambda _: ALL),
    ("vmtemplate_pool.xsd", "one.templatepool.info", lambda _: ALL),
    ("zone_pool.xsd", "one.zonepool.info", lambda _: ()),
    ("acl_pool.xsd", "one.acl.info", lambda _: ()),
    ("raftstatus.xsd", "one.zone.raftstatus", lambda _: ()),
    ("marketplace_pool.xsd", "one.marketpool.info", lambda _: ()),
    ("marketplaceapp_pool.xsd", "one.marketapppool.info", lambda _: ALL),
    ("vm_group.xsd", "one.vmgroup.info", lambda f: (f["group"], False)),
    ("vm_group_pool.xsd", "one.vmgrouppool.info", lambda _: ALL),
    ("hook_pool.xsd", "one.hookpool.info", lambda _: ()),
    ("backupjob_pool.xsd", "one.backupjobpool.info", lambda _: ALL),
    ("vntemplate_pool.xsd", "one.vntemplatepool.info", lambda _: ALL),
    ("vrouter_pool.xsd", "one.vrouterpool.info", lambda _: ALL),
    ("monitoring_data.xsd", "one.vmpool.monitoring", lambda _: (-2, -1)),
    ("opennebula_configuration.xsd", "one.system.config", lambda _: ()),
]


@pytest.mark.parametrize(("schema", "method", "arguments"), SCHEMAS, ids=[f"{row[1]} {row[0]}" for row in SCHEMAS])
def test_replies_are_valid_against_the_schemas(sandbox, furnished, schema, method, arguments):
    path = SHARED / "opennebula" / "xsd" / schema
    if not path.exists():
        pytest.skip(f"{path} is not there: OpenNebula's schemas are no part of the project")
    reply = etree.fromstring(raw(sandbox, method, *arguments(furnished)))
    for element in reply.iter():
        element.tag = f"{{{NAMESPACE}}}{element.tag}"
    judge = etree.XMLSchema(file=str(path))
    judge.validate(reply)
    wrong = [str(error.message) for error in judge.error_log if not any(name in error.message for name in BEYOND)]
    assert wrong == []


PARSED = [
    "vmpool", "hostpool", "vnpool", "imagepool", "templatepool", "datastorepool", "clusterpool", "userpool", "grouppool",
    "zonepool", "secgrouppool", "vdcpool", "marketpool", "marketapppool",
]  # fmt: skip
PAGED = {"vnpool", "imagepool", "templatepool", "secgrouppool", "marketapppool"}


@pytest.mark.parametrize("pool", PARSED)
def test_pyone_parses_every_pool_and_every_object_in_it(one, states, pool):
    arguments = (*ALL, -1) if pool == "vmpool" else ALL if pool in PAGED else ()
    parsed = getattr(one, pool).info(*arguments)
    members = next(value for value in vars(parsed).values() if isinstance(value, list) and value)
    assert members
    single = getattr(one, {"vnpool": "vn", "vmpool": "vm"}.get(pool, pool.removesuffix("pool")))
    for member in members:
        if hasattr(member, "ID"):
            assert single.info(member.ID).ID == member.ID


def test_pyone_parses_the_rest(one, states):
    assert one.system.config().FEDERATION.MODE == "STANDALONE"
    assert one.zone.raftstatus().STATE == 0
    assert one.acl.info().ACL[0].STRING.startswith("@1 VM+")
    assert one.vmpool.monitoring(-2).MONITORING
    assert one.host.monitoring(0).MONITORING
    assert one.user.info(-1).NAME == "oneadmin"
    assert one.group.info(-1).NAME == "oneadmin"
