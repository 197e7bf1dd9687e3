"""The private interface and its vRack: which interface, what may join, and when it is taken out of another vRack."""

from dataclasses import dataclass, field, replace

import pytest
from tests.unit.kinds.baremetalserver.test_plan import KEY, UNIX, look, manifest, marked, plan_of, world_with
from tests.unit.kinds.cloud_fakes import INSTALLATION, NOON, Loop, interfaces, run

from sovereigncloud.core.identity import OVH_INSTALLATION
from sovereigncloud.core.plan import Action, Cause, Disruption
from sovereigncloud.kinds.baremetalserver.controller import BareMetalServerController

PUBLIC, PRIVATE = interfaces("ns1")
LAG = replace(PRIVATE, uuid="ns1-lag")
CARD = replace(PRIVATE, uuid="ns1-a-card", mode="vrack")
ELSEWHERE = interfaces("ns1", vrack="pn-2")
OURS = {OVH_INSTALLATION: INSTALLATION}
DRIFTING = [{"path": "spec.ovh.vrack", "since": NOON.isoformat()}]


def consent(vrack):
    spec = manifest()
    spec["spec"]["ovh"]["moveFrom"] = vrack
    return spec


@dataclass
class Case:
    why: str
    make: dict = field(default_factory=dict)
    vrack: dict = field(default_factory=dict)  # tags of pn-2
    eligible: dict = field(default_factory=dict)
    step: tuple = ()
    reason: str = ""
    says: str = ""


def of(*found):
    return {"interfaces": found}


CASES = [
    # which one
    Case("an aggregation is chosen before a single card", of(PUBLIC, CARD, LAG), step=("Attach", "ns1-lag", "pn-1")),
    Case("a single card of mode vrack joins too", of(PUBLIC, CARD), step=("Attach", "ns1-a-card", "pn-1")),
    Case(
        "one that is disabled is passed over",
        of(PUBLIC, CARD, replace(LAG, enabled=False)),
        step=("Attach", "ns1-a-card", "pn-1"),
    ),
    Case("of two, the one that is free", of(CARD, replace(LAG, vrack="pn-2")), step=("Attach", "ns1-a-card", "pn-1")),
    # none
    Case("no virtual interface at all: an Eco server", of(), reason="VrackIncompatible", says="Eco ranges"),
    Case("only public ones", of(PUBLIC), reason="VrackIncompatible", says="modes: public_aggregation"),
    Case(
        "the private one is disabled: not the same as having none",
        of(PUBLIC, replace(PRIVATE, enabled=False)),
        reason="VrackIncompatible",
        says="ns1-priv is disabled",
    ),
    # eligibility
    Case(
        "OVHcloud still works out what may join: asked again soon",
        of(PRIVATE),
        eligible={"pending": 1},
        reason="CheckingEligibility",
    ),
    Case(
        "worked out, and it is not listed: told apart from a server without interface",
        of(PRIVATE),
        eligible={"ineligible": {"ns1-priv"}},
        reason="VrackIncompatible",
        says="does not list its interface ns1-priv as eligible for vRack pn-1",
    ),
    Case(
        "worked out with errors, and it is not listed: nobody knows yet",
        of(PRIVATE),
        eligible={"ineligible": {"ns1-priv"}, "errors": ("ns7",)},
        reason="CheckingEligibility",
        says="ns7",
    ),
    Case(
        "errors elsewhere, and it is listed: it joins",
        of(PRIVATE),
        eligible={"errors": ("ns7",)},
        step=("Attach", "ns1-priv", "pn-1"),
    ),
    # in another vRack
    Case(
        "in a vRack of nobody of ours: a person decides",
        {"interfaces": ELSEWHERE},
        reason="InterfaceInOtherVrack",
        says="moveFrom: pn-2",
    ),
    Case(
        "in a vRack of another installation",
        {"interfaces": ELSEWHERE},
        vrack={OVH_INSTALLATION: "other"},
        reason="InterfaceInOtherVrack",
    ),
    Case(
        "in a vRack of this installation: taken out first",
        {"interfaces": ELSEWHERE},
        vrack=OURS,
        step=("Detach", "ns1-priv", "pn-2"),
    ),
    Case(
        "in a vRack of ours, taken over from a rebuilt cluster's predecessor",
        {"interfaces": ELSEWHERE, "tags": marked("u0")},
        vrack=OURS,
        step=("Detach", "ns1-priv", "pn-2"),
    ),
    Case(
        "in a vRack of ours, but the server is not marked as ours: somebody put it there",
        {"interfaces": ELSEWHERE, "tags": {}},
        vrack=OURS,
        reason="InterfaceInOtherVrack",
    ),
    Case(
        "in the vRack that spec declared before",
        {"interfaces": ELSEWHERE, "status": {"external": {"vrack": "pn-2"}}},
        step=("Detach", "ns1-priv", "pn-2"),
    ),
    Case(
        "spec consents to leave exactly this vRack",
        {"interfaces": ELSEWHERE, "spec": consent("pn-2")},
        step=("Detach", "ns1-priv", "pn-2"),
    ),
    Case(
        "a consent for another vRack is none",
        {"interfaces": ELSEWHERE, "spec": consent("pn-3")},
        reason="InterfaceInOtherVrack",
    ),
    Case(
        "asked to leave a moment ago: waited for, nothing is asked twice",
        {
            "interfaces": ELSEWHERE,
            "spec": consent("pn-2"),
            "age": 20,
            "status": {"external": {"detachAsked": f"ns1-priv@{UNIX}"}, "drift": DRIFTING},
        },
        reason="DetachingInterface",
        says="then it joins pn-1",
    ),
    Case(
        "asked to leave a quarter of an hour ago: the task is lost, asked again",
        {
            "interfaces": ELSEWHERE,
            "spec": consent("pn-2"),
            "age": 900,
            "status": {"external": {"detachAsked": f"ns1-priv@{UNIX}"}, "drift": DRIFTING},
        },
        step=("Detach", "ns1-priv", "pn-2"),
    ),
]


def scene(case):
    world = world_with(**case.make)
    world.account_.tags_of_vrack["pn-2"].update(case.vrack)
    for name, value in case.eligible.items():
        setattr(world.account_.vracks, name, value)
    return world


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.why)
def test_what_is_done_about_the_interface(case):
    plan = plan_of(scene(case))
    steps = tuple((s.action.value, s.uuid, s.vrack) for s in plan.steps if hasattr(s, "uuid"))
    assert steps == ((case.step,) if case.step else ()), case.why
    assert plan.outcome.reason == case.reason, case.why
    assert case.says in plan.outcome.message, case.why


def test_taking_it_out_of_another_vrack_says_what_it_interrupts():
    declared = scene(Case("", {"interfaces": ELSEWHERE, "spec": consent("pn-2")}))
    (step,) = plan_of(declared).steps
    assert (step.action, step.disruption, step.cause) == (Action.DETACH, Disruption.RESTART, Cause.DECLARED)
    assert "cuts its machines off" in step.target
    behind = scene(Case("", {"interfaces": ELSEWHERE, "status": {}}, OURS))
    (step,) = plan_of(behind).steps
    assert step.cause is Cause.OBSERVED
    assert step.dangerous, "the brakes count what nobody declared"


def test_eligibility_is_asked_only_where_something_is_to_join():
    world = world_with(interfaces=interfaces("ns1", vrack="pn-1"))
    plan_of(world)
    assert world.account_.reads["eligible"] == 0
    world = world_with(interfaces=ELSEWHERE)
    plan_of(world)
    assert world.account_.reads["eligible"] == 0, "first it must be free"


@pytest.mark.parametrize("lost", [(), ("lost",), ("ok", "lost"), ("before", "ok", "late")])
def test_it_is_detached_waited_for_and_attached_once_each(lost):
    world = world_with(spec=consent("pn-2"), interfaces=ELSEWHERE)
    world.account_.faults = list(lost)
    loop = Loop(world, BareMetalServerController(), KEY)
    run(loop.until_quiet())
    server = world.account_.servers["ns1"]
    assert server.interfaces[1].vrack == "pn-1"
    writes = [w for w in world.account_.writes if "ns1-priv" in w]
    assert set(writes) == {"detach ns1-priv pn-2", "attach ns1-priv pn-1"}
    assert writes.index("attach ns1-priv pn-1") >= writes.index("detach ns1-priv pn-2")
    external = loop.raw["status"]["external"]
    assert external["vrack"] == "pn-1"
    assert not {"attachAsked", "detachAsked"} & external.keys(), "what was asked for is forgotten"


def test_a_spec_that_names_another_vrack_moves_what_it_declared_before():
    world = world_with(status={})
    world.raw[KEY]["status"]["external"] = dict(look(world).outcome.facts)
    world.put(manifest(vrack="pn-2"))
    run(Loop(world, BareMetalServerController(), KEY).until_quiet())
    assert world.account_.servers["ns1"].interfaces[1].vrack == "pn-2"


def test_with_report_a_foreign_membership_is_only_told():
    world = scene(Case("", {"interfaces": ELSEWHERE, "status": {}}, OURS))
    plan = plan_of(world)
    assert [(d.path, d.desired, d.observed) for d in plan.drift] == [("spec.ovh.vrack", "pn-1", "pn-2")]
    assert {s.fields for s in plan.steps} == {("spec.ovh.vrack",)}, "so that driftPolicy holds it"


def test_no_server_is_ever_joined_as_a_whole():
    """OVHcloud's legacy way (POST /vrack/{name}/dedicatedServer): nothing in the adapter knows it."""
    from pathlib import Path  # noqa: PLC0415

    folder = Path(__file__).parents[4] / "operator" / "sovereigncloud" / "providers" / "ovh"
    code = [line for file in folder.glob("*.py") for line in file.read_text().splitlines()]
    legacy = [line for line in code if '/dedicatedServer"' in line or "/dedicatedServer/" in line]
    assert legacy == []
