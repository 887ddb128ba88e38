"""Random contiguous regions: what touches, that regions hold together, and tests against exact answers."""

import numpy as np
import pytest
from scipy import ndimage
from scipy.stats import kstest

from igc.comparison.sizes import grown_orders, null_sums, size_test, touching


def grid(*shape: int) -> np.ndarray:
    return np.argwhere(np.ones(shape, dtype=bool))


def test_neighbours_of_a_grid_share_a_side_and_edges_do_not_wrap():
    graph = touching(grid(2, 3)).toarray()
    pairs = {(i, j) for i, j in zip(*np.nonzero(graph), strict=True) if i < j}
    assert pairs == {(0, 1), (1, 2), (3, 4), (4, 5), (0, 3), (1, 4), (2, 5)}
    np.testing.assert_array_equal(graph, graph.T)


def test_neighbours_of_a_mask_are_its_own_voxels_wherever_it_lies():
    places = np.array([[10, 4, 7], [10, 4, 8], [12, 4, 8], [10, 5, 8]])
    pairs = {(i, j) for i, j in zip(*np.nonzero(touching(places).toarray()), strict=True) if i < j}
    assert pairs == {(0, 1), (1, 3)}


@pytest.mark.parametrize("size", [1, 7, 25, 60])
def test_regions_of_every_size_hold_together(size):
    for order in grown_orders(touching(grid(8, 9)), 20, 0):
        mask = np.zeros(72, dtype=bool)
        mask[order[:size]] = True
        assert ndimage.label(mask.reshape(8, 9))[1] == 1
        assert sorted(order) == list(range(72))


def test_every_unit_is_as_often_the_first():
    firsts = grown_orders(touching(grid(4, 4)), 3200, 1)[:, 0]
    counts = np.bincount(firsts, minlength=16)
    # multinomial: 200 each with a deviation of 13.7
    assert np.abs(counts - 200).max() < 5 * 13.7


def test_parts_that_do_not_touch_are_filled_one_after_the_other():
    places = np.concatenate([grid(3, 3), grid(3, 3) + 10])
    for order in grown_orders(touching(places), 30, 0):
        assert len(set(order[:9] // 9)) == 1


def test_units_without_neighbours_make_random_subsets():
    orders = grown_orders(touching(2 * np.arange(30)[:, None]), 400, 0)
    assert np.corrcoef(orders.T).shape == (30, 30)
    assert len({tuple(order) for order in orders}) == 400
    assert abs(np.corrcoef(orders[:, :-1].ravel(), orders[:, 1:].ravel())[0, 1] + 1 / 29) < 0.03


def test_the_null_of_a_flat_map_is_the_size_itself():
    orders = grown_orders(touching(grid(5, 5)), 19, 0)
    null = null_sums(np.full((1, 25), 0.04), orders, [0, 5, 25])
    np.testing.assert_allclose(null, np.tile([0, 0.2, 1.0], (19, 1, 1)), atol=1e-12)
    test = size_test(np.array([[0.0, 0.2, 1.0]]), null)
    np.testing.assert_array_equal(test["p"], 1.0)


def test_sums_of_nested_regions_are_those_of_each_region():
    maps = np.random.default_rng(0).normal(size=(2, 36))
    orders = grown_orders(touching(grid(6, 6)), 5, 2)
    null = null_sums(maps, orders, [4, 20])
    for draw, order in enumerate(orders):
        for k, size in enumerate([4, 20]):
            np.testing.assert_allclose(null[draw, :, k], maps[:, order[:size]].sum(axis=1))


def test_a_spot_beats_its_size_and_a_random_region_does_not_too_often():
    orders = grown_orders(touching(grid(12, 12)), 199, 0)
    values = np.zeros((1, 144))
    spot = (grid(12, 12) < 3).all(axis=1)
    values[0, spot] = 1.0
    test = size_test(values[:, spot].sum(axis=1, keepdims=True), null_sums(values, orders, [9]))
    assert test["p"][0, 0] <= 0.02
    assert test["null_high"][0, 0] < 9
    # sums over regions that are drawn as the null are have uniform p
    noise = np.random.default_rng(1).normal(size=(1, 144))
    others = null_sums(noise, grown_orders(touching(grid(12, 12)), 300, 9), [20])[:, 0]
    p = size_test(others.T, np.repeat(null_sums(noise, orders, [20]), 300, axis=2))["p"][0]
    assert kstest(p, "uniform").pvalue > 0.001


def test_an_unknown_sum_has_no_p():
    orders = grown_orders(touching(grid(3, 3)), 19, 0)
    assert np.isnan(size_test(np.array([[np.nan]]), null_sums(np.full((1, 9), np.nan), orders, [2]))["p"]).all()
