"""Further test sets by name: what --test-sets takes, and studies ask for.

| name | what it is |
|---|---|
| train[:N] | the first N training images, not augmented: the training error |
| fresh-K[:N] | N fresh examples of the synthetic distribution, stream K = 2, 3, ... |
| KIND-S[:N] | the test set corrupted, see `corruptions`: noise-1 ... sketch-5 |
| cifar10.1-v4[:N], cifar10.1-v6[:N] | CIFAR-10.1, from files beside CIFAR-10, see `shifted` |
| cifar10.2[:N], cinic10[:N] | the test sets of CIFAR-10.2 and CINIC-10, likewise |
| cifar10-c-KIND-S[:N] | CIFAR-10-C, likewise: cifar10-c-fog-3 |
"""

import re
import sys
from collections.abc import Callable, Sequence

from airbench_var.data import shifted, synthetic
from airbench_var.data.corruptions import KINDS, SEVERITIES, Corrupted
from airbench_var.data.dataset import Dataset, Examples
from airbench_var.errors import DataError, UsageError, nearest

#: Fresh examples where no number is given.
FRESH = 100_000


def on_stderr(text: str) -> None:
    """Say it where progress is said."""
    print(text, file=sys.stderr)


def named(
    data: Dataset,
    texts: Sequence[str],
    *,
    skip_missing: bool = False,
    say: Callable[[str], None] = on_stderr,
) -> dict[str, Examples]:
    """Return the further test sets of a data set that these texts name, NAME or NAME:N, in order.

    Those whose files are missing are left out with `skip_missing`, and `say` is told; it is also told of
    files that are not the official ones.

    Raises:
        UsageError: a name is none, does not go with the data, or is given twice, or N is more than there are.
        DataError: files are missing, all of which are named, or not what they claim to be.
        DeviceError: cinic10 lacks Pillow.
    """
    sizes = _sizes(texts)
    published = {name: one for name in sizes if (one := _published(data, name, sizes[name]))}
    found = {name: _named(data, name, n) for name, n in sizes.items() if name not in published}
    if not published:
        return found
    if data.folder is None:
        raise UsageError(
            f"test set {next(iter(published))!r} lies beside CIFAR-10: give the data its folder."
        )
    missing = {name: files for name, one in published.items() if (files := one.missing(data.folder))}
    if missing and not skip_missing:
        raise DataError(
            f"{shifted.lacking(data.folder, {published[name]: files for name, files in missing.items()})}. "
            f"Put the files there, or leave out {', '.join(missing)}, as --skip-missing-test-sets does."
        )
    skipped: dict[str, list[str]] = {}
    doubts: dict[str, list[str]] = {}
    for name, one in published.items():
        if name in missing:
            skipped.setdefault(shifted.lacking(data.folder, {one: missing[name]}), []).append(name)
            continue
        found[name] = one.load(data.folder, sizes[name])
        if doubt := one.doubt(data.folder):
            doubts.setdefault(doubt, []).append(name)
    for why, names in skipped.items():
        say(f"skipped test set {', '.join(names)}: {why}.")
    for doubt, names in doubts.items():
        say(f"note: {doubt}: test set {', '.join(names)}")
    return {name: found[name] for name in sizes if name in found}


def _sizes(texts: Sequence[str]) -> dict[str, int | None]:
    """Return what is asked for, by name."""
    sizes: dict[str, int | None] = {}
    for text in texts:
        name, colon, size = text.strip().partition(":")
        if colon and not re.fullmatch(r"[1-9]\d{0,8}", size):
            raise UsageError(f"test set {text!r}: after the colon goes a number of examples: train:5000.")
        if name in sizes:
            raise UsageError(f"test set {name!r} is given twice.")
        sizes[name] = int(size) if size else None
    return sizes


def _published(data: Dataset, name: str, n: int | None) -> shifted.Published | None:
    one = shifted.published(name)
    if one and data.name != "cifar10":
        raise UsageError(
            f"test set {name!r} has the classes of CIFAR-10: it goes with --data cifar10, not {data.name}."
        )
    if one:
        _refuse_beyond(name, n, one.size)
    return one


def _refuse_beyond(name: str, n: int | None, size: int) -> None:
    if n is not None and n > size:
        raise UsageError(f"test set {name}:{n}: there are {size} examples.")


def _named(data: Dataset, name: str, n: int | None) -> Examples:
    if match := re.fullmatch(r"fresh-(\d{1,9})", name):
        stream = int(match[1])
        if data.name != "synthetic" or stream < len(synthetic.STREAMS):
            raise UsageError(
                f"test set {name!r}: fresh examples come from the synthetic distribution (--data synthetic), "
                f"in streams from {len(synthetic.STREAMS)} on."
            )
        return synthetic.Fresh(stream=stream, n=n or FRESH)
    kind, _, severity = name.rpartition("-")
    if name == "train":
        base = data.train
    elif kind in KINDS and severity in map(str, SEVERITIES):
        base = data.test
    else:
        made = (f"{kind}-{severity}" for kind in KINDS for severity in SEVERITIES)
        known = ["train", "fresh-2", *made, *shifted.NAMES]
        raise UsageError(
            f"test set {name!r}: there is none of that name{nearest(name, known)}. Known: train, fresh-K, "
            f"and {', '.join(KINDS)}, each with -1 to -5. Of files beside CIFAR-10: "
            f"{', '.join(shifted.NAMES[:4])}, and cifar10-c- with {', '.join(shifted.KINDS)} and -1 to -5."
        )
    _refuse_beyond(name, n, len(base))
    some = base if n is None else base.first(n)
    return some if name == "train" else Corrupted(base=some, kind=kind, severity=int(severity))
