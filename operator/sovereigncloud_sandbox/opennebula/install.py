"""What an installer leaves behind: a fresh OpenNebula with its default objects, its hosts, and a public marketplace."""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from sovereigncloud_sandbox.opennebula import devices, federation, hosts
from sovereigncloud_sandbox.opennebula.access import ALL, RESOURCES, RIGHTS, digest
from sovereigncloud_sandbox.opennebula.calls import schedule
from sovereigncloud_sandbox.opennebula.calls.people import new_group
from sovereigncloud_sandbox.opennebula.calls.rights import add_rule
from sovereigncloud_sandbox.opennebula.cloud import Cloud, Speeds
from sovereigncloud_sandbox.opennebula.model import ONEADMIN, Cluster, Permissions, SecurityGroup
from sovereigncloud_sandbox.opennebula.model_federation import LOCAL_ZONE, Mode
from sovereigncloud_sandbox.opennebula.model_people import USERS_GROUP, AclRule, Group, User, Vdc, Zone
from sovereigncloud_sandbox.opennebula.model_storage import (
    DATASTORE_TYPES,
    FILE,
    SYSTEM,
    Datastore,
    MarketApp,
    Marketplace,
)
from sovereigncloud_sandbox.opennebula.model_storage import IMAGE as IMAGE_DATASTORE
from sovereigncloud_sandbox.opennebula.template import Template

_STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True, slots=True)
class PciSpec:
    """A PCI device of a hypervisor, by its numbers as lspci shows them. The default is an NVIDIA A10."""

    __pydantic_config__ = _STRICT

    vendor: str = "10de"
    device: str = "2236"
    kind: str = "0302"
    name: str = "GA102GL [A10]"


@dataclass(frozen=True, slots=True)
class HostSpec:
    """A hypervisor that the installer registers. CPU in hundredths, memory in KiB, disk in MB.

    The default is the server of OVHcloud's guide: 16 cores, 32 threads, 128 GB, 960 GB.
    """

    __pydantic_config__ = _STRICT

    name: str
    im_mad: str = "kvm"
    vmm_mad: str = "kvm"
    cpu: Annotated[int, Field(ge=0)] = 3200
    memory: Annotated[int, Field(ge=0)] = 128 * 1024 * 1024
    disk: Annotated[int, Field(ge=0)] = 900_000
    pci: tuple[PciSpec, ...] = ()


@dataclass(frozen=True, slots=True)
class TlsSpec:
    """Certificate chain and key, PEM."""

    __pydantic_config__ = _STRICT

    certificate: str
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class FrontEndSpec:
    """One of several front-ends of a cloud."""

    __pydantic_config__ = _STRICT

    name: str
    listen: str = "127.0.0.1:0"


@dataclass(frozen=True, slots=True)
class CloudSpec:
    """A cloud to be made. `listen` is an address and a port, 0 for any: "127.57.131.160:2633". With several front-ends it
    is the address that follows whoever leads."""

    __pydantic_config__ = _STRICT

    name: str
    listen: str = "127.0.0.1:0"
    zone_name: str = "OpenNebula"
    version: str = "7.0.0"
    oneadmin_password: str = field(default="opennebula", repr=False)
    hosts: tuple[HostSpec, ...] = ()
    front_ends: tuple[FrontEndSpec, ...] = ()
    tls: TlsSpec | None = None
    speeds: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0


@dataclass(frozen=True, slots=True)
class ListenSpec:
    """Where a cloud that stands is to listen from now on, and with which certificate."""

    __pydantic_config__ = _STRICT

    listen: str
    tls: TlsSpec | None = None


@dataclass(frozen=True, slots=True)
class OnedConfSpec:
    """FEDERATION of oned.conf."""

    __pydantic_config__ = _STRICT

    mode: Mode
    zone_id: int = LOCAL_ZONE
    master_oned: str = ""


_SPEC = TypeAdapter(CloudSpec)
_LISTEN = TypeAdapter(ListenSpec)
_FRONT_END = TypeAdapter(FrontEndSpec)
_ONED_CONF = TypeAdapter(OnedConfSpec)


def parse_spec(document: Mapping[str, Any]) -> CloudSpec:
    """Read a cloud as a person writes it in JSON.

    Raises:
        ValueError: an unknown field or a wrong type; without the values, which may be secret.
    """
    return _parsed(_SPEC, document, "a cloud")


def parse_listen(document: Mapping[str, Any]) -> ListenSpec:
    """The same, for where it listens."""
    return _parsed(_LISTEN, document, "an address to listen on")


def parse_front_end(document: Mapping[str, Any]) -> FrontEndSpec:
    """The same, for one of several front-ends."""
    return _parsed(_FRONT_END, document, "a front-end")


def parse_oned_conf(document: Mapping[str, Any]) -> OnedConfSpec:
    """The same, for FEDERATION of oned.conf."""
    return _parsed(_ONED_CONF, document, "FEDERATION of oned.conf")


_T = TypeVar("_T")


def _parsed(adapter: TypeAdapter[_T], document: Mapping[str, Any], what: str) -> _T:
    try:
        return adapter.validate_python(dict(document))
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        raise ValueError(f"not {what}: {problems}") from None


def install(spec: CloudSpec, clock: Callable[[], float] | None = None) -> Cloud:
    """Make a cloud as one-deploy leaves it: ids and defaults of a stock OpenNebula, hosts about to be monitored.

    Raises:
        ValueError: there is no such speed.
    """
    speeds = Speeds()
    speeds.update(spec.speeds)
    options: dict[str, Any] = {"clock": clock} if clock is not None else {}
    cloud = Cloud(spec.name, version=spec.version, speeds=speeds, seed=spec.seed, **options)
    cloud.act = schedule.perform(cloud)
    cloud.follow = lambda: federation.follow(cloud)
    _people(cloud, spec.oneadmin_password)
    cloud.clusters[0] = Cluster(
        0, "default", template=Template({"RESERVED_CPU": [""], "RESERVED_MEM": [""]}), datastores={0, 1, 2}
    )
    for oid, name, kind in ((0, "system", SYSTEM), (1, "default", IMAGE_DATASTORE), (2, "files", FILE)):
        cloud.datastores[oid] = _datastore(oid, name, kind)
    cloud.security_groups[0] = _default_security_group()
    cloud.reserve_ids("SECGROUP", 1)
    cloud.zones[0] = Zone(0, spec.zone_name, permissions=Permissions(other_u=1))
    cloud.zones[0].template.put("ENDPOINT", "http://localhost:2633/RPC2")
    cloud.zones[0].template.put("ENDPOINT_GRPC", "localhost:")
    _marketplace(cloud)
    # one-deploy registers hosts one after the other: the race of #7527 is not its.
    window, cloud.speeds.host_race_window = cloud.speeds.host_race_window, 0
    for wanted in spec.hosts:
        host = hosts.add(cloud, wanted.name, wanted.im_mad, wanted.vmm_mad, 0)
        host.real_cpu, host.real_memory, host.real_disk = wanted.cpu, wanted.memory, wanted.disk
        host.pci = [
            devices.device(slot, one.vendor, one.device, one.kind, one.name) for slot, one in enumerate(wanted.pci)
        ]
    cloud.speeds.host_race_window = window
    return cloud


def set_endpoint(cloud: Cloud, endpoint: str) -> None:
    """The address under which a standalone zone knows itself; in a federation it is what somebody wrote there."""
    if cloud.federation.conf.mode is Mode.STANDALONE:
        cloud.zones[0].template.put("ENDPOINT", endpoint)


def _people(cloud: Cloud, password: str) -> None:
    cloud.vdcs[0] = Vdc(
        0,
        "default",
        clusters={(0, -10)},
        template=Template({"DESCRIPTION": ["Every new group is added to this VDC."]}),
    )
    cloud.groups[0] = Group(0, "oneadmin", permissions=Permissions(group_u=1))
    users = new_group(cloud, "users", USERS_GROUP)
    users.template.put("SUNSTONE", {"DEFAULT_VIEW": "cloud", "VIEWS": "cloud"})
    everybody = AclRule(ALL, RESOURCES["ZONE"] | ALL, RIGHTS["USE"], ALL)
    add_rule(cloud, everybody)
    markets = RESOURCES["MARKETPLACE"] | RESOURCES["MARKETPLACEAPP"] | ALL
    add_rule(cloud, AclRule(ALL, markets, RIGHTS["USE"], ALL))
    cloud.users[ONEADMIN] = User(ONEADMIN, "oneadmin", password=digest(password), groups={0})
    cloud.users[1] = User(1, "serveradmin", uid=1, uname="serveradmin", driver="server_cipher", groups={0})
    for user in cloud.users.values():
        user.template.put("TOKEN_PASSWORD", digest(f"{cloud.uuid}{user.oid}"))
        user.password = user.password or digest(cloud.uuid)
    cloud.reserve_ids("USER", 2)


def _datastore(oid: int, name: str, kind: int) -> Datastore:
    ds_type = next(text for text, number in DATASTORE_TYPES.items() if number == kind)
    ds_mad = "-" if kind == SYSTEM else "fs"
    template = Template(
        {
            "ALLOW_ORPHANS": ["YES"],
            "DISK_TYPE": ["FILE"],
            "PERSISTENT_SNAPSHOTS": ["YES"],
            "RESTRICTED_DIRS": ["/"],
            "SAFE_DIRS": ["/var/tmp"],
            "TM_MAD": ["ssh"],
            "TYPE": [ds_type],
        }
    )
    if kind == SYSTEM:
        for attribute in ("DS_LIVE_MIGRATE", "DS_MIGRATE", "DS_MIGRATE_SNAP"):
            template.put(attribute, "YES")
        template.put("SHARED", "NO")
    else:
        for attribute, value in (("CLONE_TARGET", "SYSTEM"), ("DS_MAD", "fs"), ("LN_TARGET", "SYSTEM")):
            template.put(attribute, value)
    if kind == FILE:
        template.pop("DISK_TYPE")
    return Datastore(
        oid, name, template=template, ds_mad=ds_mad, tm_mad="ssh", type=kind, permissions=Permissions(group_u=1)
    )


def _default_security_group() -> SecurityGroup:
    rules = [{"PROTOCOL": "ALL", "RULE_TYPE": direction} for direction in ("OUTBOUND", "INBOUND")]
    template = Template({"DESCRIPTION": ["The default security group is added to every network."], "RULE": [*rules]})
    return SecurityGroup(0, "default", template=template, permissions=Permissions(owner_a=1, group_u=1, other_u=1))


# What the public marketplace offers: name, version, MB.
_APPS = (
    ("Ubuntu 24.04", "7.0.0-0-20250528", 3584),
    ("Ubuntu 22.04", "7.0.0-0-20250528", 2252),
    ("Debian 12", "7.0.0-0-20250528", 2048),
    ("AlmaLinux 9", "7.0.0-0-20250528", 10240),
    ("Alpine Linux 3.21", "7.0.0-0-20250528", 256),
)


def _marketplace(cloud: Cloud) -> None:
    public = Marketplace(
        cloud.next_id("MARKETPLACE"), "OpenNebula Public", permissions=Permissions(owner_a=1, group_u=1, other_u=1)
    )
    public.template.put("DESCRIPTION", "OpenNebula Systems MarketPlace")
    public.template.put("MARKET_MAD", "one")
    cloud.marketplaces[public.oid] = public
    for name, version, size in _APPS:
        app = MarketApp(
            cloud.next_id("MARKETPLACEAPP"),
            name,
            permissions=Permissions(owner_a=1, group_u=1, other_u=1),
            market_id=public.oid,
            regtime=1_748_390_400,
            source=f"https://marketplace.opennebula.io//appliance/{digest(name)[:32]}/download/0",
            md5=digest(name + version)[:32],
            size=size,
            description=f"{name} image for KVM hosts.",
            version=version,
            app_template=base64.b64encode(b'DEV_PREFIX="vd"\nTYPE="OS"\n').decode(),
        )
        cloud.apps[app.oid] = app
        public.apps.add(app.oid)
