"""Blocks and the vRack of a cloud: whose they are, when a block is taken from elsewhere, and what borders lie between."""

from dataclasses import dataclass, field

import pytest
from tests.unit.kinds.cloud_fakes import INSTALLATION, NOON, interfaces, run
from tests.unit.kinds.sovereigncloud.test_plan import BLOCK, SETTLED, UNIX, Scene, gone, hosted

from sovereigncloud.core.identity import OVH_INSTALLATION, Mark
from sovereigncloud.core.outcome import Phase
from sovereigncloud.core.plan import Cause, Disruption
from sovereigncloud.kinds.sovereigncloud.network.vrack_mark import USED_BY, used_by

PATH = "spec.hosted.networks[vm_public].publicBlock"
OURS = {OVH_INSTALLATION: INSTALLATION}
DRIFTING = [{"path": PATH, "since": NOON.isoformat()}]


def consent(service):
    spec = hosted()
    spec["spec"]["hosted"]["networks"][0]["moveFrom"] = service
    return spec


def marked(uid="c1", installation=INSTALLATION, name="rbx"):
    return Mark(installation, f"SovereignCloud/platform/{name}", uid).for_ovh()


@dataclass
class Case:
    why: str
    to: str = ""  # what the block is routed to
    spec: dict = field(default_factory=hosted)
    tags: dict = field(default_factory=marked)  # of the block
    vrack: dict = field(default_factory=dict)  # tags of pn-2
    servers: dict = field(default_factory=dict)  # further ones of the account, with their tags
    regions: tuple = ("eu-west-rbx",)
    stand: tuple = ("eu-west-rbx", "eu-west-rbx")
    external: str = ""
    other: str = ""  # another cloud of the installation that exists
    steps: tuple = ()
    reason: str = ""
    says: str = ""


FAR = "BlockOfOtherRegion"
CASES = [
    # whose it is
    Case("parked: routed", steps=(("Attach", "eu-west-rbx"),)),
    Case("a block without a mark is marked first", tags={}, steps=("Update", ("Attach", "eu-west-rbx"))),
    Case("marked by the cloud's predecessor: taken over", tags=marked("c0"), steps=("Mark", ("Attach", "eu-west-rbx"))),
    Case(
        "marked by another installation: nothing is done with it",
        tags=marked(installation="other"),
        reason="OwnedByAnotherInstallation",
        says="other",
    ),
    Case(
        "marked for another cloud of ours that exists: a block is one cloud's",
        tags=marked(name="sbg"),
        other="sbg",
        reason="OwnedByAnotherObject",
        says="SovereignCloud/platform/sbg",
    ),
    Case(
        "marked for a cloud of ours that is no more",
        tags=marked(name="sbg"),
        steps=("Mark", ("Attach", "eu-west-rbx")),
    ),
    # where it is
    Case("on a server of the cloud: taken off, it is parked first", "ns2", steps=("Detach",)),
    Case(
        "on a server of nobody of ours",
        "ns9",
        servers={"ns9": {}},
        reason="BlockInUse",
        says="moveFrom: ns9",
    ),
    Case("on a server of this installation, and the block is ours", "ns9", servers={"ns9": OURS}, steps=("Detach",)),
    Case(
        "on a server of this installation, but the block is nobody's yet: what uses it there is not known",
        "ns9",
        tags={},
        servers={"ns9": OURS},
        steps=("Update",),
        reason="BlockInUse",
    ),
    Case("on a load balancer", "ip-10.0.0.1", reason="BlockInUse"),
    Case("in another vRack of nobody of ours", "pn-2", reason="BlockInOtherVrack", says="moveFrom: pn-2"),
    Case("in a vRack of another installation", "pn-2", vrack={OVH_INSTALLATION: "x"}, reason="BlockInOtherVrack"),
    Case("in another vRack of this installation, and it is ours", "pn-2", vrack=OURS, steps=("Detach",)),
    Case("spec consents to take it from this vRack", "pn-2", consent("pn-2"), steps=("Detach",)),
    Case("spec consents to take it from this server", "ns9", consent("ns9"), steps=("Detach",)),
    Case("a consent for something else is none", "pn-2", consent("pn-3"), reason="BlockInOtherVrack"),
    Case(
        "asked to leave a moment ago: waited for",
        "pn-2",
        consent("pn-2"),
        external=f"{BLOCK} off pn-2@{UNIX}",
        reason="ReleasingBlock",
    ),
    Case(
        "asked to leave, and somebody put it on a server meanwhile: another request",
        "ns2",
        external=f"{BLOCK} off pn-2@{UNIX}",
        steps=("Detach",),
    ),
    Case("left, and asked to join a moment ago: waited for", external=f"{BLOCK}@{UNIX}", reason="RoutingBlock"),
    # regions
    Case("Gravelines to Roubaix", regions=("eu-west-gra",), steps=(("Attach", "eu-west-rbx"),)),
    Case("Limburg to Roubaix is closed", regions=("eu-west-lim",), reason=FAR, says="eu-west-lim"),
    Case(
        "Roubaix to Paris is closed although both are in France",
        stand=("eu-west-par", "eu-west-par"),
        reason=FAR,
        says="only eu-west-gra, eu-west-rbx and eu-west-sbg interchange",
    ),
    Case(
        "of two regions, the one that it is of",
        stand=("eu-west-lim", "eu-west-rbx"),
        steps=(("Attach", "eu-west-rbx"),),
        reason="VrackAcrossCountries",
    ),
    Case(
        "a region of three zones",
        regions=("eu-west-par",),
        stand=("eu-west-par", "eu-west-par"),
        steps=(("Attach", "eu-west-par"),),
    ),
    Case(
        "where the servers stand is not known yet: it waits",
        stand=(),
        reason="WaitingForServers",
        says="not known yet",
    ),
    Case("the API does not tell the block's region: left to OVHcloud", regions=(), steps=(("Attach", ""),)),
    Case(
        "closed, and in somebody's vRack: that it cannot be used is told, nothing is taken",
        "pn-2",
        consent("pn-2"),
        regions=("eu-west-lim",),
        reason=FAR,
    ),
    # borders
    Case(
        "a vRack across a border is told",
        "pn-1",
        stand=("eu-west-rbx", "eu-west-eri"),
        reason="VrackAcrossCountries",
        says="FR (eu-west-rbx), GB (eu-west-eri)",
    ),
    Case("two regions of one country are none", "pn-1", stand=("eu-west-rbx", "eu-west-gra")),
    Case(
        "a region that is in no table may be anywhere",
        "pn-1",
        stand=("eu-west-rbx", "eu-west-lz-zrh"),
        reason="VrackAcrossCountries",
        says="unknown country (eu-west-lz-zrh)",
    ),
]


def scene(case, *, settled=False):
    made = Scene("running", case.spec)
    if settled:
        made.raw["status"] = dict(SETTLED)
    account = made.account
    account.blocks = {BLOCK: case.to}
    account.tags_of_block[BLOCK] = dict(case.tags)
    account.tags_of_vrack["pn-2"] = dict(case.vrack)
    account.regions_of_block[BLOCK] = case.regions
    for name, tags in case.servers.items():
        account.add(name).tags = dict(tags)
    for child, number in (("rbx-one-1", 0), ("rbx-one-2", 1)):
        status = made.child(child)["status"]
        if case.stand:
            status["region"] = case.stand[number]
        else:
            status.pop("region")
            status.pop("address")
    if case.external:
        made.raw["status"]["external"] = {"blockAsked": case.external}
    if case.other:
        made.world.put({**hosted(), "metadata": {"name": case.other, "namespace": "platform", "uid": "s1"}})
    return made


def told(step):
    return (step.action.value, step.region) if hasattr(step, "region") else step.action.value


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.why)
def test_what_is_done_about_a_block(case):
    plan = scene(case).plan()
    assert tuple(told(s) for s in plan.steps) == case.steps, case.why
    waits = plan.outcome.reason if case.stand else "WaitingForServers"  # the rest of the cloud waits too
    assert waits == case.reason, case.why
    assert case.says in plan.outcome.message, case.why


def test_taking_a_block_away_says_what_it_interrupts():
    (step,) = scene(Case("", "pn-2", consent("pn-2"))).plan().steps
    assert (step.disruption, step.cause, step.fields) == (Disruption.RESTART, Cause.DECLARED, (PATH,))
    assert "all of its addresses stop working there" in step.target
    (step,) = scene(Case("", "ns2"), settled=True).plan().steps
    assert step.cause is Cause.OBSERVED
    assert step.dangerous, "the brakes count what nobody declared"


@pytest.mark.parametrize("start", ["pn-2", "ns9"])
@pytest.mark.parametrize("lost", [(), ("lost",), ("ok", "lost"), ("before", "ok", "late")])
def test_a_block_leaves_as_a_whole_and_joins_once(start, lost):
    made = scene(Case("", start, consent(start), servers={"ns9": {}}))
    made.account.faults = list(lost)
    run(made.loop().until_quiet())
    assert made.account.blocks == {BLOCK: "pn-1"}
    writes = [w for w in made.account.writes if BLOCK in w]
    left = f"detach {BLOCK} pn-2" if start == "pn-2" else f"park {BLOCK}"
    assert set(writes) == {left, f"attach {BLOCK} pn-1"}
    assert writes[0] == left


def test_another_vrack_in_spec_takes_the_block_along():
    made = scene(Case("", "pn-1"), settled=True)
    spec = hosted()
    spec["spec"]["hosted"]["ovh"]["vrack"] = "pn-2"
    made.raw = made.world.put(spec)
    made.raw["status"]["observedGeneration"] = 1
    steps = [type(s).__name__ for s in made.plan().steps]
    assert "DetachBlock" in steps, "pn-1 carries the mark of this installation, and the block this cloud's"


# --- the mark on a vRack ------------------------------------------------------------------------------------------------


def test_two_clouds_share_a_vrack_and_their_tags_do_not_fight():
    one, other = (Mark(INSTALLATION, f"SovereignCloud/platform/{n}", "u") for n in ("rbx", "sbg"))
    assert used_by(one) != used_by(other)
    assert used_by(one) == used_by(Mark(INSTALLATION, one.object, "another cluster"))
    made = Scene("running", marked=False)
    account = made.account
    account.tags_of_vrack["pn-1"] = {used_by(other): other.object, **OURS}
    (step, _) = made.plan().steps
    assert dict(step.tags) == {used_by(one): one.object}, "what is there already is not written again"


@pytest.mark.parametrize(
    ("why", "tags", "written"),
    [
        ("nobody's: the cloud's own tag first, the installation's last", {}, [USED_BY, OVH_INSTALLATION]),
        ("another installation's: used, and left as it is", {OVH_INSTALLATION: "other"}, []),
    ],
)
def test_what_is_written_on_a_vrack(why, tags, written):
    made = Scene("running", marked=False)
    made.account.tags_of_vrack["pn-1"] = dict(tags)
    steps = [s for s in made.plan().steps if type(s).__name__ == "MarkVrack"]
    keys = [key for step in steps for key, _ in step.tags]
    assert [next(k for k in written if key.startswith(k)) for key in keys] == written, why


def test_marks_are_read_from_the_view_and_at_rest_nothing_is_written():
    made = Scene("running", settled=True)
    made.account.writes.clear()
    assert run(made.loop().once()).performed == []
    assert made.account.writes == []


# --- the end ------------------------------------------------------------------------------------------------------------


def leave(made, policy="Delete"):
    made.raw["metadata"]["deletionTimestamp"] = NOON.isoformat()
    made.raw["spec"]["deletionPolicy"] = policy
    loop = made.loop()
    for _ in range(12):
        looked = run(loop.once())
        made.world.clock.pass_(70)
        for kind in ("VirtualNetwork", "BareMetalServer"):
            gone(made, kind)
        if looked.plan and not looked.performed and looked.outcome.phase is Phase.DONE:
            return
    raise AssertionError(looked)


def test_with_delete_the_block_leaves_and_loses_its_mark_before_the_servers_go():
    made = Scene("running", settled=True)
    made.account.writes.clear()
    leave(made)
    assert made.account.blocks == {BLOCK: ""}
    assert made.account.tags_of_block[BLOCK] == {}
    assert made.account.tags_of_vrack["pn-1"] == {}
    assert made.account.writes.count(f"detach {BLOCK} pn-1") == 1
    assert made.world.kubernetes.deleted.index("rbx-vm-public") < made.world.kubernetes.deleted.index("rbx-one-1")


def test_with_delete_what_another_cloud_uses_stays_marked():
    made = Scene("running", settled=True)
    other = Mark(INSTALLATION, "SovereignCloud/platform/sbg", "u")
    made.account.tags_of_vrack["pn-1"][used_by(other)] = other.object
    leave(made)
    assert made.account.tags_of_vrack["pn-1"] == {used_by(other): other.object, **OURS}


@pytest.mark.parametrize("tags", [{}, marked(installation="other"), marked(name="sbg")])
def test_with_delete_a_block_that_is_not_ours_stays(tags):
    made = Scene("running", settled=True)
    made.account.tags_of_block[BLOCK] = dict(tags)
    leave(made)
    assert made.account.blocks == {BLOCK: "pn-1"}
    assert made.account.tags_of_block[BLOCK] == tags


def test_with_delete_a_block_that_somebody_moved_on_is_not_taken_from_there():
    made = Scene("running", settled=True)
    made.account.blocks[BLOCK] = "pn-2"
    leave(made)
    assert made.account.blocks == {BLOCK: "pn-2"}
    assert made.account.tags_of_block[BLOCK] == {}


def test_with_retain_nothing_is_even_asked():
    made = Scene("running", settled=True)
    made.account.writes.clear()
    made.account.reads.clear()
    leave(made, "Retain")
    assert (made.account.writes, made.account.reads["view"]) == ([], 0)
    assert made.account.blocks == {BLOCK: "pn-1"}


def test_status_tells_the_countries_also_of_others_in_the_vrack():
    made = scene(Case("", "pn-1"))
    assert run(made.loop().once()).outcome.reason == ""
    assert made.raw["status"]["countries"] == ["FR"]
    made.account.add("ns77", interfaces=interfaces("ns77", vrack="pn-1"), region="eu-west-lim")
    assert run(made.loop().once()).outcome.reason == "VrackAcrossCountries"
    assert made.raw["status"]["countries"] == ["DE", "FR"]
