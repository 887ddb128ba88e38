"""Draws of the parts of IGC: what is taken off moves no estimate."""

from __future__ import annotations

import numpy as np

from igc.attribution.taylor.draws import _without_baselines


def met(n_draws, n, first=0):
    return (np.arange(n) + np.arange(first, first + n_draws)[:, None]) % n


def test_what_depends_on_the_baseline_alone_is_taken_off_whole():
    rng = np.random.default_rng(0)
    own = rng.normal(size=(7, 2, 3))
    effects = own[met(4, 7, 5)]
    left = _without_baselines(effects, 5, 1)
    np.testing.assert_allclose(left[..., [0, 2]], 0, atol=1e-14)
    np.testing.assert_array_equal(left[..., 1], effects[..., 1])  # coupled effects stay as they are


def test_what_is_taken_off_comes_from_other_samples():
    rng = np.random.default_rng(1)
    effects = rng.normal(size=(3, 5, 1, 3))
    left, places = _without_baselines(effects, 0, 1), met(3, 5)
    for k in range(3):
        for i in range(5):
            others = [effects[j, m] for j in range(3) for m in range(5) if places[j, m] == places[k, i] and m != i]
            expected = effects[k, i] - np.mean(others, axis=0)
            np.testing.assert_allclose(left[k, i, :, [0, 2]], expected[:, [0, 2]].T, atol=1e-12)


def test_a_single_draw_has_nothing_to_compare_with():
    effects = np.random.default_rng(2).normal(size=(1, 5, 1, 3))
    np.testing.assert_array_equal(_without_baselines(effects, 0, 1), effects)
