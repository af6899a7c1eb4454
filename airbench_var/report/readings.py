"""What the estimates and the tests mean, in plain words: the paragraphs under the table.

A question is answered at once, from an interval or a p-value. Where neither says no, that alone is said.
"""

from typing import Literal

from airbench_var.analysis import Estimate, TestSetSummary
from airbench_var.analysis.independence import HypothesisTest
from airbench_var.report.paragraph import p_equals
from airbench_var.report.percent import interval_text, percent, upper_text, value_text

#: No accuracy, a share of 1, has a larger one.
LARGEST_STD = 0.5

#: The chance of a "no" from p-values where it is wrong; where two tests may give it, each has half.
ERROR = 0.05

Question = Literal["spread", "independence", "luck", "calibration", "theorems"]


def readings(summary: TestSetSummary) -> dict[Question, str]:
    """Return one paragraph on each question that the runs of a test set can answer."""
    answers: dict[Question, str] = {
        "spread": _spread(summary),
        "independence": _independence(summary),
        "luck": _luck(summary),
        "calibration": _calibration(summary),
        "theorems": _theorems(summary),
    }
    return {question: answer for question, answer in answers.items() if answer}


def _independence(summary: TestSetSummary) -> str:
    """Return whether a test speaks against independent errors; '' where there is none."""
    if not (tests := _tests_of_independence(summary)):
        return ""
    words = {
        "variance_ratio": "the variance over runs is {:.2f} times what independent errors would give (p {}, "
        "one-sided chi-square)",
        "goodness_of_fit": "the share of runs below any one accuracy is within {:.3f} of theirs (p {}, "
        "Kolmogorov-Smirnov)",
    }
    verdict = "No" if _depend(summary) else "No test shows that they are not"
    found = "; ".join(words[test.name].format(test.statistic, _p(test)) for test in tests)
    enough = f"p below {ERROR / len(tests):g} is enough for a no"
    needed = f"One {enough}, half of 5 % for each test" if len(tests) == 2 else f"A {enough}"
    return f"Are errors independent? {verdict}: {found}. {needed}."


def _tests_of_independence(summary: TestSetSummary) -> list[HypothesisTest]:
    tests = (summary.tests.get(name) for name in ("variance_ratio", "goodness_of_fit"))
    return [test for test in tests if test and test.p_value is not None]


def _depend(summary: TestSetSummary) -> bool:
    """Return whether errors are shown not to be independent, by either test."""
    tests = _tests_of_independence(summary)
    return any(test.p_value is not None and test.p_value < ERROR / len(tests) for test in tests)


def _spread(summary: TestSetSummary) -> str:
    """Return what the variances say."""
    here, chance = summary.estimates["test_set_variance"], summary.estimates["independent_errors_variance"]
    real = summary.estimates["distribution_wise_std"]
    if not (here.value and chance.value is not None and here.interval and real.interval):
        return f"Nothing can be said about the spread of runs yet: {here.absent or real.absent}."
    examples = count_text(summary.examples, "example")
    spread = value_text(summary.estimates["test_set_std"])
    by_chance = value_text(summary.estimates["independent_errors_std"])
    low, high = real.interval
    if low > 0:
        lower, upper = here.interval
        share, least, most = (100 * min(1.0, chance.value / v) for v in (here.value, upper, lower))
        return (
            f"Of the variance behind the spread of {spread}, about {share:.0f} % (between {least:.0f} and "
            f"{most:.0f} %) is noise of a test set of {examples}. The rest is real: on unlimited fresh "
            f"examples runs of this recipe would still differ, with a std of {value_text(real)}."
        )
    excess = summary.estimates["excess_variance"].interval
    if excess and excess[0] > 0:
        return (
            f"On this test set of {examples} runs differ by more ({spread}) than chance would make them "
            f"({by_chance}). Too few runs or examples show it to say so of the distribution: on unlimited "
            f"fresh examples {_at_most(real)}."
        )
    if high > 0:
        also = "by this interval, though a test below finds that errors are not independent"
        shown = f"shown {also}" if _depend(summary) else "shown"
        return (
            f"The spread of {spread} is within the error of the {by_chance} that a test set of {examples} "
            f"gives by chance alone, so no real difference between runs is {shown}: on unlimited fresh "
            f"examples {_at_most(real)}, as far as these runs can tell."
        )
    return f"Runs differ less ({spread}) than chance on {examples} would make them differ ({by_chance})."


def _at_most(real: Estimate) -> str:
    """Return the bound on the std of accuracies, or that there is none: none can be above one half."""
    if real.interval and real.interval[1] >= LARGEST_STD:
        return "the std of runs may be anything (train more)"
    return f"the std of runs is at most {upper_text(real)}"


def _luck(summary: TestSetSummary) -> str:
    """Return whether runs that are good on one half of the examples are good on the other."""
    gain, kept = (
        summary.estimates[f"{name}_over_splits"] for name in ("lucky_quarter_gain", "split_half_correlation")
    )
    enough = summary.estimates["lucky_quarter_gain"].interval  # for a quarter of the runs to be two at least
    if not (enough and gain.interval and kept.interval) or kept.value is None:
        return ""
    low, high = gain.interval
    verdict = "In part" if low > 0 else "No, the reverse" if high < 0 else "Not as far as these runs tell"
    least, most = kept.interval
    return (
        f"Do lucky seeds stay lucky? {verdict}: the best quarter of runs on one half of the examples is "
        f"better than the mean run on the other by {value_text(gain)} ({interval_text(gain)}), in the mean "
        f"over all halves. That is {kept.value:.2f} ({least:.2f} to {most:.2f}) of its lead on its own half, "
        "which is the correlation of the halves."
    )


def _calibration(summary: TestSetSummary) -> str:
    """Return whether runs disagree as often as they are wrong, and votes are as often right as they say."""
    if summary.classes is None or "calibration" not in summary.tests:
        return ""
    test = summary.tests["calibration"]
    disagreement, gap, together, error = (
        summary.estimates[name]
        for name in ("disagreement", "disagreement_gap", "ensemble_accuracy", "calibration_error")
    )
    if gap.interval is None or not disagreement.value or gap.value is None:
        return ""  # too few runs, or all say the same, which are the votes of one
    no = not gap.interval[0] <= 0 <= gap.interval[1]
    tested, decides = f"no p-value: {test.absent}", "The interval decides,"
    if test.p_value is not None:
        no = no or test.p_value <= ERROR
        tested = f"p {_p(test)}: the chance of one as large if labels were like one more run's predictions"
        decides = "Interval and p decide, each"
    return (
        f"Is the ensemble calibrated? {'No' if no else 'Nothing shows that it is not'}: two runs disagree on "
        f"{percent(disagreement.value)} of the examples, a run is wrong on "
        f"{percent(disagreement.value - gap.value)}, and calibration makes these equal; on fresh examples "
        f"the difference is {interval_text(gap)}{_direction(gap.interval)}. The calibration error, summed "
        f"over classes, is {value_text(error)} ({tested}). {decides} at a level of 5 %. The vote of all runs "
        f"is right on {value_text(together)} ({interval_text(together)} on fresh examples)."
    )


def _direction(gap: tuple[float, float]) -> str:
    """Return which way the votes miss calibration, if its interval tells."""
    if gap[1] < 0:
        return ": runs agree with one another more than with the labels"
    return ": runs agree with the labels more than with one another" if gap[0] > 0 else ""


def _theorems(summary: TestSetSummary) -> str:
    """Return how well the error alone predicts the variance."""
    ratio = summary.estimates.get("theorem_3_ratio")
    tasks, free = summary.collapses, summary.estimates.get("label_free_std")
    if not (ratio and tasks and free) or ratio.interval is None or ratio.value is None:
        return ""
    low, high = ratio.interval
    predicted = float(tasks.predicted_T.mean())
    by_calibration = float(tasks.calibration_T.mean()) / predicted
    real = (1 - 1 / summary.examples) * float(tasks.distribution_wise_variance_T.mean()) / predicted
    more = "more" if by_calibration < 0 else "less"
    why = (
        "as runs really differ"
        if real >= 0
        else "as the variance on the distribution is estimated below 0, so that no real difference is seen"
    )
    verdict = "Within the error of these runs" if low <= 1 <= high else "No"
    return (
        f"Is the variance what the error says? {verdict}: it is {ratio.value:.2f} times ({low:.2f} to "
        f"{high:.2f}) what Theorem 3 of the paper predicts for two classes, the share of wrong answers over "
        f"twice the number of examples, in the mean of the {len(tasks.error_T)} ways to make two classes of "
        f"all. That is 100 % from the error, {100 * by_calibration:+.0f} % as runs agree with one another "
        f"{more} than with the labels, and {100 * real:+.0f} % {why}. "
        f"{_r_squared(tasks.fit['r_squared_variance'])}. For all classes the votes alone, without any label, "
        f"predict a std of {value_text(free)} ({interval_text(free)}), if they are calibrated and errors "
        "independent."
    )


def _p(test: HypothesisTest) -> str:
    assert test.p_value is not None
    return p_equals(test.p_value, test.least_p_value)


def count_text(number: int, noun: str) -> str:
    """Return '1 run', '10,000 runs'."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _r_squared(value: float) -> str:
    """Return it in words; below 0 a constant would fit better, and how much better says nothing."""
    if value >= 0:
        return f"From way to way it predicts {100 * value:.0f} % of how the variance changes (R²)"
    return "From way to way a constant predicts the variance better (R² below 0)"
