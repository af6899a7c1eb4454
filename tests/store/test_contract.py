"""The store contract, for the store on disk and for the one in memory that other tests compare with."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from airbench_var.store import Store, StoreWriter
from airbench_var.store.records import Bytes
from tests.contracts.store_contract import StoreContract
from tests.store.memory_store import MemoryPlace


@dataclass
class Folder:
    path: Path

    def writer(
        self, *, identity: Mapping[str, Any], labels: Mapping[str, Bytes], provenance: Mapping[str, Any],
        capacity: int,
    ) -> StoreWriter:  # fmt: skip
        return StoreWriter.open(
            self.path, identity=identity, labels=labels, provenance=provenance, capacity=capacity
        )

    def reader(self) -> Store:
        return Store.open(self.path)


@pytest.mark.usefixtures("syncs_take_no_time")
class TestStoreOnDisk(StoreContract):
    @pytest.fixture
    def place(self, tmp_path: Path) -> Folder:
        return Folder(tmp_path / "store")


class TestStoreInMemory(StoreContract):
    @pytest.fixture
    def place(self) -> MemoryPlace:
        return MemoryPlace()
