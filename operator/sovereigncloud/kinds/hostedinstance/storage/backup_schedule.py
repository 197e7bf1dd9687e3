"""Translation of cron schedules to scheduled actions of OpenNebula, and their record.

OpenNebula runs the schedule, so backups continue while the operator is down. Its actions repeat every N hours, on days of
the week or on days of the month, each at one time of day. Hours count from the first run; days follow the clock of the
front-end.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cronsim import CronSim, CronSimError

from sovereigncloud.ports.opennebula.storage import BACKUP_ACTION, ScheduledAction

SCHEDULE_NOTE = "SOVEREIGNCLOUD_BACKUP_SCHEDULE"
SCHEDULE_FACT = "backup.schedule"
"""Key in `status.external` for the id of the scheduled action, until the VM shows it."""

_WEEKLY, _MONTHLY, _HOURLY = 0, 1, 3
_DAY = 24
_GRACE = timedelta(hours=6)
_ALL_DAYS, _ALL_MONTHS, _WEEK = frozenset(range(1, 32)), frozenset(range(1, 13)), frozenset(range(7))
_EXAMPLES = (
    '"0 2 * * *" (each day), "0 */6 * * *" (every six hours), "0 2 * * 0" (Sundays), "0 2 1 * *" (the first of a month)'
)


class UnsupportedSchedule(ValueError):
    """OpenNebula cannot represent this cron schedule; the message says why and gives examples."""


@dataclass(frozen=True, slots=True)
class Recurrence:
    """REPEAT and DAYS of a scheduled action."""

    repeat: int
    days: str


def parse_recurrence(cron: str) -> Recurrence:
    """Translate a cron schedule to REPEAT and DAYS. Raises UnsupportedSchedule."""
    try:
        parsed = CronSim(cron, datetime(2026, 1, 1, tzinfo=UTC))
        next(parsed)
    except (CronSimError, StopIteration):
        raise UnsupportedSchedule(f'"{cron}" is never due; set for example {_EXAMPLES}') from None
    minutes, hours, days, months = parsed.minutes, parsed.hours, parsed.days, parsed.months
    weekdays = {day % 7 for day in parsed.weekdays if isinstance(day, int)}
    if any(not isinstance(day, int) for day in parsed.weekdays) or min(days) < 1:
        raise _unsupported(cron, "it does not support the last or n-th weekday")
    if len(minutes) != 1:
        raise _unsupported(cron, "it makes at most one backup an hour: give one minute")
    if frozenset(months) != _ALL_MONTHS:
        raise _unsupported(cron, "it does not support months: leave the fourth field *")
    every_day, any_weekday = frozenset(days) == _ALL_DAYS, weekdays == _WEEK
    if every_day and any_weekday:
        return Recurrence(_HOURLY, str(_interval_hours(cron, sorted(hours))))
    if len(hours) != 1:
        raise _unsupported(cron, "on selected days it supports one time of day: give one hour")
    if every_day:
        return Recurrence(_WEEKLY, ",".join(map(str, sorted(weekdays))))
    if any_weekday:
        return Recurrence(_MONTHLY, ",".join(map(str, sorted(days))))
    raise _unsupported(cron, "it supports days of the month or days of the week, not both")


def _interval_hours(cron: str, hours: list[int]) -> int:
    """Return the interval in hours of runs that are evenly spaced over the day."""
    distance = _DAY // len(hours)
    if _DAY % len(hours) or [hour - hours[0] for hour in hours] != list(range(0, _DAY, distance)):
        raise _unsupported(cron, "hours must be evenly spaced, such as */6 or 2,14")
    return distance


def _unsupported(cron: str, why: str) -> UnsupportedSchedule:
    return UnsupportedSchedule(f'OpenNebula cannot follow "{cron}": {why}; set for example {_EXAMPLES}')


def backup_action(cron: str, datastore: int, now: datetime, number: int = -1) -> ScheduledAction:
    """Build the scheduled backup action for a cron schedule. Raises UnsupportedSchedule."""
    found = parse_recurrence(cron)
    first = next(CronSim(cron, now.astimezone(UTC) + timedelta(seconds=1)))
    return ScheduledAction(BACKUP_ACTION, str(datastore), int(first.timestamp()), found.repeat, found.days, number)


def is_same_recurrence(known: ScheduledAction, wanted: ScheduledAction) -> bool:
    """Return whether two actions repeat at the same times, regardless of their first run."""
    turn = 3600 * (int(wanted.days) if wanted.repeat == _HOURLY else _DAY)
    return (known.action, known.args, known.repeat, known.days) == (
        wanted.action,
        wanted.args,
        wanted.repeat,
        wanted.days,
    ) and (known.time - wanted.time) % turn == 0


@dataclass(frozen=True, slots=True)
class ScheduleRecord:
    """Record of a schedule on the VM.

    Attributes:
        number: id of the scheduled action; -1: about to be created.
        datastore: id of the backup datastore.
        cron: the schedule.
        at: time of the record, in seconds since the epoch.
    """

    number: int = -1
    datastore: int = -1
    cron: str = ""
    at: int = field(default=0, compare=False)

    @property
    def text(self) -> str:
        return f"{self.number};{self.datastore};{self.at};{self.cron}"


def read_schedule(text: str) -> ScheduleRecord:
    """Parse the record of a schedule; an empty record if it is missing or malformed."""
    try:
        number, datastore, at, cron = text.split(";")
        return ScheduleRecord(int(number), int(datastore), cron, int(at))
    except ValueError:
        return ScheduleRecord()


def is_overdue(cron: str, since: int, now: datetime) -> bool:
    """Return whether the first backup due after `since` (seconds since the epoch) is overdue.

    OpenNebula runs backups one after another, so each has until the next one is due, at most six hours.
    """
    try:
        times = CronSim(cron, datetime.fromtimestamp(since, UTC))
        due, after = next(times), next(times)
    except (CronSimError, StopIteration):
        return False
    return now > due + min(after - due, _GRACE)
