"""What a run's dump says was right, in whatever way, is compared with its predictions and the labels."""

from pathlib import Path

import numpy as np
import pytest
import torch

from airbench_var.errors import DataError
from airbench_var.importing import Import, Imported, import_runs
from tests.importing.inputs import Runs
from tests.importing.writers import save_pickle

pytestmark = pytest.mark.usefixtures("syncs_take_no_time")


def imported(path: Path, labels: str = "labels.npy", out: str = "store") -> Imported:
    folder = path.parent
    return import_runs(Import(predictions=path, labels=folder / labels, out=folder / out))


@pytest.mark.parametrize("suffix", [".pkl", ".pt"])
def test_what_was_right_may_be_said_in_many_ways(suffix: str, runs: Runs, tmp_path: Path) -> None:
    """A number of Python, NumPy or PyTorch; or which, as booleans."""
    logits_NK, right_N = runs.logits_RNK[0], runs.right_RN[0]
    count = int(right_N.sum())
    ways: dict[str, object] = {"int": count, "float": float(count), "bits": right_N}
    if suffix == ".pkl":
        ways |= {"scalar": np.int64(count), "0-d": np.array(count), "1-d": np.array([count], np.float32)}
    else:
        ways |= {"0-d": torch.tensor(count), "1-d": torch.tensor([1.0 * count])}
    np.save(tmp_path / "rolled.npy", np.roll(runs.labels_N, 1))
    for name, correct in ways.items():
        log = {"outputs": logits_NK, "correct": correct}
        if suffix == ".pkl":
            save_pickle(tmp_path / "a.pkl", log)
        else:
            tensors = {k: torch.from_numpy(v) if isinstance(v, np.ndarray) else v for k, v in log.items()}
            torch.save(tensors, tmp_path / "a.pt")
        with pytest.raises(DataError, match=rf"says that {count} examples|by these labels and what was"):
            imported(tmp_path / f"a{suffix}", "rolled.npy", out=name)
        assert imported(tmp_path / f"a{suffix}", out=name).added == 1


@pytest.mark.parametrize("said", [{"corrects": [7, 7]}, {"correct": 0.5}, {"correct": float("nan")}])
def test_what_is_not_of_these_predictions_is_not_compared(
    said: dict[str, object], runs: Runs, tmp_path: Path
) -> None:
    """ffcv-cifar's first version has only `corrects`, of evaluations during training."""
    save_pickle(tmp_path / "a.pkl", {"outputs": runs.logits_RNK[0]} | said)
    assert imported(tmp_path / "a.pkl").added == 1
