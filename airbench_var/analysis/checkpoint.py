"""The integer state of a large campaign, kept in its store so that nothing is counted twice.

It is a copy of what the rows say, never needed and always rebuildable: one that does not fit the records of
the store is passed over. Rows were compared with their checksums when they were counted; `verify` does that
anew.
"""

import hashlib
import io
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from airbench_var.errors import StoreDamagedError
from airbench_var.stats import CampaignState
from airbench_var.store import COMMITTED, Store
from airbench_var.store.disk import sync_folder, write_new_file
from airbench_var.store.records import Records

#: The sha256 of what follows, 32 bytes; then the arrays, in NumPy's npz format.
FILE = "statistics.cache"
#: Of the arrays and their meaning.
VERSION = 2


def save(store: Store, states: Mapping[str, CampaignState], digest: str) -> str:
    """Keep the states in the store, in place of older ones; return why not, or nothing.

    `digest` is that of their runs when their rows were counted: if the store has changed since, `load` will
    pass these states over. A reader may have no right to write, and the disk may be full: neither is a reason
    to stop. Two readers that save at once leave the state of one of them.
    """
    arrays: dict[str, npt.NDArray[Any]] = {}
    for name, state in states.items():
        arrays |= {f"{name}/{key}": array for key, array in state.to_arrays().items()}
    arrays["digest"] = np.array(digest)
    file = io.BytesIO()
    np.savez(file, **arrays)  # type: ignore[arg-type]  # its stub takes `allow_pickle` for one of them
    new = store.path / f"{FILE}.{os.getpid()}"
    try:
        try:
            write_new_file(new, hashlib.sha256(file.getbuffer()).digest() + file.getvalue())
            new.rename(store.path / FILE)
            sync_folder(store.path)
        finally:
            new.unlink(missing_ok=True)
    except OSError as error:
        return f"the statistics could not be kept in {store.path / FILE} ({error.strerror or error})"
    return ""


def load(
    store: Store, records: Records, nothing: Mapping[str, CampaignState]
) -> tuple[Mapping[str, CampaignState], str]:
    """Return the kept states, or `nothing`, those of no runs; and why they are passed over when they are.

    `records` are all that the store has, as they are now.
    """
    path = store.path / FILE
    try:
        content = memoryview(path.read_bytes())
        if content[:32] != hashlib.sha256(content[32:]).digest():
            raise ValueError("its sha256 differs")
        with np.load(io.BytesIO(content[32:]), allow_pickle=False) as kept:
            arrays = {name: kept[name] for name in kept.files}
        states = {
            name: state.with_arrays(
                {
                    key.removeprefix(f"{name}/"): array
                    for key, array in arrays.items()
                    if key.startswith(f"{name}/")
                }
            )
            for name, state in nothing.items()
        }
        run_ids_R = next(iter(states.values())).correct.run_ids_R
        if any(not np.array_equal(run_ids_R, state.correct.run_ids_R) for state in states.values()):
            raise ValueError("its test sets have different runs")
        digest = str(arrays["digest"])
    except FileNotFoundError:
        return nothing, ""
    except (OSError, KeyError, ValueError, StoreDamagedError) as error:
        return nothing, f"{path} is passed over, and all rows are counted again: {error}"
    if not len(run_ids_R) or run_ids_R[-1] >= len(records) or digest != digest_of(store, records, run_ids_R):
        return nothing, f"{path} is passed over, and all rows are counted again: it is of other runs"
    return states, ""


def digest_of(store: Store, records: Records, run_ids_R: npt.NDArray[np.int64]) -> str | None:
    """Return a hash of what the records, all of the store, say of these runs: another row, another checksum.

    None when one is not committed, as after a repair: it is no part of any statistics.
    """
    records = records[run_ids_R]
    if np.any(records["state"] != COMMITTED):
        return None
    digest = hashlib.sha256(f"{VERSION} {store.manifest.uuid}".encode())
    digest.update(run_ids_R.tobytes())
    digest.update(np.ascontiguousarray(records["payload_crc"]).tobytes())
    return digest.hexdigest()
