"""Merged stores: every byte as in one campaign, everything refused before the first is written."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from airbench_var.analysis import analyze
from airbench_var.errors import StorageError, StoreDamagedError, StoreRefusedError, UsageError
from airbench_var.store import Outcome, Store, damage, merge, merging, repair, verify
from airbench_var.store.merging import Piece, progressions
from airbench_var.store.writer import StoreWriter

from .fake_campaign import (
    IDENTITY,
    PROVENANCE,
    failure,
    matrix_bytes,
    open_writer,
    outcome,
    run_campaign,
    with_other_predictions,
    with_other_seeds,
)
from .test_create import everything_in
from .test_verification import change_row

pytestmark = pytest.mark.usefixtures("syncs_take_no_time")

RUNS = 22  # no multiple of 3 or 7


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(damage, "RECHECK_S", 0)
    monkeypatch.setattr(merging, "BLOCK_RUNS", 3)


def told_apart(run_id: int) -> Outcome:
    """Return a run of which no field of the record has the value that it has in another."""
    given = outcome(run_id, attempt=1 + run_id, worker=70_000 + run_id)
    assert given.result is not None
    return replace(given, result=replace(given.result, train_s=0.25 + run_id))


def shard(path: Path, part: int = 0, of: int = 1, runs: int = RUNS, without: Iterable[int] = ()) -> Path:
    """Make the store of one shard."""
    own = range(part, runs, of)
    with open_writer(path, runs, own=own, provenance=PROVENANCE | {"shard": f"{part}/{of}"}) as writer:
        writer.commit([told_apart(run_id) for run_id in own if run_id not in without])
    return path


def shards(folder: Path, m: int) -> list[Path]:
    return [shard(folder / f"shard-{part}", part, m) for part in range(m)]


def records(store: Path) -> bytes:
    """Return all records without the checksum, which covers the uuid of the store."""
    found = Store.open(store).records()
    found["crc"] = 0
    return found.tobytes()


@pytest.mark.parametrize("m", [1, 3, 7])
def test_shards_together_are_the_one_campaign(m: int, tmp_path: Path) -> None:
    whole = shard(tmp_path / "whole")
    sources = shards(tmp_path, m)
    before = [everything_in(source) for source in sources]
    merged = merge(sources, tmp_path / "out")
    assert (merged.runs, merged.committed, merged.failed, merged.open) == (RUNS, RUNS, 0, ())
    assert [source.added for source in merged.sources] == [len(range(part, RUNS, m)) for part in range(m)]
    assert [everything_in(source) for source in sources] == before
    assert matrix_bytes(tmp_path / "out") == matrix_bytes(whole)
    assert records(tmp_path / "out") == records(whole)
    assert analyze(tmp_path / "out").to_json() == analyze(whole).to_json()
    assert verify(tmp_path / "out").faults == ()


def test_the_same_command_again_does_nothing(tmp_path: Path) -> None:
    sources = shards(tmp_path, 3)
    first = merge(sources, tmp_path / "out")
    before = everything_in(tmp_path / "out")
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    again = merge(sources, tmp_path / "out")
    assert sum(source.added for source in again.sources) == 0
    assert (again.committed, again.open) == (first.committed, first.open)
    assert everything_in(tmp_path / "out") == before
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")} == times


def test_what_was_trained_since_is_added(tmp_path: Path) -> None:
    """Also where a source has become longer, and another is new."""
    early = shard(tmp_path / "0", 0, 2, runs=8, without=[2, 6])
    merged = merge([early], tmp_path / "out")
    assert (merged.runs, merged.committed) == (8, 2)
    assert merged.open == (range(1, 4), range(5, 8))
    sources = shards(tmp_path / "late", 2)
    merged = merge([early, *sources], tmp_path / "out")
    assert (merged.runs, merged.committed, merged.open) == (RUNS, RUNS, ())
    assert [source.added for source in merged.sources] == [0, 9, 11]
    whole = shard(tmp_path / "whole")
    assert matrix_bytes(tmp_path / "out") == matrix_bytes(whole)
    assert records(tmp_path / "out") == records(whole)


def test_a_store_with_room_for_more_makes_room(tmp_path: Path) -> None:
    merge([shard(tmp_path / "a", runs=4)], tmp_path / "out")
    open_writer(tmp_path / "b", 9).close()
    merged = merge([tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    assert (merged.runs, merged.committed, merged.open) == (9, 4, (range(4, 9),))
    assert Store.open(tmp_path / "out").capacity == 9
    assert merge([tmp_path / "a"], tmp_path / "out").open == (range(4, 9),)


def test_runs_that_two_stores_have_alike_are_one(tmp_path: Path) -> None:
    """What is only history may differ: then the first store has it."""
    shard(tmp_path / "a", without=[0, 1, 2, 3])
    run_campaign(tmp_path / "b", 8)
    merged = merge([tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    assert [source.added for source in merged.sources] == [RUNS - 4, 4]
    assert (merged.committed, merged.open) == (RUNS, ())
    workers = Store.open(tmp_path / "out").records()["worker"].tolist()
    assert workers == [0] * 4 + [70_000 + run_id for run_id in range(4, RUNS)]
    merge([tmp_path / "b", tmp_path / "a"], tmp_path / "other")
    assert Store.open(tmp_path / "other").records()["worker"].tolist() == [0] * 8 + workers[8:]


def test_failed_here_and_committed_there_is_committed(tmp_path: Path) -> None:
    for name, outcomes in (
        ("a", [failure(0), outcome(1), failure(2)]),
        ("b", [outcome(0), failure(1), replace(failure(2), worker=9), failure(4)]),
    ):
        with open_writer(tmp_path / name, 5) as writer:
            writer.commit(outcomes)
    merged = merge([tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    assert (merged.committed, merged.failed, merged.open) == (2, 2, (range(3, 4),))
    store = Store.open(tmp_path / "out")
    assert store.committed_ids().tolist() == [0, 1]
    assert store.failed_ids().tolist() == [2, 4]
    assert store.records([2])["worker"] == [0]
    assert store.records([2])["attempt"] == [3]
    assert [source.added for source in merged.sources] == [2, 2]

    with open_writer(tmp_path / "c", 5) as writer:
        writer.commit([outcome(2), failure(3)])
    with open_writer(tmp_path / "expected", 5) as writer:
        writer.commit([outcome(0), outcome(1), outcome(2), failure(3), failure(4)])
    merged = merge([tmp_path / "c", tmp_path / "a"], tmp_path / "out")
    assert (merged.committed, merged.failed, merged.open) == (3, 2, ())
    assert records(tmp_path / "out") == records(tmp_path / "expected")
    assert matrix_bytes(tmp_path / "out") == matrix_bytes(tmp_path / "expected")


def changed(store: Path, **identity: object) -> Path:
    with open_writer(store, 4, identity=IDENTITY | identity) as writer:
        writer.commit([outcome(3)])
    return store


def damaged(folder: Path, file: str, run_id: int) -> Path:
    change_row(shard(folder / "bad", 1, 2), file, run_id)
    return folder / "bad"


def with_one_other(folder: Path, other: Callable[[int], Outcome]) -> Path:
    with open_writer(folder / "bad", RUNS) as writer:
        writer.commit([outcome(0), other(20)])
    return folder / "bad"


REFUSALS: dict[str, tuple[Callable[[Path], Path], type[Exception], str]] = {
    "seed": (lambda f: changed(f / "bad", seed=7), StoreRefusedError, r"seed: 1 in .*good, 7 in .*bad"),
    "recipe": (
        lambda f: changed(f / "bad", recipe={"name": "fake", "epochs": 9.0}),
        StoreRefusedError,
        r"recipe\.epochs: 8\.0 in .*good, 9\.0 in .*bad",
    ),
    "vary": (lambda f: changed(f / "bad", vary=["init"]), StoreRefusedError, r"vary: .* in .*bad"),
    "columns": (lambda f: changed(f / "bad", columns=["correct"]), StoreRefusedError, "columns: "),
    "row": (lambda f: damaged(f, "beta-tta/predicted.npy", 13), StoreDamagedError, r"bad/beta.*: run 13"),
    "record": (lambda f: damaged(f, "runs.npy", 4), StoreDamagedError, r"bad/runs\.npy: run 4"),
    "predictions": (
        lambda f: with_one_other(f, with_other_predictions),
        StoreRefusedError,
        r"(good|out) and .*bad both have run 20, with other predictions",
    ),
    "seeds": (
        lambda f: with_one_other(f, with_other_seeds),
        StoreRefusedError,
        r"(good|out) and .*bad both have run 20, with other predictions or seeds",
    ),
    "missing": (lambda f: f / "none", UsageError, "no such store"),
}


@pytest.mark.parametrize("there", [False, True])
@pytest.mark.parametrize("name", REFUSALS)
def test_what_does_not_fit_is_named_and_nothing_is_written(name: str, there: bool, tmp_path: Path) -> None:
    make, error, message = REFUSALS[name]
    good, bad = shard(tmp_path / "good", 0, 2), make(tmp_path)
    if there:
        merge([good], tmp_path / "out")
        shard(good, 1, 2, without=range(4, RUNS))  # news, which must not get in
    before = everything_in(tmp_path)
    with pytest.raises(error, match=message):
        merge([good, bad], tmp_path / "out")
    assert everything_in(tmp_path) == before


def test_a_conflict_with_what_was_merged_before_is_named(tmp_path: Path) -> None:
    merge([shard(tmp_path / "good", 0, 2)], tmp_path / "out")
    bad = with_one_other(tmp_path, with_other_predictions)
    before = everything_in(tmp_path)
    with pytest.raises(StoreRefusedError, match=r"out and .*bad both have run 20"):
        merge([bad], tmp_path / "out")
    assert everything_in(tmp_path) == before


@pytest.mark.parametrize("out", ["a", "a/below", "link"])
def test_a_source_is_not_merged_into_itself(out: str, tmp_path: Path) -> None:
    sources = [shard(tmp_path / name, part, 2) for part, name in enumerate("ab")]
    (tmp_path / "link").symlink_to("b")
    before = everything_in(tmp_path)
    with pytest.raises(UsageError, match="one of the stores to be merged"):
        merge(sources, tmp_path / out)
    assert everything_in(tmp_path) == before


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    source = shard(tmp_path / "a")
    changed(tmp_path / "other", seed=7)
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "thesis.tex").write_text("years")
    before = everything_in(tmp_path)

    def read_no_row(pieces: Sequence[Piece], name: str) -> Sequence[Piece]:
        pytest.fail("gigabytes are read before it is refused")

    with pytest.raises(StoreRefusedError, match=r"it holds thesis\.tex"):
        merge([source], tmp_path / "theirs", read_no_row)
    with pytest.raises(StoreRefusedError, match=r"a and .*other are not of one campaign"):
        merge([source], tmp_path / "other", read_no_row)
    assert everything_in(tmp_path) == before


def test_runs_that_were_trained_until_they_showed_something_stay_apart(tmp_path: Path) -> None:
    open_writer(tmp_path / "a", 3).close()
    open_writer(tmp_path / "b", 3, provenance=PROVENANCE | {"stopping": "as many as it takes"}).close()
    with pytest.raises(StoreRefusedError, match=r"stopping: absent in .*a, .as many as it takes. in .*b"):
        merge([tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    merge([tmp_path / "b"], tmp_path / "out")
    assert Store.open(tmp_path / "out").manifest.provenance["stopping"] == "as many as it takes"


def test_another_writer_of_the_store_is_waited_for_by_nobody(tmp_path: Path) -> None:
    source = shard(tmp_path / "a")
    with open_writer(tmp_path / "out", 2), pytest.raises(StoreRefusedError, match="is writing"):
        merge([source], tmp_path / "out")
    assert Store.open(tmp_path / "out").committed_ids().tolist() == []


def test_sources_may_be_written_to_at_the_same_moment(tmp_path: Path) -> None:
    """What is committed between the two passes is left for the next merge."""
    with open_writer(tmp_path / "a", 9) as writer:
        writer.commit([outcome(run_id) for run_id in range(5)])

        def commit_more(pieces: Sequence[Piece], name: str) -> Sequence[Piece]:
            if name == "merging":
                writer.commit([outcome(7)])
            return pieces

        merged = merge([tmp_path / "a"], tmp_path / "out", commit_more)
        assert (merged.committed, merged.open) == (5, (range(5, 9),))
        merged = merge([tmp_path / "a"], tmp_path / "out")
    assert (merged.committed, merged.open) == (6, (range(5, 7), range(8, 9)))


def test_what_is_read_at_a_time_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    passes: dict[str, list[int]] = {}

    def noting(pieces: Sequence[Piece], name: str) -> Sequence[Piece]:
        passes[name] = [len(piece.run_ids) for piece in pieces]
        return pieces

    monkeypatch.setattr(merging, "BLOCK_RUNS", 1000)
    monkeypatch.setattr(merging, "BLOCK_BYTES", 5 * (13 + 2 + 600 + 75))
    merge([shard(tmp_path / "a")], tmp_path / "out", noting)
    assert passes == {name: [5, 5, 5, 5, 2] for name in ("checking", "merging")}
    merge([tmp_path / "a"], tmp_path / "out", noting)
    assert passes["merging"] == [5, 5, 5, 5, 2]  # there was no second pass
    monkeypatch.setattr(merging, "BLOCK_BYTES", 1)
    merge([tmp_path / "a"], tmp_path / "again", noting)
    assert passes["merging"] == [1] * RUNS


def test_a_kill_anywhere_and_the_same_command(tmp_path: Path) -> None:
    script = [sys.executable, "-m", "tests.store.merge_killed", str(tmp_path)]
    done = subprocess.run(script, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True)
    report = json.loads(done.stdout)
    assert report["wrong"] == []
    assert report["kills"] > 50
    assert {0, 2, 3, 5} <= set(report["committed"])


def test_a_full_disk_in_the_middle_keeps_what_is_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources, left = shards(tmp_path, 2), [True, True, False]
    commit = StoreWriter.commit_records

    def fails_at_the_third(self: StoreWriter, *args: object) -> None:
        if not left.pop(0):
            raise StorageError("no space left on device")
        commit(self, *args)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(StoreWriter, "commit_records", fails_at_the_third)
        with pytest.raises(StorageError):
            merge(sources, tmp_path / "out")
    assert Store.open(tmp_path / "out").committed_ids().tolist() == [0, 2, 4, 6, 8, 10]
    assert sum(source.added for source in merge(sources, tmp_path / "out").sources) == RUNS - 6
    assert matrix_bytes(tmp_path / "out") == matrix_bytes(shard(tmp_path / "whole"))


def test_the_same_command_fills_what_a_repair_has_opened(tmp_path: Path) -> None:
    sources = shards(tmp_path, 3)
    merge(sources, tmp_path / "out")
    before, of_records = matrix_bytes(tmp_path / "out"), records(tmp_path / "out")
    change_row(tmp_path / "out", "beta-tta/correct.npy", 5)
    (tmp_path / "out/alpha/labels.npy").unlink()
    assert repair(tmp_path / "out").reopened == (5,)
    assert [source.added for source in merge(sources, tmp_path / "out").sources] == [0, 0, 1]
    assert matrix_bytes(tmp_path / "out") == before
    assert records(tmp_path / "out") == of_records
    assert verify(tmp_path / "out").faults == ()


def test_where_the_runs_are_from(tmp_path: Path) -> None:
    sources = shards(tmp_path, 2)
    merge(sources[:1], tmp_path / "out")
    merge(sources, tmp_path / "out")
    merge(sources, tmp_path / "out")
    manifests = [Store.open(path).manifest for path in (*sources, tmp_path / "out")]
    uuids = [str(manifest.uuid) for manifest in manifests]
    assert len(set(uuids)) == 3
    provenance = dict(manifests[-1].provenance)
    assert provenance.pop("merged") == [{"path": str(sources[0]), "uuid": uuids[0], "runs": 11}]
    assert provenance.pop("filesystem")
    assert provenance == PROVENANCE
    events = [json.loads(line) for line in (tmp_path / "out/events.jsonl").read_text().splitlines()]
    assert [(e["kind"], e["source"], e["uuid"], e["runs"]) for e in events] == [
        ("merge", str(source), uuid, 11) for source, uuid in zip(sources, uuids[:2], strict=True)
    ]


def test_what_may_change_bits_and_is_not_the_same_is_noted(tmp_path: Path) -> None:
    open_writer(tmp_path / "a", 3).close()
    for name in "bc":
        open_writer(tmp_path / name, 3, provenance=PROVENANCE | {"device": f"GPU {name}"}).close()
    merged = merge([tmp_path / name for name in "abc"], tmp_path / "out")
    assert merged.notes == (f"device of {tmp_path}/a is none, of {tmp_path}/b GPU b",)
    assert merge([tmp_path / "a"], tmp_path / "out").notes == ()


def test_a_copy_of_a_source_can_be_gone_on_with(tmp_path: Path) -> None:
    """Its holes get their rows, and it keeps its uuid."""
    sources = shards(tmp_path, 2)
    shutil.copytree(sources[0], tmp_path / "out")
    merged = merge(sources, tmp_path / "out")
    assert [source.added for source in merged.sources] == [0, 11]
    assert matrix_bytes(tmp_path / "out") == matrix_bytes(shard(tmp_path / "whole"))
    assert verify(tmp_path / "out").faults == ()


@pytest.mark.parametrize(
    ("ids", "ranges"),
    [
        ([], []),
        ([4], [range(4, 5)]),
        ([4, 5], [range(4, 6)]),
        ([4, 6], [range(4, 5), range(6, 7)]),
        ([3, 7, 11], [range(3, 12, 4)]),
        ([0, 5, 6, 7], [range(1), range(5, 8)]),
        ([1, 2, 3, 103, 203, 303, 304], [range(1, 4), range(103, 304, 100), range(304, 305)]),
    ],
)
def test_ids_in_few_ranges(ids: list[int], ranges: list[range]) -> None:
    found = list(progressions(np.array(ids, np.int64)))
    assert found == ranges
    assert [run_id for some in found for run_id in some] == ids
