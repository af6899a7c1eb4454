"""`python -m tests.importing.peak_memory FOLDER SUFFIX` imports a short file, then one ten times as long.

It prints, as JSON, by how much the long one raised the peak memory of the process, and how large it is. A
program of its own, because the peak of a process never falls.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np

from airbench_var.importing import Import, import_runs, rows
from tests.importing.writers import write_as

CASES = {".npz": "npz", ".pt": "pt, dict", ".parquet": "parquet, lists"}


def peak_bytes() -> int:
    status = Path("/proc/self/status").read_text()
    return next(1024 * int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))


def write(folder: Path, suffix: str, runs: int) -> Path:
    """Write in a child: what it takes to make a file is not to be measured."""
    child = os.fork()
    if child == 0:
        array = np.random.default_rng(runs).integers(0, 10, (runs, 20_000))
        write_as(CASES[suffix], folder, array)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    return folder / f"predictions{suffix}"


def main(folder: Path, suffix: str) -> None:
    rows.BLOCK_BYTES = 1 << 20
    os.fsync = os.fdatasync = lambda _: None
    np.save(folder / "labels.npy", np.zeros(20_000, np.uint8))
    peaks = []
    for runs in (20, 200):
        path = write(folder, suffix, runs)
        import_runs(Import(predictions=path, labels=folder / "labels.npy", out=folder / f"store{runs}"))
        peaks.append(peak_bytes())
    print(json.dumps({"growth": peaks[1] - peaks[0], "array": 200 * 20_000 * 8}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
