import pytest

from sovereigncloud.api.common.base import Key
from sovereigncloud.engine.cache.store import Store
from sovereigncloud.engine.cache.watch_audit import Audit
from sovereigncloud.ports.errors import NotFound

KIND = "HostedInstance"


def instance(name, version, uid="u1"):
    metadata = {"name": name, "namespace": "a", "uid": uid, "resourceVersion": version, "generation": 1}
    return {"kind": KIND, "metadata": metadata, "spec": {"source": {"image": "x"}}, "status": {}}


class Api:
    def __init__(self, *bodies, gone=False):
        self.bodies, self.gone = bodies, gone

    async def objects(self, kind):
        if self.gone:
            raise NotFound("no such kind")
        for body in self.bodies:
            yield body


ROWS = [
    ("nothing was missed", [instance("web", "5")], [instance("web", "5")], []),
    ("the store is ahead: an own PATCH came after the list", [instance("web", "6")], [instance("web", "5")], []),
    ("a change was missed", [instance("web", "5")], [instance("web", "7")], [(None, "web")]),
    ("a new object was missed", [], [instance("web", "5")], [(None, "web")]),
    ("a deletion was missed", [instance("web", "5")], [], [("DELETED", "web")]),
    ("deleted and made anew", [instance("web", "5")], [instance("web", "6", uid="u2")], [(None, "web")]),
]


def audit_of(known, listed, dead=lambda: None, **options):
    store, told = Store(), []
    for body in known:
        store.put(body)
    api = Api(*listed, **options)
    return (
        Audit(api, store, lambda event, body: told.append((event, body["metadata"]["name"])), (KIND,), dead),
        told,
        store,
    )


@pytest.mark.parametrize(("why", "known", "listed", "wanted"), ROWS, ids=[row[0] for row in ROWS])
async def test_what_the_watch_missed_is_taken_in(why, known, listed, wanted):
    audit, told, _ = audit_of(known, listed)
    await audit.once(0)
    assert told == wanted, why


async def test_a_kind_whose_crd_is_gone_has_no_objects():
    audit, told, _ = audit_of([instance("web", "5")], [], gone=True)
    await audit.once(0)
    assert told == [("DELETED", "web")]


async def test_a_watch_that_misses_twice_in_a_row_ends_the_process():
    deaths = []
    audit, _, store = audit_of([], [instance("web", "5")], dead=lambda: deaths.append(1))
    await audit.once(0)
    assert deaths == []
    await audit.once(0)
    assert deaths == [1]
    store.put(instance("web", "5"))
    await audit.once(0)
    assert deaths == [1], "nothing was missed this time"
    assert store.stored(Key(KIND, "a", "web"))
