import pytest
from tests.fakes import objects
from tests.fakes.engine_bench import WEB

from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.core.plan import Action, Step
from sovereigncloud.engine.loop.history import ReconcileHistory


def instance(uid):
    body = objects.instance("web")
    body["metadata"]["uid"] = uid
    return HostedInstance.model_validate(body)


def test_who_comes_under_the_name_of_one_that_went_trusts_no_view_older_than_its_last_write():
    tracks = ReconcileHistory(grace=60, clock=lambda: 100.0)
    tracks.of(instance("first")).trust_after = 99.0

    assert tracks.of(instance("second")).trust_after == 99.0, "made anew before anybody told that the first went"
    tracks.forget(WEB)
    assert tracks.of(instance("third")).trust_after == 99.0


def test_nobody_waits_for_what_one_that_went_was_waiting_for():
    tracks = ReconcileHistory(grace=60, clock=lambda: 100.0)
    tracks.of(instance("first")).trust_after = 160.0  # its create may still take effect

    assert tracks.of(instance("second")).trust_after == 100.0


@pytest.mark.parametrize("action", [Action.BACK_UP, Action.SNAPSHOT, Action.SCHEDULE, Action.RESTORE])
def test_after_a_start_what_has_no_name_of_ours_waits_for_what_may_still_take_effect(action):
    track = ReconcileHistory(grace=60, clock=lambda: 100.0).of(instance("first"))
    track.uncertain_until, track.trust_after = 160.0, 100.0

    assert track.must_look_again((Step(action=action, target="VM 12"),))
    assert not track.must_look_again((Step(action=action, target="VM 12"),)), (
        "from then on only a later view is believed"
    )
    assert track.trust_after == 160.0


def test_what_is_taken_back_waits_for_what_was_never_answered():
    """Of this process or of one before it; the same request once more does not."""
    back = (Step(action=Action.DELETE, target="VM 12", takes_back=True),)
    for before, unanswered, wait in ((160.0, float("-inf"), 160.0), (90.0, 150.0, 150.0)):
        track = ReconcileHistory(grace=60, clock=lambda: 100.0).of(instance("first"))
        track.uncertain_until, track.unanswered_until, track.trust_after = before, unanswered, 100.0
        assert not track.must_look_again((Step(action=Action.MARK, target="VM 12"),))
        assert track.trust_after == 100.0
        assert track.must_look_again(back)
        assert track.trust_after == wait
        assert not track.must_look_again(back), "what is seen from then on is all"
    track = ReconcileHistory(grace=60, clock=lambda: 100.0).of(instance("first"))
    track.trust_after = 100.0
    assert not track.must_look_again(back)


def test_what_is_made_after_going_on_where_a_process_before_this_one_was_waits_although_its_object_is_new_here():
    """As in a rebuilt cluster, which is given objects without their finalizers. That it goes on is known at once."""
    goes_on = (Step(action=Action.UPDATE, target="that it has begun", inside=True, resumes=True),)
    makes = (Step(action=Action.SNAPSHOT, target="VM 12"),)
    track = ReconcileHistory(grace=60, clock=lambda: 100.0).of(instance("first"))
    track.trust_after = 100.0
    assert not track.must_look_again(makes), "nobody asked for it before"
    assert not track.must_look_again(goes_on)
    assert track.trust_after == 100.0
    assert track.must_look_again(makes)
    assert track.trust_after == 160.0
    assert not track.must_look_again(makes), "from then on only a later view is believed"
    later = ReconcileHistory(grace=60, clock=lambda: 100.0, started=10.0).of(instance("first"))
    later.trust_after = 90.0
    assert not later.must_look_again(goes_on)
    assert not later.must_look_again(makes), "this process has been the one that writes for longer than that"


def test_what_is_listed_late_and_refused_no_second_time_waits_after_a_start_although_its_object_is_new_here():
    """An order of the moment before a cluster was lost is in no list yet, and who orders again pays twice."""

    class Buys(Step):
        shows_late = True

    buys = (Buys(action=Action.CREATE, target="order of 24scale01 in rbx"),)
    track = ReconcileHistory(grace=60, clock=lambda: 100.0).of(instance("first"))
    track.trust_after = 100.0
    assert not track.must_look_again((Step(action=Action.CREATE, target="VM web"),)), (
        "what shows at once waits for nobody"
    )
    assert track.must_look_again(buys)
    assert track.trust_after == 160.0
    assert not track.must_look_again(buys), "from then on only a later view is believed"
    later = ReconcileHistory(grace=60, clock=lambda: 100.0, started=10.0).of(instance("first"))
    later.trust_after = 90.0
    assert not later.must_look_again(buys), "this process has been the one that writes for longer than that"
