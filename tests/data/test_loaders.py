import numpy as np
import pytest
import torch

from airbench_var.data.dataset import Split
from airbench_var.data.loaders import Pixels, ResidentLoader, normalised
from airbench_var.errors import UsageError
from airbench_var.kernels.augment import augment as augment_kernel
from airbench_var.recipe import Augment
from airbench_var.seeds import Seeds, epoch_order

CPU = torch.device("cpu")
MEAN, STD = (120.0, 121.0, 122.0), (60.0, 61.0, 62.0)
SEEDS = Seeds(init=1, order=2**64 - 5, aug=2**63 + 9)


@pytest.fixture
def split() -> Split:
    rng = np.random.default_rng(0)
    return Split(
        images_NHWC=rng.integers(0, 256, (23, 9, 8, 3), dtype=np.uint8),
        labels_N=np.arange(23, dtype=np.uint8) % 10,
    )


def loader(
    split: Split, augment: Augment, batch_size: int = 5, dtype: torch.dtype = torch.float32
) -> ResidentLoader:
    return ResidentLoader(split, batch_size, Pixels(augment=augment, mean=MEAN, std=STD, dtype=dtype), CPU)


def test_without_augmentation_batches_are_the_normalised_images_in_seeded_order(split: Split) -> None:
    whole_NCHW = normalised(split, mean=MEAN, std=STD, device=CPU, dtype=torch.float32)
    order = epoch_order(SEEDS.order, 3, 23)
    batches = list(loader(split, Augment()).epoch(3, SEEDS))
    assert len(batches) == loader(split, Augment()).steps_per_epoch == 4  # 3 examples are left over
    for step, (images_BCHW, labels_B) in enumerate(batches):
        rows = order[5 * step : 5 * step + 5]
        assert torch.equal(images_BCHW, whole_NCHW[rows])
        assert labels_B.dtype == torch.int64
        assert labels_B.tolist() == split.labels_N[rows].tolist()


def test_augmentation_follows_the_example_not_its_place_in_the_order(split: Split) -> None:
    augment = Augment(flip="random", translate=2, padding="zero", cutout=3)
    key = torch.tensor([9 - 2**63, 2])  # the seed 2**63 + 9 as a signed word, and the epoch
    for order_seed in (0, 1):
        seeds = Seeds(init=0, order=order_seed, aug=SEEDS.aug)
        examples = torch.from_numpy(epoch_order(order_seed, 2, 23))
        every = torch.arange(23)
        expected = augment_kernel(
            torch.from_numpy(split.images_NHWC),
            every,
            every,
            key,
            flip="random",
            translate=2,
            padding="zero",
            cutout=3,
            mean=MEAN,
            std=STD,
            dtype=torch.bfloat16,
            backend="reference",
        )
        found = torch.cat([x for x, _ in loader(split, augment, dtype=torch.bfloat16).epoch(2, seeds)])
        assert torch.equal(found, expected[examples[:20]])


@pytest.mark.parametrize("changed", ["epoch", "order", "aug"])
def test_epoch_order_and_augmentation_seed_each_change_the_batches(split: Split, changed: str) -> None:
    one = loader(split, Augment(translate=2))
    epoch, seeds = 0, {"init": 0, "order": 0, "aug": 0}
    before = torch.cat([x for x, _ in one.epoch(epoch, Seeds(**seeds))])
    if changed == "epoch":
        epoch = 1
    else:
        seeds[changed] = 1
    after = torch.cat([x for x, _ in one.epoch(epoch, Seeds(**seeds))])
    assert not torch.equal(before, after)
    again = torch.cat([x for x, _ in one.epoch(epoch, Seeds(**seeds | {"init": 7}))])
    assert torch.equal(after, again)


def test_global_generators_are_neither_read_nor_moved(split: Split) -> None:
    one = loader(split, Augment(flip="random", translate=1))
    torch_state, numpy_state = torch.get_rng_state(), repr(np.random.get_state())  # noqa: NPY002
    list(one.epoch(0, SEEDS))
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert repr(np.random.get_state()) == numpy_state  # noqa: NPY002


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_normalised_is_one_subtraction_one_product_and_one_rounding(split: Split, dtype: torch.dtype) -> None:
    found = normalised(split, mean=MEAN, std=STD, device=CPU, dtype=dtype)
    inverse = (1 / np.array(STD)).astype(np.float32)
    expected_NHWC = (split.images_NHWC.astype(np.float32) - np.array(MEAN, np.float32)) * inverse
    assert torch.equal(found, torch.from_numpy(expected_NHWC).permute(0, 3, 1, 2).to(dtype))
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_images_that_cannot_be_written_are_read(split: Split) -> None:
    split.images_NHWC.flags.writeable = False
    assert len(list(loader(split, Augment()).epoch(0, SEEDS))) == 4


@pytest.mark.parametrize("batch_size", [0, -1, 24])
def test_a_batch_size_that_gives_no_batch_is_refused(split: Split, batch_size: int) -> None:
    with pytest.raises(UsageError, match=rf"batch_size = {batch_size}: expected 1 \.\.\. 23"):
        loader(split, Augment(), batch_size)
