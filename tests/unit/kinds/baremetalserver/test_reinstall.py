"""Doing a reinstallation: what is written in which order, and that a request which was refused leaves no trace."""

from dataclasses import replace

import pytest
from tests.unit.kinds.cloud_fakes import FakeWorld, run

from sovereigncloud.core.plan import Action
from sovereigncloud.kinds.baremetalserver.reinstall.plan import QUIET_TAG, ReinstallServer
from sovereigncloud.kinds.baremetalserver.reinstall.records import RECORD_TAG, Record, Stage
from sovereigncloud.kinds.baremetalserver.reinstall.steps import begin_reinstall
from sovereigncloud.kinds.sovereigncloud.installation.plan import INSTALLED_TAG, WIPED
from sovereigncloud.ports.errors import AlreadyRunning, Auth, Rejected, Retry
from sovereigncloud.ports.ovh.account import Reinstallation

ASKED = Record("first", Stage.REQUESTED, 1000, 7, "ubuntu")
EARLIER = Record("zeroth", Stage.DONE, 10, 0, "debian")


def step(server, **values):
    return ReinstallServer(
        action=Action.REINSTALL,
        target="server ns1",
        **{
            "urn": server.urn,
            "record": ASKED,
            "before": None,
            "again": False,
            "history": "",
            "payload": Reinstallation("ubuntu", "one-1"),
            "monitoring": True,
            "mute": True,
            "muted": False,
            "installed": "",
            **values,
        },
    )


@pytest.fixture
def account():
    return FakeWorld().account_


@pytest.fixture
def server(account):
    return account.add("ns1")


def refuse(account, error):
    async def reinstall(_name, _payload):
        raise error

    account.reinstall = reinstall


def test_the_record_stands_before_technicians_are_kept_out_and_the_request_is_made(account, server):
    outcome = run(begin_reinstall(account, "ns1", step(server)))
    kinds = [w.partition("=")[0].partition(" ubuntu")[0] for w in account.writes]
    assert kinds == [f"tag {RECORD_TAG}", f"tag {QUIET_TAG}", "monitoring ns1", "reinstall ns1", f"tag {RECORD_TAG}"]
    assert server.tags[RECORD_TAG] == "first:101:1000:ubuntu"
    assert outcome.facts == {"reinstallTask": "first 101"}


REFUSED = [
    ("refused for good", Rejected("no such disk group")),
    ("a right is missing", Auth("forbidden")),
    ("another task runs that nobody here asked for", AlreadyRunning("Task 8 runs", task=8)),
    ("the limit of requests is used up, so it never arrived", Retry("429", maybe_done=False)),
]


@pytest.mark.parametrize("error", [e for _, e in REFUSED], ids=[why for why, _ in REFUSED])
@pytest.mark.parametrize("before", [None, EARLIER], ids=["nothing before", "an earlier word"])
def test_a_refused_request_leaves_everything_as_it_was(account, server, error, before):
    server.tags = {INSTALLED_TAG: "abc"} | ({RECORD_TAG: before.text} if before else {})
    was = dict(server.tags)
    refuse(account, error)
    with pytest.raises(type(error)):
        run(begin_reinstall(account, "ns1", step(server, before=before, installed="abc")))
    assert server.tags == was
    assert not server.no_intervention, "technicians are let back in"


def test_a_request_without_an_answer_stays_recorded(account, server):
    """It may have been begun, or be begun later than the client waited."""
    refuse(account, Retry("timed out"))
    with pytest.raises(Retry):
        run(begin_reinstall(account, "ns1", step(server, installed="abc")))
    assert server.tags == {RECORD_TAG: ASKED.text, QUIET_TAG: "true", INSTALLED_TAG: WIPED}
    assert server.no_intervention


def test_where_undoing_fails_too_the_refusal_is_what_is_told(account, server):
    refuse(account, Rejected("no such disk group"))

    async def monitoring(_name, *, no_intervention, **_):
        if not no_intervention:
            raise Retry("502")

    account.set_monitoring = monitoring
    with pytest.raises(Rejected):
        run(begin_reinstall(account, "ns1", step(server)))
    assert server.tags[RECORD_TAG] == ASKED.text, "so it is asked for again, after some minutes"


def test_a_running_task_is_adopted_where_this_word_was_asked_for_before(account, server):
    refuse(account, AlreadyRunning("Task 8 runs", task=8))
    run(begin_reinstall(account, "ns1", step(server, again=True, before=replace(ASKED, at=500))))
    assert server.tags[RECORD_TAG] == "first:8:1000:ubuntu"
    assert server.no_intervention


def test_a_running_task_that_was_there_before_the_word_is_not_ours(account, server):
    refuse(account, AlreadyRunning("Task 7 runs", task=7))
    with pytest.raises(AlreadyRunning):
        run(begin_reinstall(account, "ns1", step(server, again=True, before=replace(ASKED, at=500))))
    assert RECORD_TAG not in server.tags
