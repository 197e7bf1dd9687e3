"""From an answer of the OVHcloud API to an error of the operator: a table kept as data, first match wins.

The API has two styles of error body: {"class", "message"} in its newer parts, {"message", "errorCode", "httpCode"} in
authentication. Class names are those of OVHcloud's schema; what no source shows (the body of a 429) is not relied on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final

import requests
from urllib3.exceptions import NewConnectionError

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.ports.errors import Auth, Conflict, NotFound, OutsideError, Rejected, Retry


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that is no success. `retry_after` in seconds, where the API said so."""

    status: int
    klass: str = ""
    code: str = ""
    message: str = ""
    missing: str = ""
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """An error of the API and what it means here. `klass` is a prefix, `text` is searched in the message; empty: any.

    Attributes:
        error: Retry, Rejected, NotFound, Auth or Conflict.
        reason: for Rejected, what a person sees on the condition.
        done: for Retry, whether the write may have been done.
    """

    status: range
    error: type[OutsideError]
    klass: str = ""
    code: str = ""
    text: str = ""
    reason: Reason = Reason.REJECTED
    done: bool = True

    def matches(self, answer: Answer) -> bool:
        return (
            answer.status in self.status
            and answer.klass.startswith(self.klass)
            and self.code in ("", answer.code)
            and self.text.lower() in answer.message.lower()
        )


def _only(status: int) -> range:
    return range(status, status + 1)


_ANY_4XX: Final = range(400, 500)
_UNAVAILABLE: Final = range(500, 600)

ERRORS: Final[tuple[Row, ...]] = (
    # Seen with the clock wrong, and refused before anything was done; the transport has asked for the time again.
    Row(_only(400), Retry, code="QUERY_TIME_OUT", done=False),
    Row(_only(400), Auth, code="INVALID_SIGNATURE"),
    Row(_only(401), Auth),
    # Reinstall: adopt the running task instead of failing (its id is in the message).
    Row(_only(400), Conflict, klass="Client::BadRequest::TaskAlreadyExists"),
    # In the words that were seen (terraform-provider-ovh PR#54): "example.com. does not resolve to 192.0.2.42".
    Row(_only(400), Rejected, text="does not resolve to", reason=Reason.FORWARD_RECORD_MISSING),
    # vRack membership; the status is not documented (synthesio/infra-ovh-ansible-module #43, #55).
    Row(_ANY_4XX, Conflict, text="is already on a private network"),
    Row(_ANY_4XX, Conflict, text="is already on vrack"),
    Row(_only(403), Rejected, klass="Client::Forbidden::OperatingSystemLicenseMissing", reason=Reason.LICENSE_MISSING),
    Row(_only(403), Auth),
    # What the person asked for does not exist: asking again is no use, the service itself is there.
    Row(_only(404), Rejected, klass="Client::NotFound::OperatingSystem", reason=Reason.UNKNOWN_OPERATING_SYSTEM),
    Row(_only(404), Rejected, klass="Client::NotFound::DiskGroup", reason=Reason.UNKNOWN_DISK_GROUP),
    Row(_only(404), Rejected, klass="Client::NotFound::SchemeName", reason=Reason.UNKNOWN_PARTITION_SCHEME),
    Row(_only(404), NotFound),
    Row(_only(400), Rejected, klass="Client::BadRequest::Partition", reason=Reason.INCOMPATIBLE_PARTITIONING),
    Row(_only(400), Rejected, klass="Client::BadRequest::Customization", reason=Reason.INCOMPATIBLE_SYSTEM),
    Row(_only(408), Retry),
    Row(_only(409), Rejected, klass="Client::Conflict::NetworkingNoPublicInterface", reason=Reason.NO_PUBLIC_INTERFACE),
    Row(_only(409), Rejected, klass="Client::Conflict::OperatingSystemIncompatible", reason=Reason.INCOMPATIBLE_SYSTEM),
    Row(_only(409), Rejected, klass="Client::Conflict::Partitioning", reason=Reason.INCOMPATIBLE_PARTITIONING),
    Row(_only(409), Rejected, klass="Client::Conflict::HardwareRaid", reason=Reason.INCOMPATIBLE_PARTITIONING),
    Row(_only(409), Conflict),
    Row(_only(429), Retry, done=False),
    Row(_only(460), Rejected, reason=Reason.SERVICE_EXPIRED),
    Row(_ANY_4XX, Rejected),
    Row(_only(501), Rejected, klass="Server::NotImplemented", reason=Reason.NOT_IMPLEMENTED),
    Row(_UNAVAILABLE, Retry),
)


def error_of(answer: Answer, *, where: str, write: bool) -> OutsideError:
    """What an answer means. `write`: it was no GET."""
    text = answer.message or f"HTTP {answer.status}"
    if answer.missing:
        text = f"{text} (missing: {answer.missing})"
    row = next((one for one in ERRORS if one.matches(answer)), None)
    if row is None or row.error is Retry:
        # An answer with no row is a redirect or worse: a proxy speaks, not the API.
        done = write and (row is None or row.done)
        return Retry(text, where=where, after=answer.retry_after, maybe_done=done)
    if row.error is Rejected:
        return Rejected(text, where=where, reason=row.reason)
    return row.error(text, where=where)


def answer_of(response: requests.Response) -> Answer:
    """Read an error body of either style, or none: a proxy answers in HTML, some errors are bare lists."""
    try:
        body: Any = response.json()
    except requests.JSONDecodeError:
        body = None
    fields: Mapping[str, Any] = body if isinstance(body, dict) else {}
    details = fields.get("details")
    details = details if isinstance(details, dict) else {}
    missing = (details.get("unauthorizedActionsByAuthentication"), details.get("unauthorizedActionsByIAM"))
    return Answer(
        status=response.status_code,
        klass=str(fields.get("class") or ""),
        code=str(fields.get("errorCode") or ""),
        # The token endpoint answers in the words of OAuth2 (RFC 6749, section 5.2).
        message=str(fields.get("message") or fields.get("error_description") or fields.get("error") or ""),
        missing=", ".join(str(one) for one in missing if one),
        retry_after=_seconds(response.headers.get("Retry-After"), response.headers.get("Date")),
    )


_LONGEST_WAIT: Final = 99_999.0


def _seconds(header: str | None, now: str | None) -> float | None:
    """Of a Retry-After (RFC 9110, 10.2.3): a number, or a date by the clock of who answers."""
    if header and re.fullmatch(r"\d{1,5}", header.strip()):
        return float(header)
    try:
        wait = (parsedate_to_datetime(header or "") - parsedate_to_datetime(now or "")).total_seconds()
    except (TypeError, ValueError):
        return None
    return min(max(wait, 0.0), _LONGEST_WAIT)


@dataclass(frozen=True, slots=True)
class Silence:
    """No answer: what it looks like to requests, how it is told, whether the request surely never arrived.

    Texts are fixed: those of requests hold addresses of objects, and a status message must not change at every retry.
    """

    looks: Callable[[requests.RequestException], bool]
    text: str
    arrived: bool


def _refused(error: requests.RequestException) -> bool:
    return any(isinstance(one, NewConnectionError) for one in _chain(error))


def _chain(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    pending: list[Any] = [error]
    while pending:
        one = pending.pop()
        if isinstance(one, BaseException) and one not in found:
            found.append(one)
            pending += [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]
    return found


SILENCES: Final[tuple[Silence, ...]] = (
    Silence(lambda error: isinstance(error, requests.ConnectTimeout), "no connection in time", arrived=False),
    Silence(lambda error: isinstance(error, requests.exceptions.SSLError), "the TLS certificate is not trusted", False),
    Silence(lambda error: isinstance(error, requests.exceptions.ProxyError), "the proxy cannot be used", False),
    Silence(_refused, "no connection", arrived=False),
    Silence(lambda error: isinstance(error, requests.ReadTimeout), "no answer in time", arrived=True),
    Silence(lambda error: isinstance(error, requests.TooManyRedirects), "answered with a redirect", arrived=True),
    Silence(lambda _: True, "the connection was closed without an answer", arrived=True),
)


def entry_error(answer: Answer, *, what: str, where: str) -> OutsideError:
    """What it means that the token or the time was refused: the call itself was never made."""
    if answer.status in _ANY_4XX and answer.status not in (408, 429):
        return Auth(f"{what}: {answer.message or f'HTTP {answer.status}'}", where=where)
    text = f"{what}: {answer.message or f'HTTP {answer.status}'}"
    return Retry(text, where=where, after=answer.retry_after, maybe_done=False)


def silence(error: requests.RequestException, *, where: str, write: bool) -> Retry:
    """What a failure below HTTP means."""
    found = next(one for one in SILENCES if one.looks(error))
    return Retry(found.text, where=where, maybe_done=write and found.arrived)
