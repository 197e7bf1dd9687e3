"""The cluster cannot be asked, or has nothing to say: each in one line with what to do; and what is applied is planned."""

import asyncio
import json

import pytest
from tests.unit.commands.cli_fakes import (
    CLOUD_SPEC,
    CLOUD_STATUS,
    INSTANCE_SPEC,
    INSTANCE_STATUS,
    FakeCluster,
    Outside,
    body,
    vm,
)
from typer.testing import CliRunner

from sovereigncloud.cli import app
from sovereigncloud.commands.shared.connections import Cluster
from sovereigncloud.commands.shared.errors import CommandError
from sovereigncloud.commands.tree.cluster_watch import follow
from sovereigncloud.ports.errors import Auth

ASKING = (
    ["tree"], ["drift"], ["plan"], ["map", "-o", "json"], ["pause", "web"], ["resume", "web"], ["reconcile", "web"],
    ["logs", "web"], ["ssh", "web", "--print"], ["console", "web"], ["describe", "web"],
)  # fmt: skip
WEB = body("HostedInstance", "web", INSTANCE_SPEC, INSTANCE_STATUS)
CLOUD = body("SovereignCloud", "paris", CLOUD_SPEC, CLOUD_STATUS)


def run(*arguments, outside):
    return CliRunner().invoke(app, arguments, obj=outside.connections)


@pytest.mark.parametrize("arguments", ASKING, ids=" ".join)
@pytest.mark.parametrize(
    ("outside", "said", "why"),
    [
        (Outside(), "no cluster to look into: no kubeconfig: set KUBECONFIG, or give --kubeconfig or --context", "no kubeconfig"),
        (Outside().with_cluster(silent=True), "no answer from the cluster at https://fake:6443: check it", "it is away"),
        (Outside().with_cluster(installed=False), "install the operator's chart, or the definitions alone: sovereign crds |", "no CRDs"),
        (Outside().with_cluster(only=frozenset()), "in", "forbidden"),
    ],
    ids=["no kubeconfig", "away", "no CRDs", "forbidden"],
)  # fmt: skip
def test_every_command_that_asks_says_why_it_cannot(arguments, outside, said, why):
    result = run(*arguments, outside=outside)
    assert result.exit_code == 1, why
    assert said in result.stderr, why
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert outside.writes == []


def test_who_may_not_list_is_told_what_to_ask_for():
    result = run("tree", outside=Outside().with_cluster(WEB, only=frozenset({"other"})))
    assert "in namespace team: ask for a Role with get, list and watch on them" in result.stderr
    result = run("tree", "-A", outside=Outside().with_cluster(WEB, only=frozenset({"team"})))
    assert (
        "in all namespaces: ask for a Role with get, list and watch on them, or look into one namespace: -n"
        in result.stderr
    )


def test_who_is_nobody_logs_in_anew():
    outside = Outside().with_cluster(WEB)

    async def objects_in(kind, namespace):
        raise Auth("Unauthorized", where="Kubernetes GET")
        yield

    outside.cluster.objects_in = objects_in
    assert "log in anew, or choose another --context" in run("tree", outside=outside).stderr


async def test_a_watch_shows_everything_then_each_change_and_ends_with_an_error_only():
    cluster = FakeCluster([], WEB, CLOUD)
    cluster.later.append(("DELETED", WEB))
    seen, gone = [], asyncio.Event()

    async def shown(known):
        seen.append(sorted(key.name for key in known))
        if seen[-1] == ["paris"]:
            gone.set()

    following = asyncio.create_task(follow(Cluster("x", "team", cluster, None, cluster.annotate), "team", shown))
    async with asyncio.timeout(5):
        await gone.wait()
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    assert cluster.log.count("Kubernetes watch HostedInstance") == 1


@pytest.mark.parametrize(
    ("cluster", "said"),
    [
        (FakeCluster([], installed=False), "does not know the kinds of sovereigncloud.io"),
        (FakeCluster([], only=frozenset()), "you may not list"),
    ],
)
async def test_a_watch_of_nothing_says_why(cluster, said):
    async def shown(known):
        raise AssertionError(known)

    with pytest.raises(CommandError, match=said):
        await follow(Cluster("x", "team", cluster, None, cluster.annotate), "team", shown)


# --- plan without files ---------------------------------------------------------------------------------------------


def applied(*machines, more=(), secrets=None):
    known = {("team", "one"): {"username": "oneadmin", "password": "p"}}
    return Outside(*machines).with_cluster(CLOUD, WEB, *more, secrets=known if secrets is None else secrets)


def test_without_files_what_is_applied_is_planned():
    outside = applied(vm())
    result = run("plan", "hinst/web", "-o", "json", outside=outside)
    report = json.loads(result.stdout)
    assert (result.exit_code, report["result"]) == (0, "NothingToDo"), report
    (found,) = report["objects"]
    assert (found["name"], found["presence"], found["source"]) == ("web", "Unchanged", None)
    assert report["uncheckedRules"] == [], "the API server has checked them"
    assert outside.writes == []


def test_what_differs_outside_is_found_at_once_without_waiting_for_a_sweep():
    result = run("plan", "web", "-o", "json", outside=applied(vm(memory=2048)))
    (found,) = json.loads(result.stdout)["objects"]
    assert result.exit_code == 2
    assert [d["path"] for d in found["drift"]] == ["spec.memory"]


@pytest.mark.parametrize(
    ("arguments", "said", "why"),
    [
        (["--no-cluster"], "--no-cluster looks at files alone: name them with -f", "neither"),
        (["web", "-f", "x.yaml"], "exclude each other: the files say what is planned", "both"),
        (["-n", "empty"], "nothing is applied in namespace empty", "an empty namespace"),
        (["wbe"], "did you mean hinst/web", "not there"),
    ],
)
def test_what_plan_cannot_do_is_one_line(arguments, said, why):
    result = run("plan", *arguments, outside=applied(vm()))
    assert result.exit_code == 1, why
    assert said in result.stderr, why
