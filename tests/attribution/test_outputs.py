"""Every method on one output and many, on probabilities and their logarithms, on several inputs; and old traps."""

import numpy as np
import pytest
import torch

import igc
from igc.attribution.registry import METHODS
from igc.testing.closed_forms import _path_gradients
from igc.testing.probes import InputRecorder, linear_model, smooth_network, toy_samples

LINEAR = {name for name, method in METHODS.items() if method.needs == "linear model"}
MODULES = {"deeplift", "lrp_epsilon"}
"""Rules of single layers: they take no function in place of a module, and raw outputs only."""
PREDICTIVE = {"feature_iba", "input_iba", "pmi", "information_gain"}
"""They turn outputs into probabilities themselves, so that probabilities are not what they are given."""
BY_INPUT = {"feature_iba", "input_iba", "gradient_shap", "smoothgrad", "occlusion_patch"}
"""Noise, smoothing and patches follow the shape and the spread of each input, so that two inputs are not one."""
BLACK_BOX_OR_GRADIENT = sorted(name for name, method in METHODS.items() if method.needs in ("gradient", "forward"))


def run(model, samples, method, **options):
    return igc.attribute(model, samples, method, **{"progress": False, "points": 24, **options})


def total(result):
    return sum(result[name].sum(result[name].dims[1:]) for name in result if str(name).startswith("attribution"))


@pytest.mark.parametrize(
    ("method", "output"),
    [
        (method, output)
        for method in sorted(set(BLACK_BOX_OR_GRADIENT) - MODULES)
        for output in ("raw", "probability", "log_probability")
        if not (method in PREDICTIVE and output == "probability")
    ],
)
def test_an_output_is_explained_as_a_model_that_ends_in_it(method, output):
    model = smooth_network(5, 3, seed=1)
    inputs, raw = toy_samples(80, 5, model)
    one_hot = np.eye(3)[raw.argmax(axis=1)]
    ends = {"raw": lambda z: z, "probability": lambda z: z.softmax(1), "log_probability": lambda z: z.log_softmax(1)}
    first = run(model, (inputs, one_hot), method, output=output)
    second = run(lambda x: ends[output](model(x)), (inputs, one_hot), method)
    np.testing.assert_allclose(first["attribution"], second["attribution"], rtol=0, atol=1e-12)
    closes_to = METHODS[method].closes_to
    if closes_to is not None:
        np.testing.assert_allclose(total(first), first["score"] if closes_to == "score" else 1, rtol=0, atol=1e-12)


@pytest.mark.parametrize("method", sorted(set(BLACK_BOX_OR_GRADIENT) - MODULES))
def test_a_model_of_one_number_a_sample_needs_no_target_axis(method):
    model = smooth_network(5, 1, seed=1)
    inputs, responses = toy_samples(60, 5, model)
    with_axis = run(model, (inputs, responses), method)
    without = run(lambda x: model(x)[:, 0], (inputs, responses[:, 0]), method)
    np.testing.assert_allclose(without["attribution"], with_axis["attribution"], rtol=0, atol=1e-12)


@pytest.mark.parametrize("method", sorted(set(METHODS) - LINEAR - MODULES - BY_INPUT))
def test_several_inputs_share_one_sum(method):
    model = smooth_network(7, 2, seed=2)
    inputs, responses = toy_samples(90, 7, model)

    def joined(a, b):
        return model(torch.cat([a, b.flatten(1)], dim=1))

    options = {"baselines": 2} if method == "igac" else {}
    whole = run(model, (inputs, responses), method, **options)
    split = run(joined, ((inputs[:, :3], inputs[:, 3:].reshape(-1, 2, 2)), responses), method, **options)
    scale = np.abs(whole["attribution"]).max()
    np.testing.assert_allclose(split["attribution_0"], whole["attribution"][:, :3], rtol=0, atol=1e-10 * scale)
    np.testing.assert_allclose(
        split["attribution_1"].values.reshape(2, 4), whole["attribution"][:, 3:], rtol=0, atol=1e-10 * scale
    )
    if METHODS[method].closes_to is not None:
        expected = split["score"] if METHODS[method].complete else 1
        np.testing.assert_allclose(total(split), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("method", BLACK_BOX_OR_GRADIENT)
def test_a_baseline_of_one_number_or_zeros_is_no_special_case(method):
    model = smooth_network(4, 2, seed=2)
    samples = toy_samples(50, 4, model)
    named, given = (run(model, samples, method, baselines=choice) for choice in ("zero", np.zeros(4)))
    np.testing.assert_array_equal(named["attribution"], given["attribution"])


@pytest.mark.parametrize("method", sorted(set(METHODS) - LINEAR))
def test_calls_for_different_targets_leave_no_trace_in_each_other(method):
    model = smooth_network(4, 3, seed=2)
    samples = toy_samples(60, 4, model)
    alone = run(model, samples, method, targets=[2])
    for targets in ([0], [1, 0], [2]):
        last = run(model, samples, method, targets=targets)
    np.testing.assert_array_equal(last["attribution"], alone["attribution"])


@pytest.mark.parametrize("method", sorted(set(METHODS) - LINEAR))
def test_samples_that_fill_no_batch_count_as_much_as_others(method):
    model = linear_model(np.random.default_rng(1).normal(size=(2, 4)))
    inputs, responses = toy_samples(50, 4, model)
    inputs[-1] *= 50  # the last sample rules every map, so that a map without it is another
    whole = run(model, (inputs, responses), method, baselines="zero")
    for size in (49, 7):
        ragged = run(model, (inputs, responses), method, baselines="zero", batch_size=size)
        tolerance = 1e-10 * float(np.abs(whole["attribution"]).max())
        np.testing.assert_allclose(ragged["attribution"], whole["attribution"], rtol=0, atol=tolerance)
    if method == "smoothgrad":
        return  # the gradient of a linear model is the same at every sample
    without = run(model, (inputs[:-1], responses[:-1]), method, baselines="zero")
    assert float(np.abs(without["attribution"] - whole["attribution"]).max()) > 1e-3


def test_deviations_are_deviations_and_not_variances():
    model = smooth_network(4, 2, seed=2)
    inputs, responses = toy_samples(40, 4, model)
    result = run(model, (inputs, responses), "integrated_gradients", baselines="zero", points=None, batch_size=17)
    maps = np.stack([x * _path_gradients(model, np.zeros(4), x, 24) for x in inputs])
    np.testing.assert_allclose(result["standard_deviation"], maps.std(axis=0), rtol=0, atol=1e-8)
    doubled = run(lambda x: 2 * model(x), (inputs, responses), "integrated_gradients", baselines="zero", points=None)
    np.testing.assert_allclose(doubled["standard_deviation"], 2 * result["standard_deviation"], rtol=1e-6)


def test_many_shared_baselines_are_all_used_whatever_the_batch():
    model = smooth_network(4, 2, seed=2)
    samples = toy_samples(40, 4, model)
    baselines = np.random.default_rng(3).normal(size=(16, 4))
    result = run(model, samples, "integrated_gradients", baselines=baselines, points=None, batch_size=3)
    single = [run(model, samples, "integrated_gradients", baselines=b, points=None)["attribution"] for b in baselines]
    np.testing.assert_allclose(result["attribution"], np.mean(single, axis=0), rtol=0, atol=1e-6)


@pytest.mark.parametrize("method", BLACK_BOX_OR_GRADIENT)
def test_stochastic_layers_are_silent(method):
    network = smooth_network(4, 2, seed=2)
    samples = toy_samples(40, 4, network)
    noisy = torch.nn.Sequential(network, torch.nn.Dropout(0.5)).train()
    np.testing.assert_array_equal(
        run(noisy, samples, method)["attribution"], run(network, samples, method)["attribution"]
    )


@pytest.mark.parametrize("method", ["expected_gradients", "baseline_shapley"])
def test_outputs_are_chunked_without_more_passes_through_the_model(method):
    one, many = (InputRecorder(smooth_network(4, k, seed=2)) for k in (1, 6))
    for model in (one, many):
        run(model, toy_samples(40, 4, model.model), method)
    assert sum(map(len, one.seen)) == sum(map(len, many.seen))


def test_a_response_that_does_not_vary_spares_maps_that_need_none():
    model = smooth_network(4, 2, seed=2)
    inputs, responses = toy_samples(40, 4, model)
    constant = np.ones_like(responses)
    for method in ("integrated_gradients", "expected_gradients", "baseline_shapley", "igac", "gradient_x_input"):
        known, none = (run(model, (inputs, y), method)["attribution"] for y in (responses, constant))
        np.testing.assert_array_equal(known, none)
    for method in ("igc", "bsc", "naive_correlation", "naive_ttest"):
        assert np.isnan(run(model, (inputs, constant), method)["attribution"]).all()
