"""A pool of machines is read as the parser of XML reads it, and what did not change is not parsed again."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.contract.test_one_hostile_templates import HOSTILE, OUR_KEY, WEB, Front, storable

from sovereigncloud.providers.opennebula import session, views
from sovereigncloud.providers.opennebula import vm_pool as machines
from sovereigncloud.providers.opennebula.session import Escaped, decode, unescaped
from sovereigncloud.providers.opennebula.templates import template_xml
from sovereigncloud.providers.opennebula.vm_pool import PoolRead
from sovereigncloud.providers.opennebula.xml_elements import Malformed, read_pool
from sovereigncloud_sandbox.opennebula.wire import encode_success, escape

WHOLE = (-2, -1, -1, -1)
PAD = "x" * session._LARGE


@pytest.fixture
def front():
    return Front()


def vm_xml(number, *, name="web", monitoring="", polled=0, state=3, user="", extra=""):
    """One machine, in oned's order."""
    return (
        f"<VM><ID>{number}</ID><UID>0</UID><NAME>{name}</NAME><LAST_POLL>{polled}</LAST_POLL><STATE>{state}</STATE>"
        f"<LCM_STATE>3</LCM_STATE><MONITORING>{monitoring}</MONITORING><TEMPLATE><CPU><![CDATA[1]]></CPU>"
        f"<MEMORY><![CDATA[64]]></MEMORY>{extra}</TEMPLATE><USER_TEMPLATE>{user}</USER_TEMPLATE><HISTORY_RECORDS/></VM>"
    )


def pool(*found):
    return Escaped(escape(f"<VM_POOL>{''.join(found)}</VM_POOL>").encode())


def read(text, known=None):
    """(machines, how many were parsed, what the next read knows)."""
    reads = PoolRead(known or {}, views.vm)
    return reads.page(text), reads.parsed, reads.met


def cdata(value):
    return f"<NOTE><![CDATA[{value}]]></NOTE>"


TEN = [vm_xml(number) for number in range(10)]
TWICE = [
    ("nothing changed", TEN, 0),
    ("one was powered off", [*TEN[:4], vm_xml(4, state=8), *TEN[5:]], 1),
    ("one is new, and one is gone", [*TEN[1:], vm_xml(77)], 1),
    ("the others come in another order", TEN[::-1], 0),
    ("all were polled, and use more CPU", [vm_xml(n, polled=9, monitoring=f"<CPU>{n}.5</CPU>") for n in range(10)], 0),
    ("somebody wrote a note on one", [*TEN[:9], vm_xml(9, user=cdata("hello"))], 1),
    ("what a guest says of itself ends no element", [*TEN[:9], vm_xml(9, monitoring="<G><![CDATA[</MONITORING>]]></G>")], 1),
    ("a tag of that name in a note is text", [*TEN[:9], vm_xml(9, user=cdata("<MONITORING>1</MONITORING>"))], 1),
]  # fmt: skip


@pytest.mark.parametrize(("why", "then", "parsed"), TWICE, ids=[row[0] for row in TWICE])
def test_only_what_changed_is_parsed_again(why, then, parsed):
    _, first, known = read(pool(*TEN))
    assert first == 10
    found, again, _ = read(pool(*then), known)
    assert again == parsed, why
    assert found == read_pool(str(pool(*then)), "VM", views.vm), why


def test_a_machine_that_is_recognised_is_the_same_value_and_takes_no_further_room():
    before, _, known = read(pool(*TEN))
    after, _, met = read(pool(*TEN), known)
    assert all(one is other for one, other in zip(before, after, strict=True))
    assert len(read(pool(*TEN[:3]), met)[2]) == 3, "what is gone is forgotten"


def test_a_name_that_hides_a_change_hides_nothing():
    """Where anything before MONITORING could be text, nothing is left out of the digest."""
    first, second = (vm_xml(1, name=f"<![CDATA[<LAST_POLL>{name}]]>") for name in "ab")
    known = read(pool(first))[2]
    assert read(pool(second), known)[0][0].name == "<LAST_POLL>b"


@settings(max_examples=150, deadline=None)
@given(
    values=st.lists(
        st.dictionaries(OUR_KEY, (HOSTILE | st.sampled_from(["</VM><VM>", "</VM_POOL>", "<VM><ID>5</ID>"])).filter(storable), max_size=2),
        min_size=1,
        max_size=4,
    )
)  # fmt: skip
def test_it_reads_what_a_parser_of_the_whole_reads_whatever_is_written_into_it(values):
    front = Front()
    for value in values:
        front.call("one.vm.allocate", template_xml({**WEB, **value, "NOTE": PAD[:40_000]}), False)
    front.call("one.vm.allocate", template_xml({**WEB, "NOTE": PAD}), False)
    text = front.call("one.vmpool.infoextended", *WHOLE)
    assert isinstance(text, Escaped), "large enough for the short way"
    found, _, known = read(text)
    assert found == read_pool(str(text), "VM", views.vm)
    by_id = sorted(found, key=lambda vm: vm.id)
    assert [vm.notes for vm in by_id] == [*values, {}]
    assert read(text, known)[0] == found


def test_what_ends_a_machine_in_a_note_is_a_note(monkeypatch):
    hostile = vm_xml(1, user=cdata("</VM><VM><ID>5</ID><STATE>6</STATE></VM><VM>"))
    found, _, _ = read(pool(vm_xml(0), hostile, vm_xml(2)))
    assert [vm.id for vm in found] == [0, 1, 2]
    whole = []
    monkeypatch.setattr(machines, "read_pool", lambda *_: whole.append(1) or [])
    read(pool(vm_xml(0), hostile))
    assert whole, "it was read as a whole: cut there, it is no XML"


NOT_A_POOL = [
    ("half of it", Escaped(b"&lt;VM_POOL&gt;&lt;VM&gt;&lt;ID&gt;1&lt;/VM_POOL&gt;")),
    ("no number where one belongs", pool(vm_xml("seven"))),
    ("something else", "<html/>x"),
    ("nonsense", Escaped(b"nonsense")),
]


NIC = "<NIC><NIC_ID><![CDATA[0]]></NIC_ID><NETWORK><![CDATA[lan]]></NETWORK></NIC>"
CONTEXTS = [
    ("a usual one", "<CONTEXT><NETWORK><![CDATA[YES]]></NETWORK><KEY><![CDATA[ssh]]></KEY></CONTEXT>"),
    ("an empty one", "<CONTEXT/>"),
    ("none", ""),
    ("what opens one is written in an attribute", f"<A>{cdata('<CONTEXT>')}</A>"),
    ("what opens one is written before it", f"{cdata('<CONTEXT>')}<CONTEXT><B><![CDATA[b]]></B></CONTEXT>"),
    ("what ends one is written in it", f"<CONTEXT>{cdata('</CONTEXT>')}</CONTEXT>"),
    ("one with a value of that name", "<CONTEXT><CONTEXT><![CDATA[c]]></CONTEXT><B><![CDATA[b]]></B></CONTEXT>"),
    ("text as from two attributes", f"<CONTEXT>{cdata('a')}</CONTEXT>{NIC}{cdata('</CONTEXT>')}"),
    ("a machine ends in its text", f"<CONTEXT>{cdata('</CONTEXT></TEMPLATE></VM><VM>')}</CONTEXT>"),
    ("several", f"<CONTEXT>{cdata('a')}</CONTEXT><CONTEXT>{cdata('b')}</CONTEXT>"),
    ("several, and something between", f"<CONTEXT>{cdata('a')}</CONTEXT>{NIC}<CONTEXT>{cdata('b')}</CONTEXT>"),
    (
        "several, the first of which has the end of one written in it",
        f"<CONTEXT>{cdata('</CONTEXT><CONTEXT>')}</CONTEXT>{NIC}",
    ),
    ("two in one", "<CONTEXT><CONTEXT><![CDATA[c]]></CONTEXT><CONTEXT><![CDATA[d]]></CONTEXT></CONTEXT>"),
]
UNREAD = ("CONTEXT", "PERMISSIONS", "SECURITY_GROUP_RULE")


@pytest.mark.parametrize("tag", UNREAD)
@pytest.mark.parametrize(("why", "section"), CONTEXTS)
def test_that_a_section_is_left_out_changes_nothing(why, section, tag):
    section = section.replace("CONTEXT", tag)
    text = pool(*(vm_xml(number, extra=f"{section}{NIC}{NIC}", user=cdata(f"<{tag}>x</{tag}>")) for number in (1, 2)))
    found, _, _ = read(text)
    assert found == read_pool(str(text), "VM", views.vm), why
    assert all(one.nics for one in found), why


def test_no_parser_gets_what_is_not_read(monkeypatch):
    given = []
    monkeypatch.setattr(machines, "unescaped", lambda content: given.append(content) or unescaped(content))
    sections = "".join(
        f"<{tag}><A>{cdata('a')}</A></{tag}>" for tag in ("PERMISSIONS", "CONTEXT", *["SECURITY_GROUP_RULE"] * 3)
    )
    found, _, _ = read(pool(vm_xml(1, extra=f"{sections}{NIC}")))
    assert [len(one.nics) for one in found] == [1]
    assert not [tag for tag in UNREAD if tag.encode() in given[0]]


@pytest.mark.parametrize(("why", "text"), NOT_A_POOL, ids=[row[0] for row in NOT_A_POOL])
def test_what_is_no_pool_is_told(why, text):
    with pytest.raises(Malformed):
        read(text)


def test_an_empty_pool_has_no_machines():
    assert read("<VM_POOL></VM_POOL>")[0] == read(pool())[0] == read("")[0] == []


# ------------------------------------------------------------------------------------------------------- the envelope

LONG = st.lists(HOSTILE | st.sampled_from(["&lt;", "&#60;", "\r", "é" * 30]), max_size=6).map(
    lambda some: PAD + "".join(some)
)


@settings(max_examples=150, deadline=None)
@given(text=LONG)
def test_a_long_text_comes_out_of_its_envelope_as_a_parser_takes_it_out(text):
    reply = encode_success(text)
    fields = decode(reply)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "_LARGE", 1 << 40)
        slow = decode(reply)
    assert [fields[0], str(fields[1]), fields[2]] == slow


OTHERS = [
    ("a refusal", encode_success(PAD).replace(b"<boolean>1", b"<boolean>0")),
    ("a code that is not zero", encode_success(PAD).replace(b"<i4>0", b"<i4>7")),
    ("a character by number", encode_success(PAD).replace(b"xx</string>", b"&#233;</string>")),
    ("another encoding", encode_success(PAD).replace(b"UTF-8", b"ISO-8859-1").replace(b"xx</string>", b"\xe9</string>")),
    ("a carriage return, which a parser reads as a line feed", encode_success(PAD).replace(b"xx</string>", b"\r\n</string>")),
    ("something behind it", encode_success(PAD) + b"<!-- -->"),
]  # fmt: skip


@pytest.mark.parametrize(("why", "reply"), OTHERS, ids=[row[0] for row in OTHERS])
def test_whatever_is_not_just_a_long_text_is_left_to_the_parser(why, reply):
    assert not any(isinstance(field, Escaped) for field in decode(reply)), why


def test_bytes_that_are_no_utf_8_are_no_answer():
    with pytest.raises(session.NotXmlRpc):
        decode(encode_success(PAD).replace(b"xx</string>", b"\xff</string>"))


def test_every_field_of_a_machine_is_read_from_what_lasts():
    """The digest leaves out what moves by itself; a reader of it would never see it move."""
    still = read_pool(str(pool(vm_xml(1))), "VM", views.vm)[0]
    moving = {"CPU": "1", "MEMORY": "2", "STATE": "9", "GUEST_IP": "10.0.0.9", "TIMESTAMP": "7", "NETRX": "8"}
    told = "".join(f"<{name}>{value}</{name}>" for name, value in moving.items())
    moved = read_pool(str(pool(vm_xml(1, polled=8, monitoring=told))), "VM", views.vm)[0]
    differing = [f.name for f in dataclasses.fields(moved) if getattr(moved, f.name) != getattr(still, f.name)]
    assert differing == [], "taken from MONITORING or LAST_POLL: leave it out, or add it to the digest in machines.py"
