"""Correlations over runs between the accuracies on several test sets: the paper's appendix C, Fig 10."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import false_discovery_control, pearsonr

from airbench_var.stats import CorrectnessCounts


@dataclass(frozen=True, kw_only=True)
class Correlation:
    """Pearson's r over runs between two test sets."""

    names: tuple[str, str]
    r: float
    low: float
    high: float
    p_value: float  #: two-sided, of no correlation


def correlations(
    counts: Sequence[tuple[str, CorrectnessCounts]], *, halves: bool, level: float
) -> list[Correlation]:
    """Return the correlation of accuracies of each two test sets, whose runs are the same.

    halves: between the even examples of the first and the odd examples of the second. Where test sets show
    the same images otherwise, an image that is hard in both makes whole test sets go together; two halves
    share none. A half is noisier than the whole, which brings its correlations nearer to 0.

    level: of all intervals together (Bonferroni). Intervals are Fisher's z, p-values Student's t. Test sets
    whose accuracies do not vary are left out.

    Assumption: runs are independent, accuracies of two test sets normal together; it fails for few examples.

    Raises: ValueError for test sets of other runs, or fewer than 4 of them.
    """
    varying = [(name, of) for name, of in counts if np.ptp(of.even_R) and np.ptp(of.k_R - of.even_R)]
    pairs = [(a, b) for place, a in enumerate(varying) for b in varying[place + 1 :]]
    each = 1 - (1 - level) / max(1, len(pairs))
    found = []
    for (name_a, a), (name_b, b) in pairs:
        if a.R < 4 or not np.array_equal(a.run_ids_R, b.run_ids_R):
            raise ValueError(f"{name_a} and {name_b} need the same runs, four at least.")
        x_R, y_R = (a.even_R, b.k_R - b.even_R) if halves else (a.k_R, b.k_R)
        result = pearsonr(x_R.astype(float), y_R.astype(float))
        low, high = result.confidence_interval(each)
        found.append(
            Correlation(
                names=(name_a, name_b),
                r=float(result.statistic),
                low=float(low),
                high=float(high),
                p_value=float(result.pvalue),
            )
        )
    return found


def discoveries(found: Sequence[Correlation], rate: float = 0.05) -> int:
    """Return how many of these there are at a false discovery rate, though they share runs.

    Source: Benjamini and Yekutieli, Annals of Statistics 2001.
    """
    if not found:
        return 0
    p_P: npt.NDArray[np.float64] = false_discovery_control([one.p_value for one in found], method="by")
    return int((p_P <= rate).sum())
