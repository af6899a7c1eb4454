"""The recipe of finetuning a pretrained network on labelled pairs of sentences."""

from dataclasses import dataclass
from typing import Literal

from airbench_var.hyperparameters import Hyperparameters


@dataclass(frozen=True, kw_only=True)
class AdamW:
    """Adam with decoupled weight decay on all parameters, torch.optim.AdamW's formula."""

    lr: float
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0


@dataclass(frozen=True, kw_only=True)
class FinetuningRecipe(Hyperparameters):
    """Everything that decides a run of finetuning except seeds, data and device."""

    RANGES = (
        (("batch_size",), lambda v: v >= 1, "1 or more"),
        (("tokens",), lambda v: v >= 8, "8 or more"),
        (("epochs", "gradient_norm", "optimizer.weight_decay"), lambda v: v >= 0, "0 or more"),
        (("optimizer.lr", "optimizer.eps"), lambda v: v > 0, "above 0"),
        (("optimizer.beta1", "optimizer.beta2", "warmup_share"), lambda v: 0 <= v < 1, "in [0, 1)"),
        (("train_share",), lambda v: 0 < v <= 1, "above 0, at most 1"),
    )

    checkpoint: str  #: a name on the Hugging Face Hub, or a folder
    optimizer: AdamW
    epochs: float = 3.0  #: passes over the training set; 0 leaves the pretrained network with its new head
    batch_size: int = 16
    tokens: int = 128  #: of a pair, at most; longer ones are cut, the longer sentence first
    warmup_share: float = 0.0  #: of all steps, in which the learning rate rises to lr; then it falls to 0
    gradient_norm: float = 1.0  #: gradients longer than this are shortened to it; 0 leaves them as they are
    precision: Literal["half", "single"] = "single"  #: of activations; half: bfloat16
    train_share: float = 1.0  #: the first share of the training set that is used
