"""An encoder for many targets that look at places: features of the image, and for each target what and where."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from igc.errors import ModelError, explain
from igc.models.layers import ReadoutModel, activation_layer, check_fraction, check_whole
from igc.models.registry import register_architecture

__all__ = ["FactorisedReadout", "factorised_encoder"]

_MOST_CHANNELS = 65536


class FactorisedReadout(nn.Linear):
    """A linear layer on feature maps whose weights are a product: what is read, and where.

    ``weight[target, feature, place] = what[target, feature] * where[target, place]``, so that a target has
    ``n_features + n_places`` numbers to learn and not their product.

    Parameters
    ----------
    n_features, n_places : int
        Number of feature maps, and of places in each.
    n_targets : int
        Number of outputs.

    Notes
    -----
    Source: Klindt et al. (2017), Neural system identification for large populations, NeurIPS.
    """

    def __init__(self, n_features: int, n_places: int, n_targets: int) -> None:
        # the layer has no weight of its own to set up
        nn.Module.__init__(self)
        self.in_features, self.out_features = n_features * n_places, n_targets
        self.what = nn.Parameter(torch.randn(n_targets, n_features) / math.sqrt(n_features))
        self.where = nn.Parameter((1 + 0.1 * torch.randn(n_targets, n_places)) / n_places)
        self.bias = nn.Parameter(torch.zeros(n_targets))

    @property
    def weight(self) -> Tensor:  # type: ignore[override]
        """Weights (target, latent), where a latent is a feature at a place."""
        return (self.what[:, :, None] * self.where[:, None, :]).flatten(1)

    @torch.no_grad()
    def rescale(self, scale: Tensor, shift: Tensor) -> None:
        """Multiply the outputs by a scale (target), and add a shift (target)."""
        self.what.mul_(scale[:, None])
        self.bias.mul_(scale).add_(shift)


@register_architecture("factorised_encoder")
def factorised_encoder(
    input_shape: tuple[int, ...],
    n_targets: int,
    *,
    channels: Sequence[int] = (16, 16),
    kernel: int = 5,
    pool: Sequence[int] = (2, 1),
    activation: str = "gelu",
    dropout: float = 0.0,
) -> ReadoutModel:
    """Build a convolutional network whose feature maps are read out by each target at places of its own.

    Parameters
    ----------
    input_shape : tuple of int
        (channel, row, column).
    n_targets : int
        Number of values, for example voxels.
    channels : sequence of int
        Feature maps of each convolution.
    kernel : int
        Height and width of each convolution, in pixels.
    pool : sequence of int
        After each convolution, the mean over squares of so many pixels each way is taken. A stride would do as well for
        the prediction, but maps through it have the pattern of a chequerboard.
    activation : str
        A name of :data:`igc.models.layers.ACTIVATIONS`.
    dropout : float
        Share of feature maps dropped in training.

    Returns
    -------
    ReadoutModel
        Its ``readout`` is a :class:`FactorisedReadout`.
    """
    name = "architecture factorised_encoder"
    if len(input_shape) != 3:
        allowed, remedy = "inputs (channel, row, column)", "use residual_mlp or linear for vectors"
        raise ModelError(explain(name, f"inputs of shape {tuple(input_shape)}", allowed, remedy))
    if len(channels) != len(pool) or not channels:
        seen = f"{len(channels)} channels and {len(pool)} numbers to pool"
        raise ModelError(explain(name, seen, "one of each for every convolution", "give as many of both"))
    check_whole("kernel", kernel, 1, 31)
    width, rows, columns = input_shape
    layers: list[nn.Module] = []
    for wanted, step in zip(channels, pool, strict=True):
        check_whole("channels", wanted, 1, _MOST_CHANNELS)
        check_whole("pool", step, 1, 16)
        layers += [
            nn.Conv2d(width, wanted, kernel, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(wanted),
            activation_layer(activation),
            nn.AvgPool2d(step),
            nn.Dropout2d(check_fraction("dropout", dropout)),
        ]
        width = wanted
        rows, columns = ((n + 2 * (kernel // 2) - kernel + 1) // step for n in (rows, columns))
    body = nn.Sequential(*layers, nn.Flatten())
    model = ReadoutModel(input_shape, body, 1, n_targets)
    model.readout = FactorisedReadout(width, rows * columns, n_targets)
    return model
