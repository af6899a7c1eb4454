"""`python -m tests.faults.campaign STORE LEDGER RUNS...`: a campaign of fake runs in a process to be killed.

For each number of runs it makes or grows the store and commits what is open; what was acknowledged is added
to the ledger, outside of the store. NumPy only, so that it starts fast.
"""

import os
import sys
from pathlib import Path

from tests.store.fake_campaign import open_writer, outcome

BATCH = 2


def main(store: Path, ledger: Path, totals: list[int]) -> None:
    """Finish the store for each of the totals."""
    acknowledged = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for n_runs in totals:
        with open_writer(store, n_runs) as writer:
            writer.event("start", runs=n_runs)
            work = writer.open_ids(n_runs)
            for start in range(0, len(work), BATCH):
                batch = work[start : start + BATCH]
                writer.commit([outcome(run_id) for run_id in batch])
                os.write(acknowledged, "".join(f"{run_id}\n" for run_id in batch).encode())


def in_ledger(ledger: Path) -> set[int]:
    """Return the runs that were acknowledged."""
    return {int(line) for line in ledger.read_text().split()} if ledger.exists() else set()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), [int(n) for n in sys.argv[3:]])
