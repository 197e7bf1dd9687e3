"""What is known of namespaces: told by the watch, completed by a list now and then."""

import asyncio

import pytest

from sovereigncloud.engine.cache.namespaces import Namespaces
from sovereigncloud.ports.errors import Retry


def body(name, **labels):
    return {"metadata": {"name": name, "labels": labels} if labels else {"name": name}}


@pytest.fixture
def known():
    namespaces, changes = Namespaces(), []
    namespaces.changed = lambda: changes.append(1)
    namespaces.told(None, body("town", data="open"))
    return namespaces, changes


STORIES = [
    ("labels that stay are no change", [("MODIFIED", body("town", data="open"))], 0, {"data": "open"}),
    ("another value", [("MODIFIED", body("town", data="restricted"))], 1, {"data": "restricted"}),
    ("all labels gone", [("MODIFIED", body("town"))], 1, {}),
    ("it went", [("DELETED", body("town"))], 1, None),
    ("it went twice", [("DELETED", body("town"))] * 2, 1, None),
    ("another one came", [("ADDED", body("other"))], 1, {"data": "open"}),
]


@pytest.mark.parametrize(("why", "told", "times", "labels"), STORIES, ids=[s[0] for s in STORIES])
def test_what_is_told(known, why, told, times, labels):
    namespaces, changes = known
    before = namespaces.changes
    changes.clear()
    for event, thing in told:
        namespaces.told(event, thing)
    assert (len(changes), namespaces.changes - before, namespaces.labels("town")) == (times, times, labels), why


async def test_what_the_watch_missed_a_list_tells_and_one_that_fails_ends_nothing(known):
    namespaces, changes = known
    changes.clear()
    told = asyncio.Event()
    answers = [Retry("away"), {"other": {"a": "b"}}, {"other": {"a": "b"}}]

    class Api:
        async def namespace_labels(self):
            if not answers:
                told.set()
                await asyncio.Event().wait()
            answer = answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer

    task = asyncio.create_task(namespaces.audit(Api(), interval=0))
    await told.wait()
    task.cancel()
    assert namespaces.all() == (("other", {"a": "b"}),)
    assert len(changes) == 2, "town went, other came; told once each"
