"""The scenes of a FederatedZone. A cloud is one zone, so each row has one of its own, which a play makes the master of nobody."""

from urllib.parse import urlsplit

from tests.integration.existing_cloud import ExistingCloud
from tests.integration.scene import REPORT, Scene, is_paused, says, waits

from sovereigncloud_sandbox.stage import is_ready

LOGIN = "front-ends"
"""The Secret with the key."""
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOshSFOnTEAaOhM5ct5FYU+EI6q3+0OrkpRHpFrN5MMX"


def entered(cloud):
    """The manifests of a cloud whose front-end lets the operator in."""
    secret, manifest = cloud.foundation()
    manifest["spec"]["existing"]["ssh"] = ssh_to(cloud.endpoint)
    return secret, cloud.secret(LOGIN, sshPrivateKey="nobody's"), manifest


def ssh_to(endpoint):
    """How to log in at the front-end that has this endpoint."""
    host = urlsplit(endpoint).hostname
    return {"host": host, "user": "root", "privateKeySecretRef": {"name": LOGIN}, "hostKey": KEY}


def federated_zones(scenes):
    """The rows of a FederatedZone."""
    kind, clouds = "federatedzone", {}

    def scene(row, cloud=None, **spec):
        if cloud is None:
            clouds[row] = ExistingCloud(scenes.stage, f"cloud-of-zone-{row}", hosts=0)
        there = entered(clouds[row]) if cloud is None else ()
        reference = {"cloudRef": {"name": cloud or clouds[row].name}, "role": "Master", **spec}
        return (*there, scenes.home.object("FederatedZone", f"zone-{row}", reference))

    def slave_of(row):
        return scenes.home.object(
            "FederatedZone",
            f"zone-slave-of-{row}",
            {"cloudRef": {"name": "nowhere"}, "role": "Slave", "masterRef": {"name": f"zone-{row}"}},
        )

    def breaks(row, what):
        return lambda: scenes.stage.mischief(clouds[row].name, what)

    def call_it_otherwise():
        clouds["drifted"].administrator.zone.rename(0, "elsewhere")

    rows = {
        "new": Scene(scene("new"), late=True),
        "progress": Scene(why="a configuration is written, and a front-end started again, within a second here"),
        "ready": Scene(scene("ready"), shows=is_ready),
        "unseen": Scene(scene("unseen"), shows=is_ready, last=scenes.patch(kind, "zone-unseen", name="another")),
        "error": Scene(
            scene("error"), until=is_ready, then=breaks("error", "kill"), shows=says("Reconciling", "ZoneUnreachable")
        ),
        "reference": Scene(scene("reference", "nowhere"), shows=waits("platform/nowhere")),
        "consent": Scene(
            scene("consent", management="Approve"),
            shows=says("Reconciling", "ApprovalRequired", "spec.approvedPlan"),
        ),
        "paused": Scene(scene("paused"), until=is_ready, then=scenes.pause(kind, "zone-paused"), shows=is_paused),
        "paused change": Scene(
            scene("paused-change"),
            until=is_ready,
            then=scenes.pause(kind, "zone-paused-change", name="another"),
            shows=is_paused,
        ),
        "drifted": Scene(
            scene("drifted", **REPORT),
            until=is_ready,
            then=call_it_otherwise,
            shows=says("Drifted", "ReportOnly", "metadata.name"),
        ),
        "lost": Scene(
            why="OpenNebula deletes no zone 0, and a slave's is lost in tests/unit/kinds/federatedzone/test_plan.py"
        ),
        "deleting": Scene(
            (slave_of("deleting"), *scene("deleting")), shows=is_ready, last=scenes.delete(kind, "zone-deleting")
        ),
    }
    taken = scene("invalid", clouds["consent"].name)
    rows["invalid"] = Scene(taken, shows=says("Stalled", "NameTaken", "zone-consent"))
    return rows
