"""A small asynchronous client of the Kubernetes API: JSON over one aiohttp session."""

import json
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

Json = dict[str, Any]

WATCH_SECONDS = 60
MERGE = "application/merge-patch+json"


class GoneError(Exception):
    """The resourceVersion of a watch has expired (410 Gone): list again."""


@dataclass(frozen=True, slots=True)
class ApiServer:
    """Address, session and headers of one client of the API server."""

    session: aiohttp.ClientSession
    host: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    async def call(self, method: str, path: str, body: Json | None = None) -> Json:
        """One request; a PATCH is a merge patch. Raises aiohttp.ClientError with what the API server said."""
        headers = {**self.headers, "Content-Type": MERGE if method == "PATCH" else "application/json"}
        async with self.session.request(method, f"{self.host}{path}", json=body, headers=headers) as reply:
            if reply.status >= 400:
                raise aiohttp.ClientResponseError(
                    reply.request_info, (), status=reply.status, message=(await reply.text())[:500]
                )
            found: Json = await reply.json()
            return found

    async def watch(self, path: str, version: str, query: str = "") -> AsyncIterator[Json]:
        """Events since a version, until the API server ends the watch. Raises GoneError, aiohttp.ClientError."""
        url = f"{self.host}{path}?watch=true&resourceVersion={version}&timeoutSeconds={WATCH_SECONDS}{query}"
        timeout = aiohttp.ClientTimeout(total=None, sock_read=WATCH_SECONDS + 10)
        async with self.session.get(url, headers=self.headers, timeout=timeout) as reply:
            if reply.status >= 400:
                raise aiohttp.ClientResponseError(reply.request_info, (), status=reply.status)
            while line := await reply.content.readuntil(b"\n"):
                event: Json = json.loads(line)
                if event.get("type") == "ERROR":
                    raise GoneError(str(event["object"].get("message")))
                yield event


def tls_of(ca: str, certificate: str, key: str) -> ssl.SSLContext:
    """Speaks to servers of one authority, as the owner of a certificate."""
    context = ssl.create_default_context(cafile=ca)
    context.load_cert_chain(certificate, key)
    return context
