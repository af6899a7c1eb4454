"""`python -m airbench_var bench`: its table, its JSON and its mistakes."""

import json
import re
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from airbench_var import cli, machine
from airbench_var.benchmark import measure
from airbench_var.cli import benchmarking
from airbench_var.data.dataset import Dataset
from airbench_var.report.benchmark import duration

SCHEMA = json.loads(resources.files("airbench_var.benchmark").joinpath("benchmark.schema.json").read_text())
SMALL = ["bench", "--seconds", "1", "--set", "network.widths=8,12,16", "--set", "epochs=0.5"]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, small_data: Dataset, tmp_path: Path) -> None:
    monkeypatch.setattr(measure, "cifar_sized", lambda: small_data)
    monkeypatch.setattr(measure, "COPIED_BYTES", 1 << 20)
    monkeypatch.setattr(measure, "CEILING_S", 0.01)
    monkeypatch.chdir(tmp_path)


def test_json_follows_its_schema_and_nothing_is_stored(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert cli.main([*SMALL, "--json", "--workers", "1"]) == 0
    document = json.loads(capsys.readouterr().out)
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.validate(document, SCHEMA)
    assert document["schema"] == SCHEMA["$id"]
    assert document["recipe"] == "tiny"
    assert document["seconds_per_network"]["n"] >= 1
    assert list(tmp_path.iterdir()) == []

    changes: tuple[Callable[[dict[str, Any]], object], ...] = (
        lambda d: d.pop("recipe_sha256"),
        lambda d: d.update(networks_per_hour=0),
        lambda d: d.update(new=1),
        lambda d: d.update(schema="airbench_var/benchmark/0"),
        lambda d: d["seconds_per_network"].pop("p95"),
    )
    for change in changes:
        wrong = json.loads(json.dumps(document))
        change(wrong)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, SCHEMA)


def test_it_is_told_now_and_then_how_far_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    told = benchmarking._Told()
    for networks, seconds in ((0, 1.0), (2, 14.9), (3, 15.0), (4, 16.0), (7, 40.0)):
        told(networks, seconds)
    assert capsys.readouterr().err.splitlines() == ["  3 networks after 15 s", "  7 networks after 40 s"]


def test_the_table_says_what_was_measured_and_how_it_was_chosen(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "commit", lambda: "0123456789abcdef+")
    assert cli.main([*SMALL, "--workers", "2"]) == 0  # the pool
    printed = capsys.readouterr()
    assert "commit 01234567+\n" in printed.out
    for words in ("tiny, 2 workers", "Networks per hour", "95th percentile", "10,000 runs", "TFLOP/s"):
        assert words in printed.out
    assert re.search(r"Mean accuracy +\d+\.\d %", printed.out)
    assert "workers  2 (pool): asked for" in printed.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--recipe", "tyni"], "unknown recipe 'tyni' (did you mean 'tiny'?)"),
        (["--set", "epohcs=1"], "unknown recipe key 'epohcs'"),
        (["--seconds", "0"], "'0' is not a whole number of 1 or more"),
        (["--set", "batch_size=60000"], "batch_size = 60000"),
        (["--executor", "ray"], "bench measures this machine"),
        (["--device", "tpu9"], "choose auto, cpu, cuda"),
    ],
)
def test_mistakes_are_named(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code = cli.main(["bench", *arguments])
    except SystemExit as leaving:  # argparse
        code = int(leaving.code or 0)
    assert code == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_durations_have_a_unit_that_can_be_read() -> None:
    assert [duration(hours) for hours in (0.2, 5.07, 100)] == ["12 minutes", "5.1 hours", "4.2 days"]
