"""Groups, users and VDCs of an OpenNebula in memory, behind the port of the kinds."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

from sovereigncloud.core.identity import Mark, mark_from_opennebula
from sovereigncloud.ports.errors import Conflict, NotFound, Rejected
from sovereigncloud.ports.opennebula.tenancy import Group, Limit, QuotaKey, TenancyView, User, Vdc

_MARK_KEYS = {"SOVEREIGNCLOUD_INSTALLATION", "SOVEREIGNCLOUD_OBJECT", "SOVEREIGNCLOUD_UID"}


class People:
    """The port `Tenancies`. Writes go to the journal of the cloud; answers are lost as there."""

    def __init__(self, cloud: Any) -> None:
        self._cloud = cloud
        self.groups = {0: Group(0, "oneadmin", None), 1: Group(1, "users", None)}
        self.users = {0: User(0, "oneadmin", 0, frozenset({0}), "core", None)}
        self.vdcs = {0: Vdc(0, "default", None, frozenset({1}), frozenset({(0, -10)}))}
        self.rules: dict[tuple[int, int, int], int] = {}
        """(zone, group, image) -> rule"""
        self.passwords: dict[int, str] = {}
        self.clusters: dict[int, str] = {0: "default"}
        self._next = 99

    # -- what somebody else does

    def _id(self) -> int:
        self._next += 1
        return self._next

    def of(self, name: str) -> int:
        """The id of the user of that name."""
        return next(user.id for user in self.users.values() if user.name == name)

    def limit(self, group: int, key: QuotaKey, limit: int, used: int = 0) -> None:
        known = self.groups[group]
        self.groups[group] = replace(known, quota={**known.quota, key: Limit(Decimal(limit), Decimal(used))})

    def enter(self, vdc: int, group: int) -> None:
        self.vdcs[vdc] = replace(self.vdcs[vdc], groups=self.vdcs[vdc].groups | {group})

    def leave(self, vdc: int, group: int) -> None:
        self.vdcs[vdc] = replace(self.vdcs[vdc], groups=self.vdcs[vdc].groups - {group})

    def cluster(self, vdc: int, cluster: int, zone: int = 0) -> None:
        self.vdcs[vdc] = replace(self.vdcs[vdc], clusters=self.vdcs[vdc].clusters | {(zone, cluster)})

    def name_vdc(self, vdc: int, name: str) -> None:
        self.vdcs[vdc] = replace(self.vdcs[vdc], name=name)

    def group(self, name: str, mark: Mark | None = None) -> int:
        number = self._id()
        self.groups[number] = Group(number, name, mark)
        return number

    def vdc(self, name: str) -> int:
        number = self._id()
        self.vdcs[number] = Vdc(number, name, None, frozenset(), frozenset())
        return number

    def user(self, name: str, group: int, *, password: str, driver: str = "core") -> int:
        number = self._id()
        self.users[number] = User(number, name, group, frozenset({group}), driver, None)
        self.passwords[number] = password
        return number

    def stranger(self, name: str, group: int) -> None:
        number = self.user(name, 1, password="theirs")
        self.users[number] = replace(self.users[number], groups=frozenset({1, group}))

    # -- the port

    async def view(self, zone: int = 0) -> TenancyView:
        rules = {(group, image): rule for (where, group, image), rule in self.rules.items() if where == zone}
        return TenancyView(zone, dict(self.groups), dict(self.users), dict(self.vdcs), rules)

    def _done(self, verb: str, *what: Any) -> None:
        self._cloud._wrote(verb, *what)
        self._cloud._answer(verb)

    async def create_group(self, name: str) -> int:
        if any(group.name == name for group in self.groups.values()):
            raise Conflict("NAME is already taken by GROUP 1.")
        number = self.group(name)
        self.enter(0, number)
        self._done("create_group", name)
        return number

    async def update_group(self, group: int, attributes: Any) -> None:
        self.groups[group] = replace(self.groups[group], mark=mark_from_opennebula(attributes))
        self._done("update_group", group)

    async def set_quota(self, group: int, quota: Any) -> None:
        for kind, rows in quota.items():
            for row in rows:
                for metric, limit in row.items():
                    if metric != "ID":
                        self.limit(group, (kind, row.get("ID", ""), metric), int(Decimal(limit)))
        self._done("set_quota", group, quota)

    async def delete_group(self, group: int) -> None:
        if any(group in user.groups for user in self.users.values()):
            raise Conflict(f"Group {group} is not empty")
        del self.groups[group]
        for vdc in self.vdcs:
            self.leave(vdc, group)
        self.rules = {about: rule for about, rule in self.rules.items() if about[1] != group}
        self._done("delete_group", group)

    async def create_vdc(self, template: Any) -> int:
        if any(vdc.name == template["NAME"] for vdc in self.vdcs.values()):
            raise Conflict("NAME is already taken by VDC 1.")
        number = self._id()
        mark = mark_from_opennebula(template)
        self.vdcs[number] = Vdc(number, template["NAME"], mark, frozenset(), frozenset())
        self._done("create_vdc", template["NAME"])
        return number

    async def update_vdc(self, vdc: int, attributes: Any) -> None:
        self.vdcs[vdc] = replace(self.vdcs[vdc], mark=mark_from_opennebula(attributes))
        self._done("update_vdc", vdc)

    async def rename_vdc(self, vdc: int, name: str) -> None:
        self.name_vdc(vdc, name)
        self._done("rename_vdc", vdc)

    async def delete_vdc(self, vdc: int) -> None:
        del self.vdcs[vdc]
        self._done("delete_vdc", vdc)

    async def join_vdc(self, vdc: int, group: int) -> None:
        self.enter(vdc, group)
        self._done("join_vdc", vdc, group)

    async def leave_vdc(self, vdc: int, group: int) -> None:
        self.leave(vdc, group)
        self._done("leave_vdc", vdc, group)

    async def add_cluster(self, vdc: int, zone: int, cluster: int) -> None:
        self.cluster(vdc, cluster, zone)
        self._done("add_cluster", vdc, cluster)

    async def remove_cluster(self, vdc: int, zone: int, cluster: int) -> None:
        self.vdcs[vdc] = replace(self.vdcs[vdc], clusters=self.vdcs[vdc].clusters - {(zone, cluster)})
        self._done("remove_cluster", vdc, cluster)

    async def create_user(self, name: str, password: str, driver: str, group: int) -> int:
        if any(user.name == name for user in self.users.values()):
            raise Conflict("NAME is already taken by USER 1.")
        if group not in self.groups:
            raise NotFound(f"Error getting group [{group}].")
        number = self.user(name, group, password=password, driver=driver)
        self._done("create_user", name, driver)
        return number

    async def update_user(self, user: int, attributes: Any) -> None:
        known = self.users[user]
        notes = {**known.notes, **{k: v for k, v in attributes.items() if k not in _MARK_KEYS}}
        self.users[user] = replace(known, mark=mark_from_opennebula(attributes), notes=notes)
        self._done("update_user", user)

    async def join_group(self, user: int, group: int) -> None:
        self.users[user] = replace(self.users[user], groups=self.users[user].groups | {group})
        self._done("join_group", user, group)

    async def leave_group(self, user: int, group: int) -> None:
        if self.users[user].group == group:
            raise Rejected("Cannot remove user from the primary group")
        self.users[user] = replace(self.users[user], groups=self.users[user].groups - {group})
        self._done("leave_group", user, group)

    async def delete_user(self, user: int) -> None:
        del self.users[user]
        self._done("delete_user", user)

    async def allow_image(self, group: int, image: int, zone: int) -> None:
        self.rules[zone, group, image] = self._id()
        self._done("allow_image", group, image)

    async def remove_rule(self, rule: int) -> None:
        self.rules = {about: known for about, known in self.rules.items() if known != rule}
        self._done("remove_rule", rule)
