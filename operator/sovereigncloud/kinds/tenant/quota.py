"""The quota of a Tenant in a cloud: what spec says against what the group has."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.tenant import DatastoreQuota, TenantQuota
from sovereigncloud.core.outcome import DONE, Outcome, stalled
from sovereigncloud.core.plan import Action, Cause, Drift, Plan
from sovereigncloud.core.quantity import mebibytes, quantity
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.identity.name_resolution import resolve
from sovereigncloud.kinds.identity.usage_rights import not_of_other_tenants, usable_images
from sovereigncloud.kinds.tenant.observation import TenantIn
from sovereigncloud.kinds.tenant.steps import SetQuota
from sovereigncloud.ports.opennebula.tenancy import Group, QuotaKey
from sovereigncloud.ports.opennebula.views import CloudView

Wanted = tuple[str, QuotaKey, Decimal]
"""(path below quota, what it limits, the limit)"""


def plan_quota(here: TenantIn, group: Group, cause: Cause) -> Plan:
    """One step for all limits that differ; each of them is a difference of its own."""
    wanted, view = here.wanted, here.view
    if wanted is None or wanted.quota is None or view is None:
        return Plan()
    limits: dict[QuotaKey, Decimal] = {}
    drift: list[Drift] = []
    outcome = DONE
    for found in _wanted(wanted.quota, here, view):
        if isinstance(found, Outcome):
            outcome = outcome.merge(found)
            continue
        path, key, limit = found
        limits[key] = limit
        known = group.quota.get(key)
        if known is None or known.limit != limit:
            observed = "not limited" if known is None or known.limit < 0 else _plain(known.limit)
            drift.append(Drift(f"{here.path}.quota.{path}", _plain(limit), observed))
    if not drift:
        return Plan(outcome=outcome)
    step = SetQuota(
        action=Action.UPDATE,
        target=f'quota of group {group.id} "{group.name}" in {where(here.cloud)}',
        fields=tuple(d.path for d in drift),
        cause=cause,
        cloud=here.cloud,
        group=group.id,
        quota=tuple(_vectors(limits, group)),
    )
    return Plan(drift=tuple(drift), steps=(step,), outcome=outcome)


def _wanted(quota: TenantQuota, here: TenantIn, view: CloudView) -> Iterator[Wanted | Outcome]:
    whole = (
        ("vms", "VMS", None if quota.vms is None else Decimal(quota.vms)),
        ("cpu", "CPU", None if quota.cpu is None else quantity(quota.cpu)),
        ("memory", "MEMORY", _mebibytes(quota.memory)),
        ("systemDisk", "SYSTEM_DISK_SIZE", _mebibytes(quota.system_disk)),
    )
    yield from ((path, ("VM", "", metric), limit) for path, metric, limit in whole if limit is not None)
    place = where(here.cloud)
    # A tenant calls its own as it likes: that must not hold up its own quota, nor another's.
    platform_networks = tuple(not_of_other_tenants(view.networks.values(), view, frozenset()))
    for network in quota.networks or ():
        found = resolve("network", network.name, platform_networks, here.on_their_way, place)
        path = f"networks[{network.name}].leases"
        yield (
            found
            if isinstance(found, Outcome)
            else (path, ("NETWORK", str(found.id), "LEASES"), Decimal(network.leases))
        )
    for image in quota.images or ():
        source = resolve("image", image.name, usable_images(view, None), here.on_their_way, place)
        path = f"images[{image.name}].vms"
        yield source if isinstance(source, Outcome) else (path, ("IMAGE", str(source.id), "RVMS"), Decimal(image.vms))
    for store in quota.datastores or ():
        yield from _of_datastore(store, here, view)


def _of_datastore(store: DatastoreQuota, here: TenantIn, view: CloudView) -> Iterator[Wanted | Outcome]:
    found = next((d for d in view.datastores.values() if d.name == store.name), None)  # their names are unique
    if found is None:
        known = ", ".join(sorted(d.name for d in view.datastores.values())) or "none"
        yield stalled(
            Reason.DATASTORE_NOT_FOUND,
            f'{where(here.cloud)} has no datastore called "{store.name}" as {here.path}.quota.datastores says; there are:'
            f" {known}",
        )
        return
    path, about = f"datastores[{store.name}]", str(found.id)
    if store.images is not None:
        yield f"{path}.images", ("DATASTORE", about, "IMAGES"), Decimal(store.images)
    if (size := _mebibytes(store.size)) is not None:
        yield f"{path}.size", ("DATASTORE", about, "SIZE"), size


def _mebibytes(text: int | str | None) -> Decimal | None:
    return None if text is None else Decimal(mebibytes(text))


def _vectors(limits: dict[QuotaKey, Decimal], group: Group) -> Iterator[tuple[str, tuple[tuple[str, str], ...]]]:
    """Each row whole: what a person limits there, and spec does not speak of, is sent as it was."""
    rows = dict.fromkeys((kind, about) for kind, about, _ in limits)
    for kind, about in rows:
        row = {metric: known.limit for (k, a, metric), known in group.quota.items() if (k, a) == (kind, about)}
        row |= {metric: limit for (k, a, metric), limit in limits.items() if (k, a) == (kind, about)}
        named = (("ID", about),) if about else ()
        yield kind, (*named, *((metric, _plain(limit)) for metric, limit in sorted(row.items())))


def _plain(amount: Decimal) -> str:
    return f"{amount.normalize():f}"
