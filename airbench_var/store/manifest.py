"""manifest.json: what a store is of (compared on every resume) and where it came from (for people)."""

import hashlib
import json
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from airbench_var.errors import StoreRefusedError, UsageError
from airbench_var.store.damage import MISSING, Fault, FaultError, damaged
from airbench_var.store.disk import storage_errors
from airbench_var.store.layout import RowLayout
from airbench_var.store.npy import HEADER_BYTES
from airbench_var.store.rows import MOST_CLASSES, MOST_LABELS, label_dtype

MANIFEST = "manifest.json"
#: The same bytes once more: without a manifest no checksum means anything.
MANIFEST_COPY = "manifest.copy.json"
#: What a manifest is called until its store is complete.
UNFINISHED = MANIFEST + ".new"
FORMAT, FORMAT_VERSION = "airbench_var store", 1

MOST_EXAMPLES = 10**9

QUARANTINE = "quarantine"
#: Names in a store that no test set may have; with a dot before a letter there are more, as runs.npy.
TAKEN = (QUARANTINE, "lock")
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]|(?<=[0-9])\.(?=[0-9]))*")

#: The fields of a record that hold the seeds of the run.
SEEDS = ("init_seed", "order_seed", "aug_seed")

#: The matrices a test set may have, and the bytes of one run in each (uint8) for n examples.
COLUMNS = {"correct": lambda n: (n + 7) // 8, "predicted": lambda n: n}


@dataclass(frozen=True, kw_only=True)
class TestSet:
    """What a store holds fixed of a test set; `name` is also its folder."""

    name: str
    n: int  #: examples
    classes: tuple[str, ...]  #: names, in label order
    labels_sha256: str  #: of the label bytes (n,)

    @property
    def labels_file(self) -> str:
        """The path inside the store."""
        return f"{self.name}/labels.npy"

    @property
    def label_dtype(self) -> np.dtype[Any]:
        """uint8, or uint16 where there are more than 256 classes."""
        return label_dtype(len(self.classes))


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """One matrix of the store: uint8 (capacity, width)."""

    test_set: str
    column: str
    width: int

    @property
    def file(self) -> str:
        """The path inside the store."""
        return f"{self.test_set}/{self.column}.npy"

    @property
    def layout(self) -> RowLayout:
        """Where its rows lie."""
        return RowLayout(self.file, np.dtype(np.uint8), (self.width,))


def describe_test_set(name: str, labels_N: npt.NDArray[Any], classes: tuple[str, ...]) -> dict[str, Any]:
    """Return the entry of a test set for `identity["test_sets"]`."""
    kept_N = np.ascontiguousarray(labels_N, label_dtype(len(classes)))
    labels_sha256 = hashlib.sha256(kept_N.data).hexdigest()
    return {"name": name, "n": len(labels_N), "classes": list(classes), "labels_sha256": labels_sha256}


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a store is of. Written once, never changed.

    `identity` must match on resume; it has at least `test_sets` (see `describe_test_set`) and `columns`
    (of "correct", "predicted"). `provenance` is informative and never compared. Both hold JSON values.
    """

    uuid: uuid.UUID
    identity: Mapping[str, Any]
    provenance: Mapping[str, Any]
    format_version: int = FORMAT_VERSION

    @classmethod
    def new(cls, identity: Mapping[str, Any], provenance: Mapping[str, Any]) -> Self:
        """Return the manifest of a new store, with a fresh uuid.

        Raises: UsageError when a test set or a column cannot be stored.
        """
        manifest = cls(uuid=uuid.uuid4(), identity=_as_json(identity), provenance=_as_json(provenance))
        manifest._refuse_what_cannot_be_stored()
        return manifest

    @cached_property
    def test_sets(self) -> tuple[TestSet, ...]:
        """The test sets, in the order of the counts in a run's record."""
        return tuple(
            TestSet(**{**entry, "classes": tuple(entry["classes"])}) for entry in self.identity["test_sets"]
        )

    @cached_property
    def matrices(self) -> tuple[Matrix, ...]:
        """Every matrix of the store: test set by test set, column by column."""
        return tuple(
            Matrix(test_set=test_set.name, column=column, width=COLUMNS[column](test_set.n))
            for test_set in self.test_sets
            for column in self.identity["columns"]
        )

    @cached_property
    def record_dtype(self) -> np.dtype[np.void]:
        """The dtype of a record; T test sets in manifest order, M columns in manifest order.

        Its size is a power of two, filled up with `reserved` zeros: a record then never lies on two disk
        sectors, so that a power cut leaves the old record or the new one.

        Raises: StoreRefusedError when the record does not fit a sector.
        """
        t, m = len(self.test_sets), len(self.identity["columns"])
        fields: list[tuple[Any, ...]] = [
            ("state", "u1"),
            ("diverged", "u1"),
            ("attempt", "<u2"),
            ("worker", "<u4"),
            ("run_id", "<u8"),
            *((seed, "<u8") for seed in SEEDS),
            ("loss", "<f8"),
            ("train_s", "<f8"),
            ("correct", "<u4", (t,)),
            ("payload_crc", "<u4", (t, m)),
            ("crc", "<u4"),
        ]
        used = np.dtype(fields).itemsize
        size = 1 << (used - 1).bit_length()
        if size > HEADER_BYTES:
            raise StoreRefusedError(f"{t} test sets do not fit one record; divide them between stores.")
        return np.dtype([*fields, ("reserved", "u1", (size - used,))] if used < size else fields)

    def encode(self) -> bytes:
        """Return the text of manifest.json; its last member is the sha256 of the others in canonical JSON."""
        body = {
            "format": FORMAT,
            "format_version": self.format_version,
            "uuid": str(self.uuid),
            "identity": self.identity,
            "provenance": self.provenance,
        }
        return (json.dumps(body | {"sha256": _sha256(body)}, indent=2) + "\n").encode("ascii")

    @classmethod
    def load(cls, store: Path, file: str = MANIFEST) -> Self:
        """Read STORE/manifest.json, or its copy.

        Raises: StoreDamagedError for half a manifest or a changed one, StoreRefusedError for a newer format
        or a manifest of something else.
        """
        path = store / file

        def fault(what: str) -> FaultError:
            return damaged(store, Fault(file, None, what))

        with storage_errors(path, "reading"):
            try:
                text = path.read_bytes()
            except FileNotFoundError as error:
                raise fault(MISSING) from error
        try:
            body = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise fault("it is not whole") from error
        if not isinstance(body, dict) or body.get("format") != FORMAT:
            raise StoreRefusedError(f"{path} is not a store's manifest. Choose another folder with --out.")
        if body.get("format_version") != FORMAT_VERSION:
            raise StoreRefusedError(
                f"{path}: the store has format version {body.get('format_version')!r}, this airbench_var "
                f"knows version {FORMAT_VERSION}. Use the airbench_var that wrote it, or a newer one."
            )
        digest = body.pop("sha256", None)
        if digest != _sha256(body):
            raise fault("it is not what was written: its sha256 differs")
        try:
            manifest = cls(
                uuid=uuid.UUID(body["uuid"]), identity=body["identity"], provenance=body["provenance"]
            )
            if not isinstance(manifest.provenance, dict):
                raise TypeError("provenance")
            manifest._refuse_what_cannot_be_stored()
        except (
            AttributeError,
            KeyError,
            TypeError,
            ValueError,
            UsageError,
        ) as error:  # whole, but not of our making
            raise StoreRefusedError(f"{path} does not describe a store: {error!r}.") from error
        if manifest.encode() != text:
            raise fault("it is not what was written: its bytes differ")
        return manifest

    def refuse_other_identity(self, store: Path, identity: Mapping[str, Any]) -> None:
        """Raise StoreRefusedError that lists each difference by dotted key, when there is one."""
        mine, other = _held(self.identity), _held(identity)
        if mine != other:
            raise StoreRefusedError(
                f"{store} is a store of {mine}, and this command makes {other}; nothing was written. Choose "
                "another folder with --out."
            )
        lines = differences(self.identity, _as_json(identity), "in the store", "now")
        if not lines:
            return
        listed = "\n".join(f"  {line}" for line in lines)
        if source := self.provenance.get("imported_from"):
            raise StoreRefusedError(
                f"{store} holds what was imported from {source}, and this is not the same; nothing was "
                f"written. Choose another folder with --out. What differs:\n{listed}"
            )
        raise StoreRefusedError(
            f"{store} is the store of another campaign; nothing was written. What differs:\n{listed}\n"
            "Choose another folder with --out, or give the options that the store was made with."
        )

    def _refuse_what_cannot_be_stored(self) -> None:
        names = [test_set.name for test_set in self.test_sets]
        if not names or len(set(names)) < len(names):
            raise UsageError(f"a store needs test sets with different names, not {names}.")
        for test_set in self.test_sets:
            if not _NAME.fullmatch(test_set.name) or test_set.name in TAKEN:
                raise UsageError(
                    f"test set {test_set.name!r}: its name becomes a folder; use letters, digits, -, _, "
                    f"a dot between digits, and not {', '.join(TAKEN)}."
                )
            if not 1 <= test_set.n <= MOST_EXAMPLES or not 1 <= len(test_set.classes) <= MOST_LABELS:
                raise UsageError(
                    f"test set {test_set.name!r}: {test_set.n} examples, {len(test_set.classes)} classes; "
                    f"a store takes at least one example, and 1 to {MOST_LABELS:,} classes."
                )
        columns = self.identity["columns"]
        if "correct" not in columns or len(set(columns)) < len(columns) or set(columns) - set(COLUMNS):
            raise UsageError(
                f"columns {columns}: a store has 'correct' and may have 'predicted', nothing else."
            )
        for test_set in self.test_sets:
            if "predicted" in columns and len(test_set.classes) > MOST_CLASSES:
                raise UsageError(
                    f"test set {test_set.name!r} has {len(test_set.classes):,} classes: predicted classes "
                    f"are kept where {MOST_CLASSES} at most fit a byte. Leave the column 'predicted' out."
                )


def lost_its_manifest(names: set[str]) -> bool:
    """Whether a folder with these names is a store whose manifest is gone, and not a creation under way."""
    return MANIFEST_COPY in names and not names & {MANIFEST, UNFINISHED}


def _as_json(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values as JSON gives them back: tuples become lists, so that old and new compare."""
    return dict(json.loads(json.dumps(values, allow_nan=False)))


def _sha256(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode("ascii")).hexdigest()


def differences(old: Mapping[str, Any], new: Mapping[str, Any], where_old: str, where_new: str) -> list[str]:
    """Return 'dotted.key: OLD <where_old>, NEW <where_new>' of every leaf that differs, hashes last."""
    found = sorted(_differences("", old, new), key=lambda one: any(map(_is_hash, one[1:])))
    return [f"{key}: {_show(a)} {where_old}, {_show(b)} {where_new}" for key, a, b in found]


def different_leaves(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Yield the dotted key of every leaf that differs, and both values for people."""
    for key, a, b in _differences("", old, new):
        yield key, _show(a), _show(b)


def _held(identity: Mapping[str, Any]) -> str:
    """Return what runs a store of this identity holds, for people, as far as it is a question of kind."""
    if "imported" in identity:
        return "imported predictions"
    if function := identity.get("function"):
        return f"runs of the function {function['name']}"
    return "runs of a recipe"


def _differences(key: str, old: Any, new: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(old, list) and isinstance(new, list) and any(isinstance(v, dict) for v in (*old, *new)):
        old, new = dict(enumerate(old)), dict(enumerate(new))
    if isinstance(old, dict) and isinstance(new, dict):
        for name in dict.fromkeys((*old, *new)):
            below = f"{key}.{name}" if key else str(name)
            yield from _differences(below, old.get(name, _ABSENT), new.get(name, _ABSENT))
    elif old != new or type(old) is not type(new):
        yield key, old, new


_ABSENT = object()


def _show(value: Any) -> str:
    if _is_hash(value):
        return f"{value[:12]}..."
    return "absent" if value is _ABSENT else json.dumps(value)


def _is_hash(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch(r"[0-9a-f]{64}", value) is not None
