"""What a person says about the hosts of a cloud that go: whose machines may be moved off them, and what is given up as lost."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sovereigncloud.api.common.base import Consent, Model, OutsideName
from sovereigncloud.api.common.fencing import Outage


class HostUpdatePolicy(Model):
    """What may happen to machines in the cloud to follow spec. All Deny by default."""

    move_foreign: Literal[Consent.ALLOW, Consent.DENY] | None = Field(
        default=None,
        description="A server is taken off the list, and on its host are machines that no object of this installation made."
        " Allow: they are moved to other hosts like the others. Deny (default): they are named and the host stays.",
    )


class HostFencing(Model):
    """Whether the servers of a cloud that does not answer may be switched off, and when they run again."""

    power_off: Literal[Consent.ALLOW, Consent.DENY] | None = Field(
        default=None,
        description="Allow: when the cloud does not answer for longer than a machine with spec.continuity tolerates, and that machine"
        " could start elsewhere, every server of the cloud is switched off through OVHcloud, without asking its system. All"
        " machines in the cloud stop, also those that nobody restarts elsewhere, and also where only the network between it"
        " and the operator is broken. Deny (default): no server is touched; a copy waits until all are seen switched off, or"
        " until a person confirms it in spec.fencing.",
    )
    start_again: Outage | None = Field(
        default=None,
        description="Servers that the operator switched off stay off until a person says so here: with the outage for which they were"
        " switched off, as status.power.fenced of the BareMetalServer shows it. They then get the boot back that they had, and"
        " are started. Absent: none is started.",
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
