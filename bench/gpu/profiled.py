"""Where the time of a run goes: the kernels of one run by name and kind, and when the device idles."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from torch.profiler import ProfilerActivity, profile

from bench.gpu.report import Report, Value
from bench.gpu.session import Deadline, Session

#: What the trace calls the work of a device; on a CPU, the operators.
WORK = {"cuda": ("kernel", "gpu_memcpy", "gpu_memset"), "cpu": ("cpu_op",)}

#: Kernels of cuDNN, cuBLAS, CUTLASS and Triton's templates that multiply; on a CPU, such operators.
PRODUCTS = re.compile(
    r"gemm|gemv|xmma|cutlass|nvjet|conv(?!ert)|[dw]grad|fprop|triton_tem|split_?k|matmul|::mm\b|AddmmB|MmB",
    re.I,
)
COPIES = re.compile(r"^mem(cpy|set)\b", re.I)

TOP = 15
NAME_LENGTH = 90


class Work(NamedTuple):
    """One piece of work of the device."""

    name: str
    start_us: float
    end_us: float


def section(session: Session, report: Report, deadline: Deadline) -> None:
    """Profile one run of the fast path, which has run before."""
    path = session.networks.fast
    seeds = path.seeds(0)
    unprofiled_s, _ = path.timed(seeds)
    activities = [ProfilerActivity.CPU]
    if session.device.type == "cuda":
        activities = [ProfilerActivity.CUDA]  # not the host's: they would slow the run and fill the trace
    with profile(activities=activities) as profiler:
        profiled_s, _ = path.timed(seeds)
    with TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(trace))
        work = list(work_in(json.loads(trace.read_text()), WORK[session.device.type]))
    report.figure("unprofiled_run_s", unprofiled_s)
    report.figure("profiled_run_s", profiled_s)
    report.check("work_was_seen", bool(work), "the profiler recorded no work of the device")
    for name, value in summary(work).items():
        report.figure(name, value)


def work_in(trace: Mapping[str, Any], categories: Iterable[str]) -> Iterator[Work]:
    """Yield the work of these categories in a Chrome trace; of operators within operators the outermost."""
    found = [
        Work(event["name"], event["ts"], event["ts"] + event["dur"])
        for event in trace["traceEvents"]
        if event.get("ph") == "X" and event.get("cat") in categories
    ]
    end_us = float("-inf")
    for work in sorted(found, key=lambda work: (work.start_us, -work.end_us)):
        if "cpu_op" not in categories or work.start_us >= end_us:
            end_us = work.end_us
            yield work


def summary(work: list[Work]) -> dict[str, Value]:
    """Return counts, shares and the longest names, of at least one piece of work.

    Shares by kind and name are of the summed time of the work, which on several streams overlaps; the idle
    share is of the time from the first start to the last end.
    """
    by_name: Counter[str] = Counter()
    by_kind: Counter[str] = Counter()
    for name, start_us, end_us in work:
        by_name[name] += end_us - start_us  # type: ignore[assignment]  # a Counter adds floats as well
        by_kind[kind(name)] += end_us - start_us  # type: ignore[assignment]
    total_us = sum(by_name.values())
    whole_us = max(w.end_us for w in work) - min(w.start_us for w in work)
    calls = Counter(w.name for w in work)
    return {
        "kernels": len(work),
        "device_time_ms": total_us / 1e3,
        "share_products": by_kind["product"] / total_us,
        "share_memory_bound": by_kind["memory"] / total_us,
        "share_copies": by_kind["copy"] / total_us,
        "idle_share": 1 - busy_us(work) / whole_us,
        "top": {
            f"{name[:NAME_LENGTH]} ({calls[name]} times)": spent_us / total_us
            for name, spent_us in by_name.most_common(TOP)
        },
    }


def kind(name: str) -> str:
    """Return 'product' for convolutions and matrix products, 'copy', or else 'memory': bound by it."""
    if COPIES.search(name):
        return "copy"
    return "product" if PRODUCTS.search(name) else "memory"


def busy_us(work: Iterable[Work]) -> float:
    """Return how long at least one piece of work was under way."""
    busy, until_us = 0.0, float("-inf")
    for _, start_us, end_us in sorted(work, key=lambda work: work.start_us):
        busy += max(0.0, end_us - max(start_us, until_us))
        until_us = max(until_us, end_us)
    return busy
