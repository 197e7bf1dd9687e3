"""What a person says about the hosts of a cloud that go: whose machines may be moved off them, and what is given up as lost."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sovereigncloud.api.base import Consent, Model, OutsideName


class HostUpdatePolicy(Model):
    """What may happen to machines in the cloud to follow spec. All Deny by default."""

    move_foreign: Literal[Consent.ALLOW, Consent.DENY] | None = Field(
        default=None,
        description="A server is taken off the list, and on its host are machines that no object of this installation made."
        " Allow: they are moved to other hosts like the others. Deny (default): they are named and the host stays.",
    )


class LostHost(Model):
    """A host whose server is lost, and the machines that are lost with it."""

    name: OutsideName = Field(description="Name of the host in OpenNebula, as status.hosts has it: its address.")
    machines: Annotated[list[Annotated[int, Field(ge=0)]], Field(max_length=256)] | None = Field(
        default=None,
        description="Numbers in OpenNebula of the machines that are given up, with their disks. A machine on the host that is"
        " not listed is not given up. Absent: none.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
