"""Select the marketplace for the disk transfer: writable, large enough, allowed by policies."""

from __future__ import annotations

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.instancemigration import InstanceMigration
from sovereigncloud.core.outcome import DONE, Outcome, stalled, waiting
from sovereigncloud.kinds.contract.cloud_keys import where
from sovereigncloud.kinds.hostedinstance.machine import capacity
from sovereigncloud.kinds.instancemigration.observation import MigrationObservation
from sovereigncloud.ports.opennebula.infrastructure import Marketplace

ENABLED = 0
_HTTP, _S3 = "http", "s3"


def select_marketplace(move: InstanceMigration, seen: MigrationObservation) -> Marketplace | Outcome:
    """The marketplace to transfer disks through, or why there is no unambiguous one."""
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
                f"policies allow no marketplace of {cloud} for the disk transfer: {told}. Set its location in spec.stores of"
                " the cloud, or create one where the policy allows backups"
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
    """Whether a marketplace accepts images; OpenNebula's public and container ones do not."""
    return enabled and driver in {_HTTP, _S3}


def no_marketplace(cloud: str, named: str | None = None) -> str:
    """Message for a cloud without a usable marketplace."""
    called = f'called "{named}" ' if named is not None else ""
    return (
        f"{cloud} has no enabled marketplace {called}that takes images (driver http or s3); make one in its spec.stores"
    )


def _takes_images(one: Marketplace, seen: MigrationObservation) -> bool:
    """Whether this marketplace accepts images of the source zone.

    In a federation all zones list all marketplaces, and each accepts apps of its own zone only.
    """
    federation = seen.source.view.federation if seen.source is not None else None
    here = federation is None or not are_federated(seen) or one.zone == federation.config.zone
    return takes_images(one.driver, enabled=one.state == ENABLED) and here


def are_federated(seen: MigrationObservation) -> bool:
    """Whether source and target are zones of one federation, which shares marketplaces and apps."""
    both = [side.view.federation for side in (seen.source, seen.target) if side is not None]
    zones = [{number: zone.name for number, zone in one.zones.items()} for one in both if one is not None]
    return len(zones) == 2 and zones[0] == zones[1] and len(zones[0]) > 1


def _target(seen: MigrationObservation) -> str:
    return where(seen.target.cloud) if seen.target is not None else "the other cloud"


def check_marketplace(move: InstanceMigration, seen: MigrationObservation) -> Outcome:
    """Check that there is a usable marketplace with enough free space."""
    found = select_marketplace(move, seen)
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
