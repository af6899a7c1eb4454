from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from airbench_var.data.dataset import Dataset, Split
from airbench_var.errors import DeviceError, UsageError
from airbench_var.execution import in_process, in_threads
from airbench_var.recipe import Recipe
from airbench_var.recipes import find_recipe
from airbench_var.seeds import Seeds, seeds_of_run
from airbench_var.store.rows import Outcome, RunResult, RunSpec
from airbench_var.training import (
    Settings,
    Trainer,
    prepared_trainer,
    refuse_misfit,
    train,
)
from airbench_var.training.settings import IN_C, Engine, obstacle_to

SEEDS = Seeds(init=1, order=2, aug=2**64 - 1)


def quick(name: str = "tiny", **changes: object) -> Recipe:
    small = {"batch_size": 100, "epochs": 1} | ({"network.widths": (16, 32, 32)} if name == "tiny" else {})
    return find_recipe(name).with_values(small | changes)


def bits(result: RunResult) -> list[bytes]:
    return [array.tobytes() for p in result.predictions.values() for array in (p.correct, p.predicted)]


@pytest.fixture(scope="module")
def trainer(small_data: Dataset) -> Trainer:
    return Trainer(quick(), small_data, Settings())


def test_learns(small_data: Dataset) -> None:
    result = train(quick(epochs=2), SEEDS, small_data)
    predictions = result.predictions["small"]
    accuracy = np.mean(predictions.predicted == small_data.test.labels_N)
    assert accuracy > 0.5  # chance is 0.1
    assert np.isfinite(result.loss)
    assert not result.diverged


def test_bits_say_which_predictions_are_right(trainer: Trainer, small_data: Dataset) -> None:
    predictions = trainer(SEEDS).predictions["small"]
    right_N = np.unpackbits(predictions.correct, count=203, bitorder="little")
    assert np.array_equal(right_N, predictions.predicted == small_data.test.labels_N)
    assert len(predictions.correct) == 26


def test_a_run_is_a_function_of_its_seeds(trainer: Trainer, small_data: Dataset) -> None:
    """The same bits again, after other runs, and in another trainer: nothing is left over from a run."""
    first = trainer(SEEDS)
    trainer(Seeds(init=9, order=9, aug=9))
    again, elsewhere = trainer(SEEDS), train(quick(), SEEDS, small_data)
    assert bits(first) == bits(again) == bits(elsewhere)
    assert first.loss == again.loss == elsewhere.loss


@pytest.mark.parametrize("stream", ["init", "order", "aug"])
def test_every_seed_matters(trainer: Trainer, stream: str) -> None:
    assert bits(trainer(replace(SEEDS, **{stream: 77}))) != bits(trainer(SEEDS))


def test_global_random_numbers_are_left_alone(trainer: Trainer) -> None:
    state = torch.get_rng_state()
    before, (_, keys, position, *_) = state.clone(), np.random.get_state()  # noqa: NPY002 (the global one is meant)
    trainer(SEEDS)
    assert torch.equal(before, torch.get_rng_state())
    _, keys_after, position_after, *_ = np.random.get_state()  # noqa: NPY002
    assert np.array_equal(keys, keys_after)
    assert position == position_after


def test_zero_epochs_leave_the_initial_network(small_data: Dataset) -> None:
    trainer = Trainer(quick(epochs=0), small_data, Settings())
    first, other_order = trainer(SEEDS), trainer(replace(SEEDS, order=5, aug=5))
    assert bits(first) == bits(other_order)
    assert np.isnan(first.loss)
    assert not first.diverged


def test_parts_of_an_epoch_are_whole_steps(small_data: Dataset) -> None:
    by_epochs = {epochs: train(quick(epochs=epochs), SEEDS, small_data).loss for epochs in (0.25, 0.2, 1)}
    assert by_epochs[0.25] == by_epochs[0.2]  # 12 steps an epoch: both are 3
    assert by_epochs[0.25] > by_epochs[1]


def test_the_loss_is_per_example_however_it_is_reduced(small_data: Dataset) -> None:
    """The first step sees the same network: a sum over 100 examples, reported as their mean."""
    losses = [
        train(quick(epochs=1 / 12, loss_reduction=reduction), SEEDS, small_data).loss
        for reduction in ("sum", "mean")
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)  # float32


def test_divergence_is_recorded_not_raised(small_data: Dataset) -> None:
    recipe = quick("resnet9", **{"network.width": 4, "optimizer.lr": 1e30})
    result = train(recipe, SEEDS, small_data)
    assert result.diverged
    assert len(result.predictions["small"].predicted) == 203


def test_train_share_uses_the_first_examples_only(small_data: Dataset) -> None:
    images_NHWC = small_data.train.images_NHWC.copy()
    images_NHWC[600:] = 0
    spoilt = replace(small_data, train=Split(images_NHWC=images_NHWC, labels_N=small_data.train.labels_N))
    half = quick(train_share=0.5)
    assert bits(train(half, SEEDS, small_data)) == bits(train(half, SEEDS, spoilt))
    assert bits(train(quick(), SEEDS, small_data)) != bits(train(quick(), SEEDS, spoilt))


def test_tta_is_a_second_test_set_and_changes_nothing_else(small_data: Dataset) -> None:
    plain, both = train(quick(), SEEDS, small_data), train(quick(tta=True), SEEDS, small_data)
    assert list(both.predictions) == ["small", "small-tta"]
    assert bits(plain) == bits(both)[:2] != bits(both)[2:]


@pytest.mark.parametrize("name", ["airbench94", "resnet9", "linear"])
def test_every_recipe_trains(name: str, small_data: Dataset) -> None:
    width = {"airbench94": {"network.widths": (16, 32, 32)}, "resnet9": {"network.width": 4}, "linear": {}}[
        name
    ]
    result = train(quick(name, **width), SEEDS, small_data)
    assert np.isfinite(result.loss)
    assert not result.diverged


def test_threads_are_those_of_the_settings_and_restored(small_data: Dataset) -> None:
    """The bits of a run must not depend on what the caller's process happens to be set to."""
    recipe = quick(epochs=0.25)
    expected = bits(train(recipe, SEEDS, small_data))
    torch.set_num_threads(2)
    try:
        assert bits(train(recipe, SEEDS, small_data)) == expected
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 1201}, "batch_size"),
        ({"train_share": 0.01}, "batch_size"),
        ({"augment.translate": 32}, "'augment.translate' is 32; images of 32 x 32 allow at most 31"),
        ({"augment.cutout": 33}, "'augment.cutout' is 33"),
        ({"network.widths": (8,) * 6}, "too deep for images of 32 x 32"),
    ],
)
def test_recipes_that_do_not_fit_the_data_are_refused(
    changes: dict[str, object], message: str, small_data: Dataset
) -> None:
    with pytest.raises(UsageError) as caught:
        refuse_misfit(quick(**changes), small_data)
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["airbench94", "resnet9", "tiny", "linear"])
def test_named_recipes_fit(name: str, small_data: Dataset) -> None:
    before = torch.get_rng_state()
    refuse_misfit(quick(name), small_data)
    assert torch.equal(torch.get_rng_state(), before)  # whoever drew from it goes on as if nobody had asked


@pytest.mark.parametrize(
    ("name", "device", "scale"),
    [("resnet9", "meta", 1024), ("airbench94", "meta", 1), ("linear", "meta", 1), ("resnet9", "cpu", 1)],
)
def test_only_a_mean_loss_in_float16_is_scaled(
    name: str, device: str, scale: float, small_data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    # "meta" stands for CUDA: no arithmetic, the same choice of number format.
    loader = SimpleNamespace(steps_per_epoch=1)
    monkeypatch.setattr("airbench_var.training.trainer.make_loader", lambda *_: loader)
    monkeypatch.setattr("airbench_var.training.trainer.Evaluation", lambda *_: None)
    assert Trainer(quick(name), small_data, Settings(device=device)).loss_scale == scale


def test_compiled_step_trains_the_same_network(small_data: Dataset) -> None:
    """Another order of rounding, the same computation: losses agree as far as bfloat16's 3 digits."""
    recipe = quick(epochs=0.25)
    eager = Trainer(recipe, small_data, Settings())(SEEDS)
    compiled = Trainer(recipe, small_data, Settings(engine="compiled"))(SEEDS)
    assert compiled.loss == pytest.approx(eager.loss, rel=0.02)


@pytest.mark.parametrize("engine", IN_C)
def test_a_step_in_c_trains_the_same_network(engine: Engine, small_data: Dataset) -> None:
    recipe = quick("tiny", epochs=2, tta=True)
    if why_not := obstacle_to(engine, recipe, small_data, threads=1):
        pytest.skip(why_not)
    eager = Trainer(recipe, small_data, Settings())(SEEDS)
    trainer = Trainer(recipe, small_data, Settings(engine=engine))
    in_c, again = trainer(SEEDS), trainer(SEEDS)
    assert in_c.loss == pytest.approx(eager.loss, rel=0.02)
    assert in_c.loss == again.loss
    for test_set in trainer.evaluation.test_sets:
        mine, theirs, repeated = (run.predictions[test_set].predicted for run in (in_c, eager, again))
        assert (mine == repeated).all()
        assert (mine == theirs).mean() > 0.9


@pytest.fixture
def compiled_shapes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[list[tuple[int, ...]]]]:
    """The shapes of the inputs of each graph that is compiled; it takes no time, for it stays as it is."""
    shapes: list[list[tuple[int, ...]]] = []
    original = torch.compile

    def compile_(function: Callable[..., Any], *, options: object, **same: Any) -> Callable[..., Any]:
        return original(function, backend=note_shapes, **same)

    def note_shapes(module: torch.fx.GraphModule, inputs: Sequence[Any]) -> Callable[..., Any]:
        assert all(isinstance(tensor, Tensor) for tensor in inputs)  # no number that stands for a size
        shapes.append([tuple(map(int, tensor.shape)) for tensor in inputs])
        return module.forward

    monkeypatch.setattr(torch, "compile", compile_)
    torch.compiler.reset()
    yield shapes
    torch.compiler.reset()


def test_what_is_compiled_serves_every_trainer_of_its_shapes_and_no_other(
    small_data: Dataset, compiled_shapes: list[list[tuple[int, ...]]]
) -> None:
    """Otherwise the bits of a compiled run would depend on what its process compiled before."""
    for batch_size in (60, 60, 40):
        recipe = quick(batch_size=batch_size, epochs=1 / 30)
        Trainer(recipe, small_data, Settings(engine="compiled")).prepare()
    assert [
        (batch_size, 3, 32, 32) in seen for seen, batch_size in zip(compiled_shapes, (60, 40), strict=True)
    ] == [True, True]


def test_a_process_compiles_for_many_recipes(
    small_data: Dataset, compiled_shapes: list[list[tuple[int, ...]]]
) -> None:
    """By itself torch refuses the ninth shape of a function: the fifth recipe that has two phases."""
    limit = torch._dynamo.config.cache_size_limit
    for batch_size in range(20, 32):
        recipe = quick("linear", batch_size=batch_size, epochs=1 / 100)
        Trainer(recipe, small_data, Settings(engine="compiled"))(SEEDS)
    assert len(compiled_shapes) == 12
    assert torch._dynamo.config.cache_size_limit == limit


def test_too_little_memory_on_the_device_is_said(
    small_data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def prepare(trainer: Trainer) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    monkeypatch.setattr(Trainer, "prepare", prepare)
    with pytest.raises(DeviceError, match=r"'tiny' does not fit .* 2.00 GiB.* Lower --runs-per-device"):
        prepared_trainer(quick(), small_data, Settings())


def test_trainers_in_threads_share_nothing(small_data: Dataset) -> None:
    """Several at a time are for a GPU; what they might share by mistake shows on a CPU too."""
    make = partial(prepared_trainer, quick(epochs=0.5), small_data, Settings())
    specs = [RunSpec(run_id=i, seeds=seeds_of_run(0, i)) for i in range(4)]
    alone, side_by_side = (
        {o.spec.run_id: bits(o.result) for o in outcomes if isinstance(o, Outcome) and o.result is not None}
        for outcomes in (
            in_process([make], specs, lambda: False),
            in_threads([make], specs, lambda: False, threads=2),
        )
    )
    assert len(alone) == 4
    assert side_by_side == alone
