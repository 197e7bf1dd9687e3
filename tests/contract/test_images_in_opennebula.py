"""A MachineImage through the real adapter: its fields kept, its next version, and a download whose sum is another."""

from __future__ import annotations

import time

import pytest
from tests.contract.live_cloud import FAST, declared, gone, until_quiet
from tests.unit.kinds.opennebula_in_memory import NOW, World, resource, run

from sovereigncloud.core.outcome import Phase
from sovereigncloud.kinds.machineimage.controller import MachineImageController
from sovereigncloud_sandbox.opennebula.background import BackgroundSandbox
from sovereigncloud_sandbox.opennebula.cloud import Published
from sovereigncloud_sandbox.opennebula.install import CloudSpec, HostSpec

CONTROLLER = MachineImageController()
URL = "https://images.example/u.qcow2"


@pytest.fixture(scope="module")
def endpoint():
    with BackgroundSandbox(CloudSpec("images", hosts=(HostSpec("127.0.0.2"),), speeds=FAST)) as sandbox:
        time.sleep(0.3)
        sandbox["images"].published[URL] = Published(64, md5="1" * 32, sha1="2" * 40)
        yield sandbox.endpoint("images")


def wanted(name, /, **spec):
    return resource("MachineImage", name, {"cloudRefs": [{"name": "rbx"}], "source": {"url": URL}, **spec})


async def images(front):
    return {image.name: image for image in (await front.view(0)).images.values()}


async def test_fields_are_kept_and_a_next_version_takes_the_place_of_the_one_before(front) -> None:
    world = World(rbx=front)
    base = wanted("base", name="base 1 (é)", description="ours ]] <é>", persistent=False)
    base = await until_quiet(CONTROLLER, base, world)
    made = (await images(front))["base 1 (é)"]
    assert (made.description, made.persistent) == ("ours ]] <é>", False)

    await front.rename_image(made.id, "oops")
    await front.set_persistent(made.id, persistent=True)
    await front.update_image(made.id, {"DESCRIPTION": "theirs"})
    base = await until_quiet(CONTROLLER, base, world)
    assert (await images(front))["base 1 (é)"] == made

    base = await until_quiet(CONTROLLER, declared(base, name="base-2", source={"url": f"{URL}.2"}), world)
    found = await images(front)
    assert "base-2" in found
    assert "base 1 (é)" not in found
    assert base.external["image.rbx"] == str(found["base-2"].id)
    await gone(CONTROLLER, base, world)


async def test_a_sum_that_is_another_is_an_error_and_tried_again_later(front) -> None:
    world = World(rbx=front)
    bad = wanted("bad", source={"url": URL, "checksum": "md5:" + "0" * 32})
    for _ in range(60):
        bad, plan, outcome = await run(CONTROLLER, bad, world)
        if outcome.reason == "ImageError":
            break
        time.sleep(0.05)  # noqa: ASYNC251 - nothing else runs here
    assert (plan.steps, outcome.phase, outcome.reason) == ((), Phase.RETRY, "ImageError")
    assert "it is deleted and made again, try 2 of 6" in outcome.message
    assert outcome.after > (time.time() - NOW.timestamp()) - 5, "by the clock of the test, which stands still"
    await gone(CONTROLLER, bad, world)
    for checksum in ("md5:" + "1" * 32, "sha1:" + "2" * 40):
        good = wanted("good", source={"url": URL, "checksum": checksum})
        good = await until_quiet(CONTROLLER, good, world)
        await gone(CONTROLLER, good, world)
