"""Runs that no network made are all different, and such as a store takes."""

import numpy as np

from bench.scale.runs import DRAWN, DistinctRuns


def test_no_two_runs_are_alike_and_their_bits_follow_from_their_classes() -> None:
    runs = DistinctRuns(43)
    ids = [0, 1, DRAWN, 2 * DRAWN, 2**20, 2**20 + DRAWN]
    rows = [runs.result(run_id).predictions["fake"] for run_id in ids]
    assert len({row.correct.tobytes() for row in rows}) == len(ids)
    for row in rows:
        right_N = row.predicted == runs.data.test.labels_N
        np.testing.assert_array_equal(row.correct, np.packbits(right_N, bitorder="little"))
    again = DistinctRuns(43).result(DRAWN).predictions["fake"]
    np.testing.assert_array_equal(again.predicted, rows[2].predicted)
