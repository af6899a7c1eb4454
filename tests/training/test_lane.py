"""What a graph replays is what the step does: recorded once, then replayed in every run, on a CPU."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from airbench_var.data.dataset import Dataset
from airbench_var.data.loaders import ResidentLoader
from airbench_var.recipe import Recipe
from airbench_var.seeds import Seeds
from airbench_var.store.rows import RunResult
from airbench_var.training import Settings, Trainer
from airbench_var.training import trainer as trainer_module
from airbench_var.training.lane import WARM_UPS, Captured, Lane
from airbench_var.training.optimizers import Optimizers
from tests.training.recording import Recording, RecordingLane
from tests.training.test_trainer import bits, quick

RUNS = (Seeds(init=1, order=2, aug=3), Seeds(init=7, order=8, aug=9))
CPU = torch.device("cpu")


class PlainLoader(ResidentLoader):
    """Augments by one flip for all, from the key, in torch alone: the CPU's kernel draws in NumPy."""

    def batch(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        rows_B, key = inputs
        images_BHWC = self._images_NHWC.index_select(0, rows_B)
        flipped = torch.where((key[0] + key[1]) % 2 == 0, images_BHWC, images_BHWC.flip(2))
        images_BCHW = ((flipped.float() - 128) / 70).to(self._pixels.dtype).permute(0, 3, 1, 2)
        return images_BCHW, self._labels_N.index_select(0, rows_B)


@pytest.fixture
def plain_loader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainer_module, "ResidentLoader", PlainLoader)


def make(recipe: Recipe, data: Dataset, monkeypatch: pytest.MonkeyPatch) -> tuple[Trainer, RecordingLane]:
    """Return a trainer that captures, ready, and its lane."""
    with monkeypatch.context() as patch:
        patch.setattr(trainer_module, "Lane", RecordingLane)
        trainer = Trainer(recipe, data, Settings())
    lane = trainer.lane
    assert isinstance(lane, RecordingLane)
    trainer.prepare()
    return trainer, lane


def same(one: RunResult, other: RunResult) -> bool:
    return bits(one) == bits(other) and one.loss == other.loss and one.diverged == other.diverged


@pytest.mark.usefixtures("plain_loader")
@pytest.mark.parametrize(
    ("name", "changes", "replays"),
    [
        ("tiny", {"epochs": 5 / 3, "batch_size": 400, "optimizer.whiten_bias_epochs": 1}, [3, 2]),
        ("resnet9", {"network.width": 4, "epochs": 5 / 3, "batch_size": 400}, [5]),
        ("linear", {"epochs": 2, "batch_size": 400}, [6]),
    ],
)
def test_replayed_runs_have_the_bits_of_runs(
    name: str,
    changes: dict[str, object],
    replays: list[int],
    small_data: Dataset,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe = quick(name, **changes)
    eager = Trainer(recipe, small_data, Settings())
    captured, lane = make(recipe, small_data, monkeypatch)
    for seeds in (*RUNS, RUNS[0]):
        lane.replays[:] = [0] * len(lane.replays)
        assert same(captured(seeds), eager(seeds))
        assert lane.replays == replays


@pytest.mark.usefixtures("plain_loader")
@pytest.mark.parametrize("step", [0, 3])  # with each of the two phases
def test_a_poke_falls_between_replays(
    step: int, small_data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = quick("tiny", **{"epochs": 5 / 3, "batch_size": 400, "optimizer.whiten_bias_epochs": 1})
    poked = recipe.with_values({"poke.step": step, "poke.factor": 30})
    plain, eager = (Trainer(one, small_data, Settings()) for one in (recipe, poked))
    captured, lane = make(poked, small_data, monkeypatch)
    for seeds in RUNS:
        lane.replays[:] = [0] * len(lane.replays)
        assert same(captured(seeds), eager(seeds))
        assert lane.replays == [3, 2]
        assert not same(captured(seeds), plain(seeds))


@pytest.mark.usefixtures("plain_loader")
def test_a_step_that_counts_in_python_is_another_when_replayed(
    small_data: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the test above is for: Python runs when a graph is captured, and never again."""
    step, calls = Optimizers.step, count()

    def counting(optimizers: Optimizers, step_1: Tensor, loss_scale: float = 1.0) -> None:
        step(optimizers, torch.tensor([next(calls) % optimizers.rates_SG.size(0)]), loss_scale)

    monkeypatch.setattr(Optimizers, "step", counting)
    recipe = quick("linear", epochs=2, batch_size=400)
    captured, _ = make(recipe, small_data, monkeypatch)
    assert not same(captured(RUNS[0]), Trainer(recipe, small_data, Settings())(RUNS[0]))


@pytest.mark.parametrize("read", [Tensor.item, bool, float, Tensor.nonzero])
def test_a_number_that_is_read_cannot_be_recorded(read: Callable[[Tensor], object]) -> None:
    with pytest.raises(AssertionError, match="would wait"), Recording():
        read(torch.ones(1).sum())


def test_inputs_are_copied_to_where_the_recorded_call_reads_them() -> None:
    """Those of the capture are the caller's to change, and its output keeps its place."""
    total = torch.zeros(2)

    def function(a_2: Tensor, b_2: Tensor) -> Tensor:
        total.add_(a_2)
        return a_2 * b_2

    a_2, b_2 = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])
    captured = Captured(function, (a_2, b_2), RecordingLane(CPU).record)
    total.zero_()
    a_2.zero_()
    first = captured(torch.tensor([1.0, 1.0]), b_2)
    assert first.tolist() == [3.0, 4.0]
    second = captured(torch.tensor([2.0, 0.5]), torch.tensor([10.0, 10.0]))
    assert second.tolist() == [20.0, 5.0]
    assert second is first
    assert total.tolist() == [3.0, 1.5]
    with pytest.raises(ValueError, match="shorter"):
        captured(a_2)


def test_anywhere_but_on_cuda_functions_are_called_as_they_are() -> None:
    lane = Lane(CPU)
    assert not lane.captures
    assert lane.captured(same) is same
    with lane.active():
        lane.wait()


class FakeCuda:
    """Writes down what is asked of torch.cuda, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.told: list[str] = []
        for name in ("Stream", "CUDAGraph", "device", "graph", "stream", "graph_pool_handle"):
            monkeypatch.setattr(torch.cuda, name, getattr(self, name))

    def Stream(self, device: torch.device) -> SimpleNamespace:
        return SimpleNamespace(device=device, synchronize=lambda: self.told.append("synchronize"))

    def CUDAGraph(self) -> SimpleNamespace:
        return SimpleNamespace(replay=lambda: self.told.append("replay"))

    def graph_pool_handle(self) -> str:
        return "pool"

    @contextmanager
    def device(self, device: torch.device) -> Iterator[None]:
        self.told.append(f"to {device}")
        yield
        self.told.append("back")

    @contextmanager
    def stream(self, stream: SimpleNamespace) -> Iterator[None]:
        self.told.append(f"on {stream.device}")
        yield
        self.told.append("off")

    @contextmanager
    def graph(
        self, graph: object, *, pool: str, stream: SimpleNamespace, capture_error_mode: str
    ) -> Iterator[None]:
        self.told.append(f"capture in {pool} on {stream.device}, {capture_error_mode}")
        yield
        self.told.append("captured")


def test_on_cuda_a_capture_is_warmed_up_and_on_the_stream_of_the_lane(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cuda = FakeCuda(monkeypatch)
    lane = Lane(torch.device("cuda:1"))
    captured = lane.captured(lambda: cuda.told.append("call"))
    assert cuda.told == [
        *("to cuda:1", "on cuda:1", *["call"] * WARM_UPS, "off", "back"),
        *("capture in pool on cuda:1, thread_local", "call", "captured"),
    ]
    cuda.told.clear()
    captured()
    lane.wait()
    assert cuda.told == ["replay", "synchronize"]


def test_on_cuda_without_captures_work_is_queued_in_the_lane_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cuda = FakeCuda(monkeypatch)
    lane = Lane(torch.device("cuda:1"))
    lane.captures = False
    assert lane.captured(same) is same
    with lane.active():
        lane.wait()
    assert cuda.told == ["to cuda:1", "on cuda:1", "synchronize", "off", "back"]


def test_compiling_and_capturing_are_timed_apart(small_data: Dataset) -> None:
    trainer = Trainer(quick(epochs=1 / 12), small_data, Settings())
    assert trainer.prepare_s is None
    trainer(RUNS[0])
    first = trainer.prepare_s
    assert first is not None
    trainer.prepare()
    assert trainer.prepare_s == first
