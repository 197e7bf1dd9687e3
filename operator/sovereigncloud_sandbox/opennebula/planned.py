"""Scheduled actions of VMs, once or repeated (OpenNebula: src/sam)."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime

from sovereigncloud_sandbox.opennebula.cloud import Cloud
from sovereigncloud_sandbox.opennebula.flows import log_time
from sovereigncloud_sandbox.opennebula.model import Vm
from sovereigncloud_sandbox.opennebula.template import Vector

_ACTIONS = frozenset(
    {
        "terminate",
        "terminate-hard",
        "undeploy",
        "undeploy-hard",
        "hold",
        "release",
        "stop",
        "suspend",
        "resume",
        "reboot",
        "reboot-hard",
        "poweroff",
        "poweroff-hard",
        "snapshot-create",
        "snapshot-revert",
        "snapshot-delete",
        "disk-snapshot-create",
        "disk-snapshot-revert",
        "disk-snapshot-delete",
        "backup",
    }
)
_NONE, _WEEKLY, _MONTHLY, _YEARLY, _HOURLY = range(-1, 4)
_NEVER, _TIMES, _DATE = range(3)
# What DAYS may hold for each way of repeating, and what is said where it does not.
_DAYS: Mapping[int, tuple[int, int, str]] = {
    _WEEKLY: (0, 6, "Days in a week have to be in [0,6] range"),
    _MONTHLY: (1, 31, "Days in a month have to be in [1,31] range"),
    _YEARLY: (0, 365, "Days in a year have to be in [0,365] range"),
    _HOURLY: (1, 167, "Hours have to be in [0,168] range"),
}
_DAY = 24 * 3600


class PlanError(Exception):
    """Why a scheduled action is none; the text is oned's."""


def read(given: Mapping[str, str], origin: int, current: Mapping[str, str] | None = None) -> Vector:
    """A scheduled action from what was given, or changed by it. `origin` is what a time with a + counts from.

    Raises:
        PlanError: as oned says it.
    """
    one = dict(current or _empty())
    if action := given.get("ACTION", ""):
        if action not in _ACTIONS:
            raise PlanError(f"{action} is not supported.")
        one["ACTION"] = action
    if not one["ACTION"]:
        raise PlanError("No ACTION in template for Scheduled Action.")
    if given.get("TIME"):
        one["TIME"] = str(_time(given["TIME"], origin))
    if one["TIME"] == "-1":
        raise PlanError(f"Unable to parse the time value or value is empty: {given.get('TIME', '')}")
    repeat = _number(given.get("REPEAT", ""))
    if repeat is not None:
        if not _NONE <= repeat <= _HOURLY:
            raise PlanError(f"Wrong REPEAT value: {repeat}")
        one["REPEAT"] = str(repeat)
    _set_days(one, given)
    _set_end(one, given)
    if "ARGS" in given:
        one["ARGS"] = given["ARGS"]
    return one


def _empty() -> Vector:
    return {
        "ACTION": "",
        "ARGS": "",
        "TIME": "-1",
        "REPEAT": "-1",
        "DAYS": "",
        "END_TYPE": "-1",
        "END_VALUE": "-1",
        "DONE": "-1",
        "MESSAGE": "",
        "WARNING": "0",
    }


def _number(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None


def _time(text: str, origin: int) -> int:
    number = _number(text)
    if number is None:
        return -1
    return number + origin if text.startswith("+") else number


def _set_days(one: Vector, given: Mapping[str, str]) -> None:
    repeat = int(one["REPEAT"])
    if repeat == _NONE:
        one["DAYS"] = ""
        return
    if "DAYS" not in given:
        if not one["DAYS"]:
            raise PlanError("Repeat set, but DAYS are empty")
        return
    days = [_number(day) for day in given["DAYS"].split(",") if day.strip()]
    if not days:
        raise PlanError("Scheduled Action repeat set, but DAYS are empty")
    first, last, complaint = _DAYS[repeat]
    if any(day is None or not first <= day <= last for day in days) or (repeat == _HOURLY and len(days) != 1):
        raise PlanError(complaint)
    one["DAYS"] = given["DAYS"]


def _set_end(one: Vector, given: Mapping[str, str]) -> None:
    end = _number(given.get("END_TYPE", ""))
    if end is not None:
        if not -1 <= end <= _DATE:
            raise PlanError(f"Wrong END_TYPE value: {end}")
        one["END_TYPE"] = str(end)
    if int(one["END_TYPE"]) <= _NEVER:
        one["END_VALUE"] = "-1"
    elif _number(given.get("END_VALUE", "")) is not None:
        one["END_VALUE"] = given["END_VALUE"]


# --------------------------------------------------------------------------------------------------------- their time


def add(cloud: Cloud, vm: Vm, planned: Vector) -> int:
    """A machine has one more; ids are unique in the whole cloud."""
    oid = cloud.next_id("SCHED_ACTION")
    vm.sched_actions.append({"ID": str(oid), "PARENT_ID": str(vm.oid), "TYPE": "VM", **planned})
    arm(cloud, vm)
    return oid


def arm(cloud: Cloud, vm: Vm) -> None:
    """Look at the machine's actions when the first of them is due, and now where one is overdue."""
    cloud.planned.add(vm.oid)
    vm.touch()
    _arm(cloud)


def _arm(cloud: Cloud) -> None:
    times = [_due_at(one) for oid in cloud.planned for one in cloud.vms[oid].sched_actions]
    first = min(times, default=math.inf)
    if first == math.inf:
        return
    period = max(cloud.speeds.sched_actions, 0.01)
    # oned's timer has its own beat; what fails is tried again at each. Beats that would see nothing new are left out.
    beat = max(cloud.now + period, first + 1)
    if first < cloud.now:
        later = min((time for time in times if time > cloud.now), default=math.inf)
        beat = max(beat, min(math.floor(cloud.quiet_until / period) * period, later + 1))
    if beat < cloud.plan_armed_at:
        cloud.plan_armed_at = beat
        cloud.after(beat - cloud.now, lambda: _cycle(cloud, beat))


def _due_at(one: Vector) -> float:
    """When an action is due; never where it is done or ended."""
    time, done, end = int(one["TIME"]), int(one["DONE"]), int(one["END_TYPE"])
    if (done > 0 and done >= time) or (end == _TIMES and int(one["END_VALUE"]) <= 0):
        return math.inf
    if end == _DATE and time > int(one["END_VALUE"]):
        return math.inf
    return time


def _cycle(cloud: Cloud, beat: float) -> None:
    if beat != cloud.plan_armed_at:
        return  # an earlier one took its place
    cloud.plan_armed_at = math.inf
    for oid in sorted(cloud.planned):
        vm = cloud.vms[oid]
        due = [one for one in vm.sched_actions if _due_at(one) < cloud.now]
        if due:  # one of each machine at a time
            _perform(cloud, vm, min(due, key=_due_at))
    _arm(cloud)


def _perform(cloud: Cloud, vm: Vm, one: Vector) -> None:
    problem = cloud.act(vm, one)
    if problem:
        one["MESSAGE"] = f"{log_time(cloud)} : {problem}"
    else:
        one["MESSAGE"] = ""
        one["DONE"] = str(cloud.second)
        _move_on(cloud, one)
    vm.touch()


def _move_on(cloud: Cloud, one: Vector) -> None:
    repeat = int(one["REPEAT"])
    days = sorted({int(day) for day in one["DAYS"].split(",") if day})
    if repeat == _NONE or not days:
        return
    if one["END_TYPE"] == str(_TIMES):
        if int(one["END_VALUE"]) <= 0:
            return
        one["END_VALUE"] = str(int(one["END_VALUE"]) - 1)
    time = int(one["TIME"])
    if repeat == _HOURLY:
        while True:
            time += days[0] * 3600
            if time >= cloud.second:
                break
    else:
        time += _days_until(cloud, repeat, days) * _DAY
    one["TIME"] = str(time)


def _days_until(cloud: Cloud, repeat: int, days: list[int]) -> int:
    now = datetime.fromtimestamp(cloud.now, tz=UTC)
    match repeat:
        case 0:
            today, period = now.isoweekday() % 7, 7
        case 1:
            following = datetime(now.year + now.month // 12, now.month % 12 + 1, 1, tzinfo=UTC)
            today, period = now.day, (following - datetime(now.year, now.month, 1, tzinfo=UTC)).days
        case _:
            today = now.timetuple().tm_yday - 1
            period = (datetime(now.year + 1, 1, 1, tzinfo=UTC) - datetime(now.year, 1, 1, tzinfo=UTC)).days
    later = [day for day in days if day > today]
    return later[0] - today if later else period - today + days[0]
