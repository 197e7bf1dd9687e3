"""The guards below `plan` and `describe`: whatever asks, nothing but reads gets out."""

import inspect

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from sovereigncloud.api.common.base import Key
from sovereigncloud.engine.loop.read_only_context import (
    INNER_READS,
    INSTALLER_READS,
    KUBERNETES_READS,
    ONE_INNER_READS,
    OPENNEBULA_READS,
    OVH_READS,
    WriteRefusedError,
    only_reads,
)
from sovereigncloud.ports.errors import Auth, Rejected
from sovereigncloud.ports.installer.installation import Installer
from sovereigncloud.ports.kubernetes import Kubernetes
from sovereigncloud.ports.opennebula.client import OpenNebula
from sovereigncloud.ports.opennebula.infrastructure import Parts
from sovereigncloud.ports.opennebula.migration import Moves
from sovereigncloud.ports.opennebula.storage import Storage
from sovereigncloud.ports.opennebula.zones import Zones as FederationZones
from sovereigncloud.ports.ovh.account import Ovh
from sovereigncloud.ports.ovh.dns import Zones
from sovereigncloud.ports.ovh.iam import Rights
from sovereigncloud.ports.ovh.inventory import Inventory
from sovereigncloud.ports.ovh.orders import Shop
from sovereigncloud.ports.ovh.vrack import Vracks
from sovereigncloud.providers.kubernetes.api import KubernetesApi
from sovereigncloud.providers.kubernetes.connection import Connection
from sovereigncloud.providers.kubernetes.read_only import ReadingKubernetesApi

WRITING_WORDS = (
    "create", "save", "update", "delete", "attach", "detach", "add", "resize", "remove", "enable", "disable", "rename", "act",
    "instantiate", "reinstall", "tag", "untag", "set", "start", "apply", "generate", "park", "change", "publish", "open", "fill",
    "describe", "drop", "check", "pay", "end",
)  # fmt: skip
PORTS = [
    (OpenNebula, OPENNEBULA_READS), (Ovh, OVH_READS), (Installer, INSTALLER_READS), (Kubernetes, KUBERNETES_READS),
    (Vracks, INNER_READS["vracks"]), (Zones, INNER_READS["zones"]), (Shop, INNER_READS["orders"]),
    (Parts, ONE_INNER_READS["parts"]), (Storage, ONE_INNER_READS["storage"]), (FederationZones, ONE_INNER_READS["zones"]),
    (Moves, ONE_INNER_READS["moves"]),
]  # fmt: skip
KEY = Key("HostedInstance", "team", "web")


def verbs(port):
    """Its verbs, and the ports in it."""
    found = (inspect.getmembers(port, kind) for kind in (inspect.isfunction, lambda one: isinstance(one, property)))
    return {name for members in found for name, _ in members if not name.startswith("_")}


@pytest.mark.parametrize(("port", "reads"), PORTS)
def test_a_port_gives_its_reads_and_refuses_everything_else(port, reads):
    class Everything:
        def __getattr__(self, verb):
            return verb

    guarded = only_reads(Everything(), reads, "it")
    assert reads <= verbs(port), "what is allowed exists"
    for verb in sorted(verbs(port)):
        if verb in reads:
            assert getattr(guarded, verb) == verb
        else:
            with pytest.raises(WriteRefusedError, match=verb):
                getattr(guarded, verb)


@pytest.mark.parametrize(("port", "reads"), PORTS)
def test_no_verb_that_sounds_like_a_write_is_allowed(port, reads):
    writes = {v for v in verbs(port) if v.split("_")[0] in WRITING_WORDS and v != "reinstall_tasks"}
    assert writes
    assert not writes & reads


def test_a_port_in_it_that_also_writes_is_guarded_as_well():
    class Everything:
        def __getattr__(self, verb):
            return Everything()

    guarded = only_reads(Everything(), OVH_READS, "OVHcloud", INNER_READS)
    for inner, reads in INNER_READS.items():
        for verb in reads:
            assert getattr(getattr(guarded, inner), verb)
    with pytest.raises(WriteRefusedError, match="OVHcloud orders: pay is not a read"):
        _ = guarded.orders.pay


@pytest.mark.parametrize("inner", [Rights, Inventory])
def test_a_port_that_is_let_through_as_a_whole_only_reads(inner):
    assert not {v for v in verbs(inner) if v.split("_")[0] in WRITING_WORDS}


@pytest.fixture
async def api_server():
    """An API server that answers everything and keeps what it was asked."""
    asked = []

    async def answer(request):
        asked.append((request.method, request.path_qs))
        if request.path.endswith("/events"):
            return web.json_response({"items": [{"lastTimestamp": "2"}, {"lastTimestamp": "1"}]})
        if request.path.endswith("forbidden"):
            return web.json_response({"message": "no"}, status=403)
        more = {"continue": "next"} if "limit" in request.query and "continue" not in request.query else {}
        return web.json_response({"metadata": more, "items": [{"metadata": {"name": f"o{len(asked)}"}}]})

    app = web.Application()
    app.router.add_route("*", "/{anything:.*}", answer)
    server = TestServer(app)
    await server.start_server()
    connection = Connection(str(server.make_url("")).rstrip("/"), None, "token", "", None)
    async with ReadingKubernetesApi(connection) as api:
        yield api, asked
    await server.close()


async def test_reads_go_out_as_get(api_server):
    api, asked = api_server
    assert await api.answers()
    assert [o["metadata"]["name"] async for o in api.objects_in("HostedInstance", "team")] == ["o2", "o3"]
    assert [o["kind"] async for o in api.objects("HostedInstance")] == ["HostedInstance"] * 2
    assert await api.object(KEY) is not None
    assert [e["lastTimestamp"] for e in await api.events(KEY)] == ["1", "2"]
    assert {method for method, _ in asked} == {"GET"}
    assert "fieldSelector=involvedObject.kind%3DHostedInstance,involvedObject.name%3Dweb" in asked[-1][1]


WRITES = [
    ("patch_status", ("HostedInstance", "team", "web", "uid", {})),
    ("patch_finalizers", ("HostedInstance", "team", "web", "1", [])),
    ("apply", ({"kind": "HostedInstance", "metadata": {"namespace": "team", "name": "web"}},)),
    ("delete", KEY),
    ("create_secret", ("team", "s", {}, {})),
    ("generate_credentials", ("team", "s", "u", {})),
    ("generate_login", ("team", "s", "u", {})),
    ("delete_secret", ("team", "s")),
    ("create_event", ("team", {})),
    ("patch_event", ("team", "e", {})),
    ("create_config_map", ("team", "c", {}, {})),
    ("create_job", ("team", {})),
]


@pytest.mark.parametrize(("verb", "arguments"), WRITES)
async def test_a_write_never_leaves_the_process(api_server, verb, arguments):
    api, asked = api_server
    with pytest.raises(Rejected, match="only reads"):
        await getattr(api, verb)(*arguments)
    assert asked == []


async def test_nor_does_one_of_the_port_inside(api_server):
    api, asked = api_server
    with pytest.raises(Rejected, match="only reads"):
        await api.admission.delete_binding("eu")
    assert asked == []


def test_the_writes_above_are_all_there_are():
    known = {verb for verb, _ in WRITES} | {"write_lease", "guard_secret", "tell_holdings", "admission"}
    reads = {
        "objects",
        "objects_in",
        "namespace_labels",
        "object",
        "secret",
        "events",
        "config_map",
        "holdings",
        "lease",
        "job",
        "jobs",
        "pods",
        "answers",
        "kind_is_going",
    }
    assert verbs(KubernetesApi) - known <= reads


async def test_nobody_there_is_no_answer():
    nowhere = Connection("http://127.0.0.1:1", None, "", "", None)
    async with ReadingKubernetesApi(nowhere) as api:
        assert not await api.answers()


async def test_a_refusal_is_an_answer_too(api_server, monkeypatch):
    api, _ = api_server

    async def refused(*_, **__):
        raise Auth("no")

    monkeypatch.setattr(KubernetesApi, "_request", refused)
    assert await api.answers()
