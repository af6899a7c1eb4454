"""The estimates of a store by NumPy alone, from its plain files: the formulas of the paper, written out.

    python -m tests.end_to_end.by_numpy STORE      compares them with `analyze STORE --json`

Uses nothing of airbench_var to read or to compute.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np


def estimates_by_numpy(store: Path, test_set: str) -> dict[str, float]:
    """Return value and standard errors by name, from correct.npy, labels.npy and the states in runs.npy."""
    committed = np.load(store / "runs.npy", mmap_mode="r")["state"] == 1
    n = len(np.load(store / test_set / "labels.npy"))
    packed_Rb = np.load(store / test_set / "correct.npy", mmap_mode="r")[committed]
    return estimates_of(np.unpackbits(packed_Rb, axis=1, count=n, bitorder="little"))


def estimates_of(right_RN: np.ndarray) -> dict[str, float]:
    """Return the same of a matrix of ones, for right, and zeros."""
    correct_RN = right_RN.astype(np.float64)
    runs, n = correct_RN.shape
    accuracy_R = correct_RN.mean(1)
    test_set_variance = accuracy_R.var(ddof=1)
    example_variance_N = correct_RN.var(0, ddof=1)
    independent = example_variance_N.sum() / n**2
    distribution = n / (n - 1) * (test_set_variance - independent)  # the paper's Eq 3
    between_examples = max(0.0, correct_RN.mean(0).var(ddof=1) - example_variance_N.mean() / runs)
    return {
        "mean_accuracy": accuracy_R.mean(),
        "standard_error_test_set": (test_set_variance / runs) ** 0.5,
        "standard_error_distribution": (test_set_variance / runs + between_examples / n) ** 0.5,
        "distribution_wise_accuracy": accuracy_R.mean(),
        "test_set_variance": test_set_variance,
        "test_set_std": test_set_variance**0.5,
        "independent_errors_variance": independent,
        "independent_errors_std": independent**0.5,
        "binomial_variance": accuracy_R.mean() * (1 - accuracy_R.mean()) / n,
        "binomial_std": (accuracy_R.mean() * (1 - accuracy_R.mean()) / n) ** 0.5,
        "excess_variance": distribution,
        "excess_std": max(0.0, distribution) ** 0.5,
        "distribution_wise_variance": distribution,
        "distribution_wise_std": max(0.0, distribution) ** 0.5,
    }


def printed_estimates(store: Path, test_set: str) -> dict[str, float]:
    """Return the same numbers as `analyze --json` prints them."""
    command = [sys.executable, "-m", "airbench_var", "analyze", str(store), "--json"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    estimates = json.loads(printed)["test_sets"][test_set]["estimates"]
    errors = {k: v for k, v in estimates["mean_accuracy"].items() if k.startswith("standard_error")}
    return {name: estimate["value"] for name, estimate in estimates.items()} | errors


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    for name in sorted(path.parent.name for path in folder.glob("*/correct.npy")):
        ours, theirs = estimates_by_numpy(folder, name), printed_estimates(folder, name)
        print(f"{name:38}{'NumPy alone':>24}{'analyze':>24}  relative difference")
        for key in theirs:
            gap = abs(ours[key] - theirs[key]) / abs(ours[key]) if ours[key] else abs(theirs[key])
            print(f"  {key:36}{ours[key]:24.16g}{theirs[key]:24.16g}  {gap:.1e}")
