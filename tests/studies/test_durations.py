"""Verdicts by training length, from runs of known skill; what the paper prints; what the pictures show."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from airbench_var.studies import durations
from airbench_var.studies.scales import SCALES
from tests.studies.made_up import made_up, of_bits
from tests.studies.test_findings import estimate

#: Of Fig 1, 2, 3 and 5, by epochs.
PRINTED = {
    0: {"test_set_std": 0.0187, "range": 0.132},
    4: {
        "test_set_std": 0.0056,
        "range": 0.066,
        "independent_errors_std": 0.0022,
        "distribution_wise_std": 0.0052,
    },
    16: {"test_set_std": 0.0019, "range": 0.017},
    64: {
        "test_set_std": 0.0015,
        "range": 0.014,
        "mean_accuracy": 0.9442,
        "independent_errors_std": 0.00145,
        "distribution_wise_std": 0.00033,
        "lucky_quarter_gain": 0.0002,
    },
    8: {},
}


def skilled(name: str, std: float, epochs: float, runs: int = 2000, n: int = 1000) -> Any:
    """Return runs whose accuracies on the distribution have this std; without one errors are independent."""
    generator = np.random.default_rng(len(name))  # not the same draws for two: equal runs are found
    skill_R1 = generator.normal(0.6, std, (runs, 1))
    return of_bits(name, {"t": generator.random((runs, n)) < skill_R1}, epochs=epochs)


@pytest.fixture(scope="module")
def luck() -> Any:
    return skilled("luck", 0.0, 64)


@pytest.fixture(scope="module")
def skill() -> Any:
    return skilled("skill", 0.03, 4)


def test_claims_hold_where_skill_differs_after_short_and_luck_after_long_training(skill, luck) -> None:
    claims = list(durations._claims([made_up("untrained", 0.1, 0.01, epochs=0), skill, luck]))
    assert [claim.verdict for claim in claims] == ["holds"] * 9
    assert "at skill" in claims[0].because  # of training, not of none
    assert "untrained" not in claims[0].because
    named = ("skill", "luck", "skill", "luck", "skill", "luck", "skill", "luck")
    assert all(word in claim.text for word, claim in zip(named, claims[1:], strict=True))


def test_none_holds_the_other_way_round(skill, luck) -> None:
    claims = list(durations._claims([luck, skill]))
    verdicts = [claim.verdict for claim in claims]
    assert verdicts.pop(1) != "holds"  # of luck alone a correlation of 0 is not told from a small one
    assert verdicts == ["does not hold"] * 8


@pytest.mark.parametrize(
    ("here", "real", "short", "long"),
    [
        ((1.1, 1.19), (0.05, 0.11), ["does not hold"] * 2, ["holds"] * 2),
        ((1.1, 1.21), (0.05, 0.12), ["does not hold"] * 2, ["cannot be told"] * 2),
        ((1.21, 1.9), (0.2, 0.7), ["does not hold"] * 2, ["does not hold"] * 2),
        ((1.9, 2.3), (1.0, 1.4), ["cannot be told"] * 2, ["does not hold"] * 2),
        ((2.1, 2.3), (1.2, 1.4), ["holds"] * 2, ["does not hold"] * 2),
    ],
)
def test_bounds_are_twice_and_a_half_and_a_sixth_and_a_tenth(here, real, short, long) -> None:
    """Independent errors have a variance of 1, which of 1.2 leaves a sixth; a tenth of all is about 0.12."""
    estimates = {
        **skilled("a", 0.03, 64, runs=50, n=50).summary.estimates,
        "test_set_variance": estimate(sum(here) / 2, here),
        "independent_errors_variance": estimate(1.0, (1.0, 1.0)),
        "distribution_wise_variance": estimate(sum(real) / 2, real, target="the distribution"),
    }
    one = made_up("b", 0.5, 0.02)
    one.summary = SimpleNamespace(estimates=estimates)
    *_, more, explained, half, tenth = durations._claims([one, one])
    assert [more.verdict, half.verdict] == short
    assert [explained.verdict, tenth.verdict] == long


def test_of_short_training_any_correlation_is_luck_on_both_halves() -> None:
    name = "split_half_correlation_over_splits"
    one, other = (skilled(text, 0.03, 64, runs=50, n=50) for text in ("a", "bc"))
    for reach, verdict in ((0.05, "holds"), (0.15, "cannot be told")):
        low = estimate(0.1, (0.1 - reach, 0.1 + reach))
        one.summary = SimpleNamespace(estimates={**other.summary.estimates, name: low})
        assert next(iter(durations._of_luck(one, other))).verdict == verdict


def test_few_runs_of_the_longest_are_evaluated_on_the_images_that_they_were_trained_on() -> None:
    for scale in SCALES.values():
        *lengths, fitted = durations.STUDY.arms(scale)
        assert lengths == durations.arms(scale)
        assert fitted.recipe == lengths[-1].recipe
        assert fitted.seed not in {arm.seed for arm in lengths}
        assert fitted.runs == min(10, lengths[-1].runs)
    assert durations.STUDY.arms(SCALES["cpu"])[-1].test_sets == ("train:5000",)
    assert durations.STUDY.arms(SCALES["paper"])[-1].test_sets == ("train:50000",)
    right = of_bits("fit", {"t": np.ones((10, 50), bool), "train": np.tile(np.arange(200) < 199, (10, 1))})
    number = durations._training_accuracy(right)
    assert (number.value, number.arm) == (0.995, "fit")


def test_without_a_spread_the_first_claim_cannot_be_told(luck) -> None:
    same = of_bits("same", {"t": np.tile(np.arange(100) < 40, (10, 1))}, epochs=4)
    first = next(iter(durations._claims([same, luck])))
    assert (first.verdict, first.because.startswith("no spread")) == ("cannot be told", True)


@pytest.mark.parametrize("epochs", PRINTED)
def test_what_the_paper_prints_stands_beside_networks_trained_as_long(epochs: int) -> None:
    one = made_up("a", 0.5, 0.02, epochs=epochs, thorough=True)
    numbers = {number.name: number for number in durations._numbers(one)}
    assert {name: number.paper for name, number in numbers.items() if number.paper} == PRINTED[epochs]
    accuracy_R = one.state.correct.k_R / 4000
    assert numbers["range"].value == pytest.approx(accuracy_R.max() - accuracy_R.min())
    assert numbers["test_set_std"].value == pytest.approx(accuracy_R.std(ddof=1))
    assert numbers["variance_ratio_p_value"].value == one.summary.tests["variance_ratio"].p_value


@pytest.mark.parametrize("scale", SCALES)
def test_an_arm_is_found_by_its_length(scale: str) -> None:
    arms = durations.arms(SCALES[scale])
    assert [arm.recipe.epochs for arm in arms] == list(SCALES[scale].epochs)
    assert len({arm.seed for arm in arms}) == len(arms)  # equal seeds would make lengths go together
    for arm in arms:
        assert durations.arm_of(SCALES[scale], arm.recipe.epochs) == arm


def test_pictures_show_the_accuracies_in_percent(luck) -> None:
    from matplotlib.figure import Figure as Canvas

    halves, law, all_of_them = Canvas(), Canvas(), Canvas()
    correct_RN = np.random.default_rng(0).random((30, 101)) < 0.6
    one = of_bits("a", {"t": correct_RN})
    durations._halves([one], halves)
    expected = np.transpose([100 * correct_RN[:, ::2].mean(axis=1), 100 * correct_RN[:, 1::2].mean(axis=1)])
    assert np.allclose(halves.axes[0].collections[0].get_offsets(), expected)
    thorough = made_up("b", 0.6, 0.0077, thorough=True)  # the std of independent errors at n = 4,000
    durations._independence([thorough], law)
    [axis] = law.axes
    x_K, density_K = axis.lines[0].get_data()
    assert np.trapezoid(density_K, x_K) == pytest.approx(1, abs=1e-3)
    assert sum(bar.get_height() * bar.get_width() for bar in axis.patches) == pytest.approx(1)
    assert x_K @ density_K / density_K.sum() == pytest.approx(60, abs=0.2)
    durations._accuracies([one, luck], all_of_them)
    widths = [high - low for low, high in (axis.get_xlim() for axis in all_of_them.axes)]
    assert widths[0] == pytest.approx(widths[1])
