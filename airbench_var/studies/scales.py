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
class Scale:
    """One network, its training lengths, and how much of everything a study may use."""

    name: str
    about: str  #: for people
    data: str  #: the data set that is used unless another is asked for
    recipe: Recipe  #: at the longest of the lengths
    epochs: tuple[float, ...]  #: of training, shortest first
    runs: Mapping[str, int]  #: of each arm, by study

    @property
    def lengths(self) -> Mapping[str, Recipe]:
        """The recipe at every length, by its name for people."""
        return {
            f"{e:g} epoch{'' if e == 1 else 's'}": self.recipe.with_values({"epochs": e}) for e in self.epochs
        }


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
            runs={"durations": 12},
        ),
        "cpu": Scale(
            name="cpu",
            about="hours on two cores: `tiny` on the first 5,000 training images, at the paper's lengths",
            data="cifar10",
            recipe=_small(64, 0.1),
            epochs=PAPER_EPOCHS,
            runs={"durations": 300},
        ),
        "paper": Scale(
            name="paper",
            about="the paper's ResNet-9 and numbers of runs, for GPUs",
            data="cifar10",
            recipe=find_recipe("resnet9"),
            epochs=PAPER_EPOCHS,
            runs={"durations": 60_000},
        ),
    }
)


def find_scale(name: str) -> Scale:
    """Return the scale of this name; raise UsageError for another."""
    if name not in SCALES:
        raise UsageError(f"unknown scale {name!r}{nearest(name, list(SCALES))}. Known: {', '.join(SCALES)}.")
    return SCALES[name]
