"""Numbers as people read them."""

from dataclasses import replace

import pytest

from airbench_var.studies.findings import Claim, Number, Unit
from airbench_var.studies.page import claims_table, shown


def number(unit: Unit, value: float | None, low: float | None, high: float | None) -> Number:
    return Number(
        name="x", arm="a", unit=unit, value=value, low=low, high=high, target="t", runs=2, examples=3,
        method="m", absent="" if low is not None else "too few",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("unit", "value", "low", "high", "text"),
    [
        ("share", 0.0123, 0.0111, 0.0135, ("1.23 %", "1.11 to 1.35 %")),
        ("variance", 3.2e-6, 1e-6, 5.41e-6, ("3.2e-6", "1e-6 to 5.41e-6")),
        ("plain", 0.5, -0.25, 1.0, ("0.5", "-0.25 to 1")),
        ("count", 12345.0, None, None, ("12,345", "too few")),
        ("plain", None, None, None, ("none", "too few")),
    ],
)
def test_values_and_intervals(unit, value, low, high, text) -> None:
    assert shown(number(unit, value, low, high)) == text


def test_no_p_value_is_zero() -> None:
    tiny = replace(number("plain", 0.0, None, None), name="variance_ratio_p_value")
    assert shown(tiny)[0] == "below 1e-300"
    assert shown(replace(tiny, value=1e-20))[0] == "1e-20"


def test_a_claim_is_a_row_with_the_runs_that_would_tell() -> None:
    claim = Claim(text="T", source="S", verdict="cannot be told", because="B", runs_needed=1234)
    assert (
        list(claims_table([claim]))[-1] == "| T | S | **cannot be told** | B; about 1,234 runs would tell |"
    )
