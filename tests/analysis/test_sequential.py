"""The t-mixture against the integral it stands for, its inversion, and courses cut anywhere."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airbench_var.analysis.sequential import (
    SCALE_FREE_G,
    Course,
    PairSums,
    TMixture,
    g_for,
    log_e,
    ratio_at,
)
from airbench_var.errors import UsageError

N = 10_000
RULE = TMixture(margin=0.0002, max_runs=4000, g=(0.009,))


def sums_of(differences: list[int]) -> PairSums:
    sums = PairSums()
    for difference in differences:
        sums = sums.plus(difference)
    return sums


def drawn(pairs: int, shift: float = 2.0, seed: int = 0) -> list[int]:
    """Return differences with a std of 21, as of two recipes with 0.149 % each on 10,000 examples."""
    return np.random.default_rng(seed).normal(shift, 21.0, pairs).round().astype(int).tolist()


def log_e_by_integration(differences: list[int], g: float) -> float:
    """Return log of the integral over (effect, std) of the likelihoods, with d std / std, over that at 0."""
    x_T = np.array(differences, dtype=float)
    log_std_S = np.log(x_T.std()) + np.linspace(-6, 14, 4001)
    effect_D = np.linspace(-12, 12, 2401) * math.sqrt(g + 1 / len(x_T)) + x_T.mean() / x_T.std() / 2

    def log_likelihood(effect: float | np.ndarray) -> np.ndarray:
        std = np.exp(log_std_S)
        squares = np.sum((x_T[:, None] / std - effect) ** 2, axis=0)
        return -len(x_T) * log_std_S - squares / 2

    null = log_likelihood(0.0)
    shift = null.max()
    below = np.trapezoid(np.exp(null - shift), log_std_S)
    prior_D = np.exp(-(effect_D**2) / (2 * g)) / math.sqrt(2 * math.pi * g)
    inner_D = [np.trapezoid(np.exp(log_likelihood(effect) - shift), log_std_S) for effect in effect_D]
    return float(np.log(np.trapezoid(np.array(inner_D) * prior_D, effect_D) / below))


@pytest.mark.parametrize("g", [0.05, 0.7, 3.0])
@pytest.mark.parametrize("differences", [[3, -1], [5, 4, 9], [1, -2, 4, 0, 7, 3], drawn(15, 12.0)])
def test_log_e_is_the_integral_of_likelihoods(differences: list[int], g: float) -> None:
    sums = sums_of(differences)
    found = log_e(float(sums.pairs), sums.total**2 / sums.scatter, (g,))
    assert found == pytest.approx(log_e_by_integration(differences, g), abs=1e-6)


def test_several_scales_are_averaged() -> None:
    each = [log_e(20.0, 0.4, (g,)) for g in SCALE_FREE_G]
    assert log_e(20.0, 0.4, SCALE_FREE_G) == pytest.approx(math.log(np.mean(np.exp(each))))


def test_the_ratio_is_that_of_students_t() -> None:
    from scipy import stats

    differences = drawn(30)
    sums = sums_of(differences)
    statistic = stats.ttest_1samp(differences, 0).statistic
    assert sums.total**2 / sums.scatter == pytest.approx(statistic**2 / 29)


@pytest.mark.parametrize("g", [(0.009,), (4.0,), SCALE_FREE_G])
@pytest.mark.parametrize("alpha", [0.05, 0.025, 0.001])
def test_log_e_at_the_ends_of_the_confidence_sequence_is_log_one_over_alpha(
    g: tuple[float, ...], alpha: float
) -> None:
    rule = TMixture(margin=0.0002, max_runs=4000, g=g, alpha=alpha)
    bounded = 0
    for pairs in (2, 3, 5, 10, 40, 200, 1500, 4000):
        sums = sums_of(drawn(pairs, seed=pairs))
        interval = rule.look(sums, N).interval
        if interval is None:
            assert log_e(float(pairs), 1e30, g) < -math.log(alpha)
            continue
        bounded += 1
        for end in interval:
            ratio = (sums.total - pairs * N * end) ** 2 / sums.scatter
            assert log_e(float(pairs), ratio, g) == pytest.approx(-math.log(alpha), abs=1e-12)
            outside = end + (end - np.mean(interval)) * 1e-6
            beyond = (sums.total - pairs * N * outside) ** 2 / sums.scatter
            assert log_e(float(pairs), beyond, g) > -math.log(alpha)
    assert bounded >= 3


def test_the_closed_form_is_the_specified_one() -> None:
    """k = 1 + t g, Lam = (sqrt(k) / alpha) ** (2 / t): T**2 / (t - 1) is below (Lam - 1) / (1 - Lam / k)."""
    t, g, alpha = 500, 0.009, 0.05
    k = 1 + t * g
    lam = math.exp(2 / t * math.log(math.sqrt(k) / alpha))
    assert ratio_at(t, (g,), alpha) == pytest.approx((lam - 1) / (1 - lam / k), rel=1e-12)


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 400), max_size=12))
@settings(max_examples=30, deadline=None)
def test_a_course_is_the_same_however_it_is_cut(seed: int, cuts: list[int]) -> None:
    differences = drawn(400, shift=3.0, seed=seed)
    whole, cut = Course(RULE, N), Course(RULE, N)
    whole.extend(differences)
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), 400], strict=True):
        cut.extend(differences[start:end])
    assert repr(cut.path()) == repr(whole.path())  # bit for bit
    assert (cut.decision, cut.sums, cut.looks) == (whole.decision, whole.sums, whole.looks)


@pytest.mark.parametrize(("shift", "decision"), [(8.0, "A is better"), (-8.0, "B is better")])
def test_a_difference_is_decided_at_the_first_pair_that_shows_it(shift: float, decision: str) -> None:
    course = Course(RULE, N)
    course.extend(drawn(2000, shift))
    assert course.decision == decision
    values = [look.statistic or 0.0 for look in course.looks]
    assert values[-1] >= -math.log(0.05)
    assert max(values[:-1]) < -math.log(0.05)
    assert course.sums.pairs == len(course.looks) < 200
    low, high = course.looks[-1].interval or (0.0, 0.0)
    assert low * high > 0  # the confidence sequence excludes 0


def test_the_confidence_sequence_excludes_0_exactly_when_e_says_so() -> None:
    course = Course(TMixture(margin=1e-9, max_runs=9999), N)
    course.extend(drawn(3000, 1.5))
    for look in course.looks:
        if look.interval:
            assert (look.interval[0] > 0 or look.interval[1] < 0) == ((look.statistic or 0) >= look.threshold)


def test_a_small_difference_is_equivalence_once_the_confidence_sequence_lies_inside_the_margin() -> None:
    rule = TMixture(margin=0.001, max_runs=4000, g=(0.2,))
    course = Course(rule, N)
    course.extend(drawn(4000, 0.0, seed=3))
    assert course.decision == "equivalent"
    ends = [max(map(abs, look.interval)) if look.interval else 1.0 for look in course.looks]
    assert ends[-1] < 0.001 <= min(ends[:-1])


def test_what_is_not_decided_at_the_end_is_undecided() -> None:
    course = Course(RULE, N)
    course.extend(drawn(100, 0.0))
    assert course.decision is None
    course.finish()
    assert course.decision == "undecided"
    assert len(course.looks) == 100  # the last look is not made twice


@pytest.mark.parametrize(
    ("differences", "absent"),
    [
        ([4], "a spread needs two pairs"),
        ([4, 4, 4, 4], "all differences are equal, which leaves no scale"),
        ([0] * 50, "all differences are equal, which leaves no scale"),
    ],
)
def test_without_a_scale_nothing_is_decided(differences: list[int], absent: str) -> None:
    course = Course(TMixture(margin=0.5, max_runs=100), N)
    course.extend(differences)
    look = course.looks[-1]
    assert (course.decision, look.statistic, look.interval) == (None, None, None)
    assert absent in look.absent
    assert course.interval(0.025) is None
    json.dumps(course.path(), allow_nan=False)


def test_nothing_is_looked_at_after_the_decision() -> None:
    course = Course(RULE, N)
    course.extend(drawn(2000, 8.0))
    before = (course.sums, course.looks[-1])
    course.extend([-1000] * 50)
    course.finish()
    assert (course.sums, course.looks[-1], course.decision) == (*before, "A is better")


def test_sums_beyond_what_a_float_holds_stay_exact() -> None:
    """A million examples, a million pairs: the scatter is a difference of two numbers above 2**70."""
    sums = PairSums(pairs=10**6, total=10**12 - 10**6 * 3, squares=10**18)
    assert sums.scatter == 10**24 - (10**12 - 3 * 10**6) ** 2
    assert float(sums.scatter) != float(sums.pairs * sums.squares) - float(sums.total**2)


def test_g_is_fixed_before_the_first_run() -> None:
    assert g_for(0.0002, 0.00149) == pytest.approx((0.0002**2 / (2 * 0.00149**2),))
    assert g_for(0.0002, None) == SCALE_FREE_G
    with pytest.raises(UsageError, match="cannot be planned for"):
        g_for(0.0002, 1.5)


def test_json() -> None:
    document = TMixture(margin=0.0002, max_runs=100).to_json()
    assert json.loads(json.dumps(document)) == document
    assert document == {
        "rule": "t-mixture",
        "margin": 0.0002,
        "max_runs": 100,
        "g": [0.001, 0.01, 0.1, 1.0],
        "alpha": 0.05,
    }


@pytest.mark.parametrize(
    "change", [{"alpha": 0.0}, {"alpha": 0.7}, {"margin": 0.0}, {"max_runs": 1}, {"g": ()}, {"g": (0.0,)}]
)
def test_rules_that_cannot_be_followed(change: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        TMixture(**({"margin": 0.0002, "max_runs": 100} | change))  # type: ignore[arg-type]
