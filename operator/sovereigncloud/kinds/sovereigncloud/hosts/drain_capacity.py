"""Free capacity on the remaining hosts: choose the target host of a VM that is drained."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from sovereigncloud.ports.opennebula.views import Host, Vm

_KIB = 1024  # oned reports memory of a host in KiB, of a VM in MiB


class FreeCapacity:
    """Free CPU and memory per host. `take` deducts each placed VM, so that a whole plan fits."""

    def __init__(self, hosts: Iterable[Host], machines: Iterable[Vm]) -> None:
        self._hosts = {h.name: h for h in sorted(hosts, key=lambda h: h.id)}
        self._cpu = {name: Decimal(h.max_cpu) for name, h in self._hosts.items()}
        self._memory = {name: h.max_memory for name, h in self._hosts.items()}
        for vm in machines:
            if vm.host in self._hosts:
                self._use(vm.host, vm)

    def take(self, vm: Vm, away_from: Host) -> Host | None:
        """Reserve capacity for a VM on the host of the same cluster with most free memory.

        None: no host fits.
        """
        fits = [
            h
            for name, h in self._hosts.items()
            if h.cluster_id == away_from.cluster_id
            and self._cpu[name] >= _hundredths(vm)
            and self._memory[name] >= vm.memory * _KIB
        ]
        if not fits:
            return None
        best = max(fits, key=lambda h: (self._memory[h.name], -h.id))
        self._use(best.name, vm)
        return best

    def _use(self, name: str, vm: Vm) -> None:
        self._cpu[name] -= _hundredths(vm)
        self._memory[name] -= vm.memory * _KIB


def _hundredths(vm: Vm) -> Decimal:
    """Return the CPU of a VM in hundredths of a core, the unit oned uses for hosts."""
    return Decimal(vm.cpu or "0") * 100
