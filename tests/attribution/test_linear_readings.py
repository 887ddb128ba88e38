"""Weights and Haufe patterns of a linear model, against their definitions and a slow inverse."""

import numpy as np
import pytest
import torch

import igc
from igc.attribution.correlation import linear
from igc.attribution.gradients import Outputs
from igc.errors import MethodError
from igc.testing.probes import linear_model, smooth_network

RANDOM = np.random.default_rng(4)
WEIGHTS = RANDOM.normal(size=(2, 5))
MIXING = RANDOM.normal(size=(5, 5))


def correlated_samples(n=300):
    inputs = np.random.default_rng(5).normal(size=(n, 5)) @ MIXING
    return inputs, inputs @ WEIGHTS.T + np.random.default_rng(6).normal(size=(n, 2))


def run(method, model=None, samples=None, **options):
    model = linear_model(WEIGHTS, [1.0, -3.0]) if model is None else model
    return igc.attribute(model, correlated_samples() if samples is None else samples, method, progress=False, **options)


def test_weights_are_standardised():
    inputs, responses = correlated_samples()
    expected = WEIGHTS * inputs.std(axis=0) / responses.std(axis=0)[:, None]
    np.testing.assert_allclose(run("linear_weights")["attribution"], expected, atol=1e-12)


def test_patterns_are_the_covariance_of_inputs_times_weights_over_the_variance_of_the_prediction():
    inputs, _ = correlated_samples()
    found = run("haufe")
    covariance = np.cov(inputs, rowvar=False, bias=True)
    for k, weights in enumerate(WEIGHTS):
        expected = covariance @ weights / (weights @ covariance @ weights)
        np.testing.assert_allclose(found["pattern"][k], expected, atol=1e-12)
        spread = np.sqrt(weights @ covariance @ weights)
        np.testing.assert_allclose(found["attribution"][k], expected * spread / inputs.std(axis=0), atol=1e-12)


def test_a_pattern_inverts_the_mixing_that_weights_undo():
    # x = a s + b d: the weights that find s must subtract the distractor; the pattern is where s is
    random = np.random.default_rng(7)
    signal, distractor = random.normal(size=(2, 4000))
    inputs = np.stack([signal + 2 * distractor, distractor], axis=1)
    model = linear_model(np.array([[1.0, -2.0]]))
    maps = {name: run(name, model, (inputs, signal[:, None]))["attribution"].values[0] for name in METHODS}
    assert maps["linear_weights"][1] == pytest.approx(-2.0, abs=0.1)
    assert abs(maps["haufe"][1]) < 0.05
    assert maps["haufe"][0] == pytest.approx(1 / np.sqrt(5), abs=0.05)


METHODS = ("linear_weights", "haufe")


@pytest.mark.parametrize("method", METHODS)
def test_the_error_over_groups_is_that_of_the_jackknife(method):
    inputs, responses = correlated_samples(120)
    groups = np.repeat(np.arange(12), 10)
    found = run(method, samples=(inputs, responses), groups=groups)
    parts = []
    for group in range(12):
        kept = groups != group
        parts.append(run(method, samples=(inputs[kept], responses[kept]))["attribution"].values)
    expected = np.sqrt(11 / 12 * np.sum((np.stack(parts) - np.mean(parts, axis=0)) ** 2, axis=0))
    np.testing.assert_allclose(found["standard_error"], expected, rtol=1e-8)


@pytest.mark.parametrize("method", METHODS)
def test_other_models_are_refused(method):
    with pytest.raises(MethodError, match=f"{method}: found gradients that differ"):
        run(method, smooth_network(5, 2))


def test_gradients_of_many_outputs_come_from_those_of_what_the_last_layer_combines(monkeypatch):
    torch.manual_seed(0)
    body = torch.nn.Sequential(torch.nn.Linear(7, 3), torch.nn.Linear(3, 50)).double()
    inputs = (torch.randn(2, 7, dtype=torch.float64),)
    asked = []
    original = linear.output_gradients
    monkeypatch.setattr(linear, "output_gradients", lambda *given: asked.append(original(*given)) or asked[-1])
    for outputs in (Outputs(body), Outputs(body, targets=(4, 2))):
        found = linear._gradients(outputs, tuple(x.clone() for x in inputs))
        whole = (body[1].weight @ body[0].weight).detach().numpy()
        expected = whole if outputs.targets is None else whole[[4, 2]]
        np.testing.assert_allclose(found, np.broadcast_to(expected, (2, *expected.shape)), rtol=1e-12)
    assert [len(maps) for maps in asked] == [3, 3]
