"""Where a machine is made, and what is said of one that is where it should not be."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from tests.unit.kinds.machine_scene import CONTROLLER, OURS, SPEC, differences, instance, new_instance
from tests.unit.kinds.opennebula_in_memory import World, look, mark, network, resource, run, vm
from tests.unit.kinds.placement_scene import FRONT_END, Clouds, location, policy

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.sovereigntypolicy import OnViolation
from sovereigncloud.core.outcome import Phase
from sovereigncloud.kinds.contract.controller import OWN_CONDITIONS
from sovereigncloud.kinds.hostedinstance.steps import BindInstance, CreateVm, MoveVm
from sovereigncloud.ports.errors import Auth, Retry
from sovereigncloud.sovereignty.facts import Part

RBX = Key("SovereignCloud", "team", "rbx")
ANYWHERE: dict[str, Any] = {"placement": None}


def wish(**placement: Any) -> dict[str, Any]:
    return {"placement": placement}


def another(number: int, spec: dict[str, Any] | None = None, **meta: Any) -> Any:
    """One more machine of the same namespace."""
    return resource("HostedInstance", f"web-{number}", SPEC | (spec or ANYWHERE), {}, uid=f"u{number}", **meta)


async def placed(world: World, spec: dict[str, Any] | None = None, **meta: Any) -> Any:
    """After one round."""
    wanted, _, _ = await run(CONTROLLER, new_instance(spec or ANYWHERE, **meta), world)
    return wanted


def chosen_of(wanted: Any) -> str:
    return str(wanted.external.get("cloud", "")).removeprefix("team/")


def told(wanted: Any) -> dict[str, tuple[str, str]]:
    """Verdict and reason, by cloud and cluster."""
    considered = wanted.status.placement.considered if wanted.status.placement else None
    return {
        f"{one.cloud.removeprefix('team/')}/{one.cluster or ''}": (one.verdict, one.reason) for one in considered or ()
    }


async def test_of_several_clouds_the_one_with_most_room_is_chosen_and_the_others_are_told_of() -> None:
    clouds = Clouds(gra="FR", rbx="FR")
    clouds.front("gra").vms[90] = vm(id=90, name="big", mark=None, host="gra-1", memory=100_000)
    wanted = await placed(clouds.world)
    assert chosen_of(wanted) == "rbx"
    assert [v.name for v in clouds.front("rbx").vms.values()] == ["web"]
    assert told(wanted) == {
        "rbx/default": ("Chosen", "93 % stays free"),
        "gra/default": ("Eligible", "20 % stays free"),
    }


async def test_what_was_decided_is_kept_as_it_was_decided() -> None:
    clouds = Clouds(gra="FR", rbx="FR")
    wanted = await placed(clouds.world)
    before = told(wanted)
    clouds.front("gra").tick()
    clouds.front("gra").vms[90] = vm(id=90, name="big", mark=None, host="gra-1", memory=100_000)
    for _ in range(3):
        wanted, plan, _ = await run(CONTROLLER, wanted, clouds.world)
    assert told(wanted) == before
    assert wanted.status.placement.cluster is None or wanted.status.placement.cloud == "team/gra"
    assert not any(isinstance(step, BindInstance | CreateVm) for step in plan.steps)


@pytest.mark.parametrize(
    ("countries", "chosen", "refused"),
    [
        (
            ["DE"],
            "lim",
            {"eri/default": "is in GB, and DE is asked for", "rbx/default": "is in FR, and DE is asked for"},
        ),
        (["EU"], "lim", {"eri/default": "host eri-1 is in GB"}),
        (["GB"], "eri", {"rbx/default": "is in FR", "lim/default": "is in DE"}),
        (["PL"], "", {"rbx/default": "is in FR", "lim/default": "is in DE", "eri/default": "is in GB"}),
    ],
)
async def test_only_in_the_countries_that_it_names(countries: list[str], chosen: str, refused: dict[str, str]) -> None:
    clouds = Clouds(rbx="FR", lim="DE", eri="GB")
    wanted = await placed(clouds.world, wish(countries=countries))
    assert chosen_of(wanted) == chosen
    found = told(wanted)
    assert {name for name, (verdict, _) in found.items() if verdict == "Refused"} == refused.keys()
    assert all(words in found[name][1] for name, words in refused.items()), found


async def test_only_in_a_cloud_with_the_labels_that_it_names() -> None:
    clouds = Clouds(rbx="FR", sbg="FR")
    clouds.world.located["sbg"]["labels"] = {"tier": "gold"}
    wanted = await placed(clouds.world, wish(labels={"tier": "gold"}))
    assert chosen_of(wanted) == "sbg"
    assert told(wanted)["rbx/default"] == ("Refused", "the cloud does not have the label tier=gold")


async def test_machines_of_one_kind_are_spread_also_before_the_first_one_shows() -> None:
    clouds = Clouds(gra="FR", lim="DE", waw="PL")
    spec = wish(spread={"by": "Country", "matchLabels": {"app": "web"}})
    found = []
    for number in range(3):
        wanted, _, _ = await run(CONTROLLER, another(number, spec, labels={"app": "web"}), clouds.world)
        found.append(chosen_of(wanted))
        for name in ("gra", "lim", "waw"):
            clouds.front(name).vms.clear()  # what was made a moment ago is in no view yet
    assert found == ["gra", "lim", "waw"]


async def test_machines_that_are_there_are_kept_apart_from() -> None:
    clouds = Clouds(gra="FR", lim="DE")
    labelled = {"SOVEREIGNCLOUD_LABELS": "app=web,tier=front"}
    clouds.front("gra").vms[80] = vm(id=80, mark=mark("HostedInstance", "first"), host="gra-1", notes=labelled)
    clouds.front("lim").vms[81] = vm(
        id=81, mark=mark("HostedInstance", "other", namespace="elsewhere"), host="lim-1", notes=labelled
    )
    spread = wish(spread={"by": "Cloud", "matchLabels": {"app": "web"}})
    wanted = await placed(clouds.world, spread, labels={"app": "web"})
    assert chosen_of(wanted) == "lim", "of another namespace is none of its like"
    assert "shares its cloud with 1" in told(wanted)["gra/default"][1]


async def test_what_is_promised_counts_until_it_shows() -> None:
    clouds = Clouds(gra="FR", rbx="FR")
    for name in ("gra", "rbx"):
        front = clouds.front(name)
        front.hosts[1] = replace(front.hosts[1], max_memory=6 * 1024 * 1024)
    found = []
    for number in range(3):
        for name in ("gra", "rbx"):
            clouds.front(name).vms.clear()
        wanted, _, outcome = await run(CONTROLLER, another(number), clouds.world)
        found.append(chosen_of(wanted))
    assert found == ["gra", "rbx", ""], "each has room for one, and what was asked for a moment ago takes it"
    assert (outcome.phase, outcome.reason) == (Phase.WAITING, "NoCapacity")


# --- policies ----------------------------------------------------------------------------------------------------------


async def test_policies_refuse_with_their_names_and_all_that_bind_count() -> None:
    clouds = Clouds(rbx="FR", lim="DE", waw="PL")
    clouds.world.rules = [policy("western", "FR", "DE"), policy("not-here", "DE", "PL")]
    wanted = await placed(clouds.world)
    assert chosen_of(wanted) == "lim"
    found = told(wanted)
    assert found["rbx/default"][0] == "Refused"
    assert "SovereigntyPolicy not-here, residency.compute" in found["rbx/default"][1]
    assert "SovereigntyPolicy western" in found["waw/default"][1]


async def test_audit_refuses_nothing() -> None:
    clouds = Clouds(waw="PL")
    clouds.world.rules = [policy("western", "FR", enforced=False)]
    assert chosen_of(await placed(clouds.world)) == "waw"


@pytest.mark.parametrize("spec", [ANYWHERE, wish(cloudRef={"name": "waw"})], ids=["any cloud", "the cloud it names"])
async def test_nowhere_is_stalled_with_every_reason_and_heals_when_the_policy_changes(spec: dict[str, Any]) -> None:
    clouds = Clouds(waw="PL")
    clouds.world.rules = [policy("western", "FR")]
    wanted, plan, outcome = await run(CONTROLLER, new_instance(spec), clouds.world)
    assert (plan.steps, outcome.phase, outcome.reason) == ((), Phase.STALLED, "NoCompliantPlace")
    assert (
        "team/waw cluster default: SovereigntyPolicy western, residency.compute: host waw-1 is in PL" in outcome.message
    )
    assert outcome.after, "nobody else may tell that something changed"
    assert told(wanted)["waw/default"][0] == "Refused"
    assert not clouds.front("waw").journal
    clouds.world.rules = []
    wanted, _, _ = await run(CONTROLLER, wanted, clouds.world)
    assert wanted.external["cloud"] == "team/waw"
    assert told(wanted)["waw/default"][0] == "Chosen"


async def test_an_unknown_country_is_refused_by_an_enforced_policy() -> None:
    clouds = Clouds(rbx="")
    clouds.world.rules = [policy("french", "FR")]
    _, plan, outcome = await run(CONTROLLER, new_instance(ANYWHERE), clouds.world)
    assert (plan.steps, outcome.reason) == ((), "NoCompliantPlace")
    assert "nobody knows in which country" in outcome.message


async def test_a_cloud_that_is_held_takes_nothing_new() -> None:
    clouds = Clouds(rbx="FR", sbg="FR")
    clouds.world.rules = [policy("french", "FR", on_violation=OnViolation.HOLD, held=frozenset({RBX}))]
    wanted = await placed(clouds.world)
    assert chosen_of(wanted) == "sbg"
    assert "SovereigntyPolicy french holds team/rbx" in told(wanted)["rbx/default"][1]


async def test_what_was_chosen_and_not_made_yet_is_chosen_anew_when_a_policy_forbids_it() -> None:
    clouds = Clouds(gra="FR", waw="PL")
    clouds.front("gra").images.clear()
    wanted = new_instance(wish(cloudRef={"name": "gra"}))
    wanted = wanted.model_copy(update={"status": wanted.status.model_copy(update={"external": {"cloud": "team/gra"}})})
    wanted = wanted.model_copy(update={"spec": new_instance(ANYWHERE).spec})
    plan = await look(CONTROLLER, wanted, clouds.world)
    assert plan.outcome.reason == "ImageNotFound", "it stays where it was decided, and waits there"
    clouds.world.rules = [policy("polish", "PL")]
    plan = await look(CONTROLLER, wanted, clouds.world)
    assert [type(step) for step in plan.steps] == [BindInstance, CreateVm]
    assert all(step.cloud.name == "waw" for step in plan.steps if isinstance(step, BindInstance | CreateVm))


async def test_no_second_machine_where_the_first_may_still_appear() -> None:
    """It was chosen before, something may have been asked for there, and it does not answer now."""
    clouds = Clouds(gra="FR", waw="PL")
    wanted = new_instance(ANYWHERE)
    wanted = wanted.model_copy(update={"status": wanted.status.model_copy(update={"external": {"cloud": "team/gra"}})})
    clouds.world.rules = [policy("polish", "PL")]
    clouds.world.fronts[Key("SovereignCloud", "team", "gra")] = Retry("timed out")
    with pytest.raises(Retry):
        await look(CONTROLLER, wanted, clouds.world)
    assert not clouds.front("waw").journal


async def test_a_machine_found_by_its_mark_in_a_forbidden_cloud_is_kept() -> None:
    clouds = Clouds(gra="FR", waw="PL")
    clouds.front("waw").vms[12] = vm(host="waw-1")
    clouds.world.rules = [policy("french", "FR")]
    plan = await look(CONTROLLER, new_instance(ANYWHERE), clouds.world)
    assert not any(isinstance(step, CreateVm) for step in plan.steps)


BUILT = {"existing": None, "hosted": {"openNebula": {"install": {"version": "7.0", "architecture": "Basic"}}}}


@dataclass(frozen=True)
class Unheard:
    why: str
    about: dict[str, Any]
    waits: bool
    where: dict[str, Any] = field(default_factory=dict)


UNHEARD = [
    Unheard("one that stands elsewhere may have been in use before", {}, waits=True),
    Unheard("nobody looked yet how far one that is built is", {"spec": BUILT}, waits=True),
    Unheard("one was built before and is silent", {"spec": BUILT, "status": {"phase": "Unreachable"}}, waits=True),
    Unheard("on its servers nothing was installed yet", {"spec": BUILT, "status": {"phase": "Servers"}}, waits=False),
    Unheard("nor in its network", {"spec": BUILT, "status": {"phase": "vRack"}}, waits=False),
    Unheard("it is being installed", {"spec": BUILT, "status": {"phase": "Installing"}}, waits=False),
    Unheard("another one is named", {}, waits=False, where={"cloudRef": {"name": "rbx"}}),
]


@pytest.mark.parametrize("row", UNHEARD, ids=lambda row: row.why)
async def test_nothing_is_made_while_a_cloud_may_hold_the_machine_that_never_answered(row: Unheard) -> None:
    clouds = Clouds(rbx="FR", sbg="FR")
    clouds.world.fronts[Key("SovereignCloud", "team", "sbg")] = None
    clouds.world.located["sbg"] |= row.about
    plan = await look(CONTROLLER, new_instance(ANYWHERE | {"placement": row.where}), clouds.world)
    if row.waits:
        assert (plan.steps, plan.outcome.phase) == ((), Phase.BLOCKED)
        assert "SovereignCloud team/sbg has not answered since it was declared here" in plan.outcome.message
    else:
        assert any(isinstance(step, CreateVm) for step in plan.steps), plan.outcome


async def test_a_cloud_that_does_not_answer_is_no_choice_and_holds_up_nobody() -> None:
    clouds = Clouds(gra="FR", rbx="FR", sbg="FR")
    clouds.world.fronts[Key("SovereignCloud", "team", "gra")] = Auth("refused")
    clouds.world.fronts[Key("SovereignCloud", "team", "sbg")] = None
    clouds.world.located["sbg"] |= {"spec": BUILT, "status": {"phase": "Installing"}}
    wanted = await placed(clouds.world)
    assert chosen_of(wanted) == "rbx"
    assert told(wanted)["gra/"] == ("Refused", "it does not answer")
    assert told(wanted)["sbg/"] == ("Refused", "it has not answered yet")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda clouds: clouds.front("gra").images.clear(), "it has no image ubuntu that the namespace may use"),
        (lambda clouds: clouds.front("gra").networks.clear(), "it has no network lan"),
        (
            lambda clouds: clouds.world.located["gra"].update(spec={"management": "Observe"}),
            "it is only observed (spec.management: Observe)",
        ),
        (lambda clouds: clouds.fill("gra"), "no host has 2 cores and 4096 MiB of memory free"),
    ],
)
async def test_what_makes_a_cloud_no_choice(change: Any, says: str) -> None:
    clouds = Clouds(gra="FR", rbx="FR")
    change(clouds)
    wanted = await placed(clouds.world)
    assert chosen_of(wanted) == "rbx"
    assert told(wanted)["gra/default"] == ("Refused", says)


async def test_an_adopted_machine_is_in_a_cloud_that_is_named() -> None:
    clouds = Clouds(gra="FR", rbx="FR")
    plan = await look(CONTROLLER, new_instance({"adopt": {"id": "12"}, **ANYWHERE}), clouds.world)
    assert (plan.outcome.phase, plan.outcome.reason) == (Phase.STALLED, "InvalidSpec")
    assert "spec.placement.cloudRef" in plan.outcome.message


# --- clusters ----------------------------------------------------------------------------------------------------------


async def test_of_several_clusters_one_is_chosen_and_the_scheduler_is_told() -> None:
    clouds = Clouds(rbx="CA")
    clouds.add_cluster("rbx", 100, "paris", "FR")
    clouds.world.rules = [policy("french", "FR")]
    wanted = await placed(clouds.world, wish(cloudRef={"name": "rbx"}))
    (made,) = clouds.front("rbx").vms.values()
    assert made.requirements == "(CLUSTER_ID = 100)"
    assert wanted.external["cluster"] == "100"
    assert wanted.status.placement.cluster == "paris"
    assert told(wanted)["rbx/default"][0] == "Refused"
    wanted, plan, _ = await run(CONTROLLER, wanted, clouds.world)
    assert not plan.drift


async def test_a_cloud_of_one_cluster_is_told_nothing() -> None:
    clouds = Clouds(rbx="FR")
    wanted = await placed(clouds.world)
    (made,) = clouds.front("rbx").vms.values()
    assert made.requirements == ""
    wanted, plan, _ = await run(CONTROLLER, wanted, clouds.world)
    clouds.add_cluster("rbx", 100, "beauharnois", "CA")
    plan = await look(CONTROLLER, wanted, clouds.world)
    assert differences(plan) == {"spec.placement": ("cluster default", "the scheduler is told nothing")}
    wanted, _, _ = await run(CONTROLLER, wanted, clouds.world)
    (made,) = clouds.front("rbx").vms.values()
    assert made.requirements == "(CLUSTER_ID = 0)", "a cluster that came later is none that was chosen"


async def test_somebody_lets_it_be_placed_anywhere() -> None:
    clouds = Clouds(rbx="FR")
    clouds.add_cluster("rbx", 100, "paris", "FR")
    wanted = await placed(clouds.world)
    front = clouds.front("rbx")
    (made,) = front.vms.values()
    front.vms[made.id] = replace(made, requirements="")
    plan = await look(CONTROLLER, wanted, clouds.world)
    assert differences(plan)["spec.placement"][1] == "the scheduler is told nothing"


async def test_named_hosts_say_more_than_the_cluster() -> None:
    clouds = Clouds(rbx="FR")
    clouds.add_cluster("rbx", 100, "paris", "FR")
    wanted = await placed(clouds.world, wish(cloudRef={"name": "rbx"}, hosts=["rbx-100"]))
    (made,) = clouds.front("rbx").vms.values()
    assert made.requirements == "(ID = 100)"
    assert wanted.external["cluster"] == "100"


async def test_a_network_that_is_not_in_a_cluster_excludes_it() -> None:
    clouds = Clouds(rbx="FR")
    clouds.add_cluster("rbx", 100, "paris", "FR")
    clouds.front("rbx").networks[3] = network(clusters=(100,))
    wanted = await placed(clouds.world)
    assert wanted.external["cluster"] == "100"
    assert told(wanted)["rbx/default"] == ("Refused", "network lan is not in it")


async def test_a_lost_answer_forgets_no_cluster() -> None:
    clouds = Clouds(rbx="FR")
    clouds.add_cluster("rbx", 100, "paris", "FR")
    clouds.front("rbx").networks[3] = network(clusters=(100,))
    clouds.front("rbx").lost.add("create_vm")
    spec = wish(cloudRef={"name": "rbx"})
    _, _, _ = await run(CONTROLLER, new_instance(spec), clouds.world)
    wanted, _, _ = await run(CONTROLLER, new_instance(spec), clouds.world)  # the record is lost, too
    assert (wanted.external["cluster"], len(clouds.front("rbx").vms)) == ("100", 1)


# --- where it is -------------------------------------------------------------------------------------------------------

THERE = {"networks": [{"name": "lan"}]}


async def seen(clouds: Clouds, spec: dict[str, Any] | None = None, host: str = "rbx-1") -> tuple[dict[str, Any], Any]:
    """Status and plan of a machine that is there."""
    clouds.front("rbx").vms[12] = vm(host=host, mark=OURS)
    wanted = instance(spec or ANYWHERE)
    observed = await CONTROLLER.observe(wanted, clouds.world)
    plan = CONTROLLER.plan(wanted, observed, clouds.world.now)
    status = dict(CONTROLLER.status(wanted, observed).items())
    return status, plan


async def test_status_tells_where_its_host_is() -> None:
    clouds = Clouds(rbx="FR")
    clouds.world.located["rbx"]["locations"].append(location("default", "CA", "rbx-2"))
    status, _ = await seen(clouds)
    assert status["placement"] == {
        "cloud": "team/rbx", "cluster": "default", "host": "rbx-1", "zone": None, "country": "FR", "datacenter": "FR-1",
        "considered": None,
    }  # fmt: skip
    assert status[OWN_CONDITIONS] == (), "no policy asks for anything"


@pytest.mark.parametrize(
    ("host", "status", "reason", "says"),
    [
        ("rbx-1", "True", "PoliciesMet", "meets SovereigntyPolicy french"),
        ("rbx-2", "False", "ResidencyViolation", "host rbx-2 is in CA, CA-1, and only FR is allowed (OVHcloud region"),
        ("rbx-9", "Unknown", "LocationUnknown", "nobody knows in which country host rbx-9 is"),
    ],
)
async def test_it_is_judged_by_the_host_that_it_runs_on(host: str, status: str, reason: str, says: str) -> None:
    clouds = Clouds(rbx="FR")
    clouds.front("rbx").hosts |= {n: replace(clouds.front("rbx").hosts[1], id=n, name=f"rbx-{n}") for n in (2, 9)}
    clouds.world.located["rbx"]["locations"].append(location("default", "CA", "rbx-2"))
    clouds.world.rules = [policy("french", "FR")]
    found, plan = await seen(clouds, host=host)
    (condition,) = found[OWN_CONDITIONS]
    assert (condition["type"], condition["status"], condition["reason"]) == ("Compliant", status, reason)
    assert says in condition["message"]
    assert (plan.steps, plan.outcome.phase) == ((), Phase.DONE), "it is told, and nothing is done about it"


async def test_a_machine_that_is_not_to_move_says_that_a_policy_wants_it_to() -> None:
    clouds = Clouds(rbx="CA")
    clouds.world.rules = [policy("french", "FR", on_violation=OnViolation.RELOCATE)]
    _, plan = await seen(clouds, ANYWHERE | {"updatePolicy": {"move": "Deny"}})
    (step,) = plan.steps
    assert isinstance(step, MoveVm)
    assert "SovereigntyPolicy french" in step.target
    assert "InstanceMigration" in step.needs
    assert plan.drift == (), "nobody declared otherwise"


@pytest.mark.parametrize(
    ("placement", "path", "desired", "observed"),
    [
        ({"countries": ["FR", "DE"]}, "spec.placement.countries", "FR, DE", "CA (host rbx-1)"),
        ({"labels": {"tier": "gold"}}, "spec.placement.labels", "tier=gold", "tier=silver on team/rbx"),
    ],
)
async def test_a_placement_that_excludes_where_it_runs(
    placement: dict[str, Any], path: str, desired: str, observed: str
) -> None:
    clouds = Clouds(rbx="CA", sbg="FR")
    clouds.world.located["rbx"]["labels"] = {"tier": "silver"}
    _, plan = await seen(clouds, wish(**placement))
    assert differences(plan) == {path: (desired, observed)}
    (step,) = plan.steps
    assert isinstance(step, MoveVm)
    assert step.needs
    assert "needs to move" in step.target
    assert not [*clouds.front("sbg").journal, *clouds.front("rbx").journal], "never a second machine"


async def test_a_machine_is_not_replaced_where_none_may_be_made() -> None:
    clouds = Clouds(rbx="CA")
    clouds.world.rules = [policy("french", "FR")]
    spec = {"source": {"image": "debian"}, "updatePolicy": {"replace": "Allow"}, **ANYWHERE}
    _, plan = await seen(clouds, spec)
    assert (plan.steps, plan.outcome.reason) == ((), "NoCompliantPlace"), "its place would be empty afterwards"


async def test_a_lost_machine_is_not_made_anew_where_none_may_be() -> None:
    clouds = Clouds(rbx="CA")
    clouds.world.rules = [policy("french", "FR")]
    clouds.front("rbx").vms[12] = vm(at=(6, 0))
    _, plan, _ = await run(CONTROLLER, instance({"updatePolicy": {"replace": "Allow"}, **ANYWHERE}), clouds.world)
    assert plan.steps == ()
    assert plan.outcome.reason == "NoCompliantPlace"


async def test_its_backups_count_where_the_policy_covers_them() -> None:
    clouds = Clouds(rbx="FR")
    clouds.world.located["rbx"]["locations"] = [
        location("default", "FR", "rbx-1", covers=("compute", "storage", "images"), datastores=["default"]),
        FRONT_END,
        {"name": "store/backups", "covers": ["backups"], "country": "GB", "grade": "Declared", "source": "spec.stores"},
    ]
    clouds.world.rules = [replace(policy("french", "FR"), covers=frozenset(Part))]
    found, _ = await seen(clouds)
    assert [c["status"] for c in found[OWN_CONDITIONS]] == ["True"], "it has no backups"
    found, _ = await seen(clouds, {"backup": {"store": "backups"}, **ANYWHERE})
    (condition,) = found[OWN_CONDITIONS]
    assert condition["status"] == "False"
    assert "store backups is in GB" in condition["message"]


async def test_while_nobody_can_look_what_was_said_stays() -> None:
    clouds = Clouds(rbx="FR")
    wanted = instance(
        ANYWHERE,
        status={
            "conditions": [
                {"type": "Compliant", "status": "False", "reason": "ResidencyViolation", "message": "as told"}
            ]
        },
    )
    clouds.world.fronts[RBX] = None
    observed = await CONTROLLER.observe(wanted, clouds.world)
    (condition,) = CONTROLLER.status(wanted, observed)[OWN_CONDITIONS]
    assert (condition["type"], condition["status"], condition["message"]) == ("Compliant", "False", "as told")
