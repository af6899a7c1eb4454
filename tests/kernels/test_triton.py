"""The Triton kernels against the references, bit for bit: interpreted on the CPU, compiled on a GPU."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from airbench_var.kernels.augment import reference as augment_reference
from airbench_var.kernels.augment.reference import Settings
from airbench_var.kernels.cooccurrence import reference as cooccurrence_reference
from airbench_var.kernels.correctness import reference as correctness_reference

pytest.importorskip("triton")

Case = dict[str, Any]


def float32s(*values: float) -> tuple[float, ...]:
    return tuple(torch.tensor(values).tolist())


def augment_cases(dtypes: tuple[torch.dtype, ...]) -> dict[str, Case]:
    """Every flip with every padding on awkward geometries; an image is one block of 1024 elements or two."""
    geometries = [
        # batch, height, width, translate, cutout
        (1, 1, 1, 0, 0),
        (1, 5, 9, 0, 3),
        (2, 7, 5, 4, 0),
        (2, 5, 6, 4, 5),
        (3, 19, 21, 3, 4),  # 1197 elements: a second block, mostly beyond the image
    ]
    keys = [(0, 0), (-1, 1), (-(2**63), 2**31), (2**62 + 12345, 7)]
    cases: dict[str, Case] = {}
    for flip in ("none", "random", "alternating"):
        for padding in ("reflect", "zero"):
            for dtype in dtypes:
                for batch, height, width, translate, cutout in geometries:
                    generator = torch.Generator().manual_seed(len(cases))
                    images = torch.randint(
                        0, 256, (6, height, width, 3), dtype=torch.uint8, generator=generator
                    )
                    rows = torch.randint(0, 6, (batch,), generator=generator)
                    examples = torch.randint(0, 2**32, (batch,), generator=generator)
                    key = torch.tensor(keys[len(cases) % len(keys)])
                    settings = {
                        "flip": flip, "translate": translate, "padding": padding, "cutout": cutout,
                        "mean": float32s(125.3, 123, 113.9), "inv_std": float32s(1 / 63, 1 / 62, 1 / 67),
                        "dtype": dtype,
                    }  # fmt: skip
                    name = f"{flip}-{padding}-{dtype}-{height}x{width}".replace("torch.", "")
                    tensors = [images, rows, examples, key]
                    cases[name] = {"op": "augment", "tensors": tensors, "settings": settings}
    return cases


def correctness_cases() -> dict[str, Case]:
    """Sizes around a byte and a block of examples; every dtype; ties, NaN and infinities throughout."""
    sizes = [(1, 1), (7, 2), (8, 10), (9, 10), (257, 10), (65, 33), (33, 256)]
    cases: dict[str, Case] = {}
    for n, classes in sizes:
        for dtype in (torch.float16, torch.bfloat16, torch.float32):
            generator = torch.Generator().manual_seed(len(cases))
            logits_NK = torch.randint(-2, 3, (n, classes), generator=generator).to(dtype)
            logits_NK[1::5] *= -0.0
            logits_NK[2::5] = -torch.inf
            logits_NK[3::5, classes // 2 :] = torch.inf
            logits_NK[::4, classes // 3] = torch.nan
            labels_N = torch.where(torch.arange(n) % 3 == 0, -256, logits_NK.argmax(1))
            if len(cases) % 2:
                labels_N = labels_N.to(torch.uint8)
            name = f"{n}x{classes}-{dtype}-{labels_N.dtype}".replace("torch.", "")
            cases[name] = {"op": "correctness", "tensors": [logits_NK, labels_N]}
    return cases


def cooccurrence_cases() -> dict[str, Case]:
    """Runs and columns around a block of 64; columns that are never or always set; pad bits that are set."""
    cases: dict[str, Case] = {}
    for runs, *columns in [(1, 1, 1), (0, 3, 8), (63, 9, 64), (64, 65, 7), (65, 16, 130), (200, 70, 70)]:
        generator = torch.Generator().manual_seed(len(cases))
        sides = []
        for n in columns:
            sides.append(torch.randint(0, 256, (runs, (n + 7) // 8), dtype=torch.uint8, generator=generator))
            sides[-1][:, 0] = sides[-1][:, 0] & ~1 | 2  # column 0 never, column 1 always
        name = f"cooccurrence-{runs}-{columns[0]}x{columns[1]}"
        cases[name] = {"op": "cooccurrence", "tensors": sides, "columns": columns}
    return cases


# Triton's interpreter truncates to bfloat16 where a GPU rounds: bfloat16 is compared on a GPU, and
# test_compile.py sees to it that the compiled kernel rounds.
EXACT = {**correctness_cases(), **cooccurrence_cases()}
INTERPRETED = {**augment_cases((torch.float16, torch.float32)), **EXACT}
ON_A_GPU = {**augment_cases((torch.float16, torch.bfloat16, torch.float32)), **EXACT}


def run(cases: dict[str, Case], device: str, folder: Path) -> dict[str, list[torch.Tensor]]:
    """Return the output bytes of every case, computed in one other process."""
    torch.save(list(cases.values()), folder / "cases.pt")
    environment = {**os.environ, "TRITON_INTERPRET": "1" if device == "cpu" else "0"}
    files = [Path(__file__).with_name("run_triton.py"), device, folder / "cases.pt", folder / "results.pt"]
    subprocess.run([sys.executable, "-W", "error", *map(str, files)], env=environment, check=True)
    return dict(zip(cases, torch.load(folder / "results.pt"), strict=True))


@pytest.fixture(scope="module")
def interpreted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[torch.Tensor]]:
    return run(INTERPRETED, "cpu", tmp_path_factory.mktemp("interpreted"))


def check(case: Case, outputs: list[torch.Tensor]) -> None:
    """Compare the bytes of every output with the reference, and the tail with what it was filled with."""
    if case["op"] == "augment":
        images, rows, examples, key = case["tensors"]
        settings = Settings(**case["settings"])
        wanted = [augment_reference.augment(images, rows, examples, key, settings)]
    elif case["op"] == "cooccurrence":
        left, right = (tensor.numpy() for tensor in case["tensors"])
        wanted = [torch.from_numpy(cooccurrence_reference.cooccurrence(left, right, *case["columns"]))]
    else:
        wanted = list(correctness_reference.correctness(*case["tensors"]))
    for want, out in zip(wanted, outputs, strict=True):
        want_bytes = want.reshape(-1).view(torch.uint8)
        assert torch.equal(out[: len(want_bytes)], want_bytes)
        tail = out[len(want_bytes) :]
        assert len(tail) > 0
        assert torch.all(tail == 0xFF)


@pytest.mark.parametrize("name", INTERPRETED)
def test_interpreted_kernels_give_the_bits_of_the_reference(
    name: str, interpreted: dict[str, list[torch.Tensor]]
) -> None:
    check(INTERPRETED[name], interpreted[name])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_kernels_on_a_gpu_give_the_bits_of_the_reference(tmp_path: Path) -> None:
    outputs = run(ON_A_GPU, "cuda", tmp_path)
    for name, case in ON_A_GPU.items():
        check(case, outputs[name])
