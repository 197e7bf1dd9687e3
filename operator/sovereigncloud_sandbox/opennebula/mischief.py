"""Fault injection and out-of-band changes: guest shutdowns, changes in Sunstone, failing hardware.

Each is a function of the cloud, and a named entry of MISCHIEF for the admin door. None goes through permissions.
"""

from collections.abc import Callable, Mapping
from typing import Any

from sovereigncloud_sandbox.opennebula import (
    devices,
    federation,
    flows,
    networking,
    scheduler,
    shared_tables,
    storage,
    vnets,
)
from sovereigncloud_sandbox.opennebula.access import digest
from sovereigncloud_sandbox.opennebula.calls.infrastructure import set_host_status
from sovereigncloud_sandbox.opennebula.calls.network import remove
from sovereigncloud_sandbox.opennebula.cloud import Cloud, Published, Sabotage
from sovereigncloud_sandbox.opennebula.content_mischief import CONTENT_MISCHIEF
from sovereigncloud_sandbox.opennebula.context import set_network_context
from sovereigncloud_sandbox.opennebula.federation_mischief import FEDERATION_MISCHIEF
from sovereigncloud_sandbox.opennebula.lifecycle import Lcm, State
from sovereigncloud_sandbox.opennebula.loss import LOSS_MISCHIEF
from sovereigncloud_sandbox.opennebula.methods import POOLS
from sovereigncloud_sandbox.opennebula.model import Host, HostState, PoolObject, Vm, VNet
from sovereigncloud_sandbox.opennebula.model_people import User
from sovereigncloud_sandbox.opennebula.model_storage import AppState, Image, MarketApp

Which = int | str


def find(cloud: Cloud, kind: str, which: Which) -> Any:
    """An object by id, or the newest by name that is not done.

    Raises:
        LookupError: there is none.
    """
    if kind in shared_tables.KINDS:  # somebody's call at a slave would end at the master
        cloud = federation.home(cloud)
    pool: dict[int, PoolObject] = cloud.pools[kind]
    if isinstance(which, int):
        if which in pool:
            return pool[which]
    else:
        for one in sorted(pool.values(), key=lambda one: -one.oid):
            if one.name == which and getattr(one, "state", None) is not State.DONE:
                return one
    raise LookupError(f"no {kind} {which!r} in {cloud.name}")


def _vm(cloud: Cloud, which: Which) -> Vm:
    cloud.advance()
    found: Vm = find(cloud, "VM", which)
    return found


# ---------------------------------------------------------------------------------------------------------- machines


def power_off(cloud: Cloud, vm: Which) -> None:
    """The guest shuts itself down; OpenNebula notices it as POWEROFF."""
    one = _vm(cloud, vm)
    one.flow += 1
    flows.enter(cloud, one, State.POWEROFF)


def terminate(cloud: Cloud, vm: Which) -> None:
    """Somebody terminates a machine: DONE at once."""
    flows.begin(cloud, _vm(cloud, vm), "done")


def terminate_all(cloud: Cloud) -> None:
    """Somebody terminates every machine."""
    cloud.advance()
    for one in list(cloud.vms.values()):
        if one.state is not State.DONE:
            flows.begin(cloud, one, "done")


def resize(cloud: Cloud, vm: Which, cpu: float = 0, vcpu: int = 0, memory: int = 0) -> None:
    """Somebody gives a machine another size; memory in MB, 0 leaves a value as it is."""
    one = _vm(cloud, vm)
    for name, value in (("CPU", f"{cpu:g}" if cpu else ""), ("VCPU", vcpu or ""), ("MEMORY", memory or "")):
        if value:
            one.template.put(name, str(value))
    flows.recharge(cloud, one)
    one.touch()


def detach_nic(cloud: Cloud, vm: Which, nic: int = 0) -> None:
    """Somebody takes a NIC out."""
    one = _vm(cloud, vm)
    for vector in one.nics:
        if vector["NIC_ID"] == str(nic):
            one.template.put("NIC", *[other for other in one.nics if other is not vector])
            networking.give_back(cloud, vector, one.oid)
            set_network_context(cloud, one)
            one.touch()
            return
    raise LookupError(f"no NIC {nic} in VM {one.oid}")


def set_state(cloud: Cloud, vm: Which, state: str, lcm: str = "LCM_INIT") -> None:
    """A machine is found in another state: ACTIVE/UNKNOWN after its host was lost, for one."""
    one = _vm(cloud, vm)
    one.flow += 1
    flows.enter(cloud, one, State[state], Lcm[lcm])


def set_unknown_state(cloud: Cloud, vm: Which, state: int, lcm: int = 0) -> None:
    """A machine is found in a state that no version so far had: what a later OpenNebula might say."""
    one = _vm(cloud, vm)
    one.flow += 1
    one.shown_state = (state, lcm)
    one.touch()


def add_unknown_elements(cloud: Cloud, vm: Which, xml: str = "<NOVELTY><DEEP>1</DEEP></NOVELTY>") -> None:
    """A machine has elements that no version so far had; an empty text takes them away."""
    one = _vm(cloud, vm)
    one.more_xml = xml
    one.touch()


def set_version(cloud: Cloud, version: str) -> None:
    """The front-end was upgraded, or put back to what it was before: 6.10.0, 7.0.0, 7.2.0, 7.4.0 or another."""
    cloud.version = version
    for vm in cloud.vms.values():
        vm.touch()


def edit_user_template(cloud: Cloud, vm: Which, attributes: Mapping[str, str]) -> None:
    """Somebody writes into a machine's USER_TEMPLATE; an empty value removes."""
    one = _vm(cloud, vm)
    for name, value in attributes.items():
        if value:
            one.user_template.put(name.upper(), value)
        else:
            one.user_template.pop(name.upper())
    one.touch()


def fail_next(cloud: Cloud, step: str, message: str = "injected", count: int = 1, name: str = "") -> None:
    """The driver will fail: `step` is the name of an LCM state (PROLOG, BOOT, EPILOG, SHUTDOWN_POWEROFF, HOTPLUG, ...)
    IMAGE, APP or UPDATESG."""
    cloud.advance()
    if step not in {"IMAGE", "APP", "UPDATESG"}:
        _ = Lcm[step]  # refuses what is no state
    cloud.sabotage.append(Sabotage(step, message, count, name))


# ------------------------------------------------------------------------------------------------------------- hosts


def _host(cloud: Cloud, which: Which) -> Host:
    cloud.advance()
    found: Host = find(cloud, "HOST", which)
    return found


def disable_host(cloud: Cloud, host: Which) -> None:
    """Somebody disables a host."""
    set_host_status(cloud, _host(cloud, host), 1)


def enable_host(cloud: Cloud, host: Which) -> None:
    """Somebody enables a host."""
    set_host_status(cloud, _host(cloud, host), 0)


def offline_host(cloud: Cloud, host: Which) -> None:
    """Somebody takes a host offline."""
    set_host_status(cloud, _host(cloud, host), 2)


def break_host(cloud: Cloud, host: Which) -> None:
    """A host stops answering: ERROR, and its machines are UNKNOWN."""
    one = _host(cloud, host)
    one.state = HostState.ERROR
    for oid in list(one.vms):
        vm = cloud.vms[oid]
        if vm.where == (State.ACTIVE, Lcm.RUNNING):
            flows.enter(cloud, vm, State.ACTIVE, Lcm.UNKNOWN)


def plug_device(
    cloud: Cloud, host: Which, vendor: str = "10de", device: str = "2236", kind: str = "0302", name: str = ""
) -> None:
    """A PCI device is put into a host."""
    one = _host(cloud, host)
    one.pci.append(devices.device(len(one.pci), vendor, device, kind, name))
    scheduler.arm(cloud)


def delete_host(cloud: Cloud, host: Which) -> None:
    """A host is gone from OpenNebula, whatever ran there."""
    one = _host(cloud, host)
    for oid in list(one.vms):
        flows.begin(cloud, cloud.vms[oid], "done")
    del cloud.hosts[one.oid]
    cloud.clusters[one.cluster_id].hosts.discard(one.oid)


# ---------------------------------------------------------------------------------------------------- other objects


def edit_vnet(cloud: Cloud, vnet: Which, attributes: Mapping[str, str]) -> None:
    """Somebody edits attributes of a network; an empty value removes."""
    cloud.advance()
    one: VNet = find(cloud, "NET", vnet)
    template = one.template.copy()
    for name, value in attributes.items():
        if value:
            template.put(name.upper(), value)
        else:
            template.pop(name.upper())
    vnets.update_well_known(one, template)


def resize_range(cloud: Cloud, vnet: Which, size: int, ar: int = 0) -> None:
    """Somebody changes the size of an address range."""
    cloud.advance()
    one: VNet = find(cloud, "NET", vnet)
    networking.find_range(one, str(ar)).size = size


def delete_vnet(cloud: Cloud, vnet: Which) -> None:
    """A network is gone, leases or not."""
    cloud.advance()
    remove(cloud, find(cloud, "NET", vnet))


def delete_image(cloud: Cloud, image: Which) -> None:
    """An image is gone, used or not."""
    cloud.advance()
    one: Image = find(cloud, "IMAGE", image)
    one.vms.clear()
    storage.delete(cloud, one, force=True)
    cloud.images.pop(one.oid, None)


def publish(cloud: Cloud, url: str, size: int, md5: str = "", sha1: str = "") -> None:
    """Something is behind a URL from now on: so many MB, and the hashes that a copy is compared with."""
    cloud.published[url] = Published(size, md5, sha1)


def break_app(cloud: Cloud, app: Which, message: str = "injected") -> None:
    """An app of a marketplace is in ERROR."""
    cloud.advance()
    one: MarketApp = find(cloud, "MARKETPLACEAPP", app)
    one.state = AppState.ERROR
    one.template.put("ERROR", message)


def break_image(cloud: Cloud, image: Which, message: str = "injected") -> None:
    """An image is in ERROR."""
    cloud.advance()
    one: Image = find(cloud, "IMAGE", image)
    one.state = type(one.state).ERROR
    one.template.put("ERROR", message)


def rename(cloud: Cloud, kind: str, which: Which, name: str) -> None:
    """Somebody renames an object."""
    cloud.advance()
    one: PoolObject = find(cloud, kind, which)
    one.name = name
    if isinstance(one, Vm):
        one.touch()
    if kind in shared_tables.KINDS:
        federation.note(federation.home(cloud))


def change_password(cloud: Cloud, password: str, user: str = "oneadmin") -> None:
    """Somebody changes a password; tokens go."""
    cloud.advance()
    one: User = find(cloud, "USER", user)
    one.password = digest(password)
    one.tokens = []
    federation.note(federation.home(cloud))


def empty_pool(cloud: Cloud, method: str = "one.vmpool.infoextended", *, empty: bool = True) -> None:
    """A whole pool answers empty, though nothing is gone.

    Raises:
        LookupError: this method cannot answer empty.
    """
    if method not in POOLS:
        raise LookupError(f"{method} is no pool; there are {', '.join(POOLS)}")
    if empty:
        cloud.empty_pools.add(method)
    else:
        cloud.empty_pools.discard(method)


def set_down(cloud: Cloud, *, down: bool = True) -> None:
    """The front-end does not answer: connections are closed."""
    cloud.down = down


def stall_scheduler(cloud: Cloud, *, stalled: bool = True) -> None:
    """The scheduler places nothing more (seen on a real one; nothing in the API tells), or works again."""
    cloud.advance()
    cloud.speeds.max_host = 0 if stalled else 1000
    scheduler.arm(cloud)


MISCHIEF: Mapping[str, Callable[..., None]] = {
    "vm-power-off": power_off,
    "vm-terminate": terminate,
    "vm-terminate-all": terminate_all,
    "vm-resize": resize,
    "vm-detach-nic": detach_nic,
    "vm-set-state": set_state,
    "vm-edit": edit_user_template,
    "vm-set-unknown-state": set_unknown_state,
    "vm-add-unknown-elements": add_unknown_elements,
    "version": set_version,
    "fail-next": fail_next,
    "host-disable": disable_host,
    "host-enable": enable_host,
    "host-offline": offline_host,
    "host-break": break_host,
    "host-delete": delete_host,
    "host-plug-device": plug_device,
    "vnet-edit": edit_vnet,
    "vnet-resize-range": resize_range,
    "vnet-delete": delete_vnet,
    "image-delete": delete_image,
    "image-break": break_image,
    "app-break": break_app,
    "publish": publish,
    "rename": rename,
    "change-password": change_password,
    "empty-pool": empty_pool,
    "down": set_down,
    "stall-scheduler": stall_scheduler,
    **CONTENT_MISCHIEF,
    **FEDERATION_MISCHIEF,
    **LOSS_MISCHIEF,
}
