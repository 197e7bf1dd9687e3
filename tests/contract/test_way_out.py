"""The way out of the pod: authorities of one's own and a proxy, for OVHcloud and OpenNebula alike, against both simulators."""

import asyncio
import contextlib
import json
import ssl

import pytest

from sovereigncloud.engine.settings import SettingsError, settings
from sovereigncloud.ports.errors import OutsideError
from sovereigncloud.providers.certificate_trust import public_and
from sovereigncloud.wiring import open_nebula_clients, ovh_clients
from sovereigncloud_sandbox.certificates import Authority
from sovereigncloud_sandbox.opennebula.install import CloudSpec, TlsSpec
from sovereigncloud_sandbox.opennebula.sandbox import open_sandbox
from sovereigncloud_sandbox.ovh.server import Simulator
from sovereigncloud_sandbox.ovh.world import World

MINISTRY, STRANGER = Authority.create("a ministry"), Authority.create("a stranger")
PASSWORD = "pa55-word"


async def carry(reader, writer):
    with contextlib.closing(writer), contextlib.suppress(OSError):
        while chunk := await reader.read(65536):
            writer.write(chunk)
            await writer.drain()


@contextlib.asynccontextmanager
async def server(handle, **options):
    """A server on a free port; its port. Connections still open at the end are dropped."""
    tasks = set()

    async def accept(reader, writer):
        tasks.add(asyncio.current_task())
        with contextlib.closing(writer), contextlib.suppress(asyncio.CancelledError):
            await handle(reader, writer)

    listening = await asyncio.start_server(accept, "127.0.0.1", 0, **options)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks)
        await asyncio.sleep(0.05)  # a transport of TLS closes in the next turns of the loop


async def forward(reader, writer, host, port):
    other_reader, other_writer = await asyncio.open_connection(host, port)
    await asyncio.gather(carry(reader, other_writer), carry(other_reader, writer))


@contextlib.asynccontextmanager
async def behind_tls(port, directory):
    """What a company puts before an API: TLS with a certificate of its own authority."""
    pair = MINISTRY.issue("gateway", names=["127.0.0.1"])
    (directory / "pair.pem").write_bytes(pair.certificate + pair.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "pair.pem")
    async with server(lambda r, w: forward(r, w, "127.0.0.1", port), ssl=context) as gateway:
        yield gateway


@contextlib.asynccontextmanager
async def proxy(asked):
    """A proxy that tunnels: it notes whom it was asked for."""

    async def tunnel(reader, writer):
        request = (await reader.readuntil(b"\r\n\r\n")).decode()
        method, target, _ = request.split(" ", 2)
        asked.append((method, target))
        host, _, port = target.rpartition(":")
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await forward(reader, writer, host, int(port))

    async with server(tunnel) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def bundle(tmp_path):
    """As it is mounted: several certificates in one file."""
    path = tmp_path / "ca.crt"
    path.write_bytes(STRANGER.pem + MINISTRY.pem)
    return str(path)


@contextlib.asynccontextmanager
async def outside(directory):
    """Both simulators behind TLS: the endpoint of a cloud, and what the settings say of OVHcloud and its Secret's values."""
    pair = MINISTRY.issue("one", names=["127.0.0.1"])
    tls = TlsSpec(pair.certificate.decode(), pair.key.decode())
    async with open_sandbox(CloudSpec("tls", oneadmin_password=PASSWORD, tls=tls)) as one, Simulator(World()) as ovh:
        told, client = ovh.connection(), ovh.world.state.service_accounts[0]
        port = int(told["url"].rpartition(":")[2])
        async with behind_tls(port, directory) as gateway:
            urls = {key: told[name].replace(f"http://127.0.0.1:{port}", f"https://127.0.0.1:{gateway}") for key, name in (("api", "endpoint"), ("token", "tokenURL"))}  # fmt: skip
            account = {"clientId": client.client_id, "clientSecret": client.client_secret}
            yield one.endpoint("tls"), urls, account


@contextlib.contextmanager
def doors(place, **environment):
    """A cloud and an account as the operator opens them, with these settings."""
    endpoint, urls, secret = place
    wanted = settings({"SOVEREIGN_OVH_ENDPOINTS": json.dumps({"ovh-eu": urls}), **environment})
    cloud = open_nebula_clients(wanted)(endpoint, "oneadmin", PASSWORD, "")
    account = ovh_clients(wanted)("ovh-eu", secret)
    try:
        yield cloud, account
    finally:
        cloud.close()
        account._calls.close()


async def test_a_private_authority_is_believed_by_both_beside_the_public_ones(tmp_path, bundle):
    async with outside(tmp_path) as place:
        with doors(place, SOVEREIGN_CA_FILE=bundle) as (cloud, account):
            assert (await cloud.front()).version
            assert (await account.view(0, frozenset())).servers
        with doors(place) as (cloud, account):
            for call in (cloud.front(), account.view(0, frozenset())):
                with pytest.raises(OutsideError, match=r"(?i)certificate"):
                    await call
    public, both = public_and(), public_and(bundle)
    assert len(both.get_ca_certs()) == len(public.get_ca_certs()) + 2 > 50


async def test_the_authority_that_a_cloud_names_is_believed_alone(tmp_path, bundle):
    async with outside(tmp_path) as (endpoint, *_):
        make = open_nebula_clients(settings({"SOVEREIGN_CA_FILE": bundle}))
        named = make(endpoint, "oneadmin", PASSWORD, STRANGER.pem.decode())
        with pytest.raises(OutsideError, match=r"(?i)certificate"):
            await named.front()
        named.close()


async def test_the_convention_of_requests_is_kept(tmp_path, bundle, monkeypatch):
    """REQUESTS_CA_BUNDLE takes the place of the public authorities."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", bundle)
    async with outside(tmp_path) as place:
        with doors(place) as (cloud, account):
            assert (await cloud.front()).version
            assert (await account.view(0, frozenset())).servers
    assert len(public_and().get_ca_certs()) == 2


async def test_both_go_through_the_proxy_but_not_to_what_is_excepted(tmp_path, bundle, monkeypatch):
    asked = []
    async with outside(tmp_path) as place, proxy(asked) as url:
        monkeypatch.setenv("HTTPS_PROXY", url)
        for direct in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(direct, raising=False)
        with doors(place, SOVEREIGN_CA_FILE=bundle) as (cloud, account):
            assert (await cloud.front()).version
            assert (await account.view(0, frozenset())).servers
        wanted = {where.split("/")[2] for where in (place[0], place[1]["api"])}
        assert {method for method, _ in asked} == {"CONNECT"}
        assert {target for _, target in asked} == wanted
        asked.clear()
        monkeypatch.setenv("NO_PROXY", "127.0.0.0/8")
        with doors(place, SOVEREIGN_CA_FILE=bundle) as (cloud, account):
            assert (await cloud.front()).version
            assert (await account.view(0, frozenset())).servers
        assert asked == []


WRONG = [
    ("it is not there", None, "No such file"),
    ("it is no certificate", "not a certificate\n", "holds no certificate in PEM"),
    ("it is empty", "", "holds no certificate in PEM"),
]


@pytest.mark.parametrize(("why", "text", "said"), WRONG, ids=[row[0] for row in WRONG])
def test_a_file_of_authorities_that_cannot_be_used_is_told_at_start(tmp_path, why, text, said):
    path = tmp_path / "ca.crt"
    if text is not None:
        path.write_text(text)
    for make in (open_nebula_clients, ovh_clients):
        with pytest.raises(SettingsError, match=f"SOVEREIGN_CA_FILE: certificates of authorities in {path}: {said}"):
            make(settings({"SOVEREIGN_CA_FILE": str(path)}))
