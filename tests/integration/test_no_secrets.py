"""No secret is in anything that a full run produces: logs at their most talkative, events, status, specs of Jobs, ConfigMaps,
metrics, what the commands print, what OVHcloud and OpenNebula keep of what they were sent.

The run has both ways into OVHcloud, a cloud that is built, one that is adopted and one that stands elsewhere, credentials that
are refused, APIs that fail in the middle, and a process that is killed.
"""

import base64
import json
import subprocess
import sys

import pytest
from tests.integration.hosted_scenes import (
    ADOPTED,
    account,
    adopted,
    build_by_hand,
    hosted,
    image,
    instance,
    make_paris,
    paris,
)
from tests.leaks import leaks, secrets_of

from sovereigncloud.api.common.base import API_VERSION
from sovereigncloud_sandbox.stage import SYSTEM, condition

NOT_TO_BE_READ = {"secrets", "componentstatuses"}
REFUSED = {
    "wrong-client": {"clientId": "EU.0123456789abcdef", "clientSecret": "guessed-client-secret"},
    "wrong-keys": {
        "applicationKey": "guessed-application-key",
        "applicationSecret": "guessed-application-secret",
        "consumerKey": "guessed-consumer-key",
    },
    "wrong-password": {"username": "oneadmin", "password": "guessed-password"},
}
JOINING = "/ip$|/dedicatedServerInterface$"
MARKING = "/tag$"
COMMANDS = (
    ("tree",),
    ("drift",),
    ("describe", "scloud/ovh-rbx"),
    ("describe", "scloud/refused"),
)


def secret(name, values):
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": "platform"},
        "stringData": values,
    }


def server(name, credentials):
    ovh = {"endpoint": "ovh-eu", "credentialsSecretRef": {"name": credentials}, "serviceName": ADOPTED}
    return {
        "apiVersion": API_VERSION,
        "kind": "BareMetalServer",
        "metadata": {"name": name, "namespace": "platform"},
        "spec": {"ovh": ovh},
    }


@pytest.fixture(scope="module")
def built(stage, chronicle):
    """The run; everything that can be ready is."""
    elsewhere, by_hand = make_paris(stage), build_by_hand(stage)
    keys = stage.ovh_connection["accounts"][0]["applicationKeys"][0]
    for rule in (
        {"preset": "bad-gateway", "method": "GET", "count": 3},
        {"preset": "server-error", "method": "GET", "probability": 0.1, "count": 20},
        {"preset": "lost-after-write", "path": JOINING, "probability": 0.2, "count": 6},
    ):
        stage.ovh.call("POST", "/faults", rule)
    refused = paris(elsewhere)[1]
    refused["metadata"]["name"] = "refused"
    refused["spec"]["existing"]["credentialsSecretRef"] = {"name": "wrong-password"}
    stage.apply([
        account(stage),
        secret("ovh-keys", keys),
        *(secret(name, values) for name, values in REFUSED.items()),
        hosted(),
        *paris(elsewhere),
        *adopted(by_hand),
        image("ovh-rbx", "paris"),
        instance("web", "ovh-rbx", "vm_public"),
        server("by-keys", "ovh-keys"),
        server("by-wrong-client", "wrong-client"),
        server("by-wrong-keys", "wrong-keys"),
        refused,
    ])  # fmt: skip
    stage.until(lambda: condition(stage.get("sovereigncloud", "refused"), "Ready"), "refused", seconds=60)
    # After a lost answer, or the end of a process, between the record of a reinstallation and its task everything waits for
    # minutes, rightly: what is lost, is lost before or afterwards.
    both = ("ovh-rbx-one-1", "ovh-rbx-one-2")
    stage.until(
        lambda: all(stage.get("baremetalserver", one).get("status", {}).get("reinstalled") == "first" for one in both),
        "both servers reinstalled",
        seconds=90,
    )
    stage.ovh.call("POST", "/faults", {"preset": "error-after-write", "path": MARKING, "probability": 0.5, "count": 3})
    stage.kill_operator()
    stage.start_operator(log_format="json")
    chronicle.ready("HostedInstance", "web", 180)
    stage.fault("ovh-rbx", "lost-response", ".*", count=2)
    stage.mischief("ovh-rbx", "vm-power-off", vm="web")
    for name in ("by-wrong-client", "by-wrong-keys"):
        chronicle.until(f"{name} is refused", lambda n=name: chronicle.condition("BareMetalServer", n, "Ready"))
    chronicle.ready("HostedInstance", "web", 60)
    return stage


@pytest.fixture(scope="module")
def secrets(built):
    """Every secret that there is, by name: those that were given, those that were made, and what was got for them."""
    found = {}
    for one in built.cluster.get("secrets", "-n", "platform")["items"]:
        values = {key: base64.b64decode(value).decode() for key, value in one.get("data", {}).items()}
        found |= secrets_of(one["metadata"]["name"], values)
    tokens = built.ovh.call("GET", "/state")["tokens"]
    found |= {f"token {number} of OVHcloud": token for number, token in enumerate(tokens)}
    kubeconfig = json.loads((built.directory / "sovereign-cloud-operator.kubeconfig").read_text())
    found["token of the ServiceAccount"] = kubeconfig["users"][0]["user"]["token"]
    return found


@pytest.fixture(scope="module")
def produced(built, chronicle):
    """Everything that was produced, by where it is."""
    stage = built
    return {
        "the operator's log": stage.log(),
        "the metrics": stage.probe("/metrics").text,
        "the cluster": dump(stage),
        "every version of every object": json.dumps(chronicle._versions),
        "the journal of OVHcloud": json.dumps(stage.ovh.call("GET", "/log")),
        "what servers were installed with": json.dumps(
            [s["installs"] for s in stage.ovh.call("GET", "/state")["servers"].values()]
        ),
        "the tags at OVHcloud": json.dumps(
            [s["resource"] for s in stage.ovh.call("GET", "/state")["servers"].values()]
        ),
        **{
            f"the log of {cloud}": json.dumps(stage.one.call("GET", f"/log?cloud={cloud}"))
            for cloud in ("ovh-rbx", "paris")
        },
        **{f"the command {' '.join(command)}": printed(stage, command) for command in COMMANDS},
    }


def dump(stage):
    """All that the API server has, but Secrets."""
    kinds = stage.cluster.kubectl("api-resources", "--verbs=list", "-o", "name").stdout.split()
    wanted = [kind for kind in kinds if kind.partition(".")[0] not in NOT_TO_BE_READ]
    return stage.cluster.kubectl("get", ",".join(wanted), "-A", "-o", "yaml", timeout=120).stdout


def printed(stage, command):
    urls = {"ovh-eu": {"api": stage.ovh_connection["endpoint"], "token": stage.ovh_connection["tokenURL"]}}
    environment = stage.cluster.environment() | {
        "PYTHONPATH": ":".join(p for p in sys.path if p),
        "SOVEREIGN_NAMESPACE": SYSTEM,
        "SOVEREIGN_OVH_ENDPOINTS": json.dumps(urls),
    }
    done = subprocess.run(
        [sys.executable, "-m", "sovereigncloud.cli", command[0], "-n", "platform", *command[1:]],
        env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, (command, done.stdout, done.stderr)
    return done.stdout + done.stderr


def test_no_secret_is_in_anything_that_was_produced(produced, secrets):
    assert leaks(produced, secrets) == []


def test_there_was_much_to_look_through_and_much_to_look_for(produced, secrets):
    for text in produced.values():
        assert text
    for kind in ("Job", "Event", "ConfigMap", "Lease", "BareMetalServer", "HostedInstance"):
        assert f"\n  kind: {kind}\n" in produced["the cluster"], kind
    assert all(level in produced["the operator's log"] for level in ("INFO", "WARNING"))
    assert "answered 403" in produced["the operator's log"]
    kept = {name.partition(" ")[0] for name in secrets}
    assert {
        "ovh-account.clientSecret", "ovh-keys.applicationKey", "ovh-keys.applicationSecret", "ovh-keys.consumerKey",
        "ovh-rbx-oneadmin.password", "ovh-rbx-oneadmin.sshPrivateKey", "wrong-client.clientSecret", "wrong-password.password",
        "token",
    } <= kept  # fmt: skip


@pytest.mark.parametrize("what", ["wrong-keys.consumerKey", "ovh-rbx-oneadmin.sshPrivateKey", "token 0"])
def test_one_that_is_planted_is_found(built, secrets, what):
    """In a ConfigMap, as somebody would put it there who does not think."""
    name, value = max((item for item in secrets.items() if item[0].startswith(what)), key=lambda item: len(item[1]))
    planted = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "planted", "namespace": "platform"},
        "data": {"notes": f"do not forget: {value}"},
    }
    built.apply(planted)
    try:
        assert leaks({"the cluster": dump(built)}, secrets) == [f"{name} in the cluster"]
    finally:
        built.cluster.kubectl("delete", "configmap", "planted", "-n", "platform")
