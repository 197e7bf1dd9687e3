"""Whatever anybody writes into a name or a value comes back from a pool as it went, or is refused in words: it never
becomes an attribute, and never half arrives. The real adapter down to the HTTP request, the simulator behind it.
"""

import functools
import string
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.faults.wire import Life, Wire, Writes, _Door

from sovereigncloud.core.identity import Mark
from sovereigncloud.ports.errors import Rejected
from sovereigncloud.providers.opennebula import views
from sovereigncloud.providers.opennebula.errors import error_of
from sovereigncloud.providers.opennebula.session import Connection, Login, NotSendable, Timeout
from sovereigncloud.providers.opennebula.templates import template_xml
from sovereigncloud.providers.opennebula.xml_elements import read_one, read_pool
from sovereigncloud_sandbox.opennebula.install import install, parse_spec

MARK = Mark("test-1", "HostedInstance/platform/web", "1234")
WEB = {"NAME": "web", "CPU": "1", "VCPU": "1", "MEMORY": "64", **MARK.for_opennebula()}
FRAGMENTS = [
    '"', '\\"', "'", "[", "]", "=", ",", "\n", "\t", " ", "  ", "<", ">", "&", "&amp;", "&#13;", "&#x0;", "<![CDATA[", "]]",
    "]>", "]]&gt;", "</TEMPLATE>", "</VM>", "<NIC><NETWORK_ID>0</NETWORK_ID></NIC>", 'x"\nMEMORY="99999', "NIC=[NETWORK_ID=0]",
    "$NAME", "$USER[TOKEN]", "${HOME}", "$(id)", "`id`", "%s", "{0}", "#", "--", "<!--", "-->", "<?xml version='1.0'?>", "é", "ﬁ", "县",
    "𝄞", "👩‍🚀", "\u202e", "\u200b", "\ufeff", "\u0085", "\u2028", "\x7f", "\x80", "\U0010fffd", "a", "0", "-1",
]  # fmt: skip
PLAIN = st.text(alphabet=st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff"), max_size=8)
HOSTILE = st.lists(st.sampled_from(FRAGMENTS) | PLAIN, max_size=6).map("".join)
NEVER = ["\x00", "\x01", "\x08", "\x0b", "\x0c", "\r", "\r\n", "\x1f", "\ufffe", "\uffff", "\ud800", "\udfff", "]]>"]
NOT_IN_NAMES = set("&|:\\\";/'#{}$<>\t\n")
"""oned's own list (PoolObjectSQL.cc), as the simulator has it."""
KEY = st.from_regex(r"[A-Z_][A-Z0-9_]{0,12}", fullmatch=True)
OUR_KEY = KEY.map(lambda key: f"SOVEREIGNCLOUD_X{key}")


def storable(text):
    return not any(one in text for one in NEVER)


class Front:
    """A connection of the adapter to a simulated cloud, without a socket."""

    def __init__(self):
        spec = parse_spec(
            {"name": "z", "listen": "127.0.0.50:2633", "oneadmin_password": "one", "hosts": [{"name": "10.0.0.1"}]}
        )
        self.cloud = install(spec, lambda: 1_800_000_000.0)
        wire = Wire(None, Writes())
        wire.clouds[spec.listen] = self.cloud
        self._door = _Door(functools.partial(wire.one, Life()))
        self.connection = self.login("oneadmin", "one")

    def login(self, username, password):
        connection = Connection(Login("http://127.0.0.50:2633/RPC2", username, password), Timeout())
        connection._session.mount("http://", self._door)
        return connection

    def call(self, method, *arguments):
        answer = self.connection.call(method, *arguments)
        if not answer.ok:
            raise error_of(answer.code, answer.value, where=method)
        return answer.value

    def made(self, attributes):
        """What the pool says of a machine that was made with these, as the reader sees it and as it is."""
        oid = self.call("one.vm.allocate", template_xml({**WEB, **attributes}), False)
        try:
            xml = self.call("one.vmpool.infoextended", -2, -1, -1, -1)
            both = read_pool(xml, "VM", lambda one: (views.vm(one), everything(one)))
            return next((vm, raw) for vm, raw in both if vm.id == oid)
        finally:
            del self.cloud.vms[oid]


def everything(element):
    """The attributes that a template has, whatever they are."""
    found = {}
    for one in element.find("USER_TEMPLATE"):
        inner = {child.tag: child.text or "" for child in one}
        found[one.tag] = inner or one.text or ""
    return found


@pytest.fixture(scope="module")
def front():
    return Front()


@settings(max_examples=250, deadline=None)
@given(attributes=st.dictionaries(OUR_KEY, HOSTILE.filter(storable), min_size=1, max_size=4))
def test_a_value_comes_back_from_the_pool_as_it_went(front, attributes):
    vm, raw = front.made(attributes)
    assert vm.notes == attributes
    assert (vm.mark, vm.name, vm.memory, vm.nics) == (MARK, "web", 64, ()), "nothing became an attribute"
    assert raw == {**MARK.for_opennebula(), **attributes}


@settings(max_examples=150, deadline=None)
@given(vector=st.dictionaries(KEY, HOSTILE.filter(storable), min_size=1, max_size=4))
def test_so_does_one_in_a_vector(front, vector):
    vm, raw = front.made({"SOVEREIGNCLOUD_VECTOR": vector})
    assert raw["SOVEREIGNCLOUD_VECTOR"] == vector
    assert (vm.mark, vm.memory, vm.nics) == (MARK, 64, ())


@settings(max_examples=150, deadline=None)
@given(name=HOSTILE.filter(lambda name: storable(name) and 0 < len(name) <= 128))
def test_a_name_comes_back_whether_it_went_in_a_template_or_bare(front, name):
    oid = front.call("one.vm.allocate", template_xml(WEB), False)
    if set(name) & NOT_IN_NAMES:
        for way in (lambda: front.made({"NAME": name}), lambda: front.call("one.vm.rename", oid, name)):
            with pytest.raises(Rejected, match=r"NAME, char '(.|\s)' is not allowed"):
                way()
        name = "web"
    else:
        assert front.made({"NAME": name})[0].name == name
        front.call("one.vm.rename", oid, name)
    assert read_one(front.call("one.vm.info", oid), "VM", views.vm).name == name
    del front.cloud.vms[oid]


@settings(max_examples=100, deadline=None)
@given(before=HOSTILE.filter(storable), never=st.sampled_from(NEVER), after=HOSTILE.filter(storable))
def test_what_cannot_be_stored_is_refused_in_words_before_anything_is_sent(front, before, never, after):
    value = f"{before}{never}{after}"
    with mock.patch.object(front._door, "send", side_effect=AssertionError("it was sent")):
        for attributes in ({"NOTE": value}, {"V": {"NOTE": value}}, {"V": [{"NOTE": value}]}):
            with pytest.raises(Rejected, match=r"NOTE holds .*, which OpenNebula cannot store: encode it") as refused:
                front.made(attributes)
            assert refused.value.reason == "InvalidTemplate"
            assert len(before) < 5 or before not in str(refused.value), "it may be a secret"
        if never != "]]>":  # bare it ends nothing: it stands in no CDATA on its way
            with pytest.raises(NotSendable, match=r"its argument 2 holds .*, which XML does not carry: take it out"):
                front.call("one.vm.rename", 0, value)
            with pytest.raises(NotSendable, match="the username or password holds"):
                front.login("oneadmin", value).call("one.system.version")


@settings(max_examples=150, deadline=None)
@given(key=st.text(alphabet=string.printable + "é̀\x00县", max_size=8))
def test_a_key_is_upper_case_letters_digits_and_underlines_or_refused(front, key):
    wanted = f"SOVEREIGNCLOUD_{key}"
    if key.replace("_", "a").isalnum() and key.isascii():
        assert front.made({wanted: "x"})[1][wanted.upper()] == "x"
    elif key:
        for attributes in ({wanted: "x"}, {"V": {wanted: "x"}}):
            with pytest.raises(Rejected, match="cannot be the name of an OpenNebula attribute"):
                front.made(attributes)
