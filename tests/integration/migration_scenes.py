"""The scenes of an InstanceMigration. Each has a machine of its own, since two moves of one machine wait for one another."""

from tests.integration.scene import Scene, is_paused, is_under_way, says, waits

from sovereigncloud_sandbox.stage import is_ready

WAY_OUT = (
    'NAME = "way-out" MARKET_MAD = "http" BASE_URL = "http://apps.example.org/" PUBLIC_DIR = "/var/www"'
    ' BRIDGE_LIST = "files.example.org"'
)
_ONE_ACT = "a move is one act: there is nothing that it keeps as declared"


def migrations(scenes):
    """The rows. A rehearsal is ready when it is over, a move while the machine that was left waits to be deleted."""
    kind, home = "instancemigration", scenes.home
    home.administrator.market.allocate(WAY_OUT)

    def scene(row, to=scenes.mute, mode="Rehearse", instance=None, **spec):
        machine = home.instance(f"moves-{row}", networks=None, power=None)
        wanted = {
            "instanceRef": {"name": instance or f"moves-{row}"},
            "to": {"cloudRef": {"name": to.name}},
            "mode": mode,
            **spec,
        }
        return (*(() if instance else (machine,)), home.object("InstanceMigration", f"move-{row}", wanted))

    return {
        "new": Scene(scene("new", instance="nobody"), late=True),
        "progress": Scene(
            scene("progress", scenes.slow), shows=lambda found: is_under_way(found) and "beganAt" in found["status"]
        ),
        "ready": Scene(scene("ready"), shows=is_ready),
        "unseen": Scene(scene("unseen"), shows=is_ready, last=scenes.patch(kind, "move-unseen", gracePeriod="1h")),
        "error": Scene(
            scene("error", scenes.flaky, mode="Execute"),
            until=scenes.in_flaky,
            then=lambda: scenes.fail_flaky(kind, "move-error"),
            shows=says("Reconciling", "RetryingAfterError"),
        ),
        "invalid": Scene(
            scene("invalid", marketplace="way-in"),
            shows=says("Stalled", "NoMarketplace", "way-in"),
        ),
        "reference": Scene(scene("reference", instance="nobody"), shows=waits("HostedInstance nobody")),
        "consent": Scene(
            scene("consent", management="Approve"),
            shows=says("Reconciling", "ApprovalRequired", "spec.approvedPlan"),
        ),
        "paused": Scene(scene("paused"), until=is_ready, then=scenes.pause(kind, "move-paused"), shows=is_paused),
        "paused change": Scene(why="what is over stays over, whatever is changed of it"),
        "drifted": Scene(why=_ONE_ACT),
        "lost": Scene(why=_ONE_ACT),
        "deleting": Scene(scene("deleting"), shows=is_ready, last=scenes.delete(kind, "move-deleting")),
    }
