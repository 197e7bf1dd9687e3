"""What Argo CD shows of an object in each state, and what it holds for it; told by a real application-controller."""

import pytest

from sovereigncloud.api.common.base import PAUSED
from sovereigncloud_sandbox.argocd import health, operating, resource, sync
from sovereigncloud_sandbox.stage import condition


def said(app, kind, name):
    """Status and message of one resource, as Argo CD has them."""
    told = resource(app, kind, name).get("health") or {}
    return told.get("status", ""), told.get("message", "")


def shows(status, kind, name):
    """Whether the application is in that state because this resource is."""
    return lambda app: health(app) == status and said(app, kind, name)[0] == status


def held_by(kind, name):
    """Whether it is Suspended, and what comes in later waves Missing: that is what the application is then, too."""
    return lambda app: health(app) == "Missing" and said(app, kind, name)[0] == "Suspended"


def test_a_typo_in_a_manifest_is_named_and_its_correction_is_taken_up(make_folder):
    cloud, folder = make_folder("typo")
    folder.put(cloud.network("lan", vlanId=7))
    folder.create()
    app = folder.wait("naming the field", lambda app: "spec.vlanId" in str(app.get("status")))
    assert "field not declared in schema" in str(app["status"])
    assert not cloud.get("virtualnetwork", "lan"), "nothing is applied without its field"
    folder.change("VirtualNetwork", "lan", vlanId=None)
    folder.settled(folder.commit("The field is called vlanID"))


def test_a_broken_instance_is_degraded_with_the_operators_own_message_and_mended_by_a_commit(make_folder):
    cloud, folder = make_folder("broken")
    folder.put(cloud.image("alpine"), cloud.network("lan"), cloud.instance("web", networks=[{"name": "lam"}]))
    folder.create()
    app = folder.wait("Degraded", shows("Degraded", "HostedInstance", "web"))
    stalled = condition(cloud.get("hostedinstance", "web"), "Stalled")
    assert said(app, "HostedInstance", "web") == ("Degraded", stalled["message"])
    assert 'no network called "lam"' in stalled["message"]
    assert sync(app) == "Synced"
    folder.change("HostedInstance", "web", networks=[{"name": "lan"}])
    folder.settled(folder.commit("The network is called lan"))


def test_a_slow_instance_is_progressing_with_the_operators_own_message_until_it_runs(make_folder, chronicle):
    cloud, folder = make_folder("slow")
    cloud.stage.one.call("POST", f"/clouds/{cloud.name}/speeds", {"boot": 4})
    folder.put(cloud.image("alpine"), cloud.network("lan"), cloud.instance("web"))
    folder.create()
    app = folder.wait("Progressing", lambda app: said(app, "HostedInstance", "web")[0] == "Progressing")
    assert health(app) == "Progressing"
    mark = folder.mark
    folder.settled()
    messages = {
        condition(o, "Reconciling").get("message", "")
        for o in chronicle.versions("HostedInstance", "web")
        if o["metadata"]["namespace"] == "slow"
    }
    shown = [said(version, "HostedInstance", "web") for version in folder.since(mark)]
    assert {status for status, _ in shown} <= {"Progressing", "Healthy"}, "it never flaps to anything else"
    messages.add("Waiting for the operator to observe the latest spec")
    assert {message for status, message in shown if status == "Progressing"} <= messages


def test_a_paused_one_is_suspended_and_holds_later_waves_until_it_is_resumed(make_folder):
    cloud, folder = make_folder("paused")
    folder.put(cloud.image("alpine"), cloud.network("lan"))
    folder.create()
    folder.settled()
    folder.gitops.stage.annotate("virtualnetwork", "lan", "paused", paused="true")
    app = folder.wait("Suspended", shows("Suspended", "VirtualNetwork", "lan"))
    assert sync(app) == "Synced", "an annotation that Git does not have is nobody's difference"
    folder.put(cloud.instance("web"))
    revision = folder.commit("A machine, while its network is paused")
    folder.wait("held", lambda app: operating(app) == "Running")
    cloud.swept()
    assert not cloud.get("hostedinstance", "web")
    assert PAUSED in str(said(folder.app, "VirtualNetwork", "lan"))
    folder.gitops.stage.annotate("virtualnetwork", "lan", "paused", paused=None)
    folder.settled(revision)
    cloud.ready("hostedinstance", "web")


def test_a_change_that_waits_for_consent_is_suspended_until_spec_allows_it(make_folder):
    cloud, folder = make_folder("restart")
    folder.put(cloud.image("alpine"), cloud.network("lan"), cloud.instance("web"))
    folder.settled(folder.create())
    folder.change("HostedInstance", "web", memory="1Gi")
    folder.commit("More memory")
    app = folder.wait("Suspended", shows("Suspended", "HostedInstance", "web"))
    waits = condition(cloud.get("hostedinstance", "web"), "Reconciling")
    assert (waits["reason"], waits["message"]) == ("ApprovalRequired", said(app, "HostedInstance", "web")[1])
    assert "set spec.updatePolicy.powerCycle: Allow" in waits["message"]
    folder.change("HostedInstance", "web", updatePolicy={"powerCycle": "Allow"})
    revision = folder.commit("It may be restarted")
    folder.argo.terminate(folder.name)
    folder.settled(revision)


@pytest.fixture
def awaited(make_folder):
    """Makes a folder whose network waits for an approval, and whose machine is held by that; gives the hash, too."""

    def make(name):
        cloud, folder = make_folder(name)
        folder.put(cloud.image("alpine"), cloud.network("lan", management="Approve"), cloud.instance("web"))
        revision = folder.create()
        app = folder.wait("held", held_by("VirtualNetwork", "lan"))
        plan = cloud.get("virtualnetwork", "lan")["status"]["plan"]["hash"]
        assert f"set spec.approvedPlan: {plan}" in said(app, "VirtualNetwork", "lan")[1]
        assert not cloud.get("hostedinstance", "web"), "the next wave is held"
        return cloud, folder, revision, plan

    return make


def test_an_approval_by_kubectl_is_no_difference_and_lets_the_sync_go_on(awaited):
    cloud, folder, revision, plan = awaited("approved")
    cloud.patch("virtualnetwork", "lan", approvedPlan=plan)
    folder.settled(revision)
    assert cloud.get("virtualnetwork", "lan")["spec"]["approvedPlan"] == plan


def test_an_approval_by_git_reaches_a_sync_that_waits_once_that_is_terminated(awaited):
    """Argo CD begins no sync while one is under way: docs/how-to/gitops.md says what to do."""
    _, folder, before, plan = awaited("terminated")
    folder.change("VirtualNetwork", "lan", approvedPlan=plan)
    revision = folder.commit("The plan is approved")
    app = folder.wait("compared with the new commit", lambda app: app["status"]["sync"]["revision"] == revision)
    assert operating(app) == "Running"
    assert app["status"]["operationState"]["operation"]["sync"]["revision"] == before
    folder.argo.terminate(folder.name)
    folder.settled(revision)
