import gc
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from airbench_var.campaign import Campaign, run_campaign
from airbench_var.data import synthetic
from airbench_var.data.dataset import Dataset, Split
from airbench_var.errors import StoreRefusedError
from airbench_var.execution import HERE, Placement
from airbench_var.store import RunResult, Store
from airbench_var.training import RecipeOnData, Settings, Trainer, evaluation
from airbench_var.training.evaluation import BATCH_SIZE
from airbench_var.training.settings import IN_C, obstacle_to
from tests.training.test_trainer import SEEDS, bits, quick


def repeated(split: Split, n: int) -> Split:
    """The same examples over and over, n of them."""
    rows_N = np.arange(n) % len(split)
    return Split(images_NHWC=split.images_NHWC[rows_N], labels_N=split.labels_N[rows_N])


@pytest.fixture(scope="module")
def with_more(small_data: Dataset) -> Dataset:
    return replace(
        small_data,
        more={
            "again": small_data.test,  # less than a block, and no multiple of 8
            "long": repeated(small_data.test, 2 * BATCH_SIZE + 13),
            "train": small_data.train.first(400),
            "whole": repeated(small_data.test, BATCH_SIZE),
        },
    )


@pytest.fixture(scope="module", params=["eager", *IN_C])
def both(request: pytest.FixtureRequest, small_data: Dataset, with_more: Dataset) -> list[RunResult]:
    """The same run without and with further test sets."""
    if request.param in IN_C and (why := obstacle_to(request.param, quick(), small_data, 1)):
        pytest.skip(why)
    settings = Settings(engine=request.param)
    return [Trainer(quick(), data, settings)(SEEDS) for data in (small_data, with_more)]


def test_they_change_no_bit_of_the_test_set(both: list[RunResult]) -> None:
    without, with_them = both
    assert list(with_them.predictions) == ["small", "again", "long", "train", "whole"]
    first = replace(with_them, predictions={"small": with_them.predictions["small"]})
    assert bits(first) == bits(without)
    assert with_them.loss == without.loss


def test_an_image_is_called_the_same_wherever_it_lies(both: list[RunResult]) -> None:
    """Whether resident or read block by block, and at whatever place of a block."""
    predictions = both[1].predictions
    known = predictions["small"].predicted
    assert known is not None
    for name in ("again", "long", "whole"):
        found = predictions[name].predicted
        assert found is not None
        assert np.array_equal(found, known[np.arange(len(found)) % len(known)])


def test_bits_and_classes_agree(both: list[RunResult], with_more: Dataset) -> None:
    for name, examples in with_more.more.items():
        found = both[1].predictions[name]
        right_N = np.unpackbits(found.correct, bitorder="little")
        assert len(found.correct) == (len(examples) + 7) // 8
        assert np.array_equal(right_N[: len(examples)], found.predicted == examples.labels_N)
        assert not right_N[len(examples) :].any()  # not what fills up the last block


def test_with_test_time_augmentation_each_is_there_twice(small_data: Dataset) -> None:
    data = replace(small_data, more={"again": small_data.test})
    recipe = quick(tta=True)
    assert list(evaluation.test_sets_of(recipe, data)) == ["small", "small-tta", "again", "again-tta"]
    predictions = Trainer(recipe, data, Settings())(SEEDS).predictions
    for kind in ("", "-tta"):
        assert predictions[f"small{kind}"].correct.tobytes() == predictions[f"again{kind}"].correct.tobytes()
    assert predictions["small"].correct.tobytes() != predictions["small-tta"].correct.tobytes()


def test_a_logit_that_is_not_finite_is_told(small_data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trainer(quick(), replace(small_data, more={"again": small_data.test}), Settings())
    assert not trainer(SEEDS).diverged
    original = trainer.evaluation.block

    def broken(*arguments: object) -> list[object]:
        finite, *rest = original(*arguments)  # type: ignore[arg-type]
        return [~finite, *rest]

    monkeypatch.setattr(trainer.evaluation, "block", broken)
    assert trainer(SEEDS).diverged


def campaign(data: Dataset, out: Path, placement: Placement = HERE) -> Campaign:
    subject = RecipeOnData(recipe=quick(epochs=0), data=data, settings=Settings())
    return Campaign(subject=subject, out=out, runs=2, placement=placement)


def test_a_store_has_a_column_group_for_each(small_data: Dataset, tmp_path: Path) -> None:
    data = replace(small_data, more={"fresh": synthetic.Fresh(stream=2, n=50)})
    run_campaign(campaign(data, tmp_path / "here"))
    run_campaign(campaign(data, tmp_path / "pool", placement=Placement(executor="pool", workers=1)))
    here, pool = Store.open(tmp_path / "here"), Store.open(tmp_path / "pool")
    assert here.test_sets == ("small", "fresh")
    assert np.array_equal(here.labels("fresh"), synthetic.sample(2, 0, 50).labels_N)
    for name in here.test_sets:
        assert np.array_equal(here.correct_RN(name), pool.correct_RN(name))
    assert "more" in here.manifest.identity["data"]


def test_a_store_with_others_is_refused_by_name(small_data: Dataset, tmp_path: Path) -> None:
    run_campaign(campaign(small_data, tmp_path))
    assert "more" not in Store.open(tmp_path).manifest.identity["data"]
    data = replace(small_data, more={"fresh": synthetic.Fresh(stream=2, n=50)})
    with pytest.raises(StoreRefusedError, match=r"data\.more.*stream"):
        run_campaign(campaign(data, tmp_path))


def test_fresh_examples_are_those_of_their_stream() -> None:
    fresh = synthetic.Fresh(stream=3, n=1234)
    whole = synthetic.sample(3, 0, 1234)
    for size in (100, 1234, 5000):
        blocks = list(fresh.blocks(size))
        assert [len(block) for block in blocks[:-1]] == [size] * (len(blocks) - 1)
        images_NHWC = np.concatenate([block.images_NHWC for block in blocks])
        assert np.array_equal(images_NHWC, whole.images_NHWC)
    assert np.array_equal(fresh.labels_N, whole.labels_N)
    assert fresh.fingerprint["stream"] == 3
    assert fresh.fingerprint != synthetic.Fresh(stream=4, n=1234).fingerprint
    assert len(pickle.dumps(synthetic.Fresh(stream=3, n=10**6))) < 300  # what a worker is sent


def test_nothing_is_kept_of_a_block_by_itself(small_data: Dataset) -> None:
    """Pieces that stay while images come and go left holes of their size: 14 GB for 4.5 million examples."""
    many = repeated(small_data.test, 12 * BATCH_SIZE)
    trainer = Trainer(quick(), replace(small_data, more={"many": many}), Settings())
    tensors = []

    def judge(images_BHWC: Tensor, labels_B: Tensor) -> list[Tensor]:
        tensors.append(sum(type(one) is Tensor for one in gc.get_objects()))
        return [torch.tensor(True), torch.zeros(BATCH_SIZE // 8), torch.zeros(BATCH_SIZE)]

    trainer.evaluation.further(judge, trainer.lane.wait)
    assert len(tensors) == 12
    assert tensors[-1] == tensors[1]
