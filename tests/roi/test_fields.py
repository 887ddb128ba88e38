"""Gaussians fitted to maps, against closed forms and an independent optimiser."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import least_squares

from igc.errors import DataError, ShapeError
from igc.roi.fields import fit_fields


def gaussian(shape: tuple[int, int], row: float, column: float, size: float) -> np.ndarray:
    down, across = np.indices(shape)
    return np.exp(-((down - row) ** 2 + (across - column) ** 2) / (2 * size**2))


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(st.integers(9, 30), st.integers(9, 30)),
    place=st.tuples(st.floats(0.1, 0.9), st.floats(0.1, 0.9)),
    size=st.floats(0.8, 3),
    amplitude=st.floats(1e-6, 1e3),
    offset=st.floats(-2, 2),
)
def test_a_gaussian_is_found_exactly_whatever_its_scale(shape, place, size, amplitude, offset) -> None:
    row, column = (part * (n - 1) for part, n in zip(place, shape, strict=True))
    found = fit_fields(amplitude * (gaussian(shape, row, column, size) + offset)[None])
    np.testing.assert_allclose([found.row[0], found.column[0], found.size[0]], [row, column, size], atol=1e-4)
    np.testing.assert_allclose(found.amplitude, amplitude, rtol=1e-4)
    np.testing.assert_allclose(found.offset, amplitude * offset, atol=1e-4 * amplitude)
    assert found.r2[0] > 1 - 1e-6


def test_angle_and_eccentricity_are_those_of_the_visual_field() -> None:
    shape, middle = (21, 31), (10.0, 15.0)
    steps = [(0, 5), (-5, 0), (0, -5), (5, 0), (-3, 4)]
    found = fit_fields([gaussian(shape, middle[0] + down, middle[1] + right, 2) for down, right in steps])
    np.testing.assert_allclose(np.abs(found.angle[2]), 180, atol=1e-3)
    np.testing.assert_allclose(found.angle[[0, 1, 3, 4]], [0, 90, -90, np.degrees(np.arctan2(3, 4))], atol=1e-3)
    np.testing.assert_allclose(found.eccentricity, 5, atol=1e-3)


def test_noisy_maps_are_fitted_as_well_as_an_optimiser_that_starts_at_the_truth() -> None:
    random = np.random.default_rng(0)
    shape, truth = (16, 16), random.uniform([2, 2, 1], [13, 13, 4], (40, 3))
    maps = np.stack([gaussian(shape, *one) for one in truth]) + 0.4 * random.standard_normal((40, *shape))
    found = fit_fields(maps)
    for k, one in enumerate(truth):

        def residual(p: np.ndarray, k: int = k) -> np.ndarray:
            return (p[0] + p[1] * gaussian(shape, p[2], p[3], p[4]) - maps[k]).ravel()

        peer = least_squares(residual, [0, 1, *one])
        share = 1 - 2 * peer.cost / ((maps[k] - maps[k].mean()) ** 2).sum()
        assert found.r2[k] > share - 1e-6
        fitted = gaussian(shape, found.row[k], found.column[k], found.size[k]) * found.amplitude[k] + found.offset[k]
        own = 1 - ((fitted - maps[k]) ** 2).sum() / ((maps[k] - maps[k].mean()) ** 2).sum()
        assert found.r2[k] == pytest.approx(own, abs=1e-9)
    distance = np.hypot(found.row - truth[:, 0], found.column - truth[:, 1])
    assert np.median(distance) < 0.5


def test_each_map_is_fitted_for_itself(monkeypatch) -> None:
    maps = np.random.default_rng(1).standard_normal((12, 10, 14)) + 3 * gaussian((10, 14), 4, 6, 2)
    together = fit_fields(maps)
    monkeypatch.setattr("igc.roi.fields._CHUNK", 5 * maps[0].size)
    apart = fit_fields(maps)
    for name in ("row", "column", "size", "amplitude", "offset", "r2"):
        np.testing.assert_allclose(getattr(apart, name), getattr(together, name), rtol=1e-9)


def test_a_map_without_variance_has_no_field_and_harms_no_other() -> None:
    maps = np.stack([np.full((9, 9), 0.3), gaussian((9, 9), 4, 3, 2), np.zeros((9, 9))])
    found = fit_fields(maps)
    assert np.isnan(found.row[[0, 2]]).all()
    assert np.isnan(found.r2[[0, 2]]).all()
    np.testing.assert_allclose(found.column[1], 3, atol=1e-6)


def test_a_dip_is_no_field_at_its_place() -> None:
    found = fit_fields(-gaussian((15, 15), 7, 7, 1.5)[None])
    assert not found.amplitude[0] <= 0
    assert np.isnan(found.row[0]) or np.hypot(found.row[0] - 7, found.column[0] - 7) > 3


@pytest.mark.parametrize("maps", [np.zeros((4, 4)), np.zeros((2, 2, 9))])
def test_other_shapes_are_refused(maps: np.ndarray) -> None:
    with pytest.raises(ShapeError, match="receptive fields"):
        fit_fields(maps)


def test_gaps_in_a_map_are_refused() -> None:
    with pytest.raises(DataError, match="NaN"):
        fit_fields(np.full((1, 5, 5), np.nan))


def test_no_target_gives_no_field() -> None:
    assert fit_fields(np.zeros((0, 5, 5))).row.shape == (0,)
