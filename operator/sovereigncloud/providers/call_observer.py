"""Observer port for external calls: adapters report requests and responses; metrics and traces implement it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Final, Protocol

NO_ANSWER: Final = "none"
"""Response code of a call without an answer."""


@dataclass(slots=True)
class Call:
    """External call in progress. No field ever holds an id, a name or a value: all become labels.

    Attributes:
        api: kubernetes, opennebula or ovh.
        endpoint: endpoint class: "GET /v1/vrack/{}/ip", "one.vm.action", "patch jobs".
        code: response: an HTTP status, or OpenNebula's name for it.
        retries: how often it was sent again within this call.
    """

    api: str
    endpoint: str
    code: str = NO_ANSWER
    retries: int = 0


class Observer(Protocol):
    """Observes each call."""

    def during(self, call: Call) -> AbstractContextManager[object]:
        """Context manager around a call: entered before it is sent, left after the answer or the failure."""
        ...


class NoObserver:
    """Observer that records nothing: for commands and tests."""

    def during(self, call: Call) -> AbstractContextManager[object]:
        del call
        return nullcontext()
