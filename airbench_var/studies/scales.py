"""How large a study is: the paper's setting for GPUs, what two cores do in hours, what a test does."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from airbench_var.errors import UsageError, nearest
from airbench_var.recipe import Recipe
from airbench_var.recipes import find_recipe

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
    data: str  #: the data set that is used unless another is asked for
    recipe: Recipe  #: at the longest of the lengths
    epochs: tuple[float, ...]  #: of training, shortest first
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
    return {f"{e:g} epoch{'' if e == 1 else 's'}": recipe.with_values({"epochs": e}) for e in epochs}


def _small(epochs: float, train_share: float) -> Recipe:
    """Return `tiny` for few images: without shifts, 64 epochs on 5,000 images leave no training error."""
    return find_recipe("tiny").with_values(
        {"epochs": epochs, "batch_size": 250, "train_share": train_share, "augment.translate": 0}
    )


SCALES: Mapping[str, Scale] = MappingProxyType(
    {
        "quick": Scale(
            name="quick",
            about="seconds, to see that it works: `tiny` on 1,000 synthetic images",
            data="synthetic",
            recipe=_small(4, 0.05),
            epochs=(0, 1, 4),
            synthetic=_small(4, 0.05),
            synthetic_epochs=(1, 4),
            fresh=FreshExamples(stream=1000, cut=2000, each=1000, settings=((6, 100), (3, 50))),
            runs={"durations": 8, "truth": 8},
        ),
        "cpu": Scale(
            name="cpu",
            about="hours on two cores: `tiny` on the first 5,000 training images, at the paper's lengths",
            data="cifar10",
            recipe=_small(64, 0.1),
            epochs=PAPER_EPOCHS,
            synthetic=find_recipe("tiny"),
            synthetic_epochs=(0.5, 1, 3, 8),
            fresh=FreshExamples(stream=1_000_000, cut=1_500_000, each=50_000),
            runs={"durations": 300, "truth": 100},
        ),
        "paper": Scale(
            name="paper",
            about="the paper's ResNet-9 and numbers of runs, for GPUs",
            data="cifar10",
            recipe=find_recipe("resnet9"),
            epochs=PAPER_EPOCHS,
            synthetic=find_recipe("airbench94").with_values({"tta": False}),
            synthetic_epochs=(0.5, 1, 4, 16),
            fresh=FreshExamples(stream=5_000_000, cut=5_000_000, each=100_000),
            runs={"durations": 60_000, "truth": 1000},
        ),
    }
)


def find_scale(name: str) -> Scale:
    """Return the scale of this name; raise UsageError for another."""
    if name not in SCALES:
        raise UsageError(f"unknown scale {name!r}{nearest(name, list(SCALES))}. Known: {', '.join(SCALES)}.")
    return SCALES[name]
