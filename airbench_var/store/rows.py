"""What a run is asked for and what it hands back: the only types the two halves share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from airbench_var.seeds import Seeds

#: A predicted class is one byte in a store; of more classes it keeps what was right alone.
MOST_CLASSES = 256
#: A label is one byte, or two where there are more classes.
MOST_LABELS = 1 << 16


def label_dtype(classes: int) -> np.dtype[Any]:
    """Return the type of the labels of so many classes."""
    return np.dtype(np.uint8 if classes <= MOST_CLASSES else "<u2")


def columns_of(classes: int) -> list[str]:
    """Return what a store keeps of runs that say a class for each example, of so many classes."""
    return ["correct", "predicted"] if classes <= MOST_CLASSES else ["correct"]


@dataclass(frozen=True, kw_only=True)
class RunSpec:
    """One run to be trained: its id (the row of the store), its seeds, and which attempt this is."""

    run_id: int
    seeds: Seeds
    attempt: int = 1
    arm: int = 0  #: which of several recipes that are trained side by side, each into a store of its own


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """One run on one test set of n examples."""

    correct: npt.NDArray[np.uint8]  #: (ceil(n/8),) packed bits, bitorder "little", pad bits zero
    predicted: npt.NDArray[np.uint8] | None  #: (n,) predicted class; None where only correctness is known

    @classmethod
    def of_classes(cls, predicted_N: npt.NDArray[Any], labels_N: npt.NDArray[Any]) -> Self:
        """Return the predictions of these classes (n,), judged by the labels (n,).

        Classes of more than one byte are judged and not kept.
        """
        correct = np.packbits(predicted_N == labels_N, bitorder="little")
        return cls(correct=correct, predicted=predicted_N if predicted_N.dtype == np.uint8 else None)


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """What `train(recipe, seeds, data, device)` returns."""

    predictions: Mapping[str, Predictions]  #: by test set name
    loss: float  #: mean training loss per example over the last epoch; nan for 0 epochs
    diverged: bool  #: a loss or a logit was not finite
    train_s: float  #: seconds from the first step to the end of the evaluation; without compiling

    @classmethod
    def of_losses(
        cls,
        losses: Sequence[float],
        steps_per_epoch: int,
        predictions: Mapping[str, Predictions],
        *,
        logits_are_finite: bool,
        train_s: float,
    ) -> Self:
        """Return the result of a run with these losses, one a step."""
        return cls(
            predictions=predictions,
            loss=float(np.mean(losses[-steps_per_epoch:])) if losses else float("nan"),
            diverged=not (logits_are_finite and bool(np.isfinite(losses).all())),
            train_s=train_s,
        )


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What an executor yields for one spec: a result, or why there will be none."""

    spec: RunSpec
    worker: int
    result: RunResult | None = None
    failure: str = ""  #: one line; set when result is None: the run failed for good
