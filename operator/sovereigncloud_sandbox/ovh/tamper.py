"""Out-of-band changes, as somebody makes them in the control panel: immediate, without a task."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sovereigncloud_sandbox.ovh.orders_time import deliver
from sovereigncloud_sandbox.ovh.state import Timing
from sovereigncloud_sandbox.ovh.wire import Json
from sovereigncloud_sandbox.ovh.world import World


def patch_server(world: World, name: str, changes: Mapping[str, Any]) -> None:
    """Set fields of a server; a new ``ip`` moves its main address too.

    Raises:
        KeyError: no such server, no such field.
    """
    with world.lock:
        server = world.state.servers[name]
        _set(server.document, changes)
        if "ip" in changes:
            state = world.state
            main = next(
                one for one in state.ips.values() if one.routed_to == name and one.document["type"] == "dedicated"
            )
            del state.ips[main.block]
            main.resource.name = main.document["ip"] = f"{changes['ip']}/32"
            main.resource.urn = f"urn:v1:eu:resource:ip:{main.block}"
            main.resource.display_name = main.block
            state.ips[main.block] = main
            server.network["routing"]["ipv4"]["ip"] = changes["ip"]


def rekey(world: World, name: str) -> None:
    """Give the sshd of a server another host key.

    Raises:
        KeyError: no such server.
    """
    with world.lock:
        world.state.servers[name].rekeyed += 1
    world.changed()


def patch_vni(world: World, uuid: str, changes: Mapping[str, Any]) -> None:
    """Set fields of a virtual network interface; ``{"vrack": None}`` detaches it.

    Raises:
        KeyError: no such interface, no such field.
    """
    with world.lock:
        _set(world.vni(uuid), changes)


def patch_vrack(world: World, name: str, changes: Mapping[str, Any]) -> None:
    """Set fields of a vRack.

    Raises:
        KeyError: no such vRack, no such field.
    """
    with world.lock:
        _set(world.state.vracks[name].document, changes)


def patch_ip(world: World, block: str, changes: Mapping[str, Any]) -> None:
    """Set fields of a block; ``routedTo`` may be the name of a service.

    Raises:
        KeyError: no such block, no such field.
    """
    with world.lock:
        thing = world.state.ips[block]
        plain = {name: value for name, value in changes.items() if name != "routedTo"}
        _set(thing.document, plain)
        if "routedTo" in changes:
            routed = changes["routedTo"]
            world.route(block, routed["serviceName"] if isinstance(routed, Mapping) else routed)


def set_reverse(world: World, block: str, names: Mapping[str, str | None]) -> None:
    """Set reverse names of a block's addresses, without asking where they lead; None removes one.

    Raises:
        KeyError: no such block.
    """
    with world.lock:
        mine = world.state.ips[block].reverses
        for address, name in names.items():
            if name is None:
                mine.pop(address, None)
            else:
                mine[address] = f"{name.rstrip('.')}."


def patch_zone(world: World, name: str, changes: Mapping[str, str | None]) -> None:
    """Set targets of records by number, published at once; None removes one.

    Raises:
        KeyError: no such zone, no such record.
    """
    with world.lock:
        zone = world.state.zones[name]
        for number, target in changes.items():
            if target is None:
                del zone.records[int(number)]
            else:
                zone.records[int(number)].target = target
        zone.publish(world.clock())


def set_name(world: World, name: str, addresses: list[str]) -> None:
    """Where a name leads that others serve; none: nowhere."""
    with world.lock:
        world.state.names[name.rstrip(".").lower()] = list(addresses)


def rename(world: World, urn: str, display_name: str) -> None:
    """Give a service another display name, visible at once.

    Raises:
        KeyError: no such resource.
    """
    with world.lock:
        world.resource(urn).display_name = display_name


def tag(world: World, urn: str, tags: Mapping[str, str | None]) -> None:
    """Set tags of a service; None removes one.

    Raises:
        KeyError: no such resource.
    """
    with world.lock:
        mine = world.resource(urn).tags
        for key, value in tags.items():
            if value is None:
                mine.pop(key, None)
            else:
                mine[key] = value


def finish_task(world: World, task: int, status: str = "done") -> None:
    """End a task now, well or badly (``customerError``, ``ovhError``, ``cancelled``).

    Raises:
        KeyError: no such task under way.
    """
    with world.lock:
        found = world.state.tasks[task]
        if not found.active:
            raise KeyError(task)
        world.finish(found, status)


def set_timing(world: World, changes: Mapping[str, float]) -> None:
    """Change how long things take from now on; tasks under way keep their end.

    Raises:
        KeyError: no such duration.
    """
    with world.lock:
        for name, seconds in changes.items():
            if name not in Timing.__dataclass_fields__:
                raise KeyError(name)
            setattr(world.state.timing, name, float(seconds))


def _set(document: Json, changes: Mapping[str, Any]) -> None:
    unknown = set(changes) - set(document)
    if unknown:
        raise KeyError(", ".join(sorted(unknown)))
    document.update(changes)


def orders(world: World) -> Json:
    """Carts and orders, as the admin door shows them."""
    with world.lock:
        state = world.state
        return {
            "carts": [asdict(cart) for cart in state.carts.values()],
            "orders": [asdict(order) for order in state.orders.values()],
        }


def move_order(world: World, number: int, body: Mapping[str, Any]) -> None:
    """Give an order a status now; ``delivered`` builds its server.

    Raises:
        KeyError: no such order.
    """
    with world.lock:
        order, status = world.state.orders[number], body.get("status", "delivered")
        if status == "delivered":
            deliver(world.state, order, world.clock())
        order.status = status


def change_shop(world: World, changes: Mapping[str, Any]) -> None:
    """Stock, prices and payment methods.

    Raises:
        KeyError: no such thing.
    """
    with world.lock:
        for name, value in changes.items():
            if name not in {"stock", "price_factor", "payment_methods"}:
                raise KeyError(name)
            # Keys of JSON are texts.
            wanted = {int(k): v for k, v in value.items()} if name == "payment_methods" else value
            setattr(world.state, name, wanted)
