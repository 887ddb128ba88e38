"""Baseline Shapley values against captum, closed forms and the definition over all orders."""

from itertools import permutations

import captum.attr
import numpy as np
import pytest
import torch

import igc
from igc.attribution.standard.baseline_shapley import feature_labels
from igc.errors import MethodError, ShapeError
from igc.testing.closed_forms import linear_igc, shared_baseline_igc
from igc.testing.probes import Quadratic, linear_model, smooth_network, toy_samples


def run(model, samples, method="baseline_shapley", **options):
    options = {"summary": "mean", **options} if method == "baseline_shapley" else options
    return igc.attribute(model, samples, method, progress=False, **options)


def all_orders(model, inputs, baselines):
    """Every sample's map by its definition: the mean over all orders and baselines, (sample, target, component)."""
    d = inputs.shape[1]
    total, count = 0.0, 0
    with torch.no_grad():
        for baseline in baselines:
            for order in permutations(range(d)):
                here = torch.as_tensor(np.tile(baseline, (len(inputs), 1)))
                maps = torch.zeros(len(inputs), model(here).shape[1], d, dtype=torch.float64)
                for i in order:
                    before = model(here)
                    here[:, i] = torch.as_tensor(inputs[:, i])
                    maps[:, :, i] = model(here) - before
                total, count = total + maps.numpy(), count + 1
    return total / count


def test_values_converge_to_the_mean_over_all_orders_within_their_error():
    model = smooth_network(4, 2, seed=2)
    inputs, responses = toy_samples(40, 4, model)
    expected = all_orders(model, inputs, np.zeros((1, 4)))
    result = run(model, (inputs, responses), baselines="zero", orders=64)
    error = (result["attribution"] - expected.mean(axis=0)) / result["estimator_error"]
    assert float(np.abs(error).max()) < 4
    assert float(np.abs(result["attribution"] - expected.mean(axis=0)).max()) < 0.01
    np.testing.assert_allclose(result["standard_deviation"], expected.std(axis=0), rtol=0, atol=0.01)


def test_values_equal_captum_where_orders_do_not_matter_and_match_it_where_they_do():
    model = smooth_network(5, 3, seed=5)
    inputs, responses = toy_samples(30, 5, model)
    result = run(model, (inputs, responses), baselines="zero", orders=200)
    with torch.no_grad():
        oracle = captum.attr.ShapleyValues(model).attribute(torch.as_tensor(inputs), target=1).numpy()
    np.testing.assert_allclose(result["attribution"][1], oracle.mean(axis=0), rtol=0, atol=0.005)
    np.testing.assert_allclose(result["mean_absolute"][1], np.abs(oracle).mean(axis=0), rtol=0, atol=0.02)


def test_a_quadratic_model_is_exact_with_a_single_pair_of_orders_and_equals_integrated_gradients():
    random = np.random.default_rng(0)
    matrices = random.normal(size=(2, 5, 5))
    model = Quadratic(random.normal(size=(2, 5)), matrices + matrices.transpose(0, 2, 1))
    inputs, responses = toy_samples(90, 5, model)
    shapley = run(model, (inputs, responses), baselines="mean", orders=2)
    gradients = run(model, (inputs, responses), "integrated_gradients", baselines="mean")
    np.testing.assert_allclose(shapley["attribution"], gradients["attribution"], rtol=0, atol=1e-10)
    np.testing.assert_allclose(shapley["standard_deviation"], gradients["standard_deviation"], rtol=0, atol=1e-10)
    correlation = run(model, (inputs, responses), "bsc", baselines="mean", orders=2)
    expected = shared_baseline_igc(model, inputs, responses, inputs.mean(axis=0, keepdims=True), nodes=5)
    np.testing.assert_allclose(correlation["attribution"], expected, rtol=0, atol=1e-10)


def test_a_cubic_term_is_split_evenly_where_integrated_gradients_split_it_by_degree():
    inputs = np.abs(np.random.default_rng(0).normal(size=(50, 2)))

    def model(x):
        return x[:, :1] ** 2 * x[:, 1:]

    product = (inputs[:, 0] ** 2 * inputs[:, 1]).mean()
    samples = (inputs, np.random.default_rng(1).normal(size=(50, 1)))
    shapley = run(model, samples, baselines="zero")["attribution"][0]
    gradients = run(model, samples, "integrated_gradients", baselines="zero")["attribution"][0]
    np.testing.assert_allclose(shapley / product, [1 / 2, 1 / 2], atol=1e-12)
    np.testing.assert_allclose(gradients / product, [2 / 3, 1 / 3], atol=1e-12)


def test_the_correlation_of_a_linear_model_is_exact_with_shared_baselines():
    weights = np.random.default_rng(1).normal(size=(3, 6))
    model = linear_model(weights, [1.0, -2.0, 0.5])
    inputs, responses = toy_samples(200, 6, model)
    for baselines in ("zero", "mean"):
        result = run(model, (inputs, responses), "bsc", baselines=baselines)
        np.testing.assert_allclose(result["attribution"], linear_igc(weights, inputs, responses), rtol=0, atol=1e-10)


def test_the_correlation_with_data_baselines_has_no_bias_and_honest_errors():
    model = smooth_network(4, 2, seed=2)
    inputs, responses = toy_samples(16, 4, model)
    maps = np.stack([all_orders(model, inputs[i : i + 1], inputs)[0] for i in range(16)])
    centred = responses - responses.mean(axis=0)
    with torch.no_grad():
        predictions = model(torch.as_tensor(inputs)).numpy()
    scale = 1 / (responses.std(axis=0) * predictions.std(axis=0))
    expected = np.einsum("nkc,nk->kc", maps, centred) / 16 * scale[:, None]
    results = [run(model, (inputs, responses), "bsc", orders=32, seed=seed) for seed in range(40)]
    errors = np.stack([r["attribution"].values - expected for r in results])
    claimed = np.sqrt(np.mean([r["estimator_error"].values ** 2 for r in results], axis=0))
    assert np.abs(errors.mean(axis=0) / errors.std(axis=0)).max() < 4 / np.sqrt(40)
    np.testing.assert_allclose(np.linalg.norm(claimed), np.linalg.norm(errors.std(axis=0, ddof=1)), rtol=0.15)
    gaps = np.stack([(r["completeness_error"] / r["completeness_standard_error"]).values for r in results])
    assert 0.85 < np.sqrt((gaps**2).mean()) < 1.3


def test_features_of_several_components_are_switched_together():
    model = smooth_network(6, 2, seed=3)
    inputs, responses = toy_samples(60, 6, model)
    labels = np.array([7, 7, 2, 5, 2, 5])
    grouped = run(model, (inputs, responses), baselines="zero", features=labels, orders=60)

    def by_parts(z):
        x = torch.zeros(len(z), 6, dtype=z.dtype)
        for part, label in enumerate((2, 5, 7)):
            x[:, labels == label] = z[:, part * 2 : part * 2 + 2]
        return model(x)

    parts = np.concatenate([inputs[:, labels == label] for label in (2, 5, 7)], axis=1)
    with torch.no_grad():
        mask = torch.as_tensor([[0, 0, 1, 1, 2, 2]])
        oracle = captum.attr.ShapleyValues(by_parts).attribute(torch.as_tensor(parts), target=0, feature_mask=mask)
    for part, label in enumerate((2, 5, 7)):
        value = grouped["attribution"][0, labels == label]
        np.testing.assert_allclose(value.sum(), oracle[:, 2 * part].mean(), atol=5e-3)
        assert float(value[0]) == float(value[1])


def test_features_may_be_squares_of_an_image_or_labels_of_leading_axes():
    squares = feature_labels(2, [(3, 4, 4)]).reshape(3, 4, 4)
    np.testing.assert_array_equal(squares[0], squares[2])
    np.testing.assert_array_equal(squares[0], [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]])
    tokens = feature_labels(np.arange(3), [(3, 2)])
    np.testing.assert_array_equal(tokens, [0, 0, 1, 1, 2, 2])
    two = feature_labels((np.array([4, 4]), np.array([9, 1, 9])), [(2,), (3,)])
    np.testing.assert_array_equal(two, [0, 0, 2, 1, 2])


def test_a_feature_the_model_ignores_gets_exactly_nothing_whatever_the_batch():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv2d(1, 3, 3, padding=1), torch.nn.ReLU(), torch.nn.Flatten())

    def cut(x):
        seen = torch.cat([x[..., :3], torch.zeros_like(x[..., 3:])], dim=-1)
        return model(seen)[:, :4] @ torch.ones(4, 1)

    inputs = np.random.default_rng(0).normal(size=(70, 1, 6, 6)).astype(np.float32)
    for size in (3, 64, 256):
        result = run(cut, (inputs, inputs.mean(axis=(1, 2, 3))[:, None]), orders=2, batch_size=size)
        assert np.abs(result["attribution"].values[..., 3:]).max() < 1e-7
        assert np.abs(result["attribution"].values[..., :3]).max() > 1e-2


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"orders": 3}, MethodError, "even"),
        ({"orders": 2, "points": 8}, MethodError, "one of them"),
        ({"tolerance": 0.1}, MethodError, "points"),
        ({"features": np.zeros(4)}, ShapeError, r"\(4,\)"),
        ({"features": 2}, MethodError, "images"),
        ({"features": "lobes"}, MethodError, "lobes"),
    ],
)
def test_wrong_options_end_in_one_clear_line(options, error, words):
    model = smooth_network(6, 3)
    with pytest.raises(error, match=words):
        run(model, toy_samples(50, 6, model), **options)
