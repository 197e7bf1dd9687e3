"""OVHcloud's Python client, made fit for many tenants in one process.

What `ovh` 1.2 does that an operator cannot have (each tried out against a fake server):
it reads OVH_* variables, /etc/ovh.conf, ~/.ovh.conf and ./ovh.conf for whatever was not given; it fetches tokens without
any timeout and, from several threads, several times; it keeps the difference of the clocks for ever; it shares a
requests.Session, which is not thread-safe. Signing and sending are its own.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import ovh
import requests
from ovh.client import ENDPOINTS, OAUTH2_TOKEN_URLS
from requests.utils import get_environ_proxies

from sovereigncloud.providers.certificate_trust import Trusting, public_and

Timeout = tuple[float, float]
TIMEOUT: Final[Timeout] = (5.0, 60.0)
"""Seconds to connect, and seconds of silence while reading. A reinstall is accepted within seconds, not minutes."""
_TOKEN_MARGIN: Final = 30.0
"""Seconds before its end that a token is not used any more, so that it does not end on the way."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Base URL of the API with its /1.0, and where tokens are given out."""

    api: str
    token: str


KNOWN: Final[Mapping[str, Endpoint]] = {
    name: Endpoint(ENDPOINTS[name], OAUTH2_TOKEN_URLS[name]) for name in ("ovh-eu", "ovh-ca", "ovh-us")
}


@dataclass(frozen=True, slots=True)
class ApplicationKeys:
    """The signed way in."""

    application_key: str
    application_secret: str = field(repr=False)
    consumer_key: str = field(repr=False)

    @property
    def name(self) -> str:
        """By which OVHcloud counts its calls. A secret, since this one is."""
        return self.consumer_key


@dataclass(frozen=True, slots=True)
class ServiceAccount:
    """OAuth2, flow client credentials."""

    client_id: str
    client_secret: str = field(repr=False)

    @property
    def name(self) -> str:
        """By which OVHcloud counts its calls."""
        return self.client_id


Credentials = ApplicationKeys | ServiceAccount


class EntryRefused(Exception):
    """What must come before the call - a token, the API's time - was refused; the call itself was never made."""

    def __init__(self, what: str, response: requests.Response) -> None:
        super().__init__(f"{what}: HTTP {response.status_code}")
        self.what, self.response = what, response


class EntryUnreachable(Exception):
    """What must come before the call got no answer; the call itself was never made. `cause` is of requests."""

    def __init__(self, what: str, cause: requests.RequestException) -> None:
        super().__init__(what)
        self.what, self.cause = what, cause


class Tokens:
    """The token of one service account, fetched once for all threads. Obeys `expires_in`: 1 h documented, 24 h seen."""

    def __init__(self, url: str, account: ServiceAccount, timeout: Timeout, clock: Callable[[], float]) -> None:
        self._url, self._account, self._timeout, self._clock = url, account, timeout, clock
        self._lock = threading.Lock()
        self._token, self._ends = "", 0.0

    def get(self, session: requests.Session) -> str:
        """A token that is still good. Raises EntryRefused, EntryUnreachable."""
        with self._lock:
            if self._clock() >= self._ends:
                self._fetch(session)
            return self._token

    def forget(self, token: str) -> None:
        """This one was refused: fetch another the next time."""
        with self._lock:
            if token == self._token:
                self._ends = 0.0

    def _fetch(self, session: requests.Session) -> None:
        began = self._clock()
        try:
            response = session.post(
                self._url,
                data={"grant_type": "client_credentials", "scope": "all"},
                auth=(self._account.client_id, self._account.client_secret),
                timeout=self._timeout,
            )
        except requests.RequestException as error:
            raise EntryUnreachable("token", error) from error
        try:
            granted = response.json()
            self._token, life = str(granted["access_token"]), float(granted["expires_in"])
        except (requests.JSONDecodeError, KeyError, TypeError, ValueError):
            raise EntryRefused("token", response) from None
        self._ends = began + max(life - _TOKEN_MARGIN, life / 2)


class _Bearer:
    """Takes the place of `ovh.oauth2.OAuth2`: something with a `session` that sends."""

    def __init__(self, session: requests.Session, tokens: Tokens) -> None:
        self._session, self._tokens = session, tokens

    @property
    def session(self) -> _Bearer:
        return self

    def request(
        self, method: str, url: str, *, headers: dict[str, str], data: str, timeout: Timeout
    ) -> requests.Response:
        token = self._tokens.get(self._session)
        headers = {**headers, "Authorization": f"Bearer {token}"}
        response = self._session.request(method, url, headers=headers, data=data, timeout=timeout)
        if response.status_code == requests.codes.unauthorized:
            self._tokens.forget(token)
        return response


class ServerClock:
    """How far the API's clock is ahead of ours, asked once for all threads, and again after a signature was refused."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._delta: int | None = None

    def delta(self, ask: Callable[[], int]) -> int:
        """Seconds; `ask` reads the API's clock."""
        with self._lock:
            if self._delta is None:
                self._delta = ask() - int(time.time())
            return self._delta

    def forget(self) -> None:
        with self._lock:
            self._delta = None


class Client(ovh.Client):  # type: ignore[misc]  # `ovh` ships no types
    """One client, used by one thread at a time. Only what it is given decides; nothing is read from outside."""

    def __init__(  # the base class's own __init__ is what reads environment and files, so it is not called
        self,
        endpoint: Endpoint,
        credentials: Credentials,
        clock: ServerClock,
        tokens: Tokens | None,
        timeout: Timeout,
        ca_file: str = "",
    ) -> None:
        self._endpoint = endpoint.api
        self._application_key = self._application_secret = self._consumer_key = None
        self._client_id = self._client_secret = self._oauth2 = None
        self._timeout = timeout
        self._time_delta = None
        self._clock = clock
        self._session = quiet_session(endpoint.api, ca_file)
        if isinstance(credentials, ApplicationKeys):
            self._application_key = credentials.application_key
            self._application_secret = credentials.application_secret
            self._consumer_key = credentials.consumer_key
        elif tokens is not None:
            self._client_id = credentials.client_id
            self._oauth2 = _Bearer(self._session, tokens)

    @property
    def time_delta(self) -> int:
        """Seconds that the API's clock is ahead."""
        return self._clock.delta(self._ask_time)

    def _ask_time(self) -> int:
        try:
            response: requests.Response = self.raw_call("GET", "/auth/time", need_auth=False)
        except requests.RequestException as error:
            raise EntryUnreachable("time", error) from error
        try:
            return int(response.json())
        except (requests.JSONDecodeError, TypeError, ValueError):
            raise EntryRefused("time", response) from None

    def send(
        self, method: str, path: str, body: Mapping[str, Any] | None, headers: Mapping[str, str]
    ) -> requests.Response:
        """Send one signed request; `path` is quoted already. The answer is not judged here.

        Raises requests.RequestException, EntryRefused, EntryUnreachable.
        """
        response: requests.Response = self.raw_call(method, path, body, need_auth=True, headers=dict(headers))
        return response

    def close(self) -> None:
        self._session.close()


def quiet_session(url: str, ca_file: str = "") -> requests.Session:
    """A session that takes proxies and authorities from the environment, but no passwords. `ca_file` has more authorities.

    With `trust_env`, requests would look for the host in ~/.netrc and overwrite our Authorization header.
    """
    session = requests.Session()
    session.trust_env = False
    session.max_redirects = 0
    session.proxies.update(get_environ_proxies(url, no_proxy=None))
    session.mount("https://", Trusting(public_and(ca_file)))
    return session


class ClientPool:
    """Clients of one credential: each is lent to one thread at a time; they share the clock and the token."""

    def __init__(
        self, endpoint: Endpoint, credentials: Credentials, timeout: Timeout = TIMEOUT, ca_file: str = ""
    ) -> None:
        self._endpoint, self._credentials, self._timeout, self._ca_file = endpoint, credentials, timeout, ca_file
        self.clock = ServerClock()
        self._tokens = (
            Tokens(endpoint.token, credentials, timeout, time.monotonic)
            if isinstance(credentials, ServiceAccount)
            else None
        )
        self._idle: deque[Client] = deque()

    @contextmanager
    def lend(self) -> Iterator[Client]:
        """A client for the calling thread alone."""
        try:
            client = self._idle.pop()
        except IndexError:
            client = Client(self._endpoint, self._credentials, self.clock, self._tokens, self._timeout, self._ca_file)
        try:
            yield client
        finally:
            self._idle.append(client)

    def close(self) -> None:
        """Close the connections of the clients that nobody uses."""
        while self._idle:
            self._idle.pop().close()
