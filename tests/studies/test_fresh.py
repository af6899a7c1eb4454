"""What runs do on fresh examples: measurements that are right, and intervals that hold what they say."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from airbench_var.studies import fresh
from tests.studies.made_up import of_accuracies

Float64 = npt.NDArray[np.float64]


def measured_runs(seed: int, runs: int, real: float, noise: float, stream: float = 0.0002) -> Any:
    """Return runs of this std on the distribution, with the noise of a test set and of two streams."""
    generator = np.random.default_rng(seed)
    skill_R = generator.normal(0.8, real, runs)
    spread = {"t": noise, "fresh-5": stream, "fresh-6": stream}
    return of_accuracies({name: skill_R + generator.normal(0, std, runs) for name, std in spread.items()})


def test_the_variance_is_measured_without_the_noise_of_the_streams() -> None:
    """Streams as noisy as the runs differ: each alone would give twice the variance."""
    found = [fresh.measured(measured_runs(seed, 100, 0.003, 0.004, stream=0.003)) for seed in range(1000)]
    values = np.array([one.value for one in found])
    held = sum(one.interval[0] <= 9e-6 <= one.interval[1] for one in found if one.interval)
    errors = np.array([one.standard_errors["distribution"] for one in found])
    assert abs(values.mean() / 9e-6 - 1) < 4 * values.std() / 9e-6 / np.sqrt(1000)
    assert errors.mean() == pytest.approx(values.std(), rel=0.1)  # four standard errors of a std of 1,000
    assert 0.92 <= held / 1000 <= 0.98
    assert (found[0].target, found[0].runs, found[0].examples) == ("the distribution", 100, 2_000_000)


def test_the_lucky_are_the_best_hundredth_and_two_at_least() -> None:
    here_R = np.random.default_rng(0).permutation(np.linspace(0.7, 0.8, 1000))
    one = of_accuracies({"t": here_R})
    assert sorted(here_R[fresh.lucky(one)]) == sorted(here_R)[-10:]
    assert len(fresh.lucky(of_accuracies({"t": here_R[:100]}))) == 2
    assert fresh.gain_here(one) == pytest.approx(np.sort(here_R)[-10:].mean() - here_R.mean(), abs=1e-6)


def test_the_gain_on_fresh_examples_is_that_of_the_runs_chosen_by_the_test_set() -> None:
    """Best on the test set are runs 0 and 1, which are the worst on fresh examples."""
    here_R, fresh_R = np.array([0.9, 0.8, 0.6, 0.5, 0.4]), np.array([0.1, 0.2, 0.6, 0.7, 0.9])
    streams = {"fresh-5": fresh_R - 0.05, "fresh-6": fresh_R + 0.05}
    found = fresh.gain_on_fresh(of_accuracies({"t": here_R, **streams}))
    assert found.value == pytest.approx(0.15 - 0.5)
    assert found.interval is not None
    assert found.interval[0] < 0.15 - 0.5 < found.interval[1] < 0


def test_the_interval_of_the_gain_by_hand() -> None:
    """Residuals about the regression line, of two runs out of five; Student's t with three degrees."""
    here_R, fresh_R = np.array([0.9, 0.8, 0.6, 0.5, 0.4]), np.array([0.1, 0.2, 0.6, 0.7, 0.9])
    found = fresh.gain_on_fresh(of_accuracies({"t": here_R, "fresh-5": fresh_R, "fresh-6": fresh_R}))
    line = stats.linregress(here_R, fresh_R)
    residual_R = fresh_R - line.intercept - line.slope * here_R
    error = np.sqrt((residual_R**2).sum() / (5 - 2)) * np.sqrt(1 / 2 - 1 / 5)
    assert found.standard_errors["distribution"] == pytest.approx(error, rel=1e-3)  # of a million examples
    assert found.interval == pytest.approx(stats.t.interval(0.95, 3, 0.15 - 0.5, error), abs=1e-5)


@pytest.mark.parametrize(("real", "runs"), [(0.004, 100), (0.004, 1000), (0.0005, 100)])
def test_the_interval_of_the_gain_is_that_of_what_is_left_to_chance(real: float, runs: int) -> None:
    """Mean gain of runs with these test-set accuracies: their gain there, shrunk to the mean.

    Where the test set foretells fresh examples (std 0.4 % of the runs, 0.1 % of noise), the spread of fresh
    accuracies would make an interval that holds it always.
    """
    noise, sets, held, of_spread = 0.001, 600, 0, 0
    kept = real**2 / (real**2 + noise**2)
    for seed in range(sets):
        one = measured_runs(seed, runs, real, noise)
        found, gain = fresh.gain_on_fresh(one), kept * fresh.gain_here(one)
        assert found.interval is not None
        assert found.value is not None
        held += found.interval[0] <= gain <= found.interval[1]
        m, std = len(fresh.lucky(one)), float(fresh.fresh_accuracies(one).std(ddof=1))
        of_spread += abs(found.value - gain) <= 1.97 * std * np.sqrt(1 / m - 1 / runs)
    assert abs(held - 0.95 * sets) <= 4 * np.sqrt(0.95 * 0.05 * sets)
    assert of_spread > (0.995 if real > noise else 0.93) * sets


def test_a_gain_without_a_scale_has_no_interval() -> None:
    same_R, other_R = np.full(10, 0.7), np.linspace(0.6, 0.7, 10)
    found = fresh.gain_on_fresh(of_accuracies({"t": same_R, "fresh-5": other_R, "fresh-6": other_R}))
    assert (found.interval, "no scale" in found.absent) == (None, True)
    two = fresh.gain_on_fresh(
        of_accuracies({"t": other_R[:2], "fresh-5": other_R[:2], "fresh-6": other_R[:2]})
    )
    assert (two.interval, "at least 3 runs" in two.absent) == (None, True)


def test_intervals_that_hold_the_measurement_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs 0 ... 46 on 2,500 examples: two groups of runs by two of examples, and nothing of what is left."""
    generator, groups = np.random.default_rng(0), []
    correct_RN = (generator.random((47, 2500)) < 0.7).astype(np.uint8)
    one = with_bits(correct_RN)
    ends = iter([(0.0, 1.0), (-1.0, -0.5), (0.5, 1.0), (-1e-3, 0.5)])  # holds, below, above, holds

    def interval(counts: Any, level: float) -> tuple[float, float]:
        groups.append(counts.k_R.tolist())
        return next(ends)

    monkeypatch.setattr(fresh.intervals, "distribution_wise_variance_interval", interval)
    assert fresh.coverage(one) == (2, 4)
    assert groups == [
        correct_RN[runs : runs + 20, start : start + 1000].sum(axis=1).tolist()
        for runs in (0, 20)
        for start in (0, 1000)
    ]
    assert fresh.coverage(with_bits(correct_RN[:19])) == (0, 0)


def with_bits(correct_RN: npt.NDArray[np.uint8]) -> Any:
    one = of_accuracies(dict.fromkeys(("t", *fresh.STREAMS), correct_RN.mean(axis=1)))
    one.correct_RN = {fresh.STREAMS[1]: correct_RN}.__getitem__
    return one
