"""A step that is timed is the step that the campaign trains with; its variants are the same network."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch

from airbench_var.recipe import Recipe
from airbench_var.recipes.airbench import airbench94, tiny
from airbench_var.training import Settings
from bench.schema import measure
from bench.step import SMALL, Step, count_operations, step_case, tolerances

CPU = torch.device("cpu")


def small(recipe: Recipe) -> Recipe:
    return recipe.with_values(SMALL)


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[Callable[..., Any]]:
    """What was given to torch.compile, which takes half a minute and here does nothing."""
    functions: list[Callable[..., Any]] = []

    def leave(function: Callable[..., Any], **options: object) -> Callable[..., Any]:
        functions.append(function)
        return function

    monkeypatch.setattr(torch, "compile", leave)
    return functions


@pytest.mark.parametrize("recipe", [tiny(), airbench94()], ids=lambda recipe: recipe.name)
def test_eager_compiled_and_plain_agree(recipe: Recipe, compiled: list[Callable[..., Any]]) -> None:
    case = step_case(small(recipe), CPU)
    rows = measure(case, CPU, repeats=1, warm_up=0)
    engines = {row.variant for row in rows} - {"ours", "plain step", "gemm"}
    compiled_step = "compiled step"
    # Ours is tiles where the processor has them, native where C can be built, and eager elsewhere.
    assert engines in (
        {"eager step", compiled_step, "native step"},
        {"eager step", compiled_step},
        {compiled_step},
    )
    assert [function.__self__.model for function in compiled] == [case.variants[compiled_step].model]  # type: ignore[attr-defined]


def test_a_plain_script_computes_in_single_precision_with_channels_first(
    compiled: list[Callable[..., Any]],
) -> None:
    variants = step_case(small(tiny()), CPU).variants
    for name, dtype, layout in (
        ("ours", torch.bfloat16, torch.channels_last),
        ("compiled step", torch.bfloat16, torch.channels_last),
        ("plain step", torch.float32, torch.contiguous_format),
    ):
        step = variants[name]
        assert isinstance(step, Step)
        filters = step.model.get_parameter("groups.1.conv1.weight")
        assert step.images_BCHW.dtype == dtype
        assert step.images_BCHW.is_contiguous(memory_format=layout)
        assert filters.is_contiguous(memory_format=layout)


def test_a_network_that_is_not_ours_gets_no_number(compiled: list[Callable[..., Any]]) -> None:
    case = step_case(small(tiny()), CPU)
    plain = case.variants["plain step"]
    assert isinstance(plain, Step)
    plain.model.get_parameter("groups.2.conv1.weight").data.mul_(-1)
    with pytest.raises(ValueError, match="plain step and ours differ"):
        measure(case, CPU, repeats=1)


def test_a_step_moves_every_weight_and_returns_the_gradients_that_moved_them() -> None:
    step = Step(small(tiny()), Settings())
    before = [p.detach().clone() for p in step.model.parameters()]
    first_loss, gradients = step()
    assert isinstance(first_loss, torch.Tensor)
    assert len(gradients) == len(before)
    for old, gradient, new in zip(before, gradients, step.model.parameters(), strict=True):
        assert gradient.shape == new.shape
        assert not torch.equal(old, new)
    for _ in range(10):
        loss, _ = step()
    assert loss < first_loss  # type: ignore[operator]  # one batch, learned by heart


def test_operations_are_three_passes_of_the_network_and_the_products_of_muon() -> None:
    recipe = small(tiny())
    batch, side = recipe.batch_size, 16  # pixels, after whitening every second 2x2 patch
    network = batch * 24 * 12 * side**2  # no gradient goes through the frozen whitening
    muon = 0
    for c_in, c_out in pairwise((24, 8, 12, 16)):
        for channels, size in ((c_in, side), (c_out, side // 2)):
            network += 3 * batch * 9 * channels * c_out * size**2
            long, short = max(c_out, 9 * channels), min(c_out, 9 * channels)
            muon += 3 * (2 * short**2 * long + short**3)
        side //= 2
    head = 3 * batch * 16 * 10
    assert count_operations(recipe, Settings()) == 2 * (network + head + muon)


def test_tolerances_follow_the_mantissa() -> None:
    assert tolerances(tiny(), torch.bfloat16) == (2**-8, (2 * 11 / 2**8) ** 0.5)
    assert tolerances(tiny(), torch.float16) == (2**-11, (2 * 11 / 2**11) ** 0.5)
