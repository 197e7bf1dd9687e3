"""The one writer against a real API server: what it refuses, in which of our words, and what it leaves alone."""

import asyncio
import base64
import json
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from aiohttp import web

from sovereigncloud.api.common.base import FINALIZER
from sovereigncloud.api.schema.crd import manifests
from sovereigncloud.engine.cache.store import Store
from sovereigncloud.engine.leadership import Lease
from sovereigncloud.engine.telemetry.events import EventPoster
from sovereigncloud.ports.errors import Auth, Conflict, MissingSecret, NotFound, Rejected, Retry
from sovereigncloud.providers.kubernetes.api import KubernetesApi
from sovereigncloud.providers.kubernetes.connection import Connection

NAMESPACE = "one-writer"
CRDS = Path(__file__).parents[2] / "crds"


def instance(name, memory="4Gi"):
    return {
        "apiVersion": "sovereigncloud.io/v1alpha1",
        "kind": "HostedInstance",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"source": {"image": "ubuntu-24.04"}, "vcpu": 1, "memory": memory, "networks": [{"name": "vm_public"}]},
    }


@pytest.fixture(scope="module")
def cluster(control_plane):
    control_plane.install_crds(*(CRDS / name for name in manifests() if name.startswith("sovereigncloud.io_")))
    control_plane.kubectl("create", "namespace", NAMESPACE)
    yield control_plane
    control_plane.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def connection(cluster, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
    return Connection.load()


@pytest.fixture
async def api(cluster, monkeypatch):
    async with KubernetesApi(connection(cluster, monkeypatch)) as api:
        yield api


def apply(cluster, *bodies):
    listed = {"apiVersion": "v1", "kind": "List", "items": list(bodies)}
    cluster.kubectl("apply", "--filename=-", input=json.dumps(listed))


def get(cluster, kind, name):
    return cluster.get(kind, name, f"--namespace={NAMESPACE}")


@pytest.fixture
def made(cluster, request):
    """A fresh HostedInstance, taken away afterwards whatever holds it."""
    name = request.node.name.replace("_", "-").replace("[", "-").replace("]", "").lower()[:60].rstrip("-")
    apply(cluster, instance(name))
    yield get(cluster, "hostedinstances", name)
    cluster.kubectl(
        "patch", "hostedinstance", name, f"--namespace={NAMESPACE}", "--type=merge",
        '--patch={"metadata":{"finalizers":null}}', check=False,
    )  # fmt: skip
    cluster.kubectl("delete", "hostedinstance", name, f"--namespace={NAMESPACE}", "--ignore-not-found")


def version(body):
    return body["metadata"]["resourceVersion"]


def place(body):
    return body["kind"], body["metadata"]["namespace"], body["metadata"]["name"]


READY = {
    "type": "Ready",
    "status": "True",
    "reason": "AsDeclared",
    "message": "",
    "lastTransitionTime": "2026-11-24T10:00:00Z",
}


async def test_lists_come_in_pages_and_complete(cluster, api):
    names = {f"page-{number}" for number in range(7)}
    apply(cluster, *(instance(name) for name in names))
    found = [body async for body in api.objects("HostedInstance", limit=3)]
    assert names <= {body["metadata"]["name"] for body in found}
    assert len(found) == len({body["metadata"]["uid"] for body in found})
    assert api.requests["list", "hostedinstances"] >= 3
    store = Store()
    for body in found:
        store.put(body)
        assert store.get(next(iter(store.keys()))) is not None, "what a list brings has a kind and can be read"
    cluster.kubectl("delete", "hostedinstance", *names, f"--namespace={NAMESPACE}")


async def test_a_status_patch_writes_status_and_nothing_else(cluster, api, made):
    patch = {
        "observedGeneration": 1,
        "conditions": [READY],
        "state": "Running",
        "external": {"vm": "12"},
        "lastApprovedPlan": "ab",
    }
    reply = await api.patch_status(*place(made), version(made), patch)
    assert reply["status"]["external"] == {"vm": "12"}
    assert reply["kind"] == "HostedInstance"
    stored = get(cluster, "hostedinstances", made["metadata"]["name"])
    assert stored["status"] == reply["status"]
    assert stored["status"]["lastApprovedPlan"] == "ab"
    assert stored["spec"] == made["spec"]
    assert stored["metadata"]["generation"] == made["metadata"]["generation"]


async def test_keys_that_went_are_taken_away_by_null(api, made):
    first = await api.patch_status(*place(made), version(made), {"state": "Running", "external": {"vm": "1", "x": "2"}})
    reply = await api.patch_status(*place(made), version(first), {"state": None, "external": {"x": None}})
    assert "state" not in reply["status"]
    assert reply["status"]["external"] == {"vm": "1"}


async def test_a_patch_that_changes_nothing_gives_no_new_version(api, made):
    first = await api.patch_status(*place(made), version(made), {"state": "Running"})
    again = await api.patch_status(*place(made), version(first), {"state": "Running"})
    assert version(first) == version(again)


async def test_a_status_is_not_written_over_somebodys_change(cluster, api, made):
    cluster.kubectl("annotate", "hostedinstance", made["metadata"]["name"], f"--namespace={NAMESPACE}", "team=web")
    with pytest.raises(Conflict, match="modified"):
        await api.patch_status(*place(made), version(made), {"state": "Running"})


async def test_a_status_is_not_written_on_one_that_was_made_anew(cluster, api, made):
    name = made["metadata"]["name"]
    cluster.kubectl("delete", "hostedinstance", name, f"--namespace={NAMESPACE}")
    apply(cluster, instance(name))
    with pytest.raises(Conflict, match="modified"):
        await api.patch_status(*place(made), version(made), {"state": "Running"})
    assert "state" not in get(cluster, "hostedinstances", name)["status"]


async def test_what_the_schema_refuses_is_rejected_with_its_field(api, made):
    with pytest.raises(Rejected, match="observedGeneration"):
        await api.patch_status(*place(made), version(made), {"observedGeneration": "many"})
    twice = [{"path": "spec.memory"}, {"path": "spec.memory"}]
    with pytest.raises(Rejected, match="Duplicate value"):
        await api.patch_status(*place(made), version(made), {"drift": twice})


async def test_what_is_not_there_is_not_found(api):
    with pytest.raises(NotFound, match="nobody"):
        await api.patch_status("HostedInstance", NAMESPACE, "nobody", "x", {"state": "Running"})
    with pytest.raises(NotFound):
        await api.patch_finalizers("HostedInstance", NAMESPACE, "nobody", "1", [])


async def test_a_finalizer_comes_and_goes(cluster, api, made):
    reply = await api.patch_finalizers(*place(made), made["metadata"]["resourceVersion"], [FINALIZER])
    assert reply["metadata"]["finalizers"] == [FINALIZER]
    assert reply["metadata"]["generation"] == made["metadata"]["generation"]
    cluster.kubectl("delete", "hostedinstance", made["metadata"]["name"], f"--namespace={NAMESPACE}", "--wait=false")
    going = get(cluster, "hostedinstances", made["metadata"]["name"])
    last = await api.patch_finalizers(*place(made), going["metadata"]["resourceVersion"], [])
    assert last["metadata"]["deletionTimestamp"], "the reply tells that it is gone now"
    assert not last["metadata"].get("finalizers")
    with pytest.raises(NotFound):
        await api.patch_finalizers(*place(made), going["metadata"]["resourceVersion"], [])


async def test_a_finalizer_over_somebodys_change_is_a_conflict(cluster, api, made):
    cluster.kubectl("annotate", "hostedinstance", made["metadata"]["name"], f"--namespace={NAMESPACE}", "team=web")
    with pytest.raises(Conflict, match="modified"):
        await api.patch_finalizers(*place(made), made["metadata"]["resourceVersion"], [FINALIZER])
    assert "finalizers" not in get(cluster, "hostedinstances", made["metadata"]["name"])["metadata"]


async def test_no_finalizer_is_added_to_what_is_going(cluster, api, made):
    first = await api.patch_finalizers(*place(made), made["metadata"]["resourceVersion"], ["somebody.example/else"])
    cluster.kubectl("delete", "hostedinstance", made["metadata"]["name"], f"--namespace={NAMESPACE}", "--wait=false")
    going = get(cluster, "hostedinstances", made["metadata"]["name"])
    assert going["metadata"]["resourceVersion"] != first["metadata"]["resourceVersion"]
    with pytest.raises(Rejected, match="no new finalizers"):
        await api.patch_finalizers(
            *place(made), going["metadata"]["resourceVersion"], ["somebody.example/else", FINALIZER]
        )


async def test_children_are_applied_and_what_others_set_stays(cluster, api):
    child = {
        "apiVersion": "sovereigncloud.io/v1alpha1",
        "kind": "VirtualNetwork",
        "metadata": {"name": "child", "namespace": NAMESPACE, "labels": {"sovereigncloud.io/cloud": "paris"}},
        "spec": {"cloudRef": {"name": "paris"}, "vlanID": 100, "addressRanges": [{"ip": "10.0.0.10", "size": 20}]},
    }
    await api.apply(child)
    cluster.kubectl(
        "patch", "virtualnetwork", "child", f"--namespace={NAMESPACE}", "--type=merge",
        '--patch={"spec":{"driftPolicy":{"default":"Report"}}}',
    )  # fmt: skip
    before = get(cluster, "virtualnetworks", "child")
    await api.apply(child)
    after = get(cluster, "virtualnetworks", "child")
    assert after["spec"]["driftPolicy"] == {"default": "Report"}
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"], (
        "the same again changes nothing"
    )
    with pytest.raises(Rejected, match="vlanID"):
        await api.apply({**child, "spec": {**child["spec"], "vlanID": 9999}})
    await api.delete("VirtualNetwork", NAMESPACE, "child")
    await api.delete("VirtualNetwork", NAMESPACE, "child")


async def test_secrets_are_read_and_never_overwritten(cluster, api):
    with pytest.raises(MissingSecret, match=f"{NAMESPACE}/account does not exist"):
        await api.secret(NAMESPACE, "account")
    assert await api.create_secret(NAMESPACE, "account", {"username": "a", "password": "é"}, {"app": "x"})
    assert await api.secret(NAMESPACE, "account") == {"username": "a", "password": "é"}
    assert not await api.create_secret(NAMESPACE, "account", {"username": "other"}, {})
    assert not await api.generate_credentials(NAMESPACE, "account", "other", {})
    assert (await api.secret(NAMESPACE, "account"))["username"] == "a"
    assert await api.generate_credentials(NAMESPACE, "generated", "oneadmin", {})
    generated = await api.secret(NAMESPACE, "generated")
    assert generated.keys() == {"username", "password", "sshPrivateKey", "sshPublicKey"}
    assert generated["sshPublicKey"].startswith("ssh-ed25519 ")
    assert len(generated["password"]) >= 32
    assert "ownerReferences" not in get(cluster, "secrets", "generated")["metadata"]
    for name in ("account", "generated", "generated"):
        await api.delete_secret(NAMESPACE, name)


async def test_a_key_that_is_no_text_does_not_make_a_secret_unusable(cluster, api):
    binary = base64.b64encode(b"\xff\xfe\x00").decode()
    body = {
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "mixed", "namespace": NAMESPACE},
        "data": {"keystore": binary, "username": base64.b64encode(b"a").decode()},
    }  # fmt: skip
    apply(cluster, body)
    assert await api.secret(NAMESPACE, "mixed") == {"username": "a"}
    apply(cluster, {**body, "metadata": {**body["metadata"], "name": "empty"}, "data": {}})
    assert await api.secret(NAMESPACE, "empty") == {}


async def test_a_guarded_secret_outlives_its_deletion_and_nothing_else_on_it_is_touched(cluster, api):
    body = {
        "apiVersion": "v1", "kind": "Secret", "stringData": {"password": "x"},
        "metadata": {"name": "guarded", "namespace": NAMESPACE, "labels": {"a": "b"}, "finalizers": ["somebody.example/else"]},
    }  # fmt: skip
    apply(cluster, body)
    for _ in range(2):
        await api.guard_secret(NAMESPACE, "guarded", hold=True)
    metadata = get(cluster, "secrets", "guarded")["metadata"]
    assert metadata["finalizers"] == ["somebody.example/else", FINALIZER]
    assert metadata["labels"] == {"a": "b"}
    cluster.kubectl("delete", "secret", "guarded", f"--namespace={NAMESPACE}", "--wait=false")
    assert (await api.secret(NAMESPACE, "guarded"))["password"] == "x"
    for _ in range(2):
        await api.guard_secret(NAMESPACE, "guarded", hold=False)
    assert get(cluster, "secrets", "guarded")["metadata"]["finalizers"] == ["somebody.example/else"]
    await api.guard_secret(NAMESPACE, "guarded", hold=True)
    assert FINALIZER not in get(cluster, "secrets", "guarded")["metadata"]["finalizers"], "it is going already"
    cluster.kubectl(
        "patch",
        "secret",
        "guarded",
        f"--namespace={NAMESPACE}",
        "--type=merge",
        '--patch={"metadata":{"finalizers":null}}',
    )
    await api.guard_secret(NAMESPACE, "guarded", hold=True)
    await api.guard_secret(NAMESPACE, "nobodys", hold=False)


async def test_a_kind_is_going_only_with_its_crd(api):
    assert not await api.kind_is_going("HostedInstance")


async def test_events_are_shown_by_kubectl(cluster, api, made):
    store = Store()
    key, _ = store.put(made)
    poster = EventPoster(api)
    running = asyncio.create_task(poster.run())
    poster.post(store.get(key), "Warning", "DriftDetected", "x" * 2000)
    shown = ""
    for _ in range(100):
        await asyncio.sleep(0.05)
        shown = cluster.kubectl("describe", "hostedinstance", key.name, f"--namespace={NAMESPACE}").stdout
        if "DriftDetected" in shown:
            break
    running.cancel()
    assert "DriftDetected" in shown
    assert "sovereign-cloud-operator" in shown


async def test_of_two_that_race_for_the_lease_one_gets_it(cluster, api):
    def lease(name, lost):
        return Lease(api, namespace=NAMESPACE, name="race", identity=name, seconds=2, lost=lambda: lost.append(name))

    lost = []
    leases = [lease(name, lost) for name in "abcd"]
    tasks = [asyncio.create_task(each.acquire()) for each in leases]
    try:
        for _ in range(8):
            await asyncio.sleep(0.25)
            assert sum(each.held for each in leases) <= 1
        assert sum(each.held for each in leases) == 1
        holder = next(each for each in leases if each.held)
        assert get(cluster, "leases", "race")["spec"]["holderIdentity"] == holder._identity
        await holder.release()
        for _ in range(40):
            await asyncio.sleep(0.05)
            if sum(each.held for each in leases if each is not holder):
                break
        assert sum(each.held for each in leases) == 1, "released, the next one has it at once"
        assert lost == []
    finally:
        for task in tasks:
            task.cancel()
        for each in leases:
            await each.release()


async def test_a_lease_over_somebodys_write_is_a_conflict(cluster, api):
    body = {"metadata": {"name": "conflict", "namespace": NAMESPACE}, "spec": {"holderIdentity": "a"}}
    assert await api.lease(NAMESPACE, "conflict") is None
    first = await api.write_lease(NAMESPACE, "conflict", body, create=True)
    with pytest.raises(Conflict):
        await api.write_lease(NAMESPACE, "conflict", body, create=True)
    await api.write_lease(NAMESPACE, "conflict", {**first, "spec": {"holderIdentity": "b"}}, create=False)
    with pytest.raises(Conflict):
        await api.write_lease(NAMESPACE, "conflict", {**first, "spec": {"holderIdentity": "c"}}, create=False)
    assert (await api.lease(NAMESPACE, "conflict"))["spec"]["holderIdentity"] == "b"


async def test_a_config_map_is_made_once(api):
    assert await api.config_map(NAMESPACE, "installation") is None
    await api.create_config_map(NAMESPACE, "installation", {"id": "a"}, {})
    with pytest.raises(Conflict):
        await api.create_config_map(NAMESPACE, "installation", {"id": "b"}, {})
    assert await api.config_map(NAMESPACE, "installation") == {"id": "a"}


async def test_a_token_file_is_read_again_when_it_was_exchanged(cluster, monkeypatch, tmp_path):
    cluster.kubectl("create", "serviceaccount", "operator", f"--namespace={NAMESPACE}")
    cluster.kubectl(
        "create",
        "clusterrolebinding",
        "one-writer",
        "--clusterrole=cluster-admin",
        f"--serviceaccount={NAMESPACE}:operator",
    )
    token = cluster.kubectl("create", "token", "operator", f"--namespace={NAMESPACE}").stdout.strip()
    file = tmp_path / "token"
    file.write_text("expired\n")
    found = connection(cluster, monkeypatch)
    bare = Connection(found.host, _trusting(cluster), "", str(file), None)
    async with KubernetesApi(bare) as api:
        with pytest.raises(Auth):
            await api.config_map(NAMESPACE, "nothing")
        file.write_text(f"{token}\n")
        assert await api.config_map(NAMESPACE, "nothing") is None, "at once after a 401, not only after a minute"
        file.unlink()
        api._token_read = float("-inf")
        assert await api.config_map(NAMESPACE, "nothing") is None, "while it is being exchanged the last one serves"
    async with KubernetesApi(replace(bare, token_file="", token="wrong")) as api:
        with pytest.raises(Auth):
            await api.config_map(NAMESPACE, "nothing")
    cluster.kubectl("delete", "clusterrolebinding", "one-writer")


def _trusting(cluster):
    """The cluster's authority without anybody's client certificate."""
    import ssl  # noqa: PLC0415

    import yaml  # noqa: PLC0415

    document = yaml.safe_load(Path(cluster.kubeconfig).read_text())
    authority = base64.b64decode(document["clusters"][0]["cluster"]["certificate-authority-data"]).decode()
    return ssl.create_default_context(cadata=authority)


# --- what stands between here and the API server ---------------------------------------------------------------------


@asynccontextmanager
async def answering(handler):
    """An API over a server of ours that answers as we say."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        async with KubernetesApi(Connection(f"http://127.0.0.1:{port}", None, "", "", None), timeout=0.5) as api:
            yield api
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("why", "status", "body", "headers", "error", "says"),
    [
        ("an HTML page of a load balancer", 502, "<html>Bad gateway</html>", {}, Retry, "Bad gateway"),
        ("no such API, in plain text", 404, "404 page not found", {}, NotFound, "404 page not found"),
        ("nothing but a status", 403, "", {}, Auth, "HTTP 403"),
        ("JSON that is no Status", 409, "[1]", {}, Conflict, "[1]"),
        ("busy", 429, "Too many requests", {"Retry-After": "7"}, Retry, "Too many"),
        ("an unreadable success", 200, "{", {}, Retry, "JSONDecodeError"),
    ],
)
async def test_answers_that_are_not_the_api_servers(why, status, body, headers, error, says):
    async def handler(_):
        return web.Response(status=status, text=body, headers=headers)

    async with answering(handler) as api:
        with pytest.raises(error) as caught:
            await api.lease("ns", "x") if error is not NotFound else await api.patch_status(
                "HostedInstance", "ns", "x", "u", {}
            )
    assert says in str(caught.value), why
    if status == 429:
        assert caught.value.after == 7


async def test_a_server_that_never_answers_is_given_up():
    async def handler(_):
        await asyncio.sleep(5)

    async with answering(handler) as api:
        with pytest.raises(Retry) as caught:
            await api.create_config_map("ns", "x", {}, {})
    assert caught.value.maybe_done, "it may have been done"


async def test_a_server_that_is_not_there_did_nothing():
    async with KubernetesApi(Connection("http://127.0.0.1:9", None, "", "", None)) as api:
        with pytest.raises(Retry) as caught:
            await api.create_config_map("ns", "x", {}, {})
    assert not caught.value.maybe_done


async def test_a_list_that_expires_half_way_begins_anew():
    answers = iter(
        [
            (200, {"metadata": {"continue": "t1"}, "items": [{"metadata": {"name": "a"}}]}),
            (410, {"message": "The provided continue parameter is too old"}),
            (200, {"metadata": {"continue": "t2"}, "items": [{"metadata": {"name": "a"}}]}),
            (200, {"metadata": {}, "items": [{"metadata": {"name": "b"}}]}),
        ]
    )

    async def handler(_):
        status, body = next(answers)
        return web.json_response(body, status=status)

    async with answering(handler) as api:
        found = [body["metadata"]["name"] async for body in api.objects("HostedInstance")]
    assert found == ["a", "a", "b"]


def test_times_are_those_of_kubernetes():
    assert datetime.fromisoformat("2026-11-24T10:00:00Z").tzinfo == UTC
