"""Did the runs of a campaign change on the way? A machine or a driver that changes adds to every variance."""

from collections.abc import Iterable

import numpy as np
from scipy.special import fdtrc

from airbench_var.analysis import variance
from airbench_var.analysis.estimate import RUNS, too_few
from airbench_var.analysis.independence import HypothesisTest
from airbench_var.stats import CorrectnessCounts

MOST_GROUPS, LEAST_RUNS_A_GROUP = 32, 8


def drift(counts: CorrectnessCounts) -> HypothesisTest:
    """Test whether groups of neighbouring run ids differ in mean accuracy by more than runs within a group.

    One-way analysis of variance of up to 32 groups of equal size. Assumption: runs are independent; with 8
    runs or more in a group their law matters little.
    """
    groups = min(MOST_GROUPS, counts.R // LEAST_RUNS_A_GROUP)
    absent, statistic, p_value = too_few("run", counts.R, 2 * LEAST_RUNS_A_GROUP), None, None
    if not absent:
        parts = np.array_split(counts.k_R.astype(np.float64), groups)
        within = sum(float(((part - part.mean()) ** 2).sum()) for part in parts) / (counts.R - groups)
        centre = float(counts.k_R.mean())
        between = sum(len(part) * (float(part.mean()) - centre) ** 2 for part in parts) / (groups - 1)
        if within == 0:
            absent = "runs within a group all have the same accuracy"
        else:
            statistic = between / within
            p_value = float(fdtrc(groups - 1, counts.R - groups, statistic))
    return HypothesisTest(
        name="drift",
        null="runs of neighbouring ids are no more alike than any others",
        statistic=statistic,
        p_value=p_value,
        method=f"one-way analysis of variance, {max(groups, 0)} groups of neighbouring run ids",
        assumption=f"{RUNS}, whatever their id",
        absent=absent,
    )


def within_chunk_variance(chunks: Iterable[CorrectnessCounts]) -> float | None:
    """Return Eq 3 from runs of the same chunk only, which a drift between chunks does not enter.

    The mean over chunks of at least two runs, weighted by their degrees of freedom; unbiased where the
    distribution-wise variance is. None when no chunk has two runs, or n < 2. Source: paper, Eq 3.
    """
    freedom, total = 0, 0.0
    for chunk in chunks:
        if chunk.R >= 2 and chunk.n >= 2:
            freedom += chunk.R - 1
            total += (chunk.R - 1) * float(variance.distribution_wise_variance(chunk))
    return total / freedom if freedom else None
