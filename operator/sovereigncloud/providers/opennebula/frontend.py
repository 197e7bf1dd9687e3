"""The port `OpenNebula` over one front-end and credential."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from sovereigncloud.kinds.errors import Auth, Conflict, Retry
from sovereigncloud.kinds.login_port import Login
from sovereigncloud.kinds.ports import (
    AddressRange,
    Attributes,
    CloudView,
    Front,
    MarketplaceApp,
    Vm,
)
from sovereigncloud.providers.limits import Allowance
from sovereigncloud.providers.opennebula import reading
from sovereigncloud.providers.opennebula.reading import Element, Malformed, read_one, read_pool
from sovereigncloud.providers.opennebula.templates import template_xml
from sovereigncloud.providers.opennebula.transport import Transport

T = TypeVar("T")

_ALL, _WHOLE, _NOT_DONE = -2, -1, -1
_PAGE = 1000
"""Machines per page: about 5 MB of XML."""
_MERGE = 1
_ENABLE, _DISABLE = 0, 1
_ENFORCE, _SAME_KIND, _SAVE, _RECOVER_DELETE = True, -1, 0, 3
_MEMBERS = {"host": "host", "datastore": "datastore", "network": "vnet"}


class FrontEnd:
    """One OpenNebula front-end under one credential. `hosts` keeps the registrations of hosts apart."""

    def __init__(self, calls: Transport, hosts: asyncio.Lock) -> None:
        self._calls, self._hosts = calls, hosts
        self._user: int | None = None

    @property
    def allowance(self) -> Allowance:
        """What may still be asked: a metric."""
        return self._calls.budget.allowance

    def close(self) -> None:
        """Close idle connections."""
        self._calls.close()

    # ------------------------------------------------------------------------------------------------------ reading

    async def _pool(self, method: str, tag: str, read: Callable[[Element], T], *arguments: int) -> list[T]:
        xml = str(await self._calls.read(method, *arguments))
        try:
            # A pool of several MB takes 100 ms: not in the event loop.
            return await asyncio.to_thread(read_pool, xml, tag, read)
        except Malformed as error:
            raise Retry(str(error), where=f"OpenNebula {method}", maybe_done=False) from None

    async def _one(self, method: str, tag: str, read: Callable[[Element], T], oid: int) -> T:
        xml = str(await self._calls.read(method, oid))
        try:
            return read_one(xml, tag, read)
        except Malformed as error:
            raise Retry(str(error), where=f"OpenNebula {method}", maybe_done=False) from None

    async def front(self) -> Front:
        version = str(await self._calls.read("one.system.version"))
        user_id = await self._who()
        zones = dict(await self._pool("one.zonepool.info", "ZONE", _zone))
        zone_id = await self._zone_id(frozenset(zones))
        name, notes = zones.get(zone_id, ("", {}))
        return Front(version=version, zone_id=zone_id, zone_name=name, user_id=user_id, notes=notes)

    async def login(self) -> Login:
        return await self._one("one.user.info", "USER", _login, -1)

    async def _who(self) -> int:
        """The id of the credential's user: asked once, a user keeps it."""
        if self._user is None:
            self._user = await self._one("one.user.info", "USER", lambda one: int(one.findtext("ID") or -1), -1)
        return self._user

    async def _zone_id(self, zones: frozenset[int]) -> int:
        if len(zones) == 1:
            return next(iter(zones))
        try:
            # Which of the zones answers here only oneadmin may ask.
            xml = str(await self._calls.read("one.system.config"))
        except Auth:
            return 0
        return read_one(xml, "OPENNEBULA_CONFIGURATION", lambda one: int(one.findtext("FEDERATION/ZONE_ID") or 0))

    async def view(self, began: float) -> CloudView:
        owner = await self._who()
        # One call first and alone: after an outage it is the one that tries whether the front-end is back. Beside others,
        # which are not let through meanwhile and fail at once, it would be cancelled before its answer was there.
        vms = await self._machines()
        try:
            async with asyncio.TaskGroup() as group:
                networks = group.create_task(
                    self._pool("one.vnpool.info", "VNET", reading.network, _ALL, _WHOLE, _WHOLE)
                )
                images = group.create_task(
                    self._pool("one.imagepool.info", "IMAGE", reading.image, _ALL, _WHOLE, _WHOLE)
                )
                hosts = group.create_task(self._pool("one.hostpool.info", "HOST", reading.host))
                datastores = group.create_task(self._pool("one.datastorepool.info", "DATASTORE", reading.datastore))
                clusters = group.create_task(self._pool("one.clusterpool.info", "CLUSTER", reading.cluster))
                templates = group.create_task(
                    self._pool("one.templatepool.info", "VMTEMPLATE", reading.template, _ALL, _WHOLE, _WHOLE)
                )
        except ExceptionGroup as failures:
            # The port raises single errors; that one pool failed is enough to know.
            raise failures.exceptions[0] from None
        return CloudView(
            began=began,
            owner=owner,
            vms={one.id: one for one in vms},
            networks={one.id: one for one in networks.result()},
            images={one.id: one for one in images.result()},
            hosts={one.id: one for one in hosts.result()},
            datastores={one.id: one for one in datastores.result()},
            templates={one.id: one for one in templates.result()},
            clusters={one.id: one for one in clusters.result()},
        )

    async def _machines(self) -> list[Vm]:
        found: list[Vm] = []
        while True:
            # A machine terminated between two pages moves the next one out of sight: absence is a hint, no proof.
            page = await self._pool("one.vmpool.infoextended", "VM", reading.vm, _ALL, len(found), -_PAGE, _NOT_DONE)
            found += page
            if len(page) < _PAGE:
                return found

    async def vm(self, vm_id: int) -> Vm:
        return await self._one("one.vm.info", "VM", reading.vm, vm_id)

    async def apps(self) -> tuple[MarketplaceApp, ...]:
        found = await self._pool("one.marketapppool.info", "MARKETPLACEAPP", reading.app, _ALL, _WHOLE, _WHOLE)
        return tuple(found)

    # ----------------------------------------------------------------------------------------------------- machines

    async def create_vm(self, template: Attributes) -> int:
        return int(await self._calls.write("one.vm.allocate", template_xml(template), False))

    async def instantiate(self, template_id: int, name: str, extra: Attributes) -> int:
        made = await self._calls.write("one.template.instantiate", template_id, name, False, template_xml(extra), False)
        return int(made)

    async def act(self, vm_id: int, action: str) -> None:
        await self._calls.write("one.vm.action", action, vm_id)

    async def resize(self, vm_id: int, *, cpu: str, vcpu: int, memory: int) -> None:
        size = template_xml({"CPU": cpu, "VCPU": str(vcpu), "MEMORY": str(memory)})
        await self._calls.write("one.vm.resize", vm_id, size, True)

    async def resize_disk(self, vm_id: int, disk_id: int, size: int) -> None:
        await self._calls.write("one.vm.diskresize", vm_id, disk_id, str(size))

    async def attach_nic(self, vm_id: int, nic: Attributes) -> None:
        await self._calls.write("one.vm.attachnic", vm_id, template_xml({"NIC": nic}))

    async def detach_nic(self, vm_id: int, nic_id: int) -> None:
        await self._calls.write("one.vm.detachnic", vm_id, nic_id)

    async def update_vm(self, vm_id: int, attributes: Attributes) -> None:
        await self._calls.write("one.vm.update", vm_id, template_xml(attributes), _MERGE)

    async def rename_vm(self, vm_id: int, name: str) -> None:
        await self._calls.write("one.vm.rename", vm_id, name)

    async def move_vm(self, vm_id: int, host_id: int, *, live: bool) -> None:
        await self._calls.write("one.vm.migrate", vm_id, host_id, live, _ENFORCE, _SAME_KIND, _SAVE)

    async def give_up_vm(self, vm_id: int) -> None:
        await self._calls.write("one.vm.recover", vm_id, _RECOVER_DELETE)

    async def update_zone(self, zone_id: int, attributes: Attributes) -> None:
        await self._calls.write("one.zone.update", zone_id, template_xml(attributes), _MERGE)

    # ----------------------------------------------------------------------------------------------------- networks

    async def create_network(self, template: Attributes, cluster_id: int) -> int:
        return int(await self._calls.write("one.vn.allocate", template_xml(template), cluster_id))

    async def update_network(self, network_id: int, attributes: Attributes) -> None:
        await self._calls.write("one.vn.update", network_id, template_xml(attributes), _MERGE)

    async def add_range(self, network_id: int, range_: AddressRange) -> None:
        wanted = template_xml({"AR": {"TYPE": "IP4", "IP": range_.ip, "SIZE": str(range_.size)}})
        await self._calls.write("one.vn.add_ar", network_id, wanted)

    async def resize_range(self, network_id: int, range_: AddressRange) -> None:
        # An update replaces what somebody gave the range (GATEWAY, DNS, ...): it is sent along.
        given = await self._one("one.vn.info", "VNET", reading.range_attributes, network_id)
        wanted = {**given.get(range_.id, {}), "AR_ID": str(range_.id), "SIZE": str(range_.size)}
        await self._calls.write("one.vn.update_ar", network_id, template_xml({"AR": wanted}))

    async def remove_range(self, network_id: int, range_id: int) -> None:
        await self._calls.write("one.vn.rm_ar", network_id, range_id)

    async def delete_network(self, network_id: int) -> None:
        await self._calls.write("one.vn.delete", network_id)

    # ------------------------------------------------------------------------------------------------------- images

    async def create_image(self, template: Attributes, datastore_id: int) -> int:
        return int(await self._calls.write("one.image.allocate", template_xml(template), datastore_id))

    async def update_image(self, image_id: int, attributes: Attributes) -> None:
        await self._calls.write("one.image.update", image_id, template_xml(attributes), _MERGE)

    async def delete_image(self, image_id: int) -> None:
        await self._calls.write("one.image.delete", image_id)

    # -------------------------------------------------------------------------------------------------------- hosts

    async def create_host(self, name: str, im_mad: str, vm_mad: str, cluster_id: int) -> int:
        async with self._hosts:
            made = int(await self._calls.write("one.host.allocate", name, im_mad, vm_mad, cluster_id))
            # Somebody else's registration at the same moment may have overwritten ours (OpenNebula/one#7527).
            found = await self._one("one.host.info", "HOST", reading.host, made)
        if found.name != name:
            raise Conflict(
                f"host {made} was registered as {name} and is called {found.name}: registered by two at once",
                where="OpenNebula one.host.allocate",
            )
        return made

    async def update_host(self, host_id: int, attributes: Attributes) -> None:
        await self._calls.write("one.host.update", host_id, template_xml(attributes), _MERGE)

    async def enable_host(self, host_id: int) -> None:
        await self._calls.write("one.host.status", host_id, _ENABLE)

    async def disable_host(self, host_id: int) -> None:
        await self._calls.write("one.host.status", host_id, _DISABLE)

    async def delete_host(self, host_id: int) -> None:
        await self._calls.write("one.host.delete", host_id)

    async def create_cluster(self, name: str) -> int:
        return int(await self._calls.write("one.cluster.allocate", name))

    async def join_cluster(self, cluster_id: int, member: str, member_id: int) -> None:
        await self._calls.write(f"one.cluster.add{_MEMBERS[member]}", cluster_id, member_id)


def _login(element: Element) -> Login:
    groups = {int(one.text or -1) for one in element.findall("GROUPS/ID")} | {int(element.findtext("GID") or -1)}
    return Login(
        id=int(element.findtext("ID") or -1),
        name=element.findtext("NAME") or "",
        group=element.findtext("GNAME") or "",
        groups=frozenset(groups),
    )


def _zone(element: Element) -> tuple[int, tuple[str, dict[str, str]]]:
    return int(element.findtext("ID") or -1), (element.findtext("NAME") or "", reading.notes(element.find("TEMPLATE")))
