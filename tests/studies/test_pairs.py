"""The pictures of pairs, which few runs at scale quick never find."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from airbench_var.analysis.joint_frequency import by_rule, runs_needed
from airbench_var.analysis.pairs import pairs_of
from airbench_var.studies import pairs
from airbench_var.studies.arms import Evidence, Workplace
from airbench_var.studies.findings import Claim
from tests.studies.conftest import QUICK
from tests.studies.made_up import made_up, of_bits


def test_pairs_that_go_together_are_drawn_with_their_images(workplace: Workplace) -> None:
    from matplotlib.figure import Figure as Canvas

    generator = np.random.default_rng(0)
    correct_RN = generator.random((400, 64)) < 0.6
    correct_RN[:, 7] = correct_RN[:, 3]
    packed_RB = np.packbits(correct_RN, axis=1, bitorder="little")
    found = pairs_of("t", packed_RB, np.array([f"class {n % 10}" for n in range(64)])).findings
    assert found is not None
    assert found.deviating[0].examples == (3, 7)
    gallery, deviations = Canvas(), Canvas()
    pairs._gallery(found.deviating[:1], workplace.data, gallery)
    [axis] = gallery.axes
    image_HWC = axis.images[0].get_array()
    assert image_HWC.shape == (32, 66, 3)
    assert (image_HWC[:, :32] == workplace.data.test.images_NHWC[3]).all()
    assert (image_HWC[:, 34:] == workplace.data.test.images_NHWC[7]).all()
    assert axis.get_title().startswith("class 3, class 7\n+2")
    pairs._deviations(found, deviations)
    assert len(deviations.axes[0].collections[0].get_offsets()) == len(found.deviating)
    assert QUICK.runs["durations"] < 29  # as few runs as the first line says


def test_more_runs_leave_fewer_pairs_to_chance() -> None:
    c_N = np.random.default_rng(0).integers(20, 81, 500)
    few = by_rule(c_N, 100, 0).by_chance
    needed = runs_needed(c_N, 100, few / 1000)
    assert needed is not None
    assert needed > 100
    times = needed // 100
    assert by_rule(c_N * times, needed, 0).by_chance <= few / 1000
    assert by_rule(c_N * times // 2, needed // 2, 0).by_chance > few / 1000
    assert runs_needed(c_N, 100, few) == 100
    assert runs_needed(c_N, 100, -1.0) is None


def of_rule(pairs_off: int, by_chance: float, examples: int = 10_000) -> Claim:
    """Return the claim on so many pairs that are 2 % off, so many of them by chance."""
    rule = SimpleNamespace(pairs=pairs_off, by_chance=by_chance)
    one: Any = SimpleNamespace(
        arm=SimpleNamespace(name="a"),
        state=SimpleNamespace(correct=SimpleNamespace(R=100, c_N=np.array([0, 20, 50, 50, 100]))),
    )
    analysis: Any = SimpleNamespace(examples=examples)
    return pairs._claim(one, analysis, SimpleNamespace(joint_frequency=rule))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("pairs_off", "by_chance", "verdict"),
    [
        (5, 0.1, "holds"),
        (49, 0.1, "holds"),  # of 49,995,000 pairs one in a million is 49.995
        (51, 0.1, "does not hold"),
        (51, 24.0, "cannot be told"),  # chance makes so many that the rest may be few
        (73, 24.0, "cannot be told"),
        (75, 24.0, "does not hold"),
        (51, 26.0, "cannot be told"),
        (900_000, 900_000.0, "cannot be told"),
    ],
)
def test_one_pair_in_a_million_is_few_where_chance_makes_fewer(pairs_off, by_chance, verdict) -> None:
    claim = of_rule(pairs_off, by_chance)
    assert claim.verdict == verdict
    assert (claim.runs_needed is None) == (verdict != "cannot be told")
    assert claim.because.startswith(f"{pairs_off:,} of 49,995,000 pairs")


def test_the_pairs_of_a_store_have_the_classes_of_its_labels(workplace: Workplace) -> None:
    generator = np.random.default_rng(0)
    correct_RN = generator.random((400, 40)) < 0.6
    correct_RN[:, 7] = correct_RN[:, 3]
    one = of_bits("a", {"t": correct_RN})
    packed_RB = np.packbits(correct_RN, axis=1, bitorder="little")
    test_set = SimpleNamespace(name="t", classes=[f"class {n}" for n in range(10)])
    one.run_ids_R = np.arange(400)
    one.store = SimpleNamespace(
        manifest=SimpleNamespace(test_sets=[test_set]),
        labels=lambda name: np.arange(40) % 10,
        blocks=lambda name, ids: (SimpleNamespace(rows_Rb=packed_RB[some]) for some in (ids[:99], ids[99:])),
    )
    found = pairs.findings(Evidence(trained=[one], data=workplace.data, scale=QUICK))
    analysis = pairs._analysis(one)
    assert analysis.findings is not None
    assert analysis.findings.deviating[0].classes == ("class 3", "class 7")
    numbers = {number.name: number for number in found.numbers}
    assert numbers["discoveries"].value == analysis.findings.benjamini_hochberg.number
    by = analysis.findings.benjamini_yekutieli.number
    assert numbers["discoveries_under_any_dependence"].value == by >= 1
    assert numbers["examples_that_vary"].value == 40
    assert numbers["pairs_tested"].value == 40 * 39 / 2
    assert numbers["pairs_off_by_2_percent"].paper == 5
    assert numbers["such_pairs_by_chance"].value == analysis.findings.joint_frequency.by_chance


def test_discoveries_are_those_of_each_rule() -> None:
    generator = np.random.default_rng(0)
    found = pairs_of(
        "t", np.packbits(generator.random((60, 16)) < 0.6, axis=1, bitorder="little"), np.full(16, "c")
    ).findings
    assert found is not None
    more = replace(
        found,
        benjamini_hochberg=replace(found.benjamini_hochberg, number=7),
        benjamini_yekutieli=replace(found.benjamini_yekutieli, number=3),
    )
    one = made_up("a", 0.5, 0.02)
    analysis: Any = SimpleNamespace(varying=16, pairs=120)
    numbers = {number.name: number.value for number in pairs._numbers(one, analysis, more)}
    assert (numbers["discoveries"], numbers["discoveries_under_any_dependence"]) == (7, 3)
