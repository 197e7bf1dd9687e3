"""The condition Compliant of a cloud: the rule, the fact, who says so, since when; and what stays while nothing answers."""

from datetime import UTC, datetime

import pytest
from tests.unit.kinds.location.test_facts import BHS, ERI, LIM, RBX, found, parsed, private, profile, seen, view
from tests.unit.kinds.sovereigncloud.test_plan import Scene, hosted, run

from sovereigncloud.api.sovereigntypolicy import SovereigntyPolicy
from sovereigncloud.kinds.contract.controller import OWN_CONDITIONS
from sovereigncloud.kinds.sovereigncloud.compliance import judged
from sovereigncloud.kinds.sovereigncloud.controller import SovereignCloudController
from sovereigncloud.kinds.sovereigncloud.location.status import Sighting
from sovereigncloud.sovereignty.rules import rules_of

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def policy(name="eu-baseline", **spec):
    spec = spec or {"residency": {"allowedCountries": ["EU"]}}
    return rules_of(SovereigntyPolicy.model_validate({"metadata": {"name": name}, "spec": spec, "status": {}}), NOON)


def residency(*countries, **more):
    return policy(residency={"allowedCountries": list(countries), **more})


def cloud_in(*regions, **more):
    raw = hosted()
    return parsed(raw, found(raw, seen(*regions, **more)))


LAW = {"jurisdiction": {"allowed": ["EU"]}}
CASES = [
    ("inside", cloud_in(RBX), policy(), None, "True", ["meets SovereigntyPolicy eu-baseline"]),
    ("Erith is not in the Union", cloud_in(ERI), policy(), None, "False",
     ["eu-baseline: residency.compute: host h0 is in GB, ERI", "OVHcloud region eu-west-eri of server ns0",
      "since 2026-11-24T12:00:00Z"]),
    ("one host of two in Canada", cloud_in(RBX, BHS), policy(), None, "False", ["host h1 is in CA, BHS"]),
    ("a region that is in no table", cloud_in("eu-west-1"), policy(), None, "Unknown",
     ["not known to meet", "nobody knows in which country host h0 is", "in no table of regions"]),
    ("a host that is no server", cloud_in(RBX, None), policy(), None, "Unknown", ["host h1 is no server that the account shows"]),
    ("only the hosts count", cloud_in(RBX, fronts=(LIM,)), residency("FR", covers=["compute"]), None, "True", []),
    ("the front-end counts, too", cloud_in(RBX, fronts=(LIM,)), residency("FR"), None, "False",
     ["residency.controlPlane", "is in DE, LIM"]),
    ("nobody looked yet", parsed(hosted()), policy(), None, "Unknown", ["nobody knows in which country the cloud is"]),
    ("nobody says who provides it", cloud_in(RBX), policy(**LAW), None, "Unknown", ["jurisdiction.legalEntity"]),
    ("the profile says it", cloud_in(RBX), policy(**LAW), profile(), "True", []),
    ("a provider under another law", cloud_in(RBX), policy(**LAW), profile(legalEntity={"name": "Acme", "country": "US"}),
     "False", ["Acme is under the law of US"]),
]  # fmt: skip


@pytest.mark.parametrize(("why", "cloud", "rules", "known", "status", "says"), CASES, ids=[c[0] for c in CASES])
def test_a_cloud_is_judged_by_where_its_parts_are_and_who_provides_it(why, cloud, rules, known, status, says):
    condition = judged(cloud, [rules], known, answers=True)
    assert (condition["type"], condition["status"]) == ("Compliant", status), why
    for words in says:
        assert words in condition["message"]


def test_a_datacenter_of_an_existing_cloud_has_the_grade_of_its_profile():
    raw, known = private(), profile({"name": "PARIS-1", "country": "FR"})
    cloud = parsed(raw, found(raw, Sighting(view()), known))
    assert judged(cloud, [residency("FR")], known, answers=True)["status"] == "True"
    strict = judged(cloud, [residency("FR", minGrade="Attested")], known, answers=True)
    assert strict["status"] == "Unknown"
    assert "ProviderProfile ministry" in strict["message"]


def test_all_policies_that_bind_it_must_be_met():
    condition = judged(
        cloud_in(LIM), [policy(), policy("fr", residency={"allowedCountries": ["FR"]})], None, answers=True
    )
    assert condition["status"] == "False"
    assert "SovereigntyPolicy fr:" in condition["message"]


def test_without_a_policy_there_is_no_condition():
    assert judged(cloud_in(BHS), [], None, answers=True) is None


def test_what_was_last_seen_is_said_to_be_so():
    condition = judged(cloud_in(BHS), [policy()], None, answers=False)
    assert condition["status"] == "False"
    assert condition["message"].endswith("as last seen, since the cloud does not answer")


# --- in the status of a cloud -----------------------------------------------------------------------------------------


def conditions_of(scene):
    async def looked():
        controller = SovereignCloudController()
        resource = controller.resource.model_validate(scene.raw)
        return controller.status(resource, await controller.observe(resource, scene.world))

    status = run(looked())
    return status, [one for one in status[OWN_CONDITIONS] if one["type"] == "Compliant"]


def test_a_host_in_another_country_is_told_at_the_next_look():
    scene = Scene()
    scene.world.rules = (policy(),)
    status, (condition,) = conditions_of(scene)
    assert condition["status"] == "True"
    scene.raw["status"] |= status
    scene.account.add("ns9.ip-192-0-2.ca", ip="192.0.2.9", region=BHS)
    scene.world.one.host("192.0.2.9")
    _, (condition,) = conditions_of(scene)
    assert condition["status"] == "False"
    assert "host 192.0.2.9 is in CA, BHS" in condition["message"]
    assert "OVHcloud region ca-east-bhs of server ns9.ip-192-0-2.ca" in condition["message"]


def test_a_cloud_that_is_silent_or_going_keeps_what_was_said():
    scene = Scene()
    scene.world.rules = (policy(),)
    status, said = conditions_of(scene)
    scene.raw["status"] |= {**status, "conditions": said}
    scene.world.one.version = None
    _, (silent,) = conditions_of(scene)
    assert silent["status"] == "True"
    assert "as last seen" in silent["message"]
    scene.raw["metadata"]["deletionTimestamp"] = "2026-11-24T12:00:00Z"
    _, going = conditions_of(scene)
    assert going == said


def test_a_policy_that_is_gone_takes_its_condition_along():
    scene = Scene()
    scene.world.rules = ()
    assert conditions_of(scene)[1] == []
