"""Marketplaces, their apps, and images that come from them or from a URL, in the simulated OpenNebula."""

import hashlib

import pyone
import pytest
from tests.contract.one_world import running

from sovereigncloud_sandbox.opennebula import mischief

HTTP = "NAME={} MARKET_MAD=http BASE_URL=https://apps.example.org/ PUBLIC_DIR=/var/www"
S3 = "NAME={} MARKET_MAD=s3 ACCESS_KEY_ID=AK SECRET_ACCESS_KEY=hidden REGION=gra BUCKET=apps AWS=no ENDPOINT=https://s3.example.org"


@pytest.fixture
def market(one):
    return one.market.allocate(HTTP.format("ours"))


def app_of(one, clock, image, market, name="app"):
    oid = one.marketapp.allocate(f"NAME={name} ORIGIN_ID={image} TYPE=IMAGE VERSION=1.2 DESCRIPTION=d", market)
    clock.pass_()
    return oid


REFUSED = [
    ("no driver", "NAME=a", "No marketplace driver"),
    ("a driver nobody knows", "NAME=a MARKET_MAD=ftp", 'named "ftp" is not defined'),
    ("http without its address", "NAME=a MARKET_MAD=http PUBLIC_DIR=/x", '"BASE_URL"'),
    ("http without its folder", "NAME=a MARKET_MAD=http BASE_URL=http://x", '"PUBLIC_DIR"'),
    ("S3 without its key", "NAME=a MARKET_MAD=s3 REGION=x BUCKET=y ACCESS_KEY_ID=z", '"SECRET_ACCESS_KEY"'),
    ("the name is taken", "NAME=ours MARKET_MAD=one", "NAME is already taken by MARKETPLACE"),
]


@pytest.mark.parametrize(("why", "template", "says"), REFUSED, ids=[row[0] for row in REFUSED])
def test_marketplaces_are_refused_with_a_reason(one, market, why, template, says):
    with pytest.raises(pyone.OneException, match=f"Error allocating a new marketplace. .*{says}") as refusal:
        one.market.allocate(template)
    assert type(refusal.value) is pyone.OneException, "0x4000 has no class of its own"


def test_a_marketplace_is_changed_but_not_out_of_its_mind(one, market):
    one.market.update(market, "BRIDGE_LIST=web1", 1)
    assert one.market.info(market).TEMPLATE["BRIDGE_LIST"] == "web1"
    one.market.update(market, "NOTE=1", 0)
    assert one.market.info(market).MARKET_MAD == one.market.info(market).TEMPLATE["MARKET_MAD"] == "http"
    with pytest.raises(
        pyone.OneInternalException, match=r'Cannot update template\. MarketPlace template is missing the "ACCESS'
    ):
        one.market.update(market, "MARKET_MAD=s3", 1)


def test_the_secret_of_a_marketplace_is_kept_in_clear(one, tenant):
    """oned has no MARKETPLACE_ENCRYPTED_ATTR, and a default rule lets everybody USE every marketplace."""
    oid = one.market.allocate(S3.format("bucket"))
    assert one.market.info(oid).TEMPLATE["SECRET_ACCESS_KEY"] == "hidden"
    assert tenant.market.info(oid).TEMPLATE["SECRET_ACCESS_KEY"] == "hidden"


def test_an_image_becomes_an_app_and_an_image_again(one, clock, world, market):
    app = one.marketapp.allocate(f"NAME=app ORIGIN_ID={world['image']} VERSION=1.2 SIZE=7 MD5=x", market)
    found = one.marketapp.info(app)
    assert (2, "", 0, str(world["image"])) == (found.STATE, found.SOURCE, found.SIZE, found.ORIGIN_ID)
    source = one.image.info(world["image"])
    assert (2, [app], 1) == (source.STATE, source.APP_CLONES.ID, source.CLONING_OPS)
    with pytest.raises(pyone.OneActionException, match="using it"):
        one.image.delete(world["image"])
    clock.pass_()
    found = one.marketapp.info(app)
    assert (found.STATE, found.SIZE, found.VERSION, found.FORMAT) == (1, 1024, "1.2", "qcow2")
    assert found.SOURCE.startswith("https://apps.example.org/")
    assert len(found.MD5) == 32
    assert one.image.info(world["image"]).STATE == 1
    assert [app] == one.market.info(market).MARKETPLACEAPPS.ID
    copy = one.image.allocate(f"NAME=copy FROM_APP={app}", 1)
    clock.pass_()
    image = one.image.info(copy)
    assert (image.STATE, image.SIZE, image.TEMPLATE["FROM_APP_MD5"]) == (1, 1024, found.MD5)
    one.marketapp.enable(app, False)
    assert one.marketapp.info(app).STATE == 4
    with pytest.raises(pyone.OneActionException, match="is not empty"):
        one.market.delete(market)
    one.marketapp.delete(app)
    clock.pass_()
    with pytest.raises(pyone.OneNoExistsException):
        one.marketapp.info(app)
    one.market.delete(market)


def test_apps_of_s3_are_there(one, clock, world):
    market = one.market.allocate(S3.format("bucket"))
    assert one.marketapp.info(app_of(one, clock, world["image"], market)).SOURCE.startswith("s3://apps/")


def test_apps_that_cannot_be_made(sandbox, cloud, one, clock, world, market):
    with pytest.raises(pyone.OneException, match="Missing ORIGIN_ID"):
        one.marketapp.allocate("NAME=a", market)
    with pytest.raises(pyone.OneInternalException, match="Cannot find associated MARKETPLACE ID = 99"):
        one.marketapp.allocate(f"NAME=a ORIGIN_ID={world['image']}", 99)
    with pytest.raises(pyone.OneActionException, match="Create disabled for market: OpenNebula Public"):
        one.marketapp.allocate(f"NAME=a ORIGIN_ID={world['image']}", 0)
    with pytest.raises(pyone.OneInternalException, match="Image does not exist"):
        one.marketapp.allocate("NAME=gone ORIGIN_ID=99", market)
    broken = next(app for app in one.marketapppool.info(-2, -1, -1).MARKETPLACEAPP if app.NAME == "gone")
    assert (broken.STATE, broken.TEMPLATE["ERROR"]) == (3, "Image does not exist."), "a refused app stays, in ERROR"
    with pytest.raises(pyone.OneException, match="NAME is already taken by MARKETPLACEAPP"):
        one.marketapp.allocate(f"NAME=gone ORIGIN_ID={world['image']}", market)
    sandbox.do(mischief.fail_next, cloud, "APP", "No space left on device")
    failed = one.marketapp.info(app_of(one, clock, world["image"], market, "full"))
    assert failed.STATE == 3
    assert "No space left on device" in failed.TEMPLATE["ERROR"]
    public = one.marketapppool.info(-2, -1, -1).MARKETPLACEAPP[-1].ID
    with pytest.raises(pyone.OneActionException, match="Delete disabled for market"):
        one.marketapp.delete(public)


def test_a_persistent_image_is_in_clone_while_it_becomes_an_app(one, clock, market):
    image = one.image.allocate("NAME=p SIZE=10 TYPE=DATABLOCK PERSISTENT=YES", 1)
    clock.pass_()
    one.marketapp.allocate(f"NAME=app ORIGIN_ID={image}", market)
    assert one.image.info(image).STATE == 6
    with pytest.raises(pyone.OneActionException, match="1 active clone operations"):
        one.image.delete(image)


def test_disabling_a_marketplace_loses_its_apps(one, clock, world, market):
    app = app_of(one, clock, world["image"], market)
    one.market.enable(market, False)
    assert one.market.info(market).STATE == 1
    with pytest.raises(pyone.OneNoExistsException):
        one.marketapp.info(app)


# ------------------------------------------------------------------------------------------------------ from a URL

URL = "https://images.example.org/web.qcow2"
MD5, SHA1 = hashlib.md5(b"web").hexdigest(), hashlib.sha1(b"web").hexdigest()
OTHER = hashlib.md5(b"other").hexdigest()
HASHES = [
    ("the right MD5", f"MD5={MD5}", 1),
    ("another MD5", f"MD5={OTHER}", 5),
    ("the right SHA1", f"SHA1={SHA1}", 1),
    ("another SHA1", "SHA1=" + "0" * 40, 5),
    ("no hash at all", "", 1),
    ("what is no MD5", "MD5=abc", 5),
    ("a hash that oned does not know", "SHA256=" + "0" * 64, 1),
]


@pytest.mark.parametrize(("why", "attribute", "state"), HASHES, ids=[row[0] for row in HASHES])
def test_the_hash_of_a_download_is_compared(sandbox, cloud, one, clock, world, why, attribute, state):
    sandbox.do(mischief.publish, cloud, URL, 700, MD5, SHA1)
    image = one.image.allocate(f"NAME=i PATH={URL} {attribute}", 1)
    clock.pass_()
    found = one.image.info(image)
    assert (state, 700) == (found.STATE, found.SIZE)
    if state == 5:
        assert found.TEMPLATE["ERROR"].endswith("Error copying image in the datastore: Hash does not match")


IMAGES = [
    ("a source needs a format", "NAME=i SOURCE=/x SIZE=1", pyone.OneException, "SOURCE needs FORMAT to be set"),
    ("both path and source", "NAME=i PATH=http://x/y SOURCE=/x FORMAT=raw SIZE=1", pyone.OneException, "cannot be both set"),
    ("no size", "NAME=i TYPE=DATABLOCK", pyone.OneInternalException, "Wrong number or missing SIZE"),
    ("a host that is none", "NAME=i PATH=http://nowhere.invalid/i", pyone.OneInternalException, "Could not resolve host"),
    ("no such app", "NAME=i FROM_APP=999", pyone.OneInternalException, "Cannot determine image SIZE"),
    ("too large", "NAME=i TYPE=DATABLOCK SIZE=9999999", pyone.OneActionException, "Not enough space in datastore"),
]  # fmt: skip


@pytest.mark.parametrize(("why", "template", "error", "says"), IMAGES, ids=[row[0] for row in IMAGES])
def test_images_are_refused_with_a_reason(one, clock, world, why, template, error, says):
    with pytest.raises(error, match=says):
        one.image.allocate(template, 1)


# --------------------------------------------------------------------------------------------------------- clusters


def test_members_of_clusters(one, clock, world):
    cluster = one.cluster.allocate("second")
    for _ in range(2):  # what is a member already stays one, and the call succeeds
        one.cluster.addvnet(cluster, world["net"])
        one.cluster.adddatastore(cluster, 1)
    found = one.cluster.info(cluster)
    assert ([world["net"]], [1]) == (found.VNETS.ID, found.DATASTORES.ID)
    assert [0, cluster] == one.vn.info(world["net"]).CLUSTERS.ID
    one.cluster.delvnet(cluster, world["net"])
    one.cluster.deldatastore(cluster, 1)
    assert one.datastore.info(1).CLUSTERS.ID == [0]
    one.cluster.addhost(cluster, 0)
    assert cluster == one.host.info(0).CLUSTER_ID
    one.cluster.update(cluster, "RESERVED_CPU=100 NOTE=x", 1)
    assert one.cluster.info(cluster).TEMPLATE["NOTE"] == "x"
    with pytest.raises(pyone.OneActionException, match="is not empty, it contains 1 hosts"):
        one.cluster.delete(cluster)
    with pytest.raises(pyone.OneNoExistsException):
        one.cluster.addvnet(cluster, 99)


def test_a_tenant_changes_no_cluster(one, clock, world, tenant):
    with pytest.raises(pyone.OneAuthorizationException, match="Not authorized to perform ADMIN CLUSTER"):
        tenant.cluster.addvnet(0, world["net"])
    assert running(one, clock, world) is not None
