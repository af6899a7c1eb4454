"""What the device reaches at best: products of half-precision matrices, and copies within its memory."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import torch

from bench.gpu.timing import Timed, timed

if TYPE_CHECKING:
    from bench.gpu.report import Report
    from bench.gpu.session import Deadline, Session

REPEATS = 20
#: Different inputs of a product, in turns.
INPUTS = 3


@dataclass(frozen=True, kw_only=True)
class Ceilings:
    """Times of the work that measures each ceiling, and how much work it is."""

    products: Mapping[str, Timed]  #: by the type of the matrices: "bfloat16", "float16"
    operations: int
    copy: Timed
    bytes_moved: int  #: read and written

    def multiplying_ms(self, operations: float, dtype: str) -> float:
        """Return what so many floating point operations take at the rate of the product."""
        return operations / self.operations * self.products[dtype].median_ms

    def copying_ms(self, bytes_moved: float) -> float:
        """Return what so many bytes, read or written, take at the rate of the copy."""
        return bytes_moved / self.bytes_moved * self.copy.median_ms


def measure(device: torch.device, side: int, copied_bytes: int) -> Ceilings:
    """Measure on random data: zeros multiply faster."""
    products = {}
    for dtype in (torch.bfloat16, torch.float16):
        matrices = [torch.randn(side, side, device=device, dtype=dtype) for _ in range(INPUTS + 1)]
        product = torch.empty_like(matrices[0])
        calls = [
            lambda left=left, right=right, product=product: torch.mm(left, right, out=product)
            for left, right in pairwise(matrices)
        ]
        products[str(dtype).removeprefix("torch.")] = timed(calls, device, REPEATS)
    source = torch.randint(0, 256, (copied_bytes,), dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    copied = timed([lambda: target.copy_(source)], device, REPEATS)
    return Ceilings(products=products, operations=2 * side**3, copy=copied, bytes_moved=2 * copied_bytes)


def section(session: "Session", report: "Report", deadline: "Deadline") -> None:
    """Report both ceilings as rows, and as rates."""
    found, side = session.ceilings, session.sizes.product_side
    for dtype, product in found.products.items():
        report.add(
            f"gemm, {side} x {side} x {side}", dtype, product, ceiling="gemm",
            best_ms=product.median_ms, items=found.operations, item="operations",
        )  # fmt: skip
        report.figure(f"tflop_per_s_{dtype}", found.operations / product.median_ms / 1e9)
    report.add(
        f"copy, {found.bytes_moved // 2} bytes", "copy", found.copy, ceiling="copy",
        best_ms=found.copy.median_ms, bytes_moved=found.bytes_moved, items=found.bytes_moved, item="bytes",
    )  # fmt: skip
    report.figure("copy_tb_per_s", found.bytes_moved / found.copy.median_ms / 1e9)
