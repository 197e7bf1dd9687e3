"""The marketplace over which the disks of a machine go to another cloud: one that takes them, has room, and is where they may lie."""

from __future__ import annotations

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.instancemigration import InstanceMigration
from sovereigncloud.core.outcome import DONE, Outcome, stalled, waiting
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.hostedinstance.machine import capacity
from sovereigncloud.kinds.instancemigration.observation import MigrationObservation
from sovereigncloud.ports.opennebula.infrastructure import Marketplace

ENABLED = 0
_HTTP, _S3 = "http", "s3"


def market_of(move: InstanceMigration, seen: MigrationObservation) -> Marketplace | Outcome:
    """The one; or why there is none."""
    usable = [one for one in seen.marketplaces if _takes_images(one, seen)]
    cloud = where(seen.source.cloud) if seen.source is not None else "the cloud"
    if move.spec.marketplace is not None:
        usable = [one for one in usable if one.name == move.spec.marketplace]
    allowed = [one for one in usable if not seen.abroad.get(one.name)]
    match allowed:
        case [one] if one.driver == _S3 and not are_federated(seen):
            message = (
                f'marketplace "{one.name}" of {cloud} keeps its apps in object storage, which {_target(seen)} has no keys for since'
                " the two are in no federation; name a marketplace of the driver http in spec.marketplace"
            )
            return stalled(Reason.NO_MARKETPLACE, message)
        case [one]:
            return one
        case [] if usable:
            told = "; ".join(f'"{one.name}": {seen.abroad[one.name]}' for one in usable)
            message = (
                f"no marketplace of {cloud} is where the disks may lie on their way: {told}. Say where it is in spec.stores of"
                " the cloud, or make one where the policy lets backups be"
            )
            return stalled(Reason.NO_COMPLIANT_PLACE, message, after=60.0)
        case []:
            return stalled(Reason.NO_MARKETPLACE, no_marketplace(cloud, move.spec.marketplace))
        case several:
            names = ", ".join(sorted(one.name for one in several))
            return stalled(
                Reason.NO_MARKETPLACE, f"{cloud} has several marketplaces: {names}; name one in spec.marketplace"
            )


def takes_images(driver: str, *, enabled: bool) -> bool:
    """Whether images can be published in a marketplace: OpenNebula's own and those of containers are only read."""
    return enabled and driver in {_HTTP, _S3}


def no_marketplace(cloud: str, named: str | None = None) -> str:
    """What is missing where none does."""
    called = f'called "{named}" ' if named is not None else ""
    return (
        f"{cloud} has no enabled marketplace {called}that takes images (driver http or s3); make one in its spec.stores"
    )


def _takes_images(one: Marketplace, seen: MigrationObservation) -> bool:
    """In a federation all zones list all marketplaces, and each takes apps of its own zone only."""
    federation = seen.source.view.federation if seen.source is not None else None
    here = federation is None or not are_federated(seen) or one.zone == federation.config.zone
    return takes_images(one.driver, enabled=one.state == ENABLED) and here


def are_federated(seen: MigrationObservation) -> bool:
    """Whether the two are zones of one federation, which has one table of marketplaces and apps, keys and all."""
    both = [side.view.federation for side in (seen.source, seen.target) if side is not None]
    zones = [{number: zone.name for number, zone in one.zones.items()} for one in both if one is not None]
    return len(zones) == 2 and zones[0] == zones[1] and len(zones[0]) > 1


def _target(seen: MigrationObservation) -> str:
    return where(seen.target.cloud) if seen.target is not None else "the other cloud"


def market_trouble(move: InstanceMigration, seen: MigrationObservation) -> Outcome:
    """What is in the way of going over it."""
    found = market_of(move, seen)
    if isinstance(found, Outcome):
        return found
    needs = sum(one.disk.size for one in seen.disks)
    if found.free is None or found.free >= needs:
        return DONE
    return waiting(
        Reason.NO_CAPACITY,
        f'marketplace "{found.name}" has {capacity.size(found.free)} free, and the disks need {capacity.size(needs)}',
        after=60.0,
    )
