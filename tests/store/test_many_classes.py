"""More classes than a byte counts: labels take two bytes, and what is kept of a run is what was right."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from airbench_var.analysis import analyze
from airbench_var.campaign import Campaign
from airbench_var.errors import StoreDamagedError, UsageError
from airbench_var.exporting import Export, export
from airbench_var.importing import Import, import_runs
from airbench_var.own import OwnFunction
from airbench_var.seeds import seeds_of_run
from airbench_var.store import (
    Outcome,
    Predictions,
    RunResult,
    RunSpec,
    Store,
    StoreWriter,
    describe_test_set,
    merge,
    verify,
)
from airbench_var.store.rows import MOST_LABELS

N, K, R = 1001, 1000, 6
CLASSES = tuple(f"n{k:08d}" for k in range(K))
LABELS = np.arange(N, dtype=np.uint16) % K


def predicted_N(run_id: int) -> np.ndarray:
    return np.where(np.arange(N) % (run_id + 2) == 0, (LABELS + 256) % K, LABELS).astype(np.uint16)


def identity(classes: tuple[str, ...] = CLASSES, columns: tuple[str, ...] = ("correct",)) -> dict[str, Any]:
    return {
        "recipe": {"epochs": 1.0},
        "recipe_sha256": "a" * 64,
        "seed": 0,
        "vary": ["init"],
        "test_sets": [describe_test_set("photos", LABELS, classes)],
        "columns": list(columns),
    }


@pytest.fixture
def store(tmp_path: Path) -> Store:
    outcomes = [
        Outcome(
            spec=RunSpec(run_id=run_id, seeds=seeds_of_run(0, run_id)),
            worker=0,
            result=RunResult(
                predictions={"photos": Predictions.of_classes(predicted_N(run_id), LABELS)},
                loss=1.0,
                diverged=False,
                train_s=1.0,
            ),
        )
        for run_id in range(R)
    ]
    with StoreWriter.open(
        tmp_path / "store", identity=identity(), labels={"photos": LABELS}, provenance={}, capacity=R
    ) as writer:
        writer.commit(outcomes)
    return Store.open(tmp_path / "store")


def test_what_was_right_comes_back_and_labels_are_whole(store: Store) -> None:
    """A label that was cut to a byte would call 256 more classes right."""
    assert store.labels("photos").tolist() == LABELS.tolist()
    expected_RN = np.stack([predicted_N(run_id) == LABELS for run_id in range(R)])
    assert (store.correct_RN("photos")[:] == expected_RN).all()
    assert not verify(store.path).faults
    [summary] = analyze(store).test_sets
    assert summary.estimates["mean_accuracy"].value == pytest.approx(expected_RN.mean())
    assert "keeps no predicted classes" in summary.estimates["ensemble_accuracy"].absent


def test_labels_are_exported_and_merged_as_they_are(store: Store, tmp_path: Path) -> None:
    export(Export(store=store.path, out=tmp_path / "labels.npy", column="labels"))
    assert np.load(tmp_path / "labels.npy").tolist() == LABELS.tolist()
    merge([store.path], tmp_path / "merged")
    assert Store.open(tmp_path / "merged").labels("photos").tolist() == LABELS.tolist()


@pytest.mark.parametrize("form", ["npy", "parquet", "hf"])
def test_what_is_exported_is_read_back_bit_for_bit(form: str, store: Store, tmp_path: Path) -> None:
    out = tmp_path / f"runs.{form}"
    export(Export(store=store.path, out=out, format=form))
    labels = out if form == "hf" else tmp_path / f"labels.{form}"
    if form != "hf":
        export(Export(store=store.path, out=labels, column="labels"))
    import_runs(Import(predictions=out, labels=labels, out=tmp_path / "back", test_set="photos"))
    for file in ("labels.npy", "correct.npy"):
        of_both = [(path / "photos" / file).read_bytes() for path in (store.path, tmp_path / "back")]
        assert of_both[0] == of_both[1]
    assert len(Store.open(tmp_path / "back").manifest.test_sets[0].classes) == K


def test_a_changed_high_byte_is_damage(store: Store) -> None:
    path = store.path / "photos" / "labels.npy"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(StoreDamagedError, match="their sha256 differs"):
        Store.open(store.path)


def test_predicted_classes_have_no_room_and_there_is_a_most(tmp_path: Path) -> None:
    for of, message in (
        (
            identity(columns=("correct", "predicted")),
            "has 1,000 classes: predicted classes are kept where 256",
        ),
        (identity(tuple(map(str, range(MOST_LABELS + 1)))), "1 to 65,536 classes"),
    ):
        with pytest.raises(UsageError, match=message):
            StoreWriter.open(
                tmp_path / "none", identity=of, labels={"photos": LABELS}, provenance={}, capacity=1
            )
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(("classes", "columns"), [(256, ["correct", "predicted"]), (257, ["correct"])])
def test_a_campaign_keeps_predictions_as_long_as_they_fit(
    classes: int, columns: list[str], tmp_path: Path
) -> None:
    own = OwnFunction(
        train_one=lambda seeds: LABELS,
        labels={"test": LABELS},
        classes=tuple(map(str, range(classes))),
        name="own",
        settings={},
        packages=(),
    )
    assert Campaign(subject=own, out=tmp_path / "store", runs=1).identity()["columns"] == columns
