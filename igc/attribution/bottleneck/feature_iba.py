"""Feature IBA: what of a layer a prediction needs (arXiv 2001.00396), many samples at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from igc.attribution.bottleneck.capacity import BITS, information
from igc.attribution.bottleneck.features import Layer, Statistics
from igc.attribution.bottleneck.likelihood import Likelihood
from igc.attribution.bottleneck.noise import Noise
from igc.attribution.bottleneck.optimize import Budget, Signal, fit_bottleneck
from igc.attribution.bottleneck.spread import Spread
from igc.attribution.gradients import Inputs, Outputs
from igc.attribution.problem import Rows

__all__ = ["FeatureBottleneck", "FeatureIba", "in_chunks", "to_input"]


def in_chunks(inputs: Inputs, rows: Rows, points: int, size: int) -> Iterator[tuple[Inputs, Rows]]:
    """Cut a batch into pieces whose points fit into one forward pass.

    Parameters
    ----------
    inputs : tuple of torch.Tensor
    rows : array of int (sample,)
    points : int
        Points a sample in one pass.
    size : int
        Points a pass; a piece has one sample at least.
    """
    step = max(1, size // points)
    for start in range(0, len(rows), step):
        piece = slice(start, start + step)
        yield tuple(x[piece] for x in inputs), rows[piece]


def to_input(maps: Tensor, shape: tuple[int, ...], inputs: tuple[tuple[int, ...], ...]) -> Tensor:
    """Bring what lies at features to the input: sums stay as they are.

    Parameters
    ----------
    maps : torch.Tensor (sample, map, feature)
    shape : tuple of int
        Of the features of one sample: that of the input, or (channel, row, column) of an image's features, whose
        channels are summed and whose pixels are interpolated linearly.
    inputs : tuple of tuple of int
        Shapes of the inputs.

    Returns
    -------
    torch.Tensor (sample, map, component)
    """
    target = inputs[0]
    if len(inputs) > 1 or len(shape) != 3 or shape == target:
        return maps
    image = maps.reshape(*maps.shape[:2], *shape).sum(dim=2)
    grown = interpolate(image, size=target[-2:], mode="bilinear", align_corners=False)
    scale = shape[-1] * shape[-2] / (target[0] * target[-1] * target[-2])
    return (grown * scale)[:, :, None].expand(-1, -1, target[0], -1, -1).flatten(2)


@dataclass(frozen=True)
class FeatureBottleneck:
    """The bottleneck behind a layer, for any samples.

    Attributes
    ----------
    layer : Layer
        Where it is.
    statistics : Statistics
        Of the features.
    likelihood : Likelihood
        What it must keep.
    budget : Budget
        How hard it is optimised.
    spread : Spread
        Smoothing or sharing.
    seed : int
        Of the noise.
    """

    layer: Layer
    statistics: Statistics
    likelihood: Likelihood
    budget: Budget
    spread: Spread
    seed: int

    @property
    def chosen(self) -> dict[str, str | float]:
        """The layer and the weight of its information."""
        return {"layer": self.layer.name, "beta": self.budget.beta}

    @property
    def noise(self) -> Noise:
        """The noise of the optimisation."""
        purpose = f"bottleneck at {self.layer.name}"
        return Noise(self.seed, purpose, len(self.statistics.mean), self.budget.draws, self.budget.steps)

    def fit(
        self, outputs: Outputs, inputs: Inputs, rows: Rows, reference: Tensor, prior: Tensor | None = None
    ) -> tuple[Signal, Tensor]:
        """Find what of the features must pass.

        Parameters
        ----------
        outputs : Outputs
            From the likelihood, as a function of the input.
        inputs, rows
            The samples.
        reference : torch.Tensor
            From the likelihood.
        prior : torch.Tensor (sample, map, component), optional
            Mask of the prior.

        Returns
        -------
        signal : Signal
        passed : torch.Tensor (sample, map, feature)
        """
        with torch.no_grad():
            signal = self.statistics.signal(self.layer.features(outputs, inputs))
        n_maps = self.likelihood.n_maps
        behind = self.layer.outputs(outputs, inputs, n_maps)
        loss, noise = self.likelihood.loss(behind, reference), self.noise.of(rows, inputs[0])
        return signal, fit_bottleneck(loss, signal, n_maps, noise, self.budget, self.spread, prior)


@dataclass(frozen=True)
class FeatureIba:
    """Information that passes the bottleneck behind a layer, in bits, brought to the input.

    The public code of the paper turns its smoothing off in ``estimate()``; here it is on, in the optimisation and in
    what is returned. The map is information, sum over the channels of a place, spread over the pixels it stands for.

    Attributes
    ----------
    bottleneck : FeatureBottleneck
    shapes : tuple of tuple of int
        Of the inputs.
    batch_size : int
        Points a forward pass.
    """

    bottleneck: FeatureBottleneck
    shapes: tuple[tuple[int, ...], ...]
    batch_size: int

    @property
    def chosen(self) -> dict[str, str | float]:
        """Where the bottleneck is, for the attributes of the result."""
        return self.bottleneck.chosen

    def evaluations(self, n_samples: int) -> int:
        """Return the number of gradient points for so many samples."""
        return n_samples * self.bottleneck.likelihood.n_maps * self.bottleneck.budget.evaluations

    def attribute(self, outputs: Outputs, inputs: Inputs, rows: Rows) -> Tensor:
        """Return the maps of a batch, (batch, target or 1, component)."""
        likelihood = self.bottleneck.likelihood
        chosen, shape = likelihood.outputs(outputs), self.bottleneck.layer.shape
        points, maps = likelihood.n_maps * self.bottleneck.budget.draws, []
        for some, numbers in in_chunks(inputs, rows, points, self.batch_size):
            reference = likelihood.reference(chosen, some, numbers)
            signal, passed = self.bottleneck.fit(chosen, some, numbers, reference)
            maps.append(to_input(information(passed, signal.standard) * BITS, shape, self.shapes))
        return torch.cat(maps)
