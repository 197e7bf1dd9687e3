"""When a day has passed. Pure.

When a schedule asks for the next verification. UTC, so that no hour is there twice or not at all.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cronsim import CronSim, CronSimError

from sovereigncloud.core.conditions import timestamp

_AFTER_MIDNIGHT = 1.0


def until_tomorrow(now: datetime) -> float:
    """Seconds until the next day begins (UTC), and a moment more."""
    here = now.astimezone(UTC)
    tomorrow = (here + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return (tomorrow - here).total_seconds() + _AFTER_MIDNIGHT


class ScheduleError(ValueError):
    """The schedule names no time."""


def next_time(schedule: str, after: datetime) -> datetime:
    """The first time of the schedule after that moment. Raises ScheduleError."""
    try:
        return next(CronSim(schedule, after.astimezone(UTC)))
    except (CronSimError, StopIteration):
        raise ScheduleError(f'the schedule "{schedule}" names no time that ever comes') from None


def next_run(schedule: str, known: str | None, began: int, now: datetime) -> datetime:
    """When the next run is due, perhaps in the past: then it is to be begun.

    Args:
        schedule: of spec.
        known: what status says; it counts as long as it is a time of this schedule and no run was begun since.
        began: when the last run was begun, seconds since the epoch.
        now: the time.

    Raises:
        ScheduleError: it names no time.
    """
    at = moment(known)
    if at is not None and at.timestamp() > began and next_time(schedule, at - timedelta(seconds=1)) == at:
        return at
    return next_time(schedule, now)


def moment(stamp: str | None) -> datetime | None:
    """A time as status writes it."""
    try:
        return datetime.fromisoformat(stamp) if stamp else None
    except ValueError:
        return None


def stamp_of(seconds: int) -> str:
    return timestamp(datetime.fromtimestamp(seconds, UTC))
