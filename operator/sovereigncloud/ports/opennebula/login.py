"""Who a credential of OpenNebula is."""

from __future__ import annotations

from dataclasses import dataclass

ADMINISTRATORS = 0
"""The group oneadmin: its members may do everything."""


@dataclass(frozen=True, slots=True)
class Login:
    """The user of a credential: `group` is its primary group, `groups` has all of them by number."""

    id: int
    name: str
    group: str
    groups: frozenset[int]

    @property
    def administers(self) -> bool:
        return ADMINISTRATORS in self.groups
