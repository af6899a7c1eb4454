"""Every Triton kernel compiles for Ampere, Hopper and Blackwell without a GPU, and without spilling."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import airbench_var.kernels

pytest.importorskip("triton")

OPS = sorted(path.parent.name for path in Path(airbench_var.kernels.__file__).parent.glob("*/kernel.py"))

Report = dict[str, dict[str, list[str]]]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """What compile_for.py finds, with an empty compile cache."""
    environment = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"}
    environment["TRITON_CACHE_DIR"] = str(tmp_path_factory.mktemp("triton"))
    command = [sys.executable, "-W", "error", str(Path(__file__).with_name("compile_for.py"))]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    found: Report = json.loads(done.stdout)
    return found


def test_every_kernel_is_found() -> None:
    assert {"augment", "cooccurrence", "correctness"} <= set(OPS)


@pytest.mark.parametrize("architecture", ["80", "90", "100"])
@pytest.mark.parametrize("op", OPS)
def test_machine_code(op: str, architecture: str, report: Report) -> None:
    assert op in report, f"kernels/{op}/kernel.py has no case in tests/kernels/compile_for.py; add one"
    assert report[op][architecture] == []
