"""From a store, from batches as they commit, or both: the same estimates; and no torch on the way."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from airbench_var.analysis import LiveStatistics, analyze, compare, follow, live
from airbench_var.errors import StoreDamagedError, UsageError
from airbench_var.seeds import seeds_of_run
from airbench_var.stats import CampaignState
from airbench_var.store import Outcome, Predictions, RunResult, RunSpec, Store, StoreWriter, describe_test_set

N, RUNS = {"cifar10": 37, "cifar10-tta": 37}, 20
FAILED, DIVERGED, LATE = 6, 9, 19  # run ids; the last is never trained


def correct_RN(test_set: str) -> npt.NDArray[np.bool_]:
    rng = np.random.default_rng(len(test_set))
    return rng.random((RUNS, N[test_set])) < rng.random(N[test_set])


def outcome(run_id: int) -> Outcome:
    spec = RunSpec(run_id=run_id, seeds=seeds_of_run(0, run_id))
    if run_id == FAILED:
        return Outcome(spec=spec, worker=0, failure="out of memory")
    right = {name: correct_RN(name)[run_id] for name in N}  # every label is 0, so the right class is 0
    predictions = {
        name: Predictions(correct=np.packbits(right_N, bitorder="little"), predicted=np.uint8(1) - right_N)
        for name, right_N in right.items()
    }
    result = RunResult(predictions=predictions, loss=1.0, diverged=run_id == DIVERGED, train_s=1.0)
    return Outcome(spec=spec, worker=0, result=result)


def writer(path: Path, provenance: dict[str, str] | None = None) -> StoreWriter:
    labels = {name: np.zeros(n, np.uint8) for name, n in N.items()}
    test_sets = [describe_test_set(name, labels_N, ("a", "b")) for name, labels_N in labels.items()]
    identity = {"test_sets": test_sets, "columns": ["correct", "predicted"]}
    return StoreWriter.open(
        path, identity=identity, labels=labels, provenance=provenance or {}, capacity=RUNS
    )


def nothing() -> dict[str, CampaignState]:
    return {name: CampaignState.empty("", n, np.zeros(n, np.uint8), 2) for name, n in N.items()}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "store"
    with writer(path) as open_writer:
        open_writer.commit([outcome(run_id) for run_id in range(RUNS) if run_id != LATE])
    return path


def test_a_store_is_analyzed_from_its_committed_rows_alone(store: Path) -> None:
    analysis = analyze(store)
    assert (analysis.runs, analysis.diverged, analysis.failed) == (RUNS - 2, 1, 1)
    assert [summary.name for summary in analysis.test_sets] == list(N)
    committed = [run_id for run_id in range(RUNS) if run_id not in (FAILED, LATE)]
    for summary in analysis.test_sets:
        accuracy_R = correct_RN(summary.name)[committed].mean(axis=1)
        assert summary.estimates["mean_accuracy"].value == pytest.approx(accuracy_R.mean(), rel=1e-12)
        assert summary.estimates["test_set_variance"].value == pytest.approx(
            accuracy_R.var(ddof=1), rel=1e-12
        )
    assert analyze(Store.open(store)).to_json() == analysis.to_json()


@pytest.mark.parametrize("at_once", [1, 4, live.ROWS_AT_ONCE])
def test_batches_in_any_order_give_what_the_store_gives(
    store: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    """However many are counted together: the same estimates, from a state of the same bytes."""
    monkeypatch.setattr(live, "ROWS_AT_ONCE", at_once)
    order = [int(i) for i in np.random.default_rng(0).permutation(RUNS) if i != LATE]
    statistics = LiveStatistics(nothing())
    for start in range(0, len(order), 3):
        statistics.update([outcome(run_id) for run_id in order[start : start + 3]])
        assert len(statistics._waiting) < at_once
    assert statistics.analysis().to_json() == analyze(store).to_json()
    whole = LiveStatistics.of_store(Store.open(store))
    for name, state in statistics.states.items():
        for key, array in state.to_arrays().items():
            np.testing.assert_array_equal(array, whole.states[name].to_arrays()[key], key)


def test_statistics_go_on_from_a_store_as_after_a_resume(store: Path) -> None:
    growing = LiveStatistics.of_store(Store.open(store))
    growing.update([outcome(LATE)])
    with writer(store) as open_writer:
        open_writer.commit([outcome(LATE)])
    assert growing.analysis().to_json() == analyze(store).to_json()
    assert growing.analysis().runs == RUNS - 1


def test_a_run_delivered_twice_counts_once_and_a_result_replaces_a_failure() -> None:
    growing = LiveStatistics(nothing())
    growing.update([outcome(1), outcome(2), outcome(1)])
    growing.update([outcome(2), outcome(FAILED)])
    assert (growing.analysis().runs, growing.analysis().failed) == (2, 1)
    recovered = outcome(3)
    growing.update([Outcome(spec=outcome(FAILED).spec, worker=1, result=recovered.result)])
    assert (growing.analysis().runs, growing.analysis().failed) == (3, 0)
    growing.update([outcome(FAILED)])
    assert (growing.analysis().runs, growing.analysis().failed) == (3, 0)


def test_an_empty_store_has_an_analysis(tmp_path: Path) -> None:
    writer(tmp_path / "store").close()
    document = analyze(tmp_path / "store").to_json()
    assert document["runs"] == 0
    assert document["test_sets"]["cifar10"]["estimates"]["mean_accuracy"]["value"] is None


def test_a_test_set_is_found_by_its_name(store: Path) -> None:
    analysis = analyze(store)
    assert analysis["cifar10-tta"] is analysis.test_sets[1]
    assert repr(analysis).startswith("<Analysis of 18 runs on cifar10, cifar10-tta; ")
    assert repr(Store.open(store)) == f"<Store {store}: room for 20 runs on cifar10, cifar10-tta>"
    with pytest.raises(UsageError, match=r"no test set 'tta'; the runs were tested on cifar10, cifar10-tta"):
        analysis["tta"]


def test_json_document(store: Path) -> None:
    document = analyze(store).to_json()
    assert list(document) == ["schema", "runs", "diverged", "failed", "test_sets"]
    assert json.loads(json.dumps(document, allow_nan=False)) == document


def test_runs_that_were_trained_until_they_showed_something_come_with_a_warning(store: Path) -> None:
    path = store.parent / "stopped"
    provenance = {"stopping": "t-mixture: as many as it takes"}
    with writer(path, provenance) as open_writer:
        open_writer.commit([outcome(0), outcome(1)])
    for summary in analyze(path).test_sets:
        assert any("was not fixed beforehand (t-mixture" in warning for warning in summary.warnings)
    for compared in compare(path, store).values():
        assert not [one.name for one in compared.estimates.values() if one.interval or not one.absent]
        assert not compared.p_values
        assert any("was not fixed beforehand" in warning for warning in compared.warnings)
    opened = Store.open(path)
    statistics = LiveStatistics.of_store(opened)
    assert len(list(follow(opened, statistics, wait=lambda: pytest.fail("it waits")))) == 1
    assert not any("beforehand" in w for summary in analyze(store).test_sets for w in summary.warnings)


@pytest.mark.parametrize("provenance", [{"shard": "0/2"}, {"merged": "[]"}])
def test_what_is_not_all_of_a_campaign_is_followed_until_nobody_writes(
    provenance: dict[str, str], tmp_path: Path
) -> None:
    """Its other runs are open for ever."""
    with writer(tmp_path, provenance) as open_writer:
        open_writer.commit([outcome(0), outcome(2)])
    opened = Store.open(tmp_path)
    statistics = LiveStatistics.of_store(opened)
    assert len(list(follow(opened, statistics, wait=lambda: pytest.fail("it waits")))) == 1
    assert not any("beforehand" in w for summary in analyze(tmp_path).test_sets for w in summary.warnings)


def test_a_damaged_row_is_never_analyzed(store: Path) -> None:
    path = store / "cifar10" / "correct.npy"
    content = bytearray(path.read_bytes())
    content[-50] ^= 1  # five bytes a row: ten rows before the end of the file
    path.write_bytes(content)
    with pytest.raises(StoreDamagedError, match=r"cifar10/correct\.npy: run 10 "):
        analyze(store)


def test_no_store_is_a_named_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such store"):
        analyze(tmp_path / "nothing")


def test_importing_the_analysis_and_the_report_loads_no_torch() -> None:
    program = (
        "import sys, airbench_var.analysis, airbench_var.report; "
        "print('torch' in sys.modules, 'scipy.stats' in sys.modules)"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout
    assert printed.split() == ["False", "False"]
