"""A network that is run on windows predicts what it does on whole inputs."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import igc
from igc.attribution import windows
from igc.attribution.gradients import Outputs
from igc.attribution.information.blocks import patch_blocks, region_blocks, single_blocks
from igc.attribution.windows import windowed
from igc.models.architectures import convolutional_classifier, linear, residual_mlp


def settled(model):
    """Return a model for evaluation, with statistics and scales that are not those of a new one."""
    for layer in model.modules():
        for name, tensor in (*layer.named_parameters(recurse=False), *layer.named_buffers(recurse=False)):
            if tensor.dtype.is_floating_point and not isinstance(layer, (nn.Conv2d, nn.Linear)) and name != "bias":
                tensor.data.uniform_(0.5, 2)
    return model.double().eval().requires_grad_(False)


def run(model, images, blocks, seed=0):
    """Return outputs for every block filled in every image, by windows and by the model."""
    random = torch.Generator().manual_seed(seed)
    network = windowed(Outputs(model), (images[:1],), blocks, len(images))
    assert network is not None
    rows = torch.arange(len(images)).repeat_interleave(2)
    found, expected = [], []
    with torch.no_grad():
        trace = network.trace(images)
        for block in blocks:
            values = torch.randn(len(rows), len(block), dtype=images.dtype, generator=random)
            filled = images[rows].flatten(1)
            filled[:, block] = values
            found.append(network.outputs(trace, rows, block, values))
            expected.append(model(filled.reshape(-1, *images.shape[1:])))
    return torch.stack(found), torch.stack(expected)


def check(model, images, blocks):
    found, expected = run(model, images, blocks)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12 * max(1.0, float(expected.abs().max())))


@st.composite
def convolutions(draw, channels):
    """A layer that looks at a neighbourhood, and its channels."""
    kernel, stride, step = draw(st.integers(1, 4)), draw(st.integers(1, 3)), draw(st.integers(1, 2))
    kind = draw(st.sampled_from(["convolution", "same", "grouped", "oblong", "mean", "largest"]))
    if kind == "mean":
        return nn.AvgPool2d(kernel, stride, padding=draw(st.integers(0, kernel // 2))), channels
    if kind == "largest":
        border = draw(st.integers(0, kernel // 2))
        # taps apart may all fall outside, on nothing
        return nn.MaxPool2d(kernel, stride, padding=border, dilation=step if border == 0 else 1), channels
    if kind == "same":
        return nn.Conv2d(channels, 3, kernel, padding="same", dilation=step), 3
    if kind == "grouped":
        return nn.Conv2d(channels, 2 * channels, kernel, stride, padding=kernel // 2, groups=channels), 2 * channels
    if kind == "oblong":
        return nn.Conv2d(channels, 3, (kernel, 2), (stride, 1), padding=(kernel // 2, 1), dilation=(step, 1)), 3
    return nn.Conv2d(channels, 3, kernel, stride, padding=draw(st.integers(0, kernel)), dilation=step), 3


@st.composite
def networks(draw):
    """A network of a few such layers on images of two channels, and one block of a few images."""
    height, width = draw(st.integers(5, 12)), draw(st.integers(5, 12))
    torch.manual_seed(draw(st.integers(0, 1000)))
    layers, channels = [], 2
    shape = torch.zeros(1, channels, height, width)
    for _ in range(draw(st.integers(1, 3))):
        layer, wider = draw(convolutions(channels))
        try:
            shape = layer(shape)
        except RuntimeError:  # larger than what is left of the image
            continue
        channels = wider
        extra = draw(st.sampled_from([[nn.Mish()], [nn.BatchNorm2d(channels), nn.ReLU(inplace=True)], []]))
        layers += [layer, *extra]
    layers += [nn.Flatten(), nn.Linear(shape.numel(), 4), nn.Tanh(), nn.Linear(4, 3)]
    patch = draw(st.integers(1, 5))
    blocks = patch_blocks([(2, height, width)], patch, 1).members
    return nn.Sequential(*layers), (2, height, width), [blocks[draw(st.integers(0, len(blocks) - 1))]]


@settings(max_examples=100, deadline=None)
@given(networks(), st.booleans())
def test_windows_give_what_whole_images_give(case, small):
    model, shape, blocks = case
    images = torch.randn(3, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows, "MATRIX", 0 if small else windows.MATRIX)  # convolutions, or the matrices of them
        check(settled(model), images, blocks)


@pytest.mark.parametrize("patch", [1, 3, 4, 9])
def test_every_patch_of_an_image_up_to_its_borders_is_met(patch):
    torch.manual_seed(0)
    model = settled(convolutional_classifier((2, 13, 11), 4, channels=(3, 5), hidden=6))
    check(model, torch.randn(2, 2, 13, 11).double(), patch_blocks([(2, 13, 11)], patch, 1).members)


def test_blocks_need_not_be_patches_nor_inputs_images():
    torch.manual_seed(0)
    labels = np.random.default_rng(0).integers(0, 5, 36)
    check(
        settled(convolutional_classifier((1, 6, 6), 4)), torch.randn(2, 1, 6, 6).double(), region_blocks(labels).members
    )
    for model in (residual_mlp((30,), 4, blocks=2), linear((30,), 4)):
        check(settled(model), torch.randn(5, 30).double(), single_blocks([(30,)]).members)


class Doubling(nn.Module):
    """A layer nobody knows."""

    def forward(self, x):
        return 2 * x + x.roll(1, -1)


def test_what_follows_an_unknown_layer_is_run_as_it_is():
    torch.manual_seed(0)
    images, blocks = torch.randn(2, 1, 8, 8).double(), patch_blocks([(1, 8, 8)], 3, 3).members
    first = nn.Conv2d(1, 2, 3, padding=1)
    between = nn.Sequential(first, Doubling(), nn.Conv2d(2, 2, 3), nn.Flatten(), nn.Linear(72, 3))
    check(settled(between), images, blocks)
    check(settled(nn.Sequential(first, nn.Flatten(), Doubling(), nn.Linear(128, 3))), images, blocks)
    check(
        settled(nn.Sequential(first, nn.MaxPool2d(3, 2, ceil_mode=True), nn.Flatten(), nn.Linear(32, 3))),
        images,
        blocks,
    )


class Backwards(nn.Sequential):
    """A container that runs its layers in another order."""

    def forward(self, x):
        for layer in reversed(self):
            x = layer(x)
        return x


def test_models_of_another_form_are_left_alone():
    torch.manual_seed(0)
    inputs, blocks = torch.randn(1, 1, 6, 6), patch_blocks([(1, 6, 6)], 2, 2).members
    plain = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(36, 2)).eval()

    def found(model, inputs=(inputs,)):
        return windowed(Outputs(model), inputs, blocks, 1)

    assert found(plain) is not None
    assert found(nn.DataParallel(plain)) is not None
    assert found(lambda x: plain(x)) is None
    assert found(nn.Sequential(Doubling(), plain)) is None
    assert found(Backwards(*reversed(plain)).eval()) is None
    assert found(plain.train()) is None
    plain.eval()[1].register_forward_hook(lambda layer, given, made: 2 * made)
    assert found(plain) is None
    assert found(nn.Flatten(), (inputs, inputs)) is None


def test_windows_that_predict_otherwise_are_not_used(monkeypatch):
    """The numbers of a few samples decide, not what the layers are called."""
    torch.manual_seed(0)
    model = settled(nn.Sequential(nn.Conv2d(1, 1, 3), nn.Flatten(), nn.Linear(16, 2)))
    given = (torch.randn(1, 1, 6, 6).double(),), patch_blocks([(1, 6, 6)], 2, 2).members, 1
    assert windowed(Outputs(model), *given) is not None
    monkeypatch.setattr(windows, "ACTIVATIONS", (*windows.ACTIVATIONS, nn.Conv2d))
    monkeypatch.setattr(windows, "CHANNELWISE", (*windows.CHANNELWISE, nn.Conv2d))
    assert windowed(Outputs(model), *given) is None


def test_maps_are_the_same_and_the_model_is_run_on_originals_alone(monkeypatch):
    torch.manual_seed(0)
    images = torch.rand(9, 1, 10, 10).double()
    model = settled(convolutional_classifier((1, 10, 10), 3, channels=(3, 4), hidden=5))
    model.readout.weight.mul_(20)
    samples = images.numpy(), np.eye(3)[np.arange(9) % 3]
    options = {"method": "pmi", "patch": 3, "stride": 2, "draws": 24, "progress": False}
    rows, forward = [], nn.Conv2d.forward
    monkeypatch.setattr(nn.Conv2d, "forward", lambda layer, x: (rows.append(len(x)), forward(layer, x))[1])
    fast = igc.attribute(model, samples, **options)
    few = sum(rows)
    slow = igc.attribute(lambda x: model(x), samples, **options)
    for name in ("attribution", "estimator_error", "standard_error"):
        np.testing.assert_allclose(fast[name], slow[name], rtol=0, atol=1e-10 * float(abs(slow[name]).max()))
    assert fast.attrs["evaluations"] == slow.attrs["evaluations"] > 9 * 16 * 16
    assert few < 9 * 16
