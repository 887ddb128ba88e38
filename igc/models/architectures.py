"""Architectures to train: convolutional networks, a residual multilayer perceptron and the linear model.

All activations are smooth unless ``relu`` is asked for, nothing is changed in place, and in evaluation mode the output
of a sample depends on that sample alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from igc.errors import ModelError, explain
from igc.models.layers import ReadoutModel, activation_layer, check_fraction, check_whole
from igc.models.registry import register_architecture

__all__ = [
    "FlatLinear",
    "ResidualBlock",
    "convolutional_classifier",
    "convolutional_encoder",
    "linear",
    "residual_mlp",
]

LARGEST = 65536
"""Largest width of a layer: a model file cannot ask for more memory than a sane model needs."""


class ResidualBlock(nn.Module):
    """Normalise, widen, activate, narrow and add, as ConvNeXt does without the convolution.

    Parameters
    ----------
    width : int
        Number of features.
    expansion : int
        The hidden layer has ``expansion * width`` features.
    activation : str
        A name of :data:`igc.models.layers.ACTIVATIONS`.
    dropout : float
        Share of hidden features dropped in training.
    """

    def __init__(self, width: int, expansion: int, activation: str, dropout: float) -> None:
        super().__init__()
        self.block = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, expansion * width),
            activation_layer(activation),
            nn.Dropout(dropout),
            nn.Linear(expansion * width, width),
            nn.Dropout(dropout),
        )
        self.layer_scale = nn.Parameter(torch.full((width,), 0.1))

    def forward(self, features: Tensor) -> Tensor:
        """Map (batch, feature) to the same shape."""
        change: Tensor = self.block(features)
        return features + self.layer_scale * change


class FlatLinear(nn.Module):
    """One affine map of the flattened input.

    Parameters
    ----------
    n_components, n_targets : int
        Number of input components and of outputs.
    """

    def __init__(self, n_components: int, n_targets: int) -> None:
        super().__init__()
        self.readout = nn.Linear(n_components, n_targets)

    def features(self, inputs: Tensor) -> Tensor:
        """Flatten inputs (batch, *input_shape) to (batch, component)."""
        return inputs.flatten(1)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map inputs (batch, *input_shape) to outputs (batch, target)."""
        outputs: Tensor = self.readout(self.features(inputs))
        return outputs


def _image_shape(name: str, input_shape: Sequence[int]) -> tuple[int, int, int]:
    if len(input_shape) != 3:
        allowed = "inputs (channel, row, column)"
        remedy = "use residual_mlp or linear for vectors"
        raise ModelError(explain(f"architecture {name}", f"inputs of shape {tuple(input_shape)}", allowed, remedy))
    return input_shape[0], input_shape[1], input_shape[2]


def _convolutions(
    name: str, input_shape: Sequence[int], channels: Sequence[int], kernel: int, activation: str, dropout: float
) -> tuple[list[nn.Module], int]:
    """Return layers that halve the image once per entry of ``channels``, and the size of their flattened output."""
    width, rows, columns = _image_shape(name, input_shape)
    check_whole("kernel", kernel, 1, 31)
    check_whole("number of channels", len(channels), 1, 8)
    layers: list[nn.Module] = []
    for wanted in channels:
        check_whole("channels", wanted, 1, LARGEST)
        layers += [
            nn.Conv2d(width, wanted, kernel, stride=2, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(wanted),
            activation_layer(activation),
            nn.Dropout2d(check_fraction("dropout", dropout)),
        ]
        width = wanted
        rows, columns = ((n + 2 * (kernel // 2) - kernel) // 2 + 1 for n in (rows, columns))
    return [*layers, nn.Flatten()], width * rows * columns


def _dense(inputs: int, outputs: int, activation: str, dropout: float) -> list[nn.Module]:
    check_whole("width", outputs, 1, LARGEST)
    check_fraction("dropout", dropout)
    return [
        nn.Linear(inputs, outputs, bias=False),
        nn.BatchNorm1d(outputs),
        activation_layer(activation),
        nn.Dropout(dropout),
    ]


@register_architecture("convolutional_classifier")
def convolutional_classifier(
    input_shape: tuple[int, ...],
    n_targets: int,
    *,
    channels: Sequence[int] = (16, 32),
    kernel: int = 5,
    hidden: int = 64,
    activation: str = "mish",
    convolution_dropout: float = 0.1,
    dropout: float = 0.3,
) -> ReadoutModel:
    """Build a small convolutional network from an image to the logits of classes.

    Parameters
    ----------
    input_shape : tuple of int
        (channel, row, column).
    n_targets : int
        Number of classes.
    channels : sequence of int
        Feature maps of each convolution of stride 2.
    kernel : int
        Height and width of each convolution, in pixels.
    hidden : int
        Width of the layer before the readout.
    activation : str
        A name of :data:`igc.models.layers.ACTIVATIONS`.
    convolution_dropout, dropout : float
        Share of feature maps, and of hidden features, dropped in training.

    Returns
    -------
    ReadoutModel
    """
    name = "convolutional_classifier"
    layers, size = _convolutions(name, input_shape, channels, kernel, activation, convolution_dropout)
    body = nn.Sequential(*layers, *_dense(size, hidden, activation, dropout))
    return ReadoutModel(input_shape, body, hidden, n_targets)


@register_architecture("convolutional_encoder")
def convolutional_encoder(
    input_shape: tuple[int, ...],
    n_targets: int,
    *,
    channels: Sequence[int] = (8, 16, 32),
    kernel: int = 5,
    latents: int = 64,
    activation: str = "gelu",
    convolution_dropout: float = 0.0,
    dropout: float = 0.1,
) -> ReadoutModel:
    """Build a convolutional network from an image to values (voxels, image statistics) with a linear readout.

    Parameters
    ----------
    input_shape : tuple of int
        (channel, row, column).
    n_targets : int
        Number of values.
    channels : sequence of int
        Feature maps of each convolution of stride 2.
    kernel : int
        Height and width of each convolution, in pixels.
    latents : int
        Number of features that the readout combines; attribution of any number of targets costs as many products.
    activation : str
        A name of :data:`igc.models.layers.ACTIVATIONS`.
    convolution_dropout, dropout : float
        Share of feature maps, and of latents, dropped in training.

    Returns
    -------
    ReadoutModel
    """
    name = "convolutional_encoder"
    layers, size = _convolutions(name, input_shape, channels, kernel, activation, convolution_dropout)
    body = nn.Sequential(*layers, *_dense(size, latents, activation, dropout))
    return ReadoutModel(input_shape, body, latents, n_targets)


@register_architecture("residual_mlp")
def residual_mlp(
    input_shape: tuple[int, ...],
    n_targets: int,
    *,
    width: int = 64,
    blocks: int = 1,
    expansion: int = 2,
    activation: str = "gelu",
    input_dropout: float = 0.2,
    dropout: float = 0.5,
) -> ReadoutModel:
    """Build a residual multilayer perceptron, for example from voxels to categories.

    Parameters
    ----------
    input_shape : tuple of int
        Shape of one input, which is flattened.
    n_targets : int
        Number of outputs.
    width, blocks, expansion : int
        Number of features, of residual blocks, and how many times wider their hidden layer is.
    activation : str
        A name of :data:`igc.models.layers.ACTIVATIONS`.
    input_dropout, dropout : float
        Share of input components, and of hidden features, dropped in training.

    Returns
    -------
    ReadoutModel
    """
    check_whole("width", width, 1, LARGEST)
    check_whole("expansion", expansion, 1, 16)
    check_whole("blocks", blocks, 0, 64)
    size = 1
    for n in input_shape:
        size *= n
    body = nn.Sequential(
        nn.Flatten(),
        nn.Dropout(check_fraction("input_dropout", input_dropout)),
        nn.Linear(size, width),
        *(ResidualBlock(width, expansion, activation, check_fraction("dropout", dropout)) for _ in range(blocks)),
        nn.LayerNorm(width),
        nn.Dropout(dropout),
    )
    return ReadoutModel(input_shape, body, width, n_targets)


@register_architecture("linear")
def linear(input_shape: tuple[int, ...], n_targets: int) -> FlatLinear:
    """Build a linear model of the flattened raw input.

    Parameters
    ----------
    input_shape : tuple of int
        Shape of one input.
    n_targets : int
        Number of outputs.

    Returns
    -------
    FlatLinear
        Its weights are ``readout.weight`` (target, component) and ``readout.bias`` (target).
    """
    size = 1
    for n in input_shape:
        size *= n
    return FlatLinear(size, n_targets)
