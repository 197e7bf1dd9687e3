"""Whether a secret is in what was produced, in any form in which it might be written."""

import base64
import json
from urllib.parse import quote

PUBLIC = frozenset({"username", "clientId", "sshPublicKey", "ca.crt", "tls.crt"})
"""Names of values of a Secret that are none."""
_SHORTEST = 6


def secrets_of(name, values):
    """What is secret in the values of a Secret, by what it is called; of a key, each line alone tells enough."""
    return {
        f"{name}.{key} (line {number})": line
        for key, value in values.items()
        if key not in PUBLIC
        for number, line in enumerate(value.splitlines(), 1)
        if len(line) >= _SHORTEST and "-----" not in line
    }


def leaks(produced, secrets):
    """The secrets that are in a text, by name. `produced`: texts by where they are from."""
    return sorted(
        f"{name} in {where}"
        for where, text in produced.items()
        for name, value in secrets.items()
        if any(form in text for form in _forms(value))
    )


def _forms(value):
    return {
        value,
        json.dumps(value)[1:-1],
        quote(value, safe=""),
        base64.b64encode(value.encode()).decode().rstrip("="),
    }
