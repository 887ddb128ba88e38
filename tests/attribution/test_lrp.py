"""Layer-wise relevance propagation against captum and its definition written out."""

import captum.attr
import numpy as np
import pytest
import torch
from torch import nn

import igc
from igc.errors import MethodError
from igc.models import build_architecture
from igc.models.layers import Standardize
from igc.testing.probes import Quadratic, linear_model, smooth_network, toy_samples


def run(model, samples, **options):
    return igc.attribute(model, samples, "lrp_epsilon", progress=False, **options)


def network(*layers, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(*layers).double()


def images(n=20, channels=1, side=8):
    random = np.random.default_rng(0)
    return random.normal(size=(n, channels, side, side)), random.normal(size=(n, 3))


class Image(nn.Module):
    """Of layers that captum has rules for, without a layer that flattens, which it has not."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2))
        self.second = nn.Sequential(nn.Linear(64, 9), nn.Tanh(), nn.Dropout(0.5), nn.Linear(9, 3))

    def forward(self, x):
        return self.second(self.first(x).flatten(1))


def test_maps_equal_captum_for_every_target_of_a_network_on_images():
    model, (inputs, responses) = Image().double().eval(), images()
    model.first[1].running_mean.copy_(torch.tensor([0.2, -0.1, 0.5, 0.0]))
    result = run(model, (inputs, responses))
    for k in range(3):
        oracle = captum.attr.LRP(model).attribute(torch.as_tensor(inputs), target=k).detach().numpy()
        np.testing.assert_allclose(result["attribution"][k], oracle.mean(axis=0), rtol=0, atol=1e-12)
        np.testing.assert_allclose(result["mean_absolute"][k], abs(oracle).mean(axis=0), rtol=0, atol=1e-12)


def by_hand(layers, x, target, epsilon):
    """Return relevances of one input by the definition, neuron by neuron."""
    values = [x]
    for layer in layers:
        values.append(layer(values[-1]))
    relevance = torch.zeros_like(values[-1])
    relevance[target] = values[-1][target]
    for layer, inputs, sums in zip(reversed(layers), reversed(values[:-1]), reversed(values[1:]), strict=True):
        if isinstance(layer, nn.Linear):
            handed = torch.zeros_like(inputs)
            for j in range(len(sums)):
                sign = 1 if sums[j] >= 0 else -1
                handed += inputs * layer.weight[j] * relevance[j] / (sums[j] + epsilon * sign)
            relevance = handed
    return relevance


@pytest.mark.parametrize("activation", [nn.Mish(), nn.GELU(), nn.SiLU(), nn.Sigmoid(), nn.Tanh()])
def test_relevance_passes_any_activation_as_in_the_definition(activation):
    layers = [nn.Linear(6, 8), activation, nn.Linear(8, 5), activation.__class__(), nn.Linear(5, 3)]
    model = network(*layers)
    inputs, responses = toy_samples(12, 6, model)
    result = run(model, (inputs, responses), epsilon=0.05)
    with torch.no_grad():
        maps = [[by_hand(layers, x, k, 0.05).numpy() for k in range(3)] for x in torch.as_tensor(inputs)]
    np.testing.assert_allclose(result["attribution"], np.mean(maps, axis=0), rtol=1e-10, atol=1e-12)


def test_without_biases_a_rectifying_network_gets_gradient_times_input_and_all_of_its_output():
    model = network(*(nn.Linear(6, 8, bias=False), nn.ReLU(), nn.Linear(8, 3, bias=False)))
    inputs, responses = toy_samples(60, 6, model)
    result = run(model, (inputs, responses))
    expected = igc.attribute(model, (inputs, responses), "gradient_x_input", progress=False)["attribution"]
    np.testing.assert_allclose(result["attribution"], expected, rtol=0, atol=1e-7)
    with torch.no_grad():
        np.testing.assert_allclose(
            result["attribution"].sum("voxel"), model(torch.as_tensor(inputs)).mean(0), atol=1e-7
        )


def test_a_linear_model_gets_weight_times_input():
    weights = np.random.default_rng(0).normal(size=(2, 6))
    inputs, responses = toy_samples(50, 6, linear_model(weights))
    result = run(linear_model(weights, 0.7), (inputs, responses), epsilon=1e-12)
    np.testing.assert_allclose(result["attribution"], weights * inputs.mean(axis=0), rtol=0, atol=1e-9)


def test_the_standardisation_of_our_models_is_a_layer_whose_shift_is_a_bias():
    model = network(Standardize((6,)), nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    model[0].set_statistics(torch.linspace(-1, 1, 6), torch.linspace(0.5, 2, 6))
    folded = network(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    with torch.no_grad():
        scale, mean = model[0].scale, model[0].mean
        folded[0].weight.copy_(model[1].weight / scale)
        folded[0].bias.copy_(model[1].bias - (model[1].weight / scale) @ mean)
        folded[2].load_state_dict(model[3].state_dict())
    samples = toy_samples(60, 6, folded)
    np.testing.assert_allclose(run(model, samples)["attribution"], run(folded, samples)["attribution"], atol=1e-6)


def test_our_own_convolutional_networks_have_rules_for_every_layer():
    model = build_architecture("convolutional_classifier", (1, 8, 8), 3, {"channels": [4, 6], "hidden": 8}).eval()
    inputs, responses = images()
    assert np.isfinite(run(model, (inputs.astype(np.float32), responses))["attribution"]).all()


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
    joined = np.concatenate([image.reshape(30, 4), vector], axis=1)
    responses = random.normal(size=(30, 2))
    result, expected = run(model, ((image, vector), responses)), run(model.inner, (joined, responses))["attribution"]
    np.testing.assert_allclose(result["attribution_0"].values.reshape(2, 4), expected[:, :4], rtol=0, atol=1e-12)
    np.testing.assert_allclose(result["attribution_1"], expected[:, 4:], rtol=0, atol=1e-12)


class Forward(nn.Module):
    def __init__(self, rule):
        super().__init__()
        self.first, self.second, self.rule_of = nn.Linear(6, 6), nn.Linear(6, 3), rule

    def forward(self, x):
        return self.rule_of(self, x)


@pytest.mark.parametrize(
    ("model", "options", "words"),
    [
        (Quadratic(np.ones((3, 6)), np.ones((3, 6, 6))), {}, "Quadratic"),
        (network(nn.Linear(6, 8), nn.LayerNorm(8), nn.Linear(8, 3)), {}, "layer 1: found LayerNorm"),
        (Forward(lambda m, x: m.second(x + m.first(x))).double(), {}, "add outside"),
        (Forward(lambda m, x: m.second(m.first(m.first(x)))).double(), {}, "called twice"),
        (Forward(lambda m, x: m.second(m.first(x) if x.sum() > 0 else x)).double(), {}, "cannot be followed"),
        (smooth_network(6, 3), {"output": "log_probability"}, "raw"),
        (smooth_network(6, 3), {"epsilon": 0}, "epsilon"),
        (lambda x: x[:, :3], {}, "torch.nn.Module"),
    ],
    ids=["function", "layer", "sum", "twice", "branch", "probability", "epsilon", "callable"],
)
def test_what_has_no_rule_is_refused_by_name(model, options, words):
    with pytest.raises(MethodError, match=words) as caught:
        run(model, toy_samples(50, 6, lambda x: x[:, :3]), **options)
    assert "\n" not in str(caught.value)
