"""Layers and argument checks shared by the architectures."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from igc.errors import ModelError, explain

__all__ = ["ACTIVATIONS", "ReadoutModel", "Standardize", "activation_layer", "check_fraction", "check_whole"]

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "mish": nn.Mish,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
}
"""Activations by name; all but ``relu`` have a continuous gradient, which path methods integrate with few points."""


def activation_layer(name: str) -> nn.Module:
    """Make an activation.

    Parameters
    ----------
    name : str
        A key of :data:`ACTIVATIONS`.

    Returns
    -------
    torch.nn.Module
    """
    if name not in ACTIVATIONS:
        raise ModelError(explain("argument activation", repr(name), ", ".join(ACTIVATIONS), "choose one of these"))
    return ACTIVATIONS[name]()


def check_whole(name: str, value: object, smallest: int, largest: int) -> int:
    """Return a whole number after checking its range.

    Parameters
    ----------
    name : str
        Name of the argument, for the message.
    value : object
        The value given.
    smallest, largest : int
        Allowed range, both ends included.

    Returns
    -------
    int

    Raises
    ------
    ModelError
        If the value is no whole number or out of range.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not smallest <= value <= largest:
        allowed = f"a whole number from {smallest} to {largest}"
        raise ModelError(explain(f"argument {name}", repr(value), allowed, "correct the argument"))
    return value


def check_fraction(name: str, value: object) -> float:
    """Return a number in [0, 1) after checking it; parameters as for :func:`check_whole`."""
    if not isinstance(value, int | float) or not 0 <= value < 1:
        raise ModelError(explain(f"argument {name}", repr(value), "a number from 0 to below 1", "correct the argument"))
    return float(value)


class Standardize(nn.Module):
    """Subtract a mean and divide by a scale that were measured on the training samples.

    Vectors have a mean and a scale for every component. Arrays with more axes have one for every entry of their first
    axis (the channel), so that the relation between pixels is kept.

    Parameters
    ----------
    input_shape : sequence of int
        Shape of one input.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, input_shape: Sequence[int]) -> None:
        super().__init__()
        shape = (input_shape[0], *(1 for _ in input_shape[1:]))
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("scale", torch.ones(shape))

    def set_statistics(self, mean: Tensor, scale: Tensor) -> None:
        """Take over statistics of the training samples; a scale of zero (a constant component) becomes one.

        Parameters
        ----------
        mean, scale : torch.Tensor
            (component) or (channel), in units of the inputs.
        """
        self.mean.copy_(mean.reshape(self.mean.shape))
        self.scale.copy_(torch.where(scale > 0, scale, torch.ones_like(scale)).reshape(self.scale.shape))

    def forward(self, inputs: Tensor) -> Tensor:
        """Map raw inputs (batch, *input_shape) to standardised ones of the same shape."""
        return (inputs - self.mean) / self.scale


class ReadoutModel(nn.Module):
    """Standardisation, a nonlinear body and a linear readout: ``readout(body(standardize(x)))``.

    Attributions of many outputs can be computed through the few features, because the readout is linear.

    Parameters
    ----------
    input_shape : sequence of int
        Shape of one input.
    body : torch.nn.Module
        Maps (batch, *input_shape) to (batch, feature).
    n_features, n_targets : int
        Width of the features and number of outputs.
    """

    def __init__(self, input_shape: Sequence[int], body: nn.Module, n_features: int, n_targets: int) -> None:
        super().__init__()
        self.standardize = Standardize(input_shape)
        self.body = body
        self.readout = nn.Linear(n_features, n_targets)

    def features(self, inputs: Tensor) -> Tensor:
        """Map raw inputs (batch, *input_shape) to features (batch, feature)."""
        features: Tensor = self.body(self.standardize(inputs))
        return features

    def forward(self, inputs: Tensor) -> Tensor:
        """Map raw inputs (batch, *input_shape) to raw outputs (batch, target)."""
        outputs: Tensor = self.readout(self.features(inputs))
        return outputs
