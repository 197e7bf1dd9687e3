"""A cloud under its name and certificate, and the installer that runs again only after a person's word.

The name leads through a proxy, as it would in a company: no name server of this machine knows it.
"""

import base64
import ssl

import pytest
from tests.fakes.connect_proxy import ConnectProxy
from tests.integration.hosted_scenes import FRONT, NODE, account, hosted, image, instance, server_named

from sovereigncloud_sandbox.certificates import Authority
from sovereigncloud_sandbox.stage import condition

FQDN = "one-rbx.example.fr"
AUTHORITY = Authority.create("a ministry")
WORD = "spec.hosted.openNebula.install.rerun.request"


@pytest.fixture(scope="module")
def proxy(bare_stage):
    with ConnectProxy({FQDN: (bare_stage.address(10), 443)}) as running:
        yield running


@pytest.fixture(scope="module")
def stage(bare_stage, proxy):
    """The operator goes out through the proxy."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("HTTPS_PROXY", proxy.url)
        environment.setenv("NO_PROXY", "127.0.0.0/8,localhost")
        bare_stage.start_operator()
    yield bare_stage
    print(bare_stage.log()[-8000:])


def certificate():
    """The Secret as cert-manager writes it, of a certificate that was issued just now."""
    pair = AUTHORITY.issue("one", names=[FQDN])
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": "one-rbx-tls", "namespace": "platform"},
        "stringData": {
            "tls.crt": pair.certificate.decode(),
            "tls.key": pair.key.decode(),
            "ca.crt": AUTHORITY.pem.decode(),
        },
    }


def cloud(*, access=None, rerun=""):
    found = hosted()
    for name in ("one-1", "one-2"):
        server_named(found, name).pop("reinstall")
    if access:
        found["spec"]["hosted"]["access"] = access
    if rerun:
        found["spec"]["hosted"]["openNebula"]["install"]["rerun"] = {"request": rerun}
    return found


NAMED = {"fqdn": FQDN, "tls": {"secretRef": {"name": "one-rbx-tls"}}}


def jobs(stage):
    found = stage.cluster.get("jobs", "-n", "platform")["items"]
    return sorted(found, key=lambda job: job["metadata"]["creationTimestamp"])


def told(job):
    return {e["name"]: e.get("value", "") for e in job["spec"]["template"]["spec"]["containers"][0]["env"]}


def served(stage):
    """The certificate that the front-end shows."""
    return ssl.get_server_certificate((stage.address(10), 443)).strip()


def wanted(stage):
    secret = stage.cluster.get("secret", "one-rbx-tls", "-n", "platform")
    return base64.b64decode(secret["data"]["tls.crt"]).decode().strip()


@pytest.fixture(scope="module")
def built(stage, chronicle):
    """Without a name at first, and with a machine in it."""
    stage.apply([account(stage), cloud()])
    ready = chronicle.ready("SovereignCloud", "ovh-rbx", 120)
    stage.apply([image("ovh-rbx"), instance("web", "ovh-rbx", "vm_public")])
    chronicle.ready("HostedInstance", "web", 60)
    return ready


def test_a_certificate_that_is_not_there_is_named_and_nothing_else_happens(stage, built, chronicle):
    stage.apply(cloud(access=NAMED))
    where = "one-rbx-tls"
    chronicle.until(
        "told", lambda: where in chronicle.condition("SovereignCloud", "ovh-rbx", "Ready").get("message", ""), 30
    )
    assert len(jobs(stage)) == 1


def test_the_run_that_it_needs_is_in_the_plan_with_its_servers_and_waits(stage, built, chronicle):
    stage.apply(certificate())

    def planned():
        steps = (chronicle.get("SovereignCloud", "ovh-rbx")["status"].get("plan") or {}).get("steps") or []
        return next((s for s in steps if s["action"] == "Install"), None)

    step = chronicle.until("planned", planned, 40)
    assert step["target"] == "OpenNebula 7.0 on one-1, one-2"
    assert step["needs"].startswith(f"{WORD}: ")
    waiting = condition(chronicle.get("SovereignCloud", "ovh-rbx"), "Reconciling")
    assert (waiting["reason"], WORD in waiting["message"]) == ("ApprovalRequired", True)
    status = chronicle.get("SovereignCloud", "ovh-rbx")["status"]
    assert status["endpoint"].startswith("http://"), "until then it is where it was"
    assert len(jobs(stage)) == 1
    built["word"] = step["needs"].partition(": ")[2]


def test_with_the_word_it_answers_under_its_name_and_the_machine_never_noticed(stage, built, chronicle, proxy):
    before = stage.cloud("ovh-rbx")["vms"]
    stage.apply(cloud(access=NAMED, rerun=built["word"]))
    chronicle.until(
        "under its name",
        lambda: chronicle.get("SovereignCloud", "ovh-rbx")["status"]["endpoint"] == f"https://{FQDN}/RPC2",
        60,
    )
    ready = chronicle.ready("SovereignCloud", "ovh-rbx", 60)
    assert ready["status"]["sunstone"] == f"https://{FQDN}"
    assert ready["status"]["adminSecret"] == "ovh-rbx-oneadmin"
    assert len(jobs(stage)) == 2
    assert told(jobs(stage)[1])["PLAYBOOKS"].split()[1:3] == ["certificate.yml", "opennebula.deploy.main"]
    assert served(stage) == wanted(stage)
    assert f"{FQDN}:443" in proxy.asked
    assert [v["id"] for v in stage.cloud("ovh-rbx")["vms"]] == [v["id"] for v in before]


def test_the_key_is_in_no_object_but_its_secret(stage, built):
    secret = stage.cluster.get("secret", "one-rbx-tls", "-n", "platform")["data"]
    key = base64.b64decode(secret["tls.key"]).decode().splitlines()[1]
    everything = [
        stage.cluster.kubectl("get", kind, "-n", "platform", "-o", "yaml").stdout for kind in ("jobs", "scloud")
    ]
    assert not any(key in text for text in (*everything, stage.log()))


def test_a_renewed_certificate_is_brought_without_a_word(stage, built, chronicle):
    seen = chronicle.mark
    stage.apply(certificate())
    stage.until(lambda: served(stage) == wanted(stage), "renewed", seconds=40)
    chronicle.ready("SovereignCloud", "ovh-rbx", 60)
    assert len(jobs(stage)) == 3
    assert told(jobs(stage)[2])["PLAYBOOKS"] == "certificate.yml"
    states = [condition(o, "Ready")["status"] for o in chronicle.versions("SovereignCloud", "ovh-rbx", seen)]
    assert set(states) == {"True"}, "Ready does not flap"


def test_a_restart_of_the_operator_runs_nothing(stage, built, chronicle, proxy):
    writes = stage.ovh_mark
    stage.stop_operator()
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("HTTPS_PROXY", proxy.url)
        environment.setenv("NO_PROXY", "127.0.0.0/8,localhost")
        stage.start_operator()
    stage.annotate("SovereignCloud", "ovh-rbx", reconcile_requested_at="1")
    chronicle.until(
        "looked", lambda: chronicle.get("SovereignCloud", "ovh-rbx")["status"].get("lastHandledReconcileAt") == "1", 40
    )
    chronicle.ready("SovereignCloud", "ovh-rbx", 40)
    assert stage.ovh_writes(writes) == []
    assert len(jobs(stage)) == 3


def test_the_word_again_asks_for_nothing_and_a_new_one_for_one_run(stage, built, chronicle):
    stage.apply(cloud(access=NAMED))
    chronicle.ready("SovereignCloud", "ovh-rbx", 40)
    stage.apply(cloud(access=NAMED, rerun=built["word"]))
    chronicle.ready("SovereignCloud", "ovh-rbx", 40)
    assert len(jobs(stage)) == 3, "a revert in Git"
    stage.apply(cloud(access=NAMED, rerun="again"))
    stage.until(lambda: len(jobs(stage)) == 4, "run again", seconds=30)
    chronicle.ready("SovereignCloud", "ovh-rbx", 60)
    tags = stage.server(FRONT)["resource"]["tags"]
    assert len(tags["sovereigncloud.io/reruns"].split(".")) == 2
    assert "sovereigncloud.io/reruns" not in stage.server(NODE)["resource"]["tags"]
