"""Verification, suite API: when a run begins, what each check says, what is done next, and what is told of it."""

import asyncio
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.unit.kinds.opennebula_in_memory import RUNNING, image, network, vm
from tests.unit.kinds.sovereigncloud.test_plan import Scene, hosted

from sovereigncloud.api import SovereignCloud
from sovereigncloud.api.common.base import PAUSED, Management
from sovereigncloud.api.common.reasons import Reason
from sovereigncloud.core.conditions import conditions
from sovereigncloud.core.identity import Mark, mark_from_opennebula
from sovereigncloud.core.outcome import DONE, Phase, waiting
from sovereigncloud.core.plan import Action, Plan, Step
from sovereigncloud.core.policy import Policy, decide
from sovereigncloud.kinds.planning.schedule import ScheduleError, next_run
from sovereigncloud.kinds.sovereigncloud.verification.checks import LIMIT, MOST_OF_A_KIND, SETTLES, wanted_checks
from sovereigncloud.kinds.sovereigncloud.verification.plan import (
    AT_ONCE,
    Seen,
    plan_last_probes,
    verification_fields,
    with_verification,
)
from sovereigncloud.kinds.sovereigncloud.verification.records import (
    NOTE,
    Record,
    attribute_of,
    probe_note,
    probes_of,
    read_record,
)
from sovereigncloud.kinds.sovereigncloud.verification.steps import (
    FACT,
    EndProbe,
    StartProbe,
    WriteRecord,
    perform_verification,
)
from sovereigncloud.ports.errors import Quota, Retry
from sovereigncloud.ports.opennebula.views import AddressRange, CloudView, Datastore, Front, Host

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)  # a Tuesday
UNIX = int(NOON.timestamp())
MARK = Mark("inst-1", "SovereignCloud/platform/paris", "uid-1")
US = 2
EXISTING = {"endpoint": "https://one.example.fr/RPC2", "credentialsSecretRef": {"name": "one"}}
PENDING, BOOTING, BOOT_FAILURE, LOST, ENDING, PROLOG = (1, 0), (3, 2), (3, 36), (3, 16), (3, 12), (3, 1)


def host(number, name, state=2):
    return Host(number, name, state, 0, "kvm", "kvm", 0, 800, 1 << 24, None)


def cloud(verification=None, status=None, *, annotations=None, **spec):
    spec = {"existing": EXISTING, **({"verification": verification} if verification else {}), **spec}
    meta = {"name": "paris", "namespace": "platform", "uid": "uid-1", "generation": 1}
    meta |= {"annotations": annotations or {}}
    return SovereignCloud.model_validate({"metadata": meta, "spec": spec, "status": status or {}})


class EndError(Exception):
    """The process ends here."""


class Outside:
    """A small cloud: two hosts, two networks, one image; time passes when it is told to."""

    def __init__(self):
        self.now = NOON
        self.version = "7.0.1"
        self.notes = {}
        self.hosts = {1: host(1, "one-1"), 2: host(2, "one-2")}
        self.networks = {3: network(), 4: network(id=4, name="dmz")}
        self.images = {7: image(size=200), 8: image(id=8, name="big")}
        self.datastores = {0: Datastore(0, "system", 1, 0, 0, 0), 1: Datastore(1, "default", 0, 0, 1000, 500)}
        self.vms = {}
        self.made = []
        self.ended = []
        self.faults = {}
        self.boots = True
        self.writes = 0
        self.ends_at = None
        self.most = 0

    def seen(self, mark=MARK):
        alive = {i: v for i, v in self.vms.items() if v.state != 6}
        view = CloudView(0.0, alive, self.networks, self.images, self.hosts, self.datastores, owner=US)
        return Seen(self.now, mark, Front(self.version, 0, "OpenNebula", US, dict(self.notes)), view)

    def record(self):
        return read_record(self.notes, MARK)

    def remember(self, **fields):
        self.notes[attribute_of(MARK)] = Record(**{"suite": "API", **fields}).text

    def probe(self, check, *, run=UNIX, age=10, at=RUNNING, **fields):
        number = 100 + len(self.vms)
        note = probe_note(run, int(self.now.timestamp()) - age, check)
        made = vm(id=number, name="probe", mark=MARK, notes={NOTE: note}, at=at, owner=US, **fields)
        self.vms[number] = made
        return made

    def pass_(self, seconds=5):
        self.now += timedelta(seconds=seconds)
        for number, one in list(self.vms.items()):
            if (one.state, one.lcm_state) == PENDING and self.boots:
                self.vms[number] = replace(one, state=3, lcm_state=3, host="one-1")
            elif (one.state, one.lcm_state) == ENDING:
                self.vms[number] = replace(one, state=6, lcm_state=0)

    # -- the verbs

    def _fault(self, verb, effect):
        fault, self.writes = self.faults.pop(verb, None), self.writes + 1
        if self.ends_at is not None and self.writes > self.ends_at[0]:
            _, done = self.ends_at
            self.ends_at = None
            if done:
                effect()
            raise EndError
        if fault is not None and not isinstance(fault, str):
            raise fault
        result = effect()
        if fault == "lost":
            raise Retry("timed out")
        return result

    async def create_vm(self, template):
        def effect():
            number = 500 + len(self.made)
            self.made.append(template)
            self.vms[number] = vm(
                id=number, name=template["NAME"], mark=mark_from_opennebula(template), owner=US, at=PENDING, host="",
                notes={NOTE: template[NOTE]},
            )  # fmt: skip
            self.most = max(self.most, sum(v.state != 6 for v in self.vms.values()))
            return number

        return self._fault("create_vm", effect)

    async def act(self, vm_id, action):
        assert action == "terminate-hard"

        def effect():
            self.ended.append(vm_id)
            self.vms[vm_id] = replace(self.vms[vm_id], state=3, lcm_state=12)

        self._fault("act", effect)

    async def give_up_vm(self, vm_id):
        self.ended.append(vm_id)
        self.vms[vm_id] = replace(self.vms[vm_id], state=6, lcm_state=0)

    async def update_zone(self, zone_id, attributes):
        self._fault("update_zone", lambda: self.notes.update(attributes))


class Story:
    """What the loop does to one cloud, with a status that may be lost."""

    def __init__(self, outside, verification, **spec):
        self.outside, self.verification, self.spec, self.status = outside, verification, spec, {}
        self.verdicts = []

    @property
    def cloud(self):
        return cloud(self.verification, self.status, **self.spec)

    async def open_nebula(self, _):
        return self.outside

    def mark(self, _):
        return MARK

    def look(self):
        """Once through the loop."""
        resource, seen = self.cloud, self.outside.seen()
        plan = with_verification(resource, seen, Plan())
        fields, own = verification_fields(resource, seen)
        facts = dict(plan.outcome.facts)
        for step in plan.steps:
            try:
                outcome = asyncio.run(perform_verification(step, resource, self))
            except Retry:
                break
            except EndError:
                return
            facts |= outcome.facts
            if outcome.after is not None:
                break
        external = {**(self.status.get("external") or {}), **facts}
        self.status = {
            "verification": {k: v for k, v in fields.items() if v is not None},
            "external": {k: v for k, v in external.items() if v},
            "conditions": own,
        }
        self.verdicts.append((own[0]["status"], own[0]["reason"]))

    def until_over(self, looks=200):
        for _ in range(looks):
            self.look()
            if self.outside.record().ended and not self.outside.seen().probes:
                self.look()
                return self
            self.outside.pass_()
        raise AssertionError(self.status)

    @property
    def results(self):
        return {c["name"]: c["result"] for c in self.status["verification"]["checks"]}

    def message(self, name):
        return next(c["message"] for c in self.status["verification"]["checks"] if c["name"] == name)

    @property
    def verified(self):
        (found,) = self.status["conditions"]
        return found["status"], found["reason"], found["message"]


ALL = {
    "CoreVersion", "HostsMonitored", "DatastoresHaveSpace", "NetworksHaveLeases", "VMOnHost/one-1", "VMOnHost/one-2",
    "VMOnNetwork/lan", "VMOnNetwork/dmz",
}  # fmt: skip

# --- stories -----------------------------------------------------------------------------------------------------------


def test_from_a_word_in_spec_to_a_verdict_and_nothing_is_left():
    outside = Outside()
    story = Story(outside, {"request": "first"}).until_over()
    assert story.results == dict.fromkeys(ALL, "Passed")
    assert story.verified[:2] == ("True", "VerificationPassed")
    assert story.verdicts[0] == ("Unknown", "VerificationPending")
    assert len(outside.made) == 4
    assert outside.most <= AT_ONCE
    assert not outside.seen().probes
    pinned = [t.get("SCHED_REQUIREMENTS") for t in outside.made]
    assert pinned == ['ID="1"', 'ID="2"', None, None]
    assert [t.get("NIC") for t in outside.made] == [None, None, [{"NETWORK_ID": "3"}], [{"NETWORK_ID": "4"}]]
    assert {t["DISK"][0]["IMAGE_ID"] for t in outside.made} == {"7"}, "the smallest image"
    assert all(t["SCHED_ACTION"][0]["ACTION"] == "terminate-hard" for t in outside.made)
    told = story.status["verification"]
    assert (told["request"], told["startedAt"]) == ("first", "2026-11-24T12:00:00Z")
    assert told["finishedAt"] > told["startedAt"]


def test_the_same_word_never_asks_twice_not_even_after_another_or_in_a_rebuilt_cluster():
    outside = Outside()
    story = Story(outside, {"request": "first"}).until_over()
    story.verification = {"request": "second"}
    story.until_over()
    made = len(outside.made)
    for word in ("first", "second"):
        rebuilt = Story(outside, {"request": word})
        rebuilt.look()
        rebuilt.look()
        assert len(outside.made) == made
        assert rebuilt.verified[:2] == ("True", "VerificationPassed"), "the zone's template says what came of it"


def test_a_few_machines_at_once():
    outside = Outside()
    outside.hosts = {n: host(n, f"h{n}") for n in range(1, 3 * AT_ONCE)}
    Story(outside, {"request": "first"}).until_over()
    assert len(outside.made) == 3 * AT_ONCE - 1 + 2
    assert outside.most == AT_ONCE


def test_a_word_asks_for_a_verdict_of_now():
    story = Story(Outside(), {"request": "first"}).until_over()
    story.verdicts.clear()
    story.verification = {"request": "second"}
    story.look()
    story.look()
    assert story.verdicts == [("Unknown", "VerificationPending"), ("Unknown", "Verifying")]
    story.until_over()
    assert story.verified[0] == "True"


@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("write", range(10))
def test_wherever_the_operator_ends_nothing_is_left_and_no_word_asks_twice(write, done):
    """The record, four machines, four endings, the record: at each the process ends, and what it would have told is lost."""
    outside, began = Outside(), set()
    outside.ends_at = (write, done)
    story = Story(outside, {"request": "first"})
    for _ in range(200):
        story.look()
        began.add(outside.record().began)
        if outside.record().ended and not outside.seen().probes:
            break
        outside.pass_()
    story.look()
    assert outside.ends_at is None
    assert story.verified[:2] == ("True", "VerificationPassed")
    assert len(began - {0}) == 1, "one run"
    assert not outside.seen().probes
    assert len(outside.made) == 4, "no check was made twice"


@pytest.mark.parametrize("verb", ["create_vm", "act", "update_zone"])
def test_a_lost_answer_leaves_nothing(verb):
    outside = Outside()
    story = Story(outside, {"request": "first"})
    if verb != "update_zone":
        story.look()
    outside.faults[verb] = "lost"
    story.until_over()
    assert story.verified[0] == "True"
    assert len(outside.made) == 4
    assert not outside.seen().probes


def test_a_second_machine_of_a_check_that_came_late_is_ended():
    outside = Outside()
    outside.remember(request="first", began=UNIX, asked=("first",))
    one, late = (outside.probe("VMOnHost/one-1", at=PENDING) for _ in range(2))
    story = Story(outside, {"request": "first"}).until_over()
    assert outside.ended[0] == late.id
    assert one.id in outside.ended
    assert story.verified[0] == "True"


def test_leftovers_of_an_earlier_run_are_ended_also_where_nobody_asks_for_a_verification():
    for wish in ({"request": "first"}, None):
        outside = Outside()
        outside.remember(request="first", began=UNIX, ended=UNIX + 5, verdict="Passed", asked=("first",))
        left = outside.probe("VMOnHost/one-1", run=UNIX - 1000)
        plan = with_verification(cloud(wish), outside.seen(), Plan())
        assert [s.vm for s in plan.steps] == [left.id]


def test_a_broken_host_is_named_and_no_machine_waits_for_it():
    outside = Outside()
    outside.hosts[2] = host(2, "one-2", state=3)
    story = Story(outside, {"request": "first"}).until_over()
    assert story.verified[:2] == ("False", "VerificationFailed")
    assert "one-2" in story.verified[2]
    failed = {name for name, result in story.results.items() if result == "Failed"}
    assert failed == {"HostsMonitored", "VMOnHost/one-2"}
    assert len(outside.made) == 3


def test_a_machine_that_does_not_run_in_time_fails_its_check_and_is_ended():
    outside = Outside()
    outside.boots = False
    story = Story(outside, {"request": "first"})
    story.look()
    story.look()
    for number, one in outside.vms.items():
        outside.vms[number] = replace(one, scheduler_message="Not enough MEMORY on hosts: 1,2")
    story.until_over()
    assert story.verified[0] == "False"
    assert f"not running after {LIMIT} seconds" in story.message("VMOnHost/one-1")
    assert "Not enough MEMORY" in story.message("VMOnHost/one-1")
    assert outside.now - NOON < timedelta(seconds=2 * LIMIT)


def test_a_refusal_is_what_a_check_is_to_find_out():
    outside = Outside()
    story = Story(outside, {"request": "first"})
    story.look()
    outside.faults["create_vm"] = Quota("limit of 4 reached for VMS quota")
    story.until_over()
    failed = [name for name, result in story.results.items() if result == "Failed"]
    assert failed == ["VMOnHost/one-1"]
    assert "limit of 4 reached" in story.verified[2]
    assert FACT not in story.status["external"], "forgotten with the next step that goes well"


def test_what_is_switched_off_is_skipped_with_its_justification():
    outside = Outside()
    off = [
        {"check": "VMOnNetwork", "justification": "no spare address in dmz until January"},
        {"check": "VMOnHost/one-2", "justification": "its memory is being replaced"},
    ]
    story = Story(outside, {"request": "first", "disabled": off}).until_over()
    assert story.results["VMOnNetwork/lan"] == story.results["VMOnHost/one-2"] == "Skipped"
    assert story.message("VMOnHost/one-2") == "disabled in spec: its memory is being replaced"
    assert story.verified[0] == "True"
    assert "no spare address" in story.verified[2]
    assert len(outside.made) == 1


def test_nothing_but_skipped_checks_verify_nothing():
    outside = Outside()
    names = ["CoreVersion", "HostsMonitored", "DatastoresHaveSpace", "NetworksHaveLeases", "VMOnHost", "VMOnNetwork"]
    off = [{"check": name, "justification": "a drill"} for name in names]
    story = Story(outside, {"request": "first", "disabled": off}).until_over()
    assert story.verified[:2] == ("Unknown", "NotVerified")


def test_by_its_schedule_a_cloud_stays_verified_until_it_turns_out_not_to_be():
    outside = Outside()
    story = Story(outside, {"request": "first", "schedule": "30 12 * * *"}).until_over()
    assert story.status["verification"]["nextRun"] == "2026-11-24T12:30:00Z"
    outside.pass_(1800)
    outside.hosts[1] = host(1, "one-1", state=8)
    story.verdicts.clear()
    story.look()
    story.until_over()
    assert story.verdicts[0] == ("True", "VerificationPassed")
    assert {status for status, _ in story.verdicts} == {"True", "False"}
    assert "host one-1 is offline" in story.verified[2]
    assert "request" not in story.status["verification"]
    assert story.status["verification"]["nextRun"] == "2026-11-25T12:30:00Z"


def test_a_time_that_was_missed_is_caught_up_once():
    outside = Outside()
    story = Story(outside, {"schedule": "30 12 * * *"})
    story.look()
    assert story.verified[:2] == ("Unknown", "VerificationPending")
    outside.pass_(3 * 86400)
    story.until_over()
    assert story.verified[0] == "True"
    began = outside.record().began
    for _ in range(5):
        outside.pass_()
        story.look()
    assert outside.record().began == began


# --- what holds a run back -----------------------------------------------------------------------------------------------

BUILDING = Plan(outcome=waiting(Reason.WAITING_FOR_SERVERS, "server one-1"))
WORKING = Plan(steps=(Step(action=Action.UPDATE, target="x"),))
BROKEN = Plan(outcome=waiting(Reason.HOST_NOT_MONITORED, "host 1", available=True))


@pytest.mark.parametrize(
    ("why", "spec", "annotations", "declared", "before", "begins"),
    [
        ("as declared", {}, {}, Plan(), {}, True),
        ("the first one waits until the cloud is built", {}, {}, BUILDING, {}, False),
        ("the first one waits for what is to be done", {}, {}, WORKING, {}, False),
        ("a later one does not wait until a host is mended", {}, {}, BROKEN, {"began": 5, "ended": 6}, True),
        ("observing writes nothing", {"management": "Observe"}, {}, Plan(), {}, False),
        ("a paused cloud is left alone", {}, {PAUSED: "true"}, Plan(), {}, False),
        ("one is under way", {}, {}, Plan(), {"request": "zero", "began": UNIX, "asked": ("zero",)}, False),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)
def test_a_run_begins(why, spec, annotations, declared, before, begins):
    outside = Outside()
    if before:
        outside.remember(**before)
    resource = cloud({"request": "first"}, annotations=annotations, **spec)
    plan = with_verification(resource, outside.seen(), declared)
    records = [s for s in plan.steps if isinstance(s, WriteRecord)]
    assert bool(records) == begins, why
    if begins:
        (step,) = records
        assert (step.record.request, step.record.began, step.record.ended) == ("first", UNIX, 0)
        assert "first" in step.record.asked
    held = bool(spec or annotations)
    if held:
        assert plan == declared
        (told,) = verification_fields(resource, outside.seen())[1]
        assert (told["status"], told["reason"]) == ("Unknown", "NotActing")


def test_while_a_run_is_held_nothing_is_judged_by_time():
    outside = Outside()
    outside.remember(request="first", began=UNIX - 5000, asked=("first",))
    outside.probe("VMOnHost/one-1", run=UNIX - 5000, age=4000, at=PENDING)
    resource = cloud({"request": "first"}, annotations={PAUSED: "true"})
    fields, (told,) = verification_fields(resource, outside.seen())
    assert fields["checks"] is None
    assert "under way" in told["message"]
    assert PAUSED in told["message"]


@pytest.mark.parametrize(
    ("management", "paused", "main", "done"),
    [
        (Management.MANAGE, False, (), True),
        (Management.APPROVE, False, (), True),
        (Management.OBSERVE, False, (), False),
        (Management.MANAGE, True, (), False),
        (Management.MANAGE, False, (Step(action=Action.CREATE, target="host"),), False),
        (Management.APPROVE, False, (Step(action=Action.CREATE, target="host"),), True),
    ],
)
def test_what_is_beside_needs_no_approval_and_waits_for_what_is_declared(management, paused, main, done):
    beside = Step(action=Action.CREATE, target="VM", beside="verification")
    decision = decide(Plan(steps=(*main, beside)), Policy(management=management, paused=paused))
    assert (beside in decision.steps) == done
    assert beside not in decision.published


# --- the checks ------------------------------------------------------------------------------------------------------------


def _change(**fields):
    def change(outside):
        for name, value in fields.items():
            setattr(outside, name, value)

    return change


def _machine(check, **fields):
    return lambda outside: outside.probe(check, **fields)


FULL = network(ranges=(AddressRange("10.0.0.5", 5, 0),), used_leases=5)
ON_1, ON_LAN = "VMOnHost/one-1", "VMOnNetwork/lan"

CHECKS = [
    ("a version that answers", _change(), "CoreVersion", "Passed", "7.0.1 answers as zone 0"),
    ("an old one", _change(version="6.10.0"), "CoreVersion", "Failed", "older than 7.0"),
    ("none", _change(version="?"), "CoreVersion", "Failed", "no version"),
    ("all monitored", _change(), "HostsMonitored", "Passed", "2 hosts"),
    ("no host", _change(hosts={}), "HostsMonitored", "Failed", "no host"),
    ("a host in error", _change(hosts={1: host(1, "one-1", 3)}), "HostsMonitored", "Failed", "one-1 is error"),
    ("a host that is new", _change(hosts={1: host(1, "one-1", 0)}), "HostsMonitored", "Running", "one-1 is init"),
    ("datastores", _change(), "DatastoresHaveSpace", "Passed", "2 datastores"),
    ("a full one", _change(datastores={1: Datastore(1, "default", 0, 0, 10, 0)}), "DatastoresHaveSpace", "Running", "full"),
    ("a disabled one", _change(datastores={1: Datastore(1, "d", 1, 1, 9, 9)}), "DatastoresHaveSpace", "Running", "disabled"),
    ("no size yet", _change(datastores={1: Datastore(1, "d", 0, 0, 0, 0)}), "DatastoresHaveSpace", "Running", "not monitored"),
    ("networks", _change(), "NetworksHaveLeases", "Passed", "2 networks"),
    ("no network", _change(networks={}), "NetworksHaveLeases", "Skipped", "no network"),
    ("no lease", _change(networks={3: FULL}), "NetworksHaveLeases", "Failed", "no free lease"),
    ("a new network", _change(networks={3: network(state=2)}), "NetworksHaveLeases", "Running", "not ready"),
    ("no machine yet", _change(), ON_1, "Pending", ""),
    ("a disabled host", _change(hosts={1: host(1, "one-1", 4)}), ON_1, "Failed", "disabled: no machine can run"),
    ("it runs", _machine(ON_1), ON_1, "Passed", "ran on host one-1"),
    ("it runs, late", _machine(ON_1, age=5000), ON_1, "Passed", "ran"),
    ("it boots", _machine(ON_1, at=BOOTING), ON_1, "Running", "was made"),
    ("it boots too long", _machine(ON_1, at=BOOTING, age=LIMIT), ON_1, "Failed", "Booting on host one-1"),
    ("it failed", _machine(ON_1, at=BOOT_FAILURE, error="no KVM"), ON_1, "Failed", "no KVM"),
    ("its host is lost", _machine(ON_1, at=LOST), ON_1, "Failed", "Unknown"),
    ("of another run", _machine(ON_1, run=UNIX - 9), ON_1, "Pending", ""),
    ("an address", _machine(ON_LAN), ON_LAN, "Passed", "with address 10.0.0.5"),
    ("no lease for it", _change(networks={3: FULL}), ON_LAN, "Failed", "no free lease"),
    ("its own is the last lease", lambda o: (_change(networks={3: FULL})(o), o.probe(ON_LAN)), ON_LAN, "Passed", "ran"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("why", "change", "check", "result", "words"), CHECKS, ids=[case[0].replace(" ", "-") for case in CHECKS]
)
def test_what_a_check_says(why, change, check, result, words):
    outside = Outside()
    change(outside)
    outside.remember(request="first", began=UNIX, asked=("first",))
    fields, _ = verification_fields(cloud({"request": "first"}), outside.seen())
    (found,) = [c for c in fields["checks"] if c["name"] == check]
    assert found["result"] == result, why
    assert words in found["message"]


@pytest.mark.parametrize("case", [case for case in CHECKS if case[3] == "Running" and "VM" not in case[2]])
def test_what_is_on_its_way_is_waited_for_a_while_only(case):
    outside = Outside()
    case[1](outside)
    outside.remember(request="first", began=UNIX - SETTLES, asked=("first",))
    fields, _ = verification_fields(cloud({"request": "first"}), outside.seen())
    assert next(c["result"] for c in fields["checks"] if c["name"] == case[2]) == "Failed"


@pytest.mark.parametrize(
    ("images", "wish", "disk", "words"),
    [
        ({7: image(size=900), 8: image(id=8, size=20)}, None, {"IMAGE_ID": "8"}, ""),
        ({7: image(size=900), 8: image(id=8, size=20, persistent=True)}, None, {"IMAGE_ID": "7"}, ""),
        ({7: image(state=4)}, None, {"TYPE": "fs"}, ""),
        ({7: image(type=1)}, None, {"TYPE": "fs"}, ""),
        ({}, None, {"TYPE": "fs"}, ""),
        ({7: image(), 8: image(id=8, name="alpine")}, "alpine", {"IMAGE_ID": "8"}, ""),
        ({7: image()}, "alpine", None, 'no image "alpine"'),
        ({7: image(persistent=True)}, "ubuntu", None, "a machine would write to it"),
        ({7: image(state=5)}, "ubuntu", None, "not ready"),
    ],
)
def test_what_the_machines_start_from(images, wish, disk, words):
    outside = Outside()
    outside.images = images
    story = Story(outside, {"request": "first", **({"image": wish} if wish else {})}).until_over()
    assert [t["DISK"][0] | (disk or {}) == t["DISK"][0] for t in outside.made] == [True] * (4 if disk else 0)
    assert words in story.message("VMOnHost/one-1")


def test_names_that_several_have_are_told_apart_and_very_many_are_not_all_tried():
    outside = Outside()
    outside.networks = {3: network(), 4: network(id=4)}
    outside.hosts = {n: host(n, f"h{n}") for n in range(MOST_OF_A_KIND + 5)}
    names = [w.name for w in wanted_checks(outside.seen().view)]
    assert len(names) == len(set(names))
    assert {"VMOnNetwork/lan #3", "VMOnNetwork/lan #4"} <= set(names)
    assert next(w.left_out for w in wanted_checks(outside.seen().view) if w.name == "VMOnHost") == 5


# --- the machines ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("why", "fields", "counts"),
    [
        ("ours", {}, True),
        ("of a cluster before this one", {"mark": replace(MARK, uid="uid-0")}, True),
        ("somebody else wrote our mark on it", {"owner": 9}, False),
        ("of another installation", {"mark": replace(MARK, installation="other")}, False),
        ("of another cloud", {"mark": replace(MARK, object="SovereignCloud/platform/berlin")}, False),
        ("no machine of a verification", {"notes": {}}, False),
        ("a note that nobody can read", {"notes": {NOTE: "hello"}}, False),
    ],
)
def test_which_machines_are_a_verifications(why, fields, counts):
    outside = Outside()
    outside.vms[1] = replace(outside.probe("VMOnHost/one-1"), id=1, **fields)
    del outside.vms[100]
    assert bool(probes_of(outside.seen().view, MARK, US)) == counts, why


@pytest.mark.parametrize(
    ("at", "age", "forget"),
    [
        (RUNNING, 10, False),
        (PENDING, 10, False),
        (BOOT_FAILURE, 10, False),
        (PROLOG, 10, None),
        (ENDING, 10, None),
        (PROLOG, 2 * LIMIT, True),
        (ENDING, 2 * LIMIT, True),
    ],
)
def test_how_a_machine_is_ended(at, age, forget):
    outside = Outside()
    outside.probe("VMOnHost/one-1", run=1, age=age, at=at)
    steps = with_verification(cloud(), outside.seen(), Plan()).steps
    assert [s.forget for s in steps] == ([] if forget is None else [forget])


def test_a_cloud_that_goes_ends_them_first():
    outside = Outside()
    outside.probe("VMOnHost/one-1")
    outside.probe("VMOnHost/one-2", at=ENDING)
    plan = plan_last_probes(outside.seen().probes, NOON)
    assert [(type(s), s.beside) for s in plan.steps] == [(EndProbe, "")]
    assert (plan.outcome.phase, plan.outcome.reason) == (Phase.WAITING, "Terminating")
    assert plan_last_probes((), NOON) is None


# --- the record, the schedule ------------------------------------------------------------------------------------------------


def test_a_record_is_read_as_it_was_written():
    record = Record("first", "API", 5, 9, 7, "Failed", "a; b=c; summary=d", ("zero", "first"))
    assert read_record({attribute_of(MARK): record.text}, MARK) == record
    other = replace(MARK, object="SovereignCloud/platform/berlin")
    assert read_record({attribute_of(MARK): record.text}, other) == Record(), "another cloud's on the same zone"
    assert read_record({attribute_of(MARK): "nonsense"}, MARK) == Record()
    assert attribute_of(replace(MARK, uid="uid-2")) == attribute_of(MARK), "a rebuilt cluster finds it"


def test_words_are_remembered_but_not_without_end():
    record = Record()
    for number in range(40):
        record = record.begun(f"word-{number}", "API", number).finished("Passed", "x" * 5000, number)
    assert record.asked[-1] == "word-39"
    assert len(record.asked) == 32
    assert len(record.text) < 4000


@pytest.mark.parametrize(
    ("schedule", "known", "began", "expected"),
    [
        ("0 3 * * 0", None, 0, "2026-11-29T03:00:00Z"),
        ("0 3 * * SUN", None, 0, "2026-11-29T03:00:00Z"),
        ("*/15 * * * *", None, 0, "2026-11-24T12:15:00Z"),
        ("0 3 * * 0", "2026-11-22T03:00:00Z", 0, "2026-11-22T03:00:00Z"),  # missed: still due
        ("0 3 * * 0", "2026-11-22T03:00:00Z", UNIX, "2026-11-29T03:00:00Z"),  # run since
        ("0 4 * * 0", "2026-11-22T03:00:00Z", 0, "2026-11-29T04:00:00Z"),  # of another schedule
        ("0 3 * * 0", "nonsense", 0, "2026-11-29T03:00:00Z"),
        ("0 0 31 2 *", None, 0, None),
        ("5-1 * * * *", None, 0, None),
    ],
)
def test_when_the_next_run_is_due(schedule, known, began, expected):
    if expected is None:
        with pytest.raises(ScheduleError, match="names no time"):
            next_run(schedule, known, began, NOON)
        outside = Outside()
        (told,) = verification_fields(cloud({"schedule": schedule}), outside.seen())[1]
        assert (told["status"], told["reason"]) == ("Unknown", "InvalidSpec")
        return
    assert next_run(schedule, known, began, NOON).strftime("%Y-%m-%dT%H:%M:%SZ") == expected


# --- what is told ------------------------------------------------------------------------------------------------------------


def test_what_cannot_be_begun_is_told_and_disturbs_nothing_else():
    outside = Outside()
    status = {"external": {FACT: "Not authorized to perform MANAGE ZONE [0]"}}
    (told,) = verification_fields(cloud({"request": "first"}, status), outside.seen())[1]
    assert (told["status"], told["reason"]) == ("Unknown", "VerificationNotPossible")
    assert "Not authorized" in told["message"]


def test_without_an_answer_what_was_said_stays():
    before = {
        "verification": {"request": "first", "checks": [{"name": "CoreVersion", "result": "Passed"}]},
        "conditions": [{"type": "Verified", "status": "True", "reason": "VerificationPassed", "message": "all"}],
    }
    fields, (told,) = verification_fields(cloud({"request": "first"}, before), None)
    assert fields["checks"][0]["result"] == "Passed"
    assert told["status"] == "True"
    assert verification_fields(cloud(None, before), None) == (None, [])


def test_conditions_of_a_kinds_own_stand_beside_the_shared_ones_and_outlive_a_failed_look():
    own = [{"type": "Verified", "status": "True", "reason": "VerificationPassed", "message": "8 checks passed"}]
    now = {"generation": 1, "paused": False, "now": "2026-11-24T12:00:00Z"}
    first = conditions(DONE, (), {}, own=own, **now)
    assert [c["type"] for c in first] == ["Ready", "Drifted", "Verified"]
    later = now | {"now": "2026-11-24T13:00:00Z"}
    kept = conditions(DONE, None, {"conditions": first}, own=None, **later)
    assert kept[-1] == first[-1]
    assert [c["type"] for c in conditions(DONE, (), {"conditions": first}, own=(), **later)] == ["Ready", "Drifted"]


def test_steps_of_a_verification_are_told_apart_from_what_is_declared():
    outside = Outside()
    story = Story(outside, {"request": "first"})
    story.look()
    plan = with_verification(story.cloud, outside.seen(), Plan())
    assert {type(s) for s in plan.steps} == {StartProbe}
    assert all(s.beside == FACT and not s.dangerous and s.disruption == "None" for s in plan.steps)
    assert (plan.outcome.phase, plan.outcome.beside) == (Phase.DONE, True)


def deleted(policy, status=None):
    """A hosted cloud that runs, being deleted, with two machines in it: a verification's, and somebody's."""
    scene = Scene("running", hosted(deletionPolicy=policy))
    scene.raw["metadata"]["deletionTimestamp"] = NOON.isoformat()
    scene.raw["status"] |= status or {}
    mark = scene.world.mark(scene.cloud)
    note = probe_note(UNIX - 60, UNIX - 50, "VMOnHost/127.0.0.11")
    scene.world.one.vms = {
        7: vm(id=7, name="probe", owner=0, mark=mark, notes={NOTE: note}),
        8: vm(id=8, name="somebodys", owner=0, mark=None),
    }
    return scene


def test_a_deletion_ends_what_a_verification_left_and_names_only_what_is_somebodys():
    scene = deleted("Delete")
    plan = scene.plan()
    assert [(type(s), s.vm) for s in plan.steps] == [(EndProbe, 7)]
    del scene.world.one.vms[7]
    plan = scene.plan()
    assert plan.outcome.reason == Reason.IN_USE
    assert "somebodys" in plan.outcome.message
    assert "probe" not in plan.outcome.message


@pytest.mark.parametrize(
    ("why", "verification", "ends"),
    [
        ("a run was under way", {"startedAt": "2026-11-24T11:59:00Z"}, True),
        ("it was over", {"startedAt": "2026-11-24T11:59:00Z", "finishedAt": "2026-11-24T11:59:30Z"}, False),
        ("never verified", None, False),
    ],
)
def test_a_retained_cloud_is_asked_for_leftovers_only_after_a_run_that_did_not_end(why, verification, ends):
    scene = deleted("Retain", {"verification": verification} if verification else {})
    assert any(isinstance(s, EndProbe) for s in scene.plan().steps) == ends, why
    scene.world.one.version = None
    assert not any(isinstance(s, EndProbe) for s in scene.plan().steps), "who does not answer holds nothing up"


def test_no_word_says_more_of_a_cloud_than_that_its_checks_passed():
    """What a programme attests is not for a program to say."""
    root = Path(__file__).parents[4]
    pages = [*root.glob("docs/**/*.md"), *root.glob("crds/*.yaml"), *root.glob("operator/sovereigncloud/kinds/*.py")]
    assert len(pages) > 50
    assert [str(p) for p in pages if re.search(r"\bcertified\b", p.read_text(), re.IGNORECASE)] == []
