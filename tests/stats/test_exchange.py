import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from igc.errors import DataError, ShapeError
from igc.stats.exchange import exchange_units

RUNS = np.repeat(np.arange(3), 24)
BLOCKS = np.repeat(np.arange(18), 4)


def test_single_samples_are_permuted_freely():
    exchange = exchange_units(50)
    draw = exchange.permutation(0, 0)
    np.testing.assert_array_equal(np.sort(draw), np.arange(50))
    assert not np.array_equal(draw, exchange.permutation(0, 1))
    assert not np.array_equal(draw, exchange.permutation(1, 0))
    np.testing.assert_array_equal(draw, exchange.permutation(0, 0))
    np.testing.assert_array_equal(draw, exchange_units(50, groups=np.arange(50)[::-1]).permutation(0, 0))


def test_every_arrangement_is_equally_likely():
    exchange = exchange_units(16, exchange=np.repeat(np.arange(4), 4))
    draws = [tuple(exchange.permutation(0, i)[::4]) for i in range(2400)]
    counts = [draws.count(order) for order in itertools.permutations((0, 4, 8, 12))]
    assert sum(counts) == 2400
    assert np.sum((np.array(counts) - 100) ** 2 / 100) < 50  # chi-square, 23 degrees of freedom


@settings(max_examples=30, deadline=None)
@given(shuffle=st.integers(0, 1000), index=st.integers(0, 1000))
def test_blocks_stay_whole_in_their_order_and_inside_their_run(shuffle, index):
    order = np.random.default_rng(shuffle).permutation(72)  # samples come in any order
    draw = exchange_units(72, RUNS[order], BLOCKS[order], position=order).permutation(0, index)
    given_to = np.empty(72, int)
    given_to[order] = order[draw]  # in the order of measurement
    np.testing.assert_array_equal(RUNS[given_to], RUNS)
    for block in given_to.reshape(18, 4):
        np.testing.assert_array_equal(np.diff(block), 1)
        assert block[0] % 4 == 0
    np.testing.assert_array_equal(given_to, exchange_units(72, RUNS, BLOCKS).permutation(0, index))


def test_units_of_one_size_change_places_only():
    blocks = np.repeat(np.arange(12), [2, 3] * 6)
    exchange = exchange_units(30, np.repeat([0, 1], 15), blocks)
    sizes = np.bincount(blocks)
    for index in range(20):
        draw = exchange.permutation(0, index)
        np.testing.assert_array_equal(sizes[blocks[draw]], sizes[blocks])
        assert (draw[:15] < 15).all()


def test_images_move_with_all_their_repeats():
    images = np.array([0, 1, 2, 3, 4, 0, 1, 2, 3, 4])
    for exchange in (exchange_units(10, images), exchange_units(10, images, images)):
        draw = exchange.permutation(0, 3)
        np.testing.assert_array_equal(images[draw][:5], images[draw][5:])
        assert not np.array_equal(draw, np.arange(10))


def test_folds_are_permuted_independently():
    first, second = (exchange_units(60, position=np.arange(60) + start) for start in (0, 60))
    assert not np.array_equal(first.permutation(0, 0), second.permutation(0, 0))


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"groups": np.repeat(np.arange(10), [3, 5] * 5)}, DataError, "groups of 3 to 5 samples.*exchange="),
        ({"groups": np.repeat([0, 1], 20)}, DataError, "2 possible permutations, allowed is at least 20"),
        ({"groups": np.repeat([0, 1], 20), "exchange": np.repeat([0, 1], 20)}, DataError, "smaller units"),
        ({"groups": np.repeat([0, 1], 20), "exchange": np.arange(40) % 7}, DataError, "lies in several groups"),
        ({"exchange": np.arange(39)}, ShapeError, "one label a sample"),
        ({"groups": np.arange(41)}, ShapeError, "one label a sample"),
    ],
)
def test_what_cannot_be_exchanged_is_refused_in_one_line(arguments, error, words):
    with pytest.raises(error, match=words) as caught:
        exchange_units(40, **arguments)
    assert "\n" not in str(caught.value)
