"""What there is to train, and help under the name that people try."""

import json

import pytest

from airbench_var.cli import train
from airbench_var.recipes import RECIPES, find_recipe
from tests.cli.running import run


def test_all_recipes_are_listed_with_what_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    code, printed, _ = run(["recipes"], capsys)
    assert code == 0
    names = [line.split()[0] for line in printed.splitlines() if not line.startswith(" ")]
    assert names == list(RECIPES)
    assert "The paper's finetuning of BERT on MRPC" in printed
    assert set(json.loads(run(["recipes", "--json"], capsys)[1])) == set(RECIPES)


@pytest.mark.parametrize("name", RECIPES)
def test_all_values_of_one_can_be_set_as_they_are_printed(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = find_recipe(name)
    found = json.loads(run(["recipes", name, "--json"], capsys)[1])
    assert (found.pop("name"), found.pop("recipe_sha256")) == (name, recipe.sha256)
    values = {key: value for key, value in found.items() if not key.endswith(".kind")}
    assert recipe.with_values(values) == recipe
    printed = run(["recipes", name], capsys)[1]
    assert f"epochs = {float(recipe.epochs)}" in printed.splitlines()


def test_an_unknown_recipe_is_told_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, told = run(["recipes", "tyni"], capsys)
    assert (code, "'tiny'" in told) == (2, True)


def test_who_types_nothing_sees_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    code, printed, told = run([], capsys)
    assert (code, printed) == (2, "")
    assert "analyze --example" in told
    assert told.splitlines()[-1].startswith("airbench_var: the following arguments are required: --runs")


def test_help_is_a_command_too(capsys: pytest.CaptureFixture[str]) -> None:
    for given, same in (
        (["help"], ["--help"]),
        (["help", "help"], ["--help"]),
        (["help", "analyze"], ["analyze", "--help"]),
    ):
        assert run(given, capsys) == run(same, capsys)
    code, _, told = run(["help", "anlyze"], capsys)
    assert (code, "did you mean 'analyze'" in told) == (2, True)


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_help_fits_the_terminal(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    code, out, _ = run(["--help"], capsys)
    begins = "  python -m airbench_var "  # to be copied, so whole
    assert code == 0
    assert [line for line in out.splitlines() if len(line) > columns and not line.startswith(begins)] == []
    assert ("analyze runs/tiny                  what its runs say" in out) == (columns == 120)
    assert all(about in out for _, about in train.EXAMPLES)
    out = run(["study", "--help"], capsys)[1]
    assert "learning-rate" in out  # no name is broken at its hyphen
    assert "\n\nThe same command again goes on" in out


@pytest.mark.parametrize("columns", [60, 200])
def test_recipes_fit_the_terminal(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    _, out, _ = run(["recipes"], capsys)
    lines = out.splitlines()
    assert (max(map(len, lines)) <= columns, len(lines) > len(RECIPES)) == (True, columns == 60)
    assert {line[:19].strip() for line in lines} == {"", *RECIPES} - ({""} if columns == 200 else set())
