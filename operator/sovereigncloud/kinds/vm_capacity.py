"""The size of a machine: what spec says of it, what was found, and how both are written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from sovereigncloud.api.hostedinstance import HostedInstanceSpec
from sovereigncloud.core.plan import Drift
from sovereigncloud.core.quantity import mebibytes, quantity
from sovereigncloud.kinds.ports import Vm

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
    cpu = None
    if spec.cpu is not None:
        cpu = _named("spec.cpu", lambda: quantity(spec.cpu or 0)).quantize(_HUNDREDTH)
        if cpu <= 0:
            raise ValueError(f"spec.cpu: {spec.cpu} is less than a hundredth of a core, write for example 500m or 2")
    root = next((disk for disk in spec.disks or () if disk.name == "root"), None)
    return Declared(
        cpu=cpu,
        vcpu=spec.vcpu,
        memory=None if spec.memory is None else int(_named("spec.memory", lambda: mebibytes(spec.memory or 0))),
        root_size=None if root is None else int(_named("spec.disks[root].size", lambda: mebibytes(root.size))),
    )


def found(vm: Vm) -> Capacity:
    """The size that OpenNebula tells. Without VCPU a machine has one."""
    return Capacity(cpu=Decimal(vm.cpu or "0").quantize(_HUNDREDTH), vcpu=max(vm.vcpu, 1), memory=vm.memory)


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


def _named(field: str, read: Callable[[], Decimal | int]) -> Decimal:
    try:
        return Decimal(read())
    except ValueError as error:
        raise ValueError(f"{field}: {error}") from error
