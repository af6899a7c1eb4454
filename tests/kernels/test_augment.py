"""Augmentation: hand-made images, the draws, and the fast CPU path against the reference, bit for bit."""

import subprocess
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from airbench_var.kernels.augment import augment, cpu, native, reference
from airbench_var.kernels.augment.reference import Draws, Settings, draw
from airbench_var.kernels.native import compiler
from airbench_var.philox import philox4x32

PLAIN: dict[str, Any] = {"mean": (0, 0, 0), "std": (1, 1, 1), "dtype": torch.float32}
CIFAR: dict[str, Any] = {"mean": (125.307, 122.95, 113.865), "std": (62.993, 62.089, 66.705)}

# One image of 3 x 4 pixels whose value says where the pixel is: 10 * row + column, in all channels.
IMAGE = torch.tensor([[0, 1, 2, 3], [10, 11, 12, 13], [20, 21, 22, 23]], dtype=torch.uint8)

BY_HAND: list[tuple[str, dict[str, Any], dict[str, int], list[list[int]]]] = [
    ("nothing", {}, {}, [[0, 1, 2, 3], [10, 11, 12, 13], [20, 21, 22, 23]]),
    ("flip", {}, {"flip": 1}, [[3, 2, 1, 0], [13, 12, 11, 10], [23, 22, 21, 20]]),
    ("up", {"translate": 1}, {"dy": 1}, [[10, 11, 12, 13], [20, 21, 22, 23], [10, 11, 12, 13]]),
    ("down", {"translate": 2}, {"dy": -2}, [[20, 21, 22, 23], [10, 11, 12, 13], [0, 1, 2, 3]]),
    ("left", {"translate": 1}, {"dx": 1}, [[1, 2, 3, 2], [11, 12, 13, 12], [21, 22, 23, 22]]),
    ("right", {"translate": 2}, {"dx": -2}, [[2, 1, 0, 1], [12, 11, 10, 11], [22, 21, 20, 21]]),
    (
        "flip, then left",
        {"translate": 1},
        {"flip": 1, "dx": 1},
        [[2, 1, 0, 1], [12, 11, 10, 11], [22, 21, 20, 21]],
    ),
    (
        "zeros shift in",
        {"translate": 1, "padding": "zero"},
        {"dy": -1, "dx": 1},
        [[0, 0, 0, 0], [1, 2, 3, 0], [11, 12, 13, 0]],
    ),
    (
        "flip, then zeros shift in",
        {"translate": 2, "padding": "zero"},
        {"flip": 1, "dx": -2},
        [[0, 0, 3, 2], [0, 0, 13, 12], [0, 0, 23, 22]],
    ),
    ("cutout", {"cutout": 2}, {"top": 1, "left": 2}, [[0, 1, 2, 3], [10, 11, 0, 0], [20, 21, 0, 0]]),
    (
        "left, then cutout where it is",
        {"translate": 1, "cutout": 1},
        {"dx": 1, "top": 1, "left": 0},
        [[1, 2, 3, 2], [0, 12, 13, 12], [21, 22, 23, 22]],
    ),
]


in_c = pytest.param("native", marks=pytest.mark.skipif(not compiler()[0], reason=compiler()[1]))
BACKENDS = ["reference", "torch", in_c]


def set_draws(monkeypatch: pytest.MonkeyPatch, draws: Draws) -> None:
    """Let chance decide this in every backend."""
    for path in (reference, cpu):
        monkeypatch.setattr(path, "draw", lambda *_: draws)
    monkeypatch.setattr(native, "draw", lambda *_: torch.from_numpy(np.stack(draws).astype(np.int64)))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("name", "settings", "drawn", "expected"), BY_HAND, ids=[case[0] for case in BY_HAND]
)
def test_pixels_move_as_by_hand(
    name: str,
    settings: dict[str, Any],
    drawn: dict[str, int],
    expected: list[list[int]],
    backend: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one = Draws(*(np.array([drawn.get(part, 0)]) for part in ("flip", "dy", "dx", "top", "left")))
    set_draws(monkeypatch, one._replace(flip_B=one.flip_B == 1))
    images = IMAGE[None, :, :, None].repeat(1, 1, 1, 3)
    zero, key = torch.zeros(1, dtype=torch.int64), torch.zeros(2, dtype=torch.int64)
    out_BCHW = augment(images, zero, zero, key, **settings, **PLAIN, backend=backend)
    for channel in range(3):
        assert out_BCHW[0, channel].tolist() == expected


@pytest.mark.parametrize("backend", BACKENDS)
def test_normalisation_padding_and_cutout_by_hand(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    set_draws(monkeypatch, Draws(*(np.array([v]) for v in (False, 0, -1, 1, 1))))
    images = torch.tensor([[[[12, 28, 0], [14, 20, 255]], [[10, 20, 30], [0, 0, 0]]]], dtype=torch.uint8)
    zero, key = torch.zeros(1, dtype=torch.int64), torch.zeros(2, dtype=torch.int64)
    out_BCHW = augment(
        images, zero, zero, key, translate=1, padding="zero", cutout=1, backend=backend,
        mean=(10, 20, 30), std=(2, 4, 8), dtype=torch.float16,
    )  # fmt: skip
    # Column 0 is padding: pixel value 0, not the mean. The lower right pixel is cut out: the mean, so 0.
    assert out_BCHW.tolist() == [
        [[[-5.0, 1.0], [-5.0, 0.0]], [[-5.0, 2.0], [-5.0, 0.0]], [[-3.75, -3.75], [-3.75, 0.0]]]
    ]


def some_batch(n: int, batch: int, height: int, width: int, seed: int) -> tuple[torch.Tensor, ...]:
    """Random images, which rows to take, and ids unrelated to the rows, some above 2**31."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (n, height, width, 3), dtype=torch.uint8, generator=generator)
    rows = torch.randint(0, n, (batch,), generator=generator)
    return images, rows, torch.randint(0, 2**32, (batch,), generator=generator)


def bits(out_BCHW: torch.Tensor) -> torch.Tensor:
    """The bytes of a result in memory order, so that a comparison also sees signs of zeros."""
    return out_BCHW.permute(0, 2, 3, 1).view(torch.uint8)


# Batch, height, width, translate, cutout: single images, no square, the smallest image for 4 pixels, both
# sides of the 128 images of a block, cutouts of the whole image, and what CIFAR-10 recipes use.
GEOMETRIES = [
    (1, 1, 1, 0, 1),
    (1, 5, 9, 0, 0),
    (2, 7, 5, 4, 0),
    (3, 5, 6, 4, 5),
    (127, 6, 5, 1, 2),
    (128, 5, 5, 2, 0),
    (129, 5, 7, 3, 4),
    (257, 5, 5, 0, 3),
    (5, 32, 32, 2, 12),
]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32], ids=str)
@pytest.mark.parametrize("padding", ["reflect", "zero"])
@pytest.mark.parametrize("flip", ["none", "random", "alternating"])
@pytest.mark.parametrize("backend", BACKENDS[1:])
def test_the_fast_paths_give_the_bits_of_the_reference(
    backend: str, flip: str, padding: str, dtype: torch.dtype
) -> None:
    for number, (batch, height, width, translate, cutout) in enumerate(GEOMETRIES):
        images, rows, examples = some_batch(11, batch, height, width, number)
        for key in ((0, 0), (-1, 1), (-(2**63), 2), (123456789123456789, 2**31 - 1)):
            settings: dict[str, Any] = {"flip": flip, "padding": padding, "dtype": dtype, **CIFAR}
            settings |= {"translate": translate, "cutout": cutout}
            want = augment(images, rows, examples, torch.tensor(key), **settings, backend="reference")
            have = augment(images, rows, examples, torch.tensor(key), **settings, backend=backend)
            assert torch.equal(bits(have), bits(want)), (batch, height, width, translate, cutout, key)


@pytest.mark.parametrize("backend", BACKENDS[1:])
def test_half_precision_is_rounded_where_it_is_scarce(backend: str) -> None:
    """Numbers below 2^-14 have fewer bits, those above 65,504 none: ties, zeros of either sign, infinity."""
    images = torch.arange(256, dtype=torch.uint8)[None, None, :, None].repeat(1, 1, 1, 3)
    zero, key = torch.zeros(1, dtype=torch.int64), torch.zeros(2, dtype=torch.int64)
    for scale in (2.0**-30, 2.0**-26, 3 * 2.0**-25, 1.7e-7, 255.99, 300.0):
        settings = {"mean": (0.0, 100.25, 200.0), "std": (1 / scale,) * 3, "dtype": torch.float16}
        one, truth = (augment(images, zero, zero, key, **settings, backend=b) for b in (backend, "reference"))
        assert torch.equal(bits(one), bits(truth))


@pytest.mark.skipif(not compiler()[0], reason=compiler()[1])
def test_the_c_text_needs_no_type_that_compilers_in_use_lack() -> None:
    """gcc has _Float16 on x86 since version 12; Ubuntu 22.04 and RHEL 9 come with 11."""
    strict = ("-std=gnu11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-D_Float16=unknown")
    command = [*compiler()[0], *strict, str(native.SOURCE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_result_is_channels_last_and_nothing_else_changes(backend: str) -> None:
    images, rows, examples = some_batch(9, 6, 8, 7, 0)
    key = torch.tensor([3, 4])
    before = [tensor.clone() for tensor in (images, rows, examples, key)]
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    out = augment(
        images, rows, examples, key, flip="random", translate=2, cutout=3, dtype=torch.bfloat16, **CIFAR,
        backend=backend,
    )  # fmt: skip
    assert (out.shape, out.dtype) == ((6, 3, 8, 7), torch.bfloat16)
    assert out.is_contiguous(memory_format=torch.channels_last)
    assert all(torch.equal(a, b) for a, b in zip(before, (images, rows, examples, key), strict=True))
    assert torch.equal(state, torch.get_rng_state())
    assert threads == torch.get_num_threads()
    empty = augment(images, rows[:0], examples[:0], key, dtype=torch.float16, **CIFAR, backend=backend)
    assert empty.shape == (0, 3, 8, 7)


def test_an_example_looks_the_same_in_any_batch_and_any_row() -> None:
    images, rows, examples = some_batch(9, 40, 8, 7, 1)
    key = torch.tensor([3, 4])
    settings: dict[str, Any] = {"flip": "random", "translate": 2, "cutout": 3, **PLAIN}
    together = augment(images, rows, examples, key, **settings)
    gathered = images[rows]  # what a loader hands over that collects the batch itself
    for b in (0, 17, 39):
        alone = augment(gathered, torch.tensor([b]), examples[b : b + 1], key, **settings)
        assert torch.equal(alone[0], together[b])


def settings_of(flip: str = "none", translate: int = 0, cutout: int = 0) -> Settings:
    return Settings(flip, translate, "reflect", cutout, (0.0,) * 3, (1.0,) * 3, torch.float32)


def test_draws_follow_the_words_of_philox() -> None:
    seed, epoch, examples = 2**64 - 3, 5, [0, 1, 49_999, 2**32 - 1, 2**32 + 7]
    drawn = draw(torch.tensor([-3, epoch]), torch.tensor(examples), settings_of("random", 2, 12), 32, 30)
    for b, example in enumerate(examples):
        w0, w1, w2, _ = (int(word) for word in philox4x32(seed, example, epoch, 0, 0))
        shift, square = w1 * 25 >> 32, w2 * 21 * 19 >> 32
        assert bool(drawn.flip_B[b]) == (w0 >> 31 == 1)
        assert (drawn.dy_B[b], drawn.dx_B[b]) == (shift // 5 - 2, shift % 5 - 2)
        assert (drawn.top_B[b], drawn.left_B[b]) == (square // 19, square % 19)


def test_alternating_flip_is_the_coin_of_epoch_0_turned_every_epoch() -> None:
    examples = torch.arange(500)

    def flips(kind: str, epoch: int) -> list[bool]:
        drawn = draw(torch.tensor([11, epoch]), examples, settings_of(kind), 4, 4)
        return [bool(flip) for flip in drawn.flip_B]

    first = flips("random", 0)
    for epoch in range(4):
        assert flips("alternating", epoch) == [flip ^ (epoch % 2 == 1) for flip in first]
    assert flips("random", 2) not in (first, flips("random", 1))
    assert not any(flips("none", 3))


def test_draws_are_uniform_and_independent() -> None:
    # 40,000 examples, fixed seed; each chi-square test at level 1e-3.
    drawn = draw(torch.tensor([2024, 6]), torch.arange(40_000), settings_of("random", 2, 12), 32, 32)
    shift = (drawn.dy_B + 2) * 5 + drawn.dx_B + 2
    square = drawn.top_B * 21 + drawn.left_B
    assert stats.chisquare(np.bincount(drawn.flip_B, minlength=2)).pvalue > 1e-3
    assert stats.chisquare(np.bincount(shift, minlength=25)).pvalue > 1e-3
    assert stats.chisquare(np.bincount(square, minlength=441)).pvalue > 1e-3
    joint = np.bincount((drawn.flip_B * 25 + shift) * 9 + drawn.top_B // 7 * 3 + drawn.left_B // 7)
    assert stats.chisquare(joint).pvalue > 1e-3
    assert len(joint) == 2 * 25 * 9


BAD: list[tuple[str, dict[str, Any]]] = [
    (r"images_NHWC must be uint8 \(N, H, W, 3\), not torch.f", {"images_NHWC": torch.zeros(4, 6, 5, 3)}),
    (r"images_NHWC must be uint8", {"images_NHWC": torch.zeros(4, 6, 5, 1, dtype=torch.uint8)}),
    (r"images_NHWC must be contiguous", {"images_NHWC": torch.zeros(4, 6, 10, 3).byte()[:, :, ::2]}),
    (r"rows_B must be int64 \(2,\), not torch.int32", {"rows_B": torch.zeros(2, dtype=torch.int32)}),
    (r"rows_B must lie in 0 ... 3, not 0 ... 4", {"rows_B": torch.tensor([0, 4])}),
    (r"rows_B must lie in 0 ... 3, not -1 ... 0", {"rows_B": torch.tensor([0, -1])}),
    (r"examples_B must be int64 \(2,\), not torch.int64 \(3,\)", {"examples_B": torch.tensor([0, 1, 2])}),
    (r"key must be int64 \(2,\)", {"key": torch.tensor([1])}),
    (r"key is on meta but images_NHWC on cpu", {"key": torch.zeros(2, dtype=torch.int64, device="meta")}),
    (r"flip='yes' is unknown; choose from none, random, alternating", {"flip": "yes"}),
    (r"padding='edge' is unknown", {"padding": "edge"}),
    (r"dtype=torch.float64 is unknown", {"dtype": torch.float64}),
    (r"translate=5 must be 0 ... 4 for 6 x 5 images", {"translate": 5}),
    (r"cutout=6 must be 0 ... 5 for 6 x 5 images", {"cutout": 6}),
    (r"cutout=-1 must be", {"cutout": -1}),
    (r"std above 0", {"std": (1, 0, 1)}),
    (r"one value a channel", {"mean": (1, 2)}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("message", "change"), BAD, ids=[f"{next(iter(c))}-{i}" for i, (_, c) in enumerate(BAD)]
)
def test_arguments_that_do_not_fit_are_refused(message: str, change: dict[str, Any]) -> None:
    arguments: dict[str, Any] = {
        "images_NHWC": torch.zeros(4, 6, 5, 3, dtype=torch.uint8),
        "rows_B": torch.tensor([0, 3]),
        "examples_B": torch.tensor([0, 3]),
        "key": torch.tensor([0, 0]),
        **PLAIN,
    }
    augment(**arguments)  # fits
    with pytest.raises(ValueError, match=message):
        augment(**{**arguments, **change})
