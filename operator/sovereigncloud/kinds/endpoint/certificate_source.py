"""The certificate that spec names for a cloud, as far as it can be told before the installer brings it to the front-end."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

from sovereigncloud.api import SovereignCloud
from sovereigncloud.core.outcome import Outcome, blocked
from sovereigncloud.kinds.contract.controller import Context
from sovereigncloud.kinds.endpoint.access import access_of
from sovereigncloud.ports.errors import MissingSecret

_KEYS = ("tls.crt", "tls.key")
_LOOK_AGAIN = 30.0


@dataclass(frozen=True, slots=True)
class Certificate:
    """What the Secret holds. `digest` names it, empty without one; `problem`: why it cannot be used."""

    digest: str = ""
    problem: Outcome | None = None


async def observe_certificate(cloud: SovereignCloud, context: Context) -> Certificate:
    """Reads the Secret; the key in it is not looked at."""
    access = access_of(cloud)
    if access is None or access.tls is None:
        return Certificate()
    name, where = access.tls.secret_ref.name, "spec.hosted.access.tls.secretRef"
    try:
        values = await context.kubernetes.secret(cloud.metadata.namespace, name)
    except MissingSecret:
        return _unusable(f"{where}: there is no Secret {name}; make it of type kubernetes.io/tls for {access.fqdn}")
    missing = [key for key in _KEYS if not values.get(key)]
    if missing:
        return _unusable(f"{where}: Secret {name} has no {' and no '.join(missing)}")
    if "-----BEGIN CERTIFICATE-----" not in values["tls.crt"]:
        return _unusable(f"{where}: tls.crt of Secret {name} is no certificate in PEM")
    return Certificate(hashlib.sha256(values["tls.crt"].strip().encode()).hexdigest()[:8])


def _unusable(message: str) -> Certificate:
    return Certificate(problem=replace(blocked(message), after=_LOOK_AGAIN))
