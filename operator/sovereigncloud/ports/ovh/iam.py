"""What a credential of OVHcloud may do, as the API itself says it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class AccessRule:
    """What a consumer key may call: a method, and a path in which * stands for anything."""

    method: str
    path: str


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a credential is.

    Attributes:
        account: the account's name, for example xx1111-ovh.
        identity: its URN, which a policy names.
        rules: of a consumer key; None: none, since it is a service account or the API did not say.
    """

    account: str
    identity: str
    rules: tuple[AccessRule, ...] | None = None


class Rights(Protocol):
    """Reads only. It costs requests: whoever asks keeps the answer."""

    async def identity(self) -> Identity: ...
    async def refused(self, urns: Iterable[str], actions: Iterable[str]) -> Mapping[str, frozenset[str]]:
        """By URN, which of the actions IAM refuses on it."""
        ...
