"""Estimates with intervals from a store, without torch: `analyze(path)` for a whole store."""

from airbench_var.analysis.comparison import Comparison, compare_counts
from airbench_var.analysis.estimate import Estimate
from airbench_var.analysis.live import (
    Analysis,
    LiveStatistics,
    analyze,
    compare,
    count_store,
    follow,
    refuse_same_store,
)
from airbench_var.analysis.pairs import PairAnalysis, analyze_pairs
from airbench_var.analysis.planning import Plan, plan, std_interval_of, std_of
from airbench_var.analysis.summary import TestSetSummary, summarize

__all__ = [
    "Analysis",
    "Comparison",
    "Estimate",
    "LiveStatistics",
    "PairAnalysis",
    "Plan",
    "TestSetSummary",
    "analyze",
    "analyze_pairs",
    "compare",
    "compare_counts",
    "count_store",
    "follow",
    "plan",
    "refuse_same_store",
    "std_interval_of",
    "std_of",
    "summarize",
]
