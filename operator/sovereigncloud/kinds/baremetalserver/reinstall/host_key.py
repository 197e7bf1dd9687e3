"""SSH host key of a server: read after each reinstallation, pinned, and compared afterwards.

The pin is an IAM tag of the server itself, so that neither a lost cluster nor a lost status causes trust on first
use:

    sovereigncloud.io/host-key    awaited:proof       reinstalled with a script that proves the key
                                  awaited:first-use   the template takes no script: the first key is trusted
                                  proven:<base64>     pinned, with how the key was verified
                                  first-use:<base64>

Only servers of a cloud that the operator installs have a pin: its installer logs in to them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from sovereigncloud.api import BareMetalServer
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.core.outcome import DONE, Outcome, stalled, waiting
from sovereigncloud.core.plan import Action, Plan, Step
from sovereigncloud.kinds.baremetalserver.reinstall.day0 import fingerprint, is_proof, is_proven
from sovereigncloud.ports.ssh import Greeting

HOST_KEY_TAG = "sovereigncloud.io/host-key"
UNPROVEN = "hostKeyUnproven"
"""In `status.external`: since when the server presents an unproven host key."""

AT_REST = 3600.0
"""Seconds between host key scans of a server at rest."""
_ALGORITHM = "ssh-ed25519"
_LOOK_AGAIN = 10.0
_PATIENCE = 900.0  # sshd answers before the script at the end of the installation ran


class Trust(StrEnum):
    """How a host key was verified."""

    PROVEN = "proven"
    FIRST_USE = "first-use"

    @property
    def word(self) -> str:
        """Return the value for status."""
        return "Proven" if self is Trust.PROVEN else "FirstUse"


@dataclass(frozen=True, slots=True)
class Pin:
    """The host key pin in the server's tag. `key`: base64; empty: awaited."""

    trust: Trust
    key: str = ""

    @property
    def awaited(self) -> bool:
        return not self.key

    @property
    def host_key(self) -> str:
        """Return the key in known_hosts format; empty while it is awaited."""
        return f"{_ALGORITHM} {self.key}" if self.key else ""

    @property
    def how(self) -> str:
        """Return how the key was verified, for messages."""
        proven = self.trust is Trust.PROVEN
        return "proven by the script of its installation" if proven else "the first that answered"

    @property
    def text(self) -> str:
        """Serialize the pin as a tag value."""
        if self.key:
            return f"{self.trust}:{self.key}"
        return f"awaited:{'proof' if self.trust is Trust.PROVEN else 'first-use'}"


def read_pin(tags: Mapping[str, str]) -> Pin | None:
    """Parse the host key pin; None: the server has none."""
    how, _, rest = tags.get(HOST_KEY_TAG, "").partition(":")
    if how == "awaited":
        return Pin(Trust.FIRST_USE if rest == "first-use" else Trust.PROVEN)
    return Pin(Trust(how), rest) if how in set(Trust) and rest else None


@dataclass(frozen=True, slots=True)
class HostKeyScan:
    """The result of an SSH host key scan.

    Attributes:
        error: why there is no result.
        proof_key: the key that the proof is checked with, see day0.
    """

    address: str
    greeting: Greeting | None = None
    error: str = ""
    proof_key: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PinHostKey(Step):
    """Pin a verified host key in the server's tag."""

    urn: str
    pin: Pin


def plan_host_key(
    resource: BareMetalServer, urn: str, pin: Pin | None, host_key_scan: HostKeyScan | None, now: datetime
) -> Plan:
    """Pin an awaited host key, and report a changed one. `host_key_scan`: None when the key was not scanned."""
    if pin is None or host_key_scan is None:
        return Plan()
    if host_key_scan.greeting is None:
        return Plan(outcome=_unreachable(host_key_scan)) if pin.awaited else Plan()
    if not pin.awaited:
        if host_key_scan.greeting.host_key == pin.host_key:
            return Plan(outcome=_forget(resource))
        return Plan(outcome=_changed(pin, host_key_scan, host_key_scan.greeting))
    if pin.trust is Trust.PROVEN and not is_proven(
        host_key_scan.greeting.version, host_key_scan.greeting.host_key, host_key_scan.proof_key
    ):
        return Plan(outcome=_unproven(resource, host_key_scan, host_key_scan.greeting, now))
    key = host_key_scan.greeting.host_key.split(" ")[1]
    step = PinHostKey(
        action=Action.UPDATE,
        target=f"host key of {host_key_scan.address}",
        fields=("spec.reinstall.request",),
        urn=urn,
        pin=Pin(pin.trust, key),
    )
    return Plan(steps=(step,))


def _unreachable(host_key_scan: HostKeyScan) -> Outcome:
    message = (
        f"waiting for SSH at {host_key_scan.address}, to pin its host key ({host_key_scan.error or 'not asked yet'}); the operator must be able"
        " to reach that port"
    )
    return waiting(Reason.READING_HOST_KEY, message, after=_LOOK_AGAIN)


def _unproven(resource: BareMetalServer, host_key_scan: HostKeyScan, greeting: Greeting, now: datetime) -> Outcome:
    """Report a host key without proof: the script has not run yet, or it is another server."""
    shown = fingerprint(greeting.host_key)
    known = resource.external.get(UNPROVEN, "")
    since = float(known) if known.isdigit() else now.timestamp()
    if not is_proof(greeting.version) and now.timestamp() - since < _PATIENCE:
        message = (
            f"{host_key_scan.address} presents host key {shown} without a proof yet; waiting for the script at the end of its"
            " installation"
        )
        return waiting(Reason.READING_HOST_KEY, message, after=_LOOK_AGAIN).with_facts(**{UNPROVEN: f"{since:.0f}"})
    why = "with the proof of another key" if is_proof(greeting.version) else "without a proof"
    message = (
        f"{host_key_scan.address} presents host key {shown} {why}, so the operator does not log in: either the script at the end of"
        " its installation failed (/var/lib/sovereigncloud/day0.log on the server), or another server answers. Compare the key"
        " in OVHcloud's console (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub); if it matches, set the tag"
        f" {HOST_KEY_TAG} of the server to awaited:first-use, otherwise set a new spec.reinstall.request"
    )
    return stalled(Reason.HOST_KEY_UNVERIFIED, message, after=60.0).with_facts(**{UNPROVEN: f"{since:.0f}"})


def _changed(pin: Pin, host_key_scan: HostKeyScan, greeting: Greeting) -> Outcome:
    message = (
        f"{host_key_scan.address} presents host key {fingerprint(greeting.host_key)}, but {fingerprint(pin.host_key)} is pinned and"
        " the operator did not reinstall the server since, so it does not log in. If a person changed the key, set the tag"
        f" {HOST_KEY_TAG} of the server to awaited:first-use; otherwise find out which machine answers at that address"
    )
    return stalled(Reason.HOST_KEY_CHANGED, message, after=300.0)


def _forget(resource: BareMetalServer) -> Outcome:
    return DONE.with_facts(**{UNPROVEN: ""}) if resource.external.get(UNPROVEN) else DONE
