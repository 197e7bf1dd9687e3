"""What is said again counts up one event; what is said in ever other words becomes one."""

import asyncio

import pytest
from tests.fakes import objects
from tests.fakes.virtual_time import now, run

from sovereigncloud.api import HostedInstance
from sovereigncloud.engine.telemetry.events import EventPoster
from sovereigncloud.ports.errors import NotFound, Retry


class Api:
    """Keeps events as the API server does."""

    def __init__(self):
        self.events, self.failing = {}, None

    async def create_event(self, namespace, body):
        if self.failing:
            raise self.failing
        self.events[body["metadata"]["name"]] = body

    async def patch_event(self, namespace, name, patch):
        if name not in self.events:
            raise NotFound("gone")
        self.events[name] = {**self.events[name], **patch}

    def told(self):
        return [(e["reason"], e["message"], e["count"]) for e in self.events.values()]


def resource(name="web"):
    body = objects.instance(name)
    body["metadata"]["uid"] = f"uid-{name}"
    return HostedInstance.model_validate(body)


def story(test):
    def wrapper():
        async def body():
            api = Api()
            poster = EventPoster(api, clock=now)
            task = asyncio.create_task(poster.run())
            await test(api, poster)
            task.cancel()

        run(body())

    wrapper.__name__ = test.__name__
    return wrapper


@story
async def test_the_same_words_count_up_one_event(api, poster):
    for _ in range(5):
        poster.post(resource(), "Warning", "Rejected", "too much memory")
        await asyncio.sleep(60)
    poster.post(resource("db"), "Warning", "Rejected", "too much memory")
    poster.post(resource(), "Normal", "Created", "VM 7")
    await asyncio.sleep(1)
    assert api.told() == [
        ("Rejected", "too much memory", 5),
        ("Rejected", "too much memory", 1),
        ("Created", "VM 7", 1),
    ]


@story
async def test_after_a_while_the_same_words_are_news_again(api, poster):
    poster.post(resource(), "Warning", "Rejected", "x")
    await asyncio.sleep(700)
    poster.post(resource(), "Warning", "Rejected", "x")
    await asyncio.sleep(1)
    assert api.told() == [("Rejected", "x", 1), ("Rejected", "x", 1)]


@story
async def test_an_event_that_the_api_server_forgot_is_made_anew(api, poster):
    poster.post(resource(), "Warning", "Rejected", "x")
    await asyncio.sleep(1)
    api.events.clear()
    poster.post(resource(), "Warning", "Rejected", "x")
    await asyncio.sleep(1)
    assert api.told() == [("Rejected", "x", 1)]


@story
async def test_ever_other_words_for_one_reason_become_one_event_that_shows_the_latest(api, poster):
    for number in range(50):
        poster.post(resource(), "Warning", "DriftDetected", f"memory is {number}Mi")
        await asyncio.sleep(1)
    told = api.told()
    assert len(told) == 11
    assert told[-1] == ("DriftDetected", "(combined from similar events): memory is 49Mi", 40)


@story
async def test_a_flood_is_no_leak(api, poster):
    for number in range(2000):
        poster.post(resource(f"vm-{number}"), "Normal", "Created", "made")
        await asyncio.sleep(0)
    await asyncio.sleep(1)
    assert len(poster._posted) == len(poster._wordings) == 256


@pytest.mark.parametrize("error", [Retry("down"), RuntimeError("a bug")])
def test_what_cannot_be_posted_is_dropped_and_the_next_one_is_not(error):
    @story
    async def story_of_it(api, poster):
        api.failing = error
        poster.post(resource(), "Normal", "Created", "lost")
        await asyncio.sleep(1)
        api.failing = None
        poster.post(resource(), "Normal", "Ready", "told")
        await asyncio.sleep(1)
        assert api.told() == [("Ready", "told", 1)]

    story_of_it()
