"""The plan of a Tenant in a cloud, against an OpenNebula in memory: what differs, what is done, what is left alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.kinds.opennebula_in_memory import (
    NOW,
    US,
    OpenNebula,
    World,
    again,
    image,
    look,
    mark,
    network,
    resource,
    run,
    security_group,
    vm,
)

from sovereigncloud.api.common.base import Key
from sovereigncloud.core.identity import Mark
from sovereigncloud.core.outcome import Outcome, Phase
from sovereigncloud.core.plan import Action
from sovereigncloud.kinds import CONTROLLERS
from sovereigncloud.kinds.contract.tenancy import secret_name, tenancies, user_name
from sovereigncloud.kinds.hostedinstance.compute.steps import MoveToHost
from sovereigncloud.kinds.hostedinstance.controller import HostedInstanceController
from sovereigncloud.kinds.hostedinstance.machine.credential import client_of
from sovereigncloud.kinds.securitygroup.rules import wanted as wanted_rules
from sovereigncloud.kinds.tenant.controller import TenantController
from sovereigncloud.kinds.virtualnetwork.reservation import parent_of
from sovereigncloud.ports.errors import MissingSecret, Rejected, Retry
from sovereigncloud.ports.opennebula.views import Network

CONTROLLER, INSTANCES = TenantController(), HostedInstanceController()
RBX = Key("SovereignCloud", "team", "rbx")
CLOUD = {"cloudRef": {"name": "rbx", "namespace": "team"}}
USER = user_name("prefecture", "town", RBX)
SECRET = secret_name("prefecture", "town", RBX)
OURS = Mark("inst-1", "Tenant//prefecture", "uid-1")


def tenant(spec: dict[str, Any] | None = None, status: dict[str, Any] | None = None, **meta: Any) -> Any:
    wanted = {"namespaces": ["town"], "clouds": [CLOUD], **(spec or {})}
    return resource("Tenant", meta.pop("name", "prefecture"), wanted, status, **{"namespace": "", **meta})


@pytest.fixture
def cloud() -> OpenNebula:
    one = OpenNebula(network(), image(mark=mark("MachineImage", "ubuntu")))
    one.people.clusters = {0: "default", 100: "gpu"}
    return one


@pytest.fixture
def world(cloud: OpenNebula) -> World:
    made = World(rbx=cloud)

    async def as_user(tenancy: Any, *_: int | None) -> Any:
        if tenancy.secret not in made.secrets:
            raise MissingSecret("gone")
        asked: Any = made.fronts[tenancy.cloud]
        asked.asking = made.secrets[tenancy.secret]["username"], made.secrets[tenancy.secret]["password"]
        return asked

    made.as_user |= {RBX: as_user, RBX._replace(name="sbg"): as_user}
    return made


async def settle(wanted: Any, world: World, rounds: int = 30) -> Any:
    """Until nothing is left to do."""
    world.resources[wanted.key] = wanted
    for _ in range(rounds):
        wanted, plan, outcome = await run(CONTROLLER, wanted, world)
        world.resources[wanted.key] = wanted
        if not plan.steps and outcome.phase is Phase.DONE:
            return wanted
    raise AssertionError((plan, outcome))


async def test_what_is_made_and_in_which_order(cloud: OpenNebula, world: World) -> None:
    """Nobody is in the group before it is out of the default VDC and has its quota."""
    made = await settle(tenant({"clouds": [{**CLOUD, "quota": {"vms": 2}}]}), world)
    assert [entry[0] for entry in cloud.journal] == [
        "create_group", "update_group", "leave_vdc", "create_vdc", "set_quota", "allow_image", "create_user",
        "add_cluster", "join_vdc", "update_user",
    ]  # fmt: skip
    (told,) = made.status.clouds
    assert (told.name, told.ready, made.status.clouds_ready) == ("rbx", True, "1/1")
    assert [(user.namespace, cloud.people.users[int(user.id)].name) for user in told.users] == [("town", USER)]
    assert made.external == {}, "the note of the attempt is gone"
    assert list(world.secrets) == [SECRET]
    assert world.asked_anew == ["town"], (
        "a password made a moment ago must not be compared with that of a namesake before"
    )


LOST = [
    "create_group",
    "update_group",
    "create_vdc",
    "set_quota",
    "create_user",
    "update_user",
    "allow_image",
    "join_vdc",
]


@pytest.mark.parametrize("verb", LOST)
async def test_a_lost_answer_makes_nothing_twice(cloud: OpenNebula, world: World, verb: str) -> None:
    cloud.lost.add(verb)
    await settle(tenant({"clouds": [{**CLOUD, "quota": {"vms": 2}}]}), world)
    made = [entry for entry in cloud.journal if entry[0].startswith("create")]
    assert [entry[0] for entry in made] == ["create_group", "create_vdc", "create_user"]


async def test_a_rebuilt_cluster_takes_everything_over_and_makes_nothing(cloud: OpenNebula, world: World) -> None:
    await settle(tenant(), world)
    cloud.journal.clear()
    await settle(tenant(uid="uid-2"), world)
    assert sorted(entry[0] for entry in cloud.journal) == ["update_group", "update_user", "update_vdc"]
    assert {one.mark.uid for one in (*cloud.people.groups.values(), *cloud.people.users.values()) if one.mark} == {
        "uid-2"
    }


DRIFTS = [
    ("another limit", lambda p, g: p.limit(g, ("VM", "", "VMS"), 9), "spec.clouds[team/rbx].quota.vms", "2", "9"),
    ("no limit at all", lambda p, g: p.limit(g, ("VM", "", "VMS"), -1), "spec.clouds[team/rbx].quota.vms", "2", "not limited"),
    ("back in the default VDC", lambda p, g: p.enter(0, g), "spec.clouds[team/rbx].isolation", "not in the default VDC", 'in VDC 0 "default"'),
    ("out of its VDC", lambda p, g: p.leave(101, g), "spec.clouds[team/rbx].vdc", f"group {100} in it", "not in it"),
    ("a cluster more", lambda p, g: p.cluster(101, 100), "spec.clouds[team/rbx].clusters", '"default"', '"default", "gpu"'),
    ("the VDC renamed", lambda p, g: p.name_vdc(101, "other"), "metadata.name", "prefecture", "other"),
    ("a stranger in the group", lambda p, g: p.stranger("bob", g), "spec.externalUsers[bob]", "not in the group", "in group 100"),
    ("an image that was shut", lambda p, g: p.rules.clear(), "spec.clouds[team/rbx].images[ubuntu]", "shared", "not shared"),
    ("the user deleted", lambda p, g: p.users.pop(p.of(USER)), "spec.clouds[team/rbx].users[town]", f'user "{USER}"', "user 103 was deleted"),
]  # fmt: skip


@pytest.mark.parametrize(("why", "change", "path", "desired", "observed"), DRIFTS, ids=[row[0] for row in DRIFTS])
async def test_drift(
    cloud: OpenNebula, world: World, why: str, change: Any, path: str, desired: str, observed: str
) -> None:
    made = await settle(tenant({"clouds": [{**CLOUD, "quota": {"vms": 2}, "clusters": ["default"]}]}), world)
    assert (await look(CONTROLLER, made, world)).drift == (), "nothing changed, nothing is told"
    change(cloud.people, 100)
    plan = await look(CONTROLLER, made, world)
    assert [(d.path, d.desired, d.observed) for d in plan.drift] == [(path, desired, observed)], why
    made = await settle(made, world)
    assert (await look(CONTROLLER, made, world)).drift == (), "and it is mended"


async def test_another_name_reaches_the_vdc_and_of_the_group_is_told_that_it_cannot(world: World) -> None:
    made = await settle(tenant(), world)
    wanted = again(made, {"name": "county"}, generation=2)
    for _ in range(4):
        world.resources[wanted.key] = wanted
        wanted, plan, _ = await run(CONTROLLER, wanted, world)
    assert [(d.path, d.desired, d.observed, d.mendable) for d in plan.drift] == [
        ("spec.clouds[team/rbx].group", 'called "county"', 'called "prefecture"', False)
    ]
    assert plan.steps == ()


async def test_at_rest_a_sweep_asks_nothing_but_the_view(cloud: OpenNebula, world: World) -> None:
    made = await settle(tenant({"clouds": [{**CLOUD, "quota": {"vms": 2}}]}), world)
    world.sweeping = True
    observed = await CONTROLLER.observe(made, world)
    plan = CONTROLLER.plan(made, observed, NOW)
    assert (plan.steps, plan.drift, plan.outcome.phase) == ((), (), Phase.DONE)
    shown = made.status.model_dump(by_alias=True, exclude_none=True)
    assert CONTROLLER.status(made, observed) == {key: shown[key] for key in ("clouds", "cloudsReady")}


async def test_a_password_that_is_lost_is_never_made_anew(cloud: OpenNebula, world: World) -> None:
    made = await settle(tenant(), world)
    world.secrets.clear()
    _, plan, _ = await run(CONTROLLER, made, world)
    assert (plan.steps, plan.outcome.reason, plan.outcome.phase) == ((), "CredentialsLost", Phase.STALLED)
    assert SECRET in plan.outcome.message
    assert world.secrets == {}


STRANGERS = [
    ("a group of that name", lambda p: p.group("prefecture"), "NameTaken", "is not ours"),
    ("a group of another installation", lambda p: p.group("prefecture", Mark("other", "Tenant//prefecture", "x")), "OwnedByAnotherInstallation", "installation other"),
    ("a VDC of that name", lambda p: p.vdc("prefecture"), "NameTaken", "is not ours"),
]  # fmt: skip


async def stuck(wanted: Any, world: World) -> tuple[Any, Outcome]:
    """What is said once there is nothing more that can be done."""
    for _ in range(14):
        world.resources[wanted.key] = wanted
        wanted, _, outcome = await run(CONTROLLER, wanted, world)
    return wanted, outcome


@pytest.mark.parametrize(("why", "there", "reason", "says"), STRANGERS, ids=[row[0] for row in STRANGERS])
async def test_what_is_somebody_elses_is_left_alone(
    cloud: OpenNebula, world: World, why: str, there: Any, reason: str, says: str
) -> None:
    number = there(cloud.people)
    people = cloud.people
    before = people.groups.get(number), people.vdcs.get(number)
    _, outcome = await stuck(tenant(), world)
    assert (outcome.phase, outcome.reason) == (Phase.STALLED, reason), why
    assert says in outcome.message
    assert (people.groups.get(number), people.vdcs.get(number)) == before, "neither marked nor changed"


@pytest.mark.parametrize(
    ("why", "secret", "says"),
    [
        ("nobody ever made a password", False, "there is no Secret"),
        ("our password does not open it", True, "is not its password"),
    ],
)
async def test_a_user_of_that_name_is_ours_only_if_our_password_opens_it(
    cloud: OpenNebula, world: World, why: str, secret: bool, says: str
) -> None:
    made = await settle(tenant({"namespaces": ["other"]}), world)
    theirs = cloud.people.user(USER, 100, password="theirs")
    if secret:
        world.secrets[SECRET] = {"username": USER, "password": "ours"}
    _, outcome = await stuck(again(made, {"namespaces": ["other", "town"]}, generation=2), world)
    assert (outcome.phase, outcome.reason) == (Phase.STALLED, "NameTaken"), why
    assert says in outcome.message
    assert cloud.people.users[theirs].mark is None


WRONG = [
    ("a cloud twice", {"clouds": [CLOUD, CLOUD]}, "InvalidSpec", "team/rbx more than once"),
    ("memory of no whole MiB", {"clouds": [{**CLOUD, "quota": {"memory": "1500k"}}]}, "InvalidSpec", "spec.clouds[team/rbx].quota.memory"),
    ("cpu that oned cannot count", {"clouds": [{**CLOUD, "quota": {"cpu": "1m"}}]}, "InvalidSpec", "hundredths"),
    ("a cluster that is not there", {"clouds": [{**CLOUD, "clusters": ["tpu"]}]}, "UnknownReference", "there are: default, gpu"),
    ("a network that is not there", {"clouds": [{**CLOUD, "quota": {"networks": [{"name": "wan", "leases": 1}]}}]}, "NetworkNotFound", "there are: lan"),
    ("a datastore that is not there", {"clouds": [{**CLOUD, "quota": {"datastores": [{"name": "ssd", "images": 1}]}}]}, "DatastoreNotFound", "there are: default, system"),
]  # fmt: skip


@pytest.mark.parametrize(("why", "spec", "reason", "says"), WRONG, ids=[row[0] for row in WRONG])
async def test_a_spec_that_cannot_be(world: World, why: str, spec: dict[str, Any], reason: str, says: str) -> None:
    wanted = tenant(spec)
    for _ in range(12):
        world.resources[wanted.key] = wanted
        wanted, plan, _ = await run(CONTROLLER, wanted, world)
    assert (plan.outcome.phase, plan.outcome.reason) == (Phase.STALLED, reason), why
    assert says in plan.outcome.message


async def test_two_tenants_for_one_namespace_say_both_names(world: World) -> None:
    first = await settle(tenant(), world)
    second = tenant(name="city", uid="uid-9")
    world.resources[second.key] = second
    for either in (first, second):
        told = either
        for _ in range(8):
            world.resources[told.key] = told
            told, plan, _ = await run(CONTROLLER, told, world)
        assert (plan.outcome.phase, plan.outcome.reason) == (Phase.STALLED, "MultipleTenants")
        assert "Tenants city and prefecture all list namespace town for team/rbx" in plan.outcome.message
    plan = await look(INSTANCES, instance(), world)
    assert (plan.outcome.reason, [s for s in plan.steps if not s.inside]) == ("MultipleTenants", [])


async def test_a_limit_that_spec_does_not_speak_of_is_sent_as_it_was(cloud: OpenNebula, world: World) -> None:
    made = await settle(tenant({"clouds": [{**CLOUD, "quota": {"vms": 2}}]}), world)
    cloud.people.limit(100, ("VM", "", "RUNNING_VMS"), 1)
    made = await settle(again(made, {"clouds": [{**CLOUD, "quota": {"vms": 3}}]}, generation=2), world)
    limits = {key[2]: int(one.limit) for key, one in cloud.people.groups[100].quota.items()}
    assert limits == {"VMS": 3, "RUNNING_VMS": 1}


async def test_what_a_tenant_calls_like_a_network_or_image_of_the_platform_holds_up_nobody(
    cloud: OpenNebula, world: World
) -> None:
    made = await settle(tenant(), world)
    user = next(one.id for one in cloud.people.users.values() if one.name == USER)
    cloud.networks[90] = network(id=90, name="lan", owner=user)
    cloud.images[91] = image(id=91, name=next(iter(cloud.images.values())).name, owner=user)
    limits = {"networks": [{"name": "lan", "leases": 4}], "images": [{"name": cloud.images[91].name, "vms": 3}]}
    await settle(again(made, {"clouds": [{**CLOUD, "quota": limits}]}, generation=2), world)
    about = {key[:2] for key in cloud.people.groups[100].quota}
    assert not about & {("NETWORK", "90"), ("IMAGE", "91")}
    assert len({kind for kind, _ in about}) == 2

    view = await cloud.view(0.0)
    view = replace(view, tenancy=await cloud.tenancy.view())
    group = resource("SecurityGroup", "web", {"rules": [{"direction": "Inbound", "protocol": "ALL", "network": "lan"}]})
    (rule,) = wanted_rules(group.spec, view, (), "team/rbx")
    theirs = wanted_rules(group.spec, view, (), "team/rbx", frozenset({user}))
    assert "90" not in str(rule)
    assert isinstance(theirs, Outcome), "of its own it has two of that name, and must say which"
    reserved = resource("VirtualNetwork", "part", {
        "cloudRef": {"name": "rbx"}, "reservation": {"from": "lan"}, "addressRanges": [{"ip": "10.0.0.9", "size": 2}],
    })  # fmt: skip
    parent = parent_of(reserved, view, (), RBX)
    assert isinstance(parent, Network)
    assert parent.id != 90


# -------------------------------------------------------------------------------------------------------------- people


async def test_people_are_made_without_a_password_or_only_join(cloud: OpenNebula, world: World) -> None:
    carol = cloud.people.user("carol", 1, driver="ldap", password="-")
    people = [{"name": "alice", "driver": "saml"}, {"name": "bob", "driver": "x509", "subject": "/CN=bob"}, {"name": "carol", "driver": "ldap"}]  # fmt: skip
    made = await settle(tenant({"externalUsers": people}), world)
    told = {
        one.name: (one.driver, one.group, cloud.people.passwords.get(one.id)) for one in cloud.people.users.values()
    }
    assert (told["alice"], told["bob"]) == (("saml", 101, "-"), ("x509", 101, "/CN=bob"))
    assert cloud.people.users[carol].groups == {1, 101}, "her account is not ours: she only joined"
    assert cloud.people.users[carol].mark is None
    await settle(again(made, {"externalUsers": []}, generation=2), world)
    names = {one.name for one in cloud.people.users.values()}
    assert (names & {"alice", "bob", "carol"}, cloud.people.users[carol].groups) == ({"carol"}, {1})


# ------------------------------------------------------------------------------------------------------------- leaving


async def test_nobody_goes_while_anything_is_theirs(cloud: OpenNebula, world: World) -> None:
    made = await settle(tenant({"namespaces": ["town", "village"]}), world)
    user = cloud.people.of(USER)
    cloud.vms[5] = vm(id=5, name="by hand", owner=user, mark=None)
    cloud.images[9] = image(id=9, name="kept data", owner=user)
    cloud.groups[6] = security_group(id=6, name="left over", owner=user, mark=None)
    made = again(made, {"namespaces": ["village"]}, generation=2)
    for _ in range(3):
        world.resources[made.key] = made
        made, plan, outcome = await run(CONTROLLER, made, world)
    assert (plan.steps, outcome.phase, outcome.reason) == ((), Phase.BLOCKED, "InUse")
    assert 'VM 5 "by hand", image 9 "kept data", security group 6 "left over"' in outcome.message
    del cloud.vms[5], cloud.images[9], cloud.groups[6]
    await settle(made, world)
    assert user not in cloud.people.users
    assert list(world.secrets) == [secret_name("prefecture", "village", RBX)]


def rules_of(cloud: OpenNebula) -> list[str]:
    return [group.name for group in cloud.groups.values() if group.name != "default"]


LEAVING = [
    ("its Tenant and it are deleted", {"deleting": True}, {"deleting": True}),
    ("it is deleted, its namespace is off the list", {"spec": {"namespaces": ["village"]}}, {"deleting": True}),
    ("its namespace is off the list, so it is in no cloud any more", {"spec": {"namespaces": ["village"]}}, {}),
]


@pytest.mark.parametrize(("why", "tenant_is", "group_is"), LEAVING, ids=[row[0] for row in LEAVING])
async def test_a_user_waits_for_the_rules_of_its_namespace_which_are_ended_though_it_may_use_the_cloud_no_more(
    cloud: OpenNebula, world: World, why: str, tenant_is: dict[str, Any], group_is: dict[str, Any]
) -> None:
    made = await settle(tenant({"namespaces": ["town", "village"]}), world)
    groups, spec = CONTROLLERS["SecurityGroup"], {"rules": [{"direction": "Outbound", "protocol": "ALL"}]}
    rules = resource("SecurityGroup", "web", spec, namespace="town")
    for _ in range(3):
        rules, _, outcome = await run(groups, rules, world)
        world.resources[rules.key] = rules
    assert (outcome.phase, rules_of(cloud)) == (Phase.DONE, ["web"])
    made = again(made, generation=2, **tenant_is)
    for _ in range(3):
        world.resources[made.key] = made
        made, _, outcome = await run(CONTROLLER, made, world)
    assert (outcome.phase, outcome.reason) == (Phase.BLOCKED, "InUse"), why
    assert "SecurityGroup town/web" in outcome.message
    assert cloud.people.of(USER) in cloud.people.users

    rules = resource("SecurityGroup", "web", spec, {"external": rules.external}, namespace="town", **group_is)
    for _ in range(3):
        world.resources[rules.key] = rules
        rules, plan, _ = await run(groups, rules, world)
    assert (plan.steps, rules_of(cloud)) == ((), [])
    if group_is:
        del world.resources[rules.key]
    user = cloud.people.of(USER)
    await settle(made, world)
    assert user not in cloud.people.users


async def test_a_deleted_tenant_goes_in_a_safe_order(cloud: OpenNebula, world: World) -> None:
    made = await settle(tenant({"externalUsers": [{"name": "alice", "driver": "saml"}]}), world)
    cloud.people.stranger("bob", 100)
    cloud.journal.clear()
    await settle(again(made, deleting=True), world)
    assert [entry[0] for entry in cloud.journal] == [
        "delete_user",
        "delete_user",
        "leave_group",
        "delete_vdc",
        "delete_group",
    ]
    assert (world.secrets, cloud.people.rules) == ({}, {})


async def test_a_cloud_off_the_list_is_left(cloud: OpenNebula, world: World) -> None:
    world.fronts[Key("SovereignCloud", "team", "sbg")] = OpenNebula()
    sbg = {"cloudRef": {"name": "sbg", "namespace": "team"}}
    made = await settle(tenant({"clouds": [CLOUD, sbg]}), world)
    assert made.status.clouds_ready == "2/2"
    made = await settle(again(made, {"clouds": [sbg]}, generation=2), world)
    assert {group.name for group in cloud.people.groups.values()} == {"oneadmin", "users"}
    assert [entry.name for entry in made.status.clouds] == ["sbg"]


async def test_retained_nothing_is_done(cloud: OpenNebula, world: World) -> None:
    made = await settle(tenant({"deletionPolicy": "Retain"}), world)
    cloud.journal.clear()
    plan = await look(CONTROLLER, again(made, deleting=True), world)
    assert (plan.steps, plan.outcome.phase, cloud.journal) == ((), Phase.DONE, [])


async def test_one_cloud_that_does_not_answer_holds_up_no_other(cloud: OpenNebula, world: World) -> None:
    world.fronts[Key("SovereignCloud", "team", "sbg")] = Retry("no answer")
    wanted = tenant({"clouds": [{"cloudRef": {"name": "sbg", "namespace": "team"}}, CLOUD]})
    for _ in range(20):
        world.resources[wanted.key] = wanted
        wanted, _, outcome = await run(CONTROLLER, wanted, world)
    assert (wanted.status.clouds_ready, outcome.phase) == ("1/2", Phase.RETRY)


# ------------------------------------------------------------------------------------------------------------ machines


def instance(spec: dict[str, Any] | None = None, status: dict[str, Any] | None = None, **meta: Any) -> Any:
    wanted = {"source": {"image": "ubuntu"}, "vcpu": 2, "memory": "4Gi", "networks": [{"name": "lan"}], **(spec or {})}
    return resource("HostedInstance", "web", wanted, status, **{"namespace": "town", **meta})


QUOTAS = [
    ("machines", ("VM", "", "VMS"), 3, 3, "machines 3 of 3 used, 1 more asked for, 1 too many"),
    ("cpu", ("VM", "", "CPU"), 40, 39, "cpu 39 of 40 used, 2 more asked for, 1 too many"),
    ("memory", ("VM", "", "MEMORY"), 8192, 8000, "memory in MiB 8000 of 8192 used, 4096 more asked for, 3904 too many"),
    ("disk", ("VM", "", "SYSTEM_DISK_SIZE"), 100, 0, "system disk in MiB 0 of 100 used, 10240 more asked for"),
    ("addresses", ("NETWORK", "3", "LEASES"), 4, 4, 'addresses of network "lan" 4 of 4 used'),
    ("of an image", ("IMAGE", "7", "RVMS"), 0, 0, 'machines of image "ubuntu" 0 of 0 used'),
    ("running ones", ("VM", "", "RUNNING_CPU"), 1, 0, "running cpu 0 of 1 used"),
]  # fmt: skip


@pytest.mark.parametrize(("why", "key", "limit", "used", "says"), QUOTAS, ids=[row[0] for row in QUOTAS])
async def test_a_quota_that_is_used_up_is_told_before_anything_is_asked_for(
    cloud: OpenNebula, world: World, why: str, key: Any, limit: int, used: int, says: str
) -> None:
    await settle(tenant(), world)
    cloud.people.limit(100, key, limit, used)
    plan = await look(INSTANCES, instance(), world)
    assert (plan.outcome.phase, plan.outcome.reason) == (Phase.WAITING, "QuotaExceeded"), why
    assert says in plan.outcome.message
    assert [step for step in plan.steps if not step.inside] == []
    cloud.people.limit(100, key, 10**6, used)
    assert [type(s).__name__ for s in (await look(INSTANCES, instance(), world)).steps] == ["BindInstance", "CreateVm"]


GROWS = [
    ("more than is left", "town", {"memory": "8Gi"}, 4096, "QuotaExceeded"),
    ("as much as is left", "town", {"memory": "6Gi"}, 4096, ""),
    ("less than before", "town", {"memory": "2Gi"}, 8192, ""),
    ("of the administrator, who has no quota", "administrator", {"memory": "8Gi"}, 4096, ""),
]


@pytest.mark.parametrize(("why", "owner", "spec", "used", "reason"), GROWS, ids=[row[0] for row in GROWS])
async def test_a_machine_is_not_powered_off_for_a_size_that_the_quota_does_not_leave(
    cloud: OpenNebula, world: World, why: str, owner: str, spec: dict[str, Any], used: int, reason: str
) -> None:
    await settle(tenant(), world)
    cloud.people.limit(100, ("VM", "", "MEMORY"), 6144, used)
    whose = cloud.people.of(USER) if owner == "town" else US
    cloud.vms[12] = vm(owner=whose, mark=mark("HostedInstance", "web", namespace="town"))
    allowed = {**spec, "updatePolicy": {"powerCycle": "Allow"}}
    wanted = instance(allowed, {"external": {"vm": "12", "cloud": "team/rbx"}})
    plan = await look(INSTANCES, wanted, world)
    told = plan.outcome.reason if plan.outcome.reason == "QuotaExceeded" else ""
    assert (told, bool([s for s in plan.steps if s.disruption != "None"])) == (reason, not reason), why


async def test_a_machine_is_made_as_the_namespaces_user(cloud: OpenNebula, world: World) -> None:
    await settle(tenant(), world)
    world.asked_as.clear()
    _, _, outcome = await run(INSTANCES, instance(), world)
    assert (outcome.reason, world.asked_as) == ("Created", [("town", None)])


ALLOWED = [
    ("no Tenant", None, "NamespaceNotAllowed", "needs a Tenant that lists namespace town and this cloud"),
    ("a Tenant of another namespace", {"namespaces": ["village"]}, "NamespaceNotAllowed", "needs a Tenant"),
    ("a Tenant of another cloud", {"clouds": [{"cloudRef": {"name": "sbg", "namespace": "team"}}]}, "NamespaceNotAllowed", "needs a Tenant"),
    ("a Tenant that has made no user yet", {}, "WaitingForDependency", "has no user for namespace town in team/rbx yet"),
]  # fmt: skip


@pytest.mark.parametrize(("why", "spec", "reason", "says"), ALLOWED, ids=[row[0] for row in ALLOWED])
async def test_who_may_use_a_cloud_of_another_namespace(
    world: World, why: str, spec: dict[str, Any] | None, reason: str, says: str
) -> None:
    if spec is not None:
        world.resources[tenant().key] = tenant(spec)
    plan = await look(INSTANCES, instance({"placement": CLOUD}), world)
    assert (plan.outcome.reason, [s for s in plan.steps if not s.inside]) == (reason, []), why
    assert says in plan.outcome.message


async def test_the_cloud_of_another_namespace_is_referred_to_only_once_it_was_allowed(world: World) -> None:
    """Else whoever may write a HostedInstance could hold up the deletion of any cloud."""
    wanted = instance({"placement": CLOUD})
    assert INSTANCES.uses(wanted).cloud is None
    await settle(tenant(), world)
    bound, _, _ = await run(INSTANCES, wanted, world)
    assert INSTANCES.uses(bound).cloud == RBX


IMAGES = [
    ("the platform's, opened by the Tenant", {}, "CreateVm", ""),
    ("opened to everybody", {"mark": None, "public": True}, "CreateVm", ""),
    ("the tenant's own", {"mark": None, "owner": "town"}, "CreateVm", ""),
    ("the administrator's, opened to nobody", {"mark": None}, "ImageNotShared", "oneimage chmod 7 604"),
    ("of another tenant", {"mark": None, "owner": "village", "public": True}, "ImageNotFound", "no image called"),
]  # fmt: skip


@pytest.mark.parametrize(("why", "fields", "what", "says"), IMAGES, ids=[row[0] for row in IMAGES])
async def test_which_images_a_tenant_may_use(
    cloud: OpenNebula, world: World, why: str, fields: dict[str, Any], what: str, says: str
) -> None:
    await settle(tenant(), world)
    await settle(tenant({"namespaces": ["village"]}, name="city", uid="uid-9"), world)
    users = {"town": cloud.people.of(USER), "village": cloud.people.of(user_name("city", "village", RBX))}
    owner = users.get(fields.get("owner", ""), 0)
    cloud.images[7] = replace(cloud.images[7], **{**fields, "owner": owner})
    if fields:
        cloud.people.rules.clear()
    plan = await look(INSTANCES, instance(), world)
    assert what in {plan.outcome.reason, *(type(step).__name__ for step in plan.steps)}, why
    assert says in plan.outcome.message


async def test_another_tenants_image_or_network_of_the_same_name_holds_up_nobody(
    cloud: OpenNebula, world: World
) -> None:
    await settle(tenant(), world)
    await settle(tenant({"namespaces": ["village"]}, name="city", uid="uid-9"), world)
    theirs = cloud.people.of(user_name("city", "village", RBX))
    cloud.images[8] = image(id=8, owner=theirs, public=True)
    cloud.networks[9] = network(id=9, owner=theirs)
    for namespace in ("town", "team"):
        plan = await look(INSTANCES, instance(namespace=namespace), world)
        assert "CreateVm" in {type(step).__name__ for step in plan.steps}, namespace


async def test_a_mark_written_by_another_tenant_is_nobodys(cloud: OpenNebula, world: World) -> None:
    await settle(tenant(), world)
    await settle(tenant({"namespaces": ["village"]}, name="city", uid="uid-9"), world)
    theirs = cloud.people.of(user_name("city", "village", RBX))
    cloud.vms[12] = vm(owner=theirs, mark=mark("HostedInstance", "web", namespace="town"))
    plan = await look(INSTANCES, instance(), world)
    assert "CreateVm" in {type(step).__name__ for step in plan.steps}, "not taken for the one that is there"


async def test_a_machine_from_before_the_tenant_stays_the_administrators(cloud: OpenNebula, world: World) -> None:
    await settle(tenant(), world)
    cloud.vms[12] = vm(mark=mark("HostedInstance", "web", namespace="town"))
    wanted = instance({"power": "Stopped"}, {"external": {"vm": "12", "cloud": "team/rbx"}})
    world.asked_as.clear()
    _, plan, _ = await run(INSTANCES, wanted, world)
    assert plan.outcome.phase is Phase.DONE
    assert world.asked_as == [("town", 12)], "asked for this machine, so that whoever knows the owner decides"


def test_who_may_use_what_is_looked_up_by_namespace_and_cloud() -> None:
    """The one with a user goes before the one without; what is off the list still has its user, and is not allowed."""
    status = {"clouds": [{"name": "rbx", "namespace": "team", "group": "100", "users": [{"namespace": "town", "id": "7"}, {"namespace": "left", "id": "8"}]}]}  # fmt: skip
    found = tenancies([tenant(name="a", uid="uid-9"), tenant(status=status)])
    town, left = found["town", RBX], found["left", RBX]
    assert (town.tenant, town.others, town.user, town.group, town.allowed) == ("prefecture", ("a",), 7, 100, True)
    assert (left.user, left.allowed) == (8, False)
    going = tenancies([tenant(status=status, deleting=True)])
    assert not going["town", RBX].allowed


def test_names_fit_into_opennebula_and_kubernetes() -> None:
    long = Key("SovereignCloud", "n" * 63, "c" * 253)
    names = {user_name("t" * 253, "n" * 63, cloud) for cloud in (long, long._replace(name="c" * 252 + "d"))}
    assert {len(name) for name in names} == {128}
    assert len(names) == 2
    assert len(secret_name("t" * 253, "n" * 63, long)) <= 253


# ---------------------------------------------------------------------------------------------------------- federation


async def test_in_a_federation_one_group_serves_both_zones_and_stays_for_the_other(
    cloud: OpenNebula, world: World
) -> None:
    """Groups, users and VDCs are one for all zones; clusters and quotas are each zone's own."""
    second = OpenNebula()
    second.people = second.tenancy = Zone(cloud.people, 7)
    world.fronts[Key("SovereignCloud", "team", "sbg")] = second
    sbg = {"cloudRef": {"name": "sbg", "namespace": "team"}}
    made = await settle(tenant({"clouds": [CLOUD, sbg]}), world, rounds=60)
    people = cloud.people
    (group,) = (one for one in people.groups.values() if one.name == "prefecture")
    (vdc,) = (one for one in people.vdcs.values() if one.name == "prefecture")
    assert vdc.clusters == {(0, -10), (7, -10)}
    assert sorted(one.name for one in people.users.values() if one.group == group.id) == [
        "prefecture-town-team-rbx",
        "prefecture-town-team-sbg",
    ]
    made = await settle(again(made, {"clouds": [CLOUD]}, generation=2), world)
    assert (people.groups[group.id], people.vdcs[vdc.id].clusters) == (group, {(0, -10)})
    assert [one.name for one in people.users.values() if one.group == group.id] == ["prefecture-town-team-rbx"]
    assert [entry.name for entry in made.status.clouds] == ["rbx"]
    assert list(world.secrets) == [SECRET], "the password for the other zone went"


class Zone:
    """The same people, seen in another zone."""

    def __init__(self, people: Any, zone: int) -> None:
        self._people, self._zone = people, zone

    def __getattr__(self, name: str) -> Any:
        return getattr(self._people, name)

    async def view(self) -> Any:
        return await self._people.view(self._zone)


# ------------------------------------------------------------------------------------------------ as the administrator


@pytest.mark.parametrize(
    ("why", "owner", "done"),
    [
        ("the namespace's own", "town", True),
        ("from before the Tenant", "administrator", True),
        ("somebody else's meanwhile", "stranger", False),
    ],
)
async def test_what_only_an_administrator_may_do_is_done_after_asking_whose_the_machine_is(
    cloud: OpenNebula, world: World, why: str, owner: str, done: bool
) -> None:
    await settle(tenant(), world)
    owners = {"town": cloud.people.of(USER), "administrator": US, "stranger": 77}
    cloud.vms[12] = vm(owner=owners[owner], mark=mark("HostedInstance", "web", namespace="town"))
    step = MoveToHost(action=Action.MOVE, target="VM 12", cloud=RBX, vm=12, host=1, live=True)
    world.asked_as.clear()
    if done:
        assert await client_of(step, instance(), world) is cloud, why
    else:
        with pytest.raises(Rejected, match="now belongs to user 77"):
            await client_of(step, instance(), world)
    assert world.asked_as == [], "not as the namespace's user"


# ------------------------------------------------------------------------------------------------- what stays elsewhere

OPENED = [
    ("a MachineImage of the cloud's namespace", mark("MachineImage", "ubuntu"), True),
    ("of another namespace", mark("MachineImage", "ubuntu", namespace="elsewhere"), False),
    ("of another installation", mark("MachineImage", "ubuntu", installation="other"), False),
    ("a data disk of somebody's machine", mark("HostedInstance", "db"), False),
    ("nobody's", None, False),
]


@pytest.mark.parametrize(("why", "whose", "opened"), OPENED, ids=[row[0] for row in OPENED])
async def test_which_images_are_opened_to_a_tenant(
    cloud: OpenNebula, world: World, why: str, whose: Mark | None, opened: bool
) -> None:
    cloud.images[7] = replace(cloud.images[7], mark=whose)
    await settle(tenant(), world)
    assert bool(cloud.people.rules) is opened, why


async def test_the_rule_goes_with_the_image(cloud: OpenNebula, world: World) -> None:
    made = await settle(tenant(), world)
    del cloud.images[7]
    await settle(made, world)
    assert cloud.people.rules == {}


async def test_a_security_group_waits_for_the_namespaces_user(cloud: OpenNebula, world: World) -> None:
    wanted = resource(
        "SecurityGroup", "web", {"rules": [{"direction": "Outbound", "protocol": "ALL"}]}, namespace="town"
    )
    world.resources[tenant().key] = tenant()
    plan = await look(CONTROLLERS["SecurityGroup"], wanted, world)
    assert (plan.steps, plan.outcome.reason) == ((), "WaitingForDependency")
    assert "has no user for namespace town" in plan.outcome.message
    await settle(tenant(), world)
    world.asked_as.clear()
    await run(CONTROLLERS["SecurityGroup"], wanted, world)
    assert world.asked_as == [("town", None)]


@pytest.mark.parametrize("kind", ["VirtualNetwork", "MachineImage"])
async def test_networks_and_images_are_made_in_the_clouds_own_namespace_only(world: World, kind: str) -> None:
    """Whoever may make a VLAN, or fill a datastore, with the administrator's credential is the platform."""
    await settle(tenant(), world)
    refs = {"VirtualNetwork": {**CLOUD, "vlanID": 7, "addressRanges": [{"ip": "10.0.0.10", "size": 5}]}}
    refs["MachineImage"] = {"cloudRefs": [CLOUD["cloudRef"]], "source": {"url": "https://images.example/u.qcow2"}}
    plan = await look(CONTROLLERS[kind], resource(kind, "mine", refs[kind], namespace="town"), world)
    assert (plan.steps, plan.outcome.phase, plan.outcome.reason) == ((), Phase.STALLED, "NamespaceNotAllowed")
    assert "this kind is the platform's, in the namespace of the cloud" in plan.outcome.message
