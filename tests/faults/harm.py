"""Damage on the disk: every bit flipped, every edge cut, regions lost to zeros, rows exchanged."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from airbench_var.errors import StoreDamagedError, StoreRefusedError
from airbench_var.store import repair, verify
from tests.faults.power import no_syncs
from tests.faults.tally import Tally, uninterrupted
from tests.store.fake_campaign import MATRICES, SIZES, matrix_bytes, run_campaign

N_RUNS = 4
MANIFESTS = ("manifest.json", "manifest.copy.json")
LABELS = tuple(f"{name}/labels.npy" for name in SIZES)
#: Every file whose bytes mean something to a program.
FILES = (*MANIFESTS, *LABELS, "runs.npy", *MATRICES)


class Patient:
    """A store that is damaged, looked at, and made whole again by putting back what was changed."""

    def __init__(self, folder: Path, tally: Tally) -> None:
        self.folder, self.tally = folder, tally
        self.store = folder / "store"
        run_campaign(self.store, N_RUNS)
        self.whole = {file: (self.store / file).read_bytes() for file in FILES}

    def put_back(self) -> None:
        """Bring every file back as it was."""
        for file, data in self.whole.items():
            path = self.store / file
            if not path.exists() or path.read_bytes() != data:
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(data)

    def examine(self, file: str, data: bytes | None, what: str) -> None:
        """Give a file other bytes (None: take it away); `verify` must name it, or one that contradicts it."""
        path = self.store / file
        if data is None:
            path.unlink()
        else:
            _overwrite(path, data)
        self.tally.tries += 1
        try:
            faults = verify(self.store).faults
        except (StoreDamagedError, StoreRefusedError):
            pass
        else:
            if not faults:
                self.tally.wrong("undetected", f"{file}: {what}")
            elif not any(fault.file in (file, "runs.npy") for fault in faults):
                self.tally.wrong("undetected", f"{file}: {what}, taken for {faults[0]}")
        _overwrite(path, self.whole[file])

    def heal(self, harm: Callable[[Path], None], expected: dict[str, bytes], what: str) -> None:
        """Damage a copy of the store, repair it, repeat the command: it must be as if never harmed."""
        copy = self.folder / "copy"
        shutil.copytree(self.store, copy)
        harm(copy)
        self.tally.tries += 1
        whole_before = _whole_rows(copy, self.whole)
        reopened = set(repair(copy).reopened)
        if reopened & whole_before:
            self.tally.wrong("lost", f"{what}: repair gave up whole runs {sorted(reopened & whole_before)}")
        run_campaign(copy, N_RUNS)
        if matrix_bytes(copy) != expected:
            self.tally.wrong("other_bytes", what)
        if verify(copy).faults:
            self.tally.wrong("torn", f"{what}: repaired and finished, yet {verify(copy).faults[0]}")
        shutil.rmtree(copy)


def flip_bits(folder: Path, bits_of: Callable[[int], Iterator[int]]) -> Tally:
    """Flip bits, one at a time, in every file; `bits_of(size)` says which."""
    tally = Tally("single bit flipped, any file, any field")
    with no_syncs():
        patient = Patient(folder, tally)
        for file, data in patient.whole.items():
            for bit in bits_of(8 * len(data)):
                changed = bytearray(data)
                changed[bit // 8] ^= 1 << bit % 8
                patient.examine(file, bytes(changed), f"bit {bit}")
    return tally


def cut_files(folder: Path, every_byte: bool) -> Tally:
    """Cut every file at the edge of every region, one byte before and one after, or at every byte."""
    tally = Tally("file cut short at every edge, one byte before and after; missing; empty")
    with no_syncs():
        patient = Patient(folder, tally)
        for file, data in patient.whole.items():
            patient.examine(file, None, "missing")
            for length in range(len(data)) if every_byte else _edges(file, data):
                patient.examine(file, data[:length], f"cut to {length} bytes")
    return tally


def lose_to_zeros(folder: Path, step: int) -> Tally:
    """Turn regions of 512 B and 4 KiB into zeros; where they were zeros, nothing has changed."""
    tally = Tally("regions of 512 B and 4 KiB turned to zeros, and whole files")
    with no_syncs():
        patient = Patient(folder, tally)
        for file, data in patient.whole.items():
            for size in (512, 4096, len(data)):
                for start in range(0, len(data), min(step, size)):
                    zeros = bytes(len(data[start : start + size]))
                    changed = data[:start] + zeros + data[start + size :]
                    if changed != data:
                        patient.examine(file, changed, f"{size} zeros at {start}")
    return tally


def add_garbage(folder: Path) -> Tally:
    """Append to every file."""
    tally = Tally("garbage after the end of a file")
    with no_syncs():
        patient = Patient(folder, tally)
        for file in FILES:
            for garbage in (b"\1", b"\n", b"garbage" * 10, os.urandom(512), os.urandom(5000)):
                patient.examine(file, patient.whole[file] + garbage, f"{len(garbage)} bytes more")
    return tally


def exchange_rows(folder: Path) -> Tally:
    """Put rows in the place of others, of the same store and of another one of the same campaign."""
    tally = Tally("row or record in the place of another, or of another store")
    with no_syncs():
        patient = Patient(folder, tally)
        run_campaign(folder / "other", N_RUNS)
        for file in ("runs.npy", *MATRICES):
            data, size = patient.whole[file], (len(patient.whole[file]) - 512) // N_RUNS
            rows = [data[512 + i * size : 512 + (i + 1) * size] for i in range(N_RUNS)]
            for i in range(N_RUNS):
                for j in set(range(N_RUNS)) - {i}:
                    changed = [*rows[:i], rows[j], *rows[i + 1 :]]
                    patient.examine(file, data[:512] + b"".join(changed), f"row {j} in the place of {i}")
        for file in ("runs.npy", *MANIFESTS):  # the matrices are equal in both
            patient.examine(file, (folder / "other" / file).read_bytes(), "of another store")
    return tally


def repair_harm(folder: Path, times: int, seed: int = 0) -> Tally:
    """Damage one to three places at random, repair, give the same command again."""
    tally = Tally("random damage, repair, same command again")
    rng = np.random.default_rng(seed)

    def harm(store: Path) -> None:
        for file in rng.choice(
            ["runs.npy", *MATRICES, MANIFESTS[rng.integers(2)], *LABELS], rng.integers(1, 4)
        ):
            path = store / str(file)
            data = bytearray(path.read_bytes())
            start = int(rng.integers(len(data)))
            match rng.integers(5):
                case 0:
                    data[start] ^= 1 << int(rng.integers(8))
                case 1:
                    data[start : start + 512] = rng.bytes(len(data[start : start + 512]))
                case 2:
                    data[start : start + 4096] = bytes(len(data[start : start + 4096]))
                case 3:
                    del data[start:]
                case 4:
                    data += rng.bytes(int(rng.integers(1, 2000)))
            path.write_bytes(bytes(data))

    with no_syncs():
        expected = uninterrupted(folder, N_RUNS)
        patient = Patient(folder, tally)
        for number in range(times):
            try:
                patient.heal(harm, expected, f"damage {number}")
            except StoreDamagedError as error:  # both manifests: nothing but a copy of the store helps
                shutil.rmtree(folder / "copy")
                if "manifest" not in str(error):
                    tally.wrong("stuck", f"damage {number}: {error}")
    return tally


def _edges(file: str, data: bytes) -> list[int]:
    ends = {0, len(data)}
    if file.endswith(".npy"):
        rows = 1 if file in LABELS else N_RUNS
        size = (len(data) - 512) // rows
        ends |= {512 + i * size for i in range(rows + 1)}
    return sorted({edge + d for edge in ends for d in (-1, 0, 1) if 0 <= edge + d < len(data)})


def _whole_rows(store: Path, whole: dict[str, bytes]) -> set[int]:
    """Return the runs whose record and rows are byte for byte what they were."""
    found = set(range(N_RUNS))
    for file in ("runs.npy", *MATRICES):
        size = (len(whole[file]) - 512) // N_RUNS
        data = (store / file).read_bytes()
        found &= {i for i in found if data[512 + i * size :][:size] == whole[file][512 + i * size :][:size]}
    return found


def _overwrite(path: Path, data: bytes) -> None:
    """Give a file these bytes; as many as before do not truncate it, which some disks would sync."""
    if path.exists() and path.stat().st_size == len(data):
        with path.open("r+b") as file:
            file.write(data)
    else:
        path.write_bytes(data)
