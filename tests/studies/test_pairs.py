"""The pictures of pairs, which few runs at scale quick never find."""

import numpy as np

from airbench_var.analysis.joint_frequency import by_rule, runs_needed
from airbench_var.analysis.pairs import pairs_of
from airbench_var.studies import pairs
from airbench_var.studies.arms import Workplace
from tests.studies.conftest import QUICK


def test_pairs_that_go_together_are_drawn_with_their_images(workplace: Workplace) -> None:
    from matplotlib.figure import Figure as Canvas

    generator = np.random.default_rng(0)
    correct_RN = generator.random((400, 64)) < 0.6
    correct_RN[:, 7] = correct_RN[:, 3]
    packed_RB = np.packbits(correct_RN, axis=1, bitorder="little")
    found = pairs_of("t", packed_RB, np.array([f"class {n % 10}" for n in range(64)])).findings
    assert found is not None
    assert found.deviating[0].examples == (3, 7)
    gallery, deviations = Canvas(), Canvas()
    pairs._gallery(found.deviating[:1], workplace.data, gallery)
    [axis] = gallery.axes
    image_HWC = axis.images[0].get_array()
    assert image_HWC.shape == (32, 66, 3)
    assert (image_HWC[:, :32] == workplace.data.test.images_NHWC[3]).all()
    assert (image_HWC[:, 34:] == workplace.data.test.images_NHWC[7]).all()
    assert axis.get_title().startswith("class 3, class 7\n+2")
    pairs._deviations(found, deviations)
    assert len(deviations.axes[0].collections[0].get_offsets()) == len(found.deviating)
    assert QUICK.runs["durations"] < 29  # as few runs as the first line says


def test_more_runs_leave_fewer_pairs_to_chance() -> None:
    c_N = np.random.default_rng(0).integers(20, 81, 500)
    few = by_rule(c_N, 100, 0).by_chance
    needed = runs_needed(c_N, 100, few / 1000)
    assert needed is not None
    assert needed > 100
    times = needed // 100
    assert by_rule(c_N * times, needed, 0).by_chance <= few / 1000
    assert by_rule(c_N * times // 2, needed // 2, 0).by_chance > few / 1000
    assert runs_needed(c_N, 100, few) == 100
    assert runs_needed(c_N, 100, -1.0) is None
