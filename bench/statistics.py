"""The analysis: state, estimates and laws against plain NumPy and SciPy, and `analyze` from the shell.

A plain script unpacks all bits at once; what is compared must agree before it is timed.
"""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import torch
from scipy import stats

from airbench_var.analysis import compare_counts, intervals, summarize, theorems, variance
from airbench_var.analysis.calibration import calibration, calibration_gaps
from airbench_var.analysis.pairs import pairs_of
from airbench_var.analysis.poisson_binomial import poisson_binomial
from airbench_var.stats import CorrectnessCounts, PredictionCounts
from bench.keeping import CLASSES
from bench.schema import OURS, Case, Result, copying
from bench.simulated import SimulatedRuns, count_blocks, fill


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How large the cases are: 10,000 runs on CIFAR-10's test set; some plain scripts need fewer to end."""

    examples: int = 10_000
    runs: int = 10_000
    many_runs: int = 60_000  #: the paper's
    runs_of_tasks: int = 100  #: for the 511 binary tasks, of which the plain script makes one after the other
    resamples: int = 20  #: of a bootstrap, which would need a hundred times as many


FULL = Sizes()
SMALL = Sizes(examples=203, runs=40, many_runs=100, runs_of_tasks=5, resamples=2)


def cases(_: torch.device, sizes: Sizes = FULL) -> Iterator[Case]:
    """Yield the cases; no device has a part in them."""
    runs = SimulatedRuns.draw(sizes.runs, sizes.examples)
    yield state_case("state", runs, "state from packed bits")
    yield votes_case(runs)
    yield estimates_case(runs, sizes.resamples)
    yield law_case(runs)
    yield beats_case(runs, SimulatedRuns.draw(sizes.runs, sizes.examples, seed=1).counts)
    yield calibration_case(runs)
    yield pairs_case(runs)
    yield tasks_case(SimulatedRuns.draw(sizes.runs_of_tasks, sizes.examples))
    with TemporaryDirectory(prefix="bench-") as folder:
        yield shell_case(runs, Path(folder) / "store")
    times = -(-sizes.many_runs // sizes.runs)
    packed_RB = np.tile(runs.packed_RB, (times, 1))[: sizes.many_runs]
    many = SimulatedRuns(runs.labels_N, packed_RB, runs.predicted_RN[:0])
    yield state_case("state_many", many, f"state of {sizes.many_runs:,} runs")


def state_case(key: str, runs: SimulatedRuns, name: str) -> Case:
    """Return counting correct answers by run and by example, and their products."""
    n = len(runs.labels_N)

    def plain() -> Result:
        bits_RN = np.unpackbits(runs.packed_RB, axis=1, count=n, bitorder="little")
        k_R = bits_RN.sum(axis=1, dtype=np.int64)
        c_N = bits_RN.sum(axis=0, dtype=np.int64)
        h_N = np.zeros(n, np.int64)
        h2_N = np.zeros(n, np.int64)
        for row_N, k in zip(bits_RN, k_R, strict=True):
            h_N += row_N * k
            h2_N += row_N * (k * k)
        return tensors(k_R, c_N, h_N, h2_N)

    def ours() -> Result:
        counts = count_blocks(runs.packed_RB, n)
        return tensors(counts.k_R, counts.c_N, counts.h_N, counts.h2_N)

    return Case(
        name=f"{name} ({len(runs.packed_RB):,} x {n:,})",
        key=key,
        variants={OURS: ours, "NumPy": plain},
        bytes_moved=runs.packed_RB.nbytes,
        ceiling=copying(runs.packed_RB.nbytes, torch.device("cpu")),
        items=len(runs.packed_RB),
        item="runs",
    )


def votes_case(runs: SimulatedRuns) -> Case:
    """Return counting bits, votes and confusions, in chunks."""
    n, K = len(runs.labels_N), len(CLASSES)

    def plain() -> Result:
        votes_NK = np.stack([(runs.predicted_RN == c).sum(axis=0) for c in range(K)], axis=1)
        code_RN = runs.labels_N.astype(np.int64) * K + runs.predicted_RN
        confusion_RKK = np.array([np.bincount(row, minlength=K * K).reshape(K, K) for row in code_RN])
        first_P, second_P = np.triu_indices(K)
        pairs_RP = confusion_RKK[:, first_P, second_P] + confusion_RKK[:, second_P, first_P]
        pairs_RP[:, first_P == second_P] //= 2
        return tensors(votes_NK.astype(np.int32), pairs_RP.sum(axis=0), pairs_RP.T @ pairs_RP)

    def ours() -> Result:
        predicted = runs.fresh_state().predicted
        assert predicted is not None
        return tensors(predicted.votes_NK, predicted.pairs_P, predicted.pairs_PP)

    return Case(
        name=f"state with votes ({len(runs.packed_RB):,} x {n:,})",
        key="votes",
        variants={OURS: ours, "NumPy": plain},
        bytes_moved=runs.predicted_RN.nbytes,
        ceiling=copying(runs.predicted_RN.nbytes, torch.device("cpu")),
        items=len(runs.packed_RB),
        item="runs",
    )


def estimates_case(runs: SimulatedRuns, resamples: int) -> Case:
    """Return Eq 3 with its intervals from the state; others resample the runs, and get one of the two."""
    counts, n = runs.counts, len(runs.labels_N)

    def eq3(bits_RN: npt.NDArray[np.uint8]) -> float:
        k_R, c_N, R = bits_RN.sum(axis=1, dtype=np.int64), bits_RN.sum(axis=0, dtype=np.int64), len(bits_RN)
        v = c_N @ (R - c_N) / (R * (R - 1))
        return float(n / (n - 1) * (k_R.var(ddof=1) - v) / n**2)

    def bootstrap() -> Result:
        bits_RN = np.unpackbits(runs.packed_RB, axis=1, count=n, bitorder="little")
        rng = np.random.default_rng(0)
        for _ in range(resamples):
            eq3(bits_RN[rng.integers(0, len(bits_RN), len(bits_RN))])
        return (torch.tensor(eq3(bits_RN), dtype=torch.float64),)

    def ours() -> Result:
        intervals.excess_variance_interval(counts, 0.95)
        intervals.distribution_wise_variance_interval(counts, 0.95)
        return (torch.tensor(float(variance.distribution_wise_variance(counts)), dtype=torch.float64),)

    def everything() -> Result:
        summary = summarize("", runs.state)
        return (torch.tensor(summary.estimates["excess_variance"].value, dtype=torch.float64),)

    return Case(
        name=f"Eq 3 with both intervals ({counts.R:,} x {n:,})",
        key="estimates",
        variants={
            OURS: ours,
            "all estimates and tests": everything,
            f"NumPy, {resamples} resamples of the runs": bootstrap,
        },
        bytes_moved=3 * counts.c_N.nbytes,
        ceiling=copying(3 * counts.c_N.nbytes, torch.device("cpu")),
        tolerances=(1e-6,),
    )


def law_case(runs: SimulatedRuns) -> Case:
    """Return the law of the accuracy under independent errors."""
    counts = runs.counts
    law = poisson_binomial(counts.c_N, counts.R)
    places = np.arange(law.first, law.first + len(law.pmf_K))

    def convolution() -> Result:
        pmf = np.ones(1)
        for p in counts.c_N / counts.R:
            pmf = np.convolve(pmf, [1 - p, p])
        return tensors(pmf[places])

    return Case(
        name=f"Poisson-binomial law ({counts.n:,} examples)",
        key="poisson_binomial",
        variants={
            OURS: lambda: tensors(poisson_binomial(counts.c_N, counts.R).pmf_K),
            "scipy.stats.poisson_binom": lambda: tensors(
                np.asarray(stats.poisson_binom.pmf(places, counts.c_N / counts.R))
            ),
            "NumPy, convolution": convolution,
        },
        bytes_moved=counts.c_N.nbytes,
        ceiling=copying(counts.c_N.nbytes, torch.device("cpu")),
        tolerances=(1e-11,),
    )


def beats_case(runs: SimulatedRuns, others: CorrectnessCounts) -> Case:
    """Return a comparison of two recipes; of it the chance that a run of one beats one of the other."""
    counts = runs.counts
    pairs = counts.R * others.R

    def every_pair() -> Result:
        above = sum(int((k > others.k_R).sum()) * 2 + int((k == others.k_R).sum()) for k in counts.k_R)
        return (torch.tensor(above / (2 * pairs), dtype=torch.float64),)

    def ours() -> Result:
        found = compare_counts("", counts, others).estimates["probability_a_beats_b"].value
        return (torch.tensor(found, dtype=torch.float64),)

    def scipys() -> Result:
        statistic = stats.mannwhitneyu(counts.k_R, others.k_R, method="asymptotic").statistic
        return (torch.tensor(statistic / pairs, dtype=torch.float64),)

    return Case(
        name=f"A against B ({counts.R:,} runs each)",
        key="compare",
        variants={OURS: ours, "scipy.stats.mannwhitneyu alone": scipys, "NumPy, every pair": every_pair},
        bytes_moved=2 * counts.k_R.nbytes,
        ceiling=copying(2 * counts.k_R.nbytes, torch.device("cpu")),
        tolerances=(1e-12,),
    )


def calibration_case(runs: SimulatedRuns) -> Case:
    """Return the test of calibration, in which runs play the part of the labels."""
    state = runs.state
    counts = state.predicted
    assert counts is not None

    def every_vote() -> Result:
        true = float(np.abs(calibration_gaps(counts)).sum())
        beyond = 0
        examples = np.arange(len(runs.labels_N))
        for row_N in state.witness_WN:
            votes_NK = counts.votes_NK.copy()
            np.add.at(votes_NK, (examples, runs.labels_N), 1)
            np.add.at(votes_NK, (examples, row_N), -1)
            played = PredictionCounts(
                K=counts.K,
                labels_N=row_N,
                votes_NK=votes_NK,
                pairs_P=counts.pairs_P,
                pairs_PP=counts.pairs_PP,
            )
            beyond += float(np.abs(calibration_gaps(played)).sum()) >= true - 1e-12
        return (torch.tensor((1 + beyond) / (1 + len(state.witness_WN)), dtype=torch.float64),)

    def ours() -> Result:
        return (torch.tensor(calibration(counts, state.witness_WN).p_value, dtype=torch.float64),)

    return Case(
        name=f"calibration test ({len(state.witness_WN)} runs play the labels)",
        key="calibration",
        variants={OURS: ours, "NumPy, all votes anew": every_vote},
        bytes_moved=counts.votes_NK.nbytes,
        ceiling=copying(counts.votes_NK.nbytes, torch.device("cpu")),
        tolerances=(1e-12,),
    )


def pairs_case(runs: SimulatedRuns) -> Case:
    """Return all pairs of examples: how many break the paper's rule, and the mean squared covariance.

    Ours also has exact p-values, both false discovery rates, and what chance would give; a plain script has
    one product of all columns that vary, in memory.
    """
    n, R = len(runs.labels_N), len(runs.packed_RB)

    def plain() -> Result:
        bits_RN = np.unpackbits(runs.packed_RB, axis=1, count=n, bitorder="little")
        c_N = bits_RN.sum(axis=0, dtype=np.int64)
        varies_N = (c_N > 0) & (c_N < R)
        bits_RT = bits_RN[:, varies_N].astype(np.float32)
        c_T = c_N[varies_N].astype(np.float64)
        deviation_TT = R * (bits_RT.T @ bits_RT).astype(np.float64) - np.outer(c_T, c_T)
        upper = deviation_TT[np.triu_indices(len(c_T), 1)]
        squared = 2 * float((upper**2).sum()) / (R * (R - 1)) ** 2 / (n * (n - 1))
        return results(int((50 * np.abs(upper) >= R**2).sum()), squared)

    def ours() -> Result:
        found = pairs_of("", runs.packed_RB, np.full(n, "class")).findings
        assert found is not None
        return results(found.joint_frequency.pairs, found.squared_covariance.mean)

    def results(pairs: int, squared: float) -> Result:
        return torch.tensor(pairs), torch.tensor(squared, dtype=torch.float64)

    return Case(
        name=f"all pairs of examples ({R:,} x {n:,})",
        key="pairs",
        variants={OURS: ours, "NumPy, one product": plain},
        bytes_moved=runs.packed_RB.nbytes,
        ceiling=copying(runs.packed_RB.nbytes, torch.device("cpu")),
        tolerances=(0.0, 1e-9),
    )


def tasks_case(runs: SimulatedRuns) -> Case:
    """Return the variances of all binary tasks that two groups of classes make."""
    state, K = runs.state, len(CLASSES)

    def one_by_one() -> Result:
        variances = []
        for task in range(2 ** (K - 1) - 1):
            side_K = np.array([1, *(task >> np.arange(K - 1) & 1)], np.uint8)
            accuracy_R = (side_K[runs.predicted_RN] == side_K[runs.labels_N]).mean(axis=1)
            variances.append(accuracy_R.var(ddof=1))
        return tensors(np.array(variances))

    def ours() -> Result:
        assert state.predicted is not None
        found = theorems.collapses(state.predicted)
        assert found is not None
        return tensors(found.variance_T)

    return Case(
        name=f"{2 ** (K - 1) - 1} binary tasks ({len(runs.packed_RB):,} runs)",
        key="binary_tasks",
        variants={OURS: ours, "NumPy, one by one": one_by_one},
        bytes_moved=runs.predicted_RN.nbytes,
        ceiling=copying(runs.predicted_RN.nbytes, torch.device("cpu")),
        tolerances=(1e-9,),
    )


def shell_case(runs: SimulatedRuns, store: Path) -> Case:
    """Return `analyze STORE` from the shell: the first time, and with the statistics that it kept.

    The plain script reads the same files with NumPy and prints mean, variance and Eq 3, without an interval.
    """
    fill(store, runs)
    kept = store / "statistics.cache"
    script = (
        "import numpy as np, sys; s = sys.argv[1];"
        "ok = np.load(s + '/runs.npy', mmap_mode='r')['state'] == 1;"
        "n = len(np.load(s + '/test/labels.npy')); p = np.load(s + '/test/correct.npy', mmap_mode='r')[ok];"
        "c = np.unpackbits(p, axis=1, count=n, bitorder='little').astype(np.float32); a = c.mean(1);"
        "print(a.mean(), a.var(ddof=1), n / (n - 1) * (a.var(ddof=1) - c.var(0, ddof=1).sum() / n**2))"
    )

    def run(*command: str) -> Result:
        subprocess.run([sys.executable, *command, str(store)], check=True, capture_output=True)
        return (torch.zeros(1),)

    def analyze() -> Result:
        return run("-m", "airbench_var", "analyze")

    return Case(
        name=f"analyze from the shell ({len(runs.packed_RB):,} x {len(runs.labels_N):,})",
        key="analyze",
        variants={
            OURS: analyze,
            "again, statistics kept": analyze,
            "NumPy, three numbers": lambda: run("-c", script),
        },
        bytes_moved=runs.packed_RB.nbytes + runs.predicted_RN.nbytes,
        ceiling=copying(runs.packed_RB.nbytes + runs.predicted_RN.nbytes, torch.device("cpu")),
        prepare={OURS: lambda: kept.unlink(missing_ok=True)},
    )


def tensors(*arrays: npt.NDArray[np.generic]) -> Result:
    """Return arrays as the parts of a result."""
    return tuple(torch.from_numpy(np.ascontiguousarray(array)) for array in arrays)
