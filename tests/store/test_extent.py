"""How long files are said to be, caught in the middle of a growth, and what is said when they are damaged."""

import io
from pathlib import Path

import numpy as np
import pytest

from airbench_var.store import Manifest, Store
from airbench_var.store.disk import RowFile
from airbench_var.store.extent import extent_of, fault_of, measure
from airbench_var.store.layout import RowLayout
from airbench_var.store.records import row_layouts

from .fake_campaign import MATRICES, matrix_bytes, open_writer, overwrite, run_campaign

ROWS = RowLayout("rows.npy", np.dtype("u1"), (3,))


def test_a_header_caught_while_a_writer_rewrites_it_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    RowFile.create(tmp_path, ROWS, 100).close()
    old, new = ROWS.header(99), ROWS.header(100)
    place = new.index(b"00, 3)")
    torn = old[:place] + new[place:]
    assert b"(900, 3)" in torn
    readings = iter([torn, new, new])
    monkeypatch.setattr(Path, "open", lambda *_args, **_options: io.BytesIO(next(readings)))
    assert extent_of(tmp_path, ROWS).promised == 100


def test_a_longer_file_is_no_fault(tmp_path: Path) -> None:
    RowFile.create(tmp_path, ROWS, 2).close()
    with (tmp_path / "rows.npy").open("ab") as file:
        file.write(b"growing")
    assert fault_of(ROWS, extent_of(tmp_path, ROWS)) is None


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (lambda path: path.unlink(), "the file is missing"),
        (lambda path: path.write_bytes(b""), "its header does not say uint8, shape (rows, 3)"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "1 bytes are missing at its end"),
    ],
)
def test_a_damaged_file_is_described(tmp_path: Path, damage, what: str) -> None:
    RowFile.create(tmp_path, ROWS, 2).close()
    damage(tmp_path / "rows.npy")
    fault = fault_of(ROWS, extent_of(tmp_path, ROWS))
    assert fault == ("rows.npy", None, what)


def capacity_with(path: Path) -> tuple[int, list[str]]:
    found = measure(path, Manifest.load(path))
    return found.capacity, [fault.file for fault in found.faults]


def test_the_capacity_is_told_from_what_is_left(tmp_path: Path) -> None:
    """A damaged runs.npy does not say how many runs there are; its size and the matrices do."""
    run_campaign(tmp_path, 5)
    assert capacity_with(tmp_path) == (5, [])
    runs, *_ = row_layouts(Manifest.load(tmp_path))
    path = tmp_path / "runs.npy"
    whole = path.read_bytes()
    for header in (runs.header(4), runs.header(6), runs.header(50), bytes(512)):
        path.write_bytes(header + whole[512:])
        assert capacity_with(tmp_path) == (5, ["runs.npy"])
    for length in (0, 511, 512, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert capacity_with(tmp_path) == (5, ["runs.npy"])
    path.write_bytes(bytes(512) + whole[512 : 512 + 2 * 128])  # header and rows: the matrices tell
    assert capacity_with(tmp_path) == (5, ["runs.npy"])
    path.write_bytes(whole + b"garbage" * 1000)
    assert capacity_with(tmp_path) == (5, ["runs.npy"])
    path.unlink()
    assert capacity_with(tmp_path) == (5, ["runs.npy"])


def test_a_damaged_matrix_does_not_change_the_capacity(tmp_path: Path) -> None:
    run_campaign(tmp_path, 5)
    layouts = {layout.file: layout for layout in row_layouts(Manifest.load(tmp_path))}
    for file in MATRICES:
        whole = (tmp_path / file).read_bytes()
        for header in (layouts[file].header(3), layouts[file].header(9), bytes(512)):
            overwrite(tmp_path / file, header + whole[512:])
            assert capacity_with(tmp_path) == (5, [file])
        overwrite(tmp_path / file, whole)


def test_a_store_whose_files_all_lost_their_headers_is_measured_by_size(tmp_path: Path) -> None:
    run_campaign(tmp_path, 5)
    for file in ("runs.npy", *MATRICES):
        overwrite(tmp_path / file, bytes(512))
    assert capacity_with(tmp_path) == (5, ["runs.npy", *MATRICES])


def test_a_growth_cut_short_is_finished_by_the_next_writer(tmp_path: Path) -> None:
    run_campaign(tmp_path, 5)
    layout = next(layout for layout in row_layouts(Manifest.load(tmp_path)) if layout.file == MATRICES[0])
    file = RowFile.open(tmp_path, layout, 5)
    file.reserve(8)
    file.promise(8)
    file.close()
    assert Store.open(tmp_path).capacity == 5
    with open_writer(tmp_path, 8) as writer:
        assert writer.capacity == 8
        assert writer.open_ids(8) == [5, 6, 7]


def test_what_a_growth_that_was_cut_short_reserved_is_given_back(tmp_path: Path) -> None:
    run_campaign(tmp_path / "whole", 5)
    run_campaign(tmp_path / "cut", 5)
    for layout in row_layouts(Manifest.load(tmp_path / "cut")):
        file = RowFile.open(tmp_path / "cut", layout, 5)
        file.reserve(9)
        file.close()
    run_campaign(tmp_path / "cut", 5)
    assert matrix_bytes(tmp_path / "cut") == matrix_bytes(tmp_path / "whole")
