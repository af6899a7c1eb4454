"""Read a pickle of containers, numbers, text and arrays of numbers, and run nothing that it asks for.

A pickle may name any function of any module and have it called. Here the few names that NumPy writes into
the pickle of an array stand for inert classes of this module, and every other name is refused.
"""

import io
import pickle
import re
from typing import Any

import numpy as np
import numpy.typing as npt


class Array:
    """What a pickle says about an array: still only its description."""

    def __init__(
        self, raw: object = b"", dtype: object = None, shape: object = (), order: object = "C"
    ) -> None:
        self._raw, self._dtype, self._shape, self._order = raw, dtype, shape, order

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _version, self._shape, self._dtype, fortran, self._raw = state
        self._order = "F" if fortran else "C"

    def values(self, kinds: str = "iu") -> npt.NDArray[Any]:
        """Return the array, by default one of integers; `kinds` as in numpy.dtype.kind, of "iufb".

        Raises ValueError when it is not an array of these kinds, of the size it states.
        """
        if not isinstance(self._dtype, _Dtype) or not isinstance(self._raw, bytes | bytearray):
            raise ValueError(f"an array that is not one of {_in_words(kinds)}")
        flat = np.frombuffer(self._raw, self._dtype.resolve(kinds))
        try:
            return flat.reshape(self._shape, order=self._order)  # type: ignore[call-overload, no-any-return]
        except TypeError as error:
            raise ValueError(f"an array of no shape: {error}") from error


def _in_words(kinds: str) -> str:
    words = {"i": "integers", "f": "floating-point numbers", "b": "booleans"}
    return " or ".join(word for kind, word in words.items() if kind in kinds)


class _Dtype:
    """Stands for numpy.dtype."""

    def __init__(self, code: str | bytes, *_flags: object) -> None:
        self._code, self._byteorder = _text(code), "|"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self._byteorder = _text(state[1])

    def resolve(self, kinds: str) -> np.dtype[Any]:
        full = self._byteorder + self._code
        if self._code[:1] not in tuple(kinds) or not re.fullmatch("[<>|=]([iu][1248]|f[248]|b1)", full):
            raise ValueError(f"an array of {full}, expected {_in_words(kinds)}")
        return np.dtype(full)


def _reconstruct(*_arguments: object) -> Array:
    """Stands for numpy's function of that name, which makes an empty array to be filled by __setstate__."""
    return Array()


def _scalar(dtype: object, raw: object = b"") -> float:
    """Stands for numpy's function of that name, which makes one number of its bytes."""
    number: float = Array(raw, dtype).values("iufb").item()
    return number


def _encode(text: str, encoding: str) -> bytes:
    """Stands for _codecs.encode, with which Python 3 writes bytes in old protocols."""
    if encoding != "latin1":
        raise ValueError(f"bytes as {encoding}, expected latin1")
    return text.encode("latin1")


def _text(value: object) -> str:
    if not isinstance(value, str | bytes):
        raise ValueError(f"a dtype named {value!r}, expected text")
    return value.decode("ascii") if isinstance(value, bytes) else value


_KNOWN = {
    "numpy.ndarray": Array,
    "numpy.dtype": _Dtype,
    "multiarray._reconstruct": _reconstruct,
    "multiarray.scalar": _scalar,
    "numeric._frombuffer": Array,
    "_codecs.encode": _encode,
}


class _Unpickler(pickle.Unpickler):
    """Knows the names above, under both places that NumPy has had for its core."""

    def find_class(self, module: str, name: str) -> Any:
        full = re.sub(r"^numpy\._?core\.", "", f"{module}.{name}")
        if full not in _KNOWN:
            raise ValueError(f"the pickle asks for {module}.{name}, which is refused; nothing of it was run")
        return _KNOWN[full]


def unpickle(content: bytes) -> object:
    """Return what a pickle holds, with `Array` for arrays and bytes for the strings of Python 2.

    Raises ValueError when it is damaged or asks for anything else.
    """
    try:
        return _Unpickler(io.BytesIO(content), encoding="bytes").load()
    except Exception as error:  # a damaged pickle can raise anything
        raise ValueError(f"not a readable pickle: {error}") from error
