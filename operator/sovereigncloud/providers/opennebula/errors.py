"""What the failures of oned mean, as a table: code, words in the message, meaning.

Rows as observed on oned 7.4.0 (facts: oned-observed); the first that matches counts. pyone's exception classes would
not do: 0x4000 has none of its own, and a taken name is 0x4000 for some kinds and 0x2000 for others.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import requests
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.ports.errors import Auth, Conflict, NotFound, OutsideError, Quota, Rejected, Retry

AUTHENTICATION, AUTHORIZATION, NO_EXISTS = 0x100, 0x200, 0x400
ACTION, RPC_API, INTERNAL, ALLOCATE = 0x800, 0x1000, 0x2000, 0x4000
LOCKED, REPLICATION = 0x8000, 0x10000
# Faults of XML-RPC itself [xmlrpc-c, fault.h]: the call did not reach oned, but for the first.
FAILED_INSIDE, WRONG_TYPE, NOT_PARSED, NO_SUCH_METHOD, TOO_LARGE, NOT_UTF8 = -500, -501, -503, -506, -509, -510
_ANY = 0
_WORDS = {
    0: "success",
    AUTHENTICATION: "authentication",
    AUTHORIZATION: "authorization",
    NO_EXISTS: "no_exists",
    ACTION: "action",
    RPC_API: "xml_rpc_api",
    INTERNAL: "internal",
    ALLOCATE: "allocate",
    LOCKED: "locked",
    REPLICATION: "replication",
}
_A_MINUTE = 60.0

Meaning = Callable[[str, str], OutsideError]


def _auth(message: str, where: str) -> OutsideError:
    return Auth(message, where=where)


def _not_found(message: str, where: str) -> OutsideError:
    return NotFound(message, where=where)


def _conflict(message: str, where: str) -> OutsideError:
    return Conflict(message, where=where)


def _quota(message: str, where: str) -> OutsideError:
    return Quota(message, where=where)


def _not_now(message: str, where: str) -> OutsideError:
    return Retry(message, where=where, maybe_done=False)


def _perhaps(message: str, where: str) -> OutsideError:
    return Retry(message, where=where, maybe_done=True)


def _in_a_minute(message: str, where: str) -> OutsideError:
    return Retry(message, where=where, after=_A_MINUTE, maybe_done=False)


def _rejected(reason: Reason) -> Meaning:
    def meaning(message: str, where: str) -> OutsideError:
        return Rejected(message, where=where, reason=reason)

    return meaning


@dataclass(frozen=True, slots=True)
class Row:
    """One way in which oned says no. Code 0 is any."""

    why: str
    code: int
    words: str
    meaning: Meaning


TABLE = (
    Row("bad password, unknown user, expired token", AUTHENTICATION, "", _auth),
    Row("a quota is used up", AUTHORIZATION, r"limit of .+ reached", _quota),
    Row("locked by somebody, for oneadmin too", AUTHORIZATION, r"is locked", _conflict),
    Row("only an administrator may set it", AUTHORIZATION, r"restricted attribute", _rejected(Reason.REJECTED)),
    Row("not allowed", AUTHORIZATION, "", _auth),
    Row("no such id", NO_EXISTS, "", _not_found),
    Row("the host is full", ACTION, r"Not enough (CPU|memory)", _quota),
    Row("the datastore is full, or not monitored yet", ACTION, r"Not enough (free )?space", _quota),
    Row(
        "another operation is going on, or the state does not allow it",
        ACTION,
        r"wrong state|for state|in state|not running in any host|host offline",
        _conflict,
    ),
    Row(
        "somebody else was quicker: it is there, or gone, already",
        ACTION,
        r"does not exist|doesn't contain SG|already (in NIC|running on host)",
        _conflict,
    ),
    Row("somebody uses it", ACTION, r"\bin use\b|VMs using it|running VMs|is not empty|has VMs", _conflict),
    Row("a rename collides", ACTION, r"collides with", _conflict),
    Row("the action is refused", ACTION, "", _rejected(Reason.REJECTED)),
    Row("wrong use of a call", RPC_API, "", _rejected(Reason.REJECTED)),
    Row("the name is taken: vnet, template, user, zone", INTERNAL, r"NAME is already taken by", _conflict),
    Row("the name is taken, by a thing of the same owner", INTERNAL, r"already owns .+ with NAME", _conflict),
    Row("the name is taken: host, cluster, image", ALLOCATE, r"NAME is already taken by", _conflict),
    Row("no raft leader, election, replication", INTERNAL, r"no leader found|election mode|replicating log", _not_now),
    Row("the federation's master does not answer", INTERNAL, r"federation master", _in_a_minute),
    Row("somebody disabled the zone", INTERNAL, r"zone disabled", _in_a_minute),
    Row("no address is free, or the network is not ready", INTERNAL, r"Cannot get IP/MAC lease", _quota),
    Row("an image is being copied, or has another user", INTERNAL, r"Cannot acquire image|[Ii]mage locked", _conflict),
    Row("leases are in use", INTERNAL, r"\bin use\b|used leases", _conflict),
    Row("the state does not allow it now", INTERNAL, r"wrong state|in state|has to be RUNNING", _conflict),
    Row("somebody else took the card out", INTERNAL, r"doesn't have NIC", _conflict),
    Row(
        "an image or network that is not there",
        INTERNAL,
        r"does not (exist|own)|was not found",
        _rejected(Reason.UNKNOWN_REFERENCE),
    ),
    Row(
        "a template that oned cannot read or store",
        INTERNAL,
        r"Parse error|transforming",
        _rejected(Reason.INVALID_TEMPLATE),
    ),
    Row("oned refuses the input", INTERNAL, "", _rejected(Reason.REJECTED)),
    Row("oned refuses to make it", ALLOCATE, "", _rejected(Reason.REJECTED)),
    Row("the call exists in another version only", NO_SUCH_METHOD, "", _rejected(Reason.NOT_SUPPORTED)),
    Row("the call has other parameters in this version", WRONG_TYPE, "", _rejected(Reason.NOT_SUPPORTED)),
    Row("the call is no XML to oned", NOT_PARSED, "", _rejected(Reason.INVALID_TEMPLATE)),
    Row("the call is no UTF-8 to oned", NOT_UTF8, "", _rejected(Reason.INVALID_TEMPLATE)),
    Row("the call is larger than oned takes", TOO_LARGE, "", _rejected(Reason.INVALID_TEMPLATE)),
    Row("oned failed while it worked on it", FAILED_INSIDE, "", _perhaps),
    Row("a lock: in the source, never seen", LOCKED, "", _conflict),
    # What a leader has in its log may be replicated later after all.
    Row("not replicated: in the source, never seen", REPLICATION, "", _perhaps),
    Row("anything else may pass", _ANY, "", _not_now),
)


def code_word(code: int) -> str:
    """What a code of oned is called (include/RequestManager.h of its source); "fault" for those of XML-RPC itself."""
    return _WORDS.get(code, "fault")


# "[one.vm.info] " stands before each message; its text is not stable between versions (7.2: one.vm.nicattach).
_PREFIX = re.compile(r"^\[[^\]]*\] ")


def error_of(code: int, message: str, *, where: str) -> OutsideError:
    """What a failure means."""
    said = _PREFIX.sub("", message)
    row = next(row for row in TABLE if row.code in (_ANY, code) and re.search(row.words, said))
    return row.meaning(said, where)


_TOO_MANY, _SERVER_ERROR = 429, 500


def http_error(status: int, retry_after: str, *, where: str, write: bool) -> OutsideError:
    """What stands in front of oned, or in its place, answered."""
    after = float(retry_after) if retry_after.isdecimal() else None
    message = f"HTTP {status}: this is not OpenNebula's answer"
    if status == _TOO_MANY:
        return Retry(message, where=where, after=after, maybe_done=False)
    if status >= _SERVER_ERROR:
        return Retry(message, where=where, after=after, maybe_done=write)
    if status in {401, 403}:
        return Auth(message, where=where)
    return Rejected(message, where=where, reason=Reason.NOT_OPEN_NEBULA)


def silence(error: requests.RequestException, *, where: str, write: bool) -> OutsideError:
    """No answer. Only a connection that never came about proves that nothing was done."""
    if isinstance(error, requests.exceptions.SSLError):
        return Rejected(f"TLS: {_tls_reason(error)}", where=where, reason=Reason.CERTIFICATE_INVALID)
    if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.MissingSchema):
        return Rejected("the endpoint is no URL", where=where, reason=Reason.NOT_OPEN_NEBULA)
    if _never_connected(error):
        return Retry("no connection", where=where, maybe_done=False)
    if isinstance(error, requests.exceptions.Timeout):
        return Retry("no answer in time", where=where, maybe_done=write)
    return Retry("the connection was closed", where=where, maybe_done=write)


def _never_connected(error: requests.RequestException) -> bool:
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return True
    cause = getattr(error.args[0], "reason", None) if error.args else None
    return isinstance(cause, NewConnectionError | ConnectTimeoutError)


def _tls_reason(error: Exception) -> str:
    found = re.search(r"certificate verify failed: [^(\]]+", str(error)) or re.search(r"[A-Z]+_[A-Z_]+", str(error))
    return found.group().strip() if found else "the handshake failed"
