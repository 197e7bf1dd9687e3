"""Where a cloud is: what status says of each part, and what facts policies get of it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.kinds.infrastructure_fakes import STOCK
from tests.unit.kinds.opennebula_in_memory import host
from tests.unit.kinds.sovereigncloud.test_plan import Scene, existing, hosted, run

from sovereigncloud.api import SovereignCloud
from sovereigncloud.api.common.locations import MAX_LOCATIONS
from sovereigncloud.api.providerprofile import ProviderProfile
from sovereigncloud.api.stores import StoreType
from sovereigncloud.kinds.location.facts import (
    clusters_of,
    facts_of_cloud,
    facts_of_cluster,
    facts_of_images,
    facts_of_machine,
)
from sovereigncloud.kinds.sovereigncloud.controller import SovereignCloudController
from sovereigncloud.kinds.sovereigncloud.location.status import Sighting, Stand, countries_of, located
from sovereigncloud.kinds.sovereigncloud.stores.observation import Kept
from sovereigncloud.ports.opennebula.views import CloudView, Cluster
from sovereigncloud.sovereignty.facts import Grade, Part

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
RBX, LIM, ERI, BHS = "eu-west-rbx", "eu-west-lim", "eu-west-eri", "ca-east-bhs"


def profile(*datacenters, **more):
    listed = datacenters or ({"name": "PARIS-1", "country": "FR", "grade": "Attested"},)
    spec = {"legalEntity": {"name": "Ministry", "country": "FR"}, "datacenters": list(listed), **more}
    return ProviderProfile.model_validate({"metadata": {"name": "ministry"}, "spec": spec, "status": {}})


def parsed(raw, locations=()):
    status = {"locations": [one.model_dump(by_alias=True) for one in locations]}
    return SovereignCloud.model_validate({**raw, "status": status})


IN_PARIS = {"datacenter": "PARIS-1"}
DEFAULT = (Cluster(0, "default", frozenset({0, 1, 2}), frozenset()),)


def private(location=IN_PARIS, *, provider="ministry", **more):
    raw = existing(**more)
    if location:
        raw["spec"]["existing"]["location"] = location
    if provider:
        raw["spec"]["providerRef"] = {"name": provider}
    return raw


def view(*hosts, clusters=DEFAULT, datastores=STOCK):
    return CloudView(
        0.0, {}, {}, {}, {one.id: one for one in hosts}, {one.id: one for one in datastores},
        clusters={one.id: one for one in clusters},
    )  # fmt: skip


def kept(kind, name, driver="restic"):
    return Kept(kind, 100, name, 0, {"MARKET_MAD": driver}, True, True, (), None, {})


def hosts_in(*regions, cluster=0):
    """Hosts h0, h1, ... of servers ns0, ns1, ...; None: a host that is no server that is known."""
    made = [host(number, name=f"h{number}", cluster_id=cluster) for number in range(len(regions))]
    stands = {f"h{n}": Stand(f"ns{n}", region) for n, region in enumerate(regions) if region is not None}
    return made, stands


def seen(*regions, fronts=(RBX,), **more):
    made, stands = hosts_in(*regions)
    return Sighting(view(*made), stands, {f"one-{n}": Stand(f"ns{n}", r) for n, r in enumerate(fronts)}, **more)


def found(raw, sighting, known=None, *, before=(), now=NOON):
    return located(parsed(raw, before), sighting, known, now)


def short(locations):
    return [(one.name, one.country or "?", one.grade) for one in locations]


FRONT = ("front-end/RBX", "FR", "Observed")
HOSTED = [
    ("one region", [RBX, RBX], [("cluster/default/RBX", "FR", "Observed"), FRONT]),
    ("Erith is in the United Kingdom, whatever its region begins with", [ERI],
     [("cluster/default/ERI", "GB", "Observed"), FRONT]),
    ("a region that is in no table", ["eu-west-1"], [("cluster/default/eu-west-1", "?", "None"), FRONT]),
    ("a local zone", ["eu-west-lz-ams"], [("cluster/default/eu-west-lz-ams", "?", "None"), FRONT]),
    ("a host that is no server that is known", [RBX, None],
     [("cluster/default/RBX", "FR", "Observed"), ("cluster/default/unknown", "?", "None"), FRONT]),
    ("OVHcloud does not tell the region", [""], [("cluster/default/unknown", "?", "None"), FRONT]),
    ("hosts of one cluster in two countries", [RBX, BHS],
     [("cluster/default/BHS", "CA", "Observed"), ("cluster/default/RBX", "FR", "Observed"), FRONT]),
    ("no host yet: only the front-end is somewhere", [], [FRONT]),
]  # fmt: skip


@pytest.mark.parametrize(("why", "regions", "expected"), HOSTED, ids=[c[0] for c in HOSTED])
def test_a_hosted_cloud_is_where_its_servers_are(why, regions, expected):
    assert short(found(hosted(), seen(*regions))) == expected, why


def test_why_nobody_knows_is_said_of_each():
    (unknown,) = (one for one in found(hosted(), seen(None, "", RBX)) if one.name == "cluster/default/unknown")
    assert unknown.hosts == ["h0", "h1"]
    assert unknown.source == (
        "OVHcloud does not tell the region of server ns1; host h0 is no server that the account shows"
    )


def test_the_cluster_of_an_edge_site_is_where_its_own_hosts_are():
    here, there = host(0, name="h0", cluster_id=0), host(1, name="h1", cluster_id=101)
    clusters = (*DEFAULT, Cluster(101, "site-warsaw", frozenset({1}), frozenset()))
    stands = {"h0": Stand("ns0", RBX), "h1": Stand("ns1", "eu-central-waw")}
    cloud = cloud_of(Sighting(view(here, there, clusters=clusters), stands, {"one-0": Stand("ns0", RBX)}))
    assert clusters_of(cloud) == ("default", "site-warsaw")
    assert countries(facts_of_cluster(cloud, "site-warsaw", None), Part.COMPUTE) == ["PL"]
    assert countries(facts_of_cluster(cloud, "default", None), Part.COMPUTE) == ["FR"]
    both = facts_of_images(cloud, None, datastores=["default"])
    assert countries(both, Part.IMAGES) == ["FR", "PL"], "a datastore in two clusters lies in both"


FRONT_ENDS = [
    ("in another country than the hosts", (LIM,), [("front-end/LIM", "DE", "Observed")]),
    ("three in two countries", (LIM, RBX, RBX), [("front-end/LIM", "DE", "Observed"), FRONT]),
    ("none is declared, so that somewhere else it is", (), [("front-end/unknown", "?", "None")]),
    ("its server was not looked at yet", ("",), [("front-end/unknown", "?", "None")]),
]


@pytest.mark.parametrize(("why", "fronts", "expected"), FRONT_ENDS, ids=[c[0] for c in FRONT_ENDS])
def test_the_control_plane_is_where_the_front_ends_are(why, fronts, expected):
    assert short(found(hosted(), seen(fronts=fronts))) == expected, why


LISTED = {"name": "PARIS-1", "country": "FR"}
EXISTING = [
    ("attested", private(), profile(), ("FR", "Attested"), "ProviderProfile ministry"),
    ("a profile that says no grade declares", private(), profile(LISTED), ("FR", "Declared"), "ministry"),
    ("with its evidence", private(), profile({**LISTED, "evidence": {"url": "https://x.example/1"}}), ("FR", "Declared"),
     "https://x.example/1"),
    ("the last day on which it holds", private(), profile({**LISTED, "validUntil": "2026-11-24"}), ("FR", "Declared"),
     "ministry"),
    ("it held until yesterday", private(), profile({**LISTED, "validUntil": "2026-11-23"}), ("?", "None"),
     "until 2026-11-23"),
    ("until a day that no calendar has", private(), profile({**LISTED, "validUntil": "2026-02-30"}), ("?", "None"),
     "until 2026-02-30"),
    ("a datacenter that the profile does not list", private({"datacenter": "LYON-9"}), profile(), ("?", "None"),
     "lists no datacenter LYON-9"),
    ("no such profile", private(), None, ("?", "None"), "ProviderProfile ministry does not exist"),
    ("no profile is named", private(provider=""), None, ("?", "None"), "spec.providerRef is not set"),
    ("no location", private(None), profile(), ("?", "None"), "spec.existing.location is not set"),
]  # fmt: skip


@pytest.mark.parametrize(("why", "raw", "known", "expected", "says"), EXISTING, ids=[c[0] for c in EXISTING])
def test_an_existing_cloud_is_where_its_profile_says(why, raw, known, expected, says):
    locations = found(raw, Sighting(view(host(1, name="h"))), known)
    assert {one.name.split("/")[0] for one in locations} == {"cluster", "front-end"}
    for one in locations:
        assert (one.country or "?", one.grade) == expected, why
        assert says in one.source


def test_a_cluster_of_its_own_is_in_a_datacenter_of_its_own():
    clusters = (Cluster(0, "default", frozenset({1}), frozenset()), Cluster(101, "lyon", frozenset({1}), frozenset()))
    raw = private({"datacenter": "PARIS-1", "clusters": [{"name": "lyon", "datacenter": "GENEVA-1"}]})
    known = profile(LISTED, {"name": "GENEVA-1", "country": "CH"})
    locations = found(raw, Sighting(view(clusters=clusters)), known)
    assert short(locations) == [
        ("cluster/default/PARIS-1", "FR", "Declared"),
        ("cluster/lyon/GENEVA-1", "CH", "Declared"),
        ("front-end/PARIS-1", "FR", "Declared"),
    ]


FRANCE = {"country": "FR"}
BACKUPS = {"name": "backups", "type": "Backup", "restic": {"sftpServer": "b", "passwordSecretRef": {"name": "r"}}}
MARKET = {"name": "exchange", "type": "Marketplace", "s3": {"bucket": "one", "credentialsSecretRef": {"name": "s"}}}
STORES = [
    ("declared, whether or not it is there yet", [{**BACKUPS, "location": FRANCE}], (),
     [("store/backups", "FR", "Declared")]),
    ("named without a place", [BACKUPS], (), [("store/backups", "?", "None")]),
    ("one that spec does not name", [], (kept(StoreType.BACKUP, "old"),), [("store/old", "?", "None")]),
    ("a marketplace that images may be sent to", [], (kept(StoreType.MARKETPLACE, "m", "http"),),
     [("marketplace/m", "?", "None")]),
    ("one that they are only fetched from", [], (kept(StoreType.MARKETPLACE, "OpenNebula Public", "one"),), []),
    ("a marketplace of spec and a backup store of the same name", [{**MARKET, "location": FRANCE}],
     (kept(StoreType.BACKUP, "exchange"), kept(StoreType.MARKETPLACE, "exchange", "s3")),
     [("marketplace/exchange", "FR", "Declared"), ("store/exchange", "?", "None")]),
]  # fmt: skip


@pytest.mark.parametrize(("why", "stores", "there", "expected"), STORES, ids=[c[0] for c in STORES])
def test_stores_are_where_spec_says(why, stores, there, expected):
    locations = found(hosted(stores=stores), seen(RBX, kept=there))
    assert [one for one in short(locations) if not one[0].startswith(("cluster", "front"))] == expected, why


def test_the_time_is_that_of_the_first_look_and_stays():
    first = found(hosted(), seen(RBX, LIM))
    assert {one.since for one in first} == {"2026-11-24T12:00:00Z"}
    later = NOON + timedelta(hours=1)
    assert found(hosted(), seen(RBX, LIM), before=first, now=later) == first, "at rest nothing moves"
    moved = found(hosted(), seen(RBX, BHS), before=first, now=later)
    assert {one.name: one.since for one in moved if one.cluster} == {
        "cluster/default/BHS": "2026-11-24T13:00:00Z",
        "cluster/default/RBX": "2026-11-24T12:00:00Z",
    }


def test_another_country_of_the_same_datacenter_is_a_change():
    first = found(private(), Sighting(view()), profile())
    later = found(
        private(),
        Sighting(view()),
        profile({"name": "PARIS-1", "country": "US"}),
        before=first,
        now=NOON + timedelta(1),
    )
    assert {(one.country, one.since) for one in later} == {("US", "2026-11-25T12:00:00Z")}


def test_a_list_that_is_too_long_ends_with_what_nobody_knows():
    """Else a place that breaks a policy could be the one that is left out."""
    clusters = tuple(Cluster(n, f"c{n:03}", frozenset(), frozenset()) for n in range(200))
    locations = found(private(), Sighting(view(clusters=clusters)), profile())
    assert len(locations) == MAX_LOCATIONS
    assert locations[-1].country is None
    assert set(locations[-1].covers) == set(Part)
    assert countries_of(locations) == "FR, unknown"


def test_two_things_of_one_name_are_two():
    clusters = tuple(Cluster(n, "twin", frozenset(), frozenset()) for n in (1, 2))
    names = [one.name for one in found(private(), Sighting(view(clusters=clusters)), profile())]
    assert names == ["cluster/twin/PARIS-1", "cluster/twin/PARIS-1 (2)", "front-end/PARIS-1"]


# --- facts ----------------------------------------------------------------------------------------------------------


def countries(facts, part):
    return [place.country for place in facts.places.get(part, ())]


def cloud_of(sighting, raw=None, known=None):
    raw = raw or hosted()
    return parsed(raw, found(raw, sighting, known))


def test_a_machine_is_judged_by_its_host_and_its_data_by_where_they_may_lie():
    cloud = cloud_of(seen(RBX, BHS))
    facts = facts_of_machine(cloud, None, host="h0", cluster="default", datastores=["system"], images=["default"])
    assert countries(facts, Part.COMPUTE) == ["FR"]
    assert facts.places[Part.COMPUTE][0].what == "host h0"
    assert facts.places[Part.COMPUTE][0].source == "OVHcloud region eu-west-rbx of server ns0"
    assert countries(facts, Part.STORAGE) == ["CA", "FR"]
    assert countries(facts, Part.IMAGES) == ["CA", "FR"]
    assert countries(facts, Part.CONTROL_PLANE) == ["FR"]
    assert Part.BACKUPS not in facts.places, "it has none"


MACHINES = [
    ("on a host that nobody knows", {"host": "h9"}, Part.COMPUTE, [""]),
    ("on none yet: each host of its cluster may be it", {"host": ""}, Part.COMPUTE, ["CA", "FR"]),
    ("in a cluster that nobody saw", {"host": "h0", "cluster": "new"}, Part.COMPUTE, [""]),
    ("on a datastore that nobody saw", {"datastores": ["san"]}, Part.STORAGE, [""]),
    ("no datastore is known: any of its cluster", {}, Part.STORAGE, ["CA", "FR"]),
    ("its backups in a store that is declared", {"backups": ["backups"]}, Part.BACKUPS, ["FR"]),
    ("and in one that nobody saw", {"backups": ["backups", "old"]}, Part.BACKUPS, ["FR", ""]),
]


@pytest.mark.parametrize(("why", "asked", "part", "expected"), MACHINES, ids=[c[0] for c in MACHINES])
def test_what_nobody_knows_of_a_machine_is_not_left_out(why, asked, part, expected):
    cloud = cloud_of(seen(RBX, BHS), hosted(stores=[{**BACKUPS, "location": FRANCE}]))
    facts = facts_of_machine(cloud, None, **{"host": "h0", "cluster": "default", **asked})
    assert countries(facts, part) == expected, why


def test_images_in_a_directory_of_the_front_end_are_there_too():
    directory = replace(STOCK[1], driver="fs")
    made, stands = hosts_in(RBX)
    sighting = Sighting(view(*made, datastores=(STOCK[0], directory, STOCK[2])), stands, {"one-9": Stand("ns9", LIM)})
    cloud = cloud_of(sighting)
    assert countries(facts_of_images(cloud, None, datastores=["default"]), Part.IMAGES) == ["FR", "DE"]
    assert countries(facts_of_cluster(cloud, "default", None), Part.IMAGES) == ["FR", "DE"]
    assert countries(facts_of_cluster(cloud, "default", None), Part.STORAGE) == ["FR"], "its machines' disks are not"
    bridged = replace(directory, attributes={"BRIDGE_LIST": "nfs"})
    cloud = cloud_of(replace(sighting, view=view(*made, datastores=(bridged,))))
    assert countries(facts_of_images(cloud, None, datastores=["default"]), Part.IMAGES) == ["FR"], (
        "another machine has it"
    )


def test_a_cluster_is_judged_by_all_of_its_hosts():
    cloud = cloud_of(seen(RBX, BHS, None))
    facts = facts_of_cluster(cloud, "default", None)
    assert sorted(countries(facts, Part.COMPUTE)) == ["", "CA", "FR"]
    assert clusters_of(cloud) == ("default",)


def test_backups_of_a_cluster_are_those_that_a_machine_would_have():
    cloud = cloud_of(seen(RBX, kept=(kept(StoreType.BACKUP, "old"),)), hosted(stores=[{**BACKUPS, "location": FRANCE}]))
    assert countries(facts_of_cluster(cloud, "default", None), Part.BACKUPS) == ["FR", ""], "any store may be asked for"
    assert countries(facts_of_cluster(cloud, "default", None, backups=["backups"]), Part.BACKUPS) == ["FR"]
    assert Part.BACKUPS not in facts_of_cluster(cloud, "default", None, backups=()).places


def test_a_cloud_that_nobody_looked_at_is_nowhere():
    facts = facts_of_cloud(parsed(hosted()), None)
    assert countries(facts, Part.COMPUTE) == countries(facts, Part.CONTROL_PLANE) == [""]


def test_the_datacenter_is_called_as_certificates_call_it():
    place = facts_of_cluster(cloud_of(seen(ERI)), "default", None).places[Part.COMPUTE][0]
    assert (place.datacenter, place.country, place.grade) == ("ERI", "GB", Grade.OBSERVED)


def test_the_provider_is_as_its_profile_says():
    known = profile(
        ultimateParent={"name": "State", "country": "FR"},
        foreignAffiliates=[{"name": "Abroad Inc.", "country": "CA", "note": "a ruling"}],
        certifications=[
            {"scheme": "ISO27001", "datacenters": ["PARIS-1"], "validUntil": "2027-05-01", "grade": "Attested"}
        ],
    )
    provider = facts_of_cluster(cloud_of(Sighting(view()), private(), known), "default", known).provider
    assert (provider.legal_entity.name, provider.ultimate_parent.country) == ("Ministry", "FR")
    assert [one.country for one in provider.affiliates] == ["CA"]
    assert provider.certificates[0].datacenters == {"PARIS-1"}
    assert provider.certificates[0].grade is Grade.ATTESTED


COUNTRY = {RBX: "FR", LIM: "DE", ERI: "GB", BHS: "CA"}
STANDS = st.sampled_from([*COUNTRY, "eu-west-1", "", None])


@given(st.lists(st.tuples(st.sampled_from([0, 101, 102]), STANDS), max_size=12))
def test_no_host_is_left_out_and_none_is_anywhere_else(worlds):
    """Whatever hosts there are: each is where its server stands, and a cluster is wherever one of its hosts is."""
    made = [host(number, name=f"h{number}", cluster_id=cluster) for number, (cluster, _) in enumerate(worlds)]
    stands = {f"h{n}": Stand(f"ns{n}", region) for n, (_, region) in enumerate(worlds) if region is not None}
    clusters = tuple(Cluster(number, f"c{number}", frozenset(), frozenset()) for number in (0, 101, 102))
    cloud = cloud_of(Sighting(view(*made, clusters=clusters), stands, {"one": Stand("ns0", RBX)}))
    for number, (cluster, region) in enumerate(worlds):
        facts = facts_of_machine(cloud, None, host=f"h{number}", cluster=f"c{cluster}")
        assert countries(facts, Part.COMPUTE) == [COUNTRY.get(region, "")]
    for cluster in (0, 101, 102):
        expected = {COUNTRY.get(region, "") for one, region in worlds if one == cluster} or {""}
        assert set(countries(facts_of_cluster(cloud, f"c{cluster}", None), Part.COMPUTE)) == expected


# --- reading --------------------------------------------------------------------------------------------------------


def status_of(scene):
    async def looked():
        controller = SovereignCloudController()
        resource = controller.resource.model_validate(scene.raw)
        return controller.status(resource, await controller.observe(resource, scene.world))

    return run(looked())


def where(status):
    return {one["name"]: one.get("country") for one in status["locations"] or ()}


ADDED = [
    (
        "a server of the account in Canada",
        "192.0.2.9",
        {"ip": "192.0.2.9", "region": BHS},
        ("cluster/default/BHS", "CA"),
    ),
    (
        "by the name of its service",
        "ns9.ip-192-0-2.ca",
        {"ip": "192.0.2.9", "region": BHS},
        ("cluster/default/BHS", "CA"),
    ),
    (
        "an address that no server has",
        "192.0.2.8",
        {"ip": "192.0.2.9", "region": BHS},
        ("cluster/default/unknown", None),
    ),
]


@pytest.mark.parametrize(("why", "name", "server", "expected"), ADDED, ids=[c[0] for c in ADDED])
def test_a_host_that_an_administrator_added_is_looked_up_in_the_account(why, name, server, expected):
    scene = Scene()
    scene.account.add("ns9.ip-192-0-2.ca", **server)
    scene.world.one.host(name)
    status = status_of(scene)
    assert expected in where(status).items(), why
    assert where(status)["cluster/default/RBX"] == "FR"
    assert status["country"] == ("CA, FR" if expected[1] else "FR, unknown")


def test_a_new_process_asks_first_who_was_it_before():
    """Else what an old one found out among hundreds of servers would be unknown again for a while."""
    scene = Scene()
    for number in range(40):
        scene.account.add(f"ns{number}.elsewhere.example", ip=f"198.51.100.{number}", region=RBX)
    scene.account.add("ns99.elsewhere.example", ip="192.0.2.9", region=BHS)
    scene.world.one.host("192.0.2.9")
    looks = 0
    while where(status := status_of(scene)).get("cluster/default/BHS") is None:
        looks += 1
    assert looks > 3, "it is asked a few at a time"
    scene.raw["status"] |= status
    scene.account.vracks.told.clear()
    assert where(status_of(scene))["cluster/default/BHS"] == "CA"


def test_at_rest_no_server_is_asked_where_it_stands():
    scene = Scene()
    assert where(status_of(scene)) == {"cluster/default/RBX": "FR", "front-end/RBX": "FR"}
    assert "standing" not in scene.account.reads


def test_while_nothing_answers_the_places_stay_as_they_were_last_seen():
    scene = Scene()
    scene.raw["status"] |= status_of(scene)
    scene.world.one.version = None
    assert where(status_of(scene)) == {"cluster/default/RBX": "FR", "front-end/RBX": "FR"}
