"""Several front-ends of one zone: who leads, and what those say who are left."""

import threading
import xmlrpc.client

import pyone
import pytest
import requests
from tests.contract.one_world import CANDIDATE, ELECTED, FOLLOWER, LEADER, Clock, raw_call
from tests.contract.test_one_shapes import missing, recorded

from sovereigncloud_sandbox.opennebula.background import BackgroundSandbox
from sovereigncloud_sandbox.opennebula.federation_mischief import start_server, stop_server
from sovereigncloud_sandbox.opennebula.install import CloudSpec, FrontEndSpec

ENDPOINT_GONE = "http://127.0.0.1:1/RPC2"


class Servers:
    """Three front-ends of one zone, each asked at its own endpoint."""

    def __init__(self, sandbox, clock):
        self.sandbox, self.clock = sandbox, clock
        self.endpoints = [one.endpoint for one in sandbox["lyon"].raft.servers.values()]
        self.session = "oneadmin:opennebula"

    def at(self, server):
        return pyone.OneServer(self.endpoints[server], session=self.session)

    @property
    def leading(self):
        """Who answers at the address that follows the leader."""
        return pyone.OneServer(self.sandbox.endpoint("lyon"), session=self.session)

    def status(self, server):
        return self.at(server).zone.raftstatus()

    def states(self):
        alive = [oid for oid, one in self.sandbox["lyon"].raft.servers.items() if one.alive]
        return {oid: self.status(oid).STATE for oid in alive}

    def do(self, act, server):
        self.sandbox.do(act, self.sandbox["lyon"], server)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def servers(clock):
    front_ends = tuple(FrontEndSpec(f"s{number}") for number in range(3))
    with BackgroundSandbox(CloudSpec("lyon", version="7.4.0", front_ends=front_ends), clock=clock) as sandbox:
        clock.pass_()
        yield Servers(sandbox, clock)


def test_one_leads_and_all_take_reads_and_writes(servers):
    assert servers.states() == {0: LEADER, 1: FOLLOWER, 2: FOLLOWER}
    found = servers.at(2).zone.info(0)
    assert [(one.ID, one.NAME, one.ENDPOINT) for one in found.SERVER_POOL.SERVER] == [
        (number, f"s{number}", endpoint) for number, endpoint in enumerate(servers.endpoints)
    ]
    before = servers.status(0).LOG_INDEX
    assert servers.at(1).user.allocate("prefect", "secret", "", []) == 2
    assert servers.at(2).user.info(2).NAME == servers.leading.user.info(2).NAME == "prefect"
    told = [servers.status(number) for number in range(3)]
    assert [one.SERVER_ID for one in told] == [0, 1, 2]
    assert {(one.TERM, one.VOTEDFOR, one.LOG_TERM, one.FEDLOG_INDEX) for one in told} == {(1, 0, 1, -1)}
    assert {one.LOG_INDEX for one in told} == {one.COMMIT for one in told}
    assert before < told[0].LOG_INDEX
    assert [int(servers.at(number).system.config().FEDERATION.SERVER_ID) for number in range(3)] == [0, 1, 2]


def test_another_is_elected_when_the_leader_stops(servers, clock):
    servers.do(stop_server, 0)
    with pytest.raises(OSError, match="Connection aborted"):
        servers.status(0)
    with pytest.raises(pyone.OneInternalException, match="no leader found"):
        servers.at(1).user.allocate("prefect", "secret", "", [])
    assert len(servers.at(1).userpool.info().USER) == 2
    clock.pass_(ELECTED)
    assert servers.states() == {1: LEADER, 2: FOLLOWER}
    assert servers.at(2).user.allocate("prefect", "secret", "", []) == 2
    assert servers.leading.user.info(2).NAME == "prefect"
    assert servers.status(2).TERM == 2
    servers.do(start_server, 0)
    assert servers.states() == {0: FOLLOWER, 1: LEADER, 2: FOLLOWER}
    assert servers.at(0).user.info(2).NAME == "prefect"


def test_without_most_of_them_a_leader_says_nothing_and_writes_hang(servers, clock):
    for number in (1, 2):
        servers.do(stop_server, number)
    clock.pass_(60)
    answers = []
    writing = threading.Thread(
        target=lambda: answers.append(servers.at(0).user.allocate("prefect", "secret", "", [])), daemon=True
    )
    writing.start()
    writing.join(0.4)
    told = servers.status(0)
    assert (writing.is_alive(), told.STATE) == (True, LEADER)
    assert told.LOG_INDEX > told.COMMIT
    assert len(servers.at(0).userpool.info().USER) == 2
    servers.do(start_server, 1)
    writing.join(5)
    assert answers == [2]
    told = servers.status(0)
    assert told.LOG_INDEX == told.COMMIT


def test_followers_that_are_too_few_campaign_until_one_comes_back(servers, clock):
    servers.do(stop_server, 0)
    servers.do(stop_server, 1)
    clock.pass_(10)
    assert servers.states() == {2: CANDIDATE}
    term = servers.status(2).TERM
    clock.pass_(4)
    assert servers.status(2).TERM > term > 1
    with pytest.raises(pyone.OneInternalException, match="in election mode"):
        servers.at(2).user.allocate("prefect", "secret", "", [])
    servers.do(start_server, 1)
    clock.pass_(ELECTED)
    assert sorted(servers.states().values()) == [FOLLOWER, LEADER]


def test_a_server_that_is_deleted_while_it_runs_lets_nobody_lead(servers, clock):
    servers.leading.zone.delserver(0, 2)
    clock.pass_(16)
    assert servers.states() == {0: FOLLOWER, 1: FOLLOWER, 2: CANDIDATE}
    assert servers.status(2).TERM >= 7
    with pytest.raises(pyone.OneInternalException, match="no leader found"):
        servers.at(0).user.allocate("prefect", "secret", "", [])
    servers.do(stop_server, 2)
    clock.pass_(ELECTED)
    assert servers.states() == {0: LEADER, 1: FOLLOWER}
    assert [one.NAME for one in servers.at(1).zone.info(0).SERVER_POOL.SERVER] == ["s0", "s1"]


def test_a_server_that_is_added_and_not_there_counts(servers):
    for name in ("s3", "s4", "s5"):
        servers.leading.zone.addserver(0, f'SERVER=[NAME="{name}",ENDPOINT="{ENDPOINT_GONE}"]')
    assert [one.ID for one in servers.at(0).zone.info(0).SERVER_POOL.SERVER] == [0, 1, 2, 3, 4, 5]
    call = xmlrpc.client.dumps((servers.session, 0, 3), "one.zone.resetserver")
    with pytest.raises(requests.Timeout):  # three of six are not most of them
        requests.post(servers.endpoints[0], data=call, timeout=0.4)


@pytest.mark.parametrize(("role", "server"), [("leader", 0), ("follower", 1)])
def test_front_ends_have_the_recorded_shape(servers, role, server):
    ours = raw_call(servers.endpoints[server], servers.session, "one.zone.raftstatus")
    theirs = recorded(f"ha_{role}_raftstatus.xml")
    assert missing(theirs, ours) == []
    for field in ("SERVER_ID", "STATE", "TERM", "VOTEDFOR", "LOG_TERM", "FEDLOG_INDEX"):
        assert f"<{field}>" in ours
        assert ours.partition(f"<{field}>")[2].partition("<")[0] == theirs.partition(f"<{field}>")[2].partition("<")[0]
    zone = raw_call(servers.endpoints[server], servers.session, "one.zone.info", 0, False)
    assert missing(recorded("ha_zone_info.xml"), zone) == []


def test_a_cloud_whose_front_ends_have_no_place_is_not_there(servers):
    taken = servers.endpoints[0].split("/")[2]
    spec = CloudSpec("other", front_ends=(FrontEndSpec("s0"), FrontEndSpec("s1", listen=taken)))
    with pytest.raises(OSError, match="in use"):
        servers.sandbox.wait(servers.sandbox.sandbox.create(spec))
    assert servers.sandbox.sandbox.names() == ["lyon"]
