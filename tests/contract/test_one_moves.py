"""What takes a disk of a machine to another cloud, through the real adapter, on two simulated clouds."""

from __future__ import annotations

import pytest
from tests.contract.one_world import HOSTS, Clock, running

from sovereigncloud.core.identity import Mark
from sovereigncloud.ports.errors import Conflict, Rejected
from sovereigncloud.ports.opennebula.migration import AppState
from sovereigncloud_sandbox.opennebula import mischief
from sovereigncloud_sandbox.opennebula.background import BackgroundSandbox
from sovereigncloud_sandbox.opennebula.install import CloudSpec

HTTP = {"NAME": "way-out", "MARKET_MAD": "http", "BASE_URL": "http://apps.example.org/", "PUBLIC_DIR": "/var/www"}
MARK = Mark("here", "InstanceMigration/team/web-to-paris", "uid-1")


@pytest.fixture(scope="module")
def clock():
    return Clock()


@pytest.fixture
def sandbox(clock):
    with BackgroundSandbox(CloudSpec("zone", version="7.4.0", hosts=HOSTS), clock=clock) as running_:
        clock.pass_()
        yield running_


@pytest.fixture
def endpoint(sandbox):
    return sandbox.endpoint("zone")


@pytest.fixture
async def saved(front, one, clock, world):
    """The image of a disk, and where apps go."""
    vm = running(one, clock, world)
    one.vm.action("poweroff", vm)
    clock.pass_()
    market = await front.parts.create_marketplace({**HTTP, "BRIDGE_LIST": "files.example.org"})
    image = await front.moves.save_disk(vm, 0, "exit-uid-1-0")
    clock.pass_()
    with pytest.raises(Conflict, match="NAME is already taken"):
        await front.moves.save_disk(vm, 0, "exit-uid-1-0")
    return vm, image, market


async def ours(front):
    """Those of public marketplaces are oneadmin's as well."""
    return [app for app in await front.moves.apps() if app.marketplace == "way-out"]


async def test_a_saved_disk_is_published_with_its_mark_and_found_by_it(front, saved, clock):
    _, image, market = saved
    template = {"NAME": "exit-uid-1-0", "ORIGIN_ID": str(image), "TYPE": "IMAGE", **MARK.for_opennebula()}
    made = await front.moves.publish(template, market)
    with pytest.raises(Conflict):
        await front.moves.publish(template, market)
    (app,) = await ours(front)
    assert (app.id, app.state, app.source, app.mark) == (made, AppState.LOCKED, "", MARK)
    clock.pass_()
    (app,) = await ours(front)
    assert (app.state, app.size, app.marketplace, app.error) == (AppState.READY, 1024, "way-out", "")
    assert app.source.startswith("http://apps.example.org/")
    assert len(app.digest) == 32
    await front.moves.delete_app(made)
    clock.pass_()
    assert await ours(front) == []


async def test_an_app_that_could_not_be_made_stays_and_says_why(front, sandbox, saved, clock):
    _, image, market = saved
    with pytest.raises(Rejected, match="Image does not exist"):
        await front.moves.publish({"NAME": "of-nothing", "ORIGIN_ID": "99", "TYPE": "IMAGE"}, market)
    sandbox.do(mischief.fail_next, sandbox["zone"], "APP", "No space left on device")
    await front.moves.publish({"NAME": "of-something", "ORIGIN_ID": str(image), "TYPE": "IMAGE"}, market)
    clock.pass_()
    nothing, something = sorted(await ours(front), key=lambda app: app.name)
    assert (nothing.state, nothing.error) == (AppState.ERROR, "Image does not exist.")
    assert something.state == AppState.ERROR
    assert "No space left on device" in something.error


async def test_a_disk_of_a_machine_that_is_busy_is_refused(front, one, clock, world):
    vm = one.template.instantiate(world["template"], "busy", False, "", False)
    with pytest.raises(Conflict, match="RUNNING, POWEROFF or SUSPENDED"):
        await front.moves.save_disk(vm, 0, "exit-uid-1-0")
