"""Plan the disk transfer: save as image, publish as app, import in the target. Pure."""

from __future__ import annotations

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.instancemigration import InstanceMigration
from sovereigncloud.core.outcome import waiting
from sovereigncloud.core.plan import Action, Plan, Step
from sovereigncloud.kinds.contract.cloud_keys import where
from sovereigncloud.kinds.instancemigration.checks import image_datastore
from sovereigncloud.kinds.instancemigration.observation import DiskTransfer, MigrationObservation, Side
from sovereigncloud.kinds.instancemigration.steps import ImportDisk, PublishDisk, SaveDisk, fail_migration
from sovereigncloud.kinds.movement.records import MARKET, saved_name
from sovereigncloud.ports.opennebula.image_states import THERE, words
from sovereigncloud.ports.opennebula.migration import App, AppState
from sovereigncloud.ports.opennebula.views import Image, Vm
from sovereigncloud.ports.opennebula.vm_states import Situation, state_of

_READY, _ERROR = 1, 5
_LOOK_AGAIN = 5.0
_HTTP = ("http://", "https://")
_SAVED_AT = frozenset({Situation.RUNNING, Situation.POWERED_OFF})


def copy_disks(move: InstanceMigration, seen: MigrationObservation) -> Plan | None:
    """Plan the next transfer steps of all disks; None if every disk is in the target."""
    source, target, old = seen.source, seen.target, seen.old
    if source is None or target is None or old is None:
        return None
    for one in seen.disks:
        if (why := _broken(one, source, target)) is not None:
            return Plan(steps=(fail_migration(why),))
    missing = [one for one in seen.disks if not _is_there(one)]
    if not missing:
        return None
    steps = [step for one in missing if (step := _next_transfer_step(one, move, seen, source, target)) is not None]
    unsaved = next((one for one in missing if one.copy is None and one.app is None and one.saved is None), None)
    if unsaved is not None and state_of(old).situation in _SAVED_AT and not _is_saving(seen):
        steps.append(_save(unsaved, seen, source, old))  # one at a time: the VM is locked meanwhile
    done = len(seen.disks) - len(missing)
    told = f"{done} of {len(seen.disks)} disks are in {where(target.cloud)}; disk {missing[0].disk.id}: {_says(missing[0])}"
    return Plan(steps=tuple(steps), outcome=waiting(Reason.COPYING_DISKS, told, after=_LOOK_AGAIN))


def _is_there(one: DiskTransfer) -> bool:
    return one.copy is not None and one.copy.state in THERE


def _is_saving(seen: MigrationObservation) -> bool:
    """Whether a disk is being saved: OpenNebula refuses a second save of the same VM meanwhile."""
    return any(one.saved is not None and one.app is None and one.saved.state not in THERE for one in seen.disks)


def _broken(one: DiskTransfer, source: Side, target: Side) -> str | None:
    disk = f"disk {one.disk.id}"
    if one.copy is not None and one.copy.state == _ERROR:
        return f"{disk} could not be imported in {where(target.cloud)}{_because(one.copy)}"
    if one.copy is None and one.app is not None and one.app.state in {AppState.ERROR, AppState.DISABLED}:
        told = f": {one.app.error}" if one.app.error else ""
        return f'{disk} could not be published on marketplace "{one.app.marketplace}"{told}'
    if one.copy is None and one.app is None and one.saved is not None and one.saved.state == _ERROR:
        return f"{disk} could not be saved in {where(source.cloud)}{_because(one.saved)}"
    return None


def _because(image: Image) -> str:
    return f": {image.error}" if image.error else ""


def _says(one: DiskTransfer) -> str:
    if one.copy is not None:
        return f"image {one.copy.id} is {words(one.copy)} in the other cloud"
    if one.app is not None:
        return f"app {one.app.id} is {'ready' if one.app.state == AppState.READY else 'being created'}"
    if one.saved is not None:
        return f"image {one.saved.id} is {words(one.saved)}"
    return "not saved yet"


def _next_transfer_step(
    one: DiskTransfer, move: InstanceMigration, seen: MigrationObservation, source: Side, target: Side
) -> Step | None:
    """Next transfer step of one disk; None while the last one is still running."""
    if one.copy is not None:
        return None
    if one.app is not None:
        return _import(one, one.app, move, seen, target) if one.app.state == AppState.READY else None
    if one.saved is None or one.saved.state != _READY:
        return None
    return PublishDisk(
        action=Action.CREATE,
        target=f"disk {one.disk.id} as app of a marketplace in {where(source.cloud)}",
        cloud=source.cloud,
        image=one.saved.id,
        name=saved_name(seen.uid, str(one.disk.id)),
        marketplace=int(move.external.get(MARKET, "-1")),
    )


def _import(
    one: DiskTransfer, app: App, move: InstanceMigration, seen: MigrationObservation, target: Side
) -> ImportDisk | None:
    store = image_datastore(target)
    if store is None:
        return None
    fetched = app.source.startswith(_HTTP)
    return ImportDisk(
        action=Action.CREATE,
        target=f"disk {one.disk.id} in {where(target.cloud)}",
        cloud=target.cloud,
        name=saved_name(seen.uid, str(one.disk.id)),
        datastore=store.id,
        # Prefer the file's URL: the target may not know this app, or not yet.
        source=app.source if fetched else "",
        digest=app.digest,
        app=None if fetched else app.id,
        # A retained image must not be written by the rehearsal VM, so it is not persistent.
        persistent=bool(one.label) and not move.spec.keep_copy,
    )


def _save(one: DiskTransfer, seen: MigrationObservation, source: Side, old: Vm) -> SaveDisk:
    return SaveDisk(
        action=Action.CREATE,
        target=f'disk {one.disk.id} of VM {old.id} "{old.name}" as an image in {where(source.cloud)}',
        cloud=source.cloud,
        vm=old.id,
        disk=one.disk.id,
        name=saved_name(seen.uid, str(one.disk.id)),
    )
