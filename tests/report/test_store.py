"""What `verify`, `repair` and `info` print, in 80 columns."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from airbench_var.example import TINY
from airbench_var.report.store import print_info, print_repair, print_verification
from airbench_var.store import damage, info, repair, verify
from tests.store.fake_campaign import open_writer, outcome, run_campaign
from tests.store.test_verification import change_row

pytestmark = pytest.mark.usefixtures("_no_pause")


@pytest.fixture
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(damage, "RECHECK_S", 0)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    run_campaign(Path("store"), 40)
    return Path("store")


def printed(print_it: Callable[[Any, Console], None], found: Any) -> str:
    file = io.StringIO()
    print_it(found, Console(file=file, width=80, highlight=False))
    return file.getvalue()


def test_a_whole_store(store: Path) -> None:
    text = printed(print_verification, verify(store))
    assert "store: 40 committed, 0 failed, 0 open, of 40 runs; read 0.0 MB in" in text
    assert "Whole: every file, record and row is what was written." in text
    assert printed(print_repair, repair(store)) == "store is whole: nothing to repair, nothing was written.\n"


def test_few_faults_are_listed(store: Path) -> None:
    change_row(store, "alpha/correct.npy", 7)
    (store / "beta-tta/labels.npy").unlink()
    text = printed(print_verification, verify(store))
    assert "Whole" not in text
    rows = [line.split() for line in text.splitlines() if ".npy" in line]
    assert [row[:2] for row in rows] == [["beta-tta/labels.npy", "all"], ["alpha/correct.npy", "7"]]
    text = printed(print_repair, repair(store))
    assert "kept in store/quarantine/1" in text
    assert "Run 7 is open again; the command that made the store does what is open." in text
    assert (
        "beta-tta/labels.npy is missing until the command that made the store writes it again."
        in " ".join(text.split())
    )


def test_many_faults_are_counted(store: Path) -> None:
    (store / "alpha/predicted.npy").unlink()
    text = printed(print_verification, verify(store))
    assert "... and 21 more; --json lists all." in text
    text = printed(print_repair, repair(store))
    assert "40 runs (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ...) are open again" in text


def test_a_repair_that_opens_no_run(store: Path) -> None:
    (store / "manifest.copy.json").unlink()
    assert "Mended; no run is lost." in printed(print_repair, repair(store))


def test_what_a_store_is_of(store: Path) -> None:
    with open_writer(store, 41) as writer:
        writer.event("start")
        text = printed(print_info, info(store))
    lines = {line[:10].strip(): line[12:].strip() for line in text.splitlines() if line[:10].strip()}
    assert lines["runs"] == "40 committed, 0 failed, 1 open, of 41 runs"
    assert lines["test set"] == "beta-tta: 600 examples, 3 classes"
    assert lines["seeds"] == "campaign seed 1, vary init, order, aug"
    assert lines["writer"].startswith("process ")
    assert lines["last event"].startswith("start at ")
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize(
    ("provenance", "name", "text"),
    [
        ({"shard": "3/100"}, "shard", "3/100; other jobs train the rest"),
        ({"merged": [{"path": "a"}]}, "merged", "from 1 store"),
        ({"merged": [{"path": "a"}, {"path": "b"}]}, "merged", "from 2 stores"),
    ],
)
def test_a_part_of_a_campaign_and_what_was_merged(
    provenance: dict[str, Any], name: str, text: str, store: Path, tmp_path: Path
) -> None:
    open_writer(tmp_path / "part", 4, provenance=provenance).close()
    lines = printed(print_info, info(tmp_path / "part")).splitlines()
    assert [name, *text.split()] in [line.split() for line in lines]
    assert name not in printed(print_info, info(store))


def test_what_decides_the_bits_is_shown() -> None:
    words = " ".join(printed(print_info, info(TINY)).split())
    assert "numerics device cpu, activations bfloat16, threads 1, engine tiles" in words


def test_a_driver_is_shown_where_there_is_one(tmp_path: Path) -> None:
    provenance = {
        "device": "NVIDIA H100",
        "driver": "550.54.15",
        "versions": {"torch": "2.8", "triton": None},
    }
    with open_writer(tmp_path, 1, provenance=provenance) as writer:
        writer.commit([outcome(0)])
    text = printed(print_info, info(tmp_path))
    assert "NVIDIA H100, driver 550.54.15" in text
    [line] = [line.split() for line in text.splitlines() if line.startswith("versions")]
    assert line == ["versions", "torch", "2.8"]
