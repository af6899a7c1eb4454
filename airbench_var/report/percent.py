"""How fractions are written for people: percent, with the digits that their interval supports."""

import math

from airbench_var.analysis.estimate import Estimate, Interval


def percent(fraction: float, decimals: int = 2) -> str:
    """Return '93.27 %' for 0.93271."""
    return f"{100 * fraction:.{decimals}f} %"


def value_text(estimate: Estimate) -> str:
    """Return the estimate alone, '0.56 %', and '0 %' for the std of a variance below 0, which a note says."""
    if estimate.value is None:
        return "none"
    return "0 %" if estimate.value == 0 else percent(estimate.value, decimals(estimate.interval))


def interval_text(estimate: Estimate) -> str:
    """Return the interval alone, '0.49 to 0.65 %'."""
    return "none" if estimate.interval is None else span_text(estimate.interval)


def span_text(interval: Interval) -> str:
    """Return an interval of fractions, '0.49 to 0.65 %'."""
    low, high = interval
    digits = decimals(interval)
    return f"{'0' if low == 0 else f'{100 * low:.{digits}f}'} to {_end_text(high, digits)}"


def upper_text(estimate: Estimate) -> str:
    """Return the upper end of the interval alone, '0.65 %'."""
    if estimate.interval is None:
        return "none"
    return _end_text(estimate.interval[1], decimals(estimate.interval))


def _end_text(end: float, digits: int) -> str:
    return "0 %" if end == 0 else percent(end, digits)


def decimals(interval: Interval | None) -> int:
    """Return how many decimals of a percent show the interval's width to two digits, between 2 and 5.

    More than that where an end would look like 0 and is not: whether 0 lies inside must be seen.
    """
    if interval is None or interval[0] == interval[1]:
        return 2
    width_percent = 100 * (interval[1] - interval[0])
    digits = min(max(1 - math.floor(math.log10(width_percent)), 2), 5)
    while digits < 5 and any(end and not round(100 * end, digits) for end in interval):
        digits += 1
    return digits


def size_text(size_bytes: int) -> str:
    """Return '12 kB' or '1.2 MB': two digits at least of what is there."""
    return f"{size_bytes / 1e3:,.0f} kB" if size_bytes < 1e6 else f"{size_bytes / 1e6:,.1f} MB"
