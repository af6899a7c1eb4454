"""Randomness is data: the three seeds of a run, and the draws that follow from them."""

from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from airbench_var.errors import UsageError, nearest
from airbench_var.philox import philox4x32

#: Third counter word, so that two uses of one seed never share a draw.
AUGMENT_STREAM, ORDER_STREAM = 0, 1


@dataclass(frozen=True, kw_only=True)
class Seeds:
    """The unsigned 64-bit seeds of one run: initialisation, data order, augmentation (paper, App D.1)."""

    init: int
    order: int
    aug: int


STREAMS = tuple(field.name for field in fields(Seeds))


def parse_vary(what: str | Iterable[str]) -> tuple[str, ...]:
    """Return the streams of 'init,order,aug', or of these names, in canonical order.

    Raises: UsageError for none, or for another name.
    """
    named = what.split(",") if isinstance(what, str) else what
    names = [name for name in (str(one).strip() for one in named) if name]
    choose = f"Choose from {', '.join(STREAMS)}; on the command line as --vary init,order."
    if not names:
        raise UsageError(f"Nothing is to be varied, so that all runs would be equal. {choose}")
    for name in names:
        if name not in STREAMS:
            raise UsageError(
                f"What varies: {name!r} is no source of randomness{nearest(name, STREAMS)}. {choose}"
            )
    return tuple(name for name in STREAMS if name in names)


def seeds_of_run(campaign_seed: int, run_id: int, vary: tuple[str, ...] = STREAMS) -> Seeds:
    """Return the seeds of one run; a stream that is not varied has the value it has in run 0.

    Source: `numpy.random.SeedSequence` with the run id as spawn key, whose output NumPy keeps fixed.
    """
    own = _values(campaign_seed, run_id)
    first = own if set(vary) >= set(STREAMS) else _values(campaign_seed, 0)
    values = {name: (own if name in vary else first)[i] for i, name in enumerate(STREAMS)}
    return Seeds(**values)


def _values(campaign_seed: int, run_id: int) -> list[int]:
    sequence = np.random.SeedSequence(campaign_seed, spawn_key=(run_id,))
    values: list[int] = sequence.generate_state(len(STREAMS), np.uint64).tolist()
    return values


def init_generator(init_seed: int) -> np.random.Generator:
    """Return the generator of a run's initial weights.

    NumPy's Philox takes all 64 bits of the seed; torch's CPU generator would silently use the low 32, so that
    among 60,000 runs one in three campaigns would have two runs with the same initial weights.
    """
    return np.random.Generator(np.random.Philox(key=init_seed))


def epoch_order(order_seed: int, epoch: int, n: int) -> npt.NDArray[np.int64]:
    """Return the order of n examples in an epoch, int64 (n,): a stable argsort of 64-bit Philox keys.

    Two equal keys (chance n**2 / 2**65) keep their index order, so the result is defined everywhere.
    """
    high, low, _, _ = philox4x32(order_seed, np.arange(n), epoch, ORDER_STREAM)
    return np.argsort(high << np.uint64(32) | low, kind="stable")
