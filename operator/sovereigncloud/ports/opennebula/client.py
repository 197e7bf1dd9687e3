"""The door to OpenNebula that the kinds need: few, small, idempotent verbs. `providers/opennebula` implements them.

Facts are in frozen values; ids are those of the API. A verb raises the errors of `kinds.errors` and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from sovereigncloud.ports.opennebula.details import Particulars
from sovereigncloud.ports.opennebula.infrastructure import Parts
from sovereigncloud.ports.opennebula.login import Login
from sovereigncloud.ports.opennebula.migration import Moves
from sovereigncloud.ports.opennebula.networks import Addresses
from sovereigncloud.ports.opennebula.security_groups import SecurityGroups
from sovereigncloud.ports.opennebula.storage import Storage
from sovereigncloud.ports.opennebula.tenancy import Tenancies
from sovereigncloud.ports.opennebula.views import AddressRange, CloudView, Front, MarketplaceApp, Vm
from sovereigncloud.ports.opennebula.vm_groups import VmGroups
from sovereigncloud.ports.opennebula.zones import Zones as FederationZones

Attributes = Mapping[str, "str | Attributes | list[Attributes]"]
"""A template as nested values; the adapter writes it safely quoted in OpenNebula's XML form."""


class OpenNebula(Protocol):
    """One OpenNebula front-end under one credential."""

    @property
    def parts(self) -> Parts:
        """Marketplaces, datastores and clusters."""
        ...

    @property
    def tenancy(self) -> Tenancies:
        """Groups, users and VDCs, for an administrator."""
        ...

    @property
    def zones(self) -> FederationZones:
        """Of the federation that it is in."""
        ...

    @property
    def security_groups(self) -> SecurityGroups: ...
    @property
    def addresses(self) -> Addresses:
        """Of networks: holds and reservations."""
        ...

    @property
    def storage(self) -> Storage:
        """Disks, backups and snapshots of machines."""
        ...

    @property
    def moves(self) -> Moves:
        """What takes a machine to another cloud."""
        ...

    async def front(self) -> Front: ...
    async def login(self) -> Login:
        """Who the credential is."""
        ...

    async def view(self, began: float) -> CloudView:
        """Read every pool once, in pages. `began` is stamped on the view by the caller before the first read."""
        ...

    async def vm(self, vm_id: int) -> Vm:
        """One VM, also a DONE one. Raises NotFound; Auth for an id that another user or another oned holds."""
        ...

    async def apps(self) -> tuple[MarketplaceApp, ...]: ...
    async def particulars(self, member: str) -> Mapping[int, Particulars]:
        """What people ask for beside a view. `member`: vm, network, image or security_group."""
        ...

    async def create_vm(self, template: Attributes) -> int: ...
    async def instantiate(self, template_id: int, name: str, extra: Attributes) -> int: ...
    async def act(self, vm_id: int, action: str) -> None:
        """one.vm.action: resume, poweroff, suspend, terminate-hard, ... OK means queued, not done (observed)."""
        ...

    async def resize(self, vm_id: int, *, cpu: str, vcpu: int, memory: int) -> None: ...
    async def resize_disk(self, vm_id: int, disk_id: int, size: int) -> None: ...
    async def attach_nic(self, vm_id: int, nic: Attributes) -> None:
        """`nic` is what stands inside NIC=[...]."""
        ...

    async def detach_nic(self, vm_id: int, nic_id: int) -> None: ...
    async def update_vm(self, vm_id: int, attributes: Attributes) -> None:
        """Merge into USER_TEMPLATE by top-level key."""
        ...

    async def unmark(self, member: str, member_id: int) -> None:
        """Take every SOVEREIGNCLOUD_* attribute off its template, and nothing else. `member`: vm, network, image or security_group."""
        ...

    async def rename_vm(self, vm_id: int, name: str) -> None: ...
    async def configure_vm(self, vm_id: int, attributes: Attributes) -> None:
        """one.vm.updateconf, merging: vectors and their attributes that are not named stay (CONTEXT, what others set)."""
        ...

    async def attach_pci(self, vm_id: int, device: Attributes) -> None:
        """`device` is what stands inside PCI=[...]. Powered off only; refused where its host has none free."""
        ...

    async def detach_pci(self, vm_id: int, pci_id: int) -> None: ...
    async def retry_vm(self, vm_id: int) -> None:
        """one.vm.recover, retry: what failed is done once more."""
        ...

    @property
    def vm_groups(self) -> VmGroups: ...
    async def move_vm(self, vm_id: int, host_id: int, *, live: bool) -> None:
        """one.vm.migrate to a host that has room for it. Not live, a running machine is saved, moved and resumed. OK means
        queued; a move that fails leaves it where it was and says nothing (observed)."""
        ...

    async def give_up_vm(self, vm_id: int) -> None:
        """one.vm.recover, delete: of a machine whose host is lost. Its disks are gone."""
        ...

    async def update_zone(self, zone_id: int, attributes: Attributes) -> None:
        """Merge into the zone's template by top-level key."""
        ...

    async def create_network(self, template: Attributes, cluster_id: int) -> int: ...
    async def update_network(self, network_id: int, attributes: Attributes) -> None:
        """Merge by top-level key. Address ranges are not part of it."""
        ...

    async def add_range(self, network_id: int, range_: AddressRange) -> None: ...
    async def resize_range(self, network_id: int, range_: AddressRange) -> None: ...
    async def remove_range(self, network_id: int, range_id: int) -> None: ...
    async def delete_network(self, network_id: int) -> None: ...

    async def create_image(self, template: Attributes, datastore_id: int) -> int: ...
    async def update_image(self, image_id: int, attributes: Attributes) -> None: ...
    async def rename_image(self, image_id: int, name: str) -> None: ...
    async def set_persistent(self, image_id: int, *, persistent: bool) -> None:
        """Refused while a machine uses it."""
        ...

    async def delete_image(self, image_id: int) -> None: ...

    async def create_host(self, name: str, im_mad: str, vm_mad: str, cluster_id: int) -> int:
        """Serialised per cloud: two parallel allocates can yield two hosts of one name (OpenNebula/one#7527)."""
        ...

    async def update_host(self, host_id: int, attributes: Attributes) -> None: ...
    async def enable_host(self, host_id: int) -> None: ...
    async def disable_host(self, host_id: int) -> None: ...
    async def delete_host(self, host_id: int) -> None: ...

    async def create_cluster(self, name: str) -> int:
        """Raises Conflict when one of that name is there."""
        ...

    async def join_cluster(self, cluster_id: int, member: str, member_id: int) -> None:
        """`member`: host, datastore or network. Joining again changes nothing."""
        ...
