from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from airbench_var.errors import StoreRefusedError
from airbench_var.store import Manifest, Outcome, Predictions
from airbench_var.store.encoding import encode_outcome

from .fake_campaign import IDENTITY, LABELS, failure, outcome, predictions_of

MANIFEST = Manifest.new(IDENTITY, {})


def with_predictions(changed: Mapping[str, Predictions]) -> Outcome:
    given = outcome(1)
    assert given.result is not None
    return replace(given, result=replace(given.result, predictions=changed))


def test_a_row_has_its_bytes_in_manifest_order() -> None:
    row = encode_outcome(MANIFEST, LABELS, outcome(1))
    expected = predictions_of(1)
    assert [len(part) for part in row.payload] == [2, 13, 75, 600]
    np.testing.assert_array_equal(row.payload[3], expected["beta-tta"].predicted)
    assert row.record["correct"].tolist() == [
        int(np.sum(expected[name].predicted == labels)) for name, labels in LABELS.items()
    ]


def test_a_failed_run_counts_nothing() -> None:
    row = encode_outcome(MANIFEST, LABELS, failure(1))
    assert (row.record["state"], row.record["correct"].tolist()) == (2, [0, 0])
    assert np.isnan(row.record["loss"])
    assert not any(part.any() for part in row.payload)


def test_a_missing_and_an_unknown_test_set_are_refused() -> None:
    whole = predictions_of(1)
    for changed in ({"alpha": whole["alpha"]}, {**whole, "gamma": whole["alpha"]}):
        with pytest.raises(
            StoreRefusedError, match="run 1 does not fit the store: it has the test sets alpha"
        ):
            encode_outcome(MANIFEST, LABELS, with_predictions(changed))


GOOD = predictions_of(1)["alpha"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (replace(GOOD, predicted=GOOD.predicted.astype(np.int64)), "predicted is int64"),
        (replace(GOOD, predicted=GOOD.predicted[:-1]), r"predicted is uint8 \(12,\)"),
        (replace(GOOD, predicted=GOOD.predicted + np.uint8(3)), "it predicts class"),
        (replace(GOOD, correct=GOOD.correct[:1]), "its correctness bits"),
        (replace(GOOD, correct=GOOD.correct.astype(np.int64)), "its correctness bits"),
        (replace(GOOD, correct=GOOD.correct ^ np.array([1, 0], np.uint8)), "its correctness bits"),
        (
            replace(GOOD, correct=GOOD.correct | np.array([0, 128], np.uint8)),
            "its correctness bits",
        ),  # a pad bit
    ],
)
def test_a_row_that_does_not_fit_is_refused(changed: Predictions, message: str) -> None:
    with pytest.raises(StoreRefusedError, match=f"alpha: {message}"):
        encode_outcome(MANIFEST, LABELS, with_predictions({**predictions_of(1), "alpha": changed}))


def test_bits_packed_from_the_other_end_are_refused() -> None:
    big = np.packbits(GOOD.predicted == LABELS["alpha"], bitorder="big")
    assert not np.array_equal(big, GOOD.correct)
    with pytest.raises(StoreRefusedError, match="its correctness bits"):
        encode_outcome(
            MANIFEST, LABELS, with_predictions({**predictions_of(1), "alpha": replace(GOOD, correct=big)})
        )


#: A store of the same runs without their classes, and a run on "alpha" of which only the bits are known.
WITHOUT_CLASSES = Manifest.new(IDENTITY | {"columns": ["correct"]}, {})
BITS = replace(GOOD, predicted=None)


def test_a_store_without_classes_takes_a_row_without_them() -> None:
    bits = {name: replace(given, predicted=None) for name, given in predictions_of(1).items()}
    row = encode_outcome(WITHOUT_CLASSES, LABELS, with_predictions(bits))
    whole = encode_outcome(MANIFEST, LABELS, outcome(1))
    assert [len(part) for part in row.payload] == [2, 75]
    np.testing.assert_array_equal(row.payload[0], whole.payload[0])
    assert row.record["correct"].tolist() == whole.record["correct"].tolist()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (replace(BITS, correct=GOOD.correct[:1]), r"its correctness bits are uint8 \(1,\)"),
        (replace(BITS, correct=GOOD.correct.astype(np.int64)), r"its correctness bits are int64 \(2,\)"),
        (replace(BITS, correct=GOOD.correct | np.array([0, 128], np.uint8)), "go on after the last example"),
        (replace(GOOD, correct=GOOD.correct ^ np.array([1, 0], np.uint8)), "its correctness bits are not"),
    ],
)
def test_bits_that_do_not_fit_are_refused_without_classes(changed: Predictions, message: str) -> None:
    with pytest.raises(StoreRefusedError, match=f"alpha: .*{message}"):
        encode_outcome(WITHOUT_CLASSES, LABELS, with_predictions({**predictions_of(1), "alpha": changed}))


def test_a_store_with_classes_refuses_a_row_without_them() -> None:
    with pytest.raises(StoreRefusedError, match="run 1 does not fit the store: alpha: it has no predicted"):
        encode_outcome(MANIFEST, LABELS, with_predictions({**predictions_of(1), "alpha": BITS}))
