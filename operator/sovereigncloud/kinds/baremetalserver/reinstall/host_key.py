"""The SSH host key of a server: read after each reinstallation of ours, pinned, and told when it is another one later.

What is pinned stands on the server itself, as an IAM tag, so that neither a lost cluster nor a lost status is a first use:

    sovereigncloud.io/host-key    awaited:proof       it was reinstalled with a script that proves its key
                                  awaited:first-use   its template took no script: the first key that answers is believed
                                  proven:<base64>     pinned, and how it came to be known
                                  first-use:<base64>

Only servers of a cloud that the operator installs have one: into these its installer logs in.
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
"""In `status.external`: since when a key answers that nothing proves."""

AT_REST = 3600.0
"""Seconds that a key which was read is believed to be still there."""
_ALGORITHM = "ssh-ed25519"
_LOOK_AGAIN = 10.0
_PATIENCE = 900.0  # sshd answers before the script at the end of the installation ran


class Trust(StrEnum):
    """How a host key came to be known."""

    PROVEN = "proven"
    FIRST_USE = "first-use"

    @property
    def word(self) -> str:
        """In status."""
        return "Proven" if self is Trust.PROVEN else "FirstUse"


@dataclass(frozen=True, slots=True)
class Pin:
    """What the tag says. `key`: base64; empty: awaited."""

    trust: Trust
    key: str = ""

    @property
    def awaited(self) -> bool:
        return not self.key

    @property
    def host_key(self) -> str:
        """As in known_hosts; empty while it is awaited."""
        return f"{_ALGORITHM} {self.key}" if self.key else ""

    @property
    def how(self) -> str:
        """How it came to be known, for people."""
        proven = self.trust is Trust.PROVEN
        return "proven by the script of its installation" if proven else "the first that answered"

    @property
    def text(self) -> str:
        """As it stands in the tag."""
        if self.key:
            return f"{self.trust}:{self.key}"
        return f"awaited:{'proof' if self.trust is Trust.PROVEN else 'first-use'}"


def read_pin(tags: Mapping[str, str]) -> Pin | None:
    """What the server says of its host key; None: nothing."""
    how, _, rest = tags.get(HOST_KEY_TAG, "").partition(":")
    if how == "awaited":
        return Pin(Trust.FIRST_USE if rest == "first-use" else Trust.PROVEN)
    return Pin(Trust(how), rest) if how in set(Trust) and rest else None


@dataclass(frozen=True, slots=True)
class Heard:
    """What was heard at the server's address.

    Attributes:
        error: why there is no greeting.
        proof_key: what the key must be proven with, see day0.
    """

    address: str
    greeting: Greeting | None = None
    error: str = ""
    proof_key: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PinHostKey(Step):
    urn: str
    pin: Pin


def plan_host_key(resource: BareMetalServer, urn: str, pin: Pin | None, heard: Heard | None, now: datetime) -> Plan:
    """Pin what is awaited, and tell what changed. `heard`: None where nobody listened."""
    if pin is None or heard is None:
        return Plan()
    if heard.greeting is None:
        return Plan(outcome=_silent(heard)) if pin.awaited else Plan()
    if not pin.awaited:
        if heard.greeting.host_key == pin.host_key:
            return Plan(outcome=_forget(resource))
        return Plan(outcome=_changed(pin, heard, heard.greeting))
    if pin.trust is Trust.PROVEN and not is_proven(heard.greeting.version, heard.greeting.host_key, heard.proof_key):
        return Plan(outcome=_unproven(resource, heard, heard.greeting, now))
    key = heard.greeting.host_key.split(" ")[1]
    step = PinHostKey(
        action=Action.UPDATE,
        target=f"host key of {heard.address}",
        fields=("spec.reinstall.request",),
        urn=urn,
        pin=Pin(pin.trust, key),
    )
    return Plan(steps=(step,))


def _silent(heard: Heard) -> Outcome:
    message = (
        f"waits until SSH answers at {heard.address}, to pin its host key ({heard.error or 'not asked yet'}); the operator"
        " must reach that port"
    )
    return waiting(Reason.READING_HOST_KEY, message, after=_LOOK_AGAIN)


def _unproven(resource: BareMetalServer, heard: Heard, greeting: Greeting, now: datetime) -> Outcome:
    """Not yet, or not the server that was installed."""
    shown = fingerprint(greeting.host_key)
    known = resource.external.get(UNPROVEN, "")
    since = float(known) if known.isdigit() else now.timestamp()
    if not is_proof(greeting.version) and now.timestamp() - since < _PATIENCE:
        message = (
            f"{heard.address} answers with the host key {shown} and does not prove it yet; waiting until the script at the"
            " end of its installation ran"
        )
        return waiting(Reason.READING_HOST_KEY, message, after=_LOOK_AGAIN).with_facts(**{UNPROVEN: f"{since:.0f}"})
    why = "proves another one" if is_proof(greeting.version) else "proves nothing"
    message = (
        f"{heard.address} answers with the host key {shown} and {why}: either the script at the end of its installation"
        " failed (/var/lib/sovereigncloud/day0.log on the server), or it is another machine. Nobody logs in there. Look at"
        " the key in OVHcloud's console (ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub); if it is that one, set the tag"
        f" {HOST_KEY_TAG} of the server to awaited:first-use, otherwise set a new spec.reinstall.request"
    )
    return stalled(Reason.HOST_KEY_UNVERIFIED, message, after=60.0).with_facts(**{UNPROVEN: f"{since:.0f}"})


def _changed(pin: Pin, heard: Heard, greeting: Greeting) -> Outcome:
    message = (
        f"{heard.address} answers with the host key {fingerprint(greeting.host_key)}, and {fingerprint(pin.host_key)} was"
        " pinned when it was installed; nothing here reinstalled it since. Nobody logs in there. If a person changed it,"
        f" set the tag {HOST_KEY_TAG} of the server to awaited:first-use; otherwise find out who answers at that address"
    )
    return stalled(Reason.HOST_KEY_CHANGED, message, after=300.0)


def _forget(resource: BareMetalServer) -> Outcome:
    return DONE.with_facts(**{UNPROVEN: ""}) if resource.external.get(UNPROVEN) else DONE
