"""The stores that come with the package: whole, of the recipes that they are said to be of, never written."""

import re
from pathlib import Path

import numpy as np
import pytest

from airbench_var import analyze, cli, compare
from airbench_var.analysis import count_store
from airbench_var.example import TINY, TINY_TRANSLATE_2
from airbench_var.recipes import find_recipe
from airbench_var.store import Store, verify

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"


@pytest.mark.parametrize(
    ("path", "changed", "seed"), [(TINY, {}, 1), (TINY_TRANSLATE_2, {"augment.translate": 2}, 2)]
)
def test_each_is_whole_and_of_the_recipe_as_it_is_now(path: Path, changed: dict[str, int], seed: int) -> None:
    found = verify(path)
    assert not found.faults
    store = Store.open(path)
    assert len(store.committed_ids()) == store.capacity == 100
    recipe = find_recipe("tiny").with_values(changed)
    assert store.manifest.identity["recipe_sha256"] == recipe.sha256
    assert store.manifest.identity["seed"] == seed


def test_they_are_what_a_commit_without_changes_made() -> None:
    made = [Store.open(path).manifest.provenance for path in (TINY, TINY_TRANSLATE_2)]
    assert made[0]["commit"] == made[1]["commit"]
    assert re.fullmatch("[0-9a-f]{40}", made[0]["commit"])


def test_reading_writes_nothing() -> None:
    def files() -> dict[Path, int]:
        return {path: path.stat().st_mtime_ns for path in TINY.parent.rglob("*.*") if path.suffix != ".pyc"}

    before = files()
    analyze(TINY)
    assert files() == before
    assert not list(TINY.parent.rglob("lock"))


def test_the_two_can_be_told_apart() -> None:
    """A larger shift costs `tiny` something at so few epochs: what the tutorial says."""
    found = compare(TINY_TRANSLATE_2, TINY)["cifar10"]
    low, high = found.estimates["difference_on_this_test_set"].interval or (np.nan, np.nan)
    assert high < 0
    assert found.p_values["difference_on_this_test_set"] < 0.05
    assert low > -0.01


def run(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert cli.main(arguments) == 0
    return capsys.readouterr().out


def test_readme_shows_what_the_example_prints(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    printed = {line.strip() for line in run(["analyze", "--example"], capsys).splitlines()}
    block = README.read_text().partition("$ python -m airbench_var analyze --example")[2]
    shown = [line.strip() for line in block.partition("\n\nQuote")[0].splitlines()[1:] if line.strip()]
    assert len(shown) > 10
    assert not [line for line in shown if line not in printed]


def test_in_the_place_of_a_store(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert str(TINY) in run(["info", "--example"], capsys)
    assert "Whole" in run(["verify", "--example"], capsys)
    of_both = run(["compare", "--example"], capsys)
    assert re.match(rf"A: tiny .*= 1, store {TINY}\nB: tiny .*= 2, store {TINY_TRANSLATE_2}\n", of_both)
    assert "100" in run(["export", "--example", "--out", str(tmp_path / "runs.csv")], capsys)
    run(["report", "--example", "--compare", "--html", str(page)], capsys)
    assert "tiny-translate-2" in page.read_text()
    planned = run(["plan", "--detect", "0.1%", "--example"], capsys)
    std = analyze(TINY)["cifar10"].estimates["test_set_std"].value or 0
    first, _, rest = run(["plan", "--detect", "0.1%", "--std", f"{std!r}"], capsys).partition("\n\n")
    assert planned.startswith(first)
    assert planned.endswith(rest)
    assert "The std is an estimate" in planned.removeprefix(first).removesuffix(rest)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["analyze", "--example", "runs/mine"], "not allowed with argument"),
        (["analyze", "runs/mine", "--example"], "not allowed with argument"),
        (["analyze", "--json"], "one of the arguments STORE --example is required"),
        (["plan", "--detect", "1%", "--example", "--std", "1%"], "not allowed with argument"),
        (["repair", "--example"], "required: STORE"),
        (["compare", "--example", "runs/mine"], "--example is two stores"),
        (["compare", "--example", "--recipe", "tiny"], "--example is two stores"),
        (["compare", "--example", "--workers", "2"], "--workers: two stores are compared as they are"),
        (["report", "runs/mine", "--html", "page.html", "--compare"], "--compare needs STORE_B"),
    ],
)
def test_refused(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(arguments) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_a_store_comes_before_or_after_options(capsys: pytest.CaptureFixture[str]) -> None:
    first = run(["info", str(TINY), "--json"], capsys)
    assert run(["info", "--json", str(TINY)], capsys) == first == run(["info", "--json", "--example"], capsys)


def test_counts_of_it_are_a_campaigns() -> None:
    assert {name: (counts.R, counts.n) for name, counts in count_store(TINY).items()} == {
        "cifar10": (100, 10_000)
    }
