"""No number for a way of training that does not reach the accuracy of ours; the faster tuned eager counts."""

from pathlib import Path

import numpy as np
import pytest

from airbench_var.errors import DataError
from bench import training_cpu
from bench.schema import OURS, CheckFailedError, ratios
from bench.training_cpu import CEILING, ONE_PROCESS, PLAIN, PROCESS_A_CORE, check, entrants, rows_of, small


def drawn(seed: int, **means: float) -> dict[str, list[float]]:
    rng = np.random.default_rng(seed)
    return {name: list(rng.normal(mean, 0.003, 6)) for name, mean in means.items()}


def test_equal_accuracies_pass_and_a_worse_one_does_not() -> None:
    for seed in range(200):
        check(drawn(seed, ours=0.75, a=0.75, b=0.75))
        with pytest.raises(CheckFailedError, match=r"b reaches 7[23]\..* and ours 7"):
            check(drawn(seed, ours=0.75, a=0.75, b=0.73))


def test_the_check_fails_by_chance_about_as_often_as_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """At one call in 10: 400 calls fail 40 times, with a std of 6 and Bonferroni's reserve."""
    monkeypatch.setattr(training_cpu, "FALSE_ALARMS", 10)
    failed = 0
    for seed in range(400):
        try:
            check(drawn(seed, ours=0.75, a=0.75, b=0.75))
        except CheckFailedError:
            failed += 1
    assert 15 <= failed <= 58


def test_one_network_each_says_nothing() -> None:
    check({OURS: [0.75], "other": [0.1]})


@pytest.mark.parametrize(("one", "each", "faster"), [(3.0, 8.0, ONE_PROCESS), (5.0, 8.0, PROCESS_A_CORE)])
def test_the_faster_arrangement_of_tuned_eager_is_the_peer(one: float, each: float, faster: str) -> None:
    sizes = small()
    ways = entrants(sizes)
    assert [way.processes for way in ways.values()] == [ways[OURS].processes, 1, 1, 2]
    processes = ways[OURS].processes
    times = {
        OURS: [2.0 * processes],
        PLAIN: [12.0],
        ONE_PROCESS: [one],
        PROCESS_A_CORE: [each],
        CEILING: [1.0],
    }
    rows = rows_of(sizes, ways, times, dict.fromkeys(times, 1.0), {name: [0.5] for name in ways})
    found = ratios(rows)
    best = min(one, each / 2)
    other = PROCESS_A_CORE if faster == ONE_PROCESS else ONE_PROCESS
    assert found["tiny_vs_plain_loop"] == 6
    assert found["tiny_vs_tuned_eager"] == best / 2
    assert found[f"tiny_vs_{other.replace(', ', '_').replace(' ', '_')}"] == max(one, each / 2) / 2
    assert found["tiny_share_of_network_gemm"] == 0.5
    by_variant = {row.variant: row for row in rows}
    assert by_variant[OURS].rate == 1800
    assert by_variant[OURS].rate_unit == "networks per hour"
    assert by_variant["tuned_eager"].note.startswith(faster.removeprefix("tuned_eager, "))
    assert by_variant["tuned_eager"].share_of_ceiling == 1 / best


def test_without_cifar_10_the_set_is_synthetic_and_as_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_cpu, "find", lambda: None)
    data = training_cpu.full(None).data
    assert (data.title, len(data.train), len(data.test)) == ("Synthetic", 50_000, 10_000)


def test_a_folder_without_cifar_10_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        training_cpu.full(tmp_path)
