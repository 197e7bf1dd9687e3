"""A cron schedule as OpenNebula can follow it by itself, and how it is remembered on the machine.

OpenNebula keeps the schedule, so that backups are made also while nobody runs this operator. It knows an action every so
many hours, on days of the week or on days of the month, each at one time of day; not more of cron than that. Hours count from
one moment on, whatever the clock of the front-end says; days are those of the front-end's clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cronsim import CronSim, CronSimError

from sovereigncloud.ports.opennebula.storage import BACKUP_ACTION, ScheduledAction

NOTE = "SOVEREIGNCLOUD_BACKUP_SCHEDULE"
RECORD = "backup.schedule"
"""The key of `status.external` for the number that OpenNebula gave it, until the machine tells it."""

_WEEKLY, _MONTHLY, _HOURLY = 0, 1, 3
_DAY = 24
_GRACE = timedelta(hours=6)
_ALL_DAYS, _ALL_MONTHS, _WEEK = frozenset(range(1, 32)), frozenset(range(1, 13)), frozenset(range(7))
_EXAMPLES = (
    '"0 2 * * *" (each day), "0 */6 * * *" (every six hours), "0 2 * * 0" (Sundays), "0 2 1 * *" (the first of a month)'
)


class NotForOpenNebula(ValueError):
    """OpenNebula cannot follow this schedule; why, and what it can."""


@dataclass(frozen=True, slots=True)
class Rhythm:
    """REPEAT and DAYS of a scheduled action."""

    repeat: int
    days: str


def rhythm(cron: str) -> Rhythm:
    """Raises NotForOpenNebula."""
    try:
        parsed = CronSim(cron, datetime(2026, 1, 1, tzinfo=UTC))
        next(parsed)
    except (CronSimError, StopIteration):
        raise NotForOpenNebula(f'"{cron}" names no time that ever comes; set for example {_EXAMPLES}') from None
    minutes, hours, days, months = parsed.minutes, parsed.hours, parsed.days, parsed.months
    weekdays = {day % 7 for day in parsed.weekdays if isinstance(day, int)}
    if any(not isinstance(day, int) for day in parsed.weekdays) or min(days) < 1:
        raise _not_this(cron, "it knows no last or n-th weekday")
    if len(minutes) != 1:
        raise _not_this(cron, "it makes at most one backup an hour: give one minute")
    if frozenset(months) != _ALL_MONTHS:
        raise _not_this(cron, "it knows no months: leave the fourth field *")
    every_day, any_weekday = frozenset(days) == _ALL_DAYS, weekdays == _WEEK
    if every_day and any_weekday:
        return Rhythm(_HOURLY, str(_distance(cron, sorted(hours))))
    if len(hours) != 1:
        raise _not_this(cron, "on some days only it knows one time of day: give one hour")
    if every_day:
        return Rhythm(_WEEKLY, ",".join(map(str, sorted(weekdays))))
    if any_weekday:
        return Rhythm(_MONTHLY, ",".join(map(str, sorted(days))))
    raise _not_this(cron, "it knows days of the month or days of the week, not both")


def _distance(cron: str, hours: list[int]) -> int:
    """Between hours that come at equal distances, round the clock."""
    distance = _DAY // len(hours)
    if _DAY % len(hours) or [hour - hours[0] for hour in hours] != list(range(0, _DAY, distance)):
        raise _not_this(cron, "hours must come at equal distances, such as */6 or 2,14")
    return distance


def _not_this(cron: str, why: str) -> NotForOpenNebula:
    return NotForOpenNebula(f'OpenNebula cannot follow "{cron}": {why}; set for example {_EXAMPLES}')


def action(cron: str, datastore: int, now: datetime, number: int = -1) -> ScheduledAction:
    """The backup as OpenNebula is to make it. Raises NotForOpenNebula."""
    found = rhythm(cron)
    first = next(CronSim(cron, now.astimezone(UTC) + timedelta(seconds=1)))
    return ScheduledAction(BACKUP_ACTION, str(datastore), int(first.timestamp()), found.repeat, found.days, number)


def same(known: ScheduledAction, wanted: ScheduledAction) -> bool:
    """Whether the two are the same rhythm, whenever each of them began."""
    turn = 3600 * (int(wanted.days) if wanted.repeat == _HOURLY else _DAY)
    return (known.action, known.args, known.repeat, known.days) == (
        wanted.action,
        wanted.args,
        wanted.repeat,
        wanted.days,
    ) and (known.time - wanted.time) % turn == 0


@dataclass(frozen=True, slots=True)
class Noted:
    """What was scheduled last: its number (-1: it is about to be), the datastore, the cron schedule, and since when, in
    seconds since the epoch.
    """

    number: int = -1
    datastore: int = -1
    cron: str = ""
    at: int = field(default=0, compare=False)

    @property
    def text(self) -> str:
        return f"{self.number};{self.datastore};{self.at};{self.cron}"


def read(text: str) -> Noted:
    """An empty one where nothing was written, or nothing that can be read."""
    try:
        number, datastore, at, cron = text.split(";")
        return Noted(int(number), int(datastore), cron, int(at))
    except ValueError:
        return Noted()


def is_overdue(cron: str, since: int, now: datetime) -> bool:
    """Whether the backup that was due after that moment should be there: OpenNebula makes them one after the other, so it
    has until the next one is due, and at most some hours.
    """
    try:
        times = CronSim(cron, datetime.fromtimestamp(since, UTC))
        due, after = next(times), next(times)
    except (CronSimError, StopIteration):
        return False
    return now > due + min(after - due, _GRACE)
