"""Whole methods against other people's software on the same samples, nodes and baselines."""

import captum.attr
import numpy as np
import pytest
import torch
from himalaya.ridge import GroupRidgeCV
from himalaya.scoring import correlation_score_split
from scipy import stats

import igc
from igc.testing.probes import linear_model, smooth_network, toy_samples

BANDS = np.array([1, 1, 1, 2, 2, 3, 3, 3, 3])


@pytest.fixture(scope="module")
def banded():
    """A banded ridge model of himalaya, and held-out samples with a response it misses in part."""
    rule = linear_model(np.random.default_rng(2).normal(size=(3, 9)))
    inputs, responses = toy_samples(300, 9, rule, noise=1.5)
    parts = [np.flatnonzero(band == BANDS) for band in (1, 2, 3)]
    model = GroupRidgeCV(groups="input", solver_params={"n_iter": 10, "progress_bar": False}, random_state=0)
    model.fit([inputs[:150][:, part] for part in parts], responses[:150])
    held_out = inputs[150:], responses[150:]
    split = model.predict([held_out[0][:, part] for part in parts], split=True)
    assert np.array_equal(np.concatenate(parts), np.arange(9))
    return model.coef_.T, held_out, correlation_score_split(held_out[1], split)


@pytest.mark.parametrize("options", [{}, {"points": 1, "seed": 3}, {"baselines": "zero"}, {"baselines": 4}])
def test_sums_over_feature_spaces_equal_the_split_correlation_of_himalaya(banded, options):
    weights, samples, expected = banded
    result = igc.attribute(linear_model(weights), samples, rois={"bands": BANDS}, progress=False, **options)
    assert list(result["roi_index"].values[:3]) == [1, 2, 3]
    np.testing.assert_allclose(result["roi_attribution"][:, :3].T, expected, rtol=0, atol=1e-10)
    np.testing.assert_allclose(result["score"], expected.sum(axis=0), rtol=0, atol=1e-10)


def test_shapley_values_equal_those_of_captum_on_the_same_baselines():
    model = smooth_network(4, 2, seed=5)
    inputs, responses = toy_samples(30, 4, model)
    baselines = inputs[:3]
    result = igc.attribute(
        model, (inputs, responses), "baseline_shapley", baselines=baselines, orders=400, summary="mean", progress=False
    )
    tensor = torch.as_tensor(inputs)
    for k in range(2):
        oracle = captum.attr.ShapleyValues(model)
        maps = [oracle.attribute(tensor, torch.as_tensor(b[None]), target=k).detach().numpy() for b in baselines]
        z = (result["attribution"][k] - np.mean(maps, axis=(0, 1))) / result["estimator_error"][k]
        assert float(np.abs(z).max()) < 4
        np.testing.assert_allclose(result["attribution"][k], np.mean(maps, axis=(0, 1)), rtol=0, atol=0.01)


def test_sampled_shapley_values_are_those_of_captum_for_a_model_of_products():
    # where antithetic pairs of orders are exact, captum's plain sampling must come to the same values
    model = smooth_network(4, 1, seed=5)

    def products(x):
        return model(x) * 0 + (x[:, :1] * x[:, 1:2] + 2 * x[:, 2:3] * x[:, 3:])

    inputs, responses = toy_samples(20, 4, products)
    start = torch.as_tensor(inputs[:1])
    result = igc.attribute(
        products, (inputs, responses), "baseline_shapley", baselines=inputs[0], orders=2, summary="mean", progress=False
    )
    torch.manual_seed(0)
    sampled = captum.attr.ShapleyValueSampling(products).attribute(torch.as_tensor(inputs), start, 0, n_samples=400)
    sampled = sampled.detach().numpy()
    np.testing.assert_allclose(result["attribution"][0], sampled.mean(axis=0), rtol=0, atol=0.05)


@pytest.mark.parametrize("baselines", ["data", "zero"])
def test_integrated_gradients_of_captum_correlated_with_the_response_are_the_map(baselines):
    model = smooth_network(4, 2, seed=5)
    inputs, responses = toy_samples(40, 4, model)
    starts = inputs if baselines == "data" else np.zeros((1, 4))
    oracle, tensor = captum.attr.IntegratedGradients(model), torch.as_tensor(inputs)
    with torch.no_grad():
        spread = responses.std(axis=0) * model(tensor).numpy().std(axis=0)
    result = igc.attribute(model, (inputs, responses), baselines=baselines, points=400, progress=False)
    for k in range(2):
        maps = np.mean(
            [oracle.attribute(tensor, torch.as_tensor(b[None]), k, n_steps=24).detach().numpy() for b in starts], axis=0
        )
        expected = (responses[:, k] - responses[:, k].mean()) @ maps / 40 / spread[k]
        error = np.maximum(result["estimator_error"][k], 1e-6)
        assert float(np.abs((result["attribution"][k] - expected) / error).max()) < 4


def test_shuffled_responses_give_maps_whose_z_scores_are_standard_normal():
    model = smooth_network(5, 2, seed=2)
    scores, degrees = [], 0
    for seed in range(60):
        inputs, responses = toy_samples(120, 5, model, seed=seed)
        shuffled = np.random.default_rng([seed, 9]).permutation(responses)
        result = igc.attribute(model, (inputs, shuffled), points=4, seed=seed, progress=False, permutations=0)
        scores.append(result["attribution"] / np.hypot(result["standard_error"], result["estimator_error"]))
        degrees = result.attrs["degrees_of_freedom"]
    z = stats.norm.ppf(stats.t(degrees).cdf(np.stack(scores)))
    per_seed = (z**2).mean(axis=(1, 2))
    # components of one map are related, those of different seeds are not
    assert abs(per_seed.mean() - 1) < 3 * per_seed.std(ddof=1) / np.sqrt(len(per_seed))
    means = z.mean(axis=(1, 2))
    assert abs(means.mean()) < 3 * means.std(ddof=1) / np.sqrt(len(means))
    outside = (np.abs(z) > 1.96).mean(axis=(1, 2))
    assert abs(outside.mean() - 0.05) < 3 * outside.std(ddof=1) / np.sqrt(len(outside))
