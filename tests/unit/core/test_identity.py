import pytest

from sovereigncloud.core.identity import Mark, Ownership, find, mark_from_opennebula, mark_from_ovh, ownership

OURS = Mark("prod", "HostedInstance/ns/web", "uid-2")
BEFORE = Mark("prod", "HostedInstance/ns/web", "uid-1")
SIBLING = Mark("prod", "HostedInstance/ns/db", "uid-9")
FOREIGN = Mark("test", "HostedInstance/ns/web", "uid-2")


@pytest.mark.parametrize(
    ("why", "found", "whose"),
    [
        ("unmarked", None, Ownership.NONE),
        ("made by this very resource", OURS, Ownership.OURS),
        ("made by its predecessor in a cluster that was rebuilt", BEFORE, Ownership.PREDECESSOR),
        ("without a uid it cannot be this very one", Mark("prod", OURS.object, ""), Ownership.PREDECESSOR),
        ("another object of the same installation", SIBLING, Ownership.SIBLING),
        ("another installation, whatever its names and uids", FOREIGN, Ownership.FOREIGN),
        ("the same name in another namespace", Mark("prod", "HostedInstance/other/web", "uid-2"), Ownership.SIBLING),
        ("the same name of another kind", Mark("prod", "MachineImage/ns/web", "uid-2"), Ownership.SIBLING),
    ],
)
def test_whose_it_is(why, found, whose):
    assert ownership(found, OURS) is whose, why


@pytest.mark.parametrize(
    ("why", "marks", "candidates"),
    [
        ("nothing there: create", [], []),
        ("only strangers: create", [None, SIBLING, FOREIGN], []),
        ("one of ours", [None, OURS, SIBLING], [1]),
        ("one of the predecessor's is taken over", [SIBLING, BEFORE], [1]),
        ("ours before the predecessor's", [BEFORE, OURS], [1]),
        ("several of ours: a person must choose", [OURS, FOREIGN, OURS], [0, 2]),
        ("several of predecessors': a person must choose", [BEFORE, Mark("prod", OURS.object, "uid-0")], [0, 1]),
    ],
)
def test_the_search_by_mark(why, marks, candidates):
    found = find([(mark, number) for number, mark in enumerate(marks)], OURS)
    assert list(found.candidates) == candidates, why


@pytest.mark.parametrize(
    ("write", "read"), [(Mark.for_opennebula, mark_from_opennebula), (Mark.for_ovh, mark_from_ovh)]
)
def test_a_mark_is_read_as_it_was_written(write, read):
    written = write(OURS)
    assert read(written) == OURS
    assert read({**written, "OTHER": "1"}) == OURS
    assert read({}) is None
    for key in (k for k in written if not k.lower().endswith("uid")):
        assert read({k: v for k, v in written.items() if k != key}) is None, "half a mark is none"
        assert read({**written, key: ""}) is None


def test_a_mark_that_is_written_tag_by_tag_is_none_before_the_last():
    written = list(OURS.for_ovh().items())
    for count in range(len(written)):
        assert mark_from_ovh(dict(written[:count])) is None, "else it would be a predecessor's"


def test_keys_are_what_the_apis_take():
    for key in OURS.for_opennebula():
        assert key == key.upper(), "oned upper-cases template keys"
        assert not set(key) & set("-/")
    for key in OURS.for_ovh():
        assert len(key) <= 128
