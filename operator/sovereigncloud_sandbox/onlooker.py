"""Independent client of an OpenNebula cloud, over xmlrpc.client alone.

Tests compare what it reads with what the operator's own adapter reports.
"""

from __future__ import annotations

import xmlrpc.client
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lxml import etree

_ALL, _NOT_DONE, _EVEN_DONE = -2, -1, -2
_ACTIVE, _DONE = 3, 6
_RUNNING = 3


class RefusedError(Exception):
    """OpenNebula refused a call; the message is that of OpenNebula."""


@dataclass(frozen=True, slots=True)
class Thing:
    """An object of a pool, as its XML says: single attributes, and vectors, of TEMPLATE and of USER_TEMPLATE;
    the address ranges of a network are vectors AR.
    """

    id: int
    name: str
    state: int
    lcm_state: int
    template: Mapping[str, str]
    vectors: Mapping[str, tuple[Mapping[str, str], ...]]
    user_template: Mapping[str, str]
    host: str = ""

    @property
    def running(self) -> bool:
        """Of a machine: it runs, and nothing is being done to it."""
        return (self.state, self.lcm_state) == (_ACTIVE, _RUNNING)

    @property
    def done(self) -> bool:
        """Of a machine: it was terminated."""
        return self.state == _DONE

    @property
    def addresses(self) -> list[str]:
        """Of a machine: of its cards, in their order."""
        return [nic.get("IP", "") for nic in self.vectors.get("NIC", ())]

    @property
    def networks(self) -> list[str]:
        """Of a machine: the names of the networks of its cards."""
        return [nic.get("NETWORK", "") for nic in self.vectors.get("NIC", ())]

    @property
    def context(self) -> Mapping[str, str]:
        """Of a machine: what its guest is given."""
        return next(iter(self.vectors.get("CONTEXT", ())), {})


class Onlooker:
    """Client of one front-end with one credential."""

    def __init__(self, endpoint: str, password: str, user: str = "oneadmin") -> None:
        self._endpoint, self._session = endpoint, f"{user}:{password}"

    def call(self, method: str, *arguments: object) -> Any:
        """One call. Raises RefusedError."""
        with xmlrpc.client.ServerProxy(self._endpoint) as server:
            answer: Any = getattr(server, method)(self._session, *arguments)
        if not answer[0]:
            raise RefusedError(answer[1])
        return answer[1]

    def machines(self, name: str = "", *, even_done: bool = False) -> list[Thing]:
        """All machines, or those of a name, in the order in which they were made."""
        states = _EVEN_DONE if even_done else _NOT_DONE
        return self._pool("VM", name, "one.vmpool.infoextended", _ALL, -1, -1, states)

    def networks(self, name: str = "") -> list[Thing]:
        return self._pool("VNET", name, "one.vnpool.info", _ALL, -1, -1)

    def images(self, name: str = "") -> list[Thing]:
        return self._pool("IMAGE", name, "one.imagepool.info", _ALL, -1, -1)

    def machine(self, vm_id: int) -> Thing:
        """One machine, also when it is done."""
        return _thing(etree.fromstring(self.call("one.vm.info", vm_id, False)))

    def _pool(self, tag: str, name: str, method: str, *arguments: int) -> list[Thing]:
        things = [_thing(element) for element in etree.fromstring(self.call(method, *arguments)).iter(tag)]
        return sorted((one for one in things if name in ("", one.name)), key=lambda one: one.id)


def _thing(element: Any) -> Thing:
    template = element.find("TEMPLATE")
    vectors: dict[str, list[Mapping[str, str]]] = {}
    for child in (*element.iterfind("TEMPLATE/*"), *element.iterfind("AR_POOL/AR")):
        if len(child):
            vectors.setdefault(child.tag, []).append({inner.tag: inner.text or "" for inner in child})
    return Thing(
        id=int(element.findtext("ID")),
        name=element.findtext("NAME"),
        state=int(element.findtext("STATE") or 0),
        lcm_state=int(element.findtext("LCM_STATE") or 0),
        template=_singles(template),
        vectors={tag: tuple(found) for tag, found in vectors.items()},
        user_template=_singles(element.find("USER_TEMPLATE")),
        host=element.findtext("HISTORY_RECORDS/HISTORY/HOSTNAME") or "",
    )


def _singles(element: Any) -> dict[str, str]:
    return {child.tag: child.text or "" for child in element if not len(child)} if element is not None else {}
