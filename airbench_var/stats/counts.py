"""The sufficient statistics of a correctness matrix `correct_RN`, as integers that merge exactly.

Axis letters: R runs, N examples, B packed bytes of a row or of a hash.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from airbench_var.errors import StoreDamagedError, StoreRefusedError, UsageError

Int64 = npt.NDArray[np.int64]
Packed = npt.NDArray[np.uint8]

ROW_HASH_BYTES = 16
_ROWS_PER_BLOCK = 64  # 64 rows of 10,000 examples are 5 MB as float64: they stay in the cache


@dataclass(frozen=True, kw_only=True, eq=False)
class CorrectnessCounts:
    """The runs of one test set, summed up: `of` counts rows, `merge` adds two states, `empty` is no runs.

    With C the correctness matrix: `k_R` right answers of each run, `even_R` those on examples of even index,
    `c_N` runs right on each example, `h_N` = sum_r C k_r and `h2_N` = sum_r C k_r**2. Runs are kept in the
    order of their ids, so the bytes do not depend on how the rows were cut into blocks, nor on the order in
    which blocks were merged.

    int64 holds every sum while R n**2 and n R**2 stay below 2**63 (10**7 runs on 50,000 examples); products
    of sums do not fit, so S1, S2 and Q are Python integers. Source: the U-statistics of `analysis.variance`.
    """

    n: int
    test_set_hash: str  #: identity of the test set: only states with the same one may be merged
    run_ids_R: Int64
    k_R: Int64
    even_R: Int64
    row_hash_RB: Packed  #: 128-bit BLAKE2b of each packed row, to recognise a run that was counted twice
    c_N: Int64
    h_N: Int64
    h2_N: Int64

    @classmethod
    def empty(cls, n: int, test_set_hash: str) -> Self:
        """Return the state of no runs on n examples; merging it changes nothing."""
        return cls.of(n, test_set_hash, [], np.zeros((0, (n + 7) // 8), np.uint8))

    @classmethod
    def of(cls, n: int, test_set_hash: str, run_ids_R: npt.ArrayLike, packed_RB: Packed) -> Self:
        """Count packed rows, uint8 (R, ceil(n/8)), bitorder "little", pad bits zero, with their run ids (R,).

        Raises: UsageError for a wrong shape, StoreDamagedError for a set pad bit, StoreRefusedError for an id
        given twice.
        """
        run_ids_R = np.asarray(run_ids_R, dtype=np.int64)
        _check_rows(n, run_ids_R, packed_RB)
        order_R = np.argsort(run_ids_R)
        k_R, even_R = np.empty((2, len(run_ids_R)), np.int64)
        sums_3N = np.zeros((3, n), np.int64)
        for start in range(0, len(run_ids_R), _ROWS_PER_BLOCK):
            rows = slice(start, start + _ROWS_PER_BLOCK)
            bits_RN = np.unpackbits(packed_RB[rows], axis=1, count=n, bitorder="little")
            k_R[rows] = k = bits_RN.sum(axis=1, dtype=np.int64)
            even_R[rows] = bits_RN[:, ::2].sum(axis=1, dtype=np.int64)
            # Exact in float64, in any order of summation: every partial sum is an integer of at most
            # 64 n**2, below 2**53 for n < 10**7. (float32 stops at 2**24: too short for k**2.)
            powers_3R = np.stack([np.ones_like(k), k, k * k]).astype(np.float64)
            sums_3N += (powers_3R @ bits_RN.astype(np.float64)).astype(np.int64)
        return cls(
            n=n,
            test_set_hash=test_set_hash,
            run_ids_R=run_ids_R[order_R],
            k_R=k_R[order_R],
            even_R=even_R[order_R],
            row_hash_RB=_row_hashes(packed_RB)[order_R],
            c_N=sums_3N[0],
            h_N=sums_3N[1],
            h2_N=sums_3N[2],
        )

    def merge(self, other: Self, *, equal_rows: bool = False) -> Self:
        """Return the state of both sets of runs together: exact, associative, commutative, O(n + R log R).

        Rows that are equal bit for bit under two ids look like one run that came in twice. `equal_rows` says
        that they are honest, as those of diverged runs that all predict one class.

        Raises: StoreRefusedError for another test set, or when both contain the same run id or an equal row.
        """
        if not equal_rows:
            _refuse_equal_rows(self, other)
        return self.union([self, other])

    @classmethod
    def union(cls, parts: Sequence[Self]) -> Self:
        """Return the state of several sets of runs, at least one: `merge` of many, in one pass.

        Raises: as `merge`, but equal rows are taken for honest.
        """
        first = parts[0]
        for part in parts:
            first._refuse_other_test_set(part)
        run_ids_R = np.concatenate([part.run_ids_R for part in parts])
        order_R = np.argsort(run_ids_R, kind="stable")  # sorted pieces: a single merging pass
        _refuse_repeated(run_ids_R[order_R])
        sums = {name: sum(getattr(part, name) for part in parts) for name in ("c_N", "h_N", "h2_N")}
        rows = {
            name: np.concatenate([getattr(part, name) for part in parts])[order_R]
            for name in ("run_ids_R", "k_R", "even_R", "row_hash_RB")
        }
        return cls(n=first.n, test_set_hash=first.test_set_hash, **sums, **rows)

    def _refuse_other_test_set(self, other: Self) -> None:
        if (self.n, self.test_set_hash) != (other.n, other.test_set_hash):
            raise StoreRefusedError(
                f"The runs were judged on different test sets ({self.n} examples, {self.test_set_hash[:12]}; "
                f"{other.n} examples, {other.test_set_hash[:12]}), so their counts cannot be added. "
                "Merge only runs of the same test set."
            )

    def update(self, run_ids_R: npt.ArrayLike, packed_RB: Packed) -> Self:
        """Return the state with more packed rows counted; `repeated_rows` reports those that are equal."""
        return self.union([self, self.of(self.n, self.test_set_hash, run_ids_R, packed_RB)])

    @property
    def R(self) -> int:
        """Number of runs."""
        return len(self.run_ids_R)

    @cached_property
    def S1(self) -> int:
        """Sum over runs of k_r."""
        return int(self.k_R.sum())

    @cached_property
    def S2(self) -> int:
        """Sum over runs of k_r**2."""
        return int(self.k_R @ self.k_R)

    @cached_property
    def Q(self) -> int:
        """Sum over examples of c_i**2."""
        return int(self.c_N @ self.c_N)

    @property
    def row_keys_R(self) -> npt.NDArray[np.void]:
        """The hash of each row as one value, (R,)."""
        return np.ascontiguousarray(self.row_hash_RB).view(np.dtype((np.void, ROW_HASH_BYTES)))[:, 0]

    def repeated_rows(self) -> list[tuple[int, ...]]:
        """Return the groups of run ids whose rows are equal bit for bit, in order of their first id.

        A run that entered twice under two ids fakes dependence between examples. Equal rows are no proof of
        it (diverged runs can all predict one class), so this reports, and leaves the judgement to the reader.
        """
        keys_R = self.row_keys_R
        _, group_R, sizes_G = np.unique(keys_R, return_inverse=True, return_counts=True)
        groups: dict[int, list[int]] = {}
        for r in np.flatnonzero(sizes_G[group_R] > 1):
            groups.setdefault(int(group_R[r]), []).append(int(self.run_ids_R[r]))
        return [tuple(ids) for ids in groups.values()]

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the state as named arrays, fit for `np.savez`; equal states give equal bytes."""
        return {field.name: np.asarray(getattr(self, field.name)) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Return the state that `to_arrays` wrote.

        Raises: StoreDamagedError when an array is missing, is not int64 (a float state is no longer exact),
        has the wrong shape, or when the sums contradict one another.
        """
        names = [field.name for field in fields(cls)]
        if missing := [name for name in names if name not in arrays]:
            raise StoreDamagedError(
                f"Saved statistics lack {', '.join(missing)}; compute them again from the store."
            )
        counted = {name: arrays[name] for name in names[2:]}
        state = cls(n=int(arrays["n"]), test_set_hash=str(arrays["test_set_hash"]), **counted)
        state._check()
        return state

    def _check(self) -> None:
        """Raise StoreDamagedError unless types, shapes and sums are those of counted rows."""
        shapes = {
            "run_ids_R": (self.R,),
            "k_R": (self.R,),
            "even_R": (self.R,),
            "row_hash_RB": (self.R, ROW_HASH_BYTES),
        }
        shapes |= {"c_N": (self.n,), "h_N": (self.n,), "h2_N": (self.n,)}
        for name, shape in shapes.items():
            array, dtype = getattr(self, name), np.uint8 if name == "row_hash_RB" else np.int64
            if array.dtype != dtype or array.shape != shape:
                raise StoreDamagedError(
                    f"Saved statistics are damaged: {name} is {array.dtype}{array.shape} where "
                    f"{np.dtype(dtype)}{shape} belongs; compute them again from the store."
                )
        k = self.k_R  # its third moment may pass 2**63: both sides then wrap alike
        sums = [int(s) for s in (self.c_N.sum(), self.h_N.sum(), self.h2_N.sum(), self.c_N[::2].sum())]
        if sums != [self.S1, self.S2, int((k * k) @ k), int(self.even_R.sum())] or np.any(
            np.diff(self.run_ids_R) <= 0
        ):
            raise StoreDamagedError(
                "Saved statistics are damaged: the sums over runs and over examples disagree; "
                "compute them again from the store."
            )


def _check_rows(n: int, run_ids_R: Int64, packed_RB: Packed) -> None:
    expected = (len(run_ids_R), (n + 7) // 8)
    if n < 1 or packed_RB.shape != expected or packed_RB.dtype != np.uint8:
        raise UsageError(
            f"Packed rows are {packed_RB.dtype}{packed_RB.shape} where uint8{expected} belongs for "
            f"{len(run_ids_R)} runs on {n} examples; "
            "pack with np.packbits(correct_RN, axis=1, bitorder='little')."
        )
    _refuse_repeated(np.sort(run_ids_R))
    if n % 8 and (damaged_R := packed_RB[:, -1] >> np.uint8(n % 8) != 0).any():
        raise StoreDamagedError(
            f"The correctness row of run {run_ids_R[damaged_R][0]} has bits beyond its {n} examples; "
            "it is not what a run wrote. Verify the store."
        )


def _refuse_repeated(sorted_ids_R: Int64) -> None:
    repeated = sorted_ids_R[1:][sorted_ids_R[1:] == sorted_ids_R[:-1]]
    if len(repeated):
        raise StoreRefusedError(
            f"Run {repeated[0]} would be counted twice (repeated run ids: {len(repeated)}), which looks like "
            "dependence between examples. Count each run once."
        )


def _refuse_equal_rows(first: CorrectnessCounts, second: CorrectnessCounts) -> None:
    first._refuse_other_test_set(second)
    _refuse_repeated(np.sort(np.concatenate([first.run_ids_R, second.run_ids_R])))
    _, mine, theirs = np.intersect1d(first.row_keys_R, second.row_keys_R, return_indices=True)
    if len(mine):
        raise StoreRefusedError(
            f"Run {second.run_ids_R[theirs[0]]} equals run {first.run_ids_R[mine[0]]} bit for bit (rows "
            f"found in both: {len(mine)}), which looks like one run under two ids. Count each run once; "
            "when the rows are honest, as those of diverged runs, merge with equal_rows=True."
        )


def _row_hashes(packed_RB: Packed) -> Packed:
    digests = (hashlib.blake2b(row.tobytes(), digest_size=ROW_HASH_BYTES).digest() for row in packed_RB)
    return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, ROW_HASH_BYTES)
