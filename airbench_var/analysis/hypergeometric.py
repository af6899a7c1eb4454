"""The law of how often two independent examples are right together, given how often each is right.

With a and b right answers in R runs, and either column shuffled by itself, the number G of runs that are
right on both is hypergeometric. Its deviation from the mean, R G - a b, is an integer.
"""

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln

Int64 = npt.NDArray[np.int64]
Float64 = npt.NDArray[np.float64]

#: Laws that are summed at a time: their terms stay in the cache.
_LAWS_PER_BLOCK = 8192
#: A term smaller than this share of a sum does not change it.
_LOST = 2.0**-54


class HypergeometricLaws:
    """Tail probabilities for R runs; arguments and results are arrays (P,), one law a place."""

    def __init__(self, R: int) -> None:
        self.R = R
        self._log_factorial = gammaln(np.arange(R + 1) + 1.0)

    def two_sided(self, both_P: Int64, a_P: Int64, b_P: Int64) -> Float64:
        """Return twice the chance of a G at least as far to its side of the mean, at most 1.

        What was observed belongs to its tail, and each tail gets half of the level, so that
        P(p-value <= level) <= level whatever the law, with no tolerance for ties. (Half the weight for what
        was observed, the "mid-p", breaks this; adding up all outcomes that are no more likely needs a
        tolerance to tell equal from less.) Beyond one standard deviation this side is the less likely one.
        """
        above_P = both_P * self.R >= a_P * b_P
        # Wrong in place of right for b: below the mean becomes above it.
        tail_P = self.at_least(
            np.where(above_P, both_P, a_P - both_P), a_P, np.where(above_P, b_P, self.R - b_P)
        )
        return np.minimum(1.0, 2 * tail_P)

    def deviating(self, deviation: int, a_P: Int64, b_P: Int64) -> Float64:
        """Return the chance that |R G - a b| >= deviation, which is at least 1."""
        product_P = a_P * b_P
        above_P = -((-product_P - deviation) // self.R)  # the least G that far above
        below_P = (product_P - deviation) // self.R  # the largest G that far below
        return self.at_least(above_P, a_P, b_P) + self.at_least(a_P - below_P, a_P, self.R - b_P)

    def at_least(self, both_P: Int64, a_P: Int64, b_P: Int64) -> Float64:
        """Return P(G >= both), exact but for rounding (a relative 1e-9 at R = 60,000); both >= a b / R."""
        tail_P = np.empty(len(both_P))
        for start in range(0, len(both_P), _LAWS_PER_BLOCK):
            laws = slice(start, start + _LAWS_PER_BLOCK)
            tail_P[laws] = self._at_least(both_P[laws], a_P[laws], b_P[laws])
        return tail_P

    def _at_least(self, both_P: Int64, a_P: Int64, b_P: Int64) -> Float64:
        possible_P = both_P <= np.minimum(a_P, b_P)
        x, a, b = both_P[possible_P], a_P[possible_P], b_P[possible_P]
        # Left over: right on a alone, on b alone, on neither.
        a_alone, b_alone, neither = a - x, b - x, self.R - a - b + x
        f = self._log_factorial
        log_chance = f[a] + f[self.R - a] + f[b] + f[self.R - b] - f[self.R]
        term = np.exp(log_chance - f[x] - f[a_alone] - f[b_alone] - f[neither])
        total, numbers = term.copy(), (n.astype(np.float64) for n in (x, a_alone, b_alone, neither))
        x_f, a_f, b_f, neither_f = numbers
        # From G to G + 1, until no sum changes any more: beyond the mean terms only become smaller.
        while np.any(term > _LOST * total):
            x_f += 1
            neither_f += 1
            term *= a_f * b_f / (x_f * neither_f)
            total += term
            a_f -= 1
            b_f -= 1
        tail_P = np.zeros(len(both_P))
        tail_P[possible_P] = total
        return tail_P
