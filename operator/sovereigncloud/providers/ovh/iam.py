"""The port `Rights` over the OVHcloud API."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from sovereigncloud.ports.errors import OutsideError, Retry
from sovereigncloud.ports.ovh.iam import AccessRule, Identity
from sovereigncloud.providers.ovh.replies import PARSER, Authorization, Credential, Details
from sovereigncloud.providers.ovh.transport import Transport

_AT_ONCE: Final = 50
"""Resources in one question: the answer is one page."""


class Permissions:
    """What the credential of a transport may do."""

    def __init__(self, calls: Transport, *, has_rules: bool) -> None:
        self._calls, self._has_rules = calls, has_rules

    async def identity(self) -> Identity:
        reply = await self._calls.call("GET", "/v1/auth/details")
        found = PARSER.read(Details, reply, what="OVHcloud GET /v1/auth/details")
        return Identity(found.account, next(iter(found.identities or ()), ""), await self._rules())

    async def _rules(self) -> tuple[AccessRule, ...] | None:
        if not self._has_rules:
            return None
        try:
            reply = await self._calls.call("GET", "/v1/auth/currentCredential")
        except Retry:
            raise
        except OutsideError:
            # A key that may not even ask this: what it may, shows when it is tried.
            return None
        found = PARSER.read(Credential, reply, what="OVHcloud GET /v1/auth/currentCredential")
        return tuple(AccessRule(one.method, one.path) for one in found.rules or ())

    async def refused(self, urns: Iterable[str], actions: Iterable[str]) -> Mapping[str, frozenset[str]]:
        everything, asked = list(dict.fromkeys(urns)), list(dict.fromkeys(actions))
        found: dict[str, frozenset[str]] = {}
        for start in range(0, len(everything), _AT_ONCE):
            body = {"resourceURNs": everything[start : start + _AT_ONCE], "actions": asked}
            reply = await self._calls.call(
                "POST", "/v2/iam/authorization/check", body, headers={"X-Pagination-Size": str(_AT_ONCE)}, reads=True
            )
            rows = PARSER.read(list[Authorization], reply, what="OVHcloud POST /v2/iam/authorization/check")
            found |= {one.urn: frozenset(one.refused or ()) for one in rows}
        return found
