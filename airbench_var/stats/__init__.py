"""Exact, mergeable integer statistics of a correctness matrix: everything the estimates are computed from."""

from airbench_var.stats.counts import CorrectnessCounts

__all__ = ["CorrectnessCounts"]
