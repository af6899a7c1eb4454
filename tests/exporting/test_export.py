"""From a store to the formats of others and back, every bit and seed; a name appears with a whole file."""

import csv
import errno
import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airbench_var import cli
from airbench_var.cli import exporting as command
from airbench_var.errors import DataError, StorageError, StoreDamagedError, StoreRefusedError, UsageError
from airbench_var.exporting import COLUMNS, FORMATS, Export, appearing, export, selected
from airbench_var.importing import Import, import_runs
from airbench_var.seeds import Seeds
from airbench_var.store import (
    Outcome,
    Predictions,
    RunResult,
    RunSpec,
    Store,
    StoreWriter,
    damage,
    describe_test_set,
)
from tests.store.test_verification import change_row

CLASSES = tuple("abcdefghij")
N = {"cifar10": 203, "cifar10-tta": 203, "noise-3": 57}
RUNS = (0, 1, 3, 4, 7, 8, 9)  # 2 failed, 5 and 6 are open


@pytest.fixture(autouse=True)
def blocks_of_three(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selected, "BLOCK_RUNS", 3)
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(os, "fdatasync", lambda _: None)


def make_store(path: Path, names: tuple[str, ...], *, with_classes: bool = True) -> Store:
    """A store of ten runs on these test sets, of which seven are committed."""
    rng = np.random.default_rng(0)
    labels = {name: rng.integers(0, 10, N[name]).astype(np.uint8) for name in names}
    columns = ["correct", "predicted"] if with_classes else ["correct"]
    identity = {
        "test_sets": [describe_test_set(name, labels[name], CLASSES) for name in names],
        "columns": columns,
    }
    with StoreWriter.open(
        path, identity=identity, labels=labels, provenance={"recipe_name": "tiny"}, capacity=10
    ) as writer:
        for run_id in RUNS:
            predictions = {}
            for name in names:
                predicted = np.where(rng.random(N[name]) < 0.7, labels[name], rng.integers(0, 10, N[name]))
                predictions[name] = Predictions(
                    correct=np.packbits(predicted == labels[name], bitorder="little"),
                    predicted=predicted.astype(np.uint8) if with_classes else None,
                )
            result = RunResult(
                predictions=predictions,
                loss=math.nan if run_id == 3 else 1 / (run_id + 3),
                diverged=run_id == 4,
                train_s=0.1 * run_id,
            )
            seeds = Seeds(init=2**64 - 1 - run_id, order=run_id, aug=7)
            writer.commit([Outcome(spec=RunSpec(run_id=run_id, seeds=seeds), worker=0, result=result)])
        failed = RunSpec(run_id=2, seeds=Seeds(init=1, order=1, aug=1))
        writer.commit([Outcome(spec=failed, worker=0, failure="killed")])
    return Store.open(path)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return make_store(tmp_path / "store", ("cifar10",))


def seeds_of(store: Store) -> list[tuple[int, ...]]:
    records = store.records(store.committed_ids())
    return [
        tuple(int(record[name]) for name in ("init_seed", "order_seed", "aug_seed")) for record in records
    ]


def refuse_difference(store: Store, back: Store, *, seeds: bool) -> None:
    """Assert that `back` has the committed runs of `store`, numbered through."""
    assert back.test_sets == store.test_sets
    ids = store.committed_ids()
    assert back.committed_ids().tolist() == list(range(len(ids)))
    for name in store.test_sets:
        np.testing.assert_array_equal(back.labels(name), store.labels(name))
        np.testing.assert_array_equal(back.correct_packed(name), store.correct_packed(name)[ids])
        if "predicted" in back.manifest.identity["columns"]:
            np.testing.assert_array_equal(back.predicted(name), store.predicted(name)[ids])
    if seeds:
        assert back.records()["diverged"].tolist() == store.records(ids)["diverged"].tolist()
        assert [one.classes for one in back.manifest.test_sets] == [CLASSES] * len(store.test_sets)
    assert seeds_of(back) == (seeds_of(store) if seeds else [(0, 0, 0)] * len(ids))


@pytest.mark.parametrize("column", ["predicted", "correct", None])
@pytest.mark.parametrize("suffix", [".npy", ".parquet"])
def test_a_file_and_back(suffix: str, column: str | None, store: Store, tmp_path: Path) -> None:
    """With both columns in a table, the import compares them."""
    path, labels = tmp_path / f"runs{suffix}", tmp_path / f"labels{suffix}"
    done = export(Export(store=store.path, out=path, column=column))
    assert (done.runs, done.files) == (7, (path,))
    export(Export(store=store.path, out=labels, column="labels"))
    import_runs(Import(predictions=path, labels=labels, out=tmp_path / "back", test_set="cifar10"))
    back = Store.open(tmp_path / "back")
    assert ("predicted" in back.manifest.identity["columns"]) == (column != "correct")
    refuse_difference(store, back, seeds=suffix == ".parquet")


@pytest.mark.parametrize("with_classes", [True, False])
@pytest.mark.parametrize("names", [("cifar10",), tuple(N)])
def test_a_hub_folder_and_back(names: tuple[str, ...], with_classes: bool, tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", names, with_classes=with_classes)
    done = export(Export(store=store.path, out=tmp_path / "hub", format="hf"))
    assert len(done.files) == 1 + 2 * len(names)
    import_runs(Import(predictions=tmp_path / "hub", labels=tmp_path / "hub", out=tmp_path / "back"))
    refuse_difference(store, Store.open(tmp_path / "back"), seeds=True)

    again = export(Export(store=tmp_path / "back", out=tmp_path / "again", format="hf"))
    for path in again.files[1:]:  # README.md first: it has the uuid of the store
        first = tmp_path / "hub" / path.relative_to(tmp_path / "again")
        columns = [
            name for name in pd.read_parquet(path).columns if name.endswith(("_seed", "predicted", "label"))
        ]
        assert columns
        for name in columns:
            assert [*map(str, pd.read_parquet(path)[name])] == [*map(str, pd.read_parquet(first)[name])]


@pytest.mark.parametrize("change", ["run_id", "init_seed", "diverged"])
def test_test_sets_of_other_runs_are_not_one_store(change: str, tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", ("cifar10", "noise-3"))
    export(Export(store=store.path, out=tmp_path / "hub", format="hf"))
    path = tmp_path / "hub" / "noise-3" / "runs.parquet"
    frame = pd.read_parquet(path)
    frame[change] = ~frame[change] if change == "diverged" else frame[change] + 7
    frame.to_parquet(path)
    with pytest.raises(DataError, match=r"the test sets cifar10 and noise-3 are not of the same runs"):
        import_runs(Import(predictions=tmp_path / "hub", labels=tmp_path / "hub", out=tmp_path / "back"))
    assert not (tmp_path / "back").exists()


def test_which_runs_diverged_is_part_of_what_was_imported(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    export(Export(store=store.path, out=path))
    wanted = Import(predictions=path, labels=store.path / "cifar10" / "labels.npy", out=tmp_path / "back")
    assert import_runs(wanted).added == len(RUNS)
    table = pq.read_table(path)
    others = pa.array([run_id == 3 for run_id in RUNS])
    pq.write_table(table.set_column(table.column_names.index("diverged"), "diverged", others), path)
    with pytest.raises(StoreRefusedError, match=r"imported\.diverged_sha256"):
        import_runs(wanted)


def test_files_that_name_other_classes_are_not_of_one_test_set(store: Store, tmp_path: Path) -> None:
    """Class 0 of the one may be class 1 of the other."""
    paths = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    export(Export(store=store.path, out=paths[0], column="correct"))
    table = pq.read_table(paths[0])
    origin = json.loads(table.schema.metadata[b"airbench_var"])
    origin["identity"]["test_sets"][0]["classes"] = list(CLASSES[::-1])
    pq.write_table(table.replace_schema_metadata({"airbench_var": json.dumps(origin)}), paths[1])
    labels = store.path / "cifar10" / "labels.npy"
    with pytest.raises(DataError, match=r"a.parquet, .*b.parquet, .*do not name the same classes"):
        import_runs(Import(predictions=paths, labels=labels, out=tmp_path / "back"))


def test_classes_that_no_run_says_stay_and_others_are_refused(store: Store, tmp_path: Path) -> None:
    path, labels = tmp_path / "a.parquet", tmp_path / "labels.npy"
    export(Export(store=store.path, out=path, column="correct"))
    np.save(labels, np.zeros(N["cifar10"], np.uint8))
    wanted = Import(predictions=path, labels=labels, out=tmp_path / "back")
    assert [one.classes for one in import_runs(wanted).test_sets] == [10]
    assert [
        one.classes for one in import_runs(replace(wanted, classes=12, out=tmp_path / "more")).test_sets
    ] == [12]
    np.save(labels, np.full(N["cifar10"], 10, np.uint8))
    with pytest.raises(DataError, match="label 10 is not one of 0 to 9, the classes that the file names"):
        import_runs(replace(wanted, out=tmp_path / "no"))


def test_the_card_names_the_files(tmp_path: Path) -> None:
    """As `datasets` reads it: configurations with a split and a path each."""
    store = make_store(tmp_path / "store", ("cifar10", "noise-3"))
    export(Export(store=store.path, out=tmp_path / "hub", format="hf"))
    text = (tmp_path / "hub" / "README.md").read_text()
    head = text.split("---\n")[1].splitlines()
    assert head[0] == "configs:"
    configs = [line.split(": ")[1] for line in head if line.startswith("- config_name")]
    paths = [line.split(": ")[1] for line in head if line.startswith("    path")]
    assert configs == ["cifar10", "cifar10-labels", "noise-3", "noise-3-labels"]
    assert len(paths) == len(configs)
    for path in paths:
        assert len(pd.read_parquet(tmp_path / "hub" / path)) > 0
    document = json.loads(text.split("```json\n")[1].split("```")[0])
    assert document["store"] == str(store.manifest.uuid)
    assert document["identity"] == json.loads(json.dumps(store.manifest.identity))
    assert "| `noise-3` | 57 | a, b, c, d, e, f, g, h, i, j |" in text


def test_the_hub_s_own_library_reads_it_by_the_lines_of_the_card(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", ("cifar10", "noise-3"))
    export(Export(store=store.path, out=tmp_path / "hub", format="hf"))
    lines = (tmp_path / "hub" / "README.md").read_text().split("```python\n")[1].split("```")[0]
    script = f"{lines}\nimport json\nprint(json.dumps([runs[:], labels[:]]))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    runs, labels = json.loads(done.stdout)
    assert runs["run_id"] == list(RUNS)
    assert np.array_equal(runs["predicted"], store.predicted("cifar10")[list(RUNS)])
    assert labels["label"] == store.labels("cifar10").tolist()


def test_a_table_as_pandas_and_polars_read_it(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "runs.parquet"
    export(Export(store=store.path, out=path))
    by_pandas, by_polars = pd.read_parquet(path), pl.read_parquet(path)
    ids = store.committed_ids()
    records = store.records(ids)
    right_RN = store.correct_RN("cifar10", ids)
    for frame in (by_pandas, by_polars):
        assert list(frame["run_id"]) == list(RUNS)
        np.testing.assert_array_equal(np.stack(list(frame["predicted"])), store.predicted("cifar10")[ids])
        np.testing.assert_array_equal(np.stack(list(frame["correct"])), right_RN)
        np.testing.assert_array_equal(np.array(frame["init_seed"]), records["init_seed"])
        np.testing.assert_array_equal(np.array(frame["accuracy"]), right_RN.sum(axis=1) / N["cifar10"])
        np.testing.assert_array_equal(np.array(frame["loss"], float), records["loss"])
        np.testing.assert_array_equal(np.array(frame["train_s"]), records["train_s"])
        assert list(frame["diverged"]) == [run_id == 4 for run_id in RUNS]


def test_a_line_a_run(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", ("cifar10", "noise-3"))
    path = tmp_path / "runs.csv"
    export(Export(store=store.path, out=path))
    with path.open(newline="") as file:
        lines = list(csv.DictReader(file))
    records = store.records(store.committed_ids())
    assert [int(line["run_id"]) for line in lines] == list(RUNS)
    for line, record in zip(lines, records, strict=True):
        for name in ("init_seed", "order_seed", "aug_seed", "diverged"):
            assert int(line[name]) == record[name]
        assert float(line["cifar10_accuracy"]) == record["correct"][0] / 203
        assert float(line["noise-3_accuracy"]) == record["correct"][1] / 57
        assert float(line["train_s"]) == record["train_s"]
        assert (float(line["loss"]) if line["loss"] else None) == (
            None if math.isnan(record["loss"]) else record["loss"]
        )
    assert pd.read_csv(path)["init_seed"].astype(np.uint64).tolist() == records["init_seed"].tolist()
    with pytest.raises(DataError, match="'cifar10_accuracy': from accuracies alone nothing can be said"):
        import_runs(Import(predictions=path, labels=path, out=tmp_path / "back"))


def test_seeds_that_are_not_known_are_not_exported(store: Store, tmp_path: Path) -> None:
    export(Export(store=store.path, out=tmp_path / "a.npy"))
    labels = store.path / "cifar10" / "labels.npy"
    import_runs(Import(predictions=tmp_path / "a.npy", labels=labels, out=tmp_path / "imported"))
    export(Export(store=tmp_path / "imported", out=tmp_path / "a.parquet"))
    export(Export(store=tmp_path / "imported", out=tmp_path / "a.csv"))
    assert not [name for name in pd.read_parquet(tmp_path / "a.parquet").columns if name.endswith("_seed")]
    assert pd.read_csv(tmp_path / "a.csv")["init_seed"].isna().all()


def test_names_are_paths(tmp_path: Path) -> None:
    make_store(tmp_path / "store", ("cifar10",))
    files = {column: str(tmp_path / f"{column}.npy") for column in ("predicted", "labels")}
    for column, file in files.items():
        export(Export(store=str(tmp_path / "store"), out=file, column=column))  # type: ignore[arg-type]
    for name, predictions, labels in (
        ("one", files["predicted"], files["labels"]),
        ("many", [files["predicted"]], {"": files["labels"]}),
    ):
        wanted = Import(predictions=predictions, labels=labels, out=str(tmp_path / name))  # type: ignore[arg-type]
        assert import_runs(wanted).runs == len(RUNS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"out": "a.txt"}, r"its name says no format. Let it end in .npy, .parquet, .csv, or give --format"),
        ({"out": "a"}, "its name says no format"),
        ({"out": "a.npy", "test_sets": ["mnist"]}, "has no test set 'mnist'; it has cifar10, noise-3"),
        ({"out": "a.npy"}, "has the test sets cifar10, noise-3, and npy holds one: choose with --test-set"),
        ({"out": "a.parquet"}, "and parquet holds one"),
        ({"out": "a.csv", "column": "correct"}, "--column is for npy and parquet"),
        ({"out": "there.npy", "test_sets": ["cifar10"]}, "there.npy is there already; nothing was written"),
        ({"out": "link.npy", "test_sets": ["cifar10"]}, "link.npy is there already"),
        ({"out": "folder", "format": "hf"}, "folder is there already"),
        ({"out": "store/a.npy", "test_sets": ["cifar10"]}, "lies in the store"),
        (
            {"out": "a.npy", "format": "parqet"},
            r"unknown format 'parqet' \(did you mean 'parquet'\?\)",
        ),
        ({"out": "a.npy", "column": "right"}, r"unknown column 'right'.*Known: predicted, correct, labels"),
    ],
)
def test_mistakes(options: dict[str, object], message: str, tmp_path: Path) -> None:
    make_store(tmp_path / "store", ("cifar10", "noise-3"))
    (tmp_path / "there.npy").write_bytes(b"years")
    (tmp_path / "link.npy").symlink_to("nowhere")
    (tmp_path / "folder").mkdir()
    before = {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*")}
    with pytest.raises(UsageError, match=message):
        export(Export(**({"store": tmp_path / "store"} | options | {"out": tmp_path / str(options["out"])})))  # type: ignore[arg-type]
    assert {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_store_without_classes_or_runs(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", ("cifar10",), with_classes=False)
    with pytest.raises(UsageError, match="made without the column 'predicted'; it has correct"):
        export(Export(store=store.path, out=tmp_path / "a.npy", column="predicted"))
    assert export(Export(store=store.path, out=tmp_path / "a.npy")).columns == ("correct",)
    assert np.load(tmp_path / "a.npy").dtype == np.bool_
    identity, labels = store.manifest.identity, {"cifar10": store.labels("cifar10")}
    StoreWriter.open(tmp_path / "empty", identity=identity, labels=labels, provenance={}, capacity=3).close()
    with pytest.raises(UsageError, match="no committed run yet"):
        export(Export(store=tmp_path / "empty", out=tmp_path / "b.npy"))


@pytest.mark.parametrize("out", ["a.npy", "a.parquet", "hub"])
def test_damage_is_named_and_leaves_nothing(
    out: str, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(damage, "RECHECK_S", 0)
    change_row(store.path, "cifar10/predicted.npy", 8)
    form = "hf" if out == "hub" else None
    with pytest.raises(StoreDamagedError, match=r"predicted\.npy: run 8"):
        export(Export(store=store.path, out=tmp_path / out, format=form))
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


@pytest.mark.parametrize("out", ["a.npy", "a.csv", "a.parquet", "hub"])
def test_a_full_disk_leaves_nothing(
    out: str, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match=r"writing failed: No space left on device"):
        export(Export(store=store.path, out=tmp_path / out, format="hf" if out == "hub" else None))
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


@pytest.mark.parametrize("out", ["a.npy", "hub"])
def test_who_is_faster_keeps_the_name(
    out: str, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def meanwhile(blocks: list[np.ndarray], name: str) -> list[np.ndarray]:
        (tmp_path / out).write_text("years")
        return blocks

    wanted = Export(store=store.path, out=tmp_path / out, format="hf" if out == "hub" else "npy")
    with pytest.raises(UsageError, match="is there already"):
        export(wanted, meanwhile)  # type: ignore[arg-type]
    assert (tmp_path / out).read_text() == "years"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([out, "store"])


@pytest.mark.parametrize("has_links", [True, False])
@pytest.mark.parametrize("kind", [appearing.new_file, appearing.new_folder])
def test_a_name_that_is_taken_after_the_last_look_stays_taken(
    kind: Callable[..., Any], has_links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a system call that fails, on filesystems with hard links and without."""

    def none(source: Path, target: Path) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    def write(text: bytes) -> None:
        with kind(tmp_path / "out") as unfinished:
            if kind is appearing.new_file:
                unfinished.write(text)
            else:
                (unfinished / "file").write_bytes(text)

    if not has_links:
        monkeypatch.setattr(os, "link", none)
    write(b"years")
    monkeypatch.setattr(appearing, "refuse_present", lambda _: None)
    with pytest.raises(UsageError, match="out is there already; nothing was written"):
        write(b"seconds")
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path.read_bytes() for path in files] == [b"years"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("out", ["a.npy", "a.parquet", "hub"])
def test_a_command_that_is_terminated_leaves_nothing(
    out: str,
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(os, "fsync", lambda _: signal.raise_signal(signal.SIGTERM))
    form = ["--format", "hf"] if out == "hub" else []
    assert cli.main(["export", str(store.path), "--out", str(tmp_path / out), *form]) == 143
    assert "stopped at once" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["store"]
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_the_command(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "new" / "a.npy"
    assert cli.main(["export", str(store.path), "--out", str(path)]) == 0
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == (f"{path}: predicted of 7 runs on cifar10, 2 kB\n", "")
    labels = tmp_path / "labels.npy"
    assert cli.main(["export", str(store.path), "--out", str(labels), "--column", "labels"]) == 0
    assert capsys.readouterr().out == f"{labels}: labels on cifar10, 0 kB\n"
    assert (
        cli.main(["export", str(store.path), "--out", str(tmp_path / "hub"), "--format", "hf", "--json"]) == 0
    )
    document = json.loads(capsys.readouterr().out)
    assert (document["format"], document["runs"], document["test_sets"]) == ("hf", 7, ["cifar10"])
    assert [Path(file["path"]).name for file in document["files"]] == [
        "README.md",
        "labels.parquet",
        "runs.parquet",
    ]
    assert cli.main(["export", str(store.path), "--out", str(path)]) == 2
    assert "is there already; nothing was written" in capsys.readouterr().err


def test_the_options_are_those_of_the_package() -> None:
    assert tuple(FORMATS) == command.FORMATS
    assert COLUMNS == command.COLUMNS
