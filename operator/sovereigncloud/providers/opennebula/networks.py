"""The ports `SecurityGroups` and `Addresses` over one front-end."""

from __future__ import annotations

from collections.abc import Mapping

from sovereigncloud.ports.errors import Rejected
from sovereigncloud.ports.opennebula.client import Attributes
from sovereigncloud.ports.opennebula.security_groups import SecurityRule
from sovereigncloud.providers.opennebula.templates import template_xml
from sovereigncloud.providers.opennebula.transport import Transport

_MERGE = 1


class GroupVerbs:
    """Security groups."""

    def __init__(self, calls: Transport) -> None:
        self._calls = calls

    async def create(self, name: str, rules: tuple[SecurityRule, ...], attributes: Mapping[str, str]) -> int:
        wanted = template_xml({"NAME": name, "RULE": [_rule(one) for one in rules], **attributes})
        return int(await self._calls.write("one.secgroup.allocate", wanted))

    async def update(self, group_id: int, attributes: Mapping[str, str]) -> None:
        await self._calls.write("one.secgroup.update", group_id, template_xml(attributes), _MERGE)

    async def set_rules(self, group_id: int, rules: tuple[SecurityRule, ...], attributes: Mapping[str, str]) -> None:
        # A merge replaces all attributes of a name (observed), so all rules, and leaves the others.
        wanted = template_xml({"RULE": [_rule(one) for one in rules], **attributes})
        await self._calls.write("one.secgroup.update", group_id, wanted, _MERGE)

    async def commit(self, group_id: int, *, recover: bool = False) -> None:
        await self._calls.write("one.secgroup.commit", group_id, recover)

    async def rename(self, group_id: int, name: str) -> None:
        await self._calls.write("one.secgroup.rename", group_id, name)

    async def delete(self, group_id: int) -> None:
        await self._calls.write("one.secgroup.delete", group_id)

    async def attach(self, vm_id: int, nic_id: int, group_id: int) -> None:
        await self._calls.write("one.vm.attachsg", vm_id, nic_id, group_id)

    async def detach(self, vm_id: int, nic_id: int, group_id: int) -> None:
        await self._calls.write("one.vm.detachsg", vm_id, nic_id, group_id)


class AddressVerbs:
    """Holds and reservations."""

    def __init__(self, calls: Transport) -> None:
        self._calls = calls

    async def hold(self, network_id: int, ip: str) -> None:
        await self._calls.write("one.vn.hold", network_id, template_xml({"LEASES": {"IP": ip}}))

    async def release(self, network_id: int, ip: str) -> None:
        await self._calls.write("one.vn.release", network_id, template_xml({"LEASES": {"IP": ip}}))

    async def reserve(self, parent_id: int, reservation: Mapping[str, str]) -> int:
        return int(await self._calls.write("one.vn.reserve", parent_id, template_xml(reservation)))

    async def free_range(self, network_id: int, range_id: int) -> None:
        await self._calls.write("one.vn.free_ar", network_id, range_id)


def _rule(rule: SecurityRule) -> Attributes:
    if not rule.protocol or not rule.direction:
        raise Rejected("a rule without protocol or direction would let everything through")
    said = {
        "PROTOCOL": rule.protocol,
        "RULE_TYPE": rule.direction,
        "RANGE": rule.range,
        "IP": rule.ip,
        "SIZE": rule.size,
        "NETWORK_ID": rule.network_id,
        ("ICMPV6_TYPE" if rule.protocol == "ICMPV6" else "ICMP_TYPE"): rule.icmp_type,
    }
    return {key: value for key, value in said.items() if value}
