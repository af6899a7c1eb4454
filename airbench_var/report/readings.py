"""What the estimates and the tests mean, in plain words: the paragraphs under the table."""

from collections.abc import Iterator
from typing import Literal

from airbench_var.analysis import Estimate, TestSetSummary
from airbench_var.analysis.independence import HypothesisTest
from airbench_var.report.paragraph import p_equals
from airbench_var.report.percent import interval_text, percent, upper_text, value_text

#: No accuracy, a share of 1, has a larger one.
LARGEST_STD = 0.5

Question = Literal["spread", "independence", "luck", "calibration", "theorems"]


def readings(summary: TestSetSummary) -> dict[Question, str]:
    """Return one paragraph on each question that the runs of a test set can answer."""
    tested = " ".join(_independence(summary))
    answers: dict[Question, str] = {
        "spread": _spread(summary),
        "independence": tested and f"Are errors independent? {tested}",
        "luck": _luck(summary),
        "calibration": _calibration(summary),
        "theorems": _theorems(summary),
    }
    return {question: answer for question, answer in answers.items() if answer}


def _independence(summary: TestSetSummary) -> Iterator[str]:
    """Yield a sentence on each test that there is."""
    ratio, fit = summary.tests.get("variance_ratio"), summary.tests.get("goodness_of_fit")
    if ratio and ratio.statistic is not None:
        yield (
            f"Were they, the variance would be that of independent errors; it is {ratio.statistic:.2f} times "
            f"that (p {_p(ratio)}, one-sided chi-square)."
        )
    if fit and fit.statistic is not None:
        yield (
            "The accuracies would also be distributed as independent errors make them; the largest distance "
            f"from that is {fit.statistic:.3f} (p {_p(fit)}, re-centred Kolmogorov-Smirnov)."
        )


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
        tested = summary.tests.get("variance_ratio")
        hint = tested is not None and tested.p_value is not None and tested.p_value < 0.05
        shown = "shown by this interval, though the one-sided test below hints at one" if hint else "shown"
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
    here, mean = (summary.estimates[f"lucky_quarter_gain{which}"] for which in ("", "_over_splits"))
    correlation = summary.estimates["split_half_correlation"]
    if here.interval is None or correlation.interval is None or correlation.value is None:
        return ""
    low, high = correlation.interval
    return (
        "Do lucky seeds stay lucky? The best quarter of runs on the examples of even index is better than "
        f"the mean run on the odd ones by {value_text(here)} ({interval_text(here)}), in the mean over all "
        f"halves by {value_text(mean)} ({interval_text(mean)}). The correlation of the halves is "
        f"{correlation.value:.2f} ({low:.2f} to {high:.2f})."
    )


def _calibration(summary: TestSetSummary) -> str:
    """Return whether runs disagree as often as they are wrong."""
    if summary.classes is None or "calibration" not in summary.tests:
        return ""
    test = summary.tests["calibration"]
    disagreement, gap, together, error = (
        summary.estimates[name]
        for name in ("disagreement", "disagreement_gap", "ensemble_accuracy", "calibration_error")
    )
    if gap.interval is None or disagreement.value is None or gap.value is None:
        return ""
    p_value = f"no p-value: {test.absent}" if test.p_value is None else f"p {_p(test)}"
    return (
        "Is the ensemble calibrated? Were it, two runs would disagree as often as one is wrong. They "
        f"disagree on {percent(disagreement.value)} of the examples, and a run is wrong on "
        f"{percent(disagreement.value - gap.value)}; on fresh examples the difference is "
        f"{interval_text(gap)}{_direction(gap.interval)}. The calibration error, which sums up over "
        f"classes by how many examples the votes for a class miss it, is {value_text(error)} ({p_value}, "
        f"runs in place of the labels). The vote of all runs is right on {value_text(together)} "
        f"({interval_text(together)} on fresh examples)."
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
    why = (
        "because runs really differ"
        if real >= 0
        else "as the variance on the distribution is estimated below 0, so that no real difference is seen"
    )
    fit = _r_squared(tasks.fit["r_squared_variance"])
    return (
        "Is the variance what the error says? For two classes the paper's Theorem 3 predicts it as err / 2n. "
        f"Over the {len(tasks.error_T)} ways to make two classes of all, it is {ratio.value:.2f} times "
        f"({low:.2f} to {high:.2f}) that: {100 * by_calibration:+.0f} % because the votes miss calibration, "
        f"{100 * real:+.0f} % {why} (R² {fit}). The "
        "mean squared distance of the binomial law from the variances is "
        f"{_times(tasks.fit['times_closer_variance'])} times that of err / 2n. For all classes, independent "
        f"errors would give a std of {value_text(free)} by the votes alone, without labels."
    )


def _times(ratio: float) -> str:
    return f"{ratio:,.0f}" if ratio >= 10 else f"{ratio:.2g}"


def _p(test: HypothesisTest) -> str:
    assert test.p_value is not None
    return p_equals(test.p_value, test.least_p_value)


def count_text(number: int, noun: str) -> str:
    """Return '1 run', '10,000 runs'."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _r_squared(value: float) -> str:
    """Return it in three digits; below 0 a constant would fit better, and how much better says nothing."""
    return f"{value:.3f}" if value >= 0 else "below 0: a constant fits better"
