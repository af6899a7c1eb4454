"""Estimates of given values, for what shows or judges them."""

from airbench_var.analysis import Estimate


def estimate(value: float | None, interval: tuple[float, float] | None, runs: int = 100) -> Estimate:
    return Estimate(
        name="x",
        target="this test set",
        value=value,
        interval=interval,
        level=0.95,
        absent="" if interval else "too few runs",
        method="m",
        assumption="a",
        runs=runs,
        examples=10,
    )
