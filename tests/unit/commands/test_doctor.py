"""`sovereign doctor`: what will work, for an object or for credentials alone, and the exit code that CI reads."""

import json

import pytest
from tests.unit.commands.cli_fakes import CLOUD_SPEC, CLOUD_STATUS, Outside, body
from typer.testing import CliRunner

from sovereigncloud.cli import app
from sovereigncloud.kinds.rights.operations import Feature
from sovereigncloud.kinds.rights.policy import actions
from sovereigncloud.ports.errors import Auth, Retry
from sovereigncloud.ports.opennebula.login import Login
from sovereigncloud.ports.ovh.iam import AccessRule

SECRETS = {
    ("team", "one"): {"username": "oneadmin", "password": "s3cret-one"},
    ("team", "ovh"): {"clientId": "EU.0f0f", "clientSecret": "s3cret-ovh"},
}
SERVER_SPEC = {
    "ovh": {
        "endpoint": "ovh-eu",
        "credentialsSecretRef": {"name": "ovh"},
        "serviceName": "ns1.example",
        "vrack": "pn-1",
    }
}
URN = "urn:v1:eu:resource:dedicatedServer:ns1.example"
VRACK = "urn:v1:eu:resource:vrack:pn-1"
ATTACH = "vrack:apiovh:dedicatedServerInterface/attach"
PLAIN_USER = Login(3, "tenant", "users", frozenset({1}))


@pytest.fixture
def outside(monkeypatch):
    for name in ("OVH_CLIENT_ID", "OVH_CLIENT_SECRET", "OVH_ENDPOINT", "ONE_XMLRPC", "ONE_AUTH"):
        monkeypatch.delenv(name, raising=False)
    return Outside().with_cluster(
        body("SovereignCloud", "paris", CLOUD_SPEC, CLOUD_STATUS), body("BareMetalServer", "one-1", SERVER_SPEC),
        secrets=SECRETS,
    )  # fmt: skip


def run(outside, *words):
    found = CliRunner().invoke(app, ["doctor", *words], obj=outside.connections)
    assert not outside.writes
    assert "s3cret" not in found.output
    return found


def told(outside, *words):
    found = run(outside, *words, "-o", "json")
    document = json.loads(found.stdout)
    assert document["exitCode"] == found.exit_code
    return {(one["api"], one["feature"]): (one["verdict"], one["needed"], one["message"]) for one in document["items"]}


def test_all_that_is_needed_works(outside):
    found = run(outside)
    assert found.exit_code == 0, found.output
    assert "All that is needed works." in found.stdout


def test_a_right_that_lacks_is_named_with_the_policy_that_adds_it(outside):
    outside.ovh.rights.refusals[VRACK] = {ATTACH}
    found = run(outside, "bms/one-1")
    assert found.exit_code == 2
    assert f"lacks on vrack pn-1: {ATTACH}" in found.stdout
    assert f'"urn": "{VRACK}"' in found.stdout
    assert "Will not work: Vrack at OVHcloud." in found.stdout


def test_what_nobody_needs_may_lack(outside):
    outside.ovh.rights.refusals[URN] = {"dedicatedServer:apiovh:reinstall"}
    findings = told(outside, "bms/one-1")
    assert findings["OVHcloud", "Reinstall"][:2] == ("Fails", False)
    assert findings["OVHcloud", "Vrack"] == ("Works", True, "")


def test_unless_it_is_asked_for(outside):
    outside.ovh.rights.refusals[URN] = {"dedicatedServer:apiovh:reinstall"}
    assert run(outside, "bms/one-1", "--feature", "reinstall").exit_code == 2
    assert run(outside, "bms/one-1", "--feature", "observe").exit_code == 0


def test_a_feature_that_does_not_exist(outside):
    found = run(outside, "--feature", "Fly")
    assert found.exit_code == 1
    assert "there is no feature Fly: choose from Reach, Observe" in found.stderr


def test_the_rules_of_a_consumer_key_are_named_as_calls(outside):
    outside.ovh.rights.rules = (AccessRule("GET", "/*"),)
    verdict, needed, message = told(outside, "bms/one-1")["OVHcloud", "Vrack"]
    assert (verdict, needed) == ("Fails", True)
    assert "lacks on consumer key: POST /vrack/{}/dedicatedServerInterface" in message


def test_an_iam_that_does_not_say_is_unknown_and_no_failure(outside):
    outside.ovh.rights.silent = True
    findings = told(outside, "bms/one-1")
    assert findings["OVHcloud", "Vrack"][:2] == ("Unknown", True)
    assert run(outside, "bms/one-1").exit_code == 0


@pytest.mark.parametrize("error", [Retry("no connection", where="OVHcloud GET /v1/auth/details"), Auth("who?")])
def test_an_account_that_does_not_answer(outside, error):
    outside.ovh.rights.error = error
    assert told(outside, "bms/one-1") == {("OVHcloud", "Reach"): ("Fails", True, str(error))}


def test_a_secret_that_is_not_there(outside):
    outside.cluster.secrets = {}
    verdict, _, message = told(outside, "scloud/paris")["OpenNebula", "Reach"]
    assert verdict == "Fails"
    assert "Secret team/one does not exist" in message


def test_an_administrator_of_opennebula_may_do_everything(outside):
    findings = told(outside, "scloud/paris")
    assert {verdict for verdict, _, _ in findings.values()} == {"Works"}
    assert findings["OpenNebula", "Reach"][2] == "version 7.0.1, as user oneadmin of group oneadmin"
    assert findings["OpenNebula", "Observe"][2].startswith("it sees 0 machines, 1 networks, 1 images")


def test_of_another_user_it_says_which_groups_and_what_is_not_known(outside):
    outside.open_nebula.user = PLAIN_USER
    findings = told(outside, "scloud/paris")
    assert "of group users, which is not oneadmin" in findings["OpenNebula", "Reach"][2]
    verdicts = {feature: verdict for (_, feature), (verdict, _, _) in findings.items()}
    assert verdicts == {
        "Reach": "Works", "Observe": "Works", "Instances": "Unknown", "Images": "Unknown", "Networks": "Unknown",
        "Hosts": "Fails",
    }  # fmt: skip
    assert run(outside, "scloud/paris").exit_code == 0, "an existing cloud needs no hosts"
    assert run(outside, "scloud/paris", "--feature", "Hosts").exit_code == 2


def test_a_call_that_a_user_may_not_make_is_named(outside):
    outside.open_nebula.user = PLAIN_USER
    outside.open_nebula.refuses = Auth("User [3] : Not authorized", where="OpenNebula one.hostpool.info")
    verdict, _, message = told(outside, "scloud/paris")["OpenNebula", "Observe"]
    assert verdict == "Fails"
    assert message == "OpenNebula one.hostpool.info: User [3] : Not authorized"


def test_a_password_is_not_sent_in_clear(outside):
    spec = {"existing": {**CLOUD_SPEC["existing"], "endpoint": "http://one.example.gouv.fr/RPC2"}}
    outside.with_cluster(body("SovereignCloud", "paris", spec, {}), secrets=SECRETS)
    verdict, _, message = told(outside)["OpenNebula", "Reach"]
    assert verdict == "Fails"
    assert "in clear over a public network" in message
    assert not outside.credentials


def test_a_secret_alone_is_asked_about_all_that_the_account_has(outside):
    findings = told(outside, "--secret", "ovh")
    assert {feature for api, feature in findings if api == "OVHcloud"} == {"Reach", *Feature}
    assert {verdict for verdict, _, _ in findings.values()} == {"Works"}
    outside.ovh.rights.refusals = {
        urn: set(actions(Feature)) for urn in (URN, VRACK, "urn:v1:eu:resource:account:xx1111-ovh")
    }
    found = run(outside, "--secret", "ovh")
    assert found.exit_code == 2, "to read is what everybody needs"
    assert found.stdout.count('"action"') < 20, "and no more than that is to be added"


def test_credentials_of_the_environment_need_no_cluster(outside, monkeypatch, tmp_path):
    outside.cluster = None
    monkeypatch.setenv("OVH_CLIENT_ID", "EU.0f0f")
    monkeypatch.setenv("OVH_CLIENT_SECRET", "s3cret-ovh")
    auth = tmp_path / "one_auth"
    auth.write_text("tenant:s3cret:one\n")
    monkeypatch.setenv("ONE_AUTH", str(auth))
    monkeypatch.setenv("ONE_XMLRPC", "https://one.example.org/RPC2")
    findings = told(outside)
    assert findings["OVHcloud", "Reach"] == ("Works", True, "account xx1111-ovh")
    assert findings["OpenNebula", "Reach"][0] == "Works"
    assert outside.credentials == [("https://one.example.org/RPC2", "tenant", "s3cret:one", "")]


def test_objects_that_live_in_a_cloud_are_asked_about_there(outside):
    outside.with_cluster(body("VirtualNetwork", "lan", {}), secrets=SECRETS)
    found = run(outside, "onevnet/lan")
    assert found.exit_code == 1
    assert "name that cloud" in found.stderr
    assert "name a Secret instead: --secret" in run(outside).stderr
