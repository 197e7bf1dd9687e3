"""The disks of a machine on their way: saved as images, published as apps, imported on the other side. Pure."""

from __future__ import annotations

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.instancemigration import InstanceMigration
from sovereigncloud.core.outcome import waiting
from sovereigncloud.core.plan import Action, Plan, Step
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.instancemigration.checks import store_for
from sovereigncloud.kinds.instancemigration.observation import CopyOfDisk, MigrationObservation, Side
from sovereigncloud.kinds.instancemigration.steps import ImportDisk, PublishDisk, SaveDisk, failed
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
    """What brings them on; None: all of them are there."""
    source, target, old = seen.source, seen.target, seen.old
    if source is None or target is None or old is None:
        return None
    for one in seen.disks:
        if (why := _broken(one, source, target)) is not None:
            return Plan(steps=(failed(why),))
    missing = [one for one in seen.disks if not _is_there(one)]
    if not missing:
        return None
    steps = [step for one in missing if (step := _brings_on(one, move, seen, source, target)) is not None]
    unsaved = next((one for one in missing if one.copy is None and one.app is None and one.saved is None), None)
    if unsaved is not None and state_of(old).situation in _SAVED_AT and not _is_saving(seen):
        steps.append(_save(unsaved, seen, source, old))  # one at a time: the machine is busy meanwhile
    done = len(seen.disks) - len(missing)
    told = f"{done} of {len(seen.disks)} disks are in {where(target.cloud)}; disk {missing[0].disk.id}: {_says(missing[0])}"
    return Plan(steps=tuple(steps), outcome=waiting(Reason.COPYING_DISKS, told, after=_LOOK_AGAIN))


def _is_there(one: CopyOfDisk) -> bool:
    return one.copy is not None and one.copy.state in THERE


def _is_saving(seen: MigrationObservation) -> bool:
    """Before the image is there, another save would be refused, or worse, be of a machine that is busy."""
    return any(one.saved is not None and one.app is None and one.saved.state not in THERE for one in seen.disks)


def _broken(one: CopyOfDisk, source: Side, target: Side) -> str | None:
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


def _says(one: CopyOfDisk) -> str:
    if one.copy is not None:
        return f"image {one.copy.id} is {words(one.copy)} in the other cloud"
    if one.app is not None:
        return f"app {one.app.id} is {'there' if one.app.state == AppState.READY else 'being made'}"
    if one.saved is not None:
        return f"image {one.saved.id} is {words(one.saved)}"
    return "to be saved"


def _brings_on(
    one: CopyOfDisk, move: InstanceMigration, seen: MigrationObservation, source: Side, target: Side
) -> Step | None:
    """The next call for one disk; None: what was asked for is under way."""
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
    one: CopyOfDisk, app: App, move: InstanceMigration, seen: MigrationObservation, target: Side
) -> ImportDisk | None:
    store = store_for(target)
    if store is None:
        return None
    fetched = app.source.startswith(_HTTP)
    return ImportDisk(
        action=Action.CREATE,
        target=f"disk {one.disk.id} in {where(target.cloud)}",
        cloud=target.cloud,
        name=saved_name(seen.uid, str(one.disk.id)),
        datastore=store.id,
        # The file itself wherever it can be had: the other cloud may know nothing of this app, or not know it yet.
        source=app.source if fetched else "",
        digest=app.digest,
        app=None if fetched else app.id,
        # What is kept as a copy is no disk that the machine of the rehearsal writes to.
        persistent=bool(one.label) and not move.spec.keep_copy,
    )


def _save(one: CopyOfDisk, seen: MigrationObservation, source: Side, old: Vm) -> SaveDisk:
    return SaveDisk(
        action=Action.CREATE,
        target=f'disk {one.disk.id} of VM {old.id} "{old.name}" as an image in {where(source.cloud)}',
        cloud=source.cloud,
        vm=old.id,
        disk=one.disk.id,
        name=saved_name(seen.uid, str(one.disk.id)),
    )
