"""Backups, snapshots and restore of a HostedInstance, row by row, and from the request to its end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.unit.kinds import machine_scene
from tests.unit.kinds.machine_scene import (
    CONTROLLER,
    EXTERNAL,
    OURS,
    POWER_CYCLE,
    differences,
    new_instance,
    until_quiet,
)
from tests.unit.kinds.opennebula_in_memory import (
    NOW,
    POWEROFF,
    SETTLED,
    SUSPENDED,
    US,
    OpenNebula,
    World,
    again,
    image,
    look,
    resource,
    vm,
)

from sovereigncloud.core.outcome import Phase
from sovereigncloud.kinds.hostedinstance.storage.backup_schedule import action, rhythm, same
from sovereigncloud.ports.errors import MissingSecret
from sovereigncloud.ports.opennebula.storage import ScheduledAction, VmBackups, VmSnapshot
from sovereigncloud.ports.opennebula.views import Datastore

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
NIGHTLY = "0 2 * * *"
STORE = {"store": "backups"}
SAVED = image(id=60, name="12 27-Nov", type=6, owner=US, mark=OURS, backup_of=12, time=100)
NEWER = image(id=61, name="12 28-Nov", type=6, owner=US, mark=OURS, backup_of=12, time=200)
HAS = {"backups": VmBackups(images=(60, 61))}


def cloud(*things: Any) -> OpenNebula:
    one = machine_scene.cloud(*things)
    one.datastores[100] = Datastore(100, "backups", 3, 0, 10**6, 10**6)
    return one


def instance(spec: dict[str, Any], external: dict[str, str] | None = None, **status: Any) -> Any:
    return machine_scene.instance(spec, status={"external": EXTERNAL | (external or {}), **status})


# ------------------------------------------------------------------------------------------------------ schedules

FITS = [
    ("each day", "0 2 * * *", 3, "24"),
    ("every hour", "30 * * * *", 3, "1"),
    ("every six hours", "0 */6 * * *", 3, "6"),
    ("twice a day, twelve hours apart", "15 2,14 * * *", 3, "12"),
    ("Sundays, as 0", "0 2 * * 0", 0, "0"),
    ("Sundays, as 7", "0 2 * * 7", 0, "0"),
    ("working days", "0 22 * * 1-5", 0, "1,2,3,4,5"),
    ("the first and the fifteenth", "0 3 1,15 * *", 1, "1,15"),
]


@pytest.mark.parametrize(("why", "cron", "repeat", "days"), FITS, ids=[row[0] for row in FITS])
def test_what_opennebula_can_follow(why: str, cron: str, repeat: int, days: str) -> None:
    assert (rhythm(cron).repeat, rhythm(cron).days) == (repeat, days), why
    first = action(cron, 100, NOON)
    later = action(cron, 100, datetime.fromtimestamp(first.time + 1, UTC))
    assert NOON.timestamp() < first.time < later.time
    if repeat == 3:
        assert later.time - first.time == int(days) * 3600, "the next one comes when OpenNebula thinks it does"
    assert same(later, first)


CANNOT = [
    ("two minutes of an hour", "0,30 2 * * *", "one minute"),
    ("hours at other distances", "0 2,3 * * *", "equal distances"),
    ("every five hours, which begins anew at midnight", "0 */5 * * *", "equal distances"),
    ("some months", "0 2 1 1,7 *", "no months"),
    ("two hours on Sundays", "0 2,14 * * 0", "one hour"),
    ("a Friday the thirteenth", "0 2 13 * 5", "not both"),
    ("a day that never comes", "0 2 31 2 *", "no time that ever comes"),
]


@pytest.mark.parametrize(("why", "cron", "says"), CANNOT, ids=[row[0] for row in CANNOT])
async def test_what_it_cannot_follow_is_refused_with_words(why: str, cron: str, says: str) -> None:
    plan = await look(CONTROLLER, instance({"backup": STORE | {"schedule": cron}}), World(rbx=cloud(vm())))
    assert (plan.steps, plan.outcome.phase, plan.outcome.reason) == ((), Phase.STALLED, "InvalidSpec"), why
    assert says in plan.outcome.message
    assert "spec.backup.schedule" in plan.outcome.message
    assert NIGHTLY in plan.outcome.message, "what would be right is said, too"


OTHERS = [
    ("another store", {"args": "101"}),
    ("another hour", {"time": 1_795_000_000 + 3600}),
    ("other days", {"days": "12"}),
    ("another action", {"action": "poweroff"}),
]


@pytest.mark.parametrize(("why", "change"), OTHERS, ids=[row[0] for row in OTHERS])
def test_a_persons_own_schedule_is_not_taken_for_ours(why: str, change: dict[str, Any]) -> None:
    ours = ScheduledAction("backup", "100", 1_795_000_000, 3, "24")
    other = ScheduledAction(
        **{"action": "backup", "args": "100", "time": 1_795_000_000, "repeat": 3, "days": "24"} | change
    )
    assert not same(other, ours), why


# ---------------------------------------------------------------------------------------------------------- plans


@dataclass(frozen=True)
class Row:
    why: str
    spec: dict[str, Any]
    vm: dict[str, Any] = field(default_factory=dict)
    drift: dict[str, tuple[str, str]] = field(default_factory=dict)
    steps: tuple[str, ...] = ()
    external: dict[str, str] = field(default_factory=dict)
    phase: Phase = Phase.DONE
    reason: str = ""
    says: str = ""
    needs: str = ""


def notes(**values: str) -> dict[str, Any]:
    names = {"schedule": "BACKUP_SCHEDULE", "backup": "BACKUP_REQUEST", "snapshot": "SNAPSHOT_REQUEST",
             "restore": "RESTORE_REQUEST"}  # fmt: skip
    return {"notes": {f"SOVEREIGNCLOUD_{names[key]}": value for key, value in values.items()}}


def kept(**more: Any) -> dict[str, Any]:
    return {"backup": STORE | more}


DAILY = kept(schedule=NIGHTLY)
NOTED = notes(schedule=f"9;100;0;{NIGHTLY}") | {"schedules": frozenset({9})}
NOT_SCHEDULED = {"spec.backup.schedule": (NIGHTLY, "not scheduled")}
ASK = kept(request="now")
OURS_OLD, OURS_NEW, THEIRS = (
    VmSnapshot(0, "sovereigncloud-a", 1),
    VmSnapshot(2, "sovereigncloud-b", 3),
    VmSnapshot(1, "x", 2),
)
BACK = {"restore": {"request": "r1"}}
CYCLE = ("NoteRequest asked", "poweroff", "RestoreVm 61:-1:-1", "NoteRequest called", "resume", "NoteRequest done")

ROWS = [
    Row("a store that nobody knows", kept() | {"backup": {"store": "tape"}}, phase=Phase.STALLED, reason="StoreNotFound",
        says="there are: backups"),
    Row("only a store: nothing to do", kept()),
    Row("how many are kept, and how", kept(keepLast=7, mode="Incremental"),
        drift={"spec.backup.keepLast": ("7", "all"), "spec.backup.mode": ("Incremental", "nothing said")},
        steps=("ConfigureBackups",)),
    Row("as declared", kept(keepLast=7, mode="Full"), {"backups": VmBackups(7, "FULL")}),
    Row("somebody changed how many", kept(keepLast=7), {"backups": VmBackups(3, "FULL")},
        {"spec.backup.keepLast": ("7", "3")}, ("ConfigureBackups",)),
    Row("what is not said is left alone", kept(), {"backups": VmBackups(3, "INCREMENT")}),
    # -- schedule
    Row("to be scheduled: noted first, so that a lost number is found again", DAILY, drift=NOT_SCHEDULED,
        steps=("note", "ScheduleBackups -1")),
    Row("noted, and perhaps scheduled", DAILY, notes(schedule=f"-1;100;0;{NIGHTLY}"), NOT_SCHEDULED, ("ScheduleBackups -1",)),
    Row("scheduled, and its number is to be noted", DAILY,
        notes(schedule=f"-1;100;0;{NIGHTLY}") | {"schedules": frozenset({9})}, {}, ("note",), {"backup.schedule": "9"}),
    Row("as scheduled", DAILY, NOTED),
    Row("somebody deleted what was scheduled", DAILY, NOTED | {"schedules": frozenset()}, NOT_SCHEDULED,
        ("note", "ScheduleBackups -1")),
    Row("another time: changed in place", kept(schedule="0 4 * * *"), NOTED,
        {"spec.backup.schedule": ("0 4 * * *", NIGHTLY)}, ("ScheduleBackups 9", "note")),
    Row("another store: changed in place", DAILY, notes(schedule=f"9;1;0;{NIGHTLY}") | {"schedules": frozenset({9})},
        {"spec.backup.store": ("backups", "default")}, ("ScheduleBackups 9", "note")),
    Row("no schedule any more: ours is taken away", kept(), NOTED, {"spec.backup.schedule": ("absent", NIGHTLY)},
        ("UnscheduleBackups",)),
    Row("what a person scheduled stays", kept(), {"schedules": frozenset({9})}),
    Row("without spec.backup nothing is touched", {}, NOTED),
    # -- one now
    Row("asked for: remembered before the call", ASK,
        steps=("NoteRequest asked", "BackUp", "NoteRequest called")),
    Row("remembered, and perhaps called: it is called (again)", ASK, notes(backup="asked now -1:-1 - off 0"),
        steps=("BackUp", "NoteRequest called")),
    Row("remembered, and there is a backup that was not there then: it was called", ASK,
        notes(backup="asked now -1:-1 - off 0") | {"backups": VmBackups(images=(60,))}, steps=("NoteRequest done",)),
    Row("an increment more is a backup, too", ASK,
        notes(backup="called now 60:3 - off 0") | {"backups": VmBackups(images=(60,), increment=4)}, steps=("NoteRequest done",)),
    Row("called, and it runs", ASK, notes(backup="called now -1:-1 - off 0") | {"at": (3, 69)}, phase=Phase.WAITING,
        reason="BackingUp"),
    Row("called a moment ago: oned may still show what was before", ASK,
        notes(backup=f"called now -1:-1 - off {int(NOW.timestamp())}")),
    Row("called, and nothing came of it", ASK, notes(backup="called now -1:-1 - off 0"), steps=("NoteRequest failed",)),
    Row("done: never again for this word", ASK, notes(backup="done now -1:-1 - off 0") | {"backups": VmBackups(images=(60,))}),
    Row("failed: a person asks with a new word", ASK, notes(backup="failed now -1:-1 - off 0")),
    Row("a new word", kept(request="again"), notes(backup="done now -1:-1 - off 0") | {"backups": VmBackups(images=(60,))},
        steps=("NoteRequest asked", "BackUp", "NoteRequest called")),
    Row("a suspended machine is backed up when it can be", ASK, {"at": SUSPENDED}),
    Row("a note that nobody can read is none", ASK, notes(backup="rubbish"),
        steps=("NoteRequest asked", "BackUp", "NoteRequest called")),
    # -- snapshots
    Row("a snapshot", {"snapshot": {"request": "a"}}, steps=("NoteRequest asked", "TakeSnapshot sovereigncloud-a")),
    Row("perhaps asked for", {"snapshot": {"request": "a"}}, notes(snapshot="asked a - - off 0"),
        steps=("TakeSnapshot sovereigncloud-a",)),
    Row("taken", {"snapshot": {"request": "a"}}, notes(snapshot="asked a - - off 0") | {"snapshots": (OURS_OLD,)},
        steps=("NoteRequest done",)),
    Row("done, and somebody deleted it: never again for this word", {"snapshot": {"request": "a"}},
        notes(snapshot="done a - - off 0")),
    Row("more than are to be kept: the oldest of ours goes, a person's stays", {"snapshot": {"request": "b", "keepLast": 1}},
        notes(snapshot="done b - - off 0") | {"snapshots": (OURS_OLD, THEIRS, OURS_NEW)}, steps=("DeleteSnapshot 0",)),
    Row("as many as are to be kept", {"snapshot": {"request": "b", "keepLast": 2}},
        notes(snapshot="done b - - off 0") | {"snapshots": (OURS_OLD, THEIRS, OURS_NEW)}),
    Row("it waits until the machine runs", {"snapshot": {"request": "a"}}, {"at": POWEROFF}),
    Row("never of a machine that is backed up incrementally", {"snapshot": {"request": "a"}},
        {"backups": VmBackups(mode="INCREMENT")}, phase=Phase.STALLED, reason="SnapshotNotPossible",
        says="spec.backup.mode: Full"),
    # -- restore
    Row("a machine that is off: the last backup", BACK, HAS | {"at": POWEROFF},
        steps=("NoteRequest asked", "RestoreVm 61:-1:-1", "NoteRequest called", "NoteRequest done")),
    Row("one that runs needs consent", BACK, HAS, steps=CYCLE, needs="spec.updatePolicy.powerCycle: Allow"),
    Row("with consent: powered off, restored, started again", BACK | POWER_CYCLE, HAS, steps=CYCLE),
    Row("a suspended one must be started or off", BACK, HAS | {"at": SUSPENDED},
        steps=("NoteRequest asked", "RestoreVm 61:-1:-1", "NoteRequest called", "NoteRequest done"), needs="spec.power: Running"),
    Row("a backup by its name, one disk, one increment",
        {"restore": {"request": "r1", "backup": "12 27-Nov", "increment": 2, "disk": "root"}}, HAS | {"at": POWEROFF},
        steps=("NoteRequest asked", "RestoreVm 60:2:0", "NoteRequest called", "NoteRequest done")),
    Row("no such backup", {"restore": {"request": "r1", "backup": "x"}}, HAS, phase=Phase.STALLED, reason="BackupNotFound",
        says='"12 27-Nov", "12 28-Nov"'),
    Row("no backup at all", BACK, phase=Phase.STALLED, reason="BackupNotFound", says="none"),
    Row("no such disk", {"restore": {"request": "r1", "disk": "x"}}, HAS, phase=Phase.STALLED, reason="InvalidSpec",
        says="spec.restore.disk"),
    Row("begun and powered off: nothing starts it in between", BACK | {"power": "Running"},
        HAS | {"at": POWEROFF} | notes(restore="asked r1 61:-1:-1 - ran 0"),
        {"spec.power": ("Running", "PoweredOff")},
        ("RestoreVm 61:-1:-1", "NoteRequest called", "resume", "NoteRequest done")),
    Row("begun, and not off yet", BACK, HAS | notes(restore="asked r1 61:-1:-1 - ran 0"),
        steps=("poweroff", "RestoreVm 61:-1:-1", "NoteRequest called", "resume", "NoteRequest done")),
    Row("called, and under way", BACK, HAS | {"at": (3, 71)} | notes(restore="called r1 61:-1:-1 - ran 0"), phase=Phase.WAITING,
        reason="Restoring"),
    Row("restored: started again", BACK, HAS | {"at": POWEROFF} | notes(restore="called r1 61:-1:-1 - ran 0"),
        steps=("resume", "NoteRequest done")),
    Row("restored, and it was off before", BACK, HAS | {"at": POWEROFF} | notes(restore="called r1 61:-1:-1 - off 0"),
        steps=("NoteRequest done",)),
    Row("it came to nothing: told, and started again", BACK,
        HAS | {"at": POWEROFF, "error": "Sat Nov 28: no space"} | notes(restore="called r1 61:-1:-1 - ran 0"),
        steps=("resume", "NoteRequest failed")),
    Row("done: never again for this word", BACK, HAS | notes(restore="done r1 61:-1:-1 - ran 0")),
    Row("what was begun is ended, whatever spec says meanwhile", {},
        HAS | {"at": POWEROFF} | notes(restore="called r1 61:-1:-1 - ran 0"), steps=("resume", "NoteRequest done")),
    Row("a note of an owner that names another machine's backup restores nothing", BACK,
        HAS | {"at": POWEROFF} | notes(restore="asked r1 99:-1:-1 - ran 0"), steps=("NoteRequest failed",)),
    Row("nor does one that says no number", BACK, HAS | {"at": POWEROFF} | notes(restore="asked r1 x - ran 0"),
        steps=("NoteRequest failed",)),
]  # fmt: skip

WORDS: dict[str, Callable[[Any], str]] = {
    "ActOnVm": lambda step: step.verb,
    "NoteOnVm": lambda _: "note",
    "NoteRequest": lambda step: f"NoteRequest {step.asked.state}",
    "ScheduleBackups": lambda step: f"ScheduleBackups {step.number}",
    "TakeSnapshot": lambda step: f"TakeSnapshot {step.name}",
    "DeleteSnapshot": lambda step: f"DeleteSnapshot {step.snapshot}",
    "RestoreVm": lambda step: f"RestoreVm {step.image}:{step.increment}:{step.disk}",
}


def told(step: Any) -> str:
    name = type(step).__name__
    return WORDS.get(name, lambda _: name)(step)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.why)
async def test_what_is_kept_of_a_machine(row: Row) -> None:
    wanted = instance(row.spec, row.external, **SETTLED)
    plan = await look(CONTROLLER, wanted, World(rbx=cloud(vm(**row.vm), SAVED, NEWER)))

    assert differences(plan) == row.drift, row.why
    assert tuple(told(step) for step in plan.steps) == row.steps, row.why
    assert {step.needs for step in plan.steps} - {""} == ({row.needs} if row.needs else set()), row.why
    assert (plan.outcome.phase, plan.outcome.reason) == (row.phase, row.reason), (row.why, plan.outcome.message)
    assert row.says in plan.outcome.message, row.why


async def test_a_backup_that_opennebula_made_is_marked_and_one_of_another_user_is_not() -> None:
    made, theirs = image(id=60, type=6, owner=US, backup_of=12), image(id=61, type=6, owner=9, backup_of=12)
    plan = await look(CONTROLLER, instance(kept()), World(rbx=cloud(vm(**HAS), made, theirs)))
    assert [(type(step).__name__, getattr(step, "image", None)) for step in plan.steps] == [("MarkBackup", 60)]


async def test_only_what_needs_the_administrator_says_so() -> None:
    seen: dict[str, bool] = {}
    for row in ROWS:
        plan = await look(CONTROLLER, instance(row.spec, row.external), World(rbx=cloud(vm(**row.vm), SAVED, NEWER)))
        seen |= {type(step).__name__: getattr(step, "by_administrator", False) for step in plan.steps}
    assert {name for name, by_administrator in seen.items() if by_administrator} == {"BackUp", "RestoreVm"}


# ---------------------------------------------------------------------------------------------- from begin to end


def written(front: OpenNebula, *verbs: str) -> list[tuple[Any, ...]]:
    return [entry for entry in front.journal if entry[0] in verbs]


@pytest.mark.parametrize(
    "lost", ["", "back_up", "schedule", "take_snapshot", "restore", "update_vm", "configure_backups"]
)
async def test_a_life_with_backups_whatever_is_lost(lost: str) -> None:
    front = cloud()
    world = World(rbx=front)
    web = await until_quiet(new_instance(POWER_CYCLE), world, front)
    number = int(web.external["vm"])
    front.lost = {lost}
    plan = {"store": "backups", "schedule": NIGHTLY, "keepLast": 2}
    web = await until_quiet(again(web, {"backup": plan}), world, front)
    assert len(front.storage.actions[number]) == 1, "scheduled once"
    for word in ("one", "two", "three"):
        front.lost = {lost}
        web = await until_quiet(again(web, {"backup": plan | {"request": word}}), world, front)
    assert len(written(front, "back_up")) == 3, "one backup for each word"
    assert [one.name for one in web.status.backups] == [
        front.images[n].name for n in reversed(front.vms[number].backups.images)
    ]
    assert len(web.status.backups) == 2
    assert web.status.requests.backup.state == "Done"

    front.lost = {lost}
    web = await until_quiet(again(web, {"snapshot": {"request": "s1", "keepLast": 1}}), world, front)
    front.lost = {lost}
    web = await until_quiet(again(web, {"snapshot": {"request": "s2", "keepLast": 1}}), world, front)
    assert [one.name for one in web.status.snapshots] == ["sovereigncloud-s2"]

    front.lost = {lost}
    web = await until_quiet(again(web, {"restore": {"request": "r"}}), world, front)
    restored = {entry[1:] for entry in written(front, "restore")}
    assert restored == {(number, max(front.vms[number].backups.images), -1, -1)}
    assert (web.status.requests.restore.state, front.vms[number].lcm_state) == ("Done", 3)

    web = await until_quiet(again(web, {"backup": {"store": "backups", "schedule": "0 */6 * * *"}}), world, front)
    assert [one.days for one in front.storage.actions[number]] == ["6"]
    rebuilt = resource("HostedInstance", "web", web.spec.model_dump(by_alias=True, exclude_none=True), uid="uid-2")
    journal = len(front.journal)
    await until_quiet(rebuilt, world, front)
    assert {entry[0] for entry in front.journal[journal:]} <= {"update_vm", "update_image"}, "only marked anew"


async def test_what_comes_to_nothing_is_told_and_not_tried_again() -> None:
    front = cloud()
    world = World(rbx=front)
    front.storage.fails = {"back_up"}
    web = await until_quiet(new_instance(), world, front)
    seen: set[str] = set()
    web = await until_quiet(again(web, {"backup": STORE | {"request": "one"}}), world, front, seen)
    assert "BackupFailed" in seen
    assert (web.status.requests.backup.request, web.status.requests.backup.state) == ("one", "Failed")
    assert len(written(front, "back_up")) == 1


async def test_keys_come_from_spec_and_from_a_secret_that_is_guarded() -> None:
    front = cloud()
    world = World(rbx=front)
    world.secrets["keys"] = {"authorized_keys": "# mine\nssh-ed25519 BBBB you\n\nssh-ed25519 AAAA me\n", "other": "x"}
    spec = {"sshAuthorizedKeys": ["ssh-ed25519 AAAA me"], "sshAuthorizedKeysSecretRef": {"name": "keys"}}
    wanted = new_instance(spec)
    assert [use.name for use in CONTROLLER.uses(wanted).secrets] == ["keys"]
    await until_quiet(wanted, world, front)
    (made,) = written(front, "create_vm")
    assert made[1]["CONTEXT"]["SSH_PUBLIC_KEY"] == "ssh-ed25519 AAAA me\nssh-ed25519 BBBB you"


async def test_a_key_of_a_secret_that_opennebula_would_fill_in_is_refused_without_being_told() -> None:
    front = cloud()
    world = World(rbx=front)
    world.secrets["keys"] = {"authorized_keys": "ssh-ed25519 AAAA $USER[TOKEN]\n"}
    wanted = new_instance({"sshAuthorizedKeysSecretRef": {"name": "keys"}})
    with pytest.raises(MissingSecret, match=r"holds a public key with a \$") as refusal:
        await until_quiet(wanted, world, front)
    assert "TOKEN" not in str(refusal.value)
    assert not written(front, "create_vm")


DAY = 86400
SCHEDULED_AT = int(NOW.timestamp()) - 10 * DAY
CONDITIONS = [
    ("a backup of last night", 10 * 3600, {}, "True"),
    ("none since the day before", DAY + 20 * 3600, {}, "False"),
    ("last night's, made late", 21 * 3600, {}, "True"),
    ("no backup at all, scheduled long ago", None, {}, "False"),
    ("nothing is scheduled there any more", 10 * 3600, {"schedules": frozenset()}, None),
]


@pytest.mark.parametrize(("why", "age", "machine", "status"), CONDITIONS, ids=[row[0] for row in CONDITIONS])
async def test_a_scheduled_backup_that_is_not_there_is_told(
    why: str, age: int | None, machine: dict[str, Any], status: str | None
) -> None:
    made = () if age is None else (image(id=60, type=6, owner=US, mark=OURS, time=int(NOW.timestamp()) - age),)
    found = notes(schedule=f"9;100;{SCHEDULED_AT};{NIGHTLY}") | {"schedules": frozenset({9})} | machine
    front = cloud(vm(**found, backups=VmBackups(images=tuple(one.id for one in made))), *made)
    observed = await CONTROLLER.observe(wanted := instance(DAILY), World(rbx=front))
    told = {one["type"]: one for one in CONTROLLER.status(wanted, observed)["conditions"]}
    assert (told["BackedUp"]["status"] if "BackedUp" in told else None) == status, why
