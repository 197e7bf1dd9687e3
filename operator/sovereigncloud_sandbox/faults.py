"""Fault injection for the simulators: a plan of errors, delays and lost answers by request.

Nothing here knows which API is simulated: a request is a method and a path (an HTTP verb and a URL path, or ``CALL``
and the name of an XML-RPC method), and a simulator wraps each request in :meth:`FaultPlan.interpose`.

    plan = FaultPlan(seed=7)
    plan.add(parse_rule({"kind": "lost-response", "method": "POST", "path": "/reinstall$", "count": 1}))
    outcome = await plan.interpose("POST", "/dedicated/server/ns1/reinstall", perform)
"""

import asyncio
import random
import re
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Annotated, Any, TypeVar

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

T = TypeVar("T")


class Kind(StrEnum):
    """Kinds of faults."""

    LATENCY = "latency"  # the request is served `seconds` later; goes together with any other fault
    REPLY = "reply"  # answered by something in front of the API (status, headers, body); nothing was done
    LOST_REQUEST = "lost-request"  # the connection is closed; nothing was done
    LOST_RESPONSE = "lost-response"  # everything was done, then the connection is closed
    FALSE_REPLY = "false-reply"  # everything was done, then something in front of the API answers as with `reply`
    LATE_EFFECT = "late-effect"  # the connection is closed after `hold` seconds; it is done `seconds` after it arrived
    CLOCK_SKEW = "clock-skew"  # the server's clock is `seconds` ahead while the rule stands; matches no request


@dataclass(frozen=True, slots=True)
class Rule:
    """One fault, and the requests to which it applies.

    Of the requests whose method and path match, the `nth` (1-based) is the first one struck; `count` is how many are
    struck at most (None: all that follow), each with `probability`.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    kind: Kind
    name: str = ""
    method: str = ".*"
    path: str = ".*"
    nth: Annotated[int, Field(ge=1)] = 1
    count: Annotated[int | None, Field(ge=1)] = None
    probability: Annotated[float, Field(gt=0, le=1)] = 1.0
    seconds: float = 0.0
    hold: Annotated[float, Field(ge=0)] = 0.0
    status: Annotated[int, Field(ge=200, le=599)] = 500
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    body: str = ""

    def matches(self, method: str, path: str) -> bool:
        return bool(re.fullmatch(self.method, method)) and bool(re.search(self.path, path))


_RULE = TypeAdapter(Rule)


def parse_rule(document: Mapping[str, Any]) -> Rule:
    """Read a rule as a person writes it in JSON.

    Raises:
        ValueError: an unknown field, kind, or a pattern that is no regular expression.
    """
    try:
        rule = _RULE.validate_python(dict(document))
        re.compile(rule.method)
        re.compile(rule.path)
    except (ValidationError, re.error) as error:
        raise ValueError(f"not a fault: {error}") from error
    return rule


@dataclass(frozen=True, slots=True)
class Canned:
    """A prepared answer in place of that of the API."""

    status: int
    headers: Mapping[str, str]
    content_type: str
    body: str


@dataclass(frozen=True, slots=True)
class Dropped:
    """Close the connection without an answer."""


@dataclass(slots=True)
class _Standing:
    rule: Rule
    matched: int = 0
    struck: int = 0


class FaultPlan:
    """Active rules, how often each matched and applied, and delayed writes.

    Rules may be added and removed from any thread; :meth:`interpose` runs in the simulator's event loop. The same seed
    and the same sequence of requests give the same faults.
    """

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._standing: list[_Standing] = []
        self._made = 0
        self._late: set[asyncio.Task[None]] = set()

    def add(self, rule: Rule) -> str:
        """Let a rule stand; returns its name. A rule of the same name is replaced and counts anew."""
        with self._lock:
            self._made += 1
            name = rule.name or f"{rule.kind}-{self._made}"
            named = Rule(**{**_fields(rule), "name": name})
            self._standing = [one for one in self._standing if one.rule.name != name]
            self._standing.append(_Standing(named))
            return name

    def remove(self, name: str) -> bool:
        """Take one rule away; False if none has this name."""
        with self._lock:
            kept = [one for one in self._standing if one.rule.name != name]
            removed = len(kept) < len(self._standing)
            self._standing = kept
            return removed

    def clear(self) -> None:
        """Take all rules away and start the random sequence again. Writes already accepted still take effect."""
        with self._lock:
            self._standing = []
            self._random = random.Random(self._seed)

    @property
    def skew(self) -> float:
        """Seconds by which the server's clock is ahead."""
        with self._lock:
            return sum(one.rule.seconds for one in self._standing if one.rule.kind is Kind.CLOCK_SKEW)

    def report(self) -> list[dict[str, Any]]:
        """The rules as JSON, with how many requests each matched and struck."""
        with self._lock:
            return [
                {**asdict(one.rule), "headers": dict(one.rule.headers), "matched": one.matched, "struck": one.struck}
                for one in self._standing
            ]

    def strike(self, method: str, path: str) -> tuple[Rule, ...]:
        """The faults of this request. Each call counts as one request."""
        with self._lock:
            return tuple(one.rule for one in self._standing if self._strikes(one, method, path))

    def _strikes(self, standing: _Standing, method: str, path: str) -> bool:
        rule = standing.rule
        if rule.kind is Kind.CLOCK_SKEW or not rule.matches(method, path):
            return False
        standing.matched += 1
        if standing.matched < rule.nth or (rule.count is not None and standing.struck >= rule.count):
            return False
        if rule.probability < 1 and self._random.random() >= rule.probability:
            return False
        standing.struck += 1
        return True

    async def interpose(self, method: str, path: str, perform: Callable[[], Awaitable[T]]) -> T | Canned | Dropped:
        """Serve one request through the plan; `perform` is what the API does and answers."""
        return await self.inflict(self.strike(method, path), perform)

    async def inflict(self, rules: Sequence[Rule], perform: Callable[[], Awaitable[T]]) -> T | Canned | Dropped:
        """Serve one request with these faults. Latencies add up; of the others the first rule that struck decides."""
        delay = sum(rule.seconds for rule in rules if rule.kind is Kind.LATENCY)
        if delay:
            await asyncio.sleep(delay)
        for rule in rules:
            match rule.kind:
                case Kind.REPLY:
                    return Canned(rule.status, rule.headers, rule.content_type, rule.body)
                case Kind.LOST_REQUEST:
                    return Dropped()
                case Kind.LOST_RESPONSE:
                    await perform()
                    return Dropped()
                case Kind.FALSE_REPLY:
                    await perform()
                    return Canned(rule.status, rule.headers, rule.content_type, rule.body)
                case Kind.LATE_EFFECT:
                    self._perform_late(rule.seconds, perform)
                    await asyncio.sleep(rule.hold)
                    return Dropped()
                case Kind.LATENCY | Kind.CLOCK_SKEW:
                    continue
        return await perform()

    def _perform_late(self, seconds: float, perform: Callable[[], Awaitable[T]]) -> None:
        async def later() -> None:
            await asyncio.sleep(seconds)
            await perform()

        task = asyncio.create_task(later(), name="late-effect")
        self._late.add(task)
        task.add_done_callback(self._late.discard)

    async def close(self) -> None:
        """Drop the writes that have not taken effect yet: the simulator stops."""
        late = tuple(self._late)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)


def _fields(rule: Rule) -> dict[str, Any]:
    return {name: getattr(rule, name) for name in Rule.__dataclass_fields__}
