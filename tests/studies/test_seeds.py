"""Which sources an arm varies, and what its spread over that of all is."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from airbench_var.seeds import STREAMS
from airbench_var.studies import durations, seeds
from airbench_var.studies.scales import SCALES
from tests.studies.conftest import QUICK
from tests.studies.made_up import made_up


@pytest.mark.parametrize("scale", SCALES.values(), ids=list(SCALES))
def test_arms_vary_all_and_then_each_alone_and_all_but_each(scale) -> None:
    arms = seeds.arms(scale)
    groups = [arms[: len(arms) // 2], arms[len(arms) // 2 :]]
    without_each = [("order", "aug"), ("init", "aug"), ("init", "order")] if scale.seeds_fixed else []
    for epochs, group in zip(scale.seed_epochs, groups, strict=True):
        everything, *some = group
        theirs = durations.arm_of(scale, epochs)
        assert (everything.recipe, everything.seed) == (theirs.recipe, theirs.seed)
        assert [arm.vary for arm in group] == [STREAMS, ("init",), ("order",), ("aug",), *without_each]
        assert all(arm.recipe == theirs.recipe for arm in some)
        assert theirs.seed not in {arm.seed for arm in some}
        alone, fixed = ({arm.seed for arm in which} for which in (some[:3], some[3:]))
        assert alone.isdisjoint(fixed)  # else runs of equal number would share what both vary
    if scale.seeds_fixed:
        assert [arm.name.partition(", ")[2] for arm in arms[4:7]] == [
            f"all but {name}" for name in ("initialisation", "data order", "augmentation")
        ]


def test_only_scale_cpu_saves_the_time_of_fixed_sources_and_says_so() -> None:
    assert [name for name, scale in SCALES.items() if not scale.seeds_fixed] == ["cpu"]
    for scale, said in ((SCALES["cpu"], True), (QUICK, False)):
        evidence = groups((0.02,) * 4, (0.01,) * 4)
        evidence.scale = scale
        assert ("No arm here fixes one source" in seeds.findings(evidence).notes[0]) == said


def test_the_runs_of_all_are_no_more_than_durations_has() -> None:
    more = replace(QUICK, runs={**QUICK.runs, "seeds": 9})
    everything, *some = seeds.arms(more)[:7]
    assert everything.runs == QUICK.runs["durations"]
    assert all(arm.runs == 9 for arm in some)


def groups(short: tuple[float, ...], long: tuple[float, ...], epochs: tuple[float, float] = (4, 64)) -> Any:
    """Return evidence of runs with these stds: all varied, each source alone, all but each, by length."""
    each = (*((source,) for source in STREAMS), ("order", "aug"), ("init", "aug"), ("init", "order"))
    varied = (STREAMS, *each)[: len(short)]
    trained = [
        made_up(f"{length} {'+'.join(vary)}", 0.6, std, n=2000, epochs=length, vary=vary)
        for length, stds in zip(epochs, (short, long), strict=True)
        for std, vary in zip(stds, varied, strict=True)
    ]
    return SimpleNamespace(trained=trained, scale=QUICK)


@pytest.mark.parametrize(
    ("short", "long", "verdicts"),
    [
        ((0.02, 0.01, 0.02, 0.02), (0.01, 0.012, 0.012, 0.012), ["holds"] * 4),
        ((0.01, 0.02, 0.005, 0.005), (0.02, 0.01, 0.01, 0.01), ["does not hold"] * 4),
        (
            (0.01, 0.01, 0.02, 0.02),
            (0.01, 0.009, 0.02, 0.005),
            ["cannot be told", "holds", "does not hold", "cannot be told"],
        ),
    ],
)
def test_verdicts(short, long, verdicts) -> None:
    claims = seeds.findings(groups(short, long)).claims
    assert [claim.verdict for claim in claims] == verdicts
    assert [claim.text.count("After long training") for claim in claims] == [1, 1, 1, 0]
    for claim, source in zip(claims, STREAMS, strict=False):
        assert f"64 {source})" in claim.text
    assert "(4 init+order+aug)" in claims[-1].text


def test_verdicts_are_on_each_source_alone_and_the_others_in_the_numbers() -> None:
    fixed = seeds.findings(groups((0.02, 0.01, 0.02, 0.02, *(0.01,) * 3), (0.01,) * 4 + (0.02, 0.01, 0.005)))
    assert len(fixed.claims) == 4
    ratio = {
        number.arm: number.value for number in fixed.numbers if number.name == "variance_over_that_of_all"
    }
    assert len(ratio) == 12
    assert ratio["64 order+aug"] == pytest.approx(4, rel=0.02)
    assert ratio["64 init+aug"] == pytest.approx(1, rel=0.02)
    assert ratio["64 init+order"] == pytest.approx(0.25, rel=0.02)


def test_the_picture_has_the_std_of_each_arm_in_percent_above_its_name() -> None:
    from matplotlib.figure import Figure as Canvas

    stds = (0.02, 0.01, 0.015, 0.02, 0.01, 0.005, 0.012), (0.01,) * 7
    trained, arms = groups(*stds).trained, seeds.arms(QUICK)
    for one, arm in zip(trained, arms, strict=True):
        one.arm = arm
    canvas = Canvas()
    seeds._sources([trained[:7], trained[7:]], canvas)
    sources = ["initialisation", "data order", "augmentation"]
    for axis, group, title in zip(canvas.axes, stds, ("1 epoch", "2 epochs"), strict=True):
        points = [bars.lines[0].get_xydata()[0] for bars in axis.containers]
        assert [x for x, _ in points] == list(range(7))
        assert [y for _, y in points] == pytest.approx([100 * std for std in group], rel=0.01)
        labels = [label.get_text() for label in axis.get_xticklabels()]
        assert labels == ["all", *sources, *(f"all but {source}" for source in sources)]
        assert axis.get_title() == title


def test_numbers_are_over_that_of_all_with_what_the_paper_prints() -> None:
    numbers = seeds.findings(groups((0.02, 0.01, 0.02, 0.02), (0.01, 0.01, 0.01, 0.01))).numbers
    ratio = {number.arm: number.value for number in numbers if number.name == "variance_over_that_of_all"}
    assert ratio["4 init"] == pytest.approx(0.25, rel=0.02)
    assert len(ratio) == 6
    assert {(number.arm, number.name): number.paper for number in numbers if number.paper} == {
        ("4 init+order+aug", "test_set_std"): 0.0045,
        ("4 init", "test_set_std"): 0.0038,
        ("64 init+order+aug", "test_set_std"): 0.0016,
        ("64 init", "test_set_std"): 0.00158,
    }
    other = seeds.findings(groups((0.02,) * 4, (0.01,) * 4, epochs=(8, 16))).numbers
    assert not any(number.paper for number in other)
