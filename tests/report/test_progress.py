"""The view fits a narrow terminal, and durations read well."""

import io
import re

import numpy as np
import pytest
from rich.console import Console

from airbench_var.analysis import Analysis, summarize
from airbench_var.report.progress import Progress, duration_text
from tests.statistical.generator import count, simulate, state_of


def view(
    runs: int, networks_per_hour: float | None, remaining_s: float | None, total: int = 60_000
) -> list[str]:
    state = simulate(np.random.default_rng(runs), n=1000, runs=runs, distribution_wise_std=0.004).counts
    names = ("cifar10", "cifar10-tta") if runs else ()
    summaries = tuple(summarize(name, state_of(state)) for name in names)
    progress = Progress(
        title="airbench94 on CIFAR-10",
        total=total,
        networks_per_hour=networks_per_hour,
        remaining_s=remaining_s,
        elapsed_s=100.0,
        analysis=Analysis(runs=runs, diverged=0, failed=3, test_sets=summaries),
    )
    file = io.StringIO()
    Console(file=file, width=80, highlight=False).print(progress.view())
    return [line.rstrip() for line in file.getvalue().splitlines()]


def test_view_fits_80_columns_one_line_per_estimate() -> None:
    lines = view(40, 1234.5, 2 * 3600 + 300)
    assert len(lines) == 2 + 3 * 2
    assert lines[0].startswith("airbench94 on CIFAR-10 ")
    assert lines[0].endswith(" 40 of 60,000 runs")
    assert lines[1] == "1,234 networks per hour · 2 h 05 min left · 0 diverged · 3 failed"
    assert lines[2].split()[:3] == ["cifar10", "mean", "accuracy"]
    assert "standard error" in lines[2]
    for line in lines[3:5] + lines[6:]:
        assert "std" in line
        assert "95 % interval" in line


def test_view_before_the_first_run() -> None:
    assert view(0, None, None)[1:] == ["waiting for the first run · 0 diverged · 3 failed"]


def test_only_what_so_many_runs_give_is_shown() -> None:
    assert [line.split()[:3] for line in view(1, 60.0, 10.0)[2:]] == [
        ["cifar10", "mean", "accuracy"],
        ["cifar10-tta", "mean", "accuracy"],
    ]
    assert view(1, 60.0, 10.0)[2].endswith(" of one run")
    for line in (*view(2, 60.0, 10.0), *view(40, 60.0, 10.0)):
        assert not {"none", "unknown", "negative"} & set(re.findall(r"\w+", line))


def test_a_spread_below_chance_claims_no_certainty() -> None:
    """An interval of a variance that is negative throughout would read as a std of 0 to 0 %."""
    right_RN = np.zeros((5, 400))
    for run in range(5):
        right_RN[run, run * 80 : (run + 1) * 80] = 1  # all runs equally good, on other examples each
    right_RN[0, -1] = 1
    summary = summarize("x", state_of(count(right_RN)))
    assert summary.estimates["distribution_wise_std"].interval == (0, 0)
    moment = progress(Analysis(runs=5, diverged=0, failed=0, test_sets=(summary,)))
    assert "std on its distribution 0 % (runs differ less than by chance so far)" in moment.line()


def test_equal_runs_are_not_one_run() -> None:
    summary = summarize("x", state_of(count(np.ones((5, 9)))))
    line = progress(Analysis(runs=5, diverged=0, failed=0, test_sets=(summary,))).line()
    assert "one run" not in line
    assert "mean accuracy 100.00 %" in line


def progress(analysis: Analysis) -> Progress:
    return Progress(
        title="", total=9, networks_per_hour=1.0, remaining_s=1.0, elapsed_s=1.0, analysis=analysis
    )


def test_who_goes_on_waits_for_the_next_run() -> None:
    assert view(40, None, None)[1].startswith("waiting for the next run")


def test_view_of_slow_networks_and_at_the_end() -> None:
    assert view(3, 3.6, 90.0)[1].startswith("3.6 networks per hour · 1 min 30 s left")
    assert view(3, 3.6, 0.0, total=3)[1].startswith("3.6 networks per hour · done in 1 min 40 s")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (200, "3 min 20 s"),
        (45 * 60 + 59, "45 min"),
        (2 * 3600 + 300, "2 h 05 min"),
        (76 * 3600, "3 d 4 h"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text
