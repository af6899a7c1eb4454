"""One row of the fault table: what was tried, how often, and what came of it."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from airbench_var.errors import AirbenchVarError
from airbench_var.store import Store, verify
from tests.store.fake_campaign import matrix_bytes, predictions_of, run_campaign

#: What may go wrong, in the order of the table.
OUTCOMES = ("lost", "torn", "undetected", "other_bytes", "stuck")


@dataclass
class Tally:
    """How often a fault was tried, and how often each outcome was seen; all but `tries` should stay 0."""

    fault: str
    tries: int = 0
    lost: int = 0  #: acknowledged runs that were not there afterwards, or had other predictions
    torn: int = 0  #: damaged rows or files that a kill or a power cut left, or that a reader met
    undetected: int = 0  #: damages that `verify` took for whole
    other_bytes: int = 0  #: finished stores that differ from one that nothing disturbed
    stuck: int = 0  #: stores that the same command could not finish, and named errors that did not come
    notes: list[str] = field(default_factory=list)

    @property
    def harmless(self) -> bool:
        """Whether nothing went wrong, and something was tried."""
        return self.tries > 0 and not any(getattr(self, name) for name in OUTCOMES)

    def wrong(self, outcome: str, note: str, count: int = 1) -> None:
        """Count something that must not happen; the first notes are kept."""
        setattr(self, outcome, getattr(self, outcome) + count)
        if len(self.notes) < 10:
            self.notes.append(f"{outcome}: {note}")

    def to_json(self) -> dict[str, Any]:
        """Return the row."""
        return asdict(self)

    def look_at(self, store: Path, acknowledged: Iterable[int], when: str) -> None:
        """Count what a disturbed store has lost of what it acknowledged, and what is torn in it."""
        acknowledged = set(acknowledged)
        if not (store / "manifest.json").exists():
            if acknowledged:
                self.wrong("lost", f"{when}: the whole store", len(acknowledged))
            return
        try:
            faults = verify(store).faults
            reader = Store.open(store)
            committed = set(reader.committed_ids().tolist())
        except AirbenchVarError as error:
            self.wrong("torn", f"{when}: {error}")
            return
        if faults:
            self.wrong("torn", f"{when}: {faults[0]}", len(faults))
        for run_id in sorted(acknowledged):
            if run_id not in committed or not _is_whole(reader, run_id):
                self.wrong("lost", f"{when}: run {run_id}")

    def finish(self, store: Path, n_runs: int, expected: dict[str, bytes], when: str) -> None:
        """Give the same command again, and count what is not as in a campaign that nothing disturbed."""
        try:
            run_campaign(store, n_runs)
        except AirbenchVarError as error:
            self.wrong("stuck", f"{when}: {error}")
            return
        if matrix_bytes(store) != expected:
            self.wrong("other_bytes", when)
        faults = verify(store).faults
        if faults:
            self.wrong("torn", f"{when}, finished: {faults[0]}", len(faults))


def _is_whole(store: Store, run_id: int) -> bool:
    try:
        payload = store.payload(run_id)
    except AirbenchVarError:
        return False
    expected = [row for p in predictions_of(run_id).values() for row in (p.correct, p.predicted)]
    return all(mine.tobytes() == row.tobytes() for mine, row in zip(payload, expected, strict=True))


def uninterrupted(folder: Path, n_runs: int) -> dict[str, bytes]:
    """Return the matrices of a campaign that nothing disturbed."""
    run_campaign(folder / f"uninterrupted{n_runs}", n_runs)
    return matrix_bytes(folder / f"uninterrupted{n_runs}")
