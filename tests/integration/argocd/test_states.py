"""What Argo CD shows of an object in each state, and what it holds for it; told by a real application-controller."""

import pytest

from sovereigncloud.api.base import PAUSED
from sovereigncloud.sandbox.argocd import health, is_settled, resource, sync
from sovereigncloud.sandbox.stage import condition

pytestmark = pytest.mark.timeout(180)


def said(app, kind, name):
    """Status and message of one resource, as Argo CD has them."""
    told = resource(app, kind, name).get("health") or {}
    return told.get("status", ""), told.get("message", "")


def shows(status, kind, name):
    """Whether the application is in that state because this resource is."""
    return lambda app: health(app) == status and said(app, kind, name)[0] == status


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
    folder.put(cloud.image("alpine"), cloud.network("lan"), cloud.instance("web", source={"image": "alpin"}))
    folder.create()
    app = folder.wait("Degraded", shows("Degraded", "HostedInstance", "web"))
    stalled = condition(cloud.get("hostedinstance", "web"), "Stalled")
    assert said(app, "HostedInstance", "web") == ("Degraded", stalled["message"])
    assert 'no image called "alpin"' in stalled["message"]
    assert sync(app) == "Synced"
    folder.change("HostedInstance", "web", source={"image": "alpine"})
    folder.settled(folder.commit("The image is called alpine"))


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
    folder.wait("held", lambda app: app["status"]["operationState"].get("phase") == "Running")
    cloud.swept()
    assert not cloud.get("hostedinstance", "web")
    assert PAUSED in str(said(folder.app, "VirtualNetwork", "lan"))
    folder.gitops.stage.annotate("virtualnetwork", "lan", "paused", paused=None)
    folder.settled(revision)
    cloud.ready("hostedinstance", "web")


def test_one_that_waits_for_consent_is_suspended_and_consent_by_kubectl_is_no_difference(make_folder):
    cloud, folder = make_folder("consent")
    folder.put(cloud.image("alpine"), cloud.network("lan", management="Approve"), cloud.instance("web"))
    revision = folder.create()
    app = folder.wait("Suspended", shows("Suspended", "VirtualNetwork", "lan"))
    plan = cloud.get("virtualnetwork", "lan")["status"]["plan"]["hash"]
    assert (
        said(app, "VirtualNetwork", "lan")[1] == f"plan {plan} waits: set spec.approvedPlan to its hash to carry it out"
    )
    assert not cloud.get("hostedinstance", "web"), "the next wave is held"
    cloud.patch("virtualnetwork", "lan", approvedPlan=plan)
    mark = folder.mark
    folder.settled(revision)
    assert {
        sync(version)
        for version in folder.since(mark)
        if version.get("status", {}).get("operationState", {}).get("phase") == "Succeeded"
    } == {"Synced"}
    assert cloud.get("virtualnetwork", "lan")["spec"]["approvedPlan"] == plan


def test_consent_by_git_reaches_a_sync_that_waits_once_that_is_terminated(make_folder):
    """Argo CD begins no sync while one is under way: docs/how-to/gitops.md says what to do."""
    cloud, folder = make_folder("terminated")
    folder.put(cloud.image("alpine"), cloud.network("lan", management="Approve"), cloud.instance("web"))
    folder.create()
    folder.wait("Suspended", shows("Suspended", "VirtualNetwork", "lan"))
    plan = cloud.get("virtualnetwork", "lan")["status"]["plan"]["hash"]
    folder.change("VirtualNetwork", "lan", approvedPlan=plan)
    revision = folder.commit("The plan is approved")
    folder.wait("compared with the new commit", lambda app: app["status"]["sync"]["revision"] == revision)
    assert folder.app["status"]["operationState"]["phase"] == "Running", "of the commit before"
    folder.argo.cli("app", "terminate-op", folder.name, "--core")
    folder.wait("Healthy", lambda app: is_settled(app, revision))
