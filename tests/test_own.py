import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from airbench_var import analyze, run_many
from airbench_var.errors import StoreRefusedError, UsageError
from airbench_var.execution import Placement
from airbench_var.seeds import Seeds, seeds_of_run
from airbench_var.store import Store

LABELS = np.random.default_rng(0).integers(0, 3, 101)
POOL = Placement(executor="pool", workers=2)


def classes(seeds: Seeds, labels_N: np.ndarray = LABELS) -> np.ndarray:
    """Answer like a run that is right on about 80 %; integers of any width will do."""
    generator = np.random.default_rng(seeds.init)
    return np.where(generator.random(len(labels_N)) < 0.8, labels_N, (labels_N + 1) % 3)


def logits(seeds: Seeds) -> np.ndarray:
    """Answer the same, as logits of which some are equal and some infinite."""
    found = np.full((len(LABELS), 3), -np.inf, np.float32)
    found[np.arange(len(LABELS)), classes(seeds)] = 1.5
    return found


def on_two(seeds: Seeds) -> dict[str, np.ndarray]:
    return {"second": classes(seeds)[:50], "first": classes(seeds)}


def diverges(seeds: Seeds) -> np.ndarray:
    found = logits(seeds)
    if seeds == seeds_of_run(0, 1):
        found[0] = [0, np.nan, 2]
        found[1] = np.nan
    return found


def fails(seeds: Seeds) -> np.ndarray:
    if seeds == seeds_of_run(0, 2):
        raise ZeroDivisionError("mine")
    return classes(seeds)


def matrices(store: Store) -> dict[str, bytes]:
    return {
        str(file.relative_to(store.path)): file.read_bytes() for file in sorted(store.path.glob("*/*.npy"))
    }


def test_a_store_has_what_the_function_answers(tmp_path: Path) -> None:
    store = run_many(classes, LABELS, runs=4, out=tmp_path / "own", show="quiet")
    expected_RN = np.stack([classes(seeds_of_run(0, run_id)) for run_id in range(4)])
    assert (store.predicted("test") == expected_RN).all()
    assert (store.correct_RN("test") == (expected_RN == LABELS)).all()
    assert store.labels("test").tolist() == LABELS.tolist()
    records = store.records()
    assert (records["train_s"] >= 0).all()
    assert not records["diverged"].any()
    assert [int(seed) for seed in records["init_seed"]] == [seeds_of_run(0, i).init for i in range(4)]
    assert analyze(store).test_sets[0].estimates["mean_accuracy"].value == pytest.approx(
        (expected_RN == LABELS).mean()
    )


def test_logits_are_judged_by_the_first_largest(tmp_path: Path) -> None:
    a = run_many(classes, LABELS, runs=3, out=tmp_path / "a", show="quiet")
    b = run_many(logits, LABELS, runs=3, out=tmp_path / "b", show="quiet")
    assert matrices(a) == matrices(b)


def test_the_same_call_again_goes_on_and_then_does_nothing(tmp_path: Path) -> None:
    calls = []

    def counted(seeds: Seeds) -> np.ndarray:
        calls.append(seeds)
        return classes(seeds)

    for runs, expected in ((2, 2), (5, 5), (5, 5)):
        run_many(counted, LABELS, runs=runs, out=tmp_path / "own", show="quiet")
        assert len(calls) == expected
    assert calls == [seeds_of_run(0, run_id) for run_id in range(5)]


def test_processes_make_the_same_store(tmp_path: Path) -> None:
    here = run_many(classes, LABELS, runs=5, out=tmp_path / "here", show="quiet")
    pool = run_many(classes, LABELS, runs=5, out=tmp_path / "pool", placement=POOL, show="quiet")
    assert matrices(here) == matrices(pool)


def test_several_test_sets(tmp_path: Path) -> None:
    labels = {"first": LABELS, "second": LABELS[:50]}
    store = run_many(on_two, labels, runs=2, out=tmp_path / "own", show="quiet")
    assert store.test_sets == ("first", "second")
    assert (store.correct_RN("second") == store.correct_RN("first")[:, :50]).all()


def test_a_logit_that_is_no_number_diverged_and_counts_as_the_largest(tmp_path: Path) -> None:
    store = run_many(diverges, LABELS, runs=3, out=tmp_path / "own", show="quiet")
    assert store.records()["diverged"].tolist() == [0, 1, 0]
    assert store.predicted("test")[1, :2].tolist() == [1, 0]


def test_an_exception_keeps_what_was_finished(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError, match="mine"):
        run_many(fails, LABELS, runs=5, out=tmp_path / "own", show="quiet")
    assert Store.open(tmp_path / "own").committed_ids().tolist() == [0, 1]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"settings": {"lr": 0.2}}, r"function\.settings\.lr: 0\.1 in the store, 0\.2 now"),
        ({"settings": {"lr": 0.1}, "name": "other"}, r"function\.name"),
        ({"settings": {"lr": 0.1}, "seed": 1}, "seed: 0 in the store, 1 now"),
        ({"settings": {"lr": 0.1}, "labels": (LABELS + 1) % 3}, "labels_sha256"),
        ({"settings": {"lr": 0.1}, "classes": 5}, r"classes"),
    ],
)
def test_another_function_is_refused(tmp_path: Path, change: dict[str, object], what: str) -> None:
    run_many(classes, LABELS, runs=2, out=tmp_path / "own", settings={"lr": 0.1}, show="quiet")
    asked = {"labels": LABELS, "runs": 2, "out": tmp_path / "own", "show": "quiet"} | change
    with pytest.raises(StoreRefusedError, match=what):
        run_many(classes, **asked)  # type: ignore[arg-type]


def test_settings_are_the_same_after_they_were_written(tmp_path: Path) -> None:
    for _ in range(2):
        settings = {"widths": (1, 2), 3: None}
        run_many(classes, LABELS, runs=1, out=tmp_path / "own", settings=settings, show="quiet")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (LABELS[:-1], r"own on test answers int64 \(100,\); wanted are integer classes \(101,\) or"),
        (np.zeros((101, 4)), r"answers float64 \(101, 4\); wanted"),
        (LABELS * 2.0, r"answers float64 \(101,\); wanted"),
        (LABELS - 1, "answers class -1; classes are 0 to 2"),
        (LABELS + 256, "answers class 2"),
        ({"tset": LABELS}, "own answers on tset; the test sets are test"),
        (None, r"answers object \(\)"),
    ],
)
def test_an_answer_that_fits_no_test_set(tmp_path: Path, answer: object, what: str) -> None:
    with pytest.raises(UsageError, match=what):
        run_many(lambda _: answer, LABELS, runs=1, out=tmp_path / "own", name="own", show="quiet")  # type: ignore[arg-type,return-value]


@pytest.mark.parametrize(
    ("asked", "what"),
    [
        ({"labels": LABELS / 2}, r"labels of test are float64 \(101,\); wanted are integers"),
        ({"labels": np.zeros((0,), int)}, "wanted are integers"),
        ({"labels": {}}, "name no test set"),
        ({"labels": LABELS - 1}, "a label of test is -1; of 2 classes labels are 0 to 1"),
        ({"labels": LABELS, "classes": 2}, "a label of test is 2; of 2 classes"),
        ({"labels": LABELS * 200}, "there are 401 classes"),
        ({"labels": LABELS, "classes": []}, "there are 0 classes"),
        ({"labels": LABELS, "settings": {"f": print}}, "settings are kept as JSON"),
        ({"labels": LABELS, "settings": {"lr": float("nan")}}, "settings are kept as JSON"),
    ],
)
def test_what_no_store_can_take(tmp_path: Path, asked: dict[str, object], what: str) -> None:
    with pytest.raises(UsageError, match=what):
        run_many(classes, runs=1, out=tmp_path / "own", show="quiet", **asked)  # type: ignore[arg-type]
    assert not (tmp_path / "own").exists()


def test_a_function_without_a_name_needs_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no name"):
        run_many(lambda seeds: classes(seeds), LABELS, runs=1, out=tmp_path / "own", show="quiet")
    store = run_many(partial(classes, labels_N=LABELS), LABELS, runs=1, out=tmp_path / "own", show="quiet")
    assert store.manifest.identity["function"]["name"] == "classes"


def test_a_function_that_no_process_could_find(tmp_path: Path) -> None:
    def within(seeds: Seeds) -> np.ndarray:
        return classes(seeds)

    with pytest.raises(UsageError, match="cannot be sent to other processes"):
        run_many(within, LABELS, runs=1, out=tmp_path / "within", placement=POOL, show="quiet")
    assert len(run_many(within, LABELS, runs=1, out=tmp_path / "within", show="quiet").committed_ids()) == 1
    script = """
import numpy as np
from airbench_var import Placement, run_many
def mine(seeds):
    return np.zeros(9, int)
run_many(mine, np.arange(9) % 3, runs=1, out="own", placement=Placement(executor="pool", workers=2))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path)
    assert "defined at a prompt or in a notebook" in done.stderr
    assert not (tmp_path / "own").exists()


def test_a_changed_source_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_many(classes, LABELS, runs=1, out=tmp_path / "own", show="quiet")
    run_many(fails, LABELS, runs=2, out=tmp_path / "own", name="classes", show="plain")
    assert "note: source_sha256 of the store is" in capsys.readouterr().err
