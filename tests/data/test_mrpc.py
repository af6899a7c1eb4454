"""MRPC: what is read is what the file says, and a file that says something else is named with its line."""

import hashlib
import os
import sys
from pathlib import Path

import pytest

from airbench_var.data import mrpc
from airbench_var.errors import DataError

HEADER = "\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\n"
ROWS = '1\t1\t2\tHe said " no .\tHe " said no .\n0\t3\t4\tA\u2028B\tC\n'
REAL = Path(os.environ.get("AIRBENCH_VAR_DATA") or "/nonexistent") / "mrpc"


def write(folder: Path, rows: str = ROWS, header: str = HEADER) -> Path:
    for name in ("train.tsv", "dev.tsv", "msr_paraphrase_test.txt"):
        (folder / name).write_text(header + rows, encoding="utf-8")
    return folder


def test_quotes_and_odd_separators_are_text(tmp_path: Path) -> None:
    data = mrpc.load(write(tmp_path))
    assert data.train.first == ('He said " no .', "A\u2028B")
    assert data.train.second == ('He " said no .', "C")
    assert data.train.labels_N.tolist() == [1, 0]
    assert list(data.tests) == ["mrpc-validation", "mrpc-test"]
    text = 'He said " no .\tHe " said no .\nA\u2028B\tC\n'
    assert data.fingerprint["train"] == {
        "n": 2,
        "text_sha256": hashlib.sha256(text.encode()).hexdigest(),
        "labels_sha256": hashlib.sha256(b"\x01\x00").hexdigest(),
    }
    assert data.train.head(1).first == ('He said " no .',)
    assert data.train.head(1).fingerprint != data.train.fingerprint


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("1\t1\t2\ta\tb\n1\t1\t2\ta\n", r"train\.tsv, line 3: expected 0 or 1, two ids and two sentences"),
        ("2\t1\t2\ta\tb\n", "line 2: expected 0 or 1"),
        ("1\t1\t2\ta\t \n", "line 2"),
        ("1\t1\t2\ta\tb\n\n1\t1\t2\ta\tb\n", "line 3"),
        ("", "has a header and no pair"),
    ],
)
def test_a_wrong_line_is_named(rows: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        mrpc.load(write(tmp_path, rows))


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has no train\.tsv\. MRPC is three files"):
        mrpc.load(tmp_path)
    with pytest.raises(DataError, match=r"not the header of MRPC, .*GLUE's test\.tsv has no labels"):
        mrpc.load(write(tmp_path, header="index\t#1 ID\t#2 ID\t#1 String\t#2 String\n"))
    write(tmp_path)
    (tmp_path / "dev.tsv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"dev\.tsv cannot be read: 'utf-8' codec"):
        mrpc.load(tmp_path)
    (tmp_path / "msr_paraphrase_test.txt").unlink()
    write(tmp_path)
    (tmp_path / "msr_paraphrase_test.txt").rename(tmp_path / "test.tsv")
    assert len(mrpc.load(tmp_path).tests["mrpc-test"]) == 2


def test_it_is_found_where_data_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "data" / "mrpc"
    folder.mkdir(parents=True)
    write(folder)
    assert mrpc.find(folder) == mrpc.find(tmp_path / "data") == folder
    monkeypatch.setenv("AIRBENCH_VAR_DATA", str(tmp_path / "data"))
    assert mrpc.load().source == str(folder)
    with pytest.raises(DataError, match=r"nowhere has no train\.tsv"):
        mrpc.load(tmp_path / "nowhere")


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRBENCH_VAR_DATA", raising=False)
    monkeypatch.setattr(mrpc, "user_cache", lambda: tmp_path)


@pytest.mark.usefixtures("nowhere")
def test_without_files_it_comes_from_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the transfer is left out here."""
    datasets = pytest.importorskip("datasets")

    def split(labels: list[int]) -> object:
        columns = {"sentence1": ["a", "b"], "sentence2": ["c", "d"], "label": labels, "idx": [0, 1]}
        return datasets.Dataset.from_dict(columns)

    splits = {"train": split([0, 1]), "validation": split([1, 1]), "test": split([1, 0])}
    asked: list[tuple[str, ...]] = []

    def load_dataset(*names: str) -> object:
        asked.append(names)
        return splits

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    data = mrpc.load()
    assert asked == [("nyu-mll/glue", "mrpc")]
    assert (data.train.first, data.train.second) == (("a", "b"), ("c", "d"))
    assert {name: one.labels_N.tolist() for name, one in data.tests.items()} == {
        "mrpc-validation": [1, 1],
        "mrpc-test": [1, 0],
    }
    splits["test"] = split([-1, -1])  # as GLUE has them where labels are hidden
    with pytest.raises(DataError, match="labels other than 0 and 1"):
        mrpc.load()


@pytest.mark.usefixtures("nowhere")
def test_without_files_and_without_the_hub_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"no MRPC in .*Name the folder with --data-dir"):
        mrpc.load(download=False)
    datasets = pytest.importorskip("datasets")

    def offline(*_: str) -> object:
        raise ConnectionError("Couldn't reach the Hub\nTraceback")

    monkeypatch.setattr(datasets, "load_dataset", offline)
    with pytest.raises(DataError, match=r"the Hugging Face Hub gave none: Couldn't reach the Hub\. Name"):
        mrpc.load()
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(DataError, match=r"pip install 'airbench_var\[finetune\]'"):
        mrpc.load()


@pytest.mark.skipif(not REAL.exists(), reason="needs MRPC: its files in $AIRBENCH_VAR_DATA/mrpc")
def test_the_real_files_are_read() -> None:
    data = mrpc.load(REAL)
    assert [len(pairs) for pairs in data.tests.values()] == [408, 1725]
    assert len(data.train) == 3667
    assert 0.66 < data.train.labels_N.mean() < 0.69  # two thirds are paraphrases
