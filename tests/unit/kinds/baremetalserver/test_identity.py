"""Which machine a BareMetalServer is: by its name, by its tags, by its mark; and it stays that one."""

from tests.unit.kinds.baremetalserver.test_plan import KEY, manifest, marked, plan_of
from tests.unit.kinds.cloud_fakes import FakeWorld, Loop, run
from tests.unit.kinds.sovereigncloud.test_plan import Scene, hosted, server

from sovereigncloud.api.hosted import HostedServer
from sovereigncloud.kinds.baremetalserver.controller import BareMetalServerController
from sovereigncloud.kinds.baremetalserver.identity import declared_identity


def selecting(**tags):
    wanted = manifest(name=None)
    del wanted["spec"]["ovh"]["serviceName"]
    wanted["spec"]["ovh"]["tagSelector"] = {"matchTags": tags}
    return wanted


def account(**servers):
    """A world whose account has these servers, each with these tags."""
    world = FakeWorld()
    for name, tags in servers.items():
        world.account_.add(name, display_name="x", tags=dict(tags))
    world.put(selecting(role="one-1"))
    return world


def test_the_one_server_with_the_tags_is_written_down_before_anything_is_done_to_it():
    world = account(ns1={"role": "one-2"}, ns2={"role": "one-1", "rack": "7"})
    first, second = plan_of(world).steps[:2]
    assert (type(first).__name__, first.name, first.inside) == ("RecordIdentity", "ns2", True)
    assert type(second).__name__ == "MarkServer"
    run(Loop(world, BareMetalServerController(), KEY).once())
    assert world.account_.writes == []
    assert world.raw[KEY]["status"]["external"]["serviceName"] == "ns2"


def test_it_becomes_ready_and_carries_the_mark():
    world = account(ns1={}, ns2={"role": "one-1"})
    last = run(Loop(world, BareMetalServerController(), KEY).until_quiet())
    assert last.outcome.reason == ""
    assert world.raw[KEY]["status"]["serviceName"] == "ns2"
    assert world.account_.servers["ns2"].tags["sovereigncloud.io/uid"] == "u1"
    assert world.account_.servers["ns1"].tags == {}


def test_several_servers_with_the_tags_are_named_and_none_is_chosen():
    plan = plan_of(account(ns1={"role": "one-1"}, ns2={"role": "one-1"}))
    assert (plan.outcome.reason, plan.steps) == ("MultipleMatches", ())
    assert "ns1, ns2" in plan.outcome.message
    assert "role=one-1" in plan.outcome.message


def test_no_server_with_the_tags_is_told_and_looked_for_again():
    plan = plan_of(account(ns1={"role": "one-11"}))
    assert (plan.outcome.reason, plan.outcome.after) == ("ServerNotFound", 60.0)
    assert "role=one-1" in plan.outcome.message


def test_tags_that_move_to_another_server_never_make_it_another_machine():
    world = account(ns1={"role": "one-1"}, ns2={})
    run(Loop(world, BareMetalServerController(), KEY).until_quiet())
    world.account_.servers["ns2"].tags["role"] = world.account_.servers["ns1"].tags.pop("role")
    before = len(world.account_.writes)
    last = run(Loop(world, BareMetalServerController(), KEY).until_quiet())
    assert last.outcome.reason == ""
    assert world.raw[KEY]["status"]["serviceName"] == "ns1"
    assert len(world.account_.writes) == before


def test_after_a_rebuilt_cluster_the_mark_decides_not_the_tags():
    world = account(ns1=marked("u0"), ns2={"role": "one-1"})
    assert plan_of(world).steps[0].name == "ns1"


def test_a_server_of_another_installation_is_not_written_down_as_this_objects():
    plan = plan_of(account(ns1={"role": "one-1", **marked(installation="other")}))
    assert (plan.outcome.reason, plan.steps) == ("OwnedByAnotherInstallation", ())


def test_two_objects_that_mean_one_server_do_not_share_it():
    world = account(ns1={"role": "one-1", **marked(name="one-9")})
    world.put(manifest() | {"metadata": {"name": "one-9", "namespace": "platform", "uid": "u9"}})
    plan = plan_of(world)
    assert (plan.outcome.reason, plan.steps) == ("OwnedByAnotherObject", ())


def test_an_approval_to_pay_does_not_make_it_another_machine_to_install():
    entry = {"name": "one-1", "roles": ["Node"], "order": {"planCode": "24scale01", "datacenter": "rbx"}}
    approved = entry | {"order": entry["order"] | {"approval": {"maxPrice": "9.00", "currency": "EUR"}}}
    assert declared_identity(HostedServer.model_validate(entry)) == declared_identity(
        HostedServer.model_validate(approved)
    )
    other = entry | {"order": {"planCode": "24scale02", "datacenter": "rbx"}}
    assert declared_identity(HostedServer.model_validate(entry)) != declared_identity(
        HostedServer.model_validate(other)
    )


def test_a_cloud_with_an_ordered_server_says_what_that_server_waits_for():
    order = {"planCode": "24scale01", "datacenter": "rbx"}
    bought = {"name": "one-2", "roles": ["Node"], "order": order}
    scene = Scene("composed", hosted(servers=[server("one-1", ["Frontend", "Node"]), bought]))
    child = scene.child("rbx-one-2")
    assert child["spec"]["ovh"]["order"] == {**order, "duration": "P1M", "pricingMode": "default"}
    scene.ready("BareMetalServer")
    words = {"type": "Ready", "status": "False", "reason": "ApprovalRequired", "message": "set order.approval"}
    child["status"] = {"observedGeneration": 1, "conditions": [words]}
    outcome = scene.plan().outcome
    assert outcome.reason == "WaitingForServers"
    assert "one-2: ApprovalRequired: set order.approval" in outcome.message


def test_a_consent_in_the_cloud_reaches_its_server():
    order = {"planCode": "24scale01", "datacenter": "rbx"}
    servers = [server("one-1", ["Frontend", "Node"]), {"name": "one-2", "roles": ["Node"], "order": order}]
    scene = Scene("composed", hosted(servers=servers))
    assert "ApplyChild" not in {type(s).__name__ for s in scene.plan().steps}
    approval = {"maxPrice": "300", "currency": "EUR"}
    servers[1] = {**servers[1], "order": {**order, "approval": approval}}
    scene.world.put(hosted(servers=servers))
    scene.raw = scene.world.raw["SovereignCloud", "platform", "rbx"]
    (step,) = [s for s in scene.plan().steps if type(s).__name__ == "ApplyChild"]
    assert step.manifest["spec"]["ovh"]["order"]["approval"] == approval
