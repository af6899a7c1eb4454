"""The kernels checked, then timed, as shares of the bandwidth and the rate measured in the same call.

A call takes turns with others on inputs of their own, together several times what the cache holds.
"""

from collections.abc import Callable, Iterator
from itertools import product
from math import ceil

import numpy as np
import torch

from airbench_var.kernels import choose_backend
from bench.gpu.kernel_checks import (
    Check,
    augment_checks,
    augment_into,
    augment_settings,
    cooccurrence_checks,
    cooccurrence_into,
    correctness_checks,
    correctness_into,
    differs,
)
from bench.gpu.report import Report
from bench.gpu.session import Deadline, Session
from bench.gpu.timing import Call, timed
from bench.schema import CheckFailedError

SIDE, CLASSES, TRANSLATE = 32, 10, 2
#: Inputs together are so many times the cache, but at most so many.
CACHES, MOST_INPUTS = 4, 64
IMAGES = 50_000  #: of a training set


def section(session: Session, report: Report, deadline: Deadline) -> None:
    """Check each kernel, and time it if it is right; say from which entropy the inputs can be drawn again."""
    entropy = np.random.SeedSequence().entropy
    report.figure("entropy", str(entropy))
    rng = np.random.default_rng(entropy)
    wrong: list[str] = []
    for op, (checks, times) in OPS.items():
        found = [(check.name, differs(check, session.device)) for check in checks(rng, session.device)]
        differing = [f"{op}: {name}" for name, differs_there in found if differs_there]
        report.figure(f"{op}_checks", len(found))
        report.figure(f"{op}_gives_the_bits_of_its_reference", not differing)
        if not differing:
            times(session, report)
        wrong += differing
    if wrong:
        raise CheckFailedError(f"other bits than the reference, so no times of these: {'; '.join(wrong)}")


def _augment(session: Session, report: Report) -> None:
    for batch, dtype in product(session.sizes.batches, (torch.float16, torch.float32)):
        _augment_batch(session, report, batch, dtype)


def _augment_batch(session: Session, report: Report, batch: int, dtype: torch.dtype) -> None:
    device, settings = session.device, augment_settings("alternating", TRANSLATE, "reflect", 0, dtype)
    moved = batch * (SIDE * SIDE * 3 * (1 + dtype.itemsize) + 2 * 8)  # pixels in and out, rows and examples
    images = torch.randint(0, 256, (max(IMAGES, batch), SIDE, SIDE, 3), dtype=torch.uint8, device=device)
    key = torch.tensor([1, 3], device=device)

    def call() -> Call:
        out_BHWC = torch.empty(batch, SIDE, SIDE, 3, dtype=dtype, device=device)
        rows_B = torch.randperm(len(images), device=device)[:batch].contiguous()
        return lambda: augment_into(out_BHWC, [images, rows_B, rows_B, key], settings)

    _add(session, report, f"augment, {batch} images to {dtype}", moved, call)


def _correctness(session: Session, report: Report) -> None:
    for n in session.sizes.logits:
        _correctness_of(session, report, n)


def _correctness_of(session: Session, report: Report, n: int) -> None:
    device = session.device

    def call() -> Call:
        logits_NK = torch.randn(n, CLASSES, device=device)
        labels_N = torch.randint(0, CLASSES, (n,), device=device)
        packed, predicted_N = (torch.empty(m, dtype=torch.uint8, device=device) for m in (-(-n // 8), n))
        return lambda: correctness_into(packed, predicted_N, logits_NK, labels_N)

    _add(session, report, f"correctness, {n} examples", n * (4 * CLASSES + 8 + 1) + n // 8, call)


def _cooccurrence(session: Session, report: Report) -> None:
    (runs, side), device = session.sizes.pairs, session.device

    def call() -> Call:
        left_RB, right_RB = (
            torch.randint(0, 256, (runs, side // 8), dtype=torch.uint8, device=device) for _ in range(2)
        )
        counts_NN = torch.empty(side, side, dtype=torch.int32, device=device)
        return lambda: cooccurrence_into(counts_NN, left_RB, right_RB)

    moved = 2 * runs * side // 8 + 4 * side * side
    name = f"cooccurrence, {runs} runs, {side} x {side}"
    _add(session, report, name, moved, call, operations=2 * runs * side * side)


def _add(
    session: Session,
    report: Report,
    case: str,
    bytes_moved: int,
    make_call: Callable[[], Call],
    operations: int = 0,
) -> None:
    """Time one kernel; its ceiling is the copy, or the product where it has operations."""
    inputs = min(max(2, ceil(CACHES * cache_bytes(session.device) / bytes_moved)), MOST_INPUTS)
    found = timed([make_call() for _ in range(inputs)], session.device, session.sizes.repeats)
    ceilings = session.ceilings
    host = "numpy" if operations else "torch"
    backend, _ = choose_backend(session.device, host=host)
    report.add(
        case.replace("torch.", ""),
        f"{backend}, {inputs} inputs in turns",
        found,
        ceiling="gemm" if operations else "copy",
        best_ms=ceilings.multiplying_ms(operations, "bfloat16")
        if operations
        else ceilings.copying_ms(bytes_moved),
        bytes_moved=bytes_moved,
    )


def cache_bytes(device: torch.device) -> int:
    """Return the size of a GPU's L2 cache; 0 on a CPU, which is not measured for its own sake here."""
    return int(torch.cuda.get_device_properties(device).L2_cache_size) if device.type == "cuda" else 0


#: The checks of each kernel, and its times.
OPS: dict[str, tuple[Callable[..., Iterator[Check]], Callable[[Session, Report], None]]] = {
    "augment": (augment_checks, _augment),
    "correctness": (correctness_checks, _correctness),
    "cooccurrence": (cooccurrence_checks, _cooccurrence),
}
