import numpy as np
import pytest
from scipy import stats

from igc.stats.permutation import max_t, without_noise


def null_and_observed(random, n_permutations=199, n=12, rho=0.5):
    """Statistics of very different spreads that go together, as regions of a map do."""
    common = random.normal(size=(n_permutations + 1, 1))
    values = np.sqrt(rho) * common + np.sqrt(1 - rho) * random.normal(size=(n_permutations + 1, n))
    values = 3 + values * np.logspace(-3, 3, n)
    return values[0], values[1:]


def test_probabilities_are_ranks_among_permutations():
    random = np.random.default_rng(0)
    observed, null = null_and_observed(random)
    test = max_t(observed, null)
    every = np.vstack([observed, null])
    t = np.abs((every - every.mean(axis=0)) / every.std(axis=0))
    for j in range(len(observed)):
        assert test.p[j] == pytest.approx(np.mean(t[:, j] >= t[0, j] - 1e-9))
        assert test.p_family[j] == pytest.approx(
            np.mean([max(row) >= t[0, j] - 1e-9 or i == 0 for i, row in enumerate(t)])
        )
    np.testing.assert_allclose(test.z, (observed - null.mean(axis=0)) / null.std(axis=0, ddof=1))


def test_the_family_wise_error_is_controlled_and_single_tests_are_not():
    random = np.random.default_rng(1)
    tests = [max_t(*null_and_observed(random)) for _ in range(600)]
    family = sum((test.p_family <= 0.05).any() for test in tests)
    assert stats.binomtest(family, 600, 0.05).pvalue > 1e-3
    assert sum((test.p <= 0.05).any() for test in tests) > 3 * family
    single = np.mean([(test.p <= 0.05).mean() for test in tests])
    assert abs(single - 0.05) < 0.012


def test_what_is_far_out_is_found():
    observed, null = null_and_observed(np.random.default_rng(2))
    observed[4] = null[:, 4].mean() + 8 * null[:, 4].std()
    test = max_t(observed, null)
    assert test.p[4] == test.p_family[4] == 1 / 200


def test_members_without_spread_or_value_do_not_count():
    observed, null = null_and_observed(np.random.default_rng(3))
    alone = max_t(observed[2:], null[:, 2:])
    observed[0], null[:, 1] = np.nan, observed[1]
    test = max_t(observed, null)
    for name in ("z", "p", "p_family"):
        assert np.isnan(getattr(test, name)[:2]).all()
        np.testing.assert_array_equal(getattr(test, name)[2:], getattr(alone, name))


def test_a_null_loses_the_noise_of_its_own_points_and_keeps_that_of_the_statistic():
    random = np.random.default_rng(4)
    clean = random.normal(2, 1, size=(5000, 1))
    noisy = clean + random.normal(0, 1.5, size=(5000, 1))
    found = without_noise(noisy, [1.5], [0.5])
    np.testing.assert_allclose(found.std(ddof=1), np.sqrt(1 + 0.25), rtol=0.05)
    np.testing.assert_allclose(found.mean(), noisy.mean())
    floor = without_noise(noisy, [100.0], [0.0])
    np.testing.assert_allclose(floor.var() / noisy.var(), 0.1)
