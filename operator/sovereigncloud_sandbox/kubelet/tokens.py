"""Tokens of a pod's ServiceAccount, as its projected volumes want them."""

import time
from dataclasses import dataclass, field
from typing import Any

from sovereigncloud_sandbox.kubelet.node import Node
from sovereigncloud_sandbox.kubelet.volumes import File, TokenWanted, tokens_of

Json = dict[str, Any]
_USED_UP = 0.8  # of its life, when a new one is asked for (kubelet, pkg/kubelet/token)
_MODE, _MODE_FOR_ANYBODY = 0o600, 0o644


@dataclass(slots=True)
class Tokens:
    """Asks for tokens bound to the pod, and for new ones in time."""

    node: Node
    pod: Json
    _held: dict[tuple[str, TokenWanted], tuple[str, float]] = field(default_factory=dict, repr=False)

    async def files(self, volume_name: str, volume: Json, *, for_one_user: bool) -> dict[str, File]:
        """The token files of a volume. Raises aiohttp.ClientError."""
        mode = _MODE if for_one_user else _MODE_FOR_ANYBODY
        return {
            wanted.path: File((await self._token(volume_name, wanted)).encode(), mode) for wanted in tokens_of(volume)
        }

    async def _token(self, volume_name: str, wanted: TokenWanted) -> str:
        held, until = self._held.get((volume_name, wanted), ("", 0.0))
        if time.monotonic() < until:
            return held
        metadata = self.pod["metadata"]
        account = self.pod["spec"].get("serviceAccountName") or "default"
        body: Json = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {
                "audiences": [wanted.audience] if wanted.audience else [],
                "expirationSeconds": wanted.seconds,
                "boundObjectRef": {
                    "apiVersion": "v1",
                    "kind": "Pod",
                    "name": metadata["name"],
                    "uid": metadata["uid"],
                },
            },
        }
        path = f"/api/v1/namespaces/{metadata['namespace']}/serviceaccounts/{account}/token"
        answer = await self.node.api.call("POST", path, body)
        token = str(answer["status"]["token"])
        # What was asked for may be raised: the API server gives a year to tokens that are not projected by name.
        self._held[volume_name, wanted] = token, time.monotonic() + _USED_UP * wanted.seconds
        return token
