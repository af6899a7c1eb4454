"""What `merge` prints, in 80 columns."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from airbench_var.report.merging import print_merged, ranges_text
from airbench_var.store.merging import Merged, Source


def printed(merged: Merged) -> str:
    file = io.StringIO()
    print_merged(merged, Console(file=file, width=80, highlight=False))
    return file.getvalue()


def source(i: int, **counts: int) -> Source:
    return Source(path=Path(f"runs/tiny.shard-{i}-of-4"), uuid="u", shard=f"{i}/4", **counts)


def test_what_came_from_where_and_what_is_missing() -> None:
    text = printed(
        Merged(
            out=Path("runs/all"),
            runs=10_000,
            committed=7400,
            failed=2,
            open=(range(3, 9_996, 4), range(9_996, 10_000)),
            sources=(
                source(0, committed=2500, failed=0, added=2500),
                source(1, committed=1249, failed=1, added=4),
            ),
            notes=(),
        )
    )
    rows = [line.split() for line in text.splitlines() if "shard-" in line]
    assert rows == [
        ["runs/tiny.shard-0-of-4", "0/4", "2,500", "0", "2,500"],
        ["runs/tiny.shard-1-of-4", "1/4", "1,249", "1", "4"],
    ]
    assert "runs/all: 7,400 committed, 2 failed, 2,503 open, of 10,000 runs" in text
    assert "Open: 3-9995 every 4, 9996-9999. When they have been trained, the same command adds" in text
    assert max(map(len, text.splitlines()[:-1])) <= 80


def test_a_whole_campaign_has_nothing_open() -> None:
    merged = Merged(
        out=Path("all"),
        runs=3,
        committed=3,
        failed=0,
        open=(),
        sources=(source(0, committed=3, failed=0, added=0),),
        notes=(),
    )
    assert "Open" not in printed(merged)
    assert merged.to_json()["open_runs"] == []


@pytest.mark.parametrize(
    ("ranges", "text"),
    [
        ([range(3, 4)], "3"),
        ([range(3, 5), range(8, 9)], "3-4, 8"),
        ([range(2, 99, 4)], "2-98 every 4"),
        ([range(2 * i, 2 * i + 1) for i in range(8)], "0, 2, 4, 6, 8, 10, 12, 14"),
        (
            [*(range(2 * i, 2 * i + 1) for i in range(8)), range(20, 30), range(40, 2041)],
            "0, 2, 4, 6, 8, 10, 12, 14, and 2,011 more",
        ),
    ],
)
def test_ids_in_few_words(ranges: list[range], text: str) -> None:
    assert ranges_text(ranges) == text
