"""The port `OpenNebula` over one front-end and credential."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TypeVar

from sovereigncloud.core.identity import ONE_PREFIX
from sovereigncloud.ports.errors import Auth, Conflict
from sovereigncloud.ports.opennebula.client import Attributes
from sovereigncloud.ports.opennebula.details import Particulars
from sovereigncloud.ports.opennebula.login import Login
from sovereigncloud.ports.opennebula.tenancy import Tenancies
from sovereigncloud.ports.opennebula.views import AddressRange, CloudView, Front, MarketplaceApp, Vm, clusters_by_host
from sovereigncloud.providers.opennebula import infrastructure_views
from sovereigncloud.providers.opennebula import views as reading
from sovereigncloud.providers.opennebula.infrastructure import FrontEndParts
from sovereigncloud.providers.opennebula.migration import FrontEndMoves
from sovereigncloud.providers.opennebula.networks import AddressVerbs, GroupVerbs
from sovereigncloud.providers.opennebula.storage import MachineStorage
from sovereigncloud.providers.opennebula.templates import template_xml
from sovereigncloud.providers.opennebula.tenancy import TenancyCalls
from sovereigncloud.providers.opennebula.transport import Transport
from sovereigncloud.providers.opennebula.vm_groups import Groups
from sovereigncloud.providers.opennebula.vm_pool import PoolRead
from sovereigncloud.providers.opennebula.xml_elements import (
    Element,
    ids,
    malformed_means_retry,
    notes,
    number,
    read_one,
    read_pool,
    singles,
    text,
    whole,
)
from sovereigncloud.providers.opennebula.zones import ZoneCalls
from sovereigncloud.providers.rate_limits import Allowance

T = TypeVar("T")

_ALL, _WHOLE, _NOT_DONE = -2, -1, -1
_PAGE = 1000
"""Machines per page: about 5 MB of XML."""
_MACHINES = "one.vmpool.infoextended"
_REPLACE, _MERGE = 0, 1
_ENABLE, _DISABLE = 0, 1
_ENFORCE, _SAME_KIND, _SAVE, _RECOVER_DELETE, _RECOVER_RETRY = True, -1, 0, 3, 2
_TEMPLATES = {
    "vm": ("one.vm", "VM", "USER_TEMPLATE"),
    "network": ("one.vn", "VNET", "TEMPLATE"),
    "image": ("one.image", "IMAGE", "TEMPLATE"),
    "security_group": ("one.secgroup", "SECURITY_GROUP", "TEMPLATE"),
}
"""Of what is marked: its calls, its element, and the one in it that can be updated."""
_MEMBERS = {"host": "host", "datastore": "datastore", "network": "vnet"}


class FrontEnd:
    """One OpenNebula front-end under one credential. `hosts` keeps the registrations of hosts apart; `elsewhere` gives the calls
    of another server of its zone.
    """

    def __init__(self, calls: Transport, hosts: asyncio.Lock, elsewhere: Callable[[str], Transport]) -> None:
        self._calls, self._hosts = calls, hosts
        self._user: int | None = None
        self.tenancy: Tenancies = TenancyCalls(calls, self._which_zone)
        self.parts = FrontEndParts(calls)
        """Marketplaces, datastores and clusters."""
        self.security_groups, self.addresses = GroupVerbs(calls), AddressVerbs(calls)
        self._machines_known: Mapping[bytes, Vm] = {}
        self._storage = MachineStorage(calls)
        self.moves = FrontEndMoves(calls)
        self.zones = ZoneCalls(calls, elsewhere)
        """Of the federation that it is in."""

    @property
    def storage(self) -> MachineStorage:
        return self._storage

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
        return await _aside(method, read_pool, xml, tag, read)

    async def _one(self, method: str, tag: str, read: Callable[[Element], T], oid: int) -> T:
        xml = str(await self._calls.read(method, oid))
        with malformed_means_retry(method):
            return read_one(xml, tag, read)

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
            self._user = await self._one("one.user.info", "USER", lambda one: number(one, "ID"), -1)
        return self._user

    async def _which_zone(self) -> int:
        zones = await self._pool("one.zonepool.info", "ZONE", _zone)
        return await self._zone_id(frozenset(number for number, _ in zones))

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
                datastores = group.create_task(
                    self._pool("one.datastorepool.info", "DATASTORE", infrastructure_views.datastore)
                )
                clusters = group.create_task(
                    self._pool("one.clusterpool.info", "CLUSTER", infrastructure_views.cluster)
                )
                vm_groups = group.create_task(
                    self._pool("one.vmgrouppool.info", "VM_GROUP", reading.vm_group, _ALL, _WHOLE, _WHOLE)
                )
                security_groups = group.create_task(
                    self._pool("one.secgrouppool.info", "SECURITY_GROUP", reading.security_group, _ALL, _WHOLE, _WHOLE)
                )
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
            vm_groups={one.id: one for one in vm_groups.result()},
            empty_groups=tuple(one for one in vm_groups.result() if one.empty),
            security_groups={one.id: one for one in security_groups.result()},
            host_clusters=clusters_by_host(hosts.result(), {one.id: one for one in clusters.result()}),
            latency=self._calls.nearness.milliseconds,
        )

    async def _machines(self) -> list[Vm]:
        found: list[Vm] = []
        pages = PoolRead(self._machines_known, reading.vm)
        while True:
            # A machine terminated between two pages moves the next one out of sight: absence is a hint, no proof.
            xml = await self._calls.read(_MACHINES, _ALL, len(found), -_PAGE, _NOT_DONE)
            page = await _aside(_MACHINES, pages.page, xml)
            found += page
            if len(page) < _PAGE:
                self._machines_known = pages.met
                return found

    async def vm(self, vm_id: int) -> Vm:
        return await self._one("one.vm.info", "VM", reading.vm, vm_id)

    async def particulars(self, member: str) -> dict[int, Particulars]:
        family, tag, where = _TEMPLATES[member]

        def read(one: Element) -> tuple[int, Particulars]:
            return number(one, "ID"), reading.particulars(one, where)

        if member != "vm":
            return dict(await self._pool(f"{family}pool.info", tag, read, _ALL, _WHOLE, _WHOLE))
        found: dict[int, Particulars] = {}
        while True:
            page = await self._pool(f"{family}pool.infoextended", tag, read, _ALL, len(found), -_PAGE, _NOT_DONE)
            found.update(page)
            if len(page) < _PAGE:
                return found

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

    async def unmark(self, member: str, member_id: int) -> None:
        # A merge can only empty an attribute, so the whole is written: what it was a moment ago, without ours.
        family, tag, where = _TEMPLATES[member]
        there = await self._one(f"{family}.info", tag, lambda one: whole(one.find(where)), member_id)
        left = {key: value for key, value in there.items() if not key.startswith(ONE_PREFIX)}
        if left != there:
            await self._calls.write(f"{family}.update", member_id, template_xml(left), _REPLACE)

    async def rename_vm(self, vm_id: int, name: str) -> None:
        await self._calls.write("one.vm.rename", vm_id, name)

    async def configure_vm(self, vm_id: int, attributes: Attributes) -> None:
        await self._calls.write("one.vm.updateconf", vm_id, template_xml(attributes), _MERGE)

    async def attach_pci(self, vm_id: int, device: Attributes) -> None:
        await self._calls.write("one.vm.attachpci", vm_id, template_xml({"PCI": device}))

    async def detach_pci(self, vm_id: int, pci_id: int) -> None:
        await self._calls.write("one.vm.detachpci", vm_id, pci_id)

    async def retry_vm(self, vm_id: int) -> None:
        await self._calls.write("one.vm.recover", vm_id, _RECOVER_RETRY)

    @property
    def vm_groups(self) -> Groups:
        return Groups(self._calls)

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

    async def rename_image(self, image_id: int, name: str) -> None:
        await self._calls.write("one.image.rename", image_id, name)

    async def set_persistent(self, image_id: int, *, persistent: bool) -> None:
        await self._calls.write("one.image.persistent", image_id, persistent)

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


async def _aside(method: str, parse: Callable[..., list[T]], *what: object) -> list[T]:
    """Parsed in a thread: a pool of several MB takes 100 ms, which are not the event loop's."""
    with malformed_means_retry(method):
        return await asyncio.to_thread(parse, *what)


def _login(element: Element) -> Login:
    groups = {*ids(element, "GROUPS/ID"), number(element, "GID")}
    return Login(
        id=number(element, "ID"),
        name=text(element, "NAME"),
        group=text(element, "GNAME"),
        groups=frozenset(groups),
    )


def _zone(element: Element) -> tuple[int, tuple[str, dict[str, str]]]:
    return number(element, "ID"), (text(element, "NAME"), notes(singles(element.find("TEMPLATE"))))
