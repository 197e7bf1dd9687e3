"""The wire format of the OVHcloud API: dates, identifiers, and its two styles of error body."""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

Json = dict[str, Any]


def timestamp(at: float) -> str:
    """A ``datetime`` of the API."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def day(at: float) -> str:
    """A ``date`` of the API."""
    return datetime.fromtimestamp(at, UTC).date().isoformat()


def query_id() -> str:
    """What support asks for; the form is that of real replies (EU.ext-3.63ac85b6.10528.<uuid>)."""
    return f"EU.ext-1.{uuid.uuid4().hex[:8]}.{uuid.uuid4().int % 100_000}.{uuid.uuid4()}"


def stable_uuid(name: str) -> str:
    """The same identifier for the same name in every run, so that a manifest can name it."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"https://sandbox.invalid/ovh/{name}"))


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of the API; a void operation answers ``null``, as the real one does."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    def text(self) -> str:
        return json.dumps(self.body, separators=(",", ":"))


class Refusal(Exception):
    """An error answer.

    Newer parts of the API answer ``{"class", "message"}``, authentication ``{"message", "errorCode", "httpCode"}``.
    """

    def __init__(self, status: int, body: Json) -> None:
        super().__init__(f"{status} {body.get('class') or body.get('errorCode')}: {body.get('message')}")
        self.status = status
        self.body = body


def refuse(status: int, klass: str, message: str, **details: str) -> Refusal:
    """An error in the newer style."""
    body: Json = {"class": klass, "message": message}
    if details:
        body["details"] = details
    return Refusal(status, body)


_REASONS = {400: "Bad Request", 403: "Forbidden"}


def refuse_credential(status: int, code: str, message: str) -> Refusal:
    """An error in the older style of authentication."""
    return Refusal(status, {"message": message, "errorCode": code, "httpCode": f"{status} {_REASONS[status]}"})


def no_such_service() -> Refusal:
    """What the API answers for a service that does not exist, and for one that belongs to another account."""
    return refuse(404, "Client::NotFound", "This service does not exist")


def no_such_object(name: str, value: object) -> Refusal:
    """What the API answers for an object inside a service."""
    return refuse(404, "Client::NotFound", f"The requested object ({name} = {value}) does not exist")


def no_such_url() -> Refusal:
    """What the API answers for a route that does not exist, an unencoded ``/`` of an IP block included."""
    return refuse(404, "Client::NotFound", "Got an invalid (or empty) URL")


def bad_request(message: str) -> Refusal:
    """A body or a query that cannot be understood."""
    return refuse(400, "Client::BadRequest", message)


def conflict(message: str) -> Refusal:
    """An order that contradicts the state of things."""
    return refuse(409, "Client::Conflict", message)
