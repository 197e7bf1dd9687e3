"""Every situation that an object can be in, brought about for every kind on one stage.

A scene is what a user applies and what then happens to it, here or behind the operator's back. Nothing of a status is
written by a test. At the end the operator is stopped, so that all of them stand still and can be judged side by side.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.integration.existing_cloud import ExistingCloud, next_address
from tests.integration.exit_scenes import exits
from tests.integration.federation_scenes import federated_zones
from tests.integration.hosted_scenes import account, hosted
from tests.integration.migration_scenes import migrations
from tests.integration.scene import REPORT, Scene, is_paused, is_reported, is_under_way, says, waits
from tests.integration.sovereignty_scenes import policies, profiles
from tests.integration.tenancy_scenes import security_groups, tenants

from sovereigncloud_sandbox.stage import is_ready

HOME, FLAKY, SLOW, MUTE = "home", "flaky", "slow", "mute"
"""Clouds of somebody's own: one in which all goes well, one whose API begins to fail, one where everything takes ages, and
one that takes ages to answer whoever asks it to make a group.
"""
AGES = 900.0
PASSWORD = "nobody-knows-adopted"

HOSTED, EXISTING = "SovereignCloud hosted", "SovereignCloud existing"
SERVER, NETWORK, IMAGE, INSTANCE = "BareMetalServer", "VirtualNetwork", "MachineImage", "HostedInstance"
GROUP, TENANT, ZONE = "SecurityGroup", "Tenant", "FederatedZone"
POLICY, PROFILE = "SovereigntyPolicy", "ProviderProfile"
MOVE, EXIT = "InstanceMigration", "ExitPlan"
SUBJECTS = (HOSTED, EXISTING, SERVER, NETWORK, IMAGE, INSTANCE, GROUP, TENANT, ZONE, POLICY, PROFILE, MOVE, EXIT)


@dataclass
class Scenes:
    """The scenes of all subjects on a stage: `of[subject][row]`."""

    stage: object
    of: Mapping[str, Mapping[str, Scene]] = field(default_factory=dict)

    def __post_init__(self):
        self.home, self.flaky, self.slow, self.mute = (
            ExistingCloud(self.stage, name) for name in (HOME, FLAKY, SLOW, MUTE)
        )
        self.stage.fault(MUTE, "latency", r"^one\.(secgroup|group)\.allocate$", seconds=AGES)
        self._servers, self._failing = 0, False
        self.of = {
            HOSTED: self._hosted(),
            EXISTING: self._existing(),
            SERVER: self._bare_metal(),
            NETWORK: self._networks(),
            IMAGE: self._images(),
            INSTANCE: self._instances(),
            GROUP: security_groups(self),
            TENANT: tenants(self),
            ZONE: federated_zones(self),
            POLICY: policies(self),
            PROFILE: profiles(self),
            MOVE: migrations(self),
            EXIT: exits(self),
        }

    # --- what they all stand on

    def foundation(self):
        """Four clouds, three with an image and a network each, which nothing happens to."""
        clouds = [o for cloud in (self.home, self.flaky, self.slow, self.mute) for o in cloud.foundation()]
        inside = [o for c in (self.home, self.flaky, self.slow) for o in (self._alpine(c), self._lan(c))]
        return [account(self.stage), *clouds, *inside]

    def _alpine(self, cloud):
        return self._called("alpine", cloud.image(f"alpine-{cloud.name}"))

    def _lan(self, cloud):
        return self._called("lan", cloud.network(f"lan-{cloud.name}", 20))

    @staticmethod
    def _called(name, manifest):
        manifest["spec"]["name"] = name
        return manifest

    # --- what happens

    def patch(self, kind, which, /, **spec):
        return lambda: self.stage.patch(kind, which, {"spec": spec})

    def pause(self, kind, which, /, **spec):
        def act():
            self.stage.annotate(kind, which, paused="true")
            if spec:
                self.stage.patch(kind, which, {"spec": spec})

        return act

    def delete(self, kind, name):
        return lambda: self.stage.delete(kind, name)

    def _break(self, cloud, what, **arguments):
        return lambda: self.stage.mischief(cloud, what, **arguments)

    def _look(self, kind, name):
        """Somebody asks to look now, so that nobody waits for the next sweep."""
        return self.stage.annotate(kind, name, reconcile_requested_at="now")

    # --- HostedInstance

    def _instances(self):
        home = self.home

        def scene(row, cloud=home, **spec):
            return (cloud.instance(f"instance-{row}", **spec),)

        name = "hostedinstance"
        return {
            "new": Scene(scene("new"), late=True),
            "progress": Scene(scene("progress", self.slow), shows=is_under_way),
            "ready": Scene(scene("ready"), shows=is_ready),
            "unseen": Scene(scene("unseen"), shows=is_ready, last=self.patch(name, "instance-unseen", memory="1Gi")),
            "error": Scene(
                scene("error", self.flaky),
                until=self.in_flaky,
                then=lambda: self.fail_flaky(name, "instance-error"),
                shows=says("Reconciling", "RetryingAfterError"),
            ),
            "invalid": Scene(scene("invalid", source={"image": "alpin"}), shows=says("Stalled", "ImageNotFound")),
            "reference": Scene(
                scene("reference", placement={"cloudRef": {"name": "nowhere"}}), shows=waits("platform/nowhere")
            ),
            "consent": Scene(
                scene("consent"),
                until=is_ready,
                then=self.patch(name, "instance-consent", memory="1Gi"),
                shows=says("Reconciling", "ApprovalRequired", "spec.updatePolicy.powerCycle"),
            ),
            "paused": Scene(scene("paused"), until=is_ready, then=self.pause(name, "instance-paused"), shows=is_paused),
            "paused change": Scene(
                scene("paused-change", updatePolicy={"powerCycle": "Allow"}),
                until=is_ready,
                then=self.pause(name, "instance-paused-change", memory="1Gi"),
                shows=is_paused,
            ),
            "drifted": Scene(
                scene("drifted", **REPORT),
                until=is_ready,
                then=self._break(HOME, "vm-power-off", vm="instance-drifted"),
                shows=is_reported,
            ),
            "lost": Scene(
                scene("lost", updatePolicy={"replace": "Allow"}, **REPORT),
                until=is_ready,
                then=self._break(HOME, "vm-terminate", vm="instance-lost"),
                shows=says("Drifted", "ReportOnly"),
            ),
            "deleting": Scene(scene("deleting"), shows=is_ready, last=self.delete(name, "instance-deleting")),
        }

    def in_flaky(self, found):
        """All that is in that cloud was ready: from then on it fails for all of it."""
        others = [
            ("hostedinstance", "instance"),
            ("machineimage", "image"),
            ("virtualnetwork", "network"),
            ("securitygroup", "group"),
            ("tenant", "tenant"),
            ("instancemigration", "move"),
            ("exitplan", "exit"),
        ]
        return self._failing or (
            is_ready(found) and all(is_ready(self.stage.get(kind, f"{name}-error")) for kind, name in others)
        )

    def fail_flaky(self, kind, name):
        self._failing = True
        self.stage.fault(FLAKY, "reply", "infoextended|pool.info", name="flaky", status=502, body="bad gateway")
        self._look(kind, name)

    # --- MachineImage

    def _images(self):
        home, name = self.home, "machineimage"

        def scene(row, cloud=home, **spec):
            return (cloud.image(f"image-{row}", **spec),)

        return {
            "new": Scene(scene("new"), late=True),
            "progress": Scene(scene("progress", self.slow), shows=is_under_way),
            "ready": Scene(scene("ready"), shows=is_ready),
            "unseen": Scene(
                scene("unseen"), shows=is_ready, last=self.patch(name, "image-unseen", datastore="default")
            ),
            "error": Scene(
                scene("error", self.flaky),
                until=self.in_flaky,
                then=lambda: self.fail_flaky(name, "image-error"),
                shows=says("Reconciling", "RetryingAfterError"),
            ),
            "invalid": Scene(
                scene("invalid", source={"marketplaceApp": "Alpin 3"}), shows=says("Stalled", "AppNotFound")
            ),
            "reference": Scene(scene("reference", cloudRefs=[{"name": "nowhere"}]), shows=waits("platform/nowhere")),
            "consent": Scene(
                scene("consent", management="Approve"),
                shows=says("Reconciling", "ApprovalRequired", "spec.approvedPlan"),
            ),
            "paused": Scene(scene("paused"), until=is_ready, then=self.pause(name, "image-paused"), shows=is_paused),
            "paused change": Scene(
                scene("paused-change"),
                until=is_ready,
                then=self.pause(name, "image-paused-change", cloudRefs=[{"name": HOME}, {"name": SLOW}]),
                shows=is_paused,
            ),
            "drifted": Scene(why="what can differ of an image takes it away from those who use it"),
            "lost": Scene(
                scene("lost", **REPORT),
                until=is_ready,
                then=self._break(HOME, "image-delete", image="image-lost"),
                shows=says("Drifted", "ReportOnly"),
            ),
            "deleting": Scene(scene("deleting"), shows=is_ready, last=self.delete(name, "image-deleting")),
        }

    # --- VirtualNetwork

    def _networks(self):
        home, name = self.home, "virtualnetwork"
        numbers = iter(range(40, 90))

        def scene(row, cloud=home, **spec):
            return (cloud.network(f"network-{row}", next(numbers), **spec),)

        return {
            "new": Scene(scene("new"), late=True),
            "progress": Scene(scene("progress", self.slow), shows=is_under_way),
            "ready": Scene(scene("ready"), shows=is_ready),
            "unseen": Scene(scene("unseen"), shows=is_ready, last=self.patch(name, "network-unseen", mtu=9000)),
            "error": Scene(
                scene("error", self.flaky),
                until=self.in_flaky,
                then=lambda: self.fail_flaky(name, "network-error"),
                shows=says("Reconciling", "RetryingAfterError"),
            ),
            "invalid": Scene(scene("invalid", name="lan"), shows=says("Stalled", "NameTaken")),
            "reference": Scene(scene("reference", cloudRef={"name": "nowhere"}), shows=waits("platform/nowhere")),
            "consent": Scene(
                scene("consent", management="Approve"),
                shows=says("Reconciling", "ApprovalRequired", "spec.approvedPlan"),
            ),
            "paused": Scene(scene("paused"), until=is_ready, then=self.pause(name, "network-paused"), shows=is_paused),
            "paused change": Scene(
                scene("paused-change"),
                until=is_ready,
                then=self.pause(name, "network-paused-change", mtu=9000),
                shows=is_paused,
            ),
            "drifted": Scene(
                scene("drifted", dns=["10.1.1.1"], **REPORT),
                until=is_ready,
                then=self._break(HOME, "vnet-edit", vnet="network-drifted", attributes={"DNS": "10.2.2.2"}),
                shows=is_reported,
            ),
            "lost": Scene(
                scene("lost", **REPORT),
                until=is_ready,
                then=self._break(HOME, "vnet-delete", vnet="network-lost"),
                shows=says("Drifted", "ReportOnly"),
            ),
            "deleting": Scene(scene("deleting"), shows=is_ready, last=self.delete(name, "network-deleting")),
        }

    # --- BareMetalServer

    def _rack(self, vrack=HOME, *, attached=False, display_name="", address=None):
        """A server of the account that nobody uses yet, and a vRack of its own; the names of both."""
        self._servers += 1
        service, vrack = f"ns310000{self._servers:02}.ip-57-131-167.eu", f"pn-7000{self._servers:02}"
        address = address or self.stage.address(next_address())
        self.stage.ovh.call(
            "POST", "/servers", {"name": service, "ip": address, "display_name": display_name or service}
        )
        self.stage.ovh.call("POST", "/vracks", {"name": vrack})
        if attached:
            uuid = self.stage.private_interface(service)["uuid"]
            self.stage.ovh.call("PATCH", f"/vnis/{uuid}", {"vrack": vrack})
        return service, vrack, address

    def _bare_metal(self):
        kind = "baremetalserver"
        racks = {}

        def scene(row, **spec):
            service, vrack, _ = racks[row] = self._rack()
            secret = spec.pop("secret", "ovh-account")
            ovh = {"endpoint": "ovh-eu", "credentialsSecretRef": {"name": secret}, "serviceName": service}
            ovh |= {"vrack": vrack, **spec.pop("ovh", {})}
            return (self.home.object(SERVER, f"server-{row}".replace(" ", "-"), {"ovh": ovh, **spec}),)

        def lose_the_interface():
            service, vrack, _ = racks["error"]
            rule = {"preset": "server-error", "path": f"/vrack/{vrack}/dedicatedServerInterface", "method": "POST"}
            self.stage.ovh.call("POST", "/faults", {**rule, "name": "vrack"})
            self.stage.detach_from_vrack(service)

        reinstall = {"request": "first", "operatingSystem": "ubuntu2404-server_64"}
        return {
            "new": Scene(scene("new"), late=True),
            "progress": Scene(scene("progress", reinstall=reinstall), shows=says("Reconciling", "Reinstalling")),
            "ready": Scene(scene("ready"), shows=is_ready),
            "unseen": Scene(scene("unseen"), shows=is_ready, last=self.patch(kind, "server-unseen", name="one")),
            "error": Scene(
                scene("error"),
                until=is_ready,
                then=lose_the_interface,
                shows=says("Reconciling", "RetryingAfterError"),
            ),
            "invalid": Scene(
                scene("invalid", ovh={"serviceName": "ns999.eu"}), shows=says("Stalled", "ServerNotFound", "ns999.eu")
            ),
            "reference": Scene(scene("reference", secret="missing"), shows=says("Reconciling", "SecretMissing")),
            "consent": Scene(
                scene("consent", management="Approve"),
                shows=says("Reconciling", "ApprovalRequired", "spec.approvedPlan"),
            ),
            "paused": Scene(scene("paused"), until=is_ready, then=self.pause(kind, "server-paused"), shows=is_paused),
            "paused change": Scene(
                scene("paused change"),
                until=is_ready,
                then=self.pause(kind, "server-paused-change", name="other"),
                shows=is_paused,
            ),
            "drifted": Scene(
                scene("drifted", name="mine", **REPORT),
                until=is_ready,
                then=lambda: self.stage.rename_server(racks["drifted"][0], "theirs"),
                shows=is_reported,
            ),
            "lost": Scene(why="a server is never made, so policy has nothing to leave undone"),
            "deleting": Scene(scene("deleting"), shows=is_ready, last=self.delete(kind, "server-deleting")),
        }

    # --- SovereignCloud, existing

    def _existing(self):
        kind = "sovereigncloud"

        def scene(row, **spec):
            cloud = ExistingCloud(self.stage, f"existing-{row}")
            return cloud, tuple(cloud.foundation(**spec))

        _, new = scene("new")
        slow, progress = scene("progress")
        _, unseen = scene("unseen")
        failing, error = scene("error")
        wrong, invalid = scene("invalid")
        wrong.stage.mischief(wrong.name, "change-password", password="other")
        _, (_, reference) = scene("reference")
        _, paused = scene("paused")
        used, deleting = scene("deleting")
        deleting = (used.network("of-existing-deleting", 21), *deleting)  # else it goes at once
        self.stage.fault(slow.name, "latency", "infoextended", seconds=AGES)
        nothing = "an OpenNebula elsewhere is only read: nothing of it is to be done"
        return {
            "new": Scene(new, late=True),
            "progress": Scene(progress, shows=is_under_way),
            "ready": Scene(tuple(ExistingCloud(self.stage, "existing-ready").foundation()), shows=is_ready),
            "unseen": Scene(unseen, shows=is_ready, last=self.patch(kind, "existing-unseen", deletionPolicy="Retain")),
            "error": Scene(
                error,
                until=is_ready,
                then=self._break(failing.name, "down"),
                shows=says("Reconciling", "CloudUnreachable"),
            ),
            "invalid": Scene(invalid, shows=says("Stalled", "CredentialsRejected")),
            "reference": Scene((reference,), shows=says("Reconciling", "SecretMissing")),
            "consent": Scene(why=nothing),
            "paused": Scene(paused, until=is_ready, then=self.pause(kind, "existing-paused"), shows=is_paused),
            "paused change": Scene(why=nothing),
            "drifted": Scene(why=nothing),
            "lost": Scene(why=nothing),
            "deleting": Scene(
                deleting,
                shows=lambda found: is_ready(found) and found["metadata"].get("finalizers"),
                last=self.delete(kind, "existing-deleting"),
            ),
        }

    # --- SovereignCloud, hosted

    def _hosted(self):
        kind = "sovereigncloud"

        def scene(row, *, install=False, secret="ovh-account", vrack=None, **spec):
            """Built by a person by the guide, on one server; where `install`, nothing is there yet."""
            name = f"hosted-{row}"
            service, own, address = self._rack(attached=not install, display_name=name)
            cloud = hosted(name, networks=[], **spec)
            server = {"name": name, "serviceName": service, "roles": ["Frontend", "Node"]}
            ovh = {"vrack": vrack or own, "servers": [server], "credentialsSecretRef": {"name": secret}}
            cloud["spec"]["hosted"]["ovh"] |= ovh
            if install:
                server["reinstall"] = {"request": "first", "operatingSystem": "ubuntu2404-server_64"}
                return (cloud,)
            endpoint = self.stage.make_cloud(name, address, password=PASSWORD, hosts=(address,))
            self.stage.one.call("POST", f"/clouds/{name}/speeds", {"host_monitor": 0.1, "datastore_monitor": 0})
            reference = {"name": f"{name}-one"}
            cloud["spec"]["hosted"]["openNebula"] = {"adopt": {"endpoint": endpoint, "credentialsSecretRef": reference}}
            return (self.home.secret(reference["name"], username="oneadmin", password=PASSWORD), cloud)

        block = "57.131.170.16/28"
        self.stage.ovh.call("POST", "/ips", {"name": block})
        routed = {"hosted": {"networks": [{"name": "public", "publicBlock": block}]}}
        return {
            "new": Scene(scene("new"), late=True),
            "progress": Scene(scene("progress", install=True), shows=is_under_way),
            "ready": Scene(scene("ready"), shows=is_ready),
            "unseen": Scene(
                scene("unseen"), shows=is_ready, last=self.patch(kind, "hosted-unseen", deletionPolicy="Retain")
            ),
            "error": Scene(
                scene("error"),
                until=is_ready,
                then=self._break("hosted-error", "down"),
                shows=says("Reconciling", "CloudUnreachable"),
            ),
            "invalid": Scene(scene("invalid", vrack="pn-1"), shows=says("Stalled", "VrackNotFound", "pn-1")),
            "reference": Scene(scene("reference", secret="missing"), shows=says("Reconciling", "SecretMissing")),
            "consent": Scene(
                scene("consent", management="Approve"),
                shows=says("Reconciling", "ApprovalRequired", "spec.approvedPlan"),
            ),
            "paused": Scene(scene("paused"), until=is_ready, then=self.pause(kind, "hosted-paused"), shows=is_paused),
            "paused change": Scene(
                scene("paused-change"),
                until=is_ready,
                then=self.pause(kind, "hosted-paused-change", **routed),
                shows=is_paused,
            ),
            "drifted": Scene(
                scene("drifted", **REPORT),
                until=is_ready,
                then=lambda: self._disable_host("hosted-drifted"),
                shows=is_reported,
            ),
            "lost": Scene(why="a cloud that loses a host does its job with the others: that is drift"),
            "deleting": Scene(scene("deleting"), shows=is_ready, last=self.delete(kind, "hosted-deleting")),
        }

    def _host(self, cloud):
        return self.stage.cloud(cloud)["hosts"][0]["name"]

    def _disable_host(self, cloud):
        self.stage.mischief(cloud, "host-disable", host=self._host(cloud))
