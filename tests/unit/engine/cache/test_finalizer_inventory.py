"""What the operator holds, as the policy reads it that refuses to uninstall."""

import pytest
from tests.fakes import objects
from tests.fakes.objects import NAMESPACE

from sovereigncloud.api.common.base import FINALIZER, Key
from sovereigncloud.engine.cache.finalizer_inventory import NAMED, NOTHING, Holdings, told
from sovereigncloud.engine.cache.store import Store
from sovereigncloud.ports.errors import Retry


def instances(count):
    return [Key("HostedInstance", NAMESPACE, f"web-{number:02}") for number in range(count)]


ROWS = [
    ("nothing is said as such", [], "0", ""),
    ("one by its name", instances(1), "1", "HostedInstance prefecture/web-00"),
    ("in an order that does not change by itself", instances(2)[::-1], "2", "HostedInstance prefecture/web-00, HostedInstance prefecture/web-01"),
    ("of many the first, and how many more", instances(NAMED + 2), "12", ", ".join(map(str, instances(NAMED))) + " and 2 more"),
]  # fmt: skip


@pytest.mark.parametrize(("why", "held", "count", "names"), ROWS, ids=[row[0] for row in ROWS])
def test_what_is_told(why, held, count, names):
    assert told(held) == {"count": count, "names": names}, why


def test_the_longest_names_fit_a_message_of_an_admission_policy():
    """ValidatingAdmissionPolicy: 5 KiB, of which the chart's own words take less than one."""
    longest = [Key("InstanceMigration", "n" * 63, f"{number:02}" + "x" * 251) for number in range(NAMED + 1)]
    assert len(told(longest)["names"].encode()) < 4 * 1024


class Api:
    def __init__(self, stored=None):
        self.stored, self.writes, self.down = stored, 0, False

    async def holdings(self, namespace):
        return self.stored

    async def tell_holdings(self, namespace, data):
        if self.down:
            raise Retry("no route to host")
        self.stored, self.writes = dict(data), self.writes + 1


def store_of(*names):
    store = Store()
    for name in names:
        store.put(objects.instance(name, finalizers=[FINALIZER]))
    store.put(objects.instance("observed-only"))
    return store


async def test_it_is_written_when_it_changes_and_never_at_rest():
    api, store = Api(), store_of("web")
    holdings = Holdings(api, store, "sovereign-system")
    for _ in range(3):
        await holdings.once()
    assert (api.writes, api.stored["names"]) == (1, "HostedInstance prefecture/web")
    store.put(objects.instance("web", version=2))
    await holdings.once()
    assert (api.writes, api.stored) == (2, NOTHING)


async def test_a_process_that_finds_it_right_writes_nothing():
    api = Api(told([Key("HostedInstance", NAMESPACE, "web")]))
    await Holdings(api, store_of("web"), "sovereign-system").once()
    assert api.writes == 0


async def test_where_nothing_was_ever_held_nothing_is_made():
    api = Api()
    await Holdings(api, store_of(), "sovereign-system").once()
    assert api.stored is None


async def test_what_could_not_be_told_is_told_later():
    api = Api()
    holdings, api.down = Holdings(api, store_of("web"), "sovereign-system"), True
    with pytest.raises(Retry):
        await holdings.once()
    api.down = False
    await holdings.once()
    assert api.stored["count"] == "1"
