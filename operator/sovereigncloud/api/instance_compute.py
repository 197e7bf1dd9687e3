"""What a HostedInstance says of processors, memory, devices, the machines beside it and the hosts under it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from sovereigncloud.api.common.base import WORDS, Model, OutsideName, Quantity, Rule
from sovereigncloud.api.common.names import label
from sovereigncloud.api.common.rules import checked, whole_mebibytes


class Affinity(StrEnum):
    TOGETHER = "Together"
    APART = "Apart"


class Recovery(StrEnum):
    RETRY = "Retry"
    MANUAL = "Manual"


class HotResize(Model):
    """Room to grow in without a restart."""

    max_vcpu: Annotated[int, Field(ge=1, le=512)] | None = Field(
        default=None,
        description="As many virtual processors as it may be given while it runs, 1 to 512. Absent: processors are added in"
        " a power cycle.",
    )
    max_memory: Quantity | None = Field(
        default=None,
        description="As much memory as it may be given while it runs, in whole MiB, for example 16Gi. Absent: memory is"
        " added in a power cycle.",
        json_schema_extra=checked(whole_mebibytes("16Mi", "16Ti")),
    )

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        Rule("has(self.maxVcpu) || has(self.maxMemory)", "set maxVcpu or maxMemory or both: each makes its own room"),
    )


_HEX = r"^[0-9a-f]{4}$"


def _hexadecimal(what: str, example: str) -> dict[str, object]:
    return {WORDS: f"must be the {what} as four hexadecimal digits in lower case, for example {example}"}


class PciDevice(Model):
    """A device of the host that the machine gets for itself, such as a GPU."""

    name: Annotated[str, label("gpu", 63)] = Field(description="How this object calls it, for example gpu.")
    vendor: (
        Annotated[str, Field(max_length=4, pattern=_HEX, json_schema_extra=_hexadecimal("vendor", "10de"))] | None
    ) = Field(
        default=None, description="Its vendor, as lspci -nn and onehost show show it, for example 10de. Absent: any."
    )
    device: (
        Annotated[str, Field(max_length=4, pattern=_HEX, json_schema_extra=_hexadecimal("device", "2236"))] | None
    ) = Field(default=None, description="Which device of the vendor, for example 2236. Absent: any.")
    class_: (
        Annotated[str, Field(max_length=4, pattern=_HEX, json_schema_extra=_hexadecimal("class", "0302"))] | None
    ) = Field(
        default=None, alias="class", description="Its class, for example 0302 for a GPU without a display. Absent: any."
    )

    cel_rules: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.vendor) || has(self.device) || has(self.class)",
            "say which device: set at least one of vendor, device and class (onehost show lists what the hosts have)",
        ),
    )


class Group(Model):
    """Machines of this namespace that run together on one host, or each on another one."""

    name: Annotated[str, label("web", 63)] = Field(
        description="Name of the group. All machines of this namespace and cloud that name it are in it."
    )
    policy: Literal[Affinity.TOGETHER, Affinity.APART] = Field(
        description="Together: on the same host as the others of the group that say so. Apart: on another host than each of"
        " them."
    )


CpuModel = Annotated[
    str,
    Field(
        min_length=1,
        max_length=64,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        json_schema_extra={WORDS: "must be one word as virsh cpu-models prints them, or host-passthrough"},
    ),
]

HostNames = Annotated[list[OutsideName], Field(min_length=1, max_length=32)]

ROOM_IS_ENOUGH = Rule(
    "!has(self.hotResize) || !has(self.hotResize.maxVcpu) || !has(self.vcpu) || self.vcpu <= self.hotResize.maxVcpu",
    "vcpu is more than hotResize.maxVcpu, the room that the machine is made with: set maxVcpu to at least vcpu",
    field=".vcpu",
)
MEMORY_ROOM_IS_ENOUGH = Rule(
    "!has(self.hotResize) || !has(self.hotResize.maxMemory) || !has(self.memory)"
    " || !isQuantity(string(self.memory)) || !isQuantity(string(self.hotResize.maxMemory))"
    " || quantity(string(self.memory)).compareTo(quantity(string(self.hotResize.maxMemory))) <= 0",
    "memory is more than hotResize.maxMemory, the room that the machine is made with: set maxMemory to at least memory",
    field=".memory",
)
