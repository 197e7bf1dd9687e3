"""Initial data: the account of OVHcloud's OpenNebula guide, and functions that add resources.

Two Scale servers in Roubaix, each with a public and a private aggregation of two NICs, a vRack, and a block of sixteen
addresses that is not routed yet. Beside them a spare server that sits in another vRack, and an Eco server without any
virtual interface. Names and addresses are those of the guide's examples.
"""

import ipaddress
import time
import zlib
from typing import Final

from sovereigncloud_sandbox.ovh.catalogue import REGIONS, TEMPLATES
from sovereigncloud_sandbox.ovh.state import (
    AccessRule,
    Account,
    ApplicationKey,
    DnsRecord,
    DnsZone,
    Grant,
    IpBlock,
    Resource,
    Server,
    ServiceAccount,
    State,
    Vrack,
)
from sovereigncloud_sandbox.ovh.wire import Json, stable_uuid

ACCOUNT: Final = "xx1111-ovh"
VRACK: Final = "pn-123456"
OTHER_VRACK: Final = "pn-654321"
SERVERS: Final = ("ns3012345.ip-57-131-167.eu", "ns3012346.ip-57-131-167.eu")
SPARE: Final = "ns3012347.ip-57-131-167.eu"
ECO: Final = "ns3054321.ip-51-178-10.eu"
BLOCK: Final = "57.131.167.176/28"

_YEAR: Final = 365 * 86400.0


def default_state() -> State:
    """The guide's world: one account with one application key and one service account that may do everything."""
    state = State()
    add_account(state, ACCOUNT)
    for number, name in enumerate(SERVERS):
        add_server(state, name, ip=f"57.131.167.{160 + number}")
    spare = add_server(state, SPARE, ip="57.131.167.162")
    add_server(state, ECO, ip="51.178.10.20", eco=True, region="eu-west-gra", datacenter="gra3")
    add_vrack(state, VRACK)
    add_vrack(state, OTHER_VRACK)
    spare.vnis[1]["vrack"] = OTHER_VRACK
    add_block(state, BLOCK)
    return state


def add_account(state: State, nichandle: str, *, grants: list[Grant] | None = None) -> Account:
    """An account with an application key and a service account. Keys are derived from its name, for a sandbox only."""
    account = Account(nichandle)
    now = time.time()
    rules = [AccessRule(method, "/*") for method in ("GET", "POST", "PUT", "DELETE")]
    number = len(state.accounts) + 1
    state.accounts.append(account)
    state.application_keys.append(
        ApplicationKey(
            account=nichandle,
            application_key=_token(nichandle, "ak", 16),
            application_secret=_token(nichandle, "as", 32),
            consumer_key=_token(nichandle, "ck", 32),
            rules=rules,
            application_id=number,
            credential_id=1000 + number,
            created=now,
        )
    )
    state.service_accounts.append(
        ServiceAccount(
            account=nichandle,
            client_id=f"EU.{_token(nichandle, 'client', 16)}",
            client_secret=_token(nichandle, "secret", 32),
            grants=[Grant()] if grants is None else grants,
        )
    )
    return account


def add_server(
    state: State,
    name: str,
    *,
    ip: str,
    account: str = ACCOUNT,
    region: str = "eu-west-rbx",
    datacenter: str = "rbx8",
    display_name: str = "",
    eco: bool = False,
    disk_groups: int = 1,
) -> Server:
    """A server with two aggregations of two NICs, or an Eco server with one NIC and no virtual interface."""
    nics, vnis = ([_nic(name, 0, "public", None)], []) if eco else _aggregations(name)
    now = time.time()
    server = Server(
        account=account,
        resource=_resource("dedicatedServer", name, display_name or name),
        document=_server_document(name, ip, region, datacenter, eco=eco),
        nics=nics,
        vnis=vnis,
        hardware=_hardware(disk_groups),
        network=_network(ip, eco=eco),
        orderable=_orderable(),
        service_id=_number(name),
        compatible=[one for one in TEMPLATES if not (eco and one == "byolinux_64")],
        created=now - _YEAR,
        expires=now + _YEAR,
    )
    state.servers[name] = server
    main = add_block(state, f"{ip}/32", account=account, region=region, routed_to=name)
    main.document.update(type="dedicated", isAdditionalIp=False, canBeTerminated=False)
    return server


def add_vrack(state: State, name: str, *, account: str = ACCOUNT, display_name: str = "") -> Vrack:
    """An empty vRack."""
    now = time.time()
    vrack = Vrack(
        account=account,
        resource=_resource("vrack", name, display_name or name),
        document={"serviceName": name, "name": display_name or name, "description": ""},
        service_id=_number(name),
        created=now - _YEAR,
        expires=now + _YEAR,
    )
    state.vracks[name] = vrack
    return vrack


def add_block(
    state: State,
    block: str,
    *,
    account: str = ACCOUNT,
    region: str = "eu-west-rbx",
    routed_to: str | None = None,
) -> IpBlock:
    """An Additional IP block, parked unless `routed_to` names a service."""
    network = ipaddress.ip_network(block)
    home = REGIONS[region]
    made = IpBlock(
        account=account,
        resource=_resource("ip", block, block),
        document={
            "ip": block,
            "type": "failover",
            "version": str(network.version),
            "routedTo": None if routed_to is None else {"serviceName": routed_to},
            "regions": [region],
            "campus": home.campus,
            "country": home.country.lower(),
            "description": None,
            "isAdditionalIp": True,
            "bringYourOwnIp": False,
            "canBeTerminated": True,
            "organisationId": None,
            "rir": "RIPE" if home.geography[0] == "EU" else "ARIN",
        },
    )
    state.ips[block] = made
    return made


def add_zone(
    state: State, name: str, *, account: str = ACCOUNT, records: list[tuple[str, str, str]] | None = None
) -> DnsZone:
    """A DNS zone, published with these records: (subDomain, fieldType, target)."""
    zone = DnsZone(account=account, resource=_resource("dnsZone", name, name))
    for subdomain, kind, target in records or ():
        state.next_id += 1
        zone.records[state.next_id] = DnsRecord(subdomain, kind, target)
    zone.publish(time.time())
    state.zones[name] = zone
    return zone


def _token(nichandle: str, purpose: str, length: int) -> str:
    return (stable_uuid(f"{nichandle}/{purpose}/1") + stable_uuid(f"{nichandle}/{purpose}/2")).replace("-", "")[:length]


def _number(name: str) -> int:
    return 100_000_000 + zlib.crc32(name.encode()) % 100_000_000


def _resource(kind: str, name: str, display_name: str) -> Resource:
    return Resource(
        id=stable_uuid(f"{kind}/{name}"),
        urn=f"urn:v1:eu:resource:{kind}:{name}",
        type=kind,
        name=name,
        display_name=display_name,
    )


def _mac(name: str, number: int) -> str:
    seed = zlib.crc32(name.encode())
    last = (seed + number) % 256
    return f"a4:bf:01:{seed >> 16 & 0xFF:02x}:{seed >> 8 & 0xFF:02x}:{last:02x}"


def _nic(name: str, number: int, link: str, vni: str | None) -> Json:
    return {"mac": _mac(name, number), "linkType": link, "virtualNetworkInterface": vni}


def _aggregations(name: str) -> tuple[list[Json], list[Json]]:
    nics: list[Json] = []
    vnis: list[Json] = []
    for offset, link, mode in ((0, "public_lag", "public_aggregation"), (2, "private_lag", "vrack_aggregation")):
        uuid = stable_uuid(f"vni/{name}/{mode}")
        pair = [_nic(name, offset + number, link, uuid) for number in range(2)]
        nics += pair
        vnis.append(
            {
                "uuid": uuid,
                "name": mode,
                "mode": mode,
                "enabled": True,
                "serverName": name,
                "networkInterfaceController": [nic["mac"] for nic in pair],
                "vrack": None,
            }
        )
    return nics, vnis


def _server_document(name: str, ip: str, region: str, datacenter: str, *, eco: bool) -> Json:
    return {
        "name": name,
        "serverId": int(name.split(".", maxsplit=1)[0].removeprefix("ns")),
        "ip": ip,
        "reverse": name,
        "datacenter": datacenter,
        "region": region,
        "availabilityZone": REGIONS[region].availability_zones[0],
        "rack": "R08A12",
        "state": "ok",
        "powerState": "poweron",
        "os": "none_64.en",
        "bootId": 1,
        "bootScript": None,
        "efiBootloaderPath": None,
        "commercialRange": "Rise" if eco else "SCALE-i1",
        "linkSpeed": 1000 if eco else 25000,
        "monitoring": True,
        "noIntervention": False,
        "professionalUse": False,
        "newUpgradeSystem": True,
        "supportLevel": "pro",
        "rescueMail": None,
        "rescueSshKey": None,
        "rootDevice": None,
    }


def _amount(value: int, unit: str) -> Json:
    return {"value": value, "unit": unit}


def _hardware(disk_groups: int) -> Json:
    return {
        "bootMode": "uefi",
        "coresPerProcessor": 16,
        "threadsPerProcessor": 32,
        "numberOfProcessors": 1,
        "processorArchitecture": "x86_64",
        "processorName": "EPYC 9135",
        "defaultHardwareRaidSize": None,
        "defaultHardwareRaidType": None,
        "description": "SCALE-i1 | EPYC 9135 | 128 GB | 2x NVMe 960 GB",
        "diskGroups": [
            {
                "diskGroupId": number,
                "numberOfDisks": 2,
                "diskType": "NVMe",
                "diskSize": _amount(960, "GB"),
                "description": f"2x NVMe 960 GB (group {number})",
                "raidController": None,
                "defaultHardwareRaidType": None,
                "defaultHardwareRaidSize": None,
            }
            for number in range(1, disk_groups + 1)
        ],
        "expansionCards": None,
        "formFactor": "1u",
        "memorySize": _amount(131072, "MB"),
        "motherboard": "S8040",
        "usbKeys": None,
    }


def _network(ip: str, *, eco: bool) -> Json:
    gateway = str(ipaddress.ip_network(f"{ip}/24", strict=False).broadcast_address - 1)
    layout = [
        {"type": "public", "count": 2, "aggregation": True},
        {"type": "vrack", "count": 2, "aggregation": True},
    ]
    return {
        "bandwidth": {
            "type": "included",
            "InternetToOvh": _amount(1000, "Mbps"),
            "OvhToInternet": _amount(1000, "Mbps"),
            "OvhToOvh": _amount(25000, "Mbps"),
        },
        "connection": _amount(25000, "Mbps"),
        "ola": {
            "available": not eco,
            "availableModes": [] if eco else [{"name": "double_lag", "default": True, "interfaces": layout}],
            "supportedModes": None if eco else ["public_aggregation", "vrack_aggregation"],
        },
        "routing": {
            "ipv4": {"ip": ip, "gateway": gateway, "network": str(ipaddress.ip_network(f"{ip}/24", strict=False))},
            "ipv6": None,
        },
        "switching": {"name": "rbx8-sw1"},
        "traffic": None,
        "vmac": {"quota": 256, "supported": True},
        "vrack": None if eco else {"type": "included", "bandwidth": _amount(25000, "Mbps")},
    }


def _orderable() -> Json:
    return {
        "ipv4": [
            {
                "type": "failover",
                "included": False,
                "number": 256,
                "ipNumber": 256,
                "blockSizes": ["1", "4", "8", "16", "32", "64", "128", "256"],
                "optionRequired": None,
            }
        ],
        "ipv6": None,
    }
