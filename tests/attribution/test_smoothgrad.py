"""SmoothGrad and GradientSHAP against captum's draws, in expectation, and against closed forms."""

import captum.attr
import numpy as np
import pytest
import torch

import igc
from igc.attribution.standard.noise import add_noise
from igc.errors import MethodError
from igc.testing.probes import Quadratic, linear_model, smooth_network, toy_samples


def run(model, samples, method="smoothgrad", **options):
    return igc.attribute(model, samples, method, progress=False, summary="mean", **options)


def gradients(model, x):
    x = torch.as_tensor(x).clone().requires_grad_()
    outputs = model(x)
    parts = [torch.autograd.grad(outputs[:, k].sum(), x, retain_graph=True)[0] for k in range(outputs.shape[1])]
    return torch.stack(parts, dim=1).numpy()


def test_a_linear_model_gets_its_weights_or_weight_times_difference_exactly():
    weights = np.random.default_rng(0).normal(size=(2, 6))
    model = linear_model(weights, 0.7)
    inputs, responses = toy_samples(50, 6, model)
    start = np.random.default_rng(1).normal(size=6)
    np.testing.assert_allclose(run(model, (inputs, responses))["attribution"], weights, rtol=0, atol=1e-12)
    shap = run(model, (inputs, responses), "gradient_shap", baselines=start, noise=0)["attribution"]
    np.testing.assert_allclose(shap, weights * (inputs - start).mean(axis=0), rtol=0, atol=1e-12)
    noisy = run(model, (inputs, responses), "gradient_shap", baselines=start, points=64)
    error = (noisy["attribution"] - shap) / noisy["estimator_error"]
    assert 0.2 < float(abs(error).max()) < 4


def test_without_noise_it_is_the_gradient_or_gradient_times_input():
    model = smooth_network(6, 3, seed=1)
    inputs, responses = toy_samples(50, 6, model)
    plain = run(model, (inputs, responses), noise=0, points=1)["attribution"]
    np.testing.assert_allclose(plain, gradients(model, inputs).mean(axis=0), rtol=0, atol=1e-12)
    timed = run(model, (inputs, responses), noise=0, points=1, times_input=True)["attribution"]
    expected = igc.attribute(model, (inputs, responses), "gradient_x_input", progress=False)["attribution"]
    np.testing.assert_allclose(timed, expected, rtol=0, atol=1e-12)


def test_noise_is_a_share_of_the_spread_of_the_inputs():
    # the squared gradient of a parabola grows by the variance of the noise
    class Cubes(torch.nn.Module):
        def forward(self, x):
            return (x**3).sum(dim=1, keepdim=True) / 3

    inputs, responses = toy_samples(400, 5, lambda x: x[:, :1])
    result = run(Cubes(), (inputs, responses), noise=0.5, points=64)
    expected = (inputs**2).mean(axis=0) + 0.25 * inputs.var()
    error = (result["attribution"][0] - expected) / result["estimator_error"][0]
    assert float(abs(error).max()) < 4
    assert float((result["estimator_error"] / expected).max()) < 0.02


def test_maps_match_captum_over_many_noisy_copies():
    model = smooth_network(6, 3, seed=1)
    inputs, responses = toy_samples(40, 6, model)
    result = run(model, (inputs, responses), noise=0.7, points=512)
    torch.manual_seed(0)
    tunnel = captum.attr.NoiseTunnel(captum.attr.Saliency(model))
    x, spread = torch.as_tensor(inputs), float(0.7 * inputs.std())
    oracle = tunnel.attribute(x, nt_samples=2000, nt_samples_batch_size=100, stdevs=spread, target=1, abs=False)
    tolerance = 0.02 * float(abs(oracle.mean(dim=0)).max())
    np.testing.assert_allclose(result["attribution"][1], oracle.mean(dim=0).numpy(), rtol=0, atol=tolerance)


@pytest.mark.parametrize("noise", [0.0, 0.7])
def test_gradient_shap_matches_captum_over_many_draws(noise):
    model = smooth_network(6, 3, seed=1)
    inputs, responses = toy_samples(40, 6, model)
    baselines = np.random.default_rng(2).normal(size=(5, 6)) + 1
    result = run(model, (inputs, responses), "gradient_shap", baselines=baselines, noise=noise, points=512)
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002 - where captum draws baselines
    explainer = captum.attr.GradientShap(model)
    x, spread = torch.as_tensor(inputs), float(noise * inputs.std())
    parts = [
        explainer.attribute(x, torch.as_tensor(baselines), n_samples=100, stdevs=spread, target=1).detach().mean(dim=0)
        for _ in range(20)
    ]
    oracle, error = torch.stack(parts).mean(dim=0).numpy(), torch.stack(parts).std(dim=0).numpy() / np.sqrt(20)
    joint = np.hypot(result["estimator_error"][1], error)
    assert float(abs((result["attribution"][1] - oracle) / joint).max()) < 4
    assert float(joint.max()) < 0.03 * float(abs(oracle).max())


def test_gradient_shap_without_noise_is_expected_gradients_in_expectation():
    random = np.random.default_rng(0)
    matrices = random.normal(size=(2, 4, 4))
    model = Quadratic(random.normal(size=(2, 4)), matrices + matrices.transpose(0, 2, 1))
    samples = toy_samples(60, 4, model)
    shap = run(model, samples, "gradient_shap", noise=0, points=256, baselines="mean")
    other = run(model, samples, "expected_gradients", points=256, baselines="mean")
    error = np.hypot(shap["estimator_error"], other["estimator_error"])
    assert float(abs((shap["attribution"] - other["attribution"]) / error).max()) < 4


@pytest.mark.parametrize("method", ["smoothgrad", "gradient_shap"])
def test_errors_are_honest_over_seeds(method):
    model = smooth_network(4, 2, seed=2)
    samples = toy_samples(50, 4, model)
    results = [run(model, samples, method, points=8, seed=seed, baselines="zero") for seed in range(24)]
    spread = np.stack([r["attribution"].values for r in results]).std(axis=0, ddof=1)
    claimed = np.sqrt(np.mean([r["estimator_error"].values ** 2 for r in results], axis=0))
    np.testing.assert_allclose(np.linalg.norm(claimed), np.linalg.norm(spread), rtol=0.2)


def test_the_noise_of_a_sample_follows_from_its_number_alone():
    x = (torch.zeros(5, 2, 3, dtype=torch.float64), torch.zeros(5, 4, dtype=torch.float64))
    scale = torch.ones(10, dtype=torch.float64)
    rows = np.array([7, 300, 2, 9, 11])
    whole = add_noise(x, scale, 3, "test", rows, 1, 0)
    part = add_noise(tuple(v[2:4] for v in x), scale, 3, "test", rows[2:4], 1, 0)
    assert all(torch.equal(a[2:4], b) for a, b in zip(whole, part, strict=True))
    other = add_noise(x, scale, 3, "test", rows, 2, 0)
    assert not any(torch.equal(a, b) for a, b in zip(whole, other, strict=True))
    drawn = add_noise((torch.zeros(2000, 10, dtype=torch.float64),), scale * 2, 0, "test", np.arange(2000))[0]
    assert abs(float(drawn.std()) - 2) < 0.05


def test_several_inputs_have_each_a_noise_of_their_own_scale():
    class Two(torch.nn.Module):
        def forward(self, small, large):
            return (small**3).sum(dim=1, keepdim=True) / 3 + (large**3).sum(dim=1, keepdim=True) / 3

    random = np.random.default_rng(0)
    small, large = 0.1 * random.normal(size=(300, 2)), 10 * random.normal(size=(300, 3))
    result = run(Two(), ((small, large), random.normal(size=(300, 1))), points=64, noise=1.0)
    for number, values in enumerate((small, large)):
        expected = (values**2).mean(axis=0) + values.var()
        np.testing.assert_allclose(result[f"attribution_{number}"][0], expected, rtol=0.05)


@pytest.mark.parametrize(
    ("method", "options", "words"),
    [
        ("smoothgrad", {"noise": -0.1}, "noise"),
        ("smoothgrad", {"noise": True}, "noise"),
        ("gradient_shap", {"noise": "much"}, "noise"),
        ("smoothgrad", {"times_input": 1}, "times_input"),
        ("smoothgrad", {"tolerance": 0.1}, "points"),
    ],
)
def test_wrong_options_end_in_one_clear_line(method, options, words):
    model = smooth_network(6, 3)
    with pytest.raises(MethodError, match=words):
        run(model, toy_samples(50, 6, model), method, **options)
