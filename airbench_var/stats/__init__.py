"""Exact, mergeable integer statistics of many runs: everything the estimates are computed from."""

from airbench_var.stats.by_class import ClassCounts
from airbench_var.stats.counts import CorrectnessCounts
from airbench_var.stats.predictions import PredictionCounts
from airbench_var.stats.state import CampaignState, Chunk

__all__ = ["CampaignState", "Chunk", "ClassCounts", "CorrectnessCounts", "PredictionCounts"]
