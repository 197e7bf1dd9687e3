"""Simulated OpenNebulas that are lost and come back, servers without power, and how many copies of a machine really run."""

import pyone
import pytest
import requests
from tests.contract.one_world import OTHER, running, where

from sovereigncloud_sandbox.opennebula import content_mischief, federation, mischief
from sovereigncloud_sandbox.opennebula.install import FrontEndSpec
from sovereigncloud_sandbox.opennebula.model_federation import Mode

MARK = ("SOVEREIGNCLOUD_UID", "web")
RESTIC = 'NAME=vault TYPE=BACKUP_DS DS_MAD=restic TM_MAD="-" RESTIC_PASSWORD=s RESTIC_SFTP_SERVER={}'
HTTP = "NAME=m MARKET_MAD=http BASE_URL=http://apps.example.org/ PUBLIC_DIR=/var/www"


@pytest.fixture
def beside():
    return (OTHER,)


@pytest.fixture
def do(sandbox):
    def act(what, cloud="zone", **given):
        return sandbox.do(mischief.MISCHIEF[what], sandbox[cloud], **given)

    return act


@pytest.fixture
def copies(sandbox):
    """Where copies of the marked machine run, and how many did at once, at worst."""

    def count():
        found = sandbox.do(sandbox.sandbox.copies, *MARK)
        return sorted(one["cloud"] for one in found["running"]), found["most"]

    return count


@pytest.fixture
def switch(sandbox):
    return lambda address, on: sandbox.do(sandbox.sandbox.power, address, on=on)


@pytest.fixture
def vm(one, clock, world):
    """A machine with the mark."""
    oid = running(one, clock, world)
    one.vm.update(oid, f"{MARK[0]}={MARK[1]}", 1)
    return oid


def host(one, vm):
    return one.vm.info(vm).HISTORY_RECORDS.HISTORY[-1].HOSTNAME


def second_copy(there, clock):
    oid = there.vm.allocate(f"NAME=copy CPU=0.1 MEMORY=64 {MARK[0]}={MARK[1]}", False)
    clock.pass_()
    assert where(there, oid) == (3, 3)
    return oid


def gone(one):
    with pytest.raises(requests.exceptions.ConnectionError):
        one.system.version()


# ------------------------------------------------------------------------------------------------------ a lost cloud


def test_machines_run_on_while_their_oned_is_lost(one, clock, vm, do, copies):
    do("lose")
    gone(one)
    clock.pass_(3600)
    assert copies() == (["zone"], 1)
    do("come-back")
    assert where(one, vm) == (3, 3)


def test_a_copy_that_is_started_meanwhile_is_a_second_one(there, clock, vm, do, copies):
    do("lose")
    second_copy(there, clock)
    assert copies() == (["other", "zone"], 2)


def test_machines_of_dead_hosts_run_again_when_the_cloud_comes_back(one, there, clock, vm, do, copies):
    do("lose", hosts="dead")
    assert copies() == ([], 1)
    copy = second_copy(there, clock)
    assert copies() == (["other"], 1), "the first one did not run any more when the second began"
    clock.pass_()
    do("come-back")
    assert copies() == (["other", "zone"], 2), "nobody kept it from coming back"
    clock.pass_()
    assert where(one, vm) == (3, 3)
    there.vm.action("terminate-hard", copy)
    clock.pass_()
    assert copies() == (["zone"], 2), "what once happened stays on record"


def test_a_server_that_was_switched_off_stays_off_when_the_cloud_comes_back(one, there, clock, vm, do, copies, switch):
    server = host(one, vm)
    do("lose", hosts="dead")
    assert switch(server, on=False) == ["zone"]
    second_copy(there, clock)
    do("come-back")
    clock.pass_()
    assert (where(one, vm), copies()) == ((3, 16), (["other"], 1))
    assert [h.STATE for h in one.hostpool.info().HOST if server == h.NAME] == [3]


def test_what_oned_was_about_to_do_waits_until_it_is_back(one, clock, world, do, copies):
    vm = one.template.instantiate(world["template"], "late", False, f"{MARK[0]}={MARK[1]}", False)
    do("lose")
    for _ in range(3):
        clock.pass_(60)
        assert copies() == ([], 0), "nobody deploys it"
    do("come-back")
    assert where(one, vm) in {(1, 0), (3, 0), (3, 1)}, "what is gone is time, and none of the steps"
    clock.pass_()
    clock.pass_()
    assert (where(one, vm), copies()) == ((3, 3), (["zone"], 1))


# ------------------------------------------------------------------------------------------ a server, and its provider


def test_what_is_done_to_a_machine_on_a_dead_server_fails(one, clock, vm, copies, switch):
    server = host(one, vm)
    switch(server, on=False)
    assert (where(one, vm), copies()) == ((3, 3), ([], 1)), "oned does not know yet"
    clock.pass_()
    assert where(one, vm) == (3, 16)
    for action in ("poweroff-hard", "terminate-hard"):
        one.vm.action(action, vm)
        clock.pass_()
        assert where(one, vm) == (3, 16), "nobody was there to end it"
    switch(server, on=True)
    assert copies() == ([], 1), "libvirt knows nothing of it after a boot"
    clock.pass_()
    assert (where(one, vm), copies()) == ((8, 0), ([], 1)), "the probe does not find it"
    one.vm.action("resume", vm)
    clock.pass_()
    assert (where(one, vm), copies()) == ((3, 3), (["zone"], 1))


def test_a_machine_that_was_off_stays_off_without_power_and_with_it(one, clock, vm, copies, switch):
    server = host(one, vm)
    one.vm.action("poweroff", vm)
    clock.pass_()
    assert copies() == ([], 1)
    for on in (False, True):
        switch(server, on=on)
        clock.pass_()
        assert (where(one, vm), copies()) == ((8, 0), ([], 1))
    switch(server, on=False)
    one.vm.action("resume", vm)
    clock.pass_()
    assert (where(one, vm), copies()) == ((3, 36), ([], 1)), "a boot on a dead host fails"


def test_deleting_a_machine_that_oned_cannot_reach_ends_nothing(one, there, clock, vm, do, copies, switch):
    server = host(one, vm)
    do("host-break", host=server)
    assert (where(one, vm), copies()) == ((3, 16), (["zone"], 1)), "the line is cut, the server is not"
    one.vm.recover(vm, 3)
    clock.pass_()
    assert where(one, vm)[0] == 6
    second_copy(there, clock)
    assert copies() == (["other", "zone"], 2)
    switch(server, on=False)
    switch(server, on=True)
    assert copies() == (["other"], 2), "what oned has forgotten nobody starts again"


def test_a_host_that_is_reached_again_shows_what_ran_all_the_time(one, clock, vm, do, copies):
    server = host(one, vm)
    do("host-break", host=server)
    do("host-mend", host=server)
    assert (where(one, vm), copies()) == ((3, 3), (["zone"], 1))


def test_partition_and_heal_are_told_from_an_end(one, clock, vm, do, copies):
    server = host(one, vm)
    for _ in range(20):
        do("host-break", host=server)
        clock.pass_(1)
        do("host-mend", host=server)
        clock.pass_(1)
    assert copies() == (["zone"], 1)


# --------------------------------------------------------------------------------------------- copies inside and outside


def saved(one, clock, vm, server):
    store = one.datastore.allocate(RESTIC.format(server), -1)
    clock.pass_()
    one.vm.backup(vm, store, False)
    clock.pass_()
    return one.image.info(max(one.vm.info(vm).BACKUPS.BACKUP_IDS.ID))


PLACES = [
    ("outside, its cloud is dead", "backup.example.org", {"hosts": "dead"}, None, ""),
    ("on a host, oned alone is dead", "127.0.0.3", {"hosts": "alive"}, None, ""),
    ("on a host, the hosts are dead", "127.0.0.3", {"hosts": "dead"}, None, "No route to host"),
    ("outside, on a server that is switched off", "backup.example.org", None, "backup.example.org", "No route to host"),
]


@pytest.mark.parametrize(("why", "server", "outage", "off", "says"), PLACES, ids=[row[0] for row in PLACES])
def test_where_a_backup_stands_decides_whether_it_outlives_its_cloud(
    one, there, clock, vm, do, switch, why, server, outage, off, says
):
    image = saved(one, clock, vm, server)
    store = there.datastore.allocate(RESTIC.format(server), -1)
    if outage:
        do("lose", **outage)
    if off:
        switch(off, on=False)
    path = f"restic://{store}/-1/0:{image.SOURCE}//var/lib/one/datastores/0/{vm}/backup/disk.0"
    template = f'NAME=in PATH="{path}" FROM_BACKUP_DS={store}'
    if says:
        with pytest.raises(pyone.OneInternalException, match=says):
            there.image.allocate(template, 1)
    else:
        copy = there.image.allocate(template, 1)
        clock.pass_()
        assert there.image.info(copy).STATE == 1


def test_a_backup_to_a_dead_server_fails_and_the_machine_runs_on(one, clock, vm, switch):
    first = saved(one, clock, vm, "backup.example.org")
    switch("backup.example.org", on=False)
    one.vm.backup(vm, first.DATASTORE_ID, False)
    clock.pass_()
    found = one.vm.info(vm)
    assert (where(one, vm), found.BACKUPS.BACKUP_IDS.ID) == ((3, 3), [first.ID])
    assert "No route to host" in found.USER_TEMPLATE["ERROR"]


SERVED = [
    ("the front-end serves the files", "", {"hosts": "alive"}, False),
    ("a host serves them and runs on", "127.0.0.3", {"hosts": "alive"}, True),
    ("a host serves them and is dead", "127.0.0.3", {"hosts": "dead"}, False),
    ("a server elsewhere serves them", "files.example.org", {"hosts": "dead"}, True),
]


@pytest.mark.parametrize(("why", "server", "outage", "served"), SERVED, ids=[row[0] for row in SERVED])
def test_who_serves_a_marketplace_decides_whether_its_files_outlive_its_cloud(
    one, there, clock, world, do, why, server, outage, served
):
    market = one.market.allocate(HTTP + (f" BRIDGE_LIST={server}" if server else ""))
    oid = one.marketapp.allocate(f"NAME=app ORIGIN_ID={world['image']}", market)
    clock.pass_()
    app = one.marketapp.info(oid)
    do("lose", **outage)
    if served:
        copy = there.image.allocate(f"NAME=in PATH={app.SOURCE}", 1)
        clock.pass_()
        assert there.image.info(copy).STATE == 1
    else:
        with pytest.raises(pyone.OneInternalException, match=r"Failed to connect to apps\.example\.org"):
            there.image.allocate(f"NAME=in PATH={app.SOURCE}", 1)


def test_a_download_ends_where_its_server_does(one, there, clock, world, do):
    oid = one.marketapp.allocate(f"NAME=app ORIGIN_ID={world['image']}", one.market.allocate(HTTP))
    clock.pass_()
    copy = there.image.allocate(f"NAME=in PATH={one.marketapp.info(oid).SOURCE}", 1)
    do("lose")
    clock.pass_()
    found = there.image.info(copy)
    assert (found.STATE, "Connection timed out" in found.TEMPLATE["ERROR"]) == (5, True)


def test_an_imported_app_of_another_zone_needs_whoever_serves_it(one, there, sandbox, clock, world, do):
    """Both zones list the app, since marketplaces are shared; the file is in one place."""
    sandbox.do(federation.change, sandbox["zone"], Mode.MASTER)
    zone = one.zone.allocate(f"NAME=other ENDPOINT={sandbox.endpoint('other')}")
    sandbox.do(federation.federate, sandbox["zone"], sandbox["other"], zone)
    clock.pass_()
    market = one.market.allocate(HTTP)
    clock.pass_()
    with pytest.raises(pyone.OneActionException, match="Marketplace is not in this OpenNebula zone"):
        there.marketapp.allocate("NAME=theirs ORIGIN_ID=0", market)
    app = one.marketapp.allocate(f"NAME=app ORIGIN_ID={world['image']}", market)
    clock.pass_()
    assert there.marketapp.info(app).MD5 == one.marketapp.info(app).MD5
    copy = there.image.allocate(f"NAME=in FROM_APP={app}", 1)
    clock.pass_()
    assert there.image.info(copy).STATE == 1
    found = [sandbox.do(content_mischief.digests, sandbox[name])["images"] for name in ("zone", "other")]
    assert found[0][str(world["image"])] == found[1][str(copy)] == one.marketapp.info(app).MD5
    do("lose")
    late = there.image.allocate(f"NAME=late FROM_APP={app}", 1)
    clock.pass_()
    assert (there.marketapp.info(app).STATE, there.image.info(late).STATE) == (1, 5), "listed, and not to be had"


def test_all_front_ends_of_a_lost_cloud_refuse(one, sandbox, clock, do):
    specs = [FrontEndSpec(f"s{number}") for number in range(3)]
    endpoints = sandbox.wait(sandbox.sandbox.gather("zone", specs))
    clients = [pyone.OneServer(at, session="oneadmin:opennebula") for at in endpoints]
    do("lose")
    for client in (one, *clients):
        gone(client)
    do("come-back")
    assert {client.system.version() for client in (one, *clients)} == {"7.4.0"}


def test_a_restore_needs_the_server_of_its_backup(one, clock, vm, switch):
    rsync = 'NAME=r TYPE=BACKUP_DS DS_MAD=rsync TM_MAD="-" RSYNC_HOST=backup.example.org RSYNC_USER=one'
    store = one.datastore.allocate(rsync, -1)
    clock.pass_()
    one.vm.backup(vm, store, False)
    clock.pass_()
    (image,) = one.vm.info(vm).BACKUPS.BACKUP_IDS.ID
    one.vm.action("poweroff", vm)
    clock.pass_()
    switch("backup.example.org", on=False)
    one.vm.restore(vm, image, -1, -1)
    clock.pass_()
    assert (where(one, vm), "No route to host" in one.vm.info(vm).USER_TEMPLATE["ERROR"]) == ((8, 0), True)
    with pytest.raises(pyone.OneActionException, match="No route to host"):
        one.image.restore(image, 1, "NAME=again")
    switch("backup.example.org", on=True)
    made = one.image.restore(image, 1, "NAME=again").split()
    clock.pass_()
    assert one.image.info(int(made[1])).STATE == 1
