"""The model as the engine differentiates it is the same function."""

import numpy as np
import pytest
import torch
from torch import nn

import igc
from igc.attribution.correlation import pairs
from igc.attribution.gradients import Outputs, output_gradients
from igc.attribution.prepared import prepare


def network(activation, seed=0):
    """A small convolution net whose normalisations have statistics of their own."""
    torch.manual_seed(seed)
    body = nn.Sequential(
        *(nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), activation, nn.Dropout(0.5), nn.Flatten()),
        *(nn.Linear(64, 6), nn.BatchNorm1d(6), activation, nn.Linear(6, 3)),
    ).double()
    for layer in body.modules():
        if isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d)):
            for tensor in (layer.running_mean, layer.running_var, layer.weight, layer.bias):
                tensor.data.uniform_(0.5, 2)
    return body.eval().requires_grad_(False)


def gradients(outputs, points):
    leaf = points.clone().requires_grad_()
    return torch.stack(output_gradients(outputs, (leaf,)))


POINTS = torch.rand(5, 1, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    "activation", [nn.Mish(), nn.GELU(), nn.GELU("tanh"), nn.SiLU(), nn.ELU(0.5), nn.Softplus(2.0), nn.ReLU()]
)
def test_outputs_and_all_their_gradients_stay_the_same(activation):
    plain = Outputs(network(activation))
    prepared = prepare(plain, (POINTS,))
    assert prepared.model is not plain.model
    assert not any(isinstance(layer, (nn.BatchNorm1d, nn.BatchNorm2d)) for layer in prepared.model.modules())
    torch.testing.assert_close(prepared((POINTS,)), plain((POINTS,)), rtol=0, atol=1e-12)
    torch.testing.assert_close(gradients(prepared, POINTS), gradients(plain, POINTS), rtol=0, atol=1e-12)


def test_a_prepared_model_follows_the_weights_of_today():
    model = network(nn.Mish())
    before = prepare(Outputs(model), (POINTS,))((POINTS,))
    model[0].weight.data.mul_(2)
    after = prepare(Outputs(model), (POINTS,))((POINTS,))
    assert float((after - before).abs().max()) > 1e-3
    torch.testing.assert_close(after, model(POINTS), rtol=0, atol=1e-12)


class Tapped(nn.Module):
    """Looks at what comes out of a convolution before it is normalised."""

    def __init__(self):
        super().__init__()
        self.layers = network(nn.Mish())

    def forward(self, inputs):
        first = self.layers[0](inputs)
        return self.layers(inputs) + first.mean(dim=(1, 2, 3))[:, None]


class Curious(Tapped):
    """Reads what a normalisation keeps, which it no longer has once the layer before it took it over."""

    def forward(self, inputs):
        return self.layers(inputs) * self.layers[1].running_var.mean()


def test_models_that_use_their_layers_in_another_way_are_left_alone():
    tapped = Outputs(Tapped().eval())
    assert prepare(tapped, (POINTS,)) is tapped
    curious = Outputs(Curious().eval())
    assert prepare(curious, (POINTS,)) is curious
    watched = network(nn.Mish())
    seen = []
    for layer in watched:
        layer.register_forward_hook(lambda module, arguments, result: seen.append(module))
    outputs = Outputs(watched)
    assert prepare(outputs, (POINTS,)) is outputs
    training = Outputs(network(nn.Mish()).train())
    assert prepare(training, (POINTS,)) is training
    function = Outputs(lambda inputs: inputs.flatten(1))
    assert prepare(function, (POINTS,)) is function


@pytest.mark.parametrize("side", ["outputs", "latents"])
@pytest.mark.parametrize("one_hot", [True, False])
def test_the_map_is_that_of_the_model_as_it_is(side, one_hot, monkeypatch):
    random = np.random.default_rng(0)
    inputs, responses = random.random((90, 1, 4, 4)), random.normal(size=(90, 3))
    samples = inputs, np.eye(3)[responses.argmax(axis=1)] if one_hot else responses
    called = []
    monkeypatch.setattr(pairs, "prepare", lambda outputs, points: called.append(1) or prepare(outputs, points))
    fast = igc.attribute(network(nn.Mish()), samples, points=2, side=side, progress=False)
    assert called
    monkeypatch.setattr(pairs, "prepare", lambda outputs, points: outputs)
    plain = igc.attribute(network(nn.Mish()), samples, points=2, side=side, progress=False)
    for name in ("attribution", "estimator_error", "standard_error", "completeness_error"):
        np.testing.assert_allclose(fast[name], plain[name], rtol=0, atol=1e-11)
