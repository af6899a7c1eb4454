"""The store: memory-mapped matrices of what every run predicted, and the records that vouch for them."""

from airbench_var.store.damage import Fault
from airbench_var.store.filesystem import filesystem_of, network_warning
from airbench_var.store.inventory import StoreInfo, info
from airbench_var.store.manifest import Manifest, describe_test_set
from airbench_var.store.merging import Merged, merge
from airbench_var.store.quarantine import Repair, repair
from airbench_var.store.reader import Block, Store
from airbench_var.store.records import COMMITTED, FAILED, OPEN
from airbench_var.store.rows import Outcome, Predictions, RunResult, RunSpec
from airbench_var.store.verification import Verification, verify
from airbench_var.store.writer import StoreWriter

__all__ = [
    "COMMITTED",
    "FAILED",
    "OPEN",
    "Block",
    "Fault",
    "Manifest",
    "Merged",
    "Outcome",
    "Predictions",
    "Repair",
    "RunResult",
    "RunSpec",
    "Store",
    "StoreInfo",
    "StoreWriter",
    "Verification",
    "describe_test_set",
    "filesystem_of",
    "info",
    "merge",
    "network_warning",
    "repair",
    "verify",
]
