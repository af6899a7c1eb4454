"""Read a .json file: arrays of one array a run, alone or by key in an object, some runs at a time.

One pass finds where each run begins and ends, and keeps the rest of the document with a placeholder for each
run: that is small, and parsed as a whole, so that a document that is not JSON is refused before anything.
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from airbench_var.errors import DataError
from airbench_var.importing.dump import in_words
from airbench_var.importing.rows import Array, Contents, Held, Rows, numbers_of, reading, refuse_empty
from airbench_var.importing.tables import LABEL, listed, role_of_key
from airbench_var.importing.text_rows import Places, TextRows, whole_numbers

_READ_BYTES = 1 << 20
#: All that is not runs: keys, labels, a few values.
_MOST_REST_BYTES = 1 << 26
_TOKEN = re.compile(rb'[\[\]{}\n]|"(?:[^"\\]|\\.)*"|"', re.DOTALL)
_PLACEHOLDER = {"run": True}
_PLACEHOLDER_TEXT = json.dumps(_PLACEHOLDER).encode()


@contextmanager
def open_json(path: Path) -> Iterator[Contents]:
    """Yield the arrays of a .json file by key; "" for the only one of a document that is an array.

    Raises: DataError when it is no JSON, or has runs and other things in one array.
    """
    with reading(path):
        file = path.open("rb")
    with file:
        found = _Scan(path, file)
        document = found.document()
        items = document if isinstance(document, list) else []
        if objects := [one for one in items if isinstance(one, dict) and one != _PLACEHOLDER]:
            keys = listed([*objects[0]])
            raise DataError(
                f"{path} is an array of objects, with {keys}. Write one array with one array a run: "
                "json.dump([run['predicted'] for run in RUNS], file), or whatever its key is."
            )
        values = document if isinstance(document, dict) else {"": document}
        arrays: dict[str, Rows] = {}
        others: dict[str, str] = {}
        for key, value in values.items():
            name = f"{path}, {key}" if key else str(path)
            if key in found.places:
                if value != [_PLACEHOLDER] * len(found.places[key]):
                    raise DataError(f"{name} has runs, which are arrays, and other things in one array.")
                try:
                    arrays[key] = _JsonRows(name, path, file, found.places[key])
                except DataError as error:
                    if not key:
                        raise
                    others[key] = str(error)  # what is not asked for may be anything
            elif isinstance(value, list) and value and all(type(one) in (int, bool) for one in value):
                arrays[key] = Held(name, _row(value, name))
            elif (not key or role_of_key(key) == LABEL) and _are_numbers(value):
                arrays[key] = Held(name, np.array(value, np.float64))
            else:
                others[key] = in_words(value)
        yield Contents(arrays=arrays, others=others, numbers=numbers_of(values))


class _Scan:
    """One pass over the brackets of a document."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.places: dict[str, Places] = {}
        self._path, self._rest = path, bytearray()
        self._open: list[bytes] = []  # brackets
        self._key, self._line = "", 1
        self._run: tuple[int, int] | None = None  # offset and line of the run that is open
        offset, carried = 0, b""
        while True:
            with reading(path):
                more = file.read(_READ_BYTES)
            text = carried + more
            used = self._take(text, offset, is_last=not more)
            if not more:
                break
            carried, offset = text[used:], offset + used

    def document(self) -> Any:
        """Return the document with a placeholder for each run."""
        try:
            return json.loads(bytes(self._rest), object_pairs_hook=_no_key_twice)
        except (ValueError, RecursionError) as error:
            line = f"line {self._line}: " if self._open else ""  # the file ended inside brackets
            reason = "it ends before its last bracket" if self._open else str(error)
            raise DataError(
                f"{self._path} is not JSON that can be read: {line}{reason}. Write an array with one array a "
                "run, or an object of such arrays."
            ) from error

    def _take(self, text: bytes, offset: int, *, is_last: bool) -> int:
        """Scan a piece of the text that begins at an offset; return how much of it is done with."""
        done = 0  # up to where it is in the rest, or in a run
        for token in _TOKEN.finditer(text):
            what = token[0]
            if what == b'"' and not is_last:  # a string that goes on in the next piece
                self._keep(text[done : token.start()])
                self._refuse_large(len(text) - token.start())
                return token.start()
            if what == b"\n":
                self._line += 1
            elif what in b"[{":
                if self._run is None and what == b"[" and self._open in ([b"["], [b"{", b"["]):
                    self._keep(text[done : token.start()])
                    done = token.start()
                    self._run = offset + done, self._line
                self._open.append(what)
            elif what in b"]}":
                if not self._open:
                    self._keep(what)  # json says what is wrong
                    continue
                self._open.pop()
                if self._run is not None and self._open in ([b"["], [b"{", b"["]):
                    first, line = self._run
                    key = self._key if len(self._open) == 2 else ""
                    self.places.setdefault(key, Places()).add(first, offset + token.end() - first, line)
                    done, self._run = token.end(), None
                    self._rest += _PLACEHOLDER_TEXT
            elif len(self._open) == 1 and self._open == [b"{"]:
                self._key = _unquoted(what)
        self._keep(text[done:])
        return len(text)

    def _keep(self, text: bytes) -> None:
        if self._run is None:
            self._rest += text
            self._refuse_large(len(self._rest))

    def _refuse_large(self, size: int) -> None:
        if size > _MOST_REST_BYTES:
            raise DataError(
                f"{self._path} has more than {_MOST_REST_BYTES:,} bytes that are not runs. Write an array "
                "with one array a run, or an object of such arrays."
            )


class _JsonRows(TextRows):
    """Runs, each an array of classes, of true and false, or of one array of logits an example."""

    def parse(self, text: bytes, run: int) -> Array:
        """Return one run."""
        try:
            return _row(json.loads(text), self.name)
        except (ValueError, TypeError, OverflowError, RecursionError) as error:
            raise self.bad(self.line_of(run), f"run {run} is no array of numbers: {error}") from error


def _row(values: list[Any], name: str) -> Array:
    """Return classes or labels (N,), correctness (N,), or logits (N, K); raises ValueError for a mixture.

    Of a file of one run a row may also be the logits of one example, (K,).
    """
    if not values:
        refuse_empty(name, np.dtype(np.int64), (0,))
    types = set(map(type, values))
    if types == {bool}:
        return np.array(values, np.bool_)
    if types == {int}:
        return whole_numbers(values)
    if types <= {int, float}:
        return np.array(values, np.float64)
    if types == {list}:
        if {kind for inner in values for kind in map(type, inner)} - {int, float}:
            raise ValueError("a logit that is not a number")
        if len(set(map(len, values))) > 1:
            raise ValueError("its examples have different numbers of logits")
        return np.array(values, np.float64)
    raise ValueError(f"its values are {', '.join(sorted(kind.__name__ for kind in types))}")


def _are_numbers(value: object) -> bool:
    """Return whether these are labels as floats: accuracies lie under other keys."""
    return isinstance(value, list) and bool(value) and all(type(one) in (int, float) for one in value)


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("an object has a key twice")
    return found


def _unquoted(text: bytes) -> str:
    try:
        return str(json.loads(text))
    except ValueError:  # json says what is wrong when the document is parsed
        return ""
