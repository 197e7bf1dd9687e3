"""A policy from its manifest to its end, with the operator as the chart gives it rights: judged, bound, tightened, deleted."""

import json

import pytest
from tests.integration.existing_cloud import ExistingCloud

from sovereigncloud.api.common.base import API_VERSION
from sovereigncloud.kinds.sovereigntypolicy.admission import ADMISSION_POLICIES, IMAGES, INSTANCES, NAMESPACES
from sovereigncloud_sandbox.stage import condition, is_ready

SETTINGS = {"sweep_interval": "1", "settle_interval": "0.3"}
RESTRICTED = {"namespaceSelector": {"matchLabels": {"data-class": "restricted"}}}


def ours(kind, name, spec):
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}


def profile(country="FR", **spec):
    places = [{"name": "PARIS-1", "country": country, "grade": "Attested"}]
    return ours(
        "ProviderProfile",
        "ministry",
        {"legalEntity": {"name": "Ministry", "country": "FR"}, "datacenters": places, **spec},
    )


def policy(*countries, **spec):
    residency = {"allowedCountries": list(countries)}
    wanted = {"appliesTo": RESTRICTED, "enforcement": "Enforce", "residency": residency, **spec}
    return ours("SovereigntyPolicy", "fr-public-sector", wanted)


@pytest.fixture(scope="module")
def cloud(stage):
    one = ExistingCloud(stage, "paris")
    where = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "platform", "labels": {"data-class": "restricted"}},
    }
    foundation = one.foundation(providerRef={"name": "ministry"})
    foundation[1]["spec"]["existing"]["location"] = {"datacenter": "PARIS-1"}
    stage.apply([where, profile(), *foundation, one.image("alpine"), one.network("lan"), one.instance("web")])
    stage.wait_ready("hostedinstance", "web")
    stage.apply(policy("FR"))
    stage.wait("sovereigntypolicy", "fr-public-sector", "what it allows", allows("platform/paris"), namespace="")
    return one


def allows(*clouds):
    return lambda found: is_ready(found) and found["status"].get("allowedClouds") == list(clouds)


def bindings(stage):
    found = stage.cluster.get("validatingadmissionpolicybindings")["items"]
    return {one["metadata"]["name"]: one for one in found if one["spec"]["policyName"] in ADMISSION_POLICIES}


def refused(stage, manifest):
    """What the API server says to it; empty where it is taken."""
    done = stage.cluster.kubectl("apply", "--dry-run=server", "--filename=-", input=json.dumps(manifest), check=False)
    return done.stderr if done.returncode else ""


def test_it_says_what_it_allows_and_the_api_server_has_its_bindings(stage, cloud):
    found = stage.get("sovereigntypolicy", "fr-public-sector", "")
    assert found["status"]["effectiveCountries"] == ["FR"]
    assert found["status"]["clouds"] == "1/1"
    assert condition(found, "Satisfiable")["status"] == "True"
    names = {f"fr-public-sector.{to}" for to in (INSTANCES, IMAGES, NAMESPACES)}
    assert set(bindings(stage)) == names
    for one in bindings(stage).values():
        assert one["spec"]["validationActions"] == ["Deny"]
        assert one["spec"]["paramRef"] == {"name": "fr-public-sector", "parameterNotFoundAction": "Deny"}
    assert stage.get("providerprofile", "ministry", "")["status"]["usedBy"] == 1
    assert refused(stage, cloud.instance("another")) == ""


def test_what_somebody_changed_on_a_binding_is_put_right(stage, cloud):
    name = f"fr-public-sector.{INSTANCES}"
    before = bindings(stage)[name]["spec"]
    change = '--patch={"spec": {"validationActions": ["Warn"], "matchResources": {"objectSelector": {"matchLabels": {"a": "b"}}}}}'
    stage.cluster.kubectl("patch", "validatingadmissionpolicybinding", name, "--type=merge", change)
    stage.annotate("sovereigntypolicy", "fr-public-sector", "", **{"reconcile-requested-at": "mended"})
    stage.until(lambda: bindings(stage)[name]["spec"] == before, "as it was", seconds=20)


def test_at_rest_nothing_is_written(stage, cloud):
    settled = lambda found: is_ready(found) and not condition(found, "Reconciling")  # noqa: E731
    stage.wait("sovereigntypolicy", "fr-public-sector", "settled", settled, namespace="")
    cloud.at_rest()
    writes = stage.kubernetes_writes()
    cloud.swept(3)
    assert +(stage.kubernetes_writes() - writes) == {}


def test_where_a_fact_changes_the_border_moves_and_nothing_is_stopped(stage, cloud):
    machine = stage.get("hostedinstance", "web")["status"]
    stage.apply(profile("GB"))
    stage.wait("sovereigntypolicy", "fr-public-sector", "no cloud", allows(), namespace="")
    said = refused(stage, cloud.instance("another"))
    assert "SovereigntyPolicy fr-public-sector does not allow cloud platform/paris: no cloud meets it" in said
    assert stage.get("hostedinstance", "web")["status"]["id"] == machine["id"]
    assert cloud.vm("web") is not None, "it runs on"
    stage.apply(profile())
    stage.wait("sovereigntypolicy", "fr-public-sector", "allowed again", allows("platform/paris"), namespace="")


def test_with_the_operator_stopped_a_tightened_policy_holds_and_holds_up_nothing(stage, cloud):
    stage.stop_operator()
    stage.apply(policy("DE"))
    said = stage.until(lambda: refused(stage, cloud.instance("another")), "refused", seconds=20)
    assert "SovereigntyPolicy fr-public-sector: what it allows is not known yet" in said
    stage.annotate("hostedinstance", "web", paused="true")
    stage.annotate("hostedinstance", "web", paused=None)
    stage.cluster.kubectl("label", "hostedinstance", "web", "--namespace=platform", "app=web")
    stage.patch("hostedinstance", "web", {"spec": {"memory": "768Mi"}})
    stage.cluster.kubectl("delete", "hostedinstance", "web", "--namespace=platform", "--wait=false")
    stage.start_operator()
    stage.wait_gone("hostedinstance", "web")
    stage.wait("sovereigntypolicy", "fr-public-sector", "the new spec", allows(), namespace="")
    assert "does not allow cloud platform/paris" in refused(stage, cloud.instance("another"))


def test_deleted_it_takes_its_bindings_along_and_refuses_nothing(stage, cloud):
    stage.cluster.kubectl("delete", "sovereigntypolicy", "fr-public-sector", "--wait=false")
    stage.wait_gone("sovereigntypolicy", "fr-public-sector", namespace="")
    assert bindings(stage) == {}
    stage.until(lambda: refused(stage, cloud.instance("another")) == "", "taken", seconds=20)


def test_its_rights_suffice_and_are_needed(stage):
    stage.stop_operator()
    told = [e for e in stage.cluster.audit() if e["user"]["username"].endswith(":sovereign-cloud-operator")]
    assert [e for e in told if e.get("annotations", {}).get("authorization.k8s.io/decision") == "forbid"] == []
    used = {(o["resource"], o.get("subresource", ""), e["verb"]) for e in told if (o := e.get("objectRef"))}
    admission = {("validatingadmissionpolicybindings", "", verb) for verb in ("get", "create", "update", "delete")}
    kinds = {(plural, part, "patch") for plural in ("sovereigntypolicies",) for part in ("", "status")}
    kinds |= {("providerprofiles", "status", "patch"), ("namespaces", "", "list"), ("namespaces", "", "watch")}
    assert (admission | kinds | {("validatingadmissionpolicies", "", "get")}) - used == set()
