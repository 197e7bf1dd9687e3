"""A machine that was there before: how it becomes an object's, and how it is let go without a trace."""

from __future__ import annotations

from sovereigncloud.api.common.adoption import ADOPTED_FACT
from sovereigncloud.core.identity import ONE_ADOPTED
from sovereigncloud.core.plan import Action, Plan, Step
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.hostedinstance.machine.adoption_steps import AdoptVm, RecordAdoption, ReleaseVm
from sovereigncloud.kinds.hostedinstance.machine.machine import Machine
from sovereigncloud.kinds.hostedinstance.observation import InstanceObservation, bound_cloud, declared_cloud
from sovereigncloud.kinds.hostedinstance.steps import BindInstance
from sovereigncloud.kinds.identity.adoption import OWNER_FACT, releasing


def to_adopt(m: Machine) -> tuple[Step, ...]:
    """What makes a machine that was there before this object's. Nothing: it is, or it was not there before."""
    if m.observed.found.adoptable:
        adopt = AdoptVm(action=Action.MARK, target=m.target, cloud=m.cloud, vm=m.vm.id, owner=m.vm.owner)
        if bound_cloud(m.resource) == m.cloud or declared_cloud(m.resource) is not None:
            return (adopt,)
        # So that the cloud is watched for it also while it is only looked at.
        return (
            BindInstance(action=Action.UPDATE, target=f"placement in {where(m.cloud)}", inside=True, cloud=m.cloud),
            adopt,
        )
    if not _was_there_before(m):
        return ()
    external = m.resource.external
    if external.get(ADOPTED_FACT) == "yes" and OWNER_FACT in external:
        return ()
    return (
        RecordAdoption(action=Action.UPDATE, target=m.target, inside=True, cloud=m.cloud, vm=m.vm.id, owner=m.vm.owner),
    )


def _was_there_before(m: Machine) -> bool:
    """Noted on the machine itself, which its owner can change; spec and status say it, too."""
    adopt = m.resource.spec.adopt
    return m.vm.notes.get(ONE_ADOPTED) == "YES" or (adopt is not None and adopt.id == str(m.vm.id))


def release(observed: InstanceObservation) -> Plan:
    """One step; nothing where the machine is gone, or is not this object's (any more)."""
    if observed.problem is not None:
        return Plan(outcome=observed.problem)
    vm, cloud = observed.found.thing, observed.cloud
    if vm is None or cloud is None or observed.found.adoptable:
        return Plan()
    step = ReleaseVm(
        action=Action.UPDATE,
        target=f'marks of VM {vm.id} "{vm.name}" in {where(cloud)}',
        cloud=cloud,
        vm=vm.id,
    )
    return releasing(step)
