"""The size of a machine: what spec says of it, what was found, and how both are written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

from sovereigncloud.api.hostedinstance import HostedInstanceSpec
from sovereigncloud.api.instance_disks import ROOT, InstanceDisk
from sovereigncloud.core.plan import Drift
from sovereigncloud.core.quantity import mebibytes, quantity
from sovereigncloud.ports.opennebula.views import Vm

_HUNDREDTH = Decimal("0.01")  # OpenNebula counts CPU in hundredths of a core
_GIB = 1024


@dataclass(frozen=True, slots=True)
class Capacity:
    """`cpu` in cores (a share of physical ones), `memory` in MiB."""

    cpu: Decimal
    vcpu: int
    memory: int

    def __str__(self) -> str:
        return f"{cores(self.cpu)}/{self.vcpu}/{self.memory}"


@dataclass(frozen=True, slots=True)
class Declared:
    """What spec says; None: left as it is."""

    cpu: Decimal | None = None
    vcpu: int | None = None
    memory: int | None = None
    root_size: int | None = None

    def over(self, found: Capacity) -> Capacity:
        """The size to be reached from the one that was found."""
        return Capacity(
            cpu=found.cpu if self.cpu is None else self.cpu,
            vcpu=found.vcpu if self.vcpu is None else self.vcpu,
            memory=found.memory if self.memory is None else self.memory,
        )


def declared(spec: HostedInstanceSpec) -> Declared:
    """Read the sizes of spec. Raises ValueError, naming the field, for one that OpenNebula cannot hold."""
    root_size = None
    for disk in spec.disks or ():
        if disk.name == ROOT:
            root_size = disk.size
            break
    return _declared(spec.cpu, spec.vcpu, spec.memory, root_size)


@lru_cache(maxsize=1024)  # as `quantity`: thousands of machines have a handful of sizes
def _declared(
    cpu: str | int | None, vcpu: int | None, memory: str | int | None, root_size: str | int | None
) -> Declared:
    return Declared(
        cpu=None if cpu is None else _declared_cpu(cpu),
        vcpu=vcpu,
        memory=None if memory is None else _mebibytes("spec.memory", memory),
        root_size=None if root_size is None else _mebibytes(f"spec.disks[{ROOT}].size", root_size),
    )


def _declared_cpu(text: str | int) -> Decimal:
    try:
        cpu = _hundredths(quantity(text))
    except ValueError as error:
        raise ValueError(f"spec.cpu: {error}") from error
    if cpu <= 0:
        raise ValueError(f"spec.cpu: {text} is less than a hundredth of a core, write for example 500m or 2")
    return cpu


def disk_size(disk: InstanceDisk) -> int | None:
    """In MiB; None: as large as it is. Raises ValueError, naming the field."""
    declared = disk.size
    if declared is None:
        return None
    return _mebibytes(f"spec.disks[{disk.name}].size", declared)


def found(vm: Vm) -> Capacity:
    """The size that OpenNebula tells. Without VCPU a machine has one."""
    return Capacity(cpu=_hundredths(vm.cpu or "0"), vcpu=max(vm.vcpu, 1), memory=vm.memory)


def differences(wanted: Capacity, observed: Capacity) -> Iterator[Drift]:
    """One entry per field in which the two differ."""
    if wanted.memory != observed.memory:
        yield Drift("spec.memory", size(wanted.memory), size(observed.memory))
    if wanted.vcpu != observed.vcpu:
        yield Drift("spec.vcpu", str(wanted.vcpu), str(observed.vcpu))
    if wanted.cpu != observed.cpu:
        yield Drift("spec.cpu", cores(wanted.cpu), cores(observed.cpu))


def size(mebi: int) -> str:
    """MiB as a person writes them: 4Gi, 512Mi."""
    return f"{mebi // _GIB}Gi" if mebi and mebi % _GIB == 0 else f"{mebi}Mi"


def cores(cpu: Decimal) -> str:
    """Without trailing zeros and without exponent: 1, 0.5, 10."""
    return f"{cpu.normalize():f}"


def _mebibytes(field: str, text: str | int) -> int:
    try:
        return mebibytes(text)
    except ValueError as error:
        raise ValueError(f"{field}: {error}") from error


@lru_cache(maxsize=1024)  # as `quantity`
def _hundredths(share: Decimal | str) -> Decimal:
    return Decimal(share).quantize(_HUNDREDTH)
