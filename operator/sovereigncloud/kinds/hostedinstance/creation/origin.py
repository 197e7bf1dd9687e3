"""What it is called, and made from."""

from __future__ import annotations

from dataclasses import replace

from sovereigncloud.api.common.base import Consent
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.core.outcome import stalled
from sovereigncloud.core.plan import Action, Disruption, Drift
from sovereigncloud.kinds.hostedinstance.machine.labels import (
    LABELS_FACT,
    LABELS_PATH,
    SetLabels,
    labels_digest,
    labels_text,
)
from sovereigncloud.kinds.hostedinstance.machine.machine import NEEDS_REPLACE, NOTHING, Machine, Part
from sovereigncloud.kinds.hostedinstance.machine.step import LABELS, noted
from sovereigncloud.kinds.hostedinstance.steps import TERMINATE, ActOnVm, RenameVm
from sovereigncloud.kinds.hostedinstance.storage.data_disks import is_restored
from sovereigncloud.ports.opennebula.vm_states import AT_REST, Situation


def name(m: Machine) -> Part:
    """Names of machines are free text and not unique: a rename cannot collide."""
    wanted = m.resource.outside_name
    if m.vm.name == wanted or (m.resource.adopted and m.resource.spec.name is None):
        return NOTHING
    drift = Drift("spec.name", wanted, m.vm.name)
    if m.situation not in AT_REST | {Situation.QUEUED, Situation.HELD}:
        return Part(drift=(drift,))
    step = RenameVm(
        action=Action.UPDATE,
        target=m.target,
        fields=(drift.path,),
        cause=m.cause,
        cloud=m.cloud,
        vm=m.vm.id,
        name=wanted,
    )
    return Part(drift=(drift,), steps=(step,))


def labels(m: Machine) -> Part:
    """The labels of the object, where whoever uses OpenNebula sees them. Labels have no generation: that they were changed
    here, and not there, is told by what was last written.
    """
    wanted, found = labels_text(m.resource.metadata.labels), noted(m.vm.notes.get(LABELS, ""))
    if wanted == found:
        return NOTHING
    step = SetLabels(
        action=Action.UPDATE,
        target=f"labels of {m.target}",
        fields=(LABELS_PATH,),
        cause=m.cause,
        cloud=m.cloud,
        vm=m.vm.id,
        labels=wanted,
    )
    changed_there = m.resource.external.get(LABELS_FACT, "") == labels_digest(wanted)
    drift = (Drift(LABELS_PATH, wanted or "none", found or "none"),) if changed_there else ()
    return Part(drift=drift, steps=(step,))


def source(m: Machine) -> Part:
    """Another image needs another machine. Compared by name and by id: an image may be renamed. A VM template leaves
    no name on the machine, so its change is not seen.
    """
    wanted = m.resource.spec.source.image
    root = m.root
    if wanted is None or root is None or root.image_id < 0 or root.image == wanted or is_restored(root, m):
        return NOTHING
    if any(image.name == wanted and image.id == root.image_id for image in m.view.images.values()):
        return NOTHING
    drift = Drift("spec.source.image", wanted, root.image)
    if m.situation not in AT_REST:
        return Part(drift=(drift,))
    if refused := m.observed.whereabouts.refused:  # it would go, and none could be made
        told = f"{m.target} is not replaced, since none may be made where it is: {'; '.join(refused)}"
        return Part(drift=(drift,), outcome=replace(stalled(Reason.NO_COMPLIANT_PLACE, told), available=True))
    policy = m.resource.spec.update_policy
    step = ActOnVm(
        action=Action.REPLACE,
        target=m.target,
        fields=(drift.path,),
        disruption=Disruption.DATA_LOSS,
        cause=m.cause,
        needs="" if policy is not None and policy.replace is Consent.ALLOW else NEEDS_REPLACE,
        cloud=m.cloud,
        vm=m.vm.id,
        verb=TERMINATE,
        replacing=True,
    )
    return Part(drift=(drift,), steps=(step,))
