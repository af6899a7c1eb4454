"""Runs that are equal bit for bit: one run under two ids fakes dependence between examples."""

import math

import numpy as np

from airbench_var.analysis.intervals import example_variances
from airbench_var.stats import CorrectnessCounts

#: Of pairs of equal runs that chance makes: more of them are no sign that a run was counted twice.
_SURPRISINGLY_FEW = 0.01

Diverged = frozenset[int]


def within(counts: CorrectnessCounts, diverged: Diverged) -> str:
    """Return a warning of equal runs within a campaign, or nothing.

    Diverged runs that all predict one class are equal for an honest reason. Two runs are equal on example i
    with a chance of 1 - 2 p (1 - p): a certainty, nearly, on few or easy examples, and out of the question
    where hundreds vary.
    """
    repeated = [ids for ids in counts.repeated_rows() if not diverged.issuperset(ids)]
    if not repeated:
        return ""
    differ_N = 2 * np.minimum(example_variances(counts), 0.25)
    # Where all runs are equal, chance has no scale.
    by_chance = math.comb(counts.R, 2) * float(np.prod(1 - differ_N)) if differ_N.any() else 0.0
    if by_chance >= _SURPRISINGLY_FEW:
        return ""
    copies, (first, second) = sum(len(ids) - 1 for ids in repeated), repeated[0][:2]
    return (
        f"{copies} {'run equals' if copies == 1 else 'runs equal'} an earlier run bit for bit (run {second} "
        f"equals run {first}): either nothing was learned, as where all answer one class; or nothing random "
        "differed between them; or runs were counted twice. No variance can be trusted"
    )


def between(a: CorrectnessCounts, b: CorrectnessCounts, diverged: tuple[Diverged, Diverged]) -> str:
    """Return a warning of runs that are equal in two campaigns, or nothing; as `within`."""
    mine, theirs = _ids_by_row(a), _ids_by_row(b)
    shared = [
        row
        for row in mine.keys() & theirs.keys()
        if mine[row] not in diverged[0] or theirs[row] not in diverged[1]
    ]
    if not shared:
        return ""
    p_N, q_N = a.c_N / a.R, b.c_N / b.R
    by_chance = a.R * b.R * float(np.prod(p_N * q_N + (1 - p_N) * (1 - q_N)))
    if _SURPRISINGLY_FEW <= by_chance < a.R * b.R:
        return ""
    row = min(shared, key=lambda row: mine[row])
    return (
        f"{len(shared)} {'run is' if len(shared) == 1 else 'runs are'} equal in both, bit for bit (run "
        f"{mine[row]} of A, run {theirs[row]} of B): they are not independent, so there are no intervals"
    )


def _ids_by_row(counts: CorrectnessCounts) -> dict[bytes, int]:
    return {row.tobytes(): int(i) for row, i in zip(counts.row_hash_RB, counts.run_ids_R, strict=True)}
