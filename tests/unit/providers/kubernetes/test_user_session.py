"""What a person's commands say to the API server: the one write, watches, logs, and Secrets that are only looked for."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from sovereigncloud.api.common.base import PAUSED, Key
from sovereigncloud.ports.errors import Auth, NotFound, Rejected, Retry
from sovereigncloud.providers.kubernetes.connection import Connection
from sovereigncloud.providers.kubernetes.user_session import PersonKubernetesApi

KEY = Key("HostedInstance", "team", "web")
WEB = "/apis/sovereigncloud.io/v1alpha1/namespaces/team/hostedinstances"


class Script:
    """An API server that answers as it is told, one reply after the other, and keeps what it was asked."""

    def __init__(self, *replies):
        self.replies, self.asked = list(replies), []

    async def answer(self, request):
        body = await request.json() if request.can_read_body else None
        self.asked.append((request.method, request.path, dict(request.query), request.headers, body))
        reply = self.replies.pop(0) if self.replies else (200, "")
        if reply is None:
            await asyncio.sleep(3600)
        status, text = reply
        return web.Response(status=status, text=text if isinstance(text, str) else json.dumps(text))


@asynccontextmanager
async def talking(script):
    app = web.Application()
    app.router.add_route("*", "/{anything:.*}", script.answer)
    server = TestServer(app)
    await server.start_server()
    try:
        async with PersonKubernetesApi(Connection(f"http://{server.host}:{server.port}", None, "t", "", None)) as api:
            yield api
    finally:
        await server.close()


def event(what, name, version):
    return json.dumps({"type": what, "object": {"metadata": {"name": name, "resourceVersion": version}}}) + "\n"


def listed(version, *names):
    return {"metadata": {"resourceVersion": version}, "items": [{"metadata": {"name": name}} for name in names]}


async def told(changes, number):
    """The first messages: what happened, and to whom."""
    found = []
    async for what, objects in changes:
        found.append((what, [o["metadata"]["name"] for o in objects]))
        if len(found) == number:
            return found
    return found


async def test_an_annotation_is_a_merge_patch_of_it_alone_under_a_name_of_its_own():
    script = Script((200, {"metadata": {"name": "web"}}))
    async with talking(script) as api:
        await api.annotate(KEY, {PAUSED: None})
    ((method, path, query, headers, body),) = script.asked
    assert (method, path, query) == ("PATCH", f"{WEB}/web", {"fieldManager": "kubectl-sovereign"})
    assert headers["Content-Type"] == "application/merge-patch+json"
    assert body == {"metadata": {"annotations": {PAUSED: None}}}


async def test_every_other_write_is_refused_before_it_leaves():
    script = Script()
    async with talking(script) as api:
        with pytest.raises(Rejected, match="only reads"):
            await api.delete(*KEY)
    assert script.asked == []


async def test_a_watch_begins_where_the_list_ended_and_goes_on_where_it_broke_off():
    script = Script(
        (200, listed("7", "web")),
        (200, event("MODIFIED", "web", "8") + event("BOOKMARK", "", "9")),
        (200, event("DELETED", "web", "10")),
    )
    async with talking(script) as api:
        found = await told(api.changes("HostedInstance", "team", "web"), 3)
    assert found == [("LISTED", ["web"]), ("MODIFIED", ["web"]), ("DELETED", ["web"])]
    assert [query.get("resourceVersion") for _, _, query, _, _ in script.asked] == [None, "7", "9"]
    assert {query["fieldSelector"] for _, _, query, _, _ in script.asked} == {"metadata.name=web"}


async def test_a_version_that_is_too_old_is_listed_anew():
    expired = json.dumps({"type": "ERROR", "object": {"code": 410}}) + "\n"
    script = Script((200, listed("7", "web")), (200, expired), (200, listed("90", "web", "db")))
    async with talking(script) as api:
        assert await told(api.changes("HostedInstance", ""), 2) == [("LISTED", ["web"]), ("LISTED", ["web", "db"])]


async def test_an_api_server_that_goes_away_is_waited_for_once_it_has_answered(monkeypatch):
    monkeypatch.setattr("sovereigncloud.providers.kubernetes.user_session._AGAIN_AFTER", 0.01)
    script = Script((200, listed("7", "web")), (503, "away"), (503, "away"), (200, listed("8")))
    async with talking(script) as api:
        assert await told(api.changes("HostedInstance", "team"), 2) == [("LISTED", ["web"]), ("LISTED", [])]


@pytest.mark.parametrize(("status", "error"), [(403, Auth), (404, NotFound), (503, Retry)])
async def test_a_first_list_that_fails_is_an_error(status, error):
    async with talking(Script((status, {"message": "no"}))) as api:
        with pytest.raises(error):
            await told(api.changes("HostedInstance", "team"), 1)


async def test_a_log_comes_line_by_line_as_long_as_it_is():
    script = Script((200, "one\n" + "x" * 300_000 + "\nlast"))
    async with talking(script) as api:
        lines = [line async for line in api.log_lines("ns", "pod", "operator", follow=True, since=60, tail=10)]
    assert [len(line) for line in lines] == [3, 300_000, 4]
    ((_, path, query, _, _),) = script.asked
    assert path == "/api/v1/namespaces/ns/pods/pod/log"
    assert query == {"container": "operator", "follow": "true", "sinceSeconds": "60", "tailLines": "10"}


@pytest.mark.parametrize(
    ("reply", "there"), [((200, {"kind": "PartialObjectMetadata"}), True), ((404, {"message": "no"}), False)]
)
async def test_a_secret_is_looked_for_without_its_values(reply, there):
    script = Script(reply)
    async with talking(script) as api:
        assert await api.secret_is_there("team", "one") is there
    assert script.asked[0][3]["Accept"].startswith("application/json;as=PartialObjectMetadata;g=meta.k8s.io")


@pytest.mark.parametrize(
    ("items", "names", "why"),
    [
        ([{"metadata": {"namespace": "team", "name": "web"}}], [("team", "web")], "one"),
        (None, [], "none: the API server writes null"),
    ],
)
async def test_names_come_without_contents(items, names, why):
    script = Script((200, {"items": items}))
    async with talking(script) as api:
        assert await api.names("HostedInstance", "team") == names, why
    assert "PartialObjectMetadataList" in script.asked[0][3]["Accept"]


async def test_nobody_there_is_an_error_that_says_where():
    async with PersonKubernetesApi(Connection("http://127.0.0.1:1", None, "", "", None)) as api:
        with pytest.raises(Retry, match="Kubernetes GET /api/v1/namespaces/ns/pods/pod/log"):
            _ = [line async for line in api.log_lines("ns", "pod", "c", follow=False, since=None, tail=None)]
