"""How a benchmark measures: variants take turns, and one that is wrong gets no number."""

import io
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from rich.console import Console

from bench.kernels import augment_cases, cooccurrence_cases, correctness_cases
from bench.schema import (
    Case,
    Ceiling,
    CheckFailedError,
    Result,
    copying,
    measure,
    multiplying,
    plain_name,
    ratios,
)
from bench.table import print_table

CPU = torch.device("cpu")

Variant = Callable[[], Result]


def case_of(
    variants: dict[str, Variant], tolerances: tuple[float, ...] = (), ceiling: Ceiling | None = None
) -> Case:
    ceiling = ceiling or copying(1000, CPU)
    return Case(name="a case", variants=variants, bytes_moved=1000, ceiling=ceiling, tolerances=tolerances)


def test_variants_take_turns_and_every_row_has_its_quantiles_in_order() -> None:
    calls: list[str] = []

    def variant(name: str) -> Variant:
        return lambda: (calls.append(name) or torch.ones(2),)  # type: ignore[func-returns-value]

    rows = measure(case_of({"ours": variant("a"), "other": variant("b")}), CPU, repeats=5, warm_up=1)
    assert "".join(calls) == "ab" * 7  # first the check of equality, then the warm-up
    assert [row.variant for row in rows] == ["ours", "other", "copy"]
    for row in rows:
        assert (row.n, row.unit, row.bytes_moved) == (5, "ms", 1000)
        assert row.first > 0
        assert 0 < row.min <= row.p20 <= row.p50 <= row.p80 <= row.p95
    assert rows[-1].share_of_ceiling == 1
    assert rows[0].share_of_ceiling == pytest.approx(rows[-1].p50 / rows[0].p50)


def test_a_slow_case_is_repeated_three_times_and_no_more() -> None:
    rows = measure(case_of({"ours": lambda: (torch.ones(2),)}), CPU, repeats=100, limit_s=0)
    assert [row.n for row in rows] == [3, 3]


@pytest.mark.parametrize(
    "other", [torch.zeros(2), torch.ones(3), torch.ones(2, 1), torch.ones(2, dtype=torch.float64)]
)
def test_a_variant_that_differs_gets_no_number(other: torch.Tensor) -> None:
    case = case_of({"ours": lambda: (torch.ones(2),), "other": lambda: (other,)})
    with pytest.raises(CheckFailedError, match="a case: other and ours differ"):
        measure(case, CPU, repeats=1)


@pytest.mark.parametrize("fits", [True, False])
def test_a_variant_that_draws_for_itself_is_compared_as_it_says(fits: bool) -> None:
    seen: list[tuple[float, ...]] = []

    def agree(*results: Result) -> bool:
        seen.append(tuple(float(part[0]) for (part,) in results))
        return fits

    case = case_of({"ours": lambda: (torch.ones(1),), "other": lambda: (torch.zeros(1),)})
    case = replace(case, agree={"other": agree}, notes={"other": "draws for itself"})
    if fits:
        rows = measure(case, CPU, repeats=1)
        assert [row.note for row in rows] == ["", "draws for itself", ""]
    else:
        with pytest.raises(CheckFailedError, match="other and ours differ"):
            measure(case, CPU, repeats=1)
    assert seen == [(1, 0)]


def test_a_tolerance_is_a_relative_norm_over_all_tensors_of_a_part() -> None:
    ours = (torch.ones(1), (torch.tensor([3.0]), torch.tensor([0.0, 4.0])))
    other = (torch.ones(1), (torch.tensor([3.3]), torch.tensor([0.4, 4.0])))  # 0.5 of 5
    variants: dict[str, Variant] = {"ours": lambda: ours, "other": lambda: other}
    assert measure(case_of(variants, (0.0, 0.101)), CPU, repeats=1)
    for tolerances in ((0.0, 0.099), ()):
        with pytest.raises(ValueError, match="differ"):
            measure(case_of(variants, tolerances), CPU, repeats=1)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("bad", ["ours", "other", "both"])
def test_what_is_not_a_number_agrees_with_nothing(value: float, bad: str) -> None:
    def variant(name: str) -> Variant:
        return lambda: (torch.tensor([1.0, value if bad in (name, "both") else 1.0]),)

    for tolerances in ((), (0.5,)):
        with pytest.raises(ValueError, match="other and ours differ"):
            measure(case_of({name: variant(name) for name in ("ours", "other")}, tolerances), CPU, repeats=1)


def test_a_ceiling_of_other_size_is_scaled_to_the_case() -> None:
    variants: dict[str, Variant] = {"ours": lambda: (torch.ones(2),)}
    ceiling = Ceiling(name="nothing", run=lambda: None, scale=1e9)
    ours, best = measure(case_of(variants, ceiling=ceiling), CPU, repeats=3)
    assert (ours.ceiling, best.variant, best.share_of_ceiling) == ("nothing", "nothing", 1)
    assert best.p50 > 1e3 * ours.p50
    assert ours.share_of_ceiling == pytest.approx(best.p50 / ours.p50)


@pytest.mark.parametrize(("operations", "side"), [(10, 64), (2 * 200**3, 192), (2 * 10**13, 4096)])
def test_a_product_has_the_operations_of_the_case(operations: int, side: int) -> None:
    ceiling = multiplying(operations, torch.bfloat16, torch.device("meta"))
    assert ceiling.run().shape == (side, side)  # type: ignore[attr-defined]
    assert ceiling.scale * 2 * side**3 == pytest.approx(operations)


def test_the_table_shows_ratios_to_ours_what_the_ceiling_is_and_the_first_calls() -> None:
    variants: dict[str, Variant] = {"ours": lambda: (torch.ones(2),), "other": lambda: (torch.ones(2),)}
    ours, other, best = measure(case_of(variants), CPU, repeats=3)
    text = io.StringIO()
    print_table([ours, replace(other, p50=1234 * ours.p50, first=21_700), best], Console(file=text, width=80))
    for shown in ("a case", "1234.00", "of copy", "other 21.70 s"):
        assert shown in text.getvalue()
    assert "…" not in text.getvalue()


def test_rates_stand_side_by_side_under_the_table() -> None:
    variants: dict[str, Variant] = {"ours": lambda: (torch.ones(2),), "other": lambda: (torch.ones(2),)}
    case = replace(case_of(variants), items=8, item="images")
    ours, other, best = measure(case, CPU, repeats=3)
    text = io.StringIO()
    print_table([replace(ours, rate=4000.0), replace(other, rate=2000.0), best], Console(file=text, width=80))
    assert "ours: 4,000 images per second (p50); other 2,000\n" in text.getvalue()


def test_ratios_are_named_and_above_one_where_ours_is_faster() -> None:
    variants: dict[str, Variant] = {
        "ours": lambda: (torch.ones(2),),
        "NumPy, alone": lambda: (torch.ones(2),),
    }
    ours, other, best = measure(case_of(variants), CPU, repeats=3)
    ours, other = replace(ours, p50=2.0, share_of_ceiling=0.5), replace(other, p50=6.0)
    assert ratios([ours, other, best]) == {"a_case_vs_numpy_alone": 3, "a_case_share_of_copy": 0.5}
    twice = replace(other, items=4)  # in the same time
    assert ratios([replace(ours, items=2), twice, best])["a_case_vs_numpy_alone"] == 1.5


def test_rates_follow_from_the_median() -> None:
    case = replace(case_of({"ours": lambda: (torch.ones(2),)}), items=8, item="runs")
    for row in measure(case, CPU, repeats=3):
        assert row.rate == pytest.approx(8 / row.p50 * 1000)
        assert row.rate_unit == "runs per second"


def test_a_case_has_the_key_it_is_given_or_its_name_up_to_a_comma_or_bracket() -> None:
    case = case_of({"ours": lambda: (torch.ones(2),)})
    for named, key in (
        (replace(case, name="Two words, 3 x 4"), "two_words"),
        (replace(case, name="Two words (3 x 4)"), "two_words"),
        (replace(case, key="other"), "other"),
    ):
        assert {row.key for row in measure(named, CPU, repeats=1)} == {key}
    assert plain_name("NumPy, 20 resamples of the runs") == "numpy_20_resamples_of_the_runs"


def test_what_users_write_agrees_with_ours_in_every_case() -> None:
    cases = [*augment_cases(CPU), *correctness_cases(CPU), *cooccurrence_cases(CPU)]
    names = [measure(case, CPU, repeats=1, warm_up=0)[0].case for case in cases]
    assert [name.split(",")[0] for name in names] == ["augment", "augment", "correctness", "cooccurrence"]
