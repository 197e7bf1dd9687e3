"""Whose certificates are believed: the public authorities, those that a person adds, or one alone.

The context is made once and shared by all connections: the public authorities in it take 2 MB and 20 ms.
"""

from __future__ import annotations

import os
import ssl
from functools import cache
from typing import Any

from requests.adapters import DEFAULT_CA_BUNDLE_PATH, HTTPAdapter


class TrustError(Exception):
    """The file of authorities cannot be used; the message says why."""


class Trusting(HTTPAdapter):
    """Believes what the context says, and nothing that requests would add to it."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs, ssl_context=self._context)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        # Also for a proxy that is itself spoken to over TLS.
        return super().proxy_manager_for(*args, **kwargs, ssl_context=self._context, proxy_ssl_context=self._context)

    def cert_verify(self, conn: Any, *_: Any, **__: Any) -> None:
        conn.cert_reqs = "CERT_REQUIRED"


def only(authority: str) -> ssl.SSLContext:
    """Believes one authority (PEM) and no other."""
    return ssl.create_default_context(cadata=authority)


def public_and(file: str = "") -> ssl.SSLContext:
    """Believes the public authorities and those in a file (PEM, several in one). Raises TrustError.

    In place of the public ones stands what REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names, as everywhere with requests.
    """
    public = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE") or DEFAULT_CA_BUNDLE_PATH
    return _of_files(public, file)


@cache
def _of_files(public: str, file: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for source in filter(None, (public, file)):
        try:
            if os.path.isdir(source):  # noqa: PTH112 - REQUESTS_CA_BUNDLE may name a folder, whose files OpenSSL finds itself
                context.load_verify_locations(capath=source)
            else:
                context.load_verify_locations(cafile=source)
        except (OSError, ssl.SSLError) as error:
            why = "holds no certificate in PEM" if isinstance(error, ssl.SSLError) else error.strerror
            raise TrustError(f"certificates of authorities in {source}: {why}") from error
    return context
