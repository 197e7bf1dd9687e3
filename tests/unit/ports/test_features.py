"""What a version of OpenNebula can do."""

import pytest

from sovereigncloud.ports.opennebula.features import Feature, covered, has, release

VERSIONS = [
    ("the oldest that is covered", "6.10.0", False, True),
    ("its patches", "6.10.5", False, True),
    ("ten is more than four: numbers, not text", "6.4.0", False, False),
    ("the reference architecture's", "7.0.1", False, True),
    ("7.2", "7.2.0", False, True),
    ("on the way to 7.4", "7.3.80", False, True),
    ("the newest that is covered", "7.4.0", True, True),
    ("a later one has what 7.4 has", "7.6.1", True, False),
    ("the next but one", "8.0", True, False),
    ("not known yet", "", False, False),
    ("no version", "unknown", False, False),
    ("half a version", "7", False, False),
]


@pytest.mark.parametrize(("why", "version", "group", "tested"), VERSIONS, ids=[row[0] for row in VERSIONS])
def test_versions(why, version, group, tested):
    assert has(version, Feature.GROUP_MEMBERSHIP) is group, why
    assert covered(version) is tested, why


def test_a_release_is_two_numbers():
    assert (release("7.4.0"), release("7.x"), release("")) == ((7, 4), None, None)
