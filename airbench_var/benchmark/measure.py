"""Measure how fast this machine trains: its ceilings, then as many networks as fit the time."""

import time
from collections import defaultdict
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path

import numpy as np
import torch

from airbench_var import machine
from airbench_var.benchmark.result import Benchmark, Ceilings
from airbench_var.campaign import Campaign
from airbench_var.data import Dataset, synthetic
from airbench_var.errors import RunsFailedError
from airbench_var.execution import Placement
from airbench_var.recipe import Recipe
from airbench_var.recipes import images_recipe
from airbench_var.seeds import seeds_of_run
from airbench_var.store.rows import Outcome, RunSpec
from airbench_var.training import RecipeOnData, Settings

#: Of CIFAR-10, whose shape the synthetic images have.
TRAIN_EXAMPLES = 50_000

#: It ends after so many runs in any case.
MOST_RUNS = 10_000

COPIED_BYTES = 1 << 28
CEILING_S = 1.0  #: each ceiling is measured about so long


def recipe_for(device: str) -> Recipe:
    """Return what is trained by default: a recipe that the device is made for."""
    return images_recipe("tiny" if device == "cpu" else "airbench94")


def cifar_sized() -> Dataset:
    """Return the synthetic data set with as many images as CIFAR-10 has."""
    return synthetic.load(TRAIN_EXAMPLES)


def benchmark(
    recipe: Recipe,
    data: Dataset,
    settings: Settings,
    *,
    placement: Placement,
    limit_s: float,
    clock: Callable[[], float] = time.perf_counter,
    told: Callable[[int, float], None] = lambda networks, seconds: None,
) -> Benchmark:
    """Train for limit_s seconds as a campaign would, and longer until each worker has trained two networks.

    The first network of a worker does not count: it comes with imports, compiling and cold caches. The
    others take from the end of the one before to their own. `told` hears now and then how many networks
    there are after how many seconds.

    Raises: RunsFailedError when a network fails or diverges: then a speed would mean nothing.
    """
    ceilings = measure_ceilings(recipe, settings)
    campaign = Campaign(
        subject=RecipeOnData(recipe=recipe, data=data, settings=settings),
        out=Path(),
        runs=MOST_RUNS,
        placement=placement,
    )
    start_s = clock()
    ends_s: dict[int, list[float]] = defaultdict(list)
    right: list[float] = []
    with closing(_outcomes(campaign)) as outcomes:  # leaving early ends the workers
        for outcome in outcomes:
            if outcome is not None:
                ends_s[outcome.worker].append(clock())
                right.append(_accuracy(outcome, len(data.test)))
            told(len(right), clock() - start_s)
            all_twice = len(ends_s) >= placement.slots and min(map(len, ends_s.values())) >= 2
            if all_twice and clock() - start_s >= limit_s:
                break
    return Benchmark(
        device=settings.device_name(),
        driver=settings.driver(),
        recipe=recipe.name,
        recipe_sha256=recipe.sha256,
        data=data.title,
        train_examples=len(data.train),
        test_examples=len(data.test),
        numerics=settings.numerics(recipe),
        loader=settings.loader,
        workers=placement.workers,
        runs_per_device=placement.runs_per_device,
        ceilings=ceilings,
        seconds={worker: np.diff(ends).tolist() for worker, ends in sorted(ends_s.items())},
        accuracy=float(np.mean(right)),
        first_s=min(ends[0] for ends in ends_s.values()) - start_s,
        origin=machine.origin("airbench_var", "torch", "triton", "numpy") | settings.gpu_libraries(),
    )


def _outcomes(campaign: Campaign) -> Generator[Outcome | None, None, None]:
    specs = [RunSpec(run_id=run_id, seeds=seeds_of_run(0, run_id)) for run_id in range(campaign.runs)]
    for report in campaign.placement.execute([campaign.make_train], specs, lambda: False):
        yield report if isinstance(report, Outcome) else None


def _accuracy(outcome: Outcome, n: int) -> float:
    result = outcome.result
    if result is None or result.diverged:
        why = outcome.failure if result is None else "its loss or logits were not finite"
        raise RunsFailedError(
            f"run {outcome.spec.run_id} of the benchmark failed: {why}. A speed would mean nothing; try "
            "fewer --workers, or another --device."
        )
    predictions = next(iter(result.predictions.values()))
    return int(np.unpackbits(predictions.correct).sum()) / n


def measure_ceilings(recipe: Recipe, settings: Settings) -> Ceilings:
    """Return the rates of a matrix product and of a copy, on all cores of a CPU or on the GPU."""
    device, dtype = torch.device(settings.device), settings.activation_dtype(recipe)
    threads = torch.get_num_threads()
    torch.set_num_threads(machine.cores())
    try:
        side, gemm_s = 1024, _seconds_of_product(1024, dtype, device)
        while side < 8192 and 8 * gemm_s < CEILING_S / 3:
            side *= 2
            gemm_s = _seconds_of_product(side, dtype, device)
        source = torch.zeros(COPIED_BYTES, dtype=torch.uint8, device=device)
        target = torch.empty_like(source)
        copy_s = _median_s(lambda: target.copy_(source), device)
    finally:
        torch.set_num_threads(threads)
    return Ceilings(
        gemm_tflops=2 * side**3 / gemm_s / 1e12, gemm_side=side, copy_gb_s=2 * COPIED_BYTES / copy_s / 1e9
    )


def _seconds_of_product(side: int, dtype: torch.dtype, device: torch.device) -> float:
    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    out = torch.empty_like(left)
    return _median_s(lambda: torch.mm(left, right, out=out), device)


def _median_s(run: Callable[[], object], device: torch.device) -> float:
    """Return the median seconds of a call over about CEILING_S, of three at least, after one to warm up."""
    times: list[float] = []
    while len(times) < 4 or sum(times) < CEILING_S:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        start_s = time.perf_counter()
        run()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - start_s)
    return float(np.median(times[1:]))
