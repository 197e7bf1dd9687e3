"""Which adapters stand behind the ports, for the operator and for the commands that look through the same doors."""

from __future__ import annotations

from sovereigncloud.engine.clients import OpenNebulaFactory, OvhFactory
from sovereigncloud.engine.settings import Settings
from sovereigncloud.providers.calls import Observer
from sovereigncloud.providers.opennebula.client import open_nebula_factory
from sovereigncloud.providers.ovh.account import Limits, ovh_factory
from sovereigncloud.providers.ovh.client import KNOWN, Endpoint


def open_nebula_clients(settings: Settings, observer: Observer | None = None) -> OpenNebulaFactory:
    """Makes clients of front-ends under the limits of the settings."""
    return open_nebula_factory(rate=settings.opennebula_rate, burst=settings.opennebula_burst, observer=observer)


def ovh_clients(settings: Settings, observer: Observer | None = None) -> OvhFactory:
    """Makes clients of OVHcloud accounts under the limits, and at the addresses, of the settings."""
    others = {name: Endpoint(urls.api, urls.token) for name, urls in settings.ovh_endpoints.items()}
    limits = Limits(rate=settings.ovh_rate, burst=settings.ovh_burst)
    return ovh_factory(limits, {**KNOWN, **others}, observer)
