"""Further test sets by name: what --test-sets takes, and studies ask for.

| name | what it is |
|---|---|
| train[:N] | the first N training images, not augmented: the training error |
| fresh-K[:N] | N fresh examples of the synthetic distribution, stream K = 2, 3, ... |
| KIND-S[:N] | the test set corrupted, see `corruptions`: noise-1 ... sketch-5 |
"""

import re
from collections.abc import Sequence

from airbench_var.data import synthetic
from airbench_var.data.corruptions import KINDS, SEVERITIES, Corrupted
from airbench_var.data.dataset import Dataset, Examples
from airbench_var.errors import UsageError, nearest

#: Fresh examples where no number is given.
FRESH = 100_000


def named(data: Dataset, texts: Sequence[str]) -> dict[str, Examples]:
    """Return the further test sets of a data set that these texts name, NAME or NAME:N, in order.

    Raises: UsageError for a name that is none, or is given twice, or an N beyond what there is.
    """
    found: dict[str, Examples] = {}
    for text in texts:
        name, colon, size = text.strip().partition(":")
        if colon and not re.fullmatch(r"[1-9]\d{0,8}", size):
            raise UsageError(f"test set {text!r}: after the colon goes a number of examples: train:5000.")
        if name in found:
            raise UsageError(f"test set {name!r} is given twice.")
        found[name] = _named(data, name, int(size) if size else None)
    return found


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
        known = ["train", "fresh-2", *(f"{kind}-{severity}" for kind in KINDS for severity in SEVERITIES)]
        raise UsageError(
            f"test set {name!r}: there is none of that name{nearest(name, known)}. Known: train, fresh-K, "
            f"and {', '.join(KINDS)}, each with -1 to -5."
        )
    if n is not None and n > len(base):
        raise UsageError(f"test set {name}:{n}: there are {len(base)} examples.")
    some = base if n is None else base.first(n)
    return some if name == "train" else Corrupted(base=some, kind=kind, severity=int(severity))
