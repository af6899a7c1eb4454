"""Export a store: what is asked for, and which module writes it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airbench_var.errors import UsageError, nearest
from airbench_var.exporting import arrays, hub_folder, parquet, runs_csv
from airbench_var.exporting.appearing import refuse_present
from airbench_var.exporting.selected import Selected, Track
from airbench_var.store import Store

#: Format -> the end of the name that stands for it; "hf" is a folder.
FORMATS = {"npy": ".npy", "parquet": ".parquet", "csv": ".csv", "hf": ""}
COLUMNS = ("predicted", "correct", "labels")
#: The formats that hold all test sets; the others hold one.
_OF_ALL_TEST_SETS = ("csv", "hf")


@dataclass(frozen=True, kw_only=True)
class Export:
    """What is asked for: a file, or a folder, that is not there yet."""

    store: Path
    out: Path
    format: str | None = None  #: of FORMATS; by default what the end of the name says
    test_sets: Sequence[str] = ()  #: by default all, for a format that holds one the only one
    column: str | None = None  #: of COLUMNS, for "npy" and "parquet"; by default all that the store has

    def __post_init__(self) -> None:
        """Make paths of names, and raise UsageError for a format or a column that there is not."""
        for name in ("store", "out"):
            object.__setattr__(self, name, Path(getattr(self, name)))
        for name, value, known in (("format", self.format, tuple(FORMATS)), ("column", self.column, COLUMNS)):
            if value is not None and value not in known:
                raise UsageError(
                    f"unknown {name} {value!r}{nearest(str(value), known)}. Known: {', '.join(known)}."
                )


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What was exported."""

    store: Path
    out: Path
    format: str
    test_sets: tuple[str, ...]
    columns: tuple[str, ...]
    runs: int
    files: tuple[Path, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the same as JSON values, with the size of every file."""
        return {
            "store": str(self.store),
            "out": str(self.out),
            "format": self.format,
            "test_sets": list(self.test_sets),
            "columns": list(self.columns),
            "runs": self.runs,
            "files": [{"path": str(path), "bytes": path.stat().st_size} for path in self.files],
        }


def export(wanted: Export, track: Track = lambda blocks, _: blocks) -> Exported:
    """Write the committed runs of a store; the file or folder appears when it is whole.

    Raises: UsageError when it is not clear what to write, or something has the name; StoreDamagedError that
    names file and run; DeviceError without the package that a format needs; StorageError when the disk fails.
    All of them leave nothing behind.
    """
    form = _format_of(wanted)
    selected = Selected.of(Store.open(wanted.store), track)
    refuse_present(wanted.out)
    if wanted.out.resolve().is_relative_to(wanted.store.resolve()):
        raise UsageError(
            f"--out {wanted.out} lies in the store, which has its own files only. Choose another."
        )
    test_sets = _test_sets_of(wanted, form, selected)
    columns = _columns_of(wanted, form, selected)
    if form == "npy":
        arrays.write_npy(wanted.out, selected, test_sets[0], columns[0])
    elif form == "csv":
        runs_csv.write_runs(wanted.out, selected, test_sets)
    elif form == "hf":
        hub_folder.write_folder(wanted.out, selected, test_sets)
    elif columns == ("labels",):
        parquet.write_labels(wanted.out, selected, test_sets[0])
    else:
        parquet.write_runs(wanted.out, selected, test_sets[0], columns)
    files = sorted(path for path in wanted.out.rglob("*") if path.is_file()) if form == "hf" else [wanted.out]
    return Exported(
        store=wanted.store,
        out=wanted.out,
        format=form,
        test_sets=test_sets,
        columns=columns,
        runs=selected.runs,
        files=tuple(files),
    )


def _format_of(wanted: Export) -> str:
    if wanted.format is not None:
        return wanted.format
    for form, suffix in FORMATS.items():
        if suffix and wanted.out.suffix.lower() == suffix:
            return form
    raise UsageError(
        f"--out {wanted.out}: its name says no format. Let it end in "
        f"{', '.join(suffix for suffix in FORMATS.values() if suffix)}, or give --format "
        f"{', '.join(FORMATS)}."
    )


def _test_sets_of(wanted: Export, form: str, selected: Selected) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(wanted.test_sets)) or selected.store.test_sets
    for name in names:
        selected.test_set(name)
    if len(names) > 1 and form not in _OF_ALL_TEST_SETS:
        raise UsageError(
            f"{wanted.store} has the test sets {', '.join(names)}, and {form} holds one: choose with "
            "--test-set, or export all with --format hf."
        )
    return names


def _columns_of(wanted: Export, form: str, selected: Selected) -> tuple[str, ...]:
    there = selected.columns()
    if form in _OF_ALL_TEST_SETS:
        if wanted.column is not None:
            raise UsageError(f"--column is for npy and parquet; {form} always has the same columns.")
        return there[:1] if form == "hf" else ()
    if wanted.column is None:
        return there[:1] if form == "npy" else there
    if wanted.column not in (*there, "labels"):
        raise UsageError(f"{wanted.store} was made without the column {wanted.column!r}; it has {there[0]}.")
    return (wanted.column,)
