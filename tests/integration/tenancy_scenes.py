"""The scenes of what a tenant has in many clouds at once: SecurityGroups, and the Tenant itself, which is in no namespace."""

from tests.integration.scene import REPORT, Scene, is_paused, is_under_way, says, waits

from sovereigncloud_sandbox.stage import is_ready

HTTPS = {"direction": "Inbound", "protocol": "TCP", "range": "443"}
DNS = {"direction": "Outbound", "protocol": "UDP", "range": "53"}
QUOTA = {"vms": 2}


def security_groups(scenes):
    """The rows of a SecurityGroup."""
    kind, home = "securitygroup", scenes.home

    def scene(row, *clouds, **spec):
        clouds = [{"name": cloud.name} for cloud in clouds or (home,)]
        return (home.object("SecurityGroup", f"group-{row}", {"cloudRefs": clouds, "rules": [HTTPS], **spec}),)

    def number(row):
        (here,) = scenes.stage.get(kind, f"group-{row}")["status"]["clouds"]
        return int(here["id"])

    def open_another_door():
        ssh = 'RULE = [ PROTOCOL = "TCP", RULE_TYPE = "inbound", RANGE = "22" ]'
        home.administrator.secgroup.update(number("drifted"), ssh, 1)

    return {
        "new": Scene(scene("new"), late=True),
        "progress": Scene(scene("progress", scenes.mute), shows=is_under_way),
        "ready": Scene(scene("ready"), shows=is_ready),
        "unseen": Scene(scene("unseen"), shows=is_ready, last=scenes.patch(kind, "group-unseen", rules=[HTTPS, DNS])),
        "error": Scene(
            scene("error", scenes.flaky),
            until=scenes.in_flaky,
            then=lambda: scenes.fail_flaky(kind, "group-error"),
            shows=says("Reconciling", "RetryingAfterError"),
        ),
        "invalid": Scene(
            scene("invalid", rules=[{**DNS, "network": "lann"}]),
            shows=says("Stalled", "NetworkNotFound", "lann", "lan"),
        ),
        "reference": Scene(scene("reference", cloudRefs=[{"name": "nowhere"}]), shows=waits("platform/nowhere")),
        "consent": Scene(
            scene("consent", management="Approve"),
            shows=says("Reconciling", "ApprovalRequired", "spec.approvedPlan"),
        ),
        "paused": Scene(scene("paused"), until=is_ready, then=scenes.pause(kind, "group-paused"), shows=is_paused),
        "paused change": Scene(
            scene("paused-change"),
            until=is_ready,
            then=scenes.pause(kind, "group-paused-change", rules=[HTTPS, DNS]),
            shows=is_paused,
        ),
        "drifted": Scene(
            scene("drifted", **REPORT),
            until=is_ready,
            then=open_another_door,
            shows=says("Drifted", "ReportOnly", "spec.rules"),
        ),
        "lost": Scene(
            scene("lost", **REPORT),
            until=is_ready,
            then=lambda: home.administrator.secgroup.delete(number("lost")),
            shows=says("Drifted", "ReportOnly"),
        ),
        "deleting": Scene(scene("deleting"), shows=is_ready, last=scenes.delete(kind, "group-deleting")),
    }


def tenants(scenes):
    """The rows of a Tenant. Each has a namespace of its own: two that list one and the same would be an error."""
    kind, home = "tenant", scenes.home

    def cloud(where=home.name, **more):
        return {"cloudRef": {"name": where, "namespace": home.namespace}, **more}

    def scene(row, *clouds, **spec):
        manifest = home.object("Tenant", f"tenant-{row}", {"namespaces": [f"town-{row}"], **spec})
        manifest["spec"]["clouds"] = [*(clouds or (cloud(),))]
        del manifest["metadata"]["namespace"]
        return (manifest,)

    def made(row):
        (here,) = scenes.stage.get(kind, f"tenant-{row}")["status"]["clouds"]
        return here

    def give_more():
        home.administrator.group.quota(int(made("drifted")["group"]), "VM = [ VMS = 50 ]")

    def take_away():
        here = made("lost")
        for user in here["users"]:
            home.administrator.user.delete(int(user["id"]))
        home.administrator.vdc.delete(int(here["vdc"]))
        home.administrator.group.delete(int(here["group"]))

    return {
        "new": Scene(scene("new"), late=True),
        "progress": Scene(scene("progress", cloud(scenes.mute.name)), shows=is_under_way),
        "ready": Scene(scene("ready", cloud(quota=QUOTA)), shows=is_ready),
        "unseen": Scene(
            scene("unseen"), shows=is_ready, last=scenes.patch(kind, "tenant-unseen", clouds=[cloud(quota=QUOTA)])
        ),
        "error": Scene(
            scene("error", cloud(scenes.flaky.name)),
            until=scenes.in_flaky,
            then=lambda: scenes.fail_flaky(kind, "tenant-error"),
            shows=says("Reconciling", "RetryingAfterError"),
        ),
        "invalid": Scene(
            scene("invalid", cloud(clusters=["defalt"])),
            shows=says("Stalled", "UnknownReference", "defalt", "there are: default"),
        ),
        "reference": Scene(scene("reference", cloud("nowhere")), shows=waits("platform/nowhere")),
        "consent": Scene(
            scene("consent", management="Approve"),
            shows=says("Reconciling", "ApprovalRequired", "spec.approvedPlan"),
        ),
        "paused": Scene(scene("paused"), until=is_ready, then=scenes.pause(kind, "tenant-paused"), shows=is_paused),
        "paused change": Scene(
            scene("paused-change"),
            until=is_ready,
            then=scenes.pause(kind, "tenant-paused-change", clouds=[cloud(quota=QUOTA)]),
            shows=is_paused,
        ),
        "drifted": Scene(
            scene("drifted", cloud(quota=QUOTA), **REPORT),
            until=is_ready,
            then=give_more,
            shows=says("Drifted", "ReportOnly", "quota.vms"),
        ),
        "lost": Scene(
            scene("lost", **REPORT),
            until=is_ready,
            then=take_away,
            shows=says("Drifted", "ReportOnly", ".group"),
        ),
        "deleting": Scene(scene("deleting"), shows=is_ready, last=scenes.delete(kind, "tenant-deleting")),
    }
