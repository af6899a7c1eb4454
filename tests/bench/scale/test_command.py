"""The command prints its tables, keeps its numbers, says what was multiplied, and leaves nothing behind."""

import json
from pathlib import Path

import pytest

from bench.__main__ import main
from bench.scale.command import SHOWN, SMALL


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_all_of_it_at_small_sizes(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["scale", "--small", "--json", "--out", "numbers.json"]) == 0
    printed, shown = capsys.readouterr()
    found = json.loads(printed)
    assert found == json.loads((here / "numbers.json").read_text())
    assert [path.name for path in here.iterdir()] == ["numbers.json"]

    assert [one["runs"] for one in found["rates"]] == [100, 200, 300, 400]
    assert [*found["shown"]] == [*SHOWN]
    assert [one["slots"] for one in found["simulations"]] == [20, 40]
    assert [one["name"] for one in found["transports"]] == ["pool", "Ray"]
    assert all(20 <= one["runs"] <= 80 and one["rate"] > 0 for one in found["transports"])
    costs = {(cost["what"], cost["runs"], cost["examples"]): cost for cost in found["costs"]}
    predictions = costs["predictions", SMALL.runs, SMALL.examples]
    assert predictions["factor"] == SMALL.many / SMALL.runs
    assert predictions["value"] == pytest.approx(SMALL.runs * 135 / 1e6, rel=0.1)
    assert costs["runs.npy", SMALL.many, SMALL.few_examples]["value"] == (512 + 128 * SMALL.many) / 1e6
    assert costs["make the store, all space reserved", SMALL.many, SMALL.examples]["factor"] == 1
    for heading in (
        "Results a second, always ready",
        "by live view",
        "Simulated slots",
        "What bounds 1,500 runs",
    ):
        assert heading in shown.replace("\n", " ")
    assert f"commit {found['commit']}" in shown.replace("\n", " ")


def test_an_error_leaves_no_stores(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.scale.command.simulate", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        main(["scale", "--small"])
    assert list(here.iterdir()) == []
