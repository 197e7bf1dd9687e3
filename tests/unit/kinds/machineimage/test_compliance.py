"""The condition Compliant of a MachineImage: where its datastores lie, in each of its clouds."""

import asyncio

import pytest
from tests.unit.kinds.location.test_facts import BHS, LIM, RBX
from tests.unit.kinds.machineimage.test_plan import CONTROLLER, TWO, ours, wanted
from tests.unit.kinds.opennebula_in_memory import OpenNebula, World
from tests.unit.kinds.sovereigncloud.test_compliance import cloud_in, policy, residency

from sovereigncloud.kinds.contract.controller import OWN_CONDITIONS
from sovereigncloud.ports.errors import Retry


class Placed(World):
    """Clouds whose hosts stand in these regions."""

    def __init__(self, regions, **clouds):
        super().__init__((), **clouds)
        self.regions = regions

    def get(self, key):
        found = super().get(key)
        there = {"locations": cloud_in(*self.regions[key.name]).status.locations}
        return found.model_copy(update={"status": found.status.model_copy(update=there)})


def front():
    made = OpenNebula()
    one = ours(datastore_id=1)
    made.images[one.id] = one
    return made


def condition(world, spec=None, **status):
    resource = wanted(spec or {}, {"image.rbx": str(ours().id)})
    resource = resource.model_copy(update={"status": resource.status.model_copy(update=status)})
    fields = CONTROLLER.status(resource, asyncio.run(CONTROLLER.observe(resource, world)))
    return next(iter(fields[OWN_CONDITIONS]), None), fields


def world_of(*rules, **clouds):
    made = Placed(clouds, **{name: front() for name in clouds})
    made.rules = rules
    return made


CASES = [
    ("in France", (RBX,), policy(), "True", "meets SovereigntyPolicy eu-baseline"),
    ("a cluster of two countries counts both", (RBX, BHS), policy(), "False", "datastore default is in CA, BHS"),
    (
        "nobody knows where the hosts are",
        ("eu-west-1",),
        policy(),
        "Unknown",
        "nobody knows in which country datastore",
    ),
    ("the policy does not cover images", (BHS,), residency("EU", covers=["compute"]), None, ""),
]


@pytest.mark.parametrize(("why", "regions", "rules", "status", "says"), CASES, ids=[c[0] for c in CASES])
def test_an_image_is_where_the_hosts_of_its_datastores_clusters_are(why, regions, rules, status, says):
    found, _ = condition(world_of(rules, rbx=regions))
    assert (found and found["status"]) == status, why
    assert found is None or says in found["message"]


def test_of_several_clouds_each_counts_and_is_named():
    found, _ = condition(world_of(policy(), rbx=(RBX,), sbg=(BHS,)), TWO)
    assert found["status"] == "False"
    assert "datastore default of team/sbg is in CA" in found["message"]


def test_without_a_policy_there_is_no_condition():
    assert condition(world_of(rbx=(BHS,)))[0] is None


def test_where_it_is_not_yet_nothing_is_judged():
    world = world_of(policy(), rbx=(BHS,))
    world.fronts[next(iter(world.fronts))].images.clear()
    assert condition(world)[0] is None


def test_while_its_cloud_does_not_answer_it_is_where_it_was():
    _, fields = condition(world_of(policy(), rbx=(LIM,)))
    before = wanted({}).status.model_validate({"clouds": fields["clouds"]}).clouds
    silent = world_of(residency("FR"), rbx=(LIM,))
    silent.fronts = dict.fromkeys(silent.fronts, Retry("no answer", where="OpenNebula"))
    found, _ = condition(silent, clouds=before)
    assert found["status"] == "False"
    assert "datastore default is in DE" in found["message"]
