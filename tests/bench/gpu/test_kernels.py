"""A kernel that is wrong gets no time, and the others do."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from airbench_var.data.dataset import Dataset
from bench.gpu import kernel_checks
from bench.gpu.kernels import section
from bench.gpu.report import Report
from bench.gpu.session import QUICK, Deadline, Session
from bench.schema import CheckFailedError


def test_a_kernel_that_is_wrong_gets_no_time(
    small_data: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = kernel_checks.correctness_cpu.correctness

    def wrong(logits_NK: Tensor, labels_N: Tensor) -> tuple[Tensor, Tensor]:
        packed, predicted_N = right(logits_NK, labels_N)
        return (packed ^ 1 if len(predicted_N) == 257 else packed), predicted_N

    monkeypatch.setattr(kernel_checks.correctness_cpu, "correctness", wrong)
    session = Session(device=torch.device("cpu"), sizes=QUICK, data=small_data, out=tmp_path)
    report = Report(session.machine)
    with pytest.raises(CheckFailedError, match="no times of these: correctness: 257 x"):
        section(session, report, Deadline(0))
    assert {row.case.split(",")[0] for row in report.rows} == {"augment", "cooccurrence"}
    said = {name: value for name, value in report.figures.items() if name.endswith("of_its_reference")}
    assert list(said.values()) == [True, False, True]
