"""The outside as the commands see it, in memory. Everything that is asked is in a log; a write is in it too, and fails."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from sovereigncloud.api.common.base import Key
from sovereigncloud.commands.shared.connections import Cluster, Connections, NoClusterError
from sovereigncloud.core.identity import Mark
from sovereigncloud.engine.settings import Settings
from sovereigncloud.kinds import CONTROLLERS
from sovereigncloud.ports.errors import Auth, MissingSecret, NotFound
from sovereigncloud.ports.installer.installation import InstallState
from sovereigncloud.ports.opennebula.details import Particulars
from sovereigncloud.ports.opennebula.infrastructure import Marketplace
from sovereigncloud.ports.opennebula.login import Login
from sovereigncloud.ports.opennebula.views import CloudView, Datastore, Disk, Front, Host, Image, Network, Nic, Vm
from sovereigncloud.ports.ovh.account import AccountView, Interface, IpBlock, Server, ServerSummary, VrackView
from sovereigncloud.ports.ovh.iam import Identity
from sovereigncloud.ports.ovh.reinstall import DiskGroup, InstallationTemplate, TemplateInput

NOON = datetime(2026, 7, 1, 12, 0, tzinfo=UTC)
INSTALLATION = "inst-1"
US = 2


class WroteError(Exception):
    """A fake was asked to write."""


class Logged:
    """Verbs that are not defined here are writes."""

    def __init__(self, log: list[str], name: str) -> None:
        self.log, self.name = log, name

    def note(self, verb: str) -> None:
        self.log.append(f"{self.name} {verb}")

    def __getattr__(self, verb: str) -> Any:
        if verb.startswith("__"):
            raise AttributeError(verb)
        self.log.append(f"WRITE {self.name} {verb}")
        raise WroteError(verb)


class FakeParts(Logged):
    """No marketplace is there."""

    async def marketplaces(self) -> tuple[Marketplace, ...]:
        self.note("marketplaces")
        return ()


class FakeOpenNebula(Logged):
    """A front-end with image 7 "ubuntu", network 3 "lan" and host 0; machines are given."""

    def __init__(self, log: list[str], *machines: Vm, down: Exception | None = None) -> None:
        super().__init__(log, "OpenNebula")
        self.machines, self.down = machines, down
        self.refuses: Exception | None = None
        self.user = Login(US, "oneadmin", "oneadmin", frozenset({0}))
        self.hosts: dict[int, Host] = {}

    async def front(self) -> Front:
        self.note("front")
        if self.down:
            raise self.down
        return Front("7.0.1", 0, "OpenNebula", US)

    async def login(self) -> Login:
        self.note("login")
        return self.user

    async def view(self, began: float) -> CloudView:
        self.note("view")
        if self.down or self.refuses:
            raise self.down or self.refuses
        lan = Network(
            id=3, name="lan", owner=0, state=1, clusters=(0,), attributes={"VN_MAD": "802.1Q", "VLAN_ID": "100"},
            ranges=(), used_leases=0, mark=None,
        )  # fmt: skip
        ubuntu = Image(
            id=7, name="ubuntu", owner=0, type=0, state=1, size=10240, datastore_id=1, running_vms=0, mark=None,
            error="", source="",
        )  # fmt: skip
        return CloudView(
            began=began,
            vms={m.id: m for m in self.machines if m.state != 6},
            networks={3: lan},
            images={7: ubuntu},
            hosts=self.hosts,
            datastores={1: Datastore(1, "default", 0, 0, 10**6, 10**6)},
        )

    @property
    def parts(self) -> FakeParts:
        return FakeParts(self.log, "OpenNebula parts")

    async def vm(self, vm_id: int) -> Vm:
        self.note(f"vm {vm_id}")
        found = next((m for m in self.machines if m.id == vm_id), None)
        if found is None:
            raise NotFound(f"Error getting virtual machine [{vm_id}].")
        return found

    async def apps(self) -> tuple[()]:
        self.note("apps")
        return ()

    async def particulars(self, member: str) -> dict[int, Particulars]:
        self.note(f"particulars {member}")
        return {}


class FakeRights:
    """The credential of a service account: IAM refuses what is said."""

    def __init__(self, note: Any) -> None:
        self.note, self.rules, self.error, self.silent = note, None, None, False
        self.refusals: dict[str, set[str]] = {}

    async def identity(self) -> Identity:
        self.note("identity")
        if self.error:
            raise self.error
        return Identity("xx1111-ovh", "urn:v1:eu:identity:credential:xx1111-ovh/oauth2-0f0f", self.rules)

    async def refused(self, urns: Any, actions: Any) -> dict[str, frozenset[str]]:
        self.note("refused")
        if self.silent:
            raise NotFound("no such route")
        return {urn: frozenset(self.refusals.get(urn, ())) & frozenset(actions) for urn in urns}


class FakeInventory:
    def __init__(self, note: Any) -> None:
        self.note, self.there = note, ("pn-1",)

    async def vracks(self) -> tuple[str, ...]:
        self.note("vracks")
        return self.there

    async def blocks(self) -> tuple[str, ...]:
        self.note("blocks")
        return ("57.131.167.176/28",)


class FakeOvh(Logged):
    """An account with server ns1 (its private interface outside the vRack pn-1) and block 57.131.167.176/28."""

    def __init__(self, log: list[str], name: str) -> None:
        super().__init__(log, name)
        self.rights, self.inventory = FakeRights(self.note), FakeInventory(self.note)
        self.view_of: AccountView | None = None

    async def view(self, began: float, vracks: frozenset[str]) -> AccountView:
        self.note("view")
        if self.view_of is not None:
            return self.view_of
        server = ServerSummary("ns1.example", "urn:v1:eu:resource:dedicatedServer:ns1.example", "ns1.example", {})
        return AccountView(
            began,
            {"ns1.example": server},
            {v: VrackView(v, f"urn:{v}", {}, {}, frozenset()) for v in vracks},
        )

    async def server(self, service_name: str) -> Server:
        self.note(f"server {service_name}")
        return Server(
            service_name=service_name, urn="urn:v1:eu:resource:dedicatedServer:ns1.example", display_name="ns1.example",
            tags={}, ip="192.0.2.10", region="eu-west-rbx", availability_zone="eu-west-rbx-a", datacenter="rbx8",
            os="debian12_64", state="ok", power_state="poweron", monitoring=True, no_intervention=False,
            commercial_range="scale",
        )  # fmt: skip

    async def interfaces(self, service_name: str) -> tuple[Interface, ...]:
        self.note(f"interfaces {service_name}")
        return (
            Interface("u-1", "eth0", "public_aggregation", True, "", ("aa:00",)),
            Interface("u-2", "eth1", "vrack_aggregation", True, "", ("aa:01",)),
        )

    async def disk_groups(self, service_name: str) -> tuple[DiskGroup, ...]:
        self.note("disk_groups")
        return (DiskGroup(1, 2, 915527),)

    async def template(self, name: str) -> InstallationTemplate:
        self.note(f"template {name}")
        inputs = tuple(TemplateInput(asked, mandatory=False) for asked in ("hostname", "sshKey"))
        return InstallationTemplate(name, inputs, frozenset({"ext4"}), partitioning=True, only_mirroring=False)

    async def compatible_systems(self, service_name: str) -> frozenset[str]:
        self.note("compatible_systems")
        return frozenset({"ubuntu2404-server_64"})

    async def reinstall_tasks(self, service_name: str) -> tuple[()]:
        self.note("reinstall_tasks")
        return ()

    async def install_progress(self, service_name: str) -> tuple[()]:
        self.note("install_progress")
        return ()

    async def block(self, block: str, max_age: float = 0.0) -> IpBlock:
        self.note(f"block {block}")
        return IpBlock(block, "", "urn:block", {})


class FakeCluster(Logged):
    """An API server that holds bodies, Secrets and events. `only`: namespaces that may be read."""

    def __init__(
        self,
        log: list[str],
        *bodies: dict[str, Any],
        secrets: dict[tuple[str, str], dict[str, str]] | None = None,
        events: tuple[dict[str, Any], ...] = (),
        only: frozenset[str] | None = None,
        silent: bool = False,
        installed: bool = True,
        pods: tuple[dict[str, Any], ...] = (),
        said: tuple[str, ...] = (),
        may_annotate: bool = True,
    ) -> None:
        super().__init__(log, "Kubernetes")
        self.there, self.said, self.may_annotate = list(pods), said, may_annotate
        self.annotated: list[tuple[Key, dict[str, str | None]]] = []
        self.later: list[tuple[str, dict[str, Any]]] = []
        """Changes that a watch tells after the list."""
        self.bodies, self.secrets, self.happened = list(bodies), secrets or {}, list(events)
        self.only, self.silent, self.installed = only, silent, installed

    async def answers(self) -> bool:
        return not self.silent

    async def objects(self, kind: str):
        self.note(f"list {kind}")
        if self.only is not None:
            raise Auth(f"{kind} is forbidden at the cluster scope", where="Kubernetes GET")
        if not self.installed:
            raise NotFound("the server could not find the requested resource", where="Kubernetes GET")
        for body in self.bodies:
            if body["kind"] == kind:
                yield body

    async def objects_in(self, kind: str, namespace: str):
        self.note(f"list {kind} in {namespace}")
        if self.only is not None and namespace not in self.only:
            raise Auth(f"{kind} is forbidden in {namespace}", where="Kubernetes GET")
        if not self.installed:
            raise NotFound("the server could not find the requested resource", where="Kubernetes GET")
        for body in self.bodies:
            if (body["kind"], body["metadata"]["namespace"]) == (kind, namespace):
                yield body

    async def object(self, key: Key):
        self.note(f"get {key}")
        for body in self.bodies:
            if (body["kind"], body["metadata"]["namespace"], body["metadata"]["name"]) == tuple(key):
                return body
        return None

    async def secret(self, namespace: str, name: str):
        self.note(f"secret {namespace}/{name}")
        if (namespace, name) not in self.secrets:
            raise MissingSecret(f"Secret {namespace}/{name} does not exist: create it")
        return self.secrets[namespace, name]

    async def config_map(self, namespace: str, name: str):
        self.note(f"configmap {namespace}/{name}")
        return {"id": INSTALLATION} if name == "sovereign-installation" else None

    async def events(self, key: Key):
        self.note(f"events {key}")
        return [e for e in self.happened if e["involvedObject"]["name"] == key.name]

    async def names(self, kind: str, namespace: str):
        self.note(f"names {kind}")
        bodies = self.objects_in(kind, namespace) if namespace else self.objects(kind)
        return [(b["metadata"]["namespace"], b["metadata"]["name"]) async for b in bodies]

    async def secret_is_there(self, namespace: str, name: str):
        self.note(f"secret {namespace}/{name} there")
        return (namespace, name) in self.secrets

    async def changes(self, kind: str, namespace: str, name: str = ""):
        self.note(f"watch {kind}")
        bodies = self.objects_in(kind, namespace) if namespace else self.objects(kind)
        yield "LISTED", [b async for b in bodies if name in {"", b["metadata"]["name"]}]
        for what, told in self.later:
            if told["kind"] == kind and name in {"", told["metadata"]["name"]}:
                yield what, [told]
        await asyncio.sleep(3600)

    async def pods(self, namespace: str, selector: str):
        self.note(f"pods {namespace or 'everywhere'} {selector}")
        if self.only is not None and namespace not in self.only:
            raise Auth("pods is forbidden", where="Kubernetes GET")
        return [p for p in self.there if namespace in {"", p["metadata"]["namespace"]}]

    async def log_lines(self, namespace: str, pod: str, container: str, *, follow, since, tail):
        self.note(f"log {namespace}/{pod}/{container}")
        for line in self.said if tail is None else self.said[len(self.said) - tail :] if tail else ():
            yield line

    async def annotate(self, key: Key, annotations):
        self.note(f"annotate {key}")
        if not self.may_annotate:
            raise Auth("forbidden", where="Kubernetes PATCH")
        self.annotated.append((key, dict(annotations)))
        return {}


class FakeInstaller(Logged):
    async def state(self, installation: Any) -> Any:
        self.note("state")
        return InstallState("Absent")


class Outside:
    """Doors to fakes, with one log for all of them."""

    def __init__(self, *machines: Vm, down: Exception | None = None, **settings: Any) -> None:
        self.log: list[str] = []
        self.open_nebula = FakeOpenNebula(self.log, *machines, down=down)
        self.ovh = FakeOvh(self.log, "OVHcloud")
        self.cluster: FakeCluster | None = None
        self.credentials: list[tuple[str, ...]] = []
        self.answering: set[str] = set()
        """Hosts that answer on every port."""
        self.settings = Settings(**{"installation_id": INSTALLATION, **settings})

    def with_cluster(self, *bodies: dict[str, Any], **more: Any) -> Outside:
        self.cluster = FakeCluster(self.log, *bodies, **more)
        return self

    async def reaches(self, host: str, port: int) -> bool:
        self.log.append(f"try {host}:{port}")
        return host in self.answering

    @property
    def writes(self) -> list[str]:
        return [entry for entry in self.log if entry.startswith("WRITE")]

    @property
    def connections(self) -> Connections:
        @asynccontextmanager
        async def cluster(context, kubeconfig=None):
            if self.cluster is None:
                raise NoClusterError("no kubeconfig")
            installer = FakeInstaller(self.log, "installer")
            yield Cluster("https://fake:6443", "team", self.cluster, installer, self.cluster.annotate)

        def open_nebula(*where: str) -> Any:
            self.credentials.append(where)
            return self.open_nebula

        return Connections(
            settings=self.settings,
            controllers=CONTROLLERS,
            open_nebula=open_nebula,
            ovh=lambda *_: self.ovh,
            cluster=cluster,
            installation_map="sovereign-installation",
            reaches=self.reaches,
            now=lambda: NOON,
        )


def vm(**fields: Any) -> Vm:
    """VM 12 "web", ours, running, 2 vcpu, 4Gi, on lan."""
    base = {
        "id": 12, "name": "web", "owner": US, "state": 3, "lcm_state": 3, "cpu": "2", "vcpu": 2, "memory": 4096,
        "nics": (Nic(0, 3, "lan", "10.0.0.5", "02:00"),), "disks": (Disk(0, 7, "ubuntu", 10240),),
        "mark": Mark(INSTALLATION, "HostedInstance/team/web", "uid-web"), "host": "one-1", "scheduler_message": "",
        "error": "",
    }  # fmt: skip
    return Vm(**{**base, **fields})


def body(kind: str, name: str, spec: dict[str, Any], status: dict[str, Any] | None = None, **metadata: Any) -> dict:
    """An object as the API server holds it."""
    return {
        "apiVersion": "sovereigncloud.io/v1alpha1",
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": "team",
            "uid": f"uid-{name}",
            "generation": 1,
            "resourceVersion": "100",
            "creationTimestamp": "2026-06-28T12:00:00Z",
            **metadata,
        },
        "spec": spec,
        "status": status if status is not None else {"observedGeneration": -1},
    }


def ready(**more: Any) -> dict[str, Any]:
    """The status of an object that is as declared."""
    condition = {
        "type": "Ready", "status": "True", "reason": "AsDeclared", "message": "as declared",
        "lastTransitionTime": "2026-07-01T10:00:00Z",
    }  # fmt: skip
    return {"observedGeneration": 1, "conditions": [condition], **more}


CLOUD_SPEC = {"existing": {"endpoint": "https://one.example.gouv.fr/RPC2", "credentialsSecretRef": {"name": "one"}}}
CLOUD_STATUS = ready(endpoint="https://one.example.gouv.fr/RPC2", credentialsSecret="one", version="7.0.1")
INSTANCE_SPEC = {
    "source": {"image": "ubuntu"},
    "vcpu": 2,
    "memory": "4Gi",
    "networks": [{"name": "lan"}],
    "placement": {"cloudRef": {"name": "paris"}},
}
INSTANCE_STATUS = ready(external={"vm": "12", "cloud": "team/paris"}, id="12", state="Running")
