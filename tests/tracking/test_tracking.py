"""What is told to the three trackers, and how each package is called."""

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from airbench_var import run_many
from airbench_var.analysis import analyze
from airbench_var.seeds import Seeds
from airbench_var.store import Store
from airbench_var.tracking import (
    estimate_values,
    on_mlflow,
    on_tensorboard,
    open_tracker,
    parameters,
    run_values,
)
from tests.tracking.conftest import LABELS, R, Remembers, accuracies, answer, track


def test_every_run_is_told_once_with_what_there_is(store: Store) -> None:
    tracker = Remembers()
    assert track(store, tracker) == R
    assert [tracker.runs[i]["accuracy/test"] for i in range(R)] == pytest.approx(accuracies(store))
    assert all(set(values) == {"accuracy/test", "train_s", "diverged"} for values in tracker.runs.values())
    [(runs, values)] = tracker.looks
    assert (runs, tracker.closed, tracker.failed) == (R, True, False)
    mean = analyze(store).test_sets[0].estimates["mean_accuracy"]
    assert mean.interval is not None
    assert values["mean_accuracy/test"] == mean.value
    assert (values["mean_accuracy_low/test"], values["mean_accuracy_high/test"]) == mean.interval
    assert {"test_set_std/test", "distribution_wise_std/test"} <= {*values}


def test_every_test_set_has_its_own_numbers(tmp_path: Path) -> None:
    def on_two(seeds: Seeds) -> dict[str, np.ndarray]:
        return {"all": answer(seeds), "few": answer(seeds)[:7]}

    labels = {"all": LABELS, "few": LABELS[:7]}
    store = run_many(on_two, labels, runs=3, out=tmp_path / "own", show="quiet")
    tracker = Remembers()
    track(store, tracker)
    for name in labels:
        expected = store.correct_RN(name).mean(axis=1)
        assert [tracker.runs[i][f"accuracy/{name}"] for i in range(3)] == pytest.approx(expected)
    for summary in analyze(store).test_sets:
        mean = summary.estimates["mean_accuracy"]
        assert mean.interval is not None
        values = tracker.looks[0][1]
        ends = (values[f"mean_accuracy_low/{summary.name}"], values[f"mean_accuracy_high/{summary.name}"])
        assert (values[f"mean_accuracy/{summary.name}"], ends) == (mean.value, mean.interval)


def test_a_loss_is_told_where_there_is_one(store: Store) -> None:
    records = store.records([3, 1])
    records["loss"] = [0.5, np.inf]
    records["diverged"] = [0, 1]
    (first, a), (second, b) = run_values(store, records)
    assert (first, a["loss"], a["diverged"]) == (3, 0.5, 0)
    assert (second, b["diverged"]) == (1, 1)
    assert "loss" not in b


def test_nothing_is_waited_for_unless_it_is_asked(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airbench_var.tracking.follow", lambda *_: pytest.fail("it waits"))
    assert track(store, Remembers()) == R


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
    assert tracker.failed
    assert len(Store.open(store.path).committed_ids()) == R


def test_parameters_are_flat_text(store: Store) -> None:
    found = dict(parameters(store.manifest.identity))
    assert found["function.settings.lr"] == "0.1"
    assert found["seed"] == "0"
    assert not [key for key in found if key.startswith("test_sets")]
    made_up = {"a": {"test_sets": 1, "b": {"c": [2]}}, "test_sets": [3], "d": None}
    assert dict(parameters(made_up)) == {"a.test_sets": "1", "a.b.c": "[2]", "d": "None"}


class Calls:
    """Stands for an object of a package: keeps what is called, by name."""

    def __init__(self, **answers: object) -> None:
        self.answers, self.calls = answers, []

    def __getattr__(self, name: str) -> Callable[..., object]:
        def called(*arguments: object, **named: object) -> object:
            self.calls.append((name, *arguments, *named.values()))
            return self.answers.get(name)

        return called

    def of(self, name: str) -> list[tuple[object, ...]]:
        return [call[1:] for call in self.calls if call[0] == name]


def test_tensorboard_shows_estimates_as_soon_as_they_are_told(tmp_path: Path) -> None:
    writer = Calls()
    tracker = on_tensorboard.TensorBoardTracker(writer, tmp_path)
    tracker.run(7, {"loss": 0.5})
    tracker.estimates(3, {"mean": 0.9})
    tracker.close()
    assert writer.calls == [
        ("add_scalar", "run/loss", 0.5, 7),
        ("add_scalar", "estimate/mean", 0.9, 3),
        ("flush",),
        ("close",),
    ]


def test_wandb_is_offline_and_told_what_the_store_is_of(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed: Callable[..., None]
) -> None:
    for name in ("WANDB_MODE", "WANDB_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    asked: list[dict[str, Any]] = []
    run = Calls()

    def init(**named: Any) -> Calls:
        asked.append(named)
        run.settings, run.url = SimpleNamespace(mode=named["mode"]), "https://there"  # type: ignore[attr-defined]
        return run

    installed(wandb={"init": init, "Settings": lambda **named: named})
    folder = tmp_path / "a" / "b"
    tracker = open_tracker("wandb", store, folder)
    assert folder.is_dir()
    identity = {key: value for key, value in store.manifest.identity.items() if key != "test_sets"}
    assert asked[0] == {
        "project": "airbench_var",
        "name": "own",
        "dir": folder,
        "mode": "offline",
        "config": identity,
        "settings": {"silent": True},
    }
    assert tracker.where == f"wandb sync {folder}/wandb/offline-*"
    assert {("run/*", "run_id"), ("estimate/*", "runs")} <= {*run.of("define_metric")}
    tracker.run(7, {"loss": 0.5})
    tracker.estimates(3, {"mean": 0.9})
    assert run.of("log") == [({"run_id": 7, "run/loss": 0.5},), ({"runs": 3, "estimate/mean": 0.9},)]
    assert not run.of("finish")
    tracker.close()
    tracker.close(failed=True)
    assert run.of("finish") == [(0,), (1,)]
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    assert open_tracker("wandb", store, folder).where == "https://there"
    assert (asked[1]["mode"], asked[1]["project"]) == ("online", "mine")


@pytest.mark.parametrize("there", [None, SimpleNamespace(experiment_id="old")])
def test_mlflow_is_told_what_its_server_takes(
    there: object,
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    installed: Callable[..., None],
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    run = SimpleNamespace(info=SimpleNamespace(run_id="r"))
    client = Calls(get_experiment_by_name=there, create_experiment="new", create_run=run)
    uris: list[str] = []
    installed(
        mlflow={},
        mlflow_tracking={"MlflowClient": lambda uri: uris.append(uri) or client},
        mlflow_entities={"Metric": lambda *values: values},
    )
    monkeypatch.setattr(on_mlflow, "parameters", lambda identity: iter([("a.b", "x" * 600)]))
    monkeypatch.setattr(on_mlflow, "_MOST_METRICS", 4)
    folder = tmp_path / "a" / "b"
    tracker = open_tracker("mlflow", store, folder)
    assert folder.is_dir()
    assert uris == [f"sqlite:///{folder}/mlflow.db"]
    assert tracker.where == f"mlflow ui --backend-store-uri {uris[0]}"
    assert client.of("create_experiment") == [("airbench_var",)] * (there is None)
    assert client.of("create_run") == [("new" if there is None else "old", "own")]
    assert client.of("log_param") == [("r", "a.b", "x" * 500)]
    for run_id in range(9):
        tracker.run(run_id, {"loss": 0.5})
    tracker.estimates(9, {"mean": 0.9})
    tracker.run(9, {"loss": 0.25})
    tracker.close()
    batches = [metrics for _, metrics in client.of("log_batch")]
    assert [len(batch) for batch in batches] == [4, 4, 2, 1]  # type: ignore[arg-type]
    told = [metric for batch in batches for metric in batch]  # type: ignore[attr-defined]
    assert [(name, value, step) for name, value, _, step in told] == [
        *(("run/loss", 0.5, run_id) for run_id in range(9)),
        ("estimate/mean", 0.9, 9),
        ("run/loss", 0.25, 9),
    ]
    assert all(abs(ms / 1000 - time.time()) < 60 for _, _, ms, _ in told)
    assert client.calls[-1] == ("set_terminated", "r", "FINISHED")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://server")
    assert open_tracker("mlflow", store, folder).where == "mlflow ui --backend-store-uri http://server"


@pytest.mark.parametrize("method", ["log_param", "log_batch"])
def test_an_mlflow_run_that_cannot_be_told_has_failed(
    method: str, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed: Callable[..., None]
) -> None:
    class Fails(Calls):
        def __getattr__(self, name: str) -> Callable[..., object]:
            if name == method:
                raise RuntimeError("refused")
            return super().__getattr__(name)

    client = Fails(create_run=SimpleNamespace(info=SimpleNamespace(run_id="r")))
    installed(
        mlflow={},
        mlflow_tracking={"MlflowClient": lambda uri: client},
        mlflow_entities={"Metric": lambda *values: values},
    )
    with pytest.raises(RuntimeError, match="refused"):
        track(store, open_tracker("mlflow", store, tmp_path))
    assert client.of("set_terminated") == [("r", "FAILED")]


def test_mlflow_has_every_setting_under_a_key_that_it_takes() -> None:
    identity = {"a": {"lr (%)": 1, "lr [%]": 2, "b": 3, "größe/x": "y" * 600}, "a.b": 4, "k" * 300: 5}
    taken = on_mlflow.as_taken(parameters(identity))
    assert taken == {
        "a.lr ___": "1",
        "a.lr ___-2": "2",
        "a.b": "3",
        "a.größe_x": "y" * 500,
        "a.b-2": "4",
        "k" * 240: "5",
    }
    validation = pytest.importorskip("mlflow.utils.validation")
    for key, text in taken.items():
        validation._validate_param(key, text)  # raises
