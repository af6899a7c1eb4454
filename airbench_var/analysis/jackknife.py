"""The error that a finite number of runs leaves in any statistic: leave out one chunk of runs at a time."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from airbench_var.analysis.estimate import RUNS, Estimate, too_few
from airbench_var.stats import PredictionCounts

Float64 = npt.NDArray[np.float64]

#: Below it the spread over examples is too skewed for a normal interval on the distribution.
LEAST_EXAMPLES = 100


def why_not(total: PredictionCounts, chunks: Sequence[PredictionCounts], needs: int) -> str:
    """Return why a statistic that needs so many runs has no jackknife, or nothing when it has."""
    if needs >= total.R:
        return too_few("run", total.R, needs + 1)
    if total.R - max(chunk.R for chunk in chunks) < needs:
        return "too few runs remain when one chunk of neighbouring run ids is left out"
    return ""


def chunk_standard_error(
    total: PredictionCounts,
    chunks: Sequence[PredictionCounts],
    statistic: Callable[[PredictionCounts], Any],
) -> Float64:
    """Return the standard error of a smooth statistic (a number or an array) over runs.

    Chunks may differ in size. The degrees of freedom are one less than their number. Assumption: runs are
    independent; it fails for statistics that jump, as a plurality vote does.
    Source: Busing, Meijer and van der Leeden, Statistics and Computing 1999 (the delete-m_j jackknife).
    """
    return _standard_error(total, chunks, statistic(total), _left_out(total, chunks, statistic))


def _left_out(
    total: PredictionCounts,
    chunks: Sequence[PredictionCounts],
    statistic: Callable[[PredictionCounts], Any],
) -> Float64:
    """Return the statistic without each chunk, (G, ...)."""
    return np.array([statistic(total.without(chunk)) for chunk in chunks], np.float64)


def _standard_error(
    total: PredictionCounts, chunks: Sequence[PredictionCounts], whole: Any, left_out: Float64
) -> Float64:
    whole = np.asarray(whole, np.float64)
    share_G = np.array([chunk.R / total.R for chunk in chunks]).reshape(-1, *[1] * whole.ndim)
    pseudo = (whole - (1 - share_G) * left_out) / share_G
    centre = len(chunks) * whole - ((1 - share_G) * left_out).sum(axis=0)
    return np.asarray(np.sqrt(np.mean((pseudo - centre) ** 2 * share_G / (1 - share_G), axis=0)))


def estimate_over_chunks(
    name: str,
    statistic: Callable[[PredictionCounts], float],
    total: PredictionCounts,
    chunks: Sequence[PredictionCounts],
    level: float,
    needs: int,
    *,
    logarithmic: bool = False,
) -> Estimate:
    """Return an estimate on this test set of a smooth statistic that needs so many runs, Student's t.

    `logarithmic` puts the interval around the logarithm: for variances, which few runs make skewed.
    """
    value = statistic(total) if needs <= total.R else None
    absent, interval, standard_errors = why_not(total, chunks, needs), None, {}
    left_out = np.zeros(0) if absent else _left_out(total, chunks, statistic)
    if not absent and logarithmic:
        absent = _why_no_logarithm(value, left_out)
    if not absent:
        assert value is not None
        scale = np.log if logarithmic else np.asarray
        error = float(_standard_error(total, chunks, scale(value), scale(left_out)))
        reach = float(stdtrit(len(chunks) - 1, (1 + level) / 2)) * error
        interval = (value - reach, value + reach)
        if logarithmic:
            interval, error = (value * math.exp(-reach), value * math.exp(reach)), value * error
        standard_errors = {"test_set": error}
    return Estimate(
        name=name,
        target="this test set",
        value=value,
        interval=interval,
        level=level,
        absent=absent,
        standard_errors=standard_errors,
        method="Student's t over chunks of runs, each left out once" + ", of the logarithm" * logarithmic,
        assumption=RUNS,
        runs=total.R,
        examples=len(total.labels_N),
    )


def _why_no_logarithm(value: float | None, left_out: Float64) -> str:
    """Return why there is no logarithm of a value, or of those without each chunk, or nothing."""
    if not value:
        return "it is 0, which leaves no scale for an interval"
    if not np.all(left_out > 0):  # or not a number, where there is nothing to divide by
        return "without one chunk of neighbouring run ids it is 0 or has no value: too few runs differ"
    return ""
