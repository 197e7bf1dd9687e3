"""Backups in the simulated OpenNebula: taken, kept, restored, cancelled, planned; refusals as oned words them."""

import base64

import pyone
import pytest
from tests.contract.one_world import path, running, where

from sovereigncloud_sandbox.opennebula import mischief

RESTIC = 'NAME={} TYPE=BACKUP_DS DS_MAD=restic TM_MAD="-" RESTIC_PASSWORD="{}" RESTIC_SFTP_SERVER=10.0.0.9'


@pytest.fixture
def store(one, clock):
    oid = one.datastore.allocate(RESTIC.format("vault", "s3cret"), -1)
    clock.pass_()
    return oid


def taken(one, clock, vm, store, *, reset=False):
    """A backup taken; the image that it is in."""
    one.vm.backup(vm, store, reset)
    clock.pass_()
    return max(one.vm.info(vm).BACKUPS.BACKUP_IDS.ID)


def config(one, vm, name):
    return getattr(one.vm.info(vm).BACKUPS.BACKUP_CONFIG, name)


# -------------------------------------------------------------------------------------------------------------- stores

STORES = [
    ("restic needs its password", 'NAME=a TYPE=BACKUP_DS DS_MAD=restic TM_MAD="-" RESTIC_SFTP_SERVER=x', '"RESTIC_PASSWORD"'),
    ("rsync needs a host", 'NAME=a TYPE=BACKUP_DS DS_MAD=rsync TM_MAD="-" RSYNC_USER=x', '"RSYNC_HOST"'),
    ("rsync needs a user", 'NAME=a TYPE=BACKUP_DS DS_MAD=rsync TM_MAD="-" RSYNC_HOST=x', '"RSYNC_USER"'),
    ("a driver nobody knows", "NAME=a TYPE=BACKUP_DS DS_MAD=tape", 'DS_MAD named "tape" is not defined'),
    ("no driver at all", "NAME=a TYPE=BACKUP_DS", "No DS_MAD in template"),
    ("an image datastore needs its TM", "NAME=a DS_MAD=fs", "No TM_MAD in template"),
    ("a TM nobody knows", "NAME=a DS_MAD=fs TM_MAD=magic", 'TM_MAD named "magic" is not defined'),
    ("a system datastore has no DS_MAD", "NAME=a TYPE=SYSTEM_DS DS_MAD=fs TM_MAD=ssh", "SYSTEM datastores cannot have DS_MAD"),
    ("the name is taken", "NAME=vault TYPE=BACKUP_DS DS_MAD=rsync RSYNC_HOST=x RSYNC_USER=y", "NAME is already taken by DATASTORE"),
]  # fmt: skip


@pytest.mark.parametrize(("why", "template", "says"), STORES, ids=[row[0] for row in STORES])
def test_stores_are_refused_with_a_reason(one, store, why, template, says):
    with pytest.raises(pyone.OneInternalException, match=says):
        one.datastore.allocate(template, -1)


def test_the_secret_of_a_store_is_shown_to_administrators_on_request_only(one, store, tenant):
    one.datastore.chmod(store, 1, 1, 0, 1, 0, 0, 1, 0, 0)
    shown = one.datastore.info(store).TEMPLATE["RESTIC_PASSWORD"]
    assert shown != "s3cret"
    assert base64.b64decode(shown)
    assert one.datastore.info(store, True).TEMPLATE["RESTIC_PASSWORD"] == "s3cret"
    assert tenant.datastore.info(store, True).TEMPLATE["RESTIC_PASSWORD"] == shown
    pooled = {one_store.ID: one_store for one_store in one.datastorepool.info().DATASTORE}
    assert pooled[store].TEMPLATE["RESTIC_PASSWORD"] == shown
    one.datastore.update(store, f'RESTIC_PASSWORD="{shown}" NOTE=1', 1)
    assert one.datastore.info(store, True).TEMPLATE["RESTIC_PASSWORD"] == "s3cret", "what was read may be written back"
    one.datastore.update(store, "RESTIC_PASSWORD=other", 1)
    assert one.datastore.info(store, True).TEMPLATE["RESTIC_PASSWORD"] == "other"
    assert (pooled[store].TYPE, pooled[store].DS_MAD, pooled[store].TM_MAD) == (3, "restic", "-")


def test_a_backup_store_stays_one(one, store):
    one.datastore.update(store, "TYPE=IMAGE_DS", 1)
    assert (one.datastore.info(store).TYPE, one.datastore.info(store).TEMPLATE["TYPE"]) == (3, "BACKUP_DS")


# ----------------------------------------------------------------------------------------------------- taken and kept


def test_a_running_machine_is_backed_up(one, clock, world, store):
    vm = running(one, clock, world)
    one.vm.backup(vm, store, False)
    assert where(one, vm) == (3, 69)
    assert config(one, vm, "LAST_DATASTORE_ID") == str(store)
    assert path(one, clock, vm) == [(3, 69), (3, 3)]
    (oid,) = one.vm.info(vm).BACKUPS.BACKUP_IDS.ID
    image = one.image.info(oid)
    assert (6, 1, 1, store) == (image.TYPE, image.STATE, image.PERSISTENT, image.DATASTORE_ID)
    assert ([vm], 1, [0]) == (image.VMS.ID, image.RUNNING_VMS, image.BACKUP_DISK_IDS.ID)
    assert image.NAME.startswith(f"{vm} ")
    assert one.vm.info(vm).HISTORY_RECORDS.HISTORY[-2].ACTION == 50
    assert config(one, vm, "LAST_DATASTORE_ID") is None, "what was under way is forgotten"


def test_a_machine_in_poweroff_is_active_while_it_is_backed_up(one, clock, world, store):
    vm = running(one, clock, world)
    one.vm.action("poweroff", vm)
    clock.pass_()
    one.vm.backup(vm, store, False)
    assert path(one, clock, vm) == [(3, 70), (8, 0)]


def test_full_backups_beyond_keep_last_go(one, clock, world, store):
    vm = running(one, clock, world)
    one.vm.updateconf(vm, 'BACKUP_CONFIG=[KEEP_LAST="2", MODE="FULL"]', 1)
    made = [taken(one, clock, vm, store) for _ in range(4)]
    assert made[-2:] == one.vm.info(vm).BACKUPS.BACKUP_IDS.ID
    with pytest.raises(pyone.OneNoExistsException):
        one.image.info(made[0])
    assert made[-2:] == one.datastore.info(store).IMAGES.ID


def test_increments_stay_in_one_image_and_the_oldest_are_merged(one, clock, world, store):
    vm = running(one, clock, world)
    one.vm.updateconf(vm, 'BACKUP_CONFIG=[KEEP_LAST="3", MODE="INCREMENT"]', 1)
    first = taken(one, clock, vm, store)
    for _ in range(2):
        assert taken(one, clock, vm, -1) == first, "an increment needs no datastore"
    increments = one.image.info(first).BACKUP_INCREMENTS.INCREMENT
    assert [(row.ID, row.PARENT_ID, row.TYPE) for row in increments] == [
        ("0", -1, "FULL"), ("1", 0, "INCREMENT"), ("2", 1, "INCREMENT"),
    ]  # fmt: skip
    assert (config(one, vm, "INCREMENTAL_BACKUP_ID"), config(one, vm, "LAST_INCREMENT_ID")) == (str(first), "2")
    one.vm.backup(vm, -1, False)
    clock.pass_(0.6)
    assert one.image.info(first).STATE == 4
    with pytest.raises(pyone.OneInternalException, match="consolidating backup increments"):
        one.vm.backup(vm, -1, False)
    clock.pass_()
    increments = one.image.info(first).BACKUP_INCREMENTS.INCREMENT
    assert [(row.ID, row.PARENT_ID, row.TYPE) for row in increments] == [
        ("1", -1, "FULL"), ("2", 1, "INCREMENT"), ("3", 2, "INCREMENT"),
    ]  # fmt: skip
    assert taken(one, clock, vm, store, reset=True) != first, "reset begins a new chain"


def test_a_machine_with_raw_disks_is_saved_whole(one, clock, world, store):
    vm = running(one, clock, world)
    image = one.image.allocate("NAME=raw SIZE=10 TYPE=DATABLOCK", 1)
    clock.pass_()
    one.vm.attach(vm, f"DISK=[IMAGE_ID={image}]")
    clock.pass_()
    one.vm.updateconf(vm, 'BACKUP_CONFIG=[MODE="FULL"]', 1)
    with pytest.raises(pyone.OneInternalException, match="cannot use backup increment mode, it has disks snapshots or"):
        one.vm.updateconf(vm, 'BACKUP_CONFIG=[MODE="INCREMENT"]', 1)
    born = one.vm.allocate(f'CPU=1 MEMORY=1 DISK=[IMAGE_ID={image}] BACKUP_CONFIG=[MODE="INCREMENT"]')
    assert config(one, born, "MODE") == "FULL", "a new machine is corrected without a word"


def test_updateconf_merges_or_replaces_what_is_configured(one, clock, world):
    vm = running(one, clock, world)
    one.vm.updateconf(vm, 'BACKUP_CONFIG=[KEEP_LAST="2", FS_FREEZE="agent"]', 1)
    one.vm.updateconf(vm, 'BACKUP_CONFIG=[KEEP_LAST="3"]', 1)
    assert (config(one, vm, "KEEP_LAST"), config(one, vm, "FS_FREEZE")) == ("3", "AGENT")
    one.vm.updateconf(vm, 'BACKUP_CONFIG=[MODE="FULL"]', 0)
    assert (config(one, vm, "KEEP_LAST"), config(one, vm, "FS_FREEZE")) == (None, "NONE")
    with pytest.raises(pyone.OneInternalException, match="disk 7 cannot be backed up"):
        one.vm.updateconf(vm, 'BACKUP_CONFIG=[DISK_IDS="7"]', 1)


def test_what_is_configured_may_come_with_the_machine(one, clock, world):
    vm = one.template.instantiate(
        world["template"], "v", False, 'BACKUP_CONFIG=[KEEP_LAST="5",MODE="INCREMENT"]', False
    )
    assert (config(one, vm, "KEEP_LAST"), config(one, vm, "MODE")) == ("5", "INCREMENT")
    assert "BACKUP_CONFIG" not in one.vm.info(vm).USER_TEMPLATE


def test_a_backup_that_fails_leaves_the_machine_and_says_why(sandbox, cloud, one, clock, world, store):
    vm = running(one, clock, world)
    sandbox.do(mischief.fail_next, cloud, "BACKUP", "repository is locked")
    one.vm.backup(vm, store, False)
    assert path(one, clock, vm) == [(3, 69), (3, 3)]
    found = one.vm.info(vm)
    assert "BACKUP: repository is locked" in found.USER_TEMPLATE["ERROR"]
    assert not found.BACKUPS.BACKUP_IDS.ID


def test_a_backup_is_cancelled(one, clock, world, store):
    vm = running(one, clock, world)
    with pytest.raises(pyone.OneInternalException, match="no backup in progress"):
        one.vm.backupcancel(vm)
    one.vm.backup(vm, store, False)
    one.vm.backupcancel(vm)
    clock.pass_(0.1)
    assert where(one, vm) == (3, 3)
    clock.pass_()
    assert not one.vm.info(vm).BACKUPS.BACKUP_IDS.ID


REFUSALS = [
    ("no such datastore", lambda one, vm, store: one.vm.backup(vm, 999, False), pyone.OneNoExistsException, r"datastore \[999\]"),
    ("none was given", lambda one, vm, store: one.vm.backup(vm, -1, False), pyone.OneNoExistsException, r"datastore \[-1\]"),
    ("a datastore for images", lambda one, vm, store: one.vm.backup(vm, 1, False), pyone.OneActionException, "needs to be of type BACKUP"),
    ("no such machine", lambda one, vm, store: one.vm.backup(99, store, False), pyone.OneNoExistsException, r"virtual machine \[99\]"),
    ("twice", lambda one, vm, store: [one.vm.backup(vm, store, False) for _ in range(2)], pyone.OneInternalException, "wrong state BACKUP"),
]  # fmt: skip


@pytest.mark.parametrize(("why", "act", "error", "says"), REFUSALS, ids=[row[0] for row in REFUSALS])
def test_backups_are_refused(one, clock, world, store, why, act, error, says):
    vm = running(one, clock, world)
    with pytest.raises(error, match=says):
        act(one, vm, store)


def test_an_owner_may_plan_a_backup_but_not_take_one(one, clock, world, store, tenant):
    vm = running(one, clock, world)
    one.vm.chown(vm, tenant.uid, -1)
    one.datastore.chmod(store, 1, 1, 0, 1, 0, 0, 1, 0, 0)
    with pytest.raises(pyone.OneAuthorizationException, match="Not authorized to perform ADMIN VM"):
        tenant.vm.backup(vm, store, False)
    tenant.vm.schedadd(vm, f'SCHED_ACTION=[ACTION="backup", ARGS="{store}", TIME="+1"]')
    clock.pass_(10)
    (oid,) = one.vm.info(vm).BACKUPS.BACKUP_IDS.ID
    assert tenant.uid == one.image.info(oid).UID
    with pytest.raises(pyone.OneAuthorizationException, match="Not authorized to perform ADMIN VM"):
        tenant.vm.restore(vm, oid, -1, -1)


def test_backups_count_into_the_quota_of_the_owner(one, clock, world, store, tenant):
    vm = running(one, clock, world)
    one.vm.chown(vm, tenant.uid, -1)
    one.user.quota(tenant.uid, f"DATASTORE=[ID={store}, IMAGES=1, SIZE=-2]")
    taken(one, clock, vm, store)
    with pytest.raises(pyone.OneAuthorizationException, match="limit of 1 reached for IMAGES quota"):
        one.vm.backup(vm, store, False)


# ------------------------------------------------------------------------------------------------------------ restored


def test_a_machine_is_restored_in_place_in_poweroff_only(one, clock, world, store):
    vm = running(one, clock, world)
    one.vm.snapshotcreate(vm, "before")
    clock.pass_()
    image = taken(one, clock, vm, store)
    with pytest.raises(pyone.OneActionException, match="must be in poweroff"):
        one.vm.restore(vm, image, -1, -1)
    with pytest.raises(pyone.OneActionException, match="of type BACKUP"):
        one.vm.restore(vm, world["image"], -1, -1)
    one.vm.action("poweroff", vm)
    clock.pass_()
    with pytest.raises(pyone.OneActionException, match="Wrong increment"):
        one.vm.restore(vm, image, 3, -1)
    with pytest.raises(pyone.OneActionException, match="VM disk does not exist"):
        one.vm.restore(vm, image, -1, 9)
    one.vm.restore(vm, image, -1, -1)
    assert path(one, clock, vm) == [(3, 71), (8, 0)]
    assert "SNAPSHOT" not in one.vm.info(vm).TEMPLATE, "snapshots do not survive"
    assert one.vm.info(vm).HISTORY_RECORDS.HISTORY[-2].ACTION == 60


def test_a_backup_becomes_a_template_and_images(one, clock, world, store):
    vm = running(one, clock, world)
    one.vm.update(vm, "MARK=mine", 1)
    image = taken(one, clock, vm, store)
    one.vm.action("terminate-hard", vm)
    clock.pass_()
    reply = one.image.restore(image, 1, "NAME=again NO_IP=YES")
    template, *images = map(int, reply.split())
    made = one.template.info(template)
    assert (made.NAME, made.TEMPLATE["MARK"]) == ("again", "mine"), "a mark comes along"
    assert "IP" not in made.TEMPLATE["NIC"]
    assert made.TEMPLATE["NIC"]["NETWORK"] == "net"
    assert made.TEMPLATE["DISK"]["IMAGE_ID"] == str(images[0])
    assert {"SOURCE", "SIZE", "IMAGE", "TARGET"}.isdisjoint(made.TEMPLATE["DISK"])
    assert one.image.info(images[0]).NAME == "again-disk-0"
    clock.pass_()
    again = one.template.instantiate(template, "vm2", False, "", False)
    clock.pass_()
    assert where(one, again) == (3, 3)
    with pytest.raises(pyone.OneActionException, match="Error restoring disk image"):
        one.image.restore(image, 1, "NAME=again")
    only_disk = one.image.restore(image, 1, "NAME=disk DISK_ID=0")
    assert only_disk.startswith("-1 ")
    with pytest.raises(pyone.OneActionException, match="can be only an image datastore"):
        one.image.restore(image, 0, "")


def test_a_restore_without_rights_is_answered_with_success(one, clock, world, store, tenant):
    """oned's own: the text is the refusal. Whoever parses "template image ..." must look at it."""
    image = taken(one, clock, running(one, clock, world), store)
    assert tenant.image.restore(image, 1, "") == f"User [{tenant.uid}] : Not authorized to perform USE IMAGE [{image}]."


def test_a_backup_image_is_no_disk_and_not_changed(one, clock, world, store):
    vm = running(one, clock, world)
    image = taken(one, clock, vm, store)
    with pytest.raises(pyone.OneInternalException, match="cannot be used as DISK"):
        one.vm.allocate(f"CPU=1 MEMORY=1 DISK=[IMAGE_ID={image}]")
    with pytest.raises(pyone.OneInternalException, match="cannot be enabled or disabled"):
        one.image.enable(image, False)
    with pytest.raises(pyone.OneActionException, match="must be persistent"):
        one.image.persistent(image, False)
    one.vm.backup(vm, store, False)
    with pytest.raises(pyone.OneActionException, match="Active backup on the associated VM"):
        one.image.delete(image)
    clock.pass_()
    one.image.delete(image)
    clock.pass_()
    assert image not in one.vm.info(vm).BACKUPS.BACKUP_IDS.ID


# ------------------------------------------------------------------------------------------------------------- planned


def test_planned_backups_happen_at_their_time_and_again(one, clock, world, store):
    vm = running(one, clock, world)
    sched = one.vm.schedadd(
        vm, f'SCHED_ACTION=[ACTION="backup", ARGS="{store}", TIME="{int(clock.now) + 60}", REPEAT="3", DAYS="1"]'
    )
    clock.pass_(30)
    assert not one.vm.info(vm).BACKUPS.BACKUP_IDS.ID
    clock.pass_(40)
    assert len(one.vm.info(vm).BACKUPS.BACKUP_IDS.ID) == 1
    planned = one.vm.info(vm).TEMPLATE["SCHED_ACTION"]
    assert int(planned["TIME"]) > clock.now
    clock.pass_(3 * 3600)
    assert len(one.vm.info(vm).BACKUPS.BACKUP_IDS.ID) == 4
    one.vm.schedupdate(vm, sched, 'SCHED_ACTION=[REPEAT="-1"]')
    assert one.vm.info(vm).TEMPLATE["SCHED_ACTION"]["DAYS"] is None
    one.vm.scheddelete(vm, sched)
    assert not one.vm.info(vm).SCHED_ACTIONS.ID
    with pytest.raises(pyone.OneNoExistsException):
        one.vm.scheddelete(vm, sched)


def test_a_planned_backup_that_cannot_be_is_tried_again_and_says_why(one, clock, world, store):
    vm = running(one, clock, world)
    one.vm.action("suspend", vm)
    clock.pass_()
    one.vm.schedadd(vm, f'SCHED_ACTION=[ACTION="backup", ARGS="{store}", TIME="{int(clock.now)}"]')
    clock.pass_(24 * 3600)
    assert "wrong state SUSPENDED" in one.vm.info(vm).TEMPLATE["SCHED_ACTION"]["MESSAGE"]
    one.vm.action("resume", vm)
    clock.pass_(10)
    assert len(one.vm.info(vm).BACKUPS.BACKUP_IDS.ID) == 1
    planned = one.vm.info(vm).TEMPLATE["SCHED_ACTION"]
    assert planned["MESSAGE"] is None
    assert int(planned["DONE"]) > 0


WRONG_PLANS = [
    ("no action", 'SCHED_ACTION=[TIME="1"]', "No ACTION in template"),
    ("an action that is none", 'SCHED_ACTION=[ACTION="explode", TIME="1"]', "explode is not supported"),
    ("no time", 'SCHED_ACTION=[ACTION="backup"]', "Unable to parse the time value or value is empty"),
    ("a time that is none", 'SCHED_ACTION=[ACTION="backup", TIME="noon"]', "Unable to parse the time value"),
    ("repeated on no day", 'SCHED_ACTION=[ACTION="backup", TIME="1", REPEAT="0"]', "Repeat set, but DAYS are empty"),
    ("an eighth day", 'SCHED_ACTION=[ACTION="backup", TIME="1", REPEAT="0", DAYS="7"]', "Days in a week"),
    ("two numbers of hours", 'SCHED_ACTION=[ACTION="backup", TIME="1", REPEAT="3", DAYS="1,2"]', "Hours have to be"),
    ("a repetition that is none", 'SCHED_ACTION=[ACTION="backup", TIME="1", REPEAT="9"]', "Wrong REPEAT value: 9"),
    ("something else", "A=1", "No SCHED_ACTION attribute"),
]


@pytest.mark.parametrize(("why", "template", "says"), WRONG_PLANS, ids=[row[0] for row in WRONG_PLANS])
def test_plans_are_refused(one, clock, world, why, template, says):
    vm = running(one, clock, world)
    with pytest.raises(pyone.OneActionException, match=says):
        one.vm.schedadd(vm, template)


def test_other_actions_are_planned_too(one, clock, world):
    vm = running(one, clock, world)
    one.vm.schedadd(vm, 'SCHED_ACTION=[ACTION="poweroff", TIME="+1"]')
    one.vm.schedadd(vm, 'SCHED_ACTION=[ACTION="snapshot-create", ARGS="", TIME="+1"]')
    clock.pass_(10)
    assert where(one, vm) == (8, 0)
    late = one.vm.info(vm).TEMPLATE["SCHED_ACTION"]
    assert "Missing or malformed ARGS for: snapshot-create" in late[1]["MESSAGE"]
