"""JSON some runs at a time: what json.loads reads is read, and anything else is refused by line."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from airbench_var.errors import DataError
from airbench_var.importing import Import, import_runs, json_file
from airbench_var.importing.formats import open_file
from airbench_var.importing.labels import read_labels
from tests.importing.inputs import R, some_runs

pytestmark = pytest.mark.usefixtures("syncs_take_no_time")

CLASSES = [[3, 1, 2], [0, 1, 2], [3, 3, 3], [255, 0, 7]]
LOGITS = [[[1.5, -2], [0, 1e-3]], [[-0.0, 1], [3, 4]]]


def read_all(path: Path) -> dict[str, list[Any]]:
    with open_file(path) as contents:
        return {
            key: np.concatenate([rows.read(block) for block in rows.blocks]).tolist()
            for key, rows in contents.arrays.items()
        }


@pytest.mark.parametrize("read_bytes", [1, 2, 3, 7, 64, 1 << 20])
@pytest.mark.parametrize("indent", [None, 0, 2])
def test_pieces_may_end_anywhere(
    indent: int | None, read_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_file, "_READ_BYTES", read_bytes)
    path = tmp_path / "a.json"
    arrays = {"predicted": CLASSES, 'a "]key\\': [[True, False]] * 2, "labels": [1, 0, 2], "logits": LOGITS}
    others = {"code": 'x = "[[1, 2]]"\n\\', "accs": [0.5, 0.25], "of": {"a": [[1]], "b": []}, "none": None}
    path.write_text(json.dumps(others | arrays, indent=indent, ensure_ascii=False))
    assert read_all(path) == arrays
    for array in arrays.values():
        path.write_text(json.dumps(array, indent=indent))
        assert read_all(path) == {"": array}


def test_labels_may_be_floats(tmp_path: Path) -> None:
    for text in ("[1.0, 0, 2.0]", '{"labels": [1.0, 0, 2.0]}', '{"y_true": [1.0, 0, 2.0], "accs": [0.5]}'):
        (tmp_path / "a.json").write_text(text)
        assert read_labels(tmp_path / "a.json", "").values_N.tolist() == [1, 0, 2]
    (tmp_path / "a.json").write_text('["cat", "dog"]')
    with pytest.raises(DataError, match=r"It has a list of 2\. .*NAMES\.index"):
        read_labels(tmp_path / "a.json", "")


def test_types_follow_from_the_first_run(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    for array, dtype in ((CLASSES, "int64"), ([[True], [False]], "bool"), (LOGITS, "float64")):
        path.write_text(json.dumps(array))
        with open_file(path) as contents:
            assert contents.arrays[""].dtype == dtype
            assert contents.arrays[""].shape == np.shape(array)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[1, 2],\n [3, 4],\n [5]]", r"line 3: run 2 has 1 int64 values, the run before it 2 int64"),
        ("[[1, 2],\n\n [3, 4, 5]]", r"line 3: run 1 has 3 int64 values"),
        ("[[1, 2],\n [true, false]]", r"line 2: run 1 has 2 bool values"),
        ("[[1, 2],\n [3, true]]", r"line 2: run 1 is no array of numbers: its values are bool, int"),
        ("[[1, 2],\n [3, 4.5]]", r"line 2: run 1 has 2 float64 values, the run before it 2 int64"),
        ("[[1, 2],\n [3, null]]", r"line 2: .*NoneType, int"),
        ('[[1, 2],\n [3, "4"]]', r"line 2: .*int, str"),
        ("[[1, 2],\n [3, 99999999999999999999]]", r"line 2: .*more than 64 bits"),
        ("[[1, 2],\n [3, 4 5]]", r"line 2: run 1 is no array of numbers: Expecting ',' delimiter"),
        ("[[[1, 2], [3]],\n [[1, 2], [3, 4]]]", r"line 1: .*different numbers of logits"),
        ("[[[1, 2], [3, 4]],\n [[1, 2], [3, true]]]", r"line 2: .*a logit that is not a number"),
        ("[[[1, 2], [3, 4]],\n [[1, 2], 3]]", r"line 2: .*its values are int, list"),
        (
            '[{"run": 0, "predicted": [1, 2]}]',
            r"is an array of objects, with run, predicted\. Write one array",
        ),
        ("[[1, 2], 3]", r"has runs, which are arrays, and other things in one array"),
        ("[[1, 2] [3, 4]]", r"is not JSON that can be read: .*delimiter"),
        ("[[1, 2], [3, 4]", r"is not JSON that can be read: line 1: it ends before its last bracket"),
        ("[[1, 2], [3, 4", r"it ends before its last bracket"),
        ("[[1, 2]]]", r"is not JSON that can be read: Extra data"),
        ("[[1, 2], [3, 4]}", r"is not JSON"),
        ('{"a": [[1]], "a": [[2]]}', r"an object has a key twice"),
        ("[[], []]", "is empty"),
        ("[]", r"list of 0|none of what it has"),
        ('{"accs": [0.5]}', "from accuracies alone"),
        ("3", "from accuracies alone"),
        ('"[[1]]"', r"It has  \(text\)|none of what"),
    ],
)
def test_bad_files_are_refused_by_line(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    np.save(tmp_path / "labels.npy", np.array([1, 0]))
    with pytest.raises(DataError, match=message):
        import_runs(Import(predictions=path, labels=tmp_path / "labels.npy", out=tmp_path / "store"))
    assert not (tmp_path / "store").exists()


def test_what_is_no_number_is_named_by_run_and_example(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("[[[1, 2], [3, 4]], [[1, 2], [NaN, 4]]]")
    np.save(tmp_path / "labels.npy", np.array([1, 0]))
    with pytest.raises(DataError, match=r"a.json: run 1, example 1: a logit is not a number"):
        import_runs(Import(predictions=path, labels=tmp_path / "labels.npy", out=tmp_path / "store"))


def test_what_is_no_run_may_not_be_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_file, "_MOST_REST_BYTES", 100)
    monkeypatch.setattr(json_file, "_READ_BYTES", 50)
    path = tmp_path / "a.json"
    for text in ('{"code": "' + "x" * 100 + '"}', json.dumps([1] * 100)):
        path.write_text(text)
        with pytest.raises(DataError, match="more than 100 bytes that are not runs"):
            read_all(path)


def test_predictions_and_labels_in_one_document(tmp_path: Path) -> None:
    runs = some_runs()
    document = {"predicted": runs.classes_RN.tolist(), "labels": runs.labels_N.tolist()}
    (tmp_path / "a.json").write_text(json.dumps(document))
    done = import_runs(
        Import(predictions=tmp_path / "a.json", labels=tmp_path / "a.json", out=tmp_path / "store")
    )
    assert done.added == R


def test_what_is_not_asked_for_may_be_anything(tmp_path: Path) -> None:
    document = {"predicted": CLASSES, "names": [["cat", "dog"]], "embedding": [[0.5, 1], [2, 0.5]]}
    (tmp_path / "a.json").write_text(json.dumps(document))
    np.save(tmp_path / "labels.npy", np.array([3, 1, 2]))
    wanted = Import(predictions=tmp_path / "a.json", labels=tmp_path / "labels.npy", out=tmp_path / "store")
    assert import_runs(wanted).added == 4
    with pytest.raises(DataError, match=r"names cannot be predictions: .*its values are str"):
        import_runs(
            Import(predictions=wanted.predictions, labels=wanted.labels, out=wanted.out, keys=["names"])
        )
