"""What the kinds ask of Kubernetes about admission: bindings of the ValidatingAdmissionPolicies that the chart brings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

Binding = Mapping[str, object]
"""A ValidatingAdmissionPolicyBinding as JSON."""


class Admission(Protocol):
    """Bindings, and whether there is something to bind to."""

    async def installed(self, policy: str) -> bool:
        """Whether there is a ValidatingAdmissionPolicy of that name."""
        ...

    async def binding(self, name: str) -> Binding | None:
        """The binding of that name; None: there is none."""
        ...

    async def put_binding(self, binding: Binding) -> None:
        """Make it, or make it exactly this. Idempotent."""
        ...

    async def delete_binding(self, name: str) -> None:
        """Not being there is fine."""
        ...
