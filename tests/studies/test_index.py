"""The page over all studies of a folder."""

import json
from pathlib import Path

import pytest

from airbench_var import machine
from airbench_var.errors import StoreRefusedError, UsageError
from airbench_var.studies.index import write_index
from airbench_var.studies.study import SCHEMA
from tests.cli.running import exit_code

NAMES = ["durations", "pairs", "truth"]


def claim(verdict: str) -> dict[str, object]:
    return {
        "text": f"It {verdict}",
        "source": "here",
        "verdict": verdict,
        "because": "so",
        "runs_needed": None,
    }


def study(folder: Path, name: str, *verdicts: str, **more: str) -> None:
    (folder / name).mkdir()
    document = {
        "schema": SCHEMA,
        "title": name.title(),
        "source": "Fig 1",
        "scale": "cpu",
        "data_title": "Data",
        "arms": [
            {"identity_sha256": "shared", "runs": 1200, "seconds_of_training": 5000.0},
            {"identity_sha256": name, "runs": 30, "seconds_of_training": 400.0},
        ],
        "claims": [claim(verdict) for verdict in verdicts],
        "analysed": {
            "commit": "0123456789abcdef+",
            "created": "2026-01-02T03:04:05+00:00",
            "command": f"do {name}",
        },
        **more,
    }
    (folder / name / "numbers.json").write_text(json.dumps(document))


def test_every_claim_is_there_and_counted(tmp_path: Path) -> None:
    study(tmp_path, "truth", "holds", "cannot be told")
    study(tmp_path, "durations", "holds", "does not hold")
    verdicts = write_index(tmp_path, NAMES)
    assert dict(verdicts) == {"holds": 2, "cannot be told": 1, "does not hold": 1}
    text = (tmp_path / "README.md").read_text()
    assert "Of 4 claims 2 hold, 1 does not hold, 1 cannot be told. " in text
    assert text.index("## Durations") < text.index("## Truth")
    assert "Together they are 1,260 networks." in text
    assert (
        "[durations](durations/README.md) | Fig 1 | cpu | Data | 2 | 1,230 | 1.5 | 01234567+ | 2026-01-02 |"
        in text
    )
    assert f"\n\n    {machine.command()}\n\n" in text
    assert "## Truth\n\n    do truth\n\n| claim |" in text
    assert "Not in this folder: pairs." in text
    assert text.count("It holds") == 2


def test_studies_of_a_scale_that_says_nothing_of_the_paper_are_told_apart(tmp_path: Path) -> None:
    study(tmp_path, "durations", "holds", caveat="Mind this.")
    study(tmp_path, "pairs", "holds", caveat="Mind this.")
    study(tmp_path, "truth", "holds")
    write_index(tmp_path, NAMES)
    text = (tmp_path / "README.md").read_text()
    assert text.index("\n**durations, pairs: Mind this.**\n") < text.index("| study |")
    of = {section.partition("\n")[0]: "\n**Mind this.**\n" in section for section in text.split("\n## ")[1:]}
    assert of == {"Durations": True, "Pairs": True, "Truth": False}


def test_a_folder_without_studies_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no study"):
        write_index(tmp_path, NAMES)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"schema": "another/1"}'])
def test_numbers_of_something_else_are_refused(text: str, tmp_path: Path) -> None:
    study(tmp_path, "durations", "holds")
    (tmp_path / "durations" / "numbers.json").write_text(text)
    with pytest.raises(StoreRefusedError, match="with the same --out"):
        write_index(tmp_path, NAMES)
    assert not (tmp_path / "README.md").exists()


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study(tmp_path, "durations", "holds", "holds")
    assert exit_code(["study", "index", "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "2 hold"
    assert exit_code(["study", "index", "--out", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"holds": 2}
