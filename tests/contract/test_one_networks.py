"""Networks, reservations and security groups in the simulated OpenNebula: what may change, and how it reaches machines."""

import pyone
import pytest
from tests.contract.one_world import path, running, where

from sovereigncloud_sandbox.opennebula import mischief

RULE = 'RULE=[PROTOCOL=TCP, RULE_TYPE=INBOUND, RANGE="{}"]'


def members(found):
    return tuple(getattr(found, f"{name}_VMS").ID for name in ("UPDATED", "OUTDATED", "UPDATING", "ERROR"))


def ports(one, vm, group):
    rules = one.vm.info(vm).TEMPLATE["SECURITY_GROUP_RULE"]
    rules = rules if isinstance(rules, list) else [rules]
    return [rule.get("RANGE") for rule in rules if rule["SECURITY_GROUP_ID"] == str(group)]


@pytest.fixture
def group(one):
    return one.secgroup.allocate("NAME=web " + RULE.format(80))


@pytest.fixture
def guarded(one, clock, world, group):
    """Machines with the group."""
    vms = [running(one, clock, world, f"vm{number}") for number in range(3)]
    for vm in vms:
        one.vm.attachsg(vm, 0, group)
    clock.pass_()
    return vms


# ---------------------------------------------------------------------------------------------------- security groups


def test_an_update_of_a_group_reaches_its_machines_one_after_another(one, clock, guarded, group):
    first, second, third = guarded
    assert members(one.secgroup.info(group)) == (guarded, [], [], [])
    one.secgroup.update(group, RULE.format("80,443"), 1)
    assert members(one.secgroup.info(group)) == ([], guarded, [], [])
    clock.pass_(0.05)
    assert members(one.secgroup.info(group)) == ([], [second, third], [first], [])
    assert (ports(one, first, group), ports(one, third, group)) == (["80,443"], ["80"])
    clock.pass_()
    assert members(one.secgroup.info(group)) == (guarded, [], [], [])
    assert ports(one, third, group) == ["80,443"]
    assert {where(one, vm) for vm in guarded} == {(3, 3)}
    assert all("0" in one.vm.info(vm).TEMPLATE["NIC"]["SECURITY_GROUPS"].split(",") for vm in guarded)


def test_a_machine_that_cannot_be_told_is_in_error_until_it_is_tried_again(sandbox, cloud, one, clock, guarded, group):
    first, second, third = guarded
    sandbox.do(mischief.set_state, cloud, second, "ACTIVE", "UNKNOWN")
    sandbox.do(mischief.fail_next, cloud, "UPDATESG", "iptables is locked", 1, "vm2")
    one.secgroup.update(group, RULE.format(22), 1)
    clock.pass_()
    assert members(one.secgroup.info(group)) == ([first], [], [], [second, third])
    one.secgroup.commit(group, True)
    clock.pass_()
    assert members(one.secgroup.info(group)) == ([first, third], [], [], [second])
    with pytest.raises(pyone.OneActionException, match="has VMs using it"):
        one.secgroup.delete(group)
    for vm in guarded:
        one.vm.action("terminate-hard", vm)
    clock.pass_()
    one.secgroup.delete(group)


def test_a_group_comes_and_goes_without_a_change_of_address(one, clock, guarded, group):
    vm = guarded[0]
    before = one.vm.info(vm).TEMPLATE["NIC"]["IP"]
    one.vm.detachsg(vm, 0, group)
    clock.pass_()
    assert vm not in one.secgroup.info(group).UPDATED_VMS.ID
    assert ports(one, vm, group) == []
    one.vm.attachsg(vm, 0, group)
    assert one.vm.info(vm).TEMPLATE["NIC"]["IP"] == before


WRONG_RULES = [
    ("a protocol", "PROTOCOL=SCTP, RULE_TYPE=INBOUND", "Wrong PROTOCOL in rule"),
    ("a direction", "PROTOCOL=TCP, RULE_TYPE=BOTH", "Wrong RULE_TYPE in rule"),
    ("ports of no ports", 'PROTOCOL=ICMP, RULE_TYPE=INBOUND, RANGE="80"', "RANGE is supported only for TCP and UDP"),
    ("no ports", 'PROTOCOL=TCP, RULE_TYPE=INBOUND, RANGE="http"', "Invalid RANGE specification"),
    ("too high", 'PROTOCOL=TCP, RULE_TYPE=INBOUND, RANGE="80:70000"', "RANGE out of bounds"),
    ("backwards", 'PROTOCOL=TCP, RULE_TYPE=INBOUND, RANGE="90:80"', "RANGE BEGIN value is greater"),
    (
        "sixteen",
        f'PROTOCOL=TCP, RULE_TYPE=INBOUND, RANGE="{",".join(map(str, range(1, 17)))}"',
        "Not more than 15 ports",
    ),
    ("an address without a size", "PROTOCOL=TCP, RULE_TYPE=INBOUND, IP=10.0.0.1", "Wrong or empty SIZE"),
    ("no address", "PROTOCOL=TCP, RULE_TYPE=INBOUND, IP=nowhere, SIZE=1", "Wrong format for IP value"),
    ("a type of no ICMP", "PROTOCOL=TCP, RULE_TYPE=INBOUND, ICMP_TYPE=8", "ICMP_TYPE is supported only for ICMP"),
]


@pytest.mark.parametrize(("why", "rule", "says"), WRONG_RULES, ids=[row[0] for row in WRONG_RULES])
def test_rules_are_refused_with_a_reason(one, group, why, rule, says):
    with pytest.raises(pyone.OneInternalException, match=says):
        one.secgroup.allocate(f"NAME=x RULE=[{rule}]")
    with pytest.raises(pyone.OneInternalException, match=f"Cannot update template. {says}"):
        one.secgroup.update(group, f"RULE=[{rule}]", 0)
    assert one.secgroup.info(group).TEMPLATE["RULE"]["RANGE"] == "80", "what is refused changes nothing"


def test_a_rule_twice_is_one(one):
    group = one.secgroup.allocate("NAME=twice " + RULE.format(80) * 2)
    assert isinstance(one.secgroup.info(group).TEMPLATE["RULE"], dict)


# ------------------------------------------------------------------------------------------------------------ networks

INCOMPLETE = [
    ("a VLAN without a device", "VN_MAD=802.1Q VLAN_ID=1", "PHYDEV is mandatory for driver 802.1Q"),
    ("a VLAN without its number", "VN_MAD=802.1Q PHYDEV=bond0", r"VLAN_ID \(or AUTOMATIC_VLAN_ID\) is mandatory"),
    ("a VXLAN without a device", "VN_MAD=vxlan AUTOMATIC_VLAN_ID=YES", "PHYDEV is mandatory for driver vxlan"),
    ("no driver", "PHYDEV=bond0", "No VN_MAD in template"),
    ("a driver nobody knows", "VN_MAD=magic", 'VN_MAD named "magic" is not defined'),
]


@pytest.mark.parametrize(("why", "template", "says"), INCOMPLETE, ids=[row[0] for row in INCOMPLETE])
def test_networks_are_refused_with_a_reason(one, why, template, says):
    with pytest.raises(pyone.OneInternalException, match=says):
        one.vn.allocate(f"NAME=x {template}", -1)


def test_a_vxlan_gets_its_number(one, clock):
    net = one.vn.allocate("NAME=x VN_MAD=vxlan PHYDEV=bond0 AUTOMATIC_VLAN_ID=YES", -1)
    clock.pass_()
    found = one.vn.info(net)
    assert (1, "1", f"onebr.{found.VLAN_ID}") == (found.STATE, found.VLAN_ID_AUTOMATIC, found.BRIDGE)
    one.vn.update(net, "VLAN_ID=77", 1)
    assert one.vn.info(net).VLAN_ID == found.VLAN_ID, "a number that oned chose stays"


def test_a_change_of_a_network_reaches_the_cards_of_running_machines(one, clock, world):
    vms = [running(one, clock, world, f"vm{number}") for number in range(2)]
    off = running(one, clock, world)
    one.vm.action("poweroff", off)
    clock.pass_()
    one.vn.update(world["net"], "MTU=1400 DNS=9.9.9.9", 1)
    assert one.vn.info(world["net"]).TEMPLATE["VNET_UPDATE"] == {"MTU": None}
    clock.pass_(0.05)
    assert where(one, vms[0]) == (3, 25)
    assert members(one.vn.info(world["net"])) == ([], [vms[1], off], [vms[0]], [])
    clock.pass_()
    assert members(one.vn.info(world["net"])) == ([*vms, off], [], [], [])
    assert {one.vm.info(vm).TEMPLATE["NIC"]["MTU"] for vm in (*vms, off)} == {"1400"}
    assert one.vm.info(vms[0]).TEMPLATE["NIC"]["DNS"] == "1.1.1.1", "what is none of the card's stays as it was leased"
    assert "VNET_UPDATE" not in one.vn.info(world["net"]).TEMPLATE


def test_a_change_that_fails_is_tried_again_on_request(sandbox, cloud, one, clock, world):
    vm = running(one, clock, world)
    sandbox.do(mischief.fail_next, cloud, "HOTPLUG_NIC")
    one.vn.update(world["net"], "MTU=1400", 1)
    clock.pass_()
    found = one.vn.info(world["net"])
    assert (found.STATE, members(found)) == (6, ([], [], [], [vm]))
    one.vn.add_ar(world["net"], "AR=[TYPE=IP4,IP=10.9.0.1,SIZE=2]")
    one.vn.recover(world["net"], 3)
    clock.pass_()
    found = one.vn.info(world["net"])
    assert (found.STATE, members(found)) == (1, ([vm], [], [], []))


def test_an_update_takes_away_what_it_does_not_name(one, clock, world):
    with pytest.raises(pyone.OneInternalException, match="No VN_MAD in template"):
        one.vn.update(world["net"], "DNS=1.1.1.1", 0)
    one.vn.update(world["net"], "VN_MAD=bridge", 0)
    found = one.vn.info(world["net"])
    assert (found.BRIDGE, found.PHYDEV) == ("br0", "")
    assert "SECURITY_GROUPS" not in found.TEMPLATE, "the default group too"


RANGES = [
    ("no such range", "AR=[AR_ID=7, SIZE=3]", "Address Range with ID 7 was not found"),
    ("no id", "AR=[SIZE=3]", "AR_ID attribute is missing"),
    ("too small for what is used", "AR=[AR_ID=0, SIZE=1]", "There are used leases that would fall outside"),
    ("no number", "AR=[AR_ID=0, SIZE=many]", "Unable to read the SIZE attribute"),
    ("no range at all", "SIZE=3", "AR vector attribute is missing"),
]


@pytest.mark.parametrize(("why", "template", "says"), RANGES, ids=[row[0] for row in RANGES])
def test_changes_of_ranges_are_refused(one, clock, world, why, template, says):
    for number in range(2):
        running(one, clock, world, f"vm{number}")
    with pytest.raises(pyone.OneInternalException, match=says):
        one.vn.update_ar(world["net"], template)


def test_an_address_does_not_move_and_what_is_not_named_goes(one, clock, world):
    one.vn.update_ar(world["net"], 'AR=[AR_ID=0, GATEWAY="10.0.0.1", NOTE=x]')
    one.vn.update_ar(world["net"], 'AR=[AR_ID=0, IP="10.99.0.1", NOTE=y]')
    found = one.vn.info(world["net"]).AR_POOL.AR[0]
    assert (found.IP, found.SIZE, hasattr(found, "GATEWAY")) == ("10.0.0.10", 20, False)


def test_a_reservation_grows_by_another_range_and_keeps_its_size(one, clock, world):
    net = world["net"]
    one.vn.add_ar(net, "AR=[TYPE=IP4,IP=10.2.0.1,SIZE=4]")
    mine = one.vn.reserve(net, "NAME=mine SIZE=2")
    assert one.vn.reserve(net, f"NETWORK_ID={mine} SIZE=3 AR_ID=1") == mine
    clock.pass_()
    found = one.vn.info(mine).AR_POOL.AR
    assert [(row.IP, row.SIZE, row.PARENT_NETWORK_AR_ID) for row in found] == [
        ("10.0.0.10", 2, "0"),
        ("10.2.0.1", 3, "1"),
    ]
    with pytest.raises(pyone.OneInternalException, match="The SIZE of a reservation cannot be changed"):
        one.vn.update_ar(mine, "AR=[AR_ID=0, SIZE=5]")
    one.vn.free_ar(mine, 1)
    assert one.vn.info(net).USED_LEASES == 2


WRONG_RESERVATIONS = [
    ("no size", "NAME=x", "SIZE must be a greater than 0"),
    ("no name", "SIZE=1", "NAME for reservation has to be set"),
    ("an address without its range", "NAME=x SIZE=1 IP=10.0.0.12", "AR_ID must be specified"),
    ("of itself", "SIZE=1 NETWORK_ID=0", "Cannot add a reservation from the same network"),
    ("into a network of its own", "SIZE=1 NETWORK_ID=1", "Cannot add reservations to a non-reservation VNET"),
    ("more than there are", "NAME=x SIZE=100", "Not enough free addresses"),
]


@pytest.mark.parametrize(("why", "template", "says"), WRONG_RESERVATIONS, ids=[row[0] for row in WRONG_RESERVATIONS])
def test_reservations_are_refused(one, clock, world, why, template, says):
    one.vn.allocate("NAME=other VN_MAD=bridge", -1)
    clock.pass_()
    with pytest.raises(pyone.OneActionException, match=says):
        one.vn.reserve(world["net"], template)
    assert [net.NAME for net in one.vnpool.info(-2, -1, -1).VNET] == ["other", "net"], "nothing is left behind"


def test_nothing_is_changed_in_a_network_that_is_not_ready(one, clock, world):
    net = one.vn.allocate("NAME=fresh VN_MAD=bridge", -1)
    with pytest.raises(pyone.OneActionException, match="wrong state: LOCK_CREATE"):
        one.vn.add_ar(net, "AR=[TYPE=IP4,IP=10.9.0.1,SIZE=2]")
    one.vn.recover(net, 0)
    assert one.vn.info(net).STATE == 5
    one.vn.recover(net, 1)
    assert one.vn.info(net).STATE == 1
    with pytest.raises(pyone.OneInternalException, match="Could not perform 'recover retry'"):
        one.vn.recover(net, 3)
    vm = running(one, clock, world)
    one.vm.detachnic(vm, 0)
    assert path(one, clock, vm) == [(3, 25), (3, 3)]
