"""Which adapters stand behind the ports, for the operator and for the commands that look through the same doors."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from sovereigncloud.engine.settings import PREFIX, Settings, SettingsError
from sovereigncloud.engine.views.clients import OpenNebulaFactory, OvhFactory
from sovereigncloud.providers.call_observer import Observer
from sovereigncloud.providers.certificate_trust import TrustError, public_and
from sovereigncloud.providers.installer.installation import JobApi, JobInstaller
from sovereigncloud.providers.opennebula.factory import open_nebula_factory
from sovereigncloud.providers.ovh.account import Limits, ovh_factory
from sovereigncloud.providers.ovh.client import KNOWN, Endpoint

_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY")


def open_nebula_clients(settings: Settings, observer: Observer | None = None) -> OpenNebulaFactory:
    """Makes clients of front-ends under the limits of the settings. Raises SettingsError."""
    return open_nebula_factory(
        rate=settings.opennebula_rate,
        burst=settings.opennebula_burst,
        observer=observer,
        ca_file=_authorities(settings),
    )


def ovh_clients(settings: Settings, observer: Observer | None = None) -> OvhFactory:
    """Makes clients of OVHcloud accounts under the limits, and at the addresses, of the settings. Raises SettingsError."""
    others = {name: Endpoint(urls.api, urls.token) for name, urls in settings.ovh_endpoints.items()}
    limits = Limits(rate=settings.ovh_requests_per_minute / 60, burst=settings.ovh_burst)
    return ovh_factory(limits, {**KNOWN, **others}, observer, _authorities(settings))


def installer(settings: Settings, api: JobApi, environment: Mapping[str, str] = os.environ) -> JobInstaller:
    """Installs OpenNebula in Jobs that go out as the operator does. Raises SettingsError.

    A proxy with a password in its address is left out: whoever may read Jobs would see it.
    """
    proxies = {n: v for n in _PROXIES if (v := environment.get(n, "")) and not urlsplit(v).password}
    if proxies and (direct := environment.get("NO_PROXY")):
        proxies["NO_PROXY"] = direct
    file = _authorities(settings)
    authorities = {"AUTHORITIES": Path(file).read_text()} if file else {}
    return JobInstaller(api, image=settings.installer_image, environment={**proxies, **authorities})


def _authorities(settings: Settings) -> str:
    """The file of further authorities, looked at now: at the first call it would be an error of the cloud that is called."""
    try:
        public_and(settings.ca_file)
    except TrustError as error:
        raise SettingsError(f"{PREFIX}CA_FILE: {error}") from error
    return settings.ca_file
