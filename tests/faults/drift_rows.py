"""The drift matrix: for each field that can be changed outside, who changes it how, and what is to be told of it.

Each row has an object of its own, but for what several fields of one object say; so everything can be changed at once, and
what is told of one says nothing of another.
"""

import copy
from dataclasses import dataclass, field
from typing import Any

from tests.faults.api_server import manifest, secret

from sovereigncloud.providers.opennebula.session import decode
from sovereigncloud_sandbox.opennebula import mischief
from sovereigncloud_sandbox.opennebula.install import CloudSpec, HostSpec, PciSpec
from sovereigncloud_sandbox.opennebula.methods import serve

HOSTS = ("10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4")
SPEC = CloudSpec(
    "paris",
    listen="127.0.0.50:2633",
    oneadmin_password="one",
    version="7.4.0",
    hosts=tuple(HostSpec(name, pci=(PciSpec(), PciSpec())) for name in HOSTS),
    speeds={"max_host": 1000},
)
PLACED = {"cloudRef": {"name": "paris"}}


class Console:
    """Somebody at the other console, who is oneadmin, too."""

    def __init__(self, cloud):
        self.cloud = cloud

    def __call__(self, method, *arguments):
        reply, code = serve(self.cloud, f"one.{method}", ["oneadmin:one", *arguments])
        fields = decode(reply)
        assert code == 0, f"{method} {arguments}: {fields}"
        return fields[1]

    def _marked(self, pool, template, name):
        self.cloud.advance()
        wanted = f"/platform/{name}"
        return next(
            one for one in pool.values() if str(getattr(one, template).get("SOVEREIGNCLOUD_OBJECT")).endswith(wanted)
        )

    def vm(self, name):
        return self._marked(self.cloud.vms, "user_template", name)

    def net(self, name):
        return self._marked(self.cloud.vnets, "template", name)

    def image(self, name):
        return self._marked(self.cloud.images, "template", name)

    def group(self, name):
        return self._marked(self.cloud.security_groups, "template", name)

    def named(self, pool, name):
        self.cloud.advance()
        return next(one for one in getattr(self.cloud, pool).values() if one.name == name)


@dataclass(frozen=True)
class Row:
    """One field.

    Attributes:
        fields: of the spec models, that it speaks of.
        object: kind and name.
        spec: of the object; the rows of one object share it.
        act: what somebody does, with a console.
        path, desired, observed: what is to be told; as regular expressions where an id is in them.
        mends: whether Correct brings it back.
        then: what is done after that, when the machine is at rest again.
        others: what else is told of the same change: (desired, observed) by path.
        passing: what may be told until `then` is done.
    """

    fields: tuple[str, ...]
    object: tuple[str, str]
    spec: dict[str, Any] = field(hash=False)
    act: Any
    path: str
    desired: str
    observed: str
    mends: bool = True
    then: Any = None
    others: dict[str, tuple[str, str]] = field(default_factory=dict, hash=False)
    passing: tuple[str, ...] = ()

    def __str__(self):
        return f"{self.object[0]} {self.path} {self.object[1]}"


def _vm(name, fields, spec, act, path, desired, observed, *, mends=True, then=None, passing=()):
    whole = {
        "source": {"image": "ubuntu"}, "vcpu": 1, "cpu": "100m", "memory": "256Mi", "placement": PLACED,
        "updatePolicy": {"powerCycle": "Allow"}, **spec,
    }  # fmt: skip
    names = tuple(f"HostedInstance spec.{one}" for one in fields.split())
    later = then and (lambda at: then(at, at.vm(name)))
    return Row(
        names, ("HostedInstance", name), whole, lambda at: act(at, at.vm(name)), path, desired, observed, mends, later,
        passing=passing,
    )  # fmt: skip


LAN = {"networks": [{"name": "lan"}]}
BACKUP = {"store": "backups", "schedule": "0 3 1 * *", "keepLast": 5, "mode": "Full"}


INSTANCES = [
    _vm("m-name", "name", {"name": "called-so"}, lambda at, vm: at("vm.rename", vm.oid, "other"), "spec.name", "called-so", "other"),
    _vm("m-vcpu", "vcpu", {}, lambda at, vm: mischief.resize(at.cloud, vm.oid, vcpu=3), "spec.vcpu", "1", "3"),
    _vm("m-cpu", "cpu", {}, lambda at, vm: mischief.resize(at.cloud, vm.oid, cpu=0.2), "spec.cpu", "0.1", "0.2"),
    _vm("m-memory", "memory", {}, lambda at, vm: mischief.resize(at.cloud, vm.oid, memory=1024), "spec.memory", "256Mi", "1Gi"),
    _vm("m-power", "power", {"power": "Running"}, lambda at, vm: at("vm.action", "poweroff-hard", vm.oid), "spec.power", "Running", "PoweredOff"),
    _vm("m-stopped", "power", {"power": "Stopped"}, lambda at, vm: at("vm.action", "resume", vm.oid), "spec.power", "Stopped", "Running"),
    _vm("m-card", "networks.name", LAN, lambda at, vm: at("vm.detachnic", vm.oid, 0), "spec.networks[lan]", "attached", "absent"),
    _vm("m-groups", "networks.securityGroups", {"networks": [{"name": "lan", "securityGroups": ["g-used"]}]},
        lambda at, vm: at("vm.detachsg", vm.oid, 0, at.group("g-used").oid), "spec.networks[lan].securityGroups", "g-used", "none"),
    _vm("m-address", "networks.address", {"networks": [{"name": "lan", "address": "10.31.0.50"}]},
        lambda at, vm: at("vm.detachnic", vm.oid, 0), "spec.networks[lan].address", "10.31.0.50", "10.31.0.77",
        then=lambda at, vm: at("vm.attachnic", vm.oid, f"NIC=[NETWORK_ID={at.named('vnets', 'lan').oid},IP=10.31.0.77]"), passing=("spec.networks[lan]",)),
    _vm("m-gpu", "pciDevices.name pciDevices.vendor pciDevices.device pciDevices.class",
        {"pciDevices": [{"name": "gpu", "vendor": "10de", "device": "2236", "class": "0302"}]},
        lambda at, vm: at("vm.action", "poweroff-hard", vm.oid), "spec.pciDevices[gpu]", "10de:2236:0302", "absent",
        then=lambda at, vm: at("vm.detachpci", vm.oid, int(vm.template.vectors("PCI")[0]["PCI_ID"]))),
    _vm("m-root", "disks.size", {"disks": [{"name": "root", "size": "4Gi"}]},
        lambda at, vm: at("vm.diskresize", vm.oid, 0, "5120"), "spec.disks[root].size", "4Gi", "5Gi", mends=False),
    _vm("m-disk", "disks.name", {"disks": [{"name": "data", "size": "1Gi"}]},
        lambda at, vm: at("vm.detach", vm.oid, max(int(d["DISK_ID"]) for d in vm.disks)), "spec.disks[data]", "attached", r'image \d+ "m-disk-data" is not attached'),
    _vm("m-image", "disks.image", {"disks": [{"name": "extra", "image": "extra"}]},
        lambda at, vm: at("vm.detach", vm.oid, max(int(d["DISK_ID"]) for d in vm.disks)), "spec.disks[extra]", "attached", r'image \d+ "extra" is not attached'),
    _vm("m-policy", "disks.deletionPolicy", {"disks": [{"name": "data", "size": "1Gi", "deletionPolicy": "Delete"}]},
        lambda at, vm: at("image.update", int(vm.disks[-1]["IMAGE_ID"]), 'SOVEREIGNCLOUD_DELETION_POLICY="Retain"', 1),
        "spec.disks[data].deletionPolicy", "Delete", "Retain"),
    _vm("m-schedule", "backup.schedule", {"backup": BACKUP}, lambda at, vm: at("vm.scheddelete", vm.oid, int(vm.sched_actions[0]["ID"])), "spec.backup.schedule", "0 3 1 * *", "not scheduled"),
    _vm("m-mode", "backup.mode", {"backup": BACKUP},
        lambda at, vm: at("vm.updateconf", vm.oid, "BACKUP_CONFIG=[KEEP_LAST=5,MODE=INCREMENT,BACKUP_VOLATILE=NO,FS_FREEZE=NONE]", 1),
        "spec.backup.mode", "Full", "Incremental"),
    _vm("m-kept", "backup.keepLast", {"backup": BACKUP},
        lambda at, vm: at("vm.updateconf", vm.oid, "BACKUP_CONFIG=[KEEP_LAST=9,MODE=FULL,BACKUP_VOLATILE=NO,FS_FREEZE=NONE]", 1),
        "spec.backup.keepLast", "5", "9"),
    _vm("m-model", "cpuModel", {"cpuModel": "host-passthrough"}, lambda at, vm: at("vm.updateconf", vm.oid, 'CPU_MODEL=[MODEL="qemu64"]', 1),
        "spec.cpuModel", "host-passthrough", "qemu64"),
    _vm("m-group", "group.name", {"group": {"name": "web", "policy": "Together"}}, lambda at, vm: at("vm.vmgroupdel", vm.oid), "spec.group", "web (Together)", "none"),
    _vm("m-labels", "", {"_labels": {"app": "web", "tier": "db"}},
        lambda at, vm: at("vm.update", vm.oid, 'SOVEREIGNCLOUD_LABELS="app=web"', 1), "metadata.labels", "app=web,tier=db", "app=web"),
    _vm("m-hosts", "placement.hosts", {"placement": {**PLACED, "hosts": [HOSTS[0]]}},
        lambda at, vm: at("vm.migrate", vm.oid, at.named("hosts", HOSTS[1]).oid, True, False, -1, 0), "spec.placement.hosts", HOSTS[0], f"on {HOSTS[1]}"),
]  # fmt: skip

# Many things of one machine at once: none hides another.
ALL = {
    "_labels": {"app": "web"}, "networks": [{"name": "lan"}], "backup": BACKUP, "name": "all-at-once",
    "disks": [{"name": "data", "size": "1Gi", "deletionPolicy": "Delete"}],
}  # fmt: skip
INSTANCES += [
    _vm("m-all", "", ALL, lambda at, vm: at("vm.rename", vm.oid, "another"), "spec.name", "all-at-once", "another"),
    _vm("m-all", "", ALL, lambda at, vm: mischief.resize(at.cloud, vm.oid, vcpu=2), "spec.vcpu", "1", "2"),
    _vm("m-all", "", ALL, lambda at, vm: mischief.resize(at.cloud, vm.oid, memory=512), "spec.memory", "256Mi", "512Mi"),
    _vm("m-all", "", ALL, lambda at, vm: at("vm.update", vm.oid, 'SOVEREIGNCLOUD_LABELS="app=db"', 1), "metadata.labels", "app=web", "app=db"),
    _vm("m-all", "", ALL, lambda at, vm: at("vm.scheddelete", vm.oid, int(vm.sched_actions[0]["ID"])), "spec.backup.schedule", "0 3 1 * *", "not scheduled"),
    _vm("m-all", "", ALL, lambda at, vm: at("vm.detachnic", vm.oid, 0), "spec.networks[lan]", "attached", "absent"),
    _vm("m-all", "", ALL, lambda at, vm: at("image.update", int(vm.disks[-1]["IMAGE_ID"]), 'SOVEREIGNCLOUD_DELETION_POLICY="Retain"', 1),
        "spec.disks[data].deletionPolicy", "Delete", "Retain"),
]  # fmt: skip


def _net(name, fields, spec, act, path, desired, observed, *, mends=True):
    number = sum(map(ord, name)) % 3000 + 100
    kind = {} if {"vxlanID", "bridge"} & spec.keys() else {"vlanID": number}
    ranges = [{"ip": f"10.{number % 200}.{number // 200}.10", "size": 20}]
    whole = {"cloudRef": {"name": "paris"}, "addressRanges": ranges, **kind, **spec}
    names = tuple(f"VirtualNetwork spec.{one}" for one in fields.split())
    return Row(names, ("VirtualNetwork", name), whole, lambda at: act(at, at.net(name)), path, desired, observed, mends)


def _edit(attribute, value):
    return lambda at, net: at("vn.update", net.oid, f'{attribute}="{value}"', 1)


RANGE = {"addressRanges": [{"ip": "10.90.0.10", "size": 20}]}
NETWORKS = [
    _net("n-name", "name", {}, lambda at, net: at("vn.rename", net.oid, "other-net"), "spec.name", "n-name", "other-net", mends=False),
    _net("n-vlan", "vlanID", {"vlanID": 77}, _edit("VLAN_ID", "78"), "spec.vlanID", "VLAN_ID=77", "VLAN_ID=78"),
    _net("n-vxlan", "vxlanID", {"vxlanID": 70077}, _edit("VLAN_ID", "70078"), "spec.vxlanID", "VLAN_ID=70077", "VLAN_ID=70078"),
    _net("n-bridge", "bridge", {"bridge": "br7"}, _edit("BRIDGE", "br8"), "spec.bridge", "BRIDGE=br7", "BRIDGE=br8"),
    _net("n-size", "addressRanges.size", RANGE, lambda at, net: mischief.resize_range(at.cloud, net.oid, 5), "spec.addressRanges[10.90.0.10]", "10.90.0.10+20", "10.90.0.10+5"),
    _net("n-range", "addressRanges.ip", {"addressRanges": [{"ip": "10.91.0.10", "size": 20}]}, lambda at, net: at("vn.rm_ar", net.oid, 0),
        "spec.addressRanges[10.91.0.10]", "10.91.0.10+20", "absent"),
    _net("n-held", "held", {"addressRanges": [{"ip": "10.92.0.10", "size": 20}], "held": ["10.92.0.12"]},
        lambda at, net: at("vn.release", net.oid, "LEASES=[IP=10.92.0.12]"), "spec.held[10.92.0.12]", "on hold", "free"),
    _net("n-groups", "securityGroups", {"securityGroups": ["g-used"]}, _edit("SECURITY_GROUPS", "0"), "spec.securityGroups", "g-used", "default"),
    _net("n-gateway", "gateway", {"addressRanges": [{"ip": "10.93.0.10", "size": 20}], "gateway": "10.93.0.1"}, _edit("GATEWAY", "10.93.0.9"), "spec.gateway", "10.93.0.1", "10.93.0.9"),
    _net("n-dns", "dns", {"dns": ["9.9.9.9"]}, _edit("DNS", "8.8.8.8"), "spec.dns", "9.9.9.9", "8.8.8.8"),
    _net("n-device", "physicalDevice", {"physicalDevice": "bond7"}, _edit("PHYDEV", "bond8"), "spec.physicalDevice", "bond7", "bond8"),
    _net("n-mtu", "mtu", {"mtu": 9000}, _edit("MTU", "1500"), "spec.mtu", "9000", "1500"),
]  # fmt: skip


def _image(name, fields, spec, act, path, desired, observed):
    whole = {"cloudRefs": [{"name": "paris"}], "source": {"marketplaceApp": "Alpine Linux 3.21"}, **spec}
    names = tuple(f"MachineImage spec.{one}" for one in fields.split())
    return Row(names, ("MachineImage", name), whole, lambda at: act(at, at.image(name)), path, desired, observed)


IMAGES = [
    _image("i-name", "name", {}, lambda at, one: at("image.rename", one.oid, "other-image"), "spec.name", "i-name", "other-image"),
    _image("i-words", "description", {"description": "ours"}, lambda at, one: at("image.update", one.oid, 'DESCRIPTION="theirs"', 1), "spec.description", "ours", "theirs"),
    _image("i-kept", "persistent", {"persistent": False}, lambda at, one: at("image.persistent", one.oid, True), "spec.persistent", "false", "true"),
]  # fmt: skip


def _group(name, fields, rule, rules, taken, put):
    """A rule is taken out and another one put in."""
    whole = {"cloudRefs": [{"name": "paris"}], "rules": [rule]}
    names = tuple(f"SecurityGroup spec.{one}" for one in fields.split())

    def act(at):
        at("secgroup.update", at.group(name).oid, rules, 1)

    path, others = f"spec.rules[{taken}]", {f"spec.rules[{put}]": ("absent", "present in platform/paris")}
    return Row(names, ("SecurityGroup", name), whole, act, path, "present", "absent in platform/paris", others=others)


TCP = {"direction": "Inbound", "protocol": "TCP"}
GROUPS = [
    Row(("SecurityGroup spec.name",), ("SecurityGroup", "g-name"), {"cloudRefs": [{"name": "paris"}], "rules": [TCP]},
        lambda at: at("secgroup.rename", at.group("g-name").oid, "other-group"), "spec.name", "g-name", "other-group in platform/paris"),
    _group("g-direction", "rules.direction", TCP, "RULE=[PROTOCOL=TCP,RULE_TYPE=outbound]", "Inbound TCP", "Outbound TCP"),
    _group("g-protocol", "rules.protocol", TCP, "RULE=[PROTOCOL=UDP,RULE_TYPE=inbound]", "Inbound TCP", "Inbound UDP"),
    _group("g-range", "rules.range", {**TCP, "range": "22"}, "RULE=[PROTOCOL=TCP,RULE_TYPE=inbound,RANGE=23]", "Inbound TCP 22", "Inbound TCP 23"),
    _group("g-cidr", "rules.cidr", {**TCP, "cidr": "10.0.0.0/24"}, "RULE=[PROTOCOL=TCP,RULE_TYPE=inbound,IP=10.0.1.0,SIZE=256]", "Inbound TCP from 10.0.0.0+256", "Inbound TCP from 10.0.1.0+256"),
    _group("g-network", "rules.network", {**TCP, "network": "lan"}, "RULE=[PROTOCOL=TCP,RULE_TYPE=inbound]", "Inbound TCP from network lan", "Inbound TCP"),
    _group("g-icmp", "rules.icmpType", {"direction": "Inbound", "protocol": "ICMP", "icmpType": 8}, "RULE=[PROTOCOL=ICMP,RULE_TYPE=inbound,ICMP_TYPE=0]", "Inbound ICMP type 8", "Inbound ICMP type 0"),
]  # fmt: skip

SECRETS = (
    secret("one", username="oneadmin", password="one"),
    secret("s3", accessKeyId="AKIA-of-the-exchange", secretAccessKey="s3cr3t"),
    secret("restic", password="p4ssw0rd"),
)
CLOUD = {
    "existing": {"endpoint": "http://127.0.0.50:2633/RPC2", "credentialsSecretRef": {"name": "one"}},
    "stores": [
        {"name": "exchange", "type": "Marketplace", "s3": {"endpoint": "https://s3.example.fr", "bucket": "one", "region": "gra", "credentialsSecretRef": {"name": "s3"}}},
        {"name": "shelf", "type": "Marketplace", "http": {"baseURL": "https://m.example.fr", "publicDir": "/var/www", "bridgeList": ["web-1"]}},
        {"name": "backups", "type": "Backup", "restic": {"sftpServer": "b.example.fr", "sftpUser": "keeper", "passwordSecretRef": {"name": "restic"}}},
        {"name": "copies", "type": "Backup", "rsync": {"host": "c.example.fr", "user": "copier"}, "attributes": {"RSYNC_TMP_DIR": "/var/tmp"}},
    ],
    "clusters": [
        {"name": "gpu", "hosts": ["10.0.0.9"], "datastores": ["fast"], "reserved": {"cpu": 1, "memory": "1Gi"}},
        {"name": "lab"},
    ],
    "hosts": [{"name": "10.0.0.8", "cluster": "gpu"}, {"name": "10.0.0.9"}, {"name": "10.0.0.7"}],
    "datastores": [
        {"name": "fast", "type": "Image", "transfer": "ssh", "attributes": {"LIMIT_MB": "1000"}},
        {"name": "slow", "type": "Image", "transfer": "ssh", "clusters": ["gpu"]},
        {"name": "cold", "type": "Image", "transfer": "ssh"},
    ],
}  # fmt: skip


def _part(fields, act, path, desired, observed, *, mends=True):
    names = tuple(f"SovereignCloud spec.{one}" for one in fields.split())
    return Row(names, ("SovereignCloud", "paris"), CLOUD, act, path, desired, observed, mends)


def _store(name, attribute, value, pool="marketplaces", call="market.update"):
    return lambda at: at(call, at.named(pool, name).oid, f'{attribute}="{value}"', 1)


PARTS = [
    _part("stores.s3.bucket", _store("exchange", "BUCKET", "two"), "spec.stores[exchange].s3.bucket", "one", "two"),
    _part("stores.s3.endpoint", _store("exchange", "ENDPOINT", "https://x.example"), "spec.stores[exchange].s3.endpoint", "https://s3.example.fr", "https://x.example"),
    _part("stores.s3.region", _store("exchange", "REGION", "sbg"), "spec.stores[exchange].s3.region", "gra", "sbg"),
    _part("stores.http.baseURL", _store("shelf", "BASE_URL", "https://x.example"), "spec.stores[shelf].http.baseURL", "https://m.example.fr", "https://x.example"),
    _part("stores.http.publicDir", _store("shelf", "PUBLIC_DIR", "/tmp"), "spec.stores[shelf].http.publicDir", "/var/www", "/tmp"),
    _part("stores.http.bridgeList", _store("shelf", "BRIDGE_LIST", "web-9"), "spec.stores[shelf].http.bridgeList", "web-1", "web-9"),
    _part("stores.restic.sftpServer", _store("backups", "RESTIC_SFTP_SERVER", "x.example", "datastores", "datastore.update"), "spec.stores[backups].restic.sftpServer", "b.example.fr", "x.example"),
    _part("stores.restic.sftpUser", _store("backups", "RESTIC_SFTP_USER", "x", "datastores", "datastore.update"), "spec.stores[backups].restic.sftpUser", "keeper", "x"),
    _part("stores.rsync.host", _store("copies", "RSYNC_HOST", "x.example", "datastores", "datastore.update"), "spec.stores[copies].rsync.host", "c.example.fr", "x.example"),
    _part("stores.rsync.user", _store("copies", "RSYNC_USER", "x", "datastores", "datastore.update"), "spec.stores[copies].rsync.user", "copier", "x"),
    _part("stores.attributes", _store("copies", "RSYNC_TMP_DIR", "/tmp", "datastores", "datastore.update"), "spec.stores[copies].attributes.RSYNC_TMP_DIR", "/var/tmp", "/tmp"),
    _part("stores.name", lambda at: at("market.rename", at.named("marketplaces", "shelf").oid, "rack"), "spec.stores[shelf].name", "shelf", "rack"),
    _part("clusters.name", lambda at: at("cluster.rename", at.named("clusters", "lab").oid, "attic"), "spec.clusters[lab].name", "lab", "attic"),
    _part("clusters.reserved.cpu", lambda at: at("cluster.update", at.named("clusters", "gpu").oid, "RESERVED_CPU=300", 1), "spec.clusters[gpu].reserved.cpu", "100 hundredths of a processor", "300 hundredths of a processor"),
    _part("clusters.reserved.memory", lambda at: at("cluster.update", at.named("clusters", "gpu").oid, "RESERVED_MEM=0", 1), "spec.clusters[gpu].reserved.memory", "1048576 KiB", "0 KiB"),
    _part("clusters.hosts", lambda at: at("cluster.addhost", 0, at.named("hosts", "10.0.0.9").oid), "spec.clusters[gpu].hosts", "in cluster gpu", "in cluster default"),
    _part("clusters.datastores", lambda at: at("cluster.deldatastore", at.named("clusters", "gpu").oid, at.named("datastores", "fast").oid), "spec.clusters[gpu].datastores", "in cluster gpu", "in cluster default"),
    _part("hosts.name", lambda at: at("host.delete", at.named("hosts", "10.0.0.7").oid), "spec.hosts[10.0.0.7]", "there", "not there"),
    _part("hosts.cluster", lambda at: at("cluster.addhost", 0, at.named("hosts", "10.0.0.8").oid), "spec.hosts[10.0.0.8].cluster", "in cluster gpu", "in cluster default"),
    _part("datastores.name", lambda at: at("datastore.rename", at.named("datastores", "cold").oid, "colder"), "spec.datastores[cold].name", "cold", "colder"),
    _part("datastores.clusters", lambda at: at("cluster.deldatastore", at.named("clusters", "gpu").oid, at.named("datastores", "slow").oid), "spec.datastores[slow].clusters", "in cluster gpu", "in no cluster"),
    _part("datastores.attributes", lambda at: at("datastore.update", at.named("datastores", "fast").oid, 'LIMIT_MB="9"', 1), "spec.datastores[fast].attributes.LIMIT_MB", "1000", "9"),
]  # fmt: skip

TENANT = {
    "namespaces": ["lab"],
    "clouds": [
        {
            "cloudRef": {"name": "paris", "namespace": "platform"},
            "quota": {
                "vms": 5, "cpu": "4", "memory": "8Gi", "systemDisk": "50Gi", "networks": [{"name": "lan", "leases": 7}],
                "images": [{"name": "ubuntu", "vms": 3}], "datastores": [{"name": "default", "images": 6, "size": "20Gi"}],
            },
            "clusters": ["default"],
        }
    ],
    "externalUsers": [{"name": "alice", "driver": "saml"}, {"name": "bob", "driver": "saml"}],
    "name": "prefecture",
}  # fmt: skip
IN_PARIS = "spec.clouds[platform/paris]"


def _quota(field, quota, path, desired, observed):
    return _tenant(
        f"clouds.quota.{field}",
        lambda at: at("group.quota", at.named("groups", "prefecture").oid, quota(at)),
        f"{IN_PARIS}.quota.{path}",
        desired,
        observed,
    )


def _tenant(fields, act, path, desired, observed, *, mends=True):
    names = tuple(f"Tenant spec.{one}" for one in fields.split())
    return Row(names, ("Tenant", "prefecture"), TENANT, act, path, desired, observed, mends)


def _machines(at):
    return "VM=[VMS=50,CPU=40,MEMORY=1024,SYSTEM_DISK_SIZE=1024]"


def _default(at):
    return "DATASTORE=[ID=1,IMAGES=60,SIZE=1024]"


TENANTS = [
    _quota("vms", _machines, "vms", "5", "50"),
    _quota("cpu", _machines, "cpu", "4", "40"),
    _quota("memory", _machines, "memory", "8192", "1024"),
    _quota("systemDisk", _machines, "systemDisk", "51200", "1024"),
    _quota("networks.leases", lambda at: f"NETWORK=[ID={at.named('vnets', 'lan').oid},LEASES=70]", "networks[lan].leases", "7", "70"),
    _quota("images.vms", lambda at: f"IMAGE=[ID={at.named('images', 'ubuntu').oid},RVMS=30]", "images[ubuntu].vms", "3", "30"),
    _quota("datastores.images", _default, "datastores[default].images", "6", "60"),
    _quota("datastores.size", _default, "datastores[default].size", "20480", "1024"),
    _tenant("clouds.clusters", lambda at: at("vdc.delcluster", at.named("vdcs", "prefecture").oid, 0, 0), f"{IN_PARIS}.clusters", '"default"', "none"),
    _tenant("namespaces", lambda at: at("user.delete", at.named("users", "prefecture-lab-platform-paris").oid),
            f"{IN_PARIS}.users[lab]", 'user "prefecture-lab-platform-paris"', r"user \d+ was deleted"),
    _tenant("externalUsers.name", lambda at: at("user.chgrp", at.named("users", "bob").oid, 1), "spec.externalUsers[bob]", r"in group \d+", "not in it"),
    _tenant("externalUsers.driver", lambda at: at("user.chauth", at.named("users", "alice").oid, "ldap", "x"),
            "spec.externalUsers[alice].driver", "saml", "ldap", mends=False),
    _tenant("name", lambda at: at("vdc.rename", at.named("vdcs", "prefecture").oid, "other"), "spec.name", "prefecture", "other"),
]  # fmt: skip

ROWS = (*INSTANCES, *NETWORKS, *IMAGES, *GROUPS, *PARTS, *TENANTS)
FIRST = (
    manifest("VirtualNetwork", "lan", {"cloudRef": {"name": "paris"}, "vlanID": 310, "addressRanges": [{"ip": "10.31.0.10", "size": 200}]}),
    manifest("MachineImage", "ubuntu", {"cloudRefs": [{"name": "paris"}], "source": {"marketplaceApp": "Ubuntu 24.04"}}),
    manifest("SecurityGroup", "g-used", {"cloudRefs": [{"name": "paris"}], "rules": [TCP]}),
)  # fmt: skip


def objects(policy, only=()):
    """The manifests of all rows, or only of these objects, with this driftPolicy."""
    specs = {row.object: row.spec for row in ROWS if not only or row.object[1] in only}
    for (kind, name), wanted in specs.items():
        spec = copy.deepcopy(wanted)
        more = {"labels": spec.pop("_labels")} if "_labels" in spec else {}
        if kind == "Tenant":
            more["namespace"] = ""
        yield manifest(kind, name, {**spec, "driftPolicy": {"default": policy}}, **more)


def prepare(at):
    """What a person made there before: a disk that an instance takes."""
    at("image.allocate", "NAME=extra TYPE=DATABLOCK SIZE=64 PERSISTENT=YES", 1)
