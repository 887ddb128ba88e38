from __future__ import annotations

import base64

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from igc.report.packing import LEVELS, pack_codes, pack_maps, unpack_maps


@given(arrays(np.float64, (3, 7), elements=st.floats(-1e6, 1e6)))
def test_no_value_is_off_by_more_than_half_a_step_of_its_own_map(maps):
    found = unpack_maps(pack_maps(maps))
    step = np.abs(maps).max(axis=1, keepdims=True) / LEVELS
    # numbers near the smallest there are have no finer steps
    assert (np.abs(found - maps) <= 0.5 * step * (1 + 1e-9) + 1e-300).all()


def test_the_largest_magnitude_and_zero_are_exact_and_a_missing_value_stays_missing():
    maps = np.array([[-0.25, 0.1, 0.0, np.nan], [0.0, 0.0, 0.0, 0.0], [np.nan] * 4, [1e-12, 2e-12, -4e-12, np.inf]])
    found = unpack_maps(pack_maps(maps))
    np.testing.assert_allclose(found[0, [0, 2, 3]], [-0.25, 0.0, np.nan], rtol=1e-15)
    np.testing.assert_array_equal(found[1], 0.0)
    assert np.isnan(found[2]).all()
    np.testing.assert_allclose(found[3], [1e-12, 2e-12, -4e-12, np.nan], rtol=1e-4)


@pytest.mark.parametrize(("largest", "size"), [(0, 1), (255, 1), (256, 2), (65535, 2), (65536, 4)])
def test_codes_take_as_few_bytes_as_the_largest_needs(largest, size):
    codes = np.array([[0, largest], [largest // 2, 1 if largest else 0]])
    packed = pack_codes(codes)
    assert packed["bytes"] == size
    found = np.frombuffer(base64.b64decode(packed["data"]), dtype=f"<u{size}")
    np.testing.assert_array_equal(found, codes.ravel())
