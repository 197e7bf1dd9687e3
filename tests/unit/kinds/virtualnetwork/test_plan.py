"""The plan of a VirtualNetwork, row by row."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from tests.unit.kinds.opennebula_in_memory import (
    SETTLED,
    US,
    OpenNebula,
    World,
    look,
    mark,
    network,
    resource,
    run,
    vm,
)

from sovereigncloud.core.outcome import Phase
from sovereigncloud.core.plan import Action, Cause, Step
from sovereigncloud.kinds.virtualnetwork.controller import VirtualNetworkController
from sovereigncloud.kinds.virtualnetwork.steps import (
    AddRange,
    CreateNetwork,
    DeleteNetwork,
    MarkNetwork,
    RecordNetwork,
    ReleaseNetwork,
    RemoveRange,
    ResizeRange,
    UpdateNetwork,
)
from sovereigncloud.ports.opennebula.views import AddressRange, Network, Nic

CONTROLLER = VirtualNetworkController()
CLOUD = {"cloudRef": {"name": "rbx"}}
BLOCK = CLOUD | {"publicBlock": "57.131.167.176/28"}
VLAN = CLOUD | {"vlanID": 100, "addressRanges": [{"ip": "10.100.0.10", "size": 200}]}
AS_IN_THE_GUIDE = {
    "VN_MAD": "bridge",
    "PHYDEV": "vrack_bond",
    "NETWORK_ADDRESS": "57.131.167.176",
    "NETWORK_MASK": "255.255.255.240",
    "GATEWAY": "57.131.167.190",
    "DNS": "213.186.33.99",
    "FILTER_IP_SPOOFING": "NO",
    "FILTER_MAC_SPOOFING": "NO",
}
TAGGED = {"VN_MAD": "802.1Q", "VLAN_ID": "100", "PHYDEV": "vrack_bond"}
INSTALLED = {
    "hosted": {"openNebula": {"install": {"architecture": "Basic", "version": "7.0"}}},
}
ADOPTED_CLOUD = {
    "hosted": {"openNebula": {"adopt": {"endpoint": "http://x/RPC2", "credentialsSecretRef": {"name": "s"}}}},
}
RECORDED = {"external": {"network": "3"}}


def wanted(spec: dict[str, Any], *, status: dict[str, Any] | None = None, **meta: Any) -> Any:
    return resource("VirtualNetwork", "net", {"name": "lan"} | spec, {**RECORDED, **(status or {})}, **meta)


def fresh(spec: dict[str, Any], **meta: Any) -> Any:
    return resource("VirtualNetwork", "net", {"name": "lan"} | spec, {}, **meta)


def ours(**fields: Any) -> Network:
    base = {"owner": US, "mark": mark("VirtualNetwork", "net"), "attributes": TAGGED}
    base |= {"ranges": (AddressRange("10.100.0.10", 200, 0),)}
    return network(**(base | fields))


def public(**fields: Any) -> Network:
    base = {"attributes": AS_IN_THE_GUIDE, "ranges": (AddressRange("57.131.167.177", 13, 0),)}
    return ours(**(base | fields))


def world(*things: Any, built: dict[str, Any] | None = None, others: tuple[Any, ...] = ()) -> World:
    made = World(others, rbx=OpenNebula(*things))
    made.built["rbx"] = built or INSTALLED
    return made


WORDS = {
    UpdateNetwork: lambda step: "update " + " ".join(f"{key}={value}" for key, value in step.attributes),
    AddRange: lambda step: f"add {step.range_.ip}+{step.range_.size}",
    ResizeRange: lambda step: f"resize {step.range_.id}={step.range_.size}",
    RemoveRange: lambda step: f"remove {step.range_id}",
    CreateNetwork: lambda _: "create",
    MarkNetwork: lambda step: "adopt" if step.adopting else "mark",
    RecordNetwork: lambda _: "record",
    DeleteNetwork: lambda _: "delete",
    ReleaseNetwork: lambda _: "release",
}


def told(step: Step) -> str:
    return WORDS[type(step)](step)


# --- making it -----------------------------------------------------------------------------------------------------------


async def test_a_public_block_becomes_the_network_of_the_guide() -> None:
    front = OpenNebula()
    made = World(rbx=front)
    settled, _, _ = await run(CONTROLLER, fresh(BLOCK), made)
    assert front.journal == [
        (
            "create_network",
            {
                "NAME": "lan",
                **AS_IN_THE_GUIDE,
                "AR": [{"TYPE": "IP4", "IP": "57.131.167.177", "SIZE": "13"}],
                **mark("VirtualNetwork", "net").for_opennebula(),
            },
            0,
        )
    ]
    assert settled.external == {"network": "101"}
    front.tick()
    settled, plan, outcome = await run(CONTROLLER, settled, made)
    assert (plan.steps, plan.drift, outcome.phase) == ((), (), Phase.DONE), "what was made is what is wanted"


async def test_a_vlan_is_tagged_on_the_physical_device() -> None:
    front = OpenNebula()
    spec = VLAN | {"mtu": 1500, "physicalDevice": "bond1", "dns": ["10.0.0.2", "10.0.0.3"], "gateway": "10.100.0.1"}
    await run(CONTROLLER, fresh(spec), World(rbx=front))
    template = {k: v for k, v in front.journal[0][1].items() if not k.startswith("SOVEREIGNCLOUD_")}
    assert template == {
        "NAME": "lan",
        "VN_MAD": "802.1Q",
        "VLAN_ID": "100",
        "PHYDEV": "bond1",
        "GATEWAY": "10.100.0.1",
        "DNS": "10.0.0.2 10.0.0.3",
        "MTU": "1500",
        "AR": [{"TYPE": "IP4", "IP": "10.100.0.10", "SIZE": "200"}],
    }


@pytest.mark.parametrize(
    ("spec", "says", "why"),
    [
        (BLOCK | {"addressRanges": [{"ip": "57.131.167.170", "size": 3}]}, "not within block", "outside its block"),
        (
            BLOCK | {"addressRanges": [{"ip": "57.131.167.180", "size": 11}]},
            "contains the gateway",
            "the gateway's own",
        ),
        (BLOCK | {"publicBlock": "57.131.167.177/28"}, "spec.publicBlock", "not the network address"),
        (
            VLAN | {"gateway": "10.100.0.10"},
            "contains the gateway",
            "the first machine would get the gateway's address",
        ),
        (CLOUD, "exactly one of publicBlock, vlanID, vxlanID, bridge and reservation", "neither"),
    ],
)
async def test_what_cannot_be_a_network(spec: dict[str, Any], says: str, why: str) -> None:
    plan = await look(CONTROLLER, fresh(spec), world())
    assert (plan.steps, plan.outcome.phase, plan.outcome.reason) == ((), Phase.STALLED, "InvalidSpec"), why
    assert says in plan.outcome.message, why


# --- one of that name is there -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Namesake:
    why: str
    spec: dict[str, Any]
    found: Network
    built: dict[str, Any]
    steps: tuple[str, ...] = ()
    reason: str = ""
    says: str = ""


UNMARKED = {"mark": None}
NAMESAKES = [
    Namesake(
        "in a cloud that we installed, an unmarked one is a stranger's, also where it is the same",
        VLAN, ours(**UNMARKED), INSTALLED,
        reason="NameTaken", says='SOVEREIGNCLOUD_OBJECT="VirtualNetwork/team/net"',
    ),
    Namesake("in an adopted cloud it is the one that spec means", VLAN, ours(**UNMARKED), ADOPTED_CLOUD, ("adopt",)),
    Namesake(
        "in an existing cloud, too", VLAN, ours(**UNMARKED),
        {"existing": {"endpoint": "http://x/RPC2", "credentialsSecretRef": {"name": "s"}}}, ("adopt",),
    ),
    Namesake(
        "the guide writes no NETWORK_ADDRESS: recognised by its addresses",
        BLOCK, public(mark=None, attributes={"VN_MAD": "bridge"}), ADOPTED_CLOUD, ("adopt",),
    ),
    Namesake(
        "another VLAN: machines would lose their network if it were corrected",
        VLAN, ours(mark=None, attributes=TAGGED | {"VLAN_ID": "200"}), ADOPTED_CLOUD,
        reason="NameTaken", says="another VLAN",
    ),
    Namesake(
        "addresses of another block", BLOCK, ours(**UNMARKED), ADOPTED_CLOUD, reason="NameTaken", says="other addresses",
    ),
    Namesake(
        "another object of ours", VLAN, ours(mark=mark("VirtualNetwork", "other")), ADOPTED_CLOUD,
        reason="NameTaken", says="it belongs to VirtualNetwork team/other",
    ),
    Namesake(
        "another installation's", VLAN, ours(mark=mark("VirtualNetwork", "net", installation="inst-2")), ADOPTED_CLOUD,
        reason="OwnedByAnotherInstallation", says="inst-2",
    ),
    Namesake("another user's: names are taken per owner", VLAN, ours(mark=None, owner=7), ADOPTED_CLOUD, ("create",)),
    Namesake(
        "ours, its record lost", VLAN, ours(), INSTALLED, ("record",),
    ),
    Namesake(
        "ours from before the cluster was rebuilt: marked anew",
        VLAN, ours(mark=mark("VirtualNetwork", "net", uid="uid-before")), INSTALLED, ("mark",),
    ),
]  # fmt: skip


@pytest.mark.parametrize("row", NAMESAKES, ids=lambda row: row.why)
async def test_a_network_of_that_name(row: Namesake) -> None:
    plan = await look(CONTROLLER, fresh(row.spec), world(row.found, built=row.built))
    assert tuple(told(step) for step in plan.steps) == row.steps, row.why
    if row.reason:
        assert (plan.outcome.phase, plan.outcome.reason) == (Phase.STALLED, row.reason), row.why
        assert row.says in plan.outcome.message, row.why


async def test_what_was_adopted_keeps_what_spec_does_not_speak_of() -> None:
    by_hand = {"VN_MAD": "fw", "PHYDEV": "bond7", "DNS": "9.9.9.9", "NETWORK_MASK": "255.255.255.0"}
    front = OpenNebula(public(mark=None, attributes=by_hand, ranges=(AddressRange("57.131.167.180", 4, 0),)))
    made = World(rbx=front)
    made.built["rbx"] = ADOPTED_CLOUD
    settled, plan, _ = await run(CONTROLLER, fresh(BLOCK), made)
    assert {d.path for d in plan.drift} == {"spec.publicBlock", "spec.gateway"}, "shown before anything is changed"
    assert [entry[0] for entry in front.journal] == ["update_network"]
    for _ in range(3):
        settled, plan, _ = await run(CONTROLLER, settled, made)
    assert plan.steps == ()
    kept = front.networks[3].attributes
    assert (kept["VN_MAD"], kept["PHYDEV"], kept["DNS"]) == ("fw", "bond7", "9.9.9.9")
    assert (kept["NETWORK_MASK"], kept["GATEWAY"]) == ("255.255.255.240", "57.131.167.190")
    assert front.networks[3].ranges == (AddressRange("57.131.167.180", 4, 0),)


KNOWN = {"network": "3", "adopted": "yes"}


@pytest.mark.parametrize(
    ("external", "policy", "steps"),
    [
        ({}, {}, ("release",)),
        ({}, {"deletionPolicy": "Retain"}, ()),
        ({}, {"deletionPolicy": "Delete"}, ("delete",)),
        (KNOWN, {}, ("release",)),
        (KNOWN, {"deletionPolicy": "Retain"}, ("release",)),
        (KNOWN, {"deletionPolicy": "Delete"}, ("delete",)),
    ],
)
async def test_what_was_adopted_stays_unless_spec_says_otherwise(
    external: dict[str, str], policy: dict[str, str], steps: tuple[str, ...]
) -> None:
    adopted = ours(attributes=TAGGED | {"SOVEREIGNCLOUD_ADOPTED": "YES"})
    going = resource("VirtualNetwork", "net", {"name": "lan"} | VLAN | policy, {"external": external}, deleting=True)
    plan = await look(CONTROLLER, going, world(adopted))
    assert tuple(told(step) for step in plan.steps) == steps
    assert plan.outcome.phase is (Phase.WAITING if steps else Phase.DONE)


# --- keeping it ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    why: str
    spec: dict[str, Any] = field(default_factory=dict)
    found: Network = field(default_factory=ours)
    machines: tuple[Any, ...] = ()
    drift: dict[str, tuple[str, str]] = field(default_factory=dict)
    steps: tuple[str, ...] = ()
    phase: Phase = Phase.DONE
    reason: str = ""
    says: str = ""


def edited(**attributes: str) -> Network:
    return public(attributes=AS_IN_THE_GUIDE | attributes)


ON_LAN = vm(nics=(Nic(0, 3, "lan", "10.100.0.150", ""),))
KEEPING = [
    Row("a VLAN as declared", VLAN),
    Row("a public network as declared", BLOCK, public()),
    Row(
        "somebody changed the gateway", BLOCK, edited(GATEWAY="57.131.167.177"),
        drift={"spec.gateway": ("57.131.167.190", "57.131.167.177")}, steps=("update GATEWAY=57.131.167.190",),
    ),
    Row(
        "somebody changed DNS", BLOCK, edited(DNS="8.8.8.8"),
        drift={"spec.dns": ("213.186.33.99", "8.8.8.8")}, steps=("update DNS=213.186.33.99",),
    ),
    Row(
        "two attributes that one field owns are one entry and one step",
        BLOCK, edited(NETWORK_MASK="255.255.255.0", VN_MAD="fw"),
        drift={
            "spec.publicBlock": (
                "NETWORK_MASK=255.255.255.240, VN_MAD=bridge", "NETWORK_MASK=255.255.255.0, VN_MAD=fw",
            ),
        },
        steps=("update NETWORK_MASK=255.255.255.240 VN_MAD=bridge",),
    ),
    Row(
        "two fields are two steps: each may have its own drift policy",
        BLOCK, edited(DNS="8.8.8.8", PHYDEV="eth0"),
        drift={"spec.physicalDevice": ("vrack_bond", "eth0"), "spec.dns": ("213.186.33.99", "8.8.8.8")},
        steps=("update PHYDEV=vrack_bond", "update DNS=213.186.33.99"),
    ),
    Row(
        "somebody changed the VLAN", VLAN, ours(attributes=TAGGED | {"VLAN_ID": "7"}),
        drift={"spec.vlanID": ("VLAN_ID=100", "VLAN_ID=7")}, steps=("update VLAN_ID=100",),
    ),
    Row("an MTU that spec does not speak of", VLAN, ours(attributes=TAGGED | {"MTU": "9000"})),
    Row(
        "an MTU that is declared", VLAN | {"mtu": 1500}, ours(attributes=TAGGED | {"MTU": "9000"}),
        drift={"spec.mtu": ("1500", "9000")}, steps=("update MTU=1500",),
    ),
    Row("attributes that nobody asked for are left alone", VLAN, ours(attributes=TAGGED | {"BRIDGE": "onebr.100"})),
    Row(
        "renamed: instances look for it by name", VLAN, ours(name="lan-old"),
        drift={"spec.name": ("lan", "lan-old")}, phase=Phase.STALLED, reason="Renamed", says="onevnet rename 3",
    ),
    # -- ranges
    Row(
        "a range more in spec", VLAN | {"addressRanges": [*VLAN["addressRanges"], {"ip": "10.100.1.0", "size": 8}]},
        drift={"spec.addressRanges[10.100.1.0]": ("10.100.1.0+8", "absent")}, steps=("add 10.100.1.0+8",),
    ),
    Row(
        "a range that is longer in spec", VLAN | {"addressRanges": [{"ip": "10.100.0.10", "size": 220}]},
        drift={"spec.addressRanges[10.100.0.10]": ("10.100.0.10+220", "10.100.0.10+200")}, steps=("resize 0=220",),
    ),
    Row(
        "a range that spec does not have", VLAN,
        ours(ranges=(AddressRange("10.100.0.10", 200, 0), AddressRange("10.9.0.1", 5, 4))),
        drift={"spec.addressRanges[10.9.0.1]": ("absent", "10.9.0.1+5")}, steps=("remove 4",),
    ),
    Row("ranges that spec does not speak of", CLOUD | {"vlanID": 100}),
    Row(
        "a range without IPv4 addresses is nothing that spec can name", VLAN,
        ours(ranges=(AddressRange("10.100.0.10", 200, 0), AddressRange("", 5, 4))),
    ),
    Row(
        "a range in use is not removed: the machines are named",
        VLAN | {"addressRanges": []}, ours(ranges=(AddressRange("10.100.0.10", 200, 0),)), (ON_LAN,),
        drift={"spec.addressRanges[10.100.0.10]": ("absent", "10.100.0.10+200")},
        phase=Phase.STALLED, reason="InUse", says='VM 12 "web" (10.100.0.150)',
    ),
    Row(
        "cut below an address in use", VLAN | {"addressRanges": [{"ip": "10.100.0.10", "size": 100}]},
        ours(), (ON_LAN,),
        drift={"spec.addressRanges[10.100.0.10]": ("10.100.0.10+100", "10.100.0.10+200")},
        phase=Phase.STALLED, reason="InUse", says="cut to 10.100.0.10+100",
    ),
    Row(
        "cut above the addresses in use", VLAN | {"addressRanges": [{"ip": "10.100.0.10", "size": 150}]},
        ours(), (ON_LAN,),
        drift={"spec.addressRanges[10.100.0.10]": ("10.100.0.10+150", "10.100.0.10+200")}, steps=("resize 0=150",),
    ),
    Row(
        "addresses that no machine explains are held by somebody",
        VLAN | {"addressRanges": []}, ours(ranges=(AddressRange("10.100.0.10", 200, 0, used=3),)), (ON_LAN,),
        drift={"spec.addressRanges[10.100.0.10]": ("absent", "10.100.0.10+200")},
        phase=Phase.STALLED, reason="InUse", says="2 addresses held or reserved",
    ),
    Row(
        "a moved range: the old one goes first, since OpenNebula takes overlapping ones",
        VLAN | {"addressRanges": [{"ip": "10.100.0.20", "size": 190}]},
        drift={
            "spec.addressRanges[10.100.0.10]": ("absent", "10.100.0.10+200"),
            "spec.addressRanges[10.100.0.20]": ("10.100.0.20+190", "absent"),
        },
        steps=("remove 0", "add 10.100.0.20+190"),
    ),
    Row(
        "a moved range whose old one is in use: nothing that overlaps it is added",
        VLAN | {"addressRanges": [{"ip": "10.100.0.20", "size": 190}]}, ours(), (ON_LAN,),
        drift={
            "spec.addressRanges[10.100.0.10]": ("absent", "10.100.0.10+200"),
            "spec.addressRanges[10.100.0.20]": ("10.100.0.20+190", "absent"),
        },
        phase=Phase.STALLED, reason="InUse",
    ),
    # -- states
    Row("being made", VLAN, ours(state=2), phase=Phase.WAITING, reason="NetworkNotReady"),
    Row("being deleted by somebody", VLAN, ours(state=3), phase=Phase.WAITING, reason="Deleting"),
    Row("broken", VLAN, ours(state=5), phase=Phase.STALLED, reason="NetworkError", says="onevnet recover 3"),
    Row(
        "an update of machines failed: said, and still kept as declared", BLOCK,
        replace(edited(DNS="8.8.8.8"), state=6), drift={"spec.dns": ("213.186.33.99", "8.8.8.8")},
        steps=("update DNS=213.186.33.99",), phase=Phase.STALLED, reason="UpdateFailure",
    ),
]  # fmt: skip


@pytest.mark.parametrize("row", KEEPING, ids=lambda row: row.why)
async def test_a_network_that_is_there(row: Row) -> None:
    plan = await look(CONTROLLER, wanted(row.spec), world(row.found, *row.machines))
    assert {d.path: (d.desired, d.observed) for d in plan.drift} == row.drift, row.why
    assert len(plan.drift) == len(row.drift), "status.drift is a map by path"
    assert tuple(told(step) for step in plan.steps) == row.steps, row.why
    assert (plan.outcome.phase, plan.outcome.reason) == (row.phase, row.reason), row.why
    assert row.says in plan.outcome.message, row.why
    assert all(set(step.fields) <= set(row.drift) for step in plan.steps), row.why


async def test_what_differs_after_it_was_reality_once_was_observed() -> None:
    for status, cause in ((SETTLED, Cause.OBSERVED), ({}, Cause.DECLARED)):
        plan = await look(CONTROLLER, wanted(BLOCK, status=status), world(edited(DNS="8.8.8.8")))
        assert [step.cause for step in plan.steps] == [cause]


# --- absence, deletion ---------------------------------------------------------------------------------------------------


async def test_a_network_that_somebody_deleted_is_made_again_once_the_brakes_admit_it() -> None:
    made = world()
    plan = await look(CONTROLLER, wanted(VLAN), made)
    assert (plan.absent, plan.steps, plan.outcome.reason) == (True, (), "ConfirmingAbsence")
    made.admitted = True
    plan = await look(CONTROLLER, wanted(VLAN), made)
    assert [told(step) for step in plan.steps] == ["create"]
    assert plan.steps[0].dangerous, "it is counted: what was seen asked for it, not spec"
    assert [(d.path, d.observed) for d in plan.drift] == [("spec", "network 3 is gone")]


INSTANCE = resource("HostedInstance", "db", {"source": {"image": "x"}, "networks": [{"name": "lan"}]})
GOING_INSTANCE = resource(
    "HostedInstance", "db", {"source": {"image": "x"}, "networks": [{"name": "lan"}]}, deleting=True
)
OTHER_INSTANCE = resource("HostedInstance", "db", {"source": {"image": "x"}, "networks": [{"name": "dmz"}]})


@pytest.mark.parametrize(
    ("found", "machines", "others", "steps", "phase", "says", "why"),
    [
        (ours(), (), (), ("delete",), Phase.WAITING, "", "nobody uses it"),
        (ours(), (ON_LAN,), (), (), Phase.BLOCKED, 'VM 12 "web"', "a machine has an address"),
        (ours(used_leases=2), (), (), (), Phase.BLOCKED, "2 addresses held", "addresses are held"),
        (ours(), (), (INSTANCE,), (), Phase.BLOCKED, "HostedInstance team/db", "an instance names it"),
        (ours(), (), (GOING_INSTANCE,), ("delete",), Phase.WAITING, "", "an instance that goes, and has no machine"),
        (ours(), (), (OTHER_INSTANCE,), ("delete",), Phase.WAITING, "", "an instance on another network"),
        (ours(state=3), (), (), (), Phase.WAITING, "being deleted", "asked already: not twice"),
        (ours(state=5), (), (), ("delete",), Phase.WAITING, "", "also when it is broken"),
    ],
)
async def test_deletion_waits_until_nobody_uses_it(
    found: Network,
    machines: tuple[Any, ...],
    others: tuple[Any, ...],
    steps: tuple[str, ...],
    phase: Phase,
    says: str,
    why: str,
) -> None:
    plan = await look(CONTROLLER, wanted(VLAN, deleting=True), world(found, *machines, others=others))
    assert tuple(told(step) for step in plan.steps) == steps, why
    assert plan.outcome.phase is phase, why
    assert plan.outcome.reason == ("InUse" if phase is Phase.BLOCKED else "Deleting"), why
    assert says in plan.outcome.message, why
    assert all(step.action is Action.DELETE for step in plan.steps)


async def test_deletion_from_the_order_to_the_end() -> None:
    made = world(ours())
    going = wanted(VLAN, deleting=True)
    going, plan, _ = await run(CONTROLLER, going, made)
    assert [told(step) for step in plan.steps] == ["delete"]
    assert going.external == {}, "forgotten at once: from here on its absence is no loss"
    going, plan, outcome = await run(CONTROLLER, going, made)
    assert (plan.steps, plan.absent, outcome.reason) == ((), False, "Deleting")
    (front,) = made.fronts.values()
    front.tick()
    going, plan, outcome = await run(CONTROLLER, going, made)
    assert (plan.steps, plan.absent, outcome.phase) == ((), False, Phase.DONE), "gone: no loss to be looked into"


@pytest.mark.parametrize(
    ("going", "made", "why"),
    [
        (wanted(VLAN | {"deletionPolicy": "Retain"}, deleting=True), World(rbx=None), "nothing is asked"),
        (fresh(VLAN, deleting=True), world(ours(mark=None)), "never made: the stranger's of that name stays"),
        (fresh(VLAN, deleting=True), World(), "its cloud never was"),
        (fresh(VLAN | {"cloudRef": {"name": "x", "namespace": "y"}}, deleting=True), World(), "it was never allowed"),
    ],
)
async def test_nothing_to_delete(going: Any, made: World, why: str) -> None:
    plan = await look(CONTROLLER, going, made)
    assert (plan.steps, plan.outcome.phase, plan.absent) == ((), Phase.DONE, False), why


async def test_another_namespace_needs_a_tenant() -> None:
    spec = VLAN | {"cloudRef": {"name": "rbx", "namespace": "platform"}}
    plan = await look(CONTROLLER, fresh(spec), world())
    assert (plan.steps, plan.outcome.reason) == ((), "NamespaceNotAllowed")
    assert CONTROLLER.uses(fresh(spec)).cloud is None


async def test_status_says_what_is_there() -> None:
    made = world(public(attributes=AS_IN_THE_GUIDE | {"GATEWAY": "57.131.167.177"}))
    net = wanted(BLOCK)
    observed = await CONTROLLER.observe(net, made)
    assert CONTROLLER.status(net, observed) == {"id": "3", "addresses": "13", "gateway": "57.131.167.177"}


async def test_a_sweep_needs_the_view_and_nothing_else() -> None:
    made = world(ours())
    made.sweeping = True
    plan = await look(CONTROLLER, wanted(VLAN), made)
    assert (plan.steps, plan.outcome.phase) == ((), Phase.DONE)
