import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from igc.errors import DataError
from igc.stats.correlation import jackknife_error
from igc.stats.inference import (
    analytic_z,
    false_discovery,
    fisher_interval,
    jackknife_interval,
    paired_error,
    seed_spread,
    t_interval,
    two_sided,
)


def without_each(values: np.ndarray, statistic=lambda rows: rows.mean(axis=0)) -> np.ndarray:
    return np.stack([statistic(np.delete(values, i, axis=0)) for i in range(len(values))])


def test_intervals_and_probabilities_are_those_of_a_t_test():
    values = np.random.default_rng(0).normal(0.4, 1, size=(12, 3))
    low, high = jackknife_interval(values.mean(axis=0), without_each(values))
    for k in range(3):
        peer = stats.ttest_1samp(values[:, k], 0)
        interval = peer.confidence_interval(0.95)
        np.testing.assert_allclose([low[k], high[k]], [interval.low, interval.high], rtol=1e-10)
        assert two_sided(peer.statistic, 11) == pytest.approx(peer.pvalue)


def test_without_degrees_of_freedom_quantiles_are_normal():
    low, high = t_interval([1.0], [2.0], None, level=0.68268949)
    np.testing.assert_allclose([low, high], [[-1], [3]], rtol=1e-6)
    assert two_sided(1.959963985, None) == pytest.approx(0.05)


def test_intervals_of_correlations_are_those_of_scipy():
    random = np.random.default_rng(1)
    x = random.normal(size=50)
    y = x + random.normal(size=50)
    peer = stats.pearsonr(x, y).confidence_interval(0.9)
    np.testing.assert_allclose(fisher_interval(np.corrcoef(x, y)[0, 1], 50, 0.9), [peer.low, peer.high])
    np.testing.assert_array_equal(fisher_interval(0.3, 3), [-1, 1])


def test_the_noise_of_pairs_enters_an_interval_once():
    values = np.random.default_rng(0).normal(size=(20, 1))
    rows = without_each(values)
    error = jackknife_error(rows)[0]
    low, high = jackknife_interval(values.mean(axis=0), rows, noise=0.5 * error)
    half = stats.t(19).ppf(0.975) * error * np.sqrt(0.75)
    np.testing.assert_allclose((high - low) / 2, half, rtol=1e-10)


@settings(max_examples=60, deadline=None)
@given(p=st.lists(st.floats(0, 1) | st.just(float("nan")), max_size=30), method=st.sampled_from(["bh", "by"]))
def test_false_discovery_rates_equal_a_slow_definition(p, method):
    known = [value for value in p if value == value]
    factor = sum(1 / i for i in range(1, len(known) + 1)) if method == "by" else 1.0
    expected = []
    for value in p:
        candidates = [factor * other * len(known) / sum(v <= other for v in known) for other in known if other >= value]
        expected.append(min(1.0, *candidates) if value == value else float("nan"))
    np.testing.assert_allclose(false_discovery(p, method), np.asarray(expected, dtype=float), rtol=1e-12, atol=1e-300)


@pytest.mark.parametrize(("method", "peer"), [("bh", "fdr_bh"), ("by", "fdr_by")])
def test_false_discovery_rates_equal_statsmodels(method, peer):
    p = np.random.default_rng(0).uniform(size=(4, 25)) ** 3
    expected = multipletests(p.reshape(-1), method=peer)[1].reshape(p.shape)
    np.testing.assert_allclose(false_discovery(p, method), expected, rtol=1e-12)


def test_a_paired_error_is_that_of_the_differences():
    random = np.random.default_rng(2)
    shared = random.normal(size=(30, 1))
    a, b = shared + 0.1 * random.normal(size=(30, 4)), shared + 0.1 * random.normal(size=(30, 4))
    found = paired_error(without_each(a), without_each(b))
    np.testing.assert_allclose(found, stats.sem(a - b), rtol=1e-10)
    independent = np.hypot(jackknife_error(without_each(a)), jackknife_error(without_each(b)))
    assert (found < 0.3 * independent).all()


def test_a_paired_error_takes_noise_out_only_where_it_must_be_there():
    a = np.random.default_rng(2).normal(size=(30, 1))
    rows, zero = without_each(a), np.zeros((30, 1))
    error = jackknife_error(rows)
    np.testing.assert_allclose(paired_error(rows, zero, (0.5 * error, 0.0)), error * np.sqrt(0.75))
    np.testing.assert_allclose(paired_error(rows, zero, (0.5 * error, 0.5 * error)), error)


def test_the_spread_between_seeds_is_without_the_noise_of_the_estimator():
    random = np.random.default_rng(3)
    true, noise = 0.3, 0.4
    values = random.normal(0, true, size=(4000, 1)) + random.normal(0, noise, size=(4000, 1))
    np.testing.assert_allclose(seed_spread(values, noise), true, rtol=0.08)
    np.testing.assert_allclose(seed_spread(values), 0.5, rtol=0.05)
    assert np.isnan(seed_spread(values[:1])).all()


def test_the_analytic_z_is_the_spread_over_permutations():
    random = np.random.default_rng(4)
    x, y = random.exponential(size=40), random.exponential(size=40)
    null = [np.corrcoef(x, random.permutation(y))[0, 1] for _ in range(4000)]
    r = np.corrcoef(x, y)[0, 1]
    np.testing.assert_allclose(analytic_z(r, np.arange(40)), r / np.std(null), rtol=0.05)


def test_the_analytic_z_is_refused_where_groups_have_several_samples():
    with pytest.raises(DataError, match=r"groups of up to 2 samples.*permute whole units") as caught:
        analytic_z(0.1, [0, 1, 1, 2])
    assert "\n" not in str(caught.value)


def test_slow_signals_would_inflate_the_analytic_z():
    random = np.random.default_rng(5)
    kernel = np.exp(-np.arange(30) / 5)
    x, y = (np.apply_along_axis(np.convolve, 1, random.normal(size=(500, 229)), kernel, "valid") for _ in range(2))
    r = np.array([np.corrcoef(a, b)[0, 1] for a, b in zip(x, y, strict=True)])
    assert np.std(analytic_z(r, np.arange(200))) > 1.8
