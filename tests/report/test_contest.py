"""What a contest shows while it runs and at its end."""

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from airbench_var.analysis import LiveStatistics
from airbench_var.analysis.obrien_fleming import OBrienFleming
from airbench_var.analysis.sequential import Rule, TMixture
from airbench_var.analysis.standing import Referee, Standing
from airbench_var.report.comparison import headings, rows
from airbench_var.report.contest import ContestView, nearest, print_standing
from tests.report.test_live import Clock
from tests.statistical.generator import count, state_of

N = 400


def standing(
    runs: int, a: float = 0.6, b: float = 0.6, rule: Rule | None = None, failed: tuple[int, ...] = ()
) -> Standing:
    arms = (
        LiveStatistics(
            {"x": state_of(count(np.random.default_rng(seed).random((runs, N)) < chance))}, failed=failed
        )
        for seed, chance in ((0, a), (1, b))
    )
    return Referee(rule or TMixture(margin=0.01, max_runs=60), "x", *arms).standing()


def printed(found: Standing) -> str:
    file = io.StringIO()
    print_standing(found, Console(file=file, width=80, highlight=False))
    assert max(map(len, file.getvalue().splitlines())) <= 80
    return " ".join(file.getvalue().split())


def test_a_decision_is_told_with_its_numbers() -> None:
    found = standing(30, 0.7, 0.6)
    text = printed(found)
    assert f"A is better than B on this test set (x), decided after {found.pairs} pairs of runs" in text
    assert "95 % confidence sequence" in text
    assert "evidence E = " in text
    assert "a difference is shown at 20" in text
    assert f"runs that came after the last pair: {found.beyond};" in text
    assert "Welch" not in text
    assert "A run of A beats one of B" in text


def test_why_there_is_no_interval_on_the_distribution_is_said() -> None:
    found = standing(30, 0.7, 0.6)
    assert found.comparison is not None
    estimates = dict(found.comparison.estimates)
    name = "difference_on_the_distribution"
    estimates[name] = replace(estimates[name], interval=None, absent="the reason")
    without = replace(found, comparison=replace(found.comparison, estimates=estimates))
    assert "Note: no interval on the distribution: the reason." in printed(without)
    assert "no interval on the distribution" not in printed(found)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (standing(30, 0.6, 0.7), "B is better than A"),
        (standing(60, rule=TMixture(margin=0.1, max_runs=60)), "A and B are equivalent within 10.000 %"),
        (standing(8, rule=TMixture(margin=1e-6, max_runs=8)), "Undecided on this test set (x) after 8 pairs"),
        (standing(8), "Nothing is decided on this test set (x) after 8 pairs of runs"),
        (standing(0), "Nothing is decided: 0 pairs are through, the first look is at 1."),
        (
            standing(1),
            "no 95 % confidence sequence: a spread needs two pairs at least; no evidence either way",
        ),
        (
            standing(8, rule=OBrienFleming(margin=1e-6, max_runs=40, looks=2)),
            "Nothing is decided: 8 pairs are through, the first look is at 20.",
        ),
        (standing(9, failed=(2, 5)), "2 pairs are left out because a run of them failed for good"),
        (standing(60, 0.63, 0.6, TMixture(margin=0.3, max_runs=60)), "A minus B"),
        (
            standing(20, rule=OBrienFleming(margin=1e-6, max_runs=40, looks=2)),
            "95 % repeated confidence interval",
        ),
    ],
)
def test_every_state_has_its_words(found: Standing, words: str) -> None:
    assert words in printed(found)


def test_a_real_difference_below_the_margin_is_called_that() -> None:
    found = standing(40, 0.7, 0.6, OBrienFleming(margin=0.2, max_runs=40, looks=1))
    assert found.decision == "A is better"
    assert "The difference is real, and smaller than 20.000 %." in printed(found)


def test_no_p_value_is_printed_and_there_is_no_column_for_one() -> None:
    found = standing(30, 0.7, 0.6)
    assert found.comparison is not None
    assert found.comparison.p_values == {}
    assert headings(found.comparison) == ("", "estimate", "95 % interval")
    assert {len(row) for row in rows(found.comparison)} == {3}
    one = replace(found.comparison, p_values={"difference_on_this_test_set": 0.01})
    assert headings(one)[3] == "p"
    assert [row[3] for row in rows(one)] == ["0.01", "", "", ""]
    assert "none" in printed(found)  # in place of the intervals that do not hold


def test_the_nearest_decision() -> None:
    assert nearest(standing(1)) is None
    assert nearest(standing(5, 0.63, 0.60, TMixture(margin=1e-6, max_runs=60, g=(0.5,)))) == "A is better"
    assert nearest(standing(5, 0.60, 0.63, TMixture(margin=1e-6, max_runs=60, g=(0.5,)))) == "B is better"
    assert nearest(standing(30, rule=TMixture(margin=0.012, max_runs=60, g=(0.1,)))) == "equivalent"


def test_lines_show_pairs_difference_evidence_and_what_is_near() -> None:
    stream, clock = io.StringIO(), Clock()
    with ContestView(standing(0), 0, "auto", "tiny on small", stream=stream, clock=clock) as view:
        for runs in (3, 20):
            clock.now_s += 10
            view.update(standing(runs, rule=TMixture(margin=0.001, max_runs=60, g=(0.1,))))
    line = stream.getvalue().splitlines()[-1]
    for part in (
        "20 pairs of at most 60",
        "7,200 networks per hour",
        "at most 40 s left, less if it is decided before",
        "0 pairs left out",
        "x: A minus B",
        "95 % confidence sequence",
        "evidence E = ",
    ):
        assert part in line


def test_between_planned_looks_the_next_one_is_named() -> None:
    stream, rule = io.StringIO(), OBrienFleming(margin=1e-6, max_runs=40, looks=4)
    with ContestView(standing(0), 0, "plain", stream=stream, clock=Clock()) as view:
        view.update(standing(13, rule=rule))
    assert "next look at 20 pairs; x: A minus B" in stream.getvalue()
    assert "at 10 pairs" in stream.getvalue()


def test_a_line_at_the_end_of_an_undecided_contest_calls_it_that() -> None:
    stream = io.StringIO()
    with ContestView(standing(0), 0, "plain", stream=stream, clock=Clock()) as view:
        view.update(standing(8, rule=TMixture(margin=1e-6, max_runs=8)))
    assert stream.getvalue().endswith("; undecided: all pairs that --max-runs allows are there\n")


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (TMixture(margin=1e-6, max_runs=8), "The same command with a larger --max-runs goes on from here"),
        (OBrienFleming(margin=1e-6, max_runs=8, looks=2), "No runs may be added, as --looks planned with"),
    ],
)
def test_an_undecided_contest_says_what_may_be_done(rule: Rule, words: str) -> None:
    assert words in printed(standing(8, rule=rule))
    assert words not in printed(standing(4, rule=rule))


def test_why_few_pairs_leave_no_interval_on_the_distribution() -> None:
    text = printed(standing(6, rule=TMixture(margin=1e-6, max_runs=60)))
    assert "so few pairs bound the difference of runs at 95 %, but not yet at the 97.5 %" in text


def test_json_lines_are_json() -> None:
    stream = io.StringIO()
    with ContestView(standing(0), 0, "json", stream=stream, clock=Clock()) as view:
        view.update(standing(30, 0.7, 0.6))
    document = json.loads(stream.getvalue())
    assert (document["event"], document["decision"], document["max_runs"]) == ("progress", "A is better", 60)
    assert document["log_e"] >= document["threshold"]
    assert "path" not in document


def test_the_view_fits_80_columns() -> None:
    title = "tiny against tiny, augment.translate = 2, on CIFAR-10 (JPEG)"
    view = ContestView(standing(30, 0.7, 0.6), 0, "quiet", title, stream=io.StringIO())
    file = io.StringIO()
    Console(file=file, width=80, highlight=False).print(view.moment().view())
    assert max(map(len, file.getvalue().splitlines())) <= 80
    assert "decided: A is better" in file.getvalue()
    assert f"{title}\n" in file.getvalue()
    assert "8 pairs of at most 60\n" in file.getvalue()


def test_without_a_decision_no_second_sentence_on_this_test_set() -> None:
    found = standing(20)
    assert found.decision is None
    text = printed(found)
    assert text.startswith("Nothing is decided")
    assert "No difference is shown" not in text
    assert "On fresh examples the difference is within" in text
