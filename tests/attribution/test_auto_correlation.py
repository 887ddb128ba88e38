"""The auto-correlation map: what a model uses, whether it helps or not."""

import numpy as np
import pytest
import torch

import igc
from igc.attribution import problem as problem_module
from igc.testing.closed_forms import data_baseline_igc, shared_baseline_igc
from igc.testing.probes import linear_model, smooth_network, toy_samples

WEIGHTS = np.random.default_rng(1).normal(size=(3, 6))


def run(model, samples, **options):
    return igc.attribute(model, samples, "igac", progress=False, **options)


def predictions_of(model, inputs):
    with torch.no_grad():
        return model(torch.as_tensor(inputs)).numpy()


@pytest.mark.parametrize("baselines", ["data", "zero", "mean", 5])
def test_a_linear_model_uses_components_by_their_covariance_with_the_prediction(baselines):
    model = linear_model(WEIGHTS, 0.4)
    inputs, responses = toy_samples(300, 6, model)
    predictions = predictions_of(model, inputs)
    covariance = (predictions - predictions.mean(axis=0)).T @ (inputs - inputs.mean(axis=0)) / len(inputs)
    expected = WEIGHTS * covariance / predictions.var(axis=0)[:, None]
    result = run(model, (inputs, responses), baselines=baselines, points=2)
    np.testing.assert_allclose(result["attribution"], expected, rtol=0, atol=1e-10)
    np.testing.assert_allclose(result["attribution"].sum("voxel"), 1, rtol=0, atol=1e-12)


def test_it_is_the_correlation_map_with_the_prediction_as_response():
    model = smooth_network(5, 2, seed=2)
    inputs, responses = toy_samples(60, 5, model)
    predictions = predictions_of(model, inputs)
    shared = run(model, (inputs, responses), baselines="zero")
    expected = shared_baseline_igc(model, inputs, predictions, np.zeros((1, 5)))
    np.testing.assert_allclose(shared["attribution"], expected, rtol=0, atol=1e-6)
    data = run(model, (inputs, responses), points=300)
    error = (data["attribution"] - data_baseline_igc(model, inputs, predictions)) / data["estimator_error"]
    assert float(np.abs(error).max()) < 4


def test_responses_leave_no_trace_in_the_map_but_make_the_score():
    model = smooth_network(5, 2, seed=2)
    inputs, responses = toy_samples(100, 5, model)
    useful, useless = (run(model, (inputs, y), points=4) for y in (responses, responses[::-1].copy()))
    constant = run(model, (inputs, np.zeros_like(responses)), points=4)
    for name in ("attribution", "estimator_error", "standard_error", "completeness_error"):
        np.testing.assert_array_equal(useful[name], useless[name])
        np.testing.assert_array_equal(useful[name], constant[name])
    assert (useful["score"] > 0.8).all()
    assert np.isnan(constant["score"]).all()


def test_predictions_made_when_read_give_the_map_of_predictions_kept(monkeypatch):
    model = smooth_network(5, 2, seed=2)
    samples = toy_samples(130, 5, model)
    kept = run(model, samples, points=3, block_size=50)
    monkeypatch.setattr(problem_module, "PREDICTION_BYTES", 0)
    made = run(model, samples, points=3, block_size=50)
    np.testing.assert_allclose(made["attribution"], kept["attribution"], rtol=0, atol=1e-12)


def test_a_constant_prediction_has_no_map_and_spares_the_others():
    model = linear_model(WEIGHTS * np.array([[0.0], [1], [1]]), 1.0)
    result = run(model, toy_samples(80, 6, linear_model(WEIGHTS)), points=2)
    assert np.isnan(result["attribution"][0]).all()
    np.testing.assert_allclose(result["attribution"][1:].sum("voxel"), 1, atol=1e-12)
