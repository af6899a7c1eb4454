"""Equal images pass although they are drawn anew, others do not; how often chance alone fails is counted."""

import pytest
import torch

from bench.sampling import FALSE_ALARMS, moments, same_images, same_moments


def test_moments_are_of_each_image_and_channel() -> None:
    images_BCHW = torch.tensor([[[[1.0, 3.0]], [[2.0, 2.0]]], [[[0.0, 0.0]], [[4.0, 0.0]]]])
    assert moments(images_BCHW.bfloat16()).tolist() == [[2, 2, 5, 4], [0, 2, 0, 8]]


def test_chance_alone_fails_less_often_than_promised() -> None:
    generator = torch.Generator().manual_seed(0)
    failed = 0
    for _ in range(2000):
        ours_ND, other_ND = torch.randn(2, 100, 6, generator=generator)
        failed += not same_moments(ours_ND, other_ND)
    assert failed <= 8  # of 2 expected: more by chance once in 4000, by Poisson's law
    assert FALSE_ALARMS == 1000


@pytest.mark.parametrize(
    ("change", "same"),
    [
        (lambda x: x.flip(-1), True),
        (lambda x: x + 0.3, False),
        (lambda x: 1.3 * x, False),
        (lambda x: x.double(), False),
        (lambda x: x[1:], False),
        (lambda x: x.to(memory_format=torch.channels_last), False),
        (lambda x: x * float("nan"), False),
    ],
)
def test_what_is_the_same(change, same: bool) -> None:  # type: ignore[no-untyped-def]
    images_BCHW = torch.randn(500, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    images_BCHW += torch.randn(500, 3, 1, 1, generator=torch.Generator().manual_seed(1))
    assert same_images((images_BCHW,), (change(images_BCHW),)) is same
