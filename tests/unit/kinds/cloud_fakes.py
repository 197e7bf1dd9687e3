"""In-memory stand-ins for the ports, tiny but unkind, and a loop that does to one object what the engine does."""

import asyncio
import base64
import contextlib
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from tests.unit.kinds.infrastructure_fakes import Parts
from tests.unit.kinds.order_fakes import FakeShop

from sovereigncloud.api import BareMetalServer, HostedInstance, SovereignCloud, VirtualNetwork
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.providerprofile import ProviderProfile
from sovereigncloud.core.identity import Mark, mark_from_opennebula
from sovereigncloud.core.outcome import Phase, approval
from sovereigncloud.core.plan import Action
from sovereigncloud.kinds.baremetalserver.reinstall.day0 import proof
from sovereigncloud.ports.errors import AlreadyRunning, Conflict, MissingSecret, NotFound, Rejected, Retry
from sovereigncloud.ports.installer.installation import InstallState
from sovereigncloud.ports.opennebula.views import CloudView, Front, Host
from sovereigncloud.ports.ovh.account import (
    AccountView,
    InstallStep,
    Interface,
    IpBlock,
    Server,
    ServerSummary,
    Task,
    VrackView,
)
from sovereigncloud.ports.ovh.dns import Record, Zone
from sovereigncloud.ports.ovh.reinstall import DiskGroup, InstallationTemplate, TemplateInput
from sovereigncloud.ports.ovh.vrack import Eligibility, Standing
from sovereigncloud.ports.ssh import Greeting

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
INSTALLATION = "prod"
REINSTALL_TAKES = 660.0
VRACK_TAKES = 60.0
RENAME_TAKES = 600.0
SYSTEMS = frozenset({"debian12_64", "ubuntu2204-server_64", "ubuntu2404-server_64"})
GRACE = 60.0  # the engine's: how long a write with a lost answer may still take effect
LASTING = {Action.CREATE, Action.REINSTALL, Action.INSTALL}
PARSE = {c.crd.kind: c for c in (SovereignCloud, BareMetalServer, VirtualNetwork, HostedInstance, ProviderProfile)}


class Clock:
    def __init__(self):
        self.now = NOON

    def pass_(self, seconds):
        self.now += timedelta(seconds=seconds)


@dataclass
class FakeServer:
    """One server: two aggregations of two cards, as the Scale range has them."""

    name: str
    ip: str = "127.0.0.11"
    display_name: str = ""
    os: str = "none_64"
    tags: dict = field(default_factory=dict)
    interfaces: tuple = ()
    tasks: list = field(default_factory=list)  # [id, payload, begun, ends, final status]
    disk_groups: int = 1
    region: str = "eu-west-rbx"
    disks: int = 2  # in each of them
    monitoring: bool = True
    no_intervention: bool = False
    deaf: bool = False  # SSH does not answer
    rekeyed: int = 0  # how often somebody gave it another host key
    on: bool = True
    boot: int = 1
    proves: str = ""  # another host key that its greeting proves; "nothing"

    @property
    def urn(self):
        return f"urn:v1:eu:resource:dedicatedServer:{self.name}"


def interfaces(name, *, vrack="", ola=False):
    public = Interface(f"{name}-pub", "public", "public_aggregation", not ola, "", ("aa:00", "aa:01"))
    private = Interface(f"{name}-priv", "private", "vrack_aggregation", True, vrack, ("bb:00", "bb:01"))
    return (private,) if ola else (public, private)


class CrashError(Exception):
    """The operator ends here; the next one knows what was written, and nothing else."""


class FakeOvh:
    """An account. Writes fail as `faults` says, one word for each write.

    before: it never arrives; lost: done, the answer is lost; late: the client gives up, it is done half a minute later;
    crash: the operator ends while it is sent, a reinstallation is begun half a minute later, anything else never.
    """

    def __init__(self, clock):
        self.clock = clock
        self.servers = {}
        self.tags_of_vrack = {"pn-1": {}, "pn-2": {}}
        self.blocks = {}  # block -> service that it is routed to, "": parked
        self.tags_of_block = {}
        self.regions_of_block = {}
        self.vracks = FakeVracks(self)
        self.zones = FakeZones(self)
        self.power = FakePower(self)
        self.systems = SYSTEMS
        self.templates = {}  # by name; others take everything
        self.task_lag = 0.0
        self.purged_after = 3600.0
        self.faults = []
        self.orders = FakeShop(self)
        self.due = []  # (when, function): writes and effects that come later
        self.writes = []
        self.reads = Counter()
        self.reinstalled = Counter()  # by operating system
        self.final = "done"
        self._ids = 100

    def add(self, name="ns1", **values):
        made = FakeServer(name, **values)
        if not made.interfaces and "interfaces" not in values:
            made.interfaces = interfaces(name)
        self.servers[name] = made
        return made

    def settle(self):
        """Let happen what is due."""
        now = self.clock.now.timestamp()
        for when, effect in sorted((d for d in self.due if d[0] <= now), key=lambda d: d[0]):
            self.due.remove((when, effect))
            effect()
        for server in self.servers.values():
            for task in server.tasks:
                _, payload, _, ends, final, applied = task
                if ends <= now and final == "done" and not applied:
                    server.os, task[5] = payload.operating_system, True

    def later(self, seconds, effect):
        self.due.append((self.clock.now.timestamp() + seconds, effect))

    def _write(self, what, effect):
        self.settle()
        fault = self.faults.pop(0) if self.faults else "ok"
        if fault == "before":
            raise Retry("connection reset")
        if fault == "crash":
            if what.startswith("reinstall"):
                self.later(30.0, lambda: _quietly(effect))
            raise CrashError
        self.writes.append(what)
        if fault == "late":
            self.later(30.0, lambda: _quietly(effect))
            raise Retry("timed out")
        result = effect()
        if fault == "lost":
            raise Retry("timed out")
        return result

    # -- reads

    async def view(self, began=0.0, vracks=frozenset()):
        self.settle()
        self.reads["view"] += 1
        servers = {
            s.name: ServerSummary(s.name, s.urn, s.display_name or s.name, dict(s.tags)) for s in self.servers.values()
        }
        members = {
            v: {i.uuid: s.name for s in self.servers.values() for i in s.interfaces if i.vrack == v}
            for v in self.tags_of_vrack
        }
        tags = {v: dict(t) for v, t in self.tags_of_vrack.items()}
        routed = {v: frozenset(b for b, to in self.blocks.items() if to == v) for v in tags}
        found = {v: VrackView(v, f"urn:{v}", t, members[v], routed[v]) for v, t in tags.items()}
        return AccountView(began, servers, found, tags)

    def _server(self, name):
        self.settle()
        self.reads["server"] += 1
        if name not in self.servers:
            raise NotFound("This service does not exist")
        return self.servers[name]

    async def server(self, name):
        s = self._server(name)
        return Server(
            service_name=s.name,
            urn=s.urn,
            display_name=s.display_name or s.name,
            tags=dict(s.tags),
            ip=s.ip,
            region=s.region,
            availability_zone=f"{s.region}-a",
            datacenter="rbx8",
            os=s.os,
            state="ok",
            power_state="poweron" if s.on else "poweroff",
            boot=s.boot,
            monitoring=s.monitoring,
            no_intervention=s.no_intervention,
            commercial_range="SCALE-i1",
        )

    async def interfaces(self, name):
        return self._server(name).interfaces

    async def disk_groups(self, name):
        server = self._server(name)
        return tuple(DiskGroup(n + 1, server.disks, 915527) for n in range(server.disk_groups))

    async def compatible_systems(self, name):
        self._server(name)
        return self.systems

    async def template(self, name):
        self.settle()
        self.reads["template"] += 1
        if name in self.templates:
            return self.templates[name]
        inputs = tuple(TemplateInput(n, False) for n in ("hostname", "sshKey", "postInstallationScript"))
        return InstallationTemplate(
            name, inputs, frozenset({"ext4", "xfs", "swap"}), partitioning=True, only_mirroring=False
        )

    async def reinstall_tasks(self, name):
        server, now = self._server(name), self.clock.now.timestamp()
        return tuple(
            Task(t[0], "reinstallServer", t[4] if t[3] <= now else "doing", "Start bare metal OS installation")
            for t in server.tasks
            if t[2] + self.task_lag <= now < t[3] + self.purged_after
        )

    async def install_progress(self, name):
        server, now = self._server(name), self.clock.now.timestamp()
        running = any(t[3] > now for t in server.tasks)
        return (InstallStep("Partitioning", "doing", ""), InstallStep("Reboot", "todo", "")) if running else ()

    async def block(self, block, max_age=0.0):
        self.settle()
        if block not in self.blocks:
            raise NotFound("This service does not exist")
        regions = self.regions_of_block.get(block, ("eu-west-rbx",))
        return IpBlock(block, self.blocks[block], f"urn:{block}", dict(self.tags_of_block.get(block, {})), regions)

    # -- writes

    async def reinstall(self, name, request):
        return self._write(f"reinstall {name} {request.operating_system}", lambda: self._begin(name, request))

    def _begin(self, name, request):
        server, now = self.servers[name], self.clock.now.timestamp()
        running = [t for t in server.tasks if t[3] > now]
        if running:
            message = f"Task {running[0][0]} of type reinstallServer with status doing is already running"
            raise AlreadyRunning(message, task=running[0][0])
        self._ids += 1
        server.tasks.append([self._ids, request, now, now + REINSTALL_TAKES, self.final, False])
        self.reinstalled[request.operating_system] += 1
        return self._ids

    async def rename(self, name, display_name):
        server = self.servers[name]
        self._write(
            f"rename {name}", lambda: self.later(RENAME_TAKES, lambda: setattr(server, "display_name", display_name))
        )

    async def set_monitoring(self, name, *, monitoring, no_intervention):
        server = self.servers[name]

        def effect():
            server.monitoring, server.no_intervention = monitoring, no_intervention

        self._write(f"monitoring {name}", effect)

    def _of(self, urn):
        """The tags of a server, a vRack or a block."""
        name = urn.removeprefix("urn:")
        if name in self.zones.tags:
            return self.zones.tags[name]
        if name in self.tags_of_vrack:
            return self.tags_of_vrack[name]
        if name in self.blocks:
            return self.tags_of_block.setdefault(name, {})
        return next(s.tags for s in self.servers.values() if s.urn == urn)

    async def tag(self, urn, tags):
        for key, value in tags.items():
            assert len(value) <= 256
            self._write(f"tag {key}={value}", lambda k=key, v=value: self._of(urn).update({k: v}))

    async def untag(self, urn, keys):
        for key in sorted(keys):
            self._write(f"untag {key}", lambda k=key: self._of(urn).pop(k, None))

    def move(self, uuid, vrack):
        for server in self.servers.values():
            server.interfaces = tuple(replace(i, vrack=vrack) if i.uuid == uuid else i for i in server.interfaces)

    async def attach_interface(self, vrack, uuid):
        self._write(f"attach {uuid} {vrack}", lambda: self.later(VRACK_TAKES, lambda: self.move(uuid, vrack)))

    async def detach_interface(self, vrack, uuid):
        self._write(f"detach {uuid} {vrack}", lambda: self.later(VRACK_TAKES, lambda: self.move(uuid, "")))

    async def attach_block(self, vrack, block, region=""):
        self._write(
            f"attach {block} {vrack}", lambda: self.later(VRACK_TAKES, lambda: self.blocks.update({block: vrack}))
        )

    async def detach_block(self, vrack, block):
        self._write(f"detach {block} {vrack}", lambda: self.blocks.update({block: ""}))


class FakePower:
    """Boots 1 (disk) and 95083 (off); a reboot takes effect after a while."""

    BOOTS = {"harddisk": 1, "power": 95083}  # noqa: RUF012 - never changed
    TAKES = 90.0

    def __init__(self, account):
        self.account, self.under_way = account, {}

    async def boot_of_type(self, name, kind):
        self.account._server(name)
        return self.BOOTS[kind]

    async def set_boot(self, name, boot, *, monitoring, no_intervention):
        server = self.account.servers[name]

        def effect():
            server.boot, server.monitoring, server.no_intervention = boot, monitoring, no_intervention

        self.account._write(f"boot {name} {boot} monitoring={monitoring}", effect)

    async def reboot(self, name):
        def done():
            self.under_way.pop(name, None)
            self.account.servers[name].on = self.account.servers[name].boot != self.BOOTS["power"]

        def begin():
            if name not in self.under_way:
                self.under_way[name] = True
                self.account.later(self.TAKES, done)

        self.account._write(f"reboot {name}", begin)

    async def reboots(self, name):
        self.account._server(name)
        return (Task(1, "hardReboot", "doing", ""),) if name in self.under_way else ()


class FakeVracks:
    """What may join, and blocks taken off whatever they are routed to."""

    def __init__(self, account):
        self._account = account
        self.pending = 0  # answers until it is worked out
        self.ineligible = set()
        self.errors = ()
        self.a_few = 5  # servers that one call asks about
        self.told = set()  # those that were asked about

    async def eligible(self, vrack):
        self._account.reads["eligible"] += 1
        if self.pending:
            self.pending -= 1
            return Eligibility(None)
        servers = self._account.servers.values()
        found = {i.uuid for s in servers for i in s.interfaces if not i.vrack and i.mode.startswith("vrack")}
        return Eligibility(frozenset(found - self.ineligible), self.errors)

    async def park(self, block):
        account = self._account
        account._write(f"park {block}", lambda: account.later(VRACK_TAKES, lambda: account.blocks.update({block: ""})))

    async def regions(self, servers):
        self._account.reads["regions"] += 1
        known = self._account.servers
        return {name: known[name].region if name in known else "" for name in servers}

    async def standing(self, servers):
        """A few more with each call."""
        self._account.reads["standing"] += 1
        self.told |= set(sorted(servers - self.told)[: self.a_few])
        known = self._account.servers
        return {name: Standing(known[name].ip, known[name].region) for name in servers & self.told if name in known}


class FakeZones:
    """Reverse names and records. A reverse name must resolve, by what is published or by `names` of elsewhere."""

    def __init__(self, account):
        self._account = account
        self.names = {}  # name -> address
        self.reverse = {}  # (block, address) -> name
        self.tags = {}  # of zones: name -> tags
        self.found = {}  # (zone, id) -> [subdomain, type, target]
        self.published = {}  # zone -> what the world sees: subdomain -> targets
        self._ids = 0

    def add(self, zone, *records):
        self.tags.setdefault(zone, {})
        for subdomain, kind, target in records:
            self._insert(zone, subdomain, kind, target)
        self._publish(zone)

    def _insert(self, zone, subdomain, kind, target):
        self._ids += 1
        self.found[zone, self._ids] = [subdomain, kind, target]
        return self._ids

    def _publish(self, zone):
        seen = {}
        for (where, _), (subdomain, kind, target) in self.found.items():
            if where == zone:
                seen.setdefault(subdomain, []).append(f"{kind} {target}")
        self.published[zone] = seen

    async def reverses(self, block, addresses, max_age=0.0):
        self._account.reads["reverses"] += 1
        return {a: n for (b, a), n in self.reverse.items() if b == block and a in addresses}

    async def set_reverse(self, block, address, name):
        def effect():
            if self.names.get(name) != address:
                raise Rejected(f"{name}. does not resolve to {address}", reason=Reason.FORWARD_RECORD_MISSING)
            self.reverse[block, address] = f"{name}."

        self._account._write(f"reverse {address} {name}", effect)

    async def delete_reverse(self, block, address):
        self._account._write(f"no reverse {address}", lambda: self.reverse.pop((block, address), None))

    async def zone(self, name, max_age=0.0):
        self._account.reads["zone"] += 1
        if name not in self.tags:
            raise NotFound("This service does not exist")
        return Zone(name, f"urn:{name}", dict(self.tags[name]))

    async def records(self, zone, subdomain, max_age=0.0):
        self._account.reads["records"] += 1
        return tuple(Record(i, k, t) for (z, i), (s, k, t) in self.found.items() if (z, s) == (zone, subdomain))

    async def create_record(self, zone, subdomain, address):
        return self._account._write(
            f"record {subdomain} {address}", lambda: self._insert(zone, subdomain, "A", address)
        )

    async def change_record(self, zone, record, address):
        def effect():
            self.found[zone, record][2] = address

        self._account._write(f"record {record} {address}", effect)

    async def delete_record(self, zone, record):
        self._account._write(f"no record {record}", lambda: self.found.pop((zone, record), None))

    async def publish(self, zone):
        self._account._write(f"publish {zone}", lambda: self._publish(zone))


def _quietly(effect):
    with contextlib.suppress(Conflict):
        effect()


class FakeOne:
    """A front-end; None as its version: nobody answers."""

    def __init__(self):
        self.version = None
        self.hosts = {}
        self.vms = {}
        self.owner = None
        self.stubborn = set()  # machines that do not move, and oned says nothing of it
        self.networks = {}
        self.writes = []
        self.parts = Parts()

    @property
    def clusters(self):
        return self.parts.clusters

    def host(self, name, state=2, *, mark=None):
        id_ = len(self.hosts)
        self.hosts[id_] = Host(id_, name, state, 0, "kvm", "kvm", 0, 3200, 134217728, mark)
        self.parts.join(0, "host", id_)
        return id_

    def _answer(self):
        if self.version is None:
            raise Retry("connection refused", where="OpenNebula")

    async def front(self):
        self._answer()
        return Front(self.version, 0, "OpenNebula", 0)

    async def view(self, began=0.0):
        self._answer()
        return CloudView(
            began,
            dict(self.vms),
            dict(self.networks),
            {},
            dict(self.hosts),
            dict(self.parts.datastores),
            clusters=dict(self.clusters),
            owner=self.owner,
        )

    async def create_cluster(self, name):
        self._answer()
        self.writes.append(f"create cluster {name}")
        return await self.parts.create_cluster(name)

    async def join_cluster(self, cluster_id, member, member_id):
        self._answer()
        self.writes.append(f"join {member} {member_id}")
        if member == "host":
            self.hosts[member_id] = replace(self.hosts[member_id], cluster_id=cluster_id)
        self.parts.join(cluster_id, member, member_id)

    async def create_host(self, name, im_mad, vm_mad, cluster_id):
        self._answer()
        self.writes.append(f"create host {name}")
        return self.host(name)

    async def update_host(self, host_id, attributes):
        self._answer()
        self.writes.append(f"update host {host_id}")
        host = self.hosts[host_id]
        notes = {**host.notes, **{k: v for k, v in attributes.items() if k.endswith(("_LEAVING", "_PART"))}}
        self.hosts[host_id] = replace(
            host,
            mark=mark_from_opennebula(attributes) or host.mark,
            notes={k: v for k, v in notes.items() if v},
        )

    async def enable_host(self, host_id):
        self._answer()
        self.writes.append(f"enable host {host_id}")
        self.hosts[host_id] = replace(self.hosts[host_id], state=2)

    async def disable_host(self, host_id):
        self._answer()
        self.writes.append(f"disable host {host_id}")
        self.hosts[host_id] = replace(self.hosts[host_id], state=4)

    async def delete_host(self, host_id):
        self._answer()
        if host_id not in self.hosts:
            raise NotFound("Error getting host")
        assert not self.on(host_id), "Can not remove a host with running VMs"
        self.writes.append(f"delete host {host_id}")
        del self.hosts[host_id]
        self.parts.forget_host(host_id)

    def on(self, host_id):
        return [vm for vm in self.vms.values() if vm.host == self.hosts[host_id].name]

    def count(self):
        """As oned counts them: machines with capacity on a host."""
        self.hosts = {n: replace(h, running_vms=len(self.on(n))) for n, h in self.hosts.items()}

    async def move_vm(self, vm_id, host_id, *, live):
        self._answer()
        self.writes.append(f"move vm {vm_id} to host {host_id}{' live' if live else ''}")
        if vm_id not in self.stubborn:
            self.vms[vm_id] = replace(self.vms[vm_id], host=self.hosts[host_id].name)
            self.count()

    async def give_up_vm(self, vm_id):
        self._answer()
        self.writes.append(f"give up vm {vm_id}")
        del self.vms[vm_id]
        self.count()


class FakeInstaller:
    """Jobs by hash."""

    def __init__(self):
        self.jobs = {}
        self.started = Counter()
        self.faults = []

    async def state(self, installation):
        return self.jobs.get(installation.hash, InstallState("Absent"))

    async def start(self, installation):
        fault = self.faults.pop(0) if self.faults else "ok"
        if fault == "before":
            raise Retry("API server away")
        if installation.hash not in self.jobs:
            self.started[installation.hash] += 1
            self.jobs[installation.hash] = InstallState("Running")
            self.last = installation
        if fault == "lost":
            raise Retry("API server away")


class FakeKubernetes:
    def __init__(self, world):
        self.world = world
        self.secrets = {}
        self.applied = []
        self.deleted = []

    async def secret(self, namespace, name):
        if (namespace, name) not in self.secrets:
            raise MissingSecret(f"Secret {namespace}/{name} is not there")
        return self.secrets[namespace, name]

    async def generate_credentials(self, namespace, name, username, labels):
        if (namespace, name) in self.secrets:
            return False
        self.secrets[namespace, name] = {"username": username, "password": "x"}
        self.secrets[namespace, name] |= {"sshPublicKey": "ssh-ed25519 AAAA", "sshPrivateKey": "a private key"}
        return True

    async def delete_secret(self, namespace, name):
        self.secrets.pop((namespace, name), None)

    async def apply(self, manifest):
        self.applied.append(manifest)
        self.world.put(manifest)

    async def delete(self, kind, namespace, name):
        self.deleted.append(name)
        raw = self.world.raw.get((kind, namespace, name))
        if raw is not None:
            raw["metadata"]["deletionTimestamp"] = NOON.isoformat()


class FakeWorld:
    """The store and the doors."""

    def __init__(self):
        self.clock = Clock()
        self.account_ = FakeOvh(self.clock)
        self.one = FakeOne()
        self.installer = FakeInstaller()
        self.kubernetes = FakeKubernetes(self)
        self.admitted = True
        self.allowed = set()
        self.heard = []
        self.raw = {}
        self.controllers = {}

    @property
    def now(self):
        return self.clock.now

    def put(self, manifest):
        """Apply: spec is replaced, status stays."""
        meta = manifest["metadata"]
        key = (manifest["kind"], meta["namespace"], meta["name"])
        before = self.raw.get(key)
        generation = 1
        if before is not None:
            generation = before["metadata"]["generation"] + (before["spec"] != manifest["spec"])
        uid = before["metadata"]["uid"] if before else meta.get("uid", f"uid-{len(self.raw)}")
        self.raw[key] = {
            **manifest,
            "metadata": {
                "finalizers": ["sovereigncloud.io/finalizer"],
                **(before["metadata"] if before else {}),
                **meta,
                "generation": generation,
                "uid": uid,
            },
            "status": before["status"] if before else {"observedGeneration": -1},
        }
        return self.raw[key]

    rules = ()

    def inhabitants(self, cloud):
        del cloud
        return ()

    def policies(self, namespace, cloud):
        """What binds everything."""
        return self.rules

    def get(self, key):
        raw = self.raw.get(tuple(key))
        return PARSE[key[0]].model_validate(raw) if raw else None

    def users(self, key, *kinds):
        everything = [self.get(_key(k)) for k in self.raw if not kinds or _key(k).kind in kinds]
        return [r for r in everything if key in _uses(r)]

    def mark(self, resource):
        key = resource.key
        return Mark(INSTALLATION, f"{key.kind}/{key.namespace}/{key.name}", resource.metadata.uid)

    def clouds(self, namespace):
        return ()

    silences = MappingProxyType({})

    def silent_since(self, cloud):
        """Since when a cloud does not answer."""
        return self.silences.get(cloud)

    async def open_nebula(self, cloud):
        return self.one

    async def view(self, cloud):
        return await self.one.view()

    async def ovh(self, endpoint, namespace, secret):
        return self.account_

    async def account(self, endpoint, namespace, secret, vrack):
        return await self.account_.view()

    def allows_plain_http(self, host):
        return host in self.allowed

    async def greeting(self, address, within):
        self.account_.settle()
        self.heard.append((address, within))
        server = next((s for s in self.account_.servers.values() if s.ip == address), None)
        if server is None or server.deaf:
            raise Retry("no answer in time", where=f"SSH {address}:22", maybe_done=False)
        return greeting_of(server)


def greeting_of(server):
    """What sshd of a server says: each installation makes a new host key, and its script, if there is one, proves it."""
    done = [t for t in server.tasks if t[5]]
    blob = base64.b64encode(f"{server.name} {len(done)} {server.rekeyed}".encode()).decode()
    host_key, script = f"ssh-ed25519 {blob}", done[-1][1].post_installation_script if done else ""
    key = re.search(r"hexkey:([0-9a-f]{64})", script)
    shown = f" sovereigncloud-{proof(key[1], server.proves or host_key)}" if key and server.proves != "nothing" else ""
    return Greeting(f"SSH-2.0-OpenSSH_9.6p1 Ubuntu-3ubuntu13{shown}", host_key)


def _key(raw_key):
    from sovereigncloud.api.common.base import Key  # noqa: PLC0415

    return Key(*raw_key)


def _uses(resource):
    from sovereigncloud.kinds.baremetalserver.controller import BareMetalServerController  # noqa: PLC0415

    if isinstance(resource, BareMetalServer):
        return BareMetalServerController().uses(resource).objects
    if isinstance(resource, VirtualNetwork):
        ref = resource.spec.cloud_ref
        return (_key(("SovereignCloud", ref.namespace or resource.metadata.namespace, ref.name)),)
    if isinstance(resource, HostedInstance) and "cloud" in resource.external:
        return (_key(("SovereignCloud", *resource.external["cloud"].split("/"))),)
    return ()


@dataclass
class Looked:
    """What one look at one object gave."""

    plan: object
    outcome: object
    performed: list


class Loop:
    """What the engine does to one object: observe, plan, perform, write status."""

    def __init__(self, world, controller, key):
        self.world, self.controller, self.key = world, controller, key

    @property
    def raw(self):
        return self.world.raw[self.key]

    async def once(self):
        world, raw = self.world, self.raw
        resource = self.controller.resource.model_validate(raw)
        performed, step = [], None
        try:
            observed = await self.controller.observe(resource, world)
            plan = self.controller.plan(resource, observed, world.now)
            assert plan == self.controller.plan(resource, observed, world.now), "plan is not pure"
            outcome = plan.outcome
            self._facts(outcome.facts)
            for step in plan.steps:
                if step.needs:
                    outcome = approval(step.needs)
                    break
                outcome = await self.controller.perform(step, resource, world)
                performed.append(step)
                self._facts(outcome.facts)
                if outcome.phase is not Phase.DONE or outcome.after is not None:
                    break
        except (Retry, Conflict) as error:
            if isinstance(error, Retry) and step is not None and step.action in LASTING:
                world.clock.pass_(GRACE)  # what was read before this is not trusted any more
            return Looked(None, error, performed)
        except CrashError as error:
            return Looked(None, error, performed)
        self._status(resource, observed, plan, outcome)
        return Looked(plan, outcome, performed)

    def _facts(self, facts):
        external = {**(self.raw["status"].get("external") or {}), **facts}
        self.raw["status"]["external"] = {k: v for k, v in external.items() if v}

    def _status(self, resource, observed, plan, outcome):
        status = self.raw["status"]
        for key, value in self.controller.status(resource, observed).items():
            status.pop(key, None) if value is None else status.update({key: value})
        now = self.world.now.isoformat()
        before = {d["path"]: d["since"] for d in status.get("drift", ())}
        settled = resource.settled
        drift = [
            {"path": d.path, "desired": d.desired, "observed": d.observed, "since": before.get(d.path, now)}
            for d in plan.drift
            if settled
        ]
        ready = any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions", ()))
        if outcome.phase is Phase.DONE and not plan.steps:
            ready = True
        elif not outcome.available:
            ready = False
        conditions = [
            {"type": "Ready", "status": str(ready), "reason": outcome.reason or "Ready", "message": outcome.message}
        ]
        if drift:
            conditions.append({"type": "Drifted", "status": "True", "reason": "Drifted"})
        if outcome.phase is Phase.STALLED:
            conditions.append(
                {"type": "Stalled", "status": "True", "reason": outcome.reason, "message": outcome.message}
            )
        status.update(conditions=conditions, drift=drift, observedGeneration=resource.metadata.generation)

    async def until_quiet(self, limit=1500):
        """Look again as the outcomes say until nothing is to be done; the last look."""
        for _ in range(limit):
            looked = await self.once()
            quiet = looked.plan is not None and not looked.performed
            if quiet and looked.outcome.phase in {Phase.DONE, Phase.STALLED, Phase.BLOCKED, Phase.APPROVAL}:
                return looked
            self.world.clock.pass_(getattr(looked.outcome, "after", None) or 5.0)
        raise AssertionError(f"not quiet after {limit} looks: {looked}")


def run(coroutine):
    return asyncio.run(coroutine)
