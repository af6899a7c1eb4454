"""Frozen hyperparameters with one canonical hash: how they are checked, changed, written and read."""

import hashlib
import json
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass, replace
from pathlib import Path
from types import NoneType
from typing import Any, ClassVar, Literal, Self, TypeVar, get_args, get_origin, get_type_hints

from airbench_var.errors import UsageError, nearest

R = TypeVar("R", bound="Hyperparameters")

#: Keys, what must hold for their value, and that in words.
Range = tuple[tuple[str, ...], Callable[[Any], bool], str]


@dataclass(frozen=True, kw_only=True)
class Hyperparameters:
    """What decides a run except seeds, data and device: a base of recipes, whose fields are these values.

    Fields are numbers, texts, Literals, tuples of whole numbers, and parts: dataclasses of such fields. A
    field that may be None is a part that a recipe may lack; it is then left out of the dict and of the hash,
    so that recipes from before such a part was known keep theirs.
    """

    RANGES: ClassVar[tuple[Range, ...]] = ()
    DATA: ClassVar[tuple[str, ...]] = ()  #: what it can train on, by name; the first is the default

    name: str

    def __post_init__(self) -> None:
        """Refuse, as a UsageError, any value of another type, not finite, no choice, or out of its range."""
        _check("", self, self.RANGES)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; nested parts carry their class as 'kind'."""
        return _encode(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build a recipe from `to_dict`'s output; raise UsageError for unknown kinds, keys or values."""
        hints, parts = get_type_hints(cls), dict[str, Any]()
        for key, value in values.items():
            if isinstance(value, Mapping):
                given = dict(value)
                kinds = {kind.__name__: kind for kind in _kinds(hints.get(key))}
                kind = kinds.get(given.pop("kind", ""))
                if kind is None:
                    raise UsageError(
                        f"recipe key {key!r}: no kind {value.get('kind')!r}; known: {sorted(kinds)}."
                    )
                parts[key] = _build(kind, given, f"{key}.")
            else:
                parts[key] = value
        recipe: Self = _build(cls, parts, "")
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

    def with_values(self, changes: Mapping[str, Any]) -> Self:
        """Return a copy with dotted keys replaced ('optimizer.lr': 0.3); text values are parsed by type.

        The keys of a part that the recipe lacks ('poke.step': 3) make that part.
        """
        recipe = self
        for name, kind in _optional_parts(type(self)).items():
            own = {key: value for key, value in changes.items() if key.startswith(f"{name}.")}
            if own and getattr(self, name) is None:
                given = {key.removeprefix(f"{name}."): value for key, value in own.items()}
                recipe = replace(recipe, **{name: _build(kind, given, f"{name}.")})
                changes = {key: value for key, value in changes.items() if key not in own}
        for key, value in changes.items():
            recipe = _replace_path(recipe, key.split("."), value, key)
        return recipe


def load_toml(path: Path, named: Mapping[str, Callable[[], R]]) -> R:
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
    return named[base]().with_values(_flatten(values))


def parse_assignments(texts: list[str], option: str = "--set") -> dict[str, str]:
    """Turn ['epochs=4', 'optimizer.lr=0.1'] of an option into a mapping; raise UsageError without a '='."""
    changes = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"{option} {text}: expected KEY=VALUE, for example {option} epochs=4.")
        changes[key.strip()] = value.strip()
    return changes


def _encode(node: Any) -> dict[str, Any]:
    """A number has one spelling, its field's type: epochs = 8 and epochs = 8.0 are one recipe, one hash."""
    hints, encoded = _hints(type(node)), {}
    for f in fields(node):
        value = getattr(node, f.name)
        if value is None:
            continue
        if is_dataclass(value):
            value = {"kind": type(value).__name__, **_encode(value)}
        elif hints[f.name] is float:
            value = float(value)
        encoded[f.name] = list(value) if isinstance(value, tuple) else value
    return encoded


def _hints(kind: Any) -> dict[str, Any]:
    """Return the types of its fields, resolved."""
    hints = get_type_hints(kind)
    return {f.name: hints[f.name] for f in fields(kind)}


def _kinds(hint: Any) -> list[type]:
    """Return the dataclasses that a field of this type may hold; of no part it is empty."""
    return [kind for kind in get_args(hint) or (hint,) if is_dataclass(kind) and isinstance(kind, type)]


def _optional_parts(kind: Any) -> dict[str, type]:
    """Return the parts that may be None, by name."""
    return {name: _kinds(hint)[0] for name, hint in _hints(kind).items() if NoneType in get_args(hint)}


def _check(where: str, node: Any, ranges: tuple[Range, ...]) -> None:
    """Every value has the declared type, is finite, among the choices, and in its range."""
    hints = _hints(type(node))
    for f in fields(node):
        key, hint, value = where + f.name, hints[f.name], getattr(node, f.name)
        if not _has_type(value, hint):
            raise UsageError(f"recipe key {key!r}: {value!r} is not a valid {_type_name(hint)}.")
        if is_dataclass(value):
            _check(f"{key}.", value, ranges)
            continue
        if get_origin(hint) is Literal and value not in get_args(hint):
            choices = [str(c) for c in get_args(hint)]
            raise UsageError(
                f"recipe key {key!r} is {value!r}{nearest(str(value), choices)}; "
                f"choose from {', '.join(choices)}."
            )
        if hint is float and not abs(value) < float("inf"):
            raise UsageError(f"recipe key {key!r} is {value}; it must be a finite number.")
        for keys, holds, range_text in ranges:
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
    return " or ".join(kind.__name__ for kind in _kinds(hint)) or _TYPE_NAMES[hint]


def _has_type(value: Any, hint: Any) -> bool:
    if hint == tuple[int, ...]:
        return isinstance(value, tuple) and all(_has_type(item, int) for item in value)
    if hint in (int, float):  # a whole number is a number; true is not
        return isinstance(value, (int, float) if hint is float else int) and not isinstance(value, bool)
    return get_origin(hint) is Literal or isinstance(value, hint)


def _build(kind: Any, values: dict[str, Any], where: str) -> Any:
    known = _hints(kind)
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
    lacking = _optional_parts(node if isinstance(node, type) else type(node))
    for f in fields(node):
        value = getattr(node, f.name, None)
        if value is None:
            value = lacking.get(f.name)
        keys += _keys(value, f"{prefix}{f.name}.") if is_dataclass(value) else [prefix + f.name]
    return keys


def _replace_path(node: Any, path: list[str], value: Any, key: str, root: Any = None) -> Any:
    root = root or node
    name, rest = path[0], path[1:]
    known = _hints(type(node))
    if name not in known or bool(_kinds(known[name])) != bool(rest):
        raise _unknown_key(key, _keys(root))
    if rest:
        return replace(node, **{name: _replace_path(getattr(node, name), rest, value, key, root)})
    return replace(node, **{name: _parse(known[name], value, key)})


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
