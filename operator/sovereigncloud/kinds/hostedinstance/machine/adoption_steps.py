"""What is done to a machine that was there before: it is marked, and let go without a trace."""

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
    """What `perform` here does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AdoptVm(AdoptionStep):
    """Mark it, and note that it was there before. `owner`: whose it is, and stays."""

    owner: int
    only_marks: ClassVar[bool] = True


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordAdoption(AdoptionStep):
    """Record that it was there before, and whose it is: the answer to its marking was lost, or the cluster was. Nothing
    outside.
    """

    owner: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseVm(AdoptionStep):
    """Take off what the operator wrote on it."""


async def perform(step: AdoptionStep, resource: HostedInstance, context: Context, client: OpenNebula) -> Outcome:
    match step:
        case AdoptVm(vm=number, owner=owner):
            now = await client.vm(number)
            mark = context.mark(resource)
            if now.mark is not None and now.mark != mark:
                return foreign(now, "VM")  # between the look and this moment
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
