"""The kinds of recipes: training on small images or photographs, finetuning on pairs of sentences."""

from dataclasses import dataclass
from typing import Literal

from airbench_var.errors import UsageError
from airbench_var.hyperparameters import Hyperparameters, Range

Flip = Literal["none", "random", "alternating"]
Padding = Literal["reflect", "zero"]


@dataclass(frozen=True, kw_only=True)
class Augment:
    """What is drawn anew for each example and epoch; lengths in pixels."""

    flip: Flip = "none"  #: alternating: one coin an example, then the other side every other epoch
    translate: int = 0  #: largest shift in each direction
    padding: Padding = "reflect"  #: what a shift uncovers: mirrored pixels or black
    cutout: int = 0  #: side of the square that is set to the mean colour


@dataclass(frozen=True, kw_only=True)
class AirbenchNet:
    """The convolutional network of airbench94: whitening, then three groups of two 3x3 convolutions."""

    whiten_stride: int = 1  #: pixels between the 2x2 patches that are whitened; 2 halves the resolution
    whiten_eps: float = 5e-4  #: added to the eigenvalues of the patch covariance
    widths: tuple[int, ...] = (64, 256, 256)  #: channels of each group
    activation: Literal["gelu", "relu"] = "gelu"
    norm_momentum: float = 0.6  #: share of the old running statistics kept a step
    norm_eps: float = 1e-12


@dataclass(frozen=True, kw_only=True)
class ResNet9Net:
    """The ResNet-9 of the paper (channel counts are multiples of `width`)."""

    width: int = 64
    output_scale: float = 0.2


@dataclass(frozen=True, kw_only=True)
class LinearNet:
    """One linear map from pixels to logits, initialised at a normal with this standard deviation."""

    init_std: float = 1e-4


@dataclass(frozen=True, kw_only=True)
class SGD:
    """Stochastic gradient descent on all parameters, torch.optim.SGD's formula."""

    lr: float
    momentum: float
    nesterov: bool
    weight_decay: float  #: added to the gradient as weight_decay * weight


@dataclass(frozen=True, kw_only=True)
class Muon:
    """Muon on convolution filters, SGD with Nesterov momentum on biases and head."""

    lr: float  #: of the orthogonalised update, for filters scaled to unit norm an output channel
    momentum: float
    newton_schulz_steps: int
    sgd_momentum: float
    bias_lr: float
    head_lr: float
    weight_decay: float  #: the gradient of a bias or head weight w gains weight_decay / (its lr) * w
    whiten_bias_epochs: float  #: the whitening bias is trained this long, its lr falling to 0


@dataclass(frozen=True, kw_only=True)
class Poke:
    """One weight is multiplied once, to see how far so small a change goes. Source: paper, App D.2, Fig 12.

    Which weight that is, `airbench_var.training.poke` says.
    """

    step: int  #: the training step before which it happens, counted from 0
    factor: float = 1.001


Network = AirbenchNet | ResNet9Net | LinearNet
Optimizer = SGD | Muon
#: As `Hyperparameters.RANGES`.
_RANGES: tuple[Range, ...] = (
    (("batch_size", "network.width", "network.whiten_stride"), lambda v: v >= 1, "1 or more"),
    (("network.widths",), lambda v: bool(v) and min(v) >= 1, "one or more channel counts"),
    (
        (
            "epochs",
            "augment.translate",
            "augment.cutout",
            "network.whiten_eps",
            "network.norm_eps",
            "network.init_std",
            "optimizer.weight_decay",
            "optimizer.newton_schulz_steps",
            "optimizer.whiten_bias_epochs",
            "poke.step",
        ),
        lambda v: v >= 0,
        "0 or more",
    ),
    (("optimizer.lr", "optimizer.bias_lr", "optimizer.head_lr"), lambda v: v > 0, "above 0"),
    (
        ("label_smoothing", "network.norm_momentum", "optimizer.momentum", "optimizer.sgd_momentum"),
        lambda v: 0 <= v < 1,
        "in [0, 1)",
    ),
    (("train_share",), lambda v: 0 < v <= 1, "above 0, at most 1"),
)


@dataclass(frozen=True, kw_only=True)
class Recipe(Hyperparameters):
    """Everything that decides a run on small images except seeds, data and device.

    It is frozen: `with_values({"optimizer.lr": 0.3})` returns a changed copy, `sha256` is equal for equal
    hyperparameters, whatever the name. Values of another type or out of range raise UsageError.
    """

    RANGES = _RANGES
    DATA = ("cifar10", "synthetic")

    network: Network
    optimizer: Optimizer
    augment: Augment = Augment()
    epochs: float  #: passes over the training set; 0 leaves the initial network
    batch_size: int
    label_smoothing: float = 0.0
    loss_reduction: Literal["mean", "sum"] = "mean"  #: over the batch
    precision: Literal["half", "single"] = "half"  #: of activations: bfloat16 on CPU, float16 on CUDA
    tta: bool = False  #: also predict by test-time augmentation, as a test set of its own
    train_share: float = 1.0  #: the first share of the training set that is used
    poke: Poke | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.optimizer, Muon) and not isinstance(self.network, AirbenchNet):
            raise UsageError(
                f"recipe {self.name!r}: Muon is written for AirbenchNet's parameters, not for "
                f"{type(self.network).__name__}. Use SGD with this network."
            )


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
    DATA = ("mrpc",)

    checkpoint: str  #: a name on the Hugging Face Hub, a folder, or package:NAME/FOLDER of an installed one
    optimizer: AdamW
    epochs: float = 3.0  #: passes over the training set; 0 leaves the pretrained network with its new head
    batch_size: int = 16
    tokens: int = 128  #: of a pair, at most; longer ones are cut, the longer sentence first
    warmup_share: float = 0.0  #: of all steps, in which the learning rate rises to lr; then it falls to 0
    gradient_norm: float = 1.0  #: gradients longer than this are shortened to it; 0 leaves them as they are
    precision: Literal["half", "single"] = "single"  #: of activations; half: bfloat16
    train_share: float = 1.0  #: the first share of the training set that is used


@dataclass(frozen=True, kw_only=True)
class ResNet18Net:
    """ResNet-18 (channel counts are multiples of `width`)."""

    width: int = 64


@dataclass(frozen=True, kw_only=True)
class PhotoRecipe(Hyperparameters):
    """Everything that decides a run on photographs except seeds, data and device; lengths in pixels."""

    RANGES = (
        (("batch_size", "network.width"), lambda v: v >= 1, "1 or more"),
        (("resolution", "first_resolution", "test_resolution"), lambda v: v >= 32, "32 or more"),
        (("epochs", "warmup_epochs", "full_resolution_epoch"), lambda v: v >= 0, "0 or more"),
        (("optimizer.lr",), lambda v: v > 0, "above 0"),
        (("optimizer.weight_decay",), lambda v: v >= 0, "0 or more"),
        (("optimizer.momentum", "label_smoothing"), lambda v: 0 <= v < 1, "in [0, 1)"),
        (
            ("first_lr_share", "crop_area_from", "crop_ratio_from", "test_crop"),
            lambda v: 0 < v <= 1,
            "above 0, at most 1",
        ),
    )
    DATA = ("photos",)

    network: ResNet18Net
    optimizer: SGD
    epochs: float  #: passes over the training set; 0 leaves the initial network
    batch_size: int
    warmup_epochs: float  #: in which the learning rate rises to lr, linearly; then it falls to 0
    first_lr_share: float  #: of lr, at the first step
    resolution: int  #: of the crops that are trained on
    first_resolution: int  #: the same at the first epoch; between, it grows linearly in steps of 32
    full_resolution_epoch: float = 0.0  #: from which on it is `resolution`
    crop_area_from: float = 0.08  #: least share of an image's area in a crop
    crop_ratio_from: float = 0.75  #: least ratio of a crop's width to its height; the largest is its inverse
    flip: bool = True  #: mirror by a coin
    test_resolution: int  #: of the square in the middle that a network is tested on
    test_crop: float  #: side of that square over the shorter side of the image
    label_smoothing: float = 0.0
    precision: Literal["half", "single"] = "half"  #: of activations; half: bfloat16


AnyRecipe = Recipe | FinetuningRecipe | PhotoRecipe
