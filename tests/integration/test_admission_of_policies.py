"""What the API server refuses by itself: the chart's admission policies and the operator's bindings, and no operator running."""

import json
import time
from pathlib import Path

import pytest
import yaml

from sovereigncloud.api import SovereigntyPolicy
from sovereigncloud.api.schema.crd import manifests
from sovereigncloud.kinds.sovereigntypolicy.admission import ADMISSION_POLICIES, bindings_of, name_of

CHART = Path(__file__).parents[2] / "charts" / "sovereign-cloud-operator"
TEMPLATES = [f"--show-only=templates/policies/borders-{what}.yaml" for what in ("instances", "images", "namespaces")]
BOUND, FREE = "prefecture", "elsewhere"
RBX, LON, HELD = f"{BOUND}/ovh-rbx", f"{BOUND}/ovh-lon", "platform/held"


def ours(kind, name, spec, namespace="", **metadata):
    where = {"namespace": namespace} if namespace else {}
    meta = {"name": name, **where, **metadata}
    return {"apiVersion": "sovereigncloud.io/v1alpha1", "kind": kind, "metadata": meta, "spec": spec}


def machine(name="web", cloud="", namespace=BOUND, metadata=None, **placement):
    where, _, what = cloud.rpartition("/")
    if cloud:
        placement["cloudRef"] = {"name": what, **({"namespace": where} if where else {})}
    spec = {"source": {"template": "small"}, **({"placement": placement} if placement else {})}
    return ours("HostedInstance", name, spec, namespace, **(metadata or {}))


def image(name, *clouds):
    spec = {"source": {"url": "https://example.fr/a.qcow2"}, "cloudRefs": [{"name": cloud} for cloud in clouds]}
    return ours("MachineImage", name, spec, BOUND)


STATUS = {
    "effectiveCountries": ["DE", "FR"],
    "allowedClouds": [RBX, HELD, "platform/onprem-paris"],
    "heldClouds": [HELD],
    "liveExceptions": [f"{BOUND}/let-be"],
}
SPEC = {
    "appliesTo": {"namespaceSelector": {"matchLabels": {"data-class": "restricted"}}},
    "enforcement": "Enforce",
    "residency": {"allowedCountries": ["FR", "DE"]},
}


class Api:
    """An API server with the policies of the chart."""

    def __init__(self, plane):
        self.plane = plane

    def apply(self, thing, *options):
        return self.plane.kubectl(
            "apply",
            "--server-side",
            "--force-conflicts",
            *options,
            "--filename=-",
            input=json.dumps(thing),
            check=False,
        )

    def said(self, thing, *options):
        """What kubectl says; empty where it is taken without a word."""
        return self.apply(thing, "--dry-run=server", *options).stderr

    def bring(self, name, spec, status=None):
        """A policy as the operator leaves it: status and bindings."""
        assert self.apply(ours("SovereigntyPolicy", name, spec)).returncode == 0
        there = self.plane.get("sovereigntypolicy", name)
        if status is not None:
            told = {"status": {**status, "observedGeneration": there["metadata"]["generation"]}}
            self.plane.kubectl(
                "patch",
                "sovereigntypolicy",
                name,
                "--subresource=status",
                "--type=merge",
                f"--patch={json.dumps(told)}",
            )
        for binding in bindings_of(SovereigntyPolicy.model_validate(there), "test").values():
            done = self.apply(binding)
            assert done.returncode == 0, done.stderr

    def take(self, name):
        """Bindings first: one without its policy refuses everything."""
        bindings = [name_of(name, to) for to in ADMISSION_POLICIES]
        self.plane.kubectl("delete", "validatingadmissionpolicybinding", *bindings, "--ignore-not-found")
        self.plane.kubectl("delete", "sovereigntypolicy", name)

    def until(self, thing, words):
        """The API server takes a moment to learn a policy."""
        end = time.monotonic() + 60
        while words not in (said := self.said(thing)):
            assert time.monotonic() < end, said
            time.sleep(0.3)


@pytest.fixture(scope="module")
def api(own_control_plane, tmp_path_factory):
    directory = tmp_path_factory.mktemp("crds")
    for name, text in manifests().items():
        (directory / name).write_text(text)
    plane = own_control_plane
    plane.kubectl("apply", "--server-side", f"--kustomize={directory}")
    plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")
    plane.kubectl(
        "apply", "--server-side", "--filename=-", input=plane.helm("template", "c", str(CHART), *TEMPLATES).stdout
    )
    for name, labels in ((BOUND, {"data-class": "restricted"}), (FREE, {})):
        metadata = {"name": name, "labels": labels}
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
        plane.kubectl("apply", "--server-side", "--filename=-", input=json.dumps(namespace))
    api = Api(plane)
    # There before the policy became what it is.
    for name, cloud in (("old", LON), ("paused", LON)):
        assert api.apply(machine(name, cloud)).returncode == 0
    api.bring("fr-public-sector", SPEC, STATUS)
    api.until(machine(cloud=LON), "denied request")
    return api


def test_the_api_server_takes_the_expressions_without_a_complaint(api):
    for what in ("hostedinstances", "machineimages", "namespaces"):
        found = api.plane.get("validatingadmissionpolicy", f"{what}.borders.sovereigncloud.io")
        assert "expressionWarnings" not in found.get("status", {}).get("typeChecking", {}), found["status"]


REFUSED = [
    ("a cloud that it does not allow", machine(cloud=LON), ["SovereigntyPolicy fr-public-sector does not allow cloud prefecture/ovh-lon", "it allows prefecture/ovh-rbx, platform/held, platform/onprem-paris", "Set spec.placement.cloudRef", "spec.exceptions"]),
    ("a cloud of the own namespace, without saying so", machine(cloud="ovh-lon"), ["does not allow cloud prefecture/ovh-lon"]),
    ("a cloud that is held", machine(cloud=HELD), ["SovereigntyPolicy fr-public-sector holds cloud platform/held", "nothing new is placed there"]),
    ("countries of which one is not allowed", machine(countries=["FR", "GB"]), ["SovereigntyPolicy fr-public-sector does not allow GB: it allows DE, FR", "Set spec.placement.countries"]),
    ("a group of which not all are allowed", machine(countries=["EU"]), ["does not allow EU: it allows DE, FR"]),
    ("an image in a cloud that it does not allow", image("alpine", "ovh-rbx", "ovh-lon"), ["SovereigntyPolicy fr-public-sector does not allow images in prefecture/ovh-lon", "take these clouds out of spec.cloudRefs"]),
]  # fmt: skip


@pytest.mark.parametrize(("why", "thing", "words"), REFUSED, ids=[row[0] for row in REFUSED])
def test_it_is_refused_with_the_policy_and_the_remedy(api, why, thing, words):
    said = api.said(thing)
    assert [word for word in words if word not in said] == [], said


TAKEN = [
    ("an allowed cloud", machine(cloud=RBX)),
    ("one of its own namespace", machine(cloud="ovh-rbx")),
    ("none said: the operator chooses among the allowed", machine()),
    ("one of the allowed countries", machine(countries=["DE"])),
    ("an exception that holds", machine("let-be", cloud=LON)),
    ("a namespace that nobody binds", machine(cloud=LON, namespace=FREE)),
    ("an image in an allowed cloud", image("alpine", "ovh-rbx")),
]


@pytest.mark.parametrize(("why", "thing"), TAKEN, ids=[row[0] for row in TAKEN])
def test_it_is_taken(api, why, thing):
    assert api.said(thing) == ""


def test_what_is_there_can_be_labelled_paused_changed_otherwise_and_deleted(api):
    label = machine("old", LON, metadata={"labels": {"app": "web"}})
    paused = machine("paused", LON, metadata={"annotations": {"sovereigncloud.io/paused": "true"}})
    changed = machine("old", LON)
    changed["spec"]["power"] = "Stopped"
    for thing in (label, paused, changed):
        assert api.said(thing) == ""
    finalizers = {"metadata": {"finalizers": ["sovereigncloud.io/finalizer"]}}
    patch = ["--type=merge", f"--patch={json.dumps(finalizers)}"]
    api.plane.kubectl("patch", "hostedinstance", "old", f"--namespace={BOUND}", *patch)
    status = {"status": {"observedGeneration": 1, "state": "Running"}}
    api.plane.kubectl(
        "patch", "hostedinstance", "old", f"--namespace={BOUND}", "--subresource=status", "--type=merge",
        f"--patch={json.dumps(status)}",
    )  # fmt: skip
    api.plane.kubectl("delete", "hostedinstance", "old", f"--namespace={BOUND}", "--wait=false")
    going = {"metadata": {"finalizers": []}}
    api.plane.kubectl(
        "patch", "hostedinstance", "old", f"--namespace={BOUND}", "--type=merge", f"--patch={json.dumps(going)}"
    )
    assert api.plane.kubectl("get", "hostedinstance", "old", f"--namespace={BOUND}", check=False).returncode != 0


def test_moved_it_is_judged_anew(api):
    assert "does not allow cloud platform/elsewhere" in api.said(machine("paused", "platform/elsewhere"))
    assert api.said(machine("paused", RBX)) == ""


def test_who_may_not_write_policies_does_not_change_the_labels_that_they_select_by(api):
    rights = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "namespaces"},
        "rules": [{"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get", "patch", "update"]}],
    }
    subject = [{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "engineer"}]
    reference = {"kind": "ClusterRole", "apiGroup": "rbac.authorization.k8s.io", "name": "namespaces"}
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "namespaces"},
        "subjects": subject,
        "roleRef": reference,
    }
    api.plane.kubectl("apply", "--filename=-", input=yaml.safe_dump_all([rights, binding]))

    def label(*labels, user="engineer"):
        options = ["--dry-run=server", "--overwrite", f"--as={user}"] if user else ["--dry-run=server", "--overwrite"]
        return api.plane.kubectl("label", "namespace", BOUND, *labels, *options, check=False).stderr

    end = time.monotonic() + 30
    while "binds namespaces by the label data-class" not in label("data-class-"):
        assert time.monotonic() < end, label("data-class-")
        time.sleep(0.3)
    assert "SovereigntyPolicy fr-public-sector binds namespaces by the label data-class" in label("data-class=open")
    assert label("team=a") == "", "other labels are nobody's business"
    assert label("data-class-", user="") == "", "who may update policies may"


def test_audit_warns_and_takes_it(api):
    api.bring("eu-baseline", {**SPEC, "enforcement": "Audit", "appliesTo": {}}, {**STATUS, "allowedClouds": [RBX]})
    elsewhere = machine(cloud=LON, namespace=FREE)
    api.until(elsewhere, "Warning")
    done = api.apply(elsewhere, "--dry-run=server")
    assert done.returncode == 0
    assert "SovereigntyPolicy eu-baseline does not allow cloud prefecture/ovh-lon" in done.stderr
    api.take("eu-baseline")


ABSENT = [
    ("no-status", None, "what it allows is not known yet"),
    ("no-clouds", {"effectiveCountries": ["FR"]}, "what it allows is not known yet"),
    ("no-countries", {"allowedClouds": [RBX]}, "what it allows is not known yet"),
    ("nothing-allowed", {"effectiveCountries": ["FR"], "allowedClouds": []}, "allows no cloud that there is"),
]


@pytest.mark.parametrize(("name", "status", "words"), ABSENT, ids=[row[0] for row in ABSENT])
def test_what_status_does_not_say_is_refused(api, name, status, words):
    spec = {**SPEC, "appliesTo": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": FREE}}}}
    api.bring(name, spec, status)
    api.until(machine(namespace=FREE), words)
    assert f"SovereigntyPolicy {name}" in api.said(machine(namespace=FREE))
    api.take(name)


def test_a_spec_that_the_operator_has_not_seen_yet_lets_nothing_new_in(api):
    """Else a policy that was tightened while the operator was down would hold nothing."""
    assert api.apply(ours("SovereigntyPolicy", "fr-public-sector", {**SPEC, "onViolation": "Hold"})).returncode == 0
    api.until(machine(cloud=RBX), "what it allows is not known yet")
    assert api.said(machine("paused", LON, metadata={"labels": {"still": "so"}})) == ""
