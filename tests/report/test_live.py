"""What the live view writes, where, and how often."""

import io
import json
import sys
from functools import partial

import numpy as np
import pytest

from airbench_var.analysis import Analysis, summarize
from airbench_var.report import LiveView, Mode
from tests.statistical.generator import simulate, state_of


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def analysis(runs: int, std: float = 0.004) -> Analysis:
    state = simulate(np.random.default_rng(runs), n=1000, runs=runs, distribution_wise_std=std).counts
    return Analysis(
        runs=runs,
        diverged=1,
        failed=2,
        test_sets=(summarize("cifar10", state_of(state), diverged=frozenset({0})),),
    )


def show(view: LiveView, clock: Clock, updates: list[tuple[float, int]]) -> None:
    """Give the view updates, each (seconds later, runs)."""
    for seconds, runs in updates:
        clock.now_s += seconds
        view.update(runs, partial(analysis, runs))


def test_plain_lines_come_every_few_seconds_and_at_the_end() -> None:
    stream, clock = io.StringIO(), Clock()
    with LiveView(20, 0, "auto", "tiny on synthetic", stream=stream, clock=clock) as view:
        show(view, clock, [(1, runs) for runs in range(2, 15)])
    lines = stream.getvalue().splitlines()
    assert [line.split(" ", 1)[0] for line in lines] == ["2", "7", "12", "14"]
    estimates = analysis(14).test_sets[0].estimates
    assert lines[-1].startswith("14 of 20 runs, ")
    for part in (
        "networks per hour",
        "left",
        "1 diverged",
        "2 failed",
        f"mean accuracy {100 * (estimates['mean_accuracy'].value or 0):.2f} %",
        f"(standard error {100 * estimates['mean_accuracy'].standard_errors['test_set']:.3f} %)",
        "std on this test set ",
        "std on its distribution ",
        "(95 % interval ",
    ):
        assert part in lines[-1]
    assert "\x1b" not in stream.getvalue()


def test_the_last_line_is_not_written_twice() -> None:
    stream, clock = io.StringIO(), Clock()
    with LiveView(4, 0, "plain", stream=stream, clock=clock) as view:
        show(view, clock, [(1, 4)])
    assert len(stream.getvalue().splitlines()) == 1
    assert "done in 1 s" in stream.getvalue()


def test_speed_and_time_left_after_a_resume() -> None:
    stream, clock = io.StringIO(), Clock()
    with LiveView(1000, 100, "plain", stream=stream, clock=clock) as view:
        show(view, clock, [(36, 101), (36, 102)])
    assert "102 of 1,000 runs, 100 networks per hour, 8 h 58 min left" in stream.getvalue().splitlines()[-1]


def test_json_lines_are_json() -> None:
    stream, clock = io.StringIO(), Clock()
    with LiveView(20, 0, "json", stream=stream, clock=clock) as view:
        view.message("run 3 failed")
        show(view, clock, [(10, 1), (10, 12)])
    message, first, last = map(json.loads, stream.getvalue().splitlines())
    assert message == {"event": "message", "text": "run 3 failed"}
    assert first["test_sets"]["cifar10"]["distribution_wise_std"]["value"] is None
    assert (last["event"], last["runs"], last["total"], last["diverged"], last["failed"]) == (
        "progress",
        12,
        20,
        1,
        2,
    )
    assert last["networks_per_hour"] == pytest.approx(3600 * 12 / 20)
    assert last["remaining_s"] == pytest.approx(8 * 20 / 12)
    estimates = analysis(12).test_sets[0].estimates
    for name in ("mean_accuracy", "test_set_std", "distribution_wise_std"):
        assert last["test_sets"]["cifar10"][name]["value"] == estimates[name].value


def test_quiet_is_silent_even_on_a_terminal_and_asks_for_no_estimates() -> None:
    stream = Terminal()
    with LiveView(20, mode="quiet", stream=stream) as view:
        view.message("a word")
        view.update(12, lambda: pytest.fail("nobody would see them"))
    assert stream.getvalue() == ""


@pytest.mark.parametrize(("mode", "terminal", "looks"), [("plain", False, 3), ("auto", True, 22)])
def test_estimates_are_taken_only_to_be_shown(
    monkeypatch: pytest.MonkeyPatch, mode: Mode, terminal: bool, looks: int
) -> None:
    """Of a thousand commits in ten seconds: every five seconds and every half, and at the end."""
    monkeypatch.setenv("TERM", "xterm-256color")
    clock, seen, estimates = Clock(), list[int](), analysis(3)
    with LiveView(1001, 0, mode, stream=Terminal() if terminal else io.StringIO(), clock=clock) as view:
        for runs in range(1, 1002):
            view.update(runs, lambda runs=runs: seen.append(runs) or estimates)  # type: ignore[misc]
            clock.now_s += 0.01
    assert len(seen) == pytest.approx(looks, abs=1)
    assert seen[-1] == 1001
    assert len(set(seen)) == len(seen)


def test_estimates_that_take_long_are_taken_rarely() -> None:
    clock, seen = Clock(), list[int]()

    def take_a_second(runs: int) -> Analysis:
        clock.now_s += 1
        seen.append(runs)
        return Analysis(runs=runs, diverged=0, failed=0, test_sets=())

    with LiveView(100, 0, "plain", stream=io.StringIO(), clock=clock) as view:
        for runs in range(1, 101):
            view.update(runs, partial(take_a_second, runs))
            clock.now_s += 1
        assert 1 < len(seen) <= 1 + clock.now_s / 20
        assert view.moment().networks_per_hour == pytest.approx(3600 * 100 / clock.now_s, rel=0.05)


def test_nothing_to_train_writes_nothing() -> None:
    stream = io.StringIO()
    with LiveView(20, 20, stream=stream):
        pass
    assert stream.getvalue() == ""


def test_a_terminal_gets_a_view_that_ends_on_the_last_state(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm-256color")
    stream = Terminal()
    with LiveView(20, 0, "auto", "tiny on synthetic", stream=stream, clock=Clock()) as view:
        view.update(2, partial(analysis, 2))
        view.message("run [3] failed for good")
        print("result", file=sys.stdout)
        view.update(20, partial(analysis, 20))
    text = stream.getvalue()
    assert capsys.readouterr().out == "result\n"
    assert "\x1b" in text
    assert "run [3] failed for good" in text
    assert "20 of 20 runs" in text
    assert "95 % interval" in text


def test_a_terminal_that_cannot_be_drawn_on_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    stream = Terminal()
    with LiveView(20, 0, "auto", stream=stream) as view:
        view.update(12, partial(analysis, 12))
        assert stream.getvalue().startswith("12 of 20 runs")
    assert "\x1b" not in stream.getvalue()


def test_progress_leaves_stdout_to_the_results(capsys: pytest.CaptureFixture[str]) -> None:
    with LiveView(20, 0, "plain") as view:
        view.update(12, partial(analysis, 12))
        print("result", file=sys.stdout)
    captured = capsys.readouterr()
    assert captured.out == "result\n"
    assert "12 of 20 runs" in captured.err
