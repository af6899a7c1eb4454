"""What the analysis is measured against computes the same."""

import torch

from bench.schema import measure
from bench.statistics import SMALL, cases


def test_all_that_is_compared_agrees() -> None:
    cpu = torch.device("cpu")
    names = [measure(case, cpu, repeats=1, warm_up=0)[0].case for case in cases(cpu, SMALL)]
    assert names[0] == "state from packed bits (40 x 203)"
    assert len(names) == 10
