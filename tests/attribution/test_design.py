from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from igc.attribution.correlation.design import PairDesign


def bounds(n, blocks):
    edges = [n * i // blocks for i in range(blocks + 1)]
    return tuple(pairwise(edges))


@settings(max_examples=60, deadline=None)
@given(n=st.integers(6, 50), blocks=st.integers(1, 4), fraction=st.floats(0.05, 1.0), seed=st.integers(0, 999))
def test_pairs_join_different_samples_at_points_inside_their_segment(n, blocks, fraction, seed):
    if n < 2 * blocks:
        return
    design = PairDesign(bounds(n, blocks), seed, 0, 3, fraction)
    for index in range(design.n_units):
        unit = design.unit(index)
        assert np.all(unit.left != unit.right)
        assert np.all((unit.position >= 0) & (unit.position < 1))
        assert unit.weight > 0


@pytest.mark.parametrize(("n", "blocks", "fraction"), [(7, 1, 1.0), (7, 2, 1.0), (11, 3, 0.4)])
def test_every_ordered_pair_is_equally_likely(n, blocks, fraction):
    replicates = 6000
    design = PairDesign(bounds(n, blocks), 1, 0, replicates, fraction)
    weights = np.zeros((n, n))
    squares = np.zeros((n, n))
    for index in range(design.n_units):
        unit = design.unit(index)
        np.add.at(weights, (unit.left, unit.right), unit.weight)
        np.add.at(squares, (unit.left, unit.right), unit.weight**2)
    off = ~np.eye(n, dtype=bool)
    expected = replicates * n * fraction / (n * (n - 1))
    z = (weights[off] - expected) / np.sqrt(squares[off])
    assert np.abs(z).max() < 5
    assert weights.sum() == pytest.approx(replicates * n * fraction, rel=0.01)


def test_a_full_replicate_uses_each_sample_once_on_the_left():
    design = PairDesign(bounds(50, 3), 0, 0, 2)
    for replicate in range(2):
        left = np.concatenate([design.unit(replicate * 3 + block).left for block in range(3)])
        assert Counter(left.tolist()) == Counter(range(50))


def test_later_replicates_do_not_depend_on_how_many_came_before():
    one = PairDesign(bounds(40, 2), 3, 0, 20).unit(2 * 17 + 1)
    other = PairDesign(bounds(40, 2), 3, 16, 4).unit(2 * 1 + 1)
    np.testing.assert_array_equal(one.left, other.left)
    np.testing.assert_array_equal(one.position, other.position)
