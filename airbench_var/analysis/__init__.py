"""Estimates with intervals from a store, without torch: `analyze(path)` for a whole store."""

from airbench_var.analysis.estimate import Estimate
from airbench_var.analysis.live import Analysis, LiveStatistics, analyze
from airbench_var.analysis.summary import TestSetSummary, summarize

__all__ = ["Analysis", "Estimate", "LiveStatistics", "TestSetSummary", "analyze", "summarize"]
