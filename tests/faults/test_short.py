"""The short fault campaign: every kind of fault, in under a minute; `make faults` has the long one.

A fault that cannot be tried here (no root, no strace) is left to the long campaign. The last tests break the
store on purpose: a campaign that finds nothing wrong with a wrong protocol proves nothing.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from airbench_var.store import writer
from airbench_var.store.disk import RowFile
from tests.faults import __main__ as faults
from tests.faults import harm, power
from tests.faults.tally import Tally


def name_of(campaign: faults.Campaign) -> str:
    inner = campaign.func if isinstance(campaign, partial) else campaign
    return (
        f"{inner.__name__}-{campaign.keywords['name']}"
        if "name" in getattr(campaign, "keywords", {})
        else inner.__name__
    )


@pytest.mark.parametrize("campaign", list(faults.campaigns(short=True)), ids=name_of)
def test_nothing_is_lost(campaign: faults.Campaign) -> None:
    tally = faults.in_a_folder(campaign)
    if tally is None:
        pytest.skip("cannot be tried here")
    assert tally.harmless, tally


def records_without_payload_syncs(monkeypatch: pytest.MonkeyPatch) -> None:
    sync = RowFile.sync
    monkeypatch.setattr(RowFile, "sync", lambda self: sync(self) if self.layout.file == "runs.npy" else None)


def records_before_payload(monkeypatch: pytest.MonkeyPatch) -> None:
    """The order of a plain script: everything is written, then everything is synced."""
    write = RowFile.write

    def early(self: RowFile, row: int, data: bytes | memoryview) -> None:
        write(self, row, data)
        if self.layout.file == "runs.npy":
            self.sync()

    monkeypatch.setattr(RowFile, "write", early)
    records_without_payload_syncs(monkeypatch)


def headers_before_space(monkeypatch: pytest.MonkeyPatch) -> None:
    reserve = RowFile.reserve
    monkeypatch.setattr(
        RowFile, "reserve", lambda self, rows, _=None: (self.promise(rows), reserve(self, rows))
    )


@pytest.mark.parametrize(
    "wrong", [records_without_payload_syncs, records_before_payload, headers_before_space]
)
def test_a_wrong_order_is_found_by_the_power_cut(
    wrong: object, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    wrong(monkeypatch)  # type: ignore[operator]
    tally = power.cut_anywhere(tmp_path, mixtures=0, every=5)
    assert tally.lost + tally.torn > 0, tally


def test_trusting_what_the_kernel_shows_after_a_failed_sync_is_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(writer.StoreWriter, "_vouch_again", lambda self, records: self._runs.sync())
    # The 21st and 26th syncs are of records, the 36th of a header.
    tally = power.cut_after_a_failed_sync(tmp_path, mixtures=0, every=8, first=21, step=5, last=36)
    assert tally.lost > 0, tally
    assert tally.torn > 0, tally


def test_names_that_a_killed_writer_left_unsynced_are_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Killed between the last rename of a creation and the sync of its folder, at about the 50th call."""
    monkeypatch.setattr(writer, "sync_folder", lambda _: None)
    tally = power.cut_after_a_kill(tmp_path, mixtures=0, every=40, first=49, last=53)
    assert tally.lost > 0, tally


def test_rows_without_checksums_are_found_by_the_flips(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("airbench_var.store.records.zlib.crc32", lambda *_: 0)

    def some(size: int) -> Iterator[int]:
        return iter(np.random.default_rng(size).integers(0, size, 20).tolist())

    tally: Tally = harm.flip_bits(tmp_path, some)
    assert tally.undetected > 0, tally
