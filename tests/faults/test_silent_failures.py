"""What OpenNebula's drivers fail at without a word, or with one: the whole operator tries again with growing pauses, over and done
in simulated minutes, and rests in between.
"""

from tests.faults import instances
from tests.faults.courses import travel
from tests.faults.simulated_time import run

from sovereigncloud_sandbox.opennebula import mischief


class FailingStart(instances.Creation):
    """The hypervisor fails to start the machine three times."""

    name = "failing start"

    def act(self, scene):
        mischief.fail_next(scene.clouds["paris"], "BOOT", "no such device", 3, "web")
        super().act(scene)


class DeafDrivers(instances.Change):
    """It is to grow and to move as it runs: the first resize and the first two moves fail, and nobody says so."""

    name = "deaf drivers"

    def act(self, scene):
        mischief.fail_next(scene.clouds["paris"], "HOTPLUG_RESIZE", "no balloon", 1, "web")
        mischief.fail_next(scene.clouds["paris"], "MIGRATE", "no route", 2, "web")
        super().act(scene)


def written(report, call):
    return [line for line in report.log if call in line]


def test_what_does_not_start_is_started_again_a_minute_later_and_then_five():
    report = run(travel(FailingStart()))
    assert report.well, str(report)
    assert len(written(report, "one.vm.recover")) == 3
    assert 360 < report.took < 420


def test_what_fails_silently_is_asked_for_again_with_growing_pauses():
    report = run(travel(DeafDrivers()))
    assert report.well, str(report)
    assert len(written(report, "one.vm.resize")) == 2
    assert len(written(report, "one.vm.migrate")) == 3
    assert 360 < report.took < 420
