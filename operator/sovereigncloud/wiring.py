"""Wiring of ports to adapters, for the operator and the commands."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from sovereigncloud.engine.settings import PREFIX, Settings, SettingsError
from sovereigncloud.engine.telemetry.tracing import NoTracer, Tracer
from sovereigncloud.engine.views.clients import OpenNebulaFactory, OvhFactory
from sovereigncloud.providers.call_observer import Observer
from sovereigncloud.providers.certificate_trust import TrustError, public_and
from sovereigncloud.providers.installer.installation import JobApi, JobInstaller
from sovereigncloud.providers.opennebula.factory import open_nebula_factory
from sovereigncloud.providers.ovh.account import Limits, ovh_factory
from sovereigncloud.providers.ovh.client import KNOWN, Endpoint

_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY")


def open_nebula_clients(settings: Settings, observer: Observer | None = None) -> OpenNebulaFactory:
    """Return the factory of OpenNebula clients with the limits of the settings. Raises SettingsError."""
    return open_nebula_factory(
        rate=settings.opennebula_rate,
        burst=settings.opennebula_burst,
        observer=observer,
        ca_file=_authorities(settings),
    )


def ovh_clients(settings: Settings, observer: Observer | None = None) -> OvhFactory:
    """Return the factory of OVHcloud clients with the limits and URLs of the settings. Raises SettingsError."""
    others = {name: Endpoint(urls.api, urls.token) for name, urls in settings.ovh_endpoints.items()}
    limits = Limits(rate=settings.ovh_requests_per_minute / 60, burst=settings.ovh_burst)
    return ovh_factory(limits, {**KNOWN, **others}, observer, _authorities(settings))


def installer(settings: Settings, api: JobApi, environment: Mapping[str, str] = os.environ) -> JobInstaller:
    """Return the installer, whose Jobs use the operator's proxies and certificate authorities. Raises SettingsError.

    A proxy URL with a password is left out: anybody who may read Jobs would see it.
    """
    proxies = {n: v for n in _PROXIES if (v := environment.get(n, "")) and not urlsplit(v).password}
    if proxies and (direct := environment.get("NO_PROXY")):
        proxies["NO_PROXY"] = direct
    file = _authorities(settings)
    authorities = {"AUTHORITIES": Path(file).read_text()} if file else {}
    return JobInstaller(api, image=settings.installer_image, environment={**proxies, **authorities})


def tracer_for(endpoint: str) -> Tracer:
    """Return a tracer that exports over OTLP to this base URL (http, without `/v1/traces`); empty: no traces.

    OpenTelemetry takes 8 MB, so it is imported only when an endpoint is set.
    """
    if not endpoint:
        return NoTracer()
    from sovereigncloud.engine.telemetry.otel import OpenTelemetry  # noqa: PLC0415 - 8 MB that only tracing needs

    return OpenTelemetry(endpoint)


def _authorities(settings: Settings) -> str:
    """Return the file of additional certificate authorities, validated now rather than at the first call."""
    try:
        public_and(settings.ca_file)
    except TrustError as error:
        raise SettingsError(f"{PREFIX}CA_FILE: {error}") from error
    return settings.ca_file
