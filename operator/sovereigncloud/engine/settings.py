"""What a person may set about the operator, from the environment (the chart's values), checked once at start."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping

from pydantic import BaseModel, ConfigDict, Field, ValidationError

import sovereigncloud

PREFIX = "SOVEREIGN_"


class SettingsError(Exception):
    """A setting is wrong; the message names it."""


class OvhUrls(BaseModel):
    """Where the API and its token endpoint are."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    api: str
    token: str


class Settings(BaseModel):
    """Settings of the operator. Times in seconds, rates in requests per second where they do not say otherwise."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    namespace: str = "sovereign-system"
    """Where the operator keeps its Lease and its ConfigMap."""
    watch_namespaces: tuple[str, ...] = ()
    """The namespaces whose objects it works for; empty: the whole cluster."""
    installation_id: str = Field(default="", pattern=r"^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)?$")
    """Names this installation on everything made outside; empty: made at first start and kept in a ConfigMap."""
    holdings: bool = False
    """Keep a ConfigMap that says what is held by a finalizer, for the policy that refuses to uninstall."""
    workers: int = Field(default=16, ge=1, le=256)
    sweep_interval: float = Field(default=60.0, gt=0)
    settle_interval: float = Field(default=2.0, gt=0)
    """How often a cloud is read while something in it is under way."""
    late_write_grace: float = Field(default=60.0, ge=0)
    """How long after a lost answer, or after start, a write may still take effect outside."""
    brake_objects: int = Field(default=5, ge=1)
    brake_fraction: float = Field(default=0.10, gt=0, le=1)
    plain_http_hosts: tuple[str, ...] = ()
    """Public hosts that may be spoken to in plain http, by name."""
    ovh_requests_per_minute: float = Field(default=50, gt=0)
    """OVHcloud staff: up to 60 requests a minute per credential are fine (python-ovh#81)."""
    ovh_burst: int = Field(default=10, ge=1)
    """That may come at once. With both as they are, no minute sees more than 60."""
    ovh_endpoints: dict[str, OvhUrls] = {}
    """Other base URLs for ovh-eu, ovh-ca, ovh-us: a gateway that stands before the API. JSON."""
    ca_file: str = ""
    """Certificates of authorities (PEM) that are trusted beside the public ones."""
    opennebula_rate: float = Field(default=30.0, gt=0)
    opennebula_burst: int = Field(default=30, ge=1)
    lease_seconds: float = Field(default=15.0, gt=1)
    http_port: int = Field(default=8080, ge=0, le=65535)
    http_host: str = ""
    """The address that probes and metrics are served on; empty: all, of IPv4 and of IPv6, whatever the cluster has."""
    installer_image: str = f"ghcr.io/sovereigncloud-io/sovereign-cloud-installer:{sovereigncloud.__version__}"
    """What the Jobs run that install OpenNebula (release/installer)."""
    ssh_port: int = Field(default=22, ge=0, le=65535)
    """Where sshd listens on every server of a hosted cloud: its host key is read there after a reinstallation. 0: nobody
    reads any, and the installer believes the first that answers."""
    site_latency_interval: float = Field(default=600.0, ge=0)
    """How often the time from one site to another is measured, by logging in at front-ends. 0: never."""
    tracing_endpoint: str = Field(default="", pattern=r"^(https?://\S+)?$")
    """Base URL of an OTLP collector over http; empty: no traces. The standard OTEL_EXPORTER_OTLP_ENDPOINT will do, too."""
    log_format: str = Field(default="json", pattern="^(json|text)$")
    log_level: str = Field(default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")


def _list(text: str) -> tuple[str, ...]:
    return tuple(filter(None, (part.strip() for part in text.split(","))))


def _json(text: str) -> object:
    try:
        return json.loads(text or "{}")
    except ValueError:
        return text  # pydantic says which setting is no mapping


_READERS: Mapping[str, Callable[[str], object]] = {
    "watch_namespaces": _list,
    "plain_http_hosts": _list,
    "ovh_endpoints": _json,
}


def settings(environment: Mapping[str, str] = os.environ) -> Settings:
    """Settings from SOVEREIGN_* variables; lists are comma-separated, mappings JSON. Raises SettingsError."""
    values: dict[str, object] = {}
    for name in Settings.model_fields:
        if (text := environment.get(f"{PREFIX}{name.upper()}")) is not None:
            values[name] = _READERS.get(name, str)(text)
    values["tracing_endpoint"] = values.get("tracing_endpoint") or environment.get("OTEL_EXPORTER_OTLP_ENDPOINT", "")
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        wrong = "; ".join(f"{PREFIX}{str(e['loc'][0]).upper()}: {e['msg']}" for e in error.errors())
        raise SettingsError(wrong) from None
