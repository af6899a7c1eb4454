"""Make a new store so that a crash at any point leaves no store, or a whole one.

`manifest.json.new` is the first file and becomes `manifest.json` as the last step: a folder that holds it is
a creation that was cut short, in which nothing was ever acknowledged, and may be made anew.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import numpy as np

from airbench_var.errors import StoreDamagedError, StoreRefusedError, UsageError
from airbench_var.store.damage import MISSING, Fault, damaged
from airbench_var.store.disk import RowFile, storage_errors, sync_folder, write_new_file
from airbench_var.store.layout import RowLayout
from airbench_var.store.lock import LOCK, WriterLock
from airbench_var.store.manifest import (
    COLUMNS,
    MANIFEST,
    MANIFEST_COPY,
    UNFINISHED,
    Manifest,
    TestSet,
    describe_test_set,
    lost_its_manifest,
)
from airbench_var.store.records import RECORDS_PER_BLOCK, RUNS, Bytes, open_records, runs_layout
from airbench_var.store.row_reader import RowReader


def names_in(folder: Path, option: str = "--out") -> set[str]:
    """Return what a folder that may become ours holds, nothing where it is not there.

    option: by which another can be chosen, for people.

    Raises: StoreRefusedError when it can be none.
    """
    with storage_errors(folder, "opening"):
        try:
            return {path.name for path in folder.iterdir()}
        except FileNotFoundError:
            return set()
        except NotADirectoryError as error:
            raise StoreRefusedError(
                f"{folder}: this, or a folder on the way to it, is a file. Choose another folder with "
                f"{option}."
            ) from error


def refuse_strangers(store: Path) -> None:
    """Raise StoreRefusedError when the path holds anything but a store, the start of one, or nothing.

    Raises: StoreDamagedError when it holds a store without its manifest.
    """
    names = names_in(store)
    if lost_its_manifest(names):
        raise damaged(store, Fault(MANIFEST, None, MISSING))
    if names - {LOCK} and not names & {MANIFEST, UNFINISHED}:
        raise StoreRefusedError(
            f"{store} is not a store and not empty: it holds {', '.join(sorted(names)[:5])}; nothing was "
            "written. Choose a new or empty folder with --out."
        )


def has_manifest(store: Path) -> bool:
    """Whether the folder has that name in it, be it a link to nowhere: what is there is never made anew."""
    with storage_errors(store, "opening"):
        try:
            return MANIFEST in {path.name for path in store.iterdir()}
        except FileNotFoundError:
            return False


#: Characters that no picture, page or terminal shows; XML has no way to write them.
UNSHOWN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")

#: Beyond it, the sizes of the files leave 63 bits for test sets of a million examples.
MOST_RUNS = 10**12


def refuse_impossible(manifest: Manifest, labels: Mapping[str, Bytes], capacity: int) -> None:
    """Raise before anything is written when no store can be made of these."""
    if not 1 <= capacity <= MOST_RUNS:
        raise UsageError(f"a store has room for 1 to {MOST_RUNS:,} runs, not {capacity}.")
    _ = manifest.record_dtype  # raises when it does not fit a sector
    for test_set in manifest.test_sets:
        given = describe_test_set(test_set.name, labels[test_set.name], test_set.classes)
        if (given["n"], given["labels_sha256"]) != (test_set.n, test_set.labels_sha256):
            raise StoreRefusedError(f"the labels of test set {test_set.name!r} do not match its description.")
        for name in test_set.classes:
            if UNSHOWN.search(name):
                raise UsageError(
                    f"the class name {name!r} has a character that cannot be shown, such as a line break or "
                    "half of a surrogate pair; nothing was written. Leave it out of the name."
                )


@contextmanager
def writable_folder(store: Path) -> Iterator[WriterLock]:
    """Yield the lock of the folder, made if need be; on error let go of it, and take away what was made."""
    with ExitStack() as undo:
        missing = [folder for folder in (store, *store.parents) if not folder.is_dir()]
        with storage_errors(store, "making the folder"):
            for folder in reversed(missing):
                folder.mkdir(exist_ok=True)
                undo.callback(_remove, folder, Path.rmdir)
                sync_folder(folder.parent)
        lock = WriterLock.take(store)
        undo.callback(lock.close)
        if missing:
            undo.callback(_remove, store / LOCK, Path.unlink)
        with storage_errors(store / LOCK, "writing"):
            lock.sign()
        yield lock
        undo.pop_all()


def _remove(path: Path, how: Callable[[Path], None]) -> None:
    with suppress(OSError):  # on the way out of another error, which says more
        how(path)


def create_store(
    store: Path,
    manifest: Manifest,
    labels: Mapping[str, Bytes],
    capacity: int,
    own: range | None = None,
) -> None:
    """Fill the folder, whose lock the caller holds; on failure take away what was made.

    own: the runs that the matrices have space set aside for; by default all.

    Raises: StorageError, StoreRefusedError when something else is in the folder.
    """
    with storage_errors(store, "creating the store"):
        unfinished = _unfinished(store)
        if unfinished and _has_runs(store, unfinished):
            (store / UNFINISHED).rename(store / MANIFEST)
            sync_folder(store)
            return
        _discard(store, _folders_of(store, unfinished))
        try:
            _fill(store, manifest, labels, capacity, own)
        except BaseException:
            if (store / MANIFEST).exists():  # renamed, but not certainly on the disk
                (store / MANIFEST).rename(store / UNFINISHED)
                sync_folder(store)
            _discard(store, [test_set.name for test_set in manifest.test_sets])
            raise


def _fill(
    store: Path, manifest: Manifest, labels: Mapping[str, Bytes], capacity: int, own: range | None
) -> None:
    write_new_file(store / UNFINISHED, manifest.encode())
    sync_folder(store)
    write_new_file(store / MANIFEST_COPY, manifest.encode())
    for test_set in manifest.test_sets:
        (store / test_set.name).mkdir()
        write_new_file(store / test_set.labels_file, encode_labels(test_set, labels[test_set.name]))
    for matrix in manifest.matrices:
        RowFile.create(store, matrix.layout, capacity, own).close()
    for test_set in manifest.test_sets:
        sync_folder(store / test_set.name)
    with closing(RowFile.create(store, runs_layout(manifest), capacity)) as runs:
        write_open_records(runs, manifest, 0, capacity)
    sync_folder(store)
    (store / UNFINISHED).rename(store / MANIFEST)
    sync_folder(store)


def write_open_records(runs: RowFile, manifest: Manifest, first: int, last: int) -> None:
    """Write the records of runs first ... last - 1 as work to be done; they are on the disk at return."""
    for start in range(first, last, RECORDS_PER_BLOCK):
        ids = np.arange(start, min(start + RECORDS_PER_BLOCK, last))
        runs.write(start, open_records(manifest, ids).tobytes())
    runs.sync()


def encode_labels(test_set: TestSet, labels_N: Bytes) -> bytes:
    """Return the bytes of the file of a test set's labels."""
    layout = RowLayout(test_set.labels_file, test_set.label_dtype)
    return layout.header(test_set.n) + np.ascontiguousarray(labels_N, layout.dtype).tobytes()


def _discard(store: Path, folders: Iterable[str]) -> None:
    """Take away what `_fill` makes, the mark of an unfinished store last; touch nothing else."""
    for folder in (store / name for name in folders):
        for name in FILES:
            (folder / name).unlink(missing_ok=True)
        if folder.exists():
            folder.rmdir()
    for name in (RUNS, MANIFEST_COPY):
        (store / name).unlink(missing_ok=True)
    if (store / UNFINISHED).exists():
        sync_folder(store)  # a power cut must not bring back what the mark stands for, without the mark
        (store / UNFINISHED).unlink()


#: What the folder of a test set may hold.
FILES = ("labels.npy", *(f"{column}.npy" for column in COLUMNS))


def _unfinished(store: Path) -> Manifest | None:
    """Return the manifest of an unfinished creation; without it, nothing else of one was made."""
    try:
        return Manifest.load(store, UNFINISHED)
    except (StoreDamagedError, StoreRefusedError):
        return None


def _folders_of(store: Path, manifest: Manifest | None) -> tuple[str, ...]:
    """Return the folders of test sets that an unfinished creation has made here.

    Raises: StoreRefusedError when anything else is here.
    """
    names = {path.name for path in store.iterdir()}
    sets = [test_set.name for test_set in manifest.test_sets] if manifest else []
    folders = tuple(name for name in sets if name in names)
    others = names - {LOCK, UNFINISHED, MANIFEST_COPY, RUNS, *folders}
    for name in folders:
        path = store / name
        inside = {name} if path.is_symlink() or not path.is_dir() else {p.name for p in path.iterdir()}
        others |= {f"{name}/{entry}" for entry in inside - set(FILES)}
    if others:
        raise StoreRefusedError(
            f"{store} is an unfinished store with something else in it: {', '.join(sorted(others)[:5])}; "
            "nothing was written. Choose a new or empty folder with --out."
        )
    return folders


def _has_runs(store: Path, manifest: Manifest) -> bool:
    """Whether a run was ever committed: then the creation was finished, and only its last name was lost."""
    runs, path = runs_layout(manifest), store / RUNS
    if not path.exists():
        return False
    ids = np.arange(runs.rows_in(path.stat().st_size))
    return bool(RowReader(store, runs, missing_as_zeros=True).read(ids)["state"].any())
