"""What is remembered of the copies of a machine, and whether another cloud can make it from one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.kinds.opennebula_in_memory import US, OpenNebula, image, resource, vm

from sovereigncloud.api.common.base import Key
from sovereigncloud.kinds.hostedinstance.continuity.copies import (
    Copy,
    continuity_status,
    copies_seen,
    remembered,
    remembered_machine,
    usable,
)
from sovereigncloud.kinds.hostedinstance.machine.cloud_context import Site
from sovereigncloud.kinds.hostedinstance.observation import InstanceObservation
from sovereigncloud.kinds.identity.identification import Identified
from sovereigncloud.ports.opennebula.storage import VmBackups
from sovereigncloud.ports.opennebula.views import Datastore, Disk, Increment

RBX, PARIS = Key("SovereignCloud", "team", "rbx"), Key("SovereignCloud", "team", "paris")
VAULT = Datastore(100, "vault", 3, 0, 10, 10, driver="restic", attributes={"RESTIC_SFTP_SERVER": "backup.example.org"})
RSYNC = replace(VAULT, driver="rsync", attributes={"RSYNC_HOST": "backup.example.org"})
SPEC: dict[str, Any] = {"source": {"image": "ubuntu"}, "vcpu": 2, "memory": "4Gi"}
T0 = 1_700_000_000  # 2023-11-14T22:13:20Z
DISKS = (Disk(0, 7, "ubuntu", 20480), Disk(2, 9, "data", 1024, "data"))


def backup(number: int = 50, **fields: Any) -> Any:
    made = {
        "id": number,
        "name": f"12 of {number}",
        "owner": US,
        "type": 6,
        "datastore_id": 100,
        "source": f"s{number}",
    }
    return image(**(made | {"time": T0, "backup_disks": (0, 2), "backup_of": 12} | fields))


def web(status: dict[str, Any] | None = None, **spec: Any) -> Any:
    return resource("HostedInstance", "web", SPEC | spec, status)


async def seen(*images: Any, store: Datastore = VAULT, site: Site | None = None, **of_vm: Any) -> InstanceObservation:
    ids = tuple(one.id for one in images)
    machine = vm(**{"disks": DISKS, "backups": VmBackups(images=ids), "system": 0, **of_vm})
    here = OpenNebula(*images, machine)
    here.datastores = {store.id: store}
    view = replace(await here.view(0.0), host_clusters={"one-1": "default"})
    mark = machine.mark
    assert mark is not None
    return InstanceObservation(mark, RBX, view=view, found=Identified(machine), site=site or Site())


async def target(**fields: Any) -> Any:
    there = OpenNebula()
    store = replace(VAULT, **fields)
    there.datastores = {**there.datastores, store.id: store}
    return await there.view(0.0)


PLACES = [
    ("a server elsewhere", "backup.example.org", Site(), True),
    ("one of its hosts", "one-1", Site(), False),
    ("its front-end", "one.example.org", Site(machines=("one.example.org",)), False),
    ("the front-end by another word", "localhost", Site(), False),
    ("nobody said which", "", Site(), False),
]


@pytest.mark.parametrize(("why", "server", "site", "outside"), PLACES, ids=[row[0] for row in PLACES])
async def test_a_backup_is_outside_where_its_server_is_none_of_the_clouds(why, server, site, outside) -> None:
    store = replace(VAULT, attributes={"RESTIC_SFTP_SERVER": server})
    (copy,) = copies_seen(web(), await seen(backup(), store=store, site=site))
    assert (copy.outside, copy.server) == (outside, server)


TIMES = [
    ("when its backup began, as the stay that began then tells", {"stay": T0 - 600}, (), "2023-11-14T22:03:20Z"),
    ("when it ended, where the machine was started since", {"stay": T0 + 600}, (), "2023-11-14T22:13:20Z"),
    ("when it ended, where no stay is known", {"stay": 0}, (), "2023-11-14T22:13:20Z"),
    ("when it ended, where the stay is older than the backup before", {"stay": T0 - 6000}, (backup(40, time=T0 - 3000),), "2023-11-14T22:13:20Z"),
]  # fmt: skip


@pytest.mark.parametrize(("why", "machine", "older", "time"), TIMES, ids=[row[0] for row in TIMES])
async def test_the_time_of_the_data_is(why, machine, older, time) -> None:
    assert copies_seen(web(), await seen(*older, backup(), **machine))[0].time == time


async def test_what_was_told_of_a_time_stays_until_there_is_another_backup() -> None:
    first = web({"continuity": continuity_status(web(), await seen(backup(), stay=T0 - 600))})
    for restarted in ({"stay": T0 + 900}, {"stay": 0}):
        assert remembered(first) == copies_seen(first, await seen(backup(), **restarted)), "nothing to write"
    grown = backup(increments=(Increment(0, "s50", T0), Increment(1, "s51", T0 + 3600)), time=T0 + 3600)
    (copy,) = copies_seen(first, await seen(grown, stay=T0 + 7200))
    assert (copy.time, copy.held.chain) == ("2023-11-14T23:13:20Z", "0:s50,1:s51")


async def test_the_last_three_are_kept_and_what_lies_outside_before_what_does_not() -> None:
    many = [backup(number, time=T0 + number) for number in (1, 2, 3, 4)]
    assert [copy.name for copy in copies_seen(web(), await seen(*many))] == [f"team/rbx/{n}" for n in (4, 3, 2)]
    known = web({"continuity": continuity_status(web(), await seen(*many))})
    inside = replace(VAULT, attributes={"RESTIC_SFTP_SERVER": "one-1"})
    elsewhere = replace(await seen(backup(9, time=T0 + 99), store=inside), cloud=PARIS)
    assert [copy.name for copy in copies_seen(known, elsewhere)] == [f"team/rbx/{n}" for n in (4, 3, 2)], "it moved"
    gone = await seen(backup(4, time=T0 + 4))
    assert [copy.name for copy in copies_seen(known, gone)] == ["team/rbx/4"], "of its own cloud only what is there"
    assert copies_seen(known, InstanceObservation(gone.mark)) == remembered(known), "nobody could look"


async def test_all_of_it_is_read_back_from_the_status() -> None:
    found = await seen(backup(backup_job="3"), system=104)
    known = web({"continuity": continuity_status(web(), found)})
    (copy,) = remembered(known)
    assert [copy] == copies_seen(web(), found)
    assert [(disk.id, disk.label, disk.size) for disk in copy.disks] == [(0, "", 20480), (2, "data", 1024)]
    machine = remembered_machine(known, copy)
    assert machine is not None
    assert (machine.id, machine.cpu, machine.vcpu, machine.memory) == (12, "2", 2, 4096)
    assert [nic.network for nic in machine.nics] == ["lan"]
    assert continuity_status(web(), await seen()) == {}, "without a copy nothing of it is remembered"
    bare = resource("HostedInstance", "web", {"source": {"template": "t"}})
    assert remembered_machine(bare, copy) is None


async def test_another_cloud_asks_for_it_as_the_own_restore_would() -> None:
    chain = (Increment(0, "aa", T0), Increment(1, "bb", T0 + 1))
    made = backup(increments=chain, time=T0 + 1, backup_job="3")
    rows = [
        (VAULT, "restic://105/3/0:aa,1:bb//var/lib/one/datastores/104/12/backup/disk.2.1"),
        (RSYNC, "rsync://105/3/0:aa,1:bb//var/lib/one/datastores/105/12/bb/disk.2.1"),
    ]
    for store, path in rows:
        copies = copies_seen(web(), await seen(made, store=store, system=104))
        found = usable(copies, web(), PARIS, await target(id=105, driver=store.driver, attributes=store.attributes))
        assert isinstance(found, Copy)
        assert found.disks[1].source == {"PATH": path, "FROM_BACKUP_DS": "105"}


async def test_a_datastore_of_the_same_number_is_taken_before_others() -> None:
    """OpenNebula calls the directory on the server by that number."""
    there = OpenNebula()
    there.datastores = {number: replace(VAULT, id=number) for number in (99, 100, 101)}
    found = usable(copies_seen(web(), await seen(backup())), web(), PARIS, await there.view(0.0))
    assert isinstance(found, Copy)
    assert {disk.source["FROM_BACKUP_DS"] for disk in found.disks} == {"100"}


UNUSABLE: list[tuple[str, dict[str, Any], dict[str, Any], dict[str, Any], str]] = [
    ("it lies inside", {"store": replace(VAULT, attributes={"RESTIC_SFTP_SERVER": "one-1"})}, {}, {}, "inside the cloud"),
    ("another server", {}, {"attributes": {"RESTIC_SFTP_SERVER": "other.example.org"}}, {}, "no datastore for backups"),
    ("another driver", {}, {"driver": "rsync"}, {}, "with the driver restic on backup.example.org"),
    ("a datastore that is disabled", {}, {"state": 1}, {}, "no datastore for backups"),
    ("a disk that spec names and it lacks", {}, {}, {"disks": [{"name": "more", "size": "1Gi"}]}, "does not hold disk more"),
]  # fmt: skip


@pytest.mark.parametrize(("why", "here", "there", "spec", "says"), UNUSABLE, ids=[row[0] for row in UNUSABLE])
async def test_why_a_cloud_cannot_make_it(why, here, there, spec, says) -> None:
    found = usable(copies_seen(web(), await seen(backup(), **here)), web(**spec), PARIS, await target(**there))
    assert isinstance(found, str), why
    assert says in found


async def test_a_backup_of_some_disks_and_one_of_too_many_increments_are_of_no_use() -> None:
    half = copies_seen(web(), await seen(backup(backup_disks=(2,))))
    assert "does not hold disk root" in str(usable(half, web(), PARIS, await target()))
    long = backup(increments=tuple(Increment(n, f"snapshot{n}", T0 + n) for n in range(500)), time=T0 + 500)
    (copy,) = copies_seen(web(), await seen(long))
    assert copy.held.chain == ""
    assert "set spec.backup.keepLast" in str(usable([copy], web(), PARIS, await target()))


async def test_the_newest_that_can_be_read_is_taken() -> None:
    copies = copies_seen(web(), await seen(backup(1, time=T0 + 1), backup(2, time=T0 + 2)))
    for passed, wanted in (([], "team/rbx/2"), (["team/rbx/2"], "team/rbx/1")):
        found = usable(copies, web(), PARIS, await target(), passed)
        assert isinstance(found, Copy)
        assert found.name == wanted
    none = usable(copies, web(), PARIS, await target(), ["team/rbx/1", "team/rbx/2"])
    assert str(none).count("could not be read") == 2
    assert "there is no copy" in str(usable([], web(), PARIS, await target()))
