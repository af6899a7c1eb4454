"""Finetuning: a run is a function of its seeds, it learns, and a campaign of it is like any other."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from airbench_var.analysis import analyze
from airbench_var.campaign import Campaign, run_campaign
from airbench_var.data.mrpc import PairData
from airbench_var.errors import DataError, DeviceError, StoreRefusedError, UsageError
from airbench_var.finetuning import FinetuningOnPairs, FinetuningTrainer
from airbench_var.finetuning.checkpoint import Checkpoint
from airbench_var.finetuning.trainer import rate_share
from airbench_var.recipe import AdamW, FinetuningRecipe
from airbench_var.seeds import Seeds, epoch_order, init_generator
from airbench_var.store import RunResult, Store
from airbench_var.subjects import refuse_together
from airbench_var.training import Settings

SEEDS = Seeds(init=1, order=2, aug=3)


@pytest.fixture(scope="session")
def recipe(checkpoint: Path) -> FinetuningRecipe:
    return FinetuningRecipe(name="small", checkpoint=str(checkpoint), optimizer=AdamW(lr=2e-3), epochs=3)


@pytest.fixture(scope="module")
def trainer(recipe: FinetuningRecipe, pairs: PairData) -> FinetuningTrainer:
    return FinetuningTrainer(recipe, pairs, Settings())


@pytest.fixture(scope="module")
def short(recipe: FinetuningRecipe, pairs: PairData) -> FinetuningTrainer:
    """A third of an epoch, in which the runs of other seeds are still far from each other."""
    return FinetuningTrainer(recipe.with_values({"epochs": 1 / 3}), pairs, Settings())


def accuracy(result: RunResult, test_set: str = "mrpc-test") -> float:
    one = result.predictions[test_set]
    assert one.predicted is not None
    return int(np.unpackbits(one.correct).sum()) / len(one.predicted)


def bits(result: RunResult) -> tuple[float, dict[str, bytes]]:
    return result.loss, {name: one.correct.tobytes() for name, one in result.predictions.items()}


def test_it_learns_and_says_what_it_predicts(trainer: FinetuningTrainer, pairs: PairData) -> None:
    result = trainer(SEEDS)
    assert accuracy(result) > 0.95
    assert accuracy(result, "mrpc-validation") > 0.9
    assert (result.diverged, result.loss < 0.4, result.train_s > 0) == (False, True, True)
    for name, one in result.predictions.items():
        assert one.predicted is not None
        labels_N = pairs.tests[name].labels_N
        right_N = np.unpackbits(one.correct, bitorder="little")
        assert (right_N[: len(labels_N)] == (one.predicted == labels_N)).all()
        assert not right_N[len(labels_N) :].any()


def test_equal_seeds_give_equal_bits_whatever_ran_before(short: FinetuningTrainer) -> None:
    first = bits(short(SEEDS))
    for changed in ({"init": 9}, {"order": 9}, {"aug": 9}):
        assert bits(short(replace(SEEDS, **changed)))[0] != first[0], changed
        assert bits(short(SEEDS)) == first


def test_a_run_leaves_the_random_numbers_of_others_alone(short: FinetuningTrainer) -> None:
    import torch

    torch.manual_seed(5)
    before = torch.get_rng_state()
    short(SEEDS)
    assert torch.equal(torch.get_rng_state(), before)


def test_only_the_head_is_new(trainer: FinetuningTrainer) -> None:
    assert trainer.checkpoint.drawn == ("classifier.bias", "classifier.weight")
    states = []
    for seed in (1, 2):
        trainer(SEEDS)
        trainer.checkpoint.reset(init_generator(seed))
        states.append({name: one.clone() for name, one in trainer.model.state_dict().items()})
    differ = [name for name in states[0] if not states[0][name].equal(states[1][name])]
    assert differ == ["classifier.weight"]
    assert not states[0]["classifier.bias"].any()
    assert 0.01 < float(states[0]["classifier.weight"].std()) < 0.03


def test_no_epoch_is_the_checkpoint_with_a_new_head(recipe: FinetuningRecipe, pairs: PairData) -> None:
    none = FinetuningTrainer(recipe.with_values({"epochs": 0}), pairs, Settings())
    result = none(SEEDS)
    assert np.isnan(result.loss)
    assert not result.diverged
    assert bits(none(replace(SEEDS, order=9, aug=9)))[1] == bits(result)[1]


def test_predictions_stand_at_their_examples(trainer: FinetuningTrainer) -> None:
    """Though pairs of like length go through the network together."""
    import torch

    tokens, _ = trainer.tests["mrpc-test"]
    together_NK = trainer.logits(tokens)
    for row in (0, 1, 77, 202):
        with torch.no_grad():
            alone_K = trainer.model(**tokens.of(np.array([row]), trainer.device)).logits[0].numpy()
        assert together_NK[row] == pytest.approx(alone_K, abs=1e-5)


def test_long_pairs_are_cut(recipe: FinetuningRecipe, pairs: PairData) -> None:
    cut = FinetuningTrainer(recipe.with_values({"tokens": 8}), pairs, Settings())
    assert cut.tokens.ids_NT.shape == (320, 8)
    assert cut.tokens.length_N.max() == 8


def test_half_precision_learns_too(recipe: FinetuningRecipe, pairs: PairData) -> None:
    half = FinetuningTrainer(recipe.with_values({"precision": "half"}), pairs, Settings())
    assert accuracy(half(SEEDS)) > 0.95


@pytest.mark.parametrize("warmup_share", [0.0, 0.1, 0.5])
def test_the_rate_is_that_of_the_library(warmup_share: float) -> None:
    import torch
    from transformers import get_linear_schedule_with_warmup

    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    schedule = get_linear_schedule_with_warmup(optimizer, round(40 * warmup_share), 40)
    for step in range(40):
        assert rate_share(step, 40, warmup_share) == pytest.approx(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()


def test_a_rate_that_is_too_high_diverges_and_says_so(recipe: FinetuningRecipe, pairs: PairData) -> None:
    wild = recipe.with_values({"optimizer.lr": 1e30, "epochs": 0.3})
    assert FinetuningTrainer(wild, pairs, Settings())(SEEDS).diverged


def test_a_campaign_goes_on_where_it_was_stopped(
    recipe: FinetuningRecipe, pairs: PairData, tmp_path: Path
) -> None:
    subject = FinetuningOnPairs(recipe=recipe.with_values({"epochs": 0.5}), data=pairs, settings=Settings())
    stores = {}
    for name, steps in (("at-once", (3,)), ("in-two", (1, 3))):
        for runs in steps:
            run_campaign(Campaign(subject=subject, out=tmp_path / name, runs=runs))
        stores[name] = Store.open(tmp_path / name)
    for test_set in ("mrpc-validation", "mrpc-test"):
        found = [store.predicted(test_set).tolist() for store in stores.values()]
        assert found[0] == found[1]
        assert len({tuple(row) for row in found[0]}) > 1
    analysis = analyze(tmp_path / "at-once")
    assert [(one.name, one.runs, one.examples) for one in analysis.test_sets] == [
        ("mrpc-validation", 3, 64),
        ("mrpc-test", 3, 203),
    ]
    identity = stores["at-once"].manifest.identity
    assert set(identity["checkpoint"]) == {"config_sha256", "weights_sha256", "tokenizer_sha256"}
    other = replace(subject, recipe=recipe.with_values({"epochs": 0.25}))
    with pytest.raises(StoreRefusedError, match=r"recipe\.epochs: 0\.5 in the store, 0\.25 now"):
        run_campaign(Campaign(subject=other, out=tmp_path / "at-once", runs=3))


def test_other_weights_are_another_checkpoint(
    recipe: FinetuningRecipe, pairs: PairData, tmp_path: Path
) -> None:
    from transformers import BertModel, BertTokenizerFast

    model = BertModel.from_pretrained(recipe.checkpoint)
    model.embeddings.word_embeddings.weight.data[7, 3] += 1e-3
    model.save_pretrained(tmp_path)
    BertTokenizerFast.from_pretrained(recipe.checkpoint).save_pretrained(tmp_path)
    changed = recipe.with_values({"checkpoint": str(tmp_path)})
    mine, other = (
        FinetuningOnPairs(recipe=one, data=pairs, settings=Settings()).identity()["checkpoint"]
        for one in (recipe, changed)
    )
    assert mine["weights_sha256"] != other["weights_sha256"]
    assert mine["tokenizer_sha256"] == other["tokenizer_sha256"]


def test_a_checkpoint_that_is_not_there_is_named_and_leaves_no_store(
    recipe: FinetuningRecipe, pairs: PairData, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    for where in (tmp_path / "none", tmp_path / "empty"):
        subject = FinetuningOnPairs(
            recipe=recipe.with_values({"checkpoint": str(where)}), data=pairs, settings=Settings()
        )
        with pytest.raises(DataError, match=rf"checkpoint '{where}' cannot be loaded \(.*--set checkpoint="):
            run_campaign(Campaign(subject=subject, out=tmp_path / "store", runs=1))
    assert not (tmp_path / "store").exists()


def test_without_transformers_it_says_what_to_install(
    recipe: FinetuningRecipe, pairs: PairData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(DeviceError, match=r"pip install 'airbench_var\[finetune\]'"):
        FinetuningOnPairs(recipe=recipe, data=pairs, settings=Settings()).refuse_misfit()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tokens": 4}, "'tokens' is 4; it must be 8 or more"),
        ({"optimizer.lr": 0}, "'optimizer.lr' is 0.0; it must be above 0"),
        ({"warmup_share": 1}, r"'warmup_share' is 1\.0; it must be in \[0, 1\)"),
        ({"optimizer.rate": 1}, r"unknown recipe key 'optimizer.rate'"),
    ],
)
def test_impossible_values_are_refused(
    changes: dict[str, float], message: str, recipe: FinetuningRecipe
) -> None:
    with pytest.raises(UsageError, match=message):
        recipe.with_values(changes)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("optimizer.beta1", 0.5),
        ("optimizer.beta2", 0.9),
        ("optimizer.eps", 1e-3),
        ("optimizer.weight_decay", 0.5),
        ("warmup_share", 0.5),
        ("gradient_norm", 0.1),
        ("batch_size", 8),
        ("train_share", 0.5),
        ("tokens", 8),
    ],
)
def test_every_hyperparameter_reaches_the_run(
    key: str, value: float, short: FinetuningTrainer, pairs: PairData
) -> None:
    changed = FinetuningTrainer(short.recipe.with_values({key: value}), pairs, Settings())
    assert bits(changed(SEEDS))[0] != bits(short(SEEDS))[0]


def test_gradients_are_shortened_to_their_norm(recipe: FinetuningRecipe, pairs: PairData) -> None:
    """Far below Adam's eps hardly any weight moves; 0 is the same as a norm that none exceeds."""

    def loss(**changes: float) -> float:
        return FinetuningTrainer(recipe.with_values(changes), pairs, Settings())(SEEDS).loss

    learnt, unlimited, held = (loss(gradient_norm=norm) for norm in (0.0, 1e6, 1e-12))
    assert learnt == unlimited
    assert held == pytest.approx(0.69, abs=0.02)
    assert learnt < 0.5


def test_every_epoch_has_an_order_of_its_own(
    trainer: FinetuningTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def remembered(seed: int, epoch: int, n: int) -> np.ndarray:
        asked.append((seed, epoch, n))
        return epoch_order(seed, epoch, n)

    monkeypatch.setattr("airbench_var.finetuning.trainer.epoch_order", remembered)
    trainer(SEEDS)
    assert asked == [(SEEDS.order, epoch, 320) for epoch in range(3)]


def test_a_network_reads_what_the_tokenizer_makes_of_a_pair(
    trainer: FinetuningTrainer, pairs: PairData
) -> None:
    some = pairs.tests["mrpc-test"]
    tokens, _ = trainer.tests["mrpc-test"]
    rows_B = np.array([5, 0, 202])
    expected = trainer.checkpoint.tokenizer(
        [some.first[row] for row in rows_B],
        [some.second[row] for row in rows_B],
        padding=True,
        return_tensors="np",
    )
    found = tokens.of(rows_B, trainer.device)
    assert set(found) == set(expected)
    for name, array in found.items():
        assert array.tolist() == expected[name].tolist()
    assert expected["token_type_ids"].any()


def test_a_loss_that_is_not_finite_is_enough_to_diverge(
    short: FinetuningTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch.nn.functional as F

    real = F.cross_entropy
    monkeypatch.setattr(
        F, "cross_entropy", lambda *given: real(*given) + float("inf")
    )  # gradients as they are
    result = short(SEEDS)
    assert result.diverged
    assert {
        name: one.predicted.tolist() for name, one in result.predictions.items() if one.predicted is not None
    }


@pytest.mark.parametrize("classes", [2, 3])
def test_a_head_that_the_checkpoint_has_is_drawn_anew(
    classes: int, recipe: FinetuningRecipe, pairs: PairData, tmp_path: Path
) -> None:
    """Otherwise the initialisation seed would do nothing, and runs would begin from a trained head."""
    import transformers

    network = transformers.AutoModelForSequenceClassification
    network.from_pretrained(recipe.checkpoint, num_labels=classes).save_pretrained(tmp_path)
    transformers.AutoTokenizer.from_pretrained(recipe.checkpoint).save_pretrained(tmp_path)
    trainers = [
        FinetuningTrainer(recipe.with_values({"checkpoint": where, "epochs": 1 / 3}), pairs, Settings())
        for where in (recipe.checkpoint, str(tmp_path))
    ]
    assert trainers[1].checkpoint.drawn == ("classifier.bias", "classifier.weight")
    assert trainers[1].checkpoint.fingerprint == trainers[0].checkpoint.fingerprint
    assert bits(trainers[1](SEEDS)) == bits(trainers[0](SEEDS))


@pytest.mark.parametrize(("key", "value"), [("hidden_dropout_prob", 0.5), ("hidden_act", "relu")])
def test_another_configuration_is_another_checkpoint(
    key: str, value: object, recipe: FinetuningRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It changes every run and no weight; the version of the library that reads it changes nothing."""
    for path in Path(recipe.checkpoint).iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"transformers_version": "0", key: value}))
    ours, theirs = (Checkpoint(where, 2).fingerprint for where in (recipe.checkpoint, str(tmp_path)))
    assert {name for name in ours if ours[name] != theirs[name]} == {"config_sha256"}
    (tmp_path / "config.json").write_text(json.dumps(config | {"transformers_version": "0"}))
    assert Checkpoint(str(tmp_path), 2).fingerprint == ours
    monkeypatch.setattr("transformers.configuration_utils.__version__", "0")
    assert Checkpoint(str(tmp_path), 2).fingerprint == ours


def test_weights_of_another_size_than_the_configuration_are_refused(
    recipe: FinetuningRecipe, tmp_path: Path
) -> None:
    """They would be drawn at random, in the place of what was pretrained."""
    for path in Path(recipe.checkpoint).iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"intermediate_size": 48}))
    with pytest.raises(DataError, match=r"has bert\.encoder\..* in another size than its config\.json says"):
        Checkpoint(str(tmp_path), 2)


def test_runs_are_not_finetuned_side_by_side_in_a_process(pairs: PairData) -> None:
    refuse_together(pairs, 1)
    with pytest.raises(UsageError, match="--runs-per-device 2: dropout draws"):
        refuse_together(pairs, 2)
