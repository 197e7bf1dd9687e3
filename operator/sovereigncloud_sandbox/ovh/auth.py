"""Authentication: signatures of application keys, and bearer tokens of service accounts."""

import base64
import binascii
import fnmatch
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs

from sovereigncloud_sandbox.ovh.calls import Caller
from sovereigncloud_sandbox.ovh.state import ApplicationKey, ServiceAccount, State, Token
from sovereigncloud_sandbox.ovh.wire import Json, Reply, refuse, refuse_credential

MAX_SKEW: Final = 60.0  # seconds between a signature's timestamp and the server's clock


@dataclass(frozen=True, slots=True)
class Request:
    """What a signature covers. `url` is exactly what the client sent, `path` the part after the version."""

    method: str
    url: str
    path: str
    headers: Mapping[str, str]
    body: bytes


def sign(secret: str, consumer_key: str, request: Request, stamp: str) -> str:
    """The signature of a request; the body is what was sent, empty for none."""
    parts = (secret, consumer_key, request.method.upper(), request.url, request.body.decode(), stamp)
    return "$1$" + hashlib.sha1("+".join(parts).encode()).hexdigest()


def authenticate(state: State, request: Request, now: float) -> Caller:
    """Recognise the caller; `now` is the server's clock.

    Raises:
        Refusal: 400, 401 or 403.
    """
    authorization = request.headers.get("Authorization", "")
    if authorization.startswith("Bearer "):
        return _bearer(state, authorization.removeprefix("Bearer "), now)
    return _signed(state, request, now)


def _bearer(state: State, text: str, now: float) -> Caller:
    token = state.tokens.get(text)
    client = None if token is None else _client(state, token.client_id)
    if token is None or client is None or token.expires <= now:
        # The class is invented: no source shows the body of this 401.
        raise refuse(401, "Client::Unauthorized", "Invalid or expired token")
    return Caller(
        account=client.account,
        method="oauth2_client_credentials",
        identity=f"urn:v1:eu:identity:credential:{client.account}/oauth2-{client.client_id}",
        grants=tuple(client.grants),
    )


def _client(state: State, client_id: str) -> ServiceAccount | None:
    return next((one for one in state.service_accounts if one.client_id == client_id), None)


def _signed(state: State, request: Request, now: float) -> Caller:
    application = request.headers.get("X-Ovh-Application", "")
    if not any(key.application_key == application for key in state.application_keys):
        raise refuse_credential(403, "INVALID_KEY", "This application key is invalid")
    consumer = request.headers.get("X-Ovh-Consumer", "")
    key = next(
        (one for one in state.application_keys if (one.application_key, one.consumer_key) == (application, consumer)),
        None,
    )
    if key is None:
        raise refuse_credential(403, "NOT_CREDENTIAL", "This credential does not exist")
    if key.status != "validated" or (key.expires is not None and key.expires <= now):
        raise refuse_credential(403, "INVALID_CREDENTIAL", "This credential is not valid")
    _check_signature(key, request, now)
    if not _granted(key, request.method, request.path):
        raise refuse_credential(403, "NOT_GRANTED_CALL", "This call has not been granted")
    return Caller(
        account=key.account,
        method="account",
        identity=f"urn:v1:eu:identity:account:{key.account}",
        credential_id=key.credential_id,
        rules=tuple(key.rules),
    )


def _check_signature(key: ApplicationKey, request: Request, now: float) -> None:
    stamp = request.headers.get("X-Ovh-Timestamp", "")
    if not stamp.isdecimal() or abs(int(stamp) - now) > MAX_SKEW:
        raise refuse_credential(400, "QUERY_TIME_OUT", "Query out of time")
    expected = sign(key.application_secret, key.consumer_key, request, stamp)
    if not hmac.compare_digest(expected, request.headers.get("X-Ovh-Signature", "")):
        raise refuse_credential(400, "INVALID_SIGNATURE", "Invalid signature")


def _granted(key: ApplicationKey, method: str, path: str) -> bool:
    return any(rule.method == method and fnmatch.fnmatchcase(path, rule.path) for rule in key.rules)


def grant_token(state: State, headers: Mapping[str, str], body: bytes, now: float) -> Reply:
    """``POST /auth/oauth2/token``: the client credentials flow of RFC 6749, secret by Basic or in the form."""
    form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
    client_id, secret = _basic(headers.get("Authorization", "")) or (
        form.get("client_id", ""),
        form.get("client_secret", ""),
    )
    client = _client(state, client_id)
    if client is None or not hmac.compare_digest(client.client_secret, secret):
        return Reply({"error": "invalid_client", "error_description": "Client authentication failed"}, 401)
    if form.get("grant_type") != "client_credentials":
        return Reply({"error": "unsupported_grant_type", "error_description": "Only client_credentials"}, 400)
    token = secrets.token_urlsafe(24)
    life = state.timing.token
    state.tokens = {text: one for text, one in state.tokens.items() if one.expires > now}
    state.tokens[token] = Token(client_id, now + life)
    answer: Json = {"access_token": token, "token_type": "Bearer", "expires_in": round(life), "scope": "all"}
    return Reply(answer)


def _basic(authorization: str) -> tuple[str, str] | None:
    if not authorization.startswith("Basic "):
        return None
    try:
        name, _, secret = base64.b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return name, secret
