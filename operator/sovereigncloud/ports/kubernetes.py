"""Kubernetes, as the kinds see it. `providers/kubernetes` implements it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from sovereigncloud.ports.admission import Admission


class Kubernetes(Protocol):
    """Rare reads and writes beside status and finalizers."""

    async def secret(self, namespace: str, name: str) -> Mapping[str, str]:
        """Decoded values. Raises MissingSecret."""
        ...

    async def create_secret(
        self, namespace: str, name: str, values: Mapping[str, str], labels: Mapping[str, str]
    ) -> bool:
        """False when one of that name is there already: a generated Secret is never overwritten."""
        ...

    async def generate_login(self, namespace: str, name: str, username: str, labels: Mapping[str, str]) -> bool:
        """Make a Secret with username and a generated password. False when one of that name is there already: it is
        never overwritten."""
        ...

    async def generate_credentials(self, namespace: str, name: str, username: str, labels: Mapping[str, str]) -> bool:
        """Make a Secret with username, a generated password and an SSH key pair (password, sshPrivateKey,
        sshPublicKey). False when one of that name is there already: it is never overwritten."""
        ...

    async def delete_secret(self, namespace: str, name: str) -> None: ...
    async def apply(self, manifest: Mapping[str, object]) -> None:
        """Server-side apply as the operator's field manager: children that a SovereignCloud composes."""
        ...

    async def delete(self, kind: str, namespace: str, name: str) -> None: ...

    @property
    def admission(self) -> Admission:
        """Bindings of ValidatingAdmissionPolicies."""
        ...
