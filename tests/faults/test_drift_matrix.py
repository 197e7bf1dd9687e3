"""Whatever is changed behind the operator's back is told: the field, what is declared, what is there; and is mended where it
may be. Where nothing was changed, nothing is told, in a day of sweeps.
"""

import re
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import requests
from tests.faults import drift_rows
from tests.faults.drift_fields import every_field, exempt, needless
from tests.faults.drift_rows import FIRST, ROWS, SECRETS, SPEC, Console, objects
from tests.faults.scene import Scene
from tests.faults.simulated_time import run

from sovereigncloud.engine.loop import sweep

KINDS = ("Tenant", "SovereignCloud", "VirtualNetwork", "MachineImage", "SecurityGroup", "HostedInstance")
NO_BRAKES = {"brake_objects": 1000, "brake_fraction": 1.0}
SWEEPS_OF_A_DAY = 1440
A_MINUTE = 60.0
SOME_OF_EACH_KIND = ("m-all", "m-groups", "m-hosts", "m-gpu", "n-gateway", "i-words", "g-cidr", "paris", "prefecture")


def test_every_field_has_a_row_or_a_reason_for_none():
    covered = {field for row in ROWS for field in row.fields if not field.endswith("spec.")}
    there = every_field()
    assert sorted(field for field in there - covered if not exempt(field)) == [], (
        "say how it is changed, or why it cannot be"
    )
    assert sorted(covered - there) == [], "no such fields"
    assert sorted(field for field in covered if exempt(field)) == [], "a row, and a reason for none"
    assert needless() == []


class Heard:
    """What was told of each object: (desired, observed, action) by path, in every status that was written."""

    def __init__(self):
        self.drift = {}

    def __call__(self, _event, body):
        where = body["kind"], body["metadata"]["name"]
        for entry in (body.get("status") or {}).get("drift") or ():
            told = entry["desired"], entry["observed"], entry["action"]
            self.drift.setdefault(where, {}).setdefault(entry["path"], []).append(told)


async def built(scene, policy, *only):
    """Everything that rows speak of, or only these objects, at rest."""
    cloud = scene._install(SPEC)
    console = Console(cloud)
    await scene.run(5)
    drift_rows.prepare(console)
    scene.api.apply(*SECRETS, *FIRST, *objects(policy, only))
    assert await scene.run(1800, scene.settled, every=5.0), unready(scene)
    await scene.run(2 * A_MINUTE)
    return console


async def meddled(scene, console):
    """Everything is changed."""
    for row in ROWS:
        row.act(console)
    await scene.run(8)
    for row in ROWS:
        if row.then:
            row.then(console)


def unready(scene):
    return [
        (kind, one["metadata"]["name"], one.get("status", {}).get("conditions"))
        for kind in KINDS
        for one in scene.api.all(kind)
        if not all(c["status"] == "True" for c in one.get("status", {}).get("conditions", ()) if c["type"] == "Ready")
    ]


def expected(policy):
    """By object what is to be told: (desired, observed, action) by path."""
    action = {"Report": "Reported", "Correct": "Correcting"}[policy]
    found = {}
    for row in ROWS:
        paths = found.setdefault(row.object, {})
        paths[row.path] = (row.desired, row.observed, action if row.mends else None)
        paths |= {path: (*values, action) for path, values in row.others.items()}
    return found


def reads(wanted, told):
    return wanted == told or re.fullmatch(wanted, told)


def differences(told, policy):
    """Where what was told is not what was to be told."""
    wanted = expected(policy)
    for where, paths in wanted.items():
        heard = told.get(where, {})
        for path, (desired, observed, action) in paths.items():
            if not any(
                reads(desired, d) and reads(observed, o) and action in {None, a} for d, o, a in heard.get(path, ())
            ):
                yield f"{where} {path}: {heard.get(path)} instead of {desired}, {observed}, {action}"
        passing = {path for row in ROWS if row.object == where for path in row.passing}
        surplus = heard.keys() - paths.keys() - passing
        yield from (f"{where} {path}: nobody changed it, {heard[path]}" for path in surplus)
    yield from (f"{where}: nobody changed it, {told[where]}" for where in told.keys() - wanted.keys())


def test_with_report_each_of_them_is_told_and_none_is_touched():
    async def scenario():
        async with Scene(**NO_BRAKES) as scene:
            console = await built(scene, "Report")
            before = len(scene.wire.done)
            await meddled(scene, console)
            await scene.run(3 * A_MINUTE)
            heard = Heard()
            for kind in KINDS:
                for body in scene.api.all(kind):
                    heard(None, body)
            assert list(differences(heard.drift, "Report")) == []
            assert scene.wire.done[before:] == [], "nothing was written outside"

    run(scenario())


def test_with_correct_each_of_them_is_told_and_mended_where_it_may_be():
    async def scenario():
        async with Scene(**NO_BRAKES) as scene:
            console = await built(scene, "Correct")
            heard = Heard()
            scene.api.watchers.append(heard)
            await meddled(scene, console)
            left = {row.object for row in ROWS if not row.mends}

            def mended():
                drifting = {
                    (kind, one["metadata"]["name"])
                    for kind in KINDS
                    for one in scene.api.all(kind)
                    if one["status"].get("drift")
                }
                return drifting <= left

            await scene.run(2 * A_MINUTE)
            assert await scene.run(1800, mended, every=5.0), unready(scene)
            assert list(differences(heard.drift, "Correct")) == []
            await scene.run(2 * A_MINUTE)
            assert mended()
            before = len(scene.wire.done)
            await scene.run(5 * A_MINUTE)
            assert scene.wire.done[before:] == [], "a second look writes nothing"

    run(scenario())


def at_once(session, url, data, headers, **_):
    """A request without what `requests` does around one, which is half of what a day costs."""
    status, told, body = session.get_adapter(url)._hand(SimpleNamespace(url=url, body=data, headers=headers))
    return nullcontext(SimpleNamespace(status_code=status, headers=told, iter_content=lambda _: [body]))


@pytest.mark.timeout(900)  # a minute on an idle machine
def test_in_a_day_of_sweeps_nothing_is_told_or_written_where_nothing_changed(monkeypatch):
    monkeypatch.setattr(requests.Session, "post", at_once)
    compared = []
    evaluate = sweep.evaluate
    monkeypatch.setattr(sweep, "evaluate", lambda *a, **k: compared.append(a[1].key) or evaluate(*a, **k))

    async def scenario():
        async with Scene(**NO_BRAKES) as scene:
            await built(scene, "Correct", *SOME_OF_EACH_KIND)
            heard = Heard()
            scene.api.watchers.append(heard)
            writes, done, reads = len(scene.writes.log), len(scene.wire.done), scene.wire.asked
            compared.clear()
            await scene.run(SWEEPS_OF_A_DAY * A_MINUTE, every=3600.0)
            assert heard.drift == {}
            assert scene.writes.log[writes:] == []
            assert scene.wire.done[done:] == []
            return scene.wire.asked - reads

    reads = run(scenario())
    pages = reads / SWEEPS_OF_A_DAY
    assert 1 <= pages < 20, f"{pages} requests per sweep, whatever is in the cloud"
    machines = [key for key in compared if key.kind == "HostedInstance"]
    assert machines == [], "what did not change is not compared again"
