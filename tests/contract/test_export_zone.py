"""What a zone runs, written down: a zoo of machines that people made, on a front-end with the real wire format. Applied by the
operator's own controllers, what is written has an empty plan.
"""

from __future__ import annotations

import asyncio
import re
import time
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from tests.contract.live_cloud import FAST
from tests.unit.kinds.opennebula_in_memory import World, look, resource, run

from sovereigncloud.api import KINDS
from sovereigncloud.commands.export.cloud import declared, with_zone
from sovereigncloud.commands.export.manifests import Names, as_yaml
from sovereigncloud.commands.export.selection import Wanted
from sovereigncloud.core.outcome import Phase
from sovereigncloud.engine.loop.read_only_context import OPENNEBULA_READS, only_reads
from sovereigncloud.kinds import CONTROLLERS
from sovereigncloud.ports.opennebula.security_groups import SecurityRule
from sovereigncloud.providers.opennebula.factory import open_nebula_factory
from sovereigncloud_sandbox.opennebula.background import BackgroundSandbox
from sovereigncloud_sandbox.opennebula.install import CloudSpec, HostSpec

NOW = datetime(2026, 11, 28, tzinfo=UTC)
FIRST = ("SovereignCloud", "VirtualNetwork", "SecurityGroup", "MachineImage", "HostedInstance")
NAMES = Names("team", open_nebula_secret="one-admin")
DOORS: Any = SimpleNamespace(controllers=CONTROLLERS, now=lambda: NOW)
MODELS = {kind.crd.kind: kind for kind in KINDS}
RULES = (
    SecurityRule("TCP", "INBOUND", "22,80:90"),
    SecurityRule("ICMP", "INBOUND", icmp_type="8"),
    SecurityRule("ALL", "OUTBOUND", ip="10.0.0.0", size="256"),
)
MARK = {
    "SOVEREIGNCLOUD_INSTALLATION": "other-7",
    "SOVEREIGNCLOUD_OBJECT": "HostedInstance/x/y",
    "SOVEREIGNCLOUD_UID": "u",
}
ZOO: dict[str, dict[str, Any]] = {
    "web": {"NIC": [{"NETWORK_ID": "$lan"}]},
    "Büro, Straße (7) ~ %": {"CPU": "0.5"},
    "WEB": {},
    "w" * 128: {},
    "---": {},
    "two cards in one network": {"NIC": [{"NETWORK_ID": "$lan"}, {"NETWORK_ID": "$lan"}]},
    "card each": {"NIC": [{"NETWORK_ID": "$lan"}, {"NETWORK_ID": "$public"}]},
    "volatile only": {"DISK": [{"TYPE": "fs", "SIZE": "512", "FORMAT": "raw"}]},
    "no disk": {"DISK": []},
    "volatile beside": {"DISK": [{"IMAGE_ID": "$image"}, {"TYPE": "swap", "SIZE": "64"}]},
    "two of one image": {"DISK": [{"IMAGE_ID": "$image"}, {"IMAGE_ID": "$image"}]},
    "a disk of its own": {"DISK": [{"IMAGE_ID": "$image"}, {"IMAGE_ID": "$data"}]},
    "odd size": {"MEMORY": "777", "CPU": "1.25", "VCPU": "3"},
    "tiny": {"MEMORY": "8"},
    "labelled": {"LABELS": "prod,db", "TEAM": "blue"},
    "theirs": MARK,
    "no vcpu": {"VCPU": None},
    "a model": {"CPU_MODEL": [{"MODEL": "host-passthrough"}]},
    "room to grow": {"VCPU_MAX": "4", "MEMORY_MAX": "1024"},
    "filtered": {"NIC": [{"NETWORK_ID": "$lan", "SECURITY_GROUPS": "$group"}]},
}


@pytest.fixture(scope="module")
def endpoint():
    with BackgroundSandbox(
        CloudSpec("zoo", hosts=(HostSpec("127.0.0.2", cpu=6400, memory=256 << 20),), speeds=FAST)
    ) as sandbox:
        time.sleep(0.3)  # until the datastores are monitored
        yield sandbox.endpoint("zoo")


@pytest.fixture(scope="module")
def stocked(endpoint):
    asyncio.run(_stock(endpoint))
    return endpoint


@pytest.fixture
def zoo(stocked):
    client = _client(stocked)
    yield client
    client.close()


def _client(endpoint: str) -> Any:
    return open_nebula_factory(rate=500, burst=500)(endpoint, "oneadmin", "opennebula", "")


async def _stock(endpoint: str) -> None:
    """What people made, with the raw calls."""
    keeper = _client(endpoint)
    image = await keeper.create_image({"NAME": "debian", "TYPE": "OS", "PATH": "https://images.example/d.qcow2"}, 1)
    data = await keeper.create_image(
        {"NAME": "Daten + Archiv", "TYPE": "DATABLOCK", "SIZE": "128", "PERSISTENT": "YES"}, 1
    )
    vlan = {
        "NAME": "lan",
        "VN_MAD": "802.1Q",
        "VLAN_ID": "100",
        "PHYDEV": "bond9",
        "DNS": "9.9.9.9 1.1.1.1",
        "MTU": "9000",
    }
    lan = await keeper.create_network({**vlan, "AR": [{"TYPE": "IP4", "IP": "10.0.0.10", "SIZE": "50"}]}, 0)
    block = {"NETWORK_ADDRESS": "57.131.167.176", "NETWORK_MASK": "255.255.255.240", "GATEWAY": "57.131.167.190"}
    public = await keeper.create_network(
        {
            "NAME": "public",
            "VN_MAD": "bridge",
            "BRIDGE": "br0",
            **block,
            "AR": [{"TYPE": "IP4", "IP": "57.131.167.177", "SIZE": "13"}],
        },
        0,
    )
    await keeper.create_network({"NAME": "empty", "VN_MAD": "bridge", "BRIDGE": "br1", "AR": []}, 0)
    bridged = {
        "NAME": "br",
        "VN_MAD": "bridge",
        "BRIDGE": "br7",
        "AR": [{"TYPE": "IP4", "IP": "10.9.0.1", "SIZE": "9"}],
    }
    await keeper.create_network(bridged, 0)
    vxlan = {"NAME": "vx", "VN_MAD": "vxlan", "VLAN_ID": "70000", "PHYDEV": "bond9"}
    await keeper.create_network({**vxlan, "AR": [{"TYPE": "IP4", "IP": "10.8.0.1", "SIZE": "9"}]}, 0)
    scratch = await keeper.create_image({"NAME": "leer", "TYPE": "DATABLOCK", "SIZE": "64"}, 1)
    await _until(lambda: _ready(keeper, image, data, scratch))
    group = await keeper.security_groups.create("web", RULES, {"TEAM": "blue"})
    numbers = {"$group": str(group), "$lan": str(lan), "$public": str(public), "$image": str(image), "$data": str(data)}
    for name, more in ZOO.items():
        whole = {"NAME": name, "CPU": "1", "VCPU": "1", "MEMORY": "256", "DISK": [{"IMAGE_ID": "$image"}], **more}
        await keeper.create_vm(_filled({key: value for key, value in whole.items() if value is not None}, numbers))
    await _until(lambda: _running(keeper))
    keeper.close()


def _filled(template: dict[str, Any], numbers: dict[str, str]) -> dict[str, Any]:
    def fill(value: Any) -> Any:
        if isinstance(value, list):
            return [{k: numbers.get(v, v) for k, v in one.items()} for one in value]
        return value

    return {key: fill(value) for key, value in template.items()}


async def _until(holds: Any) -> None:
    end = time.monotonic() + 30
    while not await holds():
        assert time.monotonic() < end
        await asyncio.sleep(0.05)


async def _ready(keeper: Any, *images: int) -> bool:
    found = (await keeper.view(0.0)).images
    return all(found[one].state in {1, 2} for one in images)


async def _running(keeper: Any) -> bool:
    return all((vm.state, vm.lcm_state) == (3, 3) for vm in (await keeper.view(0.0)).vms.values())


async def written(client: Any, **only: Any) -> Any:
    reader = only_reads(client, OPENNEBULA_READS, "OpenNebula")
    wanted = Wanted(**only)
    return await with_zone(declared("https://one.example.fr/RPC2", "", NAMES, wanted), reader, wanted, DOORS)


def called(result: Any, kind: str = "HostedInstance") -> set[str]:
    return {one["spec"].get("name", one["metadata"]["name"]) for one in result.documents if one["kind"] == kind}


async def test_applied_as_it_is_nothing_is_to_be_done(zoo) -> None:
    text = as_yaml(await written(zoo))
    documents = list(yaml.safe_load_all(text))
    assert [kind for kind in FIRST if kind not in {one["kind"] for one in documents}] == []
    seen = set()
    for one in documents[1:]:
        meta = one["metadata"]
        assert re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", meta["name"]), meta
        assert (one["kind"], meta["name"]) not in seen
        seen.add((one["kind"], meta["name"]))
        told = MODELS[one["kind"]].model_validate(
            {**one, "metadata": {**meta, "uid": "u-1", "generation": 1}, "status": {}}
        )
        world = World(**{documents[0]["metadata"]["name"]: zoo})
        plan = await look(CONTROLLERS[one["kind"]], told, world)
        assert plan.drift == (), one
        assert [s.target for s in plan.steps if not (s.only_marks or s.inside)] == [], one
        assert plan.outcome.phase in {Phase.DONE, Phase.WAITING}, (one, plan.outcome)
    machines = [one for one in documents if one["kind"] == "HostedInstance"]
    assert len(machines) == len(ZOO) - 1
    assert {one["spec"]["adopt"]["id"] for one in machines} == {
        str(v.id) for v in (await zoo.view(0.0)).vms.values() if v.mark is None
    }


async def test_what_can_be_said_is_said_and_what_cannot_is_told(zoo) -> None:
    result = await written(zoo)
    spec = {one["spec"].get("name", one["metadata"]["name"]): one["spec"] for one in result.documents}
    told = {
        one["spec"].get("name", one["metadata"]["name"]): " ".join(
            result.comments.get((one["kind"], one["metadata"]["name"]), ())
        )
        for one in result.documents
    }
    assert (spec["odd size"]["memory"], spec["odd size"]["cpu"], spec["odd size"]["vcpu"]) == ("777Mi", "1.25", 3)
    assert [card["name"] for card in spec["card each"]["networks"]] == ["lan", "public"]
    assert "networks" not in spec["two cards in one network"]
    assert "several cards in one network" in told["two cards in one network"]
    assert "source" not in spec["volatile only"]
    assert "cannot be made anew" in told["volatile only"]
    assert "disks" not in spec["volatile beside"]
    assert "volatile disk" in told["volatile beside"]
    assert "two disks of one image" in told["two of one image"]
    assert spec["a disk of its own"]["disks"][1] == {"name": "daten-archiv", "image": "Daten + Archiv"}
    assert "memory" not in spec["tiny"]
    assert spec["a model"]["cpuModel"] == "host-passthrough"
    assert spec["room to grow"]["hotResize"] == {"maxVcpu": 4, "maxMemory": "1Gi"}
    assert spec["filtered"]["networks"][0]["securityGroups"] == ["default", "web"]
    assert (spec["br"]["bridge"], spec["vx"]["vxlanID"], spec["vx"]["physicalDevice"]) == ("br7", 70000, "bond9")
    assert spec["lan"]["vlanID"] == 100
    assert (spec["lan"]["physicalDevice"], spec["lan"]["mtu"], spec["lan"]["dns"]) == (
        "bond9",
        9000,
        ["9.9.9.9", "1.1.1.1"],
    )
    assert (spec["public"]["publicBlock"], spec["public"]["gateway"]) == ("57.131.167.176/28", "57.131.167.190")
    (group,) = [one["spec"] for one in result.documents if one["kind"] == "SecurityGroup"]
    assert group["rules"] == [
        {"direction": "Inbound", "protocol": "TCP", "range": "22,80:90"},
        {"direction": "Inbound", "protocol": "ICMP", "icmpType": 8},
        {"direction": "Outbound", "protocol": "ALL", "cidr": "10.0.0.0/24"},
    ]
    assert spec["debian"]["source"] == {"url": "https://images.example/d.qcow2"}
    assert any("installation other-7" in note and "HostedInstance x/y" in note for note in result.notes)
    assert any('"empty" is left out' in note for note in result.notes)
    assert "source" not in spec["leer"]
    assert "where it came from is not known" in told["leer"]
    assert "Daten + Archiv" not in spec, "the disk of a machine is no image to make machines from"


MEMBERS = [
    ("VirtualNetwork", "network", "networks"),
    ("SecurityGroup", "security_group", "security_groups"),
    ("MachineImage", "image", "images"),
    ("HostedInstance", "vm", "vms"),
]


@pytest.mark.parametrize(("kind", "member", "pool"), MEMBERS, ids=[row[0] for row in MEMBERS])
async def test_taken_over_and_let_go_it_is_as_it_was(zoo, kind: str, member: str, pool: str) -> None:
    result = await written(zoo, kinds=(kind,))
    document = next(one for one in result.documents if one["kind"] == kind)
    spec = {key: value for key, value in document["spec"].items() if key != "management"}
    adopt = spec.get("adopt") or spec["cloudRefs"][0]["adopt"]
    number, world = int(adopt["id"]), World(**{"one-example-fr": zoo})

    async def seen() -> Any:
        return getattr(await zoo.view(0.0), pool)[number], (await zoo.particulars(member))[number]

    before = await seen()
    named = document["metadata"]["name"]
    mine, plan, _ = await run(CONTROLLERS[kind], resource(kind, named, spec), world)
    assert [step.action for step in plan.steps] == ["Mark"]
    assert (await seen())[0].mark is not None

    async def quiet() -> bool:  # a group that is marked is told to its machines anew by oned itself
        _, plan, outcome = await run(CONTROLLERS[kind], mine, world)
        assert (plan.steps, plan.drift) == ((), ())
        return outcome.phase is Phase.DONE

    await _until(quiet)
    status = mine.status.model_dump(by_alias=True, exclude_none=True)
    await run(CONTROLLERS[kind], resource(kind, named, spec, status, deleting=True), world)

    async def same() -> bool:
        return bool(await seen() == before)

    await _until(same)


FILTERS = [
    ("by the name, with a star", {"names": ("w*b",)}, {"web"}),
    ("by numbers and a name: both must hold", {"ids": (0, 1), "names": ("web",)}, {"web"}),
    ("by a label of Sunstone", {"labels": ("db",)}, {"labelled"}),
    ("by an attribute", {"labels": ("team=blue",)}, {"labelled"}),
    ("by a network", {"networks": ("public",)}, {"card each"}),
    ("of nobody", {"owners": ("nobody",)}, set()),
    ("of a group, by a name", {"groups": ("oneadmin",), "names": ("odd*",)}, {"odd size"}),
]


@pytest.mark.parametrize(("why", "only", "names"), FILTERS, ids=[row[0] for row in FILTERS])
async def test_only_what_is_asked_for(zoo, why: str, only: dict[str, Any], names: set[str]) -> None:
    assert called(await written(zoo, kinds=("HostedInstance",), **only)) == names, why


async def test_a_name_cannot_end_a_comment(zoo) -> None:
    text = as_yaml(await written(zoo))
    for line in text.splitlines():
        assert not line.startswith("#") or line.isprintable()
    assert "secret" not in text.replace("kubectl create secret", "").replace(
        "credentialsSecretRef", ""
    ).lower().replace("# make these secrets", "")
