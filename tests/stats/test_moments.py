from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from igc.errors import StateMismatchError
from igc.stats.correlation import correlation, jackknife_error, leave_one_out
from igc.stats.moments import Moments


def draw(n, seed=0, offset=0.0, shared=False):
    random = np.random.default_rng(seed)
    scalars = random.normal(size=(n, 3, 2)) + offset
    maps = random.normal(size=(n, 1 if shared else 3, 5)) + offset + scalars[:, : 1 if shared else 3, :1]
    return scalars, maps, random.integers(0, 4, n)


@settings(max_examples=40, deadline=None)
@given(cuts=st.lists(st.integers(0, 60), max_size=6), seed=st.integers(0, 99), shared=st.booleans())
def test_any_partition_gives_the_same_moments(cuts, seed, shared):
    scalars, maps, blocks = draw(60, seed, shared=shared)
    whole = Moments.of(scalars, maps, blocks)
    total = Moments.empty(3, maps.shape[1], 2, 5)
    edges = [0, *sorted(cuts), 60]
    for a, b in pairwise(edges):
        total = total.merge(Moments.of(scalars[a:b], maps[a:b], blocks[a:b]))
    for name, value in whole.to_arrays().items():
        np.testing.assert_allclose(total.to_arrays()[name], value, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_covariances_equal_numpy_also_far_from_zero(offset):
    scalars, maps, blocks = draw(200, offset=offset)
    state = Moments.empty(3, 3, 2, 5)
    for a in range(0, 200, 17):
        state = state.merge(Moments.of(scalars[a : a + 17], maps[a : a + 17], blocks[a : a + 17]))
    pooled = state.pooled()
    for k in range(3):
        expected = np.cov(scalars[:, k, 0], maps[:, k].T, bias=True)
        np.testing.assert_allclose(pooled.covariance(0)[0, k], expected[0, 1:], rtol=1e-7)
        np.testing.assert_allclose(pooled.map_variance()[0, k], np.diag(expected)[1:], rtol=1e-7)
        expected_r = np.corrcoef(scalars[:, k, 0], scalars[:, k, 1])[0, 1]
        np.testing.assert_allclose(correlation(pooled)[0, k], expected_r, rtol=1e-6)
    np.testing.assert_allclose(pooled.absolute_map[0], np.abs(maps).mean(axis=0))


def test_leaving_a_block_out_equals_computing_without_it():
    scalars, maps, blocks = draw(80)
    rest = leave_one_out(Moments.of(scalars, maps, blocks))
    for i, name in enumerate(np.unique(blocks)):
        kept = blocks != name
        direct = Moments.of(scalars[kept], maps[kept])
        for field in ("weight", "mean_map", "scalars", "scalar_map", "map"):
            np.testing.assert_allclose(getattr(rest, field)[i], getattr(direct, field)[0], rtol=1e-10, atol=1e-12)


def test_jackknife_of_a_mean_is_its_standard_error():
    values = np.random.default_rng(0).normal(size=50)
    without = (values.sum() - values) / 49
    np.testing.assert_allclose(jackknife_error(without), values.std(ddof=1) / np.sqrt(50))


def test_states_of_other_shapes_are_refused():
    scalars, maps, _ = draw(10)
    with pytest.raises(StateMismatchError, match="one design"):
        Moments.of(scalars, maps).merge(Moments.of(scalars, maps[:, :, :4]))


def test_a_state_survives_being_written_as_arrays():
    state = Moments.of(*draw(20))
    again = Moments.from_arrays(state.to_arrays())
    for name, value in state.to_arrays().items():
        np.testing.assert_array_equal(again.to_arrays()[name], value)


def test_a_constant_response_has_no_correlation():
    scalars, maps, _ = draw(30)
    scalars[:, 1, 0] = 2.0
    assert correlation(Moments.of(scalars, maps))[0, 1] == 0
