"""The step that creates a VM."""

from __future__ import annotations

from dataclasses import dataclass

from sovereigncloud.api.common.base import Key
from sovereigncloud.core.plan import Step
from sovereigncloud.kinds.hostedinstance.creation.template_context import (
    EMPTY_CONTEXT,
    TemplateContext,
)
from sovereigncloud.kinds.hostedinstance.machine.generic_steps import (
    NO_CHOICE,
    ChosenPlace,
    NewNic,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateVm(Step):
    """Make it. Exactly one of `image` and `template`; `cards` None: those of the template. `surroundings`: what is said of
    processors, devices, hosts and its group.
    """

    cloud: Key
    image: int | None = None
    template: int | None = None
    cards: tuple[NewNic, ...] | None = None
    surroundings: TemplateContext = EMPTY_CONTEXT
    restored: tuple[int, ...] = ()
    """Images of a backup that are its disks; the template then is what was restored with them."""
    forgets: tuple[str, ...] = ()
    """Attributes of the template that told something of the machine that was backed up."""
    place: ChosenPlace = NO_CHOICE
