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
#: Below it a correlation is told; one honest comparison in a thousand has it by chance.
CORRELATED_P = 0.001


def correlated(
    a: CorrectnessCounts, seeds_a_R3: Seeds, b: CorrectnessCounts, seeds_b_R3: Seeds
) -> str | None:
    """Return in words that runs of A and B with the same three seeds are good together, if they are.

    seeds: of each run of the counts, in their order, uint64 (R, 3); all zero where they are not known.

    Method: Fisher's z of the correlation of accuracies. Assumption: pairs of runs are independent, and nearly
    normal; with discrete accuracies of few examples the test tells less often.
    """
    place = {tuple(seeds): i for i, seeds in enumerate(seeds_b_R3.tolist()) if any(seeds)}
    both = [(i, place[key]) for i, seeds in enumerate(seeds_a_R3.tolist()) if (key := tuple(seeds)) in place]
    if len(both) < FEWEST:
        return None
    of_a_M, of_b_M = (counts.k_R[[pair[which] for pair in both]] for which, counts in enumerate((a, b)))
    if not (np.ptp(of_a_M) and np.ptp(of_b_M)):
        return None
    correlation = float(np.corrcoef(of_a_M, of_b_M)[0, 1])
    z = math.atanh(min(0.999999, max(-0.999999, correlation))) * math.sqrt(len(both) - 3)
    if 2 * float(ndtr(-abs(z))) >= CORRELATED_P:
        return None
    are = "wider than they need be" if correlation > 0 else "narrower than is right"
    return (
        f"{len(both):,} runs of A have the seeds of runs of B, and their accuracies go together (correlation "
        f"{correlation:.2f}): intervals and p-values take them for independent and are {are}. Give each "
        "store a campaign seed of its own"
    )
