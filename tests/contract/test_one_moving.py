"""What it takes to move a machine out of a simulated OpenNebula: disks saved as images, marketplaces, backups read elsewhere,
and digests that tell whether a copy has the data of its source."""

import pyone
import pytest
import requests
from tests.contract.one_world import OTHER, path, running, where

from sovereigncloud_sandbox.faults import parse_rule
from sovereigncloud_sandbox.opennebula import content_mischief, mischief

HTTP = "NAME={} MARKET_MAD=http BASE_URL=http://apps.example.org/ PUBLIC_DIR=/var/www BRIDGE_LIST={}"
RESTIC = 'NAME={} TYPE=BACKUP_DS DS_MAD=restic TM_MAD="-" RESTIC_PASSWORD="{}" RESTIC_SFTP_SERVER={}'


@pytest.fixture
def beside():
    return (OTHER,)


@pytest.fixture
def data(sandbox):
    """The digest of a disk or an image."""

    def of(kind, oid, disk=0, cloud="zone"):
        found = sandbox.do(content_mischief.digests, sandbox[cloud])[kind][str(oid)]
        return found[str(disk)] if kind == "vms" else found

    return of


@pytest.fixture
def do(sandbox):
    def act(what, cloud="zone", **given):
        return sandbox.do(mischief.MISCHIEF[what], sandbox[cloud], **given)

    return act


def off(one, clock, vm):
    one.vm.action("poweroff", vm)
    clock.pass_()
    assert where(one, vm) == (8, 0)


# --------------------------------------------------------------------------------------------- a disk becomes an image


def test_a_saved_disk_has_what_the_guest_wrote_and_not_what_its_image_has(one, clock, world, data, do):
    vm = running(one, clock, world)
    assert data("vms", vm) == data("images", world["image"])
    do("vm-write", vm=vm, data="orders of today")
    assert data("vms", vm) != data("images", world["image"]), "a copy of the image is the machine's own"
    off(one, clock, vm)
    saved = one.vm.disksaveas(vm, 0, "exit-0", "", -1)
    assert (where(one, vm), one.image.info(saved).STATE) == ((3, 27), 4)
    assert path(one, clock, vm) == [(3, 27), (8, 0)]
    assert one.image.info(saved).STATE == 4, "the machine is back before the image is there"
    clock.pass_()
    found = one.image.info(saved)
    assert (found.STATE, found.SIZE, found.PERSISTENT, found.TEMPLATE["SAVED_VM_ID"]) == (1, 1024, 0, str(vm))
    assert data("images", saved) == data("vms", vm)


def test_what_is_saved_under_a_busy_guest_is_not_what_it_has_in_the_end(one, clock, world, data, do):
    vm = running(one, clock, world)
    do("vm-busy", vm=vm)
    live = one.vm.disksaveas(vm, 0, "live", "", -1)
    assert path(one, clock, vm) == [(3, 26), (3, 3)]
    clock.pass_()
    off(one, clock, vm)
    last = one.vm.disksaveas(vm, 0, "last", "", -1)
    clock.pass_()
    assert data("images", live) != data("vms", vm) == data("images", last)
    clock.pass_()
    assert data("vms", vm) == data("images", last), "a guest that does not run writes nothing"


BACK = [("suspend", (3, 28), (5, 0)), ("stop", (3, 68), (4, 0)), ("undeploy", (3, 67), (9, 0))]


@pytest.mark.parametrize(("action", "busy", "back"), BACK, ids=[row[0] for row in BACK])
def test_the_machine_is_where_it_was_after_saving(one, clock, world, action, busy, back):
    vm = running(one, clock, world)
    one.vm.action(action, vm)
    clock.pass_()
    one.vm.disksaveas(vm, 0, "saved", "", -1)
    assert path(one, clock, vm) == [busy, back]


UNSAVED = [
    ("a volatile disk is of no image", 1, "x", "", -1, "Cannot use DISK. DISK does not have a valid IMAGE_ID"),
    ("no such disk", 7, "x", "", -1, "Cannot use DISK. DISK does not exist"),
    ("no such snapshot", 0, "x", "", 3, "Cannot use DISK. Snapshot does not exist"),
    ("a name that is taken", 0, "img", "", -1, "NAME is already taken by IMAGE 0"),
    ("a type nobody knows", 0, "x", "FLOPPY", -1, "Unknown type FLOPPY"),
]


def test_disks_that_cannot_be_saved(one, clock, world):
    disks = f"DISK=[IMAGE_ID={world['image']}] DISK=[TYPE=fs,SIZE=10,FORMAT=raw]"
    vm = one.vm.allocate(f"NAME=v CPU=0.1 MEMORY=64 {disks}", False)
    with pytest.raises(pyone.OneInternalException, match="VM has to be RUNNING, POWEROFF or SUSPENDED"):
        one.vm.disksaveas(vm, 0, "early", "", -1)
    clock.pass_()
    images = len(one.imagepool.info(-2, -1, -1).IMAGE)
    for _why, disk, name, kind, snapshot, says in UNSAVED:
        with pytest.raises(pyone.OneException, match=says):
            one.vm.disksaveas(vm, disk, name, kind, snapshot)
    assert (len(one.imagepool.info(-2, -1, -1).IMAGE), where(one, vm)) == (images, (3, 3)), "nothing came of it"
    one.vm.disksaveas(vm, 0, "first", "", -1)
    with pytest.raises(pyone.OneInternalException, match="VM has to be RUNNING"):
        one.vm.disksaveas(vm, 0, "second", "", -1)


def test_saving_that_fails_leaves_an_image_in_error_and_the_machine_as_it_was(one, clock, world, do):
    vm = running(one, clock, world)
    off(one, clock, vm)
    do("fail-next", step="HOTPLUG_SAVEAS_POWEROFF", message="No space left on device")
    saved = one.vm.disksaveas(vm, 0, "saved", "", -1)
    clock.pass_()
    assert (where(one, vm), one.image.info(saved).STATE) == ((8, 0), 5)


def test_a_persistent_disk_is_its_image_and_a_clone_is_none(one, clock, world, data, do):
    image = one.image.allocate("NAME=p SIZE=10 TYPE=DATABLOCK PERSISTENT=YES", 1)
    clock.pass_()
    vm = one.vm.allocate(f"NAME=v CPU=0.1 MEMORY=64 DISK=[IMAGE_ID={image}]", False)
    clock.pass_()
    do("vm-write", vm=vm, data="x")
    assert data("vms", vm) == data("images", image)
    saved = one.vm.disksaveas(vm, 0, "saved", "", -1)
    clock.pass_()
    assert data("images", saved) == data("images", image)
    do("vm-write", vm=vm, data="y")
    assert data("vms", vm) == data("images", image) != data("images", saved)
    with pytest.raises(pyone.OneException, match="Cannot clone image in state: USED_PERS"):
        one.image.clone(image, "clone", -1)
    one.vm.action("terminate-hard", vm)
    clock.pass_()
    assert one.image.info(image).STATE == 1, "what is persistent outlives its machine"
    clone = one.image.clone(image, "clone", -1)
    assert (one.image.info(image).STATE, one.image.info(clone).STATE) == (6, 4)
    clock.pass_()
    assert data("images", clone) == data("images", image)


def test_a_snapshot_of_a_disk_keeps_what_was_on_it(one, clock, world, data, do):
    vm = running(one, clock, world)
    do("vm-write", vm=vm, data="before")
    before = data("vms", vm)
    snapshot = one.vm.disksnapshotcreate(vm, 0, "s")
    clock.pass_()
    do("vm-write", vm=vm, data="after")
    saved = one.vm.disksaveas(vm, 0, "saved", "", snapshot)
    clock.pass_()
    assert data("images", saved) == before != data("vms", vm)
    off(one, clock, vm)
    one.vm.disksnapshotrevert(vm, 0, snapshot)
    clock.pass_()
    assert data("vms", vm) == before


def test_an_image_that_is_copied_is_locked_for_machines_that_wait(one, clock, world):
    plain, own = (one.image.allocate(f"NAME={name} SIZE=10 TYPE=DATABLOCK PERSISTENT={yes}", 1) for name, yes in (("a", "NO"), ("b", "YES")))  # fmt: skip
    vms = [one.vm.allocate(f"NAME=v CPU=0.1 MEMORY=64 DISK=[IMAGE_ID={image}]", False) for image in (plain, own)]
    assert [one.image.info(image).STATE for image in (plain, own)] == [9, 10]
    assert [where(one, vm)[0] for vm in vms] == [10, 10]
    with pytest.raises(pyone.OneInternalException, match="it is persistent and already in use"):
        one.vm.allocate(f"NAME=w CPU=0.1 MEMORY=64 DISK=[IMAGE_ID={own}]", False)
    one.vm.action("terminate-hard", vms[0])
    assert one.image.info(plain).STATE == 4
    clock.pass_()
    assert [one.image.info(image).STATE for image in (plain, own)] == [1, 8]
    clock.pass_()
    fresh = one.image.allocate("NAME=c SIZE=10 TYPE=DATABLOCK", 1)
    with pytest.raises(pyone.OneInternalException, match="it is locked"):
        one.vm.attach(vms[1], f"DISK=[IMAGE_ID={fresh}]")


# ------------------------------------------------------------------------------------------------- over a marketplace


def moved_out(one, clock, image, market, name="app"):
    app = one.marketapp.allocate(f"NAME={name} ORIGIN_ID={image} TYPE=IMAGE VERSION=1", market)
    clock.pass_()
    return one.marketapp.info(app)


def test_an_image_goes_over_http_to_a_cloud_that_knows_nothing_of_the_first(one, there, clock, world, data, do):
    vm = running(one, clock, world)
    do("vm-write", vm=vm, data="orders")
    off(one, clock, vm)
    saved = one.vm.disksaveas(vm, 0, "exit-0", "", -1)
    clock.pass_()
    app = moved_out(one, clock, saved, one.market.allocate(HTTP.format("m", "files.example.org")))
    assert (1, data("vms", vm)) == (app.STATE, app.MD5)
    copy = there.image.allocate(f"NAME=in PATH={app.SOURCE} MD5={app.MD5}", 1)
    clock.pass_()
    found = there.image.info(copy)
    assert (found.STATE, found.SIZE, data("images", copy, cloud="other")) == (1, 1024, data("vms", vm))
    assert not [one for one in there.marketapppool.info(-2, -1, -1).MARKETPLACEAPP if one.NAME == "app"]
    with pytest.raises(pyone.OneInternalException, match="Cannot determine image SIZE"):
        there.image.allocate(f"NAME=from-app FROM_APP={app.ID}", 1)


def test_a_file_that_is_not_what_its_app_says_is_refused(one, there, clock, world, do):
    app = moved_out(one, clock, world["image"], one.market.allocate(HTTP.format("m", "files.example.org")))
    do("app-tamper", app="app")
    for client, template in ((one, f"FROM_APP={app.ID}"), (there, f"PATH={app.SOURCE} MD5={app.MD5}")):
        image = client.image.allocate(f"NAME=copy {template}", 1)
        clock.pass_()
        found = client.image.info(image)
        assert (found.STATE, "Hash does not match" in found.TEMPLATE["ERROR"]) == (5, True)


def test_the_keys_of_object_storage_are_the_marketplace_s_alone(one, there, clock, world):
    s3 = "NAME=s MARKET_MAD=s3 ACCESS_KEY_ID=A SECRET_ACCESS_KEY=h REGION=gra BUCKET=apps AWS=no ENDPOINT=https://s3.example.org"
    app = moved_out(one, clock, world["image"], one.market.allocate(s3))
    ours = one.image.allocate(f"NAME=ours FROM_APP={app.ID}", 1)
    theirs = there.image.allocate(f"NAME=theirs PATH={app.SOURCE} SIZE=1024", 1)
    clock.pass_()
    assert (one.image.info(ours).STATE, there.image.info(theirs).STATE) == (1, 5)


def test_a_marketplace_has_so_much_room(one, clock, world, sandbox):
    market = one.market.allocate(HTTP.format("m", "files.example.org"))
    sandbox.do(setattr, sandbox["zone"].marketplaces[market], "total_mb", 1500)
    first = moved_out(one, clock, world["image"], market, "first")
    found = one.market.info(market)
    assert (first.STATE, found.TOTAL_MB, found.FREE_MB, found.USED_MB) == (1, 1500, 476, 1024)
    second = moved_out(one, clock, world["image"], market, "second")
    assert (second.STATE, "No space left" in second.TEMPLATE["ERROR"]) == (3, True)


def test_a_large_copy_takes_its_time(one, clock, world, sandbox):
    sandbox.do(sandbox["zone"].speeds.update, {"mb_per_second": 100})
    app = one.marketapp.allocate(
        f"NAME=app ORIGIN_ID={world['image']}", one.market.allocate(HTTP.format("m", "files.example.org"))
    )
    clock.pass_(10)
    assert (one.marketapp.info(app).STATE, one.image.info(world["image"]).STATE) == (2, 2)
    clock.pass_(1)
    assert one.marketapp.info(app).STATE == 1


LOST = [
    ("an image", "one.vm.disksaveas", lambda one, vm, m: one.vm.disksaveas(vm, 0, "exit", "", -1), "IMAGE", "imagepool"),
    ("an app", "one.marketapp.allocate", lambda one, vm, m: one.marketapp.allocate("NAME=exit ORIGIN_ID=0", m), "MARKETPLACEAPP", "marketapppool"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "call", "make", "kind", "pool"), LOST, ids=[row[0] for row in LOST])
def test_what_was_made_by_a_call_without_an_answer_is_there_under_its_name(
    sandbox, one, clock, world, what, call, make, kind, pool
):
    vm, market = running(one, clock, world), one.market.allocate(HTTP.format("m", "files.example.org"))
    sandbox["zone"].faults.add(parse_rule({"kind": "lost-response", "path": f"^{call}$", "count": 1}))
    with pytest.raises(requests.exceptions.ConnectionError):
        make(one, vm, market)
    clock.pass_()
    with pytest.raises(pyone.OneException, match=f"NAME is already taken by {kind}"):
        make(one, vm, market)
    found = getattr(getattr(one, pool).info(-2, -1, -1), kind)
    assert [(it.NAME, it.STATE) for it in found if it.NAME == "exit"] == [("exit", 1)]


# -------------------------------------------------------------------------------------------------------- over backups


def backed_up(one, clock, vm, store):
    one.vm.backup(vm, store, False)
    clock.pass_()
    return one.image.info(max(one.vm.info(vm).BACKUPS.BACKUP_IDS.ID))


def test_a_restored_machine_has_what_was_backed_up(one, clock, world, data, do):
    store = one.datastore.allocate(RESTIC.format("vault", "s3cret", "backup.example.org"), -1)
    clock.pass_()
    vm = running(one, clock, world)
    one.vm.updateconf(vm, "BACKUP_CONFIG=[MODE=INCREMENT]", 1)
    had = []
    for words in ("one", "two", "three"):
        do("vm-write", vm=vm, data=words)
        had.append(data("vms", vm))
        image = backed_up(one, clock, vm, store)
    do("vm-write", vm=vm, data="lost")
    off(one, clock, vm)
    for increment, expected in ((1, had[1]), (-1, had[2])):
        one.vm.restore(vm, image.ID, increment, -1)
        clock.pass_()
        assert data("vms", vm) == expected
    for options, expected in (("NAME=last", had[2]), ("NAME=first INCREMENT_ID=0", had[0])):
        _, disk = one.image.restore(image.ID, 1, options).split()
        clock.pass_()
        assert (one.image.info(int(disk)).STATE, data("images", disk)) == (1, expected)


def test_increments_that_were_consolidated_are_gone_and_the_others_whole(one, clock, world, data, do):
    store = one.datastore.allocate(RESTIC.format("vault", "s3cret", "backup.example.org"), -1)
    clock.pass_()
    vm = running(one, clock, world)
    one.vm.updateconf(vm, "BACKUP_CONFIG=[MODE=INCREMENT,KEEP_LAST=2]", 1)
    had = []
    for words in ("one", "two", "three"):
        do("vm-write", vm=vm, data=words)
        had.append(data("vms", vm))
        image = backed_up(one, clock, vm, store)
    clock.pass_()
    assert [int(it.ID) for it in one.image.info(image.ID).BACKUP_INCREMENTS.INCREMENT] == [1, 2]
    for increment, expected in ((1, had[1]), (2, had[2])):
        _, disk = one.image.restore(image.ID, 1, f"NAME=r{increment} INCREMENT_ID={increment}").split()
        clock.pass_()
        assert (one.image.info(int(disk)).STATE, data("images", disk)) == (1, expected)


SECRETS = [
    ("its own password and the same server", "s3cret", "backup.example.org", ""),
    ("another password", "guess", "backup.example.org", "wrong password"),
    ("another server", "s3cret", "elsewhere.example.org", "no matching ID found"),
]


@pytest.mark.parametrize(("why", "secret", "server", "says"), SECRETS, ids=[row[0] for row in SECRETS])
def test_another_cloud_reads_a_backup_that_stands_outside(
    one, there, clock, world, data, do, why, secret, server, says
):
    vm = running(one, clock, world)
    do("vm-write", vm=vm, data="orders")
    outside = one.datastore.allocate(RESTIC.format("vault", "s3cret", "backup.example.org"), -1)
    clock.pass_()
    image = backed_up(one, clock, vm, outside)
    store = there.datastore.allocate(RESTIC.format("theirs", secret, server), -1)
    clock.pass_()
    disk = f"restic://{store}/-1/0:{image.SOURCE}//var/lib/one/datastores/0/{vm}/backup/disk.0"
    template = f'NAME=in PATH="{disk}" FROM_BACKUP_DS={store}'
    if says:
        with pytest.raises(pyone.OneInternalException, match=says):
            there.image.allocate(template, 1)
        return
    copy = there.image.allocate(template, 1)
    clock.pass_()
    found = there.image.info(copy)
    assert (found.STATE, found.SIZE, data("images", copy, cloud="other")) == (1, 1024, data("vms", vm))
