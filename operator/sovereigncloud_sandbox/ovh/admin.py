"""The admin door: JSON over HTTP beside the API, unsigned, for tests, the demo and curious people.

| request | does |
| --- | --- |
| ``GET /_admin/connection`` | address and credentials |
| ``GET /_admin/state`` | the whole world, reinstallations included |
| ``PUT /_admin/state`` | replace it (what GET gave, or parts of it); ``{}`` is an empty world |
| ``POST /_admin/reset`` | back to the guide's world, no faults, empty log |
| ``POST /_admin/accounts``, ``/servers``, ``/vracks``, ``/ips``, ``/zones`` | make one (arguments of ``seed.add_*``) |
| ``PATCH /_admin/servers/{sn}``, ``/vnis/{uuid}``, ``/vracks/{sn}``, ``/ips/{block}`` | set fields behind the back |
| ``PATCH /_admin/reverses/{block}`` | ``{address: name or null}`` |
| ``PATCH /_admin/zones/{zone}`` | ``{record: target or null}`` |
| ``PATCH /_admin/names/{name}`` | ``{"addresses": [...]}``: where a name leads that others serve |
| ``PATCH /_admin/resources/{urn}`` | ``{"displayName": ..., "tags": {key: value or null}}`` |
| ``POST /_admin/tasks/{id}`` | ``{"status": "done"}``: end it now, well or badly |
| ``GET /_admin/orders`` | carts and orders, and how often each was paid |
| ``POST /_admin/orders/{id}`` | ``{"status": "delivered"}``: have it delivered, or ``cancelled``, ``documentsRequested``, now |
| ``PATCH /_admin/shop`` | ``stock`` by plan code, ``price_factor``, ``payment_methods`` |
| ``GET``, ``PATCH /_admin/timing`` | how long things take |
| ``GET /_admin/installed?since=N`` | reinstallations that ended |
| ``POST /_admin/servers/{sn}/power`` | ``{"on": false}``: pull its plug, or put it back |
| ``PUT /_admin/power-door`` | ``{"url": ".../_admin"}``: the OpenNebula whose hosts the servers are, told of their power |
| ``GET``, ``PUT /_admin/outage`` | ``{"mode": "refuse"}`` or ``"hang"``: the whole API, for the whole time; ``""`` ends it |
| ``GET``, ``POST``, ``DELETE /_admin/faults[/{name}]`` | the fault plan |
| ``GET``, ``DELETE /_admin/log?since=N`` | requests and counters |
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from sovereigncloud_sandbox.faults import FaultPlan
from sovereigncloud_sandbox.journal import Journal
from sovereigncloud_sandbox.ovh import seed, tamper
from sovereigncloud_sandbox.ovh.presets import fault
from sovereigncloud_sandbox.ovh.state import Grant, parse_state
from sovereigncloud_sandbox.ovh.wire import Json
from sovereigncloud_sandbox.ovh.world import World

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_Action = Callable[[Json, str], Any]


def add_admin_routes(
    app: web.Application,
    world: World,
    faults: FaultPlan,
    journal: Journal,
    connection: Callable[[], Json],
) -> None:
    """Put the door beside the API."""
    door = _Door(world, faults, journal)
    router = app.router
    router.add_get("/_admin/connection", _reading(lambda _: connection()))
    router.add_get("/_admin/state", _reading(lambda _: world.report()))
    router.add_put("/_admin/state", door.writing(lambda body, _: world.replace(parse_state(body))))
    router.add_post("/_admin/reset", door.writing(lambda *_: door.reset()))
    for kind, add in door.adders.items():
        router.add_post(f"/_admin/{kind}", door.writing(add))
    for kind, patch in door.patchers.items():
        router.add_patch(f"/_admin/{kind}/{{name}}", door.writing(patch))
    router.add_patch("/_admin/resources/{name}", door.writing(door.patch_resource))
    router.add_post("/_admin/tasks/{name}", door.writing(door.finish_task))
    router.add_get("/_admin/orders", _reading(lambda _: tamper.orders(world)))
    router.add_post("/_admin/orders/{name}", door.writing(lambda body, name: tamper.move_order(world, int(name), body)))
    router.add_patch("/_admin/shop", door.writing(lambda body, _: tamper.change_shop(world, body)))
    router.add_get("/_admin/timing", _reading(lambda _: asdict(world.state.timing)))
    router.add_post("/_admin/servers/{name}/rekey", door.writing(lambda _, name: tamper.rekey(world, name)))
    router.add_post("/_admin/servers/{name}/power", door.writing(lambda body, name: world.switch(name, on=body["on"])))
    router.add_patch("/_admin/timing", door.writing(lambda body, _: tamper.set_timing(world, body)))
    router.add_get("/_admin/installed", _reading(door.installed))
    router.add_get("/_admin/faults", _reading(lambda _: faults.report()))
    router.add_post("/_admin/faults", door.writing(lambda body, _: {"name": faults.add(fault(body))}))
    router.add_delete("/_admin/faults", door.writing(lambda *_: faults.clear()))
    router.add_delete("/_admin/faults/{name}", door.writing(door.remove_fault))
    router.add_get("/_admin/log", _reading(lambda request: journal.report(_since(request))))
    router.add_delete("/_admin/log", door.writing(lambda *_: journal.reset()))


def _since(request: web.Request) -> int:
    return int(request.query.get("since", "0"))


def _reading(read: Callable[[web.Request], Any]) -> _Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        return web.json_response(read(request))

    return handle


class _Door:
    def __init__(self, world: World, faults: FaultPlan, journal: Journal) -> None:
        self._world = world
        self._faults = faults
        self._journal = journal
        self.adders: dict[str, _Action] = {
            "accounts": self._add_account,
            "servers": lambda body, _: _add(seed.add_server, world, body),
            "vracks": lambda body, _: _add(seed.add_vrack, world, body),
            "ips": lambda body, _: _add(seed.add_block, world, body),
            "zones": lambda body, _: _add(seed.add_zone, world, body),
        }
        self.patchers: dict[str, _Action] = {
            "servers": lambda body, name: tamper.patch_server(world, name, body),
            "vnis": lambda body, name: tamper.patch_vni(world, name, body),
            "vracks": lambda body, name: tamper.patch_vrack(world, name, body),
            "ips": lambda body, name: tamper.patch_ip(world, name, body),
            "reverses": lambda body, name: tamper.set_reverse(world, name, body),
            "zones": lambda body, name: tamper.patch_zone(world, name, body),
            "names": lambda body, name: tamper.set_name(world, name, body["addresses"]),
        }

    def writing(self, act: _Action) -> _Handler:
        """A handler that answers 404 for what is not there and 400 for what cannot be understood."""

        async def handle(request: web.Request) -> web.StreamResponse:
            text = await request.text()
            try:
                body = json.loads(text or "{}")
                answer = act(body, unquote(request.match_info.get("name", "")))
            except KeyError as error:
                return web.json_response({"message": f"no such thing: {error}"}, status=404)
            except (ValueError, TypeError) as error:
                return web.json_response({"message": str(error)}, status=400)
            self._world.advance()
            self._world.changed()
            return web.json_response(answer)

        return handle

    def reset(self) -> None:
        self._faults.clear()
        self._journal.reset()
        self._world.replace(seed.default_state())

    def _add_account(self, body: Json, _: str) -> None:
        grants = body.pop("grants", None)
        made = None if grants is None else [Grant(**one) for one in grants]
        with self._world.lock:
            seed.add_account(self._world.state, body.pop("nichandle"), grants=made, **body)

    def patch_resource(self, body: Json, urn: str) -> None:
        if "displayName" in body:
            tamper.rename(self._world, urn, body["displayName"])
        if "tags" in body:
            tamper.tag(self._world, urn, body["tags"])

    def finish_task(self, body: Json, name: str) -> None:
        tamper.finish_task(self._world, int(name), body.get("status", "done"))

    def installed(self, request: web.Request) -> list[Json]:
        since = _since(request)
        with self._world.lock:
            return [asdict(event) for event in self._world.installed if event.number > since]

    def remove_fault(self, _: Json, name: str) -> None:
        if not self._faults.remove(name):
            raise KeyError(name)


def _add(make: Callable[..., Any], world: World, body: Json) -> None:
    name = body.pop("name")
    with world.lock:
        make(world.state, name, **body)
