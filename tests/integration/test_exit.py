"""A cloud is left: counted, rehearsed, and done, with the real control plane and kubectl as a person uses it.

The tests tell one story, in the order in which they stand.
"""

import pytest
from tests.integration.existing_cloud import ExistingCloud
from tests.integration.migration_scenes import WAY_OUT

from sovereigncloud_sandbox.stage import condition

SETTINGS = {"sweep_interval": "2", "settle_interval": "0.3"}
HERE = "--namespace=platform"
NAMES = ("web-1", "web-2", "web-3")
LEAVE = "leave-rbx"


class Clouds:
    """Two of somebody's own: three machines in the first, which their spec names."""

    def __init__(self, stage):
        self.stage = stage
        self.rbx, self.paris = ExistingCloud(stage, "ovh-rbx"), ExistingCloud(stage, "onprem-paris")
        self.rbx.administrator.market.allocate(WAY_OUT)
        networks = [self.rbx.network("lan"), self.paris.network("apps", 32, name="lan-apps")]
        machines = [self.rbx.instance(name) for name in NAMES]
        self.declared = [
            *self.rbx.foundation(), self.rbx.image("alpine"), networks[0], *self.paris.foundation(), networks[1], *machines,
        ]  # fmt: skip
        self.exit = self.rbx.object(
            "ExitPlan",
            LEAVE,
            {
                "from": {"cloudRef": {"name": "ovh-rbx"}},
                "to": [{"cloudRef": {"name": "onprem-paris"}}],
                "mode": "Plan",
                "maxConcurrent": 2,
                "networkMap": [{"from": "lan", "to": "lan-apps"}],
                "rehearsalSchedule": "0 4 1 * *",
            },
        )

    def alive(self, cloud):
        return sorted(vm["name"] for vm in self.stage.cloud(cloud.name)["vms"] if vm.get("lcm") == "RUNNING")

    def change(self, mode):
        self.exit["spec"]["mode"] = mode
        self.stage.apply(self.exit)


@pytest.fixture(scope="module")
def clouds(bare_stage):
    return Clouds(bare_stage)


@pytest.fixture(scope="module")
def planned(stage, clouds):
    stage.apply(clouds.declared)
    for name in NAMES:
        stage.wait_ready("hostedinstance", name)
    stage.wait_ready("virtualnetwork", "apps")
    clouds.change("Plan")
    return stage.wait("exitplan", LEAVE, "counted", lambda found: found["status"].get("movable") == "3/3")


def columns(stage, kind, name):
    """As a user sees them."""
    head, row = stage.cluster.kubectl("get", kind, name, HERE, "--output=wide").stdout.splitlines()
    starts = [head.index(f" {word}") + 1 if number else 0 for number, word in enumerate(head.split())]
    cells = [row[start:end].strip() for start, end in zip(starts, [*starts[1:], None], strict=True)]
    return dict(zip(head.split(), cells, strict=True))


def moves(stage):
    selector = f"--selector=sovereigncloud.io/exit-plan={LEAVE}"
    found = stage.cluster.kubectl("get", "mig", HERE, selector, "--output=name").stdout.split()
    return [name.partition("/")[2] for name in found]


def test_a_plan_counts_and_makes_nothing(stage, planned):
    assert planned["status"]["expected"]["bytes"] > 0
    assert "durationSeconds" not in planned["status"]["expected"], "no move was measured yet"
    assert moves(stage) == []
    assert columns(stage, "exit", LEAVE)["MOVABLE"] == "3/3"


def test_the_cloud_itself_says_how_many_could_leave(stage, planned):
    stage.wait("sovereigncloud", "ovh-rbx", "its way out", lambda found: found["status"].get("exit") == "3/3")
    assert columns(stage, "scloud", "ovh-rbx")["EXIT"] == "3/3"


@pytest.fixture(scope="module")
def rehearsed(stage, clouds, planned):
    clouds.change("Rehearse")
    stage.cluster.kubectl("wait", "--for=condition=ExitProven", f"exit/{LEAVE}", HERE, "--timeout=180s")
    return stage.get("exitplan", LEAVE)


def test_a_rehearsal_proves_the_way_out_while_everything_runs_on(stage, clouds, rehearsed):
    proof = condition(rehearsed, "ExitProven")
    assert (proof["status"], proof["reason"]) == ("True", "ExitRehearsed")
    assert (rehearsed["status"]["lastRehearsal"]["succeeded"], len(moves(stage))) == (3, 3)
    assert clouds.alive(clouds.rbx) == [*NAMES]
    assert clouds.alive(clouds.paris) == []
    assert rehearsed["status"]["nextRehearsal"].endswith("-01T04:00:00Z")
    assert rehearsed["status"]["measured"]["bytesPerSecond"] > 0


@pytest.fixture(scope="module")
def executed(stage, clouds, rehearsed):
    clouds.change("Execute")
    return stage.wait(
        "exitplan", LEAVE, "executed", lambda found: found["status"].get("phase") == "Executed", seconds=180
    )


def test_all_of_them_leave_and_stay_where_they_are(stage, clouds, executed):
    assert executed["status"]["movable"] == "3/3"
    assert clouds.alive(clouds.paris) == [*NAMES]
    assert clouds.alive(clouds.rbx) == []
    for name in NAMES:
        found = stage.wait_ready("hostedinstance", name)
        assert found["spec"]["placement"]["cloudRef"]["name"] == "ovh-rbx", "nobody wrote into spec"
        assert found["status"]["placement"]["cloud"] == "platform/onprem-paris"
        assert condition(found, "PlacementOverridden")["reason"] == "PlacedByExit"
        assert "driftCount" not in found["status"]


def test_when_the_exit_is_deleted_nothing_pulls_them_back(stage, clouds, executed):
    stage.cluster.kubectl("delete", "exit", LEAVE, HERE, "--timeout=30s")
    stage.cluster.kubectl("annotate", "hinst", "--all", "sovereigncloud.io/reconcile-requested-at=now", HERE)
    for name in NAMES:
        found = stage.wait(
            "hostedinstance", name, "looked at", lambda f: f["status"].get("lastHandledReconcileAt") == "now"
        )
        assert condition(found, "Ready")["status"] == "True"
        assert found["status"]["placement"]["cloud"] == "platform/onprem-paris"
    assert clouds.alive(clouds.paris) == [*NAMES]
