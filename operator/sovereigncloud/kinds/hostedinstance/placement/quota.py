"""Whether a machine fits into what is left of its tenant's quota, before it is asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from decimal import Decimal

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.core.outcome import DONE, Outcome, waiting
from sovereigncloud.kinds.contract.tenancy import Tenancy
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.hostedinstance.machine.capacity import Capacity, Declared, found
from sovereigncloud.kinds.hostedinstance.network.steps import NewCard
from sovereigncloud.ports.opennebula.tenancy import Limit, QuotaKey
from sovereigncloud.ports.opennebula.views import CloudView, Vm

_WORDS = {
    "VMS": "machines",
    "CPU": "cpu",
    "MEMORY": "memory in MiB",
    "SYSTEM_DISK_SIZE": "system disk in MiB",
    "RUNNING_VMS": "running machines",
    "RUNNING_CPU": "running cpu",
    "RUNNING_MEMORY": "running memory in MiB",
    "LEASES": "addresses",
    "RVMS": "machines",
}


def taken(
    resource: HostedInstance, view: CloudView, sizes: Declared, source: int, cards: tuple[NewCard, ...] | None
) -> Mapping[QuotaKey, Decimal]:
    """What the machine takes. Of one that is made from a template, what spec says: the rest OpenNebula counts itself."""
    takes: dict[QuotaKey, Decimal] = {}
    image = view.images.get(source) if resource.spec.source.image is not None else None
    cpu = sizes.cpu if sizes.cpu is not None else sizes.vcpu
    disk = sizes.root_size if sizes.root_size is not None else (image.size if image else None)
    for metric, amount in (("VMS", 1), ("CPU", cpu), ("MEMORY", sizes.memory)):
        if amount is not None:
            takes["VM", "", metric] = takes["VM", "", f"RUNNING_{metric}"] = Decimal(amount)
    if disk is not None and (image is None or not image.persistent):
        takes["VM", "", "SYSTEM_DISK_SIZE"] = Decimal(disk)
    if image is not None:
        takes["IMAGE", str(image.id), "RVMS"] = Decimal(1)
    for network, leases in Counter(card.network for card in cards or ()).items():
        takes["NETWORK", str(network), "LEASES"] = Decimal(leases)
    return takes


def room_to_grow(vm: Vm, tenancy: Tenancy | None, view: CloudView, wanted: Capacity) -> Outcome:
    """DONE, or by how much a larger size is too much for the quota: a machine is not powered off for what it cannot have. What
    the administrator owns counts in no tenant's quota.
    """
    if tenancy is None or vm.owner != tenancy.user:
        return DONE
    observed = found(vm)
    more = {"CPU": wanted.cpu - observed.cpu, "MEMORY": Decimal(wanted.memory - observed.memory)}
    kinds = ("", "RUNNING_")
    takes = {("VM", "", f"{kind}{m}"): amount for m, amount in more.items() if amount > 0 for kind in kinds}
    return replace(within_quota(tenancy, view, takes), available=True)


def within_quota(tenancy: Tenancy | None, view: CloudView, takes: Mapping[QuotaKey, Decimal]) -> Outcome:
    """DONE, or what is used up and by how much. It is looked at again with each view: others may give back."""
    group = view.tenancy.groups.get(tenancy.group) if view.tenancy and tenancy and tenancy.group is not None else None
    if tenancy is None or group is None:
        return DONE
    told = "; ".join(_exceeded(takes, view, group.quota))
    if not told:
        return DONE
    return waiting(
        Reason.QUOTA_EXCEEDED,
        f"Tenant {tenancy.tenant} has not enough left in {where(tenancy.cloud)}: {told}. Ask for less, delete what is not"
        f" needed, or have spec.clouds[{where(tenancy.cloud)}].quota of the Tenant raised",
    )


def _exceeded(takes: Mapping[QuotaKey, Decimal], view: CloudView, quota: Mapping[QuotaKey, Limit]) -> Iterator[str]:
    for key, amount in takes.items():
        limit = quota.get(key)
        if limit is None or limit.limit < 0 or limit.used + amount <= limit.limit:
            continue
        over = limit.used + amount - limit.limit
        yield f"{_named(key, view)} {_plain(limit.used)} of {_plain(limit.limit)} used, {_plain(amount)} more asked for, {_plain(over)} too many"


def _named(key: QuotaKey, view: CloudView) -> str:
    kind, about, metric = key
    word = _WORDS.get(metric, metric)
    if kind == "NETWORK" and about.isdigit() and int(about) in view.networks:
        return f'{word} of network "{view.networks[int(about)].name}"'
    if kind == "IMAGE" and about.isdigit() and int(about) in view.images:
        return f'{word} of image "{view.images[int(about)].name}"'
    return word


def _plain(amount: Decimal) -> str:
    return f"{amount.normalize():f}"
