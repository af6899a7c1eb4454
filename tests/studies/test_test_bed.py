"""The test bed of the truth: on given networks it must find what is right and what is not."""

import numpy as np
import numpy.typing as npt
import pytest

from airbench_var.analysis import variance
from airbench_var.stats import CorrectnessCounts
from airbench_var.studies.test_bed import against, cut, estimates_of, truth_of

R, N = 6, 200_000


def drawn(seed: int, accuracy_R: npt.NDArray[np.float64], examples: int = N) -> npt.NDArray[np.uint8]:
    """Return zeros and ones (R, examples): easy and hard examples, networks independent in each."""
    generator = np.random.default_rng(seed)
    hard_N = generator.random(examples) < 0.3
    rate_RN = np.where(hard_N, 0.5, (accuracy_R[:, None] - 0.15) / 0.7)
    return (generator.random((len(accuracy_R), examples)) < rate_RN).astype(np.uint8)


@pytest.fixture(scope="module")
def accuracy_R() -> npt.NDArray[np.float64]:
    return np.array([0.60, 0.605, 0.61, 0.60, 0.615, 0.60])


def test_the_truth_is_the_variance_of_the_accuracies_on_the_distribution(accuracy_R) -> None:
    truth = truth_of(drawn(1, accuracy_R), drawn(2, accuracy_R))
    assert abs(truth.value - accuracy_R.var(ddof=1)) < 3 * truth.standard_error
    assert truth.standard_error < 0.2 * accuracy_R.var(ddof=1)


def test_eq_3_is_unbiased_where_the_others_are_not(accuracy_R) -> None:
    truth = truth_of(drawn(1, accuracy_R), drawn(2, accuracy_R))
    found = {one.name: one.z for one in against(truth, drawn(3, accuracy_R), n=100)}
    assert abs(found["eq_3"]) < 2.5
    assert found["plug_in"] > 3
    assert found["test_set_variance"] > 30


def test_estimates_are_those_of_the_analysis() -> None:
    """Eq 3 and the test-set variance by the code that analyses campaigns, on every test set."""
    sets_RMN = cut(drawn(5, np.linspace(0.5, 0.7, 4), 1000), 90)
    assert sets_RMN.shape == (4, 11, 90)
    found = estimates_of(sets_RMN)
    for place in range(11):
        packed_RB = np.packbits(sets_RMN[:, place], axis=1, bitorder="little")
        counts = CorrectnessCounts.of(90, "t", np.arange(4), packed_RB)
        assert found["eq_3"][place] == pytest.approx(float(variance.distribution_wise_variance(counts)))
        assert found["test_set_variance"][place] == pytest.approx(float(variance.test_set_variance(counts)))
