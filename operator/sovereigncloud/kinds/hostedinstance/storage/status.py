"""What status tells of disks, backups, snapshots and of what was asked for once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.core.conditions import timestamp
from sovereigncloud.kinds.hostedinstance.machine import requests as vm_requests
from sovereigncloud.kinds.hostedinstance.machine.capacity import size
from sovereigncloud.kinds.hostedinstance.machine.requests import Request, State
from sovereigncloud.kinds.hostedinstance.observation import InstanceObservation
from sovereigncloud.kinds.hostedinstance.storage.backup_steps import PROBLEM
from sovereigncloud.kinds.hostedinstance.storage.data_disks import belongs, recorded_names
from sovereigncloud.kinds.hostedinstance.storage.names import DISK, record
from sovereigncloud.ports.opennebula.views import CloudView, Image, Vm

FIELDS = ("disks", "backups", "snapshots", "requests")
OUTLIVES = ("disks", "backups", "requests")
"""What is still there, or still true, when the machine is gone."""
_SHOWN_DISKS, _SHOWN = 32, 16
_STATES = {State.ASKED: "Running", State.CALLED: "Running", State.DONE: "Done", State.FAILED: "Failed"}
_WAITING = "Waiting"
_REMEMBERED = frozenset(Request)


def storage_status(
    resource: HostedInstance, observed: InstanceObservation, vm: Vm, view: CloudView
) -> dict[str, object]:
    """The newest first; a bounded number of each."""
    backups = (
        sorted(
            [view.images[number] for number in vm.backups.images if number in view.images],
            key=lambda image: (image.time, image.id),
            reverse=True,
        )
        if vm.backups.images
        else []
    )
    snapshots = sorted(vm.snapshots, key=lambda one: one.id, reverse=True) if vm.snapshots else []
    return {
        "disks": list(_disks(resource, observed, vm, view))[:_SHOWN_DISKS] or None,
        "backups": [_backup(image) for image in backups[:_SHOWN]] or None,
        "snapshots": [
            {"name": one.name[:128], "id": str(one.id), "time": _moment(one.time)} for one in snapshots[:_SHOWN]
        ]
        or None,
        "requests": _requests(resource, vm) or None,
    }


def _disks(
    resource: HostedInstance, observed: InstanceObservation, vm: Vm, view: CloudView
) -> Iterator[Mapping[str, object]]:
    """By name: those that spec names, then those that it names no more and that are kept."""
    attached = [view.images.get(disk.image_id) for disk in vm.disks]
    on_machine = {image.id: image for image in attached if image is not None}
    known = {image.notes[DISK]: image for _, image in sorted(on_machine.items()) if belongs(image, observed)}
    names = recorded_names(resource.external)
    if not (known or names):
        return
    wanted = [disk.name for disk in resource.spec.disks or ()]
    for name in dict.fromkeys((*wanted, *names, *known)):
        recorded = resource.external.get(record(name), "")
        image = known.get(name) or view.images.get(int(recorded) if recorded.isdigit() else -1)
        if image is None:
            continue
        state = "Attached" if image.id in on_machine else "Detached" if name in wanted else "Retained"
        yield {"name": name, "image": image.name[:128], "id": str(image.id), "state": state}


def _backup(image: Image) -> Mapping[str, object]:
    return {"name": image.name[:128], "id": str(image.id), "time": _moment(image.time), "size": size(image.size)}


def _moment(seconds: int) -> str | None:
    return timestamp(datetime.fromtimestamp(seconds, UTC)) if seconds > 0 else None


def _requests(resource: HostedInstance, vm: Vm) -> dict[str, object]:
    spec = resource.spec
    if not (spec.backup or spec.snapshot or spec.restore) and _REMEMBERED.isdisjoint(vm.notes):
        return {}
    words = {
        Request.BACKUP: spec.backup.request if spec.backup else None,
        Request.SNAPSHOT: spec.snapshot.request if spec.snapshot else None,
        Request.RESTORE: spec.restore.request if spec.restore else None,
    }
    told = {request.name.lower(): _request(resource, vm, request, word) for request, word in words.items()}
    return {name: value for name, value in told.items() if value is not None}


def _request(resource: HostedInstance, vm: Vm, request: Request, word: str | None) -> Mapping[str, object] | None:
    """Of what spec asks for now; else what was asked for last."""
    asked = vm_requests.read(vm, request)
    problem = resource.external.get(PROBLEM[request], "") if request in PROBLEM else ""
    if word is not None and word != asked.token:
        return {"request": word, "state": _WAITING, **({"message": problem} if problem else {})}
    if asked.state is State.NONE:
        return None
    failed = (
        "see the events of this object, mend the cause and ask with a new word" if asked.state is State.FAILED else ""
    )
    message = problem or failed
    return {"request": asked.token[:63], "state": _STATES[asked.state], **({"message": message} if message else {})}
