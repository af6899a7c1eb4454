"""Step-up procedures from a histogram reject what they reject from the p-values themselves."""

import numpy as np
import numpy.typing as npt
import pytest

from airbench_var.analysis.discoveries import PValues

LEVEL = 0.05
ROUNDING = np.exp(2.0**-12)  # a bin: p-values are rounded up to the next


def rejected(p: npt.NDArray[np.float64], m: int, level: float) -> int:
    """Benjamini-Hochberg as in its paper."""
    enough = np.flatnonzero(np.sort(p) <= level * np.arange(1, len(p) + 1) / m)
    return int(enough[-1]) + 1 if len(enough) else 0


@pytest.mark.parametrize("share", [0.0, 0.001, 0.05, 0.5, 1.0])
@pytest.mark.parametrize("m", [1, 40, 20_000])
def test_a_histogram_rejects_what_the_p_values_do(m: int, share: float) -> None:
    rng = np.random.default_rng([m, round(1000 * share)])
    p = np.where(rng.random(m) < share, rng.random(m) ** 8, rng.random(m))
    p[: m // 10] = np.round(p[: m // 10], 3) + 1e-3  # ties
    p_values = PValues()
    for part in np.array_split(rng.permutation(p), 7):
        p_values.add(part[part <= LEVEL])
    for found, level in (
        (p_values.benjamini_hochberg(m, LEVEL), LEVEL),
        (p_values.benjamini_yekutieli(m, LEVEL), LEVEL / np.sum(1 / np.arange(1, m + 1))),
    ):
        assert rejected(p * ROUNDING, m, level) <= found.number <= rejected(p, m, level)
        assert (found.cut_off is None) == (found.number == 0)
        assert np.count_nonzero(found.contain(p)) == found.number
        if found.cut_off is not None:
            assert found.cut_off * m <= level * found.number * (1 + 1e-12)


def test_smaller_p_values_than_the_bins_tell_apart_are_counted() -> None:
    p_values = PValues()
    p_values.add(np.array([1e-300, 1e-200, 1e-14, 0.9]))
    assert p_values.benjamini_hochberg(10**9, LEVEL).number == 3


def test_more_hypotheses_than_the_bins_can_serve_are_refused() -> None:
    with pytest.raises(ValueError, match="too many for the bins"):
        PValues().benjamini_hochberg(10**13, LEVEL)
