"""A machine that found no place is in no cloud whose sweep would compare it: it looks again when a place may have come."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from sovereigncloud.api.common.base import API_VERSION, Key
from sovereigncloud.core.placement import Demand
from sovereigncloud.engine.cache.store import Store
from sovereigncloud.engine.loop.capacity_reservations import Promises
from sovereigncloud.engine.policy.triggers import BorderNews
from sovereigncloud.kinds.contract.controller import Uses
from sovereigncloud.kinds.contract.reservations import Reservation

CLOUD = Key("SovereignCloud", "team", "rbx")
WAITS, PLACED, GOES = (Key("HostedInstance", "team", name) for name in ("waits", "placed", "goes"))


class Queue(list[Key]):
    def add(self, key: Key, lane: Any) -> None:
        del lane
        self.append(key)

    def add_after(self, key: Key, seconds: float) -> None:
        del key, seconds


def body(
    key: Key, spec: dict[str, Any] | None = None, status: dict[str, Any] | None = None, **meta: Any
) -> dict[str, Any]:
    metadata = {"name": key.name, "namespace": key.namespace, "uid": f"uid-{key.name}", "generation": 1, **meta}
    return {
        "apiVersion": API_VERSION,
        "kind": key.kind,
        "metadata": metadata,
        "spec": spec or {},
        "status": status or {},
    }


FOUND = {"endpoint": "http://10.0.0.1/RPC2", "locations": [{"name": "front-end", "country": "FR"}]}
HERE = {"cloud": (body(CLOUD, status=FOUND, resourceVersion="1"))}


@pytest.fixture
def store() -> Store:
    found = Store()
    for key in (WAITS, PLACED):
        found.put(body(key, resourceVersion="1"))
    found.put(body(GOES, resourceVersion="1", deletionTimestamp="2026-11-24T00:00:00Z", finalizers=["x"]))
    found.put(HERE["cloud"])
    found.set_uses(PLACED, Uses(cloud=CLOUD))
    return found


def news(store: Store, queue: Queue) -> BorderNews:
    borders: Any = SimpleNamespace(all=lambda: (SimpleNamespace(policy="p"),))
    watches: Any = SimpleNamespace(clouds={})
    return BorderNews(store, borders, watches, queue)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "looks"),
    [
        ({"status": FOUND | {"zone": "OpenNebula"}}, False),
        ({"status": FOUND | {"endpoint": "http://10.0.0.2/RPC2"}}, True),
        ({"status": FOUND | {"locations": [{"name": "front-end", "country": "DE"}]}}, True),
        ({"status": FOUND, "labels": {"tier": "gold"}}, True),
    ],
    ids=["what nobody is placed by", "it answers elsewhere", "it is elsewhere", "its labels"],
)
def test_a_cloud_that_offers_something_else(store: Store, change: dict[str, Any], looks: bool) -> None:
    queue, before = Queue(), store.stored(CLOUD)
    store.put(body(CLOUD, resourceVersion="2", **change))
    news(store, queue).changed(CLOUD, before)
    assert queue == ([WAITS] if looks else [])


def test_a_new_cloud(store: Store) -> None:
    queue = Queue()
    news(store, queue).changed(CLOUD, None)
    assert queue == [WAITS]


def test_a_policy_that_changed(store: Store) -> None:
    queue, key = Queue(), Key("SovereigntyPolicy", "", "p")
    store.put({**body(key), "metadata": {"name": "p", "uid": "u", "generation": 1, "resourceVersion": "1"}})
    news(store, queue).changed(key, None)
    assert WAITS in queue
    assert PLACED not in queue, "it is compared where it is"
    assert GOES not in queue


# --- promises ----------------------------------------------------------------------------------------------------------


def test_a_promise_counts_until_a_view_must_show_the_machine() -> None:
    reservations, one = Promises(), Reservation("HostedInstance/team/web", 0, Demand(100, 1024))
    reservations.add(CLOUD, one, 100.0)
    assert reservations.since(CLOUD, 90.0) == (one,)
    assert reservations.since(CLOUD, 104.0) == (one,), "a write shows a little later"
    assert reservations.since(CLOUD, 106.0) == ()
    assert reservations.since(CLOUD, 90.0) == (), "it is forgotten"


def test_who_is_promised_something_anew_has_it_once() -> None:
    reservations = Promises()
    for size in (1024, 2048):
        reservations.add(CLOUD, Reservation("HostedInstance/team/web", 0, Demand(100, size)), 100.0)
    (one,) = reservations.since(CLOUD, 90.0)
    assert one.demand.memory == 2048
    assert reservations.since(Key("SovereignCloud", "team", "sbg"), 90.0) == ()
