"""What only a GPU can say: replays have the bits of calls, runs side by side those of one alone."""

from functools import partial

import numpy as np
import pytest
import torch

from airbench_var.data.dataset import Dataset
from airbench_var.execution import in_threads
from airbench_var.recipe import Recipe
from airbench_var.seeds import seeds_of_run
from airbench_var.store.rows import Outcome, RunResult, RunSpec
from airbench_var.training import Settings, Trainer, prepared_trainer
from tests.training.test_on_cuda import SMALL, quick
from tests.training.test_trainer import bits

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
    # torch says once that this mode is a prototype, and Inductor whenever a graph multiplies in float32.
    pytest.mark.filterwarnings("ignore:Synchronization debug mode:UserWarning"),
    pytest.mark.filterwarnings("ignore:TensorFloat32 tensor cores:UserWarning"),
]

RUNS = [RunSpec(run_id=i, seeds=seeds_of_run(0, i)) for i in range(6)]
COMPILE = pytest.mark.parametrize("compiled", [False, True], ids=["eager", "compiled"])


def settings(compiled: bool = False) -> Settings:
    return Settings(device="cuda", engine="compiled" if compiled else "eager")


def two_phases(name: str) -> Recipe:
    """Return a recipe of five steps; one with a whitening bias trains it for three."""
    recipe = quick(name)
    airbench = name in ("tiny", "airbench94")
    return recipe.with_values({"optimizer.whiten_bias_epochs": 1}) if airbench else recipe


def all_of(result: RunResult) -> tuple[list[bytes], float, bool]:
    return bits(result), result.loss, result.diverged


def alone(
    recipe: Recipe, data: Dataset, compiled: bool = False, *, captured: bool = True
) -> dict[int, object]:
    """Return the runs, trained one after another."""
    trainer = Trainer(recipe, data, settings(compiled))
    trainer.lane.captures = captured
    return {spec.run_id: all_of(trainer(spec.seeds)) for spec in RUNS}


@COMPILE
@pytest.mark.parametrize("name", SMALL)
def test_replays_have_the_bits_of_calls(name: str, compiled: bool, small_data: Dataset) -> None:
    recipe = two_phases(name)
    called = alone(recipe, small_data, compiled, captured=False)
    assert alone(recipe, small_data, compiled) == called


@COMPILE
@pytest.mark.parametrize("step", [0, 3, 4])
@pytest.mark.parametrize("name", SMALL)
def test_a_poke_between_replays_is_that_between_calls(
    name: str, step: int, compiled: bool, small_data: Dataset
) -> None:
    recipe = two_phases(name)
    poked = recipe.with_values({"poke.step": step, "poke.factor": 30})
    replayed = alone(poked, small_data, compiled)
    assert replayed == alone(poked, small_data, compiled, captured=False)
    assert replayed != alone(recipe, small_data, compiled)


@COMPILE
@pytest.mark.parametrize("name", ["airbench94", "resnet9"])
def test_runs_side_by_side_have_the_bits_of_one_alone(name: str, compiled: bool, small_data: Dataset) -> None:
    recipe = two_phases(name)
    make = partial(prepared_trainer, recipe, small_data, settings(compiled))
    done = in_threads([make], RUNS, lambda: False, threads=3)
    results = {
        o.spec.run_id: all_of(o.result) for o in done if isinstance(o, Outcome) and o.result is not None
    }
    assert results == alone(recipe, small_data, compiled)


@pytest.mark.parametrize("name", SMALL)
def test_torch_sees_no_waiting_in_a_run(
    name: str, small_data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the new weights to the end of the run, where the trainer waits on purpose."""
    trainer = prepared_trainer(two_phases(name), small_data, settings())
    first, wait = trainer(RUNS[0].seeds), trainer.lane.wait

    def wait_on_purpose() -> None:
        torch.cuda.set_sync_debug_mode("default")
        wait()

    monkeypatch.setattr(trainer.lane, "wait", wait_on_purpose)
    try:
        torch.cuda.set_sync_debug_mode("error")
        assert all_of(trainer(RUNS[0].seeds)) == all_of(first)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@COMPILE
def test_a_network_learns(compiled: bool, small_data: Dataset) -> None:
    recipe = quick("tiny").with_values({"epochs": 4, "batch_size": 100})
    result = Trainer(recipe, small_data, settings(compiled))(RUNS[0].seeds)
    accuracy = np.mean(result.predictions["small"].predicted == small_data.test.labels_N)
    assert accuracy > 0.5  # chance is 0.1
    assert not result.diverged
