"""The tables that all zones of a federation share: users, groups, zones, VDCs, rules, marketplaces and their apps.

Quotas hang on users and groups, and are each zone's own.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sovereigncloud_sandbox.opennebula import scheduler
from sovereigncloud_sandbox.opennebula.cloud import Cloud
from sovereigncloud_sandbox.opennebula.model_federation import FedLog, Key

KINDS = ("USER", "GROUP", "ZONE", "VDC", "ACL", "MARKETPLACE", "MARKETPLACEAPP")
_WITH_QUOTAS = frozenset({"USER", "GROUP"})


@dataclass(frozen=True, slots=True)
class Dump:
    """What `onedb backup --federated` writes: the shared tables, and the federated log."""

    origin: str
    rows: Mapping[Key, Any]
    log: FedLog


def _rows(cloud: Cloud) -> Iterator[tuple[Key, Any]]:
    for kind in KINDS:
        for oid, one in cloud.pools[kind].items():
            yield (kind, oid), replace(one, quotas={}) if kind in _WITH_QUOTAS and one.quotas else one


def rows(cloud: Cloud) -> dict[Key, Any]:
    """Copies of all rows."""
    return {key: copy.deepcopy(row) for key, row in _rows(cloud)}


def changes(cloud: Cloud) -> dict[Key, Any]:
    """Rows that changed since the last look, as copies; None for those that are gone."""
    known = cloud.federation.known
    found: dict[Key, Any] = {}
    there: set[Key] = set()
    for key, row in _rows(cloud):
        there.add(key)
        if key not in known or known[key] != row:
            found[key] = copy.deepcopy(row)
    gone = known.keys() - there
    known.update(found)
    for key in gone:
        del known[key]
        found[key] = None
    return found


def apply(cloud: Cloud, changed: Mapping[Key, Any]) -> None:
    """Take over rows that a master wrote."""
    for (kind, oid), row in changed.items():
        pool: dict[int, Any] = cloud.pools[kind]
        if row is None:
            pool.pop(oid, None)
            continue
        one = copy.deepcopy(row)
        if kind in _WITH_QUOTAS and oid in pool:
            one.quotas = pool[oid].quotas
        pool[oid] = one
    scheduler.arm(cloud)


def dump(cloud: Cloud) -> Dump:
    """`onedb backup --federated`."""
    log = cloud.federation.log
    return Dump(cloud.uuid, rows(cloud), FedLog(list(log.records), log.next_index))


def restore(cloud: Cloud, backup: Dump) -> None:
    """`onedb restore --federated`: who and what was in the shared tables is gone, all else stays as it is."""
    for kind in KINDS:
        pool: dict[int, Any] = cloud.pools[kind]
        for oid in [oid for oid in pool if (kind, oid) not in backup.rows]:
            del pool[oid]
    apply(cloud, backup.rows)
    cloud.federation.log = FedLog(list(backup.log.records), backup.log.next_index)
    cloud.federation.imported_from = backup.origin


def reserve_ids(cloud: Cloud) -> None:
    """Who makes rows again gives no id that is taken."""
    for kind in KINDS:
        cloud.reserve_ids(kind, max(cloud.pools[kind], default=-1) + 1)
