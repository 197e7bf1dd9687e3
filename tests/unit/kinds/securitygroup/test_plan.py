"""The plan of a SecurityGroup, row by row: in each cloud of its namespace, rule by rule."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from tests.unit.kinds.opennebula_in_memory import (
    SETTLED,
    US,
    OpenNebula,
    World,
    look,
    mark,
    network,
    resource,
    run,
    security_group,
    vm,
)

from sovereigncloud.core.outcome import Phase
from sovereigncloud.core.plan import Action, Cause, Step
from sovereigncloud.kinds.securitygroup.controller import SecurityGroupController
from sovereigncloud.kinds.securitygroup.steps import (
    CommitRules,
    CreateGroup,
    DeleteGroup,
    MarkGroup,
    NoteCommitted,
    RecordGroup,
    RenameGroup,
    SetRules,
)
from sovereigncloud.ports.errors import Retry
from sovereigncloud.ports.opennebula.security_groups import SecurityRule
from sovereigncloud.ports.opennebula.views import Nic

CONTROLLER = SecurityGroupController()
HTTPS = {"direction": "Inbound", "protocol": "TCP", "range": "443"}
ANY_OUT = {"direction": "Outbound", "protocol": "ALL"}
KEPT = SecurityRule("TCP", "INBOUND", "443")
RECORDED = {"external": {"group.team/rbx": "20"}}
WORDS: dict[type[Step], str] = {
    CreateGroup: "create", RecordGroup: "record", MarkGroup: "mark", SetRules: "rules", CommitRules: "commit",
    NoteCommitted: "note", RenameGroup: "rename", DeleteGroup: "delete",
}  # fmt: skip
CARD = Nic(0, 3, "lan", "10.0.0.5", "02:00", (20,))


def wanted(*rules: dict[str, Any], status: dict[str, Any] | None = None, **meta: Any) -> Any:
    spec = {"rules": list(rules) or [HTTPS], **meta.pop("spec", {})}
    return resource("SecurityGroup", "web", spec, {**RECORDED, **(status or {})}, **meta)


def told(plan: Any) -> tuple[str, ...]:
    return tuple(WORDS[type(step)] for step in plan.steps)


# --- making it -----------------------------------------------------------------------------------------------------------


async def test_it_is_made_in_every_cloud_of_its_namespace_with_its_mark_in_the_call() -> None:
    rbx, gra = OpenNebula(), OpenNebula()
    world = World(rbx=rbx, gra=gra)
    new = resource("SecurityGroup", "web", {"rules": [HTTPS, ANY_OUT, HTTPS]})
    made, _, _ = await run(CONTROLLER, new, world)
    for front in (rbx, gra):
        group = next(g for g in front.groups.values() if g.name == "web")
        assert group.rules == (KEPT, SecurityRule("ALL", "OUTBOUND")), "each once"
        assert group.mark == mark("SecurityGroup", "web")
    assert made.external == {"group.team/rbx": "101", "group.team/gra": "101"}
    made, plan, outcome = await run(CONTROLLER, made, world)
    assert (plan.steps, plan.drift, outcome.phase) == ((), (), Phase.DONE)
    assert (made.status.clouds_ready, made.status.machines) == ("2/2", "0/0")
    uses = CONTROLLER.uses(made)
    assert sorted(key.name for key in uses.objects) == ["gra", "rbx"]


async def test_a_lost_answer_makes_no_second_one() -> None:
    front = OpenNebula()
    front.lost.add("create_group")
    world = World(rbx=front)
    new = resource("SecurityGroup", "web", {"rules": [HTTPS]})
    again, _, _ = await run(CONTROLLER, new, world)
    assert again.external == {}
    again, plan, _ = await run(CONTROLLER, again, world)
    assert (told(plan), len(front.groups)) == (("record",), 2)


async def test_a_cloud_that_does_not_answer_holds_up_no_other() -> None:
    front = OpenNebula()
    world = World(rbx=front, gra=Retry("no connection"))
    _, plan, outcome = await run(CONTROLLER, resource("SecurityGroup", "web", {"rules": [HTTPS]}), world)
    assert told(plan) == ("create",)
    assert len(front.groups) == 2
    assert plan.outcome.phase is Phase.RETRY
    assert outcome.phase is Phase.DONE


async def test_only_the_clouds_that_spec_names_and_one_that_is_taken_off_loses_it() -> None:
    rbx, gra = OpenNebula(security_group()), OpenNebula()
    world = World(rbx=rbx, gra=gra)
    moved = wanted(spec={"cloudRefs": [{"name": "gra"}]})
    moved, _, _ = await run(CONTROLLER, moved, world)
    assert [g.name for g in rbx.groups.values()] == ["default"]
    assert moved.external == {"group.team/gra": "101"}


@pytest.mark.parametrize(
    ("rule", "kept"),
    [
        ({"protocol": "UDP", "range": "53,8000:8080"}, SecurityRule("UDP", "INBOUND", "53,8000:8080")),
        ({"protocol": "TCP", "cidr": "10.0.0.0/8"}, SecurityRule("TCP", "INBOUND", ip="10.0.0.0", size="16777216")),
        ({"protocol": "ALL", "network": "lan"}, SecurityRule("ALL", "INBOUND", network_id="3")),
        ({"protocol": "ICMP", "icmpType": 0}, SecurityRule("ICMP", "INBOUND", icmp_type="0")),
        ({"protocol": "ICMPv6"}, SecurityRule("ICMPV6", "INBOUND")),
        ({"protocol": "IPsec"}, SecurityRule("IPSEC", "INBOUND")),
    ],
)
async def test_rules_as_opennebula_keeps_them(rule: dict[str, Any], kept: SecurityRule) -> None:
    front = OpenNebula(network())
    new = resource("SecurityGroup", "web", {"rules": [{"direction": "Inbound"} | rule]})
    await run(CONTROLLER, new, World(rbx=front))
    assert front.groups[101].rules == (kept,)


@pytest.mark.parametrize(
    ("rule", "reason", "says"),
    [
        ({"range": "0"}, "InvalidSpec", "spec.rules[0].range: 0 is no port"),
        ({"range": "22,65536"}, "InvalidSpec", "65536 is no port"),
        ({"range": "90:80"}, "InvalidSpec", "90:80 is no port or range of ports"),
        ({"cidr": "10.0.0.1/8"}, "InvalidSpec", "spec.rules[0].cidr: 10.0.0.1/8 is no IPv4 network"),
        ({"network": "dmz"}, "NetworkNotFound", 'has no network called "dmz"; there are: lan'),
    ],
)
async def test_what_no_cloud_could_keep(rule: dict[str, Any], reason: str, says: str) -> None:
    new = resource("SecurityGroup", "web", {"rules": [{"direction": "Inbound", "protocol": "TCP"} | rule]})
    plan = await look(CONTROLLER, new, World(rbx=OpenNebula(network())))
    assert (plan.steps, plan.outcome.reason) == ((), reason)
    assert says in plan.outcome.message


@pytest.mark.parametrize(
    ("there", "name", "reason", "says"),
    [
        (security_group(mark=None), "web", "NameTaken", "add to its template: SOVEREIGNCLOUD_INSTALLATION"),
        (security_group(mark=mark("SecurityGroup", "web", namespace="b")), "web", "NameTaken", "SecurityGroup b/web"),
        (security_group(mark=mark("SecurityGroup", "web", installation="x")), "web", "OwnedByAnotherInstallation", "x"),
    ],
)
async def test_a_name_can_be_taken_once_per_owner(there: Any, name: str, reason: str, says: str) -> None:
    new = resource("SecurityGroup", "web", {"rules": [HTTPS], "name": name})
    plan = await look(CONTROLLER, new, World(rbx=OpenNebula(there)))
    assert (plan.steps, plan.outcome.reason) == ((), reason)
    assert says in plan.outcome.message


async def test_opennebulas_own_group_is_never_taken_over() -> None:
    front = OpenNebula()
    front.groups[0] = replace(front.groups[0], owner=US)
    new = resource("SecurityGroup", "web", {"rules": [HTTPS], "name": "default"})
    plan = await look(CONTROLLER, new, World(rbx=front))
    assert (plan.steps, plan.outcome.reason) == ((), "NameTaken")
    assert "OpenNebula's own" in plan.outcome.message


# --- keeping it ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    why: str
    rules: tuple[dict[str, Any], ...] = (HTTPS,)
    group: dict[str, Any] = field(default_factory=dict)
    drift: dict[str, tuple[str, str]] = field(default_factory=dict)
    steps: tuple[str, ...] = ()
    reason: str = ""
    says: str = ""


SSH_PRESENT = {"spec.rules[Inbound TCP 22]": ("absent", "present in team/rbx")}
KEEPING = [
    Row("as declared: nothing to do"),
    Row("the order of rules says nothing", (HTTPS, ANY_OUT), {"rules": (SecurityRule("ALL", "OUTBOUND"), KEPT)}),
    Row(
        "a rule that somebody added goes, and machines are told", group={"rules": (KEPT, SecurityRule("TCP", "INBOUND", "22"))},
        drift=SSH_PRESENT, steps=("rules", "commit", "note"),
    ),
    Row(
        "a rule that somebody changed is one that lacks and one too many",
        group={"rules": (SecurityRule("TCP", "INBOUND", "443", ip="10.0.0.0", size="256"),)},
        drift={
            "spec.rules[Inbound TCP 443]": ("present", "absent in team/rbx"),
            "spec.rules[Inbound TCP 443 from 10.0.0.0+256]": ("absent", "present in team/rbx"),
        },
        steps=("rules", "commit", "note"),
    ),
    Row(
        "changed before a crash, and not committed: that goes on", group={"notes": {"SOVEREIGNCLOUD_COMMIT": "PENDING"}},
        steps=("commit", "note"),
    ),
    Row("committed: nothing to do", group={"notes": {"SOVEREIGNCLOUD_COMMIT": "DONE"}}),
    Row(
        "renamed behind our back: instances find it by its name", group={"name": "oops"},
        drift={"spec.name": ("web", "oops in team/rbx")}, steps=("rename",),
    ),
    Row(
        "the rules are on their way to machines", group={"updated": (12,), "outdated": (13,), "updating": (14,)},
        reason="Updating", says="1 of 3 machines have the rules",
    ),
    Row(
        "they did not reach a machine that started just then: once more", group={"updated": (13,), "failed": (12,)},
        steps=("commit", "note"), reason="Updating", says='did not reach VM 12 "web"',
    ),
    Row(
        "another machine than that of the last time", group={"failed": (12,), "notes": {"SOVEREIGNCLOUD_COMMIT": "AGAIN 13"}},
        steps=("commit", "note"), reason="Updating",
    ),
    Row(
        "while it starts it cannot be told", group={"failed": (77,)}, reason="Updating", says="brought once more",
    ),
    Row(
        "machines did not take them, twice",
        group={"updated": (13,), "failed": (12,), "notes": {"SOVEREIGNCLOUD_COMMIT": "AGAIN 12"}},
        reason="UpdateFailure", says='1 of 2 machines did not take the rules: VM 12 "web"; see',
    ),
]  # fmt: skip


class Frozen(OpenNebula):
    """Tells of the users of a group what a test says."""

    def _with_users(self, group: Any) -> Any:
        return group


@pytest.mark.parametrize("row", KEEPING, ids=lambda row: row.why)
async def test_a_group_that_is_there(row: Row) -> None:
    front = Frozen(network(), security_group(**row.group), vm(), vm(id=77, name="starting", at=(3, 2)))
    plan = await look(CONTROLLER, wanted(*row.rules), World(rbx=front))
    assert {d.path: (d.desired, d.observed) for d in plan.drift} == row.drift
    assert told(plan) == row.steps
    assert (plan.outcome.reason, row.says in plan.outcome.message) == (row.reason, True)


async def test_changed_rules_reach_the_machines_and_then_it_is_quiet() -> None:
    front = OpenNebula(network(), security_group(), vm(nics=(CARD,)))
    world = World(rbx=front)
    edited = wanted(HTTPS, ANY_OUT, status=SETTLED, generation=2)
    edited, plan, _ = await run(CONTROLLER, edited, world)
    assert {step.cause for step in plan.steps} == {Cause.DECLARED}
    assert front.groups[20].updating == (12,)
    edited, _, outcome = await run(CONTROLLER, edited, world)
    assert (outcome.reason, edited.status.machines) == ("Updating", "0/1")
    front.tick()
    written = len(front.journal)
    edited, plan, outcome = await run(CONTROLLER, edited, world)
    assert (plan.steps, outcome.phase, edited.status.machines, len(front.journal)) == ((), Phase.DONE, "1/1", written)


@pytest.mark.parametrize("verb", ["set_rules", "commit", "update_group"])
async def test_a_crash_after_any_write_converges(verb: str) -> None:
    front = OpenNebula(network(), security_group(), vm(nics=(CARD,)))
    front.lost.add(verb)
    world, edited = World(rbx=front), wanted(HTTPS, ANY_OUT)
    for _ in range(4):
        edited, plan, outcome = await run(CONTROLLER, edited, world)
        front.tick()
    assert (plan.steps, outcome.phase) == ((), Phase.DONE)
    assert "commit" in [entry[0] for entry in front.journal]
    assert front.groups[20].notes == {"SOVEREIGNCLOUD_COMMIT": "DONE"}


async def test_what_somebody_changed_is_drift() -> None:
    front = OpenNebula(security_group(rules=()))
    plan = await look(CONTROLLER, wanted(status=SETTLED), World(rbx=front))
    assert {step.cause for step in plan.steps} == {Cause.OBSERVED}


async def test_after_a_rebuilt_cluster_it_is_marked_anew() -> None:
    front = OpenNebula(security_group())
    rebuilt = resource("SecurityGroup", "web", {"rules": [HTTPS]}, uid="uid-2")
    again, plan, _ = await run(CONTROLLER, rebuilt, World(rbx=front))
    assert (told(plan), plan.steps[0].action) == (("mark",), Action.MARK)
    assert front.groups[20].mark == mark("SecurityGroup", "web", "uid-2")
    assert again.external == {"group.team/rbx": "20"}


async def test_a_lost_group_is_made_again_only_when_its_absence_is_a_fact() -> None:
    world = World(rbx=OpenNebula())
    plan = await look(CONTROLLER, wanted(), world)
    assert (plan.absent, plan.steps) == (True, ())
    world.admitted = True
    plan = await look(CONTROLLER, wanted(), world)
    assert (told(plan), plan.steps[0].cause) == (("create",), Cause.OBSERVED)


async def test_in_a_cloud_that_is_only_observed_nothing_is_done_without_its_word() -> None:
    world = World(rbx=OpenNebula())
    world.built["rbx"] = {
        "existing": {"endpoint": "http://x/RPC2", "credentialsSecretRef": {"name": "s"}}, "management": "Observe",
    }  # fmt: skip
    plan = await look(CONTROLLER, resource("SecurityGroup", "web", {"rules": [HTTPS]}), world)
    assert "spec.management: Manage" in plan.steps[0].needs


# --- and its end ---------------------------------------------------------------------------------------------------------


def naming(**meta: Any) -> Any:
    spec = {"source": {"template": "t"}, "networks": [{"name": "lan", "securityGroups": ["web"]}]}
    return resource("HostedInstance", "shop", spec, **meta)


@pytest.mark.parametrize(
    ("things", "others", "says"),
    [
        ((vm(nics=(CARD,)),), (), 'VM 12 "web"'),
        ((), (naming(),), "HostedInstance team/shop"),
        ((network(attributes={"SECURITY_GROUPS": "0,20"}),), (), 'network 3 "lan"'),
        ((), (naming(deleting=True), naming(namespace="other")), ""),
    ],
)
async def test_deletion_waits_until_nobody_uses_it(things: tuple[Any, ...], others: tuple[Any, ...], says: str) -> None:
    front = OpenNebula(security_group(), *things)
    gone, plan, _ = await run(CONTROLLER, wanted(deleting=True), World(others, rbx=front))
    if says:
        assert (plan.steps, plan.outcome.reason) == ((), "InUse")
        assert says in plan.outcome.message
    else:
        assert (told(plan), 20 in front.groups) == (("delete",), False)
        plan = await look(CONTROLLER, gone, World(others, rbx=front))
        assert (plan.steps, plan.outcome.phase) == ((), Phase.DONE)


async def test_retain_leaves_it() -> None:
    front = OpenNebula(security_group())
    plan = await look(CONTROLLER, wanted(spec={"deletionPolicy": "Retain"}, deleting=True), World(rbx=front))
    assert (plan.steps, plan.outcome.phase) == ((), Phase.DONE)
