"""The plan of a FederatedZone: how clouds become a federation, what is kept, what is done about a slave that stays behind."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.kinds.federation_scene import (
    CONTROLLER,
    ENDPOINT,
    JOIN,
    RBX,
    Scene,
    cloud_spec,
    condition,
    mark,
    master,
    slave,
)
from tests.unit.kinds.opennebula_in_memory import image, vm

from sovereigncloud.core.identity import Mark
from sovereigncloud.core.outcome import Phase
from sovereigncloud.engine.views import federation
from sovereigncloud.kinds.federatedzone.sync import NUDGED_AGAIN, PATIENCE
from sovereigncloud.ports.installer.federation import Change
from sovereigncloud.ports.opennebula.zones import Federation, Mode, RaftState, VdcPart, Zone, ZoneServer

READY = {"observedGeneration": 1, "conditions": [{"type": "Ready", "status": "True", "reason": "Ready"}]}


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(federation, "_PAUSES", (0.0, 0.0))


@pytest.fixture
def scene() -> Scene:
    return Scene()


# ------------------------------------------------------------------------------------------------------------- to join


async def test_two_clouds_become_a_federation_and_stay_at_rest(scene: Scene) -> None:
    """The master is addressed before it is converted; the slave's zone is made with its mark, then it is joined."""
    paris, rbx = await scene.federated()
    assert [entry[:2] for entry in scene.paris.journal] == [
        ("rename", 0), ("update", 0), ("update", 0), ("update", 0),
        ("allocate", "rbx"), ("update", 100), ("update", 100),
    ]  # fmt: skip
    assert [(one.cloud, one.change, one.request, one.zone) for one in scene.installer.begun] == [
        ("paris", Change.MASTER, "first", 0),
        ("rbx", Change.SLAVE, "join-1", 100),
    ]
    joined = scene.installer.begun[1]
    assert (joined.master_endpoint, joined.login.host, joined.master and joined.master.host) == (
        ENDPOINT["paris"], "rbx.example.fr", "paris.example.fr",
    )  # fmt: skip
    assert scene.paris.tables.zones[100].mark == mark("FederatedZone", "rbx", "uid-rbx")
    assert (rbx.status.zone_id, rbx.status.role, rbx.status.endpoint) == ("100", "Slave", ENDPOINT["rbx"])
    assert (paris.status.zone_id, paris.status.role, paris.status.commands) == ("0", "Master", None)
    before = list(scene.paris.journal)
    for zone in (paris, rbx):
        assert (await scene.look(zone)).steps == ()
    assert scene.paris.journal == before


@pytest.mark.parametrize("lost", ["allocate", "update", "job"])
async def test_an_answer_that_was_lost_makes_nothing_twice(scene: Scene, lost: str) -> None:
    await scene.settle(master())
    scene.installer.lost = lost == "job"
    scene.paris.lost = {lost} - {"job"}
    await scene.settle(slave())
    assert [entry for entry in scene.paris.journal if entry[0] == "allocate"] == [("allocate", "rbx")]
    assert len(scene.installer.begun) == 2


async def test_a_crash_before_the_id_was_recorded_finds_the_zone_by_its_mark(scene: Scene) -> None:
    await scene.settle(master())
    await scene.once(slave())  # the zone is made; the status never written
    zone = await scene.settle(slave())
    assert zone.external == {"zone": "100"}
    assert sorted(scene.paris.tables.zones) == [0, 100]


CONSENT = [
    ("nothing is said of joining", {"join": None}, "spec.join: {request: A-WORD, replaceUsersGroupsVDCs: Accept}"),
    ("there is a word and no consent", {"join": {"request": "x"}}, "spec.join.replaceUsersGroupsVDCs: Accept"),
]


async def test_a_slave_is_not_joined_without_consent(scene: Scene) -> None:
    await scene.settle(master())
    for why, spec, field in CONSENT:
        zone = slave(spec)
        for _ in range(3):
            zone, plan, _ = await scene.once(zone)
        assert plan.steps == (), why
        assert (plan.outcome.phase, str(plan.outcome.reason)) == (Phase.APPROVAL, "ApprovalRequired"), why
        assert field in plan.outcome.message, why
    assert len(scene.installer.begun) == 1


async def test_a_slave_with_things_of_others_is_refused_until_they_are_gone(scene: Scene) -> None:
    """Its users are replaced: what is theirs would be somebody else's."""
    await scene.settle(master())
    scene.rbx.vms, scene.rbx.images = {12: vm(owner=3)}, {7: image(owner=0), 8: image(id=8, name="mine", owner=4)}
    zone, _, _ = await scene.once(slave())
    plan = await scene.look(zone)
    assert (plan.outcome.phase, str(plan.outcome.reason)) == (Phase.STALLED, "JoinRefused")
    assert (
        'these belong to users that would be gone: VM 12 "web" of user 3, image 8 "mine" of user 4.'
        in plan.outcome.message
    )
    scene.rbx.vms, scene.rbx.images = {}, {7: image(owner=0)}
    await scene.settle(zone)


BACKENDS = [("sqlite", "mysql", True), ("mysql", "mysql", False), ("", "mysql", False), ("sqlite", "", False)]


async def test_a_slave_whose_database_is_of_another_kind_is_refused_before_anything_is_touched(scene: Scene) -> None:
    await scene.settle(master())
    zone, _, _ = await scene.once(slave())
    for own, masters, refused in BACKENDS:
        scene.rbx.config = Federation(Mode.STANDALONE, 0, backend=own)
        scene.paris.config = Federation(Mode.MASTER, 0, backend=masters)
        plan = await scene.look(zone)
        assert (str(plan.outcome.reason) == "JoinRefused", bool(plan.steps)) == (refused, not refused), (own, masters)


async def test_without_a_way_in_a_person_is_told_what_to_type_and_it_goes_on_by_itself() -> None:
    scene = Scene(paris=cloud_spec("paris", ssh=False))
    zone, plan, _ = await scene.once(master())
    while plan.steps:
        zone, plan, _ = await scene.once(zone)
    assert (plan.outcome.phase, str(plan.outcome.reason)) == (Phase.APPROVAL, "ManualStepRequired")
    assert any('MODE = "MASTER"' in line for line in (await scene.fields(zone))["commands"])
    scene.become("paris", Change.MASTER)
    zone = await scene.settle(zone)
    assert (await scene.fields(zone))["commands"] is None

    rbx, plan, _ = await scene.once(slave())
    plan = await scene.look(rbx)
    commands = (await scene.fields(rbx))["commands"]
    assert str(plan.outcome.reason) == "ManualStepRequired"
    assert any(
        f'MODE = "SLAVE", ZONE_ID = 100, SERVER_ID = -1, MASTER_ONED = "{ENDPOINT["paris"]}"' in c for c in commands
    )
    assert [c for c in commands if c.startswith("onedb")] == [
        "onedb backup --federated -f /var/lib/one/federated.db",
        "onedb backup -f /var/lib/one/before-federation.db",
        "onedb restore --federated -f /var/lib/one/federated.db",
    ]
    scene.become("rbx", Change.SLAVE)
    await scene.settle(rbx)
    assert scene.installer.begun == []


async def test_one_of_several_front_ends_is_left_to_a_person(scene: Scene) -> None:
    """The play makes a front-end that stands alone: it would take a server out of its zone."""
    scene.paris.config = Federation(Mode.STANDALONE, 0, server=1)
    zone = await named(scene, master())
    plan = await scene.look(zone)
    assert (plan.steps, str(plan.outcome.reason)) == ((), "ManualStepRequired")
    assert "it has several front-ends" in plan.outcome.message
    assert any("SERVER_ID = AS-IT-IS" in line for line in (await scene.fields(zone))["commands"])


async def named(scene: Scene, zone: Any) -> Any:
    """Its entry is as declared."""
    for _ in range(2):
        zone, _, _ = await scene.once(zone)
    return zone


async def test_a_member_that_somebody_made_none_is_drift(scene: Scene) -> None:
    """A person had made it a master, so no word of ours was used for it: driftPolicy says whether it is made one again."""
    scene.become("paris", Change.MASTER)
    paris = await scene.settle(master())
    scene.become("paris", Change.STANDALONE)
    plan = await scene.look(paris)
    assert [(d.path, d.desired, d.observed) for d in plan.drift] == [("spec.role", "Master", "Standalone")]
    (step,) = plan.steps
    assert (step.fields, step.dangerous) == (("spec.role",), True), "the brakes count it"


async def test_a_slave_that_somebody_made_none_is_joined_again_by_another_word_only(scene: Scene) -> None:
    _, rbx = await scene.federated()
    scene.become("rbx", Change.STANDALONE)
    scene.pass_(7200)
    plan = await scene.look(rbx)
    assert ([d.path for d in plan.drift], plan.steps, str(plan.outcome.reason)) == (["spec.role"], (), "JoinUnknown")
    told = rbx.status.model_dump(by_alias=True, exclude_none=True)
    await scene.settle(slave({"join": {**JOIN, "request": "join-2"}}, told))
    assert scene.rbx.config.mode is Mode.SLAVE


async def test_a_job_that_failed_waits_for_another_word_and_none_is_used_twice(scene: Scene) -> None:
    await scene.settle(master())
    zone = slave()
    for _ in range(3):
        zone, _, _ = await scene.once(zone)
    scene.installer.play("Failed")
    plan = await scene.look(zone)
    assert (plan.outcome.phase, str(plan.outcome.reason)) == (Phase.STALLED, "JoinFailed")
    assert "federation.yml failed in a task" in plan.outcome.message
    told = zone.status.model_dump(by_alias=True, exclude_none=True)
    again = slave({"join": {**JOIN, "request": "join-2"}}, told)
    again, _, _ = await scene.once(again)
    scene.installer.play("Failed")
    plan = await scene.look(slave({}, told))  # back to the first word
    assert (plan.steps, str(plan.outcome.reason)) == ((), "ApprovalRequired")
    assert "spec.join.request to a new word" in plan.outcome.message
    await scene.settle(slave({"join": {**JOIN, "request": "join-3"}}, told))
    assert [one.request for one in scene.installer.begun] == ["first", "join-1", "join-2", "join-3"]


async def test_a_job_that_is_gone_is_never_made_again_unasked(scene: Scene) -> None:
    """Begun, and nobody knows what became of it: a person looks."""
    await scene.settle(master())
    zone = slave()
    for _ in range(3):
        zone, _, _ = await scene.once(zone)
    scene.installer.jobs.clear()
    plan = await scene.look(zone)
    assert (plan.steps, plan.outcome.phase, str(plan.outcome.reason)) == ((), Phase.STALLED, "JoinUnknown")


async def test_a_member_that_a_person_made_is_taken_over_as_it_is(scene: Scene) -> None:
    """Whoever followed the guide by hand adopts what stands: the configuration of the cloud says which zone it is."""
    await scene.settle(master())
    scene.paris.tables.zones[103] = Zone(103, "roubaix", ENDPOINT["rbx"])
    scene.become("rbx", Change.SLAVE, 103)
    zone = await scene.settle(slave({"join": None}))
    assert (zone.status.zone_id, scene.paris.tables.zones[103].name) == ("103", "rbx")
    assert scene.paris.tables.zones[103].mark == mark("FederatedZone", "rbx", "uid-rbx")
    assert len(scene.installer.begun) == 1


async def test_after_a_rebuilt_cluster_the_same_zone_is_marked_anew_and_nothing_is_joined_again(scene: Scene) -> None:
    await scene.federated()
    before = len(scene.installer.begun)
    zone = await scene.settle(slave(uid="uid-new"))
    assert (zone.external, scene.paris.tables.zones[100].mark) == (
        {"zone": "100"},
        mark("FederatedZone", "rbx", "uid-new"),
    )
    assert len(scene.installer.begun) == before


TAKEN = [
    ("a person's", None, "NameTaken", "a person made it"),
    ("another object's", mark("FederatedZone", "other"), "NameTaken", "that of FederatedZone team/other"),
    ("another installation's", Mark("inst-2", "FederatedZone/team/rbx", "u"), "OwnedByAnotherInstallation", "inst-2"),
]


async def test_a_name_that_is_taken_says_whose_it_is(scene: Scene) -> None:
    await scene.settle(master())
    for why, whose, reason, words in TAKEN:
        scene.paris.tables.zones[100] = Zone(100, "rbx", "http://elsewhere/RPC2", mark=whose)
        plan = await scene.look(slave())
        assert (plan.steps, plan.outcome.phase, str(plan.outcome.reason)) == ((), Phase.STALLED, reason), why
        assert words in plan.outcome.message, why


WRONG: list[tuple[str, Any, str, Mode, str]] = [
    ("a slave that is to be master", master(), "paris", Mode.SLAVE, "is a slave"),
    ("a master that is to be slave", slave(), "rbx", Mode.MASTER, "is the master of a federation"),
    ("the slave of somebody else", slave(status={"external": {"zone": "100"}}), "rbx", Mode.SLAVE, "is zone 107"),
]


async def test_a_member_of_another_federation_is_left_alone(scene: Scene) -> None:
    await scene.settle(master())
    scene.paris.tables.zones[100] = Zone(100, "rbx", "", mark=mark("FederatedZone", "rbx", "uid-rbx"))
    for why, zone, name, mode, words in WRONG:
        member = getattr(scene, name)
        before, member.config = member.config, Federation(mode, 107)
        plan = await scene.look(zone)
        member.config = before
        assert (plan.outcome.phase, str(plan.outcome.reason)) == (Phase.STALLED, "WrongFederation"), why
        assert words in plan.outcome.message, why
        assert plan.steps == (), why


async def test_a_slave_waits_for_a_master_that_is_none_yet(scene: Scene) -> None:
    scene.resources = {}
    plan = await scene.look(slave())
    assert "there is no FederatedZone paris" in plan.outcome.message
    scene.resources = {one.key: one for one in (master(),)}
    plan = await scene.look(slave())
    assert (plan.steps, plan.outcome.phase) == ((), Phase.BLOCKED)
    assert "is no master yet" in plan.outcome.message


async def test_at_a_master_that_is_only_observed_nothing_is_written() -> None:
    scene = Scene(paris=cloud_spec("paris", management="Observe"))
    scene.become("paris", Change.MASTER)
    scene.resources = {one.key: one for one in (master(),)}
    (step,) = (await scene.look(slave())).steps
    assert "spec.management: Manage on SovereignCloud team/paris (it is Observe)" in step.needs


async def test_a_second_zone_of_the_same_cloud_is_refused(scene: Scene) -> None:
    scene.resources = {one.key: one for one in (master(), slave())}
    plan = await scene.look(slave(name="rbx-2"))
    assert (plan.outcome.phase, "FederatedZone rbx is the zone of" in plan.outcome.message) == (Phase.STALLED, True)


async def test_a_credential_that_may_not_see_the_configuration_is_told(scene: Scene) -> None:
    """The rest of the cloud is read all the same."""
    scene.paris.forbidden = True
    plan = await scene.look(master())
    assert (plan.outcome.phase, str(plan.outcome.reason)) == (Phase.STALLED, "CredentialsRejected")
    scene.resources = {one.key: one for one in (master(),)}
    assert (await scene.view(scene_key())).federation.problem  # type: ignore[union-attr]


def scene_key() -> Any:
    return RBX._replace(name="paris")


# ------------------------------------------------------------------------------------------------------------ upkeep

DRIFT: list[tuple[str, dict[str, Any], dict[str, Any], str, tuple[Any, ...]]] = [
    ("its name", {"name": "x"}, {}, "metadata.name", ("rename", 100, "rbx")),
    ("its address", {"endpoint": "http://x/RPC2"}, {}, "spec.endpoint", ("update", 100, "ENDPOINT")),
    ("an address that is gone", {"endpoint": ""}, {}, "spec.endpoint", ("update", 100, "ENDPOINT")),
    ("its Sunstone", {"sunstone": ""}, {"sunstoneEndpoint": "https://s"}, "spec.sunstoneEndpoint", ("update", 100, "FIREEDGE_ENDPOINT")),
]  # fmt: skip


async def test_what_the_federation_lists_is_kept_at_the_master(scene: Scene) -> None:
    for why, change, spec, path, call in DRIFT:
        one = Scene()
        _, rbx = await one.federated(**spec)
        one.paris.tables.zones[100] = replace(one.paris.tables.zones[100], **change)
        plan = await one.look(rbx)
        assert [d.path for d in plan.drift] == [path], why
        assert [step.fields for step in plan.steps] == [(path,)], why
        await one.settle(rbx)
        assert one.paris.journal[-1] == call, why


async def test_its_state_is_set_at_the_zone_itself(scene: Scene) -> None:
    _, rbx = await scene.federated(state="Enabled")
    scene.rbx.tables.zones[100] = replace(scene.rbx.tables.zones[100], enabled=False)
    plan = await scene.look(rbx)
    assert [(d.path, d.observed) for d in plan.drift] == [("spec.state", "Disabled")]
    await scene.settle(rbx)
    assert scene.rbx.journal[-1] == ("enable", 100, True)
    scene.rbx.tables.zones[100] = replace(scene.rbx.tables.zones[100], enabled=False)
    told = rbx.status.model_dump(by_alias=True, exclude_none=True)
    assert (await scene.look(slave({}, told))).steps == (), "left out of spec it is left as it is"


SERVERS = [{"name": "s0", "endpoint": "http://10.0.0.3/RPC2"}, {"name": "s1", "endpoint": "http://10.0.0.4/RPC2"}]


async def test_the_list_of_servers_is_kept_and_nobody_who_runs_is_taken_off(scene: Scene) -> None:
    """Taken off while it runs a server goes on campaigning (observed); one under another address has another number."""
    await scene.settle(master())
    rbx = await scene.settle(slave())
    told = rbx.status.model_dump(by_alias=True, exclude_none=True)
    wanted = slave({"servers": SERVERS}, told)
    for _ in range(3):
        wanted, plan, _ = await scene.once(wanted)
    zone = scene.rbx.tables.zones[100]
    assert [(s.id, s.name, s.endpoint) for s in zone.servers] == [
        (0, "s0", SERVERS[0]["endpoint"]),
        (1, "s1", SERVERS[1]["endpoint"]),
    ]
    extra = ZoneServer(2, "s2", "http://10.0.0.5/RPC2")
    moved = replace(zone.servers[0], endpoint="http://10.0.0.9/RPC2")
    scene.rbx.tables.zones[100] = replace(zone, servers=(moved, zone.servers[1], extra))
    scene.rbx.servers = {moved.endpoint: RaftState.LEADER}
    plan = await scene.look(wanted)
    assert [(d.path, d.mendable) for d in plan.drift] == [
        ("spec.servers[s0].endpoint", False),
        ("spec.servers[s2]", False),
    ]
    assert plan.steps == ()
    scene.rbx.servers[extra.endpoint] = None
    plan = await scene.look(wanted)
    assert [step.target for step in plan.steps] == ['server 2 "s2" of zone 100']


# ------------------------------------------------------------------------------------------------------------- in sync


async def test_a_slave_that_stays_behind_is_given_one_record_and_no_more(scene: Scene) -> None:
    _, rbx = await scene.federated()
    scene.rbx.behind = 15
    assert condition(await scene.fields(rbx), "InSync") == ("False", "CatchingUp")
    rbx, plan, _ = await scene.once(rbx)
    assert [step.target.partition(" to ")[0] for step in plan.steps] == ['record for zone 100 "rbx"']
    assert scene.paris.journal[-1] == ("update", 100, "SOVEREIGNCLOUD_NUDGE")
    assert (await scene.look(rbx)).outcome.phase is Phase.DONE
    assert condition(await scene.fields(rbx), "InSync") == ("True", "InSync")


async def test_a_record_that_helped_does_not_hold_up_the_next(scene: Scene) -> None:
    """Its master was restarted once more a moment later."""
    _, rbx = await scene.federated()
    for _ in range(3):
        scene.rbx.behind = 1
        rbx, plan, _ = await scene.once(rbx)
        assert len(plan.steps) == 1
        assert (await scene.look(rbx)).outcome.phase is Phase.DONE
        scene.pass_(5)


async def test_where_the_record_does_not_help_a_person_is_told_who_does_not_reach_whom(scene: Scene) -> None:
    _, rbx = await scene.federated()
    scene.rbx.behind, scene.rbx.cut = 1, True
    rbx, _, _ = await scene.once(rbx)
    writes = len(scene.paris.journal)
    scene.pass_(PATIENCE + 1)
    rbx, plan, _ = await scene.once(rbx)
    assert (plan.steps, plan.outcome.phase, str(plan.outcome.reason), plan.outcome.available) == (
        (), Phase.RETRY, "ReplicationLagging", False,
    )  # fmt: skip
    assert "team/paris does not reach team/rbx at http://10.0.0.2:2633/RPC2" in plan.outcome.message
    fields = await scene.fields(rbx)
    assert condition(fields, "InSync") == ("False", "ReplicationLagging")
    assert condition(fields, "Reachable") == ("True", "AllZonesReachable")
    assert any("onedb restore --federated" in line for line in fields["commands"])
    assert len(scene.paris.journal) == writes, "not with each sweep"
    scene.rbx.cut = False  # it heals, and its master was restarted meanwhile: nothing comes by itself
    scene.pass_(NUDGED_AGAIN)
    rbx = await scene.settle(rbx)
    fields = await scene.fields(rbx)
    assert (condition(fields, "InSync"), fields["commands"]) == (("True", "InSync"), None)


async def test_who_does_not_answer_is_named_and_nothing_is_done(scene: Scene) -> None:
    paris, rbx = await scene.federated()
    scene.paris.down = "connection refused"
    fields, plan = await scene.fields(rbx), await scene.look(rbx)
    assert (plan.steps, plan.outcome.phase, str(plan.outcome.reason)) == ((), Phase.RETRY, "ZoneUnreachable")
    assert "does not reach the master team/paris: connection refused" in plan.outcome.message
    assert condition(fields, "Reachable") == ("False", "ZoneUnreachable")
    assert condition(fields, "InSync") == ("Unknown", "ZoneUnreachable")
    fields = await scene.fields(paris)
    assert (condition(fields, "Reachable"), fields["zoneID"], fields["servers"][0]["state"]) == (
        ("False", "ZoneUnreachable"), "0", "Unreachable",
    )  # fmt: skip
    scene.paris.down = ""
    assert (await scene.look(rbx)).outcome.phase is Phase.DONE


async def test_a_zone_of_several_servers_says_how_each_is(scene: Scene) -> None:
    paris, _ = await scene.federated()
    servers = tuple(ZoneServer(n, f"s{n}", f"http://10.0.1.{n}/RPC2") for n in range(3))
    scene.paris.tables.zones[0] = replace(scene.paris.tables.zones[0], servers=servers)
    states: list[RaftState | None] = [RaftState.LEADER, RaftState.FOLLOWER, RaftState.FOLLOWER]
    scene.paris.servers = {s.endpoint: state for s, state in zip(servers, states, strict=True)}
    fields = await scene.fields(paris)
    assert [one["state"] for one in fields["servers"]] == ["Leader", "Follower", "Follower"]
    assert condition(fields, "InSync") == ("True", "InSync")
    scene.paris.servers[servers[0].endpoint] = None
    fields = await scene.fields(paris)
    assert (condition(fields, "Reachable"), condition(fields, "InSync")) == (
        ("False", "ZoneUnreachable"),
        ("False", "NoQuorum"),
    )
    scene.paris.servers[servers[1].endpoint] = None
    words = next(one["message"] for one in (await scene.fields(paris))["conditions"] if one["type"] == "InSync")
    assert "only 1 of 3 servers answer" in words


async def test_what_moves_by_itself_is_no_difference(scene: Scene) -> None:
    """Indexes and terms are metrics: a view that differs in nothing else is the same view to a sweep."""
    await scene.federated()
    before = (await scene.view(RBX)).federation
    scene.paris.tables.index += 20
    assert (await scene.view(RBX)).federation == before


# ------------------------------------------------------------------------------------------------------------- leaving


async def test_retained_everything_stays(scene: Scene) -> None:
    paris, rbx = await scene.federated()
    before = list(scene.paris.journal)
    for zone in (paris, rbx):
        told = zone.status.model_dump(by_alias=True, exclude_none=True)
        going = (master if zone is paris else slave)({}, told, deleting=True)
        plan = await scene.look(going)
        assert (plan.steps, plan.outcome.phase) == ((), Phase.DONE)
        assert (await scene.fields(going))["zoneID"] == zone.status.zone_id, "the last state is kept"
    assert scene.paris.journal == before
    assert CONTROLLER.uses(slave()).objects == (master().key,), "a master waits for its slaves"


async def test_a_slave_that_leaves_leaves_nothing_behind(scene: Scene) -> None:
    """Out of the VDCs, then a cloud of its own, then nobody lists it."""
    _, rbx = await scene.federated()
    scene.paris.tables.vdc_parts = [
        VdcPart(0, "cluster", 100, -10),
        VdcPart(1, "vnet", 100, 3),
        VdcPart(1, "host", 0, 1),
    ]
    told = rbx.status.model_dump(by_alias=True, exclude_none=True)
    before = len(scene.paris.journal)
    going = await scene.settle(slave({"deletionPolicy": "Delete"}, told, deleting=True))
    assert [entry[0] for entry in scene.paris.journal[before:]] == [
        "remove_vdc_part", "remove_vdc_part", "update", "update", "delete",
    ]  # fmt: skip
    assert scene.paris.tables.vdc_parts == [VdcPart(1, "host", 0, 1)]
    assert (sorted(scene.paris.tables.zones), scene.rbx.config.mode) == ([0], Mode.STANDALONE)
    assert scene.installer.begun[-1].change is Change.STANDALONE
    assert going.status.zone_id == "100", "the last state is kept"


async def test_a_master_that_goes_is_read_for_its_slaves_as_long_as_they_are_there(scene: Scene) -> None:
    """Both are deleted at once: what is not seen any more must not be taken for gone."""
    _, rbx = await scene.federated()
    told = rbx.status.model_dump(by_alias=True, exclude_none=True)
    scene.resources[master().key] = master(deleting=True)
    going = slave({"deletionPolicy": "Delete"}, told, deleting=True)
    assert (await scene.look(going)).steps != ()
    del scene.resources[master().key]
    plan = await scene.look(going)
    assert (plan.steps, plan.outcome.phase) == ((), Phase.BLOCKED)


async def test_a_slave_that_leaves_and_does_not_answer_holds_its_zone(scene: Scene) -> None:
    _, rbx = await scene.federated()
    scene.paris.tables.zones[100] = replace(scene.paris.tables.zones[100], notes={})
    scene.rbx.down = "connection refused"
    told = rbx.status.model_dump(by_alias=True, exclude_none=True)
    plan = await scene.look(slave({"deletionPolicy": "Delete"}, told, deleting=True))
    assert (plan.steps, plan.outcome.phase) == ((), Phase.RETRY)
    assert "spec.deletionPolicy: Retain" in plan.outcome.message


async def test_a_zone_that_was_never_made_goes_at_once(scene: Scene) -> None:
    await scene.settle(master())
    plan = await scene.look(slave({"deletionPolicy": "Delete"}, deleting=True))
    assert (plan.steps, plan.outcome.phase) == ((), Phase.DONE)
