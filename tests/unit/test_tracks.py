from tests.fakes import objects
from tests.fakes.engine_bench import WEB

from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.engine.tracks import Tracks


def instance(uid):
    body = objects.instance("web")
    body["metadata"]["uid"] = uid
    return HostedInstance.model_validate(body)


def test_who_comes_under_the_name_of_one_that_went_trusts_no_view_older_than_its_last_write():
    tracks = Tracks(grace=60, clock=lambda: 100.0)
    tracks.of(instance("first")).trust_after = 99.0

    assert tracks.of(instance("second")).trust_after == 99.0, "made anew before anybody told that the first went"
    tracks.forget(WEB)
    assert tracks.of(instance("third")).trust_after == 99.0


def test_nobody_waits_for_what_one_that_went_was_waiting_for():
    tracks = Tracks(grace=60, clock=lambda: 100.0)
    tracks.of(instance("first")).trust_after = 160.0  # its create may still take effect

    assert tracks.of(instance("second")).trust_after == 100.0
