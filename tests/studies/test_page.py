"""Numbers as people read them."""

from dataclasses import replace

import pytest

from airbench_var.data import NAMES
from airbench_var.report.figures.canvas import Figure
from airbench_var.studies.findings import Claim, Findings, Number, Unit
from airbench_var.studies.page import _OBTAINED, _numbers_table, claims_table, page, shown


def number(unit: Unit, value: float | None, low: float | None, high: float | None) -> Number:
    return Number(
        name="x", arm="a", unit=unit, value=value, low=low, high=high, target="t", runs=2, examples=3,
        method="m", absent="" if low is not None else "too few",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("unit", "value", "low", "high", "text"),
    [
        ("share", 0.0123, 0.0111, 0.0135, ("1.23 %", "1.11 to 1.35 %")),
        ("variance", 3.2e-6, 1e-6, 5.41e-6, ("3.2e-6", "1e-6 to 5.41e-6")),
        ("variance", 822e-6, 600e-6, 1.19e-3, ("822e-6", "600e-6 to 1,190e-6")),
        ("plain", 0.5, -0.25, 1.0, ("0.5", "-0.25 to 1")),
        ("count", 12345.0, None, None, ("12,345", "too few")),
        ("plain", None, None, None, ("none", "too few")),
    ],
)
def test_values_and_intervals(unit, value, low, high, text) -> None:
    assert shown(number(unit, value, low, high)) == text


def test_the_page_says_of_every_data_set_how_to_get_it() -> None:
    assert tuple(_OBTAINED) == NAMES


@pytest.mark.parametrize(
    ("unit", "paper", "text"),
    [
        ("share", 0.9442, "94.42 %"),
        ("share", 0.0132, "1.32 %"),
        ("share", 0.00033, "0.033 %"),
        ("plain", 2.5, "2.5"),
        ("count", 5, "5"),
        ("share", None, ""),
    ],
)
def test_what_the_paper_prints_is_shown_with_its_digits(unit, paper, text) -> None:
    row = [*_numbers_table([replace(number(unit, 0.5, 0.4, 0.6), paper=paper)])][-1]
    assert row.endswith(f"| 2 x 3 | {text} |")


def test_a_value_comes_with_its_warnings() -> None:
    std = replace(number("share", 0.0, 0.0, 0.002), warnings=("estimate negative", "under-dispersed"))
    assert "| 0 % (estimate negative; under-dispersed) | 0 to 0.20 % |" in [*_numbers_table([std])][-1]


def test_no_p_value_is_zero() -> None:
    tiny = replace(number("plain", 0.0, None, None), name="variance_ratio_p_value")
    assert shown(tiny)[0] == "below 1e-300"
    assert shown(replace(tiny, value=1e-20))[0] == "1e-20"


def test_the_least_p_value_that_a_test_could_find_is_a_bound() -> None:
    ranked = replace(number("plain", 0.005, None, None), name="calibration_p_value", least=0.005)
    assert shown(ranked)[0] == "<= 0.005"
    assert shown(replace(ranked, value=0.01))[0] == "0.01"


def test_a_claim_is_a_row_with_the_runs_that_would_tell() -> None:
    claim = Claim(text="T", source="S", verdict="cannot be told", because="B", runs_needed=1234)
    assert (
        list(claims_table([claim]))[-1] == "| T | S | **cannot be told** | B; about 1,200 runs would tell |"
    )


def test_where_no_runs_would_tell_the_examples_that_would_are_named() -> None:
    claim = Claim(text="T", source="S", verdict="cannot be told", because="B", examples_needed=5678)
    assert list(claims_table([claim]))[-1].endswith(
        "B; no number of runs would tell on these examples, and with unlimited runs it takes about 5,700 "
        "examples |"
    )


def test_the_page_has_every_number_with_its_size_and_what_the_paper_prints() -> None:
    arm = {
        "name": "long", "recipe": {"name": "tiny"}, "recipe_sha256": "0123456789", "runs": 4,
        "vary": ["init"], "diverged": 1, "seconds_of_training": 10.0, "device": "D",
        "trained_at_commit": "abcdefghij",
    }  # fmt: skip
    split = {"n": 1200, "images_sha256": "aaaaaaaaaa", "labels_sha256": "bbbbbbbbbb"}
    document = {
        "title": "Title", "source": "Fig 1", "caveat": None, "data_title": "Data",
        "data": {"name": "cifar10", "train": split, "test": {"n": 7, "text_sha256": "cccccccccc"}},
        "arms": [arm, arm, {**arm, "trained_at_commit": "abcdefghij+"}],
        "analysed": {"command": "run it", "commit": "1234567890+", "created": "2026-01-02T03"},
    }  # fmt: skip
    std = replace(
        number("share", 0.0015, 0.0014, 0.0016), name="test_set_std", paper=0.0056, target="this test set",
        method="how",
    )  # fmt: skip
    real = replace(
        std, name="real", target="the distribution", low=None, high=None, method="never", absent="too few"
    )
    findings = Findings(
        numbers=[std, real],
        claims=[Claim(text="T", source="S", verdict="holds", because="B")],
        figures=[Figure(name="f", caption="Caption.", draw=lambda canvas: None)],
        notes=["Note."],
    )
    text = page(document, "Why?", findings)
    assert text.startswith(
        "# Title\n\nWhy? (Fig 1.)\n\n    run it\n\nData; trained on D, commit abcdefgh, abcdefgh+; analysed "
        "at commit 12345678+, 2026-01-02.\n\nData `cifar10`: train 1,200 examples (images aaaaaaaa, labels "
        "bbbbbbbb); test 7 examples (text cccccccc); the first characters of each sha256. It is read from "
        "the folder that `--data-dir` names, "
    )
    warned = page({**document, "caveat": "Mind this."}, "Why?", findings)
    assert warned.startswith("# Title\n\nWhy? (Fig 1.)\n\n**Mind this.**\n\n    run it\n")
    assert "\n| long | tiny | 01234567 | 4 | init | 1 | 2.5 |\n" in text
    assert "\n| test set std | test set | a | 0.150 % | 0.140 to 0.160 % | 2 x 3 | 0.560 % |\n" in text
    assert "\n| real | distribution | a | 0.15 % | too few | 2 x 3 | 0.560 % |\n" in text
    assert "\n![f](figures/f.png)\n\nCaption.\n" in text
    assert "\nIntervals. test_set_std: how.\n" in text
    assert text.index("| T | S | **holds** | B |") < text.index("Note.") < text.index("![f]")
