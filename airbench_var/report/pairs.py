"""What `analyze --pairs` prints: which examples go right and wrong together, and how much of it is chance."""

from collections.abc import Mapping

from rich import box
from rich.table import Table
from rich.text import Text

from airbench_var.analysis import PairAnalysis
from airbench_var.analysis.pairs import PairFindings
from airbench_var.report.console import Console, indented
from airbench_var.report.paragraph import p_equals, print_paragraph
from airbench_var.report.percent import percent

#: Pairs that are shown; --json has more.
MOST_SHOWN = 20

LEGEND = (
    "By chance: what independent errors would give at these numbers of right answers, the runs of every "
    "example shuffled by themselves. z: standard deviations of that chance; p: exact and two-sided, of one "
    "pair. Of the pairs that are not independent at most about 5 % are false (Benjamini-Hochberg on exact "
    "hypergeometric tails), if p-values of pairs depend on one another positively or not at all; the smaller "
    "number holds under any dependence (Benjamini-Yekutieli). All assume independent runs; nothing is "
    "assumed of the examples, and all is said of this test set alone."
)


def print_pairs(analyses: Mapping[str, PairAnalysis], console: Console | None = None) -> None:
    """Print per test set what was found over all pairs, the strongest of them, and what it means."""
    console = console or Console(highlight=False)
    for analysis in analyses.values():
        if analysis.findings is None:
            print_paragraph(
                console,
                f"{analysis.name}: nothing can be said about pairs of examples yet: {analysis.absent}.",
            )
            continue
        console.print(_measures(analysis, analysis.findings))
        print_paragraph(console, reading(analysis, analysis.findings))
        if analysis.findings.deviating:
            console.print(_strongest(analysis.findings))
            if more := unshown(analysis.findings):
                print_paragraph(console, more)
    if any(analysis.findings for analysis in analyses.values()):
        print_paragraph(console, LEGEND, "dim")


def title(analysis: PairAnalysis) -> str:
    """Return '1,225 pairs of 50 examples, 100 runs'."""
    return f"{analysis.pairs:,} pairs of {analysis.varying:,} examples, {analysis.runs:,} runs"


#: Of `measures` and of `strongest`.
MEASURES = ("", "found", "by chance")
STRONGEST = ("examples", "classes", "right alone", "together", "z", "p")


def measures(findings: PairFindings) -> list[tuple[str, str, str]]:
    """Return the rows of the table of what was found and what chance would give."""
    rule, squared = findings.joint_frequency, findings.squared_covariance
    return [
        ("Pairs that are not independent", f"{findings.benjamini_hochberg.number:,}", ""),
        ("  under any dependence of pairs", f"{findings.benjamini_yekutieli.number:,}", ""),
        (
            f"Right together {percent(rule.threshold, 0)} more or less often",
            f"{rule.pairs:,}",
            _expected(rule.by_chance),
        ),
        ("Mean squared covariance", f"{squared.mean:.3g}", f"{squared.by_chance:.3g}"),
    ]


def _measures(analysis: PairAnalysis, findings: PairFindings) -> Table:
    heading = Text(f" {analysis.name}: {title(analysis)}", "bold")
    table = Table(title=heading, title_justify="left", box=box.SIMPLE_HEAD)
    for name in MEASURES:
        table.add_column(name, justify="right" if name else "left", no_wrap=bool(name))
    for name, *values in measures(findings):
        table.add_row(indented(name), *values)
    return table


def reading(analysis: PairAnalysis, findings: PairFindings) -> str:
    """Return what the numbers say, in plain words."""
    discoveries, squared = findings.benjamini_hochberg.number, findings.squared_covariance
    if discoveries:
        text = f"{_pairs(discoveries)} not independent of each other, as far as these runs show."
    else:
        text = "Of no single pair of examples is it shown that its errors go together."
    if squared.test.statistic is not None and squared.test.p_value is not None:
        text += (
            f" Over all pairs together the mean squared covariance is {squared.test.statistic:.2f} times "
            f"that of chance (p {p_equals(squared.test.p_value)}, one-sided chi-square)"
        )
        if not discoveries and squared.test.p_value < 0.05:
            text += ": some errors do go together, and more runs would name the pairs"
        text += "."
    return f"{text} {_rule(analysis, findings)}"


def _rule(analysis: PairAnalysis, findings: PairFindings) -> str:
    """Return what the paper's count is worth at these runs."""
    rule = findings.joint_frequency
    text = (
        f"The paper counts pairs that are right together {percent(rule.threshold, 0)} more or less often "
        f"than if they were independent. At {analysis.runs:,} runs chance makes "
        f"{_expected(rule.by_chance)} of them"
    )
    if rule.by_chance < 0.5:
        return f"{text}."
    if rule.threshold_for_half_a_pair is None:
        return f"{text}, and no threshold is beyond chance."
    return (
        f"{text}; it would make half a pair at a threshold of {percent(rule.threshold_for_half_a_pair, 1)}."
    )


def strongest(findings: PairFindings) -> list[tuple[str, ...]]:
    """Return the rows of the table of the least likely pairs."""
    return [
        (
            " ".join(map(str, pair.examples)),
            ", ".join(pair.classes),
            f"{' '.join(f'{100 * accuracy:.1f}' for accuracy in pair.accuracies)} %",
            percent(pair.both_right, 1),
            f"{pair.z:+.1f}",
            f"{pair.p_value:.0e}",
        )
        for pair in findings.deviating[:MOST_SHOWN]
    ]


def unshown(findings: PairFindings) -> str:
    """Return that there are more pairs than `strongest` shows, or nothing."""
    left_out = findings.benjamini_hochberg.number - MOST_SHOWN
    if left_out <= 0:
        return ""
    all_of_them = f"the first {len(findings.deviating):,}" if findings.unlisted else "all"
    return f"... and {left_out:,} more; --json lists {all_of_them}."


def _strongest(findings: PairFindings) -> Table:
    table = Table(title=Text(" The least likely pairs", "bold"), title_justify="left", box=box.SIMPLE_HEAD)
    for name in STRONGEST:
        if name == "classes":
            table.add_column(name, overflow="fold")
        else:
            table.add_column(name, justify="right", no_wrap=name != "examples")
    for row in strongest(findings):
        table.add_row(*map(Text, row))
    return table


def _expected(number: float) -> str:
    """Return '978', '15.5', or '0.0'."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.1f}"


def _pairs(number: int) -> str:
    return "1 pair of examples is" if number == 1 else f"{number:,} pairs of examples are"
