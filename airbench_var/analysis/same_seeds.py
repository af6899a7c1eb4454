"""Are runs of two stores that were given the same seeds alike? Then they are no independent samples."""

import math

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from airbench_var.stats import CorrectnessCounts

Seeds = npt.NDArray[np.uint64]

#: The seeds of a run, as its record names them.
FIELDS = ("init_seed", "order_seed", "aug_seed")
#: Of fewer a correlation says too little.
FEWEST = 10
#: Below it a correlation is told.
CORRELATED_P = 0.001
#: Of Fisher's z of a rank correlation, times (M - 3): Fieller, Hartley and Pearson, Biometrika 1957.
_RANK_VARIANCE = 1.06


def correlated(
    a: CorrectnessCounts, seeds_a_R3: Seeds, b: CorrectnessCounts, seeds_b_R3: Seeds
) -> str | None:
    """Return in words that runs of A and B with the same three seeds are good together, or not, if so.

    seeds: of each run of the counts, in their order, uint64 (R, 3); all zero where they are not known.

    Method: Fisher's z of the rank correlation of accuracies, of which a few failed runs say no more than
    others. Assumption: pairs of runs are independent; of ten pairs it tells in two or three of a thousand
    honest comparisons, of a hundred in one.
    """
    place = {tuple(seeds): i for i, seeds in enumerate(seeds_b_R3.tolist()) if any(seeds)}
    both = [(i, place[key]) for i, seeds in enumerate(seeds_a_R3.tolist()) if (key := tuple(seeds)) in place]
    if len(both) < FEWEST:
        return None
    of_a_M, of_b_M = (counts.k_R[[pair[which] for pair in both]] for which, counts in enumerate((a, b)))
    if not (np.ptp(of_a_M) and np.ptp(of_b_M)):
        return None
    correlation = float(np.corrcoef(_ranks(of_a_M), _ranks(of_b_M))[0, 1])
    z = math.atanh(min(0.999999, max(-0.999999, correlation))) * math.sqrt((len(both) - 3) / _RANK_VARIANCE)
    if 2 * float(ndtr(-abs(z))) >= CORRELATED_P:
        return None
    go, are = (
        ("go together", "wider than they need be")
        if correlation > 0
        else ("go against one another", "narrower than is right")
    )
    return (
        f"{len(both):,} runs of A have the seeds of runs of B, and their accuracies {go} (rank correlation "
        f"{correlation:.2f}): intervals and p-values take them for independent and are {are}. Runs that are "
        "compared need seeds of their own: another campaign seed for each store"
    )


def _ranks(values_M: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return the rank of each value, the mean one of those that are equal."""
    _, place_M, count_U = np.unique(values_M, return_inverse=True, return_counts=True)
    last_U = np.cumsum(count_U)
    ranks_M: npt.NDArray[np.float64] = (last_U - (count_U - 1) / 2)[place_M]
    return ranks_M
