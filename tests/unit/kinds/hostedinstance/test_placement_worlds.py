"""Ten thousand worlds of clouds, profiles, policies and outages: nothing is placed outside what all policies allow.

What is allowed is worked out a second time here, from what was written down, without a line of what is tested.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from sovereigncloud.api.common.base import Key
from sovereigncloud.api.hostedinstance import HostedInstance
from sovereigncloud.api.providerprofile import ProviderProfile
from sovereigncloud.api.sovereigncloud import SovereignCloud
from sovereigncloud.api.sovereigntypolicy import SovereigntyPolicy
from sovereigncloud.core.identity import Mark
from sovereigncloud.core.placement import Verdict
from sovereigncloud.kinds.hostedinstance.placement.placement import Chosen, choose_for
from sovereigncloud.ports.errors import Retry
from sovereigncloud.ports.opennebula.views import CloudView, Cluster, Datastore, Host, Image, Network
from sovereigncloud.sovereignty.rules import rules_of

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
TODAY = "2026-11-24"
WORLDS, SLICES = 10_000, 10
EU = {
    "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IT", "LT", "LU", "LV", "MT", "NL",
    "PL", "PT", "RO", "SE", "SI", "SK",
}  # fmt: skip
GROUPS = {"EU": EU, "EEA": EU | {"IS", "LI", "NO"}}
COUNTRIES = ["FR", "FR", "FR", "DE", "DE", "PL", "NO", "GB", "CH", "CA", ""]
GRADES = ["None", "Declared", "Attested", "Observed"]
SCHEMES = ["ISO27001", "SecNumCloud-3.2", "C5-2026-Type2"]
DEMAND = (200, 4096)
PARTS = ["compute", "storage", "images", "backups", "controlPlane"]


@dataclass
class CloudOfAWorld:
    """What was written down of a cloud, and what the operator makes of that.

    Attributes:
        clusters: hosts by the name of their cluster: name, country, data centre, grade, free memory in MiB.
        around: of the front-end and of the store "vault": country and grade.
    """

    name: str
    clusters: dict[str, list[tuple[str, str, str, str, int]]]
    around: dict[str, tuple[str, str]]
    labels: dict[str, str]
    profile: dict[str, Any] | None
    resource: SovereignCloud
    provider: ProviderProfile | None
    view: CloudView
    answers: bool = True
    key: Key = field(init=False)

    def __post_init__(self) -> None:
        self.key = Key("SovereignCloud", "team", self.name)


def _some(rng: random.Random, among: list[str], least: int = 1, most: int = 3) -> list[str]:
    return sorted(set(rng.choices(among, k=rng.randint(least, most))))


def _profile(rng: random.Random, number: int) -> dict[str, Any] | None:
    if rng.random() < 0.2:
        return None
    certificates = [
        {
            "name": f"c{i}",
            "scheme": rng.choice(SCHEMES),
            "grade": rng.choice(["Declared", "Attested"]),
            **({"datacenters": _some(rng, ["DC-1", "DC-2", "DC-3"])} if rng.random() < 0.8 else {}),
            **(
                {"validUntil": rng.choice(["2026-11-23", TODAY, "2026-12-20", "2029-01-01"])}
                if rng.random() < 0.8
                else {}
            ),
        }
        for i in range(rng.randint(0, 3))
    ]
    return {
        "legalEntity": {"name": f"Company {number}", "country": rng.choice(["FR", "DE", "US"])},
        **({"ultimateParent": {"name": "Group", "country": rng.choice(["FR", "US"])}} if rng.random() < 0.3 else {}),
        **({"foreignAffiliates": [{"name": "Branch", "country": "CA"}]} if rng.random() < 0.3 else {}),
        **({"certifications": certificates} if certificates else {}),
    }


def _cloud(rng: random.Random, number: int) -> CloudOfAWorld:
    name = f"cloud-{number}"
    home = rng.choice(COUNTRIES)
    clusters: dict[str, list[tuple[str, str, str, str, int]]] = {}
    for cluster in range(rng.randint(1, 3)):
        mixed = rng.random() < 0.2
        country = rng.choice(COUNTRIES) if rng.random() < 0.5 else home
        clusters[f"cluster-{cluster}"] = [
            (
                f"h{number}-{cluster}-{i}",
                place := rng.choice(COUNTRIES) if mixed else country,
                rng.choice(["DC-1", "DC-2", "DC-3"]) if place else "",
                rng.choice(GRADES[1:]) if place else "None",
                rng.choice([1024, 65_536, 131_072]),
            )
            for i in range(rng.randint(1, 3))
        ]
    around = {
        part: (country, rng.choice(GRADES[1:]) if country else "None")
        for part in ("controlPlane", "backups")
        if (country := rng.choice([home, home, home, *COUNTRIES])) or rng.random() < 0.5
    }
    labels = {"tier": rng.choice(["gold", "silver"])} if rng.random() < 0.6 else {}
    profile = _profile(rng, number)
    return CloudOfAWorld(
        name, clusters, around, labels, profile,
        _resource(name, clusters, around, labels, has_provider=profile is not None),
        ProviderProfile.model_validate({"metadata": {"name": f"p-{name}"}, "spec": profile, "status": {}}) if profile else None,
        _view(clusters),
        answers=rng.random() > 0.1,
    )  # fmt: skip


def _resource(
    name: str,
    clusters: dict[str, list[tuple[str, str, str, str, int]]],
    around: dict[str, tuple[str, str]],
    labels: dict[str, str],
    *,
    has_provider: bool,
) -> SovereignCloud:
    locations: list[dict[str, Any]] = [
        {
            "name": f"cluster/{cluster}/{host}", "covers": PARTS[:3], "cluster": cluster, "datacenter": site or None,
            "country": country or None, "grade": grade, "hosts": [host], "source": "somebody",
        }
        for cluster, hosts in clusters.items()
        for host, country, site, grade, _ in hosts
    ]  # fmt: skip
    names = {"controlPlane": "front-end", "backups": "store/vault"}
    locations += [
        {"name": names[part], "covers": [part], "country": country or None, "grade": grade, "source": "somebody"}
        for part, (country, grade) in around.items()
    ]
    spec = {"existing": {"endpoint": "http://10.0.0.1/RPC2", "credentialsSecretRef": {"name": "one"}}}
    return SovereignCloud.model_validate(
        {
            "metadata": {"name": name, "namespace": "team", "labels": labels},
            "spec": spec | ({"providerRef": {"name": f"p-{name}"}} if has_provider else {}),
            "status": {"endpoint": "http://10.0.0.1/RPC2", "locations": locations},
        }
    )


def _view(clusters: dict[str, list[tuple[str, str, str, str, int]]]) -> CloudView:
    hosts: dict[int, Host] = {}
    for number, of_it in enumerate(clusters.values()):
        for host, _, _, _, free in of_it:
            hosts[len(hosts)] = Host(len(hosts), host, 2, number, "kvm", "kvm", 0, 3200, free * 1024, None)
    return CloudView(
        began=0.0,
        vms={},
        networks={3: Network(3, "lan", 0, 1, (), {}, (), 0, None)},
        images={7: Image(7, "ubuntu", 0, 0, 1, 1024, 1, 0, None, "", "")},
        hosts=hosts,
        datastores={1: Datastore(1, "default", 0, 0, 10**6, 10**6)},
        clusters={n: Cluster(n, name, frozenset(), frozenset()) for n, name in enumerate(clusters)},
    )


def _policy(rng: random.Random, number: int, clouds: list[str]) -> dict[str, Any]:
    """A manifest and its status."""
    spec: dict[str, Any] = {"enforcement": rng.choice(["Enforce", "Enforce", "Enforce", "Audit"])}
    spec["onViolation"] = rng.choice(["Report", "Hold", "Relocate"])
    if rng.random() < 0.2:
        spec["appliesTo"] = {"clouds": [{"name": n, "namespace": "team"} for n in _some(rng, clouds, 1, len(clouds))]}
    if rng.random() < 0.8:
        spec["residency"] = {"allowedCountries": _some(rng, ["FR", "FR", "DE", "EU", "EU", "EEA", "PL", "GB"])}
        if rng.random() < 0.7:
            spec["residency"]["covers"] = _some(rng, PARTS)
        if rng.random() < 0.3:
            spec["residency"]["minGrade"] = rng.choice(GRADES[1:])
    if rng.random() < 0.2:
        spec["jurisdiction"] = {"allowed": ["EU"], "foreignAffiliates": rng.choice(["Allow", "Disclose", "Forbid"])}
    if rng.random() < 0.2:
        spec["certifications"] = [
            {
                "anyOf": _some(rng, SCHEMES),
                "scope": rng.choice(["Datacenter", "Provider"]),
                "minGrade": rng.choice(GRADES[1:3]),
            }
        ]
    if rng.random() < 0.2:
        whom = rng.choice([{"name": "web"}, {"name": "other"}, {}])
        rule = rng.choice([f"residency.{part}" for part in PARTS] + ["jurisdiction.legalEntity"])
        spec["exceptions"] = [
            {
                "rule": rule, "namespace": rng.choice(["team", "team", "elsewhere"]), **whom, "reason": "t",
                "approvedBy": "dpo@example.fr", "expires": rng.choice(["2026-11-23", TODAY, "2027-06-30"]),
            }
        ]  # fmt: skip
    status = {"heldClouds": [f"team/{rng.choice(clouds)}"]} if rng.random() < 0.15 else {}
    return {"metadata": {"name": f"policy-{number}"}, "spec": spec, "status": status}


def _wish(rng: random.Random, clouds: list[str]) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "source": {"image": "ubuntu"}, "vcpu": 2, "memory": "4Gi", "networks": [{"name": "lan"}],
    }  # fmt: skip
    placement: dict[str, Any] = {}
    match rng.randint(0, 4):
        case 0:
            placement["cloudRef"] = {"name": rng.choice(clouds)}
        case 1 | 2:
            placement["countries"] = _some(rng, ["FR", "DE", "EU", "EEA", "GB"])
        case 3:
            placement["labels"] = {"tier": "gold"}
            placement["spread"] = {"by": rng.choice(["Cloud", "Country"]), "matchLabels": {"app": "web"}}
    if placement:
        spec["placement"] = placement
    if rng.random() < 0.3:
        spec["backup"] = {"store": rng.choice(["vault", "nowhere"])}
    return spec


# --- what is allowed, a second time ------------------------------------------------------------------------------------


def countries_of(names: list[str]) -> set[str]:
    return set().union(*(GROUPS.get(name, {name}) for name in names))


def forbidden(
    policy: dict[str, Any], cloud: CloudOfAWorld, cluster: str, spec: dict[str, Any], name: str = "web"
) -> Iterator[str]:
    """Which rules of it say no."""
    rules = policy["spec"]
    applies = rules.get("appliesTo")
    if rules["enforcement"] != "Enforce" or (applies and cloud.name not in [c["name"] for c in applies["clouds"]]):
        return
    if rules["onViolation"] != "Report" and f"team/{cloud.name}" in policy["status"].get("heldClouds", ()):
        yield "held"
    broken = {*_borders(rules, cloud, cluster, spec), *_company(rules, cloud), *_certificates(rules, cloud, cluster)}
    for one in rules.get("exceptions", ()):
        if one["namespace"] == "team" and one.get("name") in (None, name) and one["expires"] >= TODAY:
            broken.discard(one["rule"])
    yield from broken


def _borders(rules: dict[str, Any], cloud: CloudOfAWorld, cluster: str, spec: dict[str, Any]) -> Iterator[str]:
    residency = rules.get("residency")
    if residency is None:
        return
    allowed = countries_of(residency["allowedCountries"])
    least = GRADES.index(residency.get("minGrade", "None"))
    hosts = [(country, grade) for _, country, _, grade, _ in cloud.clusters[cluster]]
    nowhere = ("", "None")
    where = dict.fromkeys(PARTS[:3], hosts) | {"controlPlane": [cloud.around.get("controlPlane", nowhere)]}
    if store := spec.get("backup", {}).get("store"):
        where["backups"] = [cloud.around.get("backups", nowhere) if store == "vault" else nowhere]
    for part in residency.get("covers", PARTS):
        if any(country not in allowed or GRADES.index(grade) < least for country, grade in where.get(part, ())):
            yield f"residency.{part}"


def _company(rules: dict[str, Any], cloud: CloudOfAWorld) -> Iterator[str]:
    if "jurisdiction" not in rules:
        return
    profile = cloud.profile
    if profile is None or profile["legalEntity"]["country"] not in EU:
        yield "jurisdiction.legalEntity"
    if profile is not None and profile.get("ultimateParent", {"country": "FR"})["country"] not in EU:
        yield "jurisdiction.ultimateParent"
    if (
        profile is not None
        and "foreignAffiliates" in profile
        and rules["jurisdiction"]["foreignAffiliates"] == "Forbid"
    ):
        yield "jurisdiction.foreignAffiliates"


def _certificates(rules: dict[str, Any], cloud: CloudOfAWorld, cluster: str) -> Iterator[str]:
    for demand in rules.get("certifications", ()):
        holding = [
            c
            for c in (cloud.profile or {}).get("certifications", ())
            if c["scheme"] in demand["anyOf"]
            and c.get("validUntil", TODAY) >= TODAY
            and GRADES.index(c["grade"]) >= GRADES.index(demand["minGrade"])
        ]
        sites = [site for _, _, site, _, _ in cloud.clusters[cluster]]
        if demand["scope"] == "Provider":
            met = bool(holding)
        else:
            met = all(any(site in c.get("datacenters", ()) for c in holding) for site in sites)
        if not met:
            yield "certification"


def could_be(
    cloud: CloudOfAWorld, cluster: str, policies: list[dict[str, Any]], spec: dict[str, Any], name: str = "web"
) -> bool:
    """Whether the machine may be there, whether or not there is room."""
    placement = spec.get("placement", {})
    hosts = cloud.clusters[cluster]
    if "countries" in placement and any(c not in countries_of(placement["countries"]) for _, c, _, _, _ in hosts):
        return False
    if any(cloud.labels.get(name) != value for name, value in placement.get("labels", {}).items()):
        return False
    if placement.get("cloudRef", {"name": cloud.name})["name"] != cloud.name or not cloud.answers:
        return False
    return not any(True for policy in policies for _ in forbidden(policy, cloud, cluster, spec, name))


def has_room(cloud: CloudOfAWorld, cluster: str) -> bool:
    return any(free >= DEMAND[1] for _, _, _, _, free in cloud.clusters[cluster])


# --- the worlds --------------------------------------------------------------------------------------------------------


class WorldOfClouds:
    """What `choose_for` may look at."""

    def __init__(self, clouds: list[CloudOfAWorld], policies: list[dict[str, Any]]) -> None:
        self._clouds = {cloud.key: cloud for cloud in clouds}
        self._profiles = {Key("ProviderProfile", "", f"p-{c.name}"): c.provider for c in clouds if c.provider}
        self._rules = [rules_of(SovereigntyPolicy.model_validate(policy), NOW) for policy in policies]

    def get(self, key: Key) -> Any:
        return self._clouds[key].resource if key in self._clouds else self._profiles.get(key)

    def policies(self, namespace: str, cloud: Key) -> tuple[Any, ...]:
        return tuple(one for one in self._rules if one.binding.binds({"name": namespace}, cloud))

    async def view(self, cloud: Key) -> CloudView:
        if not self._clouds[cloud].answers:
            raise Retry("timed out")
        return self._clouds[cloud].view

    def tenancy(self, namespace: str, cloud: Key) -> None:
        del namespace, cloud

    def promised(self, cloud: Key, began: float) -> tuple[()]:
        del cloud, began
        return ()

    def promise(self, cloud: Key, promise: Any) -> None:
        """Nobody else comes."""

    def distance(self, one: Key, other: Key) -> None:
        del one, other

    def mark(self, resource: Any) -> Mark:
        return Mark("inst", f"HostedInstance/team/{resource.metadata.name}", "uid")


async def _choose(clouds: list[CloudOfAWorld], policies: list[dict[str, Any]], spec: dict[str, Any]) -> Chosen:
    wanted = HostedInstance.model_validate(
        {"metadata": {"name": "web", "namespace": "team"}, "spec": spec, "status": {}}
    )
    named = spec.get("placement", {}).get("cloudRef")
    among = [cloud.key for cloud in clouds if named is None or cloud.name == named["name"]]
    world: Any = WorldOfClouds(clouds, policies)
    return await choose_for(wanted, world, tuple(among), bound=None)


@pytest.mark.parametrize("part", range(SLICES))
async def test_nothing_is_placed_outside_what_all_policies_allow(part: int) -> None:
    rng = random.Random(f"worlds {part}")
    known = [_cloud(rng, number) for number in range(60)]
    seen = SimpleNamespace(placed=0, nowhere=0, refused=0)
    for _ in range(WORLDS // SLICES):
        clouds = rng.sample(known, rng.randint(1, 5))
        names = [cloud.name for cloud in clouds]
        policies = [_policy(rng, number, names) for number in range(rng.choice([0, 1, 1, 2, 2, 3]))]
        await _judge(clouds, policies, _wish(rng, names), seen, rng)
    # A world that refuses everything, or nothing, would show little.
    assert min(seen.placed, seen.nowhere, seen.refused) > WORLDS // SLICES // 10, seen


async def _judge(
    clouds: list[CloudOfAWorld], policies: list[dict[str, Any]], spec: dict[str, Any], seen: Any, rng: random.Random
) -> None:
    story = (names := [cloud.name for cloud in clouds], policies, spec)
    chosen = await _choose(clouds, policies, spec)
    named = spec.get("placement", {}).get("cloudRef", {}).get("name")
    among = [cloud for cloud in clouds if named in (None, cloud.name)]
    fit = {(c.key, cluster) for c in among for cluster in c.clusters if could_be(c, cluster, policies, spec)}
    roomy = {(key, cluster) for key, cluster in fit for c in among if c.key == key and has_room(c, cluster)}
    if chosen.cloud is not None and chosen.decision.chosen is not None:
        place = (chosen.cloud, chosen.decision.chosen.cluster)
        assert place in fit, ("placed where it may not be", place, story)
        assert place in roomy or not roomy, ("there was room elsewhere", place, story)
        assert place in roomy or len(among) == 1, ("placed where there is no room", place, story)
        seen.placed += 1
    else:
        assert not roomy, ("there is a place", roomy, story)
        assert chosen.outcome is not None
        assert chosen.outcome.message, story
        seen.nowhere += 1
    refused = chosen.decision.refused
    seen.refused += bool(refused)
    assert all(one.reason.strip() for one in refused), story
    wanted = {(f"team/{c.name}", cluster) for c in among for cluster in (c.clusters if c.answers else [""])}
    assert {(one.cloud, one.cluster) for one in chosen.decision.considered} == wanted, ("all are told of", story)
    for one in refused:
        _named(one, among, policies, spec)
    assert sum(one.verdict is Verdict.CHOSEN for one in chosen.decision.considered) == (chosen.cloud is not None)
    if rng.random() < 0.2:
        assert await _choose(rng.sample(clouds, len(names)), policies, spec) == chosen, ("another answer", story)


def _named(one: Any, among: list[CloudOfAWorld], policies: list[dict[str, Any]], spec: dict[str, Any]) -> None:
    """Each policy that says no is named."""
    cloud = next(c for c in among if f"team/{c.name}" == one.cloud)
    if not cloud.answers:
        return
    for policy in policies:
        said_no = any(True for _ in forbidden(policy, cloud, one.cluster, spec))
        assert (f"SovereigntyPolicy {policy['metadata']['name']}" in one.reason) == said_no, (one, policy)


def test_the_oracle_itself_refuses_what_it_should() -> None:
    cloud = next(c for c in (_cloud(random.Random(n), n) for n in range(50)) if c.clusters["cluster-0"][0][1] == "FR")
    french = {"metadata": {"name": "p"}, "status": {}, "spec": {"enforcement": "Enforce", "onViolation": "Report"}}
    french["spec"]["residency"] = {"allowedCountries": ["DE"], "covers": ["compute"]}  # type: ignore[index]
    assert list(forbidden(french, cloud, "cluster-0", {})) == ["residency.compute"]
    assert not list(forbidden(french | {"spec": french["spec"] | {"enforcement": "Audit"}}, cloud, "cluster-0", {}))  # type: ignore[operator]
    assert replace(cloud, answers=False).answers is False
