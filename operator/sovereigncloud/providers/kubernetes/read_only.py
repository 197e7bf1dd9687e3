"""The API server for those who only look: the same session, GET and nothing else."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote, urlencode

import kubernetes

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.ports.errors import NotFound, OutsideError, Rejected, Retry
from sovereigncloud.providers.kubernetes.api import PLURALS, KubernetesApi, path_of
from sovereigncloud.providers.kubernetes.connection import Connection

Json = dict[str, Any]


class ReadingKubernetesApi(KubernetesApi):
    """Refuses every request that is no GET, whoever makes it."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self.host = connection.host

    async def answers(self) -> bool:
        """Whether somebody answers there, be it with a refusal."""
        try:
            await self._request("GET", "/version", counted=("get", "version"))
        except Retry:
            return False
        except OutsideError:
            return True
        return True

    async def objects_in(self, kind: str, namespace: str) -> AsyncIterator[Json]:
        """Every object of a kind in a namespace, in pages."""
        token = ""
        while True:
            query = urlencode({"limit": 500, **({"continue": token} if token else {})})
            path = f"{path_of(kind, namespace)}?{query}"
            page = await self._request("GET", path, counted=("list", PLURALS[kind]))
            for item in page.get("items", []):
                item.setdefault("kind", kind)
                yield item
            token = page.get("metadata", {}).get("continue", "")
            if not token:
                return

    async def object(self, key: Key) -> Json | None:
        """One object of ours, or None."""
        try:
            return await self._request("GET", path_of(*key), counted=("get", PLURALS[key.kind]))
        except NotFound:
            return None

    async def events(self, key: Key) -> list[Json]:
        """Kubernetes events about an object, oldest first."""
        selector = f"involvedObject.kind={key.kind},involvedObject.name={key.name}"
        path = f"/api/v1/namespaces/{quote(key.namespace or 'default')}/events?{urlencode({'fieldSelector': selector})}"
        found: list[Json] = (await self._request("GET", path, counted=("list", "events"))).get("items", [])
        return sorted(found, key=lambda e: str(e.get("lastTimestamp") or e.get("eventTime") or ""))

    async def _request(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        *,
        content: str = "",
        counted: tuple[str, str],
        again: bool = True,
        accept: str = "application/json",
    ) -> Json:
        if method != "GET":
            raise Rejected("this command only reads", where=f"Kubernetes {method} {path}", reason=Reason.READ_ONLY)
        return await super()._request(method, path, body, content=content, counted=counted, again=again, accept=accept)


def namespace_of(context: str | None, kubeconfig: str | None = None) -> str:
    """The namespace that a context of the kubeconfig names, as kubectl takes it."""
    contexts, active = kubernetes.config.list_kube_config_contexts(  # type: ignore[no-untyped-call]
        kubeconfig or os.environ.get("KUBECONFIG")
    )
    chosen = next((c for c in contexts if c["name"] == context), active) if context else active
    namespace: str = chosen["context"].get("namespace") or "default"
    return namespace
