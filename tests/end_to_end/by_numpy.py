"""The estimates of a store by NumPy alone, from its plain files: the formulas of the paper, written out.

    python -m tests.end_to_end.by_numpy STORE      compares them with `analyze STORE --json`

Uses nothing of airbench_var to read or to compute.
"""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt


def estimates_by_numpy(store: Path, test_set: str) -> dict[str, float]:
    """Return value and standard errors by name, from the matrices, the labels and the states in runs.npy."""
    committed = np.load(store / "runs.npy", mmap_mode="r")["state"] == 1
    labels_N = np.load(store / test_set / "labels.npy")
    n = len(labels_N)
    packed_Rb = np.load(store / test_set / "correct.npy", mmap_mode="r")[committed]
    right_RN = np.unpackbits(packed_Rb, axis=1, count=n, bitorder="little")
    if not (store / test_set / "predicted.npy").exists():
        return estimates_of(right_RN)
    predicted_RN = np.load(store / test_set / "predicted.npy", mmap_mode="r")[committed]
    return estimates_of(right_RN) | from_classes(predicted_RN, labels_N, classes(store, test_set))


def estimates_of(right_RN: npt.NDArray[np.uint8]) -> dict[str, float]:
    """Return those that need no predicted classes, of a matrix of ones, for right, and zeros."""
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
        **halves(correct_RN, example_variance_N.mean(), distribution),
    }


def classes(store: Path, test_set: str) -> int:
    """Return how many classes the manifest names."""
    test_sets = json.loads((store / "manifest.json").read_text())["identity"]["test_sets"]
    return next(len(entry["classes"]) for entry in test_sets if entry["name"] == test_set)


def halves(correct_RN: npt.NDArray[np.float64], mean_v: float, covariance: float) -> dict[str, float]:
    """Return what even and odd examples say of one another, and the means over all splits."""
    runs, n = correct_RN.shape
    even_R, odd_R = correct_RN[:, ::2].mean(1), correct_RN[:, 1::2].mean(1)
    half_variance = 2 / n * mean_v + (1 - 2 / n) * covariance
    gain = np.nan
    if runs >= 8:
        edge = np.sort(even_R)[-int(np.ceil(runs / 4))]
        places = runs / 4 - (even_R > edge).sum()
        gain = (odd_R[even_R > edge].sum() + places * odd_R[even_R == edge].mean()) / (
            runs / 4
        ) - odd_R.mean()
    quarter = 4 * np.exp(-(0.6744897501960817**2) / 2) / np.sqrt(2 * np.pi)
    return {
        "split_half_correlation": np.corrcoef(even_R, odd_R)[0, 1],
        "split_half_correlation_over_splits": covariance / half_variance,
        "lucky_quarter_gain": gain,
        "lucky_quarter_gain_over_splits": quarter * covariance / half_variance**0.5,
    }


def from_classes(
    predicted_RN: npt.NDArray[np.uint8], labels_N: npt.NDArray[np.uint8], K: int
) -> dict[str, float]:
    """Return what needs the predicted classes, run by run and task by task."""
    (runs, n), is_label_NK = predicted_RN.shape, labels_N[:, None] == np.arange(K)
    votes_NK = (predicted_RN[:, :, None] == np.arange(K)).sum(0)
    error = (predicted_RN != labels_N).mean()
    disagreement = np.mean(
        [(predicted_RN[r] != predicted_RN[s]).mean() for r in range(runs) for s in range(r)]
    )
    first_NK = votes_NK == votes_NK.max(1, keepdims=True)
    gap_B = np.zeros(15)
    for row_N in predicted_RN:
        called_NK = row_N[:, None] == np.arange(K)
        bin_NK = np.minimum(14, 15 * (votes_NK - called_NK) // (runs - 1))
        gap_B += [(is_label_NK.astype(int) - called_NK)[bin_NK == b].sum() for b in range(15)]
    pairs = (votes_NK * (votes_NK - 1)).sum() / (runs * (runs - 1))
    triples = (votes_NK * (votes_NK - 1) * (votes_NK - 2)).sum() / (runs * (runs - 1) * (runs - 2))
    variances, errors = [], []
    for task in range(2 ** (K - 1) - 1):
        side_K = np.array([1, *(task >> np.arange(K - 1) & 1)])
        wrong_R = (side_K[predicted_RN] != side_K[labels_N]).mean(1)
        variances.append(wrong_R.var(ddof=1))
        errors.append(wrong_R.mean())
    return {
        "disagreement": disagreement,
        "disagreement_gap": disagreement - error,
        "ensemble_accuracy": (first_NK & is_label_NK).sum(1) @ (1 / first_NK.sum(1)) / n,
        "calibration_error": np.abs(gap_B).sum() / (n * runs),
        "label_free_variance": (pairs - triples) / n**2,
        "label_free_std": ((pairs - triples) / n**2) ** 0.5,
        "theorem_3_ratio": np.mean(variances) / (np.mean(errors) / (2 * n)),
        "theorem_4_ratio": (predicted_RN == labels_N).mean(1).var(ddof=1) * n * K / error,
    }


def printed_estimates(store: Path, test_set: str) -> dict[str, float]:
    """Return the same numbers as `analyze --json` prints them."""
    command = [sys.executable, "-m", "airbench_var", "analyze", str(store), "--json"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    estimates = json.loads(printed)["test_sets"][test_set]["estimates"]
    errors = {k: v for k, v in estimates["mean_accuracy"].items() if k.startswith("standard_error")}
    values = {name: estimate["value"] for name, estimate in estimates.items()}
    return {name: np.nan if value is None else value for name, value in values.items()} | errors


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    for name in sorted(path.parent.name for path in folder.glob("*/correct.npy")):
        ours, theirs = estimates_by_numpy(folder, name), printed_estimates(folder, name)
        print(f"{name:38}{'NumPy alone':>24}{'analyze':>24}  relative difference")
        for key in theirs:
            gap = abs(ours[key] - theirs[key]) / abs(ours[key]) if ours[key] else abs(theirs[key])
            print(f"  {key:36}{ours[key]:24.16g}{theirs[key]:24.16g}  {gap:.1e}")
