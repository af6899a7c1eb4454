"""What is said of pairs of examples: 80 columns, the count of the paper never without that of chance."""

import io
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from rich.console import Console

from airbench_var.analysis.pairs import PairAnalysis, pairs_of
from airbench_var.report.pairs import print_pairs
from tests.statistical.generator import simulate

CLASSES = np.array(["airplane", "automobile", "bird", "[bold]cat"])


def analysis_of(correct_RN: npt.NDArray[np.bool_], name: str = "cifar10") -> PairAnalysis:
    class_N = CLASSES[np.arange(correct_RN.shape[1]) % 4]
    return pairs_of(name, np.packbits(correct_RN, axis=1, bitorder="little"), class_N)


def simulated(runs: int, duplicates: int = 0) -> npt.NDArray[np.bool_]:
    rng = np.random.default_rng([runs, duplicates])
    correct_RN = simulate(rng, n=600, runs=runs, distribution_wise_std=0.0).correct_RN
    for i in range(duplicates):
        correct_RN[:, 2 * i] = rng.random(runs) < 0.6
        correct_RN[:, 2 * i + 1] = correct_RN[:, 2 * i] ^ (rng.random(runs) < 0.1)
    return correct_RN


def printed(*analyses: PairAnalysis) -> str:
    file = io.StringIO()
    print_pairs({a.name: a for a in analyses}, Console(file=file, width=80, highlight=False))
    text = file.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    return text


def words(text: str) -> str:
    return " ".join(text.split())


def test_no_pair_is_shown_and_chance_stands_beside_the_count_of_the_paper() -> None:
    analysis = analysis_of(simulated(300))
    assert analysis.findings is not None
    rule = analysis.findings.joint_frequency
    text = words(printed(analysis))
    assert f"cifar10: {analysis.pairs:,} pairs of {analysis.varying} examples, 300 runs" in text
    assert "Pairs that are not independent 0" in text
    assert f"Right together 2 % more or less often {rule.pairs:,} {rule.by_chance:,.0f} " in text
    assert "Of no single pair of examples is it shown that its errors go together." in text
    assert f"At 300 runs chance makes {rule.by_chance:,.0f} of them" in text
    assert f"half a pair at a threshold of {100 * (rule.threshold_for_half_a_pair or 0):.1f} %" in text
    assert "All assume independent runs" in text
    assert "least likely" not in text
    assert ("some errors do go together" in text) == (
        (analysis.findings.squared_covariance.test.p_value or 1) < 0.05
    )
    unseen = replace(analysis.findings.squared_covariance.test, p_value=0.01, statistic=1.004)
    together = replace(analysis.findings.squared_covariance, test=unseen)
    some = replace(analysis, findings=replace(analysis.findings, squared_covariance=together))
    assert (
        "is 1.00 times that of chance (p = 0.01, one-sided chi-square): some errors do go together"
        in words(printed(some))
    )


def test_the_strongest_pairs_are_listed_with_their_classes_up_to_twenty() -> None:
    analysis = analysis_of(simulated(400, duplicates=25))
    assert analysis.findings is not None
    number = analysis.findings.benjamini_hochberg.number
    assert number >= 25
    text = printed(analysis)
    assert f"{number} pairs of examples are not independent of each other" in words(text)
    assert "(p < 0.0001, one-sided chi-square)" in words(text)
    lines = [
        line for line in text.splitlines() if "airplane, automobile" in line or "bird, [bold]cat" in line
    ]
    assert len(lines) == 20
    first = analysis.findings.deviating[0]
    for shown in (f"{first.examples[0]} {first.examples[1]}", f"{first.z:+.1f}", f"{first.p_value:.0e}"):
        assert shown in lines[0]
    assert f"... and {number - 20} more; --json lists all." in text


def test_at_few_runs_every_threshold_is_chance_and_at_many_the_count_stands_alone() -> None:
    assert "and no threshold is beyond chance." in words(printed(analysis_of(simulated(5))))
    many = words(printed(analysis_of(simulated(6000))))
    assert "At 6,000 runs chance makes 0.0 of them." in many
    assert "half a pair" not in many


def test_two_runs_have_no_test_over_all_pairs() -> None:
    assert "chi-square" not in words(printed(analysis_of(simulated(2)))).split("By chance")[0]


def test_nothing_can_be_said_of_one_run() -> None:
    text = words(printed(analysis_of(simulated(1), "a"), analysis_of(simulated(300), "b")))
    assert "a: nothing can be said about pairs of examples yet: at least 2 runs are needed" in text
    assert "b: " in text
    assert "By chance" not in printed(analysis_of(simulated(1)))
