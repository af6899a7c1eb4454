"""Whether the fast path trains the same networks as the reference path: by chance, and bit for bit.

Compiling changes roundings, so two runs of one seed part; what must agree is the distribution over seeds.
Capture changes no arithmetic, so there the bits must be equal.
"""

from airbench_var.analysis import comparison, independence, variance
from airbench_var.analysis.estimate import Estimate
from airbench_var.stats import CorrectnessCounts
from bench.gpu.engine import Path, equal_bits
from bench.gpu.report import Report, Value
from bench.gpu.session import Deadline, Session

#: The estimates of a comparison that speak of equality, with the value that they have when nothing differs.
NOTHING = {"difference_on_this_test_set": 0.0, "variance_ratio_a_to_b": 1.0}


def section(session: Session, report: Report, deadline: Deadline) -> None:
    """Train reference networks while there is time, compare both paths, then look at the bits."""
    networks, fast, reference = session.networks, session.networks.fast, session.networks.reference
    while deadline.more(len(reference.results), session.sizes.reference_runs):
        reference.train()
        if len(fast.results) < len(reference.results):  # an earlier section has trained more than these
            fast.train()
    report.figure("runs_fast", len(fast.results))
    report.figure("runs_reference", len(reference.results))
    report.figure("reference_median_ms", float(reference.times.median_ms))
    for test_set in networks.test_sets:
        a, b = (path.counts(test_set, session.data) for path in (fast, reference))
        report.figure(test_set, compared(test_set, a, b, (fast.diverged, reference.diverged)))
    _bits(session, report, fast)


def compared(
    test_set: str,
    fast: CorrectnessCounts,
    reference: CorrectnessCounts,
    diverged: tuple[frozenset[int], frozenset[int]] = (frozenset(), frozenset()),
) -> dict[str, Value]:
    """Return mean, std and independence of both paths, and what the two-sample comparison says."""
    found: dict[str, Value] = {}
    for name, counts in (("fast", fast), ("reference", reference)):
        test = independence.variance_ratio(counts)
        found[f"{name}_mean_accuracy"] = float(variance.mean_accuracy(counts))
        found[f"{name}_std"] = float(variance.test_set_variance(counts)) ** 0.5
        found[f"{name}_distribution_variance"] = float(variance.distribution_wise_variance(counts))
        found[f"{name}_variance_over_independent"] = test.statistic
        found[f"{name}_independence_p_value"] = test.p_value if test.p_value is not None else test.absent
    result = comparison.compare_counts(test_set, fast, reference, diverged=diverged)
    for name, nothing in NOTHING.items():
        found[name] = verdict(result.estimates[name], nothing)
    found["p_value_of_equal_means"] = result.p_values["difference_on_this_test_set"]
    found["warnings"] = "; ".join(result.warnings) or "none"
    return found


def verdict(estimate: Estimate, nothing: float) -> dict[str, Value]:
    """Return an estimate, its interval, and whether that holds the value of no difference, in words."""
    if estimate.interval is None:
        return {"value": estimate.value, "verdict": f"no interval: {estimate.absent}"}
    low, high = estimate.interval
    said = "no difference seen, within" if low <= nothing <= high else "different:"
    interval: dict[str, Value] = {"low": low, "high": high, "level": estimate.level}
    return {"value": estimate.value, **interval, "verdict": f"{said} [{low:.5g}, {high:.5g}]"}


def _bits(session: Session, report: Report, fast: Path) -> None:
    """Train one seed twice, and with and without capture."""
    again = fast.trainer(fast.seeds(0))
    report.check("a_seed_twice_gives_equal_bits", equal_bits(again, fast.results[0]), "one seed, two results")
    pair = session.networks.captured_and_not()
    if pair is None:
        report.needs_cuda("captured_and_uncaptured_give_equal_bits")
        return
    report.check("captured_and_uncaptured_give_equal_bits", equal_bits(*pair), "one seed, two results")
