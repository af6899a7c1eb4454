"""Compile every Triton kernel for GPUs that are not there, and print what is wrong with the machine code.

`python compile_for.py` prints JSON: {op: {architecture: [problem, ...]}}. A process of its own, because
TRITON_INTERPRET must not be set when Triton is imported. A new op needs one entry in CASES. `ASTSource` has
these arguments since Triton 3.3.
"""

import json
import re
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from airbench_var.kernels.augment import kernel as augment
from airbench_var.kernels.cooccurrence import kernel as cooccurrence
from airbench_var.kernels.correctness import kernel as correctness

ARCHITECTURES = (80, 90, 100)
CUOBJDUMP = Path(triton.__file__).parent / "backends/nvidia/bin/cuobjdump"
STORE_16_BYTES = r"st\.global\S*\.v4\.b32"


@dataclass(frozen=True, kw_only=True)
class Case:
    """One specialisation of a kernel, as the public function would launch it."""

    kernel: Any
    types: dict[str, str]  #: of the arguments that are no constexpr; pointers are aligned to 16 bytes
    constexprs: dict[str, Any]
    options: dict[str, Any]
    ptx_has: dict[str, str] = field(default_factory=dict)  #: what must be there: name, regular expression


def augment_case(
    out: str, rounding: str | None, flip: str, translate: int, padding: str, cutout: int
) -> Case:
    pointers = {"images_ptr": "*u8", "rows_ptr": "*i64", "examples_ptr": "*i64", "key_ptr": "*i64"}
    scalars = {f"{name}_{channel}": "fp32" for name in ("mean", "inv_std") for channel in range(3)}
    return Case(
        kernel=augment._augment_kernel,
        types={"out_ptr": out, **pointers, **scalars},
        constexprs={
            "HEIGHT": 32, "WIDTH": 32, "FLIP": flip, "TRANSLATE": translate, "PADDING": padding,
            "CUTOUT": cutout, "BLOCK": augment.BLOCK,
        },
        options=augment.OPTIONS,
        ptx_has={"16-byte stores": STORE_16_BYTES} | ({"rounding to nearest": rounding} if rounding else {}),
    )  # fmt: skip


def correctness_case(logits: str, labels: str, classes: int) -> Case:
    block_n, block_k = correctness.blocks(classes)
    pointers = {"packed_ptr": "*u8", "predicted_ptr": "*u8", "logits_ptr": logits, "labels_ptr": labels}
    return Case(
        kernel=correctness._correctness_kernel,
        types={**pointers, "n": "i32"},
        constexprs={"CLASSES": classes, "BLOCK_N": block_n, "BLOCK_K": block_k},
        options=correctness.OPTIONS,
    )


def cooccurrence_case() -> Case:
    pointers = {"counts_ptr": "*i32", "left_ptr": "*u8", "right_ptr": "*u8"}
    return Case(
        kernel=cooccurrence._cooccurrence_kernel,
        types={**pointers, "runs": "i32", "n_left": "i32", "n_right": "i32"},
        constexprs={"BLOCK_N": cooccurrence.BLOCK_N, "BLOCK_R": cooccurrence.BLOCK_R},
        options=cooccurrence.OPTIONS,
        ptx_has={"product of int8 matrices": r"mma\S*(s8\.s8|kind::i8)"},
    )


CASES = {
    "augment": [
        augment_case("*fp16", r"cvt\.rn\.f16(x2)?\.f32", "alternating", 2, "reflect", 0),
        augment_case("*bf16", r"cvt\.rn\.bf16(x2)?\.f32", "random", 4, "zero", 12),
        augment_case("*fp32", None, "none", 0, "reflect", 0),
    ],
    "cooccurrence": [cooccurrence_case()],
    "correctness": [
        correctness_case("*fp16", "*i64", 10),
        correctness_case("*bf16", "*u8", 100),
        correctness_case("*fp32", "*i64", 256),
    ],
}


def machine_code(case: Case, architecture: int) -> tuple[str, str]:
    """Return a case's PTX and the resource usage that the assembler reports."""
    names = case.kernel.arg_names
    aligned = [["tt.divisibility", 16]]
    compiled = triton.compile(
        ASTSource(
            case.kernel,
            {name: case.types.get(name, "constexpr") for name in names},
            constexprs=case.constexprs,
            attrs={(i,): aligned for i, name in enumerate(names) if case.types.get(name, "").startswith("*")},
        ),
        target=GPUTarget("cuda", architecture, 32),
        options=case.options,
    )
    with tempfile.NamedTemporaryFile(suffix=".cubin") as cubin:
        cubin.write(compiled.asm["cubin"])
        cubin.flush()
        command = [str(CUOBJDUMP), "--dump-resource-usage", cubin.name]
        usage = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return compiled.asm["ptx"], usage


def problems(case: Case, architecture: int) -> list[str]:
    """Return what is wrong with a case: spills, double precision, or an instruction that is missing."""
    ptx, usage = machine_code(case, architecture)
    found = []
    for memory in ("STACK", "LOCAL"):
        n_bytes = [int(n) for n in re.findall(rf"\b{memory}:(\d+)", usage)]
        if n_bytes != [0]:
            found.append(f"{memory} should be 0 bytes and is {n_bytes}: registers spill")
    if re.search(r"\.f64\b", ptx):  # the instruction's type; %f64 is a register
        found.append("double precision in the PTX")
    found += [f"no {name} in the PTX" for name, has in case.ptx_has.items() if not re.search(has, ptx)]
    return [f"{problem} (kernel {case.kernel.__name__}, {case.constexprs})" for problem in found]


if __name__ == "__main__":
    report = {
        op: {sm: [problem for case in cases for problem in problems(case, sm)] for sm in ARCHITECTURES}
        for op, cases in CASES.items()
    }
    print(json.dumps(report))
