"""The mask of the input bottleneck's prior: what of the input the features of the first bottleneck let through.

The paper trains a generator and a critic for every sample, see :mod:`igc.attribution.bottleneck.wgan`. The cheaper
priors here take the place of that. In all of them "masked features" are F r + (1 - F) noise with the share F in [0, 1]
that passes the feature bottleneck; the public code of the paper has the information in nats there, which is no mask:
values above 1 extrapolate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from igc.attribution.bottleneck.capacity import information
from igc.attribution.bottleneck.feature_iba import FeatureBottleneck
from igc.attribution.bottleneck.features import Layer, Statistics, split_inputs
from igc.attribution.bottleneck.noise import Noise
from igc.attribution.bottleneck.optimize import Adam, Signal
from igc.attribution.gradients import Inputs, Outputs
from igc.attribution.problem import Rows

__all__ = ["LARGEST_MASK", "MomentPrior", "NoPrior", "Prior", "UpsampledPrior", "masked_features", "start_mask"]

LARGEST_MASK = 0.99
"""Masks end here: at 1 the input would pass for nothing."""


class Prior(Protocol):
    """Estimates the mask of samples."""

    @property
    def chosen(self) -> dict[str, str | float]:
        """Name of the prior, and its layer."""
        ...

    @property
    def evaluations(self) -> int:
        """Gradient points a mask."""
        ...

    def mask(self, outputs: Outputs, inputs: Inputs, rows: Rows, reference: Tensor) -> Tensor | None:
        """Return the masks of samples, (sample, map, component), or None for no mask.

        Parameters
        ----------
        outputs : Outputs
            From the likelihood.
        inputs, rows
            The samples.
        reference : torch.Tensor
            From the likelihood.
        """
        ...


@dataclass(frozen=True)
class NoPrior:
    """The noise alone: the plain bottleneck at the input."""

    evaluations: int = 0

    @property
    def chosen(self) -> dict[str, str | float]:
        """Name of the prior."""
        return {"prior": "none"}

    def mask(self, outputs: Outputs, inputs: Inputs, rows: Rows, reference: Tensor) -> None:
        """Return None."""


@dataclass(frozen=True)
class UpsampledPrior:
    """What passes at each place of the features, interpolated to the pixels of the input."""

    bottleneck: FeatureBottleneck
    shapes: tuple[tuple[int, ...], ...]

    @property
    def chosen(self) -> dict[str, str | float]:
        """Name of the prior, and its layer."""
        return {"prior": "upsampled", "layer": self.bottleneck.layer.name}

    @property
    def evaluations(self) -> int:
        """Gradient points a mask."""
        return self.bottleneck.budget.evaluations

    def mask(self, outputs: Outputs, inputs: Inputs, rows: Rows, reference: Tensor) -> Tensor:
        """Return the masks of samples, (sample, map, component)."""
        signal, passed = self.bottleneck.fit(outputs, inputs, rows, reference)
        return start_mask(information(passed, signal.standard), self.bottleneck.layer.shape, self.shapes)


def start_mask(nats: Tensor, shape: tuple[int, ...], inputs: tuple[tuple[int, ...], ...]) -> Tensor:
    """Return what passes the features as a mask of the input, a half everywhere where features have no layout.

    Information of I nats at a place, over all channels, becomes 1 - exp(-2 I): the share of variance that a Gaussian
    channel of so much information explains, in [0, 1).

    Parameters
    ----------
    nats : torch.Tensor (sample, map, feature)
        Information that passes.
    shape : tuple of int
        Of the features of one sample.
    inputs : tuple of tuple of int
        Shapes of the inputs.

    Returns
    -------
    torch.Tensor (sample, map, component)
    """
    target = inputs[0]
    size = sum(torch.Size(each).numel() for each in inputs)
    if len(inputs) == 1 and len(shape) == len(target) == 3 and shape != target:
        share = -torch.expm1(-2 * nats.reshape(*nats.shape[:2], *shape).sum(dim=2))
        grown = interpolate(share, size=target[-2:], mode="bilinear", align_corners=False)
        share = grown[:, :, None].expand(-1, -1, target[0], -1, -1).flatten(2)
    elif nats.shape[2] == size:
        share = -torch.expm1(-2 * nats)
    else:
        share = nats.new_full((*nats.shape[:2], size), 0.5)
    return share.clamp(max=LARGEST_MASK)


def masked_features(signal: Signal, passed: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of the masked features, (sample, map, feature) each."""
    values = signal.values[:, None]
    return passed * values + (1 - passed) * signal.mean, (1 - passed) * signal.deviation


@dataclass(frozen=True)
class MomentPrior:
    """The mask with which the input, noise where it is masked, gives features of the mean and deviation of the masked.

    Attributes
    ----------
    bottleneck : FeatureBottleneck
        Of the features.
    statistics : Statistics
        Of the input.
    shapes : tuple of tuple of int
        Of the inputs.
    steps, draws : int
        Steps of Adam, and draws of noise a step.
    learning_rate : float
        Of the mask's logits.
    """

    bottleneck: FeatureBottleneck
    statistics: Statistics
    shapes: tuple[tuple[int, ...], ...]
    steps: int
    draws: int = 8
    learning_rate: float = 0.5

    @property
    def chosen(self) -> dict[str, str | float]:
        """Name of the prior, and its layer."""
        return {"prior": "moment", "layer": self.bottleneck.layer.name}

    @property
    def evaluations(self) -> int:
        """Gradient points a mask."""
        return self.bottleneck.budget.evaluations + self.steps * self.draws

    def mask(self, outputs: Outputs, inputs: Inputs, rows: Rows, reference: Tensor) -> Tensor:
        """Return the masks of samples, (sample, map, component)."""
        signal, passed = self.bottleneck.fit(outputs, inputs, rows, reference)
        layer = self.bottleneck.layer
        mean, deviation = masked_features(signal, passed)
        nats = information(passed, signal.standard)
        logits = start_mask(nats, layer.shape, self.shapes).clamp(min=1 - LARGEST_MASK).logit()
        clean = self.statistics.signal(torch.cat([x.flatten(1) for x in inputs], dim=1))
        noise = Noise(self.bottleneck.seed, "mask of the prior", clean.values.shape[1], self.draws, self.steps)
        drawn, adam = noise.of(rows, inputs[0]), Adam(logits, self.learning_rate)
        for step in range(self.steps):
            with torch.enable_grad():
                leaf = logits.detach().requires_grad_()
                noisy = clean.mean + clean.deviation * drawn.step(step)[:, :, None]
                points = torch.lerp(noisy, clean.values[:, None], leaf.sigmoid())
                features = features_of(layer, outputs, points, inputs)
                wrong = ((features.mean(dim=0) - mean) / signal.deviation) ** 2
                wrong = wrong + ((features.std(dim=0) - deviation) / signal.deviation) ** 2
                (gradient,) = torch.autograd.grad((wrong * signal.active).mean(dim=2).sum(), leaf)
            adam.step(gradient)
        return logits.sigmoid().clamp(max=LARGEST_MASK)


def features_of(layer: Layer, outputs: Outputs, points: Tensor, like: Inputs) -> Tensor:
    """Return the features of points (draw, sample, map, component), (draw, sample, map, feature)."""
    features = layer.features(outputs, split_inputs(points.flatten(0, 2), like))
    return features.reshape(*points.shape[:3], -1)
