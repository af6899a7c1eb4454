"""Seeds of a run, and the order of an epoch."""

import numpy as np
import pytest
from scipy import stats

from airbench_var.errors import UsageError
from airbench_var.philox import philox4x32
from airbench_var.seeds import ORDER_STREAM, STREAMS, Seeds, epoch_order, parse_vary, seeds_of_run


def test_seeds_are_a_fixed_function_of_campaign_seed_and_run_id() -> None:
    # Golden values: a change of these would give every store other runs under the same ids.
    assert seeds_of_run(1, 0) == Seeds(
        init=8431846347943309920, order=5388939860413915384, aug=5471254088204176965
    )
    assert seeds_of_run(1, 7) == Seeds(
        init=15460960693284752821, order=4910932821901446351, aug=3644032597778909384
    )


def test_seeds_of_runs_streams_and_campaigns_all_differ() -> None:
    seeds = [
        value
        for campaign in range(3)
        for run in range(200)
        for value in vars(seeds_of_run(campaign, run)).values()
    ]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**64 for seed in seeds)
    assert max(seeds) >= 2**63  # the whole range is used, so every reader must take unsigned 64 bits


@pytest.mark.parametrize("vary", [(), ("order",), ("init", "aug"), STREAMS])
def test_a_stream_that_is_not_varied_keeps_its_value_of_run_0(vary: tuple[str, ...]) -> None:
    free, first = seeds_of_run(5, 9), seeds_of_run(5, 0)
    some = seeds_of_run(5, 9, vary)
    for stream in STREAMS:
        assert getattr(some, stream) == getattr(free if stream in vary else first, stream)


def test_run_0_is_the_same_whatever_varies() -> None:
    assert {seeds_of_run(5, 0, vary) for vary in ((), ("aug",), STREAMS)} == {seeds_of_run(5, 0)}


def test_parse_vary_orders_and_refuses() -> None:
    assert parse_vary("aug, init") == ("init", "aug")
    assert parse_vary(("aug", "init", "aug")) == ("init", "aug")
    for nothing in ("", " , ", ()):
        with pytest.raises(UsageError, match="all runs would be equal"):
            parse_vary(nothing)
    with pytest.raises(UsageError, match=r"'ordr' is no source of randomness.*did you mean 'order'"):
        parse_vary("ordr")
    with pytest.raises(UsageError, match=r"'ordr' is no source of randomness"):
        parse_vary(("init", "ordr"))


def test_epoch_order_golden_values() -> None:
    assert epoch_order(0, 0, 10).tolist() == [6, 7, 3, 0, 8, 2, 1, 4, 9, 5]
    assert epoch_order(2**64 - 1, 3, 10).tolist() == [9, 4, 5, 2, 1, 7, 3, 8, 0, 6]


def test_epoch_order_sorts_the_64_bit_words_of_the_order_stream() -> None:
    seed, epoch, n = 99, 4, 5000
    high, low, _, _ = philox4x32(seed, np.arange(n), epoch, ORDER_STREAM)
    keys = [int(h) << 32 | int(w) for h, w in zip(high, low, strict=True)]
    assert epoch_order(seed, epoch, n).tolist() == sorted(range(n), key=lambda i: (keys[i], i))


@pytest.mark.parametrize("n", [0, 1, 2, 1000])
def test_epoch_order_is_a_permutation(n: int) -> None:
    order = epoch_order(12, 3, n)
    assert order.dtype == np.int64
    assert sorted(order.tolist()) == list(range(n))


def test_epochs_and_seeds_have_unrelated_orders() -> None:
    n = 2000
    orders = [epoch_order(seed, epoch, n) for seed in (0, 1, 2**32, 2**63) for epoch in (0, 1, 2)]
    # Two independent permutations agree in a Poisson(1) number of places: more than 8 has chance 1e-6 a pair.
    for i, one in enumerate(orders):
        for other in orders[:i]:
            assert np.count_nonzero(one == other) <= 8


def test_every_place_of_an_epoch_is_equally_likely() -> None:
    # Where example 0 of 10 lands over 4000 epochs; fixed seed, level 1e-3.
    places = [int(np.flatnonzero(epoch_order(77, epoch, 10) == 0)[0]) for epoch in range(4000)]
    assert stats.chisquare(np.bincount(places, minlength=10)).pvalue > 1e-3
