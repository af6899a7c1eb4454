"""The final table: 80 columns, plain when piped, and words that match the numbers."""

import io
import re
from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from airbench_var.analysis import Analysis, summarize
from airbench_var.report.paragraph import p_equals, p_text
from airbench_var.report.percent import interval_text
from airbench_var.report.readings import readings
from airbench_var.report.table import print_analysis
from airbench_var.stats import CorrectnessCounts
from tests.statistical.classes import simulate_classes
from tests.statistical.generator import count, simulate, state_of, state_with_classes


def printed(counts: CorrectnessCounts, *, diverged: int = 0, failed: int = 0, name: str = "cifar10") -> str:
    summary = summarize(name, state_of(counts), diverged=frozenset(range(diverged)))
    analysis = Analysis(runs=counts.R, diverged=diverged, failed=failed, test_sets=(summary,))
    file = io.StringIO()
    print_analysis(analysis, Console(file=file, width=80, highlight=False))
    text = file.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    return text


def words(text: str) -> str:
    return " ".join(text.split())


def simulated(std: float, seed: int, runs: int = 100) -> CorrectnessCounts:
    return simulate(np.random.default_rng(seed), n=10_000, runs=runs, distribution_wise_std=std).counts


def test_a_real_difference_between_runs() -> None:
    state = simulated(0.004, 0)
    text = printed(state)
    estimates = summarize("cifar10", state_of(state)).estimates
    assert "cifar10: 100 runs, 10,000 test examples" in text
    assert "95 % interval" in text
    for label, name in (
        ("Mean accuracy on this test set", "mean_accuracy"),
        ("Mean accuracy on its distribution", "distribution_wise_accuracy"),
        ("Spread (std) on this test set", "test_set_std"),
        ("if errors were independent", "independent_errors_std"),
        ("Spread (std) on its distribution", "distribution_wise_std"),
    ):
        [line] = [line for line in text.splitlines() if label in line]
        value, low, _, high = line.replace("%", "").split()[-4:]
        estimate = estimates[name]
        shown = [float(number) / 100 for number in (value, low, high)]
        assert estimate.interval is not None
        assert shown == pytest.approx([estimate.value, *estimate.interval], rel=0.02)
    share = (
        100
        * (estimates["independent_errors_variance"].value or 0)
        / (estimates["test_set_variance"].value or 1)
    )
    found = re.search(r"about (\d+) % \(between (\d+) and (\d+) %\)", words(text))
    assert found
    about, least, most = map(int, found.groups())
    assert least < about < most
    assert about == round(share)
    assert "is noise of a test set of 10,000 examples. The rest is real:" in words(text)
    assert "±" not in text
    assert "+/-" not in text


def test_no_difference_shown() -> None:
    state = next(
        state
        for state in (simulated(0.0, seed) for seed in range(20))
        if (summarize("", state_of(state)).estimates["distribution_wise_variance"].value or 0) < 0
    )
    text = words(printed(state))
    assert "Spread (std) on its distribution 0 % 0 to 0." in text
    assert "so no real difference between runs is shown" in text
    assert "Note: the variance on the distribution is estimated at -" in text
    assert "The rest is real" not in text


def test_two_answers_to_one_question_are_reconciled() -> None:
    """An interval of a small difference may include none where a test finds one."""
    summary = summarize("x", state_of(simulated(0.001, 35, runs=40)))
    answers = readings(summary)
    assert "no real difference" in answers["spread"]
    assert "by this interval, though a test below finds that errors are not independent" in answers["spread"]
    assert answers["independence"].startswith("Are errors independent? No: ")
    assert "a test below" not in readings(summarize("x", state_of(simulated(0.0, 0))))["spread"]


def test_a_difference_that_only_few_examples_show() -> None:
    """Runs fail or pass on the same 8 of 200 examples: a fact of this test set, not of the distribution."""
    generator = np.random.default_rng(0)
    correct_RN = generator.random((2000, 200)) < 0.5
    correct_RN[:, :8] = (generator.random(2000) < 0.5)[:, None]
    text = words(printed(count(correct_RN)))
    assert "On this test set of 200 examples runs differ by more" in text
    assert "no real difference" not in text


def test_under_dispersed_runs() -> None:
    half_RN = np.random.default_rng(1).random((60, 500)) < 0.8
    correct_RN = np.concatenate([half_RN, ~half_RN], axis=1)
    correct_RN[0, 0] ^= True
    text = words(printed(count(correct_RN)))
    assert "Runs differ less" in text
    assert text.count("Note: under-dispersed") == 1


@pytest.mark.parametrize(
    ("correct_RN", "reason"),
    [
        (np.eye(1, 9), "at least 2 runs are needed, there is 1."),
        (np.ones((3, 9)), "every run has the same accuracy"),
        (np.array([[1], [0]]), "at least 2 examples are needed"),
    ],
)
def test_too_little_to_say_anything(
    correct_RN: "np.ndarray[tuple[int, int], np.dtype[np.float64]]", reason: str
) -> None:
    text = words(printed(count(correct_RN)))
    assert f"Nothing can be said about the spread of runs yet: {reason}" in text
    assert "none" in text


def test_without_a_run_there_is_no_table_of_nothing() -> None:
    assert words(printed(count(np.ones((0, 9))))) == (
        "No run is committed yet, so there is nothing to tell of."
    )


def test_diverged_and_failed_runs_are_counted() -> None:
    text = printed(simulated(0.004, 2), diverged=2, failed=1)
    assert "10,000 test examples, 2 diverged" in text
    assert (
        text.index("its distribution  ")
        < text.index("Note: 2 of 100 runs diverged")
        < text.index("Of the var")
    )
    assert "Failed for good, so not in the table: 1 run." in text


def test_markup_in_a_name_is_printed_as_it_is() -> None:
    assert " [bold]x: 100 runs" in printed(simulated(0.004, 3), name="[bold]x")


def test_goes_to_stdout_without_colour_when_piped(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    state = simulated(0.004, 4)
    print_analysis(
        Analysis(runs=100, diverged=0, failed=0, test_sets=(summarize("cifar10", state_of(state)),))
    )
    captured = capsys.readouterr()
    assert "cifar10: 100 runs" in captured.out
    assert "\x1b" not in captured.out
    assert not re.search(" $", captured.out, re.MULTILINE)
    assert not captured.err


def test_what_the_tests_of_independence_say() -> None:
    state = simulated(0.004, 0)
    ratio = summarize("cifar10", state_of(state)).tests["variance_ratio"]
    text = words(printed(state))
    assert (
        f"Are errors independent? No: the variance over runs is {ratio.statistic:.2f} times what independent "
        "errors would give (p < 0.0001, one-sided chi-square)" in text
    )
    assert re.search(
        r"is within 0\.\d\d\d of theirs \(p <= 0\.0005, Kolmogorov-Smirnov\)\. One p below", text
    )


@pytest.mark.parametrize(
    ("ratio", "fit", "verdict"),
    [
        (0.03, 0.03, "No test shows that they are not: "),  # each below 0.05, neither below half of it
        (0.024, 0.9, "No: "),
        (0.9, 0.024, "No: "),
        (0.03, None, "No: "),
        (0.06, None, "No test shows that they are not: "),
    ],
)
def test_two_tests_share_the_error_of_a_no(ratio: float, fit: float | None, verdict: str) -> None:
    summary = summarize("x", state_of(simulated(0.0, 0)))
    changed = {"variance_ratio": ratio, "goodness_of_fit": fit}
    tests = {name: replace(summary.tests[name], p_value=p_value) for name, p_value in changed.items()}
    text = readings(replace(summary, tests={**summary.tests, **tests}))["independence"]
    assert text.startswith(f"Are errors independent? {verdict}the variance")
    needed = "A p below 0.05" if fit is None else "One p below 0.025"
    assert f"{needed} is enough for a no" in text


def test_three_runs_have_a_variance_and_no_distribution() -> None:
    text = words(printed(simulated(0.004, 5, runs=3)))
    assert "Are errors independent? No: the variance" in text
    assert "Kolmogorov-Smirnov" not in text


def test_nothing_is_said_of_independence_where_nothing_can_be() -> None:
    assert "Are errors independent?" not in printed(count(np.ones((5, 9))))


def test_theorem_3_is_told_with_its_parts() -> None:
    drawn = simulate(np.random.default_rng(6), n=300, runs=40, distribution_wise_std=0.0)
    summary = summarize("cifar10", state_with_classes(drawn.correct_RN, 10))
    assert summary.collapses is not None
    paragraph = readings(summary)["theorems"]
    shares = re.search(r"100 % from the error, ([+-]\d+) % as runs agree .* ([+-]\d+) % as ", paragraph)
    assert shares
    ratio = summary.estimates["theorem_3_ratio"]
    assert ratio.value is not None
    assert ratio.interval is not None
    assert 1 + sum(map(int, shares.groups())) / 100 == pytest.approx(ratio.value, abs=0.011)  # they sum up
    more = "more" if int(shares[1]) < 0 else "less"
    assert f"runs agree with one another {more} than with the labels" in paragraph
    assert "err / 2n" not in paragraph
    for interval, verdict in (((0.9, 1.1), "Within the error of these runs"), ((0.7, 0.9), "No")):
        estimates = {**summary.estimates, "theorem_3_ratio": replace(ratio, interval=interval)}
        said = readings(replace(summary, estimates=estimates))["theorems"]
        assert said.startswith(
            f"Is the variance what the error says? {verdict}: it is {ratio.value:.2f} times"
        )


@pytest.mark.parametrize(
    ("std", "said"),
    [
        (0.03, r"\+\d+ % as runs really differ\."),
        (
            0.0,
            r"-\d+ % as the variance on the distribution is estimated below 0, so that no real difference is",
        ),
    ],
)
def test_an_estimate_below_0_is_no_reason(std: float, said: str) -> None:
    drawn = simulate(np.random.default_rng(7), n=300, runs=40, distribution_wise_std=std)
    assert re.search(said, readings(summarize("t", state_with_classes(drawn.correct_RN, 10)))["theorems"])


def test_calibration_is_told_without_a_p_value_where_runs_are_too_few_for_one() -> None:
    drawn = simulate(np.random.default_rng(7), n=400, runs=12, distribution_wise_std=0.01)
    summary = summarize("cifar10", state_with_classes(drawn.correct_RN, 10))
    assert summary.tests["calibration"].p_value is None
    text = readings(summary)["calibration"]
    assert "no p-value: at least 19 runs are needed" in text
    assert "The interval decides, at a level of 5 %" in text


@pytest.mark.parametrize(
    ("gap", "p_value", "verdict"),
    [
        ((-0.01, 0.01), 0.06, "Nothing shows that it is not"),
        ((-0.01, 0.01), 0.05, "No"),
        ((-0.03, -0.01), 0.5, "No"),
        ((-0.03, -0.01), None, "No"),
        ((-0.01, 0.01), None, "Nothing shows that it is not"),
    ],
)
def test_the_verdict_on_calibration(gap: tuple[float, float], p_value: float | None, verdict: str) -> None:
    drawn = simulate(np.random.default_rng(7), n=400, runs=60, distribution_wise_std=0.01)
    summary = summarize("cifar10", state_with_classes(drawn.correct_RN, 10))
    changed = replace(
        summary,
        estimates={
            **summary.estimates,
            "disagreement_gap": replace(summary.estimates["disagreement_gap"], interval=gap),
        },
        tests={**summary.tests, "calibration": replace(summary.tests["calibration"], p_value=p_value)},
    )
    text = readings(changed)["calibration"]
    assert text.startswith(f"Is the ensemble calibrated? {verdict}: two runs disagree on ")


def test_nothing_is_said_of_the_votes_of_equal_runs() -> None:
    row_N = np.random.default_rng(7).random(400) < 0.9
    correct_RN = np.tile(row_N, (60, 1))
    assert "calibration" not in readings(summarize("cifar10", state_with_classes(correct_RN, 2)))


@pytest.mark.parametrize(
    ("gain", "verdict"),
    [
        ((0.001, 0.003), "In part"),
        ((-0.001, 0.003), "Not as far as these runs tell"),
        ((-0.003, -0.001), "No, the reverse"),
    ],
)
def test_the_verdict_on_luck(gain: tuple[float, float], verdict: str) -> None:
    summary = summarize("x", state_of(simulated(0.001, 0)))
    name = "lucky_quarter_gain_over_splits"
    estimates = {**summary.estimates, name: replace(summary.estimates[name], interval=gain)}
    text = readings(replace(summary, estimates=estimates))["luck"]
    assert text.startswith(f"Do lucky seeds stay lucky? {verdict}: the best quarter")


def test_a_p_value_at_its_least_is_said_to_be_a_bound() -> None:
    drawn = simulate_classes(np.random.default_rng(3), n=300, runs=30, temperature=0.5)
    assert (
        "(p <= 0.032: the chance of one as large if"
        in readings(summarize("cifar10", drawn.state))["calibration"]
    )
    for p_value, text in ((0.0334, "= 0.033"), (0.005, "<= 0.005")):
        assert p_equals(p_value, 0.005) == text
    assert (p_text(0.0334), p_text(1e-5), p_equals(1e-5)) == ("0.033", "< 0.0001", "< 0.0001")


def test_calibration_and_halves_are_said_with_their_numbers() -> None:
    drawn = simulate(np.random.default_rng(7), n=400, runs=60, distribution_wise_std=0.01)
    summary = summarize("cifar10", state_with_classes(drawn.correct_RN, 10))
    calibrated = readings(summary)["calibration"]
    estimates = {name: one.value for name, one in summary.estimates.items() if one.value is not None}
    assert f"disagree on {100 * estimates['disagreement']:.2f} % of the examples" in calibrated
    error = 1 - drawn.correct_RN.mean()
    assert f"a run is wrong on {100 * error:.2f} %" in calibrated
    assert interval_text(summary.estimates["disagreement_gap"]) in calibrated
    lucky = readings(summary)["luck"]
    assert f"That is {estimates['split_half_correlation_over_splits']:.2f} (" in lucky
    assert interval_text(summary.estimates["lucky_quarter_gain_over_splits"]) in lucky
    few = summarize("cifar10", state_with_classes(drawn.correct_RN[:2], 10))
    assert not {"calibration", "luck"} & readings(few).keys()


def test_where_no_interval_is_shown_none_is_explained() -> None:
    assert "Intervals: Student's t" not in printed(count(np.ones((5, 9))))
