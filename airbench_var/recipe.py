"""A recipe: the full set of hyperparameters of a run, as frozen data with one canonical hash."""

import hashlib
import json
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from airbench_var.errors import UsageError, nearest

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
_KINDS = {kind.__name__: kind for kind in (Augment, AirbenchNet, ResNet9Net, LinearNet, SGD, Muon, Poke)}
#: Parts that a recipe may lack: such a key is left out of the dict and of the hash.
_OPTIONAL: dict[str, Any] = {"poke": Poke}


#: Keys, what must hold for their value, and that in words.
_RANGES: tuple[tuple[tuple[str, ...], Callable[[Any], bool], str], ...] = (
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
class Recipe:
    """Everything that decides a run except seeds, data and device."""

    name: str
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
        _check("", self)
        if isinstance(self.optimizer, Muon) and not isinstance(self.network, AirbenchNet):
            raise UsageError(
                f"recipe {self.name!r}: Muon is written for AirbenchNet's parameters, not for "
                f"{type(self.network).__name__}. Use SGD with this network."
            )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; nested parts carry their class as 'kind'."""
        return _encode(self)

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> "Recipe":
        """Build a recipe from `to_dict`'s output; raise UsageError for unknown kinds, keys or values."""
        parts: dict[str, Any] = {}
        for key, value in values.items():
            if isinstance(value, Mapping):
                given = dict(value)
                kind = _KINDS.get(given.pop("kind", ""))
                if kind is None:
                    raise UsageError(
                        f"recipe key {key!r}: no kind {value.get('kind')!r}; known: {sorted(_KINDS)}."
                    )
                parts[key] = _build(kind, given, f"{key}.")
            else:
                parts[key] = value
        recipe: Recipe = _build(Recipe, parts, "")
        return recipe

    @property
    def sha256(self) -> str:
        """Hash of the canonical JSON of everything but the name: equal hashes mean equal hyperparameters."""
        values = self.to_dict()
        del values["name"]
        text = json.dumps(values, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def title(self) -> str:
        """The name, and the beginning of the hash, for people."""
        return f"{self.name} ({self.sha256[:8]})"

    def with_values(self, changes: Mapping[str, Any]) -> "Recipe":
        """Return a copy with dotted keys replaced ('optimizer.lr': 0.3); text values are parsed by type.

        The keys of a part that the recipe lacks ('poke.step': 3) make that part.
        """
        recipe = self
        for name, kind in _OPTIONAL.items():
            own = {key: value for key, value in changes.items() if key.startswith(f"{name}.")}
            if own and getattr(self, name) is None:
                given = {key.removeprefix(f"{name}."): value for key, value in own.items()}
                recipe = replace(recipe, **{name: _build(kind, given, f"{name}.")})
                changes = {key: value for key, value in changes.items() if key not in own}
        for key, value in changes.items():
            recipe = _replace_path(recipe, key.split("."), value, key)
        return recipe


def load_toml(path: Path, named: Mapping[str, Any]) -> Recipe:
    """Read a TOML file whose `base` names a recipe and whose other keys replace its values."""
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(
            f"recipe file {path}: {error.strerror}. Give the path of a readable TOML file."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"recipe file {path} is not valid TOML: {error}.") from error
    base = values.pop("base", None)
    if not isinstance(base, str) or base not in named:
        raise UsageError(f'recipe file {path}: needs a line base = "NAME" with one of {", ".join(named)}.')
    values.setdefault("name", path.stem)
    recipe: Recipe = named[base]()
    return recipe.with_values(_flatten(values))


def parse_assignments(texts: list[str]) -> dict[str, str]:
    """Turn ['epochs=4', 'optimizer.lr=0.1'] into a mapping; raise UsageError for text without '='."""
    changes = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"--set {text}: expected KEY=VALUE, for example --set epochs=4.")
        changes[key.strip()] = value.strip()
    return changes


def _encode(node: Any) -> dict[str, Any]:
    """A number has one spelling, its field's type: epochs = 8 and epochs = 8.0 are one recipe, one hash."""
    hints, encoded = get_type_hints(type(node)), {}
    for f in fields(node):
        value = getattr(node, f.name)
        if value is None:  # recipes from before such a part was known keep their hash
            continue
        if is_dataclass(value):
            value = {"kind": type(value).__name__, **_encode(value)}
        elif hints[f.name] is float:
            value = float(value)
        encoded[f.name] = list(value) if isinstance(value, tuple) else value
    return encoded


def _check(where: str, node: Any) -> None:
    """Every value has the declared type, is finite, among the choices, and in its range."""
    hints = get_type_hints(type(node))
    for f in fields(node):
        key, hint, value = where + f.name, hints[f.name], getattr(node, f.name)
        if not _has_type(value, hint):
            raise UsageError(f"recipe key {key!r}: {value!r} is not a valid {_type_name(hint)}.")
        if is_dataclass(value):
            _check(f"{key}.", value)
            continue
        if get_origin(hint) is Literal and value not in get_args(hint):
            choices = [str(c) for c in get_args(hint)]
            raise UsageError(
                f"recipe key {key!r} is {value!r}{nearest(str(value), choices)}; "
                f"choose from {', '.join(choices)}."
            )
        if hint is float and not abs(value) < float("inf"):
            raise UsageError(f"recipe key {key!r} is {value}; it must be a finite number.")
        for keys, holds, range_text in _RANGES:
            if key in keys and not holds(value):
                raise UsageError(f"recipe key {key!r} is {value}; it must be {range_text}.")


_TYPE_NAMES = {
    bool: "true or false",
    int: "whole number",
    float: "number",
    str: "text",
    tuple[int, ...]: "list of whole numbers",
}


def _type_name(hint: Any) -> str:
    parts = [part.__name__ for part in (get_args(hint) or (hint,)) if part in _KINDS.values()]
    return " or ".join(parts) or _TYPE_NAMES[hint]


def _has_type(value: Any, hint: Any) -> bool:
    if hint == tuple[int, ...]:
        return isinstance(value, tuple) and all(_has_type(item, int) for item in value)
    if hint in (int, float):  # a whole number is a number; true is not
        return isinstance(value, (int, float) if hint is float else int) and not isinstance(value, bool)
    return get_origin(hint) is Literal or isinstance(value, hint)


def _build(kind: Any, values: dict[str, Any], where: str) -> Any:
    known = get_type_hints(kind)
    parsed = {}
    for key, value in values.items():
        if key not in known:
            raise _unknown_key(where + key, [where + k for k in known])
        parsed[key] = value if is_dataclass(value) else _parse(known[key], value, where + key)
    missing = [f for f in known if f not in parsed and f in _required(kind)]
    if missing:
        raise UsageError(f"recipe key {where + missing[0]!r} is missing.")
    return kind(**parsed)


def _required(kind: Any) -> set[str]:
    return {f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING}


def _unknown_key(key: str, known: list[str]) -> UsageError:
    return UsageError(f"unknown recipe key {key!r}{nearest(key, known)}. Known: {', '.join(known)}.")


def _keys(node: Any, prefix: str = "") -> list[str]:
    keys: list[str] = []
    for f in fields(node):
        value = getattr(node, f.name, None)
        if value is None and f.name in _OPTIONAL:
            value = _OPTIONAL[f.name]
        keys += _keys(value, f"{prefix}{f.name}.") if is_dataclass(value) else [prefix + f.name]
    return keys


def _replace_path(node: Any, path: list[str], value: Any, key: str, root: Any = None) -> Any:
    root = root or node
    name, rest = path[0], path[1:]
    is_part = name in _OPTIONAL or is_dataclass(getattr(node, name, None))
    if name not in {f.name for f in fields(node)} or is_part != bool(rest):
        raise _unknown_key(key, _keys(root))
    if rest:
        return replace(node, **{name: _replace_path(getattr(node, name), rest, value, key, root)})
    return replace(node, **{name: _parse(get_type_hints(type(node))[name], value, key)})


def _flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        is_part = isinstance(value, Mapping) and value  # an empty one says nothing: its key is refused
        flat |= _flatten(value, f"{prefix}{key}.") if is_part else {prefix + key: value}
    return flat


def _parse(hint: Any, value: Any, key: str) -> Any:
    """Convert text or a JSON/TOML value to the field's type; raise UsageError when it is no such thing."""
    try:
        if hint is bool:
            return {"true": True, "false": False}[str(value).lower()]
        if hint is int:
            if isinstance(value, bool) or int(value) != float(value):
                raise ValueError
            return int(value)
        if hint is float:
            if isinstance(value, bool):
                raise ValueError
            return float(value)
        if get_origin(hint) is tuple:
            items = value.split(",") if isinstance(value, str) else value
            return tuple(_parse(get_args(hint)[0], item, key) for item in items)
        if hint is str or get_origin(hint) is Literal:
            return str(value)
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise UsageError(f"recipe key {key!r}: {value!r} is not a valid {_TYPE_NAMES[hint]}.") from error
    raise UsageError(f"recipe key {key!r} cannot be set to a single value.")
