"""Answers that are kept: how old they may be, and that a write is always seen."""

import asyncio

import pytest

from sovereigncloud.providers.ovh.response_cache import Kept


class Api:
    def __init__(self):
        self.value, self.asked, self.now = 1, 0, 100.0
        self.kept = Kept(lambda: self.now)

    async def ask(self):
        self.asked += 1
        return self.value

    def answer(self, max_age):
        return asyncio.run(self.kept.answer("q", max_age, self.ask))


@pytest.fixture
def api():
    made = Api()
    assert made.answer(60) == 1
    return made


@pytest.mark.parametrize(
    ("why", "later", "max_age", "asked"),
    [
        ("young enough", 59, 60, 1),
        ("too old", 60, 60, 2),
        ("nothing kept will do", 0, 0, 2),
        ("somebody else may be content with less", 300, 600, 1),
    ],
)
def test_how_old_an_answer_may_be(api, why, later, max_age, asked):
    api.now += later
    api.answer(max_age)
    assert api.asked == asked, why


def test_what_was_written_is_seen(api):
    with api.kept.changing():
        api.value = 2
    assert api.answer(60) == 2


def test_a_write_that_failed_may_have_been_done(api):
    def write():
        with api.kept.changing():
            api.value = 2
            raise TimeoutError

    with pytest.raises(TimeoutError):
        write()
    assert api.answer(60) == 2


def test_an_answer_from_before_the_end_of_a_write_is_not_kept(api):
    async def during():
        with api.kept.changing():
            assert await api.kept.answer("q", 60, api.ask) == 1
            api.value, api.now = 2, api.now + 1

    asyncio.run(during())
    assert api.answer(60) == 2
