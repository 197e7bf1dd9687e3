"""pyone's OneServer with what it lacks: timeouts, a kept connection, the CA of a Secret, and the raw reply.

Traps of pyone 7.3.80 that this stands for, each tried (facts: pyone `timeout=` does nothing for a call and sets the
process-wide socket default; one TCP connection per call; its bindings take 13 times as long as lxml; two fields of a
failure are dropped).
"""

from __future__ import annotations

import re
import sys
import xmlrpc.client
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import requests
from lxml import etree
from pyone.server_xrpc import OneServerXRPC, RequestsTransport
from requests.utils import get_environ_proxies

from sovereigncloud.providers.certificate_trust import Trusting, only, public_and

_BINDINGS = "pyone.bindings"
NOT_XML = "[\x00-\x08\x0b-\x1f\ufffe\uffff\ud800-\udfff]"
"""Characters that do not come through: XML has none of them, xmlrpc.client would send them all the same, and oned takes the
call for none. A carriage return would be stored, but in CDATA, out of which it is read as a line feed: what is there would
differ from what was declared for ever.
"""
_UNSENDABLE = re.compile(NOT_XML)


class Timeout(NamedTuple):
    """Seconds: to connect, and of silence while reading."""

    connect: float = 5.0
    read: float = 30.0


@dataclass(frozen=True, slots=True)
class Login:
    """Where a front-end is and who asks. `authority` is a PEM certificate that alone is believed; empty: the public ones
    and those of `ca_file`.
    """

    endpoint: str
    username: str
    password: str = field(repr=False)
    authority: str = field(default="", repr=False)
    ca_file: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What oned replied: its value, or its code and message."""

    ok: bool
    value: Any
    code: int


class HttpStatus(Exception):
    """Something at the endpoint answered, but it was not oned."""

    def __init__(self, status: int, retry_after: str) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.retry_after = retry_after


class NotXmlRpc(Exception):
    """The answer is no XML-RPC: cut off, or from something else than oned."""


class NotSendable(Exception):
    """A text that XML cannot carry: nothing was sent. The message holds the character, never the text."""


class _Transport(RequestsTransport):  # type: ignore[misc]  # pyone ships no types
    """One kept connection, timeouts that work, no redirects."""

    def __init__(self, session: requests.Session, timeout: Timeout) -> None:
        super().__init__()
        self.session, self._timeout = session, timeout

    def request(self, host: str, handler: str, request_body: bytes, verbose: bool = False) -> Any:
        del verbose
        # Closed in any case: what is not read to its end is not in the pool, and closing the session would not reach it.
        with self.session.post(
            self._build_url(host, handler),
            data=request_body,
            headers=self.headers,
            timeout=(self._timeout.connect, self._timeout.read),
            allow_redirects=False,  # a redirect would carry the password elsewhere
            stream=True,
        ) as response:
            if response.status_code != requests.codes.ok:
                raise HttpStatus(response.status_code, response.headers.get("Retry-After", ""))
            # All at once: by itself requests reads 10 KB at a time, of replies of 7 MB.
            content = b"".join(response.iter_content(None))
        return (decode(content),)


class Connection(OneServerXRPC):  # type: ignore[misc]  # pyone ships no types
    """pyone's server, asked for raw replies."""

    def __init__(self, login: Login, timeout: Timeout) -> None:
        super().__init__(login.endpoint, session=f"{login.username}:{login.password}")
        session = requests.Session()
        session.trust_env = False  # a .netrc would add an Authorization header; proxies are taken over here
        session.proxies = dict(get_environ_proxies(login.endpoint))
        trusted = only(login.authority) if login.authority else public_and(login.ca_file)
        session.mount("https://", Trusting(trusted))
        self._session = session
        transport = _Transport(session, timeout)
        transport.set_https(login.endpoint.startswith("https"))
        self._ServerProxy__transport = transport

    def call(self, method: str, *arguments: Any) -> Answer:
        """One call.

        Raises:
            NotSendable: an argument, or the credential, has a character that does not come through.
            xmlrpc.client.Fault: no such method, a wrong type.
            HttpStatus, NotXmlRpc, requests.RequestException: oned did not answer.
        """
        ask: Callable[..., list[Any]] = xmlrpc.client.ServerProxy._ServerProxy__request  # type: ignore[attr-defined]  # noqa: SLF001 - pyone's own way past its bindings
        sent = self._cast_parms(arguments)
        for place, one in enumerate(sent):
            if isinstance(one, str) and (found := _UNSENDABLE.search(one)):
                what = f"its argument {place}" if place else "the username or password"
                raise NotSendable(f"{what} holds {found.group()!r}, which XML does not carry: take it out")
        reply = ask(self, method, sent)
        if len(reply) < 3:
            raise NotXmlRpc("the reply has too few fields")
        return Answer(bool(reply[0]), reply[1], int(reply[2]))

    def close(self) -> None:
        self._session.close()


class Connections:
    """Connections of one login: each is used by one thread at a time, the latest first."""

    def __init__(self, login: Login, timeout: Timeout) -> None:
        self._login, self._timeout = login, timeout
        self._idle: deque[Connection] = deque()

    @contextmanager
    def lend(self) -> Iterator[Connection]:
        """A connection for one call."""
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = Connection(self._login, self._timeout)
        try:
            yield connection
        except BaseException:
            # Whatever is half read on it must not be taken for the answer to the next call. oned 7.0 could exit on a
            # connection that was closed in the middle (OpenNebula/one#7476), so it is closed only here.
            connection.close()
            raise
        self._idle.append(connection)

    def close(self) -> None:
        """Close idle connections."""
        while self._idle:
            self._idle.pop().close()


def forget_bindings() -> None:
    """Let go of pyone's own bindings, 2 MB of source that it imports and that nothing here uses: replies are read raw.

    For a process that asks through `Connection` only: pyone's own server is of no use any more afterwards.
    """
    for name in [name for name in sys.modules if name == _BINDINGS or name.startswith(f"{_BINDINGS}.")]:
        vars(sys.modules.pop(name)).clear()


# ------------------------------------------------------------------------------------------------------- the envelope

_NUMBERS = frozenset({"i4", "int", "i8"})
_LARGE = 100_000
"""Bytes from which on a reply is worth a look whether it is one long text."""
_BEFORE_TEXT = re.compile(
    rb"\s*(<\?xml version=.1\.0.( encoding=.(UTF|utf)-8.)?\s*\?>)?\s*<methodResponse>\s*<params>\s*<param>\s*<value>\s*<array>"
    rb"\s*<data>\s*<value>\s*<boolean>1</boolean>\s*</value>\s*<value>\s*<string>"
)
_AFTER_TEXT = re.compile(
    rb"</string>\s*</value>\s*<value>\s*<(i4|int)>0</(i4|int)>\s*</value>\s*</data>\s*</array>\s*</value>\s*</param>\s*</params>"
    rb"\s*</methodResponse>\s*"
)


class Escaped:
    """A long text as it came, escaped: who needs a part of it only has only that part to unescape. `str()` is the text."""

    __slots__ = ("content",)

    def __init__(self, content: bytes) -> None:
        self.content = content

    def __str__(self) -> str:
        return unescaped(self.content).decode()


def unescaped(content: bytes) -> bytes:
    """What XML-RPC escaped. Line ends and characters by number are none of it: `decode` gives such a text as it is."""
    text = content.replace(b"&lt;", b"<").replace(b"&gt;", b">")
    if b"&" not in text:  # of most machines nothing else is
        return text
    return text.replace(b"&quot;", b'"').replace(b"&apos;", b"'").replace(b"&amp;", b"&")


def decode(content: bytes) -> list[Any]:
    """The fields of a reply. lxml instead of xmlrpc.client: 5 MB of escaped XML in 40 ms instead of 150.

    Raises:
        NotXmlRpc: it is none.
        xmlrpc.client.Fault: XML-RPC refused the call.
    """
    if len(content) >= _LARGE and (text := _long_text(content)) is not None:
        return [True, text, 0]
    parser = etree.XMLParser(huge_tree=True, resolve_entities=False, no_network=True, remove_blank_text=True)
    try:
        root = etree.fromstring(content, parser)
    except etree.XMLSyntaxError as error:
        raise NotXmlRpc("the reply is no XML") from error
    members = root.findall("fault/value/struct/member")
    if members:
        fields = {member.findtext("name"): _scalar(member.find("value")) for member in members}
        raise xmlrpc.client.Fault(int(fields.get("faultCode") or 0), str(fields.get("faultString") or ""))
    values = root.findall("params/param/value/array/data/value")
    if root.tag != "methodResponse" or not values:
        raise NotXmlRpc("the reply is no answer of OpenNebula")
    return [_scalar(value) for value in values]


def _long_text(content: bytes) -> Escaped | None:
    """The text of a reply that is nothing but one; None where lxml has to say what it is."""
    begin = _BEFORE_TEXT.match(content)
    end = content.find(b"<", begin.end()) if begin else -1
    if (
        begin is None
        or not _AFTER_TEXT.fullmatch(content, end)
        or _has_numbered(content)
        or content.find(b"\r", begin.end(), end) >= 0
        or not (content.isascii() or _is_utf8(content))
    ):
        return None
    return Escaped(content[begin.end() : end])


def _has_numbered(content: bytes) -> bool:
    """Whether a character is written by its number. Of what is full of "&" the few "#" are found ten times as fast."""
    at = content.find(b"#")
    while at >= 0:
        if content.startswith(b"&", at - 1):
            return True
        at = content.find(b"#", at + 1)
    return False


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def _scalar(value: Any) -> str | int | bool:
    if value is None:
        return ""
    if len(value) == 0:
        return value.text or ""
    typed = value[0]
    text = typed.text or ""
    try:
        if typed.tag == "boolean":
            return text.strip() == "1"
        return int(text) if typed.tag in _NUMBERS else text
    except ValueError as error:
        raise NotXmlRpc(f"{typed.tag} is no number") from error
