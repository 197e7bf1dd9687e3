"""The adapter of OpenNebula when the front-end, or what lies before it, is ill."""

import asyncio
import datetime as dt
import ipaddress
import logging
import re
import socket
import threading
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sovereigncloud.ports.errors import Auth, Conflict, NotFound, Quota, Rejected, Retry
from sovereigncloud.providers.opennebula.errors import TABLE, error_of
from sovereigncloud.providers.opennebula.factory import open_nebula_factory
from sovereigncloud.providers.opennebula.session import Timeout
from sovereigncloud_sandbox.faults import parse_rule
from sovereigncloud_sandbox.opennebula import mischief
from sovereigncloud_sandbox.opennebula.install import CloudSpec, HostSpec, TlsSpec
from sovereigncloud_sandbox.opennebula.sandbox import open_sandbox

PASSWORD = "pa55-word"
SPEC = CloudSpec("ill", hosts=(HostSpec("127.0.0.2"),), oneadmin_password=PASSWORD)
QUICK = Timeout(1.0, 0.4)
VM = {"NAME": "web", "CPU": "1", "MEMORY": "64"}


@pytest.fixture
async def sandbox():
    async with open_sandbox(SPEC) as running:
        yield running


@pytest.fixture
def cloud(sandbox):
    return sandbox["ill"]


@pytest.fixture
def one(sandbox):
    client = make(sandbox.endpoint("ill"))
    yield client
    client.close()


def make(endpoint, *, authority="", timeout=QUICK, **limits):
    options = {"rate": 1000, "burst": 1000, "timeout": timeout, **limits}
    return open_nebula_factory(**options)(endpoint, "oneadmin", PASSWORD, authority)


# --------------------------------------------------------------------------------------------------------- the answers

HTML = "<html><body><h1>502 Bad Gateway</h1></body></html>"
ANSWERS = [
    ("nothing was done by what says 429", {"kind": "reply", "status": 429}, Retry, False),
    ("a gateway's 502 may come after the write", {"kind": "reply", "status": 502, "content_type": "text/html", "body": HTML}, Retry, True),
    ("an internal error may come after the write", {"kind": "reply", "status": 500, "body": "oops"}, Retry, True),
    ("HTML instead of XML-RPC, with status 200", {"kind": "reply", "status": 200, "content_type": "text/html", "body": HTML}, Retry, True),
    ("an empty answer", {"kind": "reply", "status": 200}, Retry, True),
    ("the connection is closed before anything", {"kind": "lost-request"}, Retry, True),
    ("the connection is closed after the write", {"kind": "lost-response"}, Retry, True),
    ("silence", {"kind": "latency", "seconds": 1.0}, Retry, True),
    ("something else lives there", {"kind": "reply", "status": 404}, Rejected, None),
    ("a redirect is not followed, it would carry the password elsewhere", {"kind": "reply", "status": 302, "headers": {"Location": "http://127.0.0.9/"}}, Rejected, None),
    ("a gateway wants to know who asks", {"kind": "reply", "status": 401}, Auth, None),
]  # fmt: skip


@pytest.mark.parametrize(("why", "rule", "error", "maybe_done"), ANSWERS, ids=[row[0] for row in ANSWERS])
async def test_what_an_answer_means_for_a_write(cloud, one, why, rule, error, maybe_done):
    cloud.faults.add(parse_rule({"path": "one.vm.allocate", "count": 1, **rule}))
    with pytest.raises(error) as failed:
        await one.create_vm(VM)
    assert getattr(failed.value, "maybe_done", None) is maybe_done, why
    assert PASSWORD not in str(failed.value)
    assert await one.create_vm(VM) >= 0, "the next call is not harmed by it"


async def test_a_lost_response_was_done(cloud, one):
    cloud.faults.add(parse_rule({"kind": "lost-response", "path": "one.vm.allocate", "count": 1}))
    with pytest.raises(Retry):
        await one.create_vm(VM)
    assert [vm.name for vm in (await one.view(0)).vms.values()] == ["web"]


async def test_a_write_may_take_effect_after_the_client_gave_up(cloud, one):
    cloud.faults.add(parse_rule({"kind": "late-effect", "path": "one.vm.allocate", "seconds": 0.3, "count": 1}))
    with pytest.raises(Retry):
        await one.create_vm(VM)
    assert not (await one.view(0)).vms
    await asyncio.sleep(0.4)
    assert [vm.name for vm in (await one.view(0)).vms.values()] == ["web"]


async def test_a_read_is_never_maybe_done(cloud, one):
    cloud.faults.add(parse_rule({"kind": "reply", "status": 503, "path": "one.vm.info"}))
    with pytest.raises(Retry) as failed:
        await one.vm(0)
    assert failed.value.maybe_done is False


async def test_retry_after_is_honoured(cloud, one):
    rule = {"kind": "reply", "status": 429, "headers": {"Retry-After": "1"}, "path": "one.vm.info", "count": 1}
    cloud.faults.add(parse_rule(rule))
    with pytest.raises(Retry) as failed:
        await one.vm(0)
    assert failed.value.after == 1
    began = time.monotonic()
    with pytest.raises(NotFound):
        await one.vm(0)
    assert time.monotonic() - began > 0.8


async def test_a_refused_connection_did_nothing():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        client = make(f"http://127.0.0.1:{taken.getsockname()[1]}/RPC2")
        with pytest.raises(Retry, match="no connection") as failed:
            await client.create_vm(VM)
    assert failed.value.maybe_done is False


async def test_a_front_end_that_is_down_is_not_asked_again_and_again(cloud, one):
    mischief.set_down(cloud)
    for _ in range(5):
        with pytest.raises(Retry):
            await one.vm(0)
    with pytest.raises(Retry, match="connection was closed") as failed:
        await one.vm(0)
    assert failed.value.after > 0
    assert failed.value.maybe_done is False


async def test_the_password_was_changed(cloud, one):
    await one.front()
    mischief.change_password(cloud, "another")
    with pytest.raises(Auth):
        await one.front()


async def test_one_broken_pool_breaks_the_view_with_a_plain_error(cloud, one):
    cloud.faults.add(parse_rule({"kind": "reply", "status": 500, "path": "one.imagepool.info"}))
    with pytest.raises(Retry):
        await one.view(0)


async def test_no_secret_is_told(cloud, one, caplog):
    caplog.set_level(logging.DEBUG)
    rules = ({"kind": "lost-request"}, {"kind": "reply", "status": 500}, {"kind": "latency", "seconds": 1})
    for rule in rules:
        cloud.faults.clear()
        cloud.faults.add(parse_rule({"path": "one.vm.info", **rule}))
        with pytest.raises(Retry) as failed:
            await one.vm(0)
        assert PASSWORD not in repr(failed.value) + str(failed.value)
    assert PASSWORD not in caplog.text
    assert PASSWORD not in repr(vars(one))


# ------------------------------------------------------------------------------------------------- time and numbers


async def test_a_timeout_ends_the_call_and_leaks_no_default(cloud, one):
    cloud.faults.add(parse_rule({"kind": "latency", "seconds": 5, "path": "one.vm.info"}))
    began = time.monotonic()
    with pytest.raises(Retry, match="in time"):
        await one.vm(0)
    assert time.monotonic() - began < 2
    assert socket.getdefaulttimeout() is None


async def test_a_server_that_trickles_ends_by_the_deadline():
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def trickle():
            connection, _ = listening.accept()
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
                while not stop.wait(0.1):
                    connection.sendall(b"<")

        thread = threading.Thread(target=trickle)
        thread.start()
        client = make(f"http://127.0.0.1:{listening.getsockname()[1]}/RPC2", deadline=0.6)
        began = time.monotonic()
        with pytest.raises(Retry, match="in time"):
            await client.vm(0)
        assert 0.5 < time.monotonic() - began < 3
        stop.set()
        thread.join()


async def test_connections_are_kept(sandbox, one):
    peers = set()
    running = sandbox._running["ill"].runner.server
    for _ in range(5):
        await one.front()
        peers |= {handler.transport.get_extra_info("peername") for handler in running.connections if handler.transport}
    assert len(peers) == 1


async def test_calls_at_once_are_limited(cloud, sandbox):
    client = make(sandbox.endpoint("ill"), threads=2, timeout=Timeout(1, 5))
    cloud.faults.add(parse_rule({"kind": "latency", "seconds": 0.2, "path": "one.vm.info"}))
    began = time.monotonic()
    results = await asyncio.gather(*(client.vm(oid) for oid in range(6)), return_exceptions=True)
    assert all(isinstance(result, NotFound) for result in results)
    assert 0.6 <= time.monotonic() - began < 2
    client.close()


async def test_calls_per_second_are_limited(sandbox):
    client = make(sandbox.endpoint("ill"), rate=20, burst=2)
    began = time.monotonic()
    await asyncio.gather(*(client.vm(oid) for oid in range(12)), return_exceptions=True)
    assert time.monotonic() - began >= 0.45
    client.close()


async def test_all_pages_of_machines_are_read_and_no_more(sandbox, cloud):
    client = make(sandbox.endpoint("ill"), timeout=Timeout(1, 30), threads=8)
    for start in range(0, 1200, 100):
        await asyncio.gather(*(client.create_vm({**VM, "NAME": f"vm{number}"}) for number in range(start, start + 100)))
    cloud.journal.reset()
    view = await client.view(0)
    assert len({vm.name for vm in view.vms.values()}) == 1200
    assert cloud.journal.count(route="one.vmpool.infoextended") == 2
    assert cloud.journal.count() == 11
    assert cloud.journal.count(route="one.user.info") == 1
    cloud.journal.reset()
    await client.view(0)
    assert cloud.journal.count() == 10, "who the user is was asked once"
    assert cloud.journal.writes() == 0
    client.close()


async def test_hosts_are_registered_one_after_the_other(cloud, one):
    """Two registrations at once may end under one name (OpenNebula/one#7527); these do not."""
    cloud.speeds.host_race_window = 0.001
    made = await asyncio.gather(*(one.create_host(f"10.0.0.{number}", "kvm", "kvm", 0) for number in range(4)))
    hosts = (await one.view(0)).hosts
    assert [hosts[oid].name for oid in made] == [f"10.0.0.{number}" for number in range(4)]


async def test_a_registration_overwritten_by_somebody_else_is_noticed(cloud, one):
    cloud.faults.add(parse_rule({"kind": "latency", "seconds": 0.2, "path": "one.host.info"}))
    cloud.speeds.host_race_window = 5
    registering = asyncio.create_task(one.create_host("10.0.0.1", "kvm", "kvm", 0))
    await asyncio.sleep(0.1)
    stranger = make_stranger(one)
    await stranger("one.host.allocate", "10.0.0.2", "kvm", "kvm", 0)
    with pytest.raises(Conflict, match=r"is called 10\.0\.0\.2"):
        await registering


def make_stranger(one):
    return one._calls.write


# ------------------------------------------------------------------------------------------------------------------ TLS


def certificate(address):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sandbox")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(address)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    secret = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return made.public_bytes(pem).decode(), secret.decode()


async def test_the_authority_of_a_secret_is_trusted_and_no_other():
    own, key = certificate(ipaddress.ip_address("127.0.0.1"))
    other, _ = certificate(ipaddress.ip_address("127.0.0.1"))
    spec = CloudSpec("tls", oneadmin_password=PASSWORD, tls=TlsSpec(own, key))
    async with open_sandbox(spec) as sandbox:
        endpoint = sandbox.endpoint("tls")
        assert endpoint.startswith("https://")
        client = make(endpoint, authority=own)
        assert (await client.front()).user_id == 0
        client.close()
        for authority in (other, ""):
            stranger = make(endpoint, authority=authority)
            with pytest.raises(Rejected, match="certificate verify failed") as failed:
                await stranger.front()
            assert failed.value.reason == "CertificateInvalid"
            stranger.close()


@pytest.mark.parametrize("endpoint", ["", "one.example.org", "ftp://one.example.org/", "http://"])
def test_what_is_no_endpoint_is_refused(endpoint):
    with pytest.raises(Rejected, match="no URL"):
        open_nebula_factory()(endpoint, "oneadmin", PASSWORD, "")


# ---------------------------------------------------------------------------------------------------- the error table

MEANINGS = [
    (0x100, "[one.vm.info] User couldn't be authenticated, aborting call.", Auth),
    (0x200, "[one.vm.info] User [2] : Not authorized to perform USE VM [0].", Auth),
    (0x200, "[one.vm.action] User [0] : VM is locked. [10].", Conflict),
    (0x200, "[one.vm.allocate] User [2] : user [2] limit of 1 reached for VMS quota in VM.", Quota),
    (0x400, "[one.vm.info] Error getting virtual machine [9999].", NotFound),
    (0x800, '[one.vm.action] Error performing action "poweroff": This action is not available for state POWEROFF', Conflict),
    (0x800, "[one.vm.attachnic] Could not add a new NIC to VM 1, wrong state HOTPLUG.", Conflict),
    (0x800, "[one.vm.resize] Not enough CPU: 90000/800", Quota),
    (0x800, "[one.image.allocate] Not enough space in datastore", Quota),
    (0x800, "[one.host.delete] Cannot delete host. Can not remove a host with running VMs", Conflict),
    (0x800, "[one.vn.delete] Cannot delete virtual network. Can not remove a virtual network with leases in use", Conflict),
    (0x800, "[one.vn.rename] virtual network cannot be renamed to a because it collides with virtual network 3", Conflict),
    (0x1000, "[one.user.login] Cannot create a full token with a specific group token", Rejected),
    (0x2000, "[one.vn.allocate] NAME is already taken by NET 0.", Conflict),
    (0x4000, "[one.host.allocate] Error allocating a new host. NAME is already taken by HOST 0.", Conflict),
    (0x2000, "[one.vm.allocate] Cannot process request, no leader found", Retry),
    (0x2000, "[one.vm.allocate] Cannot process request, zone disabled", Retry),
    (0x2000, "[one.user.allocate] Could not connect to the federation master oned", Retry),
    (0x2000, "[one.vm.allocate] Cannot get IP/MAC lease from virtual network 0.", Quota),
    (0x2000, "[one.vm.allocate] Cannot acquire image 0, it is persistent and already in use", Conflict),
    (0x2000, "[one.vm.allocate] User 0 does not own a network with name: x . Set NETWORK_UNAME or NETWORK_UID of owner in NIC.", Rejected),
    (0x2000, "[one.vm.allocate] Parse error: syntax error at line 1, columns 0:1", Rejected),
    (0x2000, "[one.vm.allocate] MEMORY attribute must be a positive integer value.", Rejected),
    (-506, "Method 'one.vm.exec' not defined", Rejected),
    (-501, "Parameter 1 is not of type int", Rejected),
    (0x8000, "[one.vm.action] The resource virtual machine is locked. [3].", Conflict),
    (0x8000, "[one.vm.action] odd", Conflict),
    (0x10000, "[one.vm.allocate] Error replicating log entry 36.", Retry),
    (0x200, "[one.vm.attach] User [2] : Template includes a restricted attribute SOURCE.", Rejected),
    (0x800, "[one.user.enable] Cannot enable/disable oneadmin user", Rejected),
    (0x800, "[one.vm.detachnic] Could not detach NIC with NIC_ID 3, it does not exist.", Conflict),
    (0x800, "[one.vm.attachsg] VM 1 SG 100 already in NIC 0", Conflict),
    (0x800, "[one.vm.migrate] VM is already running on host [1] and datastore [0]", Conflict),
    (0x800, "[one.vm.migrate] VM is not running in any host", Conflict),
    (0x2000, "[one.vm.updateconf] configuration cannot be updated in state BOOT", Conflict),
    (0x2000, "[one.image.persistent] Could not make image persistent: Image cannot be in state LOCKED.", Conflict),
    (0x2000, "[one.vm.disksaveas] VM has to be RUNNING, POWEROFF or SUSPENDED to save disks.", Conflict),
    (0x2000, "[one.vm.updatenic] VM 1 doesn't have NIC id 4", Conflict),
    (0x2000, "[one.vn.chown] user [2] already owns virtual network [3] with NAME web", Conflict),
    (-500, "std::bad_alloc", Retry),
    (-503, "Call is not valid XML.", Rejected),
    (-509, "XML-RPC request too large.", Rejected),
    (-510, "Invalid UTF-8 in the call", Rejected),
    (-505, "odd", Retry),
]  # fmt: skip


@pytest.mark.parametrize(("code", "message", "error"), MEANINGS, ids=[row[1] for row in MEANINGS])
def test_the_error_table(code, message, error):
    found = error_of(code, message, where="OpenNebula one.vm.info")
    assert type(found) is error
    assert not found.message.startswith("["), "the prefix differs between versions and says nothing"
    if isinstance(found, Retry):
        assert found.maybe_done is (code in {0x10000, -500}), "oned answered, so it did not do it, but for these two"


def test_every_row_of_the_table_is_reached():
    reached = set()
    for code, message, _ in [
        *MEANINGS,
        (0x800, "odd", 0),
        (0x4000, "odd", 0),
        (0x2000, "Address Range has leases in use", 0),
    ]:
        reached.add(
            next(
                row
                for row in TABLE
                if row.code in (0, code) and re.search(row.words, re.sub(r"^\[[^\]]*\] ", "", message))
            )
        )
    assert [row.why for row in TABLE if row not in reached] == []
