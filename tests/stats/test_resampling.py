import numpy as np
import pytest
from scipy import stats

from igc.errors import DataError
from igc.stats.correlation import correlation, jackknife_error, leave_one_out
from igc.stats.moments import Moments
from igc.stats.resampling import (
    block_bootstrap,
    bootstrap_interval,
    percentile_interval,
    pseudo_bootstrap,
    pseudo_values,
    spearman_brown,
    split_half_reliability,
    split_halves,
)


def data(seed=0, n=120, offset=0.0):
    random = np.random.default_rng(seed)
    scalars = random.normal(size=(n, 2, 2)) + offset
    scalars[:, :, 1] += scalars[:, :, 0]
    maps = scalars[:, :, :1] * random.normal(size=(1, 2, 5)) + random.normal(size=(n, 2, 5))
    return scalars, maps, np.repeat(np.arange(20), n // 20)


def test_resampled_moments_are_those_of_the_resampled_samples():
    scalars, maps, blocks = data(offset=1e4)
    moments = Moments.of(scalars, maps, blocks)
    found: list[Moments] = []

    def keep(state):
        found.append(state)
        return state.weight

    block_bootstrap(moments, keep, 3, np.random.default_rng(7))
    counts = np.random.default_rng(7).multinomial(20, np.full(20, 0.05), size=3)
    for i, count in enumerate(counts):
        rows = np.concatenate([np.flatnonzero(blocks == b) for b in range(20) for _ in range(count[b])])
        expected = Moments.of(scalars[rows], maps[rows]).to_arrays()
        for name, value in found[0].to_arrays().items():
            if name != "block":
                np.testing.assert_allclose(value[i], expected[name][0], rtol=1e-8, atol=1e-8, err_msg=name)


def test_a_bootstrap_does_not_depend_on_how_many_replicates_are_held(monkeypatch):
    moments = Moments.of(*data())
    whole = block_bootstrap(moments, correlation, 50, np.random.default_rng(0))
    monkeypatch.setattr("igc.stats.resampling._BOOTSTRAP_BYTES", 2000)
    np.testing.assert_array_equal(block_bootstrap(moments, correlation, 50, np.random.default_rng(0)), whole)


def test_bootstrap_and_jackknife_agree_for_means():
    values = np.random.default_rng(1).normal(size=(40, 3))
    without = np.stack([np.delete(values, i, axis=0).mean(axis=0) for i in range(40)])
    draws = pseudo_bootstrap(values.mean(axis=0), without, 20000, np.random.default_rng(2))
    np.testing.assert_allclose(draws.std(axis=0), jackknife_error(without), rtol=0.02)
    np.testing.assert_allclose(draws.mean(axis=0), values.mean(axis=0), atol=0.005)
    low, high = percentile_interval(draws)
    np.testing.assert_allclose((high - low) / 2, 1.96 * jackknife_error(without), rtol=0.03)


def test_bootstrap_jackknife_and_its_linear_form_agree_for_correlations_of_groups():
    scalars, maps, blocks = data(n=4000)
    moments = Moments.of(scalars, maps, blocks * 0 + np.arange(4000) // 40)
    exact = block_bootstrap(moments, correlation, 2000, np.random.default_rng(0))
    without = correlation(leave_one_out(moments))
    linear = pseudo_bootstrap(correlation(moments.pooled())[0], without, 2000, np.random.default_rng(0))
    np.testing.assert_allclose(exact.std(axis=0), jackknife_error(without), rtol=0.06)
    np.testing.assert_allclose(linear.std(axis=0), jackknife_error(without), rtol=0.06)


def means_without(groups):
    return (groups.sum(axis=0) - groups) / (len(groups) - 1)


def test_the_bootstrap_interval_of_a_mean_is_that_of_t():
    groups = np.random.default_rng(1).normal(size=(24, 2, 3))
    low, high = bootstrap_interval(groups.mean(axis=0), [means_without(groups)], np.ones((1, 2)))
    half = stats.t(23).ppf(0.975) * stats.sem(groups)
    np.testing.assert_allclose((high - low) / 2, half, rtol=0.08)
    np.testing.assert_allclose((high + low) / 2, groups.mean(axis=0), atol=0.1 * half.max())


def test_the_bootstrap_interval_is_that_of_resampled_sums():
    scalars, maps, _ = data(n=2000)
    moments = Moments.of(scalars, maps, np.arange(2000) // 40)
    exact = percentile_interval(block_bootstrap(moments, correlation, 4000, np.random.default_rng(0)))
    without = correlation(leave_one_out(moments))
    found = bootstrap_interval(correlation(moments.pooled())[0], [without], np.ones((1, 2)))
    wider = stats.t(49).ppf(0.975) / stats.norm.ppf(0.975) * np.sqrt(50 / 49)
    np.testing.assert_allclose(found[1] - found[0], (exact[1] - exact[0]) * wider, rtol=0.12)


def test_folds_are_drawn_apart_and_weighed():
    random = np.random.default_rng(2)
    folds = [random.normal(size=(n, 3)) for n in (16, 30)]
    weights = np.array([[0.25], [0.75]]).repeat(3, axis=1)
    value = sum(w * fold.mean(axis=0) for w, fold in zip(weights, folds, strict=True))
    low, high = bootstrap_interval(value, [means_without(fold) for fold in folds], weights)
    error = np.sqrt(sum((w * stats.sem(fold)) ** 2 for w, fold in zip(weights, folds, strict=True)))
    np.testing.assert_allclose((high - low) / 2, stats.t(44).ppf(0.975) * error, rtol=0.08)
    low, high = bootstrap_interval(value, [means_without(fold) for fold in folds], weights, 0.5 * error)
    np.testing.assert_allclose((high - low) / 2, stats.t(44).ppf(0.975) * 0.5 * error, rtol=0.08)


def test_the_bootstrap_interval_covers_and_follows_the_skew():
    groups = np.random.default_rng(3).exponential(size=(25, 600))
    value = groups.mean(axis=0)
    low, high = bootstrap_interval(value, [means_without(groups)], np.ones((1, 600)))
    assert np.mean(high - value) > 1.15 * np.mean(value - low)
    covered = np.mean((low <= 1) & (high >= 1))
    symmetric = stats.t(24).ppf(0.975) * stats.sem(groups)
    assert 0.9 < covered < 0.97
    # too small a mean goes with too small an error: the upper end is what a symmetric interval misses
    assert np.mean(high < 1) < np.mean(value + symmetric < 1)


def test_few_groups_have_no_bootstrap_and_the_targets_held_at_once_do_not_matter(monkeypatch):
    groups = np.random.default_rng(1).normal(size=(20, 5, 2))
    whole = bootstrap_interval(groups.mean(axis=0), [means_without(groups)], np.ones((1, 5)))
    monkeypatch.setattr("igc.stats.resampling._BOOTSTRAP_BYTES", 1)
    single = bootstrap_interval(groups.mean(axis=0), [means_without(groups)], np.ones((1, 5)))
    np.testing.assert_allclose(single, whole, rtol=0, atol=1e-12)
    few = groups[:19]
    assert np.isnan(bootstrap_interval(few.mean(axis=0), [means_without(few)], np.ones((1, 5)))).all()


def test_pseudo_values_of_a_mean_are_the_values():
    values = np.random.default_rng(1).normal(size=(9, 2))
    without = np.stack([np.delete(values, i, axis=0).mean(axis=0) for i in range(9)])
    np.testing.assert_allclose(pseudo_values(values.mean(axis=0), without), values, atol=1e-12)
    first, second = split_halves(values.mean(axis=0), without, np.random.default_rng(0))
    order = np.random.default_rng(0).permutation(9)
    np.testing.assert_allclose(first, values[order[:4]].mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(second, values[order[4:]].mean(axis=0), atol=1e-12)


def test_reliability_is_the_correlation_with_a_repetition():
    random = np.random.default_rng(3)
    truth = random.normal(size=(1, 400))
    n, noise = 32, 4.0
    groups, again = (truth + noise * random.normal(size=(n, 1, 400)) for _ in range(2))
    without = (groups.sum(axis=0) - groups) / (n - 1)
    halves, whole = split_half_reliability([groups.mean(axis=0)], [without], np.ones((1, 1)))
    repeated = np.corrcoef(groups.mean(axis=0)[0], again.mean(axis=0)[0])[0, 1]
    assert whole[0] == pytest.approx(repeated, abs=0.05)
    assert whole[0] == pytest.approx(1 / (1 + noise**2 / n), abs=0.05)
    assert halves[0] == pytest.approx(1 / (1 + 2 * noise**2 / n), abs=0.05)


def test_noise_has_no_reliability_and_a_constant_none_at_all():
    groups = np.random.default_rng(3).normal(size=(30, 2, 300))
    groups[:, 1] = 1.0
    without = (groups.sum(axis=0) - groups) / 29
    whole = split_half_reliability([groups.mean(axis=0)], [without], np.ones((1, 2)))[1]
    assert abs(whole[0]) < 0.2
    assert np.isnan(whole[1])


def test_spearman_brown_doubles_the_length_of_a_test():
    np.testing.assert_allclose(spearman_brown([0, 1 / 3, 1]), [0, 0.5, 1])
    assert np.isnan(spearman_brown(-1.0))


def test_halves_need_two_groups():
    with pytest.raises(DataError, match="at least 2"):
        split_halves(np.zeros(3), np.zeros((1, 3)), np.random.default_rng(0))
