"""The sign-flip test against a slow enumeration, closed forms and its own promise."""

from itertools import product

import numpy as np
import pytest
from scipy import stats

from igc.stats.subjects import fewest_subjects, sign_flip, smallest_probability


def test_all_flips_are_counted_as_a_slow_enumeration_counts_them() -> None:
    values = np.random.default_rng(0).normal(0.6, 1, (7, 3))
    found = sign_flip(values)
    signs = np.array(list(product([1, -1], repeat=7)))
    size = np.sqrt((values**2).sum(axis=0))
    every = np.abs(signs @ values) / size
    own = np.abs(values.sum(axis=0)) / size
    np.testing.assert_allclose(found.p, (every >= own - 1e-9).mean(axis=0))
    np.testing.assert_allclose(found.p_family, [(every.max(axis=1) >= one - 1e-9).mean() for one in own])


def test_it_agrees_with_the_permutation_test_of_scipy() -> None:
    values = np.random.default_rng(1).normal(0.4, 1, 9)
    peer = stats.permutation_test((values,), np.sum, permutation_type="samples", n_resamples=np.inf)
    assert sign_flip(values[:, None]).p[0] == pytest.approx(peer.pvalue)


def test_people_who_all_agree_reach_the_smallest_probability() -> None:
    for n in (6, 8, 12):
        found = sign_flip(np.random.default_rng(n).uniform(1, 2, (n, 2)))
        np.testing.assert_allclose(found.p, 2 / 2**n)
        np.testing.assert_allclose(smallest_probability(n), 2 / 2**n)


def test_no_test_is_made_where_it_could_not_reach_the_level() -> None:
    assert fewest_subjects() == 6
    assert np.isnan(sign_flip(np.ones((5, 2))).p).all()
    values = np.random.default_rng(2).uniform(1, 2, (6, 2))
    values[0, 1] = np.nan
    found = sign_flip(values)
    assert found.p[0] == pytest.approx(1 / 32)
    assert np.isnan(found.p[1])
    assert found.p_family[0] == pytest.approx(1 / 32)


def test_many_people_are_drawn_the_same_way_each_time() -> None:
    values = np.random.default_rng(3).normal(0.2, 1, (20, 2))
    first, again, other = (sign_flip(values, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.p, again.p)
    np.testing.assert_allclose(first.p, other.p, atol=0.02)
    t = stats.ttest_1samp(values, 0)
    np.testing.assert_allclose(first.p, t.pvalue, atol=0.05)


def test_the_family_is_rarely_rejected_where_nothing_is_there() -> None:
    random = np.random.default_rng(4)
    rejected = [np.nanmin(sign_flip(random.standard_normal((8, 6))).p_family) <= 0.05 for _ in range(300)]
    assert np.mean(rejected) < 0.09
