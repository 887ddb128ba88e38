"""InputIBA: what of the input a prediction needs, against what its features need already (arXiv 2110.01471)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from igc.attribution.bottleneck.feature_iba import FeatureBottleneck, in_chunks
from igc.attribution.bottleneck.prior import Prior
from igc.attribution.gradients import Inputs, Outputs
from igc.attribution.problem import Rows

__all__ = ["InputIba"]


@dataclass(frozen=True)
class InputIba:
    """The share of each component that passes the bottleneck at the input, in [0, 1].

    The prior of the bottleneck is the input behind a mask that is estimated from a feature bottleneck, so that what
    the features let through is free. Like the paper's, the map is the share that passes and no information; unlike
    the map of its public code, it is smoothed as it was in the optimisation. Channels are kept apart.

    Attributes
    ----------
    bottleneck : FeatureBottleneck
        At the input.
    prior : Prior
        Estimates the mask.
    batch_size : int
        Points a forward pass.
    """

    bottleneck: FeatureBottleneck
    prior: Prior
    batch_size: int

    @property
    def chosen(self) -> dict[str, str | float]:
        """The prior, its layer and the weight of the information, for the attributes of the result."""
        return {"beta": self.bottleneck.budget.beta, **self.prior.chosen}

    def evaluations(self, n_samples: int) -> int:
        """Return the number of gradient points for so many samples."""
        n_maps = self.bottleneck.likelihood.n_maps
        return n_samples * n_maps * (self.bottleneck.budget.evaluations + self.prior.evaluations)

    def attribute(self, outputs: Outputs, inputs: Inputs, rows: Rows) -> Tensor:
        """Return the maps of a batch, (batch, target or 1, component)."""
        likelihood = self.bottleneck.likelihood
        chosen = likelihood.outputs(outputs)
        points, maps = likelihood.n_maps * self.bottleneck.budget.draws, []
        for some, numbers in in_chunks(inputs, rows, points, self.batch_size):
            reference = likelihood.reference(chosen, some, numbers)
            mask = self.prior.mask(chosen, some, numbers, reference)
            maps.append(self.bottleneck.fit(chosen, some, numbers, reference, mask)[1])
        return torch.cat(maps)
