"""The map: what is on it, where it is, and that it stands alone."""

import json
import random
import re
import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from html.parser import HTMLParser
from itertools import combinations

import pytest
import yaml
from tests.unit.commands.cli_fakes import INSTANCE_SPEC, Outside, body, ready
from tests.unit.commands.cli_scene import cloud, in_sync, scene
from typer.testing import CliRunner

from sovereigncloud.cli import app
from sovereigncloud.commands.map.countries import city_of, country_of
from sovereigncloud.commands.map.layout import cut, lay_out, wrapped
from sovereigncloud.commands.map.model import the_map
from sovereigncloud.commands.map.svg import as_html, as_svg, needing_a_look
from sovereigncloud.commands.shared.resource_graph import ResourceGraph
from sovereigncloud.kinds import CONTROLLERS

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
SVG = "{http://www.w3.org/2000/svg}"


def drawn(*bodies):
    return the_map(ResourceGraph(bodies, CONTROLLERS))


@pytest.fixture(scope="module")
def big():
    return drawn(*scene())


@pytest.mark.parametrize(
    ("region", "code", "in_eu", "city", "why"),
    [
        ("eu-west-rbx", "FR", True, "Roubaix", "a region"),
        ("eu-west-par-a", "FR", True, "Paris", "an availability zone"),
        ("eu-west-eri", "GB", False, "Erith", "eu- says nothing"),
        ("ca-east-bhs", "CA", False, "Beauharnois", "elsewhere"),
        ("eu-west-1", "", False, "", "not in the table: not known"),
        (None, "", False, "", "nothing said"),
    ],
)
def test_the_country_of_a_region(region, code, in_eu, city, why):
    country = country_of(region)
    assert (country.code, country.in_eu, city_of(region)) == (code, in_eu, city), why


def test_clouds_are_inside_the_borders_of_their_countries(big):
    assert [(b.name, [c.thing.key.name for c in b.clouds]) for b in big.borders] == [
        ("France", ["rbx"]),
        ("Poland", ["waw"]),
        ("Country not known", ["paris"]),
    ]
    (rbx,) = big.borders[0].clouds
    assert rbx.place == "OVHcloud, Roubaix (eu-west-rbx)"
    assert [len(host.instances) for host in rbx.hosts] == [9, 10, 10, 10]
    assert [one.key.name for one in rbx.waiting] == ["rbx-web-24"]
    assert sum(key.kind == "HostedInstance" for key in (thing.key for thing in big.things())) == 100


def test_a_cloud_across_a_border_is_told():
    bodies = list(cloud("rbx", "eu-west-rbx", 2, 0))
    servers = [b for b in bodies if b["kind"] == "BareMetalServer"]
    servers[1]["status"]["region"] = "eu-west-eri"
    (border,) = drawn(*bodies).borders
    assert border.name == "France and United Kingdom"
    assert "one cloud across a border" in as_svg(drawn(*bodies), title="x", now=NOON)


LOCATED = [
    ("a cloud elsewhere is where its profile says", ["FR"], "France"),
    ("a country that has no region of OVHcloud", ["AT"], "AT"),
    ("one cluster elsewhere", ["CA", "FR"], "Canada and France"),
    ("nobody knows", [None], "Country not known"),
]


@pytest.mark.parametrize(("why", "countries", "name"), LOCATED, ids=[c[0] for c in LOCATED])
def test_a_cloud_is_where_its_status_says(why, countries, name):
    (paris,) = (one for one in scene() if one["kind"] == "SovereignCloud" and one["metadata"]["name"] == "paris")
    paris["status"]["locations"] = [
        {"name": f"cluster/{number}", "covers": ["compute"], "country": country}
        for number, country in enumerate(countries)
    ] + [{"name": "store/backups", "covers": ["backups"], "country": "US"}]
    (border,) = drawn(paris).borders
    assert border.name == name, why


def test_the_same_objects_give_the_same_picture_in_whatever_order_they_come(big):
    shuffled = scene()
    random.Random(7).shuffle(shuffled)
    assert as_svg(drawn(*shuffled), title="x", now=NOON) == as_svg(big, title="x", now=NOON)


def overlapping(boxes):
    return [
        (a, b)
        for a, b in combinations(boxes, 2)
        if a.x < b.x + b.w - 0.01 and b.x < a.x + a.w - 0.01 and a.y < b.y + b.h - 0.01 and b.y < a.y + a.h - 0.01
    ]


@pytest.mark.parametrize("look", ["border", "card", "host", "chip", "wire"])
def test_nothing_lies_on_another_of_its_kind_and_nothing_lies_outside(big, look):
    drawing = lay_out(big)
    boxes = [s for s in drawing.shapes if s.look.split() and s.look.split()[0] == look]
    assert boxes
    assert overlapping(boxes) == []
    assert all(s.x >= 0 and s.x + s.w <= drawing.w + 0.01 and s.y + s.h <= drawing.h + 0.01 for s in boxes)


def test_many_machines_on_one_host_are_squares_with_names_under_the_pointer():
    bodies = list(cloud("rbx", "eu-west-rbx", 1, 60))
    shapes = lay_out(drawn(*bodies)).shapes
    chips = [s for s in shapes if s.look.startswith("chip") and s.told.startswith("hinst/")]
    assert len(chips) == 60
    assert sum(s.w == 20 for s in chips) == 59, "all but the one that waits for a place"


@pytest.mark.parametrize(
    ("text", "w", "look", "shown"),
    [
        ("web", 100, "chip", "web"),
        ("rbx-application-server-04", 61, "chip", "rbx-ap…-04"),
        ("a message that is too long", 59, "small", "a message…"),
    ],
)
def test_what_has_no_room_is_cut(text, w, look, shown):
    assert cut(text, w, look) == shown


def test_a_message_is_wrapped_and_ends():
    lines = list(wrapped("word " * 60, 200, "small", most=3))
    assert len(lines) == 3
    assert lines[-1].endswith("…")


class Reader(HTMLParser):
    """Every element, what it refers to, and whether all are closed."""

    VOID = frozenset({"meta", "br", "hr", "img", "link", "input"})

    def __init__(self, text):
        super().__init__()
        self.open, self.references, self.tags = [], [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.references += [value for name, value in attributes if name in {"src", "href", "xlink:href", "srcset"}]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_stands_alone(big):
    page = as_html(big, title="Clouds", now=NOON)
    read = Reader(page)
    assert read.open == []
    assert read.references == []
    assert not read.tags & {"script", "link", "img", "iframe"}
    assert not re.search(r"url\(|@import", page)
    assert "prefers-color-scheme: dark" in page


def test_the_picture_is_svg_with_every_instance_and_a_legend(big):
    root = ET.fromstring(as_svg(big, title="Clouds", now=NOON))
    titles = [title.text for title in root.iter(f"{SVG}title")]
    assert sum(text.startswith("hinst/") for text in titles) == 100
    said = [text.text for text in root.iter(f"{SVG}text")]
    for words in ("as declared", "needs a person", "drift in 2 fields", "paused", "France", "European Union"):
        assert words in said
    assert said.count("Δ1") == 6
    counted = next(text for text in said if text.startswith("3 clouds"))
    assert counted == "3 clouds, 10 hosts, 100 instances; 113 of 122 objects ready. Drawn 2026-07-01 12:00 UTC"


def test_what_needs_a_look_comes_worst_first(big):
    health = [str(thing.state.health) for thing in needing_a_look(big)]
    assert health == ["Stalled"] * 6 + ["Progressing"] * 3 + ["Ready"] * 9


def test_names_from_outside_cannot_break_the_picture():
    evil = {
        "state": '<script>alert("1")</script>\x1b[2J',
        "placement": {"cloud": "team/paris", "host": "<b>&"},
        "id": "1",
    }
    clouds = list(cloud("paris", None, 1, 0))
    found = drawn(*clouds, body("HostedInstance", "web", INSTANCE_SPEC, in_sync(**evil)))
    text = as_svg(found, title="<x>", now=NOON)
    ET.fromstring(text)
    assert "<script>" not in text
    assert "\x1b" not in text


def test_what_is_referred_to_and_what_is_in_no_cloud_are_drawn_too():
    loose = body("HostedInstance", "loose", {**INSTANCE_SPEC, "placement": None}, ready())
    lost = body("HostedInstance", "lost", INSTANCE_SPEC, ready())
    found = drawn(loose, lost)
    assert [c.thing.state.reason for b in found.borders for c in b.clouds] == ["DoesNotExist"]
    assert "In no cloud" in as_svg(drawn(loose), title="x", now=NOON)
    assert "Everything is as declared." in as_html(drawn(), title="x", now=NOON)


def run(*arguments, outside=None):
    return CliRunner().invoke(app, ["map", *arguments], obj=(outside or Outside().with_cluster(*scene())).connections)


@pytest.mark.parametrize(
    ("name", "begins"), [("a.html", "<!doctype html>"), ("a.svg", "<svg "), ("a.json", "{"), ("a.yaml", "format: 1")]
)
def test_the_name_of_the_file_says_what_is_written(tmp_path, name, begins):
    result = run(str(tmp_path / name))
    assert (result.exit_code, result.stdout) == (0, f"{tmp_path / name} written\n")
    assert (tmp_path / name).read_text().startswith(begins)


def test_the_values_behind_the_picture_have_stable_names():
    told = json.loads(run("-o", "json").stdout)
    assert told == yaml.safe_load(run("-o", "yaml").stdout)
    assert set(told) == {"format", "borders", "inNoCloud"}
    france = told["borders"][0]
    assert france["countries"] == [{"code": "FR", "name": "France", "inEU": True}]
    (rbx,) = france["clouds"]
    assert {"place", "vrack", "hosts", "waiting", "networksInIt", "images", "health", "driftCount"} <= set(rbx)
    instance = rbx["hosts"][0]["instances"][0]
    assert (instance["kind"], instance["networks"]) == ("HostedInstance", ["apps", "data"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["clouds.png"], "give it a name that ends with .html, .svg, .json or .yaml"),
        (["/nowhere/at/all.svg"], "cannot be written: No such file or directory"),
    ],
)
def test_a_file_that_cannot_be_is_one_line(arguments, said):
    result = run(*arguments)
    assert result.exit_code == 1
    assert said in result.stderr
