"""Raft between the front-ends of one zone: leader, followers, elections, loss of a quorum.

All of them have the same database as far as the leader could write it to most of them, so there is one here. What takes
time - that a leader is missed, that one is elected - is read off the clock, as everything in this simulator is.
"""

from collections.abc import Sequence

from sovereigncloud_sandbox.opennebula.cloud import Cloud
from sovereigncloud_sandbox.opennebula.errors import internal
from sovereigncloud_sandbox.opennebula.model_federation import NO_INDEX, Raft, RaftState, Server
from sovereigncloud_sandbox.opennebula.model_people import ZoneServer

_CAMPAIGN = 2.0  # seconds from one vain election to the next (observed: terms 5 to 13 in 16 s)
_RECORDS = 2  # of a write in the log, about


class Unanswered(Exception):
    """A leader waits for most of the others before it answers, for ever if they do not come back."""

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud.name)
        self.cloud = cloud  # whose leader it is: a slave's call may hang at the master


def answers(cloud: Cloud, server: int | None) -> bool:
    """Whether somebody takes a connection there; without a server: at the address that follows the leader."""
    servers = cloud.raft.servers
    if cloud.down:
        return False
    if not servers:
        return True
    _keep_time(cloud)
    asked = answering(cloud, server)
    return asked in servers and servers[asked].alive


def answering(cloud: Cloud, server: int | None) -> int:
    """Which front-end answers: the one that was asked, or at the address that follows the leader the leader; -1: none."""
    leader = cloud.raft.leader
    return server if server is not None else NO_INDEX if leader is None else leader


def writable(cloud: Cloud) -> bool:
    """Whether a write would be answered."""
    _keep_time(cloud)
    raft = cloud.raft
    return not raft.servers or (raft.leader is not None and raft.servers[raft.leader].alive and _quorum(cloud))


def state_of(cloud: Cloud, server: int | None) -> RaftState:
    """What a front-end takes itself for."""
    raft = cloud.raft
    if not raft.servers:
        return RaftState.SOLO
    _keep_time(cloud)
    if raft.leader is not None:
        return RaftState.LEADER if server in {None, raft.leader} else RaftState.FOLLOWER
    if cloud.clock - raft.lost_at < cloud.speeds.election:
        return RaftState.FOLLOWER
    # Who campaigns with ever higher terms makes followers of the others, who follow nobody.
    campaigns = not _disturbed(cloud) or (server is not None and raft.servers[server].removed)
    return RaftState.CANDIDATE if campaigns else RaftState.FOLLOWER


def admit(cloud: Cloud, server: int | None) -> None:
    """A write comes to a front-end: a follower passes it to the leader, and the leader has most of the others write it.

    Raises:
        OneError: 0x2000, nobody leads.
        Unanswered: the leader waits.
    """
    raft = cloud.raft
    if not raft.servers:
        return
    state = state_of(cloud, server)
    if state is RaftState.CANDIDATE:
        raise internal("Cannot process request, oned cluster in election mode")
    if raft.leader is None or not raft.servers[raft.leader].alive:
        raise internal("Cannot process request, no leader found")
    if not _quorum(cloud):
        raise Unanswered(cloud)


def written(cloud: Cloud) -> None:
    """A write was answered."""
    if cloud.raft.servers:
        cloud.raft.log_index += _RECORDS
        cloud.raft.commit = cloud.raft.log_index


def hangs(cloud: Cloud) -> None:
    """A write is in the leader's log, and nobody else has it."""
    cloud.raft.log_index += _RECORDS


def status(cloud: Cloud, server: int | None, fedlog_index: int) -> dict[str, int]:
    """RAFT, as a front-end tells it of itself."""
    raft = cloud.raft
    if not raft.servers:
        solo = {"SERVER_ID": -1, "STATE": 0, "TERM": 0, "VOTEDFOR": -1, "COMMIT": 0, "LOG_INDEX": -1, "LOG_TERM": -1}
        return {**solo, "FEDLOG_INDEX": fedlog_index}
    state = state_of(cloud, server)
    asked = answering(cloud, server)
    voted = raft.leader if raft.leader is not None else asked if state is RaftState.CANDIDATE else NO_INDEX
    behind = state is not RaftState.LEADER
    return {
        "SERVER_ID": asked,
        "STATE": int(state),
        "TERM": raft.term + _campaigns(cloud),
        "VOTEDFOR": voted,
        "COMMIT": raft.commit,
        "LOG_INDEX": raft.commit if behind else raft.log_index,
        "LOG_TERM": raft.term,
        "FEDLOG_INDEX": fedlog_index,
    }


# ------------------------------------------------------------------------------------------------------- the processes


def gather(cloud: Cloud, servers: Sequence[tuple[str, str]]) -> None:
    """The front-ends of a zone, by name and endpoint, have one database and know of one another; the first leads.

    What an installer does: each on record in the zone, a copy of the database and SERVER_ID for each.
    """
    zone = cloud.zones[cloud.federation.zone_id]
    zone.servers = [ZoneServer(oid, name, endpoint) for oid, (name, endpoint) in enumerate(servers)]
    zone.next_server = len(servers)
    cloud.raft = Raft({one.oid: Server(one.oid, one.endpoint) for one in zone.servers}, leader=0, term=1)
    written(cloud)


def stop(cloud: Cloud, server: int) -> None:
    """The oned of one front-end dies.

    Raises:
        LookupError: there is none.
    """
    _keep_time(cloud)
    raft, one = cloud.raft, _server(cloud, server)
    one.alive, one.log_index = False, raft.commit
    if raft.leader in {server, None}:
        _nobody_leads(cloud)


def start(cloud: Cloud, server: int) -> None:
    """The oned of one front-end is started, and has soon what it missed.

    Raises:
        LookupError: there is none.
    """
    _keep_time(cloud)
    raft, one = cloud.raft, _server(cloud, server)
    one.alive = True
    if raft.leader is None or one.removed:
        _nobody_leads(cloud)
    elif _quorum(cloud):
        raft.commit = raft.log_index


def removed(cloud: Cloud, server: int) -> None:
    """A server is no longer of the zone. One that still runs hears no leader, and has everybody vote again and again."""
    raft = cloud.raft
    if server in raft.servers:
        raft.servers[server].removed = True
        if raft.servers[server].alive:
            _nobody_leads(cloud)


def _server(cloud: Cloud, server: int) -> Server:
    if server not in cloud.raft.servers:
        raise LookupError(f"no server {server} of {cloud.name}; there are {sorted(cloud.raft.servers)}")
    return cloud.raft.servers[server]


def _nobody_leads(cloud: Cloud) -> None:
    raft = cloud.raft
    raft.term += _campaigns(cloud)
    raft.leader, raft.lost_at = None, cloud.clock


def _members(cloud: Cloud) -> list[int]:
    """Who has a vote. A zone that was just imported has nobody on record yet: its front-ends go on as they were."""
    zone = cloud.zones.get(cloud.federation.zone_id)
    on_record = [one.oid for one in zone.servers] if zone is not None else []
    return on_record or [oid for oid, one in cloud.raft.servers.items() if not one.removed]


def _alive(cloud: Cloud) -> list[int]:
    return [oid for oid in _members(cloud) if oid in cloud.raft.servers and cloud.raft.servers[oid].alive]


def _quorum(cloud: Cloud) -> bool:
    return 2 * len(_alive(cloud)) > len(_members(cloud)) and not _disturbed(cloud)


def _disturbed(cloud: Cloud) -> bool:
    """Whether somebody campaigns who is no longer of the zone."""
    return any(one.alive and one.removed for one in cloud.raft.servers.values())


def _campaigns(cloud: Cloud) -> int:
    """Elections since nobody leads."""
    raft = cloud.raft
    missed = cloud.clock - raft.lost_at - cloud.speeds.election
    return int(missed / _CAMPAIGN) + 1 if raft.leader is None and missed >= 0 else 0


def _keep_time(cloud: Cloud) -> None:
    """Elect who is to be elected by now: whoever has the longest log. What only the old leader had is lost."""
    raft = cloud.raft
    if not raft.servers or raft.leader is not None or not _quorum(cloud):
        return
    if cloud.clock - raft.lost_at >= cloud.speeds.election:
        raft.leader = max(_alive(cloud), key=lambda oid: (raft.servers[oid].log_index, -oid))
        raft.term += 1
        raft.log_index = raft.commit
        cloud.federation.start_replication(cloud.zones.values())
