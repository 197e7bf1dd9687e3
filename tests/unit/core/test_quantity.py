from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sovereigncloud.core.quantity import mebibytes, quantity, seconds


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("4Gi", 4 * 2**30),
        ("1G", 10**9),
        ("500m", Decimal("0.5")),
        ("0.1", Decimal("0.1")),
        (2, 2),
        ("1.5Gi", 3 * 2**29),
        ("0", 0),
        ("1k", 1000),
        ("2Pi", 2 * 2**50),
    ],
)
def test_quantities_are_exact(text, value):
    assert quantity(text) == value


@pytest.mark.parametrize("text", ["", "Gi", "1g", "1GiB", "-1", "1e3", " 1", "1 Gi", "1.", ".5", "1Gi\n", "1,5Gi"])
def test_what_is_no_quantity_is_refused_with_examples(text):
    with pytest.raises(ValueError, match="not a quantity"):
        quantity(text)


@pytest.mark.parametrize(
    ("text", "mib"), [("4Gi", 4096), ("512Mi", 512), ("1.5Gi", 1536), (1048576, 1), ("1Ti", 1048576)]
)
def test_whole_mebibytes(text, mib):
    assert mebibytes(text) == mib


@pytest.mark.parametrize("text", ["1G", "1.5Mi", "1000000", "0", "500m", "1Ki"])
def test_what_opennebula_cannot_count_is_refused_with_a_remedy(text):
    with pytest.raises(ValueError, match="write for example 4Gi"):
        mebibytes(text)


@given(st.integers(1, 2**20), st.sampled_from(["Mi", "Gi", "Ti"]))
def test_binary_units_are_always_whole(number, unit):
    assert mebibytes(f"{number}{unit}") == number * {"Mi": 1, "Gi": 1024, "Ti": 1024**2}[unit]


@pytest.mark.parametrize(
    ("text", "value"),
    [("300s", 300), ("24h", 86400), ("1h30m", 5400), ("1.5m", 90), ("250ms", 0.25), ("1m1ms", 60.001)],
)
def test_go_durations(text, value):
    assert seconds(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "5", "1d", "s", "1h 30m", "-1s", "1hs"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError, match="not a duration"):
        seconds(text)
