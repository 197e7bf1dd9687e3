"""The power of a server whose cloud does not answer: seen through its provider, and switched off where its cloud allows that.

What was switched off stays off, whatever else is declared, until a person says otherwise: on the server a tag tells for which
outage, and what it booted before, so that also a rebuilt cluster knows it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from sovereigncloud.api.baremetalserver import BareMetalServer
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.api.sovereigncloud import SovereignCloud
from sovereigncloud.core.conditions import timestamp
from sovereigncloud.core.outcome import DONE, Outcome, done, held, waiting
from sovereigncloud.core.plan import Action, Disruption, Plan, Step
from sovereigncloud.kinds.endpoint.clouds import where
from sovereigncloud.kinds.fencing.confirmation import may_switch_off
from sovereigncloud.kinds.planning.pending_writes import Asked, asked, pending
from sovereigncloud.ports.ovh.account import Ovh, Server
from sovereigncloud.ports.ovh.power import HARD_DISK, POWER_OFF

FENCED_TAG = "sovereigncloud.io/fenced"
_ASKED = "reboot"
_REBOOT_WITHIN = 180.0
_LOOK_AGAIN, _UNDER_WAY = 30.0, 5.0
_ACTIVE = frozenset({"init", "todo", "doing"})
ON, OFF = "On", "Off"


@dataclass(frozen=True, slots=True)
class FencedTag:
    """What the tag says. `at`: the outage, in seconds since 1970; the rest is how it was before."""

    at: int
    boot: int
    monitoring: bool
    no_intervention: bool

    @property
    def outage(self) -> str:
        return timestamp(datetime.fromtimestamp(self.at, UTC))

    @property
    def text(self) -> str:
        return f"{self.at}:{self.boot}:{int(self.monitoring)}{int(self.no_intervention)}"


def read_fenced(tags: Mapping[str, str]) -> FencedTag | None:
    """What nobody of ours wrote is no record."""
    at, _, rest = tags.get(FENCED_TAG, "").partition(":")
    boot, _, flags = rest.partition(":")
    if not at.isdigit() or not boot.isdigit() or len(flags) != len("10"):
        return None
    return FencedTag(int(at), int(boot), flags[0] == "1", flags[1] == "1")


@dataclass(frozen=True, slots=True)
class PowerSeen:
    """What its provider says.

    Attributes:
        at: when it was asked.
        boot: the number of what it boots next.
        off: the number of the boot that switches it off; 0: nobody asked.
        disk: likewise of the one from its disk.
        rebooting: a reboot is under way.
    """

    at: datetime
    on: bool
    boot: int
    monitoring: bool
    no_intervention: bool
    off: int = 0
    disk: int = 0
    rebooting: bool = False

    @property
    def state(self) -> str:
        return ON if self.on else OFF


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordFenced(Step):
    urn: str
    record: FencedTag


@dataclass(frozen=True, slots=True, kw_only=True)
class SetBoot(Step):
    boot: int
    monitoring: bool
    no_intervention: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Reboot(Step):
    change: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgetFenced(Step):
    urn: str


PowerStep = RecordFenced | SetBoot | Reboot | ForgetFenced


# ------------------------------------------------------------------------------------------------------------- looking


def is_looked_at(cloud: SovereignCloud | None, resource: BareMetalServer, tags: Mapping[str, str]) -> bool:
    """While its cloud is lost; afterwards only where something is to be done about its power."""
    if cloud is None:
        return False
    if cloud.status.lost_since is not None:
        return True
    record = read_fenced(tags)
    known = resource.status.power
    return record is not None and (is_released(cloud, record) or known is None or known.state != OFF)


async def look_at_power(client: Ovh, server: Server, cloud: SovereignCloud, now: datetime) -> PowerSeen:
    """`server`: as it was read after `now`."""
    seen = PowerSeen(now, server.power_state != "poweroff", server.boot, server.monitoring, server.no_intervention)
    if read_fenced(server.tags) is None and not _wanted_off(cloud):
        return seen
    name = server.service_name
    tasks = await client.power.reboots(name)
    return PowerSeen(
        at=now,
        on=seen.on,
        boot=seen.boot,
        monitoring=seen.monitoring,
        no_intervention=seen.no_intervention,
        off=await client.power.boot_of_type(name, POWER_OFF),
        disk=await client.power.boot_of_type(name, HARD_DISK),
        rebooting=any(task.status in _ACTIVE for task in tasks),
    )


def power_status(
    resource: BareMetalServer, lost: str | None, tags: Mapping[str, str] | None, seen: PowerSeen | None
) -> object:
    """What status says. The time is that of the first look in this outage that found it so, and never moves by itself."""
    before = resource.status.power
    record = read_fenced(tags) if tags is not None else None
    if tags is None or (lost is not None and seen is None):
        return before.model_dump(by_alias=True, exclude_none=True) if before is not None else None
    if record is None and lost is None:
        return None
    told = {"state": before.state, "seenAt": before.seen_at} if before is not None else {}
    if seen is not None and not _is_told(told, lost, seen):
        told = {"state": seen.state, "seenAt": timestamp(seen.at)}
    return {
        **{key: value for key, value in told.items() if value},
        **({"fenced": record.outage} if record else {}),
    } or None


def _is_told(told: Mapping[str, str | None], lost: str | None, seen: PowerSeen) -> bool:
    """It compares times of one form, as they are written."""
    return told.get("state") == seen.state and (lost is None or (told.get("seenAt") or "") > lost)


# ------------------------------------------------------------------------------------------------------------ planning


def is_released(cloud: SovereignCloud, record: FencedTag) -> bool:
    """Whether a person said that it is to run again."""
    fencing = cloud.spec.hosted.fencing if cloud.spec.hosted is not None else None
    return fencing is not None and fencing.start_again == record.outage


def _wanted_off(cloud: SovereignCloud) -> bool:
    status = cloud.status
    return status.lost_since is not None and status.fenced_for == status.lost_since and may_switch_off(cloud)


def plan_power(
    resource: BareMetalServer,
    cloud: SovereignCloud,
    urn: str,
    tags: Mapping[str, str],
    seen: PowerSeen | None,
    now: datetime,
) -> Plan | None:
    """What is done about its power; None: nothing, and all else is as usual."""
    record = read_fenced(tags)
    if record is None:
        if seen is None:
            return None
        return _begin(resource, cloud, urn, seen) if _wanted_off(cloud) and seen.off else None
    if seen is None:
        return Plan(outcome=_stays_off(resource, cloud, record))
    if is_released(cloud, record):
        return _end(resource, urn, record, seen, now)
    if cloud.status.lost_since is None and seen.on and not seen.rebooting:
        # The cloud came back before this server was switched off: it is left running.
        return _end(resource, urn, record, seen, now)
    return _switch_off(resource, cloud, record, seen, now)


def looks_again(cloud: SovereignCloud | None) -> Outcome:
    """While its cloud is lost, whether it has power is news."""
    return Outcome(after=_LOOK_AGAIN) if cloud is not None and cloud.status.lost_since is not None else DONE


def _begin(resource: BareMetalServer, cloud: SovereignCloud, urn: str, seen: PowerSeen) -> Plan:
    lost = datetime.fromisoformat(cloud.status.lost_since or "")
    boot = seen.boot if seen.boot and seen.boot != seen.off else seen.disk
    record = FencedTag(int(lost.timestamp()), boot, seen.monitoring, seen.no_intervention)
    message = f"{where(cloud.key)} is lost since {record.outage}: its server {_name(resource)} is being switched off"
    step = RecordFenced(
        action=Action.UPDATE, target=f"record of switching off {_name(resource)}", urn=urn, record=record
    )
    return Plan(steps=(step,), outcome=waiting(Reason.POWERING_OFF_SERVER, message, after=_UNDER_WAY))


def _switch_off(
    resource: BareMetalServer, cloud: SovereignCloud, record: FencedTag, seen: PowerSeen, now: datetime
) -> Plan:
    name = _name(resource)
    if seen.boot != seen.off or seen.monitoring:
        step = SetBoot(
            action=Action.UPDATE, target=f"boot of server {name}", boot=seen.off, monitoring=False, no_intervention=True
        )
        return Plan(
            steps=(step,),
            outcome=waiting(Reason.POWERING_OFF_SERVER, f"server {name} is to boot into switching itself off"),
        )
    if not seen.on:
        return Plan(outcome=_stays_off(resource, cloud, record))
    told = waiting(
        Reason.POWERING_OFF_SERVER, f"server {name} is being switched off through OVHcloud", after=_UNDER_WAY
    )
    change = f"off {record.at}"
    if seen.rebooting or pending(resource, Asked(_ASKED, change, "", _REBOOT_WITHIN), now):
        return Plan(outcome=told)
    return Plan(steps=(_reboot(name, "switches it off", change),), outcome=told)


def _end(resource: BareMetalServer, urn: str, record: FencedTag, seen: PowerSeen, now: datetime) -> Plan:
    """It boots what it did, and runs; then it is watched again, and the record goes."""
    name = _name(resource)
    told = waiting(
        Reason.RESTARTING_SERVER,
        f"server {name}, switched off for the outage of {record.outage}, starts again",
        after=_UNDER_WAY,
    )
    watched = (record.monitoring, record.no_intervention) if seen.on else (False, True)
    if (seen.boot, seen.monitoring, seen.no_intervention) != (record.boot, *watched):
        step = SetBoot(
            action=Action.UPDATE,
            target=f"boot of server {name}",
            boot=record.boot,
            monitoring=watched[0],
            no_intervention=watched[1],
        )
        return Plan(steps=(step,), outcome=told)
    if seen.on:
        return Plan(
            steps=(ForgetFenced(action=Action.UPDATE, target=f"record of switching off {name}", urn=urn),), outcome=told
        )
    change = f"on {record.at}"
    if seen.rebooting or pending(resource, Asked(_ASKED, change, "", _REBOOT_WITHIN), now):
        return Plan(outcome=told)
    return Plan(steps=(_reboot(name, "starts it", change),), outcome=told)


def _reboot(name: str, does: str, change: str) -> Reboot:
    return Reboot(
        action=Action.UPDATE, target=f"power of server {name} ({does})", disruption=Disruption.RESTART, change=change
    )


def _stays_off(resource: BareMetalServer, cloud: SovereignCloud, record: FencedTag) -> Outcome:
    message = (
        f"server {_name(resource)} was switched off for the outage of {record.outage} and stays off; once it may run again, set"
        f" spec.hosted.fencing.startAgain: {record.outage} on SovereignCloud {where(cloud.key)}"
    )
    told = held(Reason.SERVER_POWERED_OFF, message, available=False)
    again = looks_again(cloud).after
    return Outcome(told.phase, told.reason, told.message, after=again)


def _name(resource: BareMetalServer) -> str:
    return resource.status.service_name or resource.metadata.name


# ---------------------------------------------------------------------------------------------------------- performing


async def perform_power(step: PowerStep, client: Ovh, name: str, now: datetime) -> Outcome:
    match step:
        case RecordFenced():
            await client.tag(step.urn, {FENCED_TAG: step.record.text})
            message = f"server {name} is switched off for the outage of {step.record.outage}"
            return done(Reason.POWERING_OFF_SERVER, message, **{_ASKED: ""})
        case SetBoot():
            await client.power.set_boot(
                name, step.boot, monitoring=step.monitoring, no_intervention=step.no_intervention
            )
            return DONE
        case Reboot():
            await client.power.reboot(name)
            return done(
                Reason.POWER_CYCLED, f"server {name} is rebooted: {step.target}", **{_ASKED: asked(step.change, now)}
            )
        case ForgetFenced():
            await client.untag(step.urn, frozenset({FENCED_TAG}))
            return done(Reason.RESTARTING_SERVER, f"server {name} runs again", **{_ASKED: ""})
