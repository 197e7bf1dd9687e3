"""Steps that adopt an existing VM and release it again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from sovereigncloud.api.common.adoption import ADOPTED_FACT
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.core.identity import ONE_ADOPTED
from sovereigncloud.core.outcome import Outcome, done
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.hostedinstance.machine.step import VmStep
from sovereigncloud.kinds.identity.adoption import OWNER_FACT
from sovereigncloud.kinds.identity.identification import foreign
from sovereigncloud.ports.opennebula.client import OpenNebula


@dataclass(frozen=True, slots=True, kw_only=True)
class AdoptionStep(VmStep):
    """Base of the steps that `perform` of this module executes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdoptVm(AdoptionStep):
    """Write the mark on an existing VM and record it as adopted.

    Attributes:
        owner: id of its OpenNebula user, which does not change.
    """

    owner: int
    only_marks: ClassVar[bool] = True


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordAdoption(AdoptionStep):
    """Record in status that a marked VM was adopted, and its owner.

    Needed when the answer to AdoptVm or the Kubernetes cluster was lost. Changes nothing in OpenNebula.
    """

    owner: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseVm(AdoptionStep):
    """Remove the mark of the operator from an adopted VM."""


async def perform(step: AdoptionStep, resource: HostedInstance, context: Context, client: OpenNebula) -> Outcome:
    """Execute an adoption step."""
    match step:
        case AdoptVm(vm=number, owner=owner):
            now = await client.vm(number)
            mark = context.mark(resource)
            if now.mark is not None and now.mark != mark:
                return foreign(now, "VM")  # marked since the view was read
            await client.update_vm(number, {**mark.for_opennebula(), ONE_ADOPTED: "YES"})
            message = f'VM {number} "{now.name}" adopted; it still belongs to user {owner}'
            return done(Reason.ADOPTED, message).with_facts(**_facts(owner))
        case RecordAdoption(owner=owner):
            return done().with_facts(**_facts(owner))
        case ReleaseVm(vm=number):
            await client.unmark("vm", number)
            return done(Reason.RELEASED, f"VM {number} no longer carries the mark of this installation")
        case _:
            raise TypeError(f"not a step that can be done: {step!r}")


def _facts(owner: int) -> dict[str, str]:
    return {ADOPTED_FACT: "yes", OWNER_FACT: str(owner)}
