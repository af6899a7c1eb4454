"""Are errors independent? Tests of the paper's Definition 1 from the integer counts.

Under independence, all that is left random given the counts c_i is which runs are right on an example, apart
from all other examples: every column of the correctness matrix shuffled by itself.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import chdtr, chdtrc

from airbench_var.analysis.estimate import RUNS, too_few
from airbench_var.analysis.intervals import example_variances
from airbench_var.analysis.poisson_binomial import poisson_binomial
from airbench_var.analysis.variance import test_set_variance
from airbench_var.stats import CorrectnessCounts

#: Draws for the null of the goodness of fit: p-values down to 1 / 2,000.
DRAWS = 1999
#: With fewer runs the law of their own rates is too narrow: p-values of up to 1 % came in 6.0 % of 400 sets
#: of 2 runs, in 3.3 % of 3, in 1.3 % of 5.
_RUNS_FOR_FIT = 5
#: The least variance of a run's number of right answers, if errors are independent, for a chi-square law of
#: its square. Where fewer are wrong, two at once are rare and weigh much: p-values of up to 0.1 % came in
#: 0.71 % of 8,000 sets at 0.1 (20 examples, 100 runs), in 0.36 % at 0.5.
LEAST_VARIANCE = 0.5

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class HypothesisTest:
    """One test of a null hypothesis; without a p-value it says why."""

    name: str
    null: str
    statistic: float | None
    p_value: float | None
    method: str
    assumption: str
    absent: str = ""
    least_p_value: float = 0.0  #: that it could have found, above 0 where it is a rank among so many draws

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return {**vars(self), "absent": self.absent or None}


#: What the tests of independence rest on.
ASSUMPTION = f"{RUNS}; nothing is assumed of the examples"


def variance_ratio(counts: CorrectnessCounts) -> HypothesisTest:
    """Test whether runs differ more than independent errors would make them; the statistic is V / I.

    Given c_i the mean and the variance of the test-set variance are exact under the null, and a chi-square
    law is matched to them; it fails when fewer than two examples vary, and in the tail where errors are few:
    then there is no p-value. Source: paper, Definition 1.
    """
    scaled = _matched_chi_square(counts)
    ratio = None if scaled is None else scaled[0] / scaled[1]
    return HypothesisTest(
        name="variance_ratio",
        null="errors are independent, so that the variance ratio is 1; larger is against it",
        statistic=ratio,
        p_value=None if scaled is None else float(chdtrc(scaled[1], scaled[0])),
        method="chi-square with the exact mean and variance of the null, given the counts of each example",
        assumption=ASSUMPTION,
        absent=_why_no_chi_square(counts),
    )


def under_dispersion_p_value(counts: CorrectnessCounts) -> float:
    """Return the chance of a test-set variance this small if examples failed independently of one another.

    The other tail of `variance_ratio`; 1 where that test has nothing to compare.
    """
    scaled = _matched_chi_square(counts)
    return 1.0 if scaled is None else float(chdtr(scaled[1], scaled[0]))


def _matched_chi_square(counts: CorrectnessCounts) -> tuple[float, float] | None:
    """Return statistic and degrees of freedom, or None where there is no such law."""
    if _why_no_chi_square(counts):
        return None
    v_N = example_variances(counts)
    total, squares = float(v_N.sum()), float(v_N @ v_N)
    freedom = (counts.R - 1) * total**2 / (total**2 - squares)
    return freedom * float(test_set_variance(counts)) * counts.n**2 / total, freedom


def goodness_of_fit(counts: CorrectnessCounts, draws: int = DRAWS) -> HypothesisTest:
    """Test the whole accuracy distribution against independent errors by a Kolmogorov-Smirnov distance.

    The rates are estimated from the same runs, so that the expected law has the mean of the sample; a table
    for a known law would never reject. Here each simulated sample, too, is compared with the law moved to
    its own mean (as Lilliefors did for the normal law). The draws have a fixed seed. It has little power
    against a larger variance: look at `variance_ratio` first. Needs R >= 5.
    Source: paper, section 3.2, Fig 3.
    """
    absent = _why_not(counts, _RUNS_FOR_FIT)
    distance = p_value = None
    if not absent:
        law = poisson_binomial(counts.c_N, counts.R)
        places = np.arange(len(law.pmf_K))
        observed_K = np.bincount(np.clip(counts.k_R - law.first, 0, places[-1]), minlength=len(places))
        cdf_K = np.cumsum(law.pmf_K)
        distance = _distance(observed_K, cdf_K)
        rng = np.random.Generator(np.random.PCG64([counts.R, counts.n, counts.S1]))
        pmf_K = law.pmf_K / law.pmf_K.sum()
        beyond = 0
        for _ in range(draws):
            drawn_K = rng.multinomial(counts.R, pmf_K)
            shift = float(places @ drawn_K) / counts.R + law.first - law.mean
            beyond += _distance(drawn_K, _moved(cdf_K, shift)) >= distance
        p_value = (1 + beyond) / (draws + 1)
    return HypothesisTest(
        name="goodness_of_fit",
        null="accuracies follow the Poisson-binomial law of independent errors",
        statistic=distance,
        p_value=p_value,
        method=f"Kolmogorov-Smirnov distance against {draws:,} samples of the law, each re-centred",
        assumption=ASSUMPTION,
        absent=absent,
        least_p_value=1 / (draws + 1),
    )


def _distance(count_K: npt.NDArray[Any], cdf_K: Float64) -> float:
    return float(np.max(np.abs(np.cumsum(count_K) / count_K.sum() - cdf_K)))


def _moved(cdf_K: Float64, shift: float) -> Float64:
    """Return the distribution function moved to the right, linear between whole numbers."""
    places = np.arange(len(cdf_K))
    moved_K: Float64 = np.interp(places - shift, places, cdf_K, left=0.0, right=1.0)
    return moved_K


def _why_no_chi_square(counts: CorrectnessCounts) -> str:
    if absent := _why_not(counts):
        return absent
    if float(example_variances(counts).sum()) < LEAST_VARIANCE:
        return why_too_few_errors()
    return ""


def why_too_few_errors() -> str:
    """Return why no chi-square law fits where independent errors hardly vary."""
    return f"errors are too few: independent ones give right answers a variance below {LEAST_VARIANCE:g}"


def _why_not(counts: CorrectnessCounts, runs: int = 2) -> str:
    varying = int(np.count_nonzero((counts.c_N > 0) & (counts.c_N < counts.R)))
    return too_few("run", counts.R, runs) or too_few_varying(varying)


def too_few_varying(examples: int) -> str:
    """Return that so many examples that vary over runs have nothing to depend on, or '' when they have."""
    if examples >= 2:
        return ""
    return f"at least 2 examples must be right in some runs and wrong in others, here {examples}"
