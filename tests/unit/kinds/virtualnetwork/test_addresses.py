"""What else a VirtualNetwork can be and have: VXLAN, bridge, reservation, addresses on hold, security groups."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from tests.unit.kinds.opennebula_in_memory import (
    US,
    OpenNebula,
    World,
    look,
    mark,
    network,
    resource,
    run,
    security_group,
    vm,
)

from sovereigncloud.core.outcome import Phase
from sovereigncloud.core.plan import Step
from sovereigncloud.kinds.virtualnetwork.controller import VirtualNetworkController
from sovereigncloud.kinds.virtualnetwork.steps import (
    AddRange,
    DeleteNetwork,
    HoldAddress,
    MarkNetwork,
    ReleaseAddress,
    RemoveRange,
    ReserveNetwork,
    ReserveRange,
    ResizeRange,
    UpdateNetwork,
)
from sovereigncloud.ports.opennebula.networks import Lease
from sovereigncloud.ports.opennebula.views import AddressRange, Network, Nic

CONTROLLER = VirtualNetworkController()
CLOUD = {"cloudRef": {"name": "rbx"}}
RANGE = {"addressRanges": [{"ip": "10.0.0.5", "size": 50}]}
VLAN = CLOUD | RANGE | {"vlanID": 100, "physicalDevice": "bond0"}
TAGGED = {"VN_MAD": "802.1Q", "VLAN_ID": "100", "PHYDEV": "bond0"}
RECORDED = {"external": {"network": "3"}}


def wanted(spec: dict[str, Any], status: dict[str, Any] | None = None, **meta: Any) -> Any:
    return resource("VirtualNetwork", "net", {"name": "lan"} | spec, status or {}, **meta)


def ours(**fields: Any) -> Network:
    base = {"owner": US, "mark": mark("VirtualNetwork", "net"), "attributes": TAGGED}
    return network(**(base | fields))


def leased(*leases: Lease, size: int = 50) -> tuple[AddressRange, ...]:
    return (AddressRange("10.0.0.5", size, 0, used=len(leases), leases=leases),)


def words(step: Step) -> str:
    match step:
        case UpdateNetwork():
            return "update " + " ".join(f"{key}={value}" for key, value in step.attributes)
        case HoldAddress() | ReleaseAddress():
            return f"{type(step).__name__} {step.ip}"
        case ReserveNetwork() | ReserveRange():
            return f"reserve {step.range_.ip}+{step.range_.size} of {step.parent}"
        case RemoveRange():
            return f"{'free' if step.reserved else 'remove'} {step.range_id}"
        case ResizeRange():
            return f"resize {step.range_.id}={step.range_.size}"
        case AddRange():
            return f"add {step.range_.ip}+{step.range_.size}"
        case _:
            return type(step).__name__


# --- kinds of network ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "template"),
    [
        ({"vxlanID": 4711}, {"VN_MAD": "vxlan", "VLAN_ID": "4711", "PHYDEV": "vrack_bond"}),
        ({"bridge": "br0"}, {"VN_MAD": "bridge", "BRIDGE": "br0"}),
        ({"vlanID": 7, "securityGroups": ["web"]}, {"VN_MAD": "802.1Q", "VLAN_ID": "7", "PHYDEV": "vrack_bond", "SECURITY_GROUPS": "20"}),
    ],
)  # fmt: skip
async def test_what_it_becomes_in_opennebula(spec: dict[str, Any], template: dict[str, str]) -> None:
    front = OpenNebula(security_group())
    made = World(rbx=front)
    made.built["rbx"] = {"hosted": {"openNebula": {"install": {"architecture": "Basic", "version": "7.0"}}}}
    settled, _, _ = await run(CONTROLLER, wanted(CLOUD | RANGE | spec), made)
    given = front.journal[0][1]
    assert {k: v for k, v in given.items() if k not in {"NAME", "AR"} and not k.startswith("SOVEREIGN")} == template
    front.tick()
    _, plan, outcome = await run(CONTROLLER, settled, made)
    assert (plan.steps, plan.drift, outcome.phase) == ((), (), Phase.DONE)


@dataclass(frozen=True)
class Row:
    why: str
    spec: dict[str, Any]
    net: Network
    drift: dict[str, tuple[str, str]] = field(default_factory=dict)
    steps: tuple[str, ...] = ()
    reason: str = ""
    says: str = ""


NIC_7 = Nic(0, 3, "lan", "10.0.0.7", "02:00")
VM_7 = Lease(2, "VM", 12)
HELD = {"held": ["10.0.0.9"]}
WEB = {"securityGroups": ["web"]}
ROWS = [
    # -- changed behind our back
    Row(
        "another VNI", CLOUD | RANGE | {"vxlanID": 7},
        ours(attributes={"VN_MAD": "vxlan", "VLAN_ID": "8", "PHYDEV": "vrack_bond"}),
        {"spec.vxlanID": ("VLAN_ID=7", "VLAN_ID=8")}, ("update VLAN_ID=7",),
    ),
    Row(
        "another bridge", CLOUD | RANGE | {"bridge": "br0"}, ours(attributes={"VN_MAD": "bridge", "BRIDGE": "br1"}),
        {"spec.bridge": ("BRIDGE=br0", "BRIDGE=br1")}, ("update BRIDGE=br0",),
    ),
    # -- security groups of new cards
    Row("as OpenNebula has them: left alone", VLAN, ours(attributes=TAGGED | {"SECURITY_GROUPS": "0,5"})),
    Row(
        "exactly those of spec: OpenNebula's own lets everything through", VLAN | WEB,
        ours(attributes=TAGGED | {"SECURITY_GROUPS": "0,20"}),
        {"spec.securityGroups": ("web", "default,web")}, ("update SECURITY_GROUPS=20",),
    ),
    Row("as declared", VLAN | WEB, ours(attributes=TAGGED | {"SECURITY_GROUPS": "20"})),
    Row(
        "one that nobody has", VLAN | {"securityGroups": ["wbe"]}, ours(attributes=TAGGED | {"SECURITY_GROUPS": "20"}),
        {"spec.securityGroups": ("wbe", "web")}, reason="SecurityGroupNotFound",
    ),
    # -- addresses on hold
    Row("what a person holds is left alone where spec says nothing", VLAN, ours(ranges=leased(Lease(4, "HOLD")))),
    Row("held as declared", VLAN | HELD, ours(ranges=leased(Lease(4, "HOLD")))),
    Row(
        "to be held", VLAN | HELD, ours(), {"spec.held[10.0.0.9]": ("on hold", "free")}, ("HoldAddress 10.0.0.9",),
    ),
    Row(
        "held by a person, and spec lists all that are", VLAN | {"held": []}, ours(ranges=leased(Lease(4, "HOLD"))),
        {"spec.held[10.0.0.9]": ("free", "on hold")}, ("ReleaseAddress 10.0.0.9",),
    ),
    Row(
        "a machine has it: it is not taken from it", VLAN | {"held": ["10.0.0.7"]}, ours(ranges=leased(VM_7)),
        {"spec.held[10.0.0.7]": ("on hold", 'VM 12 "web"')}, reason="AddressInUse", says='while VM 12 "web" has it',
    ),
    Row(
        "in no range", VLAN | {"held": ["10.9.9.9"]}, ours(), {"spec.held[10.9.9.9]": ("on hold", "free")},
        reason="AddressOutsideRanges", says="10.9.9.9 is in no range",
    ),
    # -- ranges, by who has which address
    Row(
        "cut below an address that a machine has: it stays, and the machine is named",
        VLAN | {"addressRanges": [{"ip": "10.0.0.5", "size": 2}]}, ours(ranges=leased(VM_7)),
        {"spec.addressRanges[10.0.0.5]": ("10.0.0.5+2", "10.0.0.5+50")}, reason="InUse", says='VM 12 "web" (10.0.0.7)',
    ),
    Row(
        "cut where only free addresses go, though others are in use and on hold",
        VLAN | {"addressRanges": [{"ip": "10.0.0.5", "size": 5}]}, ours(ranges=leased(VM_7, Lease(4, "HOLD"))),
        {"spec.addressRanges[10.0.0.5]": ("10.0.0.5+5", "10.0.0.5+50")}, ("resize 0=5",),
    ),
    Row(
        "cut below what is on hold and what is reserved",
        VLAN | {"addressRanges": [{"ip": "10.0.0.5", "size": 2}]}, ours(ranges=leased(Lease(4, "HOLD"), Lease(5, "NET", 9))),
        {"spec.addressRanges[10.0.0.5]": ("10.0.0.5+2", "10.0.0.5+50")}, reason="InUse",
        says="somebody who put it on hold (10.0.0.9), reservation 9 (10.0.0.10)",
    ),
    # -- machines
    Row(
        "an update did not reach machines", VLAN, ours(state=6, vms=(12,), failed=(12,)), reason="UpdateFailure",
        says='VM 12 "web"; see their logs on the front-end, then onevnet recover --retry 3',
    ),
    Row("an update is on its way", VLAN, ours(vms=(12, 13), outdated=(13,)), reason="Updating", says="1 of 2 machines"),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.why)
async def test_a_network_that_is_there(row: Row) -> None:
    there = vm(nics=(NIC_7,)) if VM_7 in row.net.ranges[0].leases else vm(nics=())
    front = OpenNebula(row.net, security_group(), there)
    plan = await look(CONTROLLER, wanted(row.spec, RECORDED), World(rbx=front))
    assert {d.path: (d.desired, d.observed) for d in plan.drift} == row.drift
    assert tuple(words(step) for step in plan.steps) == row.steps
    assert plan.outcome.reason == row.reason
    assert row.says in plan.outcome.message


# --- reservations --------------------------------------------------------------------------------------------------------

PARENT = network(id=8, name="big", ranges=(AddressRange("10.0.0.1", 200, 0), AddressRange("10.1.0.1", 20, 1)))
PART = CLOUD | {
    "reservation": {"from": "big"},
    "addressRanges": [{"ip": "10.0.0.10", "size": 5}, {"ip": "10.1.0.1", "size": 3}],
}


@pytest.mark.parametrize("lost", ["", "reserve", "update_network"])
async def test_a_reservation_has_all_its_ranges_and_is_made_once(lost: str) -> None:
    front = OpenNebula(PARENT)
    front.lost |= {lost}
    made, part = World(rbx=front), wanted(PART)
    for _ in range(8):
        part, plan, outcome = await run(CONTROLLER, part, made)
        front.tick()
    assert (plan.steps, plan.drift, outcome.phase) == ((), (), Phase.DONE)
    found = [n for n in front.networks.values() if n.parent == 8]
    assert [(n.name, n.mark) for n in found] == [("lan", mark("VirtualNetwork", "net"))]
    assert [(r.ip, r.size) for r in found[0].ranges] == [("10.0.0.10", 5), ("10.1.0.1", 3)]
    assert part.external == {"network": str(found[0].id)}, "the note of the attempt is gone"
    assert found[0].clusters == PARENT.clusters

    smaller = PART | {"addressRanges": [{"ip": "10.0.0.10", "size": 4}]}
    part = wanted(smaller, part.status.model_dump(by_alias=True), generation=2)
    for _ in range(4):
        part, plan, outcome = await run(CONTROLLER, part, made)
    assert (plan.steps, plan.drift, outcome.phase) == ((), (), Phase.DONE)
    assert front.networks[8].used_leases == 4, "what is not reserved any more is free for others"

    going = wanted(smaller, part.status.model_dump(by_alias=True), deleting=True)
    plan = await look(CONTROLLER, going, made)
    assert [type(step) for step in plan.steps] == [DeleteNetwork]


async def test_an_unmarked_network_of_that_name_is_only_ours_where_an_attempt_was_noted() -> None:
    stranger = ours(parent=8, mark=None, ranges=(AddressRange("10.0.0.10", 5, 0),))
    made = World(rbx=OpenNebula(PARENT, stranger))
    made.built["rbx"] = {"hosted": {"openNebula": {"install": {"architecture": "Basic", "version": "7.0"}}}}
    plan = await look(CONTROLLER, wanted(PART), made)
    assert (plan.steps, plan.outcome.reason) == ((), "NameTaken")
    plan = await look(CONTROLLER, wanted(PART, {"external": {"reserving": "8"}}), made)
    assert [type(step) for step in plan.steps] == [MarkNetwork]


async def test_a_reservation_that_a_person_made_of_our_network_is_not_taken_for_it() -> None:
    """OpenNebula copies the whole template into it, our mark included."""
    copied = ours(id=9, name="theirs", parent=3)
    plan = await look(CONTROLLER, wanted(VLAN), World(rbx=OpenNebula(ours(), copied)))
    assert [type(step).__name__ for step in plan.steps] == ["RecordNetwork"], "its record is lost, and one is found"


async def test_a_reservation_does_not_inherit_that_its_network_was_adopted() -> None:
    front = OpenNebula(
        replace(PARENT, attributes={"SOVEREIGNCLOUD_ADOPTED": "YES"}, mark=mark("VirtualNetwork", "big"))
    )
    made, part = World(rbx=front), wanted(PART)
    for _ in range(6):
        part, _, _ = await run(CONTROLLER, part, made)
        front.tick()
    plan = await look(CONTROLLER, wanted(PART, part.status.model_dump(by_alias=True), deleting=True), made)
    assert [type(step) for step in plan.steps] == [DeleteNetwork]


@pytest.mark.parametrize(
    ("parent", "reason", "says"),
    [
        (None, "NetworkNotFound", 'no network called "big"'),
        (replace(PARENT, parent=1), "InvalidSpec", "is a reservation itself"),
        (replace(PARENT, ranges=(AddressRange("10.0.0.1", 12, 0),)), "AddressOutsideRanges", "10.0.0.1 to 10.0.0.12"),
        (
            replace(PARENT, ranges=(AddressRange("10.0.0.1", 50, 0, 1, (Lease(10, "VM", 12),)),)),
            "AddressInUse",
            'in use by VM 12 "web" (10.0.0.11)',
        ),
    ],
)
async def test_why_nothing_can_be_reserved(parent: Network | None, reason: str, says: str) -> None:
    things = (vm(nics=()), *([parent] if parent else []))
    plan = await look(CONTROLLER, wanted(PART), World(rbx=OpenNebula(*things)))
    assert (plan.steps, plan.outcome.reason) == ((), reason)
    assert says in plan.outcome.message


async def test_a_reserved_range_in_use_keeps_its_size() -> None:
    parent = replace(
        PARENT, ranges=(AddressRange("10.0.0.1", 200, 0, 5, tuple(Lease(9 + n, "NET", 3) for n in range(5))),)
    )
    mine = ours(parent=8, attributes={}, ranges=(AddressRange("10.0.0.10", 5, 0, 1, (Lease(1, "VM", 12),)),))
    larger = PART | {"addressRanges": [{"ip": "10.0.0.10", "size": 6}]}
    plan = await look(CONTROLLER, wanted(larger, RECORDED), World(rbx=OpenNebula(parent, mine, vm(nics=()))))
    assert (plan.steps, plan.outcome.reason) == ((), "InUse")
    free = replace(mine, ranges=(AddressRange("10.0.0.10", 5, 0),))
    plan = await look(CONTROLLER, wanted(larger, RECORDED), World(rbx=OpenNebula(parent, free)))
    assert [words(step) for step in plan.steps] == ["free 0", "reserve 10.0.0.10+6 of 8"]


@pytest.mark.parametrize("lost", ["hold", "release", "resize_range", "add_range", "update_network"])
async def test_a_lost_answer_to_any_write_converges_to_the_same(lost: str) -> None:
    front = OpenNebula(ours(ranges=leased(Lease(4, "HOLD"))), security_group())
    front.lost.add(lost)
    made = World(rbx=front)
    ranges = [{"ip": "10.0.0.5", "size": 60}, {"ip": "10.1.0.5", "size": 5}]
    net = wanted(VLAN | WEB | {"addressRanges": ranges, "held": ["10.0.0.7"]}, RECORDED)
    for _ in range(4):
        net, plan, outcome = await run(CONTROLLER, net, made)
    assert (plan.steps, plan.drift, outcome.phase, front.lost) == ((), (), Phase.DONE, set())
    assert sorted(entry[0] for entry in front.journal) == [
        "add_range", "hold", "release", "resize_range", "update_network",
    ]  # fmt: skip


async def test_the_network_of_a_reservation_is_known_by_its_id_when_its_name_is_another() -> None:
    parent = replace(PARENT, name="oops", ranges=(AddressRange("10.0.0.1", 200, 0), AddressRange("10.1.0.1", 20, 1)))
    mine = ours(parent=8, attributes={}, ranges=(AddressRange("10.0.0.10", 5, 0),))
    for others in ((), (replace(PARENT, id=9, ranges=()),)):
        plan = await look(CONTROLLER, wanted(PART, RECORDED), World(rbx=OpenNebula(parent, mine, *others)))
        assert [words(step) for step in plan.steps] == ["reserve 10.1.0.1+3 of 8"]
        assert ("spec.reservation.from", "big", "oops") in {(d.path, d.desired, d.observed) for d in plan.drift}
        assert (plan.outcome.reason, "onevnet rename 8" in plan.outcome.message) == ("Renamed", True)


async def test_the_network_of_a_reservation_is_not_deleted_and_the_reservation_is_named() -> None:
    part = network(id=9, name="part", parent=3)
    front = OpenNebula(ours(used_leases=5), part)
    plan = await look(CONTROLLER, wanted(VLAN, RECORDED, deleting=True), World(rbx=front))
    assert (plan.steps, plan.outcome.reason) == ((), "InUse")
    assert 'reservation 9 "part"' in plan.outcome.message


async def test_what_we_hold_is_freed_before_the_network_goes_and_nothing_else() -> None:
    going = wanted(VLAN | HELD, RECORDED, deleting=True)
    front = OpenNebula(ours(ranges=leased(Lease(4, "HOLD")), used_leases=1))
    made = World(rbx=front)
    going, plan, _ = await run(CONTROLLER, going, made)
    assert [words(step) for step in plan.steps] == ["ReleaseAddress 10.0.0.9"]
    going, plan, _ = await run(CONTROLLER, going, made)
    assert [type(step) for step in plan.steps] == [DeleteNetwork]
    held_by_others = ours(ranges=leased(Lease(4, "HOLD"), Lease(5, "HOLD")), used_leases=2)
    plan = await look(CONTROLLER, wanted(VLAN | HELD, RECORDED, deleting=True), World(rbx=OpenNebula(held_by_others)))
    assert (plan.steps, plan.outcome.reason) == ((), "InUse")
