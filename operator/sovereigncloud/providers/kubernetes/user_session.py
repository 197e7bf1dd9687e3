"""The API server for a person's commands: reads, what changes while one looks, logs, and our own annotations."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp

from sovereigncloud.api.common.base import Key
from sovereigncloud.ports.errors import NotFound, OutsideError, Retry
from sovereigncloud.providers.kubernetes.api import PLURALS, KubernetesApi, path_of
from sovereigncloud.providers.kubernetes.read_only import ReadingKubernetesApi

Json = dict[str, Any]

FIELD_MANAGER = "kubectl-sovereign"
"""Who set an annotation, in managedFields."""
_METADATA_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
_LINE = 1 << 22
"""Bytes of the longest line that is taken: an event of a watch is one line, and a status may hold 64 drifted fields."""
_WATCHED_FOR = 240
_AGAIN_AFTER = 1.0


class PersonKubernetesApi(ReadingKubernetesApi):
    """Reads, streams, and one write: annotations of an object of ours."""

    async def annotate(self, key: Key, annotations: Mapping[str, str | None]) -> Json:
        """Set annotations, None removes one; nothing else of the object is in the patch. The object as it is then."""
        return await KubernetesApi._request(  # noqa: SLF001 - past the refusal of the class between
            self,
            "PATCH",
            f"{path_of(*key)}?fieldManager={FIELD_MANAGER}",
            {"metadata": {"annotations": dict(annotations)}},
            counted=("patch", PLURALS[key.kind]),
        )

    async def secret_is_there(self, namespace: str, name: str) -> bool:
        """Whether a Secret is there; its values stay where they are."""
        path = f"/api/v1/namespaces/{quote(namespace)}/secrets/{quote(name)}"
        try:
            async for _ in self._lines(path, accept=_METADATA_ONLY):
                pass
        except NotFound:
            return False
        return True

    async def names(self, kind: str, namespace: str) -> list[tuple[str, str]]:
        """Namespace and name of every object of a kind, of one namespace or of all; without their contents."""
        path = f"{path_of(kind, namespace)}?limit=500"
        accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"
        text = "".join([line async for line in self._lines(path, accept=accept)])
        # Where there is none, a list of metadata alone has null for its items.
        return [
            (i["metadata"].get("namespace", ""), i["metadata"]["name"]) for i in json.loads(text).get("items") or ()
        ]

    async def log_lines(
        self, namespace: str, pod: str, container: str, *, follow: bool, since: int | None, tail: int | None
    ) -> AsyncIterator[str]:
        """Lines of a container, oldest first: of the last `since` seconds, at most the last `tail`; with `follow` until it
        ends.
        """
        query: dict[str, object] = {"container": container}
        query |= {"follow": "true"} if follow else {}
        query |= {"sinceSeconds": since} if since is not None else {}
        query |= {"tailLines": tail} if tail is not None else {}
        path = f"/api/v1/namespaces/{quote(namespace)}/pods/{quote(pod)}/log?{urlencode(query)}"
        async for line in self._lines(path, accept="*/*"):
            yield line.rstrip("\n")

    async def changes(self, kind: str, namespace: str, name: str = "") -> AsyncIterator[tuple[str, list[Json]]]:
        """What is there, as ("LISTED", objects), then each change: ADDED, MODIFIED, DELETED. One watch, no polling; listed
        anew where the watch expired or the API server was away.

        Raises OutsideError where the first list fails.
        """
        path = path_of(kind, namespace)
        field = {"fieldSelector": f"metadata.name={name}"} if name else {}
        listed_once = False
        while True:
            try:
                page = await self._request("GET", f"{path}?{urlencode(field)}", counted=("list", PLURALS[kind]))
                yield "LISTED", [{**item, "kind": kind} for item in page.get("items", [])]
                listed_once = True
                async for change in self._watched(path, field, kind, page["metadata"]["resourceVersion"]):
                    yield change
            except OutsideError:
                if not listed_once:
                    raise
                await asyncio.sleep(_AGAIN_AFTER)

    async def _watched(
        self, path: str, field: Mapping[str, str], kind: str, version: str
    ) -> AsyncIterator[tuple[str, list[Json]]]:
        """Changes since a version, until it expired."""
        while True:
            query = {"watch": "1", "allowWatchBookmarks": "true", "timeoutSeconds": str(_WATCHED_FOR)}
            query |= {"resourceVersion": version, **field}
            async for line in self._lines(f"{path}?{urlencode(query)}"):
                event = json.loads(line)
                if event["type"] == "ERROR":
                    return
                version = event["object"]["metadata"]["resourceVersion"]
                if event["type"] != "BOOKMARK":
                    yield event["type"], [{**event["object"], "kind": kind}]

    async def _lines(self, path: str, *, accept: str = "application/json") -> AsyncIterator[str]:
        """A reply line by line, as it comes."""
        if self._session is None:
            raise RuntimeError("the session to the API server is not open")
        headers = {"Accept": accept}
        if token := self._bearer():
            headers["Authorization"] = f"Bearer {token}"
        where = f"Kubernetes GET {path.split('?', maxsplit=1)[0]}"
        patient = aiohttp.ClientTimeout(total=None, sock_connect=5)
        try:
            async with self._session.get(
                f"{self._connection.host}{path}", headers=headers, timeout=patient, read_bufsize=_LINE
            ) as reply:
                if reply.status >= 400:
                    raise await self._refusal(reply, where)
                async for line in reply.content:
                    yield line.decode(errors="replace")
        except aiohttp.ClientConnectorError as error:
            raise Retry(f"{type(error).__name__}: {error}", where=where, maybe_done=False) from error
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise Retry(f"{type(error).__name__}: {error}", where=where) from error
