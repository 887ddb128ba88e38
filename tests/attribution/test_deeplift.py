"""DeepLIFT against captum, Integrated Gradients and the sums it promises."""

import captum.attr
import numpy as np
import pytest
import torch
from torch import nn

import igc
from igc.errors import MethodError
from igc.models import build_architecture
from igc.testing.probes import Quadratic, linear_model, toy_samples


def run(model, samples, **options):
    return igc.attribute(model, samples, "deeplift", progress=False, **options)


def images(n=20, channels=1, side=8):
    random = np.random.default_rng(0)
    return random.normal(size=(n, channels, side, side)), random.normal(size=(n, 3))


def network(*layers, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(*layers).double()


def perceptron(activation):
    return network(nn.Linear(6, 12), activation, nn.Linear(12, 8), activation.__class__(), nn.Linear(8, 3))


def test_a_linear_model_gets_weight_times_difference():
    weights = np.random.default_rng(0).normal(size=(2, 6))
    model = linear_model(weights, 0.7)
    inputs, responses = toy_samples(50, 6, model)
    baselines = np.random.default_rng(1).normal(size=(3, 6))
    result = run(model, (inputs, responses), baselines=baselines)
    expected = weights * (inputs - baselines.mean(axis=0)).mean(axis=0)
    np.testing.assert_allclose(result["attribution"], expected, rtol=0, atol=1e-12)


def test_maps_equal_captum_for_every_target_and_baseline_of_a_network_on_images():
    layers = (nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(64, 9), nn.Tanh())
    model, (inputs, responses) = network(*layers, nn.Linear(9, 3)), images()
    baselines = np.random.default_rng(3).normal(size=(2, 1, 8, 8))
    result = run(model, (inputs, responses), baselines=baselines)
    x = torch.as_tensor(inputs)
    for k in range(3):
        maps = []
        for baseline in torch.as_tensor(baselines):
            start = baseline.expand_as(x).contiguous()
            maps.append(captum.attr.DeepLift(model).attribute(x.clone(), start, target=k).detach().numpy())
        np.testing.assert_allclose(result["attribution"][k], np.mean(maps, axis=(0, 1)), rtol=0, atol=1e-9)
        expected = np.abs(np.mean(maps, axis=0)).mean(axis=0)
        np.testing.assert_allclose(result["mean_absolute"][k], expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("activation", [nn.Mish(), nn.GELU(), nn.SiLU(), nn.Softplus(), nn.ReLU(), nn.Sigmoid()])
def test_the_covariance_map_closes_for_every_activation(activation):
    model = perceptron(activation)
    inputs, responses = toy_samples(80, 6, model)
    result = run(model, (inputs, responses), baselines="zero", summary="covariance")
    np.testing.assert_allclose(result["attribution"].sum("voxel"), result["score"], rtol=0, atol=1e-7)
    np.testing.assert_allclose(result["completeness_error"], 0.0, atol=1e-7)


def test_a_single_layer_of_neurons_gets_its_integrated_gradients():
    model = network(nn.Linear(6, 5), nn.Mish(), nn.Linear(5, 2))
    samples = toy_samples(60, 6, model)
    gradients = igc.attribute(model, samples, "integrated_gradients", baselines="mean", points=64, progress=False)
    result = run(model, samples, baselines="mean")
    np.testing.assert_allclose(result["attribution"], gradients["attribution"], rtol=0, atol=1e-7)


def test_sums_outside_of_layers_and_our_own_convolutional_network_are_followed():
    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = perceptron(nn.Mish())
            self.readout = nn.Linear(9, 3)

        def forward(self, x):
            hidden = self.inner(x)
            return self.readout(torch.cat([hidden, x + 0.5], dim=1)) + 2 * hidden

    torch.manual_seed(0)
    model = Residual().double()
    samples = toy_samples(60, 6, model)
    assert abs(run(model, samples)["completeness_error"]).max() < 1e-7
    ours = build_architecture("convolutional_classifier", (1, 8, 8), 3, {"channels": [4, 6], "hidden": 8}).eval()
    inputs, responses = images(40)
    assert abs(run(ours, (inputs.astype(np.float32), responses))["completeness_error"]).max() < 1e-5


def test_several_inputs_get_a_map_each():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nn.Sequential(nn.Linear(7, 5), nn.Tanh(), nn.Linear(5, 2))

        def forward(self, image, vector):
            return self.inner(torch.cat([image.flatten(1), vector], dim=1))

    torch.manual_seed(0)
    model, random = Two().double(), np.random.default_rng(0)
    image, vector = random.normal(size=(30, 1, 2, 2)), random.normal(size=(30, 3))
    result = run(model, ((image, vector), random.normal(size=(30, 2))), baselines="zero")
    tensors = tuple(torch.as_tensor(x) for x in (image, vector))
    oracle = captum.attr.DeepLift(model).attribute(tensors, target=1)
    for number, expected in enumerate(oracle):
        values = result[f"attribution_{number}"][1]
        np.testing.assert_allclose(values, expected.detach().numpy().mean(axis=0), rtol=0, atol=1e-9)


def test_chosen_outputs_are_those_of_the_model():
    model = perceptron(nn.ReLU())
    inputs, responses = toy_samples(60, 6, model)
    whole = run(model, (inputs, responses), baselines="zero")
    some = run(model, (inputs, responses), baselines="zero", targets=[2])
    np.testing.assert_allclose(some["attribution"][0], whole["attribution"][2], rtol=0, atol=1e-12)


def pooling():
    layers = (nn.Linear(6, 12), nn.ReLU(), nn.Unflatten(1, (2, 6)), nn.MaxPool1d(2, 1), nn.Flatten(), nn.Linear(10, 3))
    return network(*layers)


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.activation, self.first, self.second = nn.ReLU(), nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x):
        return self.second(self.activation(self.first(self.activation(x))))


@pytest.mark.parametrize(
    ("model", "options", "words"),
    [
        (Quadratic(np.ones((3, 6)), np.ones((3, 6, 6))), {}, "miss the change"),
        (network(nn.Linear(6, 8), nn.LayerNorm(8), nn.Linear(8, 3)), {}, "LayerNorm"),
        (pooling(), {}, "MaxPool1d"),
        (Twice().double(), {}, "called twice"),
        (perceptron(nn.ReLU()), {"output": "probability"}, "raw"),
        (lambda x: x[:, :3], {}, "torch.nn.Module"),
    ],
    ids=["function", "layer", "pooling", "twice", "probability", "callable"],
)
def test_what_cannot_be_followed_is_refused_with_what_to_do(model, options, words):
    with pytest.raises(MethodError, match=words) as caught:
        run(model, toy_samples(50, 6, lambda x: x[:, :3]), **options)
    assert "\n" not in str(caught.value)
    assert "use " in str(caught.value) or "explain the raw" in str(caught.value)
