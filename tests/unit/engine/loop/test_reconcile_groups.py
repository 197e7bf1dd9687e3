"""What a SecurityGroup says of machines is up to date long before the next sweep, though nothing refers from one to the other."""

from tests.fakes import objects
from tests.fakes.engine_bench import WEB, scenario
from tests.fakes.objects import CLOUD

SOON = 10.0
"""Seconds. A sweep would come after sixty, and has nothing to tell here: this group is in no cloud."""
RULES = {"rules": [{"direction": "Inbound", "protocol": "TCP", "range": "443"}]}
FILTERED = {"networks": [{"name": "lan", "securityGroups": ["web"]}]}


async def resting(b, *machines):
    """A cloud, a group, and these machines, of which nothing is under way."""
    for body in (objects.cloud(endpoint=None), objects.body("SecurityGroup", "web", RULES), *machines):
        b.api.apply(body)
    await b.start()
    await b.after(20)
    assert b.groups.looks, "when it was listed"
    b.groups.looks = 0


@scenario
async def test_at_rest_a_group_is_not_looked_at(b):
    await resting(b, objects.instance(spec=FILTERED))
    await b.after(50)
    assert b.groups.looks == 0


@scenario
async def test_a_machine_that_names_it_has_it_looked_at_as_late_as_it_runs(b):
    await resting(b)
    b.api.apply(objects.instance(spec=FILTERED))
    await b.after(b.outside.boots / 2)
    assert not b.ready()
    assert b.groups.looks
    b.groups.looks = 0
    await b.after(SOON)
    assert b.ready()
    assert b.groups.looks == 1


@scenario
async def test_a_machine_that_names_none_leaves_it_alone(b):
    await resting(b)
    b.api.apply(objects.instance(spec={"networks": [{"name": "lan"}]}))
    await b.after(SOON)
    assert b.ready()
    assert b.groups.looks == 0


@scenario
async def test_a_card_that_was_filtered_anew_has_it_looked_at_though_the_machine_stays_as_ready(b):
    await resting(b, objects.instance())
    b.api.edit(WEB, status=FILTERED)
    await b.after(SOON)
    assert b.ready()
    assert b.groups.looks == 1


@scenario
async def test_a_machine_that_went_has_it_looked_at(b):
    await resting(b, objects.instance(spec=FILTERED))
    b.api.delete(WEB)
    await b.after(0.04)
    assert WEB in b.api.objects
    assert b.groups.looks == 1, "it is going, and names nothing any more"
    await b.after(SOON)
    assert WEB not in b.api.objects
    assert b.groups.looks == 3, "it runs no more, and then: it is gone"


@scenario
async def test_every_cloud_is_its_business(b):
    await resting(b)
    b.api.edit(CLOUD, spec={"management": "Observe"})
    await b.after(1)
    assert b.groups.looks == 1
