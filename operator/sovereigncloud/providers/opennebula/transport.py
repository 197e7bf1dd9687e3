"""One call to a front-end: whether it may be made now, in which thread, with which deadline, and what its failure means."""

from __future__ import annotations

import math
import xmlrpc.client
from time import monotonic
from typing import Any

import anyio
import requests

from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.ports.errors import OutsideError, Rejected, Retry
from sovereigncloud.providers.call_observer import Call, Observer, Unobserved
from sovereigncloud.providers.opennebula.api_latency import Nearness
from sovereigncloud.providers.opennebula.errors import code_word, error_of, http_error, silence
from sovereigncloud.providers.opennebula.session import Answer, Connections, HttpStatus, NotSendable, NotXmlRpc
from sovereigncloud.providers.rate_limits import Budget, HeldOffError

_TOO_MANY = 429
_RATE_LIMIT_PAUSE = 5.0
"""Seconds without calls after a 429 that does not say when to come back."""


class Transport:
    """Calls under one credential, limited in number, rate and time. Used in one event loop."""

    def __init__(
        self,
        connections: Connections,
        budget: Budget,
        *,
        deadline: float,
        observer: Observer | None = None,
    ) -> None:
        self._connections, self._deadline = connections, deadline
        self.budget = budget
        self._bucket, self._breaker = budget.bucket, budget.breaker
        self._observer = observer or Unobserved()
        self._last_failure = ""
        self.nearness = Nearness()
        # Number and time are limited here; a thread that was given up ends by its own timeouts.
        self._threads = anyio.CapacityLimiter(math.inf)

    async def read(self, method: str, *arguments: Any) -> Any:
        """A call that changes nothing. Raises the errors of kinds.errors."""
        return await self._call(method, arguments, write=False)

    async def write(self, method: str, *arguments: Any) -> Any:
        """A call that changes something: a Retry says whether it may have been done."""
        return await self._call(method, arguments, write=True)

    async def _call(self, method: str, arguments: tuple[Any, ...], *, write: bool) -> Any:
        where = f"OpenNebula {method}"
        if wait := self._breaker.wait():
            raise self._not_now(where, wait)
        try:
            async with self._bucket.turn():
                with self._observer.during(call := Call("opennebula", method)):
                    begun = monotonic()
                    answer = await self._answer(call, method, arguments, write=write)
                    self.nearness.answered(method, monotonic() - begun)
        except HeldOffError as error:
            raise self._not_now(where, error.seconds) from None
        self._breaker.succeeded()
        if not answer.ok:
            raise error_of(answer.code, str(answer.value), where=where)
        return answer.value

    def _not_now(self, where: str, wait: float) -> Retry:
        """In the words of the last failure: a message that changes at every try would be a write to status."""
        return Retry(self._last_failure, where=where, after=wait, maybe_done=False)

    async def _answer(self, call: Call, method: str, arguments: tuple[Any, ...], *, write: bool) -> Answer:
        where = f"OpenNebula {method}"
        try:
            # The read timeout counts silence only; a server that trickles ends here.
            with anyio.fail_after(self._deadline):
                answer = await anyio.to_thread.run_sync(
                    self._send, method, arguments, limiter=self._threads, abandon_on_cancel=True
                )
        except TimeoutError:
            raise self._ill(Retry("no answer in time", where=where, maybe_done=write)) from None
        except requests.RequestException as error:
            raise self._ill(silence(error, where=where, write=write)) from None
        except NotXmlRpc as error:
            raise self._ill(Retry(str(error), where=where, maybe_done=write)) from None
        except HttpStatus as error:
            call.code = str(error.status)
            raise self._http(error, where, write=write) from None
        except xmlrpc.client.Fault as fault:
            self._breaker.succeeded()
            call.code = code_word(fault.faultCode)
            raise error_of(fault.faultCode, fault.faultString, where=where) from None
        except NotSendable as error:
            raise Rejected(str(error), where=where, reason=Reason.INVALID_TEMPLATE) from None
        except (UnicodeError, OverflowError) as error:
            raise Rejected(f"cannot be sent: {type(error).__name__}", where=where) from None
        call.code = code_word(0 if answer.ok else answer.code)
        return answer

    def _send(self, method: str, arguments: tuple[Any, ...]) -> Answer:
        with self._connections.lend() as connection:
            return connection.call(method, *arguments)

    def _http(self, status: HttpStatus, where: str, *, write: bool) -> OutsideError:
        error = http_error(status.status, status.retry_after, where=where, write=write)
        if status.status == _TOO_MANY:
            self._last_failure = error.message
            self._bucket.close(getattr(error, "after", None) or _RATE_LIMIT_PAUSE)
            return error
        return self._ill(error)

    def _ill(self, error: OutsideError) -> OutsideError:
        if isinstance(error, Retry):
            self._breaker.failed()
            self._last_failure = error.message
        return error

    def close(self) -> None:
        """Close idle connections."""
        self._connections.close()
