"""The port `Storage` over one front-end and credential."""

from __future__ import annotations

from sovereigncloud.ports.errors import Auth
from sovereigncloud.ports.opennebula.storage import ScheduledAction
from sovereigncloud.providers.opennebula import views as reading
from sovereigncloud.providers.opennebula.templates import template_xml
from sovereigncloud.providers.opennebula.transport import Transport
from sovereigncloud.providers.opennebula.views import DISK_LABEL
from sovereigncloud.providers.opennebula.xml_elements import malformed_means_retry, read_one

_APPEND = 1
_RESET = False
"""Of an incremental chain: it goes on, it does not begin anew."""


class MachineStorage:
    """Disks, backups and snapshots of machines."""

    def __init__(self, calls: Transport) -> None:
        self._calls = calls

    async def attach_disk(self, vm_id: int, image_id: int, label: str) -> None:
        disk = template_xml({"DISK": {"IMAGE_ID": str(image_id), DISK_LABEL: label}})
        await self._calls.write("one.vm.attach", vm_id, disk)

    async def detach_disk(self, vm_id: int, disk_id: int) -> None:
        await self._calls.write("one.vm.detach", vm_id, disk_id)

    async def make_persistent(self, image_id: int) -> None:
        await self._calls.write("one.image.persistent", image_id, True)

    # ------------------------------------------------------------------------------------------------------ backups

    async def configure_backups(self, vm_id: int, *, keep_last: int | None, mode: str | None) -> None:
        config: dict[str, str] = {}
        if keep_last is not None:
            config["KEEP_LAST"] = str(keep_last)
        if mode is not None:
            config["MODE"] = mode
        await self._calls.write("one.vm.updateconf", vm_id, template_xml({"BACKUP_CONFIG": config}), _APPEND)

    async def scheduled(self, vm_id: int) -> tuple[ScheduledAction, ...]:
        xml = str(await self._calls.read("one.vm.info", vm_id))
        with malformed_means_retry("one.vm.info"):
            return read_one(xml, "VM", reading.scheduled)

    async def schedule(self, vm_id: int, action: ScheduledAction) -> int:
        return int(await self._calls.write("one.vm.schedadd", vm_id, _scheduled(action)))

    async def reschedule(self, vm_id: int, action: ScheduledAction) -> None:
        await self._calls.write("one.vm.schedupdate", vm_id, action.id, _scheduled(action))

    async def unschedule(self, vm_id: int, action_id: int) -> None:
        await self._calls.write("one.vm.scheddelete", vm_id, action_id)

    async def back_up(self, vm_id: int, datastore_id: int) -> None:
        await self._calls.write("one.vm.backup", vm_id, datastore_id, _RESET)

    # -------------------------------------------------------------------------------------------- snapshots, restore

    async def take_snapshot(self, vm_id: int, name: str) -> None:
        await self._calls.write("one.vm.snapshotcreate", vm_id, name)

    async def delete_snapshot(self, vm_id: int, snapshot_id: int) -> None:
        await self._calls.write("one.vm.snapshotdelete", vm_id, snapshot_id)

    async def restore(self, vm_id: int, image_id: int, increment: int, disk_id: int) -> None:
        await self._calls.write("one.vm.restore", vm_id, image_id, increment, disk_id)

    async def restore_elsewhere(self, image_id: int, datastore_id: int, name: str, *, addresses: bool) -> int:
        options = {"NAME": name, "NO_IP": "NO" if addresses else "YES"}
        told = str(await self._calls.write("one.image.restore", image_id, datastore_id, template_xml(options)))
        first = told.partition(" ")[0]
        if not first.isdigit():
            # Who may not use the backup is told so as if it was a success (ImageAPI.cc of 7.4).
            raise Auth(told or f"backup {image_id} may not be used", where="OpenNebula one.image.restore")
        return int(first)

    async def delete_template(self, template_id: int) -> None:
        await self._calls.write("one.template.delete", template_id, False)


def _scheduled(action: ScheduledAction) -> str:
    wanted = {
        "ACTION": action.action,
        "ARGS": action.args,
        "TIME": str(action.time),
        "REPEAT": str(action.repeat),
        "DAYS": action.days,
    }
    return template_xml({"SCHED_ACTION": wanted})
