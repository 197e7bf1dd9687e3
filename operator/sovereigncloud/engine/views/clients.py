"""Clients of clouds and accounts: one per endpoint and credential, made anew when the Secret changes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import monotonic

from sovereigncloud.engine.telemetry.redaction import redact
from sovereigncloud.ports.errors import MissingSecret
from sovereigncloud.ports.kubernetes import Kubernetes
from sovereigncloud.ports.opennebula.client import OpenNebula
from sovereigncloud.ports.ovh.account import Ovh

SECRET_AGE = 60.0
"""Seconds that a Secret read from the API server is used: rotation takes effect within this, without a restart."""

OpenNebulaFactory = Callable[[str, str, str, str], OpenNebula]
"""(endpoint, username, password, CA certificate or empty)"""
OvhFactory = Callable[[str, Mapping[str, str]], Ovh]
"""(endpoint, values of the Secret)"""

_OVH_KEYS = (("clientId", "clientSecret"), ("applicationKey", "applicationSecret", "consumerKey"))


@dataclass(frozen=True, slots=True)
class _Cached:
    values: Mapping[str, str]
    read: float


class Clients:
    """Finds the client for an endpoint and a Secret."""

    def __init__(
        self,
        kubernetes: Kubernetes,
        open_nebula: OpenNebulaFactory,
        ovh: OvhFactory,
        *,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._kubernetes, self._make_open_nebula, self._make_ovh, self._clock = kubernetes, open_nebula, ovh, clock
        self._secrets: dict[tuple[str, str], _Cached] = {}
        self._open_nebula: dict[tuple[str, str], tuple[str, OpenNebula]] = {}
        self._ovh: dict[tuple[str, str, str], tuple[str, Ovh]] = {}

    async def secret(self, namespace: str, name: str) -> Mapping[str, str]:
        """Values of a Secret, at most SECRET_AGE old. Raises MissingSecret."""
        cached = self._secrets.get((namespace, name))
        if cached is None or self._clock() - cached.read > SECRET_AGE:
            cached = _Cached(await self._kubernetes.secret(namespace, name), self._clock())
            redact.learn(cached.values)
            self._secrets[namespace, name] = cached
        return cached.values

    def forget(self, namespace: str, name: str) -> None:
        """A credential was refused: read the Secret again the next time, it may have been rotated."""
        self._secrets.pop((namespace, name), None)

    async def open_nebula(
        self, endpoint: str, namespace: str, secret: str, ca_secret: str = "", ca_namespace: str = ""
    ) -> OpenNebula:
        """Raises MissingSecret when the Secret or a key in it is missing. `ca_namespace`: of the CA, where it is another."""
        values = await self.secret(namespace, secret)
        username, password = (self._need(values, key, namespace, secret) for key in ("username", "password"))
        authority = ""
        if ca_secret:
            found = await self.secret(ca_namespace or namespace, ca_secret)
            # A front-end's own certificate stands there without an authority if a public one signed it.
            if "tls.crt" not in found or found.get("ca.crt"):
                authority = self._need(found, "ca.crt", ca_namespace or namespace, ca_secret)
        digest = _digest({"u": username, "p": password, "c": authority})
        known = self._open_nebula.get((endpoint, f"{namespace}/{secret}"))
        if known is None or known[0] != digest:
            known = (digest, self._make_open_nebula(endpoint, username, password, authority))
            self._open_nebula[endpoint, f"{namespace}/{secret}"] = known
        return known[1]

    async def ovh(self, endpoint: str, namespace: str, secret: str) -> Ovh:
        """Raises MissingSecret when the Secret holds neither an OAuth2 client nor application keys."""
        values = await self.secret(namespace, secret)
        chosen = next((keys for keys in _OVH_KEYS if all(values.get(k) for k in keys)), None)
        if chosen is None:
            wanted = " or ".join(", ".join(keys) for keys in _OVH_KEYS)
            self.forget(namespace, secret)
            raise MissingSecret(
                f"Secret {namespace}/{secret} must hold {wanted}; it holds {sorted(values) or 'nothing'}"
            )
        credentials = {k: values[k].strip() for k in chosen}
        digest = _digest(credentials)
        known = self._ovh.get((endpoint, namespace, secret))
        if known is None or known[0] != digest:
            known = (digest, self._make_ovh(endpoint, credentials))
            self._ovh[endpoint, namespace, secret] = known
        return known[1]

    def known_open_nebula(self, endpoint: str, namespace: str, secret: str) -> OpenNebula | None:
        """The client that is there, if one was made."""
        return self._open_nebula.get((endpoint, f"{namespace}/{secret}"), (None, None))[1]

    def known_ovh(self, endpoint: str, namespace: str, secret: str) -> Ovh | None:
        """The client that is there, if one was made."""
        return self._ovh.get((endpoint, namespace, secret), (None, None))[1]

    def drop(self, namespace: str, secret: str) -> None:
        """Nobody refers to a Secret any more: neither its values nor its clients are kept."""
        self.forget(namespace, secret)
        for endpoint, name in [key for key in self._open_nebula if key[1] == f"{namespace}/{secret}"]:
            del self._open_nebula[endpoint, name]
        for key in [key for key in self._ovh if key[1:] == (namespace, secret)]:
            del self._ovh[key]

    def _need(self, values: Mapping[str, str], key: str, namespace: str, secret: str) -> str:
        if not values.get(key):
            self.forget(namespace, secret)  # who mends it does so now
            raise MissingSecret(f"Secret {namespace}/{secret} has no {key}; it holds {sorted(values) or 'nothing'}")
        return values[key].strip()


def _digest(values: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
