"""What is told to the three trackers, read back from their own files by their own readers."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

from airbench_var import cli, run_many
from airbench_var.analysis import analyze
from airbench_var.errors import DeviceError, UsageError
from airbench_var.seeds import Seeds
from airbench_var.store import Store
from airbench_var.tracking import KINDS, Tracker, estimate_values, open_tracker, parameters, track

N, R = 60, 5
LABELS = np.arange(N) % 3


def answer(seeds: Seeds) -> np.ndarray:
    generator = np.random.default_rng(seeds.init)
    return np.where(generator.random(N) < 0.7, LABELS, (LABELS + 1) % 3)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    out = tmp_path_factory.mktemp("tracking") / "own"
    return run_many(answer, LABELS, runs=R, out=out, settings={"lr": 0.1}, show="quiet")


class Remembers:
    """A tracker that keeps what it is told."""

    where = "nowhere"

    def __init__(self) -> None:
        self.runs: dict[int, Mapping[str, float]] = {}
        self.looks: list[tuple[int, Mapping[str, float]]] = []
        self.closed = False

    def run(self, run_id: int, values: Mapping[str, float]) -> None:
        assert run_id not in self.runs
        self.runs[run_id] = values

    def estimates(self, runs: int, values: Mapping[str, float]) -> None:
        self.looks.append((runs, values))

    def close(self) -> None:
        self.closed = True


def accuracies(store: Store) -> list[float]:
    return [float(right_N.mean()) for right_N in store.correct_RN("test")]


def test_every_run_is_told_once_with_what_there_is(store: Store) -> None:
    tracker = Remembers()
    assert track(store, tracker) == R
    assert [tracker.runs[i]["accuracy/test"] for i in range(R)] == pytest.approx(accuracies(store))
    assert all(set(values) == {"accuracy/test", "train_s", "diverged"} for values in tracker.runs.values())
    [(runs, values)] = tracker.looks
    assert (runs, tracker.closed) == (R, True)
    mean = analyze(store).test_sets[0].estimates["mean_accuracy"]
    assert mean.interval is not None
    assert values["mean_accuracy/test"] == mean.value
    assert (values["mean_accuracy_low/test"], values["mean_accuracy_high/test"]) == mean.interval


def test_one_run_has_estimates_without_intervals(tmp_path: Path) -> None:
    store = run_many(answer, LABELS, runs=1, out=tmp_path / "own", show="quiet")
    values = dict(estimate_values(analyze(store).test_sets))
    assert set(values) == {"mean_accuracy/test"}


def test_following_tells_what_comes_and_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "own"
    store = run_many(answer, LABELS, runs=2, out=out, show="quiet")
    more = iter([3, 5])

    def followed(store: Store, statistics: object) -> Iterator[object]:
        yield statistics
        for runs in more:
            run_many(answer, LABELS, runs=runs, out=out, show="quiet")
            store.refresh()
            statistics.catch_up(store)  # type: ignore[attr-defined]
            yield statistics

    monkeypatch.setattr("airbench_var.tracking.follow", followed)
    tracker, told = Remembers(), []
    assert track(store, tracker, following=True, told=told.append) == 5
    assert told == [2, 3, 5]
    assert [runs for runs, _ in tracker.looks] == [2, 3, 5]


def test_a_tracker_that_fails_is_closed_and_the_store_is_whole(store: Store) -> None:
    class Fails(Remembers):
        def run(self, run_id: int, values: Mapping[str, float]) -> None:
            raise ConnectionError("gone")

    tracker = Fails()
    with pytest.raises(ConnectionError, match="gone"):
        track(store, tracker)
    assert tracker.closed
    assert len(Store.open(store.path).committed_ids()) == R


def test_parameters_are_flat_text(store: Store) -> None:
    found = dict(parameters(store.manifest.identity))
    assert found["function.settings.lr"] == "0.1"
    assert found["seed"] == "0"
    assert not [key for key in found if key.startswith("test_sets")]


def tensorboard_of(folder: Path) -> Callable[[str], list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "own"))
    events.Reload()
    return lambda name: [(event.step, event.value) for event in events.Scalars(name)]


def mlflow_of(folder: Path) -> Callable[[str], list[tuple[int, float]]]:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{folder.resolve()}/mlflow.db")
    [experiment] = [one for one in client.search_experiments() if one.name == "airbench_var"]
    [run] = client.search_runs([experiment.experiment_id])
    assert run.data.params["function.settings.lr"] == "0.1"
    assert run.info.status == "FINISHED"
    return lambda name: [(one.step, one.value) for one in client.get_metric_history(run.info.run_id, name)]


def logged(data: bytes) -> Iterator[bytes]:
    """Yield the records of a W&B file: the log format of LevelDB, blocks of 32 KiB, after 7 bytes more."""
    place, parts = 7, []
    while place < len(data):
        if (left := 32768 - place % 32768) < 7:  # no room for a header: the next block
            place += left
            continue
        length, kind = int.from_bytes(data[place + 4 : place + 6], "little"), data[place + 6]
        parts.append(data[place + 7 : place + 7 + length])
        place += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield b"".join(parts)
            parts = []


def wandb_of(folder: Path) -> Callable[[str], list[tuple[int, float]]]:
    import json

    from wandb.proto import wandb_internal_pb2

    [path] = folder.glob("wandb/offline-run-*/*.wandb")
    rows = []
    for found in logged(path.read_bytes()):
        record = wandb_internal_pb2.Record()
        record.ParseFromString(found)
        if record.WhichOneof("record_type") == "history":
            items = record.history.item
            rows.append({one.key or "/".join(one.nested_key): json.loads(one.value_json) for one in items})

    def read(name: str) -> list[tuple[int, float]]:
        axis = "run_id" if name.startswith("run/") else "runs"
        return [(row[axis], row[name]) for row in rows if name in row]

    return read


@pytest.mark.parametrize(
    ("kind", "reader"), [("tensorboard", tensorboard_of), ("mlflow", mlflow_of), ("wandb", wandb_of)]
)
@pytest.mark.filterwarnings("ignore")  # of packages that are not ours
def test_a_package_can_read_what_it_was_told(
    kind: str,
    reader: Callable[[Path], Callable[[str], list[tuple[int, float]]]],
    store: Store,
    tmp_path: Path,
) -> None:
    """By the command, in a process of its own: these packages start threads and processes."""
    elsewhere = ("WANDB_MODE", "WANDB_PROJECT", "MLFLOW_TRACKING_URI")
    environment = {name: value for name, value in os.environ.items() if name not in elsewhere}
    command = [sys.executable, "-m", "airbench_var", "track", str(store.path), "--to", kind]
    done = subprocess.run(
        [*command, "--dir", str(tmp_path)], env=environment, capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert f"{R} runs told" in done.stdout
    values = reader(tmp_path)
    told = sorted(values("run/accuracy/test"))
    assert [run_id for run_id, _ in told] == list(range(R))
    assert [value for _, value in told] == pytest.approx(accuracies(store))
    [(runs, mean)] = values("estimate/mean_accuracy/test")
    assert (runs, mean) == (R, pytest.approx(np.mean(accuracies(store))))


@pytest.mark.parametrize("kind", KINDS)
def test_a_package_that_is_missing(
    kind: str, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    __import__(KINDS[kind])
    monkeypatch.setattr(f"{KINDS[kind]}.find_spec", lambda name: None)
    with pytest.raises(DeviceError, match=rf"pip install 'airbench_var\[{kind}\]'"):
        open_tracker(kind, store, tmp_path)
    assert not any(tmp_path.iterdir())


def test_another_kind(store: Store, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"unknown tracker 'tensorbord' .did you mean 'tensorboard'"):
        open_tracker("tensorbord", store, tmp_path)


def test_the_command(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tracker: Tracker = Remembers()
    monkeypatch.setattr("airbench_var.tracking.open_tracker", lambda kind, store, folder: tracker)
    assert cli.main(["track", str(store.path), "--to", "tensorboard"]) == 0
    assert capsys.readouterr().out == "5 runs told; look at them with: nowhere\n"
