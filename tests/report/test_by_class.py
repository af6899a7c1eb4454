"""Which classes are hard: 80 columns, the hardest first, with predicted classes and without."""

import io
import re
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from airbench_var.analysis import LiveStatistics
from airbench_var.report.by_class import MOST_SHOWN, print_by_class
from airbench_var.store import Store
from tests.report.stores import CLASSES, correct_RN, make_store


def printed(path: Path) -> str:
    store, file = Store.open(path), io.StringIO()
    console = Console(file=file, width=80, highlight=False)
    print_by_class(store, LiveStatistics.of_store(store).analysis(), console)
    text = file.getvalue()
    assert max(map(len, text.splitlines()), default=0) <= 80
    assert "…" not in text
    return text


@pytest.mark.parametrize("predicted", [True, False])
def test_the_hardest_class_comes_first(predicted: bool, tmp_path: Path) -> None:
    """Names stay text, and what only labels say needs no predicted classes."""
    right_RN = correct_RN(20)
    right_RN[:, 7::10] = np.arange(20)[:, None] % 2  # cat
    path = make_store(tmp_path / "store", {"a": right_RN, "b": right_RN[:, :-5]}, predicted=predicted)
    text = printed(path)
    for name, table in zip("ab", text.split(" classes, 20 runs")[1:], strict=True):
        [row] = [line.split() for line in table.splitlines() if line.startswith("  cat ")]
        assert row[:4] == ["cat", "29" if name == "b" else "30", "50.00", "%"]
        accuracies = [float(found) for found in re.findall(r" (?:29|30) +(\d+\.\d+) % ", table)]
        assert accuracies == sorted(accuracies)
        assert len(accuracies) == len(CLASSES)
        assert row[-1:] == ["%"]
        assert float(row[-2]) <= 51.3  # a std cannot be larger, whatever chi-square says
    assert "the hardest first" in text


def test_more_classes_than_a_table_holds(tmp_path: Path) -> None:
    names = [f"c{i}" for i in range(MOST_SHOWN + 3)]
    text = printed(make_store(tmp_path / "store", {"a": correct_RN(5)}, classes=names))
    assert text.count("\n  c") == MOST_SHOWN + 1  # with the heading
    assert "There are 3 more classes: see --json." in text


def test_before_the_first_run_there_is_nothing(tmp_path: Path) -> None:
    assert not printed(make_store(tmp_path / "store", {"a": correct_RN(0)}))
