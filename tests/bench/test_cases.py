"""Every case runs once with small sizes: rows and ratios are as documented. No time is looked at."""

import json
import subprocess
import sys
from collections.abc import Generator
from dataclasses import fields
from pathlib import Path

import jsonschema
import pytest
import torch

from bench import __main__
from bench.cases import CASES, Options, Run, run_cases, timed
from bench.schema import Case, Row, copying

CPU = torch.device("cpu")
ROOT = Path(__file__).parents[2]

WORDS = {"type": "string", "minLength": 1}
NUMBER = {"type": "number", "exclusiveMinimum": 0}
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["rows", "ratios"],
    "properties": {
        "rows": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": [field.name for field in fields(Row)],
                "properties": {
                    **dict.fromkeys(("group", "case", "key", "variant", "device", "versions"), WORDS),
                    **dict.fromkeys(("commit", "unit", "ceiling"), WORDS),
                    **dict.fromkeys(("min", "p20", "p50", "p80", "p95", "first"), NUMBER),
                    "share_of_ceiling": NUMBER,
                    **{key: {"type": "string"} for key in ("item", "rate_unit", "note")},
                    **{key: {"type": "integer", "minimum": 1} for key in ("n", "bytes_moved")},
                    "items": {"type": "integer", "minimum": 0},
                    "rate": {"type": "number", "minimum": 0},
                },
            },
        },
        "ratios": {"type": "object", "minProperties": 1, "additionalProperties": NUMBER},
    },
}

#: Ratios that people rely on, by case.
PROMISED = {
    "loaders": {
        "loaders_vs_dataloader",
        "loaders_vs_dataloader_2_workers",
        "loaders_vs_airbench",
        "loaders_share_of_copy",
    },
    "photos": {
        "photos_vs_dataloader",
        "photos_vs_dataloader_2_workers",
        "photos_vs_ours_all_jpeg",
        "photos_share_of_copy",
    },
    "augment": {
        "augment_vs_masked_copies",
        "augment_vs_per_image",
        "augment_share_of_copy",
        "augment_2000_share_of_copy",
    },
    "correctness": {"correctness_vs_plain", "correctness_share_of_copy"},
    "cooccurrence": {"cooccurrence_vs_float32_product", "cooccurrence_share_of_gemm"},
    "training_cpu": {"tiny_vs_plain_loop", "tiny_vs_tuned_eager", "tiny_share_of_network_gemm"},
    "start": {"start_share_of_import_torch"},
    "overhead": {"campaign_share_of_training"},
    "scaling": {"scaling_vs_1_worker", "scaling_share_of_ideal"},
    "death": {"death_share_of_import_torch"},
    "executors": {
        "executors_vs_ray",
        "executors_vs_pool_of_1",
        "executors_vs_in_process",
        "executors_share_of_ideal",
    },
    "step": {"tiny_share_of_gemm", "airbench94_share_of_gemm", "tiny_vs_plain_step"},
    "store": {"commit_disk_vs_npz_per_run", "commit_one_run_vs_memmap", "store_resume_vs_plain"},
    "statistics": {"state_vs_numpy", "pairs_vs_numpy_one_product", "analyze_vs_numpy_three_numbers"},
}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # what cases leave behind, they leave in runs/
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)  # half a minute a step


@pytest.mark.parametrize(
    "name",
    # On it, the case starts no cluster of its own.
    [pytest.param(name, id=f"{name} on ray" if name == "executors" else name) for name in CASES],
)
def test_every_case_runs_and_says_what_it_promises(name: str, tmp_path: Path) -> None:
    shown: list[list[Row]] = []
    found = run_cases([name], Options(device=CPU, repeats=1, small=True), shown.append)
    assert found.failures == []
    document = json.loads(json.dumps(found.to_json(), allow_nan=False))
    jsonschema.validate(document, SCHEMA)
    assert PROMISED[name] <= document["ratios"].keys()
    assert {row["group"] for row in document["rows"]} == {name}
    assert [row for rows in shown for row in rows] == found.rows
    assert list(tmp_path.iterdir()) == []


def fake(name: str, other: float) -> Run:
    """A case whose variants agree where the other is 1."""

    def cases(_: Options) -> Generator[Case, None, None]:
        yield Case(
            name=name,
            variants={"ours": lambda: (torch.ones(1),), "other": lambda: (torch.full((1,), other),)},
            bytes_moved=100,
            ceiling=copying(100, CPU),
        )

    return timed(cases)


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        __main__, "CASES", {"right": fake("right", 1.0), "wrong": fake("wrong", 2.0), "talking": _talk}
    )


def _talk(options: Options) -> Generator[list[Row], None, None]:
    print("a case may speak")
    yield from fake("talking", 1.0)(options)


@pytest.mark.usefixtures("fakes")
def test_json_is_one_object_on_stdout_and_the_tables_go_to_stderr(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert __main__.main(["talking", "--json", "--repeats", "1", "--out", "rows.jsonl"]) == 0
    printed = capsys.readouterr()
    document = json.loads(printed.out)
    assert document["ratios"].keys() == {"talking_vs_other", "talking_share_of_copy"}
    assert "talking (n = 1)" in printed.err
    assert "a case may speak" in printed.err
    lines = (tmp_path / "rows.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == document["rows"]
    assert __main__.main(["right", "--repeats", "1", "--out", "rows.jsonl"]) == 0
    assert "right (n = 1)" in capsys.readouterr().out
    assert len((tmp_path / "rows.jsonl").read_text().splitlines()) == 2 * len(lines)


@pytest.mark.usefixtures("fakes")
def test_a_case_that_is_wrong_has_no_number_and_the_others_have_theirs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert __main__.main(["wrong", "right", "--json", "--repeats", "1"]) == 1
    printed = capsys.readouterr()
    assert {row["group"] for row in json.loads(printed.out)["rows"]} == {"right"}
    assert "no number of this: wrong: wrong: other and ours differ" in printed.err


@pytest.mark.usefixtures("fakes")
def test_without_a_name_all_cases_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert __main__.main(["--repeats", "1", "--json"]) == 1  # the wrong one is among them
    printed = capsys.readouterr()
    assert {row["group"] for row in json.loads(printed.out)["rows"]} == {"right", "talking"}
    assert "wrong: wrong: other and ours differ" in printed.err


def test_two_ratios_of_one_name_are_a_defect() -> None:
    with pytest.raises(AssertionError, match="two ratios of one name"):
        run_cases(
            ["one", "two"],
            Options(device=CPU, repeats=1),
            cases={"one": fake("same", 1.0), "two": fake("same", 1.0)},
        )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["storr"], f"unknown case 'storr' (did you mean 'store'?). Cases: {', '.join(CASES)}."),
        (["store", "--repeats", "0"], "must be at least 1"),
        (["store", "--threads", "0"], "must be at least 1"),
    ],
)
def test_mistakes_are_named(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        __main__.main(arguments)
    assert message in " ".join(capsys.readouterr().err.split())


def test_the_command_prints_json_and_nothing_else_on_stdout() -> None:
    command = [sys.executable, "-m", "bench", "correctness", "--json", "--small", "--repeats", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    jsonschema.validate(json.loads(done.stdout), SCHEMA)
