"""The store: memory-mapped matrices of what every run predicted, and the records that vouch for them."""

from airbench_var.store.manifest import Manifest, describe_test_set
from airbench_var.store.reader import Block, Store
from airbench_var.store.rows import Outcome, Predictions, RunResult, RunSpec
from airbench_var.store.writer import StoreWriter

__all__ = [
    "Block",
    "Manifest",
    "Outcome",
    "Predictions",
    "RunResult",
    "RunSpec",
    "Store",
    "StoreWriter",
    "describe_test_set",
]
