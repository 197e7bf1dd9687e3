"""The port `VmGroups` over one front-end and credential."""

from __future__ import annotations

from collections.abc import Mapping

from sovereigncloud.core.identity import Mark
from sovereigncloud.ports.errors import Conflict
from sovereigncloud.providers.opennebula.templates import template_xml
from sovereigncloud.providers.opennebula.transport import Transport
from sovereigncloud.providers.opennebula.views import vm_group
from sovereigncloud.providers.opennebula.xml_elements import malformed_means_retry, read_one


class Groups:
    """VM groups."""

    def __init__(self, calls: Transport) -> None:
        self._calls = calls

    async def create(self, name: str, policies: Mapping[str, str], mark: Mark) -> int:
        roles = [{"NAME": role, "POLICY": policy} for role, policy in policies.items()]
        template = template_xml({"NAME": name, "ROLE": [*roles], **mark.for_opennebula()})
        return int(await self._calls.write("one.vmgroup.allocate", template))

    async def delete(self, group_id: int) -> None:
        # oned deletes a group with members, too, and they lose their place in it without a word.
        xml = str(await self._calls.read("one.vmgroup.info", group_id))
        with malformed_means_retry("one.vmgroup.info"):
            found = read_one(xml, "VM_GROUP", vm_group)
        if not found.empty:
            raise Conflict(f"VM group {group_id} has members", where="OpenNebula one.vmgroup.delete")
        await self._calls.write("one.vmgroup.delete", group_id)

    async def join(self, vm_id: int, group_id: int, role: str) -> None:
        await self._calls.write("one.vm.vmgroupadd", vm_id, group_id, role)

    async def leave(self, vm_id: int) -> None:
        await self._calls.write("one.vm.vmgroupdel", vm_id)
