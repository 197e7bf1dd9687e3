"""The admin door: what a person or a test may do to the clouds that no API of OpenNebula offers. JSON over HTTP.
A cloud is named, or told by an address of it: 127.57.131.160:2633.

GET    /_admin/clouds                    the clouds
POST   /_admin/clouds                    make one: what an installer leaves behind (install.CloudSpec)
GET    /_admin/clouds/{cloud}            what is in it
GET    /_admin/clouds/{cloud}/digests    what is on disks and in images, as digests: equal data, equal digest
DELETE /_admin/clouds/{cloud}            tear it down
PUT    /_admin/clouds/{cloud}/listen     let it listen elsewhere or with another certificate (install.ListenSpec)
PUT    /_admin/clouds/{cloud}/oned.conf  its part in a federation, from the next start on (install.OnedConfSpec)
POST   /_admin/clouds/{cloud}/import     {"master": name or endpoint}: onedb backup there, onedb restore here, federated
POST   /_admin/clouds/{cloud}/restart    stop and start oned
PUT    /_admin/clouds/{cloud}/federation all three of them, one after the other (install.OnedConfSpec)
POST   /_admin/clouds/{cloud}/front-ends {"front_ends": [{"name": "s0", "listen": "127.0.0.5:2633"}, ...]}: a raft cluster
POST   /_admin/clouds/{cloud}/mischief   {"what": "vm-power-off", "vm": "web"}; GET lists what there is
POST   /_admin/clouds/{cloud}/speeds     {"boot": 2.0}; GET shows them
POST   /_admin/clouds/{cloud}/faults     a fault rule (sandbox.faults.Rule); GET lists, DELETE clears
GET    /_admin/copies                    ?attribute=NAME&value=TEXT of USER_TEMPLATE: where such machines really run, and at worst
POST   /_admin/power                     {"address": "127.57.131.160", "on": false}: a server of any cloud, or of none
GET    /_admin/log, /_admin/counts       of all clouds, or ?cloud=name; POST /_admin/reset forgets them
"""

import inspect
import json
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import asdict
from typing import Any

from aiohttp import web

from sovereigncloud_sandbox.faults import parse_rule
from sovereigncloud_sandbox.opennebula import content_mischief, federation
from sovereigncloud_sandbox.opennebula.cloud import Cloud
from sovereigncloud_sandbox.opennebula.errors import OneError
from sovereigncloud_sandbox.opennebula.install import parse_front_end, parse_listen, parse_oned_conf, parse_spec
from sovereigncloud_sandbox.opennebula.mischief import MISCHIEF
from sovereigncloud_sandbox.opennebula.sandbox import OneSandbox, describe

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def admin_application(sandbox: OneSandbox) -> web.Application:
    """The admin door of a sandbox."""
    door = _Door(sandbox)
    application = web.Application(middlewares=[_errors])
    application.router.add_get("/_admin/clouds", door.clouds)
    application.router.add_post("/_admin/clouds", door.create)
    application.router.add_get("/_admin/clouds/{cloud}", door.show)
    application.router.add_get("/_admin/clouds/{cloud}/digests", door.digests)
    application.router.add_delete("/_admin/clouds/{cloud}", door.destroy)
    application.router.add_put("/_admin/clouds/{cloud}/listen", door.listen)
    application.router.add_put("/_admin/clouds/{cloud}/oned.conf", door.configure)
    application.router.add_post("/_admin/clouds/{cloud}/import", door.import_tables)
    application.router.add_put("/_admin/clouds/{cloud}/federation", door.change)
    application.router.add_post("/_admin/clouds/{cloud}/restart", door.restart)
    application.router.add_post("/_admin/clouds/{cloud}/front-ends", door.gather)
    application.router.add_get("/_admin/clouds/{cloud}/mischief", door.list_mischief)
    application.router.add_post("/_admin/clouds/{cloud}/mischief", door.mischief)
    application.router.add_get("/_admin/clouds/{cloud}/speeds", door.show_speeds)
    application.router.add_post("/_admin/clouds/{cloud}/speeds", door.speeds)
    application.router.add_get("/_admin/clouds/{cloud}/faults", door.show_faults)
    application.router.add_post("/_admin/clouds/{cloud}/faults", door.add_fault)
    application.router.add_delete("/_admin/clouds/{cloud}/faults", door.clear_faults)
    application.router.add_get("/_admin/copies", door.copies)
    application.router.add_post("/_admin/power", door.power)
    application.router.add_get("/_admin/log", door.log)
    application.router.add_get("/_admin/counts", door.counts)
    application.router.add_post("/_admin/reset", door.reset)
    return application


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except (LookupError, OneError) as error:
        return web.json_response({"error": str(error)}, status=404)
    except (ValueError, TypeError) as error:
        return web.json_response({"error": str(error)}, status=400)
    except OSError as error:
        return web.json_response({"error": str(error)}, status=409)


async def _document(request: web.Request) -> dict[str, Any]:
    try:
        document = json.loads(await request.text() or "{}")
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error}") from error
    if not isinstance(document, dict):
        raise TypeError("a JSON object is wanted")
    return document


class _Door:
    def __init__(self, sandbox: OneSandbox) -> None:
        self._sandbox = sandbox

    def _cloud(self, request: web.Request) -> Cloud:
        return self._sandbox.find(request.match_info["cloud"])

    def _chosen(self, request: web.Request) -> Iterable[Cloud]:
        wanted = request.query.get("cloud")
        return [self._sandbox[name] for name in self._sandbox.names() if wanted in (None, name)]

    async def clouds(self, _: web.Request) -> web.StreamResponse:
        names = self._sandbox.names()
        return web.json_response([{"name": name, "endpoint": self._sandbox.endpoint(name)} for name in names])

    async def create(self, request: web.Request) -> web.StreamResponse:
        spec = parse_spec(await _document(request))
        endpoint = await self._sandbox.create(spec)
        return web.json_response({"name": spec.name, "endpoint": endpoint, "username": "oneadmin"}, status=201)

    async def show(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(describe(self._sandbox, self._cloud(request).name))

    async def digests(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(content_mischief.digests(self._cloud(request)))

    async def destroy(self, request: web.Request) -> web.StreamResponse:
        await self._sandbox.destroy(self._cloud(request).name)
        return web.Response(status=204)

    async def listen(self, request: web.Request) -> web.StreamResponse:
        wanted = parse_listen(await _document(request))
        endpoint = await self._sandbox.listen(self._cloud(request).name, wanted.listen, wanted.tls)
        return web.json_response({"endpoint": endpoint})

    async def configure(self, request: web.Request) -> web.StreamResponse:
        wanted = parse_oned_conf(await _document(request))
        federation.configure(self._cloud(request), wanted.mode, wanted.zone_id, wanted.master_oned)
        return web.json_response({"done": True})

    async def change(self, request: web.Request) -> web.StreamResponse:
        wanted = parse_oned_conf(await _document(request))
        federation.change(self._cloud(request), wanted.mode, wanted.zone_id, wanted.master_oned)
        return web.json_response({"done": True})

    async def import_tables(self, request: web.Request) -> web.StreamResponse:
        master = self._sandbox.find(str((await _document(request)).get("master", "")))
        federation.import_tables(self._cloud(request), master)
        return web.json_response({"done": True})

    async def restart(self, request: web.Request) -> web.StreamResponse:
        federation.restart(self._cloud(request))
        return web.json_response({"done": True})

    async def gather(self, request: web.Request) -> web.StreamResponse:
        wanted = [parse_front_end(one) for one in (await _document(request)).get("front_ends", ())]
        return web.json_response({"endpoints": await self._sandbox.gather(self._cloud(request).name, wanted)})

    async def list_mischief(self, request: web.Request) -> web.StreamResponse:
        self._cloud(request)
        listed = {name: f"{inspect.signature(act)}  {inspect.getdoc(act) or ''}" for name, act in MISCHIEF.items()}
        return web.json_response(listed)

    async def mischief(self, request: web.Request) -> web.StreamResponse:
        cloud = self._cloud(request)
        document = await _document(request)
        act = MISCHIEF.get(str(document.pop("what", "")))
        if act is None:
            raise LookupError(f"'what' is one of {', '.join(MISCHIEF)}")
        act(cloud, **document)
        for one in self._sandbox.network.clouds():
            federation.note(one)
        return web.json_response({"done": True})

    async def show_speeds(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(asdict(self._cloud(request).speeds))

    async def speeds(self, request: web.Request) -> web.StreamResponse:
        cloud = self._cloud(request)
        cloud.advance()
        cloud.speeds.update(await _document(request))
        return web.json_response(asdict(cloud.speeds))

    async def show_faults(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(self._cloud(request).faults.report())

    async def add_fault(self, request: web.Request) -> web.StreamResponse:
        name = self._cloud(request).faults.add(parse_rule(await _document(request)))
        return web.json_response({"name": name}, status=201)

    async def clear_faults(self, request: web.Request) -> web.StreamResponse:
        self._cloud(request).faults.clear()
        return web.Response(status=204)

    async def copies(self, request: web.Request) -> web.StreamResponse:
        wanted = request.query.get("attribute", ""), request.query.get("value", "")
        return web.json_response(self._sandbox.copies(*wanted))

    async def power(self, request: web.Request) -> web.StreamResponse:
        document = await _document(request)
        return web.json_response({"hosts": self._sandbox.power(str(document["address"]), on=bool(document["on"]))})

    async def log(self, request: web.Request) -> web.StreamResponse:
        since = int(request.query.get("since", "0"))
        return web.json_response({cloud.name: cloud.journal.report(since) for cloud in self._chosen(request)})

    async def counts(self, request: web.Request) -> web.StreamResponse:
        counted: dict[str, Any] = {}
        for cloud in self._chosen(request):
            methods = {one.partition(" ")[2]: number for one, number in cloud.journal.counts().items()}
            counted[cloud.name] = {
                "total": cloud.journal.count(),
                "writes": cloud.journal.writes(),
                "methods": methods,
            }
        return web.json_response(counted)

    async def reset(self, request: web.Request) -> web.StreamResponse:
        for cloud in self._chosen(request):
            cloud.journal.reset()
        return web.Response(status=204)
