"""Digits follow the interval, and a negative variance is never a bare number."""

import pytest

from airbench_var.analysis import Estimate
from airbench_var.report.percent import interval_text, percent, size_text, upper_text, value_text


def estimate(value: float | None, interval: tuple[float, float] | None) -> Estimate:
    return Estimate(
        name="x_variance",
        target="this test set",
        value=value,
        interval=interval,
        level=0.95,
        method="m",
        assumption="a",
        runs=10,
        examples=100,
    )


@pytest.mark.parametrize(
    ("value", "interval", "expected"),
    [
        (0.9327, (0.92, 0.94), ("93.27 %", "92.00 to 94.00 %")),
        (0.0056, (0.0049, 0.0065), ("0.56 %", "0.49 to 0.65 %")),
        (0.00033, (0.00029, 0.00037), ("0.0330 %", "0.0290 to 0.0370 %")),
        (0.5, (0.5 - 1e-9, 0.5 + 1e-9), ("50.00000 %", "50.00000 to 50.00000 %")),
        (0.00033, (0.0, 0.0007), ("0.033 %", "0 to 0.070 %")),
        (0.0, (0.0, 0.0), ("0 %", "0 to 0 %")),
        (-0.0012, (-0.0024, -0.00002), ("-0.120 %", "-0.240 to -0.002 %")),
        (0.5, None, ("50.00 %", "none")),
        (None, None, ("none", "none")),
    ],
)
def test_texts(value: float | None, interval: tuple[float, float] | None, expected: tuple[str, str]) -> None:
    assert (value_text(estimate(value, interval)), interval_text(estimate(value, interval))) == expected


def test_the_std_of_a_negative_variance_is_0() -> None:
    std = estimate(-4e-7, (-9e-7, 4.225e-7)).standard_deviation("x_std")
    assert value_text(std) == "0 %"
    assert interval_text(std) == "0 to 0.065 %"
    assert upper_text(std) == "0.065 %"


def test_percent() -> None:
    assert percent(0.93271) == "93.27 %"
    assert percent(0.93271, 3) == "93.271 %"


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(0, "0 kB"), (1_499, "1 kB"), (999_499, "999 kB"), (1_250_000, "1.2 MB")],
)
def test_sizes_have_the_unit_that_shows_them(size_bytes: int, text: str) -> None:
    assert size_text(size_bytes) == text
