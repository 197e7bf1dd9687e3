"""Compute the next day and the next run of a cron schedule. Pure.

Times are UTC, so that no hour is repeated or skipped.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cronsim import CronSim, CronSimError

from sovereigncloud.core.conditions import timestamp

_AFTER_MIDNIGHT = 1.0


def until_tomorrow(now: datetime) -> float:
    """Return the seconds until just after the next midnight, UTC."""
    here = now.astimezone(UTC)
    tomorrow = (here + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return (tomorrow - here).total_seconds() + _AFTER_MIDNIGHT


class ScheduleError(ValueError):
    """The schedule never fires."""


def next_time(schedule: str, after: datetime) -> datetime:
    """Return the first time of the schedule after a moment. Raises ScheduleError."""
    try:
        return next(CronSim(schedule, after.astimezone(UTC)))
    except (CronSimError, StopIteration):
        raise ScheduleError(f'the schedule "{schedule}" never fires; correct it in spec') from None


def next_run(schedule: str, known: str | None, began: int, now: datetime) -> datetime:
    """Return when the next run is due; a time in the past means now.

    Args:
        schedule: of spec.
        known: the time in status; it counts while it is a time of this schedule and no run started since.
        began: when the last run started, in seconds since the epoch.
        now: the time.

    Raises:
        ScheduleError: the schedule never fires.
    """
    at = moment(known)
    if at is not None and at.timestamp() > began and next_time(schedule, at - timedelta(seconds=1)) == at:
        return at
    return next_time(schedule, now)


def moment(stamp: str | None) -> datetime | None:
    """Parse a timestamp of status; None: absent or invalid."""
    try:
        return datetime.fromisoformat(stamp) if stamp else None
    except ValueError:
        return None


def stamp_of(seconds: int) -> str:
    """Format seconds since the epoch as a timestamp of status."""
    return timestamp(datetime.fromtimestamp(seconds, UTC))
