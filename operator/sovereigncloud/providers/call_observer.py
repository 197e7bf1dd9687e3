"""Who is told of the calls outside. The adapters say what is asked and what was answered; whoever counts them, or
follows them through a trace, stands behind this port.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Final, Protocol

NO_ANSWER: Final = "none"
"""The code of a call that nobody answered."""


@dataclass(slots=True)
class Call:
    """One call while it is made. No field ever holds an id, a name or a value: all become labels.

    Attributes:
        api: kubernetes, opennebula or ovh.
        endpoint: which of its endpoints, as a class: "GET /v1/vrack/{}/ip", "one.vm.action", "patch jobs".
        code: what was answered: a status of HTTP, or OpenNebula's word for it.
        retries: how often it was sent again within this call.
    """

    api: str
    endpoint: str
    code: str = NO_ANSWER
    retries: int = 0


class Observer(Protocol):
    """Is told of each call."""

    def during(self, call: Call) -> AbstractContextManager[object]:
        """Entered before it is sent, left when it was answered, or nobody did."""
        ...


class Unobserved:
    """Nobody counts: the commands, and tests."""

    def during(self, call: Call) -> AbstractContextManager[object]:
        del call
        return nullcontext()
