"""The scenes of an ExitPlan: what it says, since none of them has a machine that leaves."""

from tests.integration.scene import Scene, is_paused, says, waits

from sovereigncloud_sandbox.stage import is_ready

_ITS_MOVES = "what an exit makes are InstanceMigrations, which are under way, drift and fail as themselves"


def exits(scenes):
    """The rows. A plan is ready once it has counted; an exit from a cloud of which nothing may leave is incomplete."""
    kind, home = "exitplan", scenes.home

    def scene(row, left=scenes.mute, to=home, mode="Plan", **spec):
        wanted = {
            "from": {"cloudRef": {"name": left.name}},
            "to": [{"cloudRef": {"name": to.name}}],
            "mode": mode,
            **spec,
        }
        return (home.object("ExitPlan", f"exit-{row}", wanted),)

    return {
        "new": Scene(scene("new"), late=True),
        "progress": Scene(why=_ITS_MOVES),
        "ready": Scene(scene("ready"), shows=is_ready),
        "unseen": Scene(scene("unseen"), shows=is_ready, last=scenes.patch(kind, "exit-unseen", maxConcurrent=2)),
        "error": Scene(
            scene("error", scenes.flaky),
            until=scenes.in_flaky,
            then=lambda: scenes.fail_flaky(kind, "exit-error"),
            shows=says("Reconciling", "RetryingAfterError", "sourceState: Lost"),
        ),
        "invalid": Scene(
            scene("invalid", to=scenes.mute), shows=says("Stalled", "InvalidSpec", "nothing but what is left")
        ),
        "reference": Scene(
            (
                home.object(
                    "ExitPlan",
                    "exit-reference",
                    {
                        "from": {"cloudRef": {"name": "nowhere"}},
                        "to": [{"cloudRef": {"name": home.name}}],
                        "mode": "Plan",
                    },
                ),
            ),
            shows=waits("does not exist: create it"),
        ),
        "consent": Scene(
            scene("consent", mode="Rehearse", management="Approve"),
            shows=says("Reconciling", "ApprovalRequired", "spec.approvedPlan"),
        ),
        "paused": Scene(scene("paused"), until=is_ready, then=scenes.pause(kind, "exit-paused"), shows=is_paused),
        "paused change": Scene(
            scene("paused-change"),
            until=is_ready,
            then=scenes.pause(kind, "exit-paused-change", mode="Rehearse"),
            shows=is_paused,
        ),
        "drifted": Scene(why=_ITS_MOVES),
        "lost": Scene(why=_ITS_MOVES),
        "deleting": Scene(why="nothing has to be ended, so it is gone at once"),
    }
