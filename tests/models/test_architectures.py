import pytest
import torch
from torch import nn

from igc.errors import ModelError
from igc.models import ARCHITECTURES, build_architecture
from igc.models.encoders import FactorisedReadout
from igc.models.layers import ACTIVATIONS, ReadoutModel, Standardize, activation_layer

SHAPES = {
    "convolutional_classifier": (2, 12, 10),
    "convolutional_encoder": (2, 12, 10),
    "factorised_encoder": (2, 12, 10),
    "residual_mlp": (17,),
    "linear": (17,),
    "weighted_sum": (1, 32, 32),
    "maximum": (1, 32, 32),
    "noisy_pair": (1, 32, 32),
    "permuted": (1, 32, 32),
    "fmri": (32,),
}
TARGETS = {"weighted_sum": 1, "maximum": 1, "noisy_pair": 1, "permuted": 4, "fmri": 2}


def build(name: str) -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    module = build_architecture(name, SHAPES[name], TARGETS.get(name, 3))
    for layer in module.modules():  # statistics as after training, so that evaluation mode is not trivial
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(layer.running_mean, -1, 1)
            nn.init.uniform_(layer.running_var, 0.5, 2)
    return module.eval(), torch.randn(6, *SHAPES[name])


def test_every_architecture_is_tested() -> None:
    assert set(SHAPES) == set(ARCHITECTURES)


@pytest.mark.parametrize("name", SHAPES)
def test_a_sample_s_output_depends_on_that_sample_alone(name: str) -> None:
    module, x = build(name)
    together = module(x)
    apart = torch.cat([module(row[None]) for row in x])
    assert together.shape == (6, TARGETS.get(name, 3))
    torch.testing.assert_close(together, apart, rtol=1e-5, atol=1e-5)
    assert torch.equal(together, module(x))


@pytest.mark.parametrize("name", SHAPES)
def test_the_gradient_is_that_of_finite_differences(name: str) -> None:
    module, x = build(name)
    module, x = module.double(), x[:1].double()
    direction = torch.randn_like(x)
    _, slope = torch.autograd.functional.jvp(module, (x,), (direction,))
    step = 1e-6
    difference = (module(x + step * direction) - module(x - step * direction)) / (2 * step)
    torch.testing.assert_close(slope, difference, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    "name", ["convolutional_classifier", "convolutional_encoder", "factorised_encoder", "residual_mlp", "linear"]
)
def test_the_output_is_the_linear_readout_of_the_features(name: str) -> None:
    module, x = build(name)
    features = module.features(x)
    torch.testing.assert_close(features @ module.readout.weight.T + module.readout.bias, module(x))


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_only_relu_has_a_kink(activation: str) -> None:
    x = torch.linspace(-1, 1, 2001, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(activation_layer(activation)(x).sum(), x)
    assert (slope.diff().abs().max() > 0.5) == (activation == "relu")


def test_vectors_are_standardized_by_component_and_images_by_channel() -> None:
    vector, image = Standardize((3,)), Standardize((2, 4, 5))
    vector.set_statistics(torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 2.0, 0.0]))
    image.set_statistics(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0]))
    assert vector(torch.tensor([[2.0, 4.0, 5.0]])).tolist() == [[1.0, 1.0, 2.0]]
    assert image(torch.full((1, 2, 4, 5), 6.0))[0, :, 2, 3].tolist() == [5.0, 1.0]


def test_dropout_acts_in_training_only() -> None:
    module, x = build("residual_mlp")
    module.train()
    assert not torch.equal(module(x), module(x))
    assert isinstance(module, ReadoutModel)


def test_a_factorised_readout_multiplies_what_by_where() -> None:
    torch.manual_seed(1)
    layer = FactorisedReadout(3, 4, 5)
    maps = torch.randn(6, 3, 4)
    expected = torch.einsum("tf,tp,bfp->bt", layer.what, layer.where, maps) + layer.bias
    torch.testing.assert_close(layer(maps.flatten(1)), expected)
    assert sum(parameter.numel() for parameter in layer.parameters()) == 5 * (3 + 4 + 1)


def test_a_factorised_readout_takes_over_the_scale_of_the_responses() -> None:
    layer, maps = FactorisedReadout(3, 4, 5), torch.randn(6, 12)
    scale, shift = torch.rand(5) + 0.5, torch.randn(5)
    expected = layer(maps) * scale + shift
    layer.rescale(scale, shift)
    torch.testing.assert_close(layer(maps), expected)


@pytest.mark.parametrize("arguments", [{"channels": [4]}, {"channels": [], "pool": []}, {"pool": [2, 0]}])
def test_an_encoder_that_cannot_be_built_is_refused(arguments: dict) -> None:
    with pytest.raises(ModelError):
        build_architecture("factorised_encoder", (1, 12, 12), 3, arguments)
