"""Spec for hosts that are removed: migration of foreign VMs, fencing, and lost hosts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sovereigncloud.api.common.base import Consent, Model, OutsideName
from sovereigncloud.api.common.fencing import Outage


class HostUpdatePolicy(Model):
    """Disruptive actions on VMs of the cloud that are allowed to apply spec. All are denied by default."""

    move_foreign: Literal[Consent.ALLOW, Consent.DENY] | None = Field(
        default=None,
        description="What to do with VMs of other owners on a host whose server was removed from the list. Allow: the"
        " operator migrates them to other hosts like its own VMs. Deny (default): it reports them and the host"
        " stays.",
    )


class HostFencing(Model):
    """Whether the operator may power off servers of an unreachable cloud, and when it starts them again."""

    power_off: Literal[Consent.ALLOW, Consent.DENY] | None = Field(
        default=None,
        description="Allow: the operator powers off every server of the cloud through the OVHcloud API, without a clean"
        " shutdown, when the cloud was unreachable for longer than the tolerationSeconds of a VM with"
        " spec.continuity and that VM can start in another cloud. This stops all VMs of the cloud, also those"
        " without failover, and also when only the network between the cloud and the operator is down. Deny"
        " (default): no server is powered off; failover waits until all servers are powered off or until an"
        " administrator confirms it in spec.fencing.",
    )
    start_again: Outage | None = Field(
        default=None,
        description="Starts the servers again that the operator powered off. Set it to the outage shown in"
        " status.power.fenced of the BareMetalServer; the servers get their former boot setting back. Absent:"
        " they stay off.",
    )


class LostHost(Model):
    """A host whose server failed, and the VMs to give up with it."""

    name: OutsideName = Field(description="Name of the host in OpenNebula as shown in status.hosts: its address.")
    machines: Annotated[list[Annotated[int, Field(ge=0)]], Field(max_length=256)] | None = Field(
        default=None,
        description="OpenNebula IDs of the VMs to give up, including their disks. VMs on the host that are not listed are"
        " not given up. Absent: none.",
        json_schema_extra={"x-kubernetes-list-type": "set"},
    )
