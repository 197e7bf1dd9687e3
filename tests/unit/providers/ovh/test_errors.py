"""The error table of the OVHcloud adapter, row by row."""

import pytest
import requests
from urllib3.exceptions import MaxRetryError, NewConnectionError, ProtocolError

from sovereigncloud.ports.errors import Auth, Conflict, NotFound, Rejected, Retry
from sovereigncloud.providers.ovh.errors import ERRORS, Answer, answer_of, entry_error, error_of, silence

WHERE = "OVHcloud POST /v1/vrack/pn-1/ip"

# why, answer, error, and its reason (Rejected) or whether a write may have been done (Retry)
ROWS = [
    ("a timestamp that is too old was refused at the door", Answer(400, code="QUERY_TIME_OUT"), Retry, False),
    ("a wrong secret signs wrongly", Answer(400, code="INVALID_SIGNATURE"), Auth, None),
    ("a token that ended", Answer(401), Auth, None),
    (
        "a task that runs already is adopted",
        Answer(400, "Client::BadRequest::TaskAlreadyExists", message="Task 7 of type reinstallServer"),
        Conflict,
        None,
    ),
    (
        "an interface in another vRack",
        Answer(400, message="Dedicated server interface is already on a private network"),
        Conflict,
        None,
    ),
    ("the same in another status", Answer(409, message="Server is already on vRack pn-2"), Conflict, None),
    ("other bad input", Answer(400, "Client::BadRequest::HostnameInvalidFormat"), Rejected, "Rejected"),
    ("an application that does not exist", Answer(403, code="INVALID_KEY"), Auth, None),
    ("a consumer key that ended", Answer(403, code="INVALID_CREDENTIAL"), Auth, None),
    ("a right that is missing, newer style", Answer(403, "Client::Forbidden"), Auth, None),
    (
        "a licence is no matter of rights",
        Answer(403, "Client::Forbidden::OperatingSystemLicenseMissing"),
        Rejected,
        "LicenseMissing",
    ),
    ("a service that is not there", Answer(404, "Client::NotFound"), NotFound, None),
    (
        "a system that is not there is the spec's mistake",
        Answer(404, "Client::NotFound::OperatingSystem"),
        Rejected,
        "UnknownOperatingSystem",
    ),
    ("HTML 408 of a loaded proxy", Answer(408), Retry, True),
    (
        "a fully aggregated server",
        Answer(409, "Client::Conflict::NetworkingNoPublicInterface"),
        Rejected,
        "NoPublicInterface",
    ),
    ("any other conflict passes", Answer(409, "Client::Conflict::DisturbAlreadyExists"), Conflict, None),
    ("too many requests: it was not done", Answer(429, retry_after=7.0), Retry, False),
    ("an expired service", Answer(460), Rejected, "ServiceExpired"),
    ("a teapot", Answer(418), Rejected, "Rejected"),
    ("a random 500 may have done it", Answer(500, "Server::InternalServerError::TaskCreate"), Retry, True),
    (
        "what is not implemented stays so",
        Answer(501, "Server::NotImplemented::DiskGroupMultipleConfigs"),
        Rejected,
        "NotImplemented",
    ),
    ("HTML 502", Answer(502), Retry, True),
    ("a redirect is a proxy's", Answer(302), Retry, True),
]


@pytest.mark.parametrize(("why", "answer", "kind", "more"), ROWS, ids=[row[0] for row in ROWS])
def test_what_an_answer_means(why, answer, kind, more):
    error = error_of(answer, where=WHERE, write=True)
    assert type(error) is kind, why
    assert str(error).startswith(WHERE)
    match error:
        case Rejected():
            assert error.reason == more, why
        case Retry():
            assert error.maybe_done is more, why
            assert error.after == answer.retry_after


def test_a_read_is_never_half_done():
    for status in (408, 500, 502):
        assert error_of(Answer(status), where=WHERE, write=False).maybe_done is False


def test_every_row_can_be_reached():
    reached = set()
    for _, answer, _, _ in ROWS:
        reached.add(next((row for row in ERRORS if row.matches(answer)), None))
    unreached = [row for row in ERRORS if row not in reached]
    for row in unreached:
        probe = Answer(row.status[0], row.klass, row.code, row.text)
        assert next(one for one in ERRORS if one.matches(probe)) is row, f"hidden behind an earlier row: {row}"


def response(status, body, headers=None):
    made = requests.Response()
    made.status_code, made._content = status, body.encode()
    made.headers.update(headers or {})
    return made


BODIES = [
    ("the newer style", '{"class":"Client::NotFound","message":"gone"}', Answer(404, "Client::NotFound", "", "gone")),
    (
        "the older style",
        '{"message":"no","errorCode":"INVALID_KEY","httpCode":"403 Forbidden"}',
        Answer(404, "", "INVALID_KEY", "no"),
    ),
    (
        "missing rights are named",
        '{"message":"no","details":{"unauthorizedActionsByAuthentication":"","unauthorizedActionsByIAM":"vrack:get"}}',
        Answer(404, "", "", "no", "vrack:get"),
    ),
    (
        "the token endpoint",
        '{"error":"invalid_client","error_description":"who?"}',
        Answer(404, "", "", "who?"),
    ),
    ("HTML of a proxy", "<html>502</html>", Answer(404)),
    ("a bare list", '["no"]', Answer(404)),
    ("a bare string", '"no"', Answer(404)),
    ("nothing", "", Answer(404)),
    ("details that are no object", '{"message":"no","details":"x"}', Answer(404, "", "", "no")),
]


@pytest.mark.parametrize(("why", "body", "answer"), BODIES, ids=[row[0] for row in BODIES])
def test_every_style_of_error_body_is_read(why, body, answer):
    assert answer_of(response(404, body)) == answer, why


@pytest.mark.parametrize(
    ("header", "seconds"), [("7", 7.0), (None, None), ("soon", None), ("Wed, 21 Oct 2026 07:28:00 GMT", None)]
)
def test_retry_after(header, seconds):
    headers = {} if header is None else {"Retry-After": header}
    assert answer_of(response(429, "", headers)).retry_after == seconds


def refused():
    pool_error = MaxRetryError(None, "/", NewConnectionError(None, "Connection refused"))
    return requests.ConnectionError(pool_error)


SILENCES = [
    ("nothing listens", refused(), "no connection", False),
    ("nobody answers to SYN", requests.ConnectTimeout(), "no connection in time", False),
    ("a certificate of somebody else", requests.exceptions.SSLError("x"), "the TLS certificate is not trusted", False),
    ("a proxy that refuses", requests.exceptions.ProxyError("x"), "the proxy cannot be used", False),
    ("silence", requests.ReadTimeout(), "no answer in time", True),
    (
        "closed in the middle",
        requests.ConnectionError(ProtocolError("Connection aborted", ConnectionResetError())),
        "the connection was closed without an answer",
        True,
    ),
    ("a loop of redirects", requests.TooManyRedirects(), "answered with a redirect", True),
]


@pytest.mark.parametrize(("why", "error", "text", "done"), SILENCES, ids=[row[0] for row in SILENCES])
def test_what_no_answer_means(why, error, text, done):
    found = silence(error, where=WHERE, write=True)
    assert (found.message, found.maybe_done) == (text, done), why
    assert silence(error, where=WHERE, write=False).maybe_done is False


ENTRIES = [
    ("a wrong client secret", Answer(401, message="who?"), Auth, "token: who?"),
    ("a token endpoint that is down", Answer(503), Retry, "token: HTTP 503"),
    ("one that is busy", Answer(429, retry_after=3), Retry, "token: HTTP 429"),
    ("one that answers nonsense", Answer(200), Retry, "token: HTTP 200"),
]


@pytest.mark.parametrize(("why", "answer", "kind", "text"), ENTRIES, ids=[row[0] for row in ENTRIES])
def test_without_a_token_the_call_was_never_made(why, answer, kind, text):
    error = entry_error(answer, what="token", where=WHERE)
    assert type(error) is kind, why
    assert error.message == text
    assert getattr(error, "maybe_done", False) is False
