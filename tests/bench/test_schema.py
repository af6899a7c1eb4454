"""How a benchmark measures: variants take turns, and one that is wrong gets no number."""

import io
from collections.abc import Callable

import pytest
import torch
from rich.console import Console

from bench.kernels import cases
from bench.schema import Case, measure, print_table

CPU = torch.device("cpu")

Variant = Callable[[], tuple[torch.Tensor, ...]]


def test_variants_take_turns_and_every_row_has_its_quantiles_in_order() -> None:
    calls: list[str] = []

    def variant(name: str) -> Variant:
        return lambda: (calls.append(name) or torch.ones(2),)  # type: ignore[func-returns-value]

    case = Case(name="a case", variants={"ours": variant("a"), "other": variant("b")}, bytes_moved=1000)
    rows = measure(case, CPU, repeats=5, warm_up=1)
    assert "".join(calls).removeprefix("aab") == "ab" * 6  # first the check of equality
    assert [row.variant for row in rows] == ["ours", "other", "copy"]
    for row in rows:
        assert (row.n, row.unit, row.bytes_moved) == (5, "ms", 1000)
        assert 0 < row.min <= row.p20 <= row.p50 <= row.p80 <= row.p95
    assert rows[-1].share_of_ceiling == 1
    assert rows[0].share_of_ceiling == pytest.approx(rows[-1].p50 / rows[0].p50)


def test_a_variant_that_differs_gets_no_number() -> None:
    variants: dict[str, Variant] = {"ours": lambda: (torch.ones(2),), "other": lambda: (torch.zeros(2),)}
    with pytest.raises(ValueError, match="a case: other and ours differ"):
        measure(Case(name="a case", variants=variants, bytes_moved=8), CPU, repeats=1)


def test_the_table_shows_ratios_to_ours() -> None:
    variants: dict[str, Variant] = {"ours": lambda: (torch.ones(2),), "other": lambda: (torch.ones(2),)}
    rows = measure(Case(name="a case", variants=variants, bytes_moved=8), CPU, repeats=3)
    text = io.StringIO()
    print_table(rows, Console(file=text, width=200))
    assert "a case" in text.getvalue()
    assert f"{rows[1].p50 / rows[0].p50:.2f}" in text.getvalue()


def test_what_users_write_agrees_with_ours_in_every_case() -> None:
    names = [measure(case, CPU, repeats=1, warm_up=0)[0].case for case in cases(CPU)]
    assert [name.split(",")[0] for name in names] == ["augment", "augment", "correctness"]
