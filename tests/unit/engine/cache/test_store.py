import copy
import gc
import tracemalloc
from types import SimpleNamespace

import pytest
from pydantic import ValidationError
from tests.fakes import objects
from tests.fakes.objects import CLOUD, NAMESPACE, READY, condition, instance, key, typical_instance

from sovereigncloud.api.common.base import Key
from sovereigncloud.engine.cache.store import Store, differs_in_loss, exit_of, groups_beside, key_of, secret_key
from sovereigncloud.engine.loop.context import ObjectContext
from sovereigncloud.kinds import CONTROLLERS
from sovereigncloud.kinds.contract.controller import SecretUse, Uses

WEB = key("web")


def store_with(*bodies):
    store = Store()
    for body in bodies:
        store.put(body)
    return store


def changed(body, *, version=2, metadata=None, **parts):
    body = copy.deepcopy(body) | parts
    body["metadata"] |= {"resourceVersion": str(version), **(metadata or {})}
    return body


@pytest.mark.parametrize(
    ("why", "change", "news"),
    [
        ("the same again, as a re-list tells it", {"version": 1}, False),
        ("an annotation of somebody's", {"metadata": {"annotations": {"team": "web"}}}, False),
        ("another spec", {"metadata": {"generation": 2}}, True),
        ("it is being deleted", {"metadata": {"deletionTimestamp": "2026-11-24T10:00:00Z"}}, True),
        ("a finalizer came", {"metadata": {"finalizers": ["foregroundDeletion"]}}, True),
        ("a label, which selectors read", {"metadata": {"labels": {"tier": "db"}}}, True),
        ("paused", {"metadata": {"annotations": {"sovereigncloud.io/paused": "true"}}}, True),
        ("asked to look", {"metadata": {"annotations": {"sovereigncloud.io/reconcile-requested-at": "1"}}}, True),
        ("somebody else wrote status: it is put right again", {"status": READY}, True),
        ("somebody else took status away", {"status": {}}, True),
        ("made anew under its name", {"metadata": {"uid": "another"}}, True),
        ("made anew in a cluster whose versions begin anew", {"version": 1, "metadata": {"uid": "another"}}, True),
        ("an older version, from a watch that lags behind", {"version": 0, "metadata": {"generation": 9}}, False),
    ],
)
def test_what_is_news(why, change, news):
    store = store_with(instance(version=1))
    assert store.put(changed(instance(version=1), **change)) == (WEB, news), why


def test_the_echo_of_an_own_patch_is_no_news():
    store = store_with(instance(version=1))
    reply = changed(
        instance(version=1), version=5, status=READY, metadata={"finalizers": ["sovereigncloud.io/finalizer"]}
    )
    assert store.put_own(reply) == WEB
    assert store.put(reply) == (WEB, False)
    assert store.put(changed(instance(version=1), version=4)) == (WEB, False), "nor what came before it"
    assert store.get(WEB).finalized


def test_an_older_version_is_dropped():
    store = store_with(instance(version=10, generation=3))
    store.put(instance(version=9, generation=2))
    assert store.get(WEB).metadata.generation == 3


def test_versions_that_are_no_numbers_are_compared_for_equality_only():
    store = store_with(instance(version="a9"))
    assert store.put(instance(version="a9", generation=2)) == (WEB, False)
    assert store.put(instance(version="a10", generation=2)) == (WEB, True)


def test_a_reply_that_comes_after_its_object_went_makes_no_ghost():
    store = store_with(instance(version=1, uid="first"))
    store.remove(WEB, "first")
    assert store.put_own(instance(version=2, uid="first")) is None
    assert len(store) == 0
    store.put(instance(version=5, uid="second"))
    assert store.put_own(instance(version=6, uid="first")) is None, "nor does it replace the one made anew"
    assert store.stored(WEB).uid == "second"


def test_removing_leaves_one_that_was_made_anew():
    store = store_with(instance(uid="second"))
    assert store.remove(WEB, "first") is None
    assert store.get(WEB) is not None
    assert store.remove(WEB, "second") is not None
    assert store.get(WEB) is None
    assert list(store.keys("HostedInstance")) == []
    assert store.remove(WEB, "second") is None


def test_who_uses_what_follows_spec():
    store = store_with(instance(), instance("db"))
    other = key("lyon", "SovereignCloud")
    store.set_uses(WEB, Uses(cloud=CLOUD, objects=(other,), secrets=(SecretUse("user-data"),)))
    store.set_uses(key("db"), Uses(cloud=CLOUD))
    assert set(store.users(CLOUD)) == {WEB, key("db")}
    assert set(store.users(secret_key(NAMESPACE, "user-data"))) == {WEB}
    store.set_uses(WEB, Uses(cloud=other))
    assert set(store.users(CLOUD)) == {key("db")}
    assert set(store.users(other)) == {WEB}
    assert set(store.users(secret_key(NAMESPACE, "user-data"))) == set()
    store.remove(WEB)
    assert set(store.users(other)) == set()


def test_what_it_uses_outlives_a_change_of_the_object_but_not_of_its_uid():
    store = store_with(instance(uid="first"))
    store.set_uses(WEB, Uses(cloud=CLOUD))
    store.put(instance(uid="first", version=2, generation=2))
    assert set(store.users(CLOUD)) == {WEB}, "until it is said anew; a spec that cannot be read still holds its cloud"
    store.put(instance(uid="second", version=3))
    assert set(store.users(CLOUD)) == set()


def test_an_object_may_be_asked_for_while_its_users_change():
    store = store_with(instance(), instance("db"))
    for name in ("web", "db"):
        store.set_uses(key(name), Uses(cloud=CLOUD))
    for user in store.users(CLOUD):
        store.remove(user)
    assert list(store.users(CLOUD)) == []


def test_keys_by_kind_and_namespace():
    store = store_with(instance(), instance("db", namespace="other"), objects.cloud())
    assert set(store.keys()) == {WEB, key("db", namespace="other"), CLOUD}
    assert set(store.keys("HostedInstance")) == {WEB, key("db", namespace="other")}
    assert set(store.keys("HostedInstance", NAMESPACE)) == {WEB}
    assert set(store.keys(namespace=NAMESPACE)) == {WEB, CLOUD}
    assert list(store.keys("Unheard")) == []


def test_a_spec_that_cannot_be_read_is_an_error_only_where_it_is_asked_for():
    store = store_with(instance(spec={"memory": ["much"]}))
    with pytest.raises(ValidationError):
        store.parse(WEB)
    assert store.get(WEB) is None
    assert store.stored(WEB) is not None


def test_several_are_parsed_at_once_without_those_that_cannot_be():
    broken = changed(instance("broken"), spec={"source": 3})
    store = store_with(instance("web"), broken, instance("last"))
    found = store.parse_some([key("web"), key("broken"), key("not-there"), key("last")])
    assert [one.key for one in found] == [key("web"), key("last")]
    assert store.parse(key("web")) is not found[0], "none of them drives out what is kept"


def test_a_parsed_object_is_that_of_the_last_version():
    store = store_with(instance(version=1))
    assert store.get(WEB) is store.get(WEB), "parsed once"
    store.put(instance(version=2, generation=2))
    assert store.get(WEB).metadata.generation == 2


def test_fields_of_a_newer_operator_are_ignored_and_kept():
    store = store_with(instance(spec={"fromTheFuture": 1}))
    assert store.get(WEB) is not None
    assert store.stored(WEB).body()["spec"]["fromTheFuture"] == 1


def test_what_is_known_without_parsing():
    store = store_with(instance(ownerReferences=[{"uid": "owner"}], finalizers=["sovereigncloud.io/finalizer"]))
    stored = store.stored(WEB)
    assert (stored.deleting, stored.finalized, stored.owners) == (False, True, ("owner",))
    store.put(instance(version=2, deletionTimestamp="2026-11-24T10:00:00Z"))
    assert (store.stored(WEB).deleting, store.stored(WEB).finalized) == (True, False)


def carries(*groups, **card):
    return {"networks": [{"name": "lan", **card, "securityGroups": list(groups)}]}


MOVING = {
    "observedGeneration": 1,
    "conditions": [condition("Ready", "False"), condition("Reconciling", "True", "Moving")],
}


def a_move(phase, **status):
    spec = {"instanceRef": {"name": "web"}, "to": {"cloudRef": {"name": "rbx"}}, "mode": "Execute"}
    return objects.body("InstanceMigration", "go", spec, status={"phase": phase, **status})


READY_FALSE = {"observedGeneration": 1, "conditions": [condition("Ready", "False")]}


@pytest.mark.parametrize(
    ("why", "before", "after", "matters"),
    [
        ("a network became ready: who waits for it looks", instance(), instance(status=READY), True),
        ("its message changed", instance(status=READY), instance(status={**READY, "state": "x"}), False),
        ("a cloud has an endpoint now", objects.cloud(endpoint=None), objects.cloud(), True),
        (
            "a cloud is not quite ready: a thousand machines in it do not care",
            objects.cloud(status=READY),
            objects.cloud(status=READY_FALSE),
            False,
        ),
        ("a cloud is going", objects.cloud(), objects.cloud(deletionTimestamp="2026-11-24T10:00:00Z"), True),
        ("a cloud is only observed now", objects.cloud(), objects.cloud(spec={"management": "Observe"}), True),
        (
            "a card is filtered by a group now",
            instance(status=READY),
            instance(status={**READY, **carries("web")}),
            True,
        ),
        ("spec names another group", instance(spec=carries("web")), instance(spec=carries("ssh")), True),
        (
            "another address on a card: its groups do not care",
            instance(status=carries("web", address="192.0.2.1")),
            instance(status=carries("web", address="192.0.2.2")),
            False,
        ),
        (
            "a move stalls: its exit goes on with the next one",
            a_move("Checking"),
            a_move("Checking", conditions=[condition("Stalled", "True", "NoMarketplace")]),
            True,
        ),
        ("a machine follows its move", instance(status=READY_FALSE), instance(status=MOVING), True),
        (
            "it is recorded elsewhere",
            instance(status=MOVING),
            instance(status={**MOVING, "external": {"vm": "4"}}),
            True,
        ),
        (
            "another fact of it",
            instance(status=MOVING),
            instance(status={**MOVING, "external": {"adopted": "1"}}),
            False,
        ),
        ("a move is further", a_move("Copying"), a_move("Starting"), True),
        ("a move copied another disk", a_move("Copying"), a_move("Copying", bytes=7), False),
    ],
)
def test_what_matters_to_others(why, before, after, matters):
    one, other = store_with(before), store_with(after)
    name = next(one.keys())
    assert (one.stored(name).others != other.stored(name).others) is matters, why


ALL_GROUPS = {"web", "ssh", "mail"}


@pytest.mark.parametrize(
    ("why", "before", "after", "told"),
    [
        ("spec names it, and no card has it yet", None, instance(spec=carries("web")), {"web"}),
        ("a card has it, of which spec says nothing", None, instance(status=carries("ssh")), {"ssh"}),
        ("by its name in OpenNebula", None, instance(status=carries("smtp")), {"mail"}),
        ("not by the name of the object, where that is another", None, instance(status=carries("mail")), set()),
        ("the card lost it: it filters one machine less", instance(status=carries("web")), instance(), {"web"}),
        ("the machine is gone", instance(status=carries("web", "ssh")), None, {"web", "ssh"}),
        (
            "a machine with a card that none filters",
            instance(),
            instance(status={"networks": [{"name": "lan"}]}),
            set(),
        ),
        ("a new cloud: groups are wanted in every one", None, objects.cloud(), ALL_GROUPS),
        ("a server has no cards of that kind", None, objects.server(), set()),
    ],
)
def test_which_groups_of_rules_look_again_though_they_refer_to_nothing(why, before, after, told):
    rules = {"rules": []}
    groups = [objects.body("SecurityGroup", name, rules) for name in ("web", "ssh")]
    groups.append(objects.body("SecurityGroup", "mail", {**rules, "name": "smtp"}))
    store = store_with(*groups, *([after] if after else ()))
    earlier = store_with(before) if before else None
    which = key_of(after or before)
    found = groups_beside(store, which, earlier.stored(which) if earlier else None)
    assert {one.name for one in found} == told, why


def test_a_thousand_typical_instances_cost_less_than_6_kb_each():
    store = Store()
    bodies = (typical_instance(number) for number in range(1000))
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for body in bodies:
            name, _ = store.put(body)
            store.set_uses(name, CONTROLLERS["HostedInstance"].uses(store.get(name)))
        store._parsed.clear()  # bounded, and measured by the bench of the whole process
        del body
        gc.collect()
        cost = (tracemalloc.get_traced_memory()[0] - before) / 1000
    finally:
        tracemalloc.stop()
    assert len(store) == 1000
    assert cost < 6_000, f"{cost:.0f} bytes each"


def test_who_asks_for_users_of_a_kind_does_not_pay_for_a_thousand_others():
    store = store_with(objects.cloud(), *(instance(f"web-{i:03}") for i in range(300)))
    for name in store.keys("HostedInstance"):
        store.set_uses(name, Uses(cloud=CLOUD))
    store.put(objects.server("one-1"))
    store.set_uses(key("one-1", "BareMetalServer"), Uses(objects=(CLOUD,)))
    world = ObjectContext(SimpleNamespace(store=store), store.get(CLOUD))
    parsed = []
    store.parse, parse = lambda k: parsed.append(k) or parse(k), store.parse
    assert [u.key.name for u in world.users(CLOUD, "BareMetalServer", "VirtualNetwork")] == ["one-1"]
    assert parsed == [key("one-1", "BareMetalServer")]
    assert len(world.users(CLOUD)) == 301


@pytest.mark.parametrize(
    ("ref", "found"),
    [
        ({"name": "leave", "namespace": "platform"}, Key("ExitPlan", "platform", "leave")),
        (
            {"name": "leave"},
            Key("ExitPlan", objects.body("InstanceMigration", "go", {})["metadata"]["namespace"], "leave"),
        ),
        (None, None),
    ],
)
def test_the_exit_that_a_move_is_part_of_is_told_of_it(ref, found):
    store = Store()
    key, _ = store.put(objects.body("InstanceMigration", "go", {"exitPlanRef": ref} if ref else {}))
    assert exit_of(store.stored(key)) == found


LOSSES = [
    ("it is lost", {}, {"lostSince": "2026-11-24T10:00:00Z"}, True),
    ("it is back", {"lostSince": "2026-11-24T10:00:00Z"}, {}, True),
    ("it has another endpoint", {}, {"endpoint": "http://10.0.0.2:2633/RPC2"}, False),
    ("both", {}, {"endpoint": "http://10.0.0.2:2633/RPC2", "lostSince": "2026-11-24T10:00:00Z"}, False),
]


@pytest.mark.parametrize(("why", "before", "after", "loss"), LOSSES, ids=[row[0] for row in LOSSES])
def test_thousands_in_a_cloud_are_not_told_that_it_is_lost(why, before, after, loss):
    store, told = Store(), []
    for status in (before, after):
        body = objects.cloud("paris")
        body["metadata"]["resourceVersion"] = str(len(told) + 1)
        body["status"] = status
        key, _ = store.put(body)
        told.append(store.stored(key))
    assert told[0].others != told[1].others, "somebody is told"
    assert differs_in_loss(*told) == loss, why
