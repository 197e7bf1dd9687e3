"""Lists of names in messages."""

import pytest

from sovereigncloud.core.listing import format_list


@pytest.mark.parametrize(
    ("names", "limit", "text"),
    [([], 2, ""), (["a"], 2, "a"), (["a", "b"], 2, "a, b"), (["a", "b", "c"], 2, "a, b and 1 more")],
)
def test_a_list_is_cut_after_its_limit(names, limit, text):
    assert format_list(names, limit) == text
    assert format_list(iter(names), limit) == text
