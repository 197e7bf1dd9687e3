"""Bindings of ValidatingAdmissionPolicies, over the session to the API server."""

from __future__ import annotations

from typing import Any, Protocol
from urllib.parse import quote

from sovereigncloud.ports.admission import Binding
from sovereigncloud.ports.errors import NotFound

Json = dict[str, Any]
_API = "/apis/admissionregistration.k8s.io/v1"
_BINDINGS, _POLICIES = "validatingadmissionpolicybindings", "validatingadmissionpolicies"


class Request(Protocol):
    """A request to the API server, as the session makes it."""

    async def __call__(self, method: str, path: str, body: Json | None = None, *, counted: tuple[str, str]) -> Json: ...


class AdmissionApi:
    """The port `Admission`.

    Args:
        request: asks the API server.
    """

    def __init__(self, request: Request) -> None:
        self._request = request

    async def installed(self, policy: str) -> bool:
        """Whether there is a ValidatingAdmissionPolicy of that name."""
        return await self._get(_POLICIES, policy) is not None

    async def binding(self, name: str) -> Binding | None:
        """The binding of that name; None: there is none."""
        return await self._get(_BINDINGS, name)

    async def put_binding(self, binding: Binding) -> None:
        """Make it, or replace it: what somebody else added to it goes. Raises Conflict where it changed meanwhile."""
        metadata: Any = binding["metadata"]
        there = await self._get(_BINDINGS, metadata["name"])
        if there is None:
            await self._request("POST", f"{_API}/{_BINDINGS}", dict(binding), counted=("create", _BINDINGS))
            return
        version = there["metadata"]["resourceVersion"]
        body = {**binding, "metadata": {**metadata, "resourceVersion": version}}
        await self._request("PUT", _path(_BINDINGS, metadata["name"]), body, counted=("update", _BINDINGS))

    async def delete_binding(self, name: str) -> None:
        """Not being there is fine."""
        try:
            await self._request("DELETE", _path(_BINDINGS, name), counted=("delete", _BINDINGS))
        except NotFound:
            return

    async def _get(self, resource: str, name: str) -> Json | None:
        try:
            return await self._request("GET", _path(resource, name), counted=("get", resource))
        except NotFound:
            return None


def _path(resource: str, name: str) -> str:
    return f"{_API}/{resource}/{quote(name)}"
