"""Secrets never reach the log: neither the values that were read from Secrets, nor what looks like one.

The adapters put none into their messages. This is the second lock: for libraries that tell what they send, and for
exceptions that hold what nobody expected.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

MASK = "***"
_PUBLIC = frozenset({"username", "clientId", "sshPublicKey", "ca.crt"})
_SHORTEST = 6
"""Characters: shorter ones would mask words."""
_LOOKS_SECRET = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), MASK),
    (re.compile(r"(?i)\b(bearer|basic)\s+[a-z0-9._~+/=-]{8,}"), rf"\1 {MASK}"),
    (re.compile(r"(://[^/\s:@]+:)[^@/\s]+@"), rf"\1{MASK}@"),
    (
        re.compile(
            r"(?i)(\\?[\"']?(?:password|passwd|client_?secret|application_?secret|consumer_?key|access_?token|"
            r"x-ovh-(?:consumer|signature))\\?[\"']?\s*[:=]\s*\\?[\"']?)[^\s\"'\\,;&}]+"
        ),
        rf"\1{MASK}",
    ),
)


class Redaction:
    """Masks what is secret in a text."""

    def __init__(self) -> None:
        self._values: frozenset[str] = frozenset()
        self._known: re.Pattern[str] | None = None

    def learn(self, secret: Mapping[str, str]) -> None:
        """The values of a Secret that was read."""
        values = {v.strip() for k, v in secret.items() if k not in _PUBLIC}
        # Of what has several lines, a key say, each line alone would tell enough.
        found = {
            line for value in values for line in value.splitlines() if len(line) >= _SHORTEST and "-----" not in line
        }
        if found <= self._values:
            return
        self._values |= found
        forms = {form for value in self._values for form in (value, json.dumps(value)[1:-1])}
        longest_first = sorted(map(re.escape, forms), key=len, reverse=True)
        self._known = re.compile(rf"(?<!\w)(?:{'|'.join(longest_first)})(?!\w)")

    def __call__(self, text: str) -> str:
        if self._known is not None:
            text = self._known.sub(MASK, text)
        for pattern, mask in _LOOKS_SECRET:
            text = pattern.sub(mask, text)
        return text


redact = Redaction()
"""The one of this process: whoever reads a Secret tells it."""
