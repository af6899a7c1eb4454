"""Seconds of a network, and networks per hour with several at a time on the device."""

from bench.gpu.engine import equal_bits, mean_accuracies
from bench.gpu.report import Report
from bench.gpu.session import Deadline, Session


def per_run(session: Session, report: Report, deadline: Deadline) -> None:
    """Time runs of the fast path one after the other; making ready, compiling and capture apart."""
    networks, path = session.networks, session.networks.fast
    report.figure("make_ready_s", path.made_s)
    report.figure("first_run_s", path.first_s)
    while deadline.more(len(path.results), session.sizes.runs):
        path.train()
    operations = networks.operations
    best_ms = session.ceilings.multiplying_ms(operations, networks.product_type)
    row = report.add(
        f"a run of {networks.recipe.name}", "ours", path.times, ceiling="gemm", best_ms=best_ms,
        items=1, item="networks", per="hour",
    )  # fmt: skip
    if session.device.type == "cuda":
        report.figure("compile_and_capture_s", path.prepare_s)
    else:
        report.needs_cuda("compile_and_capture_s")
    report.figure("operations_of_a_network", operations)
    report.figure("networks_per_hour", 3.6e6 / row.p50)
    report.figure("diverged", len(path.diverged))
    for test_set, accuracy in mean_accuracies(path.results, session.data, networks.test_sets).items():
        report.figure(f"mean_accuracy_{test_set}", accuracy)


def at_a_time(session: Session, report: Report, deadline: Deadline) -> None:
    """Train with 1, 2, 4 networks at a time on the device; each number of them has its part of the time."""
    networks, counts = session.networks, session.sizes.at_a_time
    one_s = networks.fast.times.median_ms / 1e3 if networks.fast.run_s else networks.fast.first_s
    best_ms = session.ceilings.multiplying_ms(networks.operations, networks.product_type)
    per_hour = session.per_hour
    for place, count in enumerate(counts):
        group = networks.group(count)
        left_s = deadline.left_s / (len(counts) - place)
        least, most = session.sizes.rounds
        rounds = min(max(least, int(left_s / (one_s * count))), most)
        wall_s, times = group.train(rounds)
        report.add(
            f"a run of {networks.recipe.name}", f"{count} at a time", times, ceiling="gemm",
            best_ms=best_ms * count, items=count, item="networks", per="hour",
        )  # fmt: skip
        per_hour[count] = count * rounds / wall_s * 3600
        report.figure("networks_per_hour_by_number_at_a_time", {str(n): rate for n, rate in per_hour.items()})
        report.figure(f"make_ready_s_{count}", group.made_s)
    best = max(per_hour, key=lambda count: per_hour[count])
    report.figure("best_number_at_a_time", best)
    report.figure("best_over_one_at_a_time", per_hour[best] / per_hour[counts[0]])
    spec, beside = next(reversed(group.results.items()))
    same = equal_bits(beside, networks.fast.trainer(spec.seeds))
    report.check("a_network_beside_others_has_the_bits_it_has_alone", same, "one seed, two results")
