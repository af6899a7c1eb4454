"""What the store is measured against keeps the same rows, and nothing is left behind."""

import io
import os
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

import bench.cases
from airbench_var.errors import UsageError
from airbench_var.store import StoreWriter
from bench import keeping, store
from bench.cases import CASES, Options
from bench.keeping import FakeRuns, Turns, Way, by_memmap, by_npz, by_one_write, by_store
from bench.schema import Case, Ceiling, CheckFailedError, Result, copying, measure
from bench.store import SMALL, cases, commit_case, folder_in_memory, resume_case, stored_cases
from bench.table import print_table

CPU = torch.device("cpu")
ON_DISK = ["commit 4 runs, disk", "one run at a time, disk", "resume a store of 50 runs, disk"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder and memory of the test's own, where syncs take no time."""
    (tmp_path / "shm").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(store, "SHARED_MEMORY", tmp_path / "shm")
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(os, "fdatasync", lambda _: None)
    return tmp_path


@pytest.fixture
def runs() -> FakeRuns:
    return FakeRuns.draw(SMALL.examples, SMALL.batch)


@contextmanager
def first_of(found: Iterator[Case]) -> Iterator[Case]:
    """The first case, whose files are there until the end."""
    yield next(found)
    found.close()  # type: ignore[attr-defined]


def left_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_all_that_is_compared_agrees_and_nothing_is_left(here: Path) -> None:
    rows = [measure(case, CPU, repeats=1, warm_up=0) for case in cases(CPU, SMALL)]
    assert [[row.variant for row in variants] for variants in rows] == [
        ["ours", "npz per run", "memmap", "one write"],
        ["ours", "resume", "read"],
        ["ours", "plain", "read + crc32"],
        ["ours", "npz per run", "memmap", "one write"],
        ["ours", "npz per run", "memmap", "one write"],
        ["ours", "plain", "read"],
    ]
    row_bytes = 6 + 43 + 128
    assert [(ours.bytes_moved, ours.items, ours.item) for ours, *_ in rows] == [
        (4 * row_bytes, 4, "runs"),
        (512 + 10 * 128, 0, ""),
        (10 * row_bytes, 10 * row_bytes, "bytes"),
        (4 * row_bytes, 4, "runs"),
        (row_bytes, 1, "runs"),
        (512 + 50 * 128, 50, "runs"),
    ]
    assert left_in(here) == ["shm"]


def test_without_shared_memory_the_disk_alone_is_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(store, "SHARED_MEMORY", Path("nowhere"))
    assert [case.name.split(" (")[0] for case in cases(CPU, SMALL)] == ON_DISK
    assert "Skipped commits to tmpfs, open and verify: nowhere has 0 MB free" in capsys.readouterr().out


def test_too_little_shared_memory_is_left_alone(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with folder_in_memory(10**18) as folder:
        assert folder is None
        assert left_in(here) == ["shm"]
    assert "MB free of 1,000,000,000,000 MB" in capsys.readouterr().out


@pytest.mark.parametrize("failing", range(6))
@pytest.mark.parametrize("error", [CheckFailedError("differs"), OSError("no room")])
def test_an_error_leaves_nothing(
    here: Path, monkeypatch: pytest.MonkeyPatch, failing: int, error: Exception
) -> None:
    measured: list[str] = []

    def fail_at_last(case: Case, *_: Any) -> list[Any]:
        measured.append(case.name)
        if len(measured) > failing:
            assert "bench-" in " ".join(left_in(here))
            raise error
        return []

    monkeypatch.setattr(bench.cases, "measure", fail_at_last)
    with pytest.raises(type(error), match=str(error)):
        list(CASES["store"](Options(device=CPU, small=True)))
    assert left_in(here) == ["shm"]


def test_what_others_have_in_runs_stays(here: Path) -> None:
    (here / "runs" / "mine").mkdir(parents=True)
    assert len(list(cases(CPU, SMALL))) == 6
    assert left_in(here) == ["runs", "runs/mine", "shm"]


@pytest.mark.parametrize("way", [by_store, by_npz, by_memmap])
def test_each_call_keeps_the_next_batch_and_a_full_folder_is_followed_by_a_new_one(
    here: Path, runs: FakeRuns, monkeypatch: pytest.MonkeyPatch, way: Way
) -> None:
    monkeypatch.setattr(keeping, "BATCHES", 3)
    with closing(Turns(way, here / "shm", runs)) as turns:
        folders = []
        for _ in range(7):
            turns.prepare()
            correct_Rb, predicted_RN = turns()()
            np.testing.assert_array_equal(correct_Rb, runs.correct_Rb)
            np.testing.assert_array_equal(predicted_RN, runs.predicted_RN)
            [folder] = (here / "shm").iterdir()
            folders.append(folder)
        assert [folders.count(folder) for folder in dict.fromkeys(folders)] == [3, 3, 1]
    assert left_in(here) == ["shm"]


def test_the_ceiling_writes_each_time_where_nothing_was(here: Path, runs: FakeRuns) -> None:
    with closing(Turns(by_one_write, here / "shm", runs)) as turns:
        for calls in (1, 2):
            turns.prepare()
            turns()
            [file] = (here / "shm").rglob("file")
            nonzero = np.flatnonzero(np.frombuffer(file.read_bytes(), np.uint8))
            assert nonzero[-1] // (4 * runs.row_bytes) == calls - 1


@pytest.mark.parametrize(("step", "name"), [("_save_npz", "npz per run"), ("_flush", "memmap")])
def test_a_way_that_keeps_other_rows_gets_no_number(
    here: Path, runs: FakeRuns, monkeypatch: pytest.MonkeyPatch, step: str, name: str
) -> None:
    keep = getattr(keeping, step)

    def keep_one_wrong(*given: Any) -> None:
        runs.predicted_RN[2, 7] ^= 1
        keep(*given)
        runs.predicted_RN[2, 7] ^= 1

    monkeypatch.setattr(keeping, step, keep_one_wrong)
    with (
        first_of(commit_case("commit", "here", here / "shm", runs)) as case,
        pytest.raises(ValueError, match=f"commit 4 runs, here: {name} and ours differ"),
    ):
        measure(case, CPU, repeats=1)


def test_a_store_that_keeps_nothing_gets_no_number(
    here: Path, runs: FakeRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StoreWriter, "commit", lambda self, outcomes: None)
    with (
        first_of(commit_case("commit", "here", here / "shm", runs)) as case,
        pytest.raises(UsageError, match="run 0 is not committed"),
    ):
        measure(case, CPU, repeats=1)


def test_what_the_verifiers_find_is_compared(here: Path, runs: FakeRuns) -> None:
    opened, verified = stored_cases(here / "store", runs, 10)
    predicted = np.load(here / "store" / "test" / "predicted.npy", mmap_mode="r+")
    predicted[7, 3] ^= 1
    for variant in verified.variants.values():
        assert variant()[0].tolist() == [10, 1]  # type: ignore[index, union-attr]
    (here / "store" / "manifest.copy.json").unlink()  # what the plain one does not look at
    with pytest.raises(ValueError, match="verify a store of 10 runs: plain and ours differ"):
        measure(verified, CPU, repeats=1)
    measure(opened, CPU, repeats=1)


def test_run_ids_that_differ_get_no_number(
    here: Path, runs: FakeRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, _ = stored_cases(here / "store", runs, 10)
    monkeypatch.setattr(StoreWriter, "open_ids", lambda self, n_runs: [n_runs - 1])
    with pytest.raises(ValueError, match="open a store of 10 runs: resume and ours differ"):
        measure(opened, CPU, repeats=1)


def test_a_resumed_store_has_its_last_run_where_numpy_finds_it(
    here: Path, runs: FakeRuns, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = resume_case(here / "store", runs, 2000, 6)
    open_R, committed_R, _, predicted_RN = case.variants["ours"]()()  # type: ignore[operator]
    assert committed_R.tolist() == [0, 399, 799, 1199, 1599, 1999]
    assert len(open_R) == 2000 - 6
    np.testing.assert_array_equal(predicted_RN[5], runs.predicted_RN[1])  # the second of its batch of 4
    matrix = here / "store" / "test" / "predicted.npy"
    assert 512 * matrix.stat().st_blocks < matrix.stat().st_size  # holes
    measure(case, CPU, repeats=1)

    load_rows = store.load_rows
    monkeypatch.setattr(store, "load_rows", lambda files, rows: load_rows(files, [*rows[:-1], rows[-1] - 1]))
    with pytest.raises(ValueError, match="plain and ours differ"):
        measure(case, CPU, repeats=1)


def test_preparing_and_fetching_come_before_and_after_what_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    now_s = 0.0

    def take(what: str, seconds: float) -> None:
        nonlocal now_s
        done.append(what)
        now_s += seconds

    def fetched() -> Result:
        take("fetch", 1000)
        return (torch.ones(2),)

    def ours() -> Callable[[], Result]:
        take("ours", 1)
        return fetched

    monkeypatch.setattr(time, "perf_counter", lambda: now_s)
    case = Case(
        name="a case",
        variants={"ours": ours},
        bytes_moved=1,
        ceiling=Ceiling(name="best", run=lambda: take("best", 0.5)),
        prepare={"ours": lambda: take("ready", 10), "best": lambda: take("set", 100)},
    )
    rows = measure(case, CPU, repeats=1, warm_up=0)
    assert done == ["ready", "ours", "fetch", "set", "best", "ready", "ours", "set", "best"]
    assert [(row.first, row.p50) for row in rows] == [(1000, 1000), (500, 500)]


@pytest.mark.parametrize(
    ("items", "item", "shown"),
    [
        (64, "runs", "ours: 32,000 runs per second (p50)"),
        (10**9, "bytes", "ours: 500,000 MB per second (p50)"),
    ],
)
def test_the_table_is_followed_by_the_rate(items: int, item: str, shown: str) -> None:
    ours, best = measure(case_of_items(items, item), CPU, repeats=1)
    text = io.StringIO()
    print_table([replace(ours, rate=ours.rate * ours.p50 / 2), best], Console(file=text, width=80))
    assert shown in text.getvalue()


def test_without_items_there_is_no_rate() -> None:
    text = io.StringIO()
    print_table(measure(case_of_items(0, ""), CPU, repeats=1), Console(file=text, width=80))
    assert "per second" not in text.getvalue()


def case_of_items(items: int, item: str) -> Case:
    return Case(
        name="a case",
        variants={"ours": lambda: (torch.ones(2),)},
        bytes_moved=1000,
        ceiling=copying(1000, CPU),
        items=items,
        item=item,
    )
