"""The port `Tenancies` over one front-end and credential."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from typing import Any

from sovereigncloud.core.identity import mark_from_opennebula
from sovereigncloud.ports.errors import Conflict, Rejected
from sovereigncloud.ports.opennebula.client import Attributes
from sovereigncloud.ports.opennebula.tenancy import Group, Limit, QuotaKey, TenancyView, User, Vdc
from sovereigncloud.providers.opennebula.templates import template_xml
from sovereigncloud.providers.opennebula.transport import Transport
from sovereigncloud.providers.opennebula.xml_elements import (
    Element,
    ids,
    malformed_means_retry,
    notes,
    number,
    read_pool,
    singles,
    text,
)

_MERGE = 1
_QUOTAS = ("VM", "DATASTORE", "NETWORK", "IMAGE")
# How oned writes an ACL rule: what kind of thing in the upper bits, how its id is meant below, then the id (facts, section 2).
_INDIVIDUAL, _GROUP = 0x100000000, 0x200000000
_IMAGE, _USE = 0x8000000000, 0x1
_ID = 0xFFFFFFFF
_ALREADY = re.compile(r"already (in|assigned)", re.IGNORECASE)
_NOT_IN = re.compile(r"not (part of|assigned)", re.IGNORECASE)


class TenancyCalls:
    """one.group, one.user, one.vdc and one.acl.

    Args:
        calls: of the front-end.
        zone: which zone answers.
    """

    def __init__(self, calls: Transport, zone: Callable[[], Awaitable[int]]) -> None:
        self._calls, self._zone = calls, zone

    # ------------------------------------------------------------------------------------------------------ reading

    async def view(self) -> TenancyView:
        # One after the other: they come behind the pools of the cloud, and are small.
        zone = await self._zone()
        groups, quotas = await self._pool("one.grouppool.info", ("GROUP", _group), ("QUOTAS", _quotas))
        (users,) = await self._pool("one.userpool.info", ("USER", _user))
        (vdcs,) = await self._pool("one.vdcpool.info", ("VDC", _vdc))
        (rules,) = await self._pool("one.acl.info", ("ACL", _rule))
        limits = dict(quotas)
        return TenancyView(
            zone=zone,
            groups={one.id: replace(one, quota=limits.get(one.id, {})) for one in groups},
            users={one.id: one for one in users},
            vdcs={one.id: one for one in vdcs},
            images={about: rule for found in rules if found for (of_zone, about, rule) in (found,) if of_zone == zone},
        )

    async def _pool(self, method: str, *parts: tuple[str, Callable[[Element], Any]]) -> list[list[Any]]:
        """What stands in the pool under each of these tags."""
        xml = str(await self._calls.read(method))
        with malformed_means_retry(method):
            return [read_pool(xml, tag, read) for tag, read in parts]

    # ------------------------------------------------------------------------------------------------------- groups

    async def create_group(self, name: str) -> int:
        return int(await self._calls.write("one.group.allocate", name))

    async def update_group(self, group: int, attributes: Attributes) -> None:
        await self._calls.write("one.group.update", group, template_xml(attributes), _MERGE)

    async def set_quota(self, group: int, quota: Attributes) -> None:
        await self._calls.write("one.group.quota", group, template_xml(quota))

    async def delete_group(self, group: int) -> None:
        await self._calls.write("one.group.delete", group)

    # --------------------------------------------------------------------------------------------------------- VDCs

    async def create_vdc(self, template: Attributes) -> int:
        return int(await self._calls.write("one.vdc.allocate", template_xml(template)))

    async def update_vdc(self, vdc: int, attributes: Attributes) -> None:
        await self._calls.write("one.vdc.update", vdc, template_xml(attributes), _MERGE)

    async def rename_vdc(self, vdc: int, name: str) -> None:
        await self._calls.write("one.vdc.rename", vdc, name)

    async def delete_vdc(self, vdc: int) -> None:
        await self._calls.write("one.vdc.delete", vdc)

    async def join_vdc(self, vdc: int, group: int) -> None:
        await self._unless(_ALREADY, "one.vdc.addgroup", vdc, group)

    async def leave_vdc(self, vdc: int, group: int) -> None:
        await self._unless(_NOT_IN, "one.vdc.delgroup", vdc, group)

    async def add_cluster(self, vdc: int, zone: int, cluster: int) -> None:
        await self._unless(_ALREADY, "one.vdc.addcluster", vdc, zone, cluster)

    async def remove_cluster(self, vdc: int, zone: int, cluster: int) -> None:
        await self._unless(_NOT_IN, "one.vdc.delcluster", vdc, zone, cluster)

    # -------------------------------------------------------------------------------------------------------- users

    async def create_user(self, name: str, password: str, driver: str, group: int) -> int:
        return int(await self._calls.write("one.user.allocate", name, password, driver, [group]))

    async def update_user(self, user: int, attributes: Attributes) -> None:
        await self._calls.write("one.user.update", user, template_xml(attributes), _MERGE)

    async def join_group(self, user: int, group: int) -> None:
        await self._unless(_ALREADY, "one.user.addgroup", user, group)

    async def leave_group(self, user: int, group: int) -> None:
        await self._unless(_NOT_IN, "one.user.delgroup", user, group)

    async def delete_user(self, user: int) -> None:
        await self._calls.write("one.user.delete", user)

    # ------------------------------------------------------------------------------------------------------- images

    async def allow_image(self, group: int, image: int, zone: int) -> None:
        who, what = f"{_GROUP | group:x}", f"{_IMAGE | _INDIVIDUAL | image:x}"
        try:
            await self._calls.write("one.acl.addrule", who, what, f"{_USE:x}", f"{_INDIVIDUAL | zone:x}")
        except (Rejected, Conflict) as error:
            if "already exist" not in error.message:
                raise

    async def remove_rule(self, rule: int) -> None:
        await self._calls.write("one.acl.delrule", rule)

    async def _unless(self, fine: re.Pattern[str], method: str, *arguments: int) -> None:
        """A call that says no where it was done before: its answer may have been lost."""
        try:
            await self._calls.write(method, *arguments)
        except (Rejected, Conflict) as error:
            if not fine.search(error.message):
                raise


def _group(element: Element) -> Group:
    return Group(
        id=number(element, "ID"),
        name=text(element, "NAME"),
        mark=mark_from_opennebula(singles(element.find("TEMPLATE"))),
    )


def _quotas(element: Element) -> tuple[int, dict[QuotaKey, Limit]]:
    """What a group has and uses in this zone. The pool has it beside the group."""
    return number(element, "ID"), dict(_limits(element))


def _limits(element: Element) -> Iterator[tuple[QuotaKey, Limit]]:
    for kind in _QUOTAS:
        for row in element.iterfind(f"{kind}_QUOTA/{kind}"):
            values = singles(row)
            about = values.get("ID", values.get("CLUSTER_IDS", ""))
            for metric, limit in values.items():
                if f"{metric}_USED" in values:
                    yield (kind, about, metric), Limit(_decimal(limit), _decimal(values[f"{metric}_USED"]))


def _decimal(written: str) -> Decimal:
    try:
        return Decimal(written or "0")
    except InvalidOperation:
        return Decimal(-2)  # oned takes VMS="x" without a word (observed), and it limits nothing


def _user(element: Element) -> User:
    group = number(element, "GID")
    return User(
        id=number(element, "ID"),
        name=text(element, "NAME"),
        group=group,
        groups=frozenset({*ids(element, "GROUPS/ID"), group}),
        driver=text(element, "AUTH_DRIVER"),
        mark=mark_from_opennebula(singles(element.find("TEMPLATE"))),
        notes=notes(singles(element.find("TEMPLATE"))),
    )


def _vdc(element: Element) -> Vdc:
    pairs = element.iterfind("CLUSTERS/CLUSTER")
    return Vdc(
        id=number(element, "ID"),
        name=text(element, "NAME"),
        mark=mark_from_opennebula(singles(element.find("TEMPLATE"))),
        groups=frozenset(ids(element, "GROUPS/ID")),
        clusters=frozenset((number(one, "ZONE_ID"), number(one, "CLUSTER_ID")) for one in pairs),
    )


def _rule(element: Element) -> tuple[int, tuple[int, int], int] | None:
    """A rule by which one group may use one image of one zone, and its id; None: it is another one. Rules are the same in all
    zones of a federation, images are not.
    """
    tags = ("USER", "RESOURCE", "RIGHTS", "ZONE")
    user, resource, rights, zone = (int(element.findtext(tag) or "0", 16) for tag in tags)
    if (
        user & ~_ID != _GROUP
        or resource & ~_ID != _IMAGE | _INDIVIDUAL
        or not rights & _USE
        or zone & ~_ID != _INDIVIDUAL
    ):
        return None
    return zone & _ID, (user & _ID, resource & _ID), number(element, "ID")
