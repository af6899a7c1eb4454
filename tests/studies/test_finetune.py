"""What choosing runs by validation gains, and verdicts from made-up runs."""

import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from airbench_var.studies import finetune
from airbench_var.studies.finetune import TEST, VALIDATION, gain_of_choosing
from airbench_var.studies.scales import SCALES
from tests.studies.made_up import of_bits

RUNS, SIMULATIONS, N = 60, 2000, 1_000_000
TOGETHER = 0.6  #: correlation of the accuracies on both test sets


def counts(accuracy_R: npt.NDArray[np.float64]) -> Any:
    k_R = np.rint(N * accuracy_R).astype(np.int64)
    return SimpleNamespace(k_R=k_R, n=N, R=len(k_R), run_ids_R=np.arange(len(k_R)))


def simulated(generator: np.random.Generator, runs: int) -> tuple[Any, Any]:
    z_2R = generator.standard_normal((2, runs))
    test_R = TOGETHER * z_2R[0] + np.sqrt(1 - TOGETHER**2) * z_2R[1]
    return counts(0.7 + 0.01 * z_2R[0]), counts(0.7 + 0.01 * test_R)


def test_the_interval_covers_what_choosing_gains_and_that_of_all_runs_does_not() -> None:
    """The wrong method takes the error of a mean of all runs for that of the chosen ones."""
    generator = np.random.default_rng(0)
    truth = gain_of_choosing(*simulated(generator, 1_000_000), 0.15, 0.95).value
    assert truth == pytest.approx(0.01 * TOGETHER * 1.554, rel=0.01)  # of the best 15 % of normal ones
    covered = wrong = 0
    for _ in range(SIMULATIONS):
        by, on = simulated(generator, RUNS)
        gain = gain_of_choosing(by, on, 0.15, 0.95)
        assert gain.interval is not None
        assert gain.value is not None
        covered += gain.interval[0] <= truth <= gain.interval[1]
        of_all = 2.0 * np.std(on.k_R / N, ddof=1) / np.sqrt(RUNS)
        wrong += abs(gain.value - truth) <= of_all
    error = np.sqrt(0.05 * 0.95 / SIMULATIONS)
    assert covered / SIMULATIONS > 0.95 - 4 * error
    assert wrong / SIMULATIONS < 0.75


def test_the_gain_is_that_of_the_chosen_over_all() -> None:
    by, on = counts(np.array([0.5, 0.9, 0.9, 0.1])), counts(np.array([0.2, 0.6, 0.4, 0.4]))
    gain = gain_of_choosing(by, on, 0.3, 0.95)  # two of four
    assert gain.value == pytest.approx(0.5 - 0.4)
    assert re.search("best 2 of 4", gain.method)
    single = gain_of_choosing(by, on, 0.2, 0.95)
    assert (single.value, single.interval) == (None, None)
    assert "two of each group" in single.absent
    with pytest.raises(ValueError, match="same runs"):
        gain_of_choosing(by, counts(np.full(3, 0.5)), 0.3, 0.95)


def trained(name: str, real_std: float, runs: int = 200) -> Any:
    """Return runs whose accuracy on the distribution has this spread, each example with its own chance."""
    generator = np.random.default_rng(len(name))
    z_R = generator.standard_normal(runs)

    def bits_RN(n: int) -> npt.NDArray[np.bool_]:
        p_N = generator.beta(2, 1, n)
        # An example that is right by chance p moves by the shift of a run, as far as it can.
        p_RN = np.clip(p_N + real_std * z_R[:, None] * 6 * p_N * (1 - p_N), 0, 1)
        return np.asarray(generator.random((runs, n)) < p_RN)

    one = of_bits(name, {VALIDATION: bits_RN(408), TEST: bits_RN(1725)}, thorough=True)
    return calling(one, np.tile(np.arange(1725) % 2, (runs, 1)))


def calling(one: Any, classes_RN: npt.NDArray[Any]) -> Any:
    """Let runs have called the examples of the test set these classes, in two blocks of rows."""
    blocks = [SimpleNamespace(rows_Rb=classes_RN[:2]), SimpleNamespace(rows_Rb=classes_RN[2:])]
    one.run_ids_R = np.arange(len(classes_RN))
    one.store.blocks = lambda test_set, run_ids, column: {(TEST, "predicted"): blocks}[test_set, column]
    return one


def test_verdicts_are_those_of_the_spread_that_is_there() -> None:
    calm, wild = trained("calm", 0.001), trained("wild one", 0.03)
    less, more, larger, _ = finetune._claims(calm, wild)
    assert (less.verdict, more.verdict, larger.verdict) == ("holds", "holds", "holds")
    less, more, larger, _ = finetune._claims(wild, calm)
    assert (less.verdict, more.verdict, larger.verdict) == (
        "does not hold",
        "does not hold",
        "does not hold",
    )


def test_choosing_gains_where_runs_really_differ() -> None:
    *_, of_calm = finetune._claims(trained("calm", 0.0), trained("wild one", 0.03))
    *_, of_wild = finetune._claims(trained("wild one", 0.03), trained("calm", 0.0))
    assert (of_calm.verdict, of_wild.verdict) == ("holds", "does not hold")


def test_runs_that_do_not_differ_have_no_verdict() -> None:
    bits_RN = np.tile(np.arange(408) % 3 > 0, (8, 1))
    same = calling(of_bits("same", {VALIDATION: bits_RN, TEST: bits_RN}), bits_RN)
    assert {claim.verdict for claim in finetune._claims(same, same)} == {"cannot be told"}


@pytest.mark.parametrize("scale", SCALES)
def test_settings_differ_in_one_value_and_start_from_other_seeds(scale: str) -> None:
    stable, unstable = finetune.arms(SCALES[scale])
    assert len(finetune.differences(stable.recipe, unstable.recipe)) == 1
    assert stable.seed != unstable.seed


def test_runs_that_call_everything_one_class_are_counted() -> None:
    """A run that is wrong everywhere, or as good as the larger class by chance, is none of them."""
    classes_RN = np.zeros((5, 1725), np.uint8)
    classes_RN[1], classes_RN[2, 7], classes_RN[3] = 1, 1, np.arange(1725) % 2
    one = calling(trained("calm", 0.001, runs=5), classes_RN)
    found = finetune.collapsed_share(one)
    assert found.value == 3 / 5
    assert found.method.startswith("3 of 5 runs")
    assert found.interval == pytest.approx((0.2307, 0.8824), abs=1e-4)  # Wilson's, by SciPy


def test_where_some_learned_nothing_nothing_is_said_that_needs_normal_accuracies() -> None:
    """A cloud and a point far from it: Fisher's z and Welch's t promise nothing there."""
    classes_RN = np.tile(np.arange(1725) % 2, (200, 1)).astype(np.uint8)
    one = trained("calm", 0.0)
    numbers = {number.name: number for number in finetune._numbers(one, {})}
    assert numbers["validation_test_correlation"].low is not None
    assert numbers["gain_of_the_best_by_validation"].low is not None
    classes_RN[:20] = 1
    mixed = calling(one, classes_RN)
    numbers = {number.name: number for number in finetune._numbers(mixed, {})}
    for name in ("validation_test_correlation", "gain_of_the_best_by_validation"):
        assert numbers[name].value is not None
        assert (numbers[name].low, numbers[name].absent) == (None, finetune.TWO_KINDS)
    *_, of_gain = finetune._claims(mixed, mixed)
    assert of_gain.verdict == "cannot be told"
    classes_RN[:] = 1
    assert not finetune.two_kinds(finetune.collapsed_share(calling(one, classes_RN)))
