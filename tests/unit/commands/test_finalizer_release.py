"""Taking finalizers off: what is found, in which order it goes, and what stays."""

import pytest
from tests.fakes import objects
from tests.fakes.api_server import ApiServer
from tests.fakes.objects import CLOUD, NAMESPACE, key

from sovereigncloud.api.common.base import FINALIZER
from sovereigncloud.commands.lifecycle.finalizer_release import held, let_go
from sovereigncloud.commands.shared.errors import CommandError
from sovereigncloud.kinds import CONTROLLERS
from sovereigncloud.ports.errors import Auth, Conflict, NotFound

OTHERS = "somebody.example/else"


class Api(ApiServer):
    """With what a release asks beside. `lists`: whether Secrets may be listed."""

    def __init__(self, *, lists=True):
        super().__init__()
        self.lists = lists

    def _tell(self, event, body):
        """Nobody listens."""

    async def objects_of(self, kind):
        for body in self.listed():
            if body["kind"] == kind:
                yield body

    async def finalized_secrets(self):
        if not self.lists:
            raise Auth("secrets is forbidden")
        return [place for place, secret in self.secrets.items() if FINALIZER in secret["finalizers"]]


class Door:
    """ApiServer keeps its objects under the name that the port gives to a verb."""

    def __init__(self, api):
        self._api = api

    def objects(self, kind):
        return self._api.objects_of(kind)

    def __getattr__(self, name):
        return getattr(self._api, name)


def world(*, lists=True):
    """A cloud and two machines that are held, with the Secrets of both; one that is only looked at."""
    api = Api(lists=lists)
    status = {"external": {"vm": "42"}}
    init = {"cloudInit": {"userDataSecretRef": {"name": "init"}}}
    api.apply(objects.cloud(finalizers=[FINALIZER]))
    api.apply(objects.instance("web", finalizers=[OTHERS, FINALIZER], status=status, spec=init))
    api.apply(objects.instance("db", finalizers=[FINALIZER]))
    api.apply(objects.instance("observed"))
    for name in ("one", "init", "nobody-names-it"):
        api.create(NAMESPACE, name, {"password": "x"})
        api.secrets[NAMESPACE, name]["finalizers"] = [FINALIZER]
    return api, Door(api)


async def test_what_is_held_is_found_and_nothing_is_written():
    api, door = world()
    found = await held(door, CONTROLLERS, frozenset())
    assert set(found.objects) == {CLOUD, key("web"), key("db")}
    assert found.secrets == set(api.secrets), "also one whose user is gone"
    assert found.objects[key("web")].outside == "vm 42"
    assert found.objects[key("db")].outside == "nothing recorded"
    assert api.writes == []


async def test_who_may_not_list_secrets_finds_those_that_objects_name():
    """The operator's account, in the Job before an uninstallation."""
    _, door = world(lists=False)
    assert (await held(door, CONTROLLERS, frozenset())).secrets == {(NAMESPACE, "one"), (NAMESPACE, "init")}


async def test_secrets_of_other_namespaces_are_left_alone():
    api, door = world()
    api.create("another-team", "one", {})
    api.secrets["another-team", "one"]["finalizers"] = [FINALIZER]
    done = await let_go(door, CONTROLLERS, frozenset({NAMESPACE}))
    assert ("another-team", "one") not in done.secrets
    assert api.secrets["another-team", "one"]["finalizers"] == [FINALIZER]


async def test_only_our_finalizers_go_and_nothing_else_is_written():
    api, door = world()
    before = {key: body["spec"] for key, body in api.objects.items()}
    done = await let_go(door, CONTROLLERS, frozenset())
    assert (len(done.objects), len(done.secrets)) == (3, 3)
    assert api.finalizers(key("web")) == [OTHERS]
    assert {secret["finalizers"] == [] for secret in api.secrets.values()} == {True}
    assert {verb for verb, *_ in api.writes} == {"finalizers", "secret"}
    assert {key: body["spec"] for key, body in api.objects.items()} == before
    verbs = [verb for verb, *_ in api.writes]
    assert verbs == sorted(verbs, reverse=True), "Secrets first: an object that is still held leads back to them"
    api.writes.clear()
    assert not (await let_go(door, CONTROLLERS, frozenset())).objects
    assert api.writes == []


async def test_an_object_that_is_being_deleted_goes():
    api, door = world()
    api.delete(key("db"))
    await let_go(door, CONTROLLERS, frozenset())
    assert key("db") not in api.objects


async def test_what_somebody_changed_meanwhile_is_looked_at_again():
    api, door = world()
    api.fail("finalizers", Conflict("the object has been modified"))
    done = await let_go(door, CONTROLLERS, frozenset())
    assert len(done.objects) == 3


async def test_an_operator_that_holds_on_is_told_of():
    api, door = world()
    api.fail("finalizers", Conflict("the object has been modified"), times=100)
    with pytest.raises(CommandError, match="does an operator live"):
        await let_go(door, CONTROLLERS, frozenset())


async def test_a_kind_whose_definition_is_gone_has_no_objects():
    _, door = world()

    async def gone(kind):
        raise NotFound("the server could not find the requested resource")
        yield

    door.objects = gone
    found = await held(door, CONTROLLERS, frozenset())
    assert found.objects == {}
    assert len(found.secrets) == 3, "its Secrets are held all the same"
