"""Of what is at rest a sweep compares only that of which something changed that the comparison had looked at."""

import gc
from datetime import UTC, datetime, timedelta

import pytest
from tests.fakes import objects
from tests.fakes.engine_bench import scenario
from tests.fakes.objects import CLOUD, body, key

from sovereigncloud.engine.cache.store import Store
from sovereigncloud.engine.loop import sweep
from sovereigncloud.engine.loop.comparison_cache import Notebook
from sovereigncloud.kinds.contract.controller import Uses
from sovereigncloud.ports.opennebula.views import CloudView

NOW = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
NAMES = ("web", "db", "mail")
BEFORE = NOW - timedelta(hours=1)
LOOKS = {
    "how long ago": lambda time: time - BEFORE,
    "how long until": lambda time: BEFORE - time,
    "the same": lambda time: time == NOW,
    "not the same": lambda time: time != BEFORE,
    "later": lambda time: time + timedelta(days=1),
    "later, the other way round": lambda time: timedelta(days=1) + time,
    "earlier": lambda time: time - timedelta(days=1),
    "in seconds": lambda time: time.timestamp(),
    "its year": lambda time: time.year,
    "in words": lambda time: f"{time:%Y-%m-%d} {time}",
    "as a key": hash,
    "elsewhere": lambda time: time.astimezone(UTC),
    "without its fraction": lambda time: time.replace(microsecond=0),
}

AFTER, LATER = NOW + timedelta(minutes=1), NOW + timedelta(hours=1)
UNTIL = {
    "past": (lambda time: time > BEFORE, None),
    "past, the other way round": (lambda time: time > BEFORE, None),
    "not past yet": (lambda time: time > AFTER, AFTER),
    "not past yet, the other way round": (lambda time: time <= AFTER, AFTER),
    "the first of two that are not past": (lambda time: (time >= LATER, time > AFTER), AFTER),
    "in this very moment": (lambda time: time > NOW, NOW),
    "the later of two is handed on": (lambda time: max(AFTER, time) == AFTER, AFTER),
}


@pytest.fixture
def notebook():
    return Notebook(Store(), dict)


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_who_looks_at_the_time_sees_it_and_that_is_noted(notebook, look):
    notes = notebook.begin()
    time = notes.time(NOW)
    kept = (time, {"now": time})
    assert not notes.beyond, "to hand it on is not to look at it"
    assert look(kept[0]) == look(NOW)
    assert notes.beyond


@pytest.mark.parametrize(("look", "until"), UNTIL.values(), ids=UNTIL)
def test_who_asks_whether_a_moment_is_past_is_told_and_that_is_noted_until_then(notebook, look, until):
    notes = notebook.begin()
    assert look(notes.time(NOW)) == look(NOW)
    assert (notes.until, notes.beyond) == (until, False)


def test_who_refers_to_a_machine_is_noted_and_who_refers_to_a_cloud_is_not():
    store, spec = Store(), {"instanceRef": {"name": "web"}, "to": {"cloudRef": {"name": "rbx"}}, "mode": "Execute"}
    notebook = Notebook(store, dict)

    def referring():
        notes = notebook.begin()
        notes.referred(key("web"))
        assert not notes.beyond
        return notes.referring

    nobody = referring()
    store.put(body("InstanceMigration", "go", spec))
    store.set_uses(key("go", "InstanceMigration"), Uses(objects=(key("web"),)))
    begun = referring()
    store.put(body("InstanceMigration", "go", spec, version=2, status={"phase": "Copying"}))
    assert len({str(one) for one in (nobody, begun, referring())}) == 3, "each time it would be compared"
    notes = notebook.begin()
    notes.referred(CLOUD)
    assert notes.beyond, "thousands may"


def compared(monkeypatch):
    """Names of what is compared from now on."""
    seen = []
    evaluate = sweep.evaluate

    def noting(controller, resource, *args, **named):
        seen.append(resource.metadata.name)
        return evaluate(controller, resource, *args, **named)

    monkeypatch.setattr(sweep, "evaluate", noting)
    return seen


@scenario
async def test_what_is_to_be_said_of_the_same_status_is_not_made_a_third_time(bench):
    with pytest.MonkeyPatch.context() as patch:
        await bench.running("web")
        await bench.after(200)
        seen, made = compared(patch), []
        status_patch = sweep.status_patch
        patch.setattr(sweep, "status_patch", lambda *said, **named: made.append(1) or status_patch(*said, **named))
        for look in range(5):
            bench.api.edit(CLOUD, annotations={"look": str(look)})
            await bench.after(130)
        assert seen.count("web") >= 5, "what it is in is another each time"
        whole = len(made)
        assert 0 < whole < seen.count("web") + seen.count(CLOUD.name), "put down the second time"
        await bench.after(10)
        bench.api.edit(CLOUD, annotations={"look": "once more"})
        await bench.after(130)
        assert len(made) == whole, "and from then on recognised"
        bench.api.edit(key("web"), status={"drift": [{"path": "odd"}]})
        await bench.after(130)
        assert len(made) > whole, "another status"


@scenario
async def test_what_is_at_rest_is_not_compared_again(bench):
    with pytest.MonkeyPatch.context() as patch:
        await bench.running(*NAMES)
        await bench.after(200)
        seen = compared(patch)
        await bench.after(300)
        assert set(NAMES).isdisjoint(seen), "four sweeps, and nothing to look at"
        (web,) = bench.outside.marked("web")
        bench.outside.change(web.id, memory=1024)
        await bench.after(70)
        assert set(seen) & set(NAMES) == {"web"}, "its machine is another"
        assert bench.outside.wrote("resize") == [("resize", web.id)], "and was mended"
        await bench.after(200)
        seen.clear()
        bench.api.edit(key("db"), status={"drift": [{"path": "odd"}]})
        await bench.after(130)
        assert "mail" not in seen
        seen.clear()
        bench.api.edit(CLOUD, annotations={"looks": "again"})
        await bench.after(130)
        assert set(NAMES) <= set(seen), "what all of them look at is another"


@scenario
async def test_a_sweep_does_not_repeat_what_a_reconcile_just_found(bench):
    with pytest.MonkeyPatch.context() as patch:
        await bench.running(*NAMES)
        await bench.after(200)
        bench.api.edit(key("web"), spec={"sshAuthorizedKeys": ["ssh-ed25519 AAAA me"]})  # read once: nothing to do
        await bench.after(5)
        bench.api.edit(key("web"), annotations={"looks": "again", "sovereigncloud.io/reconcile-requested-at": ""})
        await bench.after(5)
        seen = compared(patch)
        await bench.after(130)
        assert "web" not in seen, "it was reconciled since it changed, and that found it as declared"
        (web,) = bench.outside.marked("web")
        bench.outside.change(web.id, memory=1024)
        await bench.after(70)
        assert bench.outside.wrote("resize") == [("resize", web.id)], "and what changes afterwards is seen"


def views():
    gc.collect()
    return [one for one in gc.get_objects() if isinstance(one, CloudView)]


@scenario
async def test_who_waits_for_the_next_object_keeps_nothing_of_how_the_cloud_was(bench):
    """A worker's last look would keep all machines as they were then: with thirty workers ten thousand machines thirty times."""
    of_other_tests = views()
    await bench.running("first")
    for name in NAMES:
        bench.api.apply(objects.instance(name))
        await bench.after(70)  # a view of its own for each
    kept = {one.began for one in views() if all(one is not other for other in of_other_tests)}
    assert len(kept) == 1, "the last one, which the watch has"
