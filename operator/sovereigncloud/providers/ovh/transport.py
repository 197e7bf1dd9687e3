"""One call to OVHcloud: whether it may be made now, in which thread, with which deadline, and what its failure means."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, unquote, urlencode

import anyio
import requests

from sovereigncloud.ports.errors import OutsideError, Retry
from sovereigncloud.providers.call_observer import Call, Observer, Unobserved
from sovereigncloud.providers.ovh.client import ClientPool, EntryRefused, EntryUnreachable
from sovereigncloud.providers.ovh.endpoints import endpoint_class
from sovereigncloud.providers.ovh.errors import Answer, answer_of, entry_error, error_of, silence
from sovereigncloud.providers.rate_limits import Budget, HeldOffError

_LOG: Final = logging.getLogger(__name__)
_REFUSED_AT_THE_DOOR: Final = frozenset({(400, "QUERY_TIME_OUT"), (400, "INVALID_SIGNATURE"), (403, "INVALID_KEY")})
"""Answers that a stale difference of clocks was seen to cause; nothing was done, so the call may be signed anew."""
_RATE_LIMIT_PAUSE: Final = 5.0
"""Seconds without calls after a 429 that does not say when to come back."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A success: parsed JSON (None for an empty one) and headers, whose names know no case."""

    body: Any
    headers: Mapping[str, str]


def path(template: str, *parameters: str) -> str:
    """Fill `{}` with quoted parameters: a block's `/` must be sent as %2F, and the client does not quote."""
    return template.format(*(quote(one, safe="") for one in parameters))


class Transport:
    """Calls under one credential, limited in number, rate and time. Used in one event loop."""

    def __init__(
        self,
        pool: ClientPool,
        budget: Budget,
        *,
        deadline: float = 130.0,
        observer: Observer | None = None,
    ) -> None:
        self._pool, self._deadline = pool, deadline
        self.budget = budget
        self._bucket, self._breaker = budget.bucket, budget.breaker
        self._observer = observer or Unobserved()
        self._last_failure = ""
        # Number and time are limited here; a thread that was given up ends by its own timeouts.
        self._threads = anyio.CapacityLimiter(math.inf)

    async def call(
        self,
        method: str,
        where: str,
        body: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        reads: bool = False,
    ) -> Reply:
        """One request. `where` is a path made with path(); `reads`: it changes nothing, whatever its method.

        Raises the errors of kinds.errors.
        """
        told = f"OVHcloud {method} {unquote(where)}"
        if wait := self._breaker.wait():
            raise self._not_now(told, wait)
        # Who is let through by an open breaker is the one that tries.
        tries = self._breaker.opened
        target = f"{where}?{urlencode(query)}" if query else where
        write = method != "GET" and not reads
        try:
            async with self._bucket.turn():
                if not tries and (wait := self._breaker.wait()):  # it opened meanwhile
                    raise self._not_now(told, wait)
                with self._observer.during(call := Call("ovh", endpoint_class(method, where))):
                    response = await self._sent(call, method, target, body, headers or {}, told=told, write=write)
        except HeldOffError as error:
            raise self._not_now(told, error.seconds) from None
        return self._reply(response, told, write=write)

    def _not_now(self, told: str, wait: float) -> Retry:
        """In the words of the last failure: a message that changes at every try would be a write to status."""
        return Retry(self._last_failure, where=told, after=wait, maybe_done=False)

    async def _sent(
        self,
        call: Call,
        method: str,
        target: str,
        body: Mapping[str, Any] | None,
        headers: Mapping[str, str],
        *,
        told: str,
        write: bool,
    ) -> requests.Response:
        try:
            with anyio.fail_after(self._deadline):
                response = await anyio.to_thread.run_sync(
                    self._send, call, method, target, body, headers, limiter=self._threads, abandon_on_cancel=True
                )
        except TimeoutError:
            # The read timeout counts silence only; a server that trickles ends here.
            raise self._ill(Retry("no answer in time", where=told, maybe_done=write)) from None
        except requests.RequestException as error:
            raise self._ill(silence(error, where=told, write=write)) from None
        except EntryUnreachable as error:
            failure = silence(error.cause, where=told, write=False)
            raise self._ill(Retry(f"{error.what}: {failure.message}", where=told, maybe_done=False)) from None
        except EntryRefused as error:
            call.code = str(error.response.status_code)
            raise self._judge(answer_of(error.response), told, write=False, entry=error.what) from None
        call.code = str(response.status_code)
        return response

    def _send(
        self, call: Call, method: str, target: str, body: Mapping[str, Any] | None, headers: Mapping[str, str]
    ) -> requests.Response:
        with self._pool.lend() as client:
            response = client.send(method, target, body, headers)
            if self._refused_at_the_door(response):
                self._pool.clock.forget()
                call.retries += 1
                response = client.send(method, target, body, headers)
            return response

    def _refused_at_the_door(self, response: requests.Response) -> bool:
        if response.status_code == requests.codes.unauthorized:
            # A token that was revoked early; the pool has forgotten it.
            return True
        if response.status_code not in {status for status, _ in _REFUSED_AT_THE_DOOR}:
            return False
        answer = answer_of(response)
        return (answer.status, answer.code) in _REFUSED_AT_THE_DOOR

    def _reply(self, response: requests.Response, told: str, *, write: bool) -> Reply:
        if not response.ok:
            # The query id is what support asks for; in a message it would make every retry a change of status.
            query_id = response.headers.get("X-OVH-QueryID", "")
            _LOG.info("%s answered %d (query id %s)", told, response.status_code, query_id)
            raise self._judge(answer_of(response), told, write=write)
        try:
            body = json.loads(response.content) if response.content.strip() else None
        except ValueError:
            raise self._ill(Retry("answered with something else than JSON", where=told, maybe_done=write)) from None
        self._breaker.succeeded()
        return Reply(body, response.headers)

    def _judge(self, answer: Answer, told: str, *, write: bool, entry: str = "") -> OutsideError:
        error = entry_error(answer, what=entry, where=told) if entry else error_of(answer, where=told, write=write)
        if answer.status == requests.codes.too_many_requests:
            self._bucket.close(answer.retry_after or _RATE_LIMIT_PAUSE)
            self._last_failure = error.message
        elif isinstance(error, Retry):
            return self._ill(error)
        self._breaker.succeeded()
        return error

    def _ill(self, error: Retry) -> Retry:
        self._breaker.failed()
        self._last_failure = error.message
        return error

    def close(self) -> None:
        """Close idle connections."""
        self._pool.close()
