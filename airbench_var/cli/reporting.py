"""The command that writes what a store says as one page: report."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airbench_var.cli.arguments import add_store
from airbench_var.cli.output import print_json, reader_may_leave
from airbench_var.errors import DataError, UsageError
from airbench_var.example import TINY, TINY_TRANSLATE_2

if TYPE_CHECKING:
    from airbench_var.data import Dataset, PairData, PhotoData
    from airbench_var.report.reported import Pictured
    from airbench_var.store import Store


def add_report(parser: argparse.ArgumentParser) -> None:
    """Add what `report` takes."""
    add_store(parser)
    parser.add_argument(
        "--compare",
        type=Path,
        nargs="?",
        const=TINY_TRANSLATE_2,
        metavar="STORE_B",
        help="of another recipe: A against B comes first (with --example: its second store)",
    )
    parser.add_argument("--html", type=Path, required=True, metavar="FILE", help="the page")
    parser.add_argument(
        "--data-dir",
        type=Path,
        metavar="DIR",
        help="where CIFAR-10 lies, for the images of examples; otherwise it is looked up",
    )


def report(options: argparse.Namespace) -> int:
    """Write one HTML page with tables, figures and all numbers of a store; it needs no network.

    A report that is there already is replaced. Figures need matplotlib: pip install 'airbench_var[report]'.
    """
    from airbench_var import machine
    from airbench_var.analysis.live import compare_counted, refuse_to_compare
    from airbench_var.report.figures.canvas import require_matplotlib
    from airbench_var.report.html import report_page
    from airbench_var.report.reported import Reported
    from airbench_var.store import Store
    from airbench_var.store.disk import replace_file, storage_errors

    # The very object, which argparse puts where --compare stands alone: somebody may name its path.
    if options.compare is TINY_TRANSLATE_2 and options.store != TINY:
        raise UsageError("--compare needs STORE_B, the store of the other recipe.")
    require_matplotlib("reports")
    refuse_to_replace(options.html)
    stores = [Store.open(path) for path in (options.store, options.compare) if path]
    if options.compare:
        refuse_to_compare(*stores)
    both = tuple(Reported.of_store(store, pictured(store, options.data_dir)) for store in stores)
    comparison = None
    if options.compare:
        a, b = both
        comparison = compare_counted((a.store, b.store), (a.statistics, b.statistics))
    made_with = f"airbench_var {machine.version('airbench_var')}, commit {machine.short_commit()}"
    page = report_page(both, comparison, made_with=made_with).encode(
        errors="replace"
    )  # a path may be no text
    with storage_errors(options.html, "writing", instead="name another file with --html"):
        replace_file(options.html, page)
    notes = dict.fromkeys(
        note
        for reported in both
        for note in (
            reported.statistics.note,
            reported.pictured.absent,
            reported.statistics.keep(reported.store),
        )
        if note
    )
    _print_written(options, {"html": str(options.html), "bytes": len(page), "notes": list(notes)})
    return 0


def _print_written(options: argparse.Namespace, written: dict[str, Any]) -> None:
    with reader_may_leave():
        if options.json:
            print_json(written)
            return
        for note in written["notes"]:
            print(f"note: {note}", file=sys.stderr)
        print(f"{options.html}: {written['bytes'] / 1e6:.1f} MB, opens in a browser, needs no network")


def refuse_to_replace(path: Path) -> None:
    """Raise UsageError for a file that is not one of our reports, and where there can be none."""
    from airbench_var.report.html import BEGINNING
    from airbench_var.store.disk import storage_errors

    if path.is_dir():
        raise UsageError(f"--html {path} is a folder. Name a file in it, as {path / 'report.html'}.")
    if path.suffix.lower() not in (".html", ".htm"):
        raise UsageError(f"--html {path}: a browser opens what ends in .html. Name it so.")
    if not path.parent.is_dir():
        raise UsageError(f"--html {path}: there is no folder {path.parent}. Make it first.")
    if not path.exists():
        return
    with storage_errors(path, "reading"), path.open("rb") as file:
        begins = file.read(len(BEGINNING))
    if begins != BEGINNING.encode():
        raise UsageError(
            f"--html {path} exists and is no report of ours, so it is not replaced. Choose another name."
        )


def pictured(store: "Store", data_dir: Path | None) -> "Pictured":
    """Return the images of the test sets of a store, as far as they are at hand and the ones it was made on.

    Nothing is downloaded. Raises: DataError for a data_dir that was named and holds no data, or other data.
    """
    from airbench_var import data
    from airbench_var.report.reported import Pictured

    made_on = store.manifest.identity.get("data") or {}
    name, images_sha256 = made_on.get("name"), made_on.get("test", {}).get("images_sha256")
    if name in ("mrpc", "photos"):
        why = {"mrpc": "its examples are sentences", "photos": "they stay on the disk"}[name]
        return Pictured(absent=f"no images are shown: {why}")
    if name not in data.NAMES or not images_sha256:
        return Pictured(absent="the store does not say which images its runs were tested on")
    how = "Give the folder of these images with --data-dir"
    try:
        found = _loaded(name, data_dir or _where_they_were(store), named=data_dir is not None)
    except DataError:
        if data_dir is not None:
            raise
        return Pictured(absent=f"the images are left out, as they are not at hand. {how}")
    if not isinstance(found, data.Dataset) or found.test.fingerprint["images_sha256"] != images_sha256:
        other = f"{found.source} holds other test images than those that the runs were tested on"
        if data_dir is not None:
            raise DataError(
                f"{other} (sha256 {images_sha256[:12]}). Name their folder, or leave --data-dir out."
            )
        return Pictured(absent=f"the images are left out: {other}. {how}")
    of_test_split = {name, f"{name}-tta"} - set(made_on.get("more", {}))
    return Pictured(images={one: found.test.images_NHWC for one in store.test_sets if one in of_test_split})


def _loaded(name: str, place: Path | None, *, named: bool) -> "Dataset | PairData | PhotoData":
    """Return a data set from a place, or where it is looked up otherwise, unless the place was named."""
    from airbench_var import data

    if name != "cifar10":
        place = None  # what is made needs no files
    try:
        return data.load(name, place, download=False, progress=False)
    except DataError:
        if named or place is None:
            raise
        return data.load(name, None, download=False, progress=False)


def _where_they_were(store: "Store") -> Path | None:
    """Return the place that the runs read their images from, if it is still there; it may hold others now."""
    source = store.manifest.provenance.get("data_source")
    place = Path(source) if isinstance(source, str) and source else None
    return place if place and place.exists() else None
