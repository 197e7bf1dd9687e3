"""The stores of a cloud: made once, kept as declared, secrets never shown, and deleted only when nobody uses them."""

from dataclasses import dataclass, field, replace

import pytest
from tests.unit.kinds.cloud_fakes import FakeWorld, Loop, run
from tests.unit.kinds.infrastructure_fakes import Parts
from tests.unit.kinds.sovereigncloud.test_plan import Scene as Hosted
from tests.unit.kinds.sovereigncloud.test_plan import hosted

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.core.identity import Mark
from sovereigncloud.core.outcome import Phase
from sovereigncloud.core.plan import Cause
from sovereigncloud.kinds.sovereigncloud.controller import SovereignCloudController
from sovereigncloud.kinds.sovereigncloud.stores.steps import CreateStore
from sovereigncloud.ports.opennebula.infrastructure import Marketplace
from sovereigncloud.ports.opennebula.views import Datastore, MarketplaceApp

KEY = ("SovereignCloud", "platform", "paris")
EXCHANGE = {
    "name": "exchange",
    "type": "Marketplace",
    "location": {"country": "FR"},
    "s3": {"endpoint": "https://s3.example.fr", "bucket": "one", "credentialsSecretRef": {"name": "s3"}},
}
MIRROR = {"name": "mirror", "type": "Marketplace", "http": {"baseURL": "https://m.example.fr", "publicDir": "/srv/m"}}
BACKUPS = {"name": "backups", "type": "Backup", "restic": {"sftpServer": "b", "passwordSecretRef": {"name": "restic"}}}
COPIES = {"name": "copies", "type": "Backup", "rsync": {"host": "c", "user": "copy"}}
ALL = [EXCHANGE, MIRROR, BACKUPS, COPIES]
SECRETS = {
    ("platform", "one"): {"username": "oneadmin", "password": "x"},
    ("platform", "s3"): {"accessKeyId": "AKIA", "secretAccessKey": "s3cr3t"},
    ("platform", "restic"): {"password": "p4ssw0rd"},
}
HIDDEN = ("s3cr3t", "AKIA", "p4ssw0rd")


class Scene:
    """An OpenNebula elsewhere, with these stores declared."""

    def __init__(self, *stores, encrypted=frozenset(), **spec):
        self.world = FakeWorld()
        self.world.one.version = "7.4.0"
        self.one, self.parts = self.world.one, Parts(encrypted)
        self.world.one.parts = self.parts
        self.world.kubernetes.secrets |= {where: dict(values) for where, values in SECRETS.items()}
        self.declare(*stores, **spec)
        self.loop = Loop(self.world, SovereignCloudController(), KEY)

    def declare(self, *stores, **spec):
        existing = {"endpoint": "https://one.example.fr/RPC2", "credentialsSecretRef": {"name": "one"}}
        self.raw = self.world.put(
            {
                "kind": "SovereignCloud",
                "metadata": {"name": "paris", "namespace": "platform", "uid": "c1"},
                "spec": {"existing": existing, "stores": list(stores), **spec},
            }
        )

    def settle(self):
        return run(self.loop.until_quiet())

    def look(self):
        """One look, nothing done."""

        async def planned():
            controller = SovereignCloudController()
            resource = controller.resource.model_validate(self.raw)
            observed = await controller.observe(resource, self.world)
            return controller.plan(resource, observed, self.world.now)

        return run(planned())

    def named(self, name):
        pools = (*self.parts.markets.values(), *self.parts.datastores.values())
        return next(one for one in pools if one.name == name)

    def change(self, store, /, **fields):
        """Behind the operator's back."""
        found = self.named(store)
        pool = self.parts.markets if isinstance(found, Marketplace) else self.parts.datastores
        attributes = {**found.attributes, **fields.pop("attributes", {})}
        pool[found.id] = replace(found, attributes=attributes, **fields)

    @property
    def mark(self):
        return self.world.mark(self.world.get(Key(*KEY)))

    def status(self):
        return {s["name"]: s["state"] for s in self.raw["status"]["stores"]}


def shown(scene, plan):
    """Everything of a plan and a status that a person may see."""
    return repr(plan) + repr(scene.raw["status"]) + repr([s.target for s in plan.steps])


def test_all_four_kinds_are_made_once_and_then_nothing_more_is_done():
    scene = Scene(*ALL)
    looked = scene.settle()
    assert looked.outcome.phase is Phase.DONE
    created = [entry for entry in scene.parts.journal if entry[0].startswith("create")]
    assert [(verb, name) for verb, name, *_ in created] == [
        ("create_marketplace", "exchange"), ("create_marketplace", "mirror"),
        ("create_datastore", "backups"), ("create_datastore", "copies"),
    ]  # fmt: skip
    exchange, backups = scene.named("exchange"), scene.named("backups")
    assert {k: v for k, v in exchange.attributes.items() if not k.startswith("SOVEREIGN")} == {
        "MARKET_MAD": "s3", "BUCKET": "one", "REGION": "default", "ENDPOINT": "https://s3.example.fr", "AWS": "no",
        "FORCE_PATH_STYLE": "YES", "SIGNATURE_VERSION": "v4", "ACCESS_KEY_ID": "AKIA", "SECRET_ACCESS_KEY": "s3cr3t",
    }  # fmt: skip
    assert {k: v for k, v in backups.attributes.items() if not k.startswith("SOVEREIGN")} == {
        "TYPE": "BACKUP_DS", "DS_MAD": "restic", "TM_MAD": "-", "RESTIC_SFTP_SERVER": "b", "RESTIC_PASSWORD": "p4ssw0rd",
    }  # fmt: skip
    assert exchange.mark == scene.mark
    assert scene.raw["status"]["storesReady"] == "4/4"
    assert scene.raw["status"]["stores"][0] == {
        "name": "exchange", "type": "Marketplace", "state": "Ready", "id": str(exchange.id), "country": "FR",
    }  # fmt: skip
    writes = len(scene.parts.journal)
    assert scene.look().steps == ()
    scene.settle()
    assert len(scene.parts.journal) == writes, "a second pass writes nothing"


@pytest.mark.parametrize("encrypted", [frozenset(), frozenset({"RESTIC_PASSWORD"})], ids=["clear", "encrypted"])
@pytest.mark.parametrize("verb", ["create_marketplace", "create_datastore", "update_datastore", "update_marketplace"])
def test_an_answer_that_was_lost_makes_no_second_store(verb, encrypted):
    scene = Scene(*ALL, encrypted=encrypted)
    scene.parts.lost = {verb}
    scene.settle()
    scene.change("backups", attributes={"RESTIC_PASSWORD": "x"})
    assert len(scene.look().steps) == 1, "what was shown is noted, also where the first note was lost"
    assert len({m.name for m in scene.parts.markets.values()}) == len(scene.parts.markets) == 3
    assert [d.name for d in scene.parts.datastores.values()].count("backups") == 1


@dataclass(frozen=True)
class Drifted:
    why: str
    name: str
    change: dict = field(hash=False)
    path: str
    desired: str
    observed: str


CHANGED = [
    Drifted("another endpoint", "exchange", {"attributes": {"ENDPOINT": "https://evil"}}, "spec.stores[exchange].s3.endpoint", "https://s3.example.fr", "https://evil"),
    Drifted("another bucket", "exchange", {"attributes": {"BUCKET": "two"}}, "spec.stores[exchange].s3.bucket", "one", "two"),
    Drifted("another key", "exchange", {"attributes": {"SECRET_ACCESS_KEY": "guess"}}, "spec.stores[exchange].s3.credentialsSecretRef", "(hidden)", "another one"),
    Drifted("renamed", "exchange", {"name": "market"}, "spec.stores[exchange].name", "exchange", "market"),
    Drifted("disabled", "exchange", {"state": 1}, "spec.stores[exchange]", "enabled", "disabled"),
    Drifted("another address", "mirror", {"attributes": {"BASE_URL": "https://x"}}, "spec.stores[mirror].http.baseURL", "https://m.example.fr", "https://x"),
    Drifted("another directory", "mirror", {"attributes": {"PUBLIC_DIR": "/tmp"}}, "spec.stores[mirror].http.publicDir", "/srv/m", "/tmp"),
    Drifted("another server", "backups", {"attributes": {"RESTIC_SFTP_SERVER": "x"}}, "spec.stores[backups].restic.sftpServer", "b", "x"),
    Drifted("another password", "backups", {"attributes": {"RESTIC_PASSWORD": "x"}}, "spec.stores[backups].restic.passwordSecretRef", "(hidden)", "another one"),
    Drifted("a limit taken away", "backups", {"attributes": {"RESTIC_BWLIMIT": ""}}, "spec.stores[backups].attributes.RESTIC_BWLIMIT", "10240", "absent"),
    Drifted("another user", "copies", {"attributes": {"RSYNC_USER": "root"}}, "spec.stores[copies].rsync.user", "copy", "root"),
    Drifted("another host", "copies", {"attributes": {"RSYNC_HOST": "x"}}, "spec.stores[copies].rsync.host", "c", "x"),
    Drifted("a backup store renamed", "copies", {"name": "old"}, "spec.stores[copies].name", "copies", "old"),
]  # fmt: skip


SEALED = frozenset({"RESTIC_PASSWORD", "SECRET_ACCESS_KEY"})


@pytest.mark.parametrize(
    ("row", "encrypted"),
    [(row, frozenset()) for row in CHANGED]
    + [(r, SEALED) for r in CHANGED if r.why.startswith(("another key", "another p"))],
    ids=lambda value: getattr(value, "why", "encrypted" if value else "clear"),
)
def test_every_field_that_somebody_changed_is_told_and_mended(row, encrypted):
    limited = {**BACKUPS, "attributes": {"RESTIC_BWLIMIT": "10240"}}
    scene = Scene(EXCHANGE, MIRROR, limited, COPIES, encrypted=encrypted)
    scene.settle()
    before = {one.id: one for one in (*scene.parts.markets.values(), *scene.parts.datastores.values())}
    scene.change(row.name, **{k: dict(v) if k == "attributes" else v for k, v in row.change.items()})
    plan = scene.look()
    assert [(d.path, d.desired, d.observed, d.mendable) for d in plan.drift] == [
        (row.path, row.desired, row.observed, True)
    ]
    assert all(s.cause is Cause.OBSERVED for s in plan.steps)
    assert not any(secret in shown(scene, plan) for secret in HIDDEN)
    scene.settle()
    after = {one.id: one for one in (*scene.parts.markets.values(), *scene.parts.datastores.values())}
    assert after == before, row.why


@pytest.mark.parametrize("encrypted", [frozenset(), frozenset({"RESTIC_PASSWORD"})], ids=["clear", "encrypted"])
def test_a_rotated_secret_is_brought_to_the_store(encrypted):
    scene = Scene(BACKUPS, encrypted=encrypted)
    scene.settle()
    scene.world.kubernetes.secrets["platform", "restic"]["password"] = "another-one"
    plan = scene.look()
    assert [d.path for d in plan.drift] == ["spec.stores[backups].restic.passwordSecretRef"]
    assert "another-one" not in shown(scene, plan)
    scene.settle()
    kept = scene.named("backups").attributes["RESTIC_PASSWORD"]
    assert kept == ("~" + "another-one"[::-1] if encrypted else "another-one")
    assert scene.look().steps == ()


@dataclass(frozen=True)
class Refused:
    why: str
    prepare: object
    phase: Phase
    reason: str
    says: str
    stores: tuple = (BACKUPS,)


def drop_secret(scene):
    del scene.world.kubernetes.secrets["platform", "restic"]


def other_key(scene):
    scene.world.kubernetes.secrets["platform", "restic"] = {"passwort": "x"}


def there(**fields):
    def prepare(scene):
        base = Datastore(
            50, "backups", 3, 0, 10, 10, 0, "restic", "-", attributes={"TYPE": "BACKUP_DS", "RESTIC_SFTP_SERVER": "b"}
        )
        scene.parts.datastores[50] = replace(base, **fields)

    return prepare


REFUSED = [
    Refused("no Secret", drop_secret, Phase.BLOCKED, "WaitingForDependency", "there is no Secret restic; make it with the keys password"),
    Refused("a Secret of another shape", other_key, Phase.BLOCKED, "WaitingForDependency", "Secret restic has no password"),
    Refused("the name of an image datastore", there(type=0, driver="fs", transfer="ssh"), Phase.STALLED, "NameTaken", "a store of another kind, number 50"),
    Refused("the name of a store of another driver", there(driver="rsync"), Phase.STALLED, "NameTaken", "DS_MAD=rsync"),
    Refused("another installation's", there(mark=Mark("other", "SovereignCloud/a/b", "u")), Phase.STALLED, "OwnedByAnotherInstallation", "installation other (SovereignCloud/a/b)"),
    Refused("an attribute that another field says", lambda _: None, Phase.STALLED, "InvalidSpec", "RESTIC_SFTP_SERVER is said by another field", ({**BACKUPS, "attributes": {"RESTIC_SFTP_SERVER": "x"}},)),
    Refused("a secret in spec", lambda _: None, Phase.STALLED, "InvalidSpec", "S3_SECRET_KEY would be a secret in clear", ({**BACKUPS, "attributes": {"S3_SECRET_KEY": "x"}},)),
    Refused("no name of an attribute", lambda _: None, Phase.STALLED, "InvalidSpec", "capital letters", ({**BACKUPS, "attributes": {"bw-limit": "x"}},)),
]  # fmt: skip


@pytest.mark.parametrize("row", REFUSED, ids=lambda row: row.why)
def test_why_a_store_is_not_made(row):
    scene = Scene(*row.stores)
    scene.raw["status"]["endpoint"] = "https://one.example.fr/RPC2"
    row.prepare(scene)
    plan = scene.look()
    assert plan.steps == ()
    assert (plan.outcome.phase, plan.outcome.reason) == (row.phase, row.reason)
    assert row.says in plan.outcome.message


def test_a_store_that_cannot_be_made_does_not_hold_up_the_others():
    scene = Scene(*ALL)
    drop_secret(scene)
    looked = scene.settle()
    assert looked.outcome.phase is Phase.BLOCKED
    assert scene.status() == {"exchange": "Ready", "mirror": "Ready", "backups": "Absent", "copies": "Ready"}


def test_a_secret_that_went_away_later_stops_nothing():
    scene = Scene(BACKUPS)
    scene.settle()
    drop_secret(scene)
    plan = scene.look()
    assert (plan.steps, plan.drift, plan.outcome.phase, plan.outcome.available) == ((), (), Phase.BLOCKED, True)


def test_what_a_person_made_is_used_as_it_is_and_stays():
    scene = Scene(BACKUPS)
    there(attributes={"TYPE": "BACKUP_DS", "RESTIC_SFTP_SERVER": "x", "RESTIC_PASSWORD": "theirs"})(scene)
    scene.settle()
    plan = scene.look()
    assert [(d.path, d.mendable) for d in plan.drift] == [("spec.stores[backups].restic.sftpServer", False)]
    assert scene.status() == {"backups": "Ready"}
    scene.declare()
    scene.settle()
    assert (scene.parts.journal, 50 in scene.parts.datastores) == ([], True)


def test_a_rebuilt_cluster_takes_its_stores_over():
    scene = Scene(*ALL)
    scene.settle()
    before = {one.id for one in (*scene.parts.markets.values(), *scene.parts.datastores.values())}
    del scene.world.raw[KEY]
    scene.declare(*ALL)
    scene.raw["metadata"]["uid"] = "c2"
    scene.settle()
    after = (*scene.parts.markets.values(), *scene.parts.datastores.values())
    assert {one.id for one in after} == before
    assert {one.mark.uid for one in after if one.mark} == {"c2"}


def test_a_tenant_cannot_write_our_mark_into_a_datastore_of_theirs():
    scene = Scene(*ALL)
    scene.settle()
    scene.world.one.owner = 0
    theirs = replace(scene.named("copies"), id=77, name="bait", owner=9)
    scene.parts.datastores[77] = theirs
    scene.declare(EXCHANGE, MIRROR, BACKUPS)
    scene.settle()
    assert 77 in scene.parts.datastores, "only what the credential's own user owns is deleted"
    assert "copies" not in scene.status()


@pytest.mark.parametrize(
    ("why", "spec", "gone"),
    [
        ("it is empty", {}, True),
        ("the cloud lets everything stay", {"deletionPolicy": "Retain"}, False),
        ("the cloud deletes what it made", {"deletionPolicy": "Delete"}, True),
    ],
)
def test_a_store_that_is_no_longer_declared(why, spec, gone):
    scene = Scene(*ALL, **spec)
    scene.settle()
    scene.declare(**spec)
    scene.settle()
    left = {one.name for one in (*scene.parts.markets.values(), *scene.parts.datastores.values())}
    assert ({"exchange", "mirror", "backups", "copies"} & left == set()) is gone, why
    assert left >= {"OpenNebula Public", "default"}


def test_a_store_in_use_stays_and_says_by_what():
    scene = Scene(*ALL)
    scene.settle()
    scene.change("exchange", apps=(7,))
    scene.change("backups", images=(40, 41))

    async def apps():
        return (MarketplaceApp(7, "golden", 1, 10, "exchange"),)

    scene.one.apps = apps
    scene.declare()
    looked = scene.settle()
    assert (looked.outcome.phase, looked.outcome.reason, looked.outcome.available) == (Phase.BLOCKED, "InUse", True)
    assert 'appliance 7 "golden"' in looked.outcome.message
    assert 'backup 40 "?"' in looked.outcome.message
    assert scene.status() == {"exchange": "Leaving", "backups": "Leaving"}, "the two that were empty are gone"
    scene.change("exchange", apps=())
    scene.change("backups", images=())
    scene.settle()
    assert "stores" not in scene.raw["status"]


def test_a_store_that_an_instance_backs_up_to_stays():
    scene = Scene(BACKUPS)
    scene.settle()
    spec = {"source": {"image": "a"}, "vcpu": 1, "memory": "1Gi", "backup": {"store": "backups"}}
    web = HostedInstance.model_validate(
        {"metadata": {"name": "web", "namespace": "platform"}, "spec": spec, "status": {}}
    )
    scene.world.users = lambda *_: [web]
    scene.declare()
    assert "HostedInstance platform/web" in scene.settle().outcome.message


def test_a_store_that_nobody_looked_at_yet_says_so():
    scene = Scene(BACKUPS)
    scene.settle()
    scene.change("backups", total=0)
    plan = scene.look()
    assert (plan.outcome.reason, plan.outcome.available) == ("DatastoreNotMonitored", True)


def test_the_secrets_of_stores_are_guarded():
    scene = Scene(*ALL)
    used = SovereignCloudController().uses(scene.world.get(Key(*KEY)))
    assert {s.name for s in used.secrets} == {"one", "s3", "restic"}


def test_a_hosted_cloud_gets_its_stores_once_it_runs():
    """Example (a): before, there is nothing to ask."""
    stores = [{**EXCHANGE, "name": "exchange"}, BACKUPS]
    for stage, made in (("servers", []), ("running", ["marketplace exchange", "backup datastore backups"])):
        scene = Hosted(stage, hosted(stores=stores))
        scene.world.kubernetes.secrets |= {where: dict(values) for where, values in SECRETS.items()}
        plan = scene.plan()
        assert [s.target for s in plan.steps if isinstance(s, CreateStore)] == made


def test_a_field_that_is_only_reported_is_not_mended_by_way_of_another():
    scene = Scene(EXCHANGE)
    scene.settle()
    scene.change("exchange", attributes={"BUCKET": "two", "ENDPOINT": "https://x", "SECRET_ACCESS_KEY": "guess"})
    plan = scene.look()
    assert sorted(step.fields for step in plan.steps) == sorted((d.path,) for d in plan.drift)
    assert len(plan.drift) == 3
