"""Two-sample t-tests against scipy."""

import numpy as np
import pytest
from scipy import stats

import igc
from igc.attribution.correlation.two_groups import cut_offs
from igc.errors import MethodError
from igc.testing.probes import linear_model, toy_samples

WEIGHTS = np.random.default_rng(1).normal(size=(3, 6))
MODEL = linear_model(WEIGHTS)


def run(samples, **options):
    return igc.attribute(MODEL, samples, "naive_ttest", progress=False, **options)


@pytest.mark.parametrize("equal", [False, True])
@pytest.mark.parametrize("quantile", [0.1, 0.35])
def test_t_and_p_equal_those_of_scipy(equal, quantile):
    inputs, responses = toy_samples(300, 6, MODEL)
    inputs = inputs * np.array([1, 0.5, 20, 1e3, 1e-3, 1]) + 1e4
    result = run((inputs, responses), quantile=quantile, equal_variances=equal, block_size=90)
    for k in range(3):
        low, high = np.quantile(responses[:, k], [quantile, 1 - quantile])
        groups = inputs[responses[:, k] >= high], inputs[responses[:, k] <= low]
        oracle = stats.ttest_ind(*groups, equal_var=equal)
        np.testing.assert_allclose(result["attribution"][k], oracle.statistic, rtol=1e-8)
        np.testing.assert_allclose(result["p_value"][k], oracle.pvalue, rtol=1e-6)


def test_classes_are_compared_with_all_others():
    inputs, scores = toy_samples(200, 6, MODEL)
    one_hot = np.eye(3)[scores.argmax(axis=1)]
    result = run((inputs, one_hot))
    for k in range(3):
        oracle = stats.ttest_ind(inputs[one_hot[:, k] == 1], inputs[one_hot[:, k] == 0], equal_var=False)
        np.testing.assert_allclose(result["attribution"][k], oracle.statistic, rtol=1e-10)
        np.testing.assert_allclose(result["p_value"][k], oracle.pvalue, rtol=1e-8)


def test_cut_offs_never_join_the_groups_and_are_inclusive():
    rare, common = np.r_[np.zeros(99), 1.0], np.r_[np.ones(99), 0.0]
    counts, constant = np.r_[np.zeros(95), 3.0, 4, 4, 5, 6], np.full(100, 2.0)
    responses = np.stack([rare, common, counts, constant], axis=1)
    low, high = cut_offs(responses, 0.01)
    assert ((responses <= low).sum(axis=0).tolist(), (responses >= high).sum(axis=0).tolist()) == (
        [99, 1, 95, 0],
        [1, 99, 1, 0],
    )
    assert not ((responses <= low) & (responses >= high)).any()
    low, high = cut_offs(np.arange(11.0)[:, None], 0.1)[:, 0]
    assert (low, high) == (1, 9)


def test_constant_components_and_responses_are_told_apart():
    inputs, responses = toy_samples(100, 6, MODEL)
    inputs[:, 2], responses[:, 1] = 5.0, 1.0
    result = run((inputs, responses))
    np.testing.assert_array_equal(result["attribution"][[0, 2], 2], 0)
    np.testing.assert_array_equal(result["p_value"][[0, 2], 2], 1)
    assert np.isnan(result["attribution"][1]).all()
    assert np.isfinite(result["attribution"][[0, 2]]).all()


def test_a_wrong_share_is_refused():
    with pytest.raises(MethodError, match=r"0\.5"):
        run(toy_samples(50, 6, MODEL), quantile=0.7)
