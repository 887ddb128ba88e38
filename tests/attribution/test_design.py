from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from igc.attribution.correlation.contrast import EVEN, Contrast, find_contrast
from igc.attribution.correlation.design import PairDesign
from igc.attribution.gradients import Outputs
from igc.attribution.problem import Problem, group_blocks
from igc.steps.sources import ArraySource


def contrast_of(responses):
    return Contrast(lambda rows: responses[rows], 1 / responses.std(axis=0))


def responses_of(n, targets, seed=0):
    return np.random.default_rng(seed).normal(size=(n, targets))


def bounds(n, blocks):
    edges = [n * i // blocks for i in range(blocks + 1)]
    return tuple(pairwise(edges))


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(6, 50),
    blocks=st.integers(1, 4),
    fraction=st.floats(0.05, 1.0),
    seed=st.integers(0, 999),
    targets=st.integers(0, 3),
)
def test_pairs_join_different_samples_at_points_inside_their_segment(n, blocks, fraction, seed, targets):
    if n < 2 * blocks:
        return
    contrast = contrast_of(responses_of(n, targets, seed)) if targets else None
    design = PairDesign(bounds(n, blocks), seed, 0, 3, fraction, contrast=contrast)
    for index in range(design.n_units):
        unit = design.unit(index)
        assert np.all((unit.ratio > 0) & (unit.ratio <= 1 / EVEN))
        assert np.all(unit.left != unit.right)
        assert np.all((unit.position >= 0) & (unit.position < 1))
        assert unit.weight > 0


@pytest.mark.parametrize("targets", [0, 1, 2])
@pytest.mark.parametrize(("n", "blocks", "fraction"), [(7, 1, 1.0), (7, 2, 1.0), (11, 3, 0.4)])
def test_every_ordered_pair_is_equally_likely_after_weighting(n, blocks, fraction, targets):
    replicates = 6000
    contrast = contrast_of(responses_of(n, targets)) if targets else None
    design = PairDesign(bounds(n, blocks), 1, 0, replicates, fraction, contrast=contrast)
    weights = np.zeros((n, n))
    squares = np.zeros((n, n))
    for index in range(design.n_units):
        unit = design.unit(index)
        np.add.at(weights, (unit.left, unit.right), unit.weight * unit.ratio)
        np.add.at(squares, (unit.left, unit.right), (unit.weight * unit.ratio) ** 2)
    off = ~np.eye(n, dtype=bool)
    expected = replicates * n * fraction / (n * (n - 1))
    z = (weights[off] - expected) / np.sqrt(squares[off])
    assert np.abs(z).max() < 5
    assert weights.sum() == pytest.approx(replicates * n * fraction, rel=0.01)


def test_by_contrast_pairs_of_different_responses_are_drawn_in_proportion():
    responses = np.arange(9.0)[:, None]
    contrast = contrast_of(responses)
    design = PairDesign(bounds(9, 1), 0, 0, 4000, contrast=contrast)
    drawn = np.zeros((9, 9))
    for index in range(design.n_units):
        unit = design.unit(index)
        np.add.at(drawn, (unit.left, unit.right), 1.0)
    difference = np.abs(responses - responses.T)
    off = ~np.eye(9, dtype=bool)
    wanted = EVEN + (1 - EVEN) * difference / difference[off].mean()
    ratio = drawn[off] / wanted[off]
    # the chances of a unit are relative to those of its candidates, here all pairs
    np.testing.assert_allclose(ratio / ratio.mean(), 1, atol=5 / np.sqrt(drawn[off].min()))


def problem_of(responses):
    source = ArraySource((np.zeros((len(responses), 2)),), responses, np.arange(len(responses)))
    return Problem(Outputs(lambda x: x), source, group_blocks(None, len(responses)))


def test_contrast_is_used_where_it_is_expected_to_win_a_fifth():
    def used(responses):
        return find_contrast(problem_of(responses)) is not None

    heavy = np.random.default_rng(0).standard_t(2, size=(300, 4))
    classes = np.eye(3)[np.random.default_rng(0).integers(0, 3, 300)]
    assert used(responses_of(300, 1))
    assert used(responses_of(300, 2))
    assert used(heavy)
    assert used(np.repeat([[0.0], [1.0]], 150, axis=0))
    assert not used(responses_of(300, 4))
    assert not used(classes)
    assert not used(np.ones((300, 1)))


def test_of_two_values_pairs_that_say_nothing_are_drawn_as_often_as_the_even_share_demands():
    responses = np.repeat([[0.0], [1.0]], 40, axis=0)
    design = PairDesign(bounds(80, 1), 0, 0, 200, contrast=contrast_of(responses))
    units = [design.unit(index) for index in range(design.n_units)]
    silent = np.mean([responses[u.left, 0] == responses[u.right, 0] for u in units])
    assert silent == pytest.approx(EVEN * 39 / 79, rel=0.1)


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
