"""Room on the hosts that stay: where a machine that has to move may go."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from sovereigncloud.ports.opennebula.views import Host, Vm

_KIB = 1024  # oned counts a host's memory in KiB, a machine's in MiB


class Room:
    """What is free. Each machine that is given a place takes it, so that a whole plan fits."""

    def __init__(self, hosts: Iterable[Host], machines: Iterable[Vm]) -> None:
        self._hosts = {h.name: h for h in sorted(hosts, key=lambda h: h.id)}
        self._cpu = {name: Decimal(h.max_cpu) for name, h in self._hosts.items()}
        self._memory = {name: h.max_memory for name, h in self._hosts.items()}
        for vm in machines:
            if vm.host in self._hosts:
                self._use(vm.host, vm)

    def take(self, vm: Vm, away_from: Host) -> Host | None:
        """The host of the same cluster that has most memory left and room for it; the machine has it from now on."""
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
    """Of a core, as oned counts a host's."""
    return Decimal(vm.cpu or "0") * 100
