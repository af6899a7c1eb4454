"""Estimates of given values, for what shows or judges them."""

from airbench_var.analysis import Estimate
from airbench_var.analysis.estimate import Target


def estimate(
    value: float | None,
    interval: tuple[float, float] | None,
    runs: int | tuple[int, int] = 100,
    target: Target = "this test set",
) -> Estimate:
    return Estimate(
        name="x",
        target=target,
        value=value,
        interval=interval,
        level=0.95,
        absent="" if interval else "too few runs",
        method="m",
        assumption="a",
        runs=runs,
        examples=10,
    )
