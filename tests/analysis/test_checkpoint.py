"""Statistics that were kept are used when they are of these runs, and passed over with a reason when not."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from airbench_var.analysis import LiveStatistics, analyze, follow, live
from airbench_var.analysis.checkpoint import FILE
from airbench_var.store import Store, repair
from tests.analysis.test_live import LATE, RUNS, N, outcome, writer


@pytest.fixture(autouse=True)
def worth_keeping(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "ROWS_WORTH_KEEPING", 1)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "store"
    with writer(path) as open_writer:
        open_writer.commit([outcome(run_id) for run_id in range(RUNS) if run_id != LATE])
    return path


@pytest.fixture
def rows_read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The ids of all rows that are read while the test runs."""
    read: list[int] = []
    all_blocks = Store.all_blocks

    def recorded(self: Store, run_ids: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> Iterator[object]:
        read.extend(run_ids.tolist())
        yield from all_blocks(self, run_ids)

    monkeypatch.setattr(Store, "all_blocks", recorded)
    return read


def keep(path: Path) -> LiveStatistics:
    store = Store.open(path)
    statistics = LiveStatistics.of_store(store)
    assert statistics.keep(store) == ""
    return statistics


def test_rows_are_counted_once_and_the_analysis_is_the_same(store: Path, rows_read: list[int]) -> None:
    whole = analyze(store).to_json()
    keep(store)
    rows_read.clear()
    assert analyze(store).to_json() == whole
    assert rows_read == []
    with writer(store) as open_writer:
        open_writer.commit([outcome(LATE)])
    statistics = LiveStatistics.of_store(Store.open(store))
    assert rows_read == [LATE]
    assert statistics.note == ""
    (store / FILE).unlink()
    assert statistics.analysis().to_json() == analyze(store).to_json()


def test_few_rows_are_not_worth_a_file(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "ROWS_WORTH_KEEPING", RUNS)
    keep(store)
    assert not (store / FILE).exists()


def test_any_changed_bit_is_noticed(store: Path) -> None:
    whole = analyze(store).to_json()
    keep(store)
    content = (store / FILE).read_bytes()
    rng = np.random.default_rng(0)
    for place in rng.integers(0, len(content), 15):
        changed = bytearray(content)
        changed[place] ^= 1 << int(rng.integers(8))
        (store / FILE).write_bytes(changed)
        statistics = LiveStatistics.of_store(Store.open(store))
        assert statistics.analysis().to_json() == whole
        assert "is passed over, and all rows are counted again: its sha256 differs" in statistics.note


@pytest.mark.parametrize("size", [0, 10, 5000])
def test_a_file_cut_short_is_passed_over(store: Path, size: int) -> None:
    whole = analyze(store).to_json()
    keep(store)
    (store / FILE).write_bytes((store / FILE).read_bytes()[:size])
    statistics = LiveStatistics.of_store(Store.open(store))
    assert "is passed over" in statistics.note
    assert statistics.analysis().to_json() == whole


def test_statistics_of_other_runs_are_passed_over(store: Path, tmp_path: Path) -> None:
    keep(store)
    other = tmp_path / "other"
    with writer(other) as open_writer:  # the same bits in a store of its own
        open_writer.commit([outcome(run_id) for run_id in range(RUNS) if run_id != LATE])
    shutil.copy(store / FILE, other / FILE)
    assert "it is of other runs" in LiveStatistics.of_store(Store.open(other)).note


def test_a_reader_without_the_right_to_write_is_told_and_goes_on(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("airbench_var.analysis.checkpoint.write_new_file", refuse)
    opened = Store.open(store)
    statistics = LiveStatistics.of_store(opened)
    assert "could not be kept" in statistics.keep(opened)
    assert statistics.analysis().to_json() == analyze(store).to_json()


def test_a_follower_reads_each_row_once_and_ends_with_the_campaign(
    tmp_path: Path, rows_read: list[int]
) -> None:
    path = tmp_path / "store"
    batches = [[outcome(i) for i in range(start, min(start + 6, RUNS))] for start in range(0, RUNS, 6)]
    seen = []
    open_writer = writer(path)
    opened = Store.open(path)

    def commit_the_next() -> None:
        if batches:
            open_writer.commit(batches.pop(0))
        else:
            open_writer.close()  # complete, but only now does nobody write

    for statistics in follow(opened, LiveStatistics.of_store(opened), commit_the_next):
        seen.append(statistics.runs)
    assert seen == [0, 6, 11, 17, 19]  # run 6 fails
    assert sorted(rows_read) == [i for i in range(RUNS) if i != 6]
    assert statistics.analysis().to_json() == analyze(path).to_json()
    assert set(N) == set(statistics.states)


def test_a_run_that_a_repair_has_opened_is_not_kept(store: Path) -> None:
    """Somebody follows the store while its row 3 rots and is repaired: it counts there, and nowhere later."""
    opened = Store.open(store)
    following = LiveStatistics.of_store(opened)
    with (store / "cifar10" / "correct.npy").open("r+b") as file:
        file.seek(512 + 3 * 5)
        file.write(bytes(5))
    repair(store)
    assert "a repair has changed some of their runs" in following.keep(opened)
    assert analyze(store).runs == following.runs - 1


def test_a_follower_counts_anew_what_a_repair_and_another_training_have_changed(store: Path) -> None:
    opened = Store.open(store)
    following = LiveStatistics.of_store(opened)
    with (store / "cifar10" / "correct.npy").open("r+b") as file:
        file.seek(512 + 3 * 5)
        file.write(bytes(5))
    repair(store)
    opened.refresh()
    assert following.catch_up(opened) == RUNS - 3  # all of the others: 6 fails, 19 is late, 3 is open
    assert following.runs == RUNS - 3
    other = replace(outcome(3), result=outcome(4).result)  # as from another machine
    with writer(store) as open_writer:
        open_writer.commit([other])
    assert following.catch_up(opened) == 1
    assert following.analysis().to_json() == analyze(store).to_json()
    assert following.keep(opened) == ""
    assert LiveStatistics.of_store(Store.open(store)).note == ""


def test_kept_statistics_of_a_run_that_was_trained_again_with_other_bits_are_passed_over(store: Path) -> None:
    keep(store)
    with (store / "cifar10" / "correct.npy").open("r+b") as file:
        file.seek(512 + 3 * 5)
        file.write(bytes(5))
    repair(store)
    with writer(store) as open_writer:
        open_writer.commit([replace(outcome(3), result=outcome(4).result)])  # as from another machine
    statistics = LiveStatistics.of_store(Store.open(store))
    assert "it is of other runs" in statistics.note
    (store / FILE).unlink()
    assert statistics.analysis().to_json() == analyze(store).to_json()
