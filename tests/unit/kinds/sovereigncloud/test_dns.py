"""The record of the endpoint and the reverse names of a block: what is written, what is somebody else's, and how it ends."""

from dataclasses import dataclass, field

import pytest
from tests.unit.kinds.cloud_fakes import INSTALLATION, NOON, run
from tests.unit.kinds.sovereigncloud.test_plan import BLOCK, SETTLED, Scene, gone, hosted

from sovereigncloud.core.outcome import Phase
from sovereigncloud.kinds.sovereigncloud.network.dns import KNOWN, Name
from sovereigncloud.kinds.sovereigncloud.network.reverse_dns import TAG
from sovereigncloud.ports.errors import Rejected

ZONE, FQDN, FRONT = "example.fr", "one-rbx.example.fr", "127.0.0.11"
KEY = Name(ZONE, FQDN).key
OWNER = f"{INSTALLATION}:SovereignCloud/platform/rbx"
MAIL, WEB = "57.131.167.178", "57.131.167.179"
PATH = f"spec.hosted.networks[vm_public].reverseDNS[{MAIL}]"


def spec(*, access=True, reverse=(), fqdn=FQDN):
    wanted = hosted()
    if access:
        wanted["spec"]["hosted"]["access"] = {"fqdn": fqdn, "dnsZone": ZONE}
    if reverse:
        wanted["spec"]["hosted"]["networks"][0]["reverseDNS"] = [{"ip": i, "name": n} for i, n in reverse]
    return wanted


def scene(wanted=None, *, records=(), tag="", settled=False, zone=ZONE, external=None):
    made = Scene("running", wanted or spec(), settled=settled)
    if zone:
        made.account.zones.add(zone, *records)
        if tag:
            made.account.zones.tags[zone][KEY] = tag
    if external:
        made.raw["status"]["external"] = dict(external)
    return made


def right(target=FRONT):
    return ("one-rbx", "A", target)


@dataclass
class Case:
    why: str
    records: tuple = ()
    tag: str = ""
    make: dict = field(default_factory=dict)
    step: tuple = ()  # action, number, address
    reason: str = ""
    says: str = ""


CASES = [
    Case("no record: made", step=("Create", "", FRONT)),
    Case("records of other names are nobody's business", (("www", "A", "9.9.9.9"),), step=("Create", "", FRONT)),
    Case("a text record under the name does not lead anywhere", (), step=("Create", "", FRONT)),
    Case("ours, right and published", (right(),), f"1:{OWNER}"),
    Case(
        "ours and right, but the zone may not be published",
        (right(),),
        f"1!:{OWNER}",
        step=("Update", "1", ""),
    ),
    Case("made, and its number was lost: found again", (right(),), f"new!:{OWNER}", step=("Update", "1", "")),
    Case("begun, and nothing is there: made", (), f"new!:{OWNER}", step=("Create", "", FRONT)),
    Case("somebody made the same: left alone", (right(),)),
    Case("ours leads elsewhere by now: changed back", (right("9.9.9.9"),), f"1:{OWNER}", step=("Update", "1", FRONT)),
    Case("ours was deleted: made again", (), f"1:{OWNER}", step=("Create", "", FRONT)),
    Case(
        "ours was deleted and somebody made the same: theirs is left alone",
        (right(),),
        f"7:{OWNER}",
    ),
    Case("ours was being changed, and what is there is another record", (right(),), f"7!:{OWNER}"),
    Case(
        "somebody's leads elsewhere",
        (right("9.9.9.9"),),
        reason="DnsRecordTaken",
        says="record 1, A 9.9.9.9",
    ),
    Case(
        "begun, and what is there leads elsewhere: not ours",
        (right("9.9.9.9"),),
        f"new!:{OWNER}",
        reason="DnsRecordTaken",
    ),
    Case("an alias under the name", (("one-rbx", "CNAME", "x.example."),), reason="DnsRecordTaken", says="CNAME"),
    Case("ours and somebody's beside it", (right(), right("9.9.9.9")), f"1:{OWNER}", reason="DnsRecordTaken"),
    Case(
        "another cloud of ours has the name",
        (right(),),
        f"1:{INSTALLATION}:SovereignCloud/platform/sbg",
        reason="DnsRecordTaken",
        says="SovereignCloud/platform/sbg",
    ),
    Case("no such zone in the account", make={"zone": ""}, reason="DnsZoneNotFound", says=ZONE),
]


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.why)
def test_what_is_done_about_the_record(case):
    plan = scene(records=case.records, tag=case.tag, **case.make).plan()
    steps = tuple((s.action.value, s.number, s.address) for s in plan.steps)
    assert steps == ((case.step,) if case.step else ()), case.why
    assert plan.outcome.reason == case.reason, case.why
    assert case.says in plan.outcome.message, case.why


def test_no_zone_is_asked_for_where_none_is_given():
    made = scene(spec(access=False))
    assert made.plan().steps == ()
    assert made.account.reads["zone"] == 0


def test_with_three_front_ends_the_name_leads_to_their_common_address():
    wanted = spec()
    install = wanted["spec"]["hosted"]["openNebula"]["install"]
    install |= {"architecture": "HighlyAvailable", "virtualIP": {"address": "10.1.0.10", "cidr": 24, "interface": "b0"}}
    made = scene(wanted)
    (address,) = {s.address for s in made.plan().steps if type(s).__name__ == "WriteRecord"}
    assert address == "10.1.0.10"


@pytest.mark.parametrize("fault", ["ok", "before", "lost", "late", "crash"])
@pytest.mark.parametrize("at", range(5))
def test_whatever_is_lost_there_is_one_record_and_it_is_seen(fault, at):
    made = scene()
    made.account.faults = ["ok"] * at + [fault]
    run(made.loop().until_quiet())
    zones = made.account.zones
    records = [r for r in zones.found.values() if r[0] == "one-rbx"]
    assert records == [["one-rbx", "A", FRONT]]
    assert zones.published[ZONE]["one-rbx"] == [f"A {FRONT}"]
    assert zones.tags[ZONE][KEY].endswith(f":{OWNER}")
    assert "!" not in zones.tags[ZONE][KEY]


def test_a_target_changed_behind_our_back_is_drift_and_mended():
    made = scene(settled=True, external={KNOWN: f"{ZONE} {FQDN}"}, records=(right("9.9.9.9"),), tag=f"1:{OWNER}")
    (drift,) = made.plan().drift
    assert (drift.path, drift.desired, drift.observed) == (
        "spec.hosted.access.fqdn",
        f"A {FRONT}",
        "A 9.9.9.9",
    )
    run(made.loop().until_quiet())
    assert made.account.zones.published[ZONE]["one-rbx"] == [f"A {FRONT}"]


def test_another_name_in_spec_takes_the_first_one_away():
    made = scene()
    run(made.loop().until_quiet())
    made.raw = made.world.put(spec(fqdn="cloud.example.fr"))
    run(made.loop().until_quiet())
    assert made.account.zones.published[ZONE] == {"cloud": [f"A {FRONT}"]}
    assert list(made.account.zones.tags[ZONE]) == [Name(ZONE, "cloud.example.fr").key]


# --- reverse names ------------------------------------------------------------------------------------------------------


def named(*reverse, settled=False):
    made = Scene("running", spec(access=False, reverse=reverse), settled=settled)
    made.account.zones.names = {"mail.example.fr": MAIL, "web.example.fr": WEB}
    return made


def names(made):
    return {address: name for (_, address), name in made.account.zones.reverse.items()}


def test_each_address_gets_its_name_and_at_rest_nothing_is_written():
    made = named((MAIL, "mail.example.fr"), (WEB, "web.example.fr"))
    run(made.loop().until_quiet())
    assert names(made) == {MAIL: "mail.example.fr.", WEB: "web.example.fr."}
    assert made.account.tags_of_block[BLOCK][TAG + MAIL] == "mail.example.fr", "written on the block before"
    made.account.writes.clear()
    run(made.loop().once())
    assert made.account.writes == []


@pytest.mark.parametrize(
    ("why", "found", "differs"),
    [
        ("with its final dot", "mail.example.fr.", False),
        ("in other letters", "Mail.Example.FR.", False),
        ("another name", "old.example.fr.", True),
        ("the provider's own", "ip178.ip-57-131-167.eu.", True),
    ],
)
def test_what_counts_as_another_name(why, found, differs):
    made = named((MAIL, "mail.example.fr"), settled=True)
    made.account.zones.reverse[BLOCK, MAIL] = found
    plan = made.plan()
    assert [d.path for d in plan.drift] == ([PATH] if differs else []), why
    assert [type(s).__name__ for s in plan.steps] == (["SetReverse"] if differs else []), why


def test_a_name_that_does_not_resolve_is_told_and_holds_nothing_up():
    made = named((MAIL, "mail.example.fr"))
    made.account.zones.names.clear()
    made.account.blocks[BLOCK] = ""
    first = made.plan()
    assert "SetReverse" not in [type(s).__name__ for s in first.steps], "first everything else"
    with pytest.raises(Rejected, match="make an A record") as refused:
        run(made.loop().until_quiet())
    assert refused.value.reason == "ForwardRecordMissing"
    assert made.account.blocks == {BLOCK: "pn-1"}
    made.account.zones.names["mail.example.fr"] = MAIL
    run(made.loop().until_quiet())
    assert names(made) == {MAIL: "mail.example.fr."}


def test_a_block_that_is_not_ours_gets_no_names():
    made = named((MAIL, "mail.example.fr"), settled=True)
    made.account.tags_of_block[BLOCK] = {
        "sovereigncloud.io/installation": "other",
        "sovereigncloud.io/object": "SovereignCloud/a/b",
    }
    assert made.plan().steps == ()


def test_a_name_taken_out_of_spec_is_taken_away_where_it_is_still_what_was_set():
    made = named((MAIL, "mail.example.fr"), (WEB, "web.example.fr"))
    run(made.loop().until_quiet())
    made.account.zones.reverse[BLOCK, WEB] = "somebody.example."
    made.raw = made.world.put(spec(access=False))
    run(made.loop().until_quiet())
    assert names(made) == {WEB: "somebody.example."}
    assert not [key for key in made.account.tags_of_block[BLOCK] if key.startswith(TAG)]


@pytest.mark.parametrize("fault", ["before", "lost", "late", "crash"])
@pytest.mark.parametrize("at", range(2))
def test_whatever_is_lost_the_name_is_set(fault, at):
    made = named((MAIL, "mail.example.fr"))
    made.account.faults = ["ok"] * at + [fault]
    run(made.loop().until_quiet())
    assert names(made) == {MAIL: "mail.example.fr."}


# --- the end ------------------------------------------------------------------------------------------------------------


def built(*, records=()):
    made = scene(spec(reverse=[(MAIL, "mail.example.fr")]), records=records)
    made.account.zones.names = {"mail.example.fr": MAIL}
    run(made.loop().until_quiet())
    made.raw["status"] = {**SETTLED, "external": made.raw["status"].get("external", {})}
    made.account.writes.clear()
    return made


def leave(made, policy="Delete"):
    made.raw["metadata"]["deletionTimestamp"] = NOON.isoformat()
    made.raw["spec"]["deletionPolicy"] = policy
    loop = made.loop()
    for _ in range(16):
        looked = run(loop.once())
        made.world.clock.pass_(70)
        for kind in ("VirtualNetwork", "BareMetalServer"):
            gone(made, kind)
        if looked.plan and not looked.performed and looked.outcome.phase is Phase.DONE:
            return
    raise AssertionError(looked)


def test_with_delete_names_go_before_what_they_lead_to():
    made = built()
    leave(made)
    order = [w.split()[0] + " " + w.split()[1] for w in made.account.writes if not w.startswith(("untag", "publish"))]
    assert order == ["no record", "no reverse", f"detach {BLOCK}"]
    assert names(made) == {}
    assert made.account.zones.published[ZONE] == {}
    assert made.account.zones.tags[ZONE] == {}
    assert made.account.tags_of_block[BLOCK] == {}


@pytest.mark.parametrize("at", range(9))
@pytest.mark.parametrize("fault", ["before", "lost", "late"])
def test_with_delete_whatever_is_lost_nothing_is_left(fault, at):
    made = built()
    made.account.faults = ["ok"] * at + [fault]
    leave(made)
    assert (names(made), made.account.zones.found, made.account.zones.published[ZONE]) == ({}, {}, {})
    assert (made.account.tags_of_block[BLOCK], made.account.blocks[BLOCK]) == ({}, "")
    assert made.account.tags_of_vrack["pn-1"] == {}


def test_with_delete_a_record_that_somebody_made_stays():
    made = built(records=(right(),))
    leave(made)
    assert made.account.zones.published[ZONE] == {"one-rbx": [f"A {FRONT}"]}


def test_with_retain_names_stay():
    made = built()
    leave(made, "Retain")
    assert made.account.writes == []
    assert names(made) == {MAIL: "mail.example.fr."}
    assert made.account.zones.published[ZONE] == {"one-rbx": [f"A {FRONT}"]}
