"""How fractions are written for people: percent, with the digits that their interval supports."""

import math

from airbench_var.analysis.estimate import NEGATIVE, Estimate


def percent(fraction: float, decimals: int = 2) -> str:
    """Return '93.27 %' for 0.93271."""
    return f"{100 * fraction:.{decimals}f} %"


def value_text(estimate: Estimate) -> str:
    """Return the estimate alone, '0.56 %', or 'negative: 0 %' where a variance came out below 0."""
    if estimate.value is None:
        return "none"
    text = "0 %" if estimate.value == 0 else percent(estimate.value, _decimals(estimate))
    return f"negative: {text}" if NEGATIVE in estimate.warnings else text


def interval_text(estimate: Estimate) -> str:
    """Return the interval alone, '0.49 to 0.65 %'."""
    if estimate.interval is None:
        return "none"
    low, decimals = estimate.interval[0], _decimals(estimate)
    return f"{'0' if low == 0 else f'{100 * low:.{decimals}f}'} to {upper_text(estimate)}"


def upper_text(estimate: Estimate) -> str:
    """Return the upper end of the interval alone, '0.65 %'."""
    if estimate.interval is None:
        return "none"
    high = estimate.interval[1]
    return "0 %" if high == 0 else percent(high, _decimals(estimate))


def _decimals(estimate: Estimate) -> int:
    """Return how many decimals of a percent show the interval's width to two digits, between 2 and 5."""
    if estimate.interval is None or estimate.interval[0] == estimate.interval[1]:
        return 2
    width_percent = 100 * (estimate.interval[1] - estimate.interval[0])
    return min(max(1 - math.floor(math.log10(width_percent)), 2), 5)
