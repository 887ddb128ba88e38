import numpy as np
import pytest

from igc.comparison.heat import effective_heat_ratio
from igc.errors import ShapeError

INSIDE = np.array([True, True, False, False, False])


def test_a_map_inside_the_mask_has_a_ratio_of_one_and_one_outside_of_zero() -> None:
    assert effective_heat_ratio([2.0, -1.0, 0.0, 0.0, 0.0], INSIDE) == pytest.approx(1.0)
    assert effective_heat_ratio([0.0, 0.0, 3.0, 2.0, 1.0], INSIDE) == 0.0


def test_a_flat_map_has_the_ratio_of_the_areas() -> None:
    assert effective_heat_ratio(np.ones(5), INSIDE) == pytest.approx(2 / 5)


def test_the_ratio_is_of_heat_and_not_of_counts() -> None:
    # quantiles of (1, 0.5) are 0.5 and above: both units at the lowest threshold, then one
    expected = (1 / 1.5 + 1.0) / 2 * 0.1 + 0.9
    assert effective_heat_ratio([4.0, 0.0, 2.0, 0.2, 0.0], INSIDE) == pytest.approx(expected)


def test_heat_has_no_sign_or_scale_and_the_map_is_left_alone() -> None:
    values = np.random.default_rng(0).normal(size=5)
    before = values.copy()
    found = effective_heat_ratio(values, INSIDE)
    assert effective_heat_ratio(-7 * values, INSIDE) == pytest.approx(found)
    np.testing.assert_array_equal(values, before)


def test_a_map_of_zeros_has_none_and_other_shapes_are_refused() -> None:
    assert np.isnan(effective_heat_ratio(np.zeros(5), INSIDE))
    with pytest.raises(ShapeError, match="same units"):
        effective_heat_ratio(np.zeros(4), INSIDE)
