"""The variances of the paper as exact fractions of the integer counts: nothing is rounded before it is read.

Each is unbiased for every R >= 2 (and n >= 2 where n - 1 divides), and each can be negative or zero where
the theory says so. Notation: R runs, n examples, k_r right answers of run r, c_i runs right on example i.
"""

from fractions import Fraction

from airbench_var.stats import CorrectnessCounts


def mean_accuracy(counts: CorrectnessCounts) -> Fraction:
    """Return S1 / (n R), the mean accuracy as a fraction; needs R >= 1."""
    return Fraction(counts.S1, counts.n * counts.R)


def test_set_variance(counts: CorrectnessCounts) -> Fraction:
    """Return the variance over runs of the accuracy on this test set; needs R >= 2. Source: paper, sec. 2."""
    R, S1, S2 = counts.R, counts.S1, counts.S2
    return Fraction(R * S2 - S1**2, R * (R - 1) * counts.n**2)


def independent_errors_variance(counts: CorrectnessCounts) -> Fraction:
    """Return the variance over runs if the examples of this test set failed independently; needs R >= 2.

    Unbiased for finite R: `c_i (R - c_i) / (R (R - 1))`, not `p_i (1 - p_i)`. Source: paper, section 3.2.
    """
    R = counts.R
    return Fraction(R * counts.S1 - counts.Q, R * (R - 1) * counts.n**2)


def binomial_variance(counts: CorrectnessCounts) -> Fraction:
    """Return p (1 - p) / n of the mean accuracy p, the variance if all examples were equally hard; R >= 1.

    It exceeds the independent-errors variance by that of the examples' difficulty. Source: paper, App E.
    """
    p = mean_accuracy(counts)
    return p * (1 - p) / counts.n


def distribution_wise_variance(counts: CorrectnessCounts) -> Fraction:
    """Return the variance over runs of the accuracy on the whole distribution; needs R >= 2 and n >= 2.

    n / (n - 1) times (test-set variance - independent-errors variance), as one integer ratio. It is the mean
    covariance over pairs of distinct examples, so it may be negative by chance. Source: paper, Eq 3.
    """
    R, n, S1, S2, Q = counts.R, counts.n, counts.S1, counts.S2, counts.Q
    return Fraction(R * S2 - S1**2 - R * S1 + Q, n * (n - 1) * R * (R - 1))
