"""The command that tells trackers, read back from their own files by their own readers."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from airbench_var import cli
from airbench_var.errors import DeviceError, UsageError
from airbench_var.store import Store
from airbench_var.tracking import (
    KINDS,
    Tracker,
    open_tracker,
)
from tests.tracking.conftest import R, Remembers, accuracies, track


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
    where = {
        "tensorboard": f"tensorboard --logdir {tmp_path}",
        "mlflow": f"mlflow ui --backend-store-uri sqlite:///{tmp_path}/mlflow.db",
        "wandb": f"wandb sync {tmp_path}/wandb/offline-*",
    }
    assert f"{R} runs told; look at them with: {where[kind]}\n" in done.stdout
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
    monkeypatch.setattr("airbench_var.tracking.find_spec", lambda name: None)
    with pytest.raises(DeviceError, match=rf"pip install 'airbench_var\[{kind}\]'"):
        open_tracker(kind, store, tmp_path)
    assert not any(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_one_message(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str], installed: Callable[..., None]
) -> None:
    installed()
    (tmp_path / "file").touch()
    for kind in KINDS:
        code = cli.main(["track", str(store.path), "--to", kind, "--dir", str(tmp_path / "file" / "x")])
        shown = capsys.readouterr()
        assert (code, shown.out, shown.err.count("\n")) == (6, "", 1)
        assert "x: writing failed: Not a directory. Check the path" in shown.err
        assert "or choose another folder with --dir." in shown.err


@pytest.mark.parametrize(
    "error", [OSError("no\nserver"), type("Bad", (Exception,), {"__module__": "wandb.x"})("no\n")]
)
def test_what_a_package_raises_is_one_message(
    error: Exception,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    installed: Callable[..., None],
) -> None:
    def fails(*_: object) -> Tracker:
        raise error

    installed()
    monkeypatch.setattr("airbench_var.tracking.open_tracker", fails)
    assert cli.main(["track", str(store.path), "--to", "wandb", "--dir", "there"]) == 6
    assert capsys.readouterr().err.startswith(
        "airbench_var: wandb cannot be told: no. The store is as it was."
    )


def test_a_defect_is_no_matter_of_the_package(
    store: Store, monkeypatch: pytest.MonkeyPatch, installed: Callable[..., None]
) -> None:
    installed()
    monkeypatch.setattr("airbench_var.tracking.open_tracker", lambda *_: Path(1))  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        cli.main(["track", str(store.path), "--to", "wandb"])


def test_a_store_that_cannot_be_read_leaves_no_run_at_the_tracker(
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    installed: Callable[..., None],
) -> None:
    installed()
    broken = shutil.copytree(store.path, tmp_path / "broken")
    (broken / "test" / "correct.npy").unlink()
    (broken / "test" / "correct.npy").mkdir()
    monkeypatch.setattr("airbench_var.tracking.open_tracker", lambda *_: pytest.fail("it was opened"))
    assert cli.main(["track", str(broken), "--to", "mlflow"]) == 6
    shown = capsys.readouterr().err
    assert (shown.count("\n"), "reading failed: Is a directory" in shown) == (1, True)


def test_another_kind(store: Store, tmp_path: Path) -> None:
    with pytest.raises(
        UsageError,
        match=r"unknown tracker 'tensorbord' .did you mean 'tensorboard'.*Known: tensorboard, wandb",
    ):
        open_tracker("tensorbord", store, tmp_path)


def test_the_command(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tracker: Tracker = Remembers()
    opened = []

    def opens(kind: str, store: Store, folder: Path) -> Tracker:
        opened.append((kind, store.path, folder))
        return tracker

    monkeypatch.setattr("airbench_var.tracking.find_spec", lambda name: name)
    monkeypatch.setattr("airbench_var.tracking.open_tracker", opens)
    assert cli.main(["track", str(store.path), "--to", "tensorboard"]) == 0
    shown = capsys.readouterr()
    assert shown.out == "5 runs told; look at them with: nowhere\n"
    assert shown.err == "5 runs told\n"
    tracker = Remembers()
    assert cli.main(["track", str(store.path), "--to", "wandb", "--dir", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"store": str(store.path), "runs": 5, "where": "nowhere"}
    folders = [("tensorboard", Path("tracked/tensorboard")), ("wandb", tmp_path)]
    assert opened == [(kind, store.path, folder) for kind, folder in folders]


def test_the_command_follows_when_it_is_asked(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    monkeypatch.setattr("airbench_var.tracking.find_spec", lambda name: name)
    monkeypatch.setattr("airbench_var.tracking.open_tracker", lambda *_: Remembers())
    monkeypatch.setattr(
        "airbench_var.tracking.track", lambda *_, following, told: asked.append(following) or 0
    )
    for more in ([], ["--follow"]):
        assert cli.main(["track", str(store.path), "--to", "mlflow", *more]) == 0
    assert asked == [False, True]


@pytest.mark.filterwarnings("ignore")
def test_tensorboard_forgets_what_it_was_told_of_the_store_before(store: Store, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    once = []
    for _ in range(2):
        tracker = open_tracker("tensorboard", store, tmp_path)
        assert track(store, tracker) == 5
        once.append(tensorboard_of(tmp_path)("run/accuracy/test"))
    assert len(once[0]) == 5
    assert once[1] == once[0]
