"""Front-ends as zones of one federation: who writes what, and how it gets from the master to the slaves.

A master notes what changes in the shared tables in its federated log; a slave has what the master could push to it so
far. A slave passes calls that write shared tables on to the master. Who was cut off catches up by itself, but for one
case: a master that was restarted takes its slaves to be current and says nothing until the next federated write.
"""

from collections.abc import Iterable

from sovereigncloud_sandbox.opennebula import raft, shared_tables
from sovereigncloud_sandbox.opennebula.cloud import Cloud
from sovereigncloud_sandbox.opennebula.errors import internal
from sovereigncloud_sandbox.opennebula.model_federation import LOCAL_ZONE, Mode, OnedConf
from sovereigncloud_sandbox.opennebula.network import network_of

# What a slave passes on to the master, as it came (OpenNebula: RequestManagerXRPC.cc).
_PASSED_ON = {
    "acl": ("addrule", "delrule"),
    "group": ("allocate", "delete", "update", "addadmin", "deladmin"),
    "user": (
        "allocate",
        "update",
        "delete",
        "passwd",
        "chgrp",
        "addgroup",
        "delgroup",
        "chauth",
        "login",
        "enable",
    ),
    "zone": ("allocate", "update", "delete", "rename"),
    "vdc": (
        "allocate",
        "update",
        "delete",
        "rename",
        "addgroup",
        "delgroup",
        "addcluster",
        "delcluster",
        "addhost",
        "delhost",
        "adddatastore",
        "deldatastore",
        "addvnet",
        "delvnet",
    ),
    "market": ("update", "delete", "chmod", "chown", "rename", "enable"),
    "marketapp": ("update", "chmod", "chown", "enable", "rename", "lock", "unlock"),
}
PASSED_ON = frozenset(f"one.{family}.{verb}" for family, verbs in _PASSED_ON.items() for verb in verbs)
# Of the same families, what each zone does itself. Of these, what ends in the master's tables all the same.
_FEDERATED_TOO = frozenset(
    {
        "one.zone.enable",
        "one.zone.addserver",
        "one.zone.delserver",
        "one.market.allocate",
        "one.marketapp.allocate",
        "one.marketapp.delete",
    }
)
FEDERATED = PASSED_ON | _FEDERATED_TOO
UNREACHABLE = "Could not connect to the federation master oned"


# ------------------------------------------------------------------------------------------------------ during a call


def master_of(cloud: Cloud) -> Cloud | None:
    """The master that a slave's oned.conf names, if it answers."""
    network = network_of(cloud)
    place = network.reach(cloud, cloud.federation.conf.master_oned) if network is not None else None
    if place is None or place.cloud.federation.is_slave:
        return None
    place.cloud.advance()
    return place.cloud


def home(cloud: Cloud) -> Cloud:
    """Whose shared tables are written for a call that a zone does itself.

    Raises:
        OneError: 0x2000, the master does not answer.
    """
    if not cloud.federation.is_slave:
        return cloud
    master = master_of(cloud)
    if master is None:
        raise internal(UNREACHABLE)
    return master


def note(cloud: Cloud, *, written: bool = False) -> None:
    """What changed in a master's shared tables goes to its log; `written`: a federated write took place, whether it
    changed something or not."""
    if not cloud.federation.is_master:
        return
    changed = shared_tables.changes(cloud)
    if changed or written:
        cloud.federation.log.append(cloud.now, changed)


def note_local(cloud: Cloud) -> None:
    """A write of its own takes a number of a master's log."""
    if cloud.federation.is_master:
        cloud.federation.log.next_index += 1


def follow(cloud: Cloud) -> None:
    """Let a slave have what reached it by now."""
    state = cloud.federation
    network = network_of(cloud)
    if not state.is_slave or network is None:
        return
    for master in list(network.clouds()):
        if master.federation.is_master and master.uuid == state.imported_from:
            master.advance()
            _push(master, cloud)


def _push(master: Cloud, slave: Cloud) -> None:
    log, ours = master.federation.log, slave.federation.log
    replica = master.federation.replicas.get(slave.federation.conf.zone_id)
    network = network_of(slave)
    if replica is None or network is None or log.last <= max(replica.assumed, ours.last):
        return
    place = network.reach(master, replica.endpoint)
    if place is None or place.cloud is not slave or master.down or not raft.writable(master):
        return
    mended = max(network.open_since(master, slave), slave.federation.up_since, master.federation.up_since)
    # What was written meanwhile waits for the next try, or goes along with what is written next.
    tries = (
        (one.index, one.at if one.at >= mended else mended + master.speeds.federation_retry) for one in log.records
    )
    arrived = [index for index, tried in tries if tried + master.speeds.federation_lag <= slave.now]
    for record in log.records:
        if arrived and ours.last < record.index <= max(arrived):
            shared_tables.apply(slave, record.rows)
            ours.records.append(record)
            ours.next_index = record.index + 1


def settle(clouds: Iterable[Cloud]) -> None:
    """Everything that is under way arrives, before something is cut."""
    for cloud in list(clouds):
        cloud.advance()


# ------------------------------------------------------------------------------------------- what no API of oned does


def configure(cloud: Cloud, mode: Mode, zone_id: int = LOCAL_ZONE, master_oned: str = "") -> None:
    """Edit oned.conf.

    Raises:
        ValueError: oned would not start with it.
    """
    if mode is Mode.SLAVE and not master_oned:
        raise ValueError("MASTER_ONED and MASTER_ONED_GRPC endpoints are missing.")
    cloud.federation.written = OnedConf(mode, zone_id, master_oned)


def restart(cloud: Cloud) -> None:
    """Stop oned and start it: it reads oned.conf, and a master takes its slaves to be current."""
    state = cloud.federation
    network = network_of(cloud)
    if network is not None:
        settle(network.clouds())
    was, state.conf = state.conf, state.written
    if not state.is_slave:
        shared_tables.reserve_ids(cloud)
    if state.is_master:
        if was.mode is not Mode.MASTER:
            state.known = shared_tables.rows(cloud)
        note(cloud)
        state.start_replication(cloud.zones.values())
    zone = cloud.zones.get(state.zone_id)
    state.enabled = zone is None or zone.enabled
    cloud.down = False


def kill(cloud: Cloud) -> None:
    """The oned dies; `restart` starts it."""
    network = network_of(cloud)
    if network is not None:
        settle(network.clouds())
    cloud.down = True


def import_tables(slave: Cloud, master: Cloud) -> None:
    """`onedb backup --federated` at the master, `onedb restore --federated` at the slave, whose oned is to be stopped."""
    master.advance()
    slave.advance()
    note(master)
    shared_tables.restore(slave, shared_tables.dump(master))


def change(cloud: Cloud, mode: Mode, zone_id: int = LOCAL_ZONE, master_oned: str = "") -> None:
    """All of it, one after the other: what an installer's play does, or a person. A slave is of a zone that was allocated
    at the master before; who leaves stands alone with the shared tables that it has.

    Raises:
        ValueError: oned would not start with it.
        LookupError: there is no such master.
    """
    configure(cloud, mode, zone_id, master_oned)
    network = network_of(cloud)
    if network is not None:
        settle(network.clouds())
    if mode is Mode.SLAVE:
        place = network.find(master_oned) if network is not None else None
        if place is None:
            raise LookupError(f"no front-end at {master_oned}")
        import_tables(cloud, place.cloud)
    restart(cloud)


def federate(master: Cloud, slave: Cloud, zone_id: int) -> None:
    """A standalone oned becomes a slave of the master, at the address that the master's zone has."""
    own = master.zones[master.federation.zone_id]
    change(slave, Mode.SLAVE, zone_id, own.template.get("ENDPOINT"))


def leave(cloud: Cloud) -> None:
    """A slave or a master stands alone."""
    change(cloud, Mode.STANDALONE)
