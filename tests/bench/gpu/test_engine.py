"""What is trained and counted: operations against the published count, seeds that no two networks share."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import pytest
import torch

from airbench_var.data.dataset import Dataset
from airbench_var.recipes.airbench import airbench94
from airbench_var.store.rows import Predictions, RunResult
from airbench_var.training.lane import Lane
from bench.gpu.engine import Networks, accuracies, equal_bits
from bench.gpu.session import QUICK

CPU = torch.device("cpu")


def test_operations_are_those_of_all_passes(small_data: Dataset) -> None:
    """236.3 MFLOP an image forward; backward twice that, but the frozen whitening has no backward pass."""
    recipe = airbench94().with_values({"batch_size": 600})
    forward, steps, views = 236_294_720, 16, 6
    least = forward * (3 * steps * 600 + views * 203)
    whitening = 2 * 24 * 12 * 31 * 31 * steps * 600  # of the input's gradient, and of the frozen filters'
    assert Networks(recipe, small_data, CPU).operations == least - 2 * whitening


def test_no_two_networks_share_a_seed(small_data: Dataset) -> None:
    networks = Networks(QUICK.recipe, small_data, CPU)
    four = networks.group(4)
    seeds = [networks.fast.seeds(0), networks.fast.seeds(1), networks.reference.seeds(0)]
    for count in (1, 2, 2):
        group = networks.group(count)
        assert group.paths == four.paths[:count]  # made once
        group.train(1)
        group.train(1)
        seeds += [spec.seeds for spec in group.results]
    assert len(set(seeds)) == 3 + 2 + 4  # the same again for the same number


def test_several_at_a_time_each_train_their_own(small_data: Dataset) -> None:
    networks = Networks(QUICK.recipe, small_data, CPU)
    group = networks.group(2)
    _, times = group.train(2)
    assert len(times.ms) == len(group.results) == 4
    for spec, result in group.results.items():
        assert equal_bits(result, networks.fast.trainer(spec.seeds))


def test_an_error_in_a_thread_is_raised(small_data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    group = Networks(QUICK.recipe, small_data, CPU).group(1)
    monkeypatch.setattr(group.paths[0], "timed", lambda seeds: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        group.train(1)


def result(correct: int, predicted: int) -> RunResult:
    bits, classes = (
        torch.tensor([correct], dtype=torch.uint8),
        torch.tensor([predicted] * 3, dtype=torch.uint8),
    )
    predictions = {"test": Predictions(correct=bits.numpy(), predicted=classes.numpy())}
    return RunResult(predictions=predictions, loss=0.0, diverged=False, train_s=0.0)


def test_bits_are_equal_when_predictions_and_correctness_are() -> None:
    assert equal_bits(result(3, 1), result(3, 1))
    assert not equal_bits(result(3, 1), result(3, 2))
    assert not equal_bits(result(3, 1), result(1, 1))


def test_accuracy_is_the_share_of_set_bits() -> None:
    assert accuracies([result(0b011, 0), result(0b100, 0)], "test", 3) == pytest.approx([2 / 3, 1 / 3])


class PretendedLane(Lane):
    """Captures, it says, and counts how often it was asked to."""

    asked = 0

    def __init__(self, device: torch.device) -> None:
        super().__init__(device)
        self.captures = True

    def active(self) -> AbstractContextManager[Any]:
        return nullcontext()

    def wait(self) -> None:
        pass

    def captured(
        self, function: Callable[..., Any], inputs: Sequence[torch.Tensor] = ()
    ) -> Callable[..., Any]:
        type(self).asked += self.captures
        return function


def test_capture_is_compared_with_the_reference_and_nothing_is_compiled(
    small_data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    networks = Networks(QUICK.recipe, small_data, CPU)
    assert networks.captured_and_not() is None  # on a CPU
    monkeypatch.setattr("airbench_var.training.trainer.Lane", PretendedLane)
    networks = Networks(QUICK.recipe, small_data, CPU)
    networks.reference.train()
    assert PretendedLane.asked == 0
    pair = networks.captured_and_not()
    assert pair is not None
    assert PretendedLane.asked > 0
    assert equal_bits(*pair)
    assert equal_bits(pair[1], networks.reference.results[0])
    assert networks.reference.trainer.settings.engine == "eager"
